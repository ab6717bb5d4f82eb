// SPDX-License-Identifier: MPL-2.0

//! One `start_request`'s stream: decodes, recognises, speaks.
//!
//! It burns CPU, so it is no tokio task but a job of the workers that all streams share
//! (`pool`), which they do in turns. Between two turns it waits for audio, for the stream
//! before it, for its engine, or for its client to read, and holds no worker. What it says
//! waits for the database in [`pool::blocking`]. It ends by itself when its audio is
//! stopped or abandoned, or its recogniser fails.

use crate::clock::AudioClock;
use crate::hearing::Hearing;
use crate::hearing::admission::{Admitted, Full};
use crate::hearing::audio::{AudioError, Decoded, End, Input, Queue, StreamError, Taken};
use crate::hearing::capacity::Effort;
use crate::hearing::pool::{self, Next, Pool, Turns};
use crate::hearing::recognizer::{
    Recognition, Recognizer, RecognizerError, RecognizerStream, SAMPLE_RATE, StreamOptions,
};
use crate::hearing::results::ResultWriter;
use crate::limits::Limits;
use crate::metrics::{Metrics, OpenCount};
use crate::outbox::Room;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use symbl_protocol::{StreamFormat, reply};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// How long audio may wait for a worker before it is late.
const LAG: Duration = Duration::from_millis(500);

/// How long a stream keeps a worker if others wait, unless one call of its engine takes
/// longer.
const SLICE: Duration = Duration::from_millis(10);

/// Samples that an engine is given in one call at most: 1 s.
const PIECE: usize = SAMPLE_RATE as usize;

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
    input: mpsc::Sender<(Instant, Input)>,
    abandoned: Arc<AtomicBool>,
    waker: Waker,
    done: oneshot::Receiver<Outcome>,
    clock: AudioClock,
    format: StreamFormat,
    held: Arc<Held>,
}

/// A permit, or what else is free again when it is dropped.
type Thing = Box<dyn std::fmt::Debug + Send>;

/// What a stream holds until it ends. It may outlive its session.
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
    admitted: Mutex<Option<Admitted>>,
    /// Among the sockets.
    _socket: OwnedSemaphorePermit,
}

impl Places {
    pub(crate) fn new(hearing: Hearing, admitted: Admitted, socket: OwnedSemaphorePermit) -> Self {
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

    fn admitted(&self) -> MutexGuard<'_, Option<Admitted>> {
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
            None => *admitted = Some(self.hearing.admission.enter(engine, false)?),
        }
        Ok(self.hearing.admission.effort(engine))
    }
}

/// A stopped stream that the next one lets speak up to its end.
#[derive(Debug)]
pub(crate) struct Before {
    pub(crate) stream: Stream,
    /// It is waited for until then.
    pub(crate) until: Instant,
}

/// What a stream is started with.
pub(crate) struct Start {
    pub(crate) recognizer: Arc<dyn Recognizer>,
    pub(crate) options: StreamOptions,
    pub(crate) format: StreamFormat,
    pub(crate) results: ResultWriter,
    /// The meter of its work.
    pub(crate) effort: Effort,
    pub(crate) before: Option<Before>,
}

impl Stream {
    /// Starts a stream, whose turns the workers of `pool` do.
    pub(crate) fn start(start: Start, pool: &Pool, limits: &Limits) -> Self {
        let (input, receiver) = mpsc::channel(limits.audio_queue.max(1));
        let (tell, done) = oneshot::channel();
        let abandoned = Arc::new(AtomicBool::new(false));
        let queue = Queue::new(receiver, Arc::clone(&abandoned), start.format);
        let (clock, format) = (start.results.clock().clone(), start.format);
        let held = Arc::new(Held::default());
        let work = Work {
            stage: Stage::Beginning(Box::new(Beginning {
                start,
                queue,
                silence: limits.silence,
            })),
            tell: Some(tell),
            held: Arc::clone(&held),
        };
        let waker = pool.spawn(Box::new(work), LAG);
        Self {
            input,
            abandoned,
            waker,
            done,
            clock,
            format,
            held,
        }
    }

