// SPDX-License-Identifier: MPL-2.0

//! Where a place in the audio stands in the pipeline's times.
//!
//! An anchor ties one position to running time, stream time and UTC; between
//! anchors time runs with the audio. A new anchor is made wherever the two
//! part: at the start, after a hole, a GAP, a flush, a segment change. Arrival
//! times are never used to place text; they are kept only to tell how long
//! after its audio a result came.
//!
//! Facts: GStreamer design documents "segments" and "synchronisation".

use super::generation::off_the_edges;
use super::planted::{Bug, planted};
use super::{Position, Time};
use std::collections::VecDeque;

/// How far behind the acknowledged audio places can still be asked for.
const MEMORY: u64 = 120_000_000_000;

/// Difference from the running count above which an anchor is made, in
/// nanoseconds: well below a word, well above the rounding of timestamps.
const TOLERANCE: u64 = 2_000_000;

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
    /// Audio seconds per second of running time: the segment's rate.
    speed: f64,
}

impl Anchor {
    fn at(&self, position: Position) -> Instants {
        let audio = position.saturating_sub(self.position);
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

/// `nanos` of audio in nanoseconds of running time. Exact at normal speed.
fn scale(nanos: u64, speed: f64) -> u64 {
    if speed == 1.0 || speed <= 0.0 {
        nanos
    } else {
        (nanos as f64 / speed) as u64
    }
}

/// The anchors of a session, and when its audio came in.
#[derive(Debug, Default)]
pub struct Timeline {
    anchors: VecDeque<Anchor>,
    arrivals: VecDeque<(Position, Time)>,
    /// Clocks went on while the audio did not.
    parted: bool,
}

impl Timeline {
    /// Ties `position` to `instants`. Where the audio simply goes on as the
    /// last anchor says, nothing is added.
    pub fn anchor(&mut self, position: Position, instants: Instants, speed: f64) {
        if self.goes_on(position, &instants, speed) {
            return;
        }
        self.parted = false;
        if let Some(last) = self.anchors.back() {
            if planted(Bug::AnchorDropped) {
                return;
            }
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

    /// After a pause running time goes on where it was, and UTC does not: what comes
    /// next has an anchor of its own.
    pub fn part(&mut self) {
        self.parted = true;
    }

    /// Whether there is no anchor yet.
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// Whether the audio at `position` goes on as the last anchor says.
    pub fn goes_on(&self, position: Position, instants: &Instants, speed: f64) -> bool {
        let near = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => a.abs_diff(b) <= TOLERANCE,
            (a, b) => a == b,
        };
        let last = self.anchors.back().filter(|_| !self.parted);
        last.is_some_and(|last| {
            let expected = last.at(position);
            near(expected.running_time, instants.running_time)
                && near(expected.stream_time, instants.stream_time)
                && last.speed == speed
        })
    }

    /// The times at which the audio that follows `position` would stand if it
    /// simply went on. `None` before the first anchor.
    pub fn expected(&self, position: Position) -> Option<Instants> {
        self.anchors.back().map(|anchor| anchor.at(position))
    }

    /// The times of the audio that starts at `position`.
    pub fn locate(&self, position: Position) -> Option<Instants> {
        let after = self.anchors.partition_point(|a| a.position <= position);
        self.anchors
            .get(after.checked_sub(1)?)
            .map(|a| a.at(position))
    }

    /// The times at which the audio from `start` to `end` ends. Differs from
    /// [`Timeline::locate`] where a hole begins at `end`.
    pub fn locate_end(&self, start: Position, end: Position) -> Option<Instants> {
        let after = self
            .anchors
            .partition_point(|a| a.position < end.max(start + 1));
        self.anchors.get(after.checked_sub(1)?).map(|a| a.at(end))
    }

    /// The times at which something that was heard from `start` to `end` begins
    /// and ends; off the edges of holes.
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

    /// The audio up to `position` came in at `now`.
    pub fn arrived(&mut self, position: Position, now: Time) {
        self.arrivals.push_back((position, now));
    }

    /// When the audio up to `position` had come in.
    pub fn arrival(&self, position: Position) -> Option<Time> {
        let index = self.arrivals.partition_point(|(end, _)| *end < position);
        self.arrivals
            .get(index)
            .or(self.arrivals.back())
            .map(|(_, time)| *time)
    }

    /// Forgets what lies too far behind `acknowledged` to be asked for.
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
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Instants {
        Instants {
            running_time: Some(seconds * S),
            stream_time: Some(seconds * S + 5),
            utc: Some((seconds * S) as i64 + 7),
        }
    }

    #[test]
    fn time_runs_with_the_audio() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.locate(0), None);
        timeline.anchor(0, at(3), 1.0);
        assert_eq!(timeline.locate(2 * S), Some(at(5)));
    }

    #[test]
    fn a_hole_moves_what_follows_and_nothing_before() {
        let mut timeline = Timeline::default();
        timeline.anchor(0, at(0), 1.0);
        timeline.anchor(4 * S, at(10), 1.0);
        assert_eq!(timeline.locate(3 * S), Some(at(3)));
        assert_eq!(timeline.locate(4 * S), Some(at(10)));
        assert_eq!(
            timeline.locate_end(3 * S, 4 * S),
            Some(at(4)),
            "a word before the hole ends before it"
        );
        assert_eq!(timeline.locate(5 * S), Some(at(11)));
    }

    #[test]
    fn rounding_takes_no_word_over_a_hole() {
        let mut timeline = Timeline::default();
        timeline.anchor(0, at(0), 1.0);
        timeline.anchor(4 * S, at(10), 1.0);
        let heard = |start, end| timeline.locate_heard(start, end).unwrap();
        assert_eq!(heard(4 * S - 1, 5 * S), (at(10), at(11)), "begins behind");
        assert_eq!(heard(3 * S, 4 * S + 1), (at(3), at(4)), "ends before");
        let over = heard(3 * S, 5 * S);
        assert_eq!(over, (at(3), at(11)), "a word that goes over it does");
        assert_eq!(heard(4 * S, 5 * S), (at(10), at(11)));
        let short = heard(4 * S - 2, 4 * S - 1);
        assert!(short.1.running_time < Some(4 * S), "{short:?}");
    }

    #[test]
    fn audio_that_goes_on_needs_no_anchor() {
        let mut timeline = Timeline::default();
        for second in 0..1000 {
            timeline.anchor(second * S, at(second), 1.0);
        }
        assert_eq!(timeline.anchors.len(), 1);
    }

    #[test]
    fn a_pause_moves_utc_and_nothing_else() {
        let mut timeline = Timeline::default();
        timeline.anchor(0, at(0), 1.0);
        timeline.part();
        assert!(!timeline.goes_on(S, &at(1), 1.0));
        let paused = Instants {
            utc: at(61).utc,
            ..at(1)
        };
        timeline.anchor(S, paused, 1.0);
        assert!(timeline.goes_on(2 * S, &at(2), 1.0));
        let after = timeline.locate(2 * S).unwrap();
        assert_eq!((after.running_time, after.utc), (Some(2 * S), at(62).utc));
        assert_eq!(
            timeline.locate(S / 2).unwrap().utc,
            at(0).utc.map(|t| t + 500_000_000)
        );
    }

    #[test]
    fn a_segment_at_double_speed_takes_half_the_running_time() {
        let mut timeline = Timeline::default();
        timeline.anchor(0, at(0), 2.0);
        let there = timeline.locate(4 * S).unwrap();
        assert_eq!(
            (there.running_time, there.stream_time),
            (Some(2 * S), Some(4 * S + 5))
        );
    }

    #[test]
    fn arrivals_tell_when_audio_was_complete() {
        let mut timeline = Timeline::default();
        timeline.arrived(S, Time::from_secs(10));
        timeline.arrived(2 * S, Time::from_secs(11));
        assert_eq!(timeline.arrival(S / 2), Some(Time::from_secs(10)));
        assert_eq!(timeline.arrival(S + 1), Some(Time::from_secs(11)));
        assert_eq!(timeline.arrival(9 * S), Some(Time::from_secs(11)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut timeline = Timeline::default();
        for second in 0..1000 {
            timeline.anchor(second * S, at(second * 2), 1.0);
            timeline.arrived(second * S, Time::from_secs(second));
            timeline.prune(second * S);
        }
        assert!(timeline.anchors.len() <= 122 && timeline.arrivals.len() <= 122);
        assert!(timeline.locate(900 * S).is_some());
    }
}
