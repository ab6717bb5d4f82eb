// SPDX-License-Identifier: MPL-2.0

//! Keeps bookmarks in the database of the cluster. Which messages lie in the time of a
//! bookmark is found out when it is read, so a bookmark of a conversation that runs has those
//! to come.

use super::link::{Link, Parameters};
use super::listing::{Keys, Listed, Make};
use super::log::{get, text, text_or_none};
use super::parts::{CORRECTION, keys};
use super::readers::Looking;
use super::records::{Found, START, find_to_change};
use super::text::put;
use super::{Store, StoreError};
use crate::clock::now;
use crate::ids::new_id;
use crate::store::bookmarks::{
    Bookmarks, Extent, MOST_BOOKMARKS, MOST_MARKED, Mark, Marked, Passage,
};
use crate::store::sqlite::bookmarks::{LONGEST_MESSAGE, Stored, extent_of, marked};
use crate::store::sqlite::corrections::corrected;
use crate::store::{Answer, Piece, Sentence, Whose};
use serde_json::Value;
use std::collections::HashMap;
use tokio_postgres::Row;

fn stored(row: &Row) -> Result<Stored, StoreError> {
    let messages: Vec<i64> = get(row, 6)?;
    let extent = match messages.is_empty() {
        true => Extent::Time {
            begin: get(row, 4)?,
            duration: get(row, 5)?,
        },
        false => Extent::Messages(messages),
    };
    Ok(Stored {
        id: get(row, 0)?,
        mark: Mark {
            label: text(row, 1)?,
            description: text(row, 2)?,
            user: serde_json::from_str(get(row, 3)?).unwrap_or_default(),
            extent,
        },
    })
}

/// Reads bookmarks of a conversation.
async fn read(link: &mut Link, found: Found, ids: &[i64]) -> Result<Vec<Stored>, StoreError> {
    let sql = "SELECT id, label, description, author, begins, duration, messages FROM bookmark
               WHERE conversation = $1 AND id = ANY($2)";
    let rows = link.query(sql, &[&found.id, &ids]).await?;
    rows.iter().map(stored).collect()
}

async fn read_one(link: &mut Link, found: Found, id: i64) -> Result<Option<Stored>, StoreError> {
    Ok(read(link, found, &[id]).await?.pop())
}

/// Returns when the conversation began, nanoseconds since the Unix epoch.
async fn begun(link: &mut Link, found: Found) -> Result<i64, StoreError> {
    let sql = format!("SELECT {START} FROM conversation WHERE id = $1");
    let row = link.query_one(&sql, &[&found.id]).await?;
    get(&row, 0)
}

fn sentence(row: &Row) -> Result<Sentence, StoreError> {
    let said = text(row, 1)?;
    let (text, original) = match corrected(get(row, 6)?) {
        None => (said, None),
        Some(correction) => (correction, Some(said)),
    };
    Ok(Sentence {
        id: get(row, 0)?,
        text,
        original,
        speaker: text_or_none(row, 2)?,
        start: get(row, 3)?,
        stop: get(row, 4)?,
        stored: get(row, 5)?,
        // A summary does not ask who spoke, nor for phrases.
        member: String::new(),
        phrases: false,
        task: false,
        words: Vec::new(),
    })
}

/// Reads the messages of a bookmark, one more than [`MOST_MARKED`] at most.
async fn sentences(
    link: &mut Link,
    found: Found,
    begun: i64,
    extent: &Extent,
) -> Result<Vec<Sentence>, StoreError> {
    let columns = format!(
        "SELECT m.id, m.text, coalesce(p.name, p.user_id), m.start, m.stop, m.stored,
         {CORRECTION} FROM message m LEFT JOIN member p
         ON p.conversation = m.conversation AND p.id = m.speaker
         WHERE m.conversation = $1 AND m.stored <= $2"
    );
    let most = i64::try_from(MOST_MARKED + 1).unwrap_or(i64::MAX);
    let Found { id, until, .. } = found;
    let rows = match extent {
        Extent::Time { begin, duration } => {
            let from_start = begun.saturating_add(*begin);
            let earliest = from_start.saturating_sub(LONGEST_MESSAGE);
            let end = from_start.saturating_add(*duration);
            let sql = format!(
                "{columns} AND m.start >= $3 AND m.start < $5
                 AND (m.stop > $4 OR m.start >= $4) ORDER BY m.start, m.id LIMIT $6"
            );
            let with: Parameters<'_> = &[&id, &until, &earliest, &from_start, &end, &most];
            link.query(&sql, with).await?
        }
        Extent::Messages(ids) => {
            let sql = format!("{columns} AND m.id = ANY($3) ORDER BY m.start, m.id LIMIT $4");
            link.query(&sql, &[&id, &until, ids, &most]).await?
        }
    };
    rows.iter().map(sentence).collect()
}

