// SPDX-License-Identifier: MPL-2.0

//! Operations of Symbl's API that this service does not have: 501, with what to use instead.
//!
//! A client that gets 404 looks for a typing error. So every documented operation that is
//! not served is in [`REFUSED`], and its answer names another way. Tokens are checked
//! as everywhere else. `docs/symbl-api.json` has the same operations, and a test here
//! compares the two.

use crate::door::handshake::Account;
use crate::door::http::{Shared, error};
use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{MethodFilter, on};

/// An operation that is refused.
struct Refusal {
    method: MethodFilter,
    path: &'static str,
    /// What the client is told.
    message: &'static str,
}

const fn refusal(method: MethodFilter, path: &'static str, message: &'static str) -> Refusal {
    Refusal {
        method,
        path,
        message,
    }
}

const EXPERIENCE: &str = "This service has no Experience API. It has a page for each \
                          conversation: POST /v1/conversations/{conversationId}/share answers \
                          with its path and a token for readers.";

const INSIGHTS_UI: &str = "This service has no Insights UI. GET /v1/conversations lists the \
                           conversations, and the page at / shows them.";

const TELEPHONY: &str = "This service does not dial. Let your PBX or SIP client send the call as \
                         RTP and bring it here: gst-launch-1.0 udpsrc port=5004 \
                         caps=\"application/x-rtp,media=audio,clock-rate=8000,encoding-name=PCMU\" \
                         ! rtpjitterbuffer ! rtppcmudepay ! symblsink \
                         base-url=http://HOST:8787. docs/sources.md has more.";

const TELEPHONY_EVENT: &str = "This service has no telephony connections. Send \
                               `speaker_event` on the streaming socket, or PUT \
                               /v1/conversations/{conversationId}/speakers afterwards.";

const TELEPHONY_RESULTS: &str = "This service has no telephony connections. Results of a stream \
                                 come at /v1/subscribe/{connectionId}.";

const ENTITIES: &str = "This service has no entities of your own. Create a tracker with the \
                        phrases of the entity: POST /v1/manage/trackers.";

const NEBULA: &str = "This service has no language model. GET \
                      /v1/conversations/{conversationId}/summary, /action-items, /topics and \
                      /analytics answer from what was said; for other questions give the text of \
                      POST /v1/conversations/{conversationId}/transcript to a model of your own.";

const LM_INSIGHTS: &str = "This service has no language model. GET \
                           /v1/conversations/{conversationId}/insights has what its rules find.";

const ASSIST: &str = "This service has no Real-time Assist. Open a streaming socket with \
                      `trackers`, and answer each `tracker_response` in your application.";

const REFRESH: &str = "Tokens of this service are not refreshed. Ask for another one: POST \
                       /oauth2/token:generate.";

const REVOKE: &str = "Single tokens cannot be revoked in this service. To revoke all of them, \
                      start it with another SYMBL_APP_SECRET.";

/// Every operation that is refused. The names of ids are those of the other routes.
const REFUSED: &[Refusal] = &[
    refusal(
        MethodFilter::POST,
        "/v1/conversations/{id}/experiences",
        EXPERIENCE,
    ),
    refusal(
        MethodFilter::PUT,
        "/v1/conversations/{id}/experiences/url",
        EXPERIENCE,
    ),
    refusal(
        MethodFilter::GET,
        "/v1/conversations/experiences/insights/list",
        INSIGHTS_UI,
    ),
    refusal(
        MethodFilter::GET,
        "/v1/conversations/experiences/insights/details/{id}",
        INSIGHTS_UI,
    ),
    refusal(
        MethodFilter::GET,
        "/v1/conversations/{id}/lm-insights/status",
        LM_INSIGHTS,
    ),
    refusal(MethodFilter::POST, "/v1/endpoint:connect", TELEPHONY),
    refusal(MethodFilter::POST, "/v1/event/{id}", TELEPHONY_EVENT),
    refusal(MethodFilter::GET, "/events/{id}", TELEPHONY_RESULTS),
    refusal(MethodFilter::GET, "/v1/manage/entities", ENTITIES),
    refusal(MethodFilter::POST, "/v1/manage/entities", ENTITIES),
    refusal(MethodFilter::POST, "/v1/manage/entities/bulk", ENTITIES),
    refusal(MethodFilter::GET, "/v1/manage/entities/{id}", ENTITIES),
    refusal(MethodFilter::PUT, "/v1/manage/entities/{id}", ENTITIES),
    refusal(MethodFilter::PATCH, "/v1/manage/entities/{id}", ENTITIES),
    refusal(MethodFilter::DELETE, "/v1/manage/entities/{id}", ENTITIES),
    refusal(MethodFilter::POST, "/v1/model/generate", NEBULA),
    refusal(MethodFilter::POST, "/v1/model/chat", NEBULA),
    refusal(MethodFilter::POST, "/v1/model/chat/streaming", NEBULA),
    refusal(MethodFilter::POST, "/v1/model/embed", NEBULA),
    refusal(MethodFilter::GET, "/v1/realtime/assist/{id}", ASSIST),
    refusal(MethodFilter::POST, "/oauth2/token:refresh", REFRESH),
    refusal(MethodFilter::DELETE, "/oauth2/token:revoke", REVOKE),
];

/// Returns the routes of all operations that are refused.
pub(crate) fn routes() -> Router<Shared> {
    REFUSED.iter().fold(Router::new(), |router, refused| {
        let message = refused.message;
        let answer = move |_: Account| async move { refusal_of(message) };
        router.route(refused.path, on(refused.method, answer))
    })
}

fn refusal_of(message: &str) -> Response {
    error(StatusCode::NOT_IMPLEMENTED, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Returns the path of an operation with the ids as the routes name them.
    fn routed(path: &str) -> String {
        let segments = path
            .split('/')
            .map(|segment| match segment.strip_prefix('{') {
                Some(_) => "{id}",
                None => segment,
            });
        segments.collect::<Vec<_>>().join("/")
    }

    #[test]
    fn the_table_of_operations_has_exactly_what_is_refused() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/symbl-api.json");
        let text = std::fs::read_to_string(path).expect("the table");
        let table: Value = serde_json::from_str(&text).expect("JSON");
        let areas = table["areas"].as_array().expect("areas").iter();
        let operations = areas.flat_map(|area| area["operations"].as_array().expect("operations"));
        let mut told: Vec<[String; 3]> = operations
            .filter(|operation| operation["status"] == "refused")
            .map(|operation| {
                let text = |name: &str| operation[name].as_str().unwrap_or_default();
                let method = text("method").to_owned();
                [method, routed(text("path")), text("how").to_owned()]
            })
            .collect();
        let mut refused: Vec<[String; 3]> = REFUSED
            .iter()
            .map(|refused| {
                let method = name_of(refused.method).to_owned();
                [method, refused.path.to_owned(), refused.message.to_owned()]
            })
            .collect();
        told.sort();
        refused.sort();
        assert_eq!(told, refused);
    }

    fn name_of(method: MethodFilter) -> &'static str {
        [
            (MethodFilter::GET, "GET"),
            (MethodFilter::POST, "POST"),
            (MethodFilter::PUT, "PUT"),
            (MethodFilter::PATCH, "PATCH"),
            (MethodFilter::DELETE, "DELETE"),
        ]
        .into_iter()
        .find_map(|(filter, name)| (filter == method).then_some(name))
        .expect("a known method")
    }
}
