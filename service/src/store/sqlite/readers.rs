// SPDX-License-Identifier: MPL-2.0

//! Reads for the Conversation API: a few threads, each with a connection of its own.
//!
//! A read is short: long lists are read in pieces (see `listing`), so that
//! no client holds a thread or a transaction while it takes its time. How many reads
//! wait is bounded by how many connections there may be; how long, by the caller.

use super::{Held, StoreError, refused};
use crate::metrics::Counts;
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// Hands reads to threads.
#[derive(Debug)]
pub(super) struct Readers {
    jobs: Sender<(Job, OwnedSemaphorePermit)>,
    /// One permit for each thread, so that a read that is given up while it waits
    /// leaves nothing behind.
    idle: Arc<Semaphore>,
    counts: Counts,
}

impl Readers {
    /// Starts one thread for each connection; each holds the directory's lock until its
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

    /// Looks something up on one of the threads.
    ///
    /// # Errors
    ///
    /// `Busy` if none was free within `patience`; what the database says.
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

/// A thread: ends when nobody can send a job any more.
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
        // A panic costs its request an answer, and not the others their thread.
        let _ = catch_unwind(AssertUnwindSafe(|| job(&super::lock(connection))));
        drop(permit);
    }
}
