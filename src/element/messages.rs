// SPDX-License-Identifier: MPL-2.0

//! Turns an event of the session into the structure of its bus message.
//!
//! There is one message per event, named `symbl/<kind>`. Fields are strings, booleans, ints,
//! uint64s and doubles, so that every language binding can read them. A field without a
//! value is left out. Times are in nanoseconds. This module decides nothing: each event of
//! the session is posted, in the session's order.
//!
//! Names and types: `docs/messages.md`.

use super::State;
use super::stats::nanos;
use gst::structure::Builder;
use serde::Serialize;
use symbl_client::session::event::PlacedWord;
use symbl_client::session::{Event, EventKind, Failure, Placement, SessionEvent};
use symbl_protocol::response::{Entity, Insight, Participant, Topic, TrackerMatch};
use symbl_protocol::timestamp::format_rfc3339;

/// Version of the set of names and types below.
pub const SCHEMA: i32 = 1;

/// Returns the structure for `event`, which is the `seq`-th message of this sink. Returns
/// `None` for warnings and failures, which become WARNING and ERROR messages, and for events
/// that only a text pad needs.
pub fn structure(event: &Event, seq: u64, connection_id: &str) -> Option<gst::Structure> {
    let (name, audio_place) = name(&event.kind)?;
    let mut builder = gst::Structure::builder(name)
        .field("schema", SCHEMA)
        .field("seq", seq)
        .field("generation", event.generation)
        .field("connection-id", connection_id)
        .field_if_some("conversation-id", event.conversation_id.as_deref());
    if let Some(placement) = event
        .placement
        .as_ref()
        .filter(|_| audio_place != AudioPlace::Nowhere)
    {
        builder = place(builder, placement, audio_place);
    }
    Some(
        own_fields(builder, &event.kind)
            .field_if_some("json", event.json.as_deref())
            .build(),
    )
}

/// How a kind of event relates to the audio.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AudioPlace {
    /// The event is about speech in the audio.
    Speech,
    /// The event is about audio that will never be transcribed.
    Untranscribed,
    /// The event has no place in the audio.
    Nowhere,
}

fn name(kind: &EventKind) -> Option<(&'static str, AudioPlace)> {
    Some(match kind {
        EventKind::Transcript { .. } => ("symbl/transcript", AudioPlace::Speech),
        EventKind::Message { .. } => ("symbl/message", AudioPlace::Speech),
        EventKind::Insight(_) => ("symbl/insight", AudioPlace::Speech),
        EventKind::Tracker { .. } => ("symbl/tracker", AudioPlace::Speech),
        EventKind::Topic(_) => ("symbl/topic", AudioPlace::Speech),
        EventKind::Entity(_) => ("symbl/entity", AudioPlace::Speech),
        EventKind::Analytics { .. } => ("symbl/analytics", AudioPlace::Nowhere),
        EventKind::State { .. } => ("symbl/state", AudioPlace::Nowhere),
        EventKind::Session { .. } => ("symbl/session", AudioPlace::Nowhere),
        EventKind::Gap { .. } => ("symbl/gap", AudioPlace::Untranscribed),
        EventKind::Stall { .. } => ("symbl/stall", AudioPlace::Nowhere),
        EventKind::Drained { .. } => ("symbl/drained", AudioPlace::Nowhere),
        EventKind::Error { .. } => ("symbl/error", AudioPlace::Nowhere),
        EventKind::Raw { .. } => ("symbl/raw", AudioPlace::Nowhere),
        EventKind::Heard | EventKind::Warning(_) | EventKind::Failed(_) => return None,
    })
}

fn place(builder: Builder, placement: &Placement, audio_place: AudioPlace) -> Builder {
    let builder = builder
        .field_if_some("running-time", placement.running_time)
        .field_if_some("stream-time", placement.stream_time)
        .field_if_some("duration", placement.duration)
        .field_if_some("utc", placement.utc.map(format_rfc3339));
    match audio_place {
        AudioPlace::Speech => builder
            .field_if_some("delay", placement.delay.map(nanos))
            .field("replayed", placement.replayed),
        AudioPlace::Untranscribed | AudioPlace::Nowhere => builder,
    }
}

