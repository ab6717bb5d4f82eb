// SPDX-License-Identifier: MPL-2.0

//! The trait of the store that keeps the logs of conversations.
//!
//! The log numbers entries, and only the log decides if it takes an entry: see [`Verdict`].
//! An entry is durable before a socket is sent it.

use super::entry::{Entry, Sent, Speaker, Transcribed};
use super::registry::Registry;
use std::fmt;
use std::sync::Arc;
use symbl_log::fence::Refusal;

/// Why the log could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct LogError(pub(crate) String);

/// Takes the entries of a commit, in order, as soon as they are durable.
pub(crate) type Committed = Box<dyn FnOnce(&[Arc<Entry>]) + Send>;

/// What became of a final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The final is the entry with this number.
    Stored(u64),
    /// All its words are in the log: the client sent that audio again.
    Already,
    /// Its stream goes on with another start request.
    Superseded,
    /// The conversation is over.
    Over,
}

impl From<Refusal> for Verdict {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Over => Self::Over,
            Refusal::Superseded => Self::Superseded,
            Refusal::Already => Self::Already,
        }
    }
}

/// What became of a text that a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    /// The text is the entry with this number.
    Stored(u64),
    /// The entry with this number has the same client id and the same text: it was sent
    /// again.
    Already(u64),
    /// The client id is that of another text.
    Taken,
    /// The conversation is over.
    Over,
    /// The conversation has no message with the id that is to be corrected.
    NoSuchMessage,
}

/// A conversation, over or not, that was found by its session id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionRecord {
    pub(crate) conversation: i64,
    pub(crate) connection_id: String,
    /// When it began and when it was over, nanoseconds since the Unix epoch.
    pub(crate) opened: i64,
    pub(crate) over: Option<i64>,
    /// The number of its last entry.
    pub(crate) head: u64,
}

/// A start request, in a conversation that may be new, or the beginning of a conversation
/// without a speaker.
#[derive(Debug, Clone)]
pub(crate) struct StartRecord {
    pub(crate) conversation: i64,
    pub(crate) account: String,
    pub(crate) connection_id: String,
    /// The session id of the conversation, if it is new.
    pub(crate) session: String,
    pub(crate) title: Option<String>,
    /// Nanoseconds since the Unix epoch.
    pub(crate) at: i64,
    /// `noConnectionTimeout`, seconds. Without a speaker, how long it waits for one after a
    /// restart.
    pub(crate) keep: i64,
    /// `None` in a conversation that waits for its first speaker until `ends`.
    pub(crate) speaker: Option<Speaker>,
    /// When it is over unless a speaker joins, nanoseconds since the Unix epoch.
    pub(crate) ends: Option<i64>,
    /// Where the audio begins in its stream, if the client names its streams.
    pub(crate) stream_position: Option<StreamPosition>,
}

/// Where the audio of a start request begins in its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamPosition {
    /// The id of the stream, made by the client.
    pub(crate) stream: String,
    /// The number of the start request of that stream: 1, 2, 3 …
    pub(crate) attempt: u64,
    /// Nanoseconds of audio of the stream before this start request.
    pub(crate) position: u64,
}

/// What became of a start request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Begun {
    /// It is in the log.
    Here {
        /// Position in the stream, in nanoseconds, up to which its words are in the log.
        said_until: u64,
        /// The entries behind the position at which the audio begins now. The client may
        /// not have received them.
        unheard: Vec<Arc<Entry>>,
    },
    /// A later start request of the same stream is in the log.
    Superseded,
}

/// A conversation that is not over.
#[derive(Debug)]
pub(crate) struct OpenConversation {
    pub(crate) id: i64,
    pub(crate) account: String,
    pub(crate) connection_id: String,
    pub(crate) session: String,
    /// When it began, nanoseconds since the Unix epoch.
    pub(crate) opened: i64,
    /// When its first audio came, nanoseconds since the Unix epoch.
    pub(crate) zero: Option<i64>,
    /// The number of its last entry.
    pub(crate) head: u64,
    /// Seconds.
    pub(crate) keep: i64,
    /// Nanoseconds since the Unix epoch.
    pub(crate) ends: i64,
    /// When something of it was written last, likewise.
    pub(crate) latest: Option<i64>,
    pub(crate) members: Vec<Speaker>,
}

/// Keeps the logs of all conversations. Calls block, unless they say otherwise.
pub(crate) trait Log: fmt::Debug + Send + Sync {
    /// Returns what other nodes know of the conversations, if there may be others. Does not
    /// block.
    fn registry(&self) -> Option<&dyn Registry> {
        None
    }

    /// Begins a stream, or a conversation without a speaker.
    ///
    /// # Errors
    ///
    /// Nothing was stored.
    fn begin(&self, start: StartRecord, committed: Committed) -> Result<Begun, LogError>;

    /// Appends a final, with its number and the conversation's zero filled in.
    ///
    /// # Errors
    ///
    /// The final may be stored or not. The next start request of its stream shows it.
    fn append(
        &self,
        conversation: i64,
        said: Transcribed,
        committed: Committed,
    ) -> Result<Verdict, LogError>;

    /// Appends a text that a client sent. If the conversation has no speakers, it is over
    /// at `ends` at the earliest.
    ///
    /// # Errors
    ///
    /// The text may be stored or not. Sent again, it is stored once.
    fn send(
        &self,
        conversation: i64,
        sent: Sent,
        ends: Option<i64>,
        committed: Committed,
    ) -> Result<Sending, LogError>;

    /// Returns the conversation of the account with this session id, if there is one.
    ///
    /// # Errors
    ///
    /// The log cannot be read.
    fn session(&self, account: &str, session: &str) -> Result<Option<SessionRecord>, LogError>;

    /// Returns entries with greater numbers than `after`, in order, at most `limit`.
    /// Entries of unknown kinds are left out.
    ///
    /// # Errors
    ///
    /// The log cannot be read.
    fn read(
        &self,
        conversation: i64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>, LogError>;

    /// Returns the number of the entry of the final with this `sequenceNumber`, or of the
    /// last one before it; 0 if there is none.
    ///
    /// # Errors
    ///
    /// The log cannot be read.
    fn entry_of(&self, conversation: i64, number: i64) -> Result<u64, LogError>;

    /// Records how many seconds the conversation would wait for its speakers from now on.
    /// Does not block.
    fn keep(&self, conversation: i64, keep: i64);

    /// Appends that the last speaker's socket is gone, and when the conversation will be
    /// over. Does not block.
    fn close(&self, conversation: i64, ends: i64);

    /// Appends that those speakers have left who are not `here`, each once. `committed` is
    /// also called if there is none, and dropped if the log cannot be written. Does not
    /// block.
    fn left(&self, conversation: i64, here: Vec<String>, committed: Committed);

    /// Appends that all speakers have left and that the conversation is over. `committed` is
    /// called as by [`left`](Self::left). Does not block.
    fn finish(&self, conversation: i64, at: i64, committed: Committed);

    /// Takes up a conversation again, over or not, so that more can be appended. If the
    /// service ends, it waits for its speakers until `ends`. Returns `None` if there is no
    /// such conversation.
    ///
    /// # Errors
    ///
    /// The log cannot be written.
    fn reopen(&self, conversation: i64, ends: i64) -> Result<Option<OpenConversation>, LogError>;

    /// Returns the conversations that are not over, and ends those whose time has passed.
    ///
    /// # Errors
    ///
    /// The log cannot be read.
    fn still_open(&self) -> Result<Vec<OpenConversation>, LogError>;
}
