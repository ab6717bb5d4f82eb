// SPDX-License-Identifier: MPL-2.0

//! One `start_request`'s thread: decodes, recognises, speaks.
//!
//! The thread blocks and burns CPU, so it is no tokio task. It ends by itself
//! when its audio is stopped or abandoned, or its recogniser fails.

use crate::admission::Effort;
use crate::audio::{self, AudioError, End, Input, Listener, Queue, StreamError};
use crate::clock::AudioClock;
use crate::config::Limits;
use crate::metrics::Metrics;
use crate::recognizer::{
    Recognition, Recognizer, RecognizerError, RecognizerStream, SAMPLE_RATE, StreamOptions,
};
use crate::store::StoreError;
use crate::voice::Voice;
use gstsymbl::protocol::{StreamFormat, reply};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// How a stream ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Everything owed was said, or it is not wanted any more.
    Finished,
    /// It could not go on.
    Failed(StreamError),
    /// Nothing was said for too long.
    Silent,
}

/// The session's end of a running stream.
#[derive(Debug)]
pub(crate) struct Stream {
    input: mpsc::Sender<Input>,
    abandoned: Arc<AtomicBool>,
    done: oneshot::Receiver<Outcome>,
    thread: Option<JoinHandle<()>>,
    clock: AudioClock,
    format: StreamFormat,
}

/// What a stream is started with.
pub(crate) struct Start {
    pub(crate) recognizer: Arc<dyn Recognizer>,
    pub(crate) options: StreamOptions,
    pub(crate) format: StreamFormat,
    pub(crate) voice: Voice,
    /// Where it tells of its work.
    pub(crate) effort: Effort,
    /// The socket's stream before this one: speaks up to its end first.
    pub(crate) after: Option<Stream>,
}

impl Stream {
    /// Starts the thread.
    pub(crate) fn start(start: Start, limits: &Limits) -> std::io::Result<Self> {
        let (input, receiver) = mpsc::channel(limits.audio_queue.max(1));
        let (tell, done) = oneshot::channel();
        let abandoned = Arc::new(AtomicBool::new(false));
        let queue = Queue::new(receiver, Arc::clone(&abandoned), start.format);
        let (clock, format) = (start.voice.clock().clone(), start.format);
        let (silence, runtime) = (limits.silence, Handle::current());
        let client = tracing::Span::current();
        let thread = std::thread::Builder::new()
            .name("symbl-stream".to_owned())
            .spawn(move || {
                let _about = client.entered();
                let outcome = run(start, queue, silence, runtime);
                // Nobody may be interested any more.
                let _ = tell.send(outcome);
            })?;
        Ok(Self {
            input,
            abandoned,
            done,
            thread: Some(thread),
            clock,
            format,
        })
    }

    /// The format of the audio that is passed on from now on.
    pub(crate) fn format(&self) -> StreamFormat {
        self.format
    }

    /// Passes audio on; waits while the recogniser is behind.
    pub(crate) async fn audio(&self, bytes: bytes::Bytes) {
        self.clock.start();
        // A stream that has ended says so by itself.
        let _ = self.input.send(Input::Audio(bytes)).await;
    }

    /// All audio that follows is in another format.
    pub(crate) async fn modify(&mut self, format: StreamFormat) {
        self.format = format;
        let _ = self.input.send(Input::Format(format)).await;
    }

    /// No more audio: what was heard will be said.
    pub(crate) async fn stop(&self) {
        let _ = self.input.send(Input::Stop).await;
    }

    /// Nothing more is wanted.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
    }

    /// Waits for the end. A thread that died without a word has failed.
    pub(crate) async fn done(&mut self) -> Option<Outcome> {
        (&mut self.done).await.ok()
    }
}

fn run(start: Start, mut queue: Queue, silence: Duration, runtime: Handle) -> Outcome {
    let Start {
        recognizer,
        options,
        voice,
        effort,
        after,
        ..
    } = start;
    if let Some(before) = after {
        wait_for(before, &voice);
    }
    let engine = recognizer.name();
    let metrics = Arc::clone(voice.metrics());
    let _open = metrics.stream(engine);
    let result = voice
        .listening()
        .map_err(StreamError::from)
        .and_then(|()| recognizer.open(&options).map_err(StreamError::from))
        .and_then(|stream| {
            voice.recognising();
            let mut hearing = Hearing {
                stream,
                voice,
                heard: Vec::new(),
                samples: 0,
                engine,
                metrics,
                effort,
                last_word: Duration::ZERO,
                silence,
                runtime,
            };
            if audio::decode(&mut queue, &mut hearing)? == End::Stopped {
                hearing.finish()?;
            }
            Ok(())
        });
    match result {
        Ok(()) => Outcome::Finished,
        Err(StreamError::Silence(_)) => Outcome::Silent,
        Err(error) => Outcome::Failed(error),
    }
}

