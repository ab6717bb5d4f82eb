// SPDX-License-Identifier: MPL-2.0

//! The tokio runtime that all sinks of a process share.
//!
//! It is started when the first session needs it. It must never start while the
//! plugin registers, because the registry scanner loads plugins in a process that
//! must not have threads. It is never shut down, because a plugin is never unloaded.

use super::application;
use crate::session::{Failure, Reason};
use once_cell::sync::OnceCell;
use std::future::pending;
use std::io;
use std::thread;
use tokio::runtime::{Builder, Handle};

/// Name of the runtime's thread in `top -H` and debuggers.
const THREAD_NAME: &str = "symbl-net";

/// Returns the runtime of this process. The first call starts it.
///
/// It has one thread, which can do the work of hundreds of sinks: with more threads,
/// each wake-up for a chunk would wake two of them. Work that may block is done
/// elsewhere (see `threads`), and never by tokio's own pool, which panics if the
/// system refuses a thread.
///
/// # Errors
///
/// Returns an error if the system gives no thread or no poll descriptor. The next
/// call tries again.
pub fn runtime() -> Result<&'static Handle, Failure> {
    static RUNTIME: OnceCell<Handle> = OnceCell::new();
    let made = RUNTIME.get_or_try_init(|| {
        // First, so that a failure leaves no runtime behind.
        application::prepare()?;
        start()
    });
    made.map_err(|error| {
        Failure::fatal(
            Reason::Internal,
            format!(
                "cannot start the network threads: {error}; \
                 check the limits on threads and open files of this process"
            ),
        )
    })
}

fn start() -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name(THREAD_NAME.to_owned())
        .spawn(move || runtime.block_on(pending::<()>()))?;
    Ok(handle)
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
    fn its_thread_has_a_name() {
        let name = runtime().unwrap().block_on(async {
            tokio::spawn(async { std::thread::current().name().map(str::to_owned) }).await
        });
        assert_eq!(name.unwrap().as_deref(), Some("symbl-net"));
    }
}
