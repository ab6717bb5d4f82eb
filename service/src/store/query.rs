// SPDX-License-Identifier: MPL-2.0

//! What the Conversation API answers, read from the database.
//!
//! Facts: Symbl Conversation API reference. Ids are numbers in strings and not
//! those of the live messages; `timeOffset` counts from the first sentence and
//! not from the first audio; `/trackers-detected` is a bare array; there is no
//! paging but in the list of conversations.

use super::filter::Filter;
use gstsymbl::protocol::timestamp::format_rfc3339;
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::time::Duration;

/// A conversation that the one who asks may see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    id: i64,
    /// Start of the first sentence.
    first: i64,
    pub(crate) is_over: bool,
    /// What was written later is not told, nanoseconds since the Unix epoch.
    pub(crate) until: i64,
}

/// Which conversations are listed.
#[derive(Debug, Clone)]
pub(crate) struct List {
    pub(crate) limit: u32,
    pub(crate) offset: u32,
    pub(crate) descending: bool,
    pub(crate) sort: Sort,
    pub(crate) filter: Filter,
    /// Begun at this time or later, nanoseconds since the Unix epoch.
    pub(crate) from: i64,
    /// Begun before.
    pub(crate) to: i64,
}

/// By what a list is sorted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sort {
    /// When the service first heard of it.
    Created,
    Start,
    End,
    Name,
}

/// Which insights are asked for, and under which name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Insights {
    All,
    ActionItems,
    Questions,
    FollowUps,
}

type Answer = rusqlite::Result<Value>;

/// A name and an address where there is one; the `userId` of the sockets is
/// called `email` by most of the API.
fn person(id: Option<&str>, name: Option<&str>, address: (&str, Option<&str>)) -> Value {
    let mut members = Map::new();
    for (key, value) in [("id", id), ("name", name), address] {
        if let Some(value) = value {
            members.insert(key.into(), value.into());
        }
    }
    Value::Object(members)
}

/// Seconds with at most two decimals; whole numbers carry none.
fn hundredths(nanos: i64) -> Value {
    let time = Duration::from_nanos(u64::try_from(nanos).unwrap_or(0));
    let rounded = time.saturating_add(Duration::from_millis(5)).as_millis() / 10;
    match u64::try_from(rounded / 100) {
        Ok(whole) if rounded.is_multiple_of(100) => whole.into(),
        _ => (rounded as f64 / 100.0).into(),
    }
}

/// The four members that place something in time.
fn span(zero: i64, start: i64, stop: i64) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("startTime".into(), format_rfc3339(start).into());
    members.insert("endTime".into(), format_rfc3339(stop).into());
    members.insert("timeOffset".into(), hundredths(start.saturating_sub(zero)));
    members.insert("duration".into(), hundredths(stop.saturating_sub(start)));
    members
}

fn all(
    from: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    make: impl FnMut(&Row<'_>) -> Answer,
) -> Answer {
    let mut rows = from.prepare_cached(sql)?;
    let rows = rows.query_map(parameters, make)?;
    rows.collect::<Result<Vec<_>, _>>().map(Value::from)
}

/// The conversation of this id, if it is the account's.
pub(crate) fn find(from: &Connection, account: &str, id: i64) -> rusqlite::Result<Option<Found>> {
    from.prepare_cached("SELECT id, first, ended FROM conversation WHERE id = ?1 AND account = ?2")?
        .query_row(params![id, account], |row| {
            Ok(Found {
                id: row.get(0)?,
                first: row.get::<_, Option<i64>>(1)?.unwrap_or(0),
                is_over: row.get::<_, Option<i64>>(2)?.is_some(),
                until: i64::MAX,
            })
        })
        .optional()
}

/// When a conversation began and ended, and what it is called.
pub(super) const START: &str = "coalesce(zero, created)";
pub(super) const END: &str = "coalesce(ended, (SELECT max(stop) FROM message
    WHERE conversation = c.id), zero, created)";
