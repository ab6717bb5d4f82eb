// SPDX-License-Identifier: MPL-2.0

//! Begins jobs, the oldest first, as many at the same time as may run, and ends them. Texts do
//! not wait for recordings.
//!
//! A job is unfinished until its end is stored, so a service that starts takes up all that were
//! not: those that wait, and those that ran when it ended. Two jobs of one conversation run one
//! after the other. A service that is about to end begins no job: it would begin anew on
//! another node, or after the restart.

use crate::clock;
use crate::conversation::hub::Hub;
use crate::hearing::Hearing;
use crate::hearing::masking::RedactionPolicy;
use crate::jobs::request::{JobRequest, Kind};
use crate::jobs::spell::Spell;
use crate::jobs::writer::{Cancel, JobError, Run};
use crate::jobs::{Jobs, cut, fetch, recording, text};
use crate::limits::Limits;
use crate::store::jobs::{Job, JobEnd, NewHook, Retracted, Status, Work};
use crate::store::{Deleted, Records, StoreError, Whose};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep};

/// How long a job rests that could not go on.
const REST: Duration = Duration::from_secs(10);

/// How long the scheduler waits if nothing wakes it.
const LOOK: Duration = Duration::from_secs(60);

/// How often a node looks whether another one has cancelled a job that runs.
const LOOK_AROUND: Duration = Duration::from_millis(500);

/// How long the removal of what a cancelled job has made waits for its conversation to be over,
/// and how long between two looks.
const LONGEST_REMOVAL: Duration = Duration::from_secs(10);
const REMOVE_AGAIN: Duration = Duration::from_millis(20);

/// How often a job is begun. One that ended the service so often will do so again.
const MOST_ATTEMPTS: u64 = 20;

/// What jobs work with.
#[derive(Clone)]
pub(crate) struct Tools {
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) hearing: Hearing,
    pub(crate) limits: Limits,
    /// What is hidden in every job.
    pub(crate) redaction: RedactionPolicy,
    pub(crate) records: Arc<dyn Records>,
}

/// A job that has a task: its turn, or the removal of what it has made.
struct Task {
    job: String,
    /// `None` while what it has made is removed.
    work: Option<Work>,
    cancel: watch::Sender<bool>,
}

/// A job that could not go on.
struct Resting {
    until: Instant,
    job: String,
    /// What it has made could not be removed.
    is_removal: bool,
}

/// How a job's turn has ended.
enum Ended {
    Over,
    /// It goes on after a rest.
    Later,
}

