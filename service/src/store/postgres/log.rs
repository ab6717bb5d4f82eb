// SPDX-License-Identifier: MPL-2.0

//! The log of conversations, kept in the database of the cluster.

use super::form::{entry, speaker};
use super::link::{Link, connection_of, refused};
use super::text::{put, take};
use super::writer::{Ask, Reply, Tell};
use super::{Store, StoreError};
use crate::clock::{now, stamped};
use crate::conversation::entry::{Body, Entry, Sent, Speaker, Transcribed};
use crate::conversation::log::{
    Begun, Committed, Log, LogError, OpenConversation, Sending, SessionRecord, StartRecord, Verdict,
};
use crate::conversation::registry::Registry;
use crate::store::sqlite::entries::body_of;
use crate::store::sqlite::record::{Outcome, Record, as_sql, from_sql};
use std::sync::Arc;
use tokio_postgres::Row;

/// A node that was not heard of for so long is gone, in nanoseconds.
pub(super) const LEASE: i64 = 5_000_000_000;

/// What [`open`] reads of a conversation that is not over. One whose seats are all those of
/// nodes that are gone is over when the wait since their last sign of life is.
pub(super) const OPEN: &str = "SELECT id, account, connection, zero, head, keep,
    coalesce(ends, (SELECT max(n.beats) FROM seat s JOIN node n ON n.id = s.node
        WHERE s.conversation = c.id) + keep * 1000000000, symbl_now_1() + keep * 1000000000),
    (SELECT max(stored) FROM message WHERE conversation = c.id), session, created,
    (SELECT json_agg(json_build_array(m.id, m.user_id, m.name) ORDER BY m.id)::text
        FROM member m WHERE m.conversation = c.id)
    FROM conversation c WHERE ended IS NULL";

impl Store {
    /// Writes a record, and passes its entries on before anything else is written.
    fn enter(&self, record: Record, committed: Committed) -> Result<Outcome, LogError> {
        Ok(self.write(record, |outcome| committed(outcome.entries()))?)
    }

    fn post(&self, record: Record) {
        // If the writer is gone, the calls that wait for it fail and are logged.
        let _ = self.send(Ask::Record(record), None);
    }

    /// Writes a record without waiting for it.
    pub(super) fn post_and_tell(&self, ask: Ask, committed: Committed) {
        let done: Tell<Reply> = Box::new(move |reply| match reply {
            Ok(Reply::Outcome(outcome)) => committed(outcome.entries()),
            Ok(Reply::Answer(_)) => {}
            Err(error) => tracing::error!(error = error.reason(), "not stored"),
        });
        let _ = self.send(ask, Some(done));
    }
}

/// Reads the entries of rows with number, time, number of the final, zero and body.
fn entries(rows: Vec<Row>) -> Result<Vec<Arc<Entry>>, StoreError> {
    let rows = rows.iter().map(|row| {
        let body: &str = row.try_get(4).map_err(refused)?;
        let (seq, at) = (get(row, 0)?, get(row, 1)?);
        Ok(entry(seq, at, get(row, 2)?, get(row, 3)?, body))
    });
    rows.filter_map(Result::transpose).collect()
}

/// Returns a column of a row.
pub(super) fn get<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    column: usize,
) -> Result<T, StoreError> {
    row.try_get(column).map_err(refused)
}

/// Returns a column with a text.
pub(super) fn text(row: &Row, column: usize) -> Result<String, StoreError> {
    Ok(take(get(row, column)?))
}

/// Returns a column that may have a text.
pub(super) fn text_or_none(row: &Row, column: usize) -> Result<Option<String>, StoreError> {
    let stored: Option<String> = get(row, column)?;
    Ok(stored.map(take))
}