pub(super) const NAME: &str = "coalesce(name, 'Conversation ' || id)";

fn conversations() -> String {
    format!("SELECT id, {NAME}, {START}, {END} FROM conversation c")
}

fn conversation(from: &Connection, row: &Row<'_>) -> Answer {
    let id: i64 = row.get(0)?;
    Ok(json!({
        "id": id.to_string(),
        "type": "meeting",
        "name": row.get::<_, String>(1)?,
        "startTime": format_rfc3339(row.get(2)?),
        "endTime": format_rfc3339(row.get(3)?),
        "members": members_of(from, id)?,
        "metadata": {},
    }))
}

/// Several conversations of an account.
pub(crate) fn list(from: &Connection, account: &str, list: &List) -> Answer {
    let order = if list.descending { "DESC" } else { "ASC" };
    let sort = match list.sort {
        Sort::Created => "created",
        Sort::Start => START,
        Sort::End => END,
        Sort::Name => NAME,
    };
    let filter = match list.filter.condition.as_str() {
        "" => String::new(),
        condition => format!("AND ({condition})"),
    };
    let sql = format!(
        "{} WHERE account = ? AND created >= ? AND created < ? {filter}
         ORDER BY {sort} {order}, id LIMIT ? OFFSET ?",
        conversations()
    );
    let number = |number: u32| SqlValue::Integer(number.into());
    let parameters = [
        SqlValue::Text(account.to_owned()),
        SqlValue::Integer(list.from),
        SqlValue::Integer(list.to),
    ];
    let parameters = parameters
        .into_iter()
        .chain(list.filter.values.iter().cloned())
        .chain([number(list.limit), number(list.offset)]);
    let parameters = params_from_iter(parameters);
    let conversations = all(from, &sql, parameters, |row| conversation(from, row))?;
    Ok(json!({ "conversations": conversations }))
}

fn members_of(from: &Connection, id: i64) -> Answer {
    let sql = "SELECT id, name, user_id FROM member WHERE conversation = ?1 ORDER BY name, id";
    all(from, sql, [id], |row| {
        let (id, name, email): (String, Option<String>, Option<String>) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(person(
            Some(&id),
            name.as_deref(),
            ("email", email.as_deref()),
        ))
    })
}

impl Found {
    pub(crate) fn conversation(self, from: &Connection) -> Answer {
        let sql = format!("{} WHERE id = ?1", conversations());
        from.prepare_cached(&sql)?
            .query_row([self.id], |row| conversation(from, row))
    }

    pub(crate) fn members(self, from: &Connection) -> Answer {
        Ok(json!({ "members": members_of(from, self.id)? }))
    }

    /// In the order in which they were told; the words of each only where it is to be `verbose`.
    pub(crate) fn messages(self, from: &Connection, verbose: bool) -> Answer {
        let sql = "SELECT m.id, m.text, m.start, m.stop, m.words, m.confidence, p.id, p.name,
                   p.user_id FROM message m LEFT JOIN member p
                   ON p.conversation = m.conversation AND p.id = m.speaker
                   WHERE m.conversation = ?1 AND m.stored <= ?2 ORDER BY m.stored, m.start, m.rowid";
        let messages = all(from, sql, [self.id, self.until], |row| {
            let (id, text): (i64, String) = (row.get(0)?, row.get(1)?);
            let speaker: [Option<String>; 3] = [row.get(6)?, row.get(7)?, row.get(8)?];
            let [speaker_id, name, email] = speaker.each_ref().map(Option::as_deref);
            let mut members = Map::new();
            members.insert("id".into(), id.to_string().into());
            members.insert("text".into(), text.into());
            members.insert("from".into(), person(speaker_id, name, ("email", email)));
            members.append(&mut span(self.first, row.get(2)?, row.get(3)?));
            members.insert("conversationId".into(), self.id.to_string().into());
            members.insert("phrases".into(), json!([]));
            if verbose {
                let words: String = row.get(4)?;
                let words: Vec<(String, i64, i64)> =
                    serde_json::from_str(&words).unwrap_or_default();
                let confidence: f64 = row.get(5)?;
                let words = words.into_iter().map(|(word, start, stop)| {
                    let mut members = Map::new();
                    members.insert("word".into(), word.into());
                    members.append(&mut span(self.first, start, stop));
                    members.insert("score".into(), confidence.into());
                    Value::Object(members)
                });
                members.insert("words".into(), words.collect());
            }
            Ok(Value::Object(members))
        })?;
        Ok(json!({ "messages": messages }))
    }

