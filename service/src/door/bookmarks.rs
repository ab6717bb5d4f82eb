// SPDX-License-Identifier: MPL-2.0

//! Bookmarks of a conversation: labelled parts of it, and what was said in them in short.
//!
//! A bookmark has a time (`beginTimeOffset` and `duration`, in seconds from the start of the
//! conversation) or some messages (`messageRefs`). A `PUT` replaces all of it.

use crate::door::asked::{Last, Own, Readable, Sent};
use crate::door::http::{Shared, error};
use crate::door::rest::{answered, digits, failed, list_of_notes, undone, unknown};
use crate::door::summary::not_summarized;
use crate::door::unhonoured::Unhonoured;
use crate::hearing::masking::RedactionPolicy;
use crate::ids::new_id;
use crate::store::bookmarks::{Extent, MOST_BOOKMARKS, MOST_MARKED, Mark, Marked, Passage};
use crate::store::{Sentence, StoreError};
use crate::workers::{Undone, Workers};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use symbl_analysis::summary::{Candidates, Line, Vocabulary};
use symbl_protocol::timestamp::format_rfc3339;

/// Largest body in bytes: [`MOST_AT_ONCE`] bookmarks with texts and ids of messages.
const LARGEST_BODY: usize = 1 << 20;

/// Most bookmarks that one request creates.
const MOST_AT_ONCE: usize = 100;

/// Longest description in bytes.
const LONGEST_DESCRIPTION: usize = 8192;

/// Latest begin of a bookmark, and its longest duration: a year, in seconds.
const LONGEST: f64 = 366.0 * 24.0 * 3600.0;

/// Most messages of a summary none of which says enough to be chosen.
const MOST_SHORT: usize = 3;

const SECOND: f64 = 1e9;

pub(crate) fn routes() -> Router<Shared> {
    let base = "/v1/conversations/{id}";
    let at = |path: &str| format!("{base}{path}");
    let one = get(read).put(replace).delete(delete);
    Router::new()
        .route(
            &at("/bookmarks"),
            list_of_notes(|notes, whose| notes.bookmarks(whose)).post(create),
        )
        .route(&at("/bookmarks/bulk"), post(create))
        .route(&at("/bookmarks/summary"), get(summaries))
        .route(&at("/bookmarks-summary"), get(summaries))
        .route(&at("/bookmarks/{bookmark}"), one)
        .route(&at("/bookmarks/{bookmark}/summary"), get(summary))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
}

/// Returns the answer to a request about bookmarks.
fn answer<T>(marked: Result<Marked<T>, StoreError>, done: impl FnOnce(T) -> Response) -> Response {
    match marked {
        Ok(Marked::Done(value)) => done(value),
        Ok(Marked::NoConversation) => unknown(),
        Ok(Marked::NoBookmark) => no_bookmark(),
        Ok(Marked::NoMessage(id)) => {
            let message = format!(
                "`messageRefs`: the conversation has no message with the id {id}; use ids of \
                 GET …/messages."
            );
            error(StatusCode::BAD_REQUEST, &message)
        }
        Ok(Marked::Full) => error(StatusCode::BAD_REQUEST, &full()),
        Err(reason) => failed(&reason),
    }
}

/// Returns the answer to a client whose bookmark could not be looked through.
fn not_masked(reason: &Undone) -> Response {
    undone(
        reason,
        "the text of a bookmark was not looked through",
        "The bookmark is not kept, because it is not known what of it to hide; see the log of \
         the service.",
    )
}

fn no_bookmark() -> Response {
    error(
        StatusCode::NOT_FOUND,
        "The conversation has no bookmark with this id.",
    )
}

pub(crate) fn full() -> String {
    format!("A conversation may have at most {MOST_BOOKMARKS} bookmarks; delete some first.")
}

