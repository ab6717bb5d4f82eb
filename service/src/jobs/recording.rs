// SPDX-License-Identifier: MPL-2.0

//! Runs the job of a recording: the decoder's audio goes into one stream of recognition, or one
//! for each channel, no faster than they take it.

use crate::conversation::log::LogError;
use crate::hearing::Hearing;
use crate::hearing::admission::SharedAdmission;
use crate::hearing::audio::StreamError;
use crate::hearing::order::Order;
use crate::hearing::recognizer::{SAMPLE_RATE, StreamOptions, composed};
use crate::hearing::stream::{Outcome, Start, Stream};
use crate::jobs::Jobs;
use crate::jobs::decode::{self, DecodeError, Decoder};
use crate::jobs::pcm::{Channels, mixed};
use crate::jobs::request::Person;
use crate::jobs::writer::{JobError, Run, Seat, stream_of};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use symbl_protocol::{Encoding, StreamFormat};
use tokio::time::timeout;

/// How often it is noted how far a job is.
const NOTED: Duration = Duration::from_secs(5);

/// How long a stream may take to end that was abandoned.
const LONGEST_END: Duration = Duration::from_secs(10);

/// A stream of recognition.
struct Lane {
    seat: Seat,
    stream: Stream,
    /// Samples that were heard in an earlier attempt.
    skip: u64,
}

impl From<DecodeError> for JobError {
    fn from(error: DecodeError) -> Self {
        Self::failed(error)
    }
}

impl From<LogError> for JobError {
    fn from(error: LogError) -> Self {
        Self::later(error)
    }
}

/// Runs a job whose recording is in the spool. `done` counts nanoseconds of its audio.
pub(crate) async fn run(
    run: &Run,
    jobs: &Jobs,
    hearing: &Hearing,
    done: &Arc<AtomicI64>,
) -> Result<(), JobError> {
    let directory = jobs.spool.path();
    if !directory.join(&run.job.id).exists() {
        return Err(JobError::failed(
            "the recording is not there any more: without --data, or with another directory, \
             the service does not keep it; send it again",
        ));
    }
    let list = || decode::prepare(&jobs.settings, directory);
    jobs.decoder_prepared.get_or_try_init(list).await?;
    let decoder = Decoder::start(&jobs.settings, directory, &run.job.id)?;
    let mut heard = Heard {
        run,
        jobs,
        hearing,
        done,
        lanes: Vec::new(),
        samples: 0,
        noted: Instant::now(),
    };
    let ended = tokio::select! {
        ended = heard.all(decoder) => ended,
        () = run.cancelled() => {
            heard.abandon().await;
            Err(JobError::Cancelled)
        }
    };
    if !matches!(ended, Err(JobError::Later(_))) {
        heard.lanes.into_iter().for_each(|lane| lane.seat.leave());
    }
    ended
}

/// What was taken so far.
struct Heard<'a> {
    run: &'a Run,
    jobs: &'a Jobs,
    hearing: &'a Hearing,
    done: &'a Arc<AtomicI64>,
    lanes: Vec<Lane>,
    samples: u64,
    noted: Instant,
}

