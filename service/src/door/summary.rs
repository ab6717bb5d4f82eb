// SPDX-License-Identifier: MPL-2.0

//! `GET …/summary`: the sentences that say most about a conversation.
//!
//! Facts: Symbl Conversation API reference, "GET Summary". The original wrote its summaries;
//! this one quotes. It is computed when it is asked for, so `refresh=true` changes nothing,
//! and a conversation that goes on has the summary of what was said so far.

use crate::door::asked::Readable;
use crate::door::http::Shared;
use crate::door::rest::{failed, undone, unknown};
use crate::door::spoken;
use crate::store::{StoreError, Whose};
use crate::workers::Undone;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use symbl_analysis::summary::{Candidates, Line, Vocabulary};

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/v1/conversations/{id}/summary", get(summary))
}

/// Reads the conversation twice: for its words, and for its best sentences.
async fn candidates(shared: &Shared, whose: Whose) -> Result<Option<Candidates>, StoreError> {
    let records = shared.records.as_ref();
    let begin = |_| Vocabulary::default();
    let counted = spoken::read(records, whose.clone(), begin, |vocabulary, said| {
        vocabulary.count(&said.text);
    });
    let Some(vocabulary) = counted.await? else {
        return Ok(None);
    };
    let begin = |_| Candidates::new(vocabulary);
    spoken::read(records, whose, begin, |candidates, said| {
        candidates.take(said.id, &said.text);
    })
    .await
}

async fn summary(State(shared): State<Shared>, Readable(whose): Readable) -> Response {
    let candidates = match candidates(&shared, whose).await {
        Ok(Some(candidates)) => candidates,
        Ok(None) => return unknown(),
        Err(reason) => return failed(&reason),
    };
    // Comparing the sentences takes a while, and must delay no other client.
    match shared.hub.workers.run(move || candidates.lines()).await {
        Ok(lines) => {
            let lines: Vec<Value> = lines.iter().map(line).collect();
            Json(json!({ "summary": lines })).into_response()
        }
        Err(reason) => not_summarized(&reason),
    }
}

/// Returns the answer to a client whose summary was not made.
pub(crate) fn not_summarized(reason: &Undone) -> Response {
    let message = "The summary could not be made; see the log of the service.";
    undone(reason, "a summary was not made", message)
}

/// Returns a line in the form of the API. Its id is that of the message with it.
fn line(line: &Line) -> Value {
    let references = line.references.iter();
    let references = references.map(|id| json!({"id": id.to_string()}));
    json!({
        "id": line.message.to_string(),
        "text": line.text,
        "messageRefs": references.collect::<Vec<Value>>(),
    })
}
