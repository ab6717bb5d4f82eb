// SPDX-License-Identifier: MPL-2.0

//! The parts of a conversation that may be long, as lists that are read in pieces.

use super::link::Link;
use super::listing::{AT_ONCE, Keys, Listed, Rows};
use super::log::{get, text, text_or_none};
use super::readers::Looking;
use super::records::Found;
use crate::store::sqlite::corrections::corrected;
use crate::store::sqlite::listing::Text;
use crate::store::sqlite::query::{person, span};
use crate::store::{Insights, StoreError, Wanted};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use symbl_analysis::phrases;
use symbl_analysis::sentiment::polarity;
use symbl_protocol::reply;
use tokio_postgres::Row;

/// SQL for the body of the last correction of the message `m`, of those that were written
/// until `$2`.
pub(super) const CORRECTION: &str = "(SELECT body FROM entry e
    WHERE e.conversation = m.conversation AND e.corrects = m.id AND e.at <= $2
    ORDER BY e.seq DESC LIMIT 1)";

/// Messages in the order of the log. `last` has the entry of the last one that was read,
/// and its place there.
struct Messages {
    found: Found,
    wanted: Wanted,
    last: (i64, i32),
}

/// Lists messages in the order of the log, with their words if `wanted` is verbose.
pub(super) fn messages(found: Found, wanted: Wanted) -> Listed {
    let rows = Messages {
        found,
        wanted,
        last: (0, 0),
    };
    Listed::new("{\"messages\":[", "]}", rows)
}

impl Rows for Messages {
    fn fill<'a>(&'a mut self, piece: &'a mut Text, from: &'a mut Link) -> Looking<'a, bool> {
        Box::pin(async move {
            let sql = format!(
                "SELECT m.id, m.text, m.start, m.stop, m.words, m.confidence, p.id, p.name,
                 p.user_id, m.seq, m.n, {CORRECTION}, m.phrases FROM message m LEFT JOIN member p
                 ON p.conversation = m.conversation AND p.id = m.speaker
                 WHERE m.conversation = $1 AND m.stored <= $2 AND (m.seq, m.n) > ($3, $4)
                 AND m.start >= $5 AND m.start < $6 ORDER BY m.seq, m.n LIMIT $7 OFFSET $8"
            );
            let at_once = i64::try_from(AT_ONCE).unwrap_or(i64::MAX);
            while self.wanted.limit > 0 {
                let Found { id, until, .. } = self.found;
                let (seq, n) = self.last;
                let Wanted {
                    from: earliest,
                    to,
                    limit,
                    ..
                } = self.wanted;
                let limit = limit.min(at_once);
                let offset = std::mem::take(&mut self.wanted.offset);
                let with: super::link::Parameters<'_> =
                    &[&id, &until, &seq, &n, &earliest, &to, &limit, &offset];
                let rows = from.query(&sql, with).await?;
                for row in &rows {
                    piece.item(&self.message(row)?);
                    self.last = (get(row, 9)?, get(row, 10)?);
                    self.wanted.limit = self.wanted.limit.saturating_sub(1);
                    if piece.is_full() {
                        return Ok(self.wanted.limit > 0);
                    }
                }
                if i64::try_from(rows.len()).is_ok_and(|read| read < limit) {
                    break;
                }
            }
            Ok(false)
        })
    }
}