/// Reads what a client says about a bookmark, or returns what is wrong with it. `longest`
/// bounds texts, in bytes.
pub(crate) fn mark(sent: &Value, longest: usize) -> Result<Mark, String> {
    let Some(members) = sent.as_object() else {
        return Err(
            "A bookmark must be a JSON object with `label`, and `beginTimeOffset` and \
                    `duration` or `messageRefs`."
                .to_owned(),
        );
    };
    let text = |name: &str, least: usize, longest: usize| match members.get(name) {
        None | Some(Value::Null) if least == 0 => Ok(String::new()),
        Some(Value::String(text)) if (least..=longest).contains(&text.len()) => Ok(text.clone()),
        _ => Err(format!(
            "`{name}` must be a text of {least} to {longest} bytes."
        )),
    };
    Ok(Mark {
        label: text("label", 1, longest)?,
        description: text("description", 0, LONGEST_DESCRIPTION)?,
        user: user(members.get("user"), longest)?,
        extent: extent(members)?,
    })
}

/// Returns the bookmarks without what the service hides in their texts, and in the names of
/// those who made them.
///
/// # Errors
///
/// The workers have too much to do.
pub(crate) async fn masked(
    workers: &Workers,
    policy: &RedactionPolicy,
    marks: Vec<Mark>,
) -> Result<Vec<Mark>, Undone> {
    if policy.redaction.is_empty() {
        return Ok(marks);
    }
    let policy = policy.clone();
    let hide = move || {
        let hidden = marks.into_iter().map(|mark| Mark {
            label: policy.text(&mark.label),
            description: policy.text(&mark.description),
            user: of_user(mark.user, &policy),
            extent: mark.extent,
        });
        hidden.collect()
    };
    workers.run(hide).await
}

/// Returns who made a bookmark, without what is hidden of the name.
fn of_user(mut user: Map<String, Value>, policy: &RedactionPolicy) -> Map<String, Value> {
    if let Some(Value::String(name)) = user.get_mut("name") {
        *name = policy.name(name);
    }
    user
}

fn user(sent: Option<&Value>, longest: usize) -> Result<Map<String, Value>, String> {
    let none = Map::new();
    let members = match sent {
        None | Some(Value::Null) => &none,
        Some(Value::Object(members)) => members,
        Some(_) => {
            return Err("`user` must be an object with `name`, `userId` and `email`.".into());
        }
    };
    let mut user = Map::new();
    for name in ["name", "userId", "email"] {
        match members.get(name) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if text.len() <= longest => {
                user.insert(name.to_owned(), text.as_str().into());
            }
            Some(_) => {
                return Err(format!(
                    "`user.{name}` must be a text of at most {longest} bytes."
                ));
            }
        }
    }
    Ok(user)
}

fn extent(members: &Map<String, Value>) -> Result<Extent, String> {
    let given = |name| members.get(name).filter(|value| !value.is_null());
    let refs = given("messageRefs").filter(|refs| refs.as_array().is_none_or(|r| !r.is_empty()));
    let (begin, duration) = (given("beginTimeOffset"), given("duration"));
    let seconds = |name: &str, value: Option<&Value>, least: f64| {
        let seconds = value.and_then(Value::as_f64);
        let seconds = seconds.filter(|seconds| (least..=LONGEST).contains(seconds));
        let nanos = seconds.map(|seconds| (seconds * SECOND).round() as i64);
        nanos.ok_or_else(|| {
            format!("`{name}` must be a number of seconds from {least} to {LONGEST}.")
        })
    };
    match (refs, begin, duration) {
        (Some(_), None, None) | (None, None, None) => {}
        (Some(_), ..) => {
            return Err(
                "A bookmark has a time or messages; leave out `beginTimeOffset` and \
                        `duration`, or `messageRefs`."
                    .to_owned(),
            );
        }
        (None, begin, duration) => {
            return Ok(Extent::Time {
                begin: seconds("beginTimeOffset", begin, 0.0)?,
                duration: seconds("duration", duration, 0.001)?,
            });
        }
    }
    let wrong = || {
        format!(
            "A bookmark needs `beginTimeOffset` and `duration` in seconds, or `messageRefs`: 1 to \
             {MOST_MARKED} objects with the `id` of a message."
        )
    };
    let refs = refs.and_then(Value::as_array).ok_or_else(wrong)?;
    let ids = refs.iter().map(|one| {
        let id = one.as_str().or_else(|| one.get("id")?.as_str());
        id.and_then(digits)
    });
    let ids: Option<Vec<i64>> = ids.collect();
    let ids = ids.filter(|ids| ids.len() <= MOST_MARKED);
    ids.map(Extent::Messages).ok_or_else(wrong)
}

