// SPDX-License-Identifier: MPL-2.0

//! The place of a job in its conversation, and the writers of its speakers.

use crate::conversation::attribution::SharedTurns;
use crate::conversation::form::Recipient;
use crate::conversation::hub::{ConversationKey, Hub, Leave, SocketSlot};
use crate::conversation::log::StreamPosition;
use crate::conversation::participants::Called;
use crate::hearing::masking::{Asked, Masking, RedactionPolicy};
use crate::hearing::results::{ResultWriter, Speaking, Wanted};
use crate::jobs::request::{JobRequest, Options, Person};
use crate::limits::Limits;
use crate::outbox::{Frame, Outbox};
use crate::store::jobs::Job;
use crate::trackers::phrasebook::Compiled;
use crate::trackers::{self, KeptTracker, TrackerError};
use std::sync::Arc;
use std::time::Duration;
use symbl_analysis::AnalyzerOptions;
use symbl_protocol::InsightType;
use tokio::sync::{mpsc, watch};

/// How long the conversation of a job waits for the service to come back.
const KEEP: Duration = Duration::from_secs(1800);

/// Messages that wait to be dropped, because a job has no client.
const OUTBOX: usize = 64;

/// Why a job failed, for the one who asked for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JobError {
    /// It will fail again.
    #[error("{0}")]
    Failed(String),
    /// The service ends, or cannot store anything at the moment: the job goes on later.
    #[error("{0}")]
    Later(String),
    /// Its client has cancelled it.
    #[error("it was cancelled")]
    Cancelled,
}

impl JobError {
    pub(crate) fn failed(why: impl std::fmt::Display) -> Self {
        Self::Failed(why.to_string())
    }

    pub(crate) fn later(why: impl std::fmt::Display) -> Self {
        Self::Later(why.to_string())
    }
}

/// A job that runs.
pub(crate) struct Run {
    pub(crate) hub: Arc<Hub>,
    pub(crate) job: Job,
    pub(crate) request: JobRequest,
    pub(crate) limits: Limits,
    redaction: RedactionPolicy,
    trackers: Arc<Compiled>,
    tracker_ids: Vec<(String, String)>,
    cancelled: Cancel,
}

/// Becomes `true` when the client has cancelled a job.
pub(crate) type Cancel = watch::Receiver<bool>;

/// Waits until a job is cancelled.
pub(crate) async fn cancelled(mut cancel: Cancel) {
    // Without a sender it cannot be cancelled any more.
    if cancel.wait_for(|cancelled| *cancelled).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The place of one of its speakers. To be left when the job ends.
pub(crate) struct Seat {
    slot: Option<SocketSlot>,
    /// What the speaker's client would be sent.
    told: mpsc::Receiver<Frame>,
}

impl Seat {
    /// Drops what the client would have been sent.
    pub(crate) fn drain(&mut self) {
        while self.told.try_recv().is_ok() {}
    }

    /// Leaves the conversation, which is over when its last speaker has left.
    pub(crate) fn leave(mut self) {
        if let Some(slot) = self.slot.take() {
            slot.leave(Leave::Finished);
        }
    }
}

/// A seat that was not left belongs to a job that goes on later.
impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            slot.leave(Leave::Lost);
        }
    }
}

impl Run {
    pub(crate) async fn new(
        hub: Arc<Hub>,
        job: Job,
        request: JobRequest,
        limits: Limits,
        redaction: RedactionPolicy,
        cancelled: Cancel,
    ) -> Result<Self, JobError> {
        let kept = kept(&hub, &job.account, &request.options).await?;
        let (trackers, tracker_ids) = trackers::beside(kept, request.options.own_trackers());
        let trackers = hub.phrasebook.get(trackers);
        let full =
            || JobError::later("the trackers of all streams take as much memory as they may");
        Ok(Self {
            trackers: trackers.ok_or_else(full)?,
            tracker_ids,
            hub,
            job,
            request,
            limits,
            redaction,
            cancelled,
        })
    }

