// SPDX-License-Identifier: MPL-2.0

//! Trackers in memory: gone with the service.

use super::{KeptTracker, MOST_TRACKERS, TrackerError, TrackerStore};
use gstsymbl::protocol::Tracker;
use std::sync::{Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// Smallest id, so that all have sixteen digits.
const FIRST_ID: u128 = 1_000_000_000_000_000;

/// A store that begins empty. The lock is held for a look or a change only.
#[derive(Debug, Default)]
pub struct MemoryTrackers(Mutex<Vec<KeptTracker>>);

impl MemoryTrackers {
    fn kept(&self) -> MutexGuard<'_, Vec<KeptTracker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TrackerStore for MemoryTrackers {
    fn list(&self) -> Result<Vec<KeptTracker>, TrackerError> {
        Ok(self.kept().clone())
    }

    fn create(&self, trackers: Vec<Tracker>) -> Result<Vec<KeptTracker>, TrackerError> {
        let mut kept = self.kept();
        let before = kept.len();
        if before + trackers.len() > MOST_TRACKERS {
            return Err(TrackerError::Full);
        }
        for tracker in trackers {
            if kept.iter().any(|other| other.name == tracker.name) {
                kept.truncate(before);
                return Err(TrackerError::NameTaken(tracker.name));
            }
            kept.push(KeptTracker {
                id: (FIRST_ID + Uuid::new_v4().as_u128() % (9 * FIRST_ID)).to_string(),
                name: tracker.name,
                vocabulary: tracker.vocabulary,
            });
        }
        Ok(kept.get(before..).unwrap_or_default().to_vec())
    }

    fn replace(&self, id: &str, tracker: Tracker) -> Result<KeptTracker, TrackerError> {
        let mut kept = self.kept();
        if kept
            .iter()
            .any(|other| other.name == tracker.name && other.id != id)
        {
            return Err(TrackerError::NameTaken(tracker.name));
        }
        let place = kept.iter_mut().find(|other| other.id == id);
        let place = place.ok_or(TrackerError::NotFound)?;
        place.name = tracker.name;
        place.vocabulary = tracker.vocabulary;
        Ok(place.clone())
    }

    fn delete(&self, id: &str) -> Result<(), TrackerError> {
        let mut kept = self.kept();
        let before = kept.len();
        kept.retain(|tracker| tracker.id != id);
        match kept.len() < before {
            true => Ok(()),
            false => Err(TrackerError::NotFound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trackers(names: impl IntoIterator<Item = String>) -> Vec<Tracker> {
        let tracker = |name| Tracker {
            name,
            vocabulary: vec!["a phrase".to_owned()],
        };
        names.into_iter().map(tracker).collect()
    }

    #[test]
    fn all_are_made_or_none() {
        let store = MemoryTrackers::default();
        let twice = trackers(["a".to_owned(), "b".to_owned(), "a".to_owned()]);
        assert!(matches!(
            store.create(twice),
            Err(TrackerError::NameTaken(_))
        ));
        assert_eq!(store.list().unwrap(), []);
        let many = (0..=MOST_TRACKERS).map(|n| n.to_string());
        assert!(matches!(
            store.create(trackers(many)),
            Err(TrackerError::Full)
        ));
        assert_eq!(store.list().unwrap(), []);
    }

    #[test]
    fn a_name_is_one_trackers_but_may_stay_its_own() {
        let store = MemoryTrackers::default();
        let made = store
            .create(trackers(["a".to_owned(), "b".to_owned()]))
            .unwrap();
        let [a, b] = trackers(["a".to_owned(), "b".to_owned()])
            .try_into()
            .unwrap();
        assert!(store.replace(&made[0].id, a).is_ok());
        assert!(matches!(
            store.replace(&made[0].id, b),
            Err(TrackerError::NameTaken(_))
        ));
    }
}
