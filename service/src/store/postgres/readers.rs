// SPDX-License-Identifier: MPL-2.0

//! The connections that read, each for a short time.

use super::link::{Address, Link};
use crate::metrics::Counts;
use crate::store::{LONGEST_WAIT, StoreError};
use futures_util::future::BoxFuture;
use std::sync::{Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Connections that read at the same time.
const MOST: usize = 4;

/// What is done with a connection.
pub(super) type Looking<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// Lends connections to those who read.
#[derive(Debug)]
pub(super) struct Readers {
    address: Address,
    runtime: Handle,
    free: Semaphore,
    idle: Mutex<Vec<Link>>,
    counts: Counts,
}

impl Readers {
    pub(super) fn new(address: Address, runtime: Handle, counts: Counts) -> Self {
        Self {
            address,
            runtime,
            free: Semaphore::new(MOST),
            idle: Mutex::default(),
            counts,
        }
    }

    /// Reads with a connection, when one is free.
    ///
    /// # Errors
    ///
    /// None was free in time, or the database cannot be reached or refuses.
    pub(super) async fn look<T>(
        &self,
        look: impl for<'a> FnOnce(&'a mut Link) -> Looking<'a, T> + Send,
    ) -> Result<T, StoreError> {
        self.counts.read.inc();
        let permit = timeout(LONGEST_WAIT, self.free.acquire()).await;
        let _permit = permit
            .map_err(|_| StoreError::Busy(LONGEST_WAIT))?
            .map_err(|_| super::gone())?;
        let known = loop {
            let next = self.idle().pop();
            match next {
                Some(link) if link.is_lost() => {}
                other => break other,
            }
        };
        let mut link = match known {
            Some(link) => link,
            None => self.address.connect(&self.runtime).await?,
        };
        let looked = look(&mut link).await;
        // After an error, or if this is dropped before, a transaction may be open.
        if looked.is_ok() {
            self.idle().push(link);
        }
        looked
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