    /// Gives the stream something to hold until it ends.
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
        self.send(Input::Audio(bytes)).await;
    }

    async fn send(&self, input: Input) {
        // It has come now, however long the recogniser keeps it waiting at the door.
        let came = Instant::now();
        // A stream that has ended says so by itself.
        let _ = self.input.send((came, input)).await;
    }

    /// All audio that follows is in another format.
    pub(crate) async fn modify(&mut self, format: StreamFormat) {
        self.format = format;
        self.send(Input::Format(format)).await;
    }

    /// No more audio: what was heard will be said.
    pub(crate) async fn stop(&self) {
        self.send(Input::Stop).await;
    }

    /// Nothing more is wanted.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.waker.wake_by_ref();
    }

    /// Waits for the end. A stream that died without a word has failed.
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

/// The work of a stream, in turns.
struct Work {
    stage: Stage,
    /// None when the outcome was told.
    tell: Option<oneshot::Sender<Outcome>>,
    held: Arc<Held>,
}

enum Stage {
    /// Waits for the stream before this one, and is to be opened.
    Beginning(Box<Beginning>),
    Listening(Box<Listening>),
    Over,
}

struct Beginning {
    start: Start,
    queue: Queue,
    silence: Duration,
}

impl Turns for Work {
    fn turn(&mut self, waker: &Waker) -> Next {
        let outcome = match self.go_on(waker) {
            Ok(Some(next)) => return next,
            Ok(None) => Outcome::Finished,
            Err(StreamError::Silence(_)) => Outcome::Silent,
            Err(error) => Outcome::Failed(error),
        };
        self.stage = Stage::Over;
        if let Some(tell) = self.tell.take() {
            // Nobody may be interested any more.
            let _ = tell.send(outcome);
        }
        self.held.let_go();
        Next::Over
    }
}

impl Work {
    /// Does one turn. Returns nothing when all is said or nothing more is wanted.
    fn go_on(&mut self, waker: &Waker) -> Result<Option<Next>, StreamError> {
        let mut context = Context::from_waker(waker);
        loop {
            match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Beginning(beginning) if beginning.queue.is_abandoned() => return Ok(None),
                Stage::Beginning(mut beginning) => {
                    if let Some(next) = beginning.wait(&mut context) {
                        self.stage = Stage::Beginning(beginning);
                        return Ok(Some(next));
                    }
                    self.stage = Stage::Listening(Box::new(beginning.open(waker)?));
                }
                Stage::Listening(mut listening) => {
                    let next = listening.go_on(&mut context)?;
                    self.stage = Stage::Listening(listening);
                    return Ok(next);
                }
                Stage::Over => return Ok(None),
            }
        }
    }
}

impl Beginning {
    /// The stream before this one is stopped, and its results come before ours. Returns
    /// what there is to wait for, as long as there is.
    fn wait(&mut self, context: &mut Context<'_>) -> Option<Next> {
        let before = self.start.before.as_mut()?;
        let results = &self.start.results;
        match Pin::new(&mut before.stream.done).poll(context) {
            Poll::Ready(Ok(Outcome::Finished | Outcome::Silent)) => {}
            Poll::Ready(Ok(Outcome::Failed(error))) => results.own().send(failure(&error)),
            Poll::Ready(Err(_)) => results.own().send(death()),
            Poll::Pending if Instant::now() < before.until => {
                return Some(Next::Wait {
                    until: Some(before.until),
                    not_before: Instant::now(),
                });
            }
            Poll::Pending => {
                tracing::warn!("a stopped stream took too long to drain");
                before.stream.abandon();
            }
        }
        self.start.before = None;
        None
    }

