// SPDX-License-Identifier: MPL-2.0

//! `PUT` and `PATCH` of a conversation: its name, its metadata, and how long it is kept.
//!
//! `PUT` replaces the metadata, as the reference of the original service has it. `PATCH`
//! merges: members that are `null` are removed. Both leave what the body does not have.

use crate::door::asked::{Own, Sent};
use crate::door::http::{Shared, error};
use crate::door::rest::{failed, unknown};
use crate::door::retention;
use crate::hearing::masking::RedactionPolicy;
use crate::store::Whose;
use crate::store::notes::{Labelled, Labelling, MOST_LABELS, Metadata};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use axum::{Json, Router};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Longest key and value of the metadata in characters.
const LONGEST_LABEL: usize = 128;

pub(crate) fn routes() -> Router<Shared> {
    let methods = put(replace).patch(merge);
    Router::new().route("/v1/conversations/{id}", methods)
}

async fn replace(State(shared): State<Shared>, Own(whose): Own, Sent(body): Sent) -> Response {
    label(shared, whose, &body, Metadata::Replace).await
}

async fn merge(State(shared): State<Shared>, Own(whose): Own, Sent(body): Sent) -> Response {
    label(shared, whose, &body, Metadata::Merge).await
}

async fn label(
    shared: Shared,
    whose: Whose,
    body: &[u8],
    how: fn(Map<String, Value>) -> Metadata,
) -> Response {
    let (conversation, longest) = (whose.conversation, shared.config.limits.text);
    let labels = match labels(body, conversation, longest, how) {
        Ok(labels) => masked(labels, &shared.config.redaction),
        Err(message) => return error(StatusCode::BAD_REQUEST, &message),
    };
    match shared.notes.label(whose, labels).await {
        Ok(Labelled::Done(conversation)) => Json(conversation).into_response(),
        Ok(Labelled::Unknown) => unknown(),
        Ok(Labelled::TooMany) => {
            let message = format!(
                "The metadata of a conversation may have at most {MOST_LABELS} members; remove \
                 some with PATCH and the value null."
            );
            error(StatusCode::BAD_REQUEST, &message)
        }
        Err(reason) => failed(&reason),
    }
}

/// Returns the labels without what the service hides.
fn masked(labels: Labelling, policy: &RedactionPolicy) -> Labelling {
    let metadata = labels.metadata.map(|metadata| match metadata {
        Metadata::Replace(new) => Metadata::Replace(policy.metadata(new)),
        Metadata::Merge(new) => Metadata::Merge(policy.metadata(new)),
    });
    Labelling {
        name: labels.name.map(|name| name.map(|name| policy.text(&name))),
        metadata,
        ..labels
    }
}

/// An object with its members in their order, also those that come twice.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Read)
    }
}

/// Reads what a body changes, or returns what is wrong with it.
fn labels(
    body: &[u8],
    conversation: i64,
    longest: usize,
    how: fn(Map<String, Value>) -> Metadata,
) -> Result<Labelling, String> {
    #[derive(serde::Deserialize)]
    struct Body {
        metadata: Option<Members>,
    }
    let expected = "The body must be a JSON object with `metadata` (an object of strings), \
                    `name` (a string) or `x_retainDays` (a number of days)";
    // An array would be read as the members of the object in their order.
    let members: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| format!("{expected}."))?;
    let mut labels = Labelling::default();
    for (name, value) in &members {
        match (name.as_str(), value) {
            ("metadata", Value::Object(_)) => {
                let again: Result<Body, _> = serde_json::from_slice(body);
                let entries = again.ok().and_then(|body| body.metadata);
                let entries = entries.map_or_else(Vec::new, |entries| entries.0);
                labels.metadata = Some(how(metadata(entries, how)?));
            }
            ("name", Value::Null) => labels.name = Some(None),
            ("name", Value::String(name)) if name.len() <= longest && !name.trim().is_empty() => {
                labels.name = Some(Some(name.clone()));
            }
            ("name", _) => {
                return Err(format!(
                    "`name` must be a text of 1 to {longest} bytes, or null to remove it."
                ));
            }
            ("x_retainDays", Value::Null) => labels.retain = Some(None),
            ("x_retainDays", value) => {
                let seconds = retention::seconds(value).ok_or_else(|| {
                    format!(
                        "`x_retainDays` must be a number of days from 0 (for ever) to {}, or null \
                         to keep the conversation as long as all others.",
                        retention::MOST
                    )
                })?;
                labels.retain = Some(Some(seconds.into()));
            }
            // A client may send back what it was sent.
            ("id", Value::String(id)) if *id == conversation.to_string() => {}
            ("type", Value::String(kind)) if kind == "meeting" => {}
            ("id" | "type", _) => return Err(format!("`{name}` cannot be changed; leave it out.")),
            _ => {
                let name: String = name.chars().take(LONGEST_LABEL).collect();
                return Err(format!("{expected}; `{name}` cannot be changed here."));
            }
        }
    }
    Ok(labels)
}

