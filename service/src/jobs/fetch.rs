// SPDX-License-Identifier: MPL-2.0

//! Fetches a recording into the spool.

use crate::jobs::Jobs;
use crate::jobs::address::{self, Forbidden};
use crate::jobs::spool::SpoolError;
use crate::jobs::web::{self, WebError};
use crate::jobs::writer::JobError;
use axum::body::Body;
use axum::http::Request;
use axum::http::header::{ACCEPT, CONTENT_LENGTH, LOCATION};
use std::time::Duration;

/// The option that allows a host.
const OPTION: &str = "--fetch-host";

/// How long the server may need for its next bytes.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Most redirects that are followed. Each is checked like the first address.
const MOST_REDIRECTS: usize = 5;

impl From<Forbidden> for JobError {
    fn from(error: Forbidden) -> Self {
        Self::failed(error)
    }
}

/// Checks that a recording may be fetched from there.
pub(crate) fn check(jobs: &Jobs, url: &str) -> Result<(), Forbidden> {
    address::permit(url, &jobs.settings.fetch_hosts, OPTION, false).map(drop)
}

/// Fetches the recording of a job, unless it is there already.
pub(crate) async fn fetch(jobs: &Jobs, job: &str, url: &str) -> Result<(), JobError> {
    if jobs.spool.path().join(job).exists() {
        return Ok(());
    }
    let mut url = url.to_owned();
    for _ in 0..=MOST_REDIRECTS {
        match get(jobs, job, &url).await? {
            None => return Ok(()),
            Some(next) => url = next,
        }
    }
    Err(JobError::failed("the recording has too many redirects"))
}

/// Fetches an address. Returns where it redirects to, if it does.
async fn get(jobs: &Jobs, job: &str, url: &str) -> Result<Option<String>, JobError> {
    let rules = &jobs.settings.fetch_hosts;
    let (url, permit) = address::permit(url, rules, OPTION, false)?;
    let failed =
        |error: WebError| JobError::failed(format!("the recording cannot be fetched: {error}"));
    let mut request = Request::new(Body::empty());
    let all = axum::http::HeaderValue::from_static("*/*");
    request.headers_mut().insert(ACCEPT, all);
    let sent = web::send(request, &url, &permit, jobs.spool.workers());
    let answer = sent.await.map_err(failed)?;
    let status = answer.status();
    let header = |name| {
        let value = answer.headers().get(name);
        value.and_then(|value| value.to_str().ok())
    };
    if status.is_redirection() {
        let next = header(LOCATION).and_then(|next| url.join(next).ok());
        let next = next.ok_or_else(|| JobError::failed("the recording redirects to nowhere"))?;
        return Ok(Some(next.into()));
    }
    if !status.is_success() {
        return Err(JobError::failed(format!(
            "the recording cannot be fetched: its server answers {status}"
        )));
    }
    let limit = jobs.settings.upload;
    let length = header(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(spooled(SpoolError::TooLarge(limit)));
    }
    let mut incoming = jobs.spool.begin(job, limit).await.map_err(spooled)?;
    let mut body = answer.into_body();
    while let Some(bytes) = web::piece(&mut body, LONGEST_PAUSE).await.map_err(failed)? {
        incoming.write(&bytes).await.map_err(spooled)?;
    }
    incoming.finish().await.map_err(spooled)?;
    Ok(None)
}

fn spooled(error: SpoolError) -> JobError {
    let why = format!("the recording was not taken: {error}");
    match error {
        SpoolError::Busy(_) => JobError::later(why),
        _ => JobError::failed(why),
    }
}
