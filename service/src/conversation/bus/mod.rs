// SPDX-License-Identifier: MPL-2.0

//! How nodes tell each other at once what happens in the conversations that they share.
//!
//! The log has every entry, and each node looks into it a few times a second. The bus only
//! makes that faster, and carries interims, which are in no log. So a bus may lose, repeat
//! or delay whatever it likes: entries are then told later, and interims are left out.
//!
//! Nothing here waits for another node or a server. Every queue has a limit.
//!
//! - [`outgoing`]: what waits to be sent, and how often
//! - [`interest`]: in which conversations other nodes have listeners
//! - [`order`]: which interims of other nodes are shown
//! - [`packet`]: messages as text
//! - [`exchange`]: all of it together, for the driver of a server

// Without the feature there is no bus.
#![cfg_attr(not(feature = "cluster"), allow(dead_code))]

pub(crate) mod exchange;
pub(crate) mod interest;
pub(crate) mod order;
pub(crate) mod outgoing;
pub(crate) mod packet;

use super::entry::{Entry, Speaker, TrackerMatch, Transcribed};
use super::form::Interim;
use crate::clock::nanos;
use crate::metrics::BusCounts;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use symbl_analysis::RecognisedWord;
use tokio::sync::mpsc;

/// Tells other nodes what happens here, and this node what happens there. Does not block.
pub(crate) trait Bus: fmt::Debug + Send + Sync {
    /// Announces an entry that is in the log.
    fn announce(&self, conversation: i64, entry: &Arc<Entry>);

    /// Sends what is in no log, if it comes soon enough. Of several of one stream that wait,
    /// the last one is sent.
    fn volatile(&self, conversation: i64, volatile: Volatile);

    /// Returns `true` if another node has listeners in this conversation.
    fn is_wanted(&self, conversation: i64) -> bool;

    /// Hears from now on what is announced in this conversation. With `listened`, other
    /// nodes send interims too.
    fn follow(&self, conversation: i64, listened: bool);

    /// Ends [`Bus::follow`].
    fn unfollow(&self, conversation: i64);

    /// Returns the receiver of what other nodes say. Only the first call gets it.
    fn notes(&self) -> Option<mpsc::Receiver<Note>>;

    /// Returns what is counted.
    fn counts(&self) -> &BusCounts;
}

/// What this node hears of others.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Note {
    /// An entry is in the log.
    Entry {
        conversation: i64,
        seq: u64,
        /// The entry, if it is not too large to be sent along.
        entry: Option<Arc<Entry>>,
    },
    /// An interim, or what else is in no log.
    Volatile {
        conversation: i64,
        volatile: Box<Volatile>,
    },
    /// Something may be new: announcements were left out.
    News,
}

impl Note {
    /// Returns the conversation that it is about.
    pub(crate) fn conversation(&self) -> Option<i64> {
        match self {
            Self::Entry { conversation, .. } | Self::Volatile { conversation, .. } => {
                Some(*conversation)
            }
            Self::News => None,
        }
    }
}

/// What a stream shows and the log does not have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Volatile {
    pub(crate) stamp: Stamp,
    pub(crate) shown: Shown,
}

/// Where in its stream something volatile belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// When the first audio of the start request came, nanoseconds since the Unix epoch. It
    /// stands for the start request.
    pub(crate) start_request: i64,
    /// 1, 2, 3 … of that start request.
    pub(crate) count: u64,
    /// The number of the entry of the last final before it, 0 if there is none.
    pub(crate) behind: u64,
}

/// What is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shown {
    Interim(InterimCopy),
    /// Matches of trackers in an interim.
    Trackers(Vec<TrackerMatch>),
    /// An utterance in which nothing was said after all.
    Nothing(Box<Transcribed>),
}

/// An interim as it travels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct InterimCopy {
    text: String,
    /// Where each word of the text starts and ends, in nanoseconds. Empty if the engine does
    /// not know it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    times: Vec<(u64, u64)>,
    stable: usize,
    start: u64,
    speaker: Speaker,
    elapsed: u64,
}

impl InterimCopy {
    pub(crate) fn of(interim: &Interim<'_>) -> Self {
        let nanos = |time| u64::try_from(nanos(time)).unwrap_or(0);
        let words = interim.words.iter();
        Self {
            text: interim.text.to_owned(),
            times: words.map(|w| (nanos(w.start), nanos(w.end))).collect(),
            stable: interim.stable,
            start: nanos(interim.start),
            speaker: interim.speaker.clone(),
            elapsed: interim.elapsed,
        }
    }

    /// Returns the interim without the times of its words, which takes less room.
    pub(crate) fn without_times(mut self) -> Self {
        self.times.clear();
        self
    }

    /// Returns the words with their times, if those are known. How sure the engine is of a
    /// word does not travel, because no form shows it.
    pub(crate) fn words(&self) -> Vec<RecognisedWord> {
        let texts: Vec<&str> = self.text.split(' ').collect();
        if texts.len() != self.times.len() {
            return Vec::new();
        }
        let words = texts.into_iter().zip(&self.times);
        let words = words.map(|(text, (start, end))| RecognisedWord {
            text: text.to_owned(),
            start: Duration::from_nanos(*start),
            end: Duration::from_nanos(*end),
            confidence: 1.0,
        });
        words.collect()
    }

    /// Returns the interim as forms render it. `words` are those of [`Self::words`].
    pub(crate) fn with<'a>(&'a self, words: &'a [RecognisedWord]) -> Interim<'a> {
        Interim {
            text: &self.text,
            words,
            stable: self.stable,
            start: Duration::from_nanos(self.start),
            speaker: &self.speaker,
            elapsed: self.elapsed,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn interim(text: &str) -> Shown {
        Shown::Interim(InterimCopy {
            text: text.to_owned(),
            times: Vec::new(),
            stable: 0,
            start: 0,
            speaker: Speaker::default(),
            elapsed: 0,
        })
    }

    #[test]
    fn an_interim_is_rendered_from_its_copy_as_from_itself() {
        let word = |text: &str, start, end| RecognisedWord {
            text: text.to_owned(),
            start: Duration::from_millis(start),
            end: Duration::from_millis(end),
            confidence: 1.0,
        };
        let speaker = Speaker {
            name: Some("Ada".to_owned()),
            ..Speaker::default()
        };
        let words = [word("so", 100, 200), word("far.", 200, 450)];
        let interim = Interim {
            text: "so far.",
            words: &words,
            stable: 1,
            start: Duration::from_millis(100),
            speaker: &speaker,
            elapsed: 700,
        };
        let text = serde_json::to_string(&InterimCopy::of(&interim)).expect("JSON");
        let copy: InterimCopy = serde_json::from_str(&text).expect("an interim");
        let again = copy.words();
        assert_eq!(format!("{:?}", copy.with(&again)), format!("{interim:?}"));
        let bare = copy.clone().without_times();
        assert!(bare.words().is_empty());
        let odd = InterimCopy {
            times: vec![(0, 1)],
            ..copy
        };
        assert!(odd.words().is_empty(), "fewer times than words");
    }
}
