// SPDX-License-Identifier: MPL-2.0

//! Delivers webhooks.
//!
//! A webhook is a row of the database from the moment at which the status changes until it is
//! deleted with its conversation. It is sent until the receiver answers with success, later and
//! later, and given up after [`retry::MOST_ATTEMPTS`] attempts. A receiver that gets one twice,
//! because its answer was lost or the service was killed before it noted it, sees the same
//! `Idempotency-Key`. Those of one job are sent in their order. [`super::lanes`] keeps receivers
//! apart, and the log says when one begins to fail and when it takes webhooks again.

use crate::clock;
use crate::jobs::address::{self, Forbidden};
use crate::jobs::lanes::{Change, Lanes};
use crate::jobs::settings::JobSettings;
use crate::jobs::spell::Spell;
use crate::jobs::{Jobs, retry, signature, web};
use crate::store::jobs::{Attempted, Hook, Receiver};
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Method, Request};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep, timeout};

/// The option that allows a host.
const OPTION: &str = "--webhook-host";

/// How long an attempt may take.
const LONGEST: Duration = Duration::from_secs(30);

/// How long the deliverer waits if nothing wakes it.
const LOOK: Duration = Duration::from_secs(60);

/// How long it waits after the database did not answer.
const REST: Duration = Duration::from_secs(5);

const SIGNATURE: HeaderName = HeaderName::from_static("x-symbl-signature");
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

const SECOND: i64 = 1_000_000_000;

/// Checks that webhooks may be sent there.
pub(crate) fn check(settings: &JobSettings, url: &str) -> Result<(), Forbidden> {
    address::permit(url, &settings.webhook_hosts, OPTION, true).map(drop)
}

/// A webhook that is being sent.
struct Sending {
    id: String,
    receiver: Receiver,
}

/// Delivers webhooks until `stop` is `true`.
pub(crate) async fn run(jobs: Arc<Jobs>, mut stop: watch::Receiver<bool>) {
    let mut sending: JoinSet<Result<(), String>> = JoinSet::new();
    let mut calls: HashMap<Id, Sending> = HashMap::new();
    let (mut lanes, mut away) = (Lanes::default(), Spell::default());
    let begun = Instant::now();
    loop {
        let busy: Vec<String> = calls.values().map(|call| call.id.clone()).collect();
        let looked = match lanes.room() {
            Some(room) => jobs.store.due(clock::now(), busy, room).await,
            None => Ok((Vec::new(), None)),
        };
        let wait = match looked {
            Ok((due, next)) => {
                if let Some(failures) = away.worked() {
                    tracing::info!(failures, "webhooks that are due are known again");
                }
                let mut is_news = false;
                for hook in due {
                    let receiver = Receiver::of(&hook.account, &hook.url);
                    // One that does not fit is due again when one of those has ended.
                    if lanes.begin(&receiver) {
                        is_news = true;
                        let (id, jobs) = (hook.id.clone(), Arc::clone(&jobs));
                        let task = sending.spawn(async move { attempt(&jobs, hook).await });
                        calls.insert(task.id(), Sending { id, receiver });
                    }
                }
                // There may be room for others, for which these took the first places.
                if is_news {
                    continue;
                }
                let until = |next: i64| next.saturating_sub(clock::now());
                let wait = next.map(|next| u64::try_from(until(next)).unwrap_or(0));
                wait.map_or(LOOK, Duration::from_nanos)
            }
            Err(error) => {
                if away.failed() {
                    tracing::error!(%error, "webhooks that are due are not known");
                }
                REST
            }
        };
        // While webhooks are sent, what is due may have to wait for one of theirs.
        let least = match sending.is_empty() {
            true => Duration::from_millis(1),
            false => Duration::from_secs(1),
        };
        tokio::select! {
            () = jobs.hooks.notified() => {}
            () = sleep(wait.clamp(least, LOOK)) => {}
            Some(ended) = sending.join_next_with_id() => {
                let (id, result) = match ended {
                    Ok((id, result)) => (id, Some(result)),
                    // It panicked; the log has the details.
                    Err(error) => (error.id(), None),
                };
                if let Some(call) = calls.remove(&id) {
                    let taken = result.as_ref().map(Result::is_ok);
                    let change = lanes.end(&call.receiver, taken, begun.elapsed());
                    let error = result.and_then(Result::err);
                    tell(&call.receiver, change, error.as_deref());
                }
            }
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    sending.shutdown().await;
}

/// Tells the log of a receiver that begins to fail or that has recovered.
fn tell(receiver: &Receiver, change: Option<Change>, error: Option<&str>) {
    let Receiver { account, host } = receiver;
    match change {
        None => {}
        Some(Change::Fails) => tracing::warn!(
            account,
            host,
            error,
            "a receiver takes no webhooks; they are sent again"
        ),
        Some(Change::Recovered { failures, lasted }) => tracing::info!(
            account,
            host,
            failures,
            seconds = lasted.as_secs(),
            "a receiver takes webhooks again"
        ),
    }
}

/// Sends a webhook once and notes what became of it. Returns why it was not taken.
async fn attempt(jobs: &Jobs, hook: Hook) -> Result<(), String> {
    let sent = timeout(LONGEST, send(jobs, &hook)).await;
    let sent =
        sent.unwrap_or_else(|_| Err((format!("no answer within {} s", LONGEST.as_secs()), true)));
    let (attempted, result) = match sent {
        Ok(()) => (Attempted::Delivered, Ok(())),
        Err((error, is_hopeful)) => {
            let failed = hook.attempts + 1;
            let delay = retry::delay(failed, jobs.settings.first_retry, fastrand::f64());
            let delay = delay.filter(|_| is_hopeful);
            let due = delay.map(|delay| clock::now().saturating_add(clock::nanos(delay)));
            tracing::debug!(
                job = hook.job,
                webhook = hook.id,
                error,
                attempt = failed,
                given_up = due.is_none(),
                "a webhook was not taken"
            );
            let result = Err(error.clone());
            (Attempted::Failed { error, due }, result)
        }
    };
    // Not noted, it is sent again, with the same key.
    let mut is_noted = Spell::default();
    while let Err(error) = jobs
        .store
        .attempted(hook.id.clone(), attempted.clone())
        .await
    {
        if is_noted.failed() {
            tracing::error!(%error, webhook = hook.id, "what became of a webhook is not stored yet");
        }
        sleep(REST).await;
    }
    result
}

/// Sends a webhook. Returns why it was not taken, and whether it may be another time.
async fn send(jobs: &Jobs, hook: &Hook) -> Result<(), (String, bool)> {
    let settings = &jobs.settings;
    let permit = address::permit(&hook.url, &settings.webhook_hosts, OPTION, true);
    let (url, permit) = permit.map_err(|error| (error.to_string(), false))?;
    let mut request = Request::new(Body::from(hook.body.clone()));
    *request.method_mut() = Method::POST;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(hook.body.len()));
    let mut text = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    text(KEY, &hook.id);
    if let Some(secret) = &settings.webhook_secret {
        let seconds = clock::now() / SECOND;
        text(SIGNATURE, &signature::sign(secret, seconds, &hook.body));
    }
    let answer = web::send(request, &url, &permit, jobs.spool.workers()).await;
    let status = answer.map_err(|error| (error.to_string(), true))?.status();
    match status.is_success() {
        true => Ok(()),
        false => {
            let is_hopeful = !retry::is_hopeless(status.as_u16());
            Err((format!("the receiver answers {status}"), is_hopeful))
        }
    }
}
