// SPDX-License-Identifier: MPL-2.0

//! Makes texts for the pad out of finals and interims.

use super::words::{CueTimes, Piece, joined, pieces, sentence, visible};
use super::{LateText, SECOND, TrackConfig};
use crate::session::Position;
use crate::session::event::{PlacedWord, Placement};
use crate::session::planted::{Bug, planted};
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;
use symbl_captions::{Cutter, Late, Shape, TimedWord, Utterance};

/// How much text one buffer of the pad holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TextUnit {
    /// One word.
    #[default]
    Word,
    /// A caption of a few lines, long enough on screen to be read.
    Cue(Shape),
    /// All of a final.
    Sentence,
}

/// How far a word that begins right before a flush may be from the time behind it, in
/// nanoseconds.
const NEAR_FLUSH: u64 = SECOND / 2;
/// How far the last committed word may have moved in its final, in words.
const MOST_MOVED: usize = 3;
/// How much neighbouring words may overlap, in nanoseconds: positions are rounded.
const MOST_OVERLAP: u64 = SECOND / 1000;

/// The running times, in nanoseconds, that cues have to go by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// No cue may begin before this.
    pub(super) free: u64,
    /// Words that end before this came too late. Cues may have covered the pad far beyond
    /// their words, which makes no word late.
    pub(super) passed: u64,
}

/// Makes the texts of one conversation.
#[derive(Debug)]
pub(super) struct Reader {
    unit: TextUnit,
    /// Late words get no cue, because they are left out.
    drops_late: bool,
    /// Lays words out into cues.
    cutter: Cutter,
    /// Words of the last interim, without the committed ones.
    interim: Vec<Piece>,
    /// How many of them may be committed.
    settled: usize,
    speaker: Option<String>,
    /// Words of this utterance were committed.
    has_committed: bool,
    /// The last word that was committed.
    last: Option<Piece>,
    /// What else was committed, behind the last final.
    committed: Committed,
    /// Words of the audio before this are not told: it was flushed.
    floor: Position,
    /// Running time of the audio behind it, in nanoseconds, from its segment on.
    starts: Option<u64>,
}

impl Reader {
    /// Returns a reader that tells nothing of the audio before `floor`.
    pub(super) fn new(config: &TrackConfig, floor: Position) -> Self {
        Self {
            unit: config.unit,
            drops_late: config.late == LateText::Drop,
            cutter: cutter(config.unit),
            interim: Vec::new(),
            settled: 0,
            speaker: None,
            has_committed: false,
            last: None,
            committed: Committed::default(),
            starts: None,
            floor: if planted(Bug::FlushedWordsTold) {
                0
            } else {
                floor
            },
        }
    }

    /// Returns the texts of a final, without the words that were committed.
    pub(super) fn final_text(
        &mut self,
        text: &str,
        words: &[PlacedWord],
        place: &Placement,
        room: Room,
    ) -> Vec<Piece> {
        let whole = self.placed(pieces(text, words, place));
        let words = self.untold(&whole);
        match self.unit {
            TextUnit::Word => words,
            TextUnit::Cue(_) => self.cues(&words, room),
            TextUnit::Sentence => {
                let text = match words.len() == whole.len() {
                    true => visible(text),
                    false => joined(&words),
                };
                sentence(text, &words).into_iter().collect()
            }
        }
    }

    /// Returns the words of a final that are to be told. Words before those that were
    /// committed are among them if no interim had them: the service may tell a final again
    /// whose first words are in no utterance that it hears now.
    fn untold(&self, whole: &[Piece]) -> Vec<Piece> {
        let (told, rest) = whole.split_at(self.told(whole));
        // The last committed word itself may end later than its interim knew.
        let until = self.last.as_ref().map_or(0, |last| last.audio.end);
        let passed_over = told.iter().filter(|word| {
            let is_behind = (self.floor..until).contains(&word.middle());
            is_behind && !self.committed.covers(word) && !planted(Bug::WordsPassedOver)
        });
        passed_over.chain(rest).cloned().collect()
    }

    /// Returns the cues of these words.
    fn cues(&mut self, words: &[Piece], room: Room) -> Vec<Piece> {
        let is_late = |word: &&Piece| word.is_late(room.passed);
        let late = match self.drops_late {
            true => words.iter().take_while(is_late).count(),
            false => 0,
        };
        let (late, words) = words.split_at(late);
        // It takes no time from the cues in time.
        let left_out = sentence(joined(late), late).map(|piece| Piece {
            cue: Some(CueTimes {
                spoken: piece.start.unwrap_or(room.free),
                late: true,
            }),
            ..piece
        });
        let mut pieces: Vec<Piece> = left_out.into_iter().collect();
        if !words.is_empty() {
            self.lay_out(words, room, &mut pieces);
        }
        pieces
    }