/// Returns the conversations of rows of [`OPEN`].
pub(super) fn open(rows: &[Row]) -> Result<Vec<OpenConversation>, StoreError> {
    let rows = rows.iter().map(|row| {
        Ok(OpenConversation {
            id: get(row, 0)?,
            account: text(row, 1)?,
            connection_id: text(row, 2)?,
            zero: get(row, 3)?,
            head: from_sql(get(row, 4)?),
            keep: get(row, 5)?,
            ends: get(row, 6)?,
            latest: get(row, 7)?,
            session: text(row, 8)?,
            opened: get(row, 9)?,
            members: members(get(row, 10)?)?,
        })
    });
    rows.collect()
}

/// Reads a conversation that is not over.
pub(super) async fn open_one(
    link: &mut Link,
    conversation: i64,
) -> Result<Option<OpenConversation>, StoreError> {
    let sql = format!("{OPEN} AND id = $1");
    let rows = link.query(&sql, &[&conversation]).await?;
    Ok(open(&rows)?.pop())
}

/// Returns the speakers of a conversation that has these, as JSON.
fn members(json: Option<&str>) -> Result<Vec<Speaker>, StoreError> {
    let json = json.unwrap_or("[]");
    let members: Vec<(String, Option<String>, Option<String>)> = serde_json::from_str(json)
        .map_err(|error| StoreError::Commit(format!("the speakers cannot be read: {error}")))?;
    let members = members
        .into_iter()
        .map(|(id, user_id, name)| speaker(Speaker { id, user_id, name }));
    Ok(members.collect())
}

/// Declares nodes gone that have no connection, as after the end of their process. A node calls
/// this when it starts, so that it need not wait for the lease of its predecessor to end. It spares
/// nodes that have not connected since the server began: they may be about to.
pub(super) async fn bury(link: &mut Link) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE node SET gone = true WHERE NOT gone AND server = symbl_server_1()
         AND NOT EXISTS (SELECT 1 {})",
        connection_of("node.id")
    );
    link.execute(&sql, &[]).await.map(drop)
}

/// Returns the time by the clock of the database.
pub(super) async fn time(link: &mut Link) -> Result<i64, StoreError> {
    let row = link.query_one("SELECT symbl_now_1()", &[]).await?;
    get(&row, 0)
}

/// Frees the seats of nodes that are gone, and ends the conversations whose time is over. `as_of`
/// is the time that the database gave a moment ago.
pub(super) async fn sweep(link: &mut Link, node: &str, as_of: i64) -> Result<(), StoreError> {
    // Each is a transaction of its own, so that none locks conversations in two orders.
    let sql = "SELECT symbl_gone_1($1, $2)";
    link.query(sql, &[&as_of, &LEASE]).await?;
    let sql = "SELECT symbl_unseat_1($1)";
    while get::<i64>(&link.query_one(sql, &[&now()]).await?, 0)? > 0 {}
    let sql = "SELECT symbl_end_1($1, $2)";
    let body = body_of(&Body::Over);
    while get::<i64>(&link.query_one(sql, &[&node, &body]).await?, 0)? > 0 {}
    Ok(())
}

