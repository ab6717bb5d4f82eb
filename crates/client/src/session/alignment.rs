// SPDX-License-Identifier: MPL-2.0

//! Decides when timestamps, and not the count of samples, say where audio stands.
//!
//! The timestamp of a live source says when a buffer arrived, and arrival jitters. So
//! samples count. Timestamps decide only if they differ from the count by at least the
//! alignment threshold for as long as the wait for a discontinuity, as in GStreamer's
//! audio sinks (`GstAudioBaseSink`, `GstAudioStreamAlign`). In: each timestamp, and the
//! time that the count predicts for it. Out: an [`Alignment`]. This module must never
//! look at a clock or move audio.
//!
//! Beyond GStreamer's rule:
//!
//! - Timestamps that jitter by more than the threshold differ from the count nearly
//!   always, in both directions. They *stay* apart when [`STEADY`] buffers in a row agree
//!   with one another. A step forward that is longer than the wait needs no further wait,
//!   because no buffer came for that long. A difference that once came and went within
//!   the wait counts as jitter from then on (the [`Band`]).
//! - After such a step, timestamps may jitter so much, or buffers may be so long, that no
//!   such row comes. Then timestamps stay apart when the earliest of two stretches in a
//!   row, each as long as the wait, are further ahead than the wait and agree within the
//!   threshold.
//! - The step counts from the position where it was seen first, not from the decision on.
//!   Results come later than audio, so that most of the words in between are still placed
//!   right.
//! - The sender's clock drifts against the pipeline's. The earliest arrivals of an
//!   interval are compared with the earliest ones of the beginning, as in GStreamer's
//!   jitterbuffer, because a packet can be late and never early.

use super::Position;
use super::planted::{Bug, planted};
use std::collections::VecDeque;
use std::time::Duration;

/// Buffers in a row that agree on a step.
const STEADY: u32 = 8;

/// Agreeing buffers must last this many times as long as they may disagree. Audio that was
/// held up and comes at twice the pace, or all at once, does not agree for that long.
const STEADY_AUDIO: u64 = 4;

/// Most stretches of agreeing buffers that are remembered until a decision.
const MAX_STRETCHES: usize = 64;

/// Differences count as jitter after this many times the wait, and this many buffers,
/// without a decision.
const GIVE_UP: u64 = 10;
const GIVE_UP_BUFFERS: u32 = 32;

/// Least threshold, in nanoseconds.
const LEAST_THRESHOLD: i64 = 1_000_000;

/// Jitter, in nanoseconds, below which one second of timestamps shows the drift.
const NARROW: i64 = 5_000_000;

/// Audio that shows the drift, in nanoseconds: with little jitter, and with much.
const SHORT: u64 = 1_000_000_000;
const LONG: u64 = 30_000_000_000;

/// Least and greatest correction of the drift at once, in nanoseconds. The greatest is for
/// a [`SHORT`] interval; a [`LONG`] one may correct ten times as much.
const MIN_SLEW: i64 = 1_000_000;
const MAX_SLEW: i64 = 1_000_000;

/// Moves all times from a position on, in nanoseconds of running time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// The first position that moves.
    pub from: Position,
    /// How much later it is; negative if it is earlier.
    pub by: i64,
}

/// The decision that follows from a timestamp.
#[derive(Debug, PartialEq, Eq)]
pub enum Alignment {
    /// The audio is where the count says.
    GoesOn,
    /// The audio is where its timestamp says.
    Resync,
    /// The audio is, and was before, elsewhere than the count said.
    Moved(Vec<Shift>),
}

/// The range of the offsets of some timestamps from the count, in nanoseconds.
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

    /// Returns `true` if all offsets are at least `nanos` later than the count.
    fn is_ahead(self, nanos: u64) -> bool {
        u64::try_from(self.lowest).is_ok_and(|lowest| lowest >= nanos)
    }

    /// Returns `true` if `offset` is within the band, or less than `margin` outside it.
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

/// Timestamps that differ from the count, before a decision.
#[derive(Debug)]
struct Apart {
    /// The first of them.
    since: u64,
    /// The position of its audio.
    from: Position,
    /// The offsets that are no greater than the wait. They may be jitter.
    band: Band,
    buffers: u32,
    stretches: VecDeque<Stretch>,
    /// The current stretch of the length of the wait, whose timestamps are all further ahead
    /// than the wait, and the stretch right before it.
    current: Option<(Position, Band)>,
    before: Option<(Position, Band)>,
}

