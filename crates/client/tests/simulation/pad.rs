// SPDX-License-Identifier: MPL-2.0

//! The text pad beside the session, and what it promises.
//!
//! A [`Track`] gets the session's events and those of the stream, as an element gives them to
//! it, and is polled whenever something happens and when it says that it has to be. Each
//! output is compared with what the session said and when.

use crate::invariants::Broken;
use crate::schedule::{PadSettings, Settings, Unit};
use crate::service::{PEOPLE, word_spelled};
use crate::source::{MS, Spoken};
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;
use symbl_client::session::event::PlacedWord;
use symbl_client::session::{Event, EventKind, Position, Time};
use symbl_client::track::{
    LONGEST_GAP, LateText, Moment, Now, Output, TICK, Text, Track, TrackConfig,
};

/// Pace of moved text in characters per second.
const PACE: u64 = 30;
/// The longest holes of a schedule, in nanoseconds. Words may be placed before or behind a hole
/// that is not declared.
const LONGEST_HOLE: u64 = 4000 * MS;
/// More outputs at once than any run needs: ten minutes of gaps.
const MOST_AT_ONCE: u32 = 2400;
/// The first gap of a segment, in nanoseconds, which comes whatever is said there.
const FIRST_GAP: u64 = MS;

/// An event of the stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mark {
    /// The start of the stream, and the caps.
    Begin,
    Segment,
    Tag,
    Event(u32),
    End,
}

impl Mark {
    /// Returns `true` if it is put on the pad again when a flush finds it waiting.
    fn is_sticky(self) -> bool {
        matches!(self, Self::Begin | Self::Tag)
    }
}

/// The running time of the pipeline.
#[derive(Debug)]
struct Clock {
    drift: i32,
    /// Its reading at a time.
    from: (u64, Time),
    plays: bool,
}

impl Clock {
    fn reading(&self, now: Time) -> u64 {
        let (reading, since) = self.from;
        if !self.plays {
            return reading;
        }
        let nanos = now.saturating_sub(since).as_nanos() as u64;
        let more = i128::from(nanos) * i128::from(self.drift) / 1_000_000;
        reading + nanos.saturating_add_signed(more as i64)
    }

    fn set(&mut self, now: Time, reading: u64, plays: bool) {
        self.from = (reading, now);
        self.plays = plays;
    }

    fn now(&self, time: Time) -> Now {
        let running_time = self.plays.then(|| self.reading(time));
        Now { time, running_time }
    }
}

/// A word of a final that is not on the pad yet.
#[derive(Debug)]
struct Owed {
    word: u16,
    /// The number of its final.
    of: usize,
    start: Option<u64>,
    end: u64,
    /// A mark at a later position comes after it.
    before: Position,
    /// A mark at this position or an earlier one comes before it.
    behind: Position,
    /// The start of the next word of the final.
    next: Option<u64>,
    /// A text begins with it.
    leads: bool,
}

/// A mark, and when the pad passed it.
#[derive(Debug)]
struct Passed {
    position: Position,
    at: Time,
    reading: u64,
}

/// The text pad.
pub struct Pad {
    track: Track<Mark>,
    settings: PadSettings,
    estimates: bool,
    declared: bool,
    /// The deadline is this far behind the clock. `None` if audio is not live.
    behind: Option<u64>,
    clock: Clock,
    /// When the track has to be polled again.
    due: Option<Time>,
    tracing: bool,
    stopped: bool,
    ended: bool,
    cursor: Option<u64>,
    /// The end of the last gap, and that of the last text.
    gap_until: u64,
    text_until: u64,
    finals: usize,
    owed: VecDeque<Owed>,
    told: HashSet<u16>,
    /// The final of the last word that was told.
    last_final: usize,
    /// The words of the last interim.
    interim: HashMap<u16, Option<u64>>,
    /// Words of interims before it that were due then. They may wait behind a mark.
    were_due: HashSet<u16>,
    committed: u64,
    moved: u64,
    /// Words that were owed and left out.
    skipped: u64,
    speaker: Option<String>,
    marks: VecDeque<(Moment, Mark)>,
    passed: Vec<Passed>,
    events: u32,
    /// The running time at which the segment starts.
    starts: u64,
    floor: Position,
    /// No final that is still to come begins before it.
    heard: Position,
}

fn broken(promise: &'static str, how: impl Into<String>) -> Broken {
    Broken {
        promise,
        how: how.into(),
    }
}

type Check = Result<(), Broken>;

