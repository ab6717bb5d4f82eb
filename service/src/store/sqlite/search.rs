// SPDX-License-Identifier: MPL-2.0

//! Finds messages with SQLite's full-text index (FTS5).
//!
//! The index has a row for each message, under the number of its stamp. So it lists what it
//! has found in the order of the log without sorting, and a search stops when its list is
//! full. It is written in the transaction of the message; a trigger deletes its row with the
//! message. A correction replaces the text that is looked for.
//!
//! FTS5 leaves parts of deleted words in the index, even with its option `secure-delete`. So
//! a purge builds the index anew ([`REBUILD`]).
//!
//! The column `scope` has a word for the account and one for the conversation. With them, a
//! search looks only at what its account has said.

use super::Store;
use super::corrections::{CORRECTION, corrected};
use super::listing::{Listed, Rows, Text};
use super::query::{Found, person, span};
use super::records::read;
use crate::store::search::{Hunt, Query, Search};
use crate::store::{Answer, LONGEST_WAIT, Piece, Whose};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Around a word that was found, in a snippet. A text cannot have them: they are no
/// characters of text, and [`cut`] takes out those of a client.
const OPEN: char = '\u{FDD0}';
const CLOSE: char = '\u{FDD1}';

/// Words of a snippet.
const WORDS: i64 = 24;

/// The tables of the index.
pub(super) const TABLES: &str = "
CREATE VIRTUAL TABLE message_text USING fts5 (
    text,                       -- the last correction, or what was said
    scope,                      -- words for the account and the conversation
    message UNINDEXED,          -- the id of the message
    columnsize = 0,
    tokenize = 'unicode61 remove_diacritics 2'
);
CREATE TRIGGER message_unsearched AFTER DELETE ON message BEGIN
    DELETE FROM message_text WHERE rowid = old.stored;
END;
";

/// Builds the index anew, so that it has no deleted words.
pub(super) const REBUILD: &str = "INSERT INTO message_text (message_text) VALUES ('rebuild')";

/// Returns the words of the scope.
fn scope(account: &str, conversation: i64) -> String {
    format!(
        "{} {}",
        account_word(account),
        conversation_word(conversation)
    )
}

fn account_word(account: &str) -> String {
    let digest = Sha256::digest(account.as_bytes());
    let bytes = digest.iter().take(12);
    bytes.fold("a".to_owned(), |word, byte| format!("{word}{byte:02x}"))
}

fn conversation_word(conversation: i64) -> String {
    format!("c{conversation}")
}

/// Adds a message. `stored` is its stamp.
pub(super) fn add(
    to: &Connection,
    account: &str,
    conversation: i64,
    message: i64,
    text: &str,
    stored: i64,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO message_text (rowid, text, scope, message) VALUES (?1, ?2, ?3, ?4)";
    let scope = scope(account, conversation);
    to.prepare_cached(sql)?
        .execute(params![stored, text, scope, message])?;
    Ok(())
}

/// Replaces the text of a message by a correction.
pub(super) fn correct(to: &Connection, message: i64, text: &str) -> rusqlite::Result<()> {
    let sql = "UPDATE message_text SET text = ?2
               WHERE rowid = (SELECT stored FROM message WHERE id = ?1)";
    to.prepare_cached(sql)?.execute(params![message, text])?;
    Ok(())
}

/// Returns the greatest stamp of a message.
pub(super) fn last(from: &Connection) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT rowid FROM message_text ORDER BY rowid DESC LIMIT 1";
    from.query_row(sql, [], |row| row.get(0)).optional()
}

/// Fills the index of a database that is older than it. Messages that older releases have
/// stored at the same time get stamps that grow, in their order.
pub(super) fn fill(to: &Connection) -> rusqlite::Result<()> {
    let sql = format!(
        "SELECT m.id, m.conversation, c.account, m.text, m.stored, {CORRECTION}
         FROM message m JOIN conversation c ON c.id = m.conversation, (SELECT ?1, ?2)
         ORDER BY m.stored, m.start, m.id"
    );
    let mut rows = to.prepare(&sql)?;
    // All corrections count.
    let mut rows = rows.query([0, i64::MAX])?;
    let mut last = i64::MIN;
    while let Some(row) = rows.next()? {
        let (message, stored): (i64, i64) = (row.get(0)?, row.get(4)?);
        last = stored.max(last.saturating_add(1));
        if last != stored {
            to.prepare_cached("UPDATE message SET stored = ?2 WHERE id = ?1")?
                .execute([message, last])?;
        }
        let text = match corrected(row.get(5)?) {
            Some(correction) => correction,
            None => row.get(3)?,
        };
        let account: String = row.get(2)?;
        add(to, &account, row.get(1)?, message, &text, last)?;
    }
    Ok(())
}

