// SPDX-License-Identifier: MPL-2.0

//! The threads that read for the Conversation API, each with a connection of its own.
//!
//! A read is short. Long lists are read in pieces (see `listing`), so a slow client holds
//! neither a thread nor a transaction. The limit of HTTP connections bounds how many reads
//! wait, and the caller bounds how long.

use super::{Held, StoreError, refused};
use crate::metrics::Counts;
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// Gives reads to the threads.
#[derive(Debug)]
pub(super) struct Readers {
    jobs: Sender<(Job, OwnedSemaphorePermit)>,
    /// One permit for each thread. A read waits for a permit, so it leaves no job behind if
    /// it is dropped while it waits.
    idle: Arc<Semaphore>,
    counts: Counts,
}

impl Readers {
    /// Starts one thread for each connection. Each holds the directory's lock until its
    /// connection is closed.
    pub(super) fn start(
        connections: Vec<Arc<Mutex<Connection>>>,
        held: &Held,
        counts: Counts,
    ) -> std::io::Result<Self> {
        let idle = Arc::new(Semaphore::new(connections.len()));
        let (jobs, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for connection in connections {
            let (waiting, held) = (Arc::clone(&waiting), held.clone());
            std::thread::Builder::new()
                .name("symbl-read".to_owned())
                .spawn(move || {
                    read_all(&connection, &waiting);
                    drop(connection);
                    drop(held);
                })?;
        }
        Ok(Self { jobs, idle, counts })
    }

    /// Reads on one of the threads.
    ///
    /// # Errors
    ///
    /// Returns `Busy` if no thread was free within `patience`, or an error of the database.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        patience: Duration,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.counts.read.inc();
        let gone = || StoreError::Commit("a thread that reads is gone".to_owned());
        let idle = Arc::clone(&self.idle).acquire_owned();
        let permit = tokio::time::timeout(patience, idle)
            .await
            .map_err(|_| StoreError::Busy(patience))?
            .map_err(|_| gone())?;
        let (tell, told) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // The client may have hung up.
            let _ = tell.send(look(connection));
        });
        self.jobs.send((job, permit)).map_err(|_| gone())?;
        told.await.map_err(|_| gone())?.map_err(refused)
    }
}

/// Runs reads until the readers are dropped. Each thread runs this.
fn read_all(
    connection: &Mutex<Connection>,
    waiting: &Mutex<Receiver<(Job, OwnedSemaphorePermit)>>,
) {
    loop {
        let next = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok((job, permit)) = next else {
            return;
        };
        // If a read panics, its request gets no answer, and the thread goes on.
        let _ = catch_unwind(AssertUnwindSafe(|| job(&super::lock(connection))));
        drop(permit);
    }
}
