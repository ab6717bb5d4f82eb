// SPDX-License-Identifier: MPL-2.0

//! Shares compiled trackers among the streams that use them.
//!
//! Compiled trackers take many times the memory of the request that has them. So
//! streams with equal trackers share them. They are compiled when they are first
//! needed, and freed with the last stream that uses them: a client that reconnects
//! sends its trackers again. The memory of all of them has a limit in bytes.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use symbl_analysis::Phrases;
use symbl_protocol::Tracker;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Two hashes of the trackers. Their keys are random and secret, so that no client
/// can make trackers that are taken for those of another client.
type Content = (u64, u64);

/// Compiled trackers, shared by all streams with equal ones.
#[derive(Debug)]
pub(crate) struct Phrasebook {
    known: Arc<Mutex<HashMap<Content, Weak<Compiled>>>>,
    keys: (RandomState, RandomState),
    /// One permit for each byte that is left of the limit.
    left: Arc<Semaphore>,
}

/// The trackers of one or more streams.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// The trackers. Empty once they are compiled.
    trackers: Mutex<Vec<Tracker>>,
    phrases: OnceLock<Arc<Phrases>>,
    content: Content,
    known: Arc<Mutex<HashMap<Content, Weak<Self>>>>,
    _bytes: OwnedSemaphorePermit,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Phrasebook {
    /// Creates an empty phrasebook with a limit of `bytes`.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            known: Arc::default(),
            keys: Default::default(),
            left: Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Returns these trackers, which may not be compiled yet. Returns `None` if there
    /// is not enough memory left for them.
    pub(crate) fn get(&self, trackers: Vec<Tracker>) -> Option<Arc<Compiled>> {
        let content = self.content(&trackers);
        let known = || lock(&self.known).get(&content).and_then(Weak::upgrade);
        if let Some(known) = known() {
            return Some(known);
        }
        let bytes = u32::try_from(Phrases::bytes(&trackers)).ok()?;
        let bytes = Arc::clone(&self.left).try_acquire_many_owned(bytes).ok()?;
        let made = Arc::new(Compiled {
            trackers: Mutex::new(trackers),
            phrases: OnceLock::new(),
            content,
            known: Arc::clone(&self.known),
            _bytes: bytes,
        });
        lock(&self.known).insert(content, Arc::downgrade(&made));
        Some(made)
    }

    fn content(&self, trackers: &[Tracker]) -> Content {
        let hash = |key: &RandomState| {
            let mut hasher = key.build_hasher();
            for Tracker { name, vocabulary } in trackers {
                (name, vocabulary).hash(&mut hasher);
            }
            hasher.finish()
        };
        (hash(&self.keys.0), hash(&self.keys.1))
    }
}

impl Compiled {
    /// Returns the phrases. The first call compiles them, which may take seconds, so
    /// call it on the stream's own thread and without a lock.
    pub(crate) fn phrases(&self) -> Arc<Phrases> {
        let compile = || {
            let trackers = std::mem::take(&mut *lock(&self.trackers));
            Arc::new(Phrases::new(&trackers))
        };
        Arc::clone(self.phrases.get_or_init(compile))
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        let mut known = lock(&self.known);
        // Another stream may have created the same trackers anew.
        let is_gone = |known: &Weak<Self>| known.strong_count() == 0;
        if known.get(&self.content).is_some_and(is_gone) {
            known.remove(&self.content);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trackers(phrase: &str) -> Vec<Tracker> {
        vec![Tracker {
            name: "T".to_owned(),
            vocabulary: vec![phrase.to_owned()],
        }]
    }

    #[test]
    fn the_same_trackers_are_compiled_once_and_gone_with_the_last_stream() {
        let book = Phrasebook::new(10_000);
        let all = book.left.available_permits();
        let [one, same, other] = ["a", "a", "b"].map(|p| book.get(trackers(p)).expect("room"));
        assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &other));
        let phrases = one.phrases();
        assert!(Arc::ptr_eq(&phrases, &same.phrases()));
        assert_eq!(phrases.find("A b.").len(), 1);
        let gone = Arc::downgrade(&phrases);
        drop((one, phrases));
        assert!(gone.upgrade().is_some());
        drop(same);
        assert!(gone.upgrade().is_none(), "nobody looks for them");
        drop(other);
        assert!(lock(&book.known).is_empty());
        assert_eq!(book.left.available_permits(), all);
    }

    #[test]
    fn trackers_for_which_there_is_no_memory_are_refused() {
        let bytes = Phrases::bytes(&trackers("a phrase"));
        let book = Phrasebook::new(bytes);
        let first = book.get(trackers("a phrase")).expect("room");
        assert!(book.get(trackers("a phrase")).is_some(), "shared");
        assert!(book.get(trackers("another")).is_none());
        drop(first);
        assert!(book.get(trackers("another")).is_some());
    }
}
