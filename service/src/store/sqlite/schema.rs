// SPDX-License-Identifier: MPL-2.0

//! The tables, and the settings that make them durable.
//!
//! Times are nanoseconds since the Unix epoch, and waits are seconds. The ids that the
//! Conversation API shows are those of the rows: random numbers of sixteen digits.

use super::{migrate, search};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

/// The `PRAGMA user_version` of a database of this version.
pub(in crate::store) const VERSION: i64 = 5;

const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE conversation (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    connection TEXT NOT NULL,
    name TEXT,
    created INTEGER NOT NULL,
    zero INTEGER,               -- first audio
    first INTEGER,              -- start of the first sentence
    sequence INTEGER NOT NULL DEFAULT 0,
    keep INTEGER NOT NULL,      -- noConnectionTimeout
    ends INTEGER,               -- nobody is there: when it is over
    ended INTEGER               -- when it was over
);
CREATE INDEX conversation_of ON conversation (account, created);
CREATE INDEX conversation_open ON conversation (ended) WHERE ended IS NULL;
CREATE TABLE member (
    conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
    id TEXT NOT NULL,
    user_id TEXT,
    name TEXT,
    PRIMARY KEY (conversation, id)
) WITHOUT ROWID;
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
    live TEXT NOT NULL,         -- the id that the sockets were told
    speaker TEXT NOT NULL,
    text TEXT NOT NULL,
    start INTEGER NOT NULL,
    stop INTEGER NOT NULL,
    words TEXT NOT NULL,        -- JSON: [[word, start, stop], ...]
    confidence REAL NOT NULL
);
CREATE INDEX message_of ON message (conversation, start);
CREATE INDEX message_live ON message (conversation, live);
CREATE TABLE insight (
    id INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
    message INTEGER NOT NULL REFERENCES message ON DELETE CASCADE,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    score REAL NOT NULL,
    by_speaker INTEGER NOT NULL, -- whether the speaker is to act
    assignee TEXT,               -- or whoever is named
    due TEXT
);
CREATE INDEX insight_of ON insight (conversation);
CREATE INDEX insight_in ON insight (message);
CREATE TABLE topic (
    id INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
    text TEXT NOT NULL,
    score REAL NOT NULL,
    messages TEXT NOT NULL,     -- JSON: live ids
    UNIQUE (conversation, text)
);
CREATE TABLE tracker (
    id INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
    name TEXT NOT NULL,
    UNIQUE (conversation, name)
);
CREATE TABLE tracker_match (
    tracker INTEGER NOT NULL REFERENCES tracker ON DELETE CASCADE,
    message INTEGER NOT NULL REFERENCES message ON DELETE CASCADE,
    value TEXT NOT NULL,
    offset INTEGER NOT NULL
);
CREATE INDEX tracker_match_of ON tracker_match (tracker);
CREATE INDEX tracker_match_in ON tracker_match (message);
CREATE TABLE entity (
    id INTEGER PRIMARY KEY,
    message INTEGER NOT NULL REFERENCES message ON DELETE CASCADE,
    type TEXT NOT NULL,
    value TEXT NOT NULL,
    text TEXT NOT NULL,
    offset INTEGER NOT NULL
);
CREATE INDEX entity_in ON entity (message);
";

/// What version 2 has and version 1 had not.
const SINCE_2: &str = "
ALTER TABLE message ADD COLUMN stored INTEGER NOT NULL DEFAULT 0; -- when it was written
CREATE TABLE kept_tracker (
    made INTEGER PRIMARY KEY,   -- their order
    id INTEGER NOT NULL UNIQUE,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    vocabulary TEXT NOT NULL,   -- JSON: phrases
    UNIQUE (account, name)
);
";

/// What version 3 has and version 2 had not: the numbered log of each conversation.
const SINCE_3: &str = "
ALTER TABLE conversation ADD COLUMN head INTEGER NOT NULL DEFAULT 0; -- its last entry
CREATE TABLE entry (
    conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
    seq INTEGER NOT NULL,       -- 1, 2, 3 … without a hole
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    number INTEGER,             -- of a final: sequenceNumber
    client TEXT,                -- the id that a client gave it
    stream TEXT,                -- of a final: the stream that it is a part of
    until INTEGER,              -- and where that part ends, nanoseconds of audio
    body TEXT NOT NULL,         -- JSON
    PRIMARY KEY (conversation, seq)
);
CREATE UNIQUE INDEX entry_number ON entry (conversation, number) WHERE number IS NOT NULL;
CREATE UNIQUE INDEX entry_client ON entry (conversation, client) WHERE client IS NOT NULL;
CREATE INDEX entry_stream ON entry (conversation, stream, until) WHERE stream IS NOT NULL;
CREATE TABLE stream (
    conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
    id TEXT NOT NULL,
    attempt INTEGER NOT NULL,   -- its latest start request
    member TEXT NOT NULL,
    begun INTEGER NOT NULL,     -- up to where it was said before that, nanoseconds of audio
    said_until INTEGER NOT NULL, -- and up to where it is said now
    PRIMARY KEY (conversation, id)
) WITHOUT ROWID;
";

