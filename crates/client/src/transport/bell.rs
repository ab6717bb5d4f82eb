// SPDX-License-Identifier: MPL-2.0

//! Wakes the one task that drives a session, from any thread.
//!
//! Rung before anybody listens, it is heard as soon as somebody does. Must never
//! take a lock that a streaming thread could wait for.

use futures_util::task::AtomicWaker;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: AtomicBool,
    listener: AtomicWaker,
}

impl Bell {
    /// Wakes the task, or keeps it from falling asleep.
    pub(super) fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        self.listener.wake();
    }

    /// Ready, once, when it was rung since the last time that this was ready.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        // In this order: who rings in between is heard by the second look.
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
    async fn rung_before_anybody_listens_it_is_heard_once() {
        let bell = Bell::default();
        bell.ring();
        bell.ring();
        poll_fn(|cx| bell.poll(cx)).await;
        let again = poll_fn(|cx| std::task::Poll::Ready(bell.poll(cx))).await;
        assert!(again.is_pending());
    }

    #[tokio::test]
    async fn it_wakes_who_listens() {
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
