// SPDX-License-Identifier: MPL-2.0

//! The stream of one `start_request`: decodes its audio, recognises it and writes the
//! results.
//!
//! It computes, so it is no tokio task but a job of the workers that all streams share
//! (`pool`). Between two turns it waits for audio, for the stream before it, for its engine
//! or for its client to read, and holds no worker. Its results wait for the database in
//! [`pool::blocking`]. It ends when its audio was stopped or abandoned, or when its
//! recogniser fails.

use crate::clock::AudioClock;
use crate::conversation::quota::Place;
use crate::hearing::Hearing;
use crate::hearing::admission::{Admitted, Demand, Full};
use crate::hearing::audio::{AudioError, Decoded, End, Input, Queue, StreamError, Taken};
use crate::hearing::capacity::{Capacity, Effort};
use crate::hearing::pool::{self, Next, Pool, Turns};
use crate::hearing::recognizer::{
    Recognition, Recognizer, RecognizerError, RecognizerStream, SAMPLE_RATE, StreamOptions,
};
use crate::hearing::results::ResultWriter;
use crate::limits::Limits;
use crate::metrics::{Metrics, OpenCount, Recognised};
use crate::outbox::Room;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use symbl_protocol::{StreamFormat, reply};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// How long audio may wait for a worker until its turn is due.
const LAG: Duration = Duration::from_millis(500);

/// The same for a recording, which no client waits for: it comes after all that is live.
pub(crate) const BULK_LAG: Duration = Duration::from_secs(86_400);

/// How long a turn lasts, unless one call of the engine takes longer.
const SLICE: Duration = Duration::from_millis(10);

/// Most samples that an engine is given in one call: 1 s.
const PIECE: usize = SAMPLE_RATE as usize;

/// The same for a recording, whose calls must not keep live streams waiting: 100 ms.
const BULK_PIECE: usize = PIECE / 10;

/// Longer than an utterance goes on before it is told, without interims.
const LONGEST_UTTERANCE: Duration = Duration::from_secs(30);

/// How a stream ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// All results were sent, or they are not wanted any more.
    Finished,
    /// The stream could not go on.
    Failed(StreamError),
    /// No word came for too long.
    Silent,
}

/// The handle of a running stream, for its speaker's socket.
#[derive(Debug)]
pub(crate) struct Stream {
    input: mpsc::Sender<(Instant, Input)>,
    abandoned: Arc<AtomicBool>,
    waker: Waker,
    done: oneshot::Receiver<Outcome>,
    clock: AudioClock,
    format: StreamFormat,
    held: Arc<Held>,
    rest: Arc<AtomicBool>,
}

/// A permit or another value that frees something when it is dropped.
type Thing = Box<dyn std::fmt::Debug + Send>;

/// What a stream holds until it ends. A stream may outlive its socket.
#[derive(Debug, Default)]
struct Held {
    things: Mutex<Vec<Thing>>,
}

/// The places that a socket takes. They are freed when the socket is closed and all
/// streams have ended that found no place among the streams that may drain.
#[derive(Debug)]
pub(crate) struct Places {
    hearing: Hearing,
    /// The reservation for its stream. `None` while the socket has given it back.
    admitted: Mutex<Option<Admitted>>,
    /// The place among the sockets, and among those of its account.
    _socket: (Option<OwnedSemaphorePermit>, Option<Place>),
}

impl Places {
    pub(crate) fn new(
        hearing: Hearing,
        admitted: Admitted,
        socket: (Option<OwnedSemaphorePermit>, Option<Place>),
    ) -> Self {
        Self {
            hearing,
            admitted: Mutex::new(Some(admitted)),
            _socket: socket,
        }
    }

    /// Returns the engines, the admission and the workers.
    pub(crate) fn hearing(&self) -> &Hearing {
        &self.hearing
    }

    fn admitted(&self) -> MutexGuard<'_, Option<Admitted>> {
        self.admitted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns `true` while the socket has a reservation for its stream.
    pub(crate) fn is_admitted(&self) -> bool {
        self.admitted().is_some()
    }

    /// Gives the reservation back, because another socket may need it.
    pub(crate) fn give_back(&self) {
        *self.admitted() = None;
    }

