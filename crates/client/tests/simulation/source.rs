// SPDX-License-Identifier: MPL-2.0

//! Upstream. It gives the words of the schedule as buffers, and knows the true time of each.
//!
//! The true time is the best that a sink can know. If timestamps are exact, it is the
//! timestamp. If they are arrival times, the timestamp of the first buffer (after the
//! start, a flush or a declared discontinuity) counts, because a sink cannot know how late
//! that buffer was. The audio behind it stands at its samples, in the sender's time. A hole
//! without a flag shows only when the timestamps have stayed apart for the wait. Words
//! before that may be placed by their samples or by their timestamps.

use crate::audio::{Format, Ms, WORD, code_of};
use crate::schedule::{Piece, Schedule, Settings, Stamps};
use crate::service::PEOPLE;
use fastrand::Rng;
use std::time::Duration;
use symbl_client::session::{Audio, Instants, Position, Session, Speaker, Time};

pub const MS: u64 = 1_000_000;

/// Stream time and UTC at running time zero, in nanoseconds.
pub const STREAM: u64 = 7_000 * MS;
pub const UTC: i64 = 1_700_000_000_000_000_000;

/// The session's bounds for holes: see `docs/architecture.md`.
const MOST_FILL: u64 = 1_000 * MS;

/// The silence that ends an utterance for the service, in nanoseconds.
pub const PAUSE: u64 = 300 * MS;
const LEAST_HOLE: u64 = 40 * MS;
/// The session's bounds for timestamps: see `docs/properties.md`.
const ALIGNMENT_THRESHOLD: u64 = 40 * MS;
const DISCONT_WAIT: u64 = 1_000 * MS;
const AGREEING_BUFFERS: u32 = 8;
/// The session follows a drift by at most one part in this many.
const MOST_DRIFT: u64 = 1_000;
/// Holes are longer by this much if the session can only estimate times. Then all of them
/// get the most silence, so that the amount is known.
const LONGER: Ms = 3_000;
/// Timestamps that differ by no more than this count as the same, in nanoseconds.
pub const JITTER: u64 = 2 * MS;

/// A word of the source, and its true times.
#[derive(Debug, Clone)]
pub struct Spoken {
    pub running_time: u64,
    /// The running time by its samples, until the session decides that its timestamp is right.
    pub counted: u64,
    /// The times at which its first and its last part were given. A full spool may hold it up
    /// in between.
    pub given_at: Time,
    pub given_until: Time,
    /// How much of it was given.
    pub given: Ms,
    /// Enough silence to end an utterance can stand before it.
    pub parted: bool,
    /// The number of flushes before it.
    pub epoch: usize,
    /// It was given before a flush.
    pub flushed: bool,
    /// The speaker.
    pub speaker: u8,
}

/// Returns the speaker as the application names it.
pub fn speaker_named(number: u8) -> Speaker {
    let person = PEOPLE[usize::from(number)];
    Speaker {
        user_id: person.user_id.map(str::to_owned),
        name: person.name.map(str::to_owned),
    }
}

/// Returns the running time at which an epoch begins. Epochs are in no order, and none
/// begins where another did.
fn beginning(epoch: usize) -> u64 {
    [0, 500, 100, 900, 300, 700, 200][epoch % 7] * 1_000_000 * MS + (epoch / 7) as u64 * MS
}

/// Timestamps that differ from the count of samples.
struct Apart {
    since: u64,
    /// The least and the greatest difference of the agreeing ones in a row, and their number.
    least: u64,
    most: u64,
    buffers: u32,
    /// How much audio was given before them.
    from: u64,
}

/// The upstream of the session.
pub struct Source {
    settings: Settings,
    pieces: Vec<Piece>,
    /// The current piece, and the milliseconds of it that were given.
    at: (usize, Ms),
    word: u16,
    format: Format,
    speaker: u8,
    packets: u32,
    /// The time at which the next buffer is due.
    pub due: Time,
    /// The running time of the next buffer.
    pub running_time: u64,
    pub epoch: usize,
    /// The next buffer is the first after a start or a flush.
    first: bool,
    pub ended: bool,
    pub spoken: Vec<Spoken>,
    /// Audio that was given, with the silence that fills holes, in nanoseconds.
    pub given: u64,
    /// The running time that the session has to expect for the next sample.
    expected: Option<u64>,
    filled: u64,
    /// The present reading of the wall clock, as of running time zero.
    pub wall: i64,
    /// The next buffer is the first behind a hole, and has the flag.
    discont: bool,
    apart: Option<Apart>,
    /// The size of a step that may or may not count; negative if it is one back.
    doubt: i64,
    /// What gap events have told of the present hole, and no silence has filled.
    told: u64,
    /// The next buffer is the first behind a gap that was told, and may stand at its end.
    stepped: bool,
    /// How much was given when a timestamp last counted as it is.
    counted_from: u64,
    /// The number of buffers with arrival times so far.
    arrived: u64,
    rng: Rng,
    /// The places of the stream's events that were given last, and their running times.
    pub events: Vec<(Position, Option<u64>)>,
}