fn own_fields(builder: Builder, kind: &EventKind) -> Builder {
    match kind {
        EventKind::Transcript {
            text,
            is_final,
            utterance_id,
            confidence,
            speaker,
            words,
            stable_words,
        } => spoken_by(builder, speaker.as_ref())
            .field("text", text)
            .field("is-final", *is_final)
            .field("utterance-id", utterance_id)
            .field_if_some("confidence", *confidence)
            .field_if_some("words", words_json(words))
            .field_if_some("stable-words", promised(*stable_words)),
        EventKind::Message {
            id,
            text,
            original_text,
            utterance_id,
            speaker,
            words,
            sentiment,
        } => spoken_by(builder, speaker.as_ref())
            .field_if_some("id", id.as_deref())
            .field("text", text)
            .field_if_some("original-text", original_text.as_deref())
            .field_if_some("utterance-id", utterance_id.as_deref())
            .field_if_some("words", words_json(words))
            .field_if_some("sentiment", *sentiment),
        EventKind::Insight(insight) => insight_fields(builder, insight),
        EventKind::Tracker { found, is_final } => {
            tracker_fields(builder, found).field("is-final", *is_final)
        }
        EventKind::Topic(topic) => topic_fields(builder, topic),
        EventKind::Entity(entity) => entity_fields(builder, entity),
        EventKind::Analytics {
            talk_time,
            silence,
            overlap,
        } => builder
            .field_if_some("talk-time", talk_time.map(nanos))
            .field_if_some("silence", silence.map(nanos))
            .field_if_some("overlap", overlap.map(nanos)),
        EventKind::State {
            state,
            previous,
            failure,
            attempt,
            retry_in,
        } => why(builder, failure.as_ref())
            .field("state", State::from(*state).as_str())
            .field("previous", State::from(*previous).as_str())
            .field("attempt", i32::try_from(*attempt).unwrap_or(i32::MAX))
            .field_if_some("retry-in", retry_in.map(nanos)),
        EventKind::Session {
            event,
            previous_conversation_id,
        } => builder.field("event", session_word(*event)).field_if_some(
            "previous-conversation-id",
            previous_conversation_id.as_deref(),
        ),
        EventKind::Gap { reason } => builder.field("reason", reason.as_str()),
        EventKind::Stall { silent_for } => builder.field("silent-for", nanos(*silent_for)),
        EventKind::Drained {
            complete,
            unconfirmed,
        } => builder
            .field("complete", *complete)
            .field("unconfirmed", *unconfirmed),
        EventKind::Error {
            message,
            details,
            fatal,
        } => builder
            .field_if_some("message", message.as_deref())
            .field_if_some("details", details.as_deref())
            .field("fatal", *fatal),
        EventKind::Raw { kind } => builder.field("type", kind),
        EventKind::Heard | EventKind::Warning(_) | EventKind::Failed(_) => builder,
    }
}

/// Adds the speaker. Its id is the one that the application gave, else the one that the
/// service made.
fn spoken_by(builder: Builder, speaker: Option<&Participant>) -> Builder {
    let id = speaker.and_then(|s| s.user_id.as_deref().or(s.id.as_deref()));
    builder
        .field_if_some("speaker-id", id)
        .field_if_some("speaker-name", speaker.and_then(|s| s.name.as_deref()))
}

fn insight_fields(builder: Builder, insight: &Insight) -> Builder {
    let assignee = insight.assignee.as_ref().and_then(|s| {
        s.name
            .as_deref()
            .or(s.user_id.as_deref())
            .or(s.id.as_deref())
    });
    builder
        .field_if_some("id", insight.id.as_deref())
        .field("type", &insight.kind)
        .field("text", &insight.text)
        .field_if_some("confidence", insight.confidence)
        .field_if_some("message-id", insight.message_id.as_deref())
        .field_if_some("assignee", assignee)
        .field_if_some("due-by", insight.due_by.as_deref())
}

fn tracker_fields(builder: Builder, found: &TrackerMatch) -> Builder {
    builder
        .field_if_some("id", found.id.as_deref())
        .field("name", &found.name)
        .field_if_some("type", found.kind.as_deref())
        .field("value", &found.value)
        .field_if_some("message-id", found.message_id.as_deref())
        .field_if_some("text", found.text.as_deref())
        .field_if_some(
            "offset",
            found.offset.and_then(|offset| i32::try_from(offset).ok()),
        )
}

fn topic_fields(builder: Builder, topic: &Topic) -> Builder {
    builder
        .field_if_some("id", topic.id.as_deref())
        .field("text", &topic.text)
        .field_if_some("score", topic.score)
}

fn entity_fields(builder: Builder, entity: &Entity) -> Builder {
    builder
        .field("type", &entity.kind)
        .field_if_some("sub-type", entity.sub_type.as_deref())
        .field_if_some("category", entity.category.as_deref())
        .field("value", &entity.value)
        .field_if_some("message-id", entity.message_id.as_deref())
}

/// Adds the reason of a change of state: a failure, or a request of the application.
fn why(builder: Builder, failure: Option<&Failure>) -> Builder {
    let Some(failure) = failure else {
        return builder.field("reason", "requested");
    };
    builder
        .field("reason", failure.reason.as_str())
        .field_if_some("close-code", failure.close_code.map(i32::from))
        .field_if_some("close-reason", failure.close_reason.as_deref())
        .field_if_some("http-status", failure.http_status.map(i32::from))
        .field("retryable", failure.retryable)
}

fn session_word(event: SessionEvent) -> &'static str {
    match event {
        SessionEvent::Created => "created",
        SessionEvent::Resumed => "resumed",
        SessionEvent::Split => "split",
        SessionEvent::Modified => "modified",
        SessionEvent::Completed => "completed",
    }
}

/// Returns the number of stable words, or `None` if nothing is promised.
fn promised(stable_words: usize) -> Option<i32> {
    let stable = i32::try_from(stable_words).unwrap_or(i32::MAX);
    Some(stable).filter(|stable| *stable > 0)
}

/// Returns the words as a JSON array of `{word, running-time, duration}`, or `None` if there
/// are no words.
fn words_json(words: &[PlacedWord]) -> Option<String> {
    if words.is_empty() {
        return None;
    }
    let words: Vec<WordField> = words
        .iter()
        .map(|word| WordField {
            word: &word.word,
            running_time: word.running_time,
            duration: word.duration,
        })
        .collect();
    serde_json::to_string(&words).ok()
}

/// An item of the field `words`.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct WordField<'a> {
    word: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    running_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<u64>,
}

#[cfg(test)]
mod tests;
