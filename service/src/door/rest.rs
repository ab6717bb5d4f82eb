// SPDX-License-Identifier: MPL-2.0

//! The Conversation API: messages and findings of conversations, over or not.
//!
//! All answers come from the store ([`Records`]), which only finds conversations of the
//! account that asks. A conversation of another account is unknown (404). A list may have
//! any length, because it is read and sent in pieces. So no client makes the service hold
//! a whole list.

use crate::conversation::entry::Body as Noted;
use crate::door::asked::{Own, Readable, Sent};
use crate::door::handshake::{Account, beyond_share};
use crate::door::http::{Shared, error, later, unavailable};
use crate::door::token::{Access, Granted, Scope};
use crate::door::unhonoured::Unhonoured;
use crate::door::{events, transcript};
use crate::store::notes::Notes;
use crate::store::{
    About, Answer, Change, Deleted, Filter, Insights, List, Piece, Records, Sort, StoreError,
    Wanted, Whose,
};
use crate::workers::Undone;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post, put};
use axum::{Json, Router};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};
use symbl_protocol::timestamp::parse_rfc3339;
use tokio::time::sleep;

/// Most conversations in one answer, as the reference has it.
const LONGEST_LIST: u32 = 65_536;

/// Most fields by which a list is sorted.
const MOST_SORTED: usize = 4;

/// How long a deletion waits until its words have left the files, and how often it checks.
const LONGEST_PURGE: Duration = Duration::from_secs(10);
const PURGE_AGAIN: Duration = Duration::from_millis(100);

const JSON: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];

/// Returns the paths of the API.
pub(crate) fn router() -> Router<Shared> {
    let base = "/v1/conversations/{id}";
    let at = |path: &str| format!("{base}{path}");
    Router::new()
        .route("/v1/conversations", get(conversations))
        .route(base, part(Records::find).delete(delete))
        .route(&at("/messages"), get(messages))
        .route(&at("/members"), part(Records::members))
        .route(&at("/members/{member}"), put(rename))
        .route(&at("/share"), post(share))
        .route(&at("/events"), get(events::events))
        .route(
            &at("/transcript"),
            get(transcript::download).post(transcript::create),
        )
        .route(&at("/insights"), insights(Insights::All))
        .route(&at("/action-items"), insights(Insights::ActionItems))
        .route(&at("/questions"), insights(Insights::Questions))
        .route(&at("/follow-ups"), insights(Insights::FollowUps))
        .route(&at("/topics"), get(topics))
        .route(
            &at("/comprehensive/action-items"),
            list_of(Records::comprehensive),
        )
        .route(&at("/abstract-topics"), part(Records::abstract_topics))
        .route(&at("/trackers-detected"), list_of(Records::trackers))
        .route(&at("/trackers"), list_of(Records::trackers))
        .route(&at("/entities"), list_of(Records::entities))
}

/// A store of any kind. The alias means `dyn Records + 'static`, so that the trait's
/// methods can be passed below as they are.
type Store = dyn Records;

pub(crate) fn busy() -> Response {
    let message = "Too many requests read at the same time; ask again later.";
    unavailable(message)
}

/// Returns the answer while the database of a cluster is away, as during a failover.
pub(crate) fn away() -> Response {
    let message = "The database is away; ask again in a few seconds.";
    later(StatusCode::SERVICE_UNAVAILABLE, message, "2")
}

/// Returns the answer to a request whose work was not done: too many wait for it, or it has
/// panicked, of which `event` is for the log and `message` for the client.
pub(crate) fn undone(undone: &Undone, event: &str, message: &str) -> Response {
    match undone {
        Undone::Busy => busy(),
        Undone::Panicked => {
            tracing::error!(reason = %undone, "{event}");
            error(StatusCode::INTERNAL_SERVER_ERROR, message)
        }
    }
}

/// Returns the answer to a request for which the store has failed.
pub(crate) fn failed(reason: &StoreError) -> Response {
    if let StoreError::Busy(_) = reason {
        return busy();
    }
    tracing::error!(%reason, "the database does not answer");
    if let StoreError::Cluster(_) = reason {
        return away();
    }
    let message = "The database does not answer; see the log of the service.";
    error(StatusCode::INTERNAL_SERVER_ERROR, message)
}

