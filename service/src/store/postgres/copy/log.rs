// SPDX-License-Identifier: MPL-2.0

//! The logs of conversations, and the rows that were made of their finals.
//!
//! Here a message knows where in the log it is, which the other database does not write down.
//! It is read from the finals, of one conversation at a time.

use super::super::form::stored;
use super::super::link::Link;
use super::super::words::{scope, vector};
use super::Failure;
use super::rows::{Rows, Told};
use super::tables::copy_rows;
use crate::conversation::entry::Body;
use crate::store::sqlite::entries::{body_in, body_of};
use rusqlite::{Connection, params};
use std::collections::HashMap;

/// Returns a body as the other database has it, if it is not the same text.
fn rewritten(body: &Body) -> Option<String> {
    match body {
        Body::Member(speaker) => Some(body_of(&Body::Member(stored(speaker)))),
        Body::Left(speaker) => Some(body_of(&Body::Left(stored(speaker)))),
        Body::Renamed(speaker) => Some(body_of(&Body::Renamed(stored(speaker)))),
        _ => None,
    }
}

pub(super) async fn entries(
    from: &Connection,
    link: &mut Link,
    told: &mut Told<'_>,
) -> Result<u64, Failure> {
    let into = "entry (conversation, seq, at, kind, number, zero, client, corrects, stream,
        until, body)";
    let mut rows = Rows::begin(link, told, "entries of logs", into).await?;
    let sql = "SELECT conversation, seq, at, kind, number, client, stream, until, body
        FROM entry ORDER BY conversation, seq";
    let mut read = from.prepare(sql)?;
    let mut read = read.query([])?;
    while let Some(row) = read.next()? {
        let text = row.get_ref(8)?.as_str()?;
        let body = body_in(text);
        for column in 0..3 {
            rows.number(row.get(column)?);
        }
        rows.text(&row.get::<_, String>(3)?);
        rows.number_or_null(row.get(4)?);
        let zero = body.as_ref().and_then(Body::said).map(|said| said.zero);
        rows.number_or_null(zero);
        rows.text_or_null(row.get::<_, Option<String>>(5)?.as_deref());
        rows.number_or_null(match &body {
            Some(Body::Sent(sent)) => sent.corrects,
            _ => None,
        });
        rows.text_or_null(row.get::<_, Option<String>>(6)?.as_deref());
        rows.number_or_null(row.get(7)?);
        match body.as_ref().and_then(rewritten) {
            Some(rewritten) => rows.raw(&rewritten),
            None => rows.raw(text),
        }
        rows.end_row().await?;
    }
    Ok(rows.finish().await?)
}

/// Where the messages of a conversation are, and what became of their texts.
#[derive(Default)]
struct Places {
    /// The entry of a message, and its place in that.
    messages: HashMap<i64, (i64, i64)>,
    /// The last correction of a message.
    corrections: HashMap<i64, String>,
}

fn places(from: &Connection, conversation: i64) -> rusqlite::Result<Places> {
    let mut places = Places::default();
    let mut read = from.prepare_cached(
        "SELECT seq, body FROM entry WHERE conversation = ?1 AND kind IN ('said', 'sent')
         ORDER BY seq",
    )?;
    let mut read = read.query([conversation])?;
    while let Some(row) = read.next()? {
        let seq = row.get(0)?;
        match body_in(row.get_ref(1)?.as_str()?) {
            Some(Body::Said(said)) => {
                for (n, message) in (0..).zip(&said.messages) {
                    places.messages.insert(message.id, (seq, n));
                }
            }
            Some(Body::Sent(sent)) => {
                if let Some(message) = sent.corrects {
                    places.corrections.insert(message, sent.text);
                }
            }
            _ => {}
        }
    }
    Ok(places)
}

/// Returns the ids of all conversations with their accounts.
fn conversations(from: &Connection) -> rusqlite::Result<Vec<(i64, String)>> {
    let mut read = from.prepare("SELECT id, account FROM conversation ORDER BY id")?;
    let read = read.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    read.collect()
}

pub(super) async fn messages(
    from: &Connection,
    link: &mut Link,
    told: &mut Told<'_>,
) -> Result<u64, Failure> {
    let into = "message (id, conversation, seq, n, speaker, text, start, stop, words,
        confidence, stored, phrases, lexemes)";
    let mut rows = Rows::begin(link, told, "messages", into).await?;
    let mut read = from.prepare(
        "SELECT id, speaker, text, start, stop, words, confidence, stored, phrases
         FROM message WHERE conversation = ?1 ORDER BY stored, start",
    )?;
    for (conversation, account) in conversations(from)? {
        let places = places(from, conversation)?;
        let mut read = read.query(params![conversation])?;
        let mut homeless = 0;
        while let Some(row) = read.next()? {
            let (id, said): (i64, String) = (row.get(0)?, row.get(2)?);
            let place = places.messages.get(&id).copied();
            // One whose entry cannot be read comes before the others, and is not lost.
            let (seq, n) = place.unwrap_or_else(|| {
                homeless += 1;
                (0, homeless)
            });
            for number in [id, conversation, seq, n] {
                rows.number(number);
            }
            rows.text(&row.get::<_, String>(1)?);
            rows.text(&said);
            rows.number(row.get(3)?);
            rows.number(row.get(4)?);
            rows.raw(&row.get::<_, String>(5)?);
            rows.decimal(row.get(6)?);
            rows.number(row.get(7)?);
            rows.flag(row.get(8)?);
            let sought = places.corrections.get(&id).unwrap_or(&said);
            rows.raw(&format!(
                "{}{}",
                vector(sought),
                scope(&account, conversation)
            ));
            rows.end_row().await?;
        }
    }
    Ok(rows.finish().await?)
}

pub(super) async fn insights(
    from: &Connection,
    link: &mut Link,
    told: &mut Told<'_>,
) -> Result<(), Failure> {
    let into = "insight (id, conversation, message, n, kind, text, score, by_speaker, assignee,
        due)";
    // Those of a message are listed in the order of their ids there, and so here.
    let sql = "SELECT id, conversation, message, kind, text, score, by_speaker, assignee, due
        FROM insight ORDER BY conversation, message, id";
    let (mut last, mut place) = (None, 0);
    copy_rows(from, link, told, "insights", into, sql, |rows, row| {
        let message: i64 = row.get(2)?;
        place = match last.replace(message) == Some(message) {
            true => place + 1,
            false => 0,
        };
        rows.number(row.get(0)?);
        rows.number(row.get(1)?);
        rows.number(message);
        rows.number(place);
        rows.text(&row.get::<_, String>(3)?);
        rows.text(&row.get::<_, String>(4)?);
        rows.decimal(row.get(5)?);
        rows.flag(row.get(6)?);
        rows.text_or_null(row.get::<_, Option<String>>(7)?.as_deref());
        rows.text_or_null(row.get::<_, Option<String>>(8)?.as_deref());
        Ok(())
    })
    .await?;
    Ok(())
}