/// The stream before this one is stopped; its results come before ours.
fn wait_for(mut before: Stream, voice: &Voice) {
    if let Some(thread) = before.thread.take() {
        // That it died is seen below.
        let _ = thread.join();
    }
    match before.done.try_recv() {
        Ok(Outcome::Finished | Outcome::Silent) => {}
        Ok(Outcome::Failed(error)) => voice.own().send(failure(&error)),
        Err(_) => voice.own().send(death()),
    }
}

/// What is told to the client whose stream failed.
pub(crate) fn failure(error: &StreamError) -> String {
    let (message, code) = match error {
        StreamError::Audio(_) => ("Audio cannot be decoded", "invalid_audio"),
        StreamError::Store(_) => ("What was said cannot be stored", "storage_failed"),
        StreamError::Silence(_) => ("Nothing was said", "silence"),
        StreamError::Recognizer(RecognizerError::Unavailable { .. }) => (
            "Speech recognition is not available",
            "recognizer_unavailable",
        ),
        StreamError::Recognizer(RecognizerError::Failed { .. }) => {
            ("Speech recognition failed", "recognizer_failed")
        }
        StreamError::Recognizer(RecognizerError::Behind { .. }) => {
            ("Speech recognition is too slow", "recognizer_behind")
        }
    };
    tracing::warn!(%error, "stream failed");
    reply::error(message, &error.to_string(), Some(code))
}

/// What is told to the client whose stream ended without an outcome.
pub(crate) fn death() -> String {
    let details = "the stream's thread died; see the log of the service";
    reply::error("Speech recognition failed", details, Some("internal"))
}

/// What is told to the client of whose audio a part is lost.
fn gap(start: Duration, end: Duration) -> String {
    let (start, end) = (start.as_secs_f64(), end.as_secs_f64());
    let details = format!("the audio from {start:.1} s to {end:.1} s of this stream is lost");
    tracing::warn!(details, "audio not recognised");
    reply::error("Audio was not recognised", &details, Some("audio_lost"))
}

struct Hearing {
    stream: Box<dyn RecognizerStream>,
    voice: Voice,
    heard: Vec<Recognition>,
    samples: u64,
    engine: &'static str,
    metrics: Arc<Metrics>,
    effort: Effort,
    /// Where in the audio something was said last.
    last_word: Duration,
    silence: Duration,
    runtime: Handle,
}

impl Hearing {
    fn speak(&mut self) -> Result<(), StoreError> {
        for recognition in self.heard.drain(..) {
            match recognition {
                Recognition::Interim { text, start } => self.voice.interim(&text, start),
                Recognition::Final { words } => self.voice.utterance(&words)?,
                Recognition::Gap { start, end } => self.voice.own().send(gap(start, end)),
            }
        }
        Ok(())
    }

    /// Speaks what was heard in the audio up to `now`.
    fn speak_at(&mut self, now: Duration) -> Result<(), StreamError> {
        if self.heard.is_empty() {
            return Ok(());
        }
        self.last_word = now;
        Ok(self.speak()?)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.samples * 1000 / u64::from(SAMPLE_RATE))
    }

    /// What was heard before a failure is said all the same.
    fn finish(&mut self) -> Result<(), StreamError> {
        let begun = self.effort.begin();
        let result = self.stream.finish(&mut self.heard);
        self.effort.end(&begun, 0, &self.heard, Duration::ZERO);
        self.speak()?;
        Ok(result?)
    }
}

impl Listener for Hearing {
    fn hear(&mut self, samples: &[i16]) -> Result<(), StreamError> {
        self.voice.own().wait_for_room(&self.runtime);
        let begun = self.effort.begin();
        let result = self.stream.push(samples, &mut self.heard);
        let behind = self.stream.behind();
        self.effort.end(&begun, samples.len(), &self.heard, behind);
        self.samples += samples.len() as u64;
        let length = Duration::from_secs(samples.len() as u64) / SAMPLE_RATE;
        self.metrics.audio(self.engine, length);
        let now = self.now();
        self.speak_at(now)?;
        result?;
        if now.saturating_sub(self.last_word) > self.silence {
            return Err(StreamError::Silence(self.silence.as_secs()));
        }
        Ok(())
    }

    fn idle_interval(&self) -> Option<Duration> {
        self.stream.poll_interval()
    }

    fn idle(&mut self) -> Result<(), StreamError> {
        let result = self.stream.poll(&mut self.heard);
        self.speak_at(self.now())?;
        Ok(result?)
    }

    fn complain(&mut self, error: AudioError) {
        let text = reply::error(
            "Audio cannot be decoded",
            &error.to_string(),
            Some("invalid_audio"),
        );
        self.voice.own().send(text);
    }
}