/// Returns the query in the language of the index. What a client has sent is in quotes.
fn expression(query: &Query, scope: &str) -> String {
    let terms = query.terms.iter().map(|term| {
        let text = term.text.replace('"', "\"\"");
        let star = if term.is_prefix { "*" } else { "" };
        format!("\"{text}\"{star}")
    });
    let terms: Vec<String> = terms.collect();
    format!("scope : \"{scope}\" AND text : ({})", terms.join(" AND "))
}

/// The messages that were found and are listed.
struct Matches {
    expression: String,
    account: String,
    until: i64,
    hunt: Hunt,
    /// The stamp of the last message that was read.
    last: Option<i64>,
}

impl Matches {
    fn listed(whose: &Whose, scope: &str, hunt: Hunt) -> Listed {
        let rows = Self {
            expression: expression(&hunt.query, scope),
            account: whose.account.clone(),
            until: whose.until(),
            hunt,
            last: None,
        };
        Listed::new("{\"results\":[", "}", rows)
    }

    fn sql(&self) -> String {
        let order = if self.hunt.descending { "DESC" } else { "ASC" };
        // The index comes first: it knows the order, and stops when the list is full.
        format!(
            "SELECT m.id, m.conversation, m.text, m.start, m.stop, m.stored, c.first,
             p.id, p.name, p.user_id, f.snippet, {CORRECTION} FROM
             (SELECT message,
              snippet(message_text, 0, '{OPEN}', '{CLOSE}', '…', {WORDS}) AS snippet
              FROM message_text WHERE message_text MATCH ?1 AND rowid >= ?4
              AND rowid <= min(?2, ?5) ORDER BY rowid {order} LIMIT ?6 OFFSET ?7) f
             CROSS JOIN message m ON m.id = f.message
             CROSS JOIN conversation c ON c.id = m.conversation AND c.account = ?3
             LEFT JOIN member p ON p.conversation = m.conversation AND p.id = m.speaker"
        )
    }
}

impl Rows for Matches {
    fn fill(&mut self, piece: &mut Text, from: &Connection) -> rusqlite::Result<bool> {
        let (first, last) = match (self.last, self.hunt.descending) {
            (None, _) => (i64::MIN, i64::MAX),
            (Some(last), true) => (i64::MIN, last.saturating_sub(1)),
            (Some(last), false) => (last.saturating_add(1), i64::MAX),
        };
        let offset = std::mem::take(&mut self.hunt.offset);
        // One more shows if there are more.
        let most = i64::from(self.hunt.limit) + 1;
        let mut rows = from.prepare_cached(&self.sql())?;
        let mut rows = rows.query(params![
            self.expression,
            self.until,
            self.account,
            first,
            last,
            most,
            offset
        ])?;
        let mut more = false;
        while let Some(row) = rows.next()? {
            if self.hunt.limit == 0 {
                more = true;
                break;
            }
            if piece.is_full() {
                return Ok(true);
            }
            piece.item(&result(row)?);
            self.last = Some(row.get(5)?);
            self.hunt.limit -= 1;
        }
        piece.raw(&format!("],\"more\":{more}"), false);
        Ok(false)
    }
}

