// SPDX-License-Identifier: MPL-2.0

//! Gives messages to those who said them, by turns of a client. The messages are changed in
//! parts, so that entries of the conversation are written in between.

use super::form::{speaker, stored};
use super::link::Link;
use super::log::{get, text};
use super::records::{Found, START, find_to_change};
use super::text::put;
use super::{Store, StoreError};
use crate::clock::now;
use crate::conversation::attribution::{Attribution, Joined, join};
use crate::conversation::entry::{Body, Entry, Speaker};
use crate::store::speakers::{Attribute, Attributed, Speakers};
use crate::store::sqlite::bookmarks::LONGEST_MESSAGE;
use crate::store::sqlite::entries::body_of;
use crate::store::sqlite::record::from_sql;
use crate::store::sqlite::speakers::{Change, Look, PART, Place};
use crate::store::{Answer, Whose};
use std::collections::HashSet;
use std::sync::Arc;

impl Speakers for Store {
    fn attribute(&self, whose: Whose, attribution: Attribute) -> Answer<'_, Attributed> {
        Box::pin(self.give(whose, attribution))
    }
}

/// What is known once the users are members, or why they are not.
type Joining = Result<(Found, Joined, Vec<Arc<Entry>>, i64), Attributed>;

impl Store {
    async fn give(&self, whose: Whose, attribution: Attribute) -> Result<Attributed, StoreError> {
        let Attribute { turns, most, .. } = attribution.clone();
        let of = whose.clone();
        let joined = self.change(Joining::is_ok, move |link| {
            Box::pin(async move {
                let Some(found) = find_to_change(link, &of).await? else {
                    return Ok(Err(Attributed::Unknown));
                };
                let known = members(link, found).await?;
                let Some(joined) = join(known, turns.users(), most) else {
                    return Ok(Err(Attributed::TooMany));
                };
                let renamed = keep(link, found, &joined).await?;
                let sql = format!("SELECT {START} FROM conversation WHERE id = $1");
                let row = link.query_one(&sql, &[&found.id]).await?;
                Ok(Ok((found, joined, renamed, get(&row, 0)?)))
            })
        });
        let (found, joined, mut entries, start) = match joined.await? {
            Ok(joined) => joined,
            Err(refused) => return Ok(refused),
        };
        let look = Arc::new(Look {
            zero: attribution.zero.unwrap_or(start),
            attribution,
            speakers: joined.speakers.clone(),
        });
        // An earlier message has ended.
        let since = look.attribution.since.saturating_sub(LONGEST_MESSAGE);
        let mut place = Some((since, i64::MIN));
        while let Some(after) = place {
            let looking = Arc::clone(&look);
            let looked = self.of(whose.clone(), move |found, link| {
                Box::pin(async move { changes(link, &looking, found, after).await })
            });
            // It was deleted meanwhile.
            let Some((changes, next)) = looked.await? else {
                break;
            };
            place = next;
            if !changes.is_empty() {
                let look = Arc::clone(&look);
                let written = self.change(Option::is_some, move |link| {
                    Box::pin(async move { write(link, &look, found, changes).await })
                });
                entries.extend(written.await?);
            }
        }
        let silent = look.silent(&joined.new, &entries);
        if !silent.is_empty() {
            let body = Body::Attributed(silent);
            let written = self.change(Option::is_some, move |link| {
                Box::pin(async move { append_late(link, found.id, body).await })
            });
            entries.extend(written.await?);
        }
        Ok(Attributed::Done {
            speakers: joined.speakers,
            entries,
        })
    }
}

async fn members(link: &mut Link, found: Found) -> Result<Vec<Speaker>, StoreError> {
    let sql = "SELECT id, user_id, name FROM member WHERE conversation = $1 ORDER BY id";
    let rows = link.query(sql, &[&found.id]).await?;
    let known = rows.iter().map(|row| {
        Ok(speaker(Speaker {
            id: get(row, 0)?,
            user_id: get(row, 1)?,
            name: get(row, 2)?,
        }))
    });
    known.collect()
}

