// SPDX-License-Identifier: MPL-2.0

//! The trackers of an account. The Management API creates, changes and deletes them.
//! Every stream with `enableAllTrackers` looks for them.
//!
//! Paths, bodies and status codes are those of the Management API's reference. A
//! stream looks for the trackers that exist when it starts. [`TrackerStore`] hides
//! where they are kept.

mod memory;
pub(crate) mod phrasebook;

use serde::{Deserialize, Serialize};
use symbl_analysis::{UnfitTracker, check_tracker};
use symbl_protocol::Tracker;

pub use memory::MemoryTrackers;

/// Maximum number of trackers of an account.
pub const MOST_TRACKERS: usize = 500;

/// Maximum number of phrases in all trackers of an account.
pub const MOST_PHRASES: usize = 25_000;

/// Checks that an account may have trackers with these vocabularies.
pub(crate) fn fit<'a>(
    vocabularies: impl Iterator<Item = &'a Vec<String>>,
) -> Result<(), TrackerError> {
    let (trackers, phrases) = vocabularies.fold((0, 0), |(trackers, phrases), vocabulary| {
        (trackers + 1, phrases + vocabulary.len())
    });
    match trackers <= MOST_TRACKERS && phrases <= MOST_PHRASES {
        true => Ok(()),
        false => Err(TrackerError::Full),
    }
}

/// A tracker of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptTracker {
    /// Sixteen decimal digits, made by the store.
    pub id: String,
    /// Unique in the account. Case matters.
    pub name: String,
    /// The phrases, each only once.
    pub vocabulary: Vec<String>,
}

/// Returns the trackers to look for, and name and id of those that come from the account. One of
/// a request's `own` replaces one of the account with the same name.
pub(crate) fn beside(
    kept: Vec<KeptTracker>,
    own: Vec<Tracker>,
) -> (Vec<Tracker>, Vec<(String, String)>) {
    let (mut trackers, mut ids) = (own, Vec::new());
    let asked = trackers.len();
    for tracker in kept {
        let mut own = trackers.iter().take(asked);
        if !own.any(|own| own.name == tracker.name) {
            ids.push((tracker.name.clone(), tracker.id));
            trackers.push(Tracker {
                name: tracker.name,
                vocabulary: tracker.vocabulary,
            });
        }
    }
    (trackers, ids)
}

/// Why trackers were not changed.
#[derive(Debug, thiserror::Error)]
pub enum TrackerError {
    /// The request has no valid tracker.
    #[error("{0}")]
    Invalid(String),
    /// Another tracker has this name.
    #[error("A tracker with the name {0:?} already exists.")]
    NameTaken(String),
    /// The account has reached its limit.
    #[error("At most {MOST_TRACKERS} trackers with {MOST_PHRASES} phrases can be kept.")]
    Full,
    /// No tracker has this id.
    #[error("No tracker has this id.")]
    NotFound,
    /// The database of a cluster is away.
    #[error("The trackers cannot be read or stored: {0}")]
    Away(String),
    /// The store failed.
    #[error("The trackers cannot be read or stored: {0}")]
    Store(String),
}

/// Keeps the trackers of each account. It is called for HTTP requests and at the
/// start of streams, on threads that may block.
///
/// The caller has checked all trackers with [`check`].
pub trait TrackerStore: std::fmt::Debug + Send + Sync {
    /// Returns all trackers of the account, in the order of their creation.
    ///
    /// # Errors
    ///
    /// Returns [`TrackerError::Store`], as all other functions may.
    fn list(&self, account: &str) -> Result<Vec<KeptTracker>, TrackerError>;

    /// Creates all of these trackers, or none.
    ///
    /// # Errors
    ///
    /// Returns [`TrackerError::NameTaken`] or [`TrackerError::Full`].
    fn create(
        &self,
        account: &str,
        trackers: Vec<Tracker>,
    ) -> Result<Vec<KeptTracker>, TrackerError>;

    /// Replaces the tracker with this id.
    ///
    /// # Errors
    ///
    /// Returns [`TrackerError::NotFound`], [`TrackerError::NameTaken`] or
    /// [`TrackerError::Full`].
    fn replace(
        &self,
        account: &str,
        id: &str,
        tracker: Tracker,
    ) -> Result<KeptTracker, TrackerError>;

    /// Deletes the tracker with this id.
    ///
    /// # Errors
    ///
    /// Returns [`TrackerError::NotFound`].
    fn delete(&self, account: &str, id: &str) -> Result<(), TrackerError>;
}

/// Checks that a tracker can be kept: it has a name and phrases, each only once,
/// without punctuation that is not spoken.
///
/// # Errors
///
/// Returns [`TrackerError::Invalid`] with the reason.
pub fn check(tracker: &Tracker) -> Result<(), TrackerError> {
    check_tracker(tracker).map_err(|UnfitTracker(why)| TrackerError::Invalid(why))
}
