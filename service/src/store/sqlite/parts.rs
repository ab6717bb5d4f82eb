// SPDX-License-Identifier: MPL-2.0

//! The parts of a conversation that may be long, as lists that are read in pieces.

use super::corrections::{CORRECTION, corrected};
use super::listing::{Keys, Listed, Rows, Text};
use super::query::{Answer, Found, all, keys, person, span};
use crate::store::{Insights, Wanted};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use symbl_analysis::phrases;
use symbl_analysis::sentiment::polarity;
use symbl_protocol::reply;

/// Messages in the order of the log. `last` has the last one that was read: the time at
/// which it was stored, its start, and its id.
struct Messages {
    found: Found,
    wanted: Wanted,
    last: (i64, i64, i64),
}

impl Rows for Messages {
    fn fill(&mut self, piece: &mut Text, from: &Connection) -> rusqlite::Result<bool> {
        let sql = format!(
            "SELECT m.id, m.text, m.start, m.stop, m.words, m.confidence, p.id, p.name, p.user_id,
             m.stored, {CORRECTION}, m.phrases FROM message m INDEXED BY message_told LEFT JOIN member p
             ON p.conversation = m.conversation AND p.id = m.speaker
             WHERE m.conversation = ?1 AND m.stored <= ?2
             AND (m.stored, m.start, m.id) > (?3, ?4, ?5) AND m.start >= ?6 AND m.start < ?7
             ORDER BY m.stored, m.start, m.id LIMIT ?8 OFFSET ?9"
        );
        let Found { id, until, .. } = self.found;
        let (stored, start, last) = self.last;
        let Wanted {
            from: earliest,
            to,
            limit,
            ..
        } = self.wanted;
        let offset = std::mem::take(&mut self.wanted.offset);
        let mut rows = from.prepare_cached(&sql)?;
        let mut rows = rows.query([id, until, stored, start, last, earliest, to, limit, offset])?;
        while let Some(row) = rows.next()? {
            piece.item(&self.message(row)?);
            self.last = (row.get(9)?, row.get(2)?, row.get(0)?);
            self.wanted.limit = self.wanted.limit.saturating_sub(1);
            if piece.is_full() {
                return Ok(self.wanted.limit > 0);
            }
        }
        Ok(false)
    }
}

impl Messages {
    fn message(&self, row: &Row<'_>) -> Answer {
        let first = self.found.first;
        let (id, text): (i64, String) = (row.get(0)?, row.get(1)?);
        let speaker: [Option<String>; 3] = [row.get(6)?, row.get(7)?, row.get(8)?];
        let [speaker_id, name, email] = speaker.each_ref().map(Option::as_deref);
        let mut members = Map::new();
        members.insert("id".into(), id.to_string().into());
        let correction = corrected(row.get(10)?);
        let told = correction.as_deref().unwrap_or(&text);
        let sentiment = self.wanted.sentiment.then(|| polarity(told));
        let phrases = match row.get(11)? {
            true => reply::phrases(&phrases(told)),
            false => json!([]),
        };
        match correction {
            None => drop(members.insert("text".into(), text.into())),
            Some(correction) => {
                members.insert("text".into(), correction.into());
                members.insert("x_originalText".into(), text.into());
                members.insert("x_corrected".into(), true.into());
            }
        }
        members.insert("from".into(), person(speaker_id, name, ("email", email)));
        members.append(&mut span(first, row.get(2)?, row.get(3)?));
        members.insert("conversationId".into(), self.found.id.to_string().into());
        members.insert("phrases".into(), phrases);
        if let Some(polarity) = sentiment {
            members.insert("sentiment".into(), reply::sentiment(polarity));
        }
        if self.wanted.verbose {
            let words: String = row.get(4)?;
            let words: Vec<(String, i64, i64)> = serde_json::from_str(&words).unwrap_or_default();
            let confidence: f64 = row.get(5)?;
            let words = words.into_iter().map(|(word, start, stop)| {
                let mut members = Map::new();
                members.insert("word".into(), word.into());
                members.append(&mut span(first, start, stop));
                members.insert("score".into(), confidence.into());
                Value::Object(members)
            });
            members.insert("words".into(), words.collect());
        }
        Ok(Value::Object(members))
    }
}