/// Stores the users as members. Returns the entries of those that have a new name.
async fn keep(
    link: &mut Link,
    found: Found,
    joined: &Joined,
) -> Result<Vec<Arc<Entry>>, StoreError> {
    for speaker in joined.new.iter().chain(&joined.renamed) {
        // It is not here by a socket of its own, so no node has it.
        let sql = "INSERT INTO member (conversation, id, user_id, name, here, node)
                   VALUES ($1, $2, $3, $4, false, '') ON CONFLICT (conversation, id) DO UPDATE
                   SET user_id = excluded.user_id, name = excluded.name";
        let Speaker { id, user_id, name } = stored(speaker);
        link.execute(sql, &[&found.id, &id, &user_id, &name])
            .await?;
    }
    let mut entries = Vec::new();
    for speaker in &joined.renamed {
        let body = Body::Renamed(speaker.clone());
        entries.extend(append_late(link, found.id, body).await?);
    }
    Ok(entries)
}

/// Appends an entry, also if the conversation is over. The row of the conversation must be
/// locked, if the entry has to follow from what was read. Returns `None` if it is not there.
pub(super) async fn append_late(
    link: &mut Link,
    conversation: i64,
    body: Body,
) -> Result<Option<Arc<Entry>>, StoreError> {
    let sql = "UPDATE conversation SET head = head + 1 WHERE id = $1 RETURNING head";
    let Some(row) = link.query_opt(sql, &[&conversation]).await? else {
        return Ok(None);
    };
    let (seq, at): (i64, i64) = (get(&row, 0)?, now());
    let written = match &body {
        Body::Renamed(speaker) => body_of(&Body::Renamed(stored(speaker))),
        other => body_of(other),
    };
    let sql = "INSERT INTO entry (conversation, seq, at, kind, body) VALUES ($1, $2, $3, $4, $5)";
    link.execute(sql, &[&conversation, &seq, &at, &body.kind(), &written])
        .await?;
    let seq = from_sql(seq);
    Ok(Some(Arc::new(Entry { seq, at, body })))
}

/// Looks at a part of the messages after `place`. Returns the changes, and where the next
/// part begins.
async fn changes(
    link: &mut Link,
    look: &Look,
    found: Found,
    place: Place,
) -> Result<(Vec<Change>, Option<Place>), StoreError> {
    let (start, id) = place;
    let sql = "SELECT start, id, stop, words, speaker FROM message
               WHERE conversation = $1 AND (start, id) > ($2, $3) ORDER BY start, id LIMIT $4";
    let rows = link.query(sql, &[&found.id, &start, &id, &PART]).await?;
    let (mut changes, mut last) = (Vec::new(), place);
    for row in &rows {
        last = (get(row, 0)?, get(row, 1)?);
        if get::<i64>(row, 2)? <= look.attribution.since {
            continue;
        }
        let words: &str = get(row, 3)?;
        let words: Vec<(String, i64, i64)> = serde_json::from_str(words).unwrap_or_default();
        if let Some(other) = look.other(&words, &text(row, 4)?) {
            changes.push((last.1, other.to_owned()));
        }
    }
    let more = i64::try_from(rows.len()).is_ok_and(|read| read == PART);
    Ok((changes, more.then_some(last)))
}

/// Changes the speakers of messages, and appends that.
async fn write(
    link: &mut Link,
    look: &Look,
    found: Found,
    changes: Vec<Change>,
) -> Result<Option<Arc<Entry>>, StoreError> {
    // This lock is the order of the log.
    let sql = "SELECT 1 FROM conversation WHERE id = $1 FOR NO KEY UPDATE";
    link.query(sql, &[&found.id]).await?;
    let sql = "UPDATE message m SET speaker = c.speaker
               FROM unnest($2::bigint[], $3::text[]) AS c(id, speaker)
               WHERE m.id = c.id AND m.conversation = $1 RETURNING m.id";
    let (ids, speakers): (Vec<i64>, Vec<String>) = changes
        .iter()
        .map(|(message, id)| (*message, put(id)))
        .unzip();
    let rows = link.query(sql, &[&found.id, &ids, &speakers]).await?;
    let changed = rows.iter().map(|row| get(row, 0));
    let changed: HashSet<i64> = changed.collect::<Result<_, StoreError>>()?;
    let mut attributions: Vec<Attribution> = Vec::new();
    // Those that are missing were deleted meanwhile.
    for (message, id) in changes.iter().filter(|(id, _)| changed.contains(id)) {
        look.add(&mut attributions, *message, id);
    }
    if attributions.is_empty() {
        return Ok(None);
    }
    append_late(link, found.id, Body::Attributed(attributions)).await
}