impl Pad {
    pub fn new(settings: &Settings) -> Self {
        let pad = settings.pad;
        let nanos = |ms: u32| u64::from(ms) * MS;
        let mut track = Track::new(TrackConfig {
            latency: nanos(pad.latency),
            lateness: nanos(pad.lateness),
            unit: pad.unit.track(),
            late: pad.late,
            commits_interims: pad.commits,
            patience: Duration::from_millis(pad.patience.into()),
        });
        let upstream = settings.live.then_some(nanos(pad.upstream));
        track.set_latency(upstream);
        let mut this = Self {
            track,
            settings: pad,
            estimates: settings.estimates(),
            declared: settings.declared,
            behind: upstream.map(|upstream| upstream + nanos(pad.latency + pad.lateness)),
            clock: Clock {
                drift: settings.drift,
                from: (0, Time::ZERO),
                plays: true,
            },
            due: None,
            tracing: std::env::var_os("SYMBL_SIMULATION_TRACE").is_some(),
            stopped: false,
            ended: false,
            cursor: None,
            gap_until: 0,
            text_until: 0,
            finals: 0,
            owed: VecDeque::new(),
            told: HashSet::new(),
            last_final: 0,
            interim: HashMap::new(),
            were_due: HashSet::new(),
            committed: 0,
            moved: 0,
            skipped: 0,
            speaker: None,
            marks: VecDeque::new(),
            passed: Vec::new(),
            events: 0,
            starts: 0,
            floor: 0,
            heard: 0,
        };
        for _ in 0..2 {
            this.mark(moment((0, None)), Mark::Begin);
        }
        this.segment(moment((0, None)), 0);
        this
    }

    /// Lets the pipeline pause or play.
    pub fn play(&mut self, now: Time, plays: bool) {
        let reading = self.clock.reading(now);
        self.clock.set(now, reading, plays);
    }

