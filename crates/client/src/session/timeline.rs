// SPDX-License-Identifier: MPL-2.0

//! Turns positions in the audio into the pipeline's times.
//!
//! An anchor ties one position to running time, stream time and UTC. Between anchors, time
//! runs with the audio. A new anchor is made where time and audio part: at the start,
//! after a hole, a GAP event, a flush or a segment change, and where [`super::alignment`]
//! has decided that the timestamps are right. The times at which buffers arrive place no
//! text. They are kept only to measure how long after its audio a result came.
//!
//! UTC is running time plus the wall clock at running time zero. The wall clock is read
//! again at each discontinuity and every ten seconds, because it may be set, and because
//! the pipeline's clock drifts against it.
//!
//! Facts: GStreamer design documents "segments" and "synchronisation"; RFC 5905
//! (NTP), section 11.3, on slewing and stepping a clock.

use super::alignment::Shift;
use super::generation::off_the_edges;
use super::planted::{Bug, planted};
use super::{Position, Time};
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

/// How long times are kept behind the acknowledged audio, in nanoseconds.
const MEMORY: u64 = 120_000_000_000;

/// Difference from the expected times above which an anchor is made, in nanoseconds: far
/// below the length of a word, far above the rounding of timestamps.
const TOLERANCE: u64 = 2_000_000;

/// Longest time between two readings of the wall clock while audio comes.
const WALL_CLOCK_AGE: Duration = Duration::from_secs(10);

/// Difference of the wall clock from which UTC is stepped, in nanoseconds: that of NTP.
const WALL_CLOCK_STEP: i64 = 128_000_000;

/// Least and greatest correction of a smaller difference at each reading, in nanoseconds.
/// The greatest is twice as fast as NTP slews a clock, so that UTC catches up with it.
const WALL_CLOCK_SLEW: (i64, i64) = (1_000_000, 10_000_000);

/// Nanoseconds since the last reading for which one nanosecond may be corrected: 10 ms in
/// 10 s.
const WALL_CLOCK_RATE: u128 = 1000;

/// The times of one place in the audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Instants {
    /// Running time of the pipeline in nanoseconds.
    pub running_time: Option<u64>,
    /// Stream time (position in the medium) in nanoseconds.
    pub stream_time: Option<u64>,
    /// Nanoseconds since the Unix epoch.
    pub utc: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Anchor {
    position: Position,
    instants: Instants,
    /// The segment's rate: audio seconds per second of running time. Infinite for audio that
    /// stands at one time.
    speed: f64,
}

impl Anchor {
    fn at(&self, position: Position) -> Instants {
        let audio = self.moves(position.saturating_sub(self.position));
        let running = scale(audio, self.speed);
        Instants {
            running_time: self
                .instants
                .running_time
                .map(|t| t.saturating_add(running)),
            stream_time: self.instants.stream_time.map(|t| t.saturating_add(audio)),
            utc: self
                .instants
                .utc
                .map(|t| t.saturating_add(i64::try_from(running).unwrap_or(i64::MAX))),
        }
    }
}

fn signed(time: Option<u64>) -> Option<i64> {
    i64::try_from(time?).ok()
}

/// Returns the wall clock at running time zero, as the times of one position state it.
fn wall_clock_at_zero(instants: &Instants) -> Option<i64> {
    instants.utc?.checked_sub(signed(instants.running_time)?)
}

/// Returns the running time of `nanos` of audio, in nanoseconds. Exact at normal speed.
fn scale(nanos: u64, speed: f64) -> u64 {
    if speed == 1.0 || speed <= 0.0 {
        nanos
    } else {
        (nanos as f64 / speed) as u64
    }
}

impl Anchor {
    /// Returns by how much `audio` nanoseconds of audio move the stream time.
    fn moves(&self, audio: u64) -> u64 {
        if self.speed.is_finite() { audio } else { 0 }
    }

    /// Returns the times of a position before the anchor.
    fn before(&self, position: Position) -> Instants {
        let audio = self.moves(self.position.saturating_sub(position));
        let running = scale(audio, self.speed);
        let Instants {
            running_time,
            stream_time,
            utc,
        } = self.instants;
        let sooner = |t: i64| t.saturating_sub(i64::try_from(running).unwrap_or(i64::MAX));
        Instants {
            running_time: running_time.map(|t| t.saturating_sub(running)),
            stream_time: stream_time.map(|t| t.saturating_sub(audio)),
            utc: utc.map(sooner),
        }
    }

