// SPDX-License-Identifier: MPL-2.0

//! What is written: one record for each thing that must not be lost.

use crate::ids::new_id;
use rusqlite::{Connection, params};
use serde_json::json;

/// One thing to write.
#[derive(Debug)]
pub(crate) enum Record {
    /// Somebody starts in a conversation, which may be new.
    Started {
        conversation: i64,
        account: String,
        connection_id: String,
        title: Option<String>,
        /// Nanoseconds since the Unix epoch.
        at: i64,
        /// `noConnectionTimeout`, seconds.
        keep: i64,
    },
    /// Who somebody is.
    Member {
        conversation: i64,
        id: String,
        user_id: Option<String>,
        name: Option<String>,
    },
    /// What was said, and what was found in it.
    Said(Box<Utterance>),
    /// How long it would wait from now on, seconds.
    Keep { conversation: i64, keep: i64 },
    /// Nobody is there; when it is over.
    Lost { conversation: i64, ends: i64 },
    /// It is over.
    Finished { conversation: i64, at: i64 },
    /// The service runs.
    Alive { at: i64 },
}

/// Everything that comes of one final.
#[derive(Debug, Default)]
pub(crate) struct Utterance {
    pub(crate) conversation: i64,
    /// When the conversation's first audio came.
    pub(crate) zero: i64,
    /// The number of the next message response.
    pub(crate) next_sequence: i64,
    pub(crate) speaker: String,
    pub(crate) confidence: f64,
    pub(crate) messages: Vec<Message>,
    pub(crate) insights: Vec<Insight>,
    pub(crate) topics: Vec<Topic>,
    pub(crate) matches: Vec<Match>,
    pub(crate) entities: Vec<Entity>,
}

/// A sentence.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: i64,
    /// The id that the sockets are told.
    pub(crate) live: String,
    pub(crate) text: String,
    /// With start and end, nanoseconds since the Unix epoch.
    pub(crate) words: Vec<(String, i64, i64)>,
}

/// A question, action item or follow-up.
#[derive(Debug)]
pub(crate) struct Insight {
    pub(crate) message: i64,
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    pub(crate) score: f64,
    pub(crate) by_speaker: bool,
    pub(crate) assignee: Option<String>,
    /// RFC 3339, UTC.
    pub(crate) due: Option<String>,
}

/// What it is about; replaces what was known of the same text.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) text: String,
    pub(crate) score: f64,
    /// Live ids.
    pub(crate) messages: Vec<String>,
}

/// A phrase of a tracker.
#[derive(Debug)]
pub(crate) struct Match {
    pub(crate) tracker: String,
    pub(crate) message: i64,
    pub(crate) value: String,
    pub(crate) offset: i64,
}

/// Something that is named.
#[derive(Debug)]
pub(crate) struct Entity {
    pub(crate) message: i64,
    pub(crate) kind: &'static str,
    /// What is meant: the date of a day, else the words.
    pub(crate) value: String,
    /// The words.
    pub(crate) text: String,
    /// Characters from the start of the message.
    pub(crate) offset: i64,
}

impl Record {
    pub(super) fn write(&self, to: &Connection) -> rusqlite::Result<()> {
        match self {
            Self::Started {
                conversation,
                account,
                connection_id,
                title,
                at,
                keep,
            } => to
                .prepare_cached(
                    "INSERT INTO conversation (id, account, connection, name, created, keep)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO UPDATE
                     SET name = coalesce(name, excluded.name), keep = excluded.keep, ends = NULL",
                )?
                .execute(params![
                    conversation,
                    account,
                    connection_id,
                    title,
                    at,
                    keep
                ]),
            Self::Member {
                conversation,
                id,
                user_id,
                name,
            } => to
                .prepare_cached(
                    "INSERT INTO member VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE
                     SET user_id = excluded.user_id, name = coalesce(excluded.name, name)",
                )?
                .execute(params![conversation, id, user_id, name]),
            Self::Said(utterance) => return utterance.write(to),
            Self::Keep { conversation, keep } => to
                .prepare_cached("UPDATE conversation SET keep = ?2 WHERE id = ?1")?
                .execute(params![conversation, keep]),
            Self::Lost { conversation, ends } => to
                .prepare_cached("UPDATE conversation SET ends = ?2 WHERE id = ?1")?
                .execute(params![conversation, ends]),
            Self::Finished { conversation, at } => to
                .prepare_cached(
                    "UPDATE conversation SET ended = ?2 WHERE id = ?1 AND ended IS NULL",
                )?
                .execute(params![conversation, at]),
            Self::Alive { at } => to
                .prepare_cached("INSERT OR REPLACE INTO meta VALUES ('alive', ?1)")?
                .execute(params![at]),
        }
        .map(|_| ())
    }
}

impl Utterance {
    fn write(&self, to: &Connection) -> rusqlite::Result<()> {
        let first = self.messages.first().and_then(|m| m.words.first());
        to.prepare_cached(
            "UPDATE conversation SET sequence = ?2, zero = coalesce(zero, ?3),
             first = coalesce(first, ?4) WHERE id = ?1",
        )?
        .execute(params![
            self.conversation,
            self.next_sequence,
            self.zero,
            first.map(|word| word.1)
        ])?;
        for message in &self.messages {
            let start = message.words.first().map_or(self.zero, |word| word.1);
            let stop = message.words.last().map_or(start, |word| word.2);
            to.prepare_cached(
                "INSERT INTO message VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                message.id,
                self.conversation,
                message.live,
                self.speaker,
                message.text,
                start,
                stop,
                json!(message.words).to_string(),
                self.confidence,
                super::stamp()
            ])?;
        }
        for insight in &self.insights {
            to.prepare_cached("INSERT INTO insight VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
                .execute(params![
                    new_id(),
                    self.conversation,
                    insight.message,
                    insight.kind,
                    insight.text,
                    insight.score,
                    insight.by_speaker,
                    insight.assignee,
                    insight.due
                ])?;
        }
        for topic in &self.topics {
            to.prepare_cached(
                "INSERT INTO topic VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (conversation, text)
                 DO UPDATE SET score = excluded.score, messages = excluded.messages",
            )?
            .execute(params![
                new_id(),
                self.conversation,
                topic.text,
                topic.score,
                json!(topic.messages).to_string()
            ])?;
        }
        for found in &self.matches {
            to.prepare_cached("INSERT OR IGNORE INTO tracker VALUES (?1, ?2, ?3)")?
                .execute(params![new_id(), self.conversation, found.tracker])?;
            to.prepare_cached(
                "INSERT INTO tracker_match SELECT id, ?3, ?4, ?5 FROM tracker
                 WHERE conversation = ?1 AND name = ?2",
            )?
            .execute(params![
                self.conversation,
                found.tracker,
                found.message,
                found.value,
                found.offset
            ])?;
        }
        for entity in &self.entities {
            to.prepare_cached("INSERT INTO entity VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                .execute(params![
                    new_id(),
                    entity.message,
                    entity.kind,
                    entity.value,
                    entity.text,
                    entity.offset
                ])?;
        }
        Ok(())
    }
}
