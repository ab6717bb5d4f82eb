// SPDX-License-Identifier: MPL-2.0

//! The time at which the task that drives a session wakes up by itself.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::time::Sleep;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Timer {
    at: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Sets it anew, on a thread of the runtime.
    pub(super) fn set(&mut self, at: Option<Instant>) {
        if self.at == at {
            return;
        }
        self.at = at;
        match (&mut self.sleep, at) {
            // Not `reset`, which leaves the earlier time in the runtime's clockwork: a
            // wake-up for nothing.
            (Some(sleep), Some(at)) => sleep.set(tokio::time::sleep_until(at.into())),
            (sleep, at) => *sleep = at.map(|at| Box::pin(tokio::time::sleep_until(at.into()))),
        }
    }

    /// Moves it to a later time, on any thread. The runtime may look at its clockwork at
    /// the time before, and does not wake the task.
    pub(super) fn extend(&mut self, at: Instant) {
        if let Some(sleep) = &mut self.sleep {
            self.at = Some(at);
            sleep.as_mut().reset(at.into());
        }
    }

    /// Ready, once, when its time has come.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(sleep) = &mut self.sleep else {
            return Poll::Pending;
        };
        let over = sleep.as_mut().poll(cx);
        if over.is_ready() {
            self.set(None);
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::Timer;
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::{Duration, Instant};

    #[tokio::test]
    async fn moved_by_another_thread_it_is_over_at_its_new_time_and_once() {
        let later = Instant::now() + Duration::from_millis(60);
        let mut timer = Timer::default();
        timer.set(Some(later - Duration::from_millis(50)));
        assert!(poll_fn(|cx| Poll::Ready(timer.poll(cx))).await.is_pending());
        let move_it = move || {
            timer.extend(later);
            timer
        };
        let mut timer = std::thread::spawn(move_it).join().unwrap();
        poll_fn(|cx| timer.poll(cx)).await;
        assert!(Instant::now() >= later);
        assert!(poll_fn(|cx| Poll::Ready(timer.poll(cx))).await.is_pending());
    }
}
