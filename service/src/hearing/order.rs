// SPDX-License-Identifier: MPL-2.0

//! Puts the finals of streams of one recording in the order of their times.
//!
//! The channels of a recording are recognised side by side, and one may be ahead of another by
//! the longest utterance. So a final waits until no stream can still have an earlier one. The
//! streams get their audio in step, so few finals wait. What waits is not in the log: a job that
//! was killed hears it again.

use crate::conversation::entry::Transcribed;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A final that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) said: Transcribed,
    /// The number of its speaker's socket in the conversation.
    pub(crate) socket: u64,
}

/// The finals of all streams.
#[derive(Debug)]
pub(crate) struct Order {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// For each stream, the position before which no final of it is still to come.
    settled: Vec<u64>,
    /// By position, stream and number.
    waiting: BTreeMap<(u64, usize, u64), Waiting>,
    next: u64,
    /// A stream has ended early, so what comes behind its finals must not be written.
    is_broken: bool,
}

impl Order {
    pub(crate) fn new(streams: usize) -> Arc<Self> {
        let state = State {
            settled: vec![0; streams],
            waiting: BTreeMap::new(),
            next: 0,
            is_broken: false,
        };
        Arc::new(Self {
            state: Mutex::new(state),
        })
    }

    /// Returns the place of the stream with this number.
    pub(crate) fn place(self: &Arc<Self>, stream: usize) -> Place {
        Place {
            order: Arc::clone(self),
            stream,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn settle(&mut self, stream: usize, position: u64) {
        if let Some(settled) = self.settled.get_mut(stream) {
            *settled = position.max(*settled);
        }
    }

    /// Takes the earliest final if no stream can still have an earlier one.
    fn due(&mut self) -> Option<Waiting> {
        if self.is_broken {
            return None;
        }
        let all = self.settled.iter().copied().min()?;
        let first = self.waiting.first_entry()?;
        (first.key().0 <= all).then(|| first.remove())
    }
}

/// The place of one stream. If it is dropped before all of its audio is settled, no stream writes
/// anything more: the job fails, or hears again what waits.
#[derive(Debug)]
pub(crate) struct Place {
    order: Arc<Order>,
    stream: usize,
}

impl Place {
    /// Lets a final wait that begins at `position`.
    pub(crate) fn wait(&self, position: u64, waiting: Waiting) {
        let mut state = self.order.state();
        let number = state.next;
        state.next += 1;
        let key = (position, self.stream, number);
        state.waiting.insert(key, waiting);
    }

    /// Notes that no final of this stream is still to come before `position`, and writes all that
    /// are due in their order. No other stream writes meanwhile.
    pub(crate) fn settle<E>(
        &self,
        position: u64,
        mut write: impl FnMut(Waiting) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut state = self.order.state();
        state.settle(self.stream, position);
        while let Some(due) = state.due() {
            let written = write(due);
            state.is_broken |= written.is_err();
            written?;
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.order.state();
        let settled = state.settled.get(self.stream).copied();
        state.is_broken |= settled != Some(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn final_of(elapsed: u64) -> Waiting {
        let said = Transcribed {
            elapsed,
            ..Transcribed::default()
        };
        Waiting { said, socket: 0 }
    }

    #[test]
    fn a_final_waits_until_no_stream_can_have_an_earlier_one() {
        let order = Order::new(2);
        let (fast, slow) = (order.place(0), order.place(1));
        let mut written = Vec::new();
        let mut settle = |place: &Place, position| {
            let written = &mut written;
            let kept = place.settle(position, |due: Waiting| {
                written.push(due.said.elapsed);
                Ok::<(), ()>(())
            });
            kept.expect("written");
            written.clone()
        };
        fast.wait(10, final_of(10));
        fast.wait(40, final_of(40));
        assert_eq!(settle(&fast, 60), [0; 0]);
        slow.wait(5, final_of(5));
        assert_eq!(settle(&slow, 8), [5]);
        slow.wait(30, final_of(30));
        assert_eq!(settle(&slow, 35), [5, 10, 30]);
        assert_eq!(settle(&slow, u64::MAX), [5, 10, 30, 40]);
        fast.wait(70, final_of(70));
        drop(slow);
        assert_eq!(settle(&fast, 80), [5, 10, 30, 40, 70]);
    }

    #[test]
    fn nothing_is_written_behind_a_stream_that_ended_early_or_could_not_write() {
        let order = Order::new(2);
        let (first, second) = (order.place(0), order.place(1));
        let wrong = |_: Waiting| Err(());
        first.wait(10, final_of(10));
        assert_eq!(second.settle(u64::MAX, wrong), Ok(()));
        drop(first);
        assert_eq!(second.settle(u64::MAX, wrong), Ok(()));
        let order = Order::new(1);
        let place = order.place(0);
        place.wait(10, final_of(10));
        place.wait(20, final_of(20));
        assert_eq!(place.settle(30, wrong), Err(()));
        assert_eq!(place.settle(40, wrong), Ok(()));
    }
}
