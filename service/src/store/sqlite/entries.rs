// SPDX-License-Identifier: MPL-2.0

//! The entries of the log as rows.

use super::record::{Outcome, as_sql, from_sql};
use super::search;
use crate::conversation::entry::{Body, Entry, Part, Sent, Transcribed};
use crate::conversation::log::{Sending, SessionRecord, Verdict};
use crate::ids::new_id;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;
use std::sync::Arc;
use symbl_log::fence::{self, Stream};
use symbl_protocol::timestamp::format_rfc3339;

/// Most entries that a client is sent again after it has rejoined.
pub(in crate::store) const MOST_UNHEARD: i64 = 1000;

/// Appends an entry and returns it, or `None` if the conversation is over.
pub(super) fn append(
    to: &Connection,
    conversation: i64,
    at: i64,
    body: Body,
) -> rusqlite::Result<Option<Arc<Entry>>> {
    let sql = "UPDATE conversation SET head = head + 1 WHERE id = ?1 AND ended IS NULL
               RETURNING head";
    append_by(sql, to, conversation, at, body)
}

/// Appends an entry, also if the conversation is over. Returns `None` if it is not there.
pub(super) fn append_late(
    to: &Connection,
    conversation: i64,
    at: i64,
    body: Body,
) -> rusqlite::Result<Option<Arc<Entry>>> {
    let sql = "UPDATE conversation SET head = head + 1 WHERE id = ?1 RETURNING head";
    append_by(sql, to, conversation, at, body)
}

/// Appends an entry with the number that `sql` returns, if it returns one.
fn append_by(
    sql: &str,
    to: &Connection,
    conversation: i64,
    at: i64,
    body: Body,
) -> rusqlite::Result<Option<Arc<Entry>>> {
    let seq = to
        .prepare_cached(sql)?
        .query_row([conversation], |row| row.get::<_, i64>(0))
        .optional()?;
    let Some(seq) = seq else {
        return Ok(None);
    };
    let entry = Entry {
        seq: from_sql(seq),
        at,
        body,
    };
    insert(to, conversation, &entry)?;
    Ok(Some(Arc::new(entry)))
}