    pub(crate) fn insights(self, from: &Connection, which: Insights) -> Answer {
        let (root, kind) = match which {
            Insights::All => ("insights", "%"),
            Insights::ActionItems => ("actionItems", "action_item"),
            Insights::Questions => ("questions", "question"),
            Insights::FollowUps => ("followUps", "follow_up"),
        };
        let sql = "SELECT i.id, i.text, i.kind, i.score, i.message, i.by_speaker, i.assignee,
                   i.due, p.id, p.name, p.user_id FROM insight i
                   JOIN message m ON m.id = i.message LEFT JOIN member p
                   ON p.conversation = m.conversation AND p.id = m.speaker
                   WHERE i.conversation = ?1 AND i.kind LIKE ?2 AND m.stored <= ?3 ORDER BY m.stored, m.start, i.rowid";
        let items = all(from, sql, params![self.id, kind, self.until], |row| {
            let (id, message): (i64, i64) = (row.get(0)?, row.get(4)?);
            let kind: String = row.get(2)?;
            let speaker: [Option<String>; 3] = [row.get(8)?, row.get(9)?, row.get(10)?];
            let [speaker_id, name, email] = speaker.each_ref().map(Option::as_deref);
            let mut item = json!({
                "id": id.to_string(),
                "text": row.get::<_, String>(1)?,
                "type": kind,
                "score": row.get::<_, f64>(3)?,
                "messageIds": [message.to_string()],
                "from": person(speaker_id, name, ("userId", email)),
            });
            if which == Insights::Questions {
                return Ok(item);
            }
            let named: Option<String> = row.get(6)?;
            item["entities"] = named_in(from, message, named.as_deref())?;
            if kind != "question" {
                item["phrases"] = json!([]);
                item["assignee"] = match (row.get(5)?, named) {
                    (true, _) => person(None, name, ("email", email)),
                    (false, named) => person(None, named.as_deref(), ("email", None)),
                };
                if let Some(due) = row.get::<_, Option<String>>(7)? {
                    item["dueBy"] = due.into();
                }
            }
            Ok(item)
        })?;
        Ok(json!({ root: items }))
    }

