// SPDX-License-Identifier: MPL-2.0

//! Messages that the Conversation API has and this session missed.

use super::super::generation::Generation;
use super::super::{Position, Time};
use super::messages::{KnownItem, keys, placed, says};
use super::{Delivery, Final, FinalWord, LATE, NEAR, PlacedMessage, middle};
use std::ops::RangeInclusive;
use symbl_protocol::response::Message;

/// Returns what the wall clock may have read at the service's time zero of `start`, if it
/// read `zero` at the time zero of `then`. Services count from the start request, from the
/// first audio, or from a moment in between.
fn reckoned(zero: i64, then: &Generation, start: &Generation) -> Option<RangeInclusive<i64>> {
    let nanos = |at: Time| i64::try_from(at.as_nanos()).unwrap_or(i64::MAX);
    let bounds = |start: &Generation| {
        let began = nanos(start.began?);
        let asked = start.asked.map_or(began, nanos);
        Some((asked, began.saturating_add(LATE)))
    };
    let ((earliest, latest), (earliest_then, latest_then)) = (bounds(start)?, bounds(then)?);
    let first = zero.saturating_add(earliest.saturating_sub(latest_then));
    let last = zero.saturating_add(latest.saturating_sub(earliest_then));
    Some(first..=last)
}

/// Longest utterance, in nanoseconds. A message comes when its utterance is over, so that
/// it may have begun this long before a message that came earlier.
const LONGEST_UTTERANCE: i64 = 300_000_000_000;

impl Delivery {
    /// Returns the start of the latest message that was delivered, by the service's wall clock.
    pub fn told_until(&self) -> Option<i64> {
        self.known.iter().filter_map(KnownItem::start).max()
    }

    /// Returns the earliest start of a message that may have been missed since
    /// [`told_until`](Self::told_until), by the service's wall clock. Returns `None` if no
    /// missed message could be placed.
    pub fn missed_since(&self, told_until: Option<i64>) -> Option<i64> {
        let first = self.before.iter().filter_map(|(zero, _)| *zero).min()?;
        let late = told_until.map(|told| told.saturating_sub(LONGEST_UTTERANCE));
        Some(
            late.max(self.forgotten)
                .map_or(first, |since| since.max(first)),
        )
    }

    /// Places a message of the conversation's history, after a reconnect whose replay begins
    /// at `replay`. Returns `None` if the message was delivered before, comes with the replay,
    /// or is from before this session.
    pub fn recall(
        &mut self,
        message: &Message,
        replay: Position,
        generation: &Generation,
    ) -> Option<PlacedMessage> {
        let at = message.start_time?;
        let by = message.from.as_ref();
        if self.forgotten.is_some_and(|forgotten| at <= forgotten) || self.was_said(by, at) {
            return None;
        }
        let said = if self.is_own(by) {
            self.recall_own(message, at, replay, generation)?
        } else {
            let mut earlier = self.before.iter().rev();
            let known = |zero: &Option<i64>| zero.is_some_and(|zero| zero <= at);
            let (zero, then) = earlier.find(|(zero, _)| known(zero))?;
            placed(message, *zero, then, |_| None)
        };
        self.know_message(message, Some(said.span.clone()?), false);
        Some(said)
    }

    /// Places a message of the history that this client's speaker said at `at`.
    fn recall_own(
        &mut self,
        message: &Message,
        at: i64,
        replay: Position,
        generation: &Generation,
    ) -> Option<PlacedMessage> {
        let missed = self.delivered_in_messages..replay;
        let (zero, then) = self.start_of(at, generation)?;
        let place = then.extrapolate(u64::try_from(at.saturating_sub(zero)).ok()?)?;
        let near = |_: &Final, word: &FinalWord| {
            place.abs_diff(word.span.start) <= NEAR && missed.contains(&middle(&word.span))
        };
        let keys = keys(message);
        if let Some(found) = self.find_words(&keys, near) {
            return Some(self.tie_to(message, found)?.said);
        }
        // No final has its words. The results of that audio may have been lost with the
        // connection.
        let said = placed(message, Some(zero), then, |_| None).within(&missed);
        let span = said.span.clone()?;
        if !missed.contains(&middle(&span)) || self.was_heard(&keys) {
            return None;
        }
        self.delivered_in_messages = span.end;
        Some(said)
    }

    /// Returns the earlier start that a message at `at` belongs to. Starts that send audio
    /// faster than real time overlap on the wall clock. Returns `None` if the message may
    /// belong to more than one start.
    fn start_of<'a>(&'a self, at: i64, now: &'a Generation) -> Option<(i64, &'a Generation)> {
        let starts = self.before.iter().map(|(zero, then)| (*zero, then));
        let starts = starts.chain([(self.wall_zero, now)]);
        let mut latest = self.before.iter().rev();
        let (zero, then) = latest.find_map(|(zero, then)| Some(((*zero)?, then)))?;
        let mut candidates = starts.filter(|(sure, start)| {
            if !start.has_audio() {
                return false;
            }
            let sure = sure.map(|zero| zero..=zero);
            let Some(zeros) = sure.or_else(|| reckoned(zero, then, start)) else {
                return true;
            };
            let given = i64::try_from(start.given()).unwrap_or(i64::MAX);
            *zeros.start() <= at && at < zeros.end().saturating_add(given)
        });
        let (zero, start) = candidates.next()?;
        Some((zero?, start)).filter(|_| candidates.next().is_none() && start.number != now.number)
    }

    /// Returns `true` if a final has these words, at any place.
    fn was_heard(&self, keys: &[String]) -> bool {
        self.finals.iter().any(|record| {
            let mut windows = record.words.windows(keys.len().max(1));
            windows.any(|window| says(window, keys))
        })
    }
}
