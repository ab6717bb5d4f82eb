// SPDX-License-Identifier: MPL-2.0

//! The Async API: texts and recordings become jobs, and jobs have a status.
//!
//! A recording is the body of the request. It goes to the disk as it comes, whatever its size,
//! and may take as long as it makes progress. Paths, parameters and answers are those of the
//! Async API's reference.

use crate::clock;
use crate::door::asked::{Appendable, Sent};
use crate::door::connection::Lifetime;
use crate::door::handshake::Account;
use crate::door::http::{Shared, error};
use crate::door::labels;
use crate::door::rest::{Asked, busy, failed, unknown};
use crate::door::unhonoured::Unhonoured;
use crate::ids::new_id;
use crate::jobs::request::{self, JobRequest, Kind, Options, Read, Wrong};
use crate::jobs::spool::{Incoming, SpoolError};
use crate::jobs::{fetch, text, webhook};
use crate::store::jobs::{Cancelled, Hook, Job, NewJob, Status, Target};
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Extension, Path, Query, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use futures_util::StreamExt;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};
use symbl_protocol::timestamp::format_rfc3339;
use tokio::time::timeout;
use uuid::Uuid;

/// Largest body of a text, in bytes.
const LARGEST_TEXT: usize = 8 << 20;

/// A recording has to come at least this fast, in bytes per second, once the time of a usual
/// request is over.
const SLOWEST: u64 = 1024;

/// Most webhooks in one answer.
const LONGEST_LIST: usize = 1000;

/// Returns the paths of the API.
pub(crate) fn routes() -> Router<Shared> {
    let json = Router::new()
        .route("/v1/process/text", post(of_text))
        .route("/v1/process/text/{id}", put(of_text))
        .route("/v1/process/audio/url", post(url))
        .route("/v1/process/video/url", post(url))
        .route("/v1/process/audio/url/{id}", put(url))
        .route("/v1/process/video/url/{id}", put(url))
        .layer(DefaultBodyLimit::max(LARGEST_TEXT));
    Router::new()
        .route("/v1/process/audio", post(recording))
        .route("/v1/process/video", post(recording))
        .route("/v1/process/audio/{id}", put(recording))
        .route("/v1/process/video/{id}", put(recording))
        .merge(json)
        .route("/v1/job/{id}", get(job).delete(cancel))
        .route("/v1/webhooks", get(webhooks))
        .route("/v1/webhooks/{id}/retry", post(retry))
}

/// Returns `true` for paths that take the bytes of a recording, of any type and size.
pub(crate) fn takes_recording(path: &str) -> bool {
    let mut parts = path
        .strip_prefix("/v1/process/")
        .unwrap_or_default()
        .split('/');
    let is_media = matches!(parts.next(), Some("audio" | "video"));
    is_media && parts.next() != Some("url") && parts.next().is_none()
}

/// Returns `true` for paths whose JSON may be as large as a long text.
pub(crate) fn takes_text(path: &str) -> bool {
    path.starts_with("/v1/process/text")
}

type Refusal = Box<Response>;

fn refused(status: StatusCode, message: &str) -> Refusal {
    Box::new(error(status, message))
}

impl From<Wrong> for Refusal {
    fn from(wrong: Wrong) -> Self {
        let status = match wrong {
            Wrong::Value(_) => StatusCode::BAD_REQUEST,
            Wrong::NotDone(_) => StatusCode::NOT_IMPLEMENTED,
        };
        refused(status, &wrong.to_string())
    }
}

/// A request, with its conversation if there is one.
struct Wanted {
    shared: Shared,
    account: String,
    existing: Option<i64>,
    read: Read,
}

impl Wanted {
    /// Reads the parameters and checks what they name.
    async fn read(
        shared: Shared,
        Appendable { account, whose }: Appendable,
        members: &Map<String, Value>,
        is_recording: bool,
    ) -> Result<Self, Refusal> {
        let mut existing = None;
        if let Some(whose) = whose {
            let conversation = whose.conversation;
            let found = shared.records.find(whose).await;
            let found = found.map_err(|reason| Box::new(failed(&reason)))?;
            found.ok_or_else(|| Box::new(unknown()))?;
            existing = Some(conversation);
        }
        let read = request::read(members, is_recording)?;
        if let Some(metadata) = &read.options.metadata {
            let checked = labels::check(metadata);
            checked.map_err(|why| refused(StatusCode::BAD_REQUEST, &why))?;
        }
        let language = read.options.language.as_deref().unwrap_or_default();
        let is_tag = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !language.bytes().all(is_tag) {
            let message = "`languageCode` must be a language tag (BCP 47), such as en-US.";
            return Err(refused(StatusCode::BAD_REQUEST, message));
        }
        if let Err(why) = shared.hearing.engines.choose(language) {
            let message = format!("`languageCode`: {language:?} is not understood: {why}.");
            return Err(refused(StatusCode::BAD_REQUEST, &message));
        }
        if let Some(url) = &read.options.webhook
            && let Err(why) = webhook::check(&shared.jobs.settings, url)
        {
            let message = format!("`webhookUrl`: {why}.");
            return Err(refused(StatusCode::BAD_REQUEST, &message));
        }
        Ok(Self {
            shared,
            account,
            existing,
            read,
        })
    }