    /// Returns the anchor with all its times moved by `by` nanoseconds of running time.
    fn moved(self, by: i64) -> Self {
        let speed = if self.speed.is_finite() {
            self.speed
        } else {
            1.0
        };
        let stream = (by as f64 * speed) as i64;
        let Instants {
            running_time,
            stream_time,
            utc,
        } = self.instants;
        Self {
            instants: Instants {
                running_time: running_time.map(|t| t.saturating_add_signed(by)),
                stream_time: stream_time.map(|t| t.saturating_add_signed(stream)),
                utc: utc.map(|t| t.saturating_add(by)),
            },
            ..self
        }
    }
}

/// The anchors of a session, and the times at which its audio arrived.
#[derive(Debug, Default)]
pub struct Timeline {
    anchors: VecDeque<Anchor>,
    arrivals: VecDeque<(Position, Time)>,
    /// The pipeline paused or flushed: running time stood still or began anew, and the wall
    /// clock went on.
    parted: bool,
    /// The time of the last reading of the wall clock.
    wall_clock_read: Option<Time>,
}

impl Timeline {
    /// Ties `position` to `instants`. Adds no anchor if the audio goes on as the last anchor
    /// says. The last UTC stays in force until [`Timeline::read_wall_clock`] corrects it.
    pub fn anchor(&mut self, position: Position, instants: Instants, speed: f64) {
        if self.goes_on(position, &instants, speed) {
            return;
        }
        let mut instants = instants;
        if let Some(last) = self.anchors.back() {
            if planted(Bug::AnchorDropped) {
                return;
            }
            let zero = wall_clock_at_zero(&last.instants);
            let utc = zero.zip(signed(instants.running_time));
            let utc = utc.map(|(zero, running)| zero.saturating_add(running));
            instants.utc = utc.or(instants.utc);
            if last.position == position {
                self.anchors.pop_back();
            }
        }
        self.anchors.push_back(Anchor {
            position,
            instants,
            speed,
        });
    }

    /// Ties the start and the end of a stretch of silence to the same `instants`.
    pub fn stand(&mut self, span: Range<Position>, instants: Instants, speed: f64) {
        if !span.is_empty() {
            self.anchor(span.start, instants, f64::INFINITY);
            self.anchor(span.end, instants, speed);
        }
    }

    /// Moves the times of all audio from a position on.
    pub fn shift(&mut self, shift: Shift) {
        let first = self.anchors.partition_point(|a| a.position < shift.from);
        let begins = self.anchors.get(first).map(|a| a.position) == Some(shift.from);
        if !begins && let Some(before) = first.checked_sub(1).and_then(|n| self.anchors.get(n)) {
            let here = Anchor {
                position: shift.from,
                instants: before.at(shift.from),
                speed: before.speed,
            };
            self.anchors.insert(first, here);
        }
        for anchor in self.anchors.range_mut(first..) {
            *anchor = anchor.moved(shift.by);
        }
    }

    /// Notes a pause or a flush. Behind a pause running time goes on where it was, behind a
    /// flushing seek it begins anew, and the wall clock does neither. So the audio that
    /// follows is at another UTC, although no clock was set.
    pub fn part(&mut self) {
        self.parted = true;
    }

    /// Returns `true` if there is no anchor yet.
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// Returns `true` if the wall clock is to be read again.
    pub fn wants_wall_clock(&self, now: Time) -> bool {
        let age = self.wall_clock_read.map(|read| now.saturating_sub(read));
        self.parted || age.is_none_or(|age| age >= WALL_CLOCK_AGE)
    }

    /// Takes a reading of the wall clock at `now`: `instants` ties the running time of the
    /// audio at `position` to UTC. Corrects the UTC of the audio from there on: a small
    /// difference bit by bit, a large one at once. Returns by how many nanoseconds the wall
    /// clock was set, if it was.
    pub fn read_wall_clock(
        &mut self,
        now: Time,
        position: Position,
        instants: &Instants,
    ) -> Option<i64> {
        let zero = wall_clock_at_zero(instants)?;
        let mut here = *self.anchors.back()?;
        if self.wall_clock_read.is_some() && planted(Bug::WallClockReadOnce) {
            return None;
        }
        let unread = self
            .wall_clock_read
            .replace(now)
            .map_or(Time::ZERO, |last| now.saturating_sub(last));
        here.instants = here.at(position);
        here.position = position;
        let running_time = signed(here.instants.running_time)?;
        let utc = running_time.saturating_add(zero);
        let parted = std::mem::take(&mut self.parted);
        let difference = here.instants.utc.map(|before| utc.saturating_sub(before));
        let stepped = difference.filter(|d| d.saturating_abs() >= WALL_CLOCK_STEP && !parted);
        let by = match difference {
            Some(difference) if stepped.is_none() && !parted => {
                let (least, most) = WALL_CLOCK_SLEW;
                // The clocks have drifted since the last reading, which may be long ago.
                let long = i64::try_from(unread.as_nanos() / WALL_CLOCK_RATE).unwrap_or(most);
                let most = most.max(long);
                difference.clamp(-most, most) * i64::from(difference.saturating_abs() >= least)
            }
            Some(difference) => difference,
            None => {
                here.instants.utc = Some(utc);
                0
            }
        };
        if by != 0 || difference.is_none() {
            here.instants.utc = here.instants.utc.map(|utc| utc.saturating_add(by));
            if self.anchors.back().is_some_and(|a| a.position == position) {
                self.anchors.pop_back();
            }
            self.anchors.push_back(here);
        }
        stepped
    }