/// Returns the conversation that a request asks for, or the answer if it may not have it.
/// A share token gets the same answer for every other conversation, known or not.
#[allow(clippy::result_large_err)] // The error is the answer, made once per request.
pub(crate) fn whose(
    shared: &Shared,
    access: Access,
    conversation: Option<i64>,
) -> Result<Whose, Response> {
    if let Scope::Conversation(own) = access.scope
        && conversation != Some(own)
    {
        return Err(beyond_share());
    }
    Ok(Whose {
        account: access.account,
        conversation: conversation.ok_or_else(unknown)?,
        delay: shared.config.history_delay,
    })
}

/// Answers with what the store has found, or says why it has found nothing.
pub(crate) fn answered<T>(
    found: Result<Option<T>, StoreError>,
    answer: impl FnOnce(T) -> Response,
) -> Response {
    match found {
        Ok(Some(found)) => answer(found),
        Ok(None) => unknown(),
        Err(reason) => failed(&reason),
    }
}

/// Answers with a list. A piece is read when the client has taken the one before, and none
/// is read after the client has hung up.
pub(crate) fn listed<S>(store: Arc<S>, first: Piece) -> Response
where
    S: ?Sized + Send + Sync + 'static,
{
    let Piece { text, rest } = first;
    if rest.is_none() {
        return (JSON, text).into_response();
    }
    let first = stream::once(ready(Ok(text)));
    let rest = stream::try_unfold(rest, move |rest| {
        // A list does not keep its store open, so this closure does.
        let open = Arc::clone(&store);
        async move {
            let Some(list) = rest else {
                return Ok::<_, StoreError>(None);
            };
            let Piece { text, rest } = list.next().await?;
            drop(open);
            Ok(Some((text, rest)))
        }
    });
    // An error ends the connection within the list, so that its client sees that the list
    // is not whole.
    let rest =
        rest.inspect_err(|reason| tracing::error!(%reason, "a list was not read to its end"));
    (JSON, Body::from_stream(first.chain(rest))).into_response()
}

/// Returns the number that decimal digits stand for.
pub(crate) fn digits(text: &str) -> Option<i64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

pub(crate) fn unknown() -> Response {
    error(
        StatusCode::NOT_FOUND,
        "No conversation with this id is known.",
    )
}

/// Returns the method of a path for a part of a conversation that is never long.
fn part(ask: fn(&Store, Whose) -> Answer<'_, Option<Value>>) -> MethodRouter<Shared> {
    get(
        move |State(shared): State<Shared>, Readable(whose): Readable| async move {
            let found = ask(shared.records.as_ref(), whose).await;
            answered(found, |value| Json(value).into_response())
        },
    )
}

/// Returns the method of a path for a list of a conversation.
fn list_of(
    ask: impl Fn(&Store, Whose) -> Answer<'_, Option<Piece>> + Copy + Send + Sync + 'static,
) -> MethodRouter<Shared> {
    get(
        move |State(shared): State<Shared>, Readable(whose): Readable| async move {
            let found = ask(shared.records.as_ref(), whose).await;
            answered(found, |first| listed(shared.records, first))
        },
    )
}

/// Returns the method of a path for a list of what clients have added to a conversation.
pub(crate) fn list_of_notes(
    ask: impl Fn(&dyn Notes, Whose) -> Answer<'_, Option<Piece>> + Copy + Send + Sync + 'static,
) -> MethodRouter<Shared> {
    get(
        move |State(shared): State<Shared>, Readable(whose): Readable| async move {
            let found = ask(shared.notes.as_ref(), whose).await;
            answered(found, |first| listed(shared.notes, first))
        },
    )
}

fn insights(which: Insights) -> MethodRouter<Shared> {
    list_of(move |records, whose| records.insights(whose, which))
}

/// The query, decoded.
pub(crate) type Asked = Query<Vec<(String, String)>>;