    /// Reserves for a stream. A socket that has given its reservation back
    /// is treated like a new one. Returns the meter of the stream's work.
    ///
    /// # Errors
    ///
    /// The stream is not admitted.
    pub(crate) fn admit(&self, demand: Demand) -> Result<Effort, Full> {
        let mut admitted = self.admitted();
        match &mut *admitted {
            Some(place) => place.choose(demand)?,
            None => *admitted = Some(self.hearing.admission.enter(demand, false)?),
        }
        Ok(self.hearing.admission.effort(demand))
    }
}

/// A stopped stream whose last results come before the results of the next one.
#[derive(Debug)]
pub(crate) struct Before {
    pub(crate) stream: Stream,
    /// The next stream waits for it until then.
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
    /// Starts a stream as a job of `pool`.
    pub(crate) fn start(start: Start, pool: &Pool, limits: &Limits) -> Self {
        let (input, receiver) = mpsc::channel(limits.audio_queue.max(1));
        let (tell, done) = oneshot::channel();
        let abandoned = Arc::new(AtomicBool::new(false));
        let queue = Queue::new(receiver, Arc::clone(&abandoned), start.format);
        let (clock, format) = (start.results.clock().clone(), start.format);
        let bulk = start.options.bulk;
        let held = Arc::new(Held::default());
        let rest = Arc::new(AtomicBool::new(false));
        let work = Work {
            stage: Stage::Beginning(Box::new(Beginning {
                start,
                queue,
                silence: limits.silence,
            })),
            tell: Some(tell),
            held: Arc::clone(&held),
            rest: Arc::clone(&rest),
        };
        let lag = if bulk { BULK_LAG } else { LAG };
        let waker = pool.spawn(Box::new(work), lag);
        Self {
            input,
            abandoned,
            waker,
            done,
            clock,
            format,
            held,
            rest,
        }
    }

    /// Returns what is `true` while all that was said in the stream is final.
    pub(crate) fn rest(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.rest)
    }

    /// Lets the stream hold `thing` until it ends.
    pub(crate) fn hold(&self, thing: impl std::fmt::Debug + Send + 'static) {
        self.held.things().push(Box::new(thing));
    }

    /// Returns the format of the audio that comes next.
    pub(crate) fn format(&self) -> StreamFormat {
        self.format
    }

    /// Passes audio on. Waits while too much audio waits already.
    pub(crate) async fn audio(&self, bytes: bytes::Bytes) {
        self.clock.start();
        self.send(Input::Audio(bytes)).await;
    }

    async fn send(&self, input: Input) {
        // The audio counts as come now, however long it waits for the queue.
        let came = Instant::now();
        // A stream that has ended sends its outcome, so this error is left out.
        let _ = self.input.send((came, input)).await;
    }

    /// Changes the format of all audio that follows.
    pub(crate) async fn modify(&mut self, format: StreamFormat) {
        self.format = format;
        self.send(Input::Format(format)).await;
    }

    /// Stops the stream. Its last results will come.
    pub(crate) async fn stop(&self) {
        self.send(Input::Stop).await;
    }

    /// Ends the stream as soon as possible, without its last results.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.waker.wake_by_ref();
    }

    /// Returns how the stream has ended, if it has; `None` within if its job panicked.
    pub(crate) fn ended(&mut self) -> Option<Option<Outcome>> {
        use oneshot::error::TryRecvError;
        match self.done.try_recv() {
            Ok(outcome) => Some(Some(outcome)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Closed) => Some(None),
        }
    }

    /// Waits for the end of the stream. Returns `None` if its job panicked.
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

/// The job of a stream.
struct Work {
    stage: Stage,
    /// `None` once the outcome was sent.
    tell: Option<oneshot::Sender<Outcome>>,
    held: Arc<Held>,
    rest: Arc<AtomicBool>,
}

enum Stage {
    /// The stream waits for the stream before it, and is not opened yet.
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
        // Before the client is told what it hears now.
        self.rest.store(false, Ordering::Release);
        let outcome = match self.go_on(waker) {
            Ok(Some(next)) => {
                let rests = matches!(&self.stage, Stage::Listening(listening) if listening.rests());
                self.rest.store(rests, Ordering::Release);
                return next;
            }
            Ok(None) => Outcome::Finished,
            Err(StreamError::Silence(_)) => Outcome::Silent,
            Err(error) => Outcome::Failed(error),
        };
        self.stage = Stage::Over;
        if let Some(tell) = self.tell.take() {
            // The handle may have been dropped.
            let _ = tell.send(outcome);
        }
        self.rest.store(true, Ordering::Release);
        self.held.let_go();
        Next::Over
    }
}

