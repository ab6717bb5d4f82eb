// SPDX-License-Identifier: MPL-2.0

//! Reads what was said, for transcripts, in parts as lists are read (see `listing`).

use super::corrections::{CORRECTION, corrected};
use super::query::Found;
use crate::store::Sentence;
use rusqlite::{Connection, params};

/// The size of a part in bytes of text and of the stored form of its words. It ends with
/// the message that reaches this.
const PART: usize = 64 << 10;

/// Messages in the order of the log.
pub(super) struct Sentences {
    found: Found,
    /// The time at which the last message that was read was stored, its start and its id.
    last: (i64, i64, i64),
}

impl Sentences {
    pub(super) fn new(found: Found) -> Self {
        Self {
            found,
            // Every time and id is larger than the smallest number.
            last: (i64::MIN, i64::MIN, i64::MIN),
        }
    }

    /// Reads the next part. The second value is `true` if more may follow.
    pub(super) fn read(&mut self, from: &Connection) -> rusqlite::Result<(Vec<Sentence>, bool)> {
        let sql = format!(
            "SELECT m.id, m.text, coalesce(p.name, p.user_id), m.start, m.stop, m.stored,
             m.words, {CORRECTION}, m.speaker, m.phrases,
             EXISTS (SELECT 1 FROM insight i WHERE i.message = m.id AND i.kind <> 'question')
             FROM message m INDEXED BY message_told LEFT JOIN member p
             ON p.conversation = m.conversation AND p.id = m.speaker
             WHERE m.conversation = ?1 AND m.stored <= ?2
             AND (m.stored, m.start, m.id) > (?3, ?4, ?5)
             ORDER BY m.stored, m.start, m.id"
        );
        let Found { id, until, .. } = self.found;
        let (stored, start, last) = self.last;
        let mut rows = from.prepare_cached(&sql)?;
        let mut rows = rows.query(params![id, until, stored, start, last])?;
        let (mut sentences, mut size) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let words: String = row.get(6)?;
            let said: String = row.get(1)?;
            let (text, original) = match corrected(row.get(7)?) {
                None => (said, None),
                Some(correction) => (correction, Some(said)),
            };
            let sentence = Sentence {
                id: row.get(0)?,
                text,
                original,
                speaker: row.get(2)?,
                member: row.get(8)?,
                start: row.get(3)?,
                stop: row.get(4)?,
                stored: row.get(5)?,
                phrases: row.get(9)?,
                task: row.get(10)?,
                words: serde_json::from_str(&words).unwrap_or_default(),
            };
            size += sentence.text.len() + words.len();
            self.last = (sentence.stored, sentence.start, sentence.id);
            sentences.push(sentence);
            if size >= PART {
                return Ok((sentences, true));
            }
        }
        Ok((sentences, false))
    }
}
