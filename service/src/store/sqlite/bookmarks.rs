// SPDX-License-Identifier: MPL-2.0

//! Keeps bookmarks in the database. Which messages lie in the time of a bookmark is found
//! out when it is read, so a bookmark of a conversation that runs has those to come.

use super::corrections::{CORRECTION, corrected};
use super::listing::{Keys, Listed};
use super::open::SECOND;
use super::query::{Found, START, find, keys};
use super::{Store, now};
use crate::ids::new_id;
use crate::store::bookmarks::{
    Bookmarks, Extent, MOST_BOOKMARKS, MOST_MARKED, Mark, Marked, Passage,
};
use crate::store::{Answer, Piece, Sentence, Whose};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use serde_json::{Map, Value, json};
use symbl_protocol::timestamp::format_rfc3339;

/// No message is longer. So one that began earlier than this before a time has ended at it.
pub(in crate::store) const LONGEST_MESSAGE: i64 = 600 * SECOND;

/// A bookmark as it is stored.
pub(in crate::store) struct Stored {
    pub(in crate::store) id: i64,
    pub(in crate::store) mark: Mark,
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let messages: Vec<i64> = serde_json::from_str(row.get_ref(6)?.as_str()?).unwrap_or_default();
    let extent = match messages.is_empty() {
        true => Extent::Time {
            begin: row.get(4)?,
            duration: row.get(5)?,
        },
        false => Extent::Messages(messages),
    };
    Ok(Stored {
        id: row.get(0)?,
        mark: Mark {
            label: row.get(1)?,
            description: row.get(2)?,
            user: serde_json::from_str(row.get_ref(3)?.as_str()?).unwrap_or_default(),
            extent,
        },
    })
}

fn read(from: &Connection, conversation: i64, id: i64) -> rusqlite::Result<Option<Stored>> {
    from.prepare_cached(
        "SELECT id, label, description, user, begin, duration, messages FROM bookmark
         WHERE id = ?1 AND conversation = ?2",
    )?
    .query_row([id, conversation], stored)
    .optional()
}

/// Returns when the conversation began, nanoseconds since the Unix epoch.
fn begun(from: &Connection, found: Found) -> rusqlite::Result<i64> {
    let sql = format!("SELECT {START} FROM conversation WHERE id = ?1");
    from.prepare_cached(&sql)?
        .query_row([found.id], |row| row.get(0))
}

/// Reads the messages of a bookmark, one more than [`MOST_MARKED`] at most.
fn sentences(from: &Connection, found: Found, extent: &Extent) -> rusqlite::Result<Vec<Sentence>> {
    let columns = format!(
        "SELECT m.id, m.text, coalesce(p.name, p.user_id), m.start, m.stop, m.stored,
         {CORRECTION} FROM message m"
    );
    let speaker = "LEFT JOIN member p ON p.conversation = m.conversation AND p.id = m.speaker";
    let most = i64::try_from(MOST_MARKED + 1).unwrap_or(i64::MAX);
    let sentence = |row: &Row<'_>| {
        let said: String = row.get(1)?;
        let (text, original) = match corrected(row.get(6)?) {
            None => (said, None),
            Some(correction) => (correction, Some(said)),
        };
        Ok(Sentence {
            id: row.get(0)?,
            text,
            original,
            speaker: row.get(2)?,
            start: row.get(3)?,
            stop: row.get(4)?,
            stored: row.get(5)?,
            // A summary does not ask who spoke, nor for phrases.
            member: String::new(),
            phrases: false,
            task: false,
            words: Vec::new(),
        })
    };
    match extent {
        Extent::Time { begin, duration } => {
            let from_start = begun(from, found)?.saturating_add(*begin);
            let sql = format!(
                "{columns} INDEXED BY message_of {speaker}
                 WHERE m.conversation = ?1 AND m.stored <= ?2 AND m.start >= ?3 AND m.start < ?5
                 AND (m.stop > ?4 OR m.start >= ?4) ORDER BY m.start, m.id LIMIT ?6"
            );
            let earliest = from_start.saturating_sub(LONGEST_MESSAGE);
            let end = from_start.saturating_add(*duration);
            let parameters = [found.id, found.until, earliest, from_start, end, most];
            let mut rows = from.prepare_cached(&sql)?;
            let rows = rows.query_map(parameters, sentence)?;
            rows.collect()
        }
        Extent::Messages(ids) => {
            let sql = format!(
                "{columns} {speaker}
                 WHERE m.id IN (SELECT value FROM json_each(?3))
                 AND m.conversation = ?1 AND m.stored <= ?2 ORDER BY m.start, m.id LIMIT ?4"
            );
            let parameters = params![found.id, found.until, json!(ids).to_string(), most];
            let mut rows = from.prepare_cached(&sql)?;
            let rows = rows.query_map(parameters, sentence)?;
            rows.collect()
        }
    }
}

