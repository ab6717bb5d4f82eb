// SPDX-License-Identifier: MPL-2.0

//! Lets a thread of its own wait until it is woken. No runtime is needed, which may be
//! ending.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

/// Returns a waker that ends the wait of this thread in [`until`].
pub(crate) fn waker() -> Waker {
    Waker::from(Arc::new(Unpark(std::thread::current())))
}

/// Waits until the thread is woken or the time has come. A wake before the call counts.
/// May return without a reason.
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
