// SPDX-License-Identifier: MPL-2.0

//! Finds messages with the database's index of words (GIN over `tsvector`).
//!
//! What was said and each correction come with their words as `words` finds them, and are
//! written in the same statement. Beside the words of its text, a message has one for its
//! account and one for its conversation, which are no words of any text. So a search looks
//! only at what its account has said.

use super::Store;
use super::StoreError;
use super::link::{Link, Parameters};
use super::listing::{AT_ONCE, Listed, Rows};
use super::log::{get, text, text_or_none};
use super::parts::CORRECTION;
use super::readers::Looking;
use super::text::put;
use super::words::{Phrase, account_word, phrases, query, snippet};
use crate::store::search::{Hunt, Search};
use crate::store::sqlite::corrections::corrected;
use crate::store::sqlite::listing::Text;
use crate::store::sqlite::query::{person, span};
use crate::store::{Answer, Piece, Whose};
use serde_json::{Map, Value};
use tokio_postgres::Row;

/// The place of a message in the order of a list.
type Place = (i64, i64, i64, i32);

/// The messages that were found and are listed.
struct Matches {
    phrases: Vec<Phrase>,
    query: String,
    account: String,
    until: i64,
    hunt: Hunt,
    /// What comes before the conversation and the place in its log: the time at which a
    /// message was stored, or nothing in one conversation.
    order: &'static str,
    last: Option<Place>,
}

impl Matches {
    fn listed(whose: &Whose, scope: &str, order: &'static str, hunt: Hunt) -> Listed {
        let phrases = phrases(&hunt.query);
        let rows = Self {
            query: query(&phrases, scope),
            phrases,
            account: put(&whose.account),
            until: whose.until(),
            hunt,
            order,
            last: None,
        };
        Listed::new("{\"results\":[", "}", rows)
    }

    fn sql(&self) -> String {
        let key = self.order;
        let (order, after, is_after) = match self.hunt.descending {
            true => ("DESC", "<", self.last.is_some()),
            false => ("ASC", ">", self.last.is_some()),
        };
        let after = match is_after {
            true => format!("AND ({key}, m.conversation, m.seq, m.n) {after} ($6, $7, $8, $9)"),
            false => String::new(),
        };
        format!(
            "SELECT m.id, m.conversation, m.text, m.start, m.stop, {key}, m.seq, m.n, c.first,
             p.id, p.name, p.user_id, {CORRECTION} FROM message m
             JOIN conversation c ON c.id = m.conversation AND c.account = $3
             LEFT JOIN member p ON p.conversation = m.conversation AND p.id = m.speaker
             WHERE m.lexemes @@ $1::text::tsquery AND m.stored <= $2 {after}
             ORDER BY {key} {order}, m.conversation {order}, m.seq {order}, m.n {order}
             LIMIT $4 OFFSET $5"
        )
    }

    /// Returns a message that was found, with the part of its text around what was looked for.
    fn result(&self, row: &Row) -> Result<Value, StoreError> {
        let (id, conversation): (i64, i64) = (get(row, 0)?, get(row, 1)?);
        let (speaker, name) = (text_or_none(row, 9)?, text_or_none(row, 10)?);
        let email = text_or_none(row, 11)?;
        let (told, is_corrected) = match corrected(get(row, 12)?) {
            None => (text(row, 2)?, false),
            Some(correction) => (correction, true),
        };
        let (snippet, highlights) = snippet(&told, &self.phrases);
        let mut members = Map::new();
        members.insert("id".into(), id.to_string().into());
        members.insert("conversationId".into(), conversation.to_string().into());
        members.insert("text".into(), told.into());
        if is_corrected {
            members.insert("x_corrected".into(), true.into());
        }
        let email = ("email", email.as_deref());
        let from = person(speaker.as_deref(), name.as_deref(), email);
        members.insert("from".into(), from);
        let first: Option<i64> = get(row, 8)?;
        let (start, stop) = (get(row, 3)?, get(row, 4)?);
        members.append(&mut span(first.unwrap_or(start), start, stop));
        members.insert("snippet".into(), snippet.into());
        members.insert("highlights".into(), highlights.into());
        Ok(Value::Object(members))
    }
}

impl Rows for Matches {
    fn fill<'a>(&'a mut self, piece: &'a mut Text, from: &'a mut Link) -> Looking<'a, bool> {
        Box::pin(async move {
            let at_once = i64::try_from(AT_ONCE).unwrap_or(i64::MAX);
            let mut more = false;
            'list: loop {
                // One more shows if there are more.
                let most = (i64::from(self.hunt.limit) + 1).min(at_once);
                let offset = i64::from(std::mem::take(&mut self.hunt.offset));
                let (key, conversation, seq, n) = self.last.unwrap_or_default();
                let with: Parameters<'_> = &[
                    &self.query,
                    &self.until,
                    &self.account,
                    &most,
                    &offset,
                    &key,
                    &conversation,
                    &seq,
                    &n,
                ];
                let with = match self.last {
                    Some(_) => with,
                    None => with.get(..5).unwrap_or_default(),
                };
                let rows = from.query(&self.sql(), with).await?;
                for row in &rows {
                    if self.hunt.limit == 0 {
                        more = true;
                        break 'list;
                    }
                    if piece.is_full() {
                        return Ok(true);
                    }
                    piece.item(&self.result(row)?);
                    self.last = Some((get(row, 5)?, get(row, 1)?, get(row, 6)?, get(row, 7)?));
                    self.hunt.limit -= 1;
                }
                if i64::try_from(rows.len()).is_ok_and(|read| read < most) {
                    break;
                }
            }
            piece.raw(&format!("],\"more\":{more}"), false);
            Ok(false)
        })
    }
}

impl Search for Store {
    fn search(&self, whose: Whose, hunt: Hunt) -> Answer<'_, Option<Piece>> {
        Box::pin(self.list_of(whose.clone(), move |found, _| {
            let scope = format!("#c{}", found.id);
            Box::pin(async move { Ok(Matches::listed(&whose, &scope, "0::bigint", hunt)) })
        }))
    }

    fn search_all(&self, whose: Whose, hunt: Hunt) -> Answer<'_, Piece> {
        Box::pin(async move {
            let scope = account_word(&put(&whose.account));
            let (readers, weak) = (self.readers()?, self.weak());
            readers
                .look(|link| {
                    Box::pin(async move {
                        let list = Matches::listed(&whose, &scope, "m.stored", hunt);
                        list.read(link, weak).await
                    })
                })
                .await
        })
    }
}
