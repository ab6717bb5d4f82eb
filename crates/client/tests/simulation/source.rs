// SPDX-License-Identifier: MPL-2.0

//! Upstream: gives the words of the schedule as buffers, and keeps the truth of
//! where each stands.
//!
//! The truth is what a sink can know at best. Where timestamps are exact it is the
//! timestamp. Where they are arrival times, that of the first buffer (after the
//! start, a flush or a declared discontinuity) says where the audio stands, since
//! nobody can know how late that one was; the audio behind it stands at its samples,
//! in the sender's time. A hole of which no flag tells is not known to be one before
//! the timestamps have stayed apart for the wait: words until then may be told where
//! their samples or where their timestamps put them.

use crate::audio::{Format, Ms, WORD, code_of};
use crate::schedule::{Piece, Schedule, Settings, Stamps};
use crate::service::PEOPLE;
use fastrand::Rng;
use std::time::Duration;
use symbl_client::session::{Audio, Instants, Session, Speaker, Time};

pub const MS: u64 = 1_000_000;

/// How far stream time and UTC are from running time.
pub const STREAM: u64 = 7_000 * MS;
pub const UTC: i64 = 1_700_000_000_000_000_000;

/// What the session promises about holes: see `docs/architecture.md`.
const MOST_FILL: u64 = 1_000 * MS;
const LEAST_HOLE: u64 = 40 * MS;
/// What the session promises about timestamps: see `docs/properties.md`.
const ALIGNMENT_THRESHOLD: u64 = 40 * MS;
const DISCONT_WAIT: u64 = 1_000 * MS;
const AGREEING_BUFFERS: u32 = 8;
/// A drift is followed by at most one part in so many.
const MOST_DRIFT: u64 = 1_000;
/// Holes are longer by so much where the session has only an estimate of times, so
/// that it is known how much silence goes into them: as much as goes into any.
const LONGER: Ms = 3_000;
/// Timestamps that differ less are the same.
pub const JITTER: u64 = 2 * MS;

/// A word of the source, and where it truly stands.
#[derive(Debug, Clone)]
pub struct Spoken {
    pub running_time: u64,
    /// Where its samples put it, while it is not decided that its timestamp is right.
    pub counted: u64,
    /// When its first part was given, and when its last: a spool that is full may hold
    /// it up in between.
    pub given_at: Time,
    pub given_until: Time,
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

/// Timestamps that are apart from the count of samples.
struct Apart {
    since: u64,
    /// The least and the most that those in a row that agree are apart, and how many.
    least: u64,
    most: u64,
    buffers: u32,
    /// How much audio was given before them.
    from: u64,
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
    /// The wall clock at running time zero, as it says now.
    pub wall: i64,
    /// The next buffer is the first behind a hole, and says so.
    discont: bool,
    apart: Option<Apart>,
    /// A step that may count or not.
    doubt: u64,
    /// How much had been given when a timestamp was last taken as it is.
    counted_from: u64,
    /// Buffers with arrival times so far.
    arrived: u64,
    rng: Rng,
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
            counted_from: 0,
            arrived: 0,
            rng: Rng::with_seed(!schedule.seed),
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
                    let more = self.settings.estimates() && self.settings.declared;
                    self.pass(now, ms + if more { LONGER } else { 0 }, true);
                    self.discont = self.settings.declared;
                    self.next_piece();
                    return false;
                }
                Piece::Gap(ms) => {
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

    /// Nanoseconds of the sender's time in the pipeline's.
    fn drifted(&self, nanos: u64) -> u64 {
        let more = i128::from(nanos) * i128::from(self.settings.drift) / 1_000_000;
        nanos.saturating_add_signed(i64::try_from(more).unwrap_or(0))
    }

    /// Time goes by: that of the clock if there is one, and that of the stream.
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

    /// What the buffer has as its timestamp that begins now.
    fn stamp(&mut self, length: Ms) -> u64 {
        let length = u64::from(length) * MS;
        match self.settings.stamps {
            Stamps::Exact => self.running_time,
            Stamps::Jitter(most) => {
                let most = u64::from(most) * MS;
                // The stream begins late enough for a buffer to be early.
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

    /// What the wall clock says of a running time.
    fn utc(&self, running_time: u64) -> Option<i64> {
        i64::try_from(running_time).ok().map(|t| t + self.wall)
    }

    fn gap(&mut self, now: Time, session: &mut Session, ms: Ms) {
        if !self.settings.timestamps {
            return;
        }
        if let Some(expected) = self.expected.filter(|_| !session.has_failed()) {
            let end = self.running_time + u64::from(ms) * MS;
            self.fill(end.saturating_sub(expected));
        }
        let instants = self.instants(self.running_time);
        session.push_gap(now, instants, u64::from(ms) * MS, 1.0);
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
            && !failed
        {
            self.fill(stamp - expected);
        }
        self.filled = 0;
        self.doubt = 0;
        self.counted_from = self.given;
        self.expected = self
            .expected
            .filter(|expected| expected.abs_diff(stamp) <= JITTER)
            .or(Some(stamp));
    }

    /// A timestamp that no flag makes to count: whether it does all the same.
    fn compare(&mut self, stamp: u64) {
        self.filled = 0;
        let Some(expected) = self.expected else {
            return;
        };
        if self.settings.stamps != Stamps::Exact {
            return; // No wait is long enough.
        }
        if self.settings.declared {
            self.expected = Some(stamp); // The clocks drift, and are followed.
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
            // A step below the threshold is followed as a drift, and the next one is
            // compared with where that has come to: it may be just below it, too.
            let followed = self.given.saturating_sub(self.counted_from) / MOST_DRIFT;
            let is_clear = apart.least >= ALIGNMENT_THRESHOLD + followed;
            self.doubt = if is_clear { 0 } else { apart.least };
            self.expected = Some(expected + apart.least);
            self.counted_from = self.given;
            self.apart = None;
        }
    }

    /// Where the audio truly stands that is so far into the next buffer.
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
        let passed = match self.settings.stamps {
            // The truth, and not what the session takes it to be.
            Stamps::Jitter(_) | Stamps::Bursts(_) => self.drifted(nanos),
            Stamps::Exact => nanos,
        };
        self.expected = self.expected.map(|expected| expected + passed);
        self.pass(now, length, true);
    }

    /// A part of the word in turn is said, so far into the buffer.
    fn speak(&mut self, now: Time, part: Ms, into: u64) -> u8 {
        if self.at.1.is_multiple_of(WORD) {
            self.spoken.push(Spoken {
                running_time: self.truth(into),
                counted: self
                    .expected
                    .map_or(self.running_time, |expected| expected - self.doubt)
                    + into,
                given_at: now,
                given_until: now,
                speaker: self.speaker,
                given: 0,
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
        self.apart = None;
        self.filled = MOST_FILL;
        self.ended = false;
        self.due = now;
    }
}