    fn lay_out(&mut self, words: &[Piece], room: Room, pieces: &mut Vec<Piece>) {
        let Room { free, passed } = room;
        let time = |nanos: Option<u64>| Duration::from_nanos(nanos.unwrap_or(free));
        let timed: Vec<TimedWord> = words
            .iter()
            .map(|word| TimedWord {
                text: word.text.clone(),
                start: time(word.start),
                end: time(word.end()),
            })
            .collect();
        self.cutter.advance(Duration::from_nanos(free));
        let cues = self.cutter.cut(&Utterance {
            text: &joined(words),
            start: timed.first().map(|word| word.start),
            end: timed.last().map(|word| word.end),
            words: &timed,
            ..Utterance::default()
        });
        let mut rest = words;
        for cue in cues {
            let on_lines = cue.lines.iter().map(|line| line.split_whitespace().count());
            // A word wider than a line counts twice, so that there may be fewer left.
            let (these, others) = rest.split_at(rest.len().min(on_lines.sum()));
            let (Some(first), Some(last)) = (
                these.first().or(words.last()),
                these.last().or(words.last()),
            ) else {
                continue;
            };
            let start = nanos(cue.start);
            pieces.push(Piece {
                text: cue.lines.join("\n"),
                audio: first.audio.start..last.audio.end,
                start: Some(start),
                duration: nanos(cue.end).saturating_sub(start),
                words: these.len() as u64,
                cue: Some(CueTimes {
                    spoken: first.start.unwrap_or(start),
                    late: first.is_late(passed),
                }),
            });
            rest = others;
        }
    }

    /// Makes the cues that follow begin at the running time `at` or later, in nanoseconds,
    /// whatever came before.
    pub(super) fn restart_cues(&mut self, at: u64) {
        self.cutter = cutter(self.unit);
        self.cutter.advance(Duration::from_nanos(at));
    }

    /// Notes that the audio behind the flush begins at the running time `starts`, in
    /// nanoseconds.
    pub(super) fn begin_at(&mut self, starts: u64) {
        self.starts.get_or_insert(starts);
    }

    /// Returns these words, without the times of those that are of before a flush. An engine
    /// that hears the audio around it as one utterance may let a word reach over it, whose
    /// running time is that of the audio before.
    fn placed(&self, mut words: Vec<Piece>) -> Vec<Piece> {
        let starts = self.starts.unwrap_or_default();
        let near = |start: u64| start.abs_diff(starts) <= NEAR_FLUSH;
        for word in words.iter_mut() {
            if word.audio.start < self.floor && !word.start.is_some_and(near) {
                word.start = None;
            }
        }
        words
    }

    /// Returns how many of the first words of a result are not to be told: they were
    /// committed, or their audio was flushed. After a reconnect the service hears audio again
    /// and may end its utterances elsewhere, but the audio of a word keeps its position.
    fn told(&self, words: &[Piece]) -> usize {
        if planted(Bug::CommittedWordsToldAgain) {
            return 0;
        }
        let until = self.last.as_ref().map_or(0, |last| last.audio.end);
        let until = until.max(self.floor);
        let is_told = |word: &&Piece| word.middle() < until;
        let told = words.iter().take_while(is_told).count();
        let last = self.last.as_ref().filter(|_| self.has_committed);
        let Some(last) = last.filter(|_| told < words.len()) else {
            return told;
        };
        // The service may move a word a little in its final, and join or part two of them.
        let key = last.key();
        let near = (0..=MOST_MOVED).flat_map(|off| [told.checked_add(off), told.checked_sub(off)]);
        let same = |n: &usize| {
            let word = n.checked_sub(1).and_then(|at| words.get(at));
            word.is_some_and(|word| word.key() == key && overlap(&word.audio, &last.audio))
        };
        near.flatten().find(same).unwrap_or(told)
    }

    /// Takes an interim. Its first words are settled if the service promises so (`stable`), or
    /// if the interim before had them too.
    pub(super) fn interim(&mut self, words: &[PlacedWord], stable: usize, speaker: Option<String>) {
        let place = Placement::default();
        let whole = self.placed(pieces("", words, &place));
        let told = self.told(&whole);
        // Marks alone are joined to the word before, so that there may be fewer.
        let stable = stable.min(whole.len());
        self.committed.follows = told > 0 && self.has_committed;
        let words = whole.get(told..).unwrap_or_default().to_vec();
        let pairs = words.iter().zip(&self.interim);
        let agreed = pairs.take_while(|(a, b)| a.key() == b.key()).count();
        self.settled = agreed.max(stable.saturating_sub(told));
        self.interim = words;
        self.speaker = speaker;
    }