async fn shown(link: &mut Link, found: Found, stored: &Stored) -> Result<Value, StoreError> {
    let begun = begun(link, found).await?;
    let sentences = sentences(link, found, begun, &stored.mark.extent).await?;
    Ok(stored.shown(sentences, begun))
}

/// Returns the first of these ids that is no message of the conversation.
async fn missing(
    link: &mut Link,
    found: Found,
    extent: &Extent,
) -> Result<Option<i64>, StoreError> {
    let Extent::Messages(ids) = extent else {
        return Ok(None);
    };
    let sql = "SELECT w.id FROM unnest($2::bigint[]) WITH ORDINALITY AS w(id, n)
               WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.id = w.id
               AND m.conversation = $1) ORDER BY w.n LIMIT 1";
    let row = link.query_opt(sql, &[&found.id, ids]).await?;
    row.map(|row| get(&row, 0)).transpose()
}

/// Writes a bookmark, which may be there already.
async fn write(link: &mut Link, found: Found, stored: &Stored) -> Result<(), StoreError> {
    let Stored { id, mark } = stored;
    let (begin, duration, messages) = match &mark.extent {
        Extent::Time { begin, duration } => (*begin, *duration, Vec::new()),
        Extent::Messages(ids) => {
            let begun = begun(link, found).await?;
            let sentences = sentences(link, found, begun, &mark.extent).await?;
            let (begin, duration) = extent_of(&sentences, begun);
            (begin, duration, ids.clone())
        }
    };
    let sql = "INSERT INTO bookmark (id, conversation, label, description, author, begins,
               duration, messages, created, updated)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
               ON CONFLICT (id) DO UPDATE SET label = excluded.label,
               description = excluded.description, author = excluded.author,
               begins = excluded.begins, duration = excluded.duration,
               messages = excluded.messages, updated = excluded.updated";
    let (label, description) = (put(&mark.label), put(&mark.description));
    let (author, at) = (Value::Object(mark.user.clone()).to_string(), now());
    let with: Parameters<'_> = &[
        id,
        &found.id,
        &label,
        &description,
        &author,
        &begin,
        &duration,
        &messages,
        &at,
    ];
    link.execute(sql, with).await.map(drop)
}

async fn create(
    link: &mut Link,
    found: Found,
    marks: Vec<Mark>,
) -> Result<Marked<Vec<Value>>, StoreError> {
    let sql = "SELECT count(*) FROM bookmark WHERE conversation = $1";
    let row = link.query_one(sql, &[&found.id]).await?;
    let kept = usize::try_from(get::<i64>(&row, 0)?).unwrap_or(usize::MAX);
    if kept.saturating_add(marks.len()) > MOST_BOOKMARKS {
        return Ok(Marked::Full);
    }
    let mut made = Vec::with_capacity(marks.len());
    for mark in marks {
        if let Some(message) = missing(link, found, &mark.extent).await? {
            return Ok(Marked::NoMessage(message));
        }
        let stored = Stored { id: new_id(), mark };
        write(link, found, &stored).await?;
        made.push(shown(link, found, &stored).await?);
    }
    Ok(Marked::Done(made))
}

async fn ids(link: &mut Link, found: Found) -> Result<Vec<i64>, StoreError> {
    let sql = "SELECT id FROM bookmark WHERE conversation = $1 ORDER BY begins, created, id";
    keys(&link.query(sql, &[&found.id]).await?)
}

