// SPDX-License-Identifier: MPL-2.0

//! Fills in what a server has lost.
//!
//! A replica that follows the database without being waited for may not have the last commits
//! when it is promoted. They were told already, so nodes remember them: those of each
//! conversation that it serves, as far as its ring reaches. A node that finds another server
//! compares the last entries before it writes anything, and appends what is missing under the same
//! numbers. The function `symbl_write` lets it write when all living nodes have done so, or after
//! five seconds.
//!
//! Before that first write the node looks again for what it missed and could not fill in: one that only
//! listens does not remember how a conversation began. What is missing then is counted and said, and the
//! node tells what the log has instead.

use super::StoreError;
use super::form::{asked, stored};
use super::link::{Link, Trouble, refused, said, trouble};
use super::log::get;
use super::text::put;
use crate::conversation::entry::{Body, Entry};
use crate::conversation::registry::{Memory, Remembered};
use crate::metrics::ClusterCounts;
use crate::store::sqlite::entries::body_of;
use crate::store::sqlite::record::{Record, as_sql, from_sql};
use serde_json::{Value, json};

/// Returns the server that a connection leads to, and since when it runs.
pub(super) async fn server(link: &mut Link) -> Result<i64, StoreError> {
    let row = link.query_one("SELECT symbl_server_1()", &[]).await?;
    get(&row, 0)
}

/// Compares what this node remembers with the logs of another server than before, and fills in what is
/// missing there. Returns `true` if more is missing, which other nodes may still fill in. Only
/// for the `last` time that counts as lost.
pub(super) async fn compare(
    link: &mut Link,
    node: &str,
    memory: Option<&dyn Memory>,
    counts: &ClusterCounts,
    last: bool,
) -> Result<bool, StoreError> {
    let Some(memory) = memory else {
        return Ok(false);
    };
    let mut all = memory.remembered();
    // As batches are sorted, or two nodes could wait for each other.
    all.sort_by_key(|one| one.conversation);
    take_seats(link, node, &all).await?;
    let (mut filled, mut missing) = (0, 0);
    for number in differing(link, &all).await? {
        let Some(one) = all.iter().find(|one| one.conversation == number) else {
            continue;
        };
        let (same, added) = fill(link, node, one).await?;
        filled += added;
        missing += one.last().saturating_sub(same);
        if last && same < one.last() {
            memory.forget_after(number, same);
        }
    }
    let lost = if last { missing } else { 0 };
    if filled + lost > 0 {
        counts.compared_logs(filled, lost);
        tracing::error!(
            filled,
            lost,
            "the database has lost entries of the log: a replica was promoted that did not have \
             them, or the server was not set up to keep what it commits"
        );
    }
    Ok(missing > lost)
}

/// Returns `true` if other nodes may still fill in what is missing.
pub(super) async fn is_early(link: &mut Link, node: &str) -> Result<bool, StoreError> {
    let row = link.query_one("SELECT symbl_early_1($1)", &[&node]).await?;
    get(&row, 0)
}

/// Takes the seats of this node in conversations in which it has speakers. The server may have lost
/// them, too.
async fn take_seats(link: &mut Link, node: &str, all: &[Remembered]) -> Result<(), StoreError> {
    let seated = all.iter().filter(|one| one.has_speakers);
    let seated = seated.map(|one| {
        json!({
            "c": one.conversation, "account": put(&one.account),
            "connection": put(&one.connection_id), "session": put(&one.session),
        })
    });
    let seated = Value::Array(seated.collect()).to_string();
    let rows = "FROM jsonb_to_recordset($2::text::jsonb)
                AS x(c bigint, account text, connection text, session text)";
    let sql = format!("INSERT INTO seat SELECT x.c, $1::text {rows} ON CONFLICT DO NOTHING");
    link.execute(&sql, &[&node, &seated]).await?;
    let sql = format!(
        "INSERT INTO room SELECT x.account, x.connection, x.c, x.session, $1::text {rows}
         ON CONFLICT DO NOTHING"
    );
    link.execute(&sql, &[&node, &seated]).await.map(drop)
}