    /// Keeps the job, and answers with its id.
    async fn keep(self, job: String, kind: Kind) -> Response {
        let Self {
            shared,
            account,
            existing,
            read,
        } = self;
        let Read { options, warnings } = read;
        let options = options.masked(&shared.config.redaction);
        let conversation = existing.unwrap_or_else(new_id);
        let target = match existing {
            Some(conversation) => Target::Existing(conversation),
            None => new_target(conversation, &options),
        };
        let kind = match kind {
            Kind::Text(messages) => {
                let policy = shared.config.redaction.clone();
                let masked = move || text::masked(messages, &policy);
                match shared.hub.workers.run(masked).await {
                    Ok(messages) => Kind::Text(messages),
                    Err(reason) => {
                        tracing::warn!(%reason, "a text was not taken");
                        return busy();
                    }
                }
            }
            other => other,
        };
        let request = JobRequest {
            kind,
            options,
            warning: None,
        };
        let request = match serde_json::to_string(&request) {
            Ok(request) => request,
            Err(reason) => return error(StatusCode::BAD_REQUEST, &reason.to_string()),
        };
        let new = NewJob {
            id: job.clone(),
            account,
            target,
            request,
            created: clock::now(),
        };
        let most = shared.jobs.settings.waiting;
        let kept = shared.jobs.store.create(new, most).await;
        if !matches!(kept, Ok(Some(true))) {
            shared.jobs.spool.remove(&job).await;
        }
        match kept {
            Ok(Some(true)) => {}
            Ok(Some(false)) => return unknown(),
            Ok(None) => return too_many(most),
            Err(reason) => return failed(&reason),
        }
        shared.jobs.wake();
        let mut answer = json!({"conversationId": conversation.to_string(), "jobId": job});
        let unhonoured = Unhonoured::explained(&warnings);
        if !warnings.is_empty() {
            answer["warnings"] = warnings.into();
        }
        unhonoured.tell((StatusCode::CREATED, Json(answer)).into_response())
    }
}

fn new_target(conversation: i64, options: &Options) -> Target {
    let metadata = options.metadata.clone();
    Target::New {
        conversation,
        name: options.name.clone(),
        metadata: metadata.map(|metadata| Value::Object(metadata).to_string()),
    }
}

fn too_many(most: usize) -> Response {
    let message = format!(
        "{most} jobs of this account are not finished yet (--max-waiting-jobs). Wait until one is."
    );
    let mut response = error(StatusCode::TOO_MANY_REQUESTS, &message);
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from_static("60"));
    response
}

fn new_job() -> String {
    Uuid::new_v4().to_string()
}

/// Reads a JSON object. Parameters in the query count too, as the reference has it for some.
fn object(body: &[u8], query: &[(String, String)]) -> Result<Map<String, Value>, Refusal> {
    let bad = |why: String| refused(StatusCode::BAD_REQUEST, &why);
    let value: Value = serde_json::from_slice(body)
        .map_err(|reason| bad(format!("The body is not JSON: {reason}.")))?;
    let Value::Object(mut members) = value else {
        return Err(bad("The body must be a JSON object.".to_owned()));
    };
    for (name, value) in request::of_query(query) {
        members.entry(name).or_insert(value);
    }
    Ok(members)
}

async fn of_text(
    State(shared): State<Shared>,
    target: Appendable,
    Query(query): Asked,
    Sent(body): Sent,
) -> Response {
    let kept = async {
        let members = object(&body, &query)?;
        let mut wanted = Wanted::read(shared, target, &members, false).await?;
        let messages = request::messages(&members)?;
        wanted.read.warnings.extend(request::unknown(&members));
        Ok(wanted.keep(new_job(), Kind::Text(messages)).await)
    };
    kept.await.unwrap_or_else(|refusal: Refusal| *refusal)
}

