// SPDX-License-Identifier: MPL-2.0

//! Keeps bookmarks: labelled parts of conversations.

use super::{Answer, Piece, Sentence, Whose};
use serde_json::{Map, Value};

/// Most bookmarks of a conversation.
pub(crate) const MOST_BOOKMARKS: usize = 1000;

/// Most messages of a bookmark that are read, and that a client may name.
pub(crate) const MOST_MARKED: usize = 1000;

/// What a client says about a bookmark.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mark {
    pub(crate) label: String,
    pub(crate) description: String,
    /// `name`, `userId` and `email`, as far as they are given.
    pub(crate) user: Map<String, Value>,
    pub(crate) extent: Extent,
}

/// Which messages a bookmark has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All messages of which a part lies in this time. In nanoseconds; `begin` counts from
    /// the start of the conversation.
    Time { begin: i64, duration: i64 },
    /// The messages with these ids.
    Messages(Vec<i64>),
}

/// What became of a change of bookmarks.
#[derive(Debug, PartialEq)]
pub(crate) enum Marked<T> {
    /// The account has no such conversation.
    NoConversation,
    /// The conversation has no such bookmark.
    NoBookmark,
    /// The conversation has no message with this id.
    NoMessage(i64),
    /// The conversation would have more than [`MOST_BOOKMARKS`].
    Full,
    Done(T),
}

/// The messages of a bookmark.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Passage {
    /// The id of the bookmark.
    pub(crate) id: i64,
    /// The first [`MOST_MARKED`] of its messages, in the order of their times, without their
    /// words.
    pub(crate) sentences: Vec<Sentence>,
}

/// Keeps the bookmarks of all conversations.
pub(crate) trait Bookmarks: Send + Sync {
    /// Creates bookmarks: all of them or none. Returns them as the API shows them.
    fn create_bookmarks(&self, whose: Whose, marks: Vec<Mark>) -> Answer<'_, Marked<Vec<Value>>>;

    /// Replaces all that was said about a bookmark. Returns it as it is now.
    fn replace_bookmark(&self, whose: Whose, id: i64, mark: Mark) -> Answer<'_, Marked<Value>>;

    /// Deletes a bookmark. Returns it as it was.
    fn delete_bookmark(&self, whose: Whose, id: i64) -> Answer<'_, Marked<Value>>;

    /// Returns a bookmark.
    fn bookmark(&self, whose: Whose, id: i64) -> Answer<'_, Marked<Value>>;

    /// Lists the bookmarks of a conversation in the order of their begins.
    fn bookmarks(&self, whose: Whose) -> Answer<'_, Option<Piece>>;

    /// Returns the ids of the bookmarks in that order.
    fn bookmark_ids(&self, whose: Whose) -> Answer<'_, Option<Vec<i64>>>;

    /// Returns the messages of a bookmark.
    fn passage(&self, whose: Whose, id: i64) -> Answer<'_, Marked<Passage>>;
}