impl Work {
    /// Runs one turn. Returns `None` when the stream has ended.
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
    /// Waits for the last results of the stream before this one. Returns what to wait
    /// for, or `None` if that stream has ended or its time is over.
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
                before.stream.abandon();
                results.own().send(undrained());
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
            call: Call::since(now, Duration::ZERO),
            is_open: false,
            interim: options.interim,
            samples: 0,
            engine,
            metrics,
            _open: open,
            effort,
            last_word: Duration::ZERO,
            silence: self.silence,
            piece: if options.bulk { BULK_PIECE } else { PIECE },
            room: None,
            came: now,
            free: now,
            due: now,
        })
    }
}

/// Returns the message to the client whose stream failed, and logs the failure.
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

/// Returns the message to the client whose stream ended without an outcome.
pub(crate) fn death() -> String {
    let details = "the recogniser panicked; see the log of the service";
    reply::error("Speech recognition failed", details, Some("internal"))
}

/// Returns the message to the client whose stopped stream was abandoned, and logs that.
pub(crate) fn undrained() -> String {
    tracing::warn!("a stopped stream took too long to drain");
    let details = "the last results took longer than --max-drain-time allows; the audio behind the \
                   last final has to be sent again";
    reply::error("Not all audio was recognised", details, Some("not_drained"))
}

/// Returns the message to the client about a lost part of its audio, and logs the loss.
fn gap(start: Duration, end: Duration) -> String {
    let (start, end) = (start.as_secs_f64(), end.as_secs_f64());
    let details = format!("the audio from {start:.1} s to {end:.1} s of this stream is lost");
    tracing::warn!(details, "audio not recognised");
    reply::error("Audio was not recognised", &details, Some("audio_lost"))
}

/// A call of the engine.
#[derive(Clone, Copy)]
struct Call {
    /// How long the audio of it had waited for a worker.
    waited: Duration,
    begun: Instant,
    done: Instant,
}

impl Call {
    /// Returns the call that began at `begun` and ends now.
    fn since(begun: Instant, waited: Duration) -> Self {
        let done = Instant::now();
        Self {
            waited,
            begun,
            done,
        }
    }
}

/// A stream that is recognised.
struct Listening {
    recognizer: Arc<dyn Recognizer>,
    stream: Box<dyn RecognizerStream>,
    results: ResultWriter,
    queue: Queue,
    /// The audio of the last input.
    decoded: Decoded,
    /// How many of its samples the engine was given.
    taken: usize,
    /// How the audio ends after `decoded`, once it ends.
    end: Option<End>,
    /// Why the audio cannot be decoded after `decoded`.
    failure: Option<AudioError>,
    heard: Vec<Recognition>,
    /// The last call of the engine.
    call: Call,
    /// `true` while an interim waits for its final.
    is_open: bool,
    /// `true` if the client wants interims.
    interim: bool,
    samples: u64,
    engine: &'static str,
    metrics: Arc<Metrics>,
    _open: OpenCount,
    effort: Effort,
    /// The time in the audio of the last result.
    last_word: Duration,
    silence: Duration,
    /// Most samples that the engine is given in one call.
    piece: usize,
    /// Set while the client reads its messages too slowly.
    room: Option<Room>,
    /// When the input came that is in `decoded`.
    came: Instant,
    /// The time since which the stream waits for nothing but a worker.
    free: Instant,
    /// When the next audio would come in real time. Audio that comes faster waits until
    /// no other stream needs the worker.
    due: Instant,
}

impl Listening {
    /// Runs one turn. Returns `None` when all results were sent or none are wanted.
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
                    // The client has gone and will send that audio again.
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

    /// Returns `true` if all that was said so far is final. Audio that came and was not heard
    /// yet may have speech in it.
    fn rests(&self) -> bool {
        let is_heard = self.taken == self.decoded.samples.len() && self.queue.is_empty();
        is_heard
            && self.end.is_none()
            && self.stream.is_resting(self.now()).unwrap_or(!self.is_open)
    }

    /// Returns that the stream waits for audio or its engine.
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