/// Checks the metadata of a conversation that is made, as it is checked when it is replaced.
/// Returns what is wrong with it.
pub(crate) fn check(given: &Map<String, Value>) -> Result<(), String> {
    if given.len() > MOST_LABELS {
        return Err(format!(
            "The metadata of a conversation may have at most {MOST_LABELS} members."
        ));
    }
    let entries = given
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()));
    metadata(entries.collect(), Metadata::Replace).map(drop)
}

/// Checks the members of the metadata.
fn metadata(
    entries: Vec<(String, Value)>,
    how: fn(Map<String, Value>) -> Metadata,
) -> Result<Map<String, Value>, String> {
    let merges = matches!(how(Map::new()), Metadata::Merge(_));
    let mut metadata = Map::new();
    for (key, value) in entries {
        let shown: String = key.chars().take(LONGEST_LABEL).collect();
        if key.is_empty() || key.chars().count() > LONGEST_LABEL {
            return Err(format!(
                "A key of `metadata` must have 1 to {LONGEST_LABEL} characters; `{shown}` has not."
            ));
        }
        let fits = match &value {
            Value::String(text) => text.chars().count() <= LONGEST_LABEL,
            Value::Null => merges,
            _ => false,
        };
        if !fits {
            return Err(format!(
                "`metadata.{shown}` must be a string of at most {LONGEST_LABEL} characters{}.",
                if merges { ", or null to remove it" } else { "" }
            ));
        }
        if metadata.insert(key, value).is_some() {
            return Err(format!(
                "`metadata.{shown}` is there twice; send each key once."
            ));
        }
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_changes_nothing_allowed_is_refused_with_what_to_send() {
        let long = "x".repeat(129);
        for (body, says) in [
            ("[]", "must be a JSON object"),
            ("{", "must be a JSON object"),
            (r#"{"metadata": []}"#, "`metadata` cannot be changed"),
            (r#"{"metadata": {"a": 1}}"#, "`metadata.a` must be a string"),
            (
                r#"{"metadata": {"a": null}}"#,
                "`metadata.a` must be a string",
            ),
            (
                r#"{"metadata": {"a": "1", "a": "2"}}"#,
                "`metadata.a` is there twice",
            ),
            (r#"{"metadata": {"": "1"}}"#, "1 to 128 characters"),
            (
                &format!(r#"{{"metadata": {{"a": "{long}"}}}}"#),
                "at most 128",
            ),
            (&format!(r#"{{"metadata": {{"{long}": "a"}}}}"#), "1 to 128"),
            (r#"{"name": ""}"#, "`name` must be a text of 1 to 9 bytes"),
            (
                r#"{"name": "0123456789"}"#,
                "`name` must be a text of 1 to 9 bytes",
            ),
            (r#"{"x_retainDays": "1"}"#, "a number of days"),
            (r#"{"x_retainDays": 36526}"#, "from 0 (for ever) to 36525"),
            (r#"{"id": "8"}"#, "`id` cannot be changed"),
            (r#"{"type": "call"}"#, "`type` cannot be changed"),
            (r#"{"startTime": "now"}"#, "`startTime` cannot be changed"),
        ] {
            let refused = labels(body.as_bytes(), 7, 9, Metadata::Replace).unwrap_err();
            assert!(refused.contains(says), "{body}: {refused}");
        }
    }

    #[test]
    fn what_is_not_in_the_body_stays_and_null_removes() {
        let body = br#"{"id": "7", "type": "meeting", "metadata": {"a": null, "b": "2"}}"#;
        let merged = labels(body, 7, 9, Metadata::Merge).unwrap();
        assert_eq!((&merged.name, &merged.retain), (&None, &None));
        let now = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
        let metadata = merged.metadata.expect("a change");
        let metadata = metadata.applied(now(r#"{"a": "1", "c": "3"}"#));
        assert_eq!(metadata, now(r#"{"b": "2", "c": "3"}"#));
        let body = br#"{"name": null, "x_retainDays": 2, "metadata": {}}"#;
        let replaced = labels(body, 7, 9, Metadata::Replace).unwrap();
        assert_eq!(replaced.name, Some(None));
        assert_eq!(replaced.retain, Some(Some(172_800)));
        let metadata = replaced.metadata.expect("a change");
        assert_eq!(metadata.applied(now(r#"{"a": "1"}"#)), Map::new());
    }
}