    /// Waits until the job is cancelled.
    pub(crate) async fn cancelled(&self) {
        cancelled(self.cancelled.clone()).await;
    }

    /// Takes a seat in the conversation for a speaker, whose part of the job is the stream
    /// `number`. Its audio begins at `position` of the stream, which began at `zero`, nanoseconds
    /// since the Unix epoch.
    pub(crate) async fn seat(
        &self,
        person: &Person,
        number: usize,
        position: u64,
        zero: i64,
    ) -> Result<(Seat, ResultWriter), JobError> {
        let job = &self.job;
        let key = ConversationKey {
            account: job.account.clone(),
            connection_id: job.id.clone(),
        };
        let (outbox, told) = Outbox::new(OUTBOX);
        let recipient = Recipient::from(outbox);
        let joined = self
            .hub
            .join_number(job.conversation, &key, &recipient, KEEP);
        let slot = joined.await.map_err(JobError::later)?;
        let slot = slot.ok_or_else(|| JobError::failed("its conversation was deleted"))?;
        let mut state = slot.conversation.state();
        // What is hidden of a name is not in the request any more.
        let called = Called {
            user_id: person.user_id.as_deref(),
            name: person.name.as_deref(),
            written: person.name.as_deref(),
        };
        let speaker = state.participants.speaker(called, self.limits.speakers);
        drop(state);
        let Some(speaker) = speaker else {
            let most = self.limits.speakers;
            slot.leave(Leave::Finished);
            return Err(JobError::failed(format!(
                "the conversation has {most} speakers already, as many as it may (--max-speakers)"
            )));
        };
        slot.speaks(Some(&speaker.id), Some(KEEP));
        let stream = stream_of(&job.id, number);
        // The words before are not known of a job that goes on from some place on.
        let resumed = job.attempt > 1 || position > 0;
        let wanted = Wanted {
            masking: Masking::new(&self.redaction, &Asked::default(), resumed),
            options: AnalyzerOptions {
                insight_types: vec![
                    InsightType::Question,
                    InsightType::ActionItem,
                    InsightType::FollowUp,
                    InsightType::Topic,
                ],
                confidence_threshold: self.request.options.confidence.unwrap_or(0.5),
                trackers: Vec::new(),
                entities: self.request.options.entities,
            },
            trackers: Arc::clone(&self.trackers),
            tracker_ids: self.tracker_ids.clone(),
            interim_trackers: false,
            sentiment: false,
            phrases: self.request.options.phrases,
            analytics: false,
            progress: false,
        };
        let speaking = Speaking {
            speaker,
            timezone_offset: 0,
            title: self.request.options.name.clone(),
            stream_position: Some(StreamPosition {
                stream,
                attempt: job.attempt,
                position,
            }),
            told: slot.told,
            turns: SharedTurns::default(),
            most_speakers: self.limits.speakers,
            recorded: Some(zero.saturating_add(i64::try_from(position).unwrap_or(i64::MAX))),
        };
        let results = ResultWriter::new(
            Arc::clone(&slot.conversation),
            recipient,
            slot.member,
            Arc::clone(&self.hub.metrics),
            speaking,
            wanted,
        );
        let slot = Some(slot);
        Ok((Seat { slot, told }, results))
    }
}

/// Returns the name of a stream of a job in the log.
pub(crate) fn stream_of(job: &str, number: usize) -> String {
    format!("{job}/{number}")
}

/// Returns the trackers of the account, if the request asks for them.
async fn kept(hub: &Hub, account: &str, options: &Options) -> Result<Vec<KeptTracker>, JobError> {
    if !options.all_trackers {
        return Ok(Vec::new());
    }
    let (store, account) = (Arc::clone(&hub.trackers), account.to_owned());
    let listed = hub.workers.run(move || store.list(&account)).await;
    let listed = listed.map_err(|error| TrackerError::Store(error.to_string()));
    listed.and_then(|listed| listed).map_err(JobError::later)
}
