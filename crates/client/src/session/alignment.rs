// SPDX-License-Identifier: MPL-2.0

//! Decides when timestamps, and not the count of samples, say where audio stands.
//!
//! A timestamp that a live source makes says when a buffer arrived, and arrival
//! jitters. So samples count, and timestamps decide only when they stay apart
//! from the count by the alignment threshold for the wait for a discontinuity,
//! as in GStreamer's audio sinks (`GstAudioBaseSink`, `GstAudioStreamAlign`).
//! In: what each timestamp says beside the count. Out: an [`Alignment`]. This
//! module never looks at a clock and never moves audio.
//!
//! Beyond GStreamer's rule:
//!
//! - Timestamps that jitter by more than the threshold are apart from the count
//!   nearly always, on either side. They *stay* apart when [`STEADY`] buffers in a
//!   row agree with one another. A step forward that is longer than the wait needs no
//!   other wait: nothing came for so long. What jittered once within the wait is taken for
//!   jitter from then on (the [`Band`]).
//! - After such a step, timestamps may jitter so much, or buffers be so long, that no such row
//!   comes. They stay apart when the earliest of two stretches in a row, each as long as the
//!   wait, are further ahead than the wait and agree within the threshold.
//! - Once decided, the step counts from where it was seen first, not from the
//!   decision on: results come later than audio, so most of the words in between
//!   are still placed right.
//! - A slow drift between the sender's clock and the pipeline's is followed: the
//!   earliest arrivals of a while are compared with the earliest ones of the
//!   beginning, as in GStreamer's jitterbuffer, because a packet can be late and
//!   never early.

use super::Position;
use super::planted::{Bug, planted};
use std::collections::VecDeque;
use std::time::Duration;

/// Buffers in a row that agree on a step.
const STEADY: u32 = 8;

/// They last so many times as long as they may disagree. Audio that was held up and
/// comes at twice the pace, or all at once, does not agree for so long.
const STEADY_AUDIO: u64 = 4;

/// Stretches of agreeing buffers that are remembered while nothing is decided.
const MAX_STRETCHES: usize = 64;

/// After so many times the wait, and so many buffers, without a decision, what is apart is
/// jitter.
const GIVE_UP: u64 = 10;
const GIVE_UP_BUFFERS: u32 = 32;

/// Least threshold, in nanoseconds.
const LEAST_THRESHOLD: i64 = 1_000_000;

/// Jitter of timestamps, in nanoseconds, below which a second of them tells the drift.
const NARROW: i64 = 5_000_000;

/// How much audio shows the drift, in nanoseconds: with little jitter, and with much.
const SHORT: u64 = 1_000_000_000;
const LONG: u64 = 30_000_000_000;

/// Least and most that the drift is corrected by at once, in nanoseconds. The most
/// is for each [`SHORT`] stretch; a [`LONG`] one has ten times that.
const MIN_SLEW: i64 = 1_000_000;
const MAX_SLEW: i64 = 1_000_000;

/// Moves all times from a position on, in nanoseconds of running time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// Where the audio begins that stands elsewhere.
    pub from: Position,
    /// How much later it stands; negative: earlier.
    pub by: i64,
}

/// What follows from a timestamp.
#[derive(Debug, PartialEq, Eq)]
pub enum Alignment {
    /// Nothing: samples count.
    GoesOn,
    /// The audio stands where its timestamp says.
    Resync,
    /// The audio stood, and stands, elsewhere than the count said.
    Moved(Vec<Shift>),
}

/// How far off the count the timestamps of a stretch are, in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Band {
    lowest: i64,
    highest: i64,
}

impl Band {
    fn of(offset: i64) -> Self {
        Self {
            lowest: offset,
            highest: offset,
        }
    }

    fn take(&mut self, offset: i64) {
        self.lowest = self.lowest.min(offset);
        self.highest = self.highest.max(offset);
    }

    fn join(self, other: Self) -> Self {
        Self {
            lowest: self.lowest.min(other.lowest),
            highest: self.highest.max(other.highest),
        }
    }

    fn moved(self, by: i64) -> Self {
        Self {
            lowest: self.lowest.saturating_add(by),
            highest: self.highest.saturating_add(by),
        }
    }

