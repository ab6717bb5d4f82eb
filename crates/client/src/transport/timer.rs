// SPDX-License-Identifier: MPL-2.0

//! The timer that wakes the task of a session.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::time::Sleep;

/// A timer that other threads may move to a later time.
#[derive(Debug, Default)]
pub(super) struct Timer {
    at: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Sets the timer. Call it on a thread of the runtime.
    pub(super) fn set(&mut self, at: Option<Instant>) {
        if self.at == at {
            return;
        }
        self.at = at;
        match (&mut self.sleep, at) {
            // Not `reset`, which would leave the earlier time in the runtime's timer
            // wheel and cause a useless wake-up.
            (Some(sleep), Some(at)) => sleep.set(tokio::time::sleep_until(at.into())),
            (sleep, at) => *sleep = at.map(|at| Box::pin(tokio::time::sleep_until(at.into()))),
        }
    }

    /// Moves the timer to a later time, on any thread. The runtime may wake up at the
    /// earlier time, but does not wake the task.
    pub(super) fn extend(&mut self, at: Instant) {
        if let Some(sleep) = &mut self.sleep {
            self.at = Some(at);
            sleep.as_mut().reset(at.into());
        }
    }

    /// Returns `Ready` once when the time has come.
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
    async fn a_timer_moved_by_another_thread_fires_once_at_its_new_time() {
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
