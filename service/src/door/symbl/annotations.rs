// SPDX-License-Identifier: MPL-2.0

//! Takes what a speaker's client adds to its conversation while it streams: bookmarks
//! (`bookmark_request`) and the turns of the speakers in its audio (`speaker_event`).
//!
//! A bookmark is answered with `bookmark_response` to all sockets of the conversation. Events
//! of speakers have no answer: the results name the speakers. They count from the first audio
//! of the start request, and change what was said before they came, too.

use super::speaker::SpeakerSocket;
use crate::clock::AudioClock;
use crate::conversation::attribution::{At, SharedTurns, SpeakerEvent, User};
use crate::conversation::entry::Speaker;
use crate::conversation::form::Audience;
use crate::door::bookmarks::{full, mark, masked};
use crate::door::rest::digits;
use crate::hearing::masking::{Names, RedactionPolicy};
use crate::store::bookmarks::{Mark, Marked};
use crate::store::speakers::{Attribute, Attributed};
use crate::store::{StoreError, Whose};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The types of the messages.
pub(super) const BOOKMARK: &str = "bookmark_request";
pub(super) const SPEAKER_EVENT: &str = "speaker_event";

/// Most events in one message.
const MOST_EVENTS: usize = 1000;

/// How long a final may take on its way to the log: as long as a commit.
const LONGEST_FINAL: Duration = Duration::from_secs(30);

/// Audio that may have several speakers.
#[derive(Debug, Clone)]
pub(super) struct Mixed {
    pub(super) turns: SharedTurns,
    pub(super) clock: AudioClock,
    /// The speaker that the start request named.
    pub(super) speaker: Speaker,
    /// What is hidden of the names of speakers.
    pub(super) policy: RedactionPolicy,
}

/// Reads the events of a message, or returns what is wrong with it.
fn events(sent: &Value, longest: usize) -> Result<Vec<SpeakerEvent>, String> {
    let events = match (&sent["speakerEvents"], &sent["event"]) {
        (Value::Array(events), Value::Null) => events.as_slice(),
        (Value::Null, event @ Value::Object(_)) => std::slice::from_ref(event),
        _ => &[],
    };
    if events.is_empty() || events.len() > MOST_EVENTS {
        return Err(format!(
            "`event` must be an object with `type`, `user` and `offset`, or `speakerEvents` 1 to \
             {MOST_EVENTS} of them"
        ));
    }
    let events = events.iter().enumerate().map(|(index, event)| {
        SpeakerEvent::read(event, longest).map_err(|why| format!("event {index}: {why}"))
    });
    events.collect()
}

impl SpeakerSocket {
    fn whose(&self) -> Whose {
        let conversation = &self.slot.conversation;
        Whose {
            account: conversation.key.account.clone(),
            conversation: conversation.number,
            delay: Duration::ZERO,
        }
    }

    /// Reads a bookmark, without what the service hides in its texts.
    async fn mark(&self, sent: &Value) -> Result<Mark, String> {
        let mark = mark(sent, self.config.limits.text)?;
        let workers = &self.slot.hub.workers;
        let hidden = masked(workers, &self.config.redaction, vec![mark]).await;
        let hidden = hidden.map_err(|reason| reason.to_string())?;
        hidden.into_iter().next().ok_or_else(String::new)
    }

    /// Changes the bookmarks of the conversation as a message asks.
    pub(super) async fn bookmark(&self, text: &str) {
        let sent: Value = serde_json::from_str(text).unwrap_or_default();
        let operation = sent["operation"].as_str().unwrap_or_default();
        // No bookmark has the id 0.
        let id = sent["id"].as_str().and_then(digits).unwrap_or(0);
        let done: Result<Marked<Value>, StoreError> = match operation {
            "create" | "update" => match (self.mark(&sent).await, operation) {
                (Err(why), _) => {
                    return self.error("Not bookmarked", &why, "invalid_request");
                }
                (Ok(mark), "create") => {
                    let made = self.notes.create_bookmarks(self.whose(), vec![mark]).await;
                    made.map(|made| match made {
                        Marked::Done(made) => {
                            Marked::Done(made.into_iter().next().unwrap_or_default())
                        }
                        Marked::NoConversation => Marked::NoConversation,
                        Marked::NoBookmark => Marked::NoBookmark,
                        Marked::NoMessage(id) => Marked::NoMessage(id),
                        Marked::Full => Marked::Full,
                    })
                }
                (Ok(mark), _) => self.notes.replace_bookmark(self.whose(), id, mark).await,
            },
            "delete" => self.notes.delete_bookmark(self.whose(), id).await,
            _ => {
                let details = "`operation` must be `create`, `update` or `delete`";
                return self.error("Not bookmarked", details, "invalid_request");
            }
        };
        let (details, code) = match done {
            Ok(Marked::Done(bookmark)) => return self.tell_of(operation, bookmark),
            Ok(Marked::NoConversation) => (
                "the conversation has not begun; start it first".to_owned(),
                "not_processing",
            ),
            Ok(Marked::NoBookmark) => (
                "the conversation has no bookmark with this `id`".to_owned(),
                "unknown_bookmark",
            ),
            Ok(Marked::NoMessage(id)) => (
                format!("`messageRefs`: the conversation has no message with the id {id}"),
                "invalid_request",
            ),
            Ok(Marked::Full) => (full(), "too_many_bookmarks"),
            Err(reason) => (reason.reason(), "storage_failed"),
        };
        self.error("Not bookmarked", &details, code);
    }