/// Inserts an entry that has its number.
pub(super) fn insert(to: &Connection, conversation: i64, entry: &Entry) -> rusqlite::Result<()> {
    let said = entry.body.said();
    let part = said.and_then(|said| said.part.as_ref());
    let client = match &entry.body {
        Body::Sent(sent) => Some(sent.client_id.as_str()),
        _ => None,
    };
    to.prepare_cached("INSERT INTO entry VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
        .execute(params![
            conversation,
            as_sql(entry.seq),
            entry.at,
            entry.body.kind(),
            said.map(|said| as_sql(said.number)),
            client,
            part.map(|part| part.stream.as_str()),
            part.map(|part| as_sql(part.until)),
            body_of(&entry.body),
        ])?;
    Ok(())
}

/// Returns the body of an entry as JSON, with the version of its form.
pub(in crate::store) fn body_of(body: &Body) -> String {
    json!({"v": 1, "entry": body}).to_string()
}

/// Reads a body that [`body_of`] has written. Returns `None` if its kind is unknown.
pub(in crate::store) fn body_in(text: &str) -> Option<Body> {
    #[derive(serde::Deserialize)]
    struct Stored {
        entry: Body,
    }
    let stored = serde_json::from_str::<Stored>(text).ok()?;
    Some(stored.entry)
}

/// Reads an entry from its number, time and body. Returns `None` if its kind is unknown.
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Option<Arc<Entry>>> {
    let Some(body) = body_in(row.get_ref(2)?.as_str()?) else {
        return Ok(None);
    };
    Ok(Some(Arc::new(Entry {
        seq: from_sql(row.get(0)?),
        at: row.get(1)?,
        body,
    })))
}

/// Reads entries in order, at most `limit`.
pub(super) fn after(
    from: &Connection,
    conversation: i64,
    after: u64,
    limit: usize,
) -> rusqlite::Result<Vec<Arc<Entry>>> {
    let mut rows = from.prepare_cached(
        "SELECT seq, at, body FROM entry WHERE conversation = ?1 AND seq > ?2 AND kind <> 'retracted'
         ORDER BY seq LIMIT ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = rows.query_map(params![conversation, as_sql(after), limit], read)?;
    rows.filter_map(Result::transpose).collect()
}

/// Reads the finals of a stream behind a position in its audio.
pub(super) fn unheard(
    from: &Connection,
    conversation: i64,
    stream: &str,
    position: u64,
) -> rusqlite::Result<Vec<Arc<Entry>>> {
    let mut rows = from.prepare_cached(
        "SELECT seq, at, body FROM entry
         WHERE conversation = ?1 AND stream = ?2 AND until > ?3 ORDER BY seq LIMIT ?4",
    )?;
    let parameters = params![conversation, stream, as_sql(position), MOST_UNHEARD];
    let rows = rows.query_map(parameters, read)?;
    rows.filter_map(Result::transpose).collect()
}

/// Returns the number of the entry of the final with this `sequenceNumber`, or of the last
/// final before it.
pub(super) fn entry_of(from: &Connection, conversation: i64, number: i64) -> rusqlite::Result<u64> {
    let seq: Option<i64> = from
        .prepare_cached(
            "SELECT seq FROM entry WHERE conversation = ?1 AND number <= ?2
             ORDER BY number DESC LIMIT 1",
        )?
        .query_row(params![conversation, number], |row| row.get(0))
        .optional()?;
    Ok(seq.map_or(0, from_sql))
}

/// Reads what is known of a stream.
pub(super) fn stream(
    from: &Connection,
    conversation: i64,
    id: &str,
) -> rusqlite::Result<Option<Stream>> {
    from.prepare_cached(
        "SELECT attempt, begun, said_until FROM stream WHERE conversation = ?1 AND id = ?2",
    )?
    .query_row(params![conversation, id], |row| {
        Ok(Stream {
            attempt: from_sql(row.get(0)?),
            begun: from_sql(row.get(1)?),
            said_until: from_sql(row.get(2)?),
        })
    })
    .optional()
}

/// The state of a conversation before an append.
struct Now {
    is_over: bool,
    head: i64,
    sequence: i64,
    zero: Option<i64>,
    account: String,
}

/// Appends a final, unless a fence refuses it.
pub(super) fn append_said(
    to: &Connection,
    conversation: i64,
    said: &Transcribed,
) -> rusqlite::Result<Outcome> {
    let now = to
        .prepare_cached(
            "SELECT ended, head, sequence, zero, account FROM conversation WHERE id = ?1",
        )?
        .query_row([conversation], |row| {
            Ok(Now {
                is_over: row.get::<_, Option<i64>>(0)?.is_some(),
                head: row.get(1)?,
                sequence: row.get(2)?,
                zero: row.get(3)?,
                account: row.get(4)?,
            })
        })?;
    let part = said.part.as_ref();
    let known = match part {
        Some(part) if !now.is_over => stream(to, conversation, &part.stream)?,
        _ => None,
    };
    let heard = part.map(Part::heard);
    if let Err(refusal) = fence::admit(now.is_over, known.as_ref(), heard.as_ref()) {
        return Ok(Outcome::Said(refusal.into(), None));
    }
    if let (Some(mut known), Some(part)) = (known, part) {
        known.said(part.until);
        to.prepare_cached("UPDATE stream SET said_until = ?3 WHERE conversation = ?1 AND id = ?2")?
            .execute(params![conversation, part.stream, as_sql(known.said_until)])?;
    }
    let mut said = said.clone();
    said.number = from_sql(now.sequence);
    said.zero = now.zero.unwrap_or(said.start);
    let first = said.messages.first().map(|message| said.span_of(message).0);
    to.prepare_cached(
        "UPDATE conversation SET head = head + 1, sequence = sequence + 1, zero = ?2,
         first = coalesce(first, ?3) WHERE id = ?1",
    )?
    .execute(params![conversation, said.zero, first])?;
    rows_of(to, conversation, &now.account, &said)?;
    let entry = Entry {
        seq: from_sql(now.head) + 1,
        at: super::now(),
        body: Body::Said(Box::new(said)),
    };
    insert(to, conversation, &entry)?;
    let entry = Arc::new(entry);
    Ok(Outcome::Said(Verdict::Stored(entry.seq), Some(entry)))
}

/// Appends a text that a client sent, unless it is there already. The original of a
/// message that it corrects stays as it is.
pub(super) fn append_sent(
    to: &Connection,
    conversation: i64,
    sent: &Sent,
    ends: Option<i64>,
) -> rusqlite::Result<Outcome> {
    let known = to
        .prepare_cached("SELECT seq, at, body FROM entry WHERE conversation = ?1 AND client = ?2")?
        .query_row(params![conversation, sent.client_id], read)
        .optional()?;
    if let Some(known) = known {
        let sending = match known.as_deref() {
            Some(Entry {
                seq,
                body: Body::Sent(known),
                ..
            }) if sent.is_again(known) => Sending::Already(*seq),
            _ => Sending::Taken,
        };
        return Ok(Outcome::Sent(sending, None));
    }
    if let Some(message) = sent.corrects {
        let is_there = to
            .prepare_cached("SELECT 1 FROM message WHERE id = ?1 AND conversation = ?2")?
            .exists([message, conversation])?;
        if !is_there {
            return Ok(Outcome::Sent(Sending::NoSuchMessage, None));
        }
    }
    let Some(entry) = append(to, conversation, super::now(), Body::Sent(sent.clone()))? else {
        return Ok(Outcome::Sent(Sending::Over, None));
    };
    if let Some(message) = sent.corrects {
        search::correct(to, message, &sent.text)?;
    }
    if let Some(ends) = ends {
        to.prepare_cached(
            "UPDATE conversation SET ends = max(ends, ?2) WHERE id = ?1 AND ends IS NOT NULL",
        )?
        .execute([conversation, ends])?;
    }
    Ok(Outcome::Sent(Sending::Stored(entry.seq), Some(entry)))
}

/// Finds the conversation with this session id, if it is the account's.
pub(super) fn session(
    from: &Connection,
    account: &str,
    session: &str,
) -> rusqlite::Result<Option<SessionRecord>> {
    from.prepare_cached(
        "SELECT id, connection, created, ended, head FROM conversation
         WHERE session = ?1 AND account = ?2",
    )?
    .query_row([session, account], |row| {
        Ok(SessionRecord {
            conversation: row.get(0)?,
            connection_id: row.get(1)?,
            opened: row.get(2)?,
            over: row.get(3)?,
            head: from_sql(row.get(4)?),
        })
    })
    .optional()
}

/// Writes the rows that the Conversation API reads.
fn rows_of(
    to: &Connection,
    conversation: i64,
    account: &str,
    said: &Transcribed,
) -> rusqlite::Result<()> {
    for message in &said.messages {
        let (start, stop) = said.span_of(message);
        let words = said.words_of(message).iter();
        let words = words.map(|word| (&word.text, said.wall(word.start), said.wall(word.end)));
        let words: Vec<(&String, i64, i64)> = words.collect();
        let stored = super::stamp();
        to.prepare_cached(
            "INSERT INTO message VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            message.id,
            conversation,
            message.id.to_string(),
            said.speaker.id,
            message.text,
            start,
            stop,
            json!(words).to_string(),
            said.confidence,
            stored,
            said.phrases
        ])?;
        search::add(to, account, conversation, message.id, &message.text, stored)?;
    }
    for insight in &said.insights {
        to.prepare_cached("INSERT INTO insight VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
            .execute(params![
                insight.id,
                conversation,
                insight.message,
                insight.kind,
                insight.text,
                insight.score,
                insight.by_speaker,
                insight.assignee,
                insight.due.map(format_rfc3339)
            ])?;
    }
    for topic in &said.topics {
        to.prepare_cached(
            "INSERT INTO topic VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (conversation, text)
             DO UPDATE SET id = excluded.id, score = excluded.score,
             messages = excluded.messages ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            topic.id,
            conversation,
            topic.text,
            topic.score,
            json!(topic.messages).to_string()
        ])?;
    }
    for found in &said.trackers {
        to.prepare_cached("INSERT OR IGNORE INTO tracker VALUES (?1, ?2, ?3)")?
            .execute(params![new_id(), conversation, found.name])?;
        to.prepare_cached(
            "INSERT INTO tracker_match SELECT id, ?3, ?4, ?5 FROM tracker
             WHERE conversation = ?1 AND name = ?2",
        )?
        .execute(params![
            conversation,
            found.name,
            found.message,
            found.value,
            found.offset
        ])?;
    }
    for entity in &said.entities {
        to.prepare_cached("INSERT INTO entity VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![
                new_id(),
                entity.message,
                entity.kind,
                entity.value,
                entity.text,
                i64::try_from(entity.offset).unwrap_or(i64::MAX)
            ])?;
    }
    Ok(())
}
