// SPDX-License-Identifier: MPL-2.0

//! Calls into the application, which may take its time over them.
//!
//! They run on threads of the runtime's pool, never on the one that serves all
//! sinks, and a few at a time: hundreds of sinks that lose their service at once
//! are not to have hundreds of threads.

use std::time::Duration;
use tokio::sync::Semaphore;

/// How many calls are made at the same time.
static TURNS: Semaphore = Semaphore::const_new(4);

/// Longest that one waits for its turn. Who does not get one goes on all the same:
/// an application that takes its time over one sink is not to hold up the others.
const TURN_BOUND: Duration = Duration::from_millis(50);

/// Makes a call and waits for its end. A panic in it goes on in the caller.
pub(super) async fn call(f: impl FnOnce() + Send + 'static) {
    let _turn = tokio::time::timeout(TURN_BOUND, TURNS.acquire()).await;
    if let Err(error) = tokio::task::spawn_blocking(f).await
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

#[cfg(test)]
mod tests {
    use super::call;
    use std::sync::mpsc;

    /// More than take turns.
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