    /// Tells all sockets of the conversation of a change of a bookmark.
    fn tell_of(&self, operation: &str, mut bookmark: Value) {
        if let Some(members) = bookmark.as_object_mut() {
            members.remove("messageRefs");
            members.remove("x_more");
            members.insert("type".to_owned(), "bookmark_response".into());
            members.insert("operation".to_owned(), operation.into());
        }
        let response = json!({"type": "bookmark_response", "bookmarks": [bookmark]}).to_string();
        let conversation = &self.slot.conversation;
        conversation.hint(
            |_| vec![(Audience::All, response.clone().into())],
            self.slot.member,
        );
    }

    /// Takes into account who speaks when.
    pub(super) async fn speaker_event(&self, text: &str) {
        let refused = "The speaker event was not taken";
        let Some(mixed) = &self.mixed else {
            let details = "events of speakers belong to a stream; send a start_request first";
            return self.error(refused, details, "not_processing");
        };
        let sent: Value = serde_json::from_str(text).unwrap_or_default();
        let limits = &self.config.limits;
        let events = match events(&sent, limits.text) {
            Ok(events) => events,
            Err(why) => return self.error(refused, &why, "invalid_request"),
        };
        let conversation = &self.slot.conversation;
        let zero = mixed.clock.begun();
        let mut timed = Vec::with_capacity(events.len());
        let policy = &mixed.policy;
        let mut names = Names::new(policy);
        for mut event in events {
            event.user.name = names.shown(event.user.name);
            let mut state = conversation.state();
            let speaker = state.participants.resolve(&event.user, limits.speakers);
            drop(state);
            let Some(speaker) = speaker else {
                let details = format!("the conversation has {} speakers", limits.speakers);
                return self.error(refused, &details, "invalid_request");
            };
            // So the log finds the same speaker.
            event.user = User {
                id: Some(speaker.id),
                name: speaker.name,
                email: speaker.user_id,
            };
            let wall = match event.at {
                At::Offset(_) => None,
                At::Wall(at) => Some(at),
                At::Now => Some(conversation.clock.now()),
            };
            let at = match (event.at, zero, wall) {
                (At::Offset(at), ..) => at,
                (_, Some(zero), Some(wall)) => {
                    u64::try_from(wall.saturating_sub(zero)).unwrap_or(0)
                }
                // No audio has come yet.
                _ => 0,
            };
            timed.push((at, event));
        }
        let since = mixed.turns.add(&timed);
        // A final that is on its way to the log may not know these events.
        let _ = timeout(LONGEST_FINAL, mixed.turns.given()).await;
        if let Some(zero) = mixed.clock.begun() {
            self.attribute_again(mixed, zero, since).await;
        }
    }

    /// Gives what was said since a time of the stream to its speakers.
    async fn attribute_again(&self, mixed: &Mixed, zero: i64, since: u64) {
        let since = i64::try_from(since).unwrap_or(i64::MAX);
        let mut turns = mixed.turns.now();
        // A speaker may have another name than in its event.
        turns.call(|id| {
            let state = self.slot.conversation.state();
            state.participants.by_id(id).cloned()
        });
        let attribution = Attribute {
            turns,
            zero: Some(zero),
            since: zero.saturating_add(since),
            instead_of: Some(mixed.speaker.clone()),
            most: self.config.limits.speakers,
        };
        let (speakers, entries) = match self.notes.attribute(self.whose(), attribution).await {
            Ok(Attributed::Done { speakers, entries }) => (speakers, entries),
            // It has not begun, or its speakers are those of the log.
            Ok(Attributed::Unknown | Attributed::TooMany) => return,
            Err(reason) => {
                tracing::error!(error = reason.reason(), "messages keep their speakers");
                let details = "what was said before keeps its speakers";
                return self.error("Not stored", details, "storage_failed");
            }
        };
        if entries.is_empty() {
            return;
        }
        // The conversation's locks may have to be waited for, which an async task must not do.
        let conversation = Arc::clone(&self.slot.conversation);
        let told = self.slot.hub.workers.run(move || {
            conversation.attributed(&speakers, &entries);
        });
        if let Err(error) = told.await {
            tracing::warn!(%error, "pages are told later who spoke");
        }
    }
}