/// Returns a message that was found, with the part of its text around what was looked for.
fn result(row: &Row<'_>) -> rusqlite::Result<Value> {
    let (id, conversation): (i64, i64) = (row.get(0)?, row.get(1)?);
    let speaker: [Option<String>; 3] = [row.get(7)?, row.get(8)?, row.get(9)?];
    let [speaker_id, name, email] = speaker.each_ref().map(Option::as_deref);
    let (snippet, highlights) = cut(row.get_ref(10)?.as_str()?);
    let mut members = Map::new();
    members.insert("id".into(), id.to_string().into());
    members.insert("conversationId".into(), conversation.to_string().into());
    match corrected(row.get(11)?) {
        None => drop(members.insert("text".into(), row.get::<_, String>(2)?.into())),
        Some(correction) => {
            members.insert("text".into(), correction.into());
            members.insert("x_corrected".into(), true.into());
        }
    }
    members.insert("from".into(), person(speaker_id, name, ("email", email)));
    let first: Option<i64> = row.get(6)?;
    let (start, stop) = (row.get(3)?, row.get(4)?);
    members.append(&mut span(first.unwrap_or(start), start, stop));
    members.insert("snippet".into(), snippet.into());
    members.insert("highlights".into(), highlights.into());
    Ok(Value::Object(members))
}

/// Takes the marks out of a snippet. Returns it, and where each word that was found begins in
/// it and how long it is, in characters.
fn cut(marked: &str) -> (String, Vec<Value>) {
    let (mut snippet, mut found) = (String::with_capacity(marked.len()), Vec::new());
    let (mut at, mut open) = (0_usize, None);
    for c in marked.chars() {
        match c {
            OPEN => open = Some(at),
            CLOSE => {
                if let Some(start) = open.take() {
                    found.push(json!({"offset": start, "length": at - start}));
                }
            }
            c => {
                snippet.push(c);
                at += 1;
            }
        }
    }
    (snippet, found)
}

impl Search for Store {
    fn search(&self, whose: Whose, hunt: Hunt) -> Answer<'_, Option<Piece>> {
        Box::pin(self.list_of(whose.clone(), move |found: Found, _| {
            let scope = conversation_word(found.id);
            Ok(Matches::listed(&whose, &scope, hunt))
        }))
    }

    fn search_all(&self, whose: Whose, hunt: Hunt) -> Answer<'_, Piece> {
        let readers = self.readers();
        Box::pin(self.look(LONGEST_WAIT, move |database| {
            let scope = account_word(&whose.account);
            read(Matches::listed(&whose, &scope, hunt), readers, database)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{final_of, record, started};
    use super::*;
    use crate::limits::Limits;
    use rusqlite::StatementStatus;

    #[test]
    fn a_snippet_says_where_the_words_are_and_has_no_marks() {
        let (snippet, found) = cut("…ü \u{FDD0}pump\u{FDD1} a \u{FDD1}\u{FDD0}\u{FDD0}x\u{FDD1}");
        assert_eq!(snippet, "…ü pump a x");
        let expected = [
            json!({"offset": 3, "length": 4}),
            json!({"offset": 10, "length": 1}),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_search_reads_no_more_than_it_lists_however_much_there_is() {
        let steps = |messages: usize| {
            let limits = Limits {
                kept_messages: usize::MAX,
                ..Limits::default()
            };
            let store = Store::open(None, &limits).unwrap();
            store.write(vec![started(1, 0), started(2, 0)]).unwrap();
            let said = |n: usize| record(1 + n as i64 % 2, final_of("the same", n as u64, 1));
            store.write((0..messages).map(said).collect()).unwrap();
            let hunt = Hunt {
                query: Query::parse("same").unwrap(),
                descending: true,
                limit: 20,
                offset: 0,
            };
            let matches = Matches {
                expression: expression(&hunt.query, &conversation_word(1)),
                account: "app".to_owned(),
                until: i64::MAX,
                hunt,
                last: None,
            };
            store
                .with(|database| {
                    let mut rows = database.prepare(&matches.sql())?;
                    let parameters = params![
                        matches.expression,
                        i64::MAX,
                        "app",
                        i64::MIN,
                        i64::MAX,
                        20,
                        0
                    ];
                    let mut found = rows.query(parameters)?;
                    let mut number = 0;
                    while found.next()?.is_some() {
                        number += 1;
                    }
                    drop(found);
                    assert_eq!(number, 20);
                    assert_eq!(rows.get_status(StatementStatus::Sort), 0);
                    Ok(rows.get_status(StatementStatus::VmStep))
                })
                .unwrap()
        };
        let (few, many) = (steps(60), steps(1200));
        assert!(
            many <= few + few / 10,
            "{many} steps, {few} for fewer messages"
        );
    }
}
