// SPDX-License-Identifier: MPL-2.0

//! Calls into the application, which may take its time over them.
//!
//! They run on threads of their own, never on the one that serves all sinks, and a few
//! at a time: hundreds of sinks that lose their service at once are not to have
//! hundreds of threads. One thread is there from the beginning and stays, so that
//! events can be told while the system gives no other.

use super::threads::{Pool, Rule, Undone};
use std::io;
use std::sync::LazyLock;
use std::time::Duration;

/// How long a call takes before it no longer holds up the next: an application that
/// takes its time over one sink is not to hold up the others.
const PATIENCE: Duration = Duration::from_millis(50);

/// Tells events.
static CALLS: LazyLock<Pool> = LazyLock::new(|| {
    Pool::new(Rule {
        name: "symbl-call",
        prompt: 4,
        patience: PATIENCE,
        most: 512,
        newest_first: false,
        keeps_one: true,
    })
});

/// Asks for tokens. Apart from the events: a handler of `request-token` may take
/// seconds, and hundreds of sinks may ask at once.
static QUESTIONS: LazyLock<Pool> = LazyLock::new(|| {
    Pool::new(Rule {
        name: "symbl-ask",
        prompt: 16,
        patience: PATIENCE,
        most: 512,
        newest_first: false,
        keeps_one: false,
    })
});

/// Starts the thread that is always there.
///
/// # Errors
///
/// The system gives none.
pub(super) fn prepare() -> io::Result<()> {
    CALLS.prepare()
}

/// Makes a call and waits for its end. A panic in it goes on in the caller.
pub(super) async fn call(f: impl FnOnce() + Send + 'static) {
    if let Err(Undone::Panicked(panic)) = CALLS.run(f).await {
        std::panic::resume_unwind(panic);
    }
}

/// Asks the application something and returns its answer.
///
/// # Errors
///
/// The handler panicked, or the system gives no thread.
pub(super) async fn ask<T: Send + 'static>(
    f: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Undone> {
    QUESTIONS.run(f).await
}

#[cfg(test)]
mod tests {
    use super::call;
    use std::sync::mpsc;

    /// More than may run at the same time.
    const MANY: usize = 8;

    #[tokio::test]
    async fn calls_that_do_not_end_hold_up_no_other() {
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
    async fn a_panic_goes_on_in_the_caller() {
        let calling = tokio::spawn(call(|| panic!("a panic that this test wants")));
        assert!(calling.await.expect_err("a panic").is_panic());
    }
}
