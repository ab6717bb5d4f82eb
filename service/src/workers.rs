// SPDX-License-Identifier: MPL-2.0

//! Threads for work that blocks: reads of the database, lists of trackers.
//!
//! All of them are started with the service. tokio would start such threads when they are
//! needed, and if the system refuses one, it panics or leaves the work undone
//! (`tokio::task::spawn_blocking`). Work whose caller has gone is not begun.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Number of threads. The database has one connection for this work, so most of the threads
/// are for trackers that are kept elsewhere.
const THREADS: usize = 4;

/// Most jobs that wait for a thread. Each belongs to a request, and those are limited too.
const QUEUE: usize = 4096;

type Job = Box<dyn FnOnce() + Send>;

/// The threads. They end when this is dropped and their work is done.
#[derive(Debug)]
pub(crate) struct Workers {
    jobs: SyncSender<Job>,
}

/// Why work was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undone {
    /// Too many jobs wait already.
    #[error("{QUEUE} requests wait for the database already; try again later")]
    Busy,
    /// The work panicked. The log has the details.
    #[error("the work panicked")]
    Panicked,
}

impl Workers {
    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// The system refuses one.
    pub(crate) fn start() -> std::io::Result<Self> {
        let (jobs, waiting) = sync_channel(QUEUE);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..THREADS {
            let waiting = Arc::clone(&waiting);
            std::thread::Builder::new()
                .name("symbl-worker".to_owned())
                .spawn(move || work_off(&waiting))?;
        }
        Ok(Self { jobs })
    }

    /// Runs the work on one of the threads and returns its result.
    ///
    /// # Errors
    ///
    /// [`Undone`].
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Undone> {
        let (tell, answer) = oneshot::channel();
        let job = move || {
            if !tell.is_closed() {
                // The caller may stop waiting while the work runs.
                let _ = tell.send(work());
            }
        };
        let queued = self.jobs.try_send(Box::new(job));
        queued.map_err(|_| Undone::Busy)?;
        answer.await.map_err(|_| Undone::Panicked)
    }
}

fn work_off(waiting: &Mutex<Receiver<Job>>) {
    loop {
        let next = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(job) = next else { return };
        // The caller sees the panic, because the sender of its answer is dropped.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Waker};

    #[tokio::test]
    async fn a_panic_is_told_to_its_caller_and_costs_no_thread() {
        let workers = Workers::start().expect("threads");
        for _ in 0..2 * THREADS {
            let undone = workers.run(|| panic!("on purpose")).await;
            assert!(matches!(undone, Err::<(), _>(Undone::Panicked)));
        }
        assert_eq!(workers.run(|| 7).await.ok(), Some(7));
    }

    fn is_pending(work: &mut (impl Future + Unpin)) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(work).poll(&mut context).is_pending()
    }

    #[tokio::test]
    async fn more_work_than_may_wait_is_refused_and_work_without_a_caller_is_left_out() {
        let workers = Workers::start().expect("threads");
        let (closed, gate) = std::sync::mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let begun = Arc::new(Barrier::new(THREADS + 1));
        let mut busy = Vec::new();
        for _ in 0..THREADS {
            let (gate, begun) = (Arc::clone(&gate), Arc::clone(&begun));
            let work = move || {
                begun.wait();
                let _ = gate.lock().expect("a lock").recv();
            };
            busy.push(Box::pin(workers.run(work)));
        }
        for work in &mut busy {
            assert!(is_pending(work));
        }
        begun.wait();
        let done = Arc::new(AtomicUsize::new(0));
        let mut waiting = Vec::new();
        for _ in 0..QUEUE {
            let done = Arc::clone(&done);
            let count = move || done.fetch_add(1, Ordering::SeqCst);
            waiting.push(Box::pin(workers.run(count)));
        }
        for work in &mut waiting {
            assert!(is_pending(work));
        }
        assert!(matches!(workers.run(|| ()).await, Err(Undone::Busy)));
        waiting.truncate(3);
        drop(closed);
        for work in waiting {
            work.await.expect("done");
        }
        assert_eq!(done.load(Ordering::SeqCst), 3);
    }
}