impl Found {
    /// Lists messages in the order of the log, with their words if `wanted` is verbose.
    pub(super) fn messages(self, wanted: Wanted) -> Listed {
        let rows = Messages {
            found: self,
            wanted,
            // Every time and id is larger than the smallest number.
            last: (i64::MIN, i64::MIN, i64::MIN),
        };
        Listed::new("{\"messages\":[", "]}", rows)
    }

    pub(super) fn insights(self, from: &Connection, which: Insights) -> rusqlite::Result<Listed> {
        let (head, kind) = match which {
            Insights::All => ("{\"insights\":[", "%"),
            Insights::ActionItems => ("{\"actionItems\":[", "action_item"),
            Insights::Questions => ("{\"questions\":[", "question"),
            Insights::FollowUps => ("{\"followUps\":[", "follow_up"),
        };
        let sql = "SELECT i.id FROM insight i JOIN message m ON m.id = i.message
                   WHERE i.conversation = ?1 AND i.kind LIKE ?2 AND m.stored <= ?3
                   ORDER BY m.stored, m.start, i.rowid";
        let keys = keys(from, sql, params![self.id, kind, self.until])?;
        let rows = Keys::new(keys, move |from, id| insight(from, which, id));
        Ok(Listed::new(head, "]}", rows))
    }

    /// Lists trackers as a bare array, like the reference.
    pub(super) fn trackers(self, from: &Connection) -> rusqlite::Result<Listed> {
        let sql = "SELECT t.id, t.name, f.value, f.message, f.offset FROM tracker t
                   JOIN tracker_match f ON f.tracker = t.id JOIN message m ON m.id = f.message
                   WHERE t.conversation = ?1 AND m.stored <= ?2
                   ORDER BY t.name, f.value, m.stored, m.start, f.offset";
        let mut rows = from.prepare_cached(sql)?;
        let mut rows = rows.query([self.id, self.until])?;
        let mut phrases: Vec<Phrase> = Vec::new();
        let mut places = Vec::new();
        while let Some(row) = rows.next()? {
            let tracker = row.get(0)?;
            let value = row.get_ref(2)?.as_str()?;
            let last = phrases.last();
            if last.is_none_or(|last| (last.tracker, last.value.as_str()) != (tracker, value)) {
                let value = value.to_owned();
                let name = row.get(1)?;
                phrases.push(Phrase {
                    tracker,
                    name,
                    value,
                });
            }
            places.push((phrases.len() - 1, row.get(3)?, row.get(4)?));
        }
        let rows = Trackers::new(phrases, places);
        Ok(Listed::new("[", "]", rows))
    }

    /// Lists entities, each with all its places.
    pub(super) fn entities(self, from: &Connection) -> rusqlite::Result<Listed> {
        let sql = "SELECT e.id, e.type, e.value, e.text FROM entity e
                   JOIN message m ON m.id = e.message WHERE m.conversation = ?1 AND m.stored <= ?2
                   ORDER BY m.stored, m.start, m.rowid, e.offset";
        let mut rows = from.prepare_cached(sql)?;
        let mut rows = rows.query([self.id, self.until])?;
        let mut known: HashMap<Named, usize> = HashMap::new();
        let mut groups: Vec<Vec<i64>> = Vec::new();
        while let Some(row) = rows.next()? {
            let named = (row.get(1)?, row.get(2)?, row.get(3)?);
            let next = groups.len();
            match groups.get_mut(*known.entry(named).or_insert(next)) {
                Some(group) => group.push(row.get(0)?),
                None => groups.push(vec![row.get(0)?]),
            }
        }
        let keys: Vec<i64> = groups.into_iter().flatten().collect();
        let rows = Entities {
            keys: keys.into_iter(),
            last: None,
        };
        Ok(Listed::new("{\"entities\":[", "]}", rows))
    }
}

