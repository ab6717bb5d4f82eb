// SPDX-License-Identifier: MPL-2.0

//! Delivers webhooks.
//!
//! A webhook is a row of the database from the moment at which the status changes until it is
//! deleted with its conversation. It is sent until the receiver answers with success, later and
//! later, and given up after [`retry::MOST_ATTEMPTS`] attempts. A receiver that gets one twice,
//! because its answer was lost or the service was killed before it noted it, sees the same
//! `Idempotency-Key`. Those of one job are sent in their order.

use crate::clock;
use crate::jobs::address::{self, Forbidden};
use crate::jobs::settings::JobSettings;
use crate::jobs::{Jobs, retry, signature, web};
use crate::store::jobs::{Attempted, Hook};
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Method, Request};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio::time::{sleep, timeout};

/// The option that allows a host.
const OPTION: &str = "--webhook-host";

/// Webhooks that are sent at the same time.
const PARALLEL: usize = 8;

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

/// Delivers webhooks until `stop` is `true`.
pub(crate) async fn run(jobs: Arc<Jobs>, mut stop: watch::Receiver<bool>) {
    let mut sending: JoinSet<()> = JoinSet::new();
    let mut names: HashMap<Id, String> = HashMap::new();
    let mut is_failing = false;
    loop {
        let busy: Vec<String> = names.values().cloned().collect();
        let wait = match jobs.store.due(clock::now(), busy).await {
            Ok((due, next)) => {
                if std::mem::take(&mut is_failing) {
                    tracing::info!("webhooks that are due are known again");
                }
                for hook in due {
                    // The rest is due when one of those has ended.
                    if sending.len() >= PARALLEL {
                        break;
                    }
                    let (id, jobs) = (hook.id.clone(), Arc::clone(&jobs));
                    let task = sending.spawn(async move { attempt(&jobs, hook).await });
                    names.insert(task.id(), id);
                }
                let until = |next: i64| next.saturating_sub(clock::now());
                let wait = next.map(|next| u64::try_from(until(next)).unwrap_or(0));
                wait.map_or(LOOK, Duration::from_nanos)
            }
            Err(error) => {
                // Once: an outage may be long.
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::error!(%error, "webhooks that are due are not known, and wait");
                }
                REST
            }
        };
        // While webhooks are sent, what is due may be one of theirs.
        let least = match sending.is_empty() {
            true => Duration::from_millis(1),
            false => Duration::from_secs(1),
        };
        tokio::select! {
            () = jobs.hooks.notified() => {}
            () = sleep(wait.clamp(least, LOOK)) => {}
            Some(ended) = sending.join_next_with_id() => {
                let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                names.remove(&id);
            }
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    sending.shutdown().await;
}

/// Sends a webhook once and notes what became of it.
async fn attempt(jobs: &Jobs, hook: Hook) {
    let sent = timeout(LONGEST, send(jobs, &hook)).await;
    let sent =
        sent.unwrap_or_else(|_| Err((format!("no answer within {} s", LONGEST.as_secs()), true)));
    let attempted = match sent {
        Ok(()) => Attempted::Delivered,
        Err((error, is_hopeful)) => {
            let failed = hook.attempts + 1;
            let delay = retry::delay(failed, jobs.settings.first_retry, fastrand::f64());
            let delay = delay.filter(|_| is_hopeful);
            let due = delay.map(|delay| clock::now().saturating_add(clock::nanos(delay)));
            tracing::warn!(
                job = hook.job,
                webhook = hook.id,
                error,
                attempt = failed,
                given_up = due.is_none(),
                "a webhook was not taken"
            );
            Attempted::Failed { error, due }
        }
    };
    // Not noted, it is sent again, with the same key.
    if let Err(error) = jobs.store.attempted(hook.id.clone(), attempted).await {
        tracing::error!(%error, webhook = hook.id, "what became of a webhook is not stored");
        sleep(REST).await;
    }
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