async fn url(
    State(shared): State<Shared>,
    target: Appendable,
    Query(query): Asked,
    Sent(body): Sent,
) -> Response {
    if shared.jobs.settings.fetch_hosts.is_empty() {
        return error(
            StatusCode::NOT_IMPLEMENTED,
            "This service fetches no recordings. Send the recording itself to /v1/process/audio, \
             or start the service with --fetch-host HOST for each host that it may fetch from.",
        );
    }
    let kept = async {
        let members = object(&body, &query)?;
        let wanted = Wanted::read(shared, target, &members, true).await?;
        let url = members.get("url").and_then(Value::as_str);
        let missing = "`url` must be the address of a recording.";
        let url = url.ok_or_else(|| refused(StatusCode::BAD_REQUEST, missing))?;
        let checked = fetch::check(&wanted.shared.jobs, url);
        checked.map_err(|why| refused(StatusCode::FORBIDDEN, &format!("`url`: {why}.")))?;
        let kind = Kind::Url(url.to_owned());
        Ok(wanted.keep(new_job(), kind).await)
    };
    kept.await.unwrap_or_else(|refusal: Refusal| *refusal)
}

/// What is known of a recording's body before it is read.
struct Upload {
    headers: HeaderMap,
    lifetime: Option<Lifetime>,
    body: Body,
}

type Alive = Option<Extension<Lifetime>>;

async fn recording(
    State(shared): State<Shared>,
    target: Appendable,
    Query(query): Asked,
    lifetime: Alive,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let lifetime = lifetime.map(|Extension(lifetime)| lifetime);
    let upload = Upload {
        headers,
        lifetime,
        body,
    };
    let kept = async {
        let limit = shared.jobs.settings.upload;
        check(&upload.headers, limit)?;
        let members = request::of_query(&query);
        let wanted = Wanted::read(shared, target, &members, true).await?;
        let job = new_job();
        let patience = wanted.shared.config.limits.request;
        let incoming = wanted.shared.jobs.spool.begin(&job, limit).await;
        let incoming = incoming.map_err(|why| spooled(&why))?;
        receive(incoming, upload, patience).await?;
        Ok(wanted.keep(job, Kind::Upload).await)
    };
    kept.await.unwrap_or_else(|refusal: Refusal| *refusal)
}

/// Refuses what the head of a request shows to be no recording.
fn check(headers: &HeaderMap, limit: u64) -> Result<(), Refusal> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let kind = text(CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    if kind.starts_with("multipart/") {
        return Err(refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Send the bytes of the recording as the body, without a form (curl: --data-binary \
             @FILE or -T FILE), and the parameters in the query.",
        ));
    }
    let length = text(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    match length {
        Some(0) => Err(refused(StatusCode::BAD_REQUEST, "The recording is empty.")),
        Some(length) if length > limit => Err(spooled(&SpoolError::TooLarge(limit))),
        _ => Ok(()),
    }
}

/// Takes a body, piece by piece. A client may pause for `patience`.
async fn receive(
    mut incoming: Incoming,
    upload: Upload,
    patience: Duration,
) -> Result<(), Refusal> {
    let mut pieces = upload.body.into_data_stream();
    let (begun, mut bytes) = (Instant::now(), 0_u64);
    let late = |what: &str| refused(StatusCode::REQUEST_TIMEOUT, what);
    loop {
        if let Some(lifetime) = &upload.lifetime {
            lifetime.extend();
        }
        let next = timeout(patience, pieces.next()).await;
        let next = next.map_err(|_| late("The recording does not go on. Send it again."))?;
        let piece = match next {
            None => break,
            Some(Ok(piece)) => piece,
            Some(Err(reason)) => {
                let message = format!("The recording was cut short: {reason}.");
                return Err(refused(StatusCode::BAD_REQUEST, &message));
            }
        };
        bytes += piece.len() as u64;
        incoming.write(&piece).await.map_err(|why| spooled(&why))?;
        if begun.elapsed() > patience + Duration::from_secs(bytes / SLOWEST) {
            return Err(late(
                "The recording comes too slowly. Send it again, faster.",
            ));
        }
    }
    if bytes == 0 {
        return Err(refused(StatusCode::BAD_REQUEST, "The recording is empty."));
    }
    incoming
        .finish()
        .await
        .map(drop)
        .map_err(|why| spooled(&why))
}