    fn magnitude(self) -> i64 {
        self.highest.max(self.lowest.saturating_neg())
    }

    fn width(self) -> i64 {
        self.highest.saturating_sub(self.lowest)
    }

    /// Returns `true` if all of it is at least `nanos` later than the count.
    fn is_ahead(self, nanos: u64) -> bool {
        u64::try_from(self.lowest).is_ok_and(|lowest| lowest >= nanos)
    }

    /// Returns `true` if `offset` is less than `margin` outside.
    fn is_near(self, offset: i64, margin: i64) -> bool {
        offset > self.lowest.saturating_sub(margin) && offset < self.highest.saturating_add(margin)
    }
}

/// Buffers in a row that agree with one another.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    from: Position,
    band: Band,
    buffers: u32,
}

/// Timestamps that are apart from the count, and nothing is decided.
#[derive(Debug)]
struct Apart {
    /// Timestamp of the first.
    since: u64,
    /// Where its audio stands.
    from: Position,
    /// How far off those are that are no further off than the wait: as far as jitter goes.
    band: Band,
    buffers: u32,
    stretches: VecDeque<Stretch>,
    /// The stretch that goes on of the length of the wait, all of it further ahead than
    /// the wait, and the one right before it.
    current: Option<(Position, Band)>,
    before: Option<(Position, Band)>,
}

/// A while of timestamps that agree with the count.
#[derive(Debug, Clone, Copy)]
struct While {
    from: Position,
    band: Band,
    buffers: u32,
}

impl While {
    /// How far its edges may be off the true ones, in nanoseconds: the more
    /// buffers, the nearer comes the earliest of them to the earliest possible.
    fn doubt(&self) -> i64 {
        self.band.width().saturating_mul(2) / i64::from(self.buffers.max(1))
    }
}