/// Reads bookmarks as the API shows them.
async fn read_shown(
    link: &mut Link,
    found: Found,
    ids: Vec<i64>,
) -> Result<HashMap<i64, Value>, StoreError> {
    let begun = begun(link, found).await?;
    let mut all = HashMap::with_capacity(ids.len());
    for stored in read(link, found, &ids).await? {
        let sentences = sentences(link, found, begun, &stored.mark.extent).await?;
        all.insert(stored.id, stored.shown(sentences, begun));
    }
    Ok(all)
}

impl Store {
    /// Makes a change of the bookmarks of a conversation in one transaction. A change that is
    /// refused leaves nothing.
    fn mark<T: Send + 'static>(
        &self,
        whose: Whose,
        change: impl for<'a> FnOnce(&'a mut Link, Found) -> Looking<'a, Marked<T>> + Send + 'static,
    ) -> Answer<'_, Marked<T>> {
        let is_done = |marked: &Marked<T>| matches!(marked, Marked::Done(_));
        Box::pin(self.change(is_done, move |link| {
            Box::pin(async move {
                match find_to_change(link, &whose).await? {
                    Some(found) => change(link, found).await,
                    None => Ok(Marked::NoConversation),
                }
            })
        }))
    }
}

impl Bookmarks for Store {
    fn create_bookmarks(&self, whose: Whose, marks: Vec<Mark>) -> Answer<'_, Marked<Vec<Value>>> {
        self.mark(whose, |link, found| Box::pin(create(link, found, marks)))
    }

    fn replace_bookmark(&self, whose: Whose, id: i64, mark: Mark) -> Answer<'_, Marked<Value>> {
        self.mark(whose, move |link, found| {
            Box::pin(async move {
                if read_one(link, found, id).await?.is_none() {
                    return Ok(Marked::NoBookmark);
                }
                if let Some(message) = missing(link, found, &mark.extent).await? {
                    return Ok(Marked::NoMessage(message));
                }
                let stored = Stored { id, mark };
                write(link, found, &stored).await?;
                shown(link, found, &stored).await.map(Marked::Done)
            })
        })
    }

    fn delete_bookmark(&self, whose: Whose, id: i64) -> Answer<'_, Marked<Value>> {
        self.mark(whose, move |link, found| {
            Box::pin(async move {
                let Some(stored) = read_one(link, found, id).await? else {
                    return Ok(Marked::NoBookmark);
                };
                let shown = shown(link, found, &stored).await?;
                let sql = "DELETE FROM bookmark WHERE id = $1";
                link.execute(sql, &[&id]).await?;
                Ok(Marked::Done(shown))
            })
        })
    }

    fn bookmark(&self, whose: Whose, id: i64) -> Answer<'_, Marked<Value>> {
        Box::pin(async move {
            let found = self.of(whose, move |found, link| {
                Box::pin(async move {
                    match read_one(link, found, id).await? {
                        Some(stored) => shown(link, found, &stored).await.map(Some),
                        None => Ok(None),
                    }
                })
            });
            Ok(marked(found.await?))
        })
    }

    fn bookmarks(&self, whose: Whose) -> Answer<'_, Option<Piece>> {
        Box::pin(self.list_of(whose, |found, link| {
            Box::pin(async move {
                let make: Make = Box::new(move |link, ids| Box::pin(read_shown(link, found, ids)));
                let rows = Keys::new(ids(link, found).await?, make);
                Ok(Listed::new("{\"bookmarks\":[", "]}", rows))
            })
        }))
    }

    fn bookmark_ids(&self, whose: Whose) -> Answer<'_, Option<Vec<i64>>> {
        Box::pin(self.of(whose, |found, link| Box::pin(ids(link, found))))
    }

    fn passage(&self, whose: Whose, id: i64) -> Answer<'_, Marked<Passage>> {
        Box::pin(async move {
            let found = self.of(whose, move |found, link| {
                Box::pin(async move {
                    let Some(stored) = read_one(link, found, id).await? else {
                        return Ok(None);
                    };
                    let begun = begun(link, found).await?;
                    let extent = &stored.mark.extent;
                    let mut sentences = sentences(link, found, begun, extent).await?;
                    sentences.truncate(MOST_MARKED);
                    Ok(Some(Passage { id, sentences }))
                })
            });
            Ok(marked(found.await?))
        })
    }
}