fn spooled(why: &SpoolError) -> Refusal {
    let status = match why {
        SpoolError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        SpoolError::Full => StatusCode::INSUFFICIENT_STORAGE,
        SpoolError::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
        SpoolError::Disk(reason) => {
            tracing::error!(%reason, "a recording cannot be stored");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    refused(status, &format!("The recording was not taken: {why}."))
}

async fn job(State(shared): State<Shared>, account: Account, path: Path<String>) -> Response {
    let found = shared.jobs.store.job(account.0, path.0).await;
    match found {
        Ok(Some((job, hooks))) => {
            let now = shared.jobs.progress(&job.id);
            Json(shown(&job, now, &hooks)).into_response()
        }
        Ok(None) => error(StatusCode::NOT_FOUND, "No job with this id is known."),
        Err(reason) => failed(&reason),
    }
}

/// Ends a job that waits or runs, and removes what it has made.
async fn cancel(State(shared): State<Shared>, account: Account, path: Path<String>) -> Response {
    let cancelled = shared.jobs.store.cancel(account.0, path.0, clock::now());
    match cancelled.await {
        Ok(Cancelled::Done) => {
            shared.jobs.wake();
            let message = "The job is cancelled. What it has made is being removed.";
            (StatusCode::ACCEPTED, Json(json!({ "message": message }))).into_response()
        }
        Ok(Cancelled::Ended(status)) => {
            let message = format!(
                "The job has ended already ({}). DELETE /v1/conversations/{{id}} deletes its \
                 conversation.",
                status.as_str()
            );
            error(StatusCode::CONFLICT, &message)
        }
        Ok(Cancelled::Unknown) => error(StatusCode::NOT_FOUND, "No job with this id is known."),
        Err(reason) => failed(&reason),
    }
}

/// Returns a job as its client sees it: `id` and `status` as the reference has them, and more.
fn shown(job: &Job, now: Option<i64>, hooks: &[Hook]) -> Value {
    // The public samples take every status but `in_progress` for the end of a job.
    let status = match job.status {
        Status::Scheduled => Status::InProgress,
        Status::Cancelled => Status::Failed,
        status => status,
    };
    let mut shown = json!({
        "id": job.id,
        "status": status.as_str(),
        "conversationId": job.conversation.to_string(),
        "createdAt": format_rfc3339(job.created),
        "updatedAt": format_rfc3339(job.updated),
    });
    if job.status != Status::Scheduled {
        let done = now.unwrap_or(0).max(job.progress);
        let request = serde_json::from_str::<JobRequest>(&job.request).ok();
        if let Some(warning) = request
            .as_ref()
            .and_then(|request| request.warning.as_ref())
        {
            shown["x_warning"] = warning.as_str().into();
        }
        shown["progress"] = match request.map(|request| request.kind) {
            Some(Kind::Text(messages)) => json!({"messages": done, "of": messages.len()}),
            Some(Kind::Said(count)) => json!({"messages": done, "of": count}),
            _ => json!({"audioSeconds": done as f64 / 1e9}),
        };
    }
    if job.status == Status::Cancelled {
        shown["message"] = "it was cancelled; what it has made is being removed".into();
    }
    if let Some(why) = &job.result {
        shown["message"] = why.as_str().into();
    }
    if !hooks.is_empty() {
        shown["webhooks"] = hooks.iter().map(hook).collect();
    }
    shown
}

fn hook(hook: &Hook) -> Value {
    let state = match (hook.due, &hook.error) {
        (Some(_), _) => "pending",
        (None, None) => "delivered",
        (None, Some(_)) => "failed",
    };
    let mut shown = json!({
        "id": hook.id,
        "jobId": hook.job,
        "url": hook.url,
        "state": state,
        "attempts": hook.attempts,
        "body": serde_json::from_str::<Value>(&hook.body).unwrap_or_default(),
    });
    if let Some(due) = hook.due {
        shown["nextAttempt"] = format_rfc3339(due).into();
    }
    if let Some(why) = &hook.error {
        shown["message"] = why.as_str().into();
    }
    shown
}

async fn webhooks(State(shared): State<Shared>, account: Account, Query(asked): Asked) -> Response {
    let state = asked.iter().find(|(name, _)| name == "state");
    if state.is_none_or(|(_, state)| state != "failed") {
        let message = "Ask for ?state=failed: the webhooks that were given up. Those of one job \
                       are in GET /v1/job/{id}.";
        return error(StatusCode::BAD_REQUEST, message);
    }
    match shared.jobs.store.dead(account.0, LONGEST_LIST).await {
        Ok(hooks) => {
            let hooks: Vec<Value> = hooks.iter().map(hook).collect();
            Json(json!({"webhooks": hooks})).into_response()
        }
        Err(reason) => failed(&reason),
    }
}

/// Lets a webhook that was given up be sent again, with the same key.
async fn retry(State(shared): State<Shared>, account: Account, path: Path<String>) -> Response {
    let now = clock::now();
    match shared.jobs.store.revive(account.0, path.0, now).await {
        Ok(true) => {
            shared.jobs.wake_hooks();
            (
                StatusCode::ACCEPTED,
                Json(json!({"message": "It is sent again."})),
            )
                .into_response()
        }
        Ok(false) => error(StatusCode::NOT_FOUND, "No such webhook was given up."),
        Err(reason) => failed(&reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_recordings_may_be_of_any_type_and_size() {
        for path in [
            "/v1/process/audio",
            "/v1/process/video",
            "/v1/process/audio/123",
        ] {
            assert!(takes_recording(path), "{path}");
        }
        for path in [
            "/v1/process/audio/url",
            "/v1/process/video/url/123",
            "/v1/process/audio/1/2",
            "/v1/process/text",
            "/v1/process",
            "/v1/conversations",
        ] {
            assert!(!takes_recording(path), "{path}");
        }
    }
}