/// The members of a bookmark in a request.
const MEMBERS: &[&str] = &[
    "beginTimeOffset",
    "description",
    "duration",
    "id",
    "label",
    "messageRefs",
    "user",
];

/// Creates the bookmark or the bookmarks of a body. `/bookmarks` and `/bookmarks/bulk` take
/// both: one as an object, several as an array or as its member `bookmarks`.
async fn create(State(shared): State<Shared>, Own(whose): Own, Sent(body): Sent) -> Response {
    let mut sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    let several = sent.get_mut("bookmarks").map(Value::take);
    let around = match &several {
        Some(_) => Unhonoured::list(std::slice::from_ref(&sent), &["bookmarks"]),
        None => Unhonoured::default(),
    };
    let (sent, single) = match several.unwrap_or(sent) {
        Value::Array(several) => (several, false),
        one => (vec![one], true),
    };
    if sent.is_empty() || sent.len() > MOST_AT_ONCE {
        let message = format!("1 to {MOST_AT_ONCE} bookmarks are created at once.");
        return error(StatusCode::BAD_REQUEST, &message);
    }
    let longest = shared.config.limits.text;
    let mut marks = Vec::with_capacity(sent.len());
    for (index, one) in sent.iter().enumerate() {
        match mark(one, longest) {
            Ok(mark) => marks.push(mark),
            Err(why) if single => return error(StatusCode::BAD_REQUEST, &why),
            Err(why) => {
                return error(
                    StatusCode::BAD_REQUEST,
                    &format!("bookmarks[{index}]: {why}"),
                );
            }
        }
    }
    let marks = match masked(&shared.hub.workers, &shared.config.redaction, marks).await {
        Ok(marks) => marks,
        Err(reason) => return not_masked(&reason),
    };
    let made = shared.notes.create_bookmarks(whose, marks).await;
    let answer = answer(made, |made| match (single, made.as_slice()) {
        (true, [one]) => Json(one).into_response(),
        _ => Json(json!({ "bookmarks": made })).into_response(),
    });
    Unhonoured::list(&sent, MEMBERS).and(around).tell(answer)
}

async fn read(State(shared): State<Shared>, Readable(whose): Readable, Last(id): Last) -> Response {
    let found = shared.notes.bookmark(whose, id).await;
    answer(found, |one| Json(one).into_response())
}

async fn replace(
    State(shared): State<Shared>,
    Own(whose): Own,
    Last(id): Last,
    Sent(body): Sent,
) -> Response {
    let sent = serde_json::from_slice(&body).unwrap_or_default();
    let mark = match mark(&sent, shared.config.limits.text) {
        Ok(mark) => mark,
        Err(why) => return error(StatusCode::BAD_REQUEST, &why),
    };
    let hidden = masked(&shared.hub.workers, &shared.config.redaction, vec![mark]).await;
    let mark = match hidden.map(|mut marks| marks.pop()) {
        Ok(Some(mark)) => mark,
        Ok(None) => return no_bookmark(),
        Err(reason) => return not_masked(&reason),
    };
    let replaced = shared.notes.replace_bookmark(whose, id, mark);
    let answer = answer(replaced.await, |one| Json(one).into_response());
    Unhonoured::list(&[sent], MEMBERS).tell(answer)
}

