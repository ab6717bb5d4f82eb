// SPDX-License-Identifier: MPL-2.0

//! Keeps trackers in memory. They are lost when the service ends.

use super::{KeptTracker, TrackerError, TrackerStore, fit};
use crate::ids::new_id;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use symbl_protocol::Tracker;

/// A store that begins empty. Its lock is held only for a read or a change.
#[derive(Debug, Default)]
pub struct MemoryTrackers(Mutex<HashMap<String, Vec<KeptTracker>>>);

impl MemoryTrackers {
    /// Applies `change` to the account's trackers. If it fails, they stay as they
    /// were.
    fn change<T>(
        &self,
        account: &str,
        change: impl FnOnce(&mut Vec<KeptTracker>) -> Result<T, TrackerError>,
    ) -> Result<T, TrackerError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = all.get(account).cloned().unwrap_or_default();
        let done = change(&mut kept)?;
        fit(kept.iter().map(|tracker| &tracker.vocabulary))?;
        all.insert(account.to_owned(), kept);
        Ok(done)
    }
}

impl TrackerStore for MemoryTrackers {
    fn list(&self, account: &str) -> Result<Vec<KeptTracker>, TrackerError> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(all.get(account).cloned().unwrap_or_default())
    }

    fn create(
        &self,
        account: &str,
        trackers: Vec<Tracker>,
    ) -> Result<Vec<KeptTracker>, TrackerError> {
        self.change(account, |kept| {
            let before = kept.len();
            for tracker in trackers {
                if kept.iter().any(|other| other.name == tracker.name) {
                    return Err(TrackerError::NameTaken(tracker.name));
                }
                kept.push(KeptTracker {
                    id: new_id().to_string(),
                    name: tracker.name,
                    vocabulary: tracker.vocabulary,
                });
            }
            Ok(kept.get(before..).unwrap_or_default().to_vec())
        })
    }

    fn replace(
        &self,
        account: &str,
        id: &str,
        tracker: Tracker,
    ) -> Result<KeptTracker, TrackerError> {
        self.change(account, |kept| {
            let taken = |other: &KeptTracker| other.name == tracker.name && other.id != id;
            if kept.iter().any(taken) {
                return Err(TrackerError::NameTaken(tracker.name));
            }
            let place = kept.iter_mut().find(|other| other.id == id);
            let place = place.ok_or(TrackerError::NotFound)?;
            place.name = tracker.name;
            place.vocabulary = tracker.vocabulary;
            Ok(place.clone())
        })
    }

    fn delete(&self, account: &str, id: &str) -> Result<(), TrackerError> {
        self.change(account, |kept| {
            let before = kept.len();
            kept.retain(|tracker| tracker.id != id);
            match kept.len() < before {
                true => Ok(()),
                false => Err(TrackerError::NotFound),
            }
        })
    }
}