async fn messages(
    State(shared): State<Shared>,
    Readable(whose): Readable,
    Query(asked): Asked,
) -> Response {
    let wanted = match wanted_messages(&asked) {
        Ok(wanted) => wanted,
        Err(message) => return error(StatusCode::BAD_REQUEST, &message),
    };
    let found = shared.records.messages(whose, wanted).await;
    answered(found, |first| listed(shared.records, first))
}

async fn topics(
    State(shared): State<Shared>,
    Readable(whose): Readable,
    Query(asked): Asked,
) -> Response {
    let is_set = |name: &str| -> Result<bool, String> {
        let given = asked.iter().find(|(known, _)| known == name);
        given.map_or(Ok(false), |(_, value)| flag(name, value))
    };
    let (sentiment, parents) = match (is_set("sentiment"), is_set("parentRefs")) {
        (Ok(sentiment), Ok(parents)) => (sentiment, parents),
        (Err(message), _) | (_, Err(message)) => return error(StatusCode::BAD_REQUEST, &message),
    };
    let about = About { sentiment, parents };
    let found = shared.records.topics(whose, about).await;
    answered(found, |first| listed(shared.records, first))
}

/// Returns the message about a parameter of the query with a wrong value.
pub(crate) fn must(name: &str, what: &str) -> String {
    format!("`{name}` must be {what}.")
}

/// Reads `true` or `false` from a parameter of the query. An empty value asks for nothing.
fn flag(name: &str, value: &str) -> Result<bool, String> {
    match value {
        "true" => Ok(true),
        "false" | "" => Ok(false),
        _ => Err(must(name, "`true` or `false`")),
    }
}

/// Reads a time from a parameter of the query, in nanoseconds since the Unix epoch.
fn time(name: &str, value: &str) -> Result<i64, String> {
    // A `+` that was not escaped is a space.
    parse_rfc3339(&value.replace(' ', "+")).ok_or_else(|| must(name, "a time in RFC 3339"))
}

/// Reads from the query which messages are wanted. The original service knows `verbose`
/// only. The other parameters have the names of those of the list of conversations.
fn wanted_messages(asked: &[(String, String)]) -> Result<Wanted, String> {
    let mut wanted = Wanted::default();
    for (name, value) in asked {
        let count = || {
            let count = value.parse().ok().filter(|count| *count >= 0);
            count.ok_or_else(|| must(name, "a number from 0"))
        };
        match name.as_str() {
            "verbose" => wanted.verbose = flag(name, value)?,
            "sentiment" => wanted.sentiment = flag(name, value)?,
            "startTime" => wanted.from = time(name, value)?,
            "endTime" => wanted.to = time(name, value)?,
            "limit" => wanted.limit = count()?,
            "offset" => wanted.offset = count()?,
            _ => {}
        }
    }
    Ok(wanted)
}

/// Reads from the query which conversations are wanted, or returns what is wrong with it.
pub(crate) fn wanted(asked: &[(String, String)]) -> Result<List, String> {
    let mut wanted = List {
        limit: 20,
        offset: 0,
        descending: true,
        sort: vec![Sort::Created],
        filter: Filter::default(),
        from: i64::MIN,
        to: i64::MAX,
    };
    for (name, value) in asked {
        let must = |what| must(name, what);
        match name.as_str() {
            "limit" => {
                let limit = value.parse().ok().filter(|n| *n <= LONGEST_LIST);
                wanted.limit = limit.ok_or_else(|| must("0 to 65536"))?;
            }
            "offset" => wanted.offset = value.parse().map_err(|_| must("a number"))?,
            "order" => {
                wanted.descending = match value.to_ascii_lowercase().as_str() {
                    "desc" => true,
                    "asc" => false,
                    _ => return Err(must("`asc` or `desc`")),
                }
            }
            "sort" => {
                let fields = value.split(',').map(|field| {
                    let field = field.trim();
                    match field.strip_prefix("conversation.").unwrap_or(field) {
                        "startTime" => Some(Sort::Start),
                        "endTime" => Some(Sort::End),
                        "name" => Some(Sort::Name),
                        _ => None,
                    }
                });
                let fields: Option<Vec<Sort>> = fields.take(MOST_SORTED + 1).collect();
                let fields = fields.filter(|fields| fields.len() <= MOST_SORTED);
                wanted.sort = fields.ok_or_else(|| {
                    must("`startTime`, `endTime` or `name`, or several of them with commas")
                })?;
            }
            "filter" => {
                wanted.filter = Filter::parse(value).map_err(|error| format!("{error}."))?;
            }
            "startTime" => wanted.from = time(name, value)?,
            "endTime" => wanted.to = time(name, value)?,
            _ => {}
        }
    }
    Ok(wanted)
}

