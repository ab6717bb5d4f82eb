// SPDX-License-Identifier: MPL-2.0

//! Writes records, one for each event that must not be lost. Entries of the log are
//! numbered here, in the transaction that stores them and the rows that the Conversation
//! API reads.

use super::entries::{append, append_said, append_sent, stream, unheard};
use super::presence::{append_left, member};
use crate::conversation::entry::{Body, Entry, Sent, Transcribed};
use crate::conversation::log::{Begun, Sending, StartRecord, StreamPosition, Verdict};
use rusqlite::{Connection, params};
use std::sync::Arc;
use symbl_log::fence;

/// An event to write.
#[derive(Debug)]
pub(crate) enum Record {
    /// A start request, in a conversation that may be new, or the beginning of one without a
    /// speaker.
    Start(StartRecord),
    /// A text that a client sent.
    Sent {
        conversation: i64,
        sent: Sent,
        /// When the conversation is over at the earliest, if it has no speakers.
        ends: Option<i64>,
    },
    /// A final, and what was found in it.
    Said {
        conversation: i64,
        said: Box<Transcribed>,
    },
    /// How long the conversation would wait for its speakers from now on, in seconds.
    Keep { conversation: i64, keep: i64 },
    /// The last speaker's socket is gone: when the conversation will be over, and the time
    /// now, in nanoseconds since the Unix epoch.
    Closed {
        conversation: i64,
        ends: i64,
        at: i64,
    },
    /// All speakers have left but for those that are here.
    Left {
        conversation: i64,
        here: Vec<String>,
        at: i64,
    },
    /// All speakers have left, and the conversation is over.
    Over { conversation: i64, at: i64 },
    /// A heartbeat of the service.
    Alive { at: i64 },
}

/// What became of a record.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The record is written.
    Written,
    /// The entries of speakers that have left, and of the end.
    Left(Vec<Arc<Entry>>),
    /// The outcome of a start, with the new entries.
    Begun(Begun, Vec<Arc<Entry>>),
    /// The outcome of a final, with its entry if it is new.
    Said(Verdict, Option<Arc<Entry>>),
    /// The outcome of a text, with its entry if it is new.
    Sent(Sending, Option<Arc<Entry>>),
}

impl Outcome {
    /// Returns the new entries.
    pub(in crate::store) fn entries(&self) -> &[Arc<Entry>] {
        match self {
            Self::Written | Self::Said(_, None) | Self::Sent(_, None) => &[],
            Self::Begun(_, entries) | Self::Left(entries) => entries,
            Self::Said(_, Some(entry)) | Self::Sent(_, Some(entry)) => std::slice::from_ref(entry),
        }
    }
}

impl Record {
    pub(super) fn write(&self, to: &Connection) -> rusqlite::Result<Outcome> {
        match self {
            Self::Start(start) => return begin(start, to),
            Self::Said { conversation, said } => return append_said(to, *conversation, said),
            Self::Sent {
                conversation,
                sent,
                ends,
            } => return append_sent(to, *conversation, sent, *ends),
            Self::Keep { conversation, keep } => to
                .prepare_cached("UPDATE conversation SET keep = ?2 WHERE id = ?1")?
                .execute(params![conversation, keep])?,
            Self::Closed {
                conversation,
                ends,
                at,
            } => {
                let changed = to
                    .prepare_cached(
                        "UPDATE conversation SET ends = ?2 WHERE id = ?1 AND ended IS NULL",
                    )?
                    .execute(params![conversation, ends])?;
                if changed > 0 {
                    append(to, *conversation, *at, Body::Closed { ends: *ends })?;
                }
                changed
            }
            Self::Left {
                conversation,
                here,
                at,
            } => return Ok(Outcome::Left(append_left(to, *conversation, *at, here)?)),
            Self::Over { conversation, at } => {
                let mut entries = append_left(to, *conversation, *at, &[])?;
                let over = append(to, *conversation, *at, Body::Over)?;
                if over.is_some() {
                    to.prepare_cached("UPDATE conversation SET ended = ?2 WHERE id = ?1")?
                        .execute(params![conversation, at])?;
                }
                entries.extend(over);
                return Ok(Outcome::Left(entries));
            }
            Self::Alive { at } => to
                .prepare_cached("INSERT OR REPLACE INTO meta VALUES ('alive', ?1)")?
                .execute(params![at])?,
        };
        Ok(Outcome::Written)
    }
}

fn begin(start: &StartRecord, to: &Connection) -> rusqlite::Result<Outcome> {
    let StartRecord {
        conversation, at, ..
    } = start;
    let mut entries = Vec::new();
    let opened = to
        .prepare_cached(
            "INSERT INTO conversation (id, account, connection, name, created, keep, session, ends)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            conversation,
            start.account,
            start.connection_id,
            start.title,
            at,
            start.keep,
            start.session,
            start.ends
        ])?;
    if opened > 0 {
        let title = start.title.clone();
        entries.extend(append(to, *conversation, *at, Body::Opened { title })?);
    } else {
        to.prepare_cached(
            "UPDATE conversation SET name = coalesce(name, ?2), keep = ?3, ends = ?4
             WHERE id = ?1",
        )?
        .execute(params![conversation, start.title, start.keep, start.ends])?;
    }
    if let Some(speaker) = &start.speaker {
        entries.extend(member(to, *conversation, *at, speaker)?);
    }
    let begun = match (&start.stream_position, &start.speaker) {
        (Some(at), Some(speaker)) => join(to, *conversation, at, &speaker.id)?,
        _ => Begun::Here {
            said_until: 0,
            unheard: Vec::new(),
        },
    };
    Ok(Outcome::Begun(begun, entries))
}

/// Makes this the current start request of its stream, unless a later one is.
fn join(
    to: &Connection,
    conversation: i64,
    at: &StreamPosition,
    member: &str,
) -> rusqlite::Result<Begun> {
    let known = stream(to, conversation, &at.stream)?;
    let Some(now) = fence::begin(known, at.attempt, false) else {
        return Ok(Begun::Superseded);
    };
    to.prepare_cached(
        "INSERT INTO stream (conversation, id, attempt, member, begun, said_until)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE
         SET attempt = excluded.attempt, begun = excluded.begun",
    )?
    .execute(params![
        conversation,
        at.stream,
        as_sql(at.attempt),
        member,
        as_sql(now.begun),
        as_sql(now.said_until)
    ])?;
    let said_until = now.said_until;
    Ok(Begun::Here {
        said_until,
        unheard: match said_until > at.position {
            true => unheard(to, conversation, &at.stream, at.position)?,
            false => Vec::new(),
        },
    })
}

/// Returns a number as SQLite stores it, whose integers have a sign.
pub(in crate::store) fn as_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(in crate::store) fn from_sql(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