    /// Waits until the client's outbox has room for more messages.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.room.is_none() {
            self.room = self.results.own().room();
        }
        if let Some(room) = &mut self.room {
            if room.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.room = None;
            // The time until now was not spent waiting for a worker.
            self.free = Instant::now();
        }
        Poll::Ready(())
    }

    /// Gives the engine the next piece of the decoded audio.
    fn hear(&mut self) -> Result<(), StreamError> {
        let rest = self.decoded.samples.get(self.taken..).unwrap_or_default();
        let samples = rest.get(..self.piece).unwrap_or(rest);
        let since = self.came.max(self.free);
        let begun = self.effort.begin(since);
        let called = Instant::now();
        // Audio that comes faster than it is spoken does not wait for a worker.
        let queue = called.saturating_duration_since(since.max(self.due));
        let result = self.stream.push(samples, &mut self.heard);
        self.call = Call::since(called, queue);
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
        self.progressed()?;
        // Without interims an utterance is told at its end only.
        let bound = match self.interim {
            true => self.silence,
            false => self.silence.saturating_add(LONGEST_UTTERANCE),
        };
        if now.saturating_sub(self.last_word) > bound {
            return Err(StreamError::Silence(self.silence.as_secs()));
        }
        Ok(())
    }

    /// Takes results that the engine has without new audio.
    fn idle(&mut self) -> Result<(), StreamError> {
        let called = Instant::now();
        let result = self.stream.poll(&mut self.heard);
        self.call = Call::since(called, Duration::ZERO);
        let behind = self.stream.behind();
        if !behind.is_zero() {
            self.effort.behind(behind);
        }
        self.speak_at(self.now())?;
        result?;
        self.progressed()?;
        Ok(())
    }

    /// Tells the client how far the recognition has come, if that is due. All results so far
    /// have been sent.
    fn progressed(&mut self) -> Result<(), StreamError> {
        let settled = self.stream.settled();
        if let Some(settled) = settled {
            self.results.progressed(settled, self.now());
        }
        // The finals of an engine that does not tell wait for no other channel.
        self.settled(settled.unwrap_or_else(|| self.now()))
    }

    /// Lets finals be written that have waited for this channel of a recording.
    fn settled(&self, time: Duration) -> Result<(), StreamError> {
        match self.results.is_ordered() {
            true => pool::blocking(|| self.results.settled(time)),
            false => Ok(()),
        }
    }

    /// Takes and sends the last results. Results that came before a failure are sent too.
    fn finish(&mut self) -> Result<Option<Next>, StreamError> {
        let called = Instant::now();
        let begun = self.effort.begin(called);
        let result = self.stream.poll_finish(&mut self.heard);
        self.call = Call::since(called, Duration::ZERO);
        let told = (Duration::ZERO, self.recognizer.capacity());
        self.effort.end(&begun, 0, &self.heard, told);
        self.results.heard_again(Duration::MAX);
        self.speak()?;
        Ok(match result? {
            Poll::Ready(()) => {
                // No final is left, so all of the audio is settled.
                if self.stream.settled().is_some() {
                    self.results.ended(self.now());
                }
                self.settled(Duration::MAX)?;
                pool::blocking(|| self.results.all_sent())?;
                self.results.counted();
                None
            }
            Poll::Pending => {
                self.progressed()?;
                Some(self.wait())
            }
        })
    }

    /// Returns the way of the results of the engine's last call.
    fn recognised(&self) -> Recognised {
        let Call {
            waited,
            begun,
            done,
        } = self.call;
        let before = |at: Instant| at.checked_sub(waited).unwrap_or(at);
        match self.stream.worked() {
            Some(worked) => Recognised {
                heard: worked.heard,
                queued: before(worked.queued),
                begun: worked.begun,
                decoded: Some(worked.done),
            },
            None => Recognised {
                heard: self.now(),
                queued: before(begun),
                begun,
                decoded: (self.recognizer.capacity() != Capacity::Elsewhere).then_some(done),
            },
        }
    }

    fn speak(&mut self) -> Result<(), StreamError> {
        let recognised = self.recognised();
        for recognition in self.heard.drain(..) {
            match recognition {
                Recognition::Interim { words, stable } => {
                    self.is_open = true;
                    // Some engines have them whether they are wanted or not.
                    if self.interim {
                        self.results.interim(&words, stable);
                    }
                }
                Recognition::Final { words, punctuated } => {
                    self.is_open = false;
                    pool::blocking(|| self.results.utterance(&words, punctuated, recognised))?;
                }
                Recognition::Gap { start, end } => self.results.own().send(gap(start, end)),
            }
        }
        Ok(())
    }

    /// Sends the results about the audio up to `now`.
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
