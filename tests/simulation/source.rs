// SPDX-License-Identifier: MPL-2.0

//! Upstream: gives the words of the schedule as buffers, and keeps the truth of
//! where each stands.

use crate::audio::{Format, Ms, WORD, code_of};
use crate::schedule::{Piece, Schedule, Settings};
use crate::service::PEOPLE;
use gstsymbl::session::{Audio, Instants, Session, Speaker, Time};
use std::time::Duration;

pub const MS: u64 = 1_000_000;

/// How far stream time and UTC are from running time.
pub const STREAM: u64 = 7_000 * MS;
pub const UTC: i64 = 1_700_000_000_000_000_000;

/// What the session promises about holes: see `docs/architecture.md`.
const MOST_FILL: u64 = 1_000 * MS;
const LEAST_HOLE: u64 = 40 * MS;
/// Timestamps that differ less are the same.
pub const JITTER: u64 = 2 * MS;

/// A word of the source, and where it truly stands.
#[derive(Debug, Clone)]
pub struct Spoken {
    pub running_time: u64,
    /// How much of it was given.
    pub given: Ms,
    /// Given before a flush.
    pub flushed: bool,
    /// Who said it.
    pub speaker: u8,
}

/// What the application says of who speaks.
pub fn speaker_named(number: u8) -> Speaker {
    let person = PEOPLE[usize::from(number)];
    Speaker {
        user_id: person.user_id.map(str::to_owned),
        name: person.name.map(str::to_owned),
    }
}

/// Running time at which an epoch begins: in no order, and never twice.
fn beginning(epoch: usize) -> u64 {
    [0, 500, 100, 900, 300, 700, 200][epoch % 7] * 1_000_000 * MS + (epoch / 7) as u64 * MS
}

/// What upstream does.
pub struct Source {
    settings: Settings,
    pieces: Vec<Piece>,
    /// How far it is: piece, and milliseconds of it.
    at: (usize, Ms),
    word: u16,
    format: Format,
    speaker: u8,
    packets: u32,
    /// When the next buffer is due.
    pub due: Time,
    running_time: u64,
    epoch: usize,
    /// Whether the next buffer is the first after a start or a flush.
    first: bool,
    pub ended: bool,
    pub spoken: Vec<Spoken>,
    /// Nanoseconds of audio given, with the silence that belongs into holes.
    pub given: u64,
    /// Where the session has to take the next sample to stand.
    expected: Option<u64>,
    filled: u64,
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
        }
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether it can pause here: a word that is paused in its middle is two.
    pub fn is_between_words(&self) -> bool {
        let in_a_word = matches!(self.pieces.get(self.at.0), Some(Piece::Words(_)))
            && !self.at.1.is_multiple_of(WORD);
        self.ended || !in_a_word
    }

    /// Gives the next thing. True: that was the end.
    pub fn give(&mut self, now: Time, session: &mut Session) -> bool {
        loop {
            let Some(piece) = self.pieces.get(self.at.0).copied() else {
                return true;
            };
            match piece {
                Piece::Caps(format) => {
                    self.format = format;
                    session.set_format(now, format.session());
                    self.next_piece();
                }
                Piece::Speaker(speaker) => {
                    self.speaker = speaker;
                    session.set_speaker(now, speaker_named(speaker));
                    self.next_piece();
                }
                Piece::Hole(ms) => {
                    self.pass(now, ms, true);
                    self.next_piece();
                    return false;
                }
                Piece::Gap(ms) => {
                    self.gap(now, session, ms);
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

    /// Time goes by: that of the clock if there is one, and that of the stream.
    fn pass(&mut self, now: Time, ms: Ms, stream: bool) {
        if stream {
            self.running_time += u64::from(ms) * MS;
        }
        self.due = if self.settings.paced {
            self.due + Duration::from_millis(ms.into())
        } else {
            now
        };
    }

    fn instants(&self) -> Instants {
        Instants {
            running_time: Some(self.running_time),
            stream_time: Some(self.running_time + STREAM),
            utc: i64::try_from(self.running_time).ok().map(|t| t + UTC),
        }
    }

    fn gap(&mut self, now: Time, session: &mut Session, ms: Ms) {
        if !self.settings.timestamps {
            return;
        }
        if let Some(expected) = self.expected.filter(|_| !session.has_failed()) {
            let end = self.running_time + u64::from(ms) * MS;
            self.fill(end.saturating_sub(expected));
        }
        session.push_gap(now, self.instants(), u64::from(ms) * MS, 1.0);
    }

    /// The session has to put silence into the beginning of a hole.
    fn fill(&mut self, hole: u64) {
        if self.format.packet().is_some() {
            return;
        }
        let most = MOST_FILL.min(u64::from(self.settings.spool) * MS / 4);
        let nanos = hole.min(most.saturating_sub(self.filled));
        self.filled += nanos;
        self.given += nanos;
        self.expected = self.expected.map(|expected| expected + nanos);
    }

    /// What the session has to make of the timestamp of the next buffer.
    fn place(&mut self, timestamp: bool, failed: bool) {
        if !timestamp {
            self.running_time = self.expected.unwrap_or(self.running_time);
            return;
        }
        if let Some(expected) = self.expected
            && self.running_time > expected + LEAST_HOLE
            && !failed
        {
            self.fill(self.running_time - expected);
        }
        self.filled = 0;
        self.expected = self
            .expected
            .filter(|expected| expected.abs_diff(self.running_time) <= JITTER)
            .or(Some(self.running_time));
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
        let timestamp = self.settings.timestamps || std::mem::take(&mut self.first);
        let failed = session.has_failed();
        self.place(timestamp, failed);
        let instants = if timestamp {
            self.instants()
        } else {
            Instants::default()
        };
        let mut data = Vec::new();
        let mut done = 0;
        while done < length {
            let part = (WORD - self.at.1 % WORD).min(length - done);
            let code = if words {
                self.speak(part, u64::from(done) * MS)
            } else {
                0
            };
            self.packets += 1;
            self.format.write(&mut data, code, part, self.packets);
            self.at.1 += part;
            done += part;
        }
        let nanos = u64::from(length) * MS;
        session.push_audio(
            now,
            &Audio {
                data: &data,
                instants,
                duration: self.packets.is_multiple_of(2).then_some(nanos),
                speed: 1.0,
            },
        );
        self.given += nanos;
        self.expected = self.expected.map(|expected| expected + nanos);
        self.pass(now, length, true);
    }

    /// A part of the word in turn is said, so far into the buffer.
    fn speak(&mut self, part: Ms, into: u64) -> u8 {
        if self.at.1.is_multiple_of(WORD) {
            self.spoken.push(Spoken {
                running_time: self.running_time + into,
                speaker: self.speaker,
                given: 0,
                flushed: false,
            });
            self.word += 1;
        }
        if let Some(spoken) = self.spoken.last_mut() {
            spoken.given += part;
        }
        code_of(self.word - 1)
    }

    /// A seek: the stream goes on with the next word, elsewhere in time.
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
        self.filled = MOST_FILL;
        self.ended = false;
        self.due = now;
    }
}