pub(super) fn insight(
    from: &Connection,
    which: Insights,
    id: i64,
) -> rusqlite::Result<Option<Value>> {
    let sql = "SELECT i.text, i.kind, i.score, i.message, i.by_speaker, i.assignee,
               i.due, p.id, p.name, p.user_id FROM insight i
               JOIN message m ON m.id = i.message LEFT JOIN member p
               ON p.conversation = m.conversation AND p.id = m.speaker WHERE i.id = ?1";
    let item = |row: &Row<'_>| {
        let (kind, message): (String, i64) = (row.get(1)?, row.get(3)?);
        let speaker: [Option<String>; 3] = [row.get(7)?, row.get(8)?, row.get(9)?];
        let [speaker_id, name, email] = speaker.each_ref().map(Option::as_deref);
        let mut item = json!({
            "id": id.to_string(),
            "text": row.get::<_, String>(0)?,
            "type": kind,
            "score": row.get::<_, f64>(2)?,
            "messageIds": [message.to_string()],
            "from": person(speaker_id, name, ("userId", email)),
        });
        if which == Insights::Questions {
            return Ok(item);
        }
        let named: Option<String> = row.get(5)?;
        item["entities"] = named_in(from, message, named.as_deref())?;
        if kind != "question" {
            let text: String = row.get(0)?;
            item["phrases"] = reply::phrases(&phrases(&text));
            item["assignee"] = match (row.get(4)?, named) {
                (true, _) => person(None, name, ("email", email)),
                (false, named) => person(None, named.as_deref(), ("email", None)),
            };
            if which == Insights::ActionItems {
                // A task is settled if it is known whose it is.
                item["definitive"] = item["assignee"].get("name").is_some().into();
            }
            if let Some(due) = row.get::<_, Option<String>>(6)? {
                item["dueBy"] = due.into();
            }
        }
        Ok(item)
    };
    from.prepare_cached(sql)?.query_row([id], item).optional()
}

/// A phrase of a tracker that matched.
pub(in crate::store) struct Phrase {
    pub(in crate::store) tracker: i64,
    pub(in crate::store) name: String,
    pub(in crate::store) value: String,
}

/// Trackers, each with the phrases that matched, each with its places.
pub(in crate::store) struct Trackers {
    phrases: Vec<Phrase>,
    /// Index of the phrase, message and offset. A match has no key of its own that stays
    /// the same when the database is written anew.
    pub(in crate::store) places: std::vec::IntoIter<(usize, i64, i64)>,
    /// The phrase whose places are being written.
    last: Option<usize>,
}

impl Trackers {
    pub(in crate::store) fn new(phrases: Vec<Phrase>, places: Vec<(usize, i64, i64)>) -> Self {
        Self {
            phrases,
            places: places.into_iter(),
            last: None,
        }
    }

    /// Appends a place of a phrase, in a message with this text.
    pub(in crate::store) fn add(
        &mut self,
        piece: &mut Text,
        index: usize,
        message: i64,
        text: &str,
        offset: i64,
    ) {
        if self.last != Some(index) {
            self.open(piece, index);
        }
        piece.item(&json!({"id": message.to_string(), "text": text, "offset": offset}));
    }

    /// Ends the last phrase.
    pub(in crate::store) fn end(&self, piece: &mut Text) {
        if self.last.is_some() {
            piece.raw("]}]}", false);
        }
    }

