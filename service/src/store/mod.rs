// SPDX-License-Identifier: MPL-2.0

//! What was said, kept: what the rooms above may ask of a store, in plain types.
//!
//! A store keeps the log of conversations ([`Log`](crate::conversation::log::Log)) and
//! answers the Conversation API from it ([`Records`]). [`sqlite`] is the one that there
//! is; no type of its database leaves it. What every store has to do is tested by the
//! suite in `contract`.
//!
//! Lists may have any length. They are read in pieces ([`Piece`]): whoever has one asks
//! for the next when its client has taken the last, and the store holds nothing between
//! two of them.

pub(crate) mod filter;
pub(crate) mod sqlite;

pub(crate) use filter::Filter;
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a read waits while others read, before it is refused as busy.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Why something is not stored, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the directory.
    #[error("{0} is in use by another service")]
    InUse(PathBuf),
    /// Made by another version.
    #[error("{file} has version {found}; this service knows version {known}")]
    Version {
        /// The database.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The directory or a file in it cannot be used.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: PathBuf,
        /// The system's complaint.
        reason: std::io::Error,
    },
    /// What is written would be gone with the process.
    #[error(
        "{0} was deleted or moved while the service had it open; \
         put it back, or restart the service to begin another"
    )]
    Deleted(PathBuf),
    /// What is written would be gone with the process.
    #[error(
        "{0} is another file than the service has open; \
         put the old one back, or restart the service to use this one"
    )]
    Replaced(PathBuf),
    /// What is written would not be found in it again.
    #[error(
        "{0} was emptied while the service had it open; put a backup in its place and restart the service"
    )]
    Emptied(PathBuf),
    /// What was seen of the database before.
    #[error(
        "{0}; nothing more is written until a backup is in its place and the service is restarted"
    )]
    Damaged(String),
    /// Other reads took all the time.
    #[error("other requests kept the database busy for {} s; ask again later", .0.as_secs_f32())]
    Busy(Duration),
    /// The database's complaint.
    #[error("the database refuses: {0}")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A commit failed with others, or took too long.
    #[error("nothing could be stored: {0}")]
    Commit(String),
}

impl StoreError {
    /// Returns the error for clients: without the directory, which is none of their
    /// business.
    pub(crate) fn reason(&self) -> String {
        let name = |path: &Path| PathBuf::from(path.file_name().unwrap_or_default());
        match self {
            Self::Deleted(path) => Self::Deleted(name(path)).to_string(),
            Self::Replaced(path) => Self::Replaced(name(path)).to_string(),
            Self::Emptied(path) => Self::Emptied(name(path)).to_string(),
            Self::File { path, reason } => format!("{}: {reason}", name(path).display()),
            other => other.to_string(),
        }
    }
}

/// What a store answers, later.
pub(crate) type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// What the Conversation API asks of a store.
///
/// An account finds its own conversations only: to others they are as unknown as those
/// that never were, and the answer is `None`. A read that waits longer than
/// [`LONGEST_WAIT`] is refused with [`StoreError::Busy`]. No method blocks its thread.
pub(crate) trait Records: Send + Sync {
    /// Returns the conversation, with its members.
    fn find(&self, whose: Whose) -> Answer<'_, Option<Value>>;

    /// Lists conversations of an account.
    fn list(&self, account: String, list: List) -> Answer<'_, Piece>;

    /// Returns the members of a conversation.
    fn members(&self, whose: Whose) -> Answer<'_, Option<Value>>;

    /// Lists messages in the order of the log.
    fn messages(&self, whose: Whose, wanted: Wanted) -> Answer<'_, Option<Piece>>;

    /// Lists insights of one kind, or all.
    fn insights(&self, whose: Whose, which: Insights) -> Answer<'_, Option<Piece>>;

    /// Lists topics, the most important first.
    fn topics(&self, whose: Whose) -> Answer<'_, Option<Piece>>;

    /// Lists the trackers that were detected, each with its places.
    fn trackers(&self, whose: Whose) -> Answer<'_, Option<Piece>>;

    /// Lists entities, each with its places.
    fn entities(&self, whose: Whose) -> Answer<'_, Option<Piece>>;

    /// Gives a member another name, another address or both, and appends that to the log.
    /// Returns `false` if the account has no such conversation or it no such member.
    fn rename(&self, whose: Whose, member: String, change: Change) -> Answer<'_, bool>;

    /// Deletes a conversation in parts, so that what is said elsewhere is written in
    /// between. [`purge`](Self::purge) takes its words out of the files.
    fn delete(&self, whose: Whose) -> Answer<'_, Deleted>;

    /// Takes the traces of what was deleted out of the files. Returns `false` if that has
    /// to wait until nobody speaks or another program has read.
    fn purge(&self) -> Answer<'_, bool>;

    /// Finds out whether what is said now is stored.
    fn probe(&self) -> Answer<'_, ()>;
}

/// A conversation, and the account that asks for it.
#[derive(Debug, Clone)]
pub(crate) struct Whose {
    pub(crate) account: String,
    pub(crate) conversation: i64,
    /// What was written in this time before now is not told.
    pub(crate) delay: Duration,
}

/// A part of a list as JSON text: all parts in their order are the text.
pub(crate) struct Piece {
    pub(crate) text: Vec<u8>,
    /// Reads on; `None` behind the last piece.
    pub(crate) rest: Option<Box<dyn Listing>>,
}

/// A list that is being read. It does not keep its store open.
pub(crate) trait Listing: Send {
    /// Reads the next piece. What was deleted meanwhile is left out.
    fn next(self: Box<Self>) -> Answer<'static, Piece>;
}

/// What is new of a member.
#[derive(Debug, Clone, Default)]
pub(crate) struct Change {
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
}

/// What became of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deleted {
    /// The account has no such conversation.
    Unknown,
    /// The conversation is not over; it stays.
    Runs,
    /// Nothing is left of the conversation.
    Whole,
}

/// Which conversations are listed.
#[derive(Debug, Clone)]
pub(crate) struct List {
    pub(crate) limit: u32,
    pub(crate) offset: u32,
    pub(crate) descending: bool,
    pub(crate) sort: Sort,
    pub(crate) filter: Filter,
    /// Begun at this time or later, nanoseconds since the Unix epoch.
    pub(crate) from: i64,
    /// Begun before.
    pub(crate) to: i64,
}

/// By what a list is sorted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sort {
    /// When the service first heard of it.
    Created,
    Start,
    End,
    Name,
}

/// Which insights are asked for, and under which name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Insights {
    All,
    ActionItems,
    Questions,
    FollowUps,
}

/// Which messages of a conversation are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// With their words.
    pub(crate) verbose: bool,
    /// Begun at this time or later, nanoseconds since the Unix epoch.
    pub(crate) from: i64,
    /// Begun before.
    pub(crate) to: i64,
    pub(crate) limit: i64,
    pub(crate) offset: i64,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            verbose: false,
            from: i64::MIN,
            to: i64::MAX,
            limit: i64::MAX,
            offset: 0,
        }
    }
}

#[cfg(test)]
mod contract;
