// SPDX-License-Identifier: MPL-2.0

//! One `start_request`'s thread: decodes, recognises, speaks.
//!
//! The thread blocks and burns CPU, so it is no tokio task. It ends by itself
//! when its audio is stopped or abandoned, or its recogniser fails.

use crate::clock::AudioClock;
use crate::hearing::Hearing;
use crate::hearing::admission::{Full, Place};
use crate::hearing::audio::{self, AudioError, End, Input, Listener, Queue, StreamError};
use crate::hearing::capacity::Effort;
use crate::hearing::parked;
use crate::hearing::recognizer::{
    Recognition, Recognizer, RecognizerError, RecognizerStream, SAMPLE_RATE, StreamOptions,
};
use crate::hearing::voice::Voice;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::store::StoreError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};
use symbl_protocol::{StreamFormat, reply};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

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
    clock: AudioClock,
    format: StreamFormat,
    held: Arc<Held>,
}

/// A permit, or what else is free again when it is dropped.
type Thing = Box<dyn std::fmt::Debug + Send>;

/// What the thread of a stream holds until it ends. It may outlive the stream's session.
#[derive(Debug, Default)]
struct Held {
    things: Mutex<Vec<Thing>>,
}

/// The places that a socket takes. They are free again when the socket is gone, and the
/// streams have ended for which there was no place among those that may drain.
#[derive(Debug)]
pub(crate) struct Places {
    hearing: Hearing,
    /// Among all that is recognised; none while the socket has given it back.
    admitted: Mutex<Option<Place>>,
    /// Among the sockets.
    _socket: OwnedSemaphorePermit,
}

impl Places {
    pub(crate) fn new(hearing: Hearing, admitted: Place, socket: OwnedSemaphorePermit) -> Self {
        Self {
            hearing,
            admitted: Mutex::new(Some(admitted)),
            _socket: socket,
        }
    }

    /// Returns what recognises.
    pub(crate) fn hearing(&self) -> &Hearing {
        &self.hearing
    }

    fn admitted(&self) -> MutexGuard<'_, Option<Place>> {
        self.admitted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns `true` while the socket has a place among all that is recognised.
    pub(crate) fn is_admitted(&self) -> bool {
        self.admitted().is_some()
    }

    /// Gives that place back: somebody else may need it.
    pub(crate) fn give_back(&self) {
        *self.admitted() = None;
    }

    /// Makes sure that the socket has such a place for a stream of this engine. A socket
    /// that has none takes one like a newcomer.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(crate) fn admit(&self, engine: usize) -> Result<Effort, Full> {
        let mut admitted = self.admitted();
        match &mut *admitted {
            Some(place) => place.choose(engine)?,
            None => *admitted = Some(self.hearing.entrance.enter(engine, false)?),
        }
        Ok(self.hearing.entrance.effort(engine))
    }
}

/// A stopped stream that the next one lets speak up to its end.
#[derive(Debug)]
pub(crate) struct Before {
    pub(crate) stream: Stream,
    /// It is waited for until then.
    pub(crate) until: Instant,
}

/// The system has no thread for a stream.
#[derive(Debug)]
pub(crate) struct NoThread {
    pub(crate) reason: std::io::Error,
    /// The stream that drains goes on.
    pub(crate) before: Option<Before>,
}

/// What a thread does.
type Work = Box<dyn FnOnce() + Send>;

/// Starts a thread.
fn spawn(work: Work) -> std::io::Result<()> {
    let thread = std::thread::Builder::new().name("symbl-stream".to_owned());
    thread.spawn(work).map(drop)
}

/// What a stream is started with.
pub(crate) struct Start {
    pub(crate) recognizer: Arc<dyn Recognizer>,
    pub(crate) options: StreamOptions,
    pub(crate) format: StreamFormat,
    pub(crate) voice: Voice,
    /// Where it tells of its work.
    pub(crate) effort: Effort,
    pub(crate) before: Option<Before>,
}

impl Stream {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The system refuses it.
    pub(crate) fn start(start: Start, limits: &Limits) -> Result<Self, NoThread> {
        Self::start_on(spawn, start, limits)
    }