impl Messages {
    fn message(&self, row: &Row) -> Result<Value, StoreError> {
        let first = self.found.first;
        let (id, said): (i64, String) = (get(row, 0)?, text(row, 1)?);
        let speaker = [6, 7, 8].map(|column| text_or_none(row, column));
        let [speaker_id, name, email] = speaker;
        let (speaker_id, name, email) = (speaker_id?, name?, email?);
        let email = ("email", email.as_deref());
        let mut members = Map::new();
        members.insert("id".into(), id.to_string().into());
        let correction = corrected(get(row, 11)?);
        let told = correction.as_deref().unwrap_or(&said);
        let sentiment = self.wanted.sentiment.then(|| polarity(told));
        let phrases = match get(row, 12)? {
            true => reply::phrases(&phrases(told)),
            false => json!([]),
        };
        match correction {
            None => drop(members.insert("text".into(), said.into())),
            Some(correction) => {
                members.insert("text".into(), correction.into());
                members.insert("x_originalText".into(), said.into());
                members.insert("x_corrected".into(), true.into());
            }
        }
        let from = person(speaker_id.as_deref(), name.as_deref(), email);
        members.insert("from".into(), from);
        members.append(&mut span(first, get(row, 2)?, get(row, 3)?));
        members.insert("conversationId".into(), self.found.id.to_string().into());
        members.insert("phrases".into(), phrases);
        if let Some(polarity) = sentiment {
            members.insert("sentiment".into(), reply::sentiment(polarity));
        }
        if self.wanted.verbose {
            let words: &str = get(row, 4)?;
            let words: Vec<(String, i64, i64)> = serde_json::from_str(words).unwrap_or_default();
            let confidence: f64 = get(row, 5)?;
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

/// Returns the first column of rows.
pub(super) fn keys(rows: &[Row]) -> Result<Vec<i64>, StoreError> {
    rows.iter().map(|row| get(row, 0)).collect()
}

pub(super) async fn insights(
    found: Found,
    which: Insights,
    link: &mut Link,
) -> Result<Listed, StoreError> {
    let (head, kind) = match which {
        Insights::All => ("{\"insights\":[", "%"),
        Insights::ActionItems => ("{\"actionItems\":[", "action_item"),
        Insights::Questions => ("{\"questions\":[", "question"),
        Insights::FollowUps => ("{\"followUps\":[", "follow_up"),
    };
    let sql = "SELECT i.id FROM insight i JOIN message m ON m.id = i.message
               WHERE i.conversation = $1 AND i.kind LIKE $2 AND m.stored <= $3
               ORDER BY m.seq, m.n, i.n";
    let rows = link.query(sql, &[&found.id, &kind, &found.until]).await?;
    let make: super::listing::Make =
        Box::new(move |link, ids| Box::pin(read_insights(link, which, ids)));
    Ok(Listed::new(head, "]}", Keys::new(keys(&rows)?, make)))
}

pub(super) async fn read_insights(
    link: &mut Link,
    which: Insights,
    ids: Vec<i64>,
) -> Result<HashMap<i64, Value>, StoreError> {
    let sql = "SELECT i.id, i.text, i.kind, i.score, i.message, i.by_speaker, i.assignee,
               i.due, p.id, p.name, p.user_id FROM insight i
               JOIN message m ON m.id = i.message LEFT JOIN member p
               ON p.conversation = m.conversation AND p.id = m.speaker WHERE i.id = ANY($1)";
    let rows = link.query(sql, &[&ids]).await?;
    let messages = rows.iter().map(|row| get(row, 4));
    let messages: Vec<i64> = messages.collect::<Result<_, _>>()?;
    let named = named_in(link, &messages).await?;
    let mut made = HashMap::new();
    for row in &rows {
        let (id, kind, message): (i64, String, i64) = (get(row, 0)?, text(row, 2)?, get(row, 4)?);
        let (speaker, name) = (text_or_none(row, 8)?, text_or_none(row, 9)?);
        let email = text_or_none(row, 10)?;
        let (name, email) = (name.as_deref(), email.as_deref());
        let mut item = json!({
            "id": id.to_string(),
            "text": text(row, 1)?,
            "type": kind,
            "score": get::<f64>(row, 3)?,
            "messageIds": [message.to_string()],
            "from": person(speaker.as_deref(), name, ("userId", email)),
        });
        if which != Insights::Questions {
            let assignee = text_or_none(row, 6)?;
            let found = named.get(&message).map_or(&[][..], Vec::as_slice);
            let found = found.iter().map(|entity| entity.shown(assignee.as_deref()));
            item["entities"] = found.collect();
            if kind != "question" {
                item["phrases"] = reply::phrases(&phrases(&text(row, 1)?));
                item["assignee"] = match (get(row, 5)?, assignee) {
                    (true, _) => person(None, name, ("email", email)),
                    (false, named) => person(None, named.as_deref(), ("email", None)),
                };
                if which == Insights::ActionItems {
                    // A task is settled if it is known whose it is.
                    item["definitive"] = item["assignee"].get("name").is_some().into();
                }
                if let Some(due) = get::<Option<String>>(row, 7)? {
                    item["dueBy"] = due.into();
                }
            }
        }
        made.insert(id, item);
    }
    Ok(made)
}

/// An entity of a message.
struct Named {
    kind: String,
    text: String,
    offset: i64,
    value: String,
}

impl Named {
    /// Returns the entity as an insight has it: a person with its name.
    fn shown(&self, assignee: Option<&str>) -> Value {
        let text = self.text.as_str();
        let value = match self.kind.as_str() {
            "person" if assignee == Some(text) => json!({"assignee": true, "name": text}),
            "person" => json!({"name": text}),
            _ => self.value.as_str().into(),
        };
        json!({"type": self.kind, "text": text, "offset": self.offset, "value": value})
    }
}

/// Reads the entities of messages.
async fn named_in(
    link: &mut Link,
    messages: &[i64],
) -> Result<HashMap<i64, Vec<Named>>, StoreError> {
    let sql = "SELECT message, type, text, place, value FROM entity
               WHERE message = ANY($1) ORDER BY place";
    let mut named: HashMap<i64, Vec<Named>> = HashMap::new();
    for row in &link.query(sql, &[&messages]).await? {
        named.entry(get(row, 0)?).or_default().push(Named {
            kind: text(row, 1)?,
            text: text(row, 2)?,
            offset: get(row, 3)?,
            value: text(row, 4)?,
        });
    }
    Ok(named)
}
