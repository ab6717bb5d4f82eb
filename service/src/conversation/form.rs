// SPDX-License-Identifier: MPL-2.0

//! How those in a conversation are told: each door has a wire form of its own.

use super::entry::{Entry, Speaker, TrackerMatch, Transcribed};
use crate::outbox::{Outbox, Text};
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

/// To whom a message of an entry goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// The socket that said it, and those that only listen.
    Speaker,
    /// All sockets.
    All,
}

/// The messages of an entry, in order.
pub(crate) type Rendered = Vec<(Audience, Text)>;

/// A guess at an utterance in progress.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interim<'a> {
    pub(crate) text: &'a str,
    /// Where in the audio of its start it begins.
    pub(crate) start: Duration,
    pub(crate) speaker: &'a Speaker,
    /// Milliseconds since the start request.
    pub(crate) elapsed: u64,
}

/// What is told at once and is in no log.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Live<'a> {
    Interim(Interim<'a>),
    /// Phrases of trackers in a guess.
    Trackers(&'a [TrackerMatch]),
}

/// The wire form of a door: how its sockets are told something.
pub(crate) trait Form: fmt::Debug + Send + Sync {
    /// Returns the messages of a final.
    fn said(&self, said: &Transcribed) -> Rendered;

    /// Returns the messages of what is in no log.
    fn live(&self, live: &Live<'_>) -> Rendered;

    /// Returns the messages of an entry; none for one that this door does not tell.
    fn render(&self, entry: &Entry) -> Rendered {
        entry
            .body
            .said()
            .map(|said| self.said(said))
            .unwrap_or_default()
    }
}

/// A socket in a conversation, and the form in which it is told what is said.
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

    /// Returns the form in which it is told what is said, if it is.
    pub(crate) fn form(&self) -> Option<&'static dyn Form> {
        self.form
    }

    /// Returns `true` if it is told in this form.
    pub(crate) fn is_told_in(&self, form: &'static dyn Form) -> bool {
        self.form.is_some_and(|own| std::ptr::addr_eq(own, form))
    }
}

/// One that is told nothing of what is said.
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
