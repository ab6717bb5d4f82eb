// SPDX-License-Identifier: MPL-2.0

//! Keeps conversations: the traits of a store, in plain types.
//!
//! A store keeps the logs of conversations ([`Log`](crate::conversation::log::Log)) and
//! answers the Conversation API from them ([`Records`]). [`sqlite`] is the only store, and
//! no type of its database leaves it. The suite in `contract` tests what every store has to
//! do.
//!
//! A list may have any length. It is read in pieces ([`Piece`]): the door reads the next
//! piece when its client has taken the last one, and the store holds nothing in between.

pub(crate) mod bookmarks;
pub(crate) mod filter;
pub(crate) mod groups;
pub(crate) mod jobs;
pub(crate) mod notes;
#[cfg(feature = "cluster")]
pub(crate) mod postgres;
#[cfg(feature = "cluster")]
pub(crate) mod redis;
pub(crate) mod retention;
pub(crate) mod search;
pub(crate) mod speakers;
pub(crate) mod sqlite;

use crate::clock::{nanos, steady};
use crate::conversation::entry::Entry;
use crate::conversation::log::Log;
use crate::metrics::{ClusterCounts, Counts};
use crate::trackers::TrackerStore;
pub(crate) use filter::Filter;
use futures_util::future::BoxFuture;
use jobs::JobStore;
use notes::Notes;
use retention::Retention;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a read waits for other reads, before it is refused as busy.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Why the store could not write or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the directory.
    #[error("{0} is in use by another service")]
    InUse(PathBuf),
    /// A newer version made the database.
    #[error("{file} has version {found}; this service knows version {known}")]
    Version {
        /// The database.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// The version of this service.
        known: i64,
    },
    /// The directory or a file in it cannot be used.
    #[error("{path}: {reason}")]
    File {
        /// The directory or the file.
        path: PathBuf,
        /// The system's complaint.
        reason: std::io::Error,
    },
    /// The file was deleted. What is written to it would be gone with the process.
    #[error(
        "{0} was deleted or moved while the service had it open; \
         put it back, or restart the service to begin another"
    )]
    Deleted(PathBuf),
    /// The file was replaced. What is written to the old one would be gone with the
    /// process.
    #[error(
        "{0} is another file than the service has open; \
         put the old one back, or restart the service to use this one"
    )]
    Replaced(PathBuf),
    /// The file was emptied. What is written to it would not be found again.
    #[error(
        "{0} was emptied while the service had it open; put a backup in its place and restart the service"
    )]
    Emptied(PathBuf),
    /// The database is damaged.
    #[error(
        "{0}; nothing more is written until a backup is in its place and the service is restarted"
    )]
    Damaged(String),
    /// Other reads took too long.
    #[error("other requests kept the database busy for {} s; ask again later", .0.as_secs_f32())]
    Busy(Duration),
    /// The database has returned an error.
    #[error("the database refuses: {0}")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database of the cluster cannot be used.
    #[error("{0}")]
    Cluster(String),
    /// A commit failed with others, or took too long.
    #[error("nothing could be stored: {0}")]
    Commit(String),
}

impl StoreError {
    /// Returns the error for clients, without the directory, which they must not learn.
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

/// The answer of a store, as a future.
pub(crate) type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// What the Conversation API asks of a store.
///
/// An account finds only its own conversations. The answer for all other ids is `None`. A
/// read that waits longer than [`LONGEST_WAIT`] is refused with [`StoreError::Busy`]. No
/// method blocks its thread.
pub(crate) trait Records: Send + Sync {
    /// Returns the conversation, with its members.
    fn find(&self, whose: Whose) -> Answer<'_, Option<Value>>;

    /// Lists conversations of an account.
    fn list(&self, account: String, list: List) -> Answer<'_, Piece>;

    /// Returns the members of a conversation.
    fn members(&self, whose: Whose) -> Answer<'_, Option<Value>>;

    /// Lists messages in the order of the log, each with the text of its last correction.
    fn messages(&self, whose: Whose, wanted: Wanted) -> Answer<'_, Option<Piece>>;

    /// Reads what was said, in the order of the log, with the times of the words. A message
    /// has the text of its last correction.
    fn transcript(&self, whose: Whose) -> Answer<'_, Option<Transcript>>;

    /// Lists insights of one kind, or all.
    fn insights(&self, whose: Whose, which: Insights) -> Answer<'_, Option<Piece>>;

    /// Lists topics, the most important first.
    fn topics(&self, whose: Whose, about: About) -> Answer<'_, Option<Piece>>;

    /// Lists action items, each with the messages before it that it refers to.
    fn comprehensive(&self, whose: Whose) -> Answer<'_, Option<Piece>>;

    /// Returns the topics that are a part of no other, with their messages and those of their
    /// parts.
    fn abstract_topics(&self, whose: Whose) -> Answer<'_, Option<Value>>;

    /// Lists the trackers that were detected, each with its places.
    fn trackers(&self, whose: Whose) -> Answer<'_, Option<Piece>>;

    /// Lists entities, each with its places.
    fn entities(&self, whose: Whose) -> Answer<'_, Option<Piece>>;

    /// Gives a member another name, another address or both, and appends that to the log, also
    /// of a conversation that is over. Returns the entry, or `None` if the account has no such
    /// conversation, or it has no such member.
    fn rename(
        &self,
        whose: Whose,
        member: String,
        change: Change,
    ) -> Answer<'_, Option<Arc<Entry>>>;