async fn delete(State(shared): State<Shared>, Own(whose): Own, Last(id): Last) -> Response {
    let deleted = shared.notes.delete_bookmark(whose, id);
    answer(deleted.await, |_| StatusCode::NO_CONTENT.into_response())
}

async fn summary(
    State(shared): State<Shared>,
    Readable(whose): Readable,
    Last(id): Last,
) -> Response {
    let passage = match shared.notes.passage(whose, id).await {
        Ok(Marked::Done(passage)) => passage,
        other => return answer(other, |_| no_bookmark()),
    };
    match summarized(&shared, passage).await {
        Ok(summary) => Json(json!({ "summary": summary })).into_response(),
        Err(failure) => failure,
    }
}

/// Answers with the summaries of all bookmarks.
async fn summaries(State(shared): State<Shared>, Readable(whose): Readable) -> Response {
    let ids = match shared.notes.bookmark_ids(whose.clone()).await {
        Ok(Some(ids)) => ids,
        other => return answered(other, |_| unknown()),
    };
    let mut all = Vec::with_capacity(ids.len());
    for id in ids {
        match shared.notes.passage(whose.clone(), id).await {
            Ok(Marked::Done(passage)) => match summarized(&shared, passage).await {
                Ok(summary) => all.push(json!({
                    "bookmarkId": id.to_string(),
                    "summary": summary,
                })),
                Err(failure) => return failure,
            },
            // It was deleted meanwhile.
            Ok(_) => {}
            Err(reason) => return failed(&reason),
        }
    }
    Json(json!({ "bookmarksSummary": all })).into_response()
}

/// Returns the summary of a bookmark, or the answer to a client that asks while too many do.
async fn summarized(shared: &Shared, passage: Passage) -> Result<Vec<Value>, Response> {
    // Comparing the sentences takes a while, and must delay no other client.
    let made = shared.hub.workers.run(move || summary_of(&passage)).await;
    made.map_err(|undone| not_summarized(&undone))
}

/// Returns the summary of a passage: a list with one text, or an empty one if nothing was
/// said in it.
fn summary_of(passage: &Passage) -> Vec<Value> {
    let chosen = chosen(&passage.sentences);
    let (Some(first), Some(last)) = (passage.sentences.first(), passage.sentences.last()) else {
        return Vec::new();
    };
    let texts: Vec<&str> = chosen.iter().map(|(text, _)| text.as_str()).collect();
    let refs = chosen.iter().map(|(text, one)| {
        json!({
            "id": one.id.to_string(),
            "text": text,
            "startTime": format_rfc3339(one.start),
            "endTime": format_rfc3339(one.stop),
        })
    });
    vec![json!({
        "id": new_id().to_string(),
        "text": texts.join(" "),
        "messageRefs": refs.collect::<Vec<_>>(),
        "startTime": format_rfc3339(first.start),
        "endTime": format_rfc3339(last.stop),
        "bookmarkReference": {"id": passage.id.to_string()},
    })]
}

/// Returns the sentences that say most, in their order, each with its message. A passage of
/// short answers, none of which says enough, is quoted from its beginning.
fn chosen(sentences: &[Sentence]) -> Vec<(String, &Sentence)> {
    let mut vocabulary = Vocabulary::default();
    sentences.iter().for_each(|one| vocabulary.count(&one.text));
    let mut candidates = Candidates::new(vocabulary);
    for one in sentences {
        candidates.take(one.id, &one.text);
    }
    let of = |line: Line| {
        let message = sentences.iter().find(|one| one.id == line.message)?;
        Some((line.text, message))
    };
    let lines: Vec<_> = candidates.lines().into_iter().filter_map(of).collect();
    match lines.is_empty() {
        false => lines,
        true => {
            let first = sentences.iter().take(MOST_SHORT);
            first.map(|one| (one.text.clone(), one)).collect()
        }
    }
}

#[cfg(test)]
mod tests;
