// SPDX-License-Identifier: MPL-2.0

//! Keeps trackers in the service's database, next to the conversations.

use super::{Store, StoreError};
use crate::ids::new_id;
use crate::trackers::{KeptTracker, TrackerError, TrackerStore, fit};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use symbl_protocol::Tracker;

impl From<StoreError> for TrackerError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Cluster(_) => Self::Away(error.to_string()),
            _ => Self::Store(error.to_string()),
        }
    }
}

fn all(from: &Connection, account: &str) -> rusqlite::Result<Vec<KeptTracker>> {
    let mut rows = from.prepare_cached(
        "SELECT id, name, vocabulary FROM kept_tracker WHERE account = ?1 ORDER BY made",
    )?;
    let rows = rows.query_map([account], |row| {
        let vocabulary: String = row.get(2)?;
        Ok(KeptTracker {
            id: row.get::<_, i64>(0)?.to_string(),
            name: row.get(1)?,
            vocabulary: serde_json::from_str(&vocabulary).unwrap_or_default(),
        })
    })?;
    rows.collect()
}

/// Makes a change in one transaction.
fn change<T: Send + 'static>(
    store: &Store,
    account: &str,
    change: impl FnOnce(&Connection, &str, &[KeptTracker]) -> rusqlite::Result<Result<T, TrackerError>>
    + Send
    + 'static,
) -> Result<T, TrackerError> {
    let account = account.to_owned();
    let changed = store.change(move |connection| {
        // An immediate transaction: one that has read before it writes would fail
        // instead of waiting for other writers.
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let kept = all(&transaction, &account)?;
        let done = change(&transaction, &account, &kept)?;
        let now = all(&transaction, &account)?;
        let fits = fit(now.iter().map(|tracker| &tracker.vocabulary));
        match done.and_then(|done| fits.map(|()| done)) {
            // Dropping the transaction undoes the change.
            Err(refused) => Ok(Err(refused)),
            Ok(done) => transaction.commit().map(|()| Ok(done)),
        }
    });
    changed?
}

fn vocabulary(tracker: &Tracker) -> String {
    serde_json::json!(tracker.vocabulary).to_string()
}

impl TrackerStore for Store {
    fn list(&self, account: &str) -> Result<Vec<KeptTracker>, TrackerError> {
        Ok(self.with(|connection| all(connection, account))?)
    }

