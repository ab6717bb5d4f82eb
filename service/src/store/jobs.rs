// SPDX-License-Identifier: MPL-2.0

//! The jobs of the Async API, and the webhooks that tell of them, in plain types.
//!
//! A change of a job's status and the webhook that tells of it are one transaction, so a
//! service that is killed between two of them tells of each change once. Times are
//! nanoseconds since the Unix epoch.

use super::Answer;

/// What has become of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// It waits for its turn.
    Scheduled,
    /// It runs, or goes on after a restart.
    InProgress,
    Completed,
    Failed,
    /// Its client has cancelled it, and what it has made is being removed.
    Cancelled,
}

impl Status {
    const ALL: [Self; 5] = [
        Self::Scheduled,
        Self::InProgress,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Returns the word of the API for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns the status of such a word. A word of a later version counts as failed.
    pub(crate) fn of(word: &str) -> Self {
        let found = Self::ALL.into_iter().find(|known| known.as_str() == word);
        found.unwrap_or(Self::Failed)
    }
}

/// A job that was asked for.
#[derive(Debug, Clone)]
pub(crate) struct NewJob {
    /// A UUID.
    pub(crate) id: String,
    pub(crate) account: String,
    pub(crate) target: Target,
    /// JSON, as the jobs have it.
    pub(crate) request: String,
    pub(crate) created: i64,
}

/// The conversation of a job.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    New {
        conversation: i64,
        name: Option<String>,
        /// JSON object.
        metadata: Option<String>,
    },
    /// One that is there, over or not.
    Existing(i64),
}

/// A job as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) account: String,
    pub(crate) conversation: i64,
    pub(crate) status: Status,
    pub(crate) request: String,
    /// Why it failed.
    pub(crate) result: Option<String>,
    /// When its first audio counts as come. `None` before it has begun.
    pub(crate) zero: Option<i64>,
    /// Nanoseconds of audio, or messages.
    pub(crate) progress: i64,
    /// How often it was begun.
    pub(crate) attempt: u64,
    pub(crate) created: i64,
    pub(crate) updated: i64,
}

/// A webhook to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewHook {
    pub(crate) url: String,
    pub(crate) body: String,
}

/// Who gets webhooks: a host, for an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Receiver {
    pub(crate) account: String,
    /// Scheme, host and port, as the address has them, in lower case.
    pub(crate) host: String,
}

impl Receiver {
    /// Returns the receiver of webhooks of an account to this address. The address ends where
    /// its path, query or fragment begins: what follows may be a secret.
    pub(crate) fn of(account: &str, url: &str) -> Self {
        let host = url.find("://").map_or(0, |at| at + 3);
        let path = url.get(host..).and_then(|rest| rest.find(['/', '?', '#']));
        let end = path.map_or(url.len(), |path| host + path);
        Self {
            account: account.to_owned(),
            host: url.get(..end).unwrap_or_default().to_lowercase(),
        }
    }
}

/// Which webhooks may be begun.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Room {
    /// So many at most, so many of them of a receiver, and so many of an account.
    pub(crate) most: usize,
    pub(crate) most_of_receiver: usize,
    pub(crate) most_of_account: usize,
    /// None of these receivers and accounts.
    pub(crate) full: Vec<Receiver>,
    pub(crate) full_accounts: Vec<String>,
}

/// A webhook as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hook {
    /// A UUID: the idempotency key.
    pub(crate) id: String,
    /// The account of the job.
    pub(crate) account: String,
    pub(crate) job: String,
    pub(crate) url: String,
    pub(crate) body: String,
    /// How often it was tried.
    pub(crate) attempts: u32,
    /// When it is tried next. `None` once it was delivered or given up.
    pub(crate) due: Option<i64>,
    /// Why the last attempt failed. `None` if it was delivered, or not tried yet.
    pub(crate) error: Option<String>,
}