    /// Deletes a conversation in parts, so that entries of other conversations are written
    /// in between. [`purge`](Self::purge) removes its words from the files.
    fn delete(&self, whose: Whose) -> Answer<'_, Deleted>;

    /// Removes the traces of deleted words from the files. Returns `false` if that has to
    /// wait until no speaker is active, or until another program has read.
    fn purge(&self) -> Answer<'_, bool>;

    /// Checks that new entries can be stored.
    fn probe(&self) -> Answer<'_, ()>;

    /// Returns what is wrong with the clock of this machine, if something is.
    fn clock(&self) -> Option<String> {
        None
    }
}

/// A store: everything that the service asks of one.
pub(crate) trait Store: Log + Records + TrackerStore + Notes + JobStore + Retention {
    /// Returns what the store counts.
    fn counts(&self) -> Counts;

    /// Returns what a node of a cluster counts besides.
    fn cluster_counts(&self) -> Option<ClusterCounts> {
        None
    }

    /// Returns the key that tokens are signed with. It is always the same. Blocks.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn key(&self) -> Result<Vec<u8>, StoreError>;

    /// Waits until everything is stored that was given to the store. Returns `false` if a
    /// copy of its file alone would not be whole.
    fn settle(&self) -> Answer<'_, bool>;
}

/// A conversation, and the account that asks for it.
#[derive(Debug, Clone)]
pub(crate) struct Whose {
    pub(crate) account: String,
    pub(crate) conversation: i64,
    /// Entries of the last `delay` are left out.
    pub(crate) delay: Duration,
}

impl Whose {
    /// Returns the time up to which entries may be read, nanoseconds since the Unix epoch.
    pub(crate) fn until(&self) -> i64 {
        match self.delay.is_zero() {
            true => i64::MAX,
            false => steady().saturating_sub(nanos(self.delay)),
        }
    }
}

/// A part of a list as JSON text. All parts in their order are the whole text.
pub(crate) struct Piece {
    pub(crate) text: Vec<u8>,
    /// Reads the next piece. `None` after the last one.
    pub(crate) rest: Option<Box<dyn Listing>>,
}

/// A list that is being read. It does not keep its store open.
pub(crate) trait Listing: Send {
    /// Reads the next piece, without items that were deleted meanwhile.
    fn next(self: Box<Self>) -> Answer<'static, Piece>;
}

/// A conversation for those who read it: what is known of it, and what was said.
pub(crate) struct Transcript {
    /// The title of the meeting, if it has one.
    pub(crate) title: Option<String>,
    /// When the first audio came, nanoseconds since the Unix epoch.
    pub(crate) start: i64,
    pub(crate) first: Spoken,
}

/// A part of what was said.
pub(crate) struct Spoken {
    pub(crate) sentences: Vec<Sentence>,
    /// Reads the next part. `None` after the last one.
    pub(crate) rest: Option<Box<dyn Speaking>>,
}

/// What was said and is being read. It does not keep its store open.
pub(crate) trait Speaking: Send {
    /// Reads the next part, without messages that were deleted meanwhile.
    fn next(self: Box<Self>) -> Answer<'static, Spoken>;
}

/// A message and its words. All times are nanoseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sentence {
    /// The id of the message.
    pub(crate) id: i64,
    /// The last correction, or what was said.
    pub(crate) text: String,
    /// What was said, if it was corrected.
    pub(crate) original: Option<String>,
    /// The speaker's name, or the `userId` of a speaker without one.
    pub(crate) speaker: Option<String>,
    /// The id of the speaker's member.
    pub(crate) member: String,
    pub(crate) start: i64,
    pub(crate) stop: i64,
    /// When it was written.
    pub(crate) stored: i64,
    /// `true` if the client asked for the actionable parts of its messages.
    pub(crate) phrases: bool,
    /// `true` if it has an action item or a follow-up.
    pub(crate) task: bool,
    /// Each word with its start and its end.
    pub(crate) words: Vec<(String, i64, i64)>,
}

/// A change of a member.
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
    /// The conversation is not over, so it is not deleted.
    Runs,
    /// The conversation is deleted.
    Whole,
}

/// Which conversations are listed.
#[derive(Debug, Clone)]
pub(crate) struct List {
    pub(crate) limit: u32,
    pub(crate) offset: u32,
    pub(crate) descending: bool,
    /// The first of these decides, the next ones where it is the same.
    pub(crate) sort: Vec<Sort>,
    pub(crate) filter: Filter,
    /// Earliest start, in nanoseconds since the Unix epoch.
    pub(crate) from: i64,
    /// The start must be before this.
    pub(crate) to: i64,
}

/// What is told of topics besides themselves.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct About {
    /// `true` to give each its sentiment.
    pub(crate) sentiment: bool,
    /// `true` to give each its parent.
    pub(crate) parents: bool,
}

/// The order of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sort {
    /// By the first start request.
    Created,
    Start,
    End,
    Name,
}

/// Which insights are read, and under which name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Insights {
    All,
    ActionItems,
    Questions,
    FollowUps,
}

/// Which messages of a conversation are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// `true` to read their words too.
    pub(crate) verbose: bool,
    /// `true` to give each its sentiment.
    pub(crate) sentiment: bool,
    /// Earliest start, in nanoseconds since the Unix epoch.
    pub(crate) from: i64,
    /// The start must be before this.
    pub(crate) to: i64,
    pub(crate) limit: i64,
    pub(crate) offset: i64,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            verbose: false,
            sentiment: false,
            from: i64::MIN,
            to: i64::MAX,
            limit: i64::MAX,
            offset: 0,
        }
    }
}

#[cfg(test)]
mod contract;