impl Source {
    pub fn new(schedule: &Schedule) -> Self {
        Self {
            settings: schedule.settings.clone(),
            pieces: schedule.source.clone(),
            at: (0, 0),
            word: 0,
            format: schedule.settings.format,
            speaker: 0,
            packets: 0,
            due: Time::ZERO,
            running_time: 0,
            epoch: 0,
            first: true,
            ended: false,
            spoken: Vec::new(),
            given: 0,
            expected: None,
            filled: 0,
            wall: UTC,
            discont: false,
            apart: None,
            doubt: 0,
            told: 0,
            stepped: false,
            counted_from: 0,
            arrived: 0,
            rng: Rng::with_seed(!schedule.seed),
            events: Vec::new(),
        }
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// Returns `true` if the source can pause here. A pause within a word would make it two.
    pub fn is_between_words(&self) -> bool {
        let in_a_word = matches!(self.pieces.get(self.at.0), Some(Piece::Words(_)))
            && !self.at.1.is_multiple_of(WORD);
        self.ended || !in_a_word
    }

    /// Gives the next buffer or event. Returns `true` at the end.
    pub fn give(&mut self, now: Time, session: &mut Session) -> bool {
        loop {
            let Some(piece) = self.pieces.get(self.at.0).copied() else {
                return true;
            };
            match piece {
                Piece::Caps(format) => {
                    self.events.push(session.pushed());
                    self.format = format;
                    session.set_format(now, format.session());
                    self.next_piece();
                }
                Piece::Speaker(speaker) => {
                    self.events.push(session.pushed());
                    self.speaker = speaker;
                    session.set_speaker(now, speaker_named(speaker));
                    self.next_piece();
                }
                Piece::Hole(ms) => {
                    let more = self.settings.estimates() && self.settings.declared;
                    self.pass(now, ms + if more { LONGER } else { 0 }, true);
                    self.discont = self.settings.declared;
                    self.next_piece();
                    return false;
                }
                Piece::Gap(ms) => {
                    self.events.push(session.pushed());
                    let ms = ms + if self.settings.estimates() { LONGER } else { 0 };
                    self.gap(now, session, ms);
                    self.discont = true;
                    self.pass(now, ms, true);
                    self.next_piece();
                    return false;
                }
                Piece::Pause(ms) => {
                    self.due = now + Duration::from_millis(ms.into());
                    self.next_piece();
                    return false;
                }
                Piece::Words(count) if self.at.1 >= u32::from(count) * WORD => self.next_piece(),
                Piece::Silence(ms) if self.at.1 >= ms => self.next_piece(),
                Piece::Words(_) | Piece::Silence(_) => {
                    self.buffer(now, session, piece);
                    return false;
                }
            }
        }
    }

    fn next_piece(&mut self) {
        self.at = (self.at.0 + 1, 0);
    }

    /// Returns a duration of the sender's time in the pipeline's time, in nanoseconds.
    fn drifted(&self, nanos: u64) -> u64 {
        let more = i128::from(nanos) * i128::from(self.settings.drift) / 1_000_000;
        nanos.saturating_add_signed(i64::try_from(more).unwrap_or(0))
    }

    /// Lets time pass on the clock, if audio is paced, and in the stream, if `stream` is set.
    fn pass(&mut self, now: Time, ms: Ms, stream: bool) {
        if stream {
            self.running_time += self.drifted(u64::from(ms) * MS);
        }
        self.due = if self.settings.paced {
            self.due + Duration::from_millis(ms.into())
        } else {
            now
        };
    }

    /// Returns the timestamp of the buffer that begins now.
    fn stamp(&mut self, length: Ms) -> u64 {
        let length = u64::from(length) * MS;
        match self.settings.stamps {
            Stamps::Exact => self.running_time,
            Stamps::Jitter(most) => {
                let most = u64::from(most) * MS;
                // The times of the stream have an offset that lets a buffer be early.
                self.running_time + self.rng.u64(0..=2 * most)
            }
            Stamps::Bursts(count) => {
                let count = u64::from(count);
                let place = self.arrived % count;
                self.arrived += 1;
                self.running_time + (count - 1 - place) * length
            }
        }
    }

    fn instants(&self, stamp: u64) -> Instants {
        Instants {
            running_time: Some(stamp),
            stream_time: Some(stamp + STREAM),
            utc: self.utc(stamp),
        }
    }

    /// Returns the UTC of a running time, by the wall clock.
    fn utc(&self, running_time: u64) -> Option<i64> {
        i64::try_from(running_time).ok().map(|t| t + self.wall)
    }

    fn gap(&mut self, now: Time, session: &mut Session, ms: Ms) {
        if !self.settings.timestamps {
            return;
        }
        let length = u64::from(ms) * MS;
        let end = self.running_time + length;
        if let Some(expected) = self.expected {
            let filled = self.fill(end.saturating_sub(expected), session.has_failed());
            self.told = (self.told + length).saturating_sub(filled);
            let by = end.saturating_sub(expected + filled).min(self.told);
            if by > LEAST_HOLE && !self.first {
                self.expected = Some(expected + filled + by);
                self.told -= by;
                self.stepped = true;
            }
        }
        let instants = self.instants(self.running_time);
        session.push_gap(now, instants, length, 1.0);
    }

    fn most_fill(&self) -> u64 {
        MOST_FILL.min(u64::from(self.settings.spool) * MS / 4)
    }

    /// Counts the silence that the session has to put into the beginning of a hole. One that
    /// has failed takes none. Returns how much that is.
    fn fill(&mut self, hole: u64, failed: bool) -> u64 {
        if self.format.packet().is_some() {
            return 0;
        }
        let nanos = hole.min(self.most_fill().saturating_sub(self.filled));
        self.filled += nanos;
        if failed {
            return 0;
        }
        self.given += nanos;
        self.expected = self.expected.map(|expected| expected + nanos);
        nanos
    }

    /// Counts the silence by which the session has ended the utterance before a flush: none or
    /// the most. Whether it was needed shows in what the service hears.
    fn silence_of_a_flush(&mut self, nanos: u64) {
        assert!(
            [0, self.most_fill()].contains(&nanos),
            "{nanos} ns of silence"
        );
        self.given += nanos;
        self.counted_from += nanos;
    }

    /// Computes the time that the session has to give to the next buffer.
    fn place(&mut self, stamp: Option<u64>, first: bool, failed: bool) {
        let discont = std::mem::take(&mut self.discont);
        let Some(stamp) = stamp else {
            self.running_time = self.expected.unwrap_or(self.running_time);
            return;
        };
        if self.settings.estimates() && !first && !discont && self.expected.is_some() {
            self.compare(stamp);
            return;
        }
        self.apart = None;
        if let Some(expected) = self.expected
            && stamp > expected + LEAST_HOLE
        {
            self.fill(stamp - expected, failed);
        }
        self.filled = 0;
        self.told = 0;
        // Behind a gap both may count: the timestamp, and the gap's end. They differ by jitter.
        let stepped = std::mem::take(&mut self.stepped) && self.settings.estimates();
        let apart = self.expected.map_or(0, |end| stamp as i64 - end as i64);
        self.doubt = if stepped { apart } else { 0 };
        self.counted_from = self.given;
        self.expected = self
            .expected
            .filter(|expected| expected.abs_diff(stamp) <= JITTER)
            .or(Some(stamp));
    }

    /// Decides if a timestamp without a flag counts.
    fn compare(&mut self, stamp: u64) {
        self.filled = 0;
        let Some(expected) = self.expected else {
            return;
        };
        if self.settings.stamps != Stamps::Exact {
            return; // Arrival times never stay apart for the wait.
        }
        if self.settings.declared {
            self.expected = Some(stamp); // The session follows the drift of the clocks.
            return;
        }
        let off = stamp.saturating_sub(expected);
        if off < ALIGNMENT_THRESHOLD {
            self.apart = None;
            return;
        }
        let apart = self.apart.get_or_insert(Apart {
            since: stamp,
            least: off,
            most: off,
            buffers: 0,
            from: self.given,
        });
        let (least, most) = (apart.least.min(off), apart.most.max(off));
        let agrees = most - least < ALIGNMENT_THRESHOLD;
        (apart.least, apart.most) = if agrees { (least, most) } else { (off, off) };
        (apart.buffers, apart.from) = match agrees {
            true => (apart.buffers + 1, apart.from),
            false => (1, self.given),
        };
        let lasts = stamp - apart.since >= DISCONT_WAIT || apart.least >= DISCONT_WAIT;
        let audio = self.given - apart.from;
        let agree = apart.buffers >= AGREEING_BUFFERS && audio >= 4 * ALIGNMENT_THRESHOLD;
        if lasts && agree {
            // The session follows a step below the threshold as a drift. It compares the
            // next step with the time that it has then, so that this step may also be just
            // below the threshold.
            let followed = self.given.saturating_sub(self.counted_from) / MOST_DRIFT;
            let is_clear = apart.least >= ALIGNMENT_THRESHOLD + followed;
            self.doubt = if is_clear { 0 } else { apart.least as i64 };
            self.expected = Some(expected + apart.least);
            self.counted_from = self.given;
            self.apart = None;
        }
    }

    /// Returns the true running time of the audio that is `into` nanoseconds into the next
    /// buffer.
    fn truth(&self, into: u64) -> u64 {
        let place = match self.settings.stamps {
            Stamps::Exact => self.running_time,
            _ => self.expected.unwrap_or(self.running_time),
        };
        place + into
    }

    fn buffer(&mut self, now: Time, session: &mut Session, piece: Piece) {
        let (left, words) = match piece {
            Piece::Words(count) => (u32::from(count) * WORD - self.at.1, true),
            Piece::Silence(ms) => (ms - self.at.1, false),
            _ => return,
        };
        let length = self
            .format
            .packet()
            .unwrap_or(self.settings.buffer.min(left));
        let first = std::mem::take(&mut self.first);
        let stamp = (self.settings.timestamps || first).then(|| self.stamp(length));
        let failed = session.has_failed();
        if self.discont && stamp.is_some() {
            session.discontinuity();
        }
        self.place(stamp, first, failed);
        let instants = stamp.map_or_else(
            || Instants {
                utc: self.expected.and_then(|expected| self.utc(expected)),
                ..Instants::default()
            },
            |stamp| self.instants(stamp),
        );
        let mut data = Vec::new();
        let mut done = 0;
        while done < length {
            let part = (WORD - self.at.1 % WORD).min(length - done);
            let code = if words {
                self.speak(now, part, u64::from(done) * MS)
            } else {
                0
            };
            self.packets += 1;
            self.format.write(&mut data, code, part, self.packets);
            self.at.1 += part;
            done += part;
        }
        let nanos = u64::from(length) * MS;
        let (before, _) = session.pushed();
        session.push_audio(
            now,
            &Audio {
                data: &data,
                instants,
                duration: self.packets.is_multiple_of(2).then_some(nanos),
                speed: 1.0,
            },
        );
        if first && self.epoch > 0 {
            let (after, _) = session.pushed();
            self.silence_of_a_flush(after - before - nanos);
        }
        self.given += nanos;
        let passed = match self.settings.stamps {
            // The true time, not the session's estimate.
            Stamps::Jitter(_) | Stamps::Bursts(_) => self.drifted(nanos),
            Stamps::Exact => nanos,
        };
        self.expected = self.expected.map(|expected| expected + passed);
        self.pass(now, length, true);
    }

    /// Gives a part of the current word, `into` nanoseconds into the buffer. Returns its code.
    fn speak(&mut self, now: Time, part: Ms, into: u64) -> u8 {
        if self.at.1.is_multiple_of(WORD) {
            self.spoken.push(Spoken {
                running_time: self.truth(into),
                counted: self.expected.map_or(self.running_time, |expected| {
                    expected.saturating_add_signed(-self.doubt)
                }) + into,
                given_at: now,
                given_until: now,
                speaker: self.speaker,
                given: 0,
                epoch: self.epoch,
                parted: self.format.packet().is_none() && self.most_fill() >= PAUSE,
                flushed: false,
            });
            self.word += 1;
        }
        if let Some(spoken) = self.spoken.last_mut() {
            spoken.given += part;
            spoken.given_until = now;
        }
        code_of(self.word - 1)
    }

    /// Performs a flush, as for a seek: the stream goes on with the next word, elsewhere in time.
    pub fn flush(&mut self, now: Time) {
        if matches!(self.pieces.get(self.at.0), Some(Piece::Words(_))) {
            self.at.1 = self.at.1.next_multiple_of(WORD);
        }
        for spoken in &mut self.spoken {
            spoken.flushed = true;
        }
        self.epoch += 1;
        self.running_time = beginning(self.epoch);
        self.first = true;
        self.apart = None;
        self.filled = MOST_FILL;
        (self.told, self.stepped) = (0, false);
        self.ended = false;
        self.due = now;
    }
}
