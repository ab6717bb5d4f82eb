// SPDX-License-Identifier: MPL-2.0

//! Reads what was said, for transcripts, in parts as lists are read (see `listing`).

use super::link::{Link, gone};
use super::listing::AT_ONCE;
use super::log::{get, text as text_of, text_or_none};
use super::parts::CORRECTION;
use super::readers::Readers;
use super::records::Found;
use crate::store::sqlite::corrections::corrected;
use crate::store::{Answer, Sentence, Speaking, Spoken, StoreError};
use std::sync::Weak;

/// The size of a part in bytes of text and of the stored form of its words. It ends with
/// the message that reaches this.
const PART: usize = 64 << 10;

/// Messages in the order of the log.
pub(super) struct Sentences {
    found: Found,
    /// The entry of the last message that was read, and its place there.
    last: (i64, i32),
}

/// What was said, of which more parts follow.
struct Rest {
    sentences: Sentences,
    readers: Weak<Readers>,
}

impl Speaking for Rest {
    fn next(self: Box<Self>) -> Answer<'static, Spoken> {
        Box::pin(async move {
            let Self { sentences, readers } = *self;
            let open = readers.upgrade().ok_or_else(gone)?;
            open.look(|link| Box::pin(sentences.read(link, readers)))
                .await
        })
    }
}

impl Sentences {
    pub(super) fn new(found: Found) -> Self {
        let last = (0, 0);
        Self { found, last }
    }

    /// Reads the next part.
    pub(super) async fn read(
        mut self,
        from: &mut Link,
        readers: Weak<Readers>,
    ) -> Result<Spoken, StoreError> {
        let (mut sentences, mut size, mut more) = (Vec::new(), 0, true);
        while more && size < PART {
            more = self.read_some(from, &mut sentences, &mut size).await?;
        }
        let rest: Option<Box<dyn Speaking>> = match more {
            true => Some(Box::new(Rest {
                sentences: self,
                readers,
            })),
            false => None,
        };
        Ok(Spoken { sentences, rest })
    }

    /// Reads a few messages. Returns `true` if more may follow.
    async fn read_some(
        &mut self,
        from: &mut Link,
        sentences: &mut Vec<Sentence>,
        size: &mut usize,
    ) -> Result<bool, StoreError> {
        let sql = format!(
            "SELECT m.id, m.text, coalesce(p.name, p.user_id), m.start, m.stop, m.stored,
             m.words, {CORRECTION}, m.seq, m.n, m.speaker, m.phrases,
             EXISTS (SELECT 1 FROM insight i WHERE i.message = m.id AND i.kind <> 'question')
             FROM message m LEFT JOIN member p
             ON p.conversation = m.conversation AND p.id = m.speaker
             WHERE m.conversation = $1 AND m.stored <= $2 AND (m.seq, m.n) > ($3, $4)
             ORDER BY m.seq, m.n LIMIT $5"
        );
        let Found { id, until, .. } = self.found;
        let (seq, n) = self.last;
        let at_once = i64::try_from(AT_ONCE).unwrap_or(i64::MAX);
        let rows = from.query(&sql, &[&id, &until, &seq, &n, &at_once]).await?;
        for row in &rows {
            let words: &str = get(row, 6)?;
            let said = text_of(row, 1)?;
            let (text, original) = match corrected(get(row, 7)?) {
                None => (said, None),
                Some(correction) => (correction, Some(said)),
            };
            *size += text.len() + words.len();
            sentences.push(Sentence {
                id: get(row, 0)?,
                text,
                original,
                speaker: text_or_none(row, 2)?,
                member: text_of(row, 10)?,
                start: get(row, 3)?,
                stop: get(row, 4)?,
                stored: get(row, 5)?,
                phrases: get(row, 11)?,
                task: get(row, 12)?,
                words: serde_json::from_str(words).unwrap_or_default(),
            });
            self.last = (get(row, 8)?, get(row, 9)?);
            if *size >= PART {
                return Ok(true);
            }
        }
        Ok(rows.len() == AT_ONCE)
    }
}
