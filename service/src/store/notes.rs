// SPDX-License-Identifier: MPL-2.0

//! What clients add to conversations: the traits of a store, in plain types.
//!
//! As in [`Records`](super::Records), an account finds only its own conversations, and the
//! answer for all other ids is that nothing is known.

use super::bookmarks::Bookmarks;
use super::groups::Groups;
use super::search::Search;
use super::speakers::Speakers;
use super::{Answer, Whose};
use serde_json::{Map, Value};

/// All that clients add to conversations and find in them.
pub(crate) trait Notes: Labels + Bookmarks + Groups + Search + Speakers {}

impl<T: Labels + Bookmarks + Groups + Search + Speakers> Notes for T {}

/// Most members of the metadata of a conversation.
pub(crate) const MOST_LABELS: usize = 64;

/// Changes what clients say about a whole conversation.
pub(crate) trait Labels: Send + Sync {
    /// Changes the name, the metadata or how long the conversation is kept.
    fn label(&self, whose: Whose, labels: Labelling) -> Answer<'_, Labelled>;
}

/// A change of a conversation. `None` leaves a part as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Labelling {
    /// The name, or `Some(None)` to remove it.
    pub(crate) name: Option<Option<String>>,
    pub(crate) metadata: Option<Metadata>,
    /// Seconds after its end for which the conversation is kept, or `Some(None)` to keep it
    /// as long as the service keeps all others.
    pub(crate) retain: Option<Option<i64>>,
}

/// A change of the metadata.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Metadata {
    /// These are all members.
    Replace(Map<String, Value>),
    /// These members are set, and those that are `null` removed. The others stay.
    Merge(Map<String, Value>),
}

/// What became of a change of a conversation.
#[derive(Debug, PartialEq)]
pub(crate) enum Labelled {
    /// The account has no such conversation.
    Unknown,
    /// The metadata would have more than [`MOST_LABELS`] members.
    TooMany,
    /// The conversation as it is now.
    Done(Value),
}

impl Metadata {
    /// Returns the metadata after this change of `now`.
    pub(crate) fn applied(self, mut now: Map<String, Value>) -> Map<String, Value> {
        match self {
            Self::Replace(members) => members,
            Self::Merge(members) => {
                for (name, value) in members {
                    match value {
                        Value::Null => drop(now.remove(&name)),
                        value => drop(now.insert(name, value)),
                    }
                }
                now
            }
        }
    }
}