    /// Opens the recogniser.
    fn open(self, waker: &Waker) -> Result<Listening, StreamError> {
        let Start {
            recognizer,
            options,
            mut results,
            effort,
            ..
        } = self.start;
        let engine = recognizer.name();
        let metrics = Arc::clone(results.metrics());
        let open = metrics.stream(engine);
        pool::blocking(|| results.listening())?;
        let mut stream = recognizer.open(&options)?;
        stream.wake_with(waker.clone());
        results.recognising();
        let now = Instant::now();
        Ok(Listening {
            recognizer,
            stream,
            results,
            queue: self.queue,
            decoded: Decoded::default(),
            taken: 0,
            end: None,
            failure: None,
            heard: Vec::new(),
            samples: 0,
            engine,
            metrics,
            _open: open,
            effort,
            last_word: Duration::ZERO,
            silence: self.silence,
            room: None,
            came: now,
            free: now,
            due: now,
        })
    }
}

/// What is told to the client whose stream failed.
pub(crate) fn failure(error: &StreamError) -> String {
    let (message, code) = match error {
        StreamError::Audio(_) => ("Audio cannot be decoded", "invalid_audio"),
        StreamError::Log(_) => ("What was said cannot be stored", "storage_failed"),
        StreamError::Superseded => ("The stream was begun again", "superseded"),
        StreamError::Over => ("Nothing more can be said", "conversation_over"),
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
    let details = "the recogniser panicked; see the log of the service";
    reply::error("Speech recognition failed", details, Some("internal"))
}

/// What is told to the client of whose audio a part is lost.
fn gap(start: Duration, end: Duration) -> String {
    let (start, end) = (start.as_secs_f64(), end.as_secs_f64());
    let details = format!("the audio from {start:.1} s to {end:.1} s of this stream is lost");
    tracing::warn!(details, "audio not recognised");
    reply::error("Audio was not recognised", &details, Some("audio_lost"))
}

/// A stream that is recognised.
struct Listening {
    recognizer: Arc<dyn Recognizer>,
    stream: Box<dyn RecognizerStream>,
    results: ResultWriter,
    queue: Queue,
    /// What was decoded; of its samples so many were heard.
    decoded: Decoded,
    taken: usize,
    /// How the audio ends behind that.
    end: Option<End>,
    /// Why it cannot be decoded any further.
    failure: Option<AudioError>,
    heard: Vec<Recognition>,
    samples: u64,
    engine: &'static str,
    metrics: Arc<Metrics>,
    _open: OpenCount,
    effort: Effort,
    /// Where in the audio something was said last.
    last_word: Duration,
    silence: Duration,
    /// Waited for while the client reads too few of its messages.
    room: Option<Room>,
    /// When the input came that is being heard.
    came: Instant,
    /// Since then nothing but the workers keeps the stream from hearing more.
    free: Instant,
    /// When the next audio would come in real time. Audio that comes faster is heard if
    /// nobody else needs the worker.
    due: Instant,
}

impl Listening {
    /// Does one turn. Returns nothing when all is said or nothing more is wanted.
    fn go_on(&mut self, context: &mut Context<'_>) -> Result<Option<Next>, StreamError> {
        let begun = Instant::now();
        let is_drained = self.taken == self.decoded.samples.len();
        if self.end != Some(End::Stopped) || !is_drained {
            self.idle()?;
        }
        loop {
            if self.taken < self.decoded.samples.len() {
                if self.queue.is_abandoned() {
                    return Ok(None);
                }
                if self.poll_room(context).is_pending() || !self.stream.is_ready() {
                    return Ok(Some(self.wait()));
                }
                self.hear()?;
            } else if let Some(failure) = self.failure.take() {
                return Err(failure.into());
            } else if let Some(end) = self.end {
                return match end {
                    End::Abandoned => Ok(None),
                    // Its client sends that audio again.
                    End::Stopped if self.queue.is_abandoned() => Ok(None),
                    End::Stopped => self.finish(),
                };
            } else if self.poll_input(context).is_pending() {
                return Ok(Some(self.wait()));
            }
            if begun.elapsed() >= SLICE {
                let since = self.came.max(self.due);
                return Ok(Some(Next::Again { since }));
            }
        }
    }

    /// Has nothing to do until something comes.
    fn wait(&self) -> Next {
        Next::Wait {
            until: self.stream.poll_by(),
            not_before: self.due,
        }
    }

    /// Takes the next input and decodes it.
    fn poll_input(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.taken = 0;
        self.decoded.samples.clear();
        let taken = match self.queue.poll_next(context, &mut self.decoded) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(taken) => taken,
        };
        match taken {
            Ok(Taken::Input(came)) => self.came = came,
            Ok(Taken::End(end)) => self.end = Some(end),
            Err(error) => self.failure = Some(error),
        }
        for error in self.decoded.complaints.drain(..) {
            let text = reply::error(
                "Audio cannot be decoded",
                &error.to_string(),
                Some("invalid_audio"),
            );
            self.results.own().send(text);
        }
        Poll::Ready(())
    }

    /// Sees that the client's queue has room for what will be said.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.room.is_none() {
            self.room = self.results.own().room();
        }
        if let Some(room) = &mut self.room {
            if room.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.room = None;
            // That was not the workers' fault.
            self.free = Instant::now();
        }
        Poll::Ready(())
    }

    /// Hears the next piece of what was decoded.
    fn hear(&mut self) -> Result<(), StreamError> {
        let rest = self.decoded.samples.get(self.taken..).unwrap_or_default();
        let samples = rest.get(..PIECE).unwrap_or(rest);
        let since = self.came.max(self.free);
        let begun = self.effort.begin(since);
        let result = self.stream.push(samples, &mut self.heard);
        let told = (self.stream.behind(), self.recognizer.capacity());
        self.effort.end(&begun, samples.len(), &self.heard, told);
        self.free = Instant::now();
        self.taken += samples.len();
        self.samples += samples.len() as u64;
        let length = Duration::from_secs(samples.len() as u64) / SAMPLE_RATE;
        self.due = self.came.max(self.due) + length;
        self.metrics.audio(self.engine, length);
        let now = self.now();
        self.speak_at(now)?;
        result?;
        if now.saturating_sub(self.last_word) > self.silence {
            return Err(StreamError::Silence(self.silence.as_secs()));
        }
        Ok(())
    }

    /// Takes what the engine says without audio.
    fn idle(&mut self) -> Result<(), StreamError> {
        let result = self.stream.poll(&mut self.heard);
        let behind = self.stream.behind();
        if !behind.is_zero() {
            self.effort.behind(behind);
        }
        self.speak_at(self.now())?;
        Ok(result?)
    }

    /// Says what is owed by now; what was heard before a failure is said all the same.
    fn finish(&mut self) -> Result<Option<Next>, StreamError> {
        let begun = self.effort.begin(Instant::now());
        let result = self.stream.poll_finish(&mut self.heard);
        let told = (Duration::ZERO, self.recognizer.capacity());
        self.effort.end(&begun, 0, &self.heard, told);
        self.results.heard_again(Duration::MAX);
        self.speak()?;
        Ok(match result? {
            Poll::Ready(()) => None,
            Poll::Pending => Some(self.wait()),
        })
    }

    fn speak(&mut self) -> Result<(), StreamError> {
        for recognition in self.heard.drain(..) {
            match recognition {
                Recognition::Interim { words, .. } => self.results.interim(&words),
                Recognition::Final { words, punctuated } => {
                    // It waits for the database.
                    pool::blocking(|| self.results.utterance(&words, punctuated))?;
                }
                Recognition::Gap { start, end } => self.results.own().send(gap(start, end)),
            }
        }
        Ok(())
    }

    /// Speaks what was heard in the audio up to `now`.
    fn speak_at(&mut self, now: Duration) -> Result<(), StreamError> {
        self.results.heard_again(now);
        if self.heard.is_empty() {
            return Ok(());
        }
        self.last_word = now;
        self.speak()
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.samples * 1000 / u64::from(SAMPLE_RATE))
    }
}

#[cfg(test)]
mod tests;