    /// Returns `true` if the audio at `position` goes on as the last anchor says.
    fn goes_on(&self, position: Position, instants: &Instants, speed: f64) -> bool {
        let near = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => a.abs_diff(b) <= TOLERANCE,
            (a, b) => a == b,
        };
        self.anchors.back().is_some_and(|last| {
            let expected = last.at(position);
            near(expected.running_time, instants.running_time)
                && near(expected.stream_time, instants.stream_time)
                && last.speed == speed
        })
    }

    /// Returns `true` if running time and stream time are related as before: the segment is
    /// the same, or one that continues it.
    pub fn is_same_segment(&self, position: Position, instants: &Instants, speed: f64) -> bool {
        let apart = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(i128::from(a) - i128::from(b)),
            _ => None,
        };
        self.anchors.back().is_some_and(|last| {
            let expected = last.at(position);
            let running = apart(instants.running_time, expected.running_time);
            let stream = apart(instants.stream_time, expected.stream_time);
            let same = match (running, stream) {
                (Some(running), Some(stream)) => {
                    let scaled = running as f64 * speed;
                    (scaled - stream as f64).abs() <= TOLERANCE as f64
                }
                _ => instants.stream_time.is_none() && expected.stream_time.is_none(),
            };
            same && last.speed == speed
        })
    }

    /// Returns the times of `position` if the audio goes on as the last anchor says, or `None`
    /// before the first anchor.
    pub fn expected(&self, position: Position) -> Option<Instants> {
        self.anchors.back().map(|anchor| anchor.at(position))
    }

    /// Returns the times of the audio that starts at `position`. For a position before the
    /// first anchor that is remembered, that anchor counts as the only one.
    pub fn locate(&self, position: Position) -> Option<Instants> {
        let after = self.anchors.partition_point(|a| a.position <= position);
        match after.checked_sub(1) {
            Some(at) => self.anchors.get(at).map(|a| a.at(position)),
            None => self.anchors.front().map(|a| a.before(position)),
        }
    }

    /// Returns the times at which the audio from `start` to `end` ends. They differ from those
    /// of [`Timeline::locate`] if a hole begins at `end`.
    pub fn locate_end(&self, start: Position, end: Position) -> Option<Instants> {
        let after = self
            .anchors
            .partition_point(|a| a.position < end.max(start + 1));
        match after.checked_sub(1) {
            Some(at) => self.anchors.get(at).map(|a| a.at(end)),
            None => self.anchors.front().map(|a| a.before(end)),
        }
    }

    /// Returns the times at which the audio before `position` ends.
    pub fn locate_end_at(&self, position: Position) -> Option<Instants> {
        self.locate_end(position.saturating_sub(1), position)
    }

    /// Returns the times at which a word from `start` to `end` begins and ends, kept off the
    /// edges of holes.
    pub fn locate_heard(&self, start: Position, end: Position) -> Option<(Instants, Instants)> {
        let edge = |n: usize| self.anchors.get(n).map(|anchor| anchor.position);
        let (start, end) = off_the_edges(
            start,
            end,
            |place| edge(self.anchors.partition_point(|a| a.position <= place)),
            |place| {
                edge(
                    self.anchors
                        .partition_point(|a| a.position < place)
                        .checked_sub(1)?,
                )
            },
        );
        Some((self.locate(start)?, self.locate_end(start, end)?))
    }

    /// Notes that the audio up to `position` arrived at `now`.
    pub fn arrived(&mut self, position: Position, now: Time) {
        self.arrivals.push_back((position, now));
    }

    /// Returns the time at which the audio up to `position` had arrived.
    pub fn arrival(&self, position: Position) -> Option<Time> {
        let index = self.arrivals.partition_point(|(end, _)| *end < position);
        self.arrivals
            .get(index)
            .or(self.arrivals.back())
            .map(|(_, time)| *time)
    }

    /// Forgets the times of audio so far behind `acknowledged` that no result needs them.
    pub fn prune(&mut self, acknowledged: Position) {
        let horizon = acknowledged.saturating_sub(MEMORY);
        while self.anchors.get(1).is_some_and(|a| a.position <= horizon) {
            self.anchors.pop_front();
        }
        while self.arrivals.front().is_some_and(|(end, _)| *end < horizon) {
            self.arrivals.pop_front();
        }
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