impl Log for Store {
    fn registry(&self) -> Option<&dyn Registry> {
        Some(self)
    }

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
        let (account, session) = (put(account), put(session));
        let found = self.look(move |link| {
            Box::pin(async move {
                let sql = "SELECT id, connection, created, ended, head FROM conversation
                           WHERE session = $1 AND account = $2";
                let row = link.query_opt(sql, &[&session, &account]).await?;
                let Some(row) = row else { return Ok(None) };
                Ok(Some(SessionRecord {
                    conversation: get(&row, 0)?,
                    connection_id: text(&row, 1)?,
                    opened: get(&row, 2)?,
                    over: get(&row, 3)?,
                    head: from_sql(get(&row, 4)?),
                }))
            })
        });
        Ok(found?)
    }

    fn read(
        &self,
        conversation: i64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>, LogError> {
        let read = self.look(move |link| {
            Box::pin(async move {
                let sql = "SELECT seq, at, number, zero, body FROM entry
                           WHERE conversation = $1 AND seq > $2 AND kind <> 'retracted'
                           ORDER BY seq LIMIT $3";
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                let after = as_sql(after);
                let rows = link.query(sql, &[&conversation, &after, &limit]).await?;
                entries(rows)
            })
        });
        Ok(read?)
    }

    fn entry_of(&self, conversation: i64, number: i64) -> Result<u64, LogError> {
        let found = self.look(move |link| {
            Box::pin(async move {
                let sql = "SELECT seq FROM entry WHERE conversation = $1 AND number <= $2
                           ORDER BY number DESC LIMIT 1";
                let row = link.query_opt(sql, &[&conversation, &number]).await?;
                row.map_or(Ok(0), |row| get(&row, 0).map(from_sql))
            })
        });
        Ok(found?)
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
        self.post_and_tell(Ask::Record(record), committed);
    }

    fn finish(&self, conversation: i64, at: i64, committed: Committed) {
        self.post_and_tell(Ask::Record(Record::Over { conversation, at }), committed);
    }

    fn reopen(&self, conversation: i64, ends: i64) -> Result<Option<OpenConversation>, LogError> {
        // The calls that do not block take effect before this one.
        self.write(Record::Alive { at: 0 }, |_| {})?;
        let node = self.node();
        let open = self.look(move |link| {
            Box::pin(async move {
                let sql = "SELECT symbl_reopen_1($1, $2, $3)";
                link.query(sql, &[&node, &conversation, &ends]).await?;
                open_one(link, conversation).await
            })
        });
        Ok(open?)
    }

    /// Returns the conversations that are not over, and ends those whose time has passed.
    fn still_open(&self) -> Result<Vec<OpenConversation>, LogError> {
        // The calls that do not block take effect before this one.
        self.write(Record::Alive { at: 0 }, |_| {})?;
        let node = self.node();
        let open = self.look(move |link| {
            Box::pin(async move {
                let as_of = time(link).await?;
                sweep(link, &node, as_of).await?;
                let rows = link.query(&format!("{OPEN} ORDER BY created"), &[]).await?;
                open(&rows)
            })
        })?;
        let latest = open.iter().filter_map(|open| open.latest).max();
        stamped(latest.unwrap_or(0));
        let now = now();
        Ok(open.into_iter().filter(|open| open.ends > now).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::link::Address;
    use super::super::{schema, writer};
    use super::*;
    use symbl_testkit::postgres::Postgres;
    use tokio::runtime::Handle;
    use tokio::time::{Duration, timeout};

    /// Longer than anything takes on a busy machine, and shorter than what a connection waits for
    /// a lock.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_node_that_was_not_there_yet_since_the_server_runs_is_not_declared_gone() {
        let Some(postgres) = Postgres::shared() else {
            return;
        };
        let address = Address::parse(&postgres.database()).expect("a URL");
        let link = address.connect(&Handle::current()).await;
        let mut link = link.expect("a connection");
        let prepared = schema::prepare(&mut link, address.place()).await;
        prepared.expect("tables");
        for node in ["ended", "on its way"] {
            writer::enter(&mut link, node).await.expect("a row");
        }
        let sql = "UPDATE node SET server = server - 1 WHERE id = 'on its way'";
        link.execute(sql, &[]).await.expect("a row");
        bury(&mut link).await.expect("an answer");
        let rows = link.query("SELECT id FROM node WHERE gone", &[]).await;
        let gone: Vec<String> = rows.expect("rows").iter().map(|row| row.get(0)).collect();
        assert_eq!(gone, ["ended"]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_connection_that_only_the_server_holds_open_does_not_keep_its_node_out() {
        let Some(postgres) = Postgres::shared() else {
            return;
        };
        let address = Address::parse(&postgres.database()).expect("a URL");
        let connect = async |node: &str| {
            let runtime = Handle::current();
            let connecting = address.connect_as(node, &runtime);
            let link = timeout(PATIENCE, connecting).await.expect("in time");
            link.expect("a connection")
        };
        let (mut broken, mut other) = (connect("node").await, connect("other").await);
        let mut back = connect("node").await;
        for (link, answers) in [(&mut broken, false), (&mut other, true), (&mut back, true)] {
            assert_eq!(link.query("SELECT 1", &[]).await.is_ok(), answers);
        }
    }
}