/// Returns the conversations whose log does not have the last entry that this node remembers.
async fn differing(link: &mut Link, all: &[Remembered]) -> Result<Vec<i64>, StoreError> {
    let ids: Vec<i64> = all.iter().map(|one| one.conversation).collect();
    let lasts: Vec<i64> = all.iter().map(|one| as_sql(one.last())).collect();
    let times = all
        .iter()
        .map(|one| one.entries.last().map(|entry| entry.at));
    let times: Vec<Option<i64>> = times.collect();
    let sql = "SELECT k.id FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) k(id, last, at)
               LEFT JOIN conversation c ON c.id = k.id
               LEFT JOIN entry e ON e.conversation = k.id AND e.seq = k.last
               WHERE k.last > coalesce(c.head, 0) OR k.at IS NOT NULL AND e.at IS DISTINCT FROM k.at
               ORDER BY k.id";
    let rows = link.query(sql, &[&ids, &lasts, &times]).await?;
    rows.iter().map(|row| get(row, 0)).collect()
}

/// Fills in the entries of a conversation. Returns up to which number the log has what this node
/// remembers, and how many entries were appended.
async fn fill(link: &mut Link, node: &str, one: &Remembered) -> Result<(u64, u64), StoreError> {
    let mut about = json!({"c": one.conversation});
    if let Some(entry) = one.entries.first()
        && let (1, Body::Opened { title }) = (entry.seq, &entry.body)
    {
        about = json!({
            "c": one.conversation, "account": put(&one.account),
            "connection": put(&one.connection_id), "session": put(&one.session),
            "title": title.as_deref().map(put), "created": entry.at, "keep": one.keep,
        });
    }
    let records = one.entries.iter();
    let records = records.map(|entry| record(one.conversation, entry));
    let records = Value::Array(records.collect());
    let sql = "SELECT symbl_fill_1($1, $2::text::jsonb, $3::text::jsonb)";
    let (about, records) = (about.to_string(), records.to_string());
    match link.run(sql, &[&node, &about, &records]).await {
        Ok(rows) => {
            let numbers: Vec<i64> = rows.first().map_or(Ok(Vec::new()), |row| get(row, 0))?;
            let number = |at: usize| numbers.get(at).copied().map_or(0, from_sql);
            Ok((number(0), number(1)))
        }
        Err(error) if trouble(&error) == Trouble::Refused => {
            let (conversation, reason) = (one.conversation, said(&error));
            tracing::error!(conversation, reason, "entries cannot be filled in");
            let sql = "SELECT coalesce(max(head), 0) FROM conversation WHERE id = $1";
            let row = link.query_one(sql, &[&one.conversation]).await?;
            Ok((from_sql(get(&row, 0)?).min(one.last()), 0))
        }
        Err(error) => Err(refused(error)),
    }
}

/// Returns an entry for the function `symbl_fill`.
fn record(conversation: i64, entry: &Entry) -> Value {
    let at = entry.at;
    let body = || body_of(&entry.body);
    let about = |speaker| {
        let speaker = stored(speaker);
        let body = match &entry.body {
            Body::Renamed(_) => Body::Renamed(speaker.clone()),
            Body::Left(_) => Body::Left(speaker.clone()),
            _ => Body::Member(speaker.clone()),
        };
        json!({"member": speaker, "body": body_of(&body)})
    };
    let mut record = match &entry.body {
        Body::Said(said) => {
            let said = said.clone();
            let mut record = asked(&Record::Said { conversation, said }, at, false);
            record["fills"] = true.into();
            record
        }
        Body::Sent(sent) => {
            let (sent, ends) = (sent.clone(), None);
            let record = Record::Sent {
                conversation,
                sent,
                ends,
            };
            asked(&record, at, false)
        }
        Body::Member(speaker) | Body::Renamed(speaker) | Body::Left(speaker) => about(speaker),
        Body::Closed { ends } => json!({"ends": ends, "body": body()}),
        Body::Attributed(all) => {
            let pairs = all.iter().flat_map(|one| {
                let speaker = put(&one.speaker.id);
                let of = one.messages.iter();
                of.map(move |id| json!({"id": id, "speaker": speaker}))
            });
            json!({"attributed": pairs.collect::<Vec<_>>(), "body": body()})
        }
        Body::Opened { .. } | Body::Over => json!({"body": body()}),
    };
    record["seq"] = entry.seq.into();
    record["at"] = at.into();
    record["kind"] = entry.body.kind().into();
    record
}
