// SPDX-License-Identifier: MPL-2.0

//! The trackers of the account: made, changed and deleted by the Management API,
//! looked for in every stream that asks for `enableAllTrackers`.
//!
//! Paths, bodies and status codes are those of the Management API's reference. A
//! stream looks for the trackers that there are when it starts. Where they are
//! kept is behind [`TrackerStore`].

mod memory;
pub(crate) mod phrasebook;

use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use symbl_protocol::Tracker;

pub use memory::MemoryTrackers;

/// Most trackers of an account.
pub const MOST_TRACKERS: usize = 500;

/// Most phrases of all of them.
pub const MOST_PHRASES: usize = 25_000;

/// Whether an account may have these.
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

/// Longest name of a tracker and longest phrase, in bytes.
const LONGEST: usize = 1024;

/// Marks that a phrase may have.
const MARKS: &[char] = &['.', '\'', '\u{2019}', '-'];

/// A tracker that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptTracker {
    /// Sixteen decimal digits, made by the store.
    pub id: String,
    /// Unique in the store; case counts.
    pub name: String,
    /// Phrases, each once.
    pub vocabulary: Vec<String>,
}

/// Why trackers were not changed.
#[derive(Debug, thiserror::Error)]
pub enum TrackerError {
    /// What was sent is no tracker.
    #[error("{0}")]
    Invalid(String),
    /// There is another one of this name.
    #[error("A tracker with the name {0:?} already exists.")]
    NameTaken(String),
    /// No more can be kept.
    #[error("At most {MOST_TRACKERS} trackers with {MOST_PHRASES} phrases can be kept.")]
    Full,
    /// There is none with this id.
    #[error("No tracker has this id.")]
    NotFound,
    /// The store failed.
    #[error("The trackers cannot be stored: {0}")]
    Store(String),
}

/// Where trackers are kept, each account's apart. Called for HTTP requests and at
/// the start of streams, on threads that may block.
///
/// What is given has been checked with [`check`].
pub trait TrackerStore: std::fmt::Debug + Send + Sync {
    /// All of them, in the order in which they were made.
    ///
    /// # Errors
    ///
    /// [`TrackerError::Store`] here as in all others.
    fn list(&self, account: &str) -> Result<Vec<KeptTracker>, TrackerError>;

    /// Makes all of them, or none.
    ///
    /// # Errors
    ///
    /// [`TrackerError::NameTaken`] or [`TrackerError::Full`].
    fn create(
        &self,
        account: &str,
        trackers: Vec<Tracker>,
    ) -> Result<Vec<KeptTracker>, TrackerError>;

    /// Puts a tracker in the place of another one.
    ///
    /// # Errors
    ///
    /// [`TrackerError::NotFound`] or [`TrackerError::NameTaken`].
    fn replace(
        &self,
        account: &str,
        id: &str,
        tracker: Tracker,
    ) -> Result<KeptTracker, TrackerError>;

    /// Deletes one.
    ///
    /// # Errors
    ///
    /// [`TrackerError::NotFound`].
    fn delete(&self, account: &str, id: &str) -> Result<(), TrackerError>;
}

/// Whether a tracker can be kept: it has a name and phrases, each once, without
/// marks that nobody says.
///
/// # Errors
///
/// [`TrackerError::Invalid`] with what is wrong.
pub fn check(tracker: &Tracker) -> Result<(), TrackerError> {
    let invalid = |why: String| Err(TrackerError::Invalid(why));
    if tracker.name.trim().is_empty() || tracker.name.len() > LONGEST {
        return invalid(format!("\"name\" must have 1 to {LONGEST} bytes."));
    }
    if tracker.vocabulary.is_empty() {
        return invalid("\"vocabulary\" must have at least one phrase.".to_owned());
    }
    let mut known = HashSet::new();
    for phrase in &tracker.vocabulary {
        if phrase.len() > LONGEST || !phrase.contains(char::is_alphanumeric) {
            return invalid(format!(
                "A phrase must have words, and at most {LONGEST} bytes."
            ));
        }
        let said = |c: char| c.is_alphanumeric() || c.is_whitespace() || MARKS.contains(&c);
        if let Some(mark) = phrase.chars().find(|c| !said(*c)) {
            return invalid(format!(
                "{phrase:?} has {mark:?}: only . ' and - are allowed."
            ));
        }
        if !known.insert(phrase) {
            return invalid(format!("{phrase:?} is in the vocabulary twice."));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracker(name: &str, vocabulary: &[&str]) -> Tracker {
        Tracker {
            name: name.to_owned(),
            vocabulary: vocabulary.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_tracker_has_a_name_and_phrases_that_can_be_said() {
        assert!(
            check(&tracker(
                "Promo",
                &["we have a sale", "it's 10 p.m. on-site"]
            ))
            .is_ok()
        );
        for (name, vocabulary) in [
            ("", &["a"][..]),
            ("x", &[]),
            ("x", &["what?"]),
            ("x", &["a", "a"]),
            ("x", &["-"]),
            ("x", &[&"a".repeat(LONGEST + 1)]),
        ] {
            let result = check(&tracker(name, vocabulary));
            assert!(
                matches!(result, Err(TrackerError::Invalid(_))),
                "{name} {vocabulary:?}"
            );
        }
    }
}
