// SPDX-License-Identifier: MPL-2.0

//! What the Conversation API has of a conversation, and nobody told us.

use super::super::generation::Generation;
use super::super::{Position, Time};
use super::{Delivery, Final, FinalWord, LATE, Message, NEAR, Said, keys, middle, placed, says};

/// From when on by the wall clock, at the earliest, something may belong to a start
/// whose first audio was sent at `now`. It read `zero` at that of `then`.
fn now_from(zero: i64, then: &Generation, now: Time) -> i64 {
    let since = now.saturating_sub(then.began.unwrap_or(now));
    let since = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
    zero.saturating_add(since).saturating_sub(LATE)
}

impl Delivery {
    /// A message of the conversation's history, after a reconnect whose replay
    /// begins at `replay`. `None`: it was delivered before, or will come with the
    /// replay, or it was said before our time.
    pub fn recall(
        &mut self,
        message: &Message,
        replay: Position,
        generation: &Generation,
    ) -> Option<Said> {
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

    /// The same for what our own speaker said at `at`. Starts that send faster than
    /// the clock goes overlap on it, so that the words have to agree with it.
    fn recall_own(
        &mut self,
        message: &Message,
        at: i64,
        replay: Position,
        generation: &Generation,
    ) -> Option<Said> {
        let missed = self.said..replay;
        let starts = self.before.iter().map(|(zero, then)| {
            let place = zero.and_then(|zero| {
                let time = u64::try_from(at.saturating_sub(zero)).ok()?;
                then.extrapolate(time)
            });
            (zero, then, place)
        });
        let starts: Vec<_> = starts
            .filter(|(zero, then, place)| {
                zero.is_none() || place.is_some_and(|place| place < then.end())
            })
            .collect();
        let fits = |_: &Final, word: &FinalWord| {
            let near = |place: Position| place.abs_diff(word.span.start) <= NEAR;
            let mut places = starts.iter().filter_map(|(_, _, place)| *place);
            missed.contains(&middle(&word.span)) && places.any(near)
        };
        let keys = keys(message);
        if let Some(found) = self.find_words(&keys, fits) {
            return Some(self.tie_to(message, found)?.said);
        }
        // Not heard: it may have been lost with the audio of a gap.
        let [(zero, then, _)] = starts.as_slice() else {
            return None;
        };
        let zero = (**zero)?;
        if generation
            .began
            .is_some_and(|now| now_from(zero, then, now) <= at)
        {
            return None; // Of this start: it tells by itself.
        }
        let said = placed(message, Some(zero), then, |_| None);
        let said = said.within(&missed);
        let span = said.span.clone()?;
        if !missed.contains(&middle(&span)) || self.was_heard(&keys) {
            return None;
        }
        self.said = span.end;
        Some(said)
    }

    /// Whether these words are in a final, wherever that stands.
    fn was_heard(&self, keys: &[String]) -> bool {
        self.finals.iter().any(|record| {
            let mut windows = record.words.windows(keys.len().max(1));
            windows.any(|window| says(window, keys))
        })
    }
}