/// What became of an attempt to deliver a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempted {
    Delivered,
    /// It is tried again at `due`; without it, never.
    Failed {
        error: String,
        due: Option<i64>,
    },
}

/// What became of a wish to cancel a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// The account has no such job.
    Unknown,
    /// It has ended before.
    Ended(Status),
    Done,
}

/// What is left to remove of a cancelled job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retracted {
    /// The conversation is the job's alone, so all of it is to be deleted.
    Whole,
    /// More of what it has said in its conversation.
    More,
    Nothing,
}

/// What a job works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Text,
    Recording,
}

/// How a job has ended.
#[derive(Debug, Clone)]
pub(crate) struct JobEnd {
    /// Why it failed. `None` if it has completed.
    pub(crate) why: Option<String>,
    /// How far it came.
    pub(crate) progress: i64,
    /// What is kept of its request.
    pub(crate) request: String,
}

/// Keeps the jobs. No method blocks its thread.
pub(crate) trait JobStore: Send + Sync {
    /// Keeps a job, and makes its conversation if that is new. Returns `false` if the account
    /// has no such conversation, and `None` if `most` of its jobs are unfinished already.
    fn create(&self, job: NewJob, most: usize) -> Answer<'_, Option<bool>>;

    /// Returns a job of an account, with its webhooks.
    fn job(&self, account: String, id: String) -> Answer<'_, Option<(Job, Vec<Hook>)>>;

    /// Returns the oldest unfinished job of this kind that is not one of `running`, and whose
    /// conversation is that of none of them and of no older unfinished job.
    fn next(&self, work: Work, running: Vec<String>) -> Answer<'_, Option<Job>>;

    /// Returns the ids of all unfinished jobs.
    fn unfinished(&self) -> Answer<'_, Vec<String>>;

    /// Begins an unfinished job, again if need be, at the time `now`. Returns it as it is then.
    /// `hook` is sent if it was not begun before.
    fn begin(&self, id: String, now: i64, hook: Option<NewHook>) -> Answer<'_, Option<Job>>;

    /// Returns up to where a stream is in the log of a conversation, nanoseconds of its audio.
    fn reached(&self, conversation: i64, stream: String) -> Answer<'_, i64>;

    /// Notes how far a job is.
    fn progress(&self, id: String, progress: i64) -> Answer<'_, ()>;

    /// Ends an unfinished job. Returns `false` if it has ended before.
    fn finish(&self, id: String, end: JobEnd, now: i64, hook: Option<NewHook>) -> Answer<'_, bool>;

    /// Cancels an unfinished job: it is not begun any more, and nothing is kept of its request.
    fn cancel(&self, account: String, id: String, now: i64) -> Answer<'_, Cancelled>;

    /// Returns cancelled jobs of which something is left to remove here.
    fn cancelled(&self) -> Answer<'_, Vec<Job>>;

    /// Removes some of what a cancelled job has said in a conversation that is not its alone,
    /// from the log too.
    fn retract(&self, job: String) -> Answer<'_, Retracted>;

    /// Forgets a cancelled job, with its webhooks.
    fn forget(&self, job: String) -> Answer<'_, ()>;

    /// Returns webhooks that are due at `now` and for which there is room, but none of `busy`,
    /// the longest due first, and when the next one is for which there may be room.
    fn due(&self, now: i64, busy: Vec<String>, room: Room) -> Answer<'_, (Vec<Hook>, Option<i64>)>;

    /// Notes an attempt to deliver a webhook.
    fn attempted(&self, id: String, attempted: Attempted) -> Answer<'_, ()>;

    /// Returns the webhooks of an account that were given up, the newest first.
    fn dead(&self, account: String, limit: usize) -> Answer<'_, Vec<Hook>>;

    /// Lets a webhook that was given up be tried again at `now`. Returns `false` if there is
    /// none.
    fn revive(&self, account: String, id: String, now: i64) -> Answer<'_, bool>;
}