/// What version 4 has and version 3 had not: ids under which clients of sessions know
/// conversations. Those that are there get random UUIDs.
const SINCE_4: &str = "
ALTER TABLE conversation ADD COLUMN session TEXT NOT NULL DEFAULT '';
UPDATE conversation SET session = lower(hex(randomblob(4)) || '-' || hex(randomblob(2))
    || '-4' || substr(hex(randomblob(2)), 2) || '-a' || substr(hex(randomblob(2)), 2)
    || '-' || hex(randomblob(6)));
CREATE UNIQUE INDEX conversation_session ON conversation (session);
";

/// What version 5 has and version 4 had not: what clients add to a conversation, groups of
/// conversations, and jobs of the Async API. The index of words ([`search::TABLES`]) is of
/// this version too.
const SINCE_5: &str = "
ALTER TABLE message ADD COLUMN phrases INTEGER NOT NULL DEFAULT 0; -- 1: detectPhrases was set
ALTER TABLE conversation ADD COLUMN metadata TEXT; -- JSON object
ALTER TABLE conversation ADD COLUMN retain INTEGER; -- seconds after its end; NULL: as --keep says
CREATE TABLE bookmark (
    id INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
    label TEXT NOT NULL,
    description TEXT NOT NULL,
    user TEXT NOT NULL,         -- JSON: name, userId, email
    begin INTEGER NOT NULL,     -- from the first audio of the conversation
    duration INTEGER NOT NULL,
    messages TEXT NOT NULL,     -- JSON: ids of messages
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
);
CREATE INDEX bookmark_of ON bookmark (conversation, begin);
CREATE TABLE conversation_group (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    criteria TEXT NOT NULL,     -- a filter of conversations
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
);
CREATE INDEX conversation_group_of ON conversation_group (account, created);
CREATE TABLE job (
    id TEXT PRIMARY KEY,        -- UUID
    account TEXT NOT NULL,
    conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
    status TEXT NOT NULL,       -- scheduled, in_progress, completed, failed
    request TEXT NOT NULL,      -- JSON
    result TEXT,                -- why it failed
    zero INTEGER,               -- when its first audio came; NULL: it has not begun
    progress INTEGER NOT NULL DEFAULT 0, -- nanoseconds of audio, or messages
    attempt INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX job_of ON job (account, created);
CREATE INDEX job_in ON job (conversation);
CREATE INDEX job_open ON job (created) WHERE status IN ('scheduled', 'in_progress');
CREATE TABLE webhook (
    id TEXT PRIMARY KEY,        -- UUID: the idempotency key
    job TEXT NOT NULL REFERENCES job ON DELETE CASCADE,
    url TEXT NOT NULL,
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due INTEGER,                -- NULL: delivered, or given up
    error TEXT,                 -- why the last attempt failed; NULL: delivered
    created INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX webhook_due ON webhook (due) WHERE due IS NOT NULL;
CREATE INDEX webhook_of ON webhook (job);
";

/// An index for the order in which messages are listed. SQLite keeps it up to date even
/// for a release that does not know it, so it needs no new version.
const ORDER: &str =
    "CREATE INDEX IF NOT EXISTS message_told ON message (conversation, stored, start)";

/// An index of the corrections of each message. It needs no new version either.
const CORRECTIONS: &str = "CREATE INDEX IF NOT EXISTS entry_corrects ON entry
    (conversation, json_extract(body, '$.entry.sent.corrects'), seq) WHERE kind = 'sent'";

/// An index of the entries by which members come and leave. It needs no new version either.
const PRESENCE: &str = "CREATE INDEX IF NOT EXISTS entry_presence ON entry
    (conversation, coalesce(json_extract(body, '$.entry.member.id'),
    json_extract(body, '$.entry.left.id')), seq) WHERE kind IN ('member', 'left')";

/// Sets a connection up, and creates or upgrades the tables. Returns the version of a
/// database that this version cannot use.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    // With this setting a query plan depends on the statement alone. Otherwise SQLite would
    // make a new plan for each new value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // The mode of a database in memory stays `memory`.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Deleted rows are overwritten, and no part of them goes into temporary files.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let missing = match version {
        0 => [TABLES, SINCE_2, SINCE_3, SINCE_4, SINCE_5, search::TABLES].as_slice(),
        1 => &[SINCE_2, SINCE_3, SINCE_4, SINCE_5, search::TABLES],
        2 => &[SINCE_3, SINCE_4, SINCE_5, search::TABLES],
        3 => &[SINCE_4, SINCE_5, search::TABLES],
        4 => &[SINCE_5, search::TABLES],
        VERSION => &[],
        other => return Ok(Some(other)),
    };
    if !missing.is_empty() {
        let transaction = connection.unchecked_transaction()?;
        transaction.execute_batch(&missing.concat())?;
        if (1..3).contains(&version) {
            migrate::entries(&transaction)?;
        }
        if (1..5).contains(&version) {
            search::fill(&transaction)?;
        }
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
    }
    connection.execute_batch(ORDER)?;
    connection.execute_batch(CORRECTIONS)?;
    connection.execute_batch(PRESENCE)?;
    Ok(None)
}