async fn conversations(
    State(shared): State<Shared>,
    Account(account): Account,
    Query(asked): Asked,
) -> Response {
    let wanted = match wanted(&asked) {
        Ok(wanted) => wanted,
        Err(message) => return error(StatusCode::BAD_REQUEST, &message),
    };
    match shared.records.list(account, wanted).await {
        Ok(first) => listed(shared.records, first),
        Err(reason) => failed(&reason),
    }
}

/// Deletes a conversation. Answers 200 once its words have left the files.
async fn delete(State(shared): State<Shared>, Own(whose): Own) -> Response {
    let conversation = whose.conversation;
    match shared.records.delete(whose).await {
        Ok(Deleted::Whole) => shared.hub.deletions.deleted(conversation),
        Ok(Deleted::Unknown) => return unknown(),
        Ok(Deleted::Runs) => {
            return error(StatusCode::CONFLICT, "The conversation is not over yet.");
        }
        Err(reason) => return failed(&reason),
    }
    let until = Instant::now() + LONGEST_PURGE;
    loop {
        match shared.records.purge().await {
            Ok(true) => {
                return Json(json!({"message": "The conversation is deleted."})).into_response();
            }
            // Another program reads the database, or it is large and a speaker is active.
            Ok(false) if Instant::now() < until => sleep(PURGE_AGAIN).await,
            Ok(false) => {
                let message = "The conversation is deleted. Traces of its words stay in unused \
                               parts of the files until nobody speaks and no other program \
                               reads the database.";
                return (StatusCode::ACCEPTED, Json(json!({"message": message}))).into_response();
            }
            Err(reason) => return failed(&reason),
        }
    }
}

/// Body of a change of a member.
#[derive(Deserialize)]
struct Member {
    name: Option<String>,
    email: Option<String>,
}

async fn rename(
    State(shared): State<Shared>,
    Own(whose): Own,
    path: Result<Path<(String, String)>, PathRejection>,
    Sent(body): Sent,
) -> Response {
    let Ok(Path((id, member))) = path else {
        return unknown();
    };
    let members: Option<Map<String, Value>> = serde_json::from_slice(&body).ok();
    let unhonoured = members
        .as_ref()
        .map(|members| Unhonoured::body(members, &["id", "name", "email"]));
    let member_of = |members| Member::deserialize(Value::Object(members)).ok();
    let (Some(Member { name, email }), Some(unhonoured)) =
        (members.and_then(member_of), unhonoured)
    else {
        let message = "The body must be a JSON object with `name`, `email` or both, as strings.";
        return error(StatusCode::BAD_REQUEST, message);
    };
    let limit = shared.config.limits.text;
    let longest = [&name, &email].map(|text| text.as_deref().map_or(0, str::len));
    if longest.iter().any(|length| *length > limit) {
        let message = format!("`name` and `email` may have at most {limit} bytes each.");
        return error(StatusCode::BAD_REQUEST, &message);
    }
    let answer = format!(
        "Member with id: {member} for conversationId: {id} updated successfully! The update \
         should be reflected in all messages and insights along with this conversation"
    );
    let name = name.map(|name| shared.config.redaction.name(&name));
    let change = Change { name, email };
    let renamed = shared.records.rename(whose.clone(), member, change);
    let entry = match renamed.await {
        Ok(Some(entry)) => entry,
        Ok(None) => {
            return error(
                StatusCode::NOT_FOUND,
                "No conversation with this id and member is known.",
            );
        }
        Err(reason) => return failed(&reason),
    };
    // The rename may wait for the hub's locks, and an async task must not wait for a lock.
    let hub = Arc::clone(&shared.hub);
    let told = shared.hub.workers.run(move || {
        let speakers = match &entry.body {
            Noted::Renamed(speaker) => std::slice::from_ref(speaker),
            _ => &[],
        };
        let entries = std::slice::from_ref(&entry);
        hub.attributed(&whose.account, whose.conversation, speakers, entries);
    });
    match told.await {
        Ok(()) => unhonoured.tell(Json(json!({ "message": answer })).into_response()),
        Err(reason) => undone(
            &reason,
            "a conversation was not told of a new name",
            "The member is renamed, but the conversation still uses the old name; see the log of \
             the service.",
        ),
    }
}

