// SPDX-License-Identifier: MPL-2.0

//! Counts a conversation while it runs: how long each speaker has spoken so far.
//!
//! The log is read from where the last count ended. So each final is counted once, in the
//! order of the log, also after a restart. Corrections are not counted: they change no times.
//! A count is made at most once in [`PAUSE`], and less often if it takes long, however many
//! finals come. What is told is volatile and no entry.

use super::entry::{Body, Entry, Speaker, Transcribed};
use super::log::{Log, LogError};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use symbl_analysis::analytics::{Analytics, Report, Said};
use symbl_analysis::{questions, sentiment};

/// Least time between two counts.
const PAUSE: Duration = Duration::from_secs(1);

/// A count may take this part of the time until the next one.
const SHARE: u32 = 50;

/// Most entries that are read at once.
const PAGE: usize = 500;

/// The figures of a conversation so far, and what is known of its speakers.
#[derive(Debug)]
pub(crate) struct Tallied {
    pub(crate) report: Report,
    /// The speakers by their ids.
    pub(crate) speakers: HashMap<String, Speaker>,
}

/// What is counted so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    analytics: Option<Analytics>,
    speakers: HashMap<String, Speaker>,
    /// The number of the last entry that was counted.
    cursor: u64,
    /// When the next count may be made.
    next: Option<Instant>,
    /// `true` if a final was counted that was in no report.
    has_news: bool,
}

impl Tally {
    /// Returns `true` if another count may be made.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| now >= next)
    }

    /// Counts what is new in the log. Returns the figures, or `None` if nothing was said
    /// since the last report. Blocks.
    pub(crate) fn count(
        &mut self,
        log: &dyn Log,
        conversation: i64,
    ) -> Result<Option<Tallied>, LogError> {
        let begun = Instant::now();
        loop {
            let page = log.read(conversation, self.cursor, PAGE)?;
            let Some(last) = page.last() else { break };
            self.cursor = last.seq;
            page.iter().for_each(|entry| self.take(entry));
        }
        let news = std::mem::take(&mut self.has_news);
        let analytics = self.analytics.as_ref().filter(|_| news);
        let tallied = analytics.map(|analytics| Tallied {
            report: analytics.clone().report(),
            speakers: self.speakers.clone(),
        });
        let took = begun.elapsed().saturating_mul(SHARE);
        self.next = Some(Instant::now() + took.max(PAUSE));
        Ok(tallied)
    }

    fn take(&mut self, entry: &Entry) {
        match &entry.body {
            Body::Member(speaker) | Body::Renamed(speaker) => {
                self.speakers.insert(speaker.id.clone(), speaker.clone());
            }
            Body::Said(said) => self.said(said),
            _ => {}
        }
    }

    fn said(&mut self, said: &Transcribed) {
        let start = said.zero;
        let analytics = self.analytics.get_or_insert_with(|| Analytics::new(start));
        let id = &said.speaker.id;
        if !self.speakers.contains_key(id) {
            self.speakers.insert(id.clone(), said.speaker.clone());
        }
        for message in &said.messages {
            let words = said.words_of(message).iter();
            let times = words.map(|word| (said.wall(word.start), said.wall(word.end)));
            let times: Vec<(i64, i64)> = times.collect();
            let counted = Said {
                times: &times,
                words: times.len(),
                questions: questions(&message.text),
                polarity: sentiment::polarity(&message.text),
            };
            analytics.said(id, counted);
            self.has_news = true;
        }
    }
}
