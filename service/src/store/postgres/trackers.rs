// SPDX-License-Identifier: MPL-2.0

//! Keeps trackers in the database of the cluster, next to the conversations.

use super::Store;
use super::link::Link;
use super::log::{get, text};
use super::readers::Looking;
use super::text::put;
use crate::ids::new_id;
use crate::store::StoreError;
use crate::trackers::{KeptTracker, TrackerError, TrackerStore, fit};
use symbl_protocol::Tracker;

async fn all(link: &mut Link, account: &str) -> Result<Vec<KeptTracker>, StoreError> {
    let sql = "SELECT id, name, vocabulary FROM kept_tracker WHERE account = $1 ORDER BY made";
    let rows = link.query(sql, &[&account]).await?;
    let tracker = |row| {
        let vocabulary: &str = get(row, 2)?;
        Ok(KeptTracker {
            id: get::<i64>(row, 0)?.to_string(),
            name: text(row, 1)?,
            vocabulary: serde_json::from_str(vocabulary).unwrap_or_default(),
        })
    };
    rows.iter().map(tracker).collect()
}

fn vocabulary(tracker: &Tracker) -> String {
    serde_json::json!(tracker.vocabulary).to_string()
}

/// The answer of a change: the store's error, or what the rules say.
type Changing<'a, T> = Looking<'a, Result<T, TrackerError>>;

impl Store {
    /// Makes a change in one transaction, while no other node changes trackers of this
    /// account.
    fn change_trackers<T: Send + 'static>(
        &self,
        account: &str,
        change: impl for<'a> FnOnce(&'a mut Link, &'a str, Vec<KeptTracker>) -> Changing<'a, T>
        + Send
        + 'static,
    ) -> Result<T, TrackerError> {
        let account = put(account);
        let changed = self.look(move |link| {
            Box::pin(async move {
                link.batch("BEGIN").await?;
                let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
                link.query(lock, &[&account]).await?;
                let kept = all(link, &account).await?;
                let done = change(link, &account, kept).await?;
                let now = all(link, &account).await?;
                let fits = fit(now.iter().map(|tracker| &tracker.vocabulary));
                let done = done.and_then(|done| fits.map(|()| done));
                let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
                link.batch(end).await?;
                Ok(done)
            })
        });
        changed?
    }
}

impl TrackerStore for Store {
    fn list(&self, account: &str) -> Result<Vec<KeptTracker>, TrackerError> {
        let account = put(account);
        let kept = self.look(move |link| Box::pin(async move { all(link, &account).await }));
        Ok(kept?)
    }

    fn create(
        &self,
        account: &str,
        trackers: Vec<Tracker>,
    ) -> Result<Vec<KeptTracker>, TrackerError> {
        self.change_trackers(account, |link, account, kept| {
            Box::pin(async move {
                let mut made: Vec<KeptTracker> = Vec::new();
                for tracker in trackers {
                    if kept.iter().chain(&made).any(|t| t.name == tracker.name) {
                        return Ok(Err(TrackerError::NameTaken(tracker.name)));
                    }
                    let id = new_id();
                    let sql = "INSERT INTO kept_tracker (id, account, name, vocabulary)
                               VALUES ($1, $2, $3, $4)";
                    let name = put(&tracker.name);
                    link.execute(sql, &[&id, &account, &name, &vocabulary(&tracker)])
                        .await?;
                    made.push(KeptTracker {
                        id: id.to_string(),
                        name: tracker.name,
                        vocabulary: tracker.vocabulary,
                    });
                }
                Ok(Ok(made))
            })
        })
    }

    fn replace(
        &self,
        account: &str,
        id: &str,
        tracker: Tracker,
    ) -> Result<KeptTracker, TrackerError> {
        let id = id.to_owned();
        self.change_trackers(account, |link, account, kept| {
            Box::pin(async move {
                if kept.iter().any(|t| t.name == tracker.name && t.id != id) {
                    return Ok(Err(TrackerError::NameTaken(tracker.name)));
                }
                if !kept.iter().any(|t| t.id == id) {
                    return Ok(Err(TrackerError::NotFound));
                }
                let sql = "UPDATE kept_tracker SET name = $3, vocabulary = $4
                           WHERE account = $1 AND id::text = $2";
                let (name, stored) = (put(&tracker.name), put(&id));
                link.execute(sql, &[&account, &stored, &name, &vocabulary(&tracker)])
                    .await?;
                Ok(Ok(KeptTracker {
                    id,
                    name: tracker.name,
                    vocabulary: tracker.vocabulary,
                }))
            })
        })
    }

    fn delete(&self, account: &str, id: &str) -> Result<(), TrackerError> {
        let (account, id) = (put(account), put(id));
        let deleted = self.look(move |link| {
            Box::pin(async move {
                let sql = "DELETE FROM kept_tracker WHERE account = $1 AND id::text = $2";
                link.execute(sql, &[&account, &id]).await
            })
        })?;
        match deleted {
            0 => Err(TrackerError::NotFound),
            _ => Ok(()),
        }
    }
}