    /// Takes the settled words of the interim that begin before the running time `deadline`,
    /// in nanoseconds, as told. Returns them. For cues, one due word takes all settled words
    /// with it, so that a cue is not a single word.
    pub(super) fn commit(&mut self, deadline: u64, room: Room) -> Vec<(Piece, Option<String>)> {
        let due = |word: &&Piece| word.start.is_some_and(|start| start < deadline);
        let settled = self.interim.iter().take(self.settled);
        let count = match settled.take_while(due).count() {
            due if due > 0 && self.unit != TextUnit::Word => self.settled,
            due => due,
        };
        let words: Vec<Piece> = self.interim.drain(..count).collect();
        self.settled -= count;
        if let Some(word) = words.last() {
            self.last = Some(word.clone());
            self.has_committed = true;
            self.committed.push(&words);
        }
        let words = match self.unit {
            TextUnit::Cue(_) => self.cues(&words, room),
            TextUnit::Word | TextUnit::Sentence => words,
        };
        let speaker = self.speaker.clone();
        words
            .into_iter()
            .map(|word| (word, speaker.clone()))
            .collect()
    }

    /// Returns `true` if words of this utterance were committed.
    pub(super) fn has_committed(&self) -> bool {
        self.has_committed
    }

    /// Forgets the interims of the utterance whose final ended at `until`. Words behind it may
    /// have been committed, if the service told an older final than that of its interims.
    pub(super) fn begin_utterance(&mut self, until: Position) {
        self.interim.clear();
        self.settled = 0;
        self.speaker = None;
        self.has_committed = self
            .last
            .as_ref()
            .is_some_and(|last| last.middle() >= until);
        self.committed.forget_before(until);
    }
}

/// Most stretches of committed words that are remembered.
const MOST_COMMITTED: usize = 64;

/// The stretches of audio whose words were committed, in order.
#[derive(Debug, Default)]
struct Committed {
    stretches: VecDeque<Stretch>,
    /// The interim goes on where the last stretch ends.
    follows: bool,
}

/// Words that were committed one after the other. In between nothing else is to be told,
/// though a final may have moved them a little.
#[derive(Debug)]
struct Stretch {
    audio: Range<Position>,
    /// The first word.
    first: Piece,
}

impl Committed {
    /// Adds words that were committed.
    fn push(&mut self, words: &[Piece]) {
        let follows = std::mem::replace(&mut self.follows, true);
        let (Some(first), Some(last)) = (words.first(), words.last()) else {
            return;
        };
        match self.stretches.back_mut().filter(|_| follows) {
            Some(stretch) => stretch.audio.end = stretch.audio.end.max(last.audio.end),
            None => self.stretches.push_back(Stretch {
                audio: first.audio.start..last.audio.end.max(first.audio.start + 1),
                first: first.clone(),
            }),
        }
        if self.stretches.len() > MOST_COMMITTED {
            self.stretches.pop_front();
        }
    }

    /// Forgets the stretches that end before `until`.
    fn forget_before(&mut self, until: Position) {
        self.stretches.retain(|stretch| stretch.audio.end > until);
    }

    /// Returns `true` if a word before the end of the last stretch was committed.
    fn covers(&self, word: &Piece) -> bool {
        let begins = |stretch: &Stretch| {
            let first = &stretch.first;
            first.key() == word.key() && overlap(&first.audio, &word.audio)
        };
        let has_it = |stretch: &Stretch| stretch.audio.contains(&word.middle()) || begins(stretch);
        self.stretches.iter().any(has_it)
    }
}

/// Returns `true` if the audio of two words may be that of one. Neighbours may overlap a little,
/// and be the same word said twice.
fn overlap(one: &Range<Position>, other: &Range<Position>) -> bool {
    // An interim may know where a word begins, and not yet where it ends.
    let end = |audio: &Range<Position>| audio.end.max(audio.start + 1);
    let length = |audio: &Range<Position>| end(audio) - audio.start;
    let both = end(one)
        .min(end(other))
        .saturating_sub(one.start.max(other.start));
    both > MOST_OVERLAP.min(length(one).min(length(other)) / 2)
}

fn cutter(unit: TextUnit) -> Cutter {
    let shape = match unit {
        TextUnit::Cue(shape) => shape,
        TextUnit::Word | TextUnit::Sentence => Shape::default(),
    };
    Cutter::new(shape, Late::Waits)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
