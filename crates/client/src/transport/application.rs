// SPDX-License-Identifier: MPL-2.0

//! Calls the application, whose handlers may block.
//!
//! The calls run on threads of a pool, never on the network thread that serves all
//! sinks. Few run at a time, so that hundreds of sinks that lose their service at
//! once do not need hundreds of threads. One thread exists from the beginning, so
//! that events reach the application even while the system gives no more threads.

use super::threads::{Rule, ThreadPool, Undone};
use std::io;
use std::sync::LazyLock;
use std::time::Duration;

/// Time after which a call no longer delays the next one: a slow handler of one sink
/// must not delay the others.
const PATIENCE: Duration = Duration::from_millis(50);

/// Threads that deliver events.
static CALLS: LazyLock<ThreadPool> = LazyLock::new(|| {
    ThreadPool::new(Rule {
        name: "symbl-call",
        prompt: 4,
        patience: PATIENCE,
        most: 512,
        newest_first: false,
        keeps_one: true,
    })
});

/// Threads that ask for tokens. They are separate from the events, because a handler
/// of `request-token` may take seconds and hundreds of sinks may ask at once.
static QUESTIONS: LazyLock<ThreadPool> = LazyLock::new(|| {
    ThreadPool::new(Rule {
        name: "symbl-ask",
        prompt: 16,
        patience: PATIENCE,
        most: 512,
        newest_first: false,
        keeps_one: false,
    })
});

/// Starts the thread that always exists.
///
/// # Errors
///
/// Returns an error if the system gives no thread.
pub(super) fn prepare() -> io::Result<()> {
    CALLS.prepare()
}

/// Makes a call and waits for its end. A panic in it continues in the caller.
pub(super) async fn call(f: impl FnOnce() + Send + 'static) {
    if let Err(Undone::Panicked(panic)) = CALLS.run(f).await {
        std::panic::resume_unwind(panic);
    }
}

/// Asks the application a question and returns its answer.
///
/// # Errors
///
/// Returns an error if the handler panicked or the system gives no thread.
pub(super) async fn ask<T: Send + 'static>(
    f: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Undone> {
    QUESTIONS.run(f).await
}

#[cfg(test)]
mod tests {
    use super::call;
    use std::sync::mpsc;

    /// More calls than the limit of prompt ones.
    const MANY: usize = 8;

    #[tokio::test]
    async fn calls_that_do_not_end_do_not_delay_others() {
        let (release, wait) = mpsc::channel::<()>();
        let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
        let stuck: Vec<_> = (0..MANY)
            .map(|_| {
                let wait = std::sync::Arc::clone(&wait);
                tokio::spawn(call(move || {
                    let _ = wait.lock().map(|wait| wait.recv());
                }))
            })
            .collect();
        call(|| {}).await;
        drop(release);
        for call in stuck {
            call.await.expect("an end");
        }
    }

    #[tokio::test]
    async fn a_panic_continues_in_the_caller() {
        let calling = tokio::spawn(call(|| panic!("a panic that this test wants")));
        assert!(calling.await.expect_err("a panic").is_panic());
    }
}
