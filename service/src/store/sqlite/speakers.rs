// SPDX-License-Identifier: MPL-2.0

//! Gives messages to those who said them, by turns of a client. The messages are read on a
//! thread that reads, and changed in parts, so that entries of other conversations are written
//! in between.

use super::Store;
use super::bookmarks::LONGEST_MESSAGE;
use super::entries::append_late;
use super::presence::members;
use super::query::{Found, START, find};
use crate::conversation::attribution::{Attribution, Joined, join};
use crate::conversation::entry::{Body, Entry, Speaker};
use crate::store::speakers::{Attribute, Attributed, Speakers};
use crate::store::{Answer, LONGEST_WAIT, Whose};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::sync::Arc;

/// Messages that are looked at and changed at once, and so in one entry.
pub(in crate::store) const PART: i64 = 500;

/// A place in the messages: the start of the last one, and its id.
pub(in crate::store) type Place = (i64, i64);

/// A message that another speaker has said: its id, and the new speaker's id.
pub(in crate::store) type Change = (i64, String);

impl Speakers for Store {
    fn attribute(&self, whose: Whose, attribution: Attribute) -> Answer<'_, Attributed> {
        Box::pin(self.give(whose, attribution))
    }
}

impl Store {
    async fn give(&self, whose: Whose, attribution: Attribute) -> super::Stored<Attributed> {
        let Attribute { turns, most, .. } = attribution.clone();
        let of = whose.clone();
        let joined = self.alter(move |database| {
            // An immediate transaction: one that has read before it writes would fail
            // instead of waiting for other writers.
            let in_ = Transaction::new_unchecked(database, TransactionBehavior::Immediate)?;
            let Some(found) = find(&in_, &of.account, of.conversation)? else {
                return Ok(Err(Attributed::Unknown));
            };
            let Some(joined) = join(members(&in_, found.id)?, turns.users(), most) else {
                return Ok(Err(Attributed::TooMany));
            };
            let renamed = keep(&in_, found, &joined)?;
            let sql = format!("SELECT {START} FROM conversation WHERE id = ?1");
            let start: i64 = in_.query_row(&sql, [found.id], |row| row.get(0))?;
            in_.commit()?;
            Ok(Ok((found, joined, renamed, start)))
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
        let mut place = Some((
            look.attribution.since.saturating_sub(LONGEST_MESSAGE),
            i64::MIN,
        ));
        while let Some(after) = place {
            let looking = Arc::clone(&look);
            let looked = self.look(LONGEST_WAIT, move |database| {
                looking.changes(database, found, after)
            });
            let (changes, next) = looked.await?;
            place = next;
            if !changes.is_empty() {
                let look = Arc::clone(&look);
                let written = self.alter(move |database| look.write(database, found, changes));
                entries.extend(written.await?);
            }
        }
        let silent = look.silent(&joined.new, &entries);
        if !silent.is_empty() {
            let body = Body::Attributed(silent);
            let written = self.alter(move |database| {
                let in_ = Transaction::new_unchecked(database, TransactionBehavior::Immediate)?;
                let entry = append_late(&in_, found.id, super::now(), body)?;
                in_.commit()?;
                Ok(entry)
            });
            entries.extend(written.await?);
        }
        Ok(Attributed::Done {
            speakers: joined.speakers,
            entries,
        })
    }
}

/// Stores the users as members. Returns the entries of those that have a new name.
fn keep(to: &Connection, found: Found, joined: &Joined) -> rusqlite::Result<Vec<Arc<Entry>>> {
    for speaker in joined.new.iter().chain(&joined.renamed) {
        to.prepare_cached(
            "INSERT INTO member VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE
             SET user_id = excluded.user_id, name = excluded.name",
        )?
        .execute(params![found.id, speaker.id, speaker.user_id, speaker.name])?;
    }
    let mut entries = Vec::new();
    for speaker in &joined.renamed {
        let body = Body::Renamed(speaker.clone());
        entries.extend(append_late(to, found.id, super::now(), body)?);
    }
    Ok(entries)
}

/// Finds the messages that another speaker has said.
pub(in crate::store) struct Look {
    pub(in crate::store) attribution: Attribute,
    pub(in crate::store) zero: i64,
    /// The users as members.
    pub(in crate::store) speakers: Vec<Speaker>,
}

impl Look {
    /// Looks at a part of the messages after `place`. Returns the changes, and where the next
    /// part begins.
    fn changes(
        &self,
        from: &Connection,
        found: Found,
        place: Place,
    ) -> rusqlite::Result<(Vec<Change>, Option<Place>)> {
        let (start, id) = place;
        let mut rows = from.prepare_cached(
            "SELECT start, id, stop, words, speaker FROM message INDEXED BY message_of
             WHERE conversation = ?1 AND (start, id) > (?2, ?3) ORDER BY start, id LIMIT ?4",
        )?;
        let mut rows = rows.query([found.id, start, id, PART])?;
        let (mut changes, mut number, mut last) = (Vec::new(), 0, place);
        while let Some(row) = rows.next()? {
            number += 1;
            last = (row.get(0)?, row.get(1)?);
            if row.get::<_, i64>(2)? <= self.attribution.since {
                continue;
            }
            let words: Vec<(String, i64, i64)> =
                serde_json::from_str(row.get_ref(3)?.as_str()?).unwrap_or_default();
            let speaker: String = row.get(4)?;
            if let Some(other) = self.other(&words, &speaker) {
                changes.push((last.1, other.to_owned()));
            }
        }
        Ok((changes, (number == PART).then_some(last)))
    }

    /// Returns the id of the speaker that a message of `speaker` belongs to, if that is
    /// another one.
    pub(in crate::store) fn other(
        &self,
        words: &[(String, i64, i64)],
        speaker: &str,
    ) -> Option<&str> {
        let instead_of = self.attribution.instead_of.as_ref();
        let mut looked_at = self.speakers.iter().chain(instead_of);
        if instead_of.is_some() && !looked_at.any(|one| one.id == speaker) {
            return None;
        }
        let since = |time: i64| u64::try_from(time.saturating_sub(self.zero)).unwrap_or(0);
        // A word of before the turns would be at their begin.
        let words = words.iter().filter(|(_, _, stop)| *stop > self.zero);
        let words = words.map(|(_, start, stop)| (since(*start), since(*stop)));
        let owner = self.attribution.turns.owner(words);
        let owner = owner.and_then(|owner| self.speakers.get(owner));
        let owner = owner.or(instead_of)?;
        (owner.id != speaker).then_some(owner.id.as_str())
    }

    /// Adds a message that the speaker with this id has said.
    pub(in crate::store) fn add(
        &self,
        attributions: &mut Vec<Attribution>,
        message: i64,
        id: &str,
    ) {
        let known = attributions.iter_mut().find(|one| one.speaker.id == id);
        if let Some(known) = known {
            return known.messages.push(message);
        }
        let mut speakers = self.speakers.iter().chain(&self.attribution.instead_of);
        if let Some(speaker) = speakers.find(|one| one.id == id) {
            attributions.push(Attribution {
                speaker: speaker.clone(),
                messages: vec![message],
            });
        }
    }

    /// Returns the users that are new and got no message in the entries, as attributions without
    /// messages. Users of a stream are heard in its finals, which tell of them.
    pub(in crate::store) fn silent(
        &self,
        new: &[Speaker],
        entries: &[Arc<Entry>],
    ) -> Vec<Attribution> {
        if self.attribution.instead_of.is_some() {
            return Vec::new();
        }
        let told = |speaker: &&Speaker| {
            entries.iter().any(|entry| match &entry.body {
                Body::Attributed(all) => all.iter().any(|one| one.speaker.id == speaker.id),
                _ => false,
            })
        };
        let silent = new.iter().filter(|speaker| !told(speaker));
        let silent = silent.map(|speaker| Attribution {
            speaker: speaker.clone(),
            messages: Vec::new(),
        });
        silent.collect()
    }

    /// Changes the speakers of messages, and appends that.
    fn write(
        &self,
        database: &Connection,
        found: Found,
        changes: Vec<Change>,
    ) -> rusqlite::Result<Option<Arc<Entry>>> {
        let in_ = Transaction::new_unchecked(database, TransactionBehavior::Immediate)?;
        let mut attributions: Vec<Attribution> = Vec::new();
        for (message, id) in changes {
            let changed = in_
                .prepare_cached(
                    "UPDATE message SET speaker = ?3 WHERE id = ?1 AND conversation = ?2",
                )?
                .execute(params![message, found.id, id])?;
            // It was deleted meanwhile.
            if changed == 0 {
                continue;
            }
            self.add(&mut attributions, message, &id);
        }
        if attributions.is_empty() {
            return Ok(None);
        }
        let body = Body::Attributed(attributions);
        let entry = append_late(&in_, found.id, super::now(), body)?;
        in_.commit()?;
        Ok(entry)
    }
}
