// SPDX-License-Identifier: MPL-2.0

//! Which audio is settled: nothing that is said in it is still to come.

use super::Moment;
use crate::session::{Position, Time};
use std::collections::VecDeque;
use std::time::Duration;

/// Most stretches of lost audio behind audio that is not settled.
const MOST_LOST: usize = 256;
/// Most notes of what was sent when.
const MOST_SENT: usize = 1024;
/// Longest time between two looks at what was sent.
const LOOK: Duration = Duration::from_millis(250);

/// How far the audio is settled.
#[derive(Debug, Default)]
pub(super) struct Cover {
    position: Position,
    /// Running time of that position. Unknown at the start and after a flush.
    running_time: Option<u64>,
    /// Lost audio further behind, by its start.
    lost: Vec<(Position, Moment)>,
    /// When it was settled that far.
    moved: Time,
    /// What was sent when, in order.
    sent: VecDeque<(Moment, Time)>,
    /// Audio before this was flushed.
    floor: Position,
}

impl Cover {
    /// Returns how far the audio is settled, if its time is known.
    pub(super) fn settled(&self) -> Option<u64> {
        self.running_time
    }

    /// Returns `true` if all audio before `position` is settled.
    pub(super) fn is_settled(&self, position: Position) -> bool {
        position <= self.position
    }

    /// Returns the position before which audio was flushed.
    pub(super) fn floor(&self) -> Position {
        self.floor
    }

    /// Takes the audio before `at` as settled since `now`.
    pub(super) fn settle(&mut self, at: Moment, now: Time) {
        if at.position <= self.position {
            return;
        }
        self.moved = now;
        self.position = at.position;
        self.running_time = Some(at.running_time);
        while let Some(&(_, at)) = self.lost.iter().find(|(from, _)| *from <= self.position) {
            self.lost.retain(|(from, _)| *from > self.position);
            if at.position > self.position {
                self.position = at.position;
                self.running_time = Some(at.running_time);
            }
        }
        while (self.sent.front()).is_some_and(|(at, _)| at.position <= self.position) {
            self.sent.pop_front();
        }
    }

    /// Takes the audio from `from` to `until` as lost.
    pub(super) fn lose(&mut self, from: Position, until: Moment, now: Time) {
        if from <= self.position {
            self.settle(until, now);
        } else if self.lost.len() < MOST_LOST {
            self.lost.push((from, until));
        }
    }

    /// Notes that the audio before `at` has been sent by `now`.
    pub(super) fn sent(&mut self, at: Moment, now: Time) {
        let last = self
            .sent
            .back()
            .map_or(self.position, |(at, _)| at.position);
        if at.position > last && self.sent.len() < MOST_SENT {
            self.sent.push_back((at, now));
        }
    }

    /// Returns the end of the audio that was sent at least `patience` ago, if none has been
    /// settled for as long. A service that works its way through audio is waited for.
    pub(super) fn silent(&self, now: Time, patience: Time) -> Option<Moment> {
        let since = |sent: &Time| now.saturating_sub(self.moved.max(*sent));
        let long_ago = |(_, sent): &&(Moment, Time)| since(sent) >= patience;
        self.sent
            .iter()
            .take_while(long_ago)
            .last()
            .map(|(at, _)| *at)
    }

    /// Returns how long to wait until there may be such audio, or more of it may be sent.
    pub(super) fn next_silent(&self, now: Time, patience: Time) -> Time {
        let since = |sent: &Time| self.moved.max(*sent);
        let waiting = self.sent.iter().map(|(_, sent)| since(sent) + patience);
        let next = waiting
            .map(|due| due.saturating_sub(now))
            .find(|wait| !wait.is_zero());
        next.map_or(LOOK, |wait| wait.min(LOOK))
    }

    /// Forgets the audio before `position`: nothing is told of it any more.
    pub(super) fn flush(&mut self, position: Position) {
        *self = Self {
            position: position.max(self.position),
            floor: position,
            ..Self::default()
        };
    }
}