impl Heard<'_> {
    /// Takes all that the decoder gives, and waits for the last results.
    async fn all(&mut self, mut decoder: Decoder) -> Result<(), JobError> {
        let mut channels = Channels::default();
        while let Some(bytes) = decoder.next().await? {
            let pieces = channels.push(bytes).map_err(JobError::failed)?;
            self.take(pieces).await?;
        }
        let decoded = decoder.finish().await;
        self.take(channels.finish()).await?;
        if decoded.is_ok() && self.samples == 0 {
            return Err(JobError::failed("the recording has no audio"));
        }
        // What could be decoded is heard to its end.
        self.finish().await.and(decoded.map_err(JobError::from))
    }

    /// Gives the samples of the channels to recognition.
    async fn take(&mut self, channels: Vec<Vec<i16>>) -> Result<(), JobError> {
        let count = channels.first().map_or(0, Vec::len);
        if count == 0 {
            return Ok(());
        }
        let options = &self.run.request.options;
        let pieces = match options.separate {
            true => channels,
            false => vec![mixed(&channels)],
        };
        if self.lanes.is_empty() {
            self.open(pieces.len()).await?;
        }
        for (lane, piece) in self.lanes.iter_mut().zip(&pieces) {
            let left_out = lane.skip.min(piece.len() as u64);
            lane.skip -= left_out;
            let piece = piece.get(left_out as usize..).unwrap_or_default();
            if piece.is_empty() {
                continue;
            }
            let bytes = piece.iter().flat_map(|sample| sample.to_le_bytes());
            lane.stream.audio(Bytes::from_iter(bytes)).await;
            lane.seat.drain();
            if let Some(outcome) = lane.stream.ended() {
                return Err(failure(outcome));
            }
        }
        self.samples += count as u64;
        let limit = self.jobs.settings.duration;
        if duration(self.samples) > limit {
            let limit = limit.as_secs();
            return Err(JobError::failed(format!(
                "the recording has more than {limit} s of audio (--max-job-duration); what was \
                 said until then is in the conversation"
            )));
        }
        self.note().await
    }

    /// Notes how far the job is.
    async fn note(&mut self) -> Result<(), JobError> {
        let done = nanos(duration(self.samples));
        self.done.store(done, Ordering::Relaxed);
        if self.noted.elapsed() >= NOTED {
            self.noted = Instant::now();
            let id = self.run.job.id.clone();
            let noted = self.jobs.store.progress(id, done).await;
            noted.map_err(JobError::later)?;
        }
        Ok(())
    }

    /// Opens a stream for each channel.
    async fn open(&mut self, count: usize) -> Result<(), JobError> {
        let options = &self.run.request.options;
        let language = options.language.clone().unwrap_or_default();
        let format = StreamFormat::new(Encoding::Linear16, SAMPLE_RATE);
        let format = format.map_err(JobError::failed)?;
        let limits = crate::limits::Limits {
            // A recording may be silent for as long as it likes.
            silence: Duration::MAX,
            ..self.run.limits.clone()
        };
        let order = Order::new(count);
        for number in 0..count {
            let chosen = self.hearing.engines.choose(&language);
            let engine = chosen.map_err(JobError::failed)?;
            let job = &self.run.job;
            let stream = stream_of(&job.id, number);
            let reached = self.jobs.store.reached(job.conversation, stream).await;
            // Whole samples: the audio goes on at the next one.
            let skip = u64::try_from(reached.map_err(JobError::later)?).unwrap_or(0);
            let skip = skip
                .saturating_mul(u64::from(SAMPLE_RATE))
                .div_ceil(1_000_000_000);
            let position = u64::try_from(nanos(duration(skip))).unwrap_or(0);
            let person = match options.separate {
                true => options.speaker(number + 1),
                false => Person::default(),
            };
            let zero = job.zero.unwrap_or(job.created);
            let (seat, results) = self.run.seat(&person, number, position, zero).await?;
            let results = match count {
                1 => results,
                _ => results.ordered(order.place(number)),
            };
            let start = Start {
                recognizer: engine.recognizer,
                options: StreamOptions {
                    vocabulary: composed(&options.vocabulary),
                    language: language.clone(),
                    interim: false,
                    max_final_delay: None,
                    bulk: true,
                    connection: job.id.clone(),
                },
                format,
                results,
                effort: SharedAdmission::unmetered(),
                before: None,
            };
            let stream = Stream::start(start, &self.hearing.pool, &limits);
            self.lanes.push(Lane { seat, stream, skip });
        }
        Ok(())
    }

    /// Ends the streams without their last results, and waits until they append no more.
    async fn abandon(&mut self) {
        for lane in &self.lanes {
            lane.stream.abandon();
        }
        for lane in &mut self.lanes {
            // A recogniser may be in the middle of an utterance.
            let _ = timeout(LONGEST_END, lane.stream.done()).await;
        }
    }

    /// Waits for the last results.
    async fn finish(&mut self) -> Result<(), JobError> {
        for lane in &self.lanes {
            lane.stream.stop().await;
        }
        let mut failed = None;
        for lane in &mut self.lanes {
            let outcome = lane.stream.done().await;
            lane.seat.drain();
            if !matches!(outcome, Some(Outcome::Finished | Outcome::Silent)) {
                failed.get_or_insert(failure(outcome));
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Returns why a stream ended before its audio did.
fn failure(outcome: Option<Outcome>) -> JobError {
    match outcome {
        Some(Outcome::Failed(StreamError::Log(error))) => JobError::later(error),
        Some(Outcome::Failed(error)) => JobError::failed(error),
        Some(Outcome::Finished | Outcome::Silent) => {
            JobError::failed("recognition has ended before the recording")
        }
        None => JobError::failed("the recogniser panicked; see the log of the service"),
    }
}

fn duration(samples: u64) -> Duration {
    let rate = u64::from(SAMPLE_RATE);
    Duration::from_secs(samples / rate) + Duration::from_secs(samples % rate) / SAMPLE_RATE
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}