/// Timestamps of a stream beside the count of its samples.
#[derive(Debug)]
pub struct Aligner {
    threshold: i64,
    wait: u64,
    /// The next timestamp is the first of those that count.
    fresh: bool,
    apart: Option<Apart>,
    /// Jitter that was seen in this and in the last [`LONG`] stretch.
    jitter: [Band; 2],
    /// As much as that was seen before the last discontinuity, on either side: which edge
    /// of it the timestamp there is at is not known.
    kept: [Band; 2],
    jitter_since: Position,
    /// The timestamps since the drift was looked at.
    current: Option<While>,
    /// What the drift is measured from.
    reference: Option<While>,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Aligner {
    /// Timestamps that are `threshold` or more apart for `wait` decide. With no
    /// wait they do at once.
    pub fn new(threshold: Duration, wait: Duration) -> Self {
        Self {
            // Timestamps are rounded: not even exact ones are nearer.
            threshold: i64::try_from(nanos(threshold))
                .unwrap_or(i64::MAX)
                .max(LEAST_THRESHOLD),
            wait: nanos(wait),
            fresh: true,
            apart: None,
            jitter: [Band::of(0); 2],
            kept: [Band::of(0); 2],
            jitter_since: 0,
            current: None,
            reference: None,
        }
    }

    /// The stream goes on elsewhere: the next timestamp says where.
    pub fn restart(&mut self) {
        self.fresh = true;
    }

    /// Forgets all timestamps before `position`, and their jitter: samples count from the
    /// one there.
    fn begin(&mut self, position: Position) -> Alignment {
        self.jitter = [Band::of(0); 2];
        self.kept = [Band::of(0); 2];
        self.resync(position)
    }

    /// Forgets all timestamps before `position`. What they jittered by is still known; whether
    /// the one at `position` is an early or a late one is not.
    fn resync(&mut self, position: Position) -> Alignment {
        self.fresh = false;
        self.apart = None;
        let most = self.known_jitter().magnitude();
        let kept = Band {
            lowest: most.saturating_neg(),
            highest: most,
        };
        self.kept = [kept, Band::of(0)];
        self.jitter = [Band::of(0); 2];
        self.jitter_since = position;
        self.current = None;
        self.reference = None;
        Alignment::Resync
    }

    /// Returns `true` unless timestamps are apart from the count: then each counts.
    pub fn is_settled(&self) -> bool {
        self.apart.is_none()
    }

    /// Takes the timestamp `actual` of the audio at `position`, which stands at
    /// `expected` by the count of samples. Both in nanoseconds of running time.
    /// `declared`: upstream says that the audio does not follow what came before.
    pub fn take(
        &mut self,
        position: Position,
        expected: u64,
        actual: u64,
        declared: bool,
    ) -> Alignment {
        let offset = i64::try_from(i128::from(actual) - i128::from(expected)).unwrap_or(i64::MAX);
        if self.fresh
            || planted(Bug::JitterTakenForHoles) && offset.saturating_abs() >= self.threshold
        {
            return self.begin(position);
        }
        self.forget_old_jitter(position);
        let jitter = self.known_jitter();
        let near = jitter.is_near(offset, self.threshold);
        // A hole that is smaller than the jitter cannot be measured: it would be
        // the jitter of this timestamp that is filled with silence.
        if declared && (jitter.width() == 0 || !near) {
            return self.resync(position);
        }
        if near {
            if let Some(apart) = self.apart.take() {
                self.learn(apart.band);
            }
            let goes = offset.unsigned_abs() <= self.wait;
            if offset.saturating_abs() >= self.threshold && goes {
                self.learn(Band::of(offset));
            }
            return self.follow_drift(position, offset);
        }
        if self.wait == 0 {
            return self.resync(position);
        }
        let tolerance = self.threshold.saturating_add(jitter.width());
        let apart = self.apart.get_or_insert_with(|| Apart {
            since: actual,
            from: position,
            band: Band::of(0),
            buffers: 0,
            stretches: VecDeque::new(),
            current: None,
            before: None,
        });
        let wait = self.wait;
        if offset.unsigned_abs() <= wait {
            apart.band.take(offset);
        }
        apart.take(position, offset, tolerance);
        let since = apart.since;
        let decides = |stretch: &Stretch| {
            // As long as a step forward is, nothing came: so long was waited already.
            let lasts = actual.abs_diff(since) >= wait || stretch.band.is_ahead(wait);
            let audio = position.saturating_sub(stretch.from);
            let steady =
                stretch.buffers >= STEADY && audio / STEADY_AUDIO >= tolerance.unsigned_abs();
            lasts && steady
        };
        if apart.stretches.back().is_some_and(decides) {
            return self.decide();
        }
        if let Some((from, offset)) = apart.settled(position, offset, wait, self.threshold) {
            let by = offset.saturating_sub(self.earliest());
            self.apart = None;
            self.current = None; // Its edges belong to the time before.
            return Alignment::Moved(vec![Shift { from, by }]);
        }
        let audio = position.saturating_sub(apart.from);
        if audio >= self.wait.saturating_mul(GIVE_UP)
            && apart.buffers >= GIVE_UP_BUFFERS
            && let Some(apart) = self.apart.take()
        {
            self.learn(apart.band);
        }
        Alignment::GoesOn
    }

    /// The step is real: each stretch stands where its timestamps say. They say it
    /// by their earliest, which is compared with the earliest that agreed with the count.
    fn decide(&mut self) -> Alignment {
        let lowest = self.earliest();
        let mut before = 0i64;
        let stretches = self.apart.take().map(|a| a.stretches).unwrap_or_default();
        let told = stretches.iter().filter(|stretch| stretch.buffers > 1);
        let shifts = told.map(|stretch| {
            let offset = stretch.band.lowest.saturating_sub(lowest);
            let by = offset.saturating_sub(std::mem::replace(&mut before, offset));
            Shift {
                from: stretch.from,
                by,
            }
        });
        let shifts = shifts.collect();
        self.current = None; // Its edges belong to the time before.
        Alignment::Moved(shifts)
    }

    /// Returns the offset of the earliest timestamps that agreed with the count.
    fn earliest(&self) -> i64 {
        let agreed = self.reference.iter().chain(&self.current);
        let lowest = agreed.map(|agreed| agreed.band.lowest);
        let jitter = self.jitter.iter().map(|seen| seen.lowest);
        lowest.chain(jitter).fold(0, i64::min)
    }

    /// Returns the jitter that was seen in the last while, or may be expected.
    fn known_jitter(&self) -> Band {
        let all = self.jitter.iter().chain(&self.kept);
        all.fold(Band::of(0), |known, band| known.join(*band))
    }

    /// What was apart for a moment is jitter.
    fn learn(&mut self, band: Band) {
        self.jitter[0] = self.jitter[0].join(band);
    }

    fn forget_old_jitter(&mut self, position: Position) {
        if position.saturating_sub(self.jitter_since) >= LONG {
            self.jitter = [Band::of(0), self.jitter[0]];
            self.kept = [Band::of(0), self.kept[0]];
            self.jitter_since = position;
        }
    }

    /// Timestamps agree with the count: compares those of a while with those of
    /// the beginning.
    fn follow_drift(&mut self, position: Position, offset: i64) -> Alignment {
        let current = self.current.get_or_insert(While {
            from: position,
            band: Band::of(offset),
            buffers: 0,
        });
        current.band.take(offset);
        current.buffers = current.buffers.saturating_add(1);
        let audio = position.saturating_sub(current.from);
        let narrow = current.band.width() <= NARROW;
        if audio < if narrow { SHORT } else { LONG } {
            return Alignment::GoesOn;
        }
        let current = *current;
        self.current = None;
        let Some(reference) = self.reference else {
            self.reference = Some(current);
            return Alignment::GoesOn;
        };
        let doubt = current.doubt().saturating_add(reference.doubt());
        let early = current.band.lowest.saturating_sub(reference.band.lowest);
        let late = current.band.highest.saturating_sub(reference.band.highest);
        let sure = early.saturating_abs().saturating_sub(doubt).max(0) * early.signum();
        let agree = early.signum() == late.signum();
        let apart = early.saturating_abs().min(late.saturating_abs()) >= self.threshold;
        let by = if agree && apart && sure != 0 {
            early // A step within the jitter: no slew would ever catch up with it.
        } else {
            let most = if narrow { MAX_SLEW } else { 10 * MAX_SLEW };
            sure.clamp(-most, most)
        };
        if by.saturating_abs() < MIN_SLEW || planted(Bug::DriftIgnored) {
            return Alignment::GoesOn;
        }
        if self.jitter.iter().any(|band| band.width() > 0) {
            let moved = self.jitter.map(|band| band.moved(-by).join(Band::of(0)));
            self.jitter = moved;
        }
        Alignment::Moved(vec![Shift { from: position, by }])
    }
}

impl Apart {
    /// Returns from where on the audio stands how far off the count, if the earliest
    /// timestamps of two stretches in a row that last `wait` are further ahead than that, and
    /// agree within `threshold`.
    fn settled(
        &mut self,
        position: Position,
        offset: i64,
        wait: u64,
        threshold: i64,
    ) -> Option<(Position, i64)> {
        if !Band::of(offset).is_ahead(wait) {
            (self.current, self.before) = (None, None);
            return None;
        }
        let (from, band) = self.current.get_or_insert((position, Band::of(offset)));
        band.take(offset);
        if position.saturating_sub(*from) < wait {
            return None;
        }
        let now = self.current.take()?;
        let (from, before) = self.before.replace(now)?;
        let lowest = now.1.lowest;
        let agree = lowest.abs_diff(before.lowest) <= threshold.unsigned_abs();
        agree.then_some((from, lowest.min(before.lowest)))
    }

    fn take(&mut self, position: Position, offset: i64, tolerance: i64) {
        self.buffers = self.buffers.saturating_add(1);
        if let Some(last) = self.stretches.back_mut() {
            let mut band = last.band;
            band.take(offset);
            if band.width() < tolerance {
                last.band = band;
                last.buffers = last.buffers.saturating_add(1);
                return;
            }
        }
        if self.stretches.len() >= MAX_STRETCHES {
            self.stretches.pop_front();
        }
        self.stretches.push_back(Stretch {
            from: position,
            band: Band::of(offset),
            buffers: 1,
        });
    }
}

#[cfg(test)]
#[path = "alignment_tests.rs"]
mod tests;
