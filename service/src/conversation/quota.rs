// SPDX-License-Identifier: MPL-2.0

//! How many speakers' sockets an account may have at the same time.
//!
//! A service that is alone counts them. Several services ask their database, where the join
//! of one and the join of another are decided one after the other. What a service has whose
//! lease is over counts no more.

// Without the feature no database is asked.
#![cfg_attr(not(feature = "cluster"), allow(dead_code))]

use super::log::{Log, LogError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// The places of all accounts.
#[derive(Debug)]
pub(crate) struct Quota {
    /// Places of each account; 0 for any number.
    most: usize,
    /// Those that are taken, where the service is alone.
    taken: Mutex<HashMap<String, usize>>,
    log: Arc<dyn Log>,
}

/// A socket that asks for a place of its account.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// A random UUID. The same claim may come twice if its answer was lost.
    pub(crate) id: String,
    pub(crate) account: String,
    /// How many places the account has.
    pub(crate) most: usize,
    /// `true` to count it in any case: its client comes back into its conversation, and the
    /// socket that it had may be counted still.
    pub(crate) returns: bool,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// All are taken.
    Full,
    /// The database does not answer.
    Unknown,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    quota: Arc<Quota>,
    account: String,
    id: String,
}

impl Quota {
    pub(crate) fn new(most: usize, log: Arc<dyn Log>) -> Self {
        Self {
            most,
            taken: Mutex::default(),
            log,
        }
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place of an account. Returns `None` if places are not limited.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        account: &str,
        returns: bool,
    ) -> Result<Option<Place>, NoPlace> {
        if self.most == 0 {
            return Ok(None);
        }
        if self.log.registry().is_none() {
            return self.count(account, returns).map(Some);
        }
        let claim = Claim {
            id: Uuid::new_v4().to_string(),
            account: account.to_owned(),
            most: self.most,
            returns,
        };
        match self.ask(claim).await {
            Ok(Some(place)) => Ok(Some(place)),
            Ok(None) => Err(NoPlace::Full),
            Err(error) => {
                tracing::warn!(%error, "the streams of an account are not known");
                Err(NoPlace::Unknown)
            }
        }
    }

    /// Takes a place in the database.
    async fn ask(self: &Arc<Self>, claim: Claim) -> Result<Option<Place>, LogError> {
        // It is given back unless the database says that it was not taken, and if the client does
        // not wait for the answer.
        let mut place = self.place(&claim.account, claim.id.clone());
        let claimed = match self.log.registry().map(|others| others.claim(claim)) {
            Some(claimed) => claimed.await?,
            None => true,
        };
        if !claimed {
            place.id.clear();
            return Ok(None);
        }
        Ok(Some(place))
    }

    /// Takes a place where the service is alone.
    fn count(self: &Arc<Self>, account: &str, returns: bool) -> Result<Place, NoPlace> {
        let mut taken = self.taken();
        let number = taken.get(account).copied().unwrap_or(0);
        if number >= self.most && !returns {
            return Err(NoPlace::Full);
        }
        taken.insert(account.to_owned(), number + 1);
        Ok(self.place(account, String::new()))
    }

    fn place(self: &Arc<Self>, account: &str, id: String) -> Place {
        Place {
            quota: Arc::clone(self),
            account: account.to_owned(),
            id,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(others) = self.quota.log.registry() {
            if !self.id.is_empty() {
                others.free(std::mem::take(&mut self.id));
            }
            return;
        }
        let mut taken = self.quota.taken();
        if let Some(number) = taken.get_mut(&self.account) {
            *number = number.saturating_sub(1);
            if *number == 0 {
                taken.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::memory::MemoryLog;

    #[tokio::test]
    async fn an_account_has_so_many_places_and_one_that_returns_gets_one_more() {
        let quota = |most| Arc::new(Quota::new(most, Arc::new(MemoryLog::default())));
        let two = quota(2);
        let first = two.enter("a", false).await;
        let _second = two.enter("a", false).await;
        let full = async || two.enter("a", false).await.err();
        assert_eq!(full().await, Some(NoPlace::Full));
        assert!(two.enter("b", false).await.is_ok(), "another account");
        // The socket before it may be dead.
        let returned = two.enter("a", true).await;
        assert!(returned.is_ok());
        drop(first);
        assert_eq!(full().await, Some(NoPlace::Full), "it counts");
        drop(returned);
        assert_eq!(full().await, None);
        assert!(quota(0).enter("a", false).await.is_ok_and(|p| p.is_none()));
    }
}
