// SPDX-License-Identifier: MPL-2.0

//! Trackers and entities of a conversation, each with the places where it was found.

use super::link::Link;
use super::listing::{AT_ONCE, Listed, Rows};
use super::log::{get, text};
use super::readers::Looking;
use super::records::Found;
use super::text::take;
use crate::store::StoreError;
use crate::store::sqlite::listing::Text;
use crate::store::sqlite::parts::{Named, Phrase, Trackers, open_entity};
use serde_json::json;
use std::collections::HashMap;

/// Lists trackers as a bare array, like the reference.
pub(super) async fn trackers(found: Found, link: &mut Link) -> Result<Listed, StoreError> {
    let sql = "SELECT t.id, t.name, f.value, f.message, f.place FROM tracker t
               JOIN tracker_match f ON f.tracker = t.id JOIN message m ON m.id = f.message
               WHERE t.conversation = $1 AND m.stored <= $2
               ORDER BY t.name, f.value, m.seq, m.n, f.place";
    let rows = link.query(sql, &[&found.id, &found.until]).await?;
    let mut phrases: Vec<Phrase> = Vec::new();
    let mut places = Vec::with_capacity(rows.len());
    for row in &rows {
        let (tracker, value): (i64, String) = (get(row, 0)?, text(row, 2)?);
        let last = phrases.last();
        if last.is_none_or(|last| (last.tracker, &last.value) != (tracker, &value)) {
            let name = text(row, 1)?;
            phrases.push(Phrase {
                tracker,
                name,
                value,
            });
        }
        places.push((phrases.len() - 1, get(row, 3)?, get(row, 4)?));
    }
    let trackers = Trackers::new(phrases, places);
    Ok(Listed::new("[", "]", trackers))
}

impl Rows for Trackers {
    fn fill<'a>(&'a mut self, piece: &'a mut Text, from: &'a mut Link) -> Looking<'a, bool> {
        Box::pin(async move {
            while !piece.is_full() {
                let next: Vec<(usize, i64, i64)> = self.places.by_ref().take(AT_ONCE).collect();
                if next.is_empty() {
                    break;
                }
                let messages: Vec<i64> = next.iter().map(|(_, message, _)| *message).collect();
                let sql = "SELECT id, text FROM message WHERE id = ANY($1)";
                let rows = from.query(sql, &[&messages]).await?;
                let texts = rows.iter().map(|row| Ok((get(row, 0)?, text(row, 1)?)));
                let texts: HashMap<i64, String> = texts.collect::<Result<_, StoreError>>()?;
                for (index, message, offset) in next {
                    if let Some(text) = texts.get(&message) {
                        self.add(piece, index, message, text, offset);
                    }
                }
            }
            let more = self.places.len() > 0;
            if !more {
                self.end(piece);
            }
            Ok(more)
        })
    }
}

/// Entities, each with its places.
struct Entities {
    /// The keys of the places, ordered by entity.
    keys: std::vec::IntoIter<i64>,
    /// The entity whose places are being written.
    last: Option<Named>,
}

/// Lists entities, each with all its places.
pub(super) async fn entities(found: Found, link: &mut Link) -> Result<Listed, StoreError> {
    let sql = "SELECT e.id, e.type, e.value, e.text FROM entity e
               JOIN message m ON m.id = e.message WHERE m.conversation = $1 AND m.stored <= $2
               ORDER BY m.seq, m.n, e.place";
    let rows = link.query(sql, &[&found.id, &found.until]).await?;
    let mut known: HashMap<Named, usize> = HashMap::new();
    let mut groups: Vec<Vec<i64>> = Vec::new();
    for row in &rows {
        let named = (text(row, 1)?, text(row, 2)?, text(row, 3)?);
        let next = groups.len();
        match groups.get_mut(*known.entry(named).or_insert(next)) {
            Some(group) => group.push(get(row, 0)?),
            None => groups.push(vec![get(row, 0)?]),
        }
    }
    let keys: Vec<i64> = groups.into_iter().flatten().collect();
    let rows = Entities {
        keys: keys.into_iter(),
        last: None,
    };
    Ok(Listed::new("{\"entities\":[", "]}", rows))
}

/// An entity and a message that it is in: its text, and where.
type Place = (Named, i64, String, i64);

impl Rows for Entities {
    fn fill<'a>(&'a mut self, piece: &'a mut Text, from: &'a mut Link) -> Looking<'a, bool> {
        Box::pin(async move {
            let sql = "SELECT e.id, e.type, e.value, e.text, m.id, m.text, e.place FROM entity e
                       JOIN message m ON m.id = e.message WHERE e.id = ANY($1)";
            while !piece.is_full() {
                let next: Vec<i64> = self.keys.by_ref().take(AT_ONCE).collect();
                if next.is_empty() {
                    break;
                }
                let rows = from.query(sql, &[&next]).await?;
                let mut found: HashMap<i64, Place> = HashMap::new();
                for row in &rows {
                    let named = [1, 2, 3].map(|column| get::<String>(row, column).map(take));
                    let [kind, value, words] = named;
                    let place = (
                        (kind?, value?, words?),
                        get(row, 4)?,
                        text(row, 5)?,
                        get(row, 6)?,
                    );
                    found.insert(get(row, 0)?, place);
                }
                for (named, message, text, offset) in
                    next.iter().filter_map(|key| found.remove(key))
                {
                    open_entity(piece, &mut self.last, named);
                    piece.item(&json!({"id": message.to_string(), "text": text, "offset": offset}));
                }
            }
            let more = self.keys.len() > 0;
            if !more && self.last.is_some() {
                piece.raw("]}", false);
            }
            Ok(more)
        })
    }
}
