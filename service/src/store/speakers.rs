// SPDX-License-Identifier: MPL-2.0

//! Changes who said what.

use super::{Answer, Whose};
use crate::conversation::attribution::Turns;
use crate::conversation::entry::{Entry, Speaker};
use std::sync::Arc;

/// Gives messages of a conversation to those who said them.
pub(crate) trait Speakers: Send + Sync {
    /// Gives each message to the user whose turns cover most of its words. Users that are new
    /// become members. What changes is appended to the log, also of a conversation that is
    /// over. Sent again, the same turns change nothing.
    fn attribute(&self, whose: Whose, attribution: Attribute) -> Answer<'_, Attributed>;
}

/// Who spoke when, and which messages are looked at.
#[derive(Debug, Clone)]
pub(crate) struct Attribute {
    pub(crate) turns: Turns,
    /// When the audio of the turns began, nanoseconds since the Unix epoch. `None` stands for
    /// the start of the conversation.
    pub(crate) zero: Option<i64>,
    /// Only messages that end after this time are looked at, nanoseconds since the Unix epoch.
    pub(crate) since: i64,
    /// The speaker of the audio: only messages of it and of the users are looked at, and it
    /// gets those in which no user spoke. `None` looks at all, and leaves those as they are.
    pub(crate) instead_of: Option<Speaker>,
    /// Most members of the conversation.
    pub(crate) most: usize,
}

/// What became of an attribution.
#[derive(Debug)]
pub(crate) enum Attributed {
    /// The account has no such conversation.
    Unknown,
    /// The conversation would have too many members.
    TooMany,
    Done {
        /// The users as members.
        speakers: Vec<Speaker>,
        /// The new entries.
        entries: Vec<Arc<Entry>>,
    },
}
