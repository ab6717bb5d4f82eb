// SPDX-License-Identifier: MPL-2.0

//! `PUT …/speakers`: who spoke when in a conversation, for audio with several speakers.

use crate::conversation::attribution::{At, SpeakerEvent, Turns};
use crate::door::asked::{Own, Sent};
use crate::door::http::{Shared, error};
use crate::door::rest::{failed, undone, unknown};
use crate::door::unhonoured::Unhonoured;
use crate::hearing::masking::{Names, RedactionPolicy};
use crate::store::speakers::{Attribute, Attributed};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::Arc;

/// Largest body in bytes, and most events in it.
const LARGEST_BODY: usize = 4 << 20;
const MOST_EVENTS: usize = 20_000;

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/conversations/{id}/speakers", put(attribute))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
}

/// Reads the turns of a body, without what is hidden of the names of users, or returns what is
/// wrong with it.
fn turns(body: &[u8], longest: usize, policy: &RedactionPolicy) -> Result<Turns, String> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let events = body["speakerEvents"].as_array();
    let events = events.filter(|events| (1..=MOST_EVENTS).contains(&events.len()));
    let Some(events) = events else {
        return Err(format!(
            "The body must be a JSON object with `speakerEvents`: 1 to {MOST_EVENTS} objects with \
             `type`, `user` and `offset`."
        ));
    };
    let mut names = Names::new(policy);
    let events = events.iter().enumerate().map(|(index, sent)| {
        let event = SpeakerEvent::read(sent, longest);
        let mut event = event.map_err(|why| format!("speakerEvents[{index}]: {why}."))?;
        event.user.name = names.shown(event.user.name);
        match event.at {
            At::Offset(at) => Ok((at, event)),
            At::Wall(_) | At::Now => Err(format!(
                "speakerEvents[{index}]: `offset` is missing; it counts from the start of the \
                 conversation."
            )),
        }
    });
    let events: Result<Vec<(u64, SpeakerEvent)>, String> = events.collect();
    events.map(Turns::of)
}

async fn attribute(State(shared): State<Shared>, Own(whose): Own, Sent(body): Sent) -> Response {
    let limits = &shared.config.limits;
    let sent = serde_json::from_slice(&body).unwrap_or_default();
    let unhonoured = Unhonoured::body(&sent, &["speakerEvents"]);
    let policy = &shared.config.redaction;
    let attribution = match turns(&body, limits.text, policy) {
        Ok(turns) => Attribute {
            turns,
            zero: None,
            since: i64::MIN,
            instead_of: None,
            most: limits.speakers,
        },
        Err(message) => return error(StatusCode::BAD_REQUEST, &message),
    };
    let (speakers, entries) = match shared.notes.attribute(whose.clone(), attribution).await {
        Ok(Attributed::Done { speakers, entries }) => (speakers, entries),
        Ok(Attributed::Unknown) => return unknown(),
        Ok(Attributed::TooMany) => {
            let message = format!(
                "A conversation has at most {} speakers; name fewer users.",
                limits.speakers
            );
            return error(StatusCode::BAD_REQUEST, &message);
        }
        Err(reason) => return failed(&reason),
    };
    let done = format!(
        "Speaker events associated for conversationId: {} successfully! The update should be \
         reflected in all messages and insights along with this conversation",
        whose.conversation
    );
    // The conversation's locks may have to be waited for, which an async task must not do.
    let hub = Arc::clone(&shared.hub);
    let told = shared.hub.workers.run(move || {
        hub.attributed(&whose.account, whose.conversation, &speakers, &entries);
    });
    match told.await {
        Ok(()) => unhonoured.tell(Json(json!({ "message": done })).into_response()),
        Err(reason) => undone(
            &reason,
            "a conversation was not told who spoke",
            "The speakers are changed, but pages that are open do not show it; see the log of the \
             service.",
        ),
    }
}