/// Returns the time of some messages from the start of the conversation: whole seconds, in
/// which all of them lie.
pub(in crate::store) fn extent_of(sentences: &[Sentence], begun: i64) -> (i64, i64) {
    let first = sentences.iter().map(|one| one.start).min().unwrap_or(begun);
    let last = sentences.iter().map(|one| one.stop).max().unwrap_or(first);
    let begin = first.saturating_sub(begun).max(0) / SECOND * SECOND;
    let length = last.saturating_sub(begun).saturating_sub(begin).max(0);
    (begin, (length + SECOND - 1) / SECOND * SECOND)
}

/// Returns seconds, without decimals where they are whole.
fn seconds(nanos: i64) -> Value {
    match nanos % SECOND {
        0 => (nanos / SECOND).into(),
        _ => (nanos as f64 / SECOND as f64).into(),
    }
}

impl Stored {
    /// Returns the bookmark as the API shows it, with its messages. The conversation began at
    /// `begun`.
    pub(in crate::store) fn shown(&self, mut sentences: Vec<Sentence>, begun: i64) -> Value {
        let Self { id, mark } = self;
        let (begin, duration) = match mark.extent {
            Extent::Time { begin, duration } => (begin, duration),
            Extent::Messages(_) => extent_of(&sentences, begun),
        };
        let is_cut = sentences.len() > MOST_MARKED;
        sentences.truncate(MOST_MARKED);
        let messages = sentences.iter().map(|sentence| {
            json!({
                "id": sentence.id.to_string(),
                "text": sentence.text,
                "startTime": format_rfc3339(sentence.start),
                "endTime": format_rfc3339(sentence.stop),
            })
        });
        let mut members = Map::new();
        members.insert("id".into(), id.to_string().into());
        members.insert("label".into(), mark.label.as_str().into());
        members.insert("description".into(), mark.description.as_str().into());
        members.insert("user".into(), mark.user.clone().into());
        members.insert("beginTimeOffset".into(), seconds(begin));
        members.insert("duration".into(), seconds(duration));
        members.insert("messageRefs".into(), messages.collect());
        if is_cut {
            members.insert("x_more".into(), true.into());
        }
        Value::Object(members)
    }
}

fn shown(from: &Connection, found: Found, stored: &Stored) -> rusqlite::Result<Value> {
    let sentences = sentences(from, found, &stored.mark.extent)?;
    Ok(stored.shown(sentences, begun(from, found)?))
}

/// Returns the first of these ids that is no message of the conversation.
fn missing(from: &Connection, found: Found, extent: &Extent) -> rusqlite::Result<Option<i64>> {
    let Extent::Messages(ids) = extent else {
        return Ok(None);
    };
    let mut known =
        from.prepare_cached("SELECT 1 FROM message WHERE id = ?1 AND conversation = ?2")?;
    for id in ids {
        if !known.exists([*id, found.id])? {
            return Ok(Some(*id));
        }
    }
    Ok(None)
}

/// Writes a bookmark, which may be there already.
fn write(to: &Connection, found: Found, stored: &Stored) -> rusqlite::Result<()> {
    let Stored { id, mark } = stored;
    let (begin, duration, messages) = match &mark.extent {
        Extent::Time { begin, duration } => (*begin, *duration, &[][..]),
        Extent::Messages(ids) => {
            let sentences = sentences(to, found, &mark.extent)?;
            let (begin, duration) = extent_of(&sentences, begun(to, found)?);
            (begin, duration, ids.as_slice())
        }
    };
    to.prepare_cached(
        "INSERT INTO bookmark (id, conversation, label, description, user, begin, duration,
         messages, created, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)
         ON CONFLICT (id) DO UPDATE SET label = excluded.label,
         description = excluded.description, user = excluded.user, begin = excluded.begin,
         duration = excluded.duration, messages = excluded.messages, updated = excluded.updated",
    )?
    .execute(params![
        id,
        found.id,
        mark.label,
        mark.description,
        Value::Object(mark.user.clone()).to_string(),
        begin,
        duration,
        json!(messages).to_string(),
        now()
    ])?;
    Ok(())
}

fn create(to: &Connection, found: Found, marks: Vec<Mark>) -> rusqlite::Result<Marked<Vec<Value>>> {
    let sql = "SELECT count(*) FROM bookmark WHERE conversation = ?1";
    let kept: u32 = to.query_row(sql, [found.id], |row| row.get(0))?;
    if kept as usize + marks.len() > MOST_BOOKMARKS {
        return Ok(Marked::Full);
    }
    let mut made = Vec::with_capacity(marks.len());
    for mark in marks {
        if let Some(message) = missing(to, found, &mark.extent)? {
            return Ok(Marked::NoMessage(message));
        }
        let stored = Stored { id: new_id(), mark };
        write(to, found, &stored)?;
        made.push(shown(to, found, &stored)?);
    }
    Ok(Marked::Done(made))
}

