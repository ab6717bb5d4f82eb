// SPDX-License-Identifier: MPL-2.0

//! Waits on a thread of its own until something wakes it. It needs no runtime, which may
//! be ending.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

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
