// SPDX-License-Identifier: MPL-2.0

//! The tokio runtime that all sinks of a process share.
//!
//! It is made when the first session needs it. Must never be made while the
//! plugin registers: the registry scanner loads plugins in a process that is to
//! have no threads. It is never shut down, because a plugin is never unloaded.

use crate::session::{Failure, Reason};
use once_cell::sync::OnceCell;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// One, which does the work of hundreds of sinks with time to spare: with more,
/// each wake-up for a chunk is a wake-up of two threads. What may take its time is
/// done elsewhere.
const WORKERS: usize = 1;

/// How long a thread for calls into the application waits for another one. Some are
/// made where many sinks have something to tell at once, and are not needed for long.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// Name of every thread of the runtime, as seen in `top -H` and debuggers.
const THREAD_NAME: &str = "symbl-net";

/// The runtime of this process; made at the first call.
///
/// # Errors
///
/// When the system gives no thread or no poll descriptor. The next call tries again.
pub fn runtime() -> Result<&'static Runtime, Failure> {
    static RUNTIME: OnceCell<Runtime> = OnceCell::new();
    RUNTIME.get_or_try_init(|| {
        Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name(THREAD_NAME)
            .thread_keep_alive(KEEP_ALIVE)
            .enable_all()
            .build()
            .map_err(|error| {
                Failure::fatal(
                    Reason::Internal,
                    format!(
                        "cannot start the network threads: {error}; \
                         check the limits on threads and open files of this process"
                    ),
                )
            })
    })
}

#[cfg(test)]
mod tests {
    use super::runtime;

    #[test]
    fn all_callers_share_one_runtime() {
        let here = runtime().unwrap();
        let there = std::thread::spawn(|| runtime().unwrap()).join().unwrap();
        assert!(std::ptr::eq(here, there));
        assert_eq!(here.metrics().num_workers(), 1);
    }

    #[test]
    fn its_threads_are_told_apart_by_name() {
        let name = runtime().unwrap().block_on(async {
            tokio::spawn(async { std::thread::current().name().map(str::to_owned) }).await
        });
        assert_eq!(name.unwrap().as_deref(), Some("symbl-net"));
    }
}