    fn start_on(
        spawn: impl FnOnce(Work) -> std::io::Result<()>,
        start: Start,
        limits: &Limits,
    ) -> Result<Self, NoThread> {
        let (input, receiver) = mpsc::channel(limits.audio_queue.max(1));
        let (tell, done) = oneshot::channel();
        let abandoned = Arc::new(AtomicBool::new(false));
        let queue = Queue::new(receiver, Arc::clone(&abandoned), start.format);
        let (clock, format) = (start.voice.clock().clone(), start.format);
        let (silence, runtime) = (limits.silence, Handle::current());
        let held = Arc::new(Held::default());
        // What a thread that cannot be had was to do is not to be lost with it.
        let (hand, handed) = std::sync::mpsc::sync_channel::<Start>(1);
        let holds = Arc::clone(&held);
        let client = tracing::Span::current();
        let work = move || {
            let _about = client.entered();
            let Ok(start) = handed.recv() else { return };
            let outcome = run(start, queue, silence, runtime);
            // Nobody may be interested any more.
            let _ = tell.send(outcome);
            holds.let_go();
        };
        if let Err(reason) = spawn(Box::new(work)) {
            let before = start.before;
            return Err(NoThread { reason, before });
        }
        // The thread takes it: nobody else has the other end.
        let _ = hand.send(start);
        Ok(Self {
            input,
            abandoned,
            done,
            clock,
            format,
            held,
        })
    }

    /// Gives the stream's thread something to hold until it ends.
    pub(crate) fn hold(&self, thing: impl std::fmt::Debug + Send + 'static) {
        self.held.things().push(Box::new(thing));
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

impl Held {
    fn things(&self) -> std::sync::MutexGuard<'_, Vec<Thing>> {
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn let_go(&self) {
        self.things().clear();
    }
}

fn run(start: Start, mut queue: Queue, silence: Duration, runtime: Handle) -> Outcome {
    let Start {
        recognizer,
        options,
        voice,
        effort,
        before,
        ..
    } = start;
    if let Some(before) = before {
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
            let mut hearing = Listening {
                recognizer: Arc::clone(&recognizer),
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
fn wait_for(before: Before, voice: &Voice) {
    let Before { mut stream, until } = before;
    match parked::wait(&mut stream.done, until) {
        Poll::Ready(Ok(Outcome::Finished | Outcome::Silent)) => {}
        Poll::Ready(Ok(Outcome::Failed(error))) => voice.own().send(failure(&error)),
        Poll::Ready(Err(_)) => voice.own().send(death()),
        Poll::Pending => {
            tracing::warn!("a stopped stream took too long to drain");
            stream.abandon();
        }
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

struct Listening {
    recognizer: Arc<dyn Recognizer>,
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

impl Listening {
    fn speak(&mut self) -> Result<(), StoreError> {
        for recognition in self.heard.drain(..) {
            match recognition {
                Recognition::Interim { words, .. } => self.voice.interim(&words),
                Recognition::Final { words, punctuated } => {
                    self.voice.utterance(&words, punctuated)?;
                }
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
        let begun = self.effort.begin(Instant::now());
        let result = self.stream.finish(&mut self.heard);
        let told = (Duration::ZERO, self.recognizer.capacity());
        self.effort.end(&begun, 0, &self.heard, told);
        self.speak()?;
        Ok(result?)
    }
}

impl Listener for Listening {
    fn hear(&mut self, samples: &[i16]) -> Result<(), StreamError> {
        self.voice.own().wait_for_room(&self.runtime);
        let begun = self.effort.begin(Instant::now());
        let result = self.stream.push(samples, &mut self.heard);
        let told = (self.stream.behind(), self.recognizer.capacity());
        self.effort.end(&begun, samples.len(), &self.heard, told);
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

    fn wake_with(&mut self, waker: &Waker) {
        self.stream.wake_with(waker.clone());
    }

    fn is_ready(&self) -> bool {
        self.stream.is_ready()
    }

    fn idle_by(&self) -> Option<Instant> {
        self.stream.poll_by()
    }

    fn idle(&mut self) -> Result<(), StreamError> {
        let result = self.stream.poll(&mut self.heard);
        self.effort.behind(self.stream.behind());
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

#[cfg(test)]
mod tests;
