// SPDX-License-Identifier: MPL-2.0

//! Creates the log of conversations that are older than the log, from their rows.
//!
//! The rows do not show which messages belonged to one final. So each message becomes a
//! final of its own, in the order in which messages were sent. Topics keep their rows and
//! get no entry.

use super::entries::insert;
use super::record::{as_sql, from_sql};
use crate::conversation::entry::{
    Body, Entity, Entry, Insight, Message, Speaker, TrackerMatch, Transcribed, Word,
};
use rusqlite::{Connection, Row, params};
use symbl_protocol::timestamp::parse_rfc3339;

/// A conversation of a database without a log.
struct Old {
    id: i64,
    title: Option<String>,
    created: i64,
    zero: Option<i64>,
    sequence: i64,
    ended: Option<i64>,
}

/// Writes the entries of all conversations.
pub(super) fn entries(to: &Connection) -> rusqlite::Result<()> {
    let mut rows =
        to.prepare("SELECT id, name, created, zero, sequence, ended FROM conversation")?;
    let rows = rows.query_map([], |row| {
        Ok(Old {
            id: row.get(0)?,
            title: row.get(1)?,
            created: row.get(2)?,
            zero: row.get(3)?,
            sequence: row.get(4)?,
            ended: row.get(5)?,
        })
    })?;
    let all: Vec<Old> = rows.collect::<Result<_, _>>()?;
    all.iter().try_for_each(|old| log_of(to, old))
}

fn log_of(to: &Connection, old: &Old) -> rusqlite::Result<()> {
    let mut head = 0;
    let mut append = |at: i64, body: Body| {
        head += 1;
        insert(
            to,
            old.id,
            &Entry {
                seq: head,
                at,
                body,
            },
        )
    };
    let title = old.title.clone();
    append(old.created, Body::Opened { title })?;
    let speakers = speakers(to, old.id)?;
    for speaker in &speakers {
        append(old.created, Body::Member(speaker.clone()))?;
    }
    let mut number = 0;
    for mut message in messages(to, old)? {
        let said = &mut message.said;
        said.number = number;
        number += 1;
        let known = speakers.iter().find(|known| known.id == said.speaker.id);
        said.speaker = known.unwrap_or(&said.speaker).clone();
        append(message.stored, Body::Said(Box::new(message.said)))?;
    }
    if let Some(ended) = old.ended {
        append(ended, Body::Over)?;
    }
    // New finals are numbered after those that clients have got, and after those of the
    // new log.
    to.prepare_cached("UPDATE conversation SET head = ?2, sequence = ?3 WHERE id = ?1")?
        .execute(params![
            old.id,
            as_sql(head),
            old.sequence.max(as_sql(number))
        ])?;
    Ok(())
}

fn speakers(from: &Connection, conversation: i64) -> rusqlite::Result<Vec<Speaker>> {
    let sql = "SELECT id, user_id, name FROM member WHERE conversation = ?1 ORDER BY id";
    all(from, sql, conversation, |row| {
        Ok(Speaker {
            id: row.get(0)?,
            user_id: row.get(1)?,
            name: row.get(2)?,
        })
    })
}

/// A message as a final of its own.
struct Told {
    stored: i64,
    said: Transcribed,
}

fn messages(from: &Connection, old: &Old) -> rusqlite::Result<Vec<Told>> {
    let sql = "SELECT id, speaker, text, start, words, confidence, stored FROM message
               WHERE conversation = ?1 ORDER BY stored, start, id";
    let mut told = all(from, sql, old.id, |row| {
        let (id, text, start): (i64, String, i64) = (row.get(0)?, row.get(2)?, row.get(3)?);
        let words: Vec<(String, i64, i64)> =
            serde_json::from_str(row.get_ref(4)?.as_str()?).unwrap_or_default();
        let since = |time: i64| from_sql(time.saturating_sub(start));
        let words = words.into_iter().map(|(text, from, until)| Word {
            text,
            start: since(from),
            end: since(until),
        });
        let words: Vec<Word> = words.collect();
        Ok(Told {
            stored: row.get(6)?,
            said: Transcribed {
                zero: old.zero.unwrap_or(start),
                start,
                speaker: Speaker {
                    id: row.get(1)?,
                    ..Speaker::default()
                },
                confidence: row.get(5)?,
                text: text.clone(),
                messages: vec![Message {
                    id,
                    original_text: text.clone(),
                    text,
                    words: 0..words.len(),
                }],
                words,
                ..Transcribed::default()
            },
        })
    })?;
    for Told { said, .. } in &mut told {
        let Some(message) = said.messages.first().map(|message| message.id) else {
            continue;
        };
        said.insights = insights(from, message)?;
        said.trackers = trackers(from, message, &said.text)?;
        said.entities = entities_of(from, message)?;
    }
    Ok(told)
}

fn insights(from: &Connection, message: i64) -> rusqlite::Result<Vec<Insight>> {
    let sql = "SELECT id, kind, text, score, by_speaker, assignee, due FROM insight
               WHERE message = ?1 ORDER BY rowid";
    all(from, sql, message, |row| {
        let due: Option<String> = row.get(6)?;
        Ok(Insight {
            id: row.get(0)?,
            message,
            kind: row.get(1)?,
            text: row.get(2)?,
            score: row.get(3)?,
            hints: Vec::new(),
            by_speaker: row.get(4)?,
            assignee: row.get(5)?,
            due: due.as_deref().and_then(parse_rfc3339),
        })
    })
}

fn trackers(from: &Connection, message: i64, text: &str) -> rusqlite::Result<Vec<TrackerMatch>> {
    let sql = "SELECT t.name, f.value, f.offset FROM tracker_match f
               JOIN tracker t ON t.id = f.tracker WHERE f.message = ?1 ORDER BY f.rowid";
    all(from, sql, message, |row| {
        Ok(TrackerMatch {
            tracker_id: None,
            name: row.get(0)?,
            value: row.get(1)?,
            message,
            text: text.to_owned(),
            offset: row.get(2)?,
        })
    })
}

fn entities_of(from: &Connection, message: i64) -> rusqlite::Result<Vec<Entity>> {
    let sql = "SELECT type, text, value, offset FROM entity WHERE message = ?1 ORDER BY offset";
    all(from, sql, message, |row| {
        Ok(Entity {
            message,
            kind: row.get(0)?,
            sub_type: None,
            text: row.get(1)?,
            value: row.get(2)?,
            offset: usize::try_from(row.get::<_, i64>(3)?).unwrap_or(0),
        })
    })
}

fn all<T>(
    from: &Connection,
    sql: &str,
    key: i64,
    make: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut rows = from.prepare_cached(sql)?;
    let rows = rows.query_map([key], make)?;
    rows.collect()
}