/// Body of a request for a share token.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Share {
    expires_in: Option<u64>,
}

/// Answer to a request for a share token. It is no JSON of Symbl's API.
#[derive(Serialize)]
struct Link {
    #[serde(flatten)]
    granted: Granted,
    /// The page of the conversation. It takes the token in its fragment, `#token=…`.
    path: String,
}

/// How long a share token is valid if the request does not say, and at most, in seconds.
const SHARE_LIFE: u64 = 24 * 60 * 60;
const LONGEST_SHARE_LIFE: u64 = 30 * SHARE_LIFE;

/// Returns for how long a share token is wanted, or `None` if the body asks for no such time.
fn share_life(body: &[u8]) -> Option<Duration> {
    let asked = match body {
        [] => Share::default(),
        body => {
            // An array would be read as the members of the object in their order.
            let object: Map<String, Value> = serde_json::from_slice(body).ok()?;
            Share::deserialize(Value::Object(object)).ok()?
        }
    };
    let seconds = asked.expires_in.unwrap_or(SHARE_LIFE);
    (1..=LONGEST_SHARE_LIFE)
        .contains(&seconds)
        .then(|| Duration::from_secs(seconds))
}

/// Makes a token that lets its bearer read this conversation and nothing else.
async fn share(State(shared): State<Shared>, Own(whose): Own, Sent(body): Sent) -> Response {
    let Some(lifetime) = share_life(&body) else {
        let message = format!(
            "The body must be empty or a JSON object, and `expiresIn` a whole number of \
             seconds from 1 to {LONGEST_SHARE_LIFE}."
        );
        return error(StatusCode::BAD_REQUEST, &message);
    };
    let Whose {
        account,
        conversation,
        ..
    } = whose.clone();
    let found = shared.records.find(whose).await;
    answered(found, |_| {
        match shared.tokens.share(account, conversation, lifetime) {
            Ok(granted) => {
                let path = format!("/live/{conversation}");
                let link = Json(Link { granted, path });
                ([(CACHE_CONTROL, "no-store")], link).into_response()
            }
            Err(reason) => error(StatusCode::INTERNAL_SERVER_ERROR, &reason.to_string()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::LONGEST_WAIT;
    use axum::http::header::RETRY_AFTER;

    #[test]
    fn a_share_token_lives_as_long_as_is_asked_for_within_the_bounds() {
        let day = Some(Duration::from_secs(86_400));
        for (body, life) in [
            ("", day),
            ("{}", day),
            (r#"{"expiresIn": null, "more": 1}"#, day),
            (r#"{"expiresIn": 1}"#, Some(Duration::from_secs(1))),
            (
                r#"{"expiresIn": 2592000}"#,
                Some(Duration::from_secs(2_592_000)),
            ),
            (r#"{"expiresIn": 2592001}"#, None),
            (r#"{"expiresIn": 0}"#, None),
            (r#"{"expiresIn": -1}"#, None),
            (r#"{"expiresIn": 1.5}"#, None),
            (r#"{"expiresIn": "60"}"#, None),
            ("60", None),
            ("[]", None),
            ("[60]", None),
            ("null", None),
            ("{", None),
        ] {
            assert_eq!(share_life(body.as_bytes()), life, "{body}");
        }
    }

    #[test]
    fn who_asks_while_too_many_read_is_told_when_to_ask_again() {
        let response = failed(&StoreError::Busy(LONGEST_WAIT));
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key(RETRY_AFTER));
    }
}
