// SPDX-License-Identifier: MPL-2.0

//! The log of conversations, kept in the database.

use super::open::SECOND;
use super::record::{Outcome, Record, from_sql};
use super::{Store, StoreError, Tell, entries, now, posting, presence, stamped, write};
use crate::conversation::entry::{Entry, Sent, Transcribed};
use crate::conversation::log::{
    Begun, Committed, Log, LogError, OpenConversation, Sending, SessionRecord, StartRecord, Verdict,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::sync::Arc;

impl From<StoreError> for LogError {
    fn from(error: StoreError) -> Self {
        Self(error.reason())
    }
}

impl Store {
    /// Writes a record. The thread that writes passes its entries on before it writes
    /// anything else to the same conversation.
    fn enter(&self, record: Record, committed: Committed) -> Result<Outcome, LogError> {
        let outcomes = self.wait(|tell| write(vec![record], Some(passing_on(committed, tell))));
        let outcome = outcomes.map(|mut outcomes| outcomes.pop());
        outcome?.ok_or_else(|| LogError("nothing was written".to_owned()))
    }

    fn post(&self, record: Record) {
        // If the writer is gone, the calls that wait for it fail and are logged.
        let _ = self.send(write(vec![record], None));
    }

    /// Writes a record without waiting for it.
    fn post_and_tell(&self, record: Record, committed: Committed) {
        let told = passing_on(committed, |outcomes| {
            if let Err(error) = outcomes {
                tracing::error!(error = error.reason(), "not stored");
            }
        });
        let _ = self.send(posting(record, told));
    }
}

/// Returns what passes the entries of a commit on, and then its outcomes.
fn passing_on(
    committed: Committed,
    tell: impl FnOnce(Result<Vec<Outcome>, StoreError>) + Send + 'static,
) -> Tell<Vec<Outcome>> {
    Box::new(move |outcomes| {
        if let Ok(outcomes) = &outcomes {
            let entries = outcomes.iter().flat_map(Outcome::entries).cloned();
            committed(&entries.collect::<Vec<_>>());
        }
        tell(outcomes);
    })
}

/// What is read of a conversation that goes on; [`open`] takes it.
const OPEN: &str = "SELECT id, account, connection, zero, head, keep, ends,
    (SELECT max(stored) FROM message WHERE conversation = c.id), session, created
    FROM conversation c";

/// Reads a conversation. If it has no end yet, its speakers were there until `alive`.
fn open(from: &Connection, row: &Row<'_>, alive: i64) -> rusqlite::Result<OpenConversation> {
    let keep: i64 = row.get(5)?;
    let ends: Option<i64> = row.get(6)?;
    Ok(OpenConversation {
        id: row.get(0)?,
        account: row.get(1)?,
        connection_id: row.get(2)?,
        zero: row.get(3)?,
        head: from_sql(row.get(4)?),
        keep,
        ends: ends.unwrap_or(alive.saturating_add(keep.saturating_mul(SECOND))),
        latest: row.get(7)?,
        session: row.get(8)?,
        opened: row.get(9)?,
        members: presence::members(from, row.get(0)?)?,
    })
}

impl Log for Store {
    fn begin(&self, start: StartRecord, committed: Committed) -> Result<Begun, LogError> {
        match self.enter(Record::Start(start), committed)? {
            Outcome::Begun(begun, _) => Ok(begun),
            _ => Err(LogError("nothing was begun".to_owned())),
        }
    }

    fn append(
        &self,
        conversation: i64,
        said: Transcribed,
        committed: Committed,
    ) -> Result<Verdict, LogError> {
        let said = Box::new(said);
        let record = Record::Said { conversation, said };
        match self.enter(record, committed)? {
            Outcome::Said(verdict, _) => Ok(verdict),
            _ => Err(LogError("nothing was appended".to_owned())),
        }
    }

    fn send(
        &self,
        conversation: i64,
        sent: Sent,
        ends: Option<i64>,
        committed: Committed,
    ) -> Result<Sending, LogError> {
        let record = Record::Sent {
            conversation,
            sent,
            ends,
        };
        match self.enter(record, committed)? {
            Outcome::Sent(sending, _) => Ok(sending),
            _ => Err(LogError("nothing was appended".to_owned())),
        }
    }

    fn session(&self, account: &str, session: &str) -> Result<Option<SessionRecord>, LogError> {
        Ok(self.with(|database| entries::session(database, account, session))?)
    }

    fn read(
        &self,
        conversation: i64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>, LogError> {
        Ok(self.with(|database| entries::after(database, conversation, after, limit))?)
    }

    fn entry_of(&self, conversation: i64, number: i64) -> Result<u64, LogError> {
        Ok(self.with(|database| entries::entry_of(database, conversation, number))?)
    }

    fn keep(&self, conversation: i64, keep: i64) {
        self.post(Record::Keep { conversation, keep });
    }

    fn close(&self, conversation: i64, ends: i64) {
        self.post(Record::Closed {
            conversation,
            ends,
            at: now(),
        });
    }

    fn left(&self, conversation: i64, here: Vec<String>, committed: Committed) {
        let record = Record::Left {
            conversation,
            here,
            at: now(),
        };
        self.post_and_tell(record, committed);
    }

    fn finish(&self, conversation: i64, at: i64, committed: Committed) {
        self.post_and_tell(Record::Over { conversation, at }, committed);
    }

    fn reopen(&self, conversation: i64, ends: i64) -> Result<Option<OpenConversation>, LogError> {
        Ok(self.change(move |connection| {
            let sql = "UPDATE conversation SET ended = NULL, ends = ?2 WHERE id = ?1";
            connection.execute(sql, params![conversation, ends])?;
            connection
                .query_row(&format!("{OPEN} WHERE id = ?1"), [conversation], |row| {
                    open(connection, row, ends)
                })
                .optional()
        })?)
    }

    /// Returns the conversations that are not over. For speakers that were connected when
    /// the service ended, the time to rejoin counts from its last heartbeat.
    fn still_open(&self) -> Result<Vec<OpenConversation>, LogError> {
        let (open, over) = self.with(|connection| {
            let alive: Option<i64> = connection
                .query_row("SELECT value FROM meta WHERE key = 'alive'", [], |row| {
                    row.get(0)
                })
                .optional()?;
            let alive = alive.unwrap_or_else(now);
            let sql = format!("{OPEN} WHERE ended IS NULL ORDER BY created");
            let mut rows = connection.prepare(&sql)?;
            let rows = rows.query_map([], |row| open(connection, row, alive))?;
            let rows: Vec<OpenConversation> = rows.collect::<Result<_, _>>()?;
            let latest = rows.iter().filter_map(|open| open.latest).max();
            stamped(latest.unwrap_or(0));
            let now = now();
            Ok(rows.into_iter().partition(|open| open.ends > now))
        })?;
        let over: Vec<OpenConversation> = over;
        let over = over.into_iter().map(|over| Record::Over {
            conversation: over.id,
            at: over.ends,
        });
        self.write(over.collect())?;
        Ok(open)
    }
}