impl Store {
    /// Makes a change of the bookmarks of a conversation in one transaction. A change that is
    /// refused leaves nothing.
    fn mark<T: Send + 'static>(
        &self,
        whose: Whose,
        change: impl FnOnce(&Connection, Found) -> rusqlite::Result<Marked<T>> + Send + 'static,
    ) -> Answer<'_, Marked<T>> {
        Box::pin(self.alter(move |database| {
            // An immediate transaction: one that has read before it writes would fail
            // instead of waiting for other writers.
            let in_ = Transaction::new_unchecked(database, TransactionBehavior::Immediate)?;
            let Some(mut found) = find(&in_, &whose.account, whose.conversation)? else {
                return Ok(Marked::NoConversation);
            };
            found.until = whose.until();
            let marked = change(&in_, found)?;
            if matches!(marked, Marked::Done(_)) {
                in_.commit()?;
            }
            Ok(marked)
        }))
    }
}

impl Bookmarks for Store {
    fn create_bookmarks(&self, whose: Whose, marks: Vec<Mark>) -> Answer<'_, Marked<Vec<Value>>> {
        self.mark(whose, |in_, found| create(in_, found, marks))
    }

    fn replace_bookmark(&self, whose: Whose, id: i64, mark: Mark) -> Answer<'_, Marked<Value>> {
        self.mark(whose, move |in_, found| {
            if read(in_, found.id, id)?.is_none() {
                return Ok(Marked::NoBookmark);
            }
            if let Some(message) = missing(in_, found, &mark.extent)? {
                return Ok(Marked::NoMessage(message));
            }
            let stored = Stored { id, mark };
            write(in_, found, &stored)?;
            shown(in_, found, &stored).map(Marked::Done)
        })
    }

    fn delete_bookmark(&self, whose: Whose, id: i64) -> Answer<'_, Marked<Value>> {
        self.mark(whose, move |in_, found| {
            let Some(stored) = read(in_, found.id, id)? else {
                return Ok(Marked::NoBookmark);
            };
            let shown = shown(in_, found, &stored)?;
            super::purge::note(in_)?;
            in_.execute("DELETE FROM bookmark WHERE id = ?1", [id])?;
            Ok(Marked::Done(shown))
        })
    }

    fn bookmark(&self, whose: Whose, id: i64) -> Answer<'_, Marked<Value>> {
        Box::pin(async move {
            let found = self.of(whose, move |found, database| {
                let stored = read(database, found.id, id)?;
                stored
                    .map(|stored| shown(database, found, &stored))
                    .transpose()
            });
            Ok(marked(found.await?))
        })
    }

    fn bookmarks(&self, whose: Whose) -> Answer<'_, Option<Piece>> {
        Box::pin(self.list_of(whose, |found, database| {
            let rows = Keys::new(ids(database, found)?, move |from, id| {
                let stored = read(from, found.id, id)?;
                stored.map(|stored| shown(from, found, &stored)).transpose()
            });
            Ok(Listed::new("{\"bookmarks\":[", "]}", rows))
        }))
    }

    fn bookmark_ids(&self, whose: Whose) -> Answer<'_, Option<Vec<i64>>> {
        Box::pin(self.of(whose, |found, database| ids(database, found)))
    }

    fn passage(&self, whose: Whose, id: i64) -> Answer<'_, Marked<Passage>> {
        Box::pin(async move {
            let found = self.of(whose, move |found, database| {
                let Some(stored) = read(database, found.id, id)? else {
                    return Ok(None);
                };
                let mut sentences = sentences(database, found, &stored.mark.extent)?;
                sentences.truncate(MOST_MARKED);
                Ok(Some(Passage { id, sentences }))
            });
            Ok(marked(found.await?))
        })
    }
}

fn ids(from: &Connection, found: Found) -> rusqlite::Result<Vec<i64>> {
    let sql = "SELECT id FROM bookmark WHERE conversation = ?1 ORDER BY begin, created, id";
    keys(from, sql, [found.id])
}

/// Returns the answer about one bookmark of a conversation, if there is the conversation.
pub(in crate::store) fn marked<T>(found: Option<Option<T>>) -> Marked<T> {
    match found {
        None => Marked::NoConversation,
        Some(None) => Marked::NoBookmark,
        Some(Some(found)) => Marked::Done(found),
    }
}