    /// Stops the task of the pad.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    fn segment(&mut self, at: Moment, starts: u64) {
        self.starts = starts;
        self.marks.push_back((at, Mark::Segment));
        self.track.segment(at, starts, Mark::Segment);
        self.mark(at, Mark::Tag);
    }

    fn mark(&mut self, at: Moment, mark: Mark) {
        self.marks.push_back((at, mark));
        self.track.mark(at, mark);
    }

    /// Takes an event of the stream behind the audio that was pushed.
    pub fn event(&mut self, pushed: (Position, Option<u64>)) {
        self.events += 1;
        self.mark(moment(pushed), Mark::Event(self.events));
    }

    /// Takes the end of the stream, after the last result.
    pub fn end(&mut self, pushed: (Position, Option<u64>)) {
        let at = moment(pushed);
        self.marks.push_back((at, Mark::End));
        self.track.end(at, Mark::End);
    }

    /// Takes how far audio was sent.
    pub fn sent(&mut self, now: Time, sent: (Position, Option<u64>)) {
        if let (position, Some(running_time)) = sent {
            let at = Moment {
                position,
                running_time,
            };
            self.track.sent(at, now);
        }
    }

    /// Takes a flush, after which the stream goes on at the running time `starts`.
    pub fn flush(&mut self, now: Time, pushed: (Position, Option<u64>), starts: u64) -> Check {
        self.account()?;
        self.skipped = self.track.stats().words_dropped;
        let at = moment(pushed);
        let segment = moment((pushed.0, pushed.1.or(Some(starts))));
        let waiting = self.track.flush(at.position);
        let expected: Vec<Mark> = self.marks.drain(..).map(|(_, mark)| mark).collect();
        if waiting != expected {
            let how = format!("a flush returns {waiting:?} of {expected:?}");
            return Err(broken("marks_are_passed_in_order", how));
        }
        for mark in waiting.into_iter().filter(|mark| mark.is_sticky()) {
            self.mark(at, mark);
        }
        self.owed.clear();
        self.passed.clear();
        self.interim.clear();
        self.were_due.clear();
        self.cursor = None;
        self.gap_until = 0;
        self.text_until = 0;
        self.ended = false;
        self.floor = at.position;
        self.clock.set(now, starts, self.clock.plays);
        self.segment(segment, starts);
        Ok(())
    }

    /// Takes an event of the session.
    pub fn take(&mut self, event: &Event, now: Time, spoken: &[Spoken]) -> Check {
        if self.stopped {
            return Ok(());
        }
        let place = event.placement.unwrap_or_default();
        match &event.kind {
            EventKind::Transcript {
                is_final: true,
                words,
                ..
            } if place.until > self.floor => self.owe(words, now, spoken)?,
            EventKind::Transcript {
                is_final: false,
                words,
                ..
            } => {
                let words = words
                    .iter()
                    .filter_map(|word| Some((word_spelled(&word.word)?, word.running_time)));
                let words = words.collect();
                self.note_due(now);
                self.interim = words;
            }
            EventKind::Heard => self.heard = self.heard.max(place.until),
            _ => {}
        }
        self.track.take(event, self.clock.now(now));
        Ok(())
    }

    /// Returns `true` if text that starts at this running time, and that the session was given
    /// at `given`, is too late at `now`.
    fn is_late(&self, start: u64, given: Time, now: Time, reading: u64) -> bool {
        match self.behind {
            Some(behind) => start + behind < reading + 2 * TICK,
            None => {
                now.saturating_sub(given) >= Duration::from_millis(self.settings.patience.into())
            }
        }
    }

    /// Returns how much times may be off, in nanoseconds.
    fn slack(&self) -> u64 {
        match (self.declared, self.estimates) {
            (false, _) => LONGEST_HOLE,
            (true, true) => 2 * 40 * MS,
            (true, false) => 0,
        }
    }

    /// Takes the words of a final, and checks that the pad has not gone over those that are in
    /// time.
    fn owe(&mut self, words: &[PlacedWord], now: Time, spoken: &[Spoken]) -> Check {
        self.finals += 1;
        let reading = self.clock.reading(now);
        let middle = |word: &PlacedWord| word.audio.start + (word.audio.end - word.audio.start) / 2;
        let words: Vec<(u16, &PlacedWord)> = words
            .iter()
            .filter(|word| middle(word) >= self.floor)
            .filter_map(|word| Some((word_spelled(&word.word)?, word)))
            .filter(|(number, _)| !self.told.contains(number))
            .collect();
        for (at, (number, word)) in words.iter().enumerate() {
            let middle = middle(word);
            if middle < self.heard {
                let how = format!("word {number} at {middle}, heard {}", self.heard);
                return Err(broken("nothing_comes_of_audio_that_was_heard", how));
            }
            let said = spoken.get(usize::from(*number));
            if let (Some(start), Some(said)) = (word.running_time, said) {
                let slack = self.slack() + self.precision();
                let late = self.is_late(start, said.given_at, now, reading);
                let first = self.starts + FIRST_GAP;
                let covered = self.gap_until > first.max(start + slack);
                // A word of an interim that was left out stays left out.
                let left_out = self.settings.late == LateText::Drop && self.committed_late() > 0;
                if !late && covered && !left_out {
                    let how = format!("word {number} at {start}, gap up to {}", self.gap_until);
                    return Err(broken("no_gap_covers_audio_of_which_text_is_owed", how));
                }
                let overtaken = |mark: &&Passed| {
                    let earliest = start.saturating_sub(slack);
                    let late = self.is_late(earliest, said.given_at, mark.at, mark.reading);
                    mark.position > middle && !late
                };
                if let Some(mark) = self.passed.iter().find(overtaken) {
                    let how = format!("{mark:?} before word {number} at {start}");
                    return Err(broken("no_mark_overtakes_the_text_before_it", how));
                }
            }
            let start = word.running_time;
            // A text of several words stands before or behind a mark between them.
            let waits = self.were_due.contains(number);
            let (before, behind) = match (self.settings.unit, words.first(), words.last()) {
                // … of whose words the final may have one.
                (Unit::Cue | Unit::Sentence, Some((_, first)), Some(_)) if waits => {
                    (u64::MAX, first.audio.start)
                }
                (Unit::Cue | Unit::Sentence, Some((_, first)), Some((_, last))) => {
                    (last.audio.end - 1, first.audio.start)
                }
                _ => (middle, middle),
            };
            self.owed.push_back(Owed {
                word: *number,
                of: self.finals,
                start,
                end: start.unwrap_or_default() + word.duration.unwrap_or_default(),
                before,
                behind,
                next: words.get(at + 1).and_then(|(_, next)| next.running_time),
                leads: at == 0 || self.settings.unit != Unit::Sentence,
            });
        }
        Ok(())
    }

    /// Lets the task of the pad run up to `now`.
    pub fn run_until(&mut self, now: Time, spoken: &[Spoken]) -> Check {
        while let Some(due) = self.due.filter(|due| *due < now && !self.stopped) {
            self.poll(due, spoken)?;
        }
        Ok(())
    }

    /// Takes all that the track has now.
    pub fn poll(&mut self, now: Time, spoken: &[Spoken]) -> Check {
        if self.stopped {
            return Ok(());
        }
        // Downstream presents this now.
        self.covers(now, 0)?;
        for count in 0.. {
            let Some(output) = self.track.poll(self.clock.now(now)) else {
                break;
            };
            if count == MOST_AT_ONCE {
                return Err(broken("the_pad_comes_to_rest", format!("{output:?}")));
            }
            self.pushed(output, now, spoken)?;
        }
        self.covers(now, TICK)?;
        self.passes_marks(now)?;
        self.due = self
            .track
            .next_timeout(self.clock.now(now))
            .map(|wait| now + wait);
        match self.due {
            Some(due) if due <= now => Err(broken("the_pad_waits", "for no time")),
            _ => Ok(()),
        }
    }

    /// Checks that the pad is covered `ahead` of what downstream presents.
    fn covers(&self, now: Time, ahead: u64) -> Check {
        let (Some(behind), Some(cursor), true) = (self.behind, self.cursor, self.clock.plays)
        else {
            return Ok(());
        };
        let reading = self.clock.reading(now);
        if cursor + behind < reading + ahead {
            let how = format!("{cursor}, {behind} behind {reading} + {ahead}");
            return Err(broken("live_the_pad_is_never_behind_its_deadline", how));
        }
        Ok(())
    }

    fn passes_marks(&self, now: Time) -> Check {
        let (Some(behind), Some(_), true) = (self.behind, self.cursor, self.clock.plays) else {
            return Ok(());
        };
        let reading = self.clock.reading(now);
        match self.marks.front() {
            Some((at, mark)) if at.running_time + behind <= reading + TICK => {
                let how = format!("{mark:?} of {at:?} at {reading}");
                Err(broken("no_mark_is_held_beyond_its_deadline", how))
            }
            _ => Ok(()),
        }
    }

    fn pushed(&mut self, output: Output<Mark>, now: Time, spoken: &[Spoken]) -> Check {
        if self.tracing {
            println!("{:>9.3} pad {output:?}", now.as_secs_f64());
        }
        if self.ended {
            return Err(broken("nothing_follows_the_end", format!("{output:?}")));
        }
        match output {
            Output::Gap { start, duration } => self.gap(start, duration),
            Output::Text(text) => self.text(&text, now, spoken),
            Output::Mark(mark) => self.pass(mark, now),
            Output::Speaker(name) => {
                self.speaker = name;
                Ok(())
            }
            Output::Final => {
                let all = self.skipped == self.track.stats().words_dropped;
                let next = self.owed.front().map(|owed| owed.of);
                if all && next == Some(self.last_final) {
                    let how = format!("{:?} is still owed", self.owed.front());
                    return Err(broken("a_final_ends_after_its_last_word", how));
                }
                Ok(())
            }
            Output::Late { .. } => Ok(()),
        }
    }

    /// Checks that the item that begins at `start` follows the last item on the pad.
    fn follows(&self, start: u64) -> Result<u64, Broken> {
        match self.cursor {
            Some(cursor) if cursor == start => Ok(cursor),
            cursor => {
                let how = format!("at {start} after {cursor:?}");
                Err(broken("the_pad_has_no_hole_and_never_goes_back", how))
            }
        }
    }

    /// Returns the precision of the times of text, in nanoseconds.
    fn precision(&self) -> u64 {
        match self.settings.unit {
            Unit::Cue => MS,
            // Positions are rounded where the format changes.
            Unit::Word | Unit::Sentence => 1000,
        }
    }

    fn gap(&mut self, start: u64, duration: u64) -> Check {
        self.follows(start)?;
        let end = start + duration;
        if duration == 0 || duration > LONGEST_GAP {
            return Err(broken("gaps_are_short", format!("{duration} ns")));
        }
        let end_of_text = end - self.precision().min(duration);
        let covered = |owed: &&Owed| {
            let inside = |at: u64| (start..end_of_text).contains(&at);
            // A text over a mark may wait for it.
            let over =
                |mark: &(Moment, Mark)| (owed.behind + 1..=owed.before).contains(&mark.0.position);
            owed.leads && owed.start.is_some_and(inside) && !self.marks.front().is_some_and(over)
        };
        if !self.estimates
            && let Some(owed) = self.owed.iter().find(covered)
        {
            let how = format!("{owed:?} in {start}..{end}");
            return Err(broken("no_gap_covers_audio_of_which_text_is_owed", how));
        }
        self.cursor = Some(end);
        if duration >= self.precision() {
            self.gap_until = end;
        }
        Ok(())
    }

    fn text(&mut self, text: &Text, now: Time, spoken: &[Spoken]) -> Check {
        let end = text.start + text.duration;
        let odd = text.text.trim().is_empty()
            || text.text.contains(|c: char| c.is_control() && c != '\n');
        if odd || text.duration == 0 {
            return Err(broken("each_text_can_be_shown", format!("{text:?}")));
        }
        let keeps = text.moved && self.settings.late == LateText::Keep;
        if !keeps {
            self.follows(text.start)?;
        }
        let mut first = true;
        for word in text.text.split_whitespace() {
            let number = word_spelled(word);
            let number = number.ok_or_else(|| broken("each_word_is_told_once", word))?;
            if !self.told.insert(number) {
                let how = format!("word {number} came again: {text:?}");
                return Err(broken("each_word_is_told_once", how));
            }
            let owed = self.owed.iter().position(|owed| owed.word == number);
            match owed {
                Some(at) => {
                    self.skipped += at as u64;
                    let owed = self.owed.drain(..=at).next_back();
                    let owed = owed.ok_or_else(|| broken("each_word_is_told_once", word))?;
                    // A word that an interim told may have waited behind a mark for longer than
                    // the final of the audio before it.
                    if !self.were_due.contains(&number) {
                        self.last_final = owed.of;
                    }
                    if first {
                        self.stands_right(text, &owed)?;
                    }
                }
                None => self.commits(number, text, now)?,
            }
            self.moved += u64::from(text.moved);
            let said = spoken.get(usize::from(number));
            let speaker = said.and_then(|said| PEOPLE[usize::from(said.speaker)].name);
            if self.speaker.as_deref() != speaker {
                let how = format!("word {number} of {speaker:?} as {:?}'s", self.speaker);
                return Err(broken("text_has_its_speaker", how));
            }
            first = false;
        }
        self.text_until = self.text_until.max(end);
        self.cursor = self.cursor.map(|cursor| cursor.max(end));
        Ok(())
    }

    /// Checks the times of a text that begins with this word.
    fn stands_right(&self, text: &Text, owed: &Owed) -> Check {
        let wrong = |why: &str| {
            let how = format!("{why}: {text:?} for {owed:?}, cursor {:?}", self.cursor);
            Err(broken("text_in_time_stands_where_it_was_said", how))
        };
        if let Some((at, mark)) = self.marks.front()
            && at.position <= owed.behind
        {
            let how = format!("{mark:?} of {at:?} after {text:?} of {owed:?}");
            return Err(broken("no_text_overtakes_the_mark_before_it", how));
        }
        let (Some(start), Some(cursor)) = (owed.start, self.cursor) else {
            return Ok(());
        };
        let word = self.settings.unit == Unit::Word;
        let shown = text.text.chars().count() as u64 * 1_000_000_000 / PACE;
        let end = text.start + text.duration;
        if text.moved {
            let keeps = self.settings.late == LateText::Keep;
            return match self.settings.late {
                LateText::Drop => wrong("late"),
                _ if word && owed.end.max(start + 1) > cursor => wrong("in time"),
                _ if keeps && text.start != start => wrong("not at its time"),
                _ if !keeps && text.duration < shown => wrong("too fast"),
                _ => Ok(()),
            };
        }
        if text.start + self.precision() < start {
            return wrong("early");
        }
        // A cue begins at a whole millisecond.
        let rounded = match self.settings.unit {
            Unit::Cue => start + MS,
            Unit::Word | Unit::Sentence => start,
        };
        let reason = self.gap_until.max(self.text_until);
        if text.start > rounded && text.start > reason + self.precision() {
            return wrong("late without a reason");
        }
        if word && owed.end.max(start + 1) <= cursor {
            return wrong("late");
        }
        if let Some(next) = owed.next.filter(|_| word)
            && end > owed.end.max(next)
        {
            return wrong("over the next word");
        }
        Ok(())
    }

    /// Checks a word that comes before its final.
    fn commits(&mut self, number: u16, text: &Text, now: Time) -> Check {
        self.committed += 1;
        let how = |why: &str| broken("only_due_words_come_before_their_final", why);
        if self.were_due.contains(&number) {
            return Ok(());
        }
        let start = self.interim.get(&number).filter(|_| self.settings.commits);
        let start = *start.ok_or_else(|| how(&format!("word {number}: {text:?}")))?;
        // Where a text has several words, one that is due takes all settled ones with it.
        if self.settings.unit == Unit::Word && !self.is_due(start, now) {
            let reading = self.clock.reading(now);
            return Err(how(&format!("word {number} of {start:?} at {reading}")));
        }
        Ok(())
    }

    /// Notes which words of the last interim may be told by now, before another one comes.
    fn note_due(&mut self, now: Time) {
        if !self.settings.commits {
            return;
        }
        let due = self.interim.iter();
        let due = due.filter(|(_, start)| self.is_due(**start, now));
        let due: Vec<u16> = due.map(|(number, _)| *number).collect();
        match self.settings.unit {
            Unit::Word => self.were_due.extend(due),
            // One that is due takes all settled ones with it.
            _ if !due.is_empty() => self.were_due.extend(self.interim.keys()),
            _ => {}
        }
    }

    /// Returns `true` if a word of an interim may be told that starts then.
    fn is_due(&self, start: Option<u64>, now: Time) -> bool {
        let reading = self.clock.reading(now);
        start.is_some_and(|start| {
            let is_late = self.behind.is_some() && self.is_late(start, now, now, reading);
            is_late || self.cursor.is_some_and(|cursor| start < cursor)
        })
    }

    fn pass(&mut self, mark: Mark, now: Time) -> Check {
        let Some((at, next)) = self.marks.pop_front().filter(|(_, next)| *next == mark) else {
            return Err(broken("marks_are_passed_in_order", format!("{mark:?}")));
        };
        // Words that were left out may be owed here still.
        let left_out = self
            .track
            .stats()
            .words_dropped
            .saturating_sub(self.skipped);
        let before = self.owed.iter().filter(|owed| owed.before < at.position);
        if before.count() as u64 > left_out {
            let how = format!("{mark:?} of {at:?}, owed: {:?}", self.owed.front());
            return Err(broken("no_mark_overtakes_the_text_before_it", how));
        }
        match next {
            Mark::Segment if self.cursor.is_none() => self.cursor = Some(self.starts),
            Mark::Segment => {}
            Mark::End => {
                let covered = self.cursor.is_none_or(|cursor| cursor >= at.running_time);
                if !covered {
                    let how = format!("{at:?}, covered up to {:?}", self.cursor);
                    return Err(broken("the_pad_is_covered_up_to_the_end", how));
                }
                self.ended = true;
                self.cursor = None;
            }
            Mark::Begin | Mark::Tag | Mark::Event(_) => {}
        }
        self.passed.push(Passed {
            position: at.position,
            at: now,
            reading: self.clock.reading(now),
        });
        Ok(())
    }

    /// Returns how many words of interims were too late, and left out.
    fn committed_late(&self) -> u64 {
        let committed = self.track.stats().words_committed;
        committed.saturating_sub(self.committed)
    }

    /// Checks that each word that is not on the pad is counted.
    fn account(&self) -> Check {
        let stats = self.track.stats();
        let at_most = self.skipped + self.owed.len() as u64 + self.committed_late();
        let told = self.told.len() as u64;
        let right = (self.skipped..=at_most).contains(&stats.words_dropped)
            && stats.words_pushed == told
            && stats.words_moved == self.moved
            && stats.words_committed >= self.committed;
        match right {
            true => Ok(()),
            false => {
                let how = format!(
                    "{told} told, {} moved, {} committed, {} to {at_most} left out: {stats:?}",
                    self.moved, self.committed, self.skipped
                );
                Err(broken("each_word_is_counted", how))
            }
        }
    }

    /// Checks what holds at the end of a run, after the end of the stream or a stop.
    pub fn finish(&mut self, now: Time, spoken: &[Spoken]) -> Check {
        self.poll(now, spoken)?;
        self.account()?;
        if self.stopped {
            return Ok(());
        }
        let left_out = self
            .track
            .stats()
            .words_dropped
            .saturating_sub(self.skipped);
        let owed = self.owed.len() as u64;
        let accounted = (owed..=owed + self.committed_late()).contains(&left_out);
        if !self.ended || !self.marks.is_empty() || !accounted {
            let how = format!("waiting: {:?}, owed: {:?}", self.marks, self.owed);
            return Err(broken("the_end_comes_on_the_pad", how));
        }
        Ok(())
    }
}

fn moment((position, running_time): (Position, Option<u64>)) -> Moment {
    Moment {
        position,
        running_time: running_time.unwrap_or_default(),
    }
}
