// SPDX-License-Identifier: MPL-2.0

//! Wakes the task that drives a session, from any thread.
//!
//! A ring before the task listens is not lost: the task sees it at its next poll. The
//! bell must never take a lock that a streaming thread could wait for.

use futures_util::task::AtomicWaker;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// The bell of one task.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: AtomicBool,
    listener: AtomicWaker,
}

impl Bell {
    /// Wakes the task, or keeps it from going to sleep.
    pub(super) fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        self.listener.wake();
    }

    /// Returns `Ready` once if the bell was rung since the last time this returned
    /// `Ready`.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        // In this order, a ring between the two lines is seen by the second one.
        self.listener.register(cx.waker());
        match self.rung.swap(false, Ordering::AcqRel) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Bell;
    use std::future::poll_fn;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_ring_before_the_task_listens_is_seen_once() {
        let bell = Bell::default();
        bell.ring();
        bell.ring();
        poll_fn(|cx| bell.poll(cx)).await;
        let again = poll_fn(|cx| std::task::Poll::Ready(bell.poll(cx))).await;
        assert!(again.is_pending());
    }

    #[tokio::test]
    async fn a_ring_wakes_the_listening_task() {
        let bell = Arc::new(Bell::default());
        let ringer = Arc::clone(&bell);
        let mut looks = 0;
        poll_fn(|cx| {
            looks += 1;
            let heard = bell.poll(cx);
            if looks == 1 {
                let ringer = Arc::clone(&ringer);
                std::thread::spawn(move || ringer.ring());
            }
            heard
        })
        .await;
    }
}