    /// Begins with the places of another phrase.
    fn open(&mut self, piece: &mut Text, index: usize) {
        let last = self.last.replace(index);
        let last = last.and_then(|last| self.phrases.get(last));
        let Some(phrase) = self.phrases.get(index) else {
            return;
        };
        let same = last.map(|last| last.tracker == phrase.tracker);
        match same {
            Some(true) => piece.raw("]}", false),
            Some(false) => piece.raw("]}]}", false),
            None => {}
        }
        piece.comma();
        if same != Some(true) {
            let id = Value::from(phrase.tracker.to_string());
            let name = Value::from(phrase.name.as_str());
            piece.raw(
                &format!("{{\"id\":{id},\"name\":{name},\"matches\":["),
                true,
            );
        }
        let value = Value::from(phrase.value.as_str());
        let open = format!(
            "{{\"type\":\"vocabulary\",\"value\":{value},\"insightRefs\":[],\"messageRefs\":["
        );
        piece.raw(&open, true);
    }
}

impl Rows for Trackers {
    fn fill(&mut self, piece: &mut Text, from: &Connection) -> rusqlite::Result<bool> {
        let mut texts = from.prepare_cached("SELECT text FROM message WHERE id = ?1")?;
        while let Some((index, message, offset)) = self.places.next() {
            let text = texts.query_row([message], |row| row.get::<_, String>(0));
            let Some(text) = text.optional()? else {
                continue;
            };
            self.add(piece, index, message, &text, offset);
            if piece.is_full() {
                break;
            }
        }
        let more = self.places.len() > 0;
        if !more {
            self.end(piece);
        }
        Ok(more)
    }
}

/// Type, value and text of an entity.
pub(in crate::store) type Named = (String, String, String);

/// Ends the last entity and begins the next one, unless it is the same.
pub(in crate::store) fn open_entity(piece: &mut Text, last: &mut Option<Named>, now: Named) {
    if last.as_ref() == Some(&now) {
        return;
    }
    if last.is_some() {
        piece.raw("]}", false);
    }
    piece.comma();
    let (kind, value, text) = &now;
    let open = json!({"type": kind, "value": value, "text": text}).to_string();
    let open = open.trim_end_matches('}');
    piece.raw(&format!("{open},\"messageRefs\":["), true);
    *last = Some(now);
}

/// Entities, each with its places.
struct Entities {
    /// The keys of the places, ordered by entity.
    keys: std::vec::IntoIter<i64>,
    /// The entity whose places are being written.
    last: Option<Named>,
}

impl Rows for Entities {
    fn fill(&mut self, piece: &mut Text, from: &Connection) -> rusqlite::Result<bool> {
        let sql = "SELECT m.id, m.text, e.offset, e.type, e.value, e.text FROM entity e
                   JOIN message m ON m.id = e.message WHERE e.id = ?1";
        let mut found = from.prepare_cached(sql)?;
        for key in self.keys.by_ref() {
            let mut rows = found.query([key])?;
            let Some(row) = rows.next()? else { continue };
            let now: Named = (row.get(3)?, row.get(4)?, row.get(5)?);
            open_entity(piece, &mut self.last, now);
            piece.item(&json!({
                "id": row.get::<_, i64>(0)?.to_string(),
                "text": row.get::<_, String>(1)?,
                "offset": row.get::<_, i64>(2)?,
            }));
            if piece.is_full() {
                break;
            }
        }
        let more = self.keys.len() > 0;
        if !more && self.last.is_some() {
            piece.raw("]}", false);
        }
        Ok(more)
    }
}

/// Returns the entities of a message as an insight has them: persons with their name.
fn named_in(from: &Connection, message: i64, assignee: Option<&str>) -> Answer {
    let sql = "SELECT type, text, offset, value FROM entity WHERE message = ?1 ORDER BY offset";
    all(from, sql, [message], |row| {
        let (kind, text): (String, String) = (row.get(0)?, row.get(1)?);
        let value = match kind.as_str() {
            "person" if assignee == Some(text.as_str()) => json!({"assignee": true, "name": text}),
            "person" => json!({"name": text}),
            _ => row.get::<_, String>(3)?.into(),
        };
        let offset: i64 = row.get(2)?;
        Ok(json!({"type": kind, "text": text, "offset": offset, "value": value}))
    })
}