    fn create(
        &self,
        account: &str,
        trackers: Vec<Tracker>,
    ) -> Result<Vec<KeptTracker>, TrackerError> {
        change(self, account, |connection, account, kept| {
            let mut made: Vec<KeptTracker> = Vec::new();
            for tracker in trackers {
                if kept.iter().chain(&made).any(|t| t.name == tracker.name) {
                    return Ok(Err(TrackerError::NameTaken(tracker.name)));
                }
                let id = new_id();
                connection
                    .prepare_cached(
                        "INSERT INTO kept_tracker (id, account, name, vocabulary)
                         VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(params![id, account, tracker.name, vocabulary(&tracker)])?;
                made.push(KeptTracker {
                    id: id.to_string(),
                    name: tracker.name,
                    vocabulary: tracker.vocabulary,
                });
            }
            Ok(Ok(made))
        })
    }

    fn replace(
        &self,
        account: &str,
        id: &str,
        tracker: Tracker,
    ) -> Result<KeptTracker, TrackerError> {
        let id = id.to_owned();
        change(self, account, move |connection, account, kept| {
            if kept.iter().any(|t| t.name == tracker.name && t.id != id) {
                return Ok(Err(TrackerError::NameTaken(tracker.name)));
            }
            if !kept.iter().any(|t| t.id == id) {
                return Ok(Err(TrackerError::NotFound));
            }
            connection.execute(
                "UPDATE kept_tracker SET name = ?3, vocabulary = ?4
                 WHERE account = ?1 AND CAST(id AS TEXT) = ?2",
                params![account, id, tracker.name, vocabulary(&tracker)],
            )?;
            Ok(Ok(KeptTracker {
                id,
                name: tracker.name,
                vocabulary: tracker.vocabulary,
            }))
        })
    }

    fn delete(&self, account: &str, id: &str) -> Result<(), TrackerError> {
        let (account, id) = (account.to_owned(), id.to_owned());
        let deleted = self.change(move |connection| {
            connection.execute(
                "DELETE FROM kept_tracker WHERE account = ?1 AND CAST(id AS TEXT) = ?2",
                params![account, id],
            )
        })?;
        match deleted {
            0 => Err(TrackerError::NotFound),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::trackers::{MOST_PHRASES, MOST_TRACKERS, MemoryTrackers};

    fn stores() -> Vec<Box<dyn TrackerStore>> {
        let stored = Store::open(None, &Limits::default()).unwrap();
        let mut stores: Vec<Box<dyn TrackerStore>> =
            vec![Box::new(MemoryTrackers::default()), Box::new(stored)];
        #[cfg(feature = "cluster")]
        if let Some(postgres) = symbl_testkit::postgres::Postgres::shared() {
            let store = crate::store::postgres::Store::open(&postgres.database());
            stores.push(Box::new(store.unwrap()));
        }
        stores
    }

    fn trackers(names: impl IntoIterator<Item = String>) -> Vec<Tracker> {
        let tracker = |name| Tracker {
            name,
            vocabulary: vec!["a phrase".to_owned()],
        };
        names.into_iter().map(tracker).collect()
    }

    fn named(names: &[&str]) -> Vec<Tracker> {
        trackers(names.iter().map(ToString::to_string))
    }

    #[test]
    fn all_trackers_are_created_or_none() {
        for store in stores() {
            let twice = named(&["a", "b", "a"]);
            let refused = store.create("app", twice);
            assert!(matches!(refused, Err(TrackerError::NameTaken(_))));
            assert_eq!(store.list("app").unwrap(), []);
            let many = trackers((0..=MOST_TRACKERS).map(|n| n.to_string()));
            let refused = store.create("app", many);
            assert!(matches!(refused, Err(TrackerError::Full)));
            assert_eq!(store.list("app").unwrap(), []);
        }
    }

    #[test]
    fn trackers_are_listed_in_the_order_of_their_creation() {
        for store in stores() {
            let made = store.create("app", named(&["c", "a", "b"])).unwrap();
            store.delete("app", &made[0].id).unwrap();
            let last = store.create("app", named(&["c"])).unwrap();
            let expected = [&made[1], &made[2], &last[0]].map(Clone::clone);
            assert_eq!(store.list("app").unwrap(), expected);
        }
    }

    #[test]
    fn a_name_is_unique_but_a_tracker_may_keep_its_own() {
        for store in stores() {
            let made = store.create("app", named(&["a", "b"])).unwrap();
            let [a, b] = named(&["a", "b"]).try_into().unwrap();
            assert!(store.replace("app", &made[0].id, a).is_ok());
            let refused = store.replace("app", &made[0].id, b);
            assert!(matches!(refused, Err(TrackerError::NameTaken(_))));
        }
    }

    #[test]
    fn the_limit_of_phrases_holds_for_every_change() {
        for store in stores() {
            let phrases: Vec<String> = (0..MOST_PHRASES).map(|n| n.to_string()).collect();
            let mut large = named(&["a"]);
            large[0].vocabulary = phrases;
            let made = store.create("app", large.clone()).unwrap();
            let refused = store.create("app", named(&["b"]));
            assert!(matches!(refused, Err(TrackerError::Full)));
            large[0].vocabulary.push("one more".to_owned());
            let refused = store.replace("app", &made[0].id, large.remove(0));
            assert!(matches!(refused, Err(TrackerError::Full)));
            assert_eq!(store.list("app").unwrap(), made);
        }
    }

    #[test]
    fn an_account_does_not_see_the_trackers_of_another() {
        for store in stores() {
            let made = store.create("app", named(&["a"])).unwrap();
            let id = &made[0].id;
            assert_eq!(store.list("other").unwrap(), []);
            let [changed] = named(&["b"]).try_into().unwrap();
            let refused = store.replace("other", id, changed);
            assert!(matches!(refused, Err(TrackerError::NotFound)));
            let refused = store.delete("other", id);
            assert!(matches!(refused, Err(TrackerError::NotFound)));
            assert!(store.create("other", named(&["a"])).is_ok());
            assert_eq!(store.list("app").unwrap(), made);
        }
    }
}