/// Runs jobs until `stop` is `true`. Those that run then go on when the service starts again.
pub(crate) async fn run(tools: Tools, mut stop: watch::Receiver<bool>) {
    let jobs = Arc::clone(&tools.jobs);
    let mut running: JoinSet<Ended> = JoinSet::new();
    let mut tasks: HashMap<Id, Task> = HashMap::new();
    let mut resting: Vec<Resting> = Vec::new();
    let (mut swept, mut away) = (Instant::now(), Spell::default());
    loop {
        if swept.elapsed() >= LOOK {
            sweep(&jobs).await;
            swept = Instant::now();
        }
        resting.retain(|one| one.until > Instant::now());
        for job in jobs.store.cancelled().await.unwrap_or_default() {
            let known = tasks.values().find(|task| task.job == job.id);
            if let Some(task) = known {
                // It may be cancelled already.
                task.cancel.send_replace(true);
            } else if !resting
                .iter()
                .any(|one| one.is_removal && one.job == job.id)
            {
                let task = Task::of(job.id.clone(), None);
                let id = running.spawn(remove(tools.clone(), job)).id();
                tasks.insert(id, task);
            }
        }
        // A text takes seconds, so it does not wait behind recordings, which may take hours.
        for work in [Work::Recording, Work::Text] {
            let begun = |tasks: &HashMap<Id, Task>| {
                tasks
                    .values()
                    .filter(|task| task.work == Some(work))
                    .count()
            };
            let begins = || !tools.hub.sockets.is_draining();
            while begun(&tasks) < jobs.settings.parallel && begins() {
                let busy = tasks.values().map(|task| &task.job);
                let busy = busy.chain(resting.iter().map(|one| &one.job));
                let next = match jobs.store.next(work, busy.cloned().collect()).await {
                    Ok(next) => {
                        if let Some(failures) = away.worked() {
                            tracing::info!(failures, "the next job is known again");
                        }
                        next
                    }
                    Err(error) => {
                        if away.failed() {
                            tracing::error!(%error, "the next job is not known");
                        }
                        None
                    }
                };
                let Some(next) = next else { break };
                let task = Task::of(next.id.clone(), Some(work));
                let cancel = task.cancel.subscribe();
                let id = running.spawn(turn(tools.clone(), next, cancel)).id();
                tasks.insert(id, task);
            }
        }
        let wait = resting.iter().map(|one| one.until).min();
        let wait = wait.map_or(LOOK, |until| {
            until.saturating_duration_since(Instant::now())
        });
        // Another node may have cancelled one of these.
        let look = match tools.hub.log.registry() {
            Some(_) if !tasks.is_empty() => LOOK_AROUND,
            _ => LOOK,
        };
        tokio::select! {
            () = jobs.news.notified() => {}
            () = sleep(wait.min(look)) => {}
            Some(ended) = running.join_next_with_id() => {
                let (id, ended) = match ended {
                    Ok((id, ended)) => (id, ended),
                    // It panicked; the log has the details.
                    Err(error) => (error.id(), Ended::Later),
                };
                let Some(task) = tasks.remove(&id) else { continue };
                jobs.running().remove(&task.job);
                if let Ended::Later = ended {
                    resting.push(Resting {
                        until: Instant::now() + REST,
                        is_removal: task.work.is_none(),
                        job: task.job,
                    });
                }
            }
            // The wait also ends if the server was dropped.
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    running.shutdown().await;
}

impl Task {
    fn of(job: String, work: Option<Work>) -> Self {
        let (cancel, _) = watch::channel(false);
        Self { job, work, cancel }
    }
}

/// Removes what a cancelled job has made: its recording, and its conversation, or what it has
/// said in that of others.
async fn remove(tools: Tools, job: Job) -> Ended {
    let id = job.id.clone();
    match try_remove(&tools, job).await {
        Ok(ended) => {
            tracing::info!(event = "job", job = id, "cancelled");
            ended
        }
        Err(error) => {
            tracing::error!(%error, job = id, "what a cancelled job has made is removed later");
            Ended::Later
        }
    }
}

async fn try_remove(tools: &Tools, job: Job) -> Result<Ended, StoreError> {
    let Tools {
        jobs, hub, records, ..
    } = tools;
    jobs.spool.remove(&job.id).await;
    let mut retracted = Retracted::More;
    while retracted == Retracted::More {
        retracted = jobs.store.retract(job.id.clone()).await?;
    }
    if retracted == Retracted::Whole {
        let whose = Whose {
            account: job.account.clone(),
            conversation: job.conversation,
            delay: Duration::ZERO,
        };
        let until = Instant::now() + LONGEST_REMOVAL;
        loop {
            match records.delete(whose.clone()).await? {
                Deleted::Whole => break hub.deletions.deleted(job.conversation),
                Deleted::Unknown => break,
                Deleted::Runs if Instant::now() < until => {
                    hub.dissolve(&job.account, job.conversation);
                    sleep(REMOVE_AGAIN).await;
                }
                Deleted::Runs => return Ok(Ended::Later),
            }
        }
    }
    jobs.store.forget(job.id.clone()).await?;
    let until = Instant::now() + LONGEST_REMOVAL;
    while !records.purge().await? && Instant::now() < until {
        sleep(REMOVE_AGAIN).await;
    }
    Ok(Ended::Over)
}

/// Deletes recordings whose conversation was deleted with its job.
async fn sweep(jobs: &Jobs) {
    if let Ok(unfinished) = jobs.store.unfinished().await {
        jobs.spool.sweep(unfinished, false).await;
    }
}

/// Returns the webhook that tells of a status, if the job has one.
fn hook(job: &Job, request: &JobRequest, status: Status) -> Option<NewHook> {
    let url = request.options.webhook.clone()?;
    let body = json!({"jobId": job.id, "status": status.as_str()}).to_string();
    Some(NewHook { url, body })
}

/// Gives a job its turn.
async fn turn(tools: Tools, job: Job, cancel: Cancel) -> Ended {
    let id = job.id.clone();
    match try_turn(&tools, job, cancel).await {
        Ok(ended) => ended,
        Err(error) => {
            tracing::error!(%error, job = id, "a job rests, because the database does not answer");
            Ended::Later
        }
    }
}

async fn try_turn(tools: &Tools, job: Job, cancel: Cancel) -> Result<Ended, StoreError> {
    let jobs = &tools.jobs;
    let request = serde_json::from_str::<JobRequest>(&job.request);
    let first = request.as_ref().ok();
    let first = first.and_then(|request| hook(&job, request, Status::InProgress));
    let begun = jobs
        .store
        .begin(job.id.clone(), clock::now(), first)
        .await?;
    jobs.wake_hooks();
    // Its conversation may have been deleted just then.
    let Some(job) = begun else {
        jobs.spool.remove(&job.id).await;
        return Ok(Ended::Over);
    };
    let done = Arc::new(AtomicI64::new(job.progress));
    jobs.running().insert(job.id.clone(), Arc::clone(&done));
    tracing::info!(event = "job", job = job.id, attempt = job.attempt, "begun");
    let (last, result) = match request {
        Ok(request) => {
            let result = work(tools, &job, &request, &done, cancel).await;
            (
                result.is_ok().then_some(Status::Completed),
                (Some(request), result),
            )
        }
        Err(error) => (None, (None, Err(JobError::failed(error)))),
    };
    let (request, result) = result;
    let why = match result {
        Ok(()) => None,
        Err(JobError::Failed(why)) => Some(why),
        // What it has made is removed next.
        Err(JobError::Cancelled) => return Ok(Ended::Over),
        Err(JobError::Later(why)) if job.attempt >= MOST_ATTEMPTS => Some(why),
        Err(JobError::Later(why)) => {
            tracing::warn!(job = job.id, why, "a job rests");
            return Ok(Ended::Later);
        }
    };
    tracing::info!(event = "job", job = job.id, why, "ended");
    let status = last.unwrap_or(Status::Failed);
    let told = request.as_ref();
    let told = told.and_then(|request| hook(&job, request, status));
    let warning = match status {
        Status::Completed => {
            let file = jobs.spool.path().join(&job.id);
            let noted = jobs.spool.workers().run(move || cut::note(&file)).await;
            // Without a thread the job is as complete.
            noted.ok().flatten()
        }
        _ => None,
    };
    let left = request.map(|request| JobRequest {
        warning,
        ..request.over()
    });
    let left = left.and_then(|request| serde_json::to_string(&request).ok());
    let end = JobEnd {
        why,
        progress: done.load(Ordering::Relaxed),
        request: left.unwrap_or_default(),
    };
    let ended = jobs
        .store
        .finish(job.id.clone(), end, clock::now(), told)
        .await?;
    if ended {
        jobs.wake_hooks();
    }
    jobs.spool.remove(&job.id).await;
    Ok(Ended::Over)
}

async fn work(
    tools: &Tools,
    job: &Job,
    request: &JobRequest,
    done: &Arc<AtomicI64>,
    cancel: Cancel,
) -> Result<(), JobError> {
    if job.attempt > MOST_ATTEMPTS {
        return Err(JobError::failed(format!(
            "the job was begun {MOST_ATTEMPTS} times and never ended; see the log of the service"
        )));
    }
    let (jobs, limits) = (&tools.jobs, tools.limits.clone());
    let hub = Arc::clone(&tools.hub);
    let run = Run::new(
        hub,
        job.clone(),
        request.clone(),
        limits,
        tools.redaction.clone(),
        cancel,
    )
    .await?;
    match &request.kind {
        Kind::Text(messages) => text::run(&run, messages, &tools.hearing.pool, done).await,
        Kind::Upload => recording::run(&run, jobs, &tools.hearing, done).await,
        Kind::Url(url) => {
            tokio::select! {
                fetched = fetch::fetch(jobs, &job.id, url) => fetched?,
                () = run.cancelled() => return Err(JobError::Cancelled),
            }
            recording::run(&run, jobs, &tools.hearing, done).await
        }
        Kind::Said(_) => Err(JobError::failed("its text is not there any more")),
    }
}
