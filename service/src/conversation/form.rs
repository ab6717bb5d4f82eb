// SPDX-License-Identifier: MPL-2.0

//! The wire forms in which sockets are sent entries. Each door has its own.

use super::attribution::Attribution;
use super::entry::{Body, Entry, Speaker, TrackerMatch, Transcribed};
use super::tally::Tallied;
use crate::outbox::{Outbox, Text};
use std::fmt;
use std::ops::Deref;
use std::time::Duration;
use symbl_analysis::RecognisedWord;

/// The sockets that get a message of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// The speaker's socket and the subscribers.
    Speaker,
    /// All sockets.
    All,
}

/// The messages of an entry, in order.
pub(crate) type Rendered = Vec<(Audience, Text)>;

/// An interim of an utterance in progress.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interim<'a> {
    pub(crate) text: &'a str,
    /// The words of the text with their times. Empty if the engine does not know the times.
    pub(crate) words: &'a [RecognisedWord],
    /// How many of the first words the engine has settled; 0 if it promises nothing.
    pub(crate) stable: usize,
    /// Start of the utterance, from the first audio of its start request.
    pub(crate) start: Duration,
    pub(crate) speaker: &'a Speaker,
    /// Milliseconds since the start request.
    pub(crate) elapsed: u64,
}

/// What is sent at once and is in no log.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Live<'a> {
    Interim(Interim<'a>),
    /// Matches of trackers in an interim.
    Trackers(&'a [TrackerMatch]),
    /// The figures of the talk so far.
    Analytics(&'a Tallied),
}

/// The wire form of a door, which turns entries into messages for its sockets.
pub(crate) trait Form: fmt::Debug + Send + Sync {
    /// Returns the messages of a final.
    fn said(&self, said: &Transcribed) -> Rendered;

    /// Returns the messages of what is in no log.
    fn live(&self, live: &Live<'_>) -> Rendered;

    /// Returns the messages of a correction: messages that are of other speakers than before,
    /// and speakers that have other names.
    fn attributed(&self, all: &[Attribution]) -> Rendered;

    /// Returns the messages of an entry. There are none if this door does not send it.
    fn render(&self, entry: &Entry) -> Rendered {
        match &entry.body {
            Body::Said(said) => self.said(said),
            Body::Attributed(all) => self.attributed(all),
            Body::Renamed(speaker) => self.attributed(&[Attribution {
                speaker: speaker.clone(),
                messages: Vec::new(),
            }]),
            _ => Rendered::new(),
        }
    }
}

/// A socket in a conversation, and the form in which it is sent entries.
#[derive(Debug, Clone)]
pub(crate) struct Recipient {
    outbox: Outbox,
    form: Option<&'static dyn Form>,
}

impl Recipient {
    pub(crate) fn new(outbox: Outbox, form: &'static dyn Form) -> Self {
        let form = Some(form);
        Self { outbox, form }
    }

    /// Returns the form in which the socket is sent entries, if it is sent any.
    pub(crate) fn form(&self) -> Option<&'static dyn Form> {
        self.form
    }

    /// Returns `true` if the socket is sent entries in this form.
    pub(crate) fn is_told_in(&self, form: &'static dyn Form) -> bool {
        self.form.is_some_and(|own| std::ptr::addr_eq(own, form))
    }
}

/// A recipient that is sent no entries.
impl From<Outbox> for Recipient {
    fn from(outbox: Outbox) -> Self {
        let form = None;
        Self { outbox, form }
    }
}

impl Deref for Recipient {
    type Target = Outbox;

    fn deref(&self) -> &Outbox {
        &self.outbox
    }
}