/// An interval whose timestamps agree with the count.
#[derive(Debug, Clone, Copy)]
struct Interval {
    from: Position,
    band: Band,
    buffers: u32,
}

impl Interval {
    /// Returns how far the edges of the band may be off the true ones, in nanoseconds. The
    /// more buffers there are, the nearer is the earliest of them to the earliest possible.
    fn doubt(&self) -> i64 {
        self.band.width().saturating_mul(2) / i64::from(self.buffers.max(1))
    }
}

/// Compares the timestamps of a stream with the count of its samples.
#[derive(Debug)]
pub struct Aligner {
    threshold: i64,
    wait: u64,
    /// The next timestamp decides, whatever the count says.
    fresh: bool,
    apart: Option<Apart>,
    /// Jitter that was seen in this and in the last [`LONG`] interval.
    jitter: [Band; 2],
    /// The jitter from before the last discontinuity, widened to both sides. The timestamp
    /// at the discontinuity may have been at either edge of it.
    kept: [Band; 2],
    jitter_since: Position,
    /// The timestamps since the last look at the drift.
    current: Option<Interval>,
    /// The interval that the drift is measured from.
    reference: Option<Interval>,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Aligner {
    /// Returns an aligner for which timestamps decide if they differ from the count by
    /// `threshold` or more for `wait`, or at once if `wait` is zero.
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

    /// Lets the next timestamp decide, because the stream goes on elsewhere.
    pub fn restart(&mut self) {
        self.fresh = true;
    }

    /// Forgets all timestamps before `position`, and their jitter. Samples count from the
    /// timestamp at `position` on.
    fn begin(&mut self, position: Position) -> Alignment {
        self.jitter = [Band::of(0); 2];
        self.kept = [Band::of(0); 2];
        self.resync(position)
    }

    /// Forgets all timestamps before `position`, but keeps their jitter. The timestamp at
    /// `position` may be an early or a late one.
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

    /// Returns `true` if timestamps agree with the count. While they do not, the caller has
    /// to give each timestamp to [`Aligner::take`].
    pub fn is_settled(&self) -> bool {
        self.apart.is_none()
    }

    /// Takes the timestamp `actual` of the audio at `position`, for which the count of samples
    /// predicts `expected`, both in nanoseconds of running time. `declared` means that
    /// upstream says that this audio does not follow the audio before it.
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
        // A hole that is smaller than the jitter cannot be measured. The silence that fills
        // it would have the length of the jitter of this timestamp.
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
            // No buffer came for as long as a step forward is, so that this time counts as
            // part of the wait.
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
            self.current = None; // Its band is that of the time before the step.
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

    /// Moves each stretch to where its timestamps say, because the step is real. The earliest
    /// timestamp of a stretch is compared with the earliest that agreed with the count.
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
        self.current = None; // Its band is that of the time before the step.
        Alignment::Moved(shifts)
    }

    /// Returns the offset of the earliest timestamps that agreed with the count.
    fn earliest(&self) -> i64 {
        let agreed = self.reference.iter().chain(&self.current);
        let lowest = agreed.map(|agreed| agreed.band.lowest);
        let jitter = self.jitter.iter().map(|seen| seen.lowest);
        lowest.chain(jitter).fold(0, i64::min)
    }

    /// Returns the jitter that was seen recently, or may be expected.
    fn known_jitter(&self) -> Band {
        let all = self.jitter.iter().chain(&self.kept);
        all.fold(Band::of(0), |known, band| known.join(*band))
    }

    /// Takes differences that did not last as jitter.
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

    /// Takes a timestamp that agrees with the count, and corrects the drift: compares the
    /// timestamps of an interval with those of the beginning.
    fn follow_drift(&mut self, position: Position, offset: i64) -> Alignment {
        let current = self.current.get_or_insert(Interval {
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
            early // This is a step within the jitter. No slew would ever catch up with it.
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
    /// Returns the position from which on the audio is off the count, and by how much, if the
    /// earliest timestamps of two stretches in a row that last `wait` are further ahead than
    /// `wait` and agree within `threshold`.
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
