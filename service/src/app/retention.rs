// SPDX-License-Identifier: MPL-2.0

//! Deletes what has been kept for long enough, a few conversations at a time beside the
//! streams, and then the traces of their words.

use crate::audit::{Audit, Event};
use crate::clock::now;
use crate::conversation::hub::Hub;
use crate::store::retention::{Due, Retention};
use crate::store::{Deleted, Records, StoreError, Whose};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Most conversations that are deleted before the next look at what is due.
const BATCH: usize = 100;

/// How long streams have the writer to themselves between two conversations.
const PAUSE: Duration = Duration::from_millis(20);

/// Shortest and longest time between two looks at what is due.
const OFTEN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(60);

/// What deletes old conversations.
pub(crate) struct Keeper {
    pub(crate) keep: Option<Duration>,
    pub(crate) retention: Arc<dyn Retention>,
    pub(crate) records: Arc<dyn Records>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) audit: Audit,
}

impl Keeper {
    /// Returns the time between two looks: a tenth of the time that is kept, within bounds.
    fn pause(&self) -> Duration {
        self.keep
            .map_or(SELDOM, |keep| (keep / 10).clamp(OFTEN, SELDOM))
    }

    /// Deletes what is due until the service ends.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        loop {
            let ended = stop.wait_for(|stop| *stop);
            if timeout(self.pause(), ended).await.is_ok() {
                return;
            }
            match self.delete(&stop).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(
                    count,
                    "conversations were kept for long enough and are deleted"
                ),
                Err(error) => {
                    tracing::error!(%error, "old conversations are not deleted; the next attempt comes in a minute at most")
                }
            }
        }
    }

    /// Deletes what is due, and returns how many conversations that were.
    async fn delete(&self, stop: &watch::Receiver<bool>) -> Result<usize, StoreError> {
        let mut count = 0;
        loop {
            let due = self.retention.due(now(), self.keep, BATCH).await?;
            let is_last = due.len() < BATCH;
            let before = count;
            for due in due {
                if *stop.borrow() {
                    return Ok(count);
                }
                count += usize::from(self.delete_one(due).await?);
                sleep(PAUSE).await;
            }
            if is_last || count == before {
                break;
            }
        }
        if count > 0 {
            // What cannot be done now the writer does when no speaker is active.
            self.records.purge().await?;
        }
        Ok(count)
    }

    async fn delete_one(&self, due: Due) -> Result<bool, StoreError> {
        let whose = Whose {
            account: due.account.clone(),
            conversation: due.conversation,
            delay: Duration::ZERO,
        };
        if self.records.delete(whose).await? != Deleted::Whole {
            return Ok(false);
        }
        self.hub.deletions.deleted(due.conversation);
        self.audit.write(Event {
            account: &due.account,
            address: None,
            door: "retention",
            method: "",
            what: "deletion",
            conversation: Some(due.conversation.to_string()),
            status: 200,
        });
        Ok(true)
    }
}
