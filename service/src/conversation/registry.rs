// SPDX-License-Identifier: MPL-2.0

//! What the nodes of a cluster know of each other's conversations. A service that is alone
//! has no registry.
//!
//! No node owns a conversation. Each node has its own sockets in it, and the log tells all
//! nodes what happens.

// Without the feature there is no registry.
#![cfg_attr(not(feature = "cluster"), allow(dead_code))]

use super::bus::Bus;
use super::entry::Entry;
use super::hub::ConversationKey;
use super::log::{Committed, LogError, OpenConversation};
use super::quota::Claim;
use futures_util::future::BoxFuture;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// An answer that is to come. The question is asked whether the answer is waited for or not.
pub(crate) type Pending<T> = BoxFuture<'static, Result<T, LogError>>;

/// A connection id for which a node looks for a conversation.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) account: String,
    pub(crate) connection_id: String,
    /// `None` to look only. Else this node gets a seat, so that the conversation does not
    /// end, and where none goes on, this one is that conversation from now on.
    pub(crate) new: Option<New>,
    /// The conversation that the node knows by this connection id. If it goes on, no more of it
    /// is read.
    pub(crate) here: Option<i64>,
}

/// A conversation that may begin.
#[derive(Debug, Clone)]
pub(crate) struct New {
    pub(crate) conversation: i64,
    pub(crate) session: String,
    /// `true` to begin it whatever goes on.
    pub(crate) anew: bool,
    /// `true` to join one of which all sockets are being closed.
    pub(crate) regardless: bool,
}

/// What was found.
#[derive(Debug)]
pub(crate) enum Joined {
    /// None goes on.
    None,
    /// The new one is the conversation from now on.
    New,
    /// One goes on, and all its sockets are being closed: it depends on their clients whether it
    /// is over. This node has no seat for it.
    Closing,
    /// The one that the node knows goes on.
    Here,
    /// This one goes on.
    Known(Box<Known>),
}

/// A conversation that goes on.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) open: OpenConversation,
    /// `true` if no node has a speaker in it: then it is over at [`OpenConversation::ends`].
    pub(crate) waits: bool,
}

/// A conversation in which this node has a seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seated {
    pub(crate) conversation: i64,
    /// The connection ids that lead to it: its own, and those of its jobs.
    pub(crate) keys: Vec<ConversationKey>,
}

/// How far the log of a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) conversation: i64,
    pub(crate) head: u64,
    /// When it was over, nanoseconds since the Unix epoch.
    pub(crate) over: Option<i64>,
}

/// What a node remembers of a conversation.
#[derive(Debug)]
pub(crate) struct Remembered {
    pub(crate) conversation: i64,
    pub(crate) account: String,
    pub(crate) connection_id: String,
    pub(crate) session: String,
    /// How many seconds it would wait for its speakers.
    pub(crate) keep: i64,
    /// This node has speakers in it.
    pub(crate) has_speakers: bool,
    /// The number of the last entry that was sent to the sockets.
    pub(crate) told: u64,
    /// The last entries, without a hole.
    pub(crate) entries: Vec<Arc<Entry>>,
}

impl Remembered {
    /// Returns the number of the last entry that is known.
    pub(crate) fn last(&self) -> u64 {
        let last = self.entries.last().map_or(0, |entry| entry.seq);
        last.max(self.told)
    }
}

/// Remembers the last entries of conversations that this node serves. Calls do not block for
/// long, and do not ask the log.
pub(crate) trait Memory: fmt::Debug + Send + Sync {
    /// Returns what is remembered of each conversation.
    fn remembered(&self) -> Vec<Remembered>;

    /// Forgets the entries of a conversation after this number, because the log has others.
    fn forget_after(&self, conversation: i64, head: u64);
}

/// Knows which conversations go on. Calls block, unless they say otherwise.
pub(crate) trait Registry: fmt::Debug + Send + Sync {
    /// Looks for the conversation of a connection id. It takes effect after all calls before it
    /// that are about the same one, also after those that do not block. Does not block, because after the end of a
    /// node all its speakers join others at once.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    fn join(&self, wanted: Wanted) -> Pending<Joined>;

    /// Returns how far the logs of these conversations are. Those that are deleted are
    /// left out.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    fn heads(&self, conversations: Vec<i64>) -> Result<Vec<Head>, LogError>;

    /// Appends that the conversation is over, unless another node has a speaker in it or it
    /// waits for one: then `committed` gets no entry. Does not block.
    fn end(&self, conversation: i64, at: i64, committed: Committed);

    /// Notes that all that this node has in a conversation are sockets that are being closed, and
    /// how long that takes at most. A seat for a speaker ends that. Does not block.
    fn closes(&self, conversation: i64, longest: Duration);

    /// Returns conversations other than those in `used` in which this node has a seat: a hundred
    /// at most.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    fn seats_but(&self, used: Vec<i64>) -> Result<Vec<Seated>, LogError>;

    /// Gives up the seat of this node in a conversation. If no other node has one there, that ends
    /// when it would have ended without this seat. It takes effect before all joins that are asked
    /// after it. Does not block.
    fn vacate(&self, conversation: i64, at: i64);

    /// Counts a socket for its account. Returns `false` if the nodes that live have all
    /// sockets that the account may have. Does not block.
    ///
    /// # Errors
    ///
    /// The database does not answer. The socket may be counted.
    fn claim(&self, claim: Claim) -> Pending<bool>;

    /// Counts a socket no more. Does not block.
    fn free(&self, id: String);

    /// Takes what knows the last entries of conversations, for a log that may lose them. Only the
    /// first call has an effect.
    fn remember_by(&self, memory: Weak<dyn Memory>);

    /// Returns how often this node was declared gone. What it held before the last time is
    /// lost: its seats, and what its streams say. Does not block.
    fn times_gone(&self) -> u64;

    /// Returns what tells other nodes at once what happens. It may lose anything, so the
    /// logs have to be looked at without it too.
    fn bus(&self) -> &dyn Bus;
}