    pub(crate) fn topics(self, from: &Connection) -> Answer {
        let sql = "SELECT id, text, score, (SELECT json_group_array(CAST(m.id AS TEXT))
                   FROM json_each(t.messages) j JOIN message m
                   ON m.conversation = t.conversation AND m.live = j.value AND m.stored <= ?2)
                   FROM topic t WHERE conversation = ?1 AND EXISTS (SELECT 1
                   FROM json_each(t.messages) j JOIN message m
                   ON m.conversation = t.conversation AND m.live = j.value AND m.stored <= ?2)
                   ORDER BY score DESC, id";
        let topics = all(from, sql, [self.id, self.until], |row| {
            let (id, messages): (i64, String) = (row.get(0)?, row.get(3)?);
            let messages: Value = serde_json::from_str(&messages).unwrap_or_default();
            Ok(json!({
                "id": id.to_string(),
                "text": row.get::<_, String>(1)?,
                "type": "topic",
                "score": row.get::<_, f64>(2)?,
                "messageIds": messages,
                "parentRefs": [],
            }))
        })?;
        Ok(json!({ "topics": topics }))
    }

    /// A bare array, as the reference has it.
    pub(crate) fn trackers(self, from: &Connection) -> Answer {
        let sql = "SELECT id, name FROM tracker t WHERE conversation = ?1 AND EXISTS (SELECT 1
                   FROM tracker_match f JOIN message m ON m.id = f.message
                   WHERE f.tracker = t.id AND m.stored <= ?2) ORDER BY name";
        all(from, sql, [self.id, self.until], |row| {
            let id: i64 = row.get(0)?;
            Ok(json!({
                "id": id.to_string(),
                "name": row.get::<_, String>(1)?,
                "matches": matches_of(from, id, self.until)?,
            }))
        })
    }

    /// Each with all places where it is named.
    pub(crate) fn entities(self, from: &Connection) -> Answer {
        let sql = "SELECT e.type, e.value, e.text, m.id, m.text, e.offset FROM entity e
                   JOIN message m ON m.id = e.message WHERE m.conversation = ?1 AND m.stored <= ?2
                   ORDER BY m.stored, m.start, m.rowid, e.offset";
        let mut rows = from.prepare_cached(sql)?;
        let mut rows = rows.query([self.id, self.until])?;
        let mut known: HashMap<(String, String, String), usize> = HashMap::new();
        let mut entities: Vec<Value> = Vec::new();
        while let Some(row) = rows.next()? {
            let key: (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let place = json!({
                "id": row.get::<_, i64>(3)?.to_string(),
                "text": row.get::<_, String>(4)?,
                "offset": row.get::<_, i64>(5)?,
            });
            let places = known.get(&key).and_then(|index| entities.get_mut(*index));
            match places.and_then(|entity| entity["messageRefs"].as_array_mut()) {
                Some(places) => places.push(place),
                None => {
                    let (kind, value, text) = &key;
                    entities.push(json!({
                        "type": kind, "value": value, "text": text, "messageRefs": [place],
                    }));
                    known.insert(key, entities.len() - 1);
                }
            }
        }
        Ok(json!({ "entities": entities }))
    }

    /// Gives a member another name or address; whether there is such a member.
    pub(crate) fn rename(
        self,
        in_: &Connection,
        member: &str,
        name: Option<&str>,
        email: Option<&str>,
    ) -> rusqlite::Result<bool> {
        let changed = in_.execute(
            "UPDATE member SET name = coalesce(?3, name), user_id = coalesce(?4, user_id)
             WHERE conversation = ?1 AND id = ?2",
            params![self.id, member, name, email],
        )?;
        Ok(changed > 0)
    }

    pub(crate) fn delete(self, in_: &Connection) -> rusqlite::Result<()> {
        in_.execute("DELETE FROM conversation WHERE id = ?1", [self.id])
            .map(|_| ())
    }
}

/// The entities of a message, as they stand in an insight; persons with their name.
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

/// The matches of a tracker, one item for each vocabulary entry.
fn matches_of(from: &Connection, tracker: i64, until: i64) -> Answer {
    let sql = "SELECT value, m.id, m.text, t.offset FROM tracker_match t
               JOIN message m ON m.id = t.message WHERE t.tracker = ?1 AND m.stored <= ?2
               ORDER BY value, m.stored, m.start, t.offset";
    let mut rows = from.prepare_cached(sql)?;
    let mut rows = rows.query([tracker, until])?;
    let mut values: Vec<(String, Vec<Value>)> = Vec::new();
    while let Some(row) = rows.next()? {
        let (value, message): (String, i64) = (row.get(0)?, row.get(1)?);
        let reference = json!({
            "id": message.to_string(),
            "text": row.get::<_, String>(2)?,
            "offset": row.get::<_, i64>(3)?,
        });
        match values.last_mut() {
            Some((last, references)) if *last == value => references.push(reference),
            _ => values.push((value, vec![reference])),
        }
    }
    let matches = values.into_iter().map(|(value, references)| {
        json!({
            "type": "vocabulary",
            "value": value,
            "messageRefs": references,
            "insightRefs": [],
        })
    });
    Ok(matches.collect())
}
