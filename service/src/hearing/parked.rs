// SPDX-License-Identifier: MPL-2.0

//! Waits for a future on a thread of its own, for a limited time. It needs no runtime,
//! which may be ending.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

/// Returns what `future` gives, or `Pending` if it has given nothing `until` then.
pub(crate) fn wait<F: Future>(future: F, until: Instant) -> Poll<F::Output> {
    let waker = waker();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Poll::Ready(output);
        }
        match until.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => std::thread::park_timeout(left),
            _ => return Poll::Pending,
        }
    }
}

/// Returns what wakes the thread that calls this from [`until`].
pub(crate) fn waker() -> Waker {
    Waker::from(Arc::new(Unpark(std::thread::current())))
}

/// Waits until the thread is woken, which may have been before, or the time has come.
/// Returns now and then for no reason.
pub(crate) fn until(time: Option<Instant>) {
    match time {
        None => std::thread::park(),
        Some(time) => {
            let left = time.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                std::thread::park_timeout(left);
            }
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
