// SPDX-License-Identifier: MPL-2.0

//! A session and the task that drives it, as the streaming thread and the
//! application's threads use it.
//!
//! A mutex protects the session. It is held for a few function calls, never across an
//! await, a post or a call into the network. Another mutex protects the socket and
//! the task's timer, and only calls that do not wait are made under it. With it the
//! streaming thread writes a chunk itself while the task has nothing to do, which
//! saves the wake-up of another thread.
//!
//! Lock order: the socket's mutex, then the session's. A thread that holds the
//! session's may only try to lock the socket's. The endpoint's is not taken while one
//! of them is held.

use super::bell::Bell;
use super::driver;
use super::endpoint::{Endpoint, TokenSource};
use super::link::{self, Link};
use super::runtime;
use super::secret::Secret;
use super::timer::Timer;
use crate::session::{
    Audio, AudioFormat, Event, Failure, Instants, Position, Session, Speaker, State, Stats, Time,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError, Weak, mpsc};
use std::time::{Duration, Instant};

/// Maximum time that [`Connection::close`] waits for the task to end.
const CLOSE_BOUND: Duration = Duration::from_millis(300);

/// Receives the events of a session. The task calls it in order, with no lock held. A
/// call may block without harm to other sinks.
pub trait Host: Send + Sync + 'static {
    /// Handles an event.
    fn event(&self, event: Event);

    /// Returns the token to use, if the application provides it itself. Called at
    /// each dial, on a thread where it may block.
    fn request_token(&self) -> Option<Secret> {
        None
    }
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// The condition is met.
    Done,
    /// [`Connection::interrupt`] was called.
    Interrupted,
}

/// The result of [`Connection::push_timed`].
#[derive(Debug, Clone, Copy)]
pub struct Pushed {
    /// `true` if there is room for more: see [`Session::has_room`].
    pub has_room: bool,
    /// `true` if no timestamp is needed soon: see [`Session::is_settled_in_time`].
    pub is_settled: bool,
}

/// The state that the task and the application's threads share.
pub(super) struct Locked {
    pub(super) session: Session,
    /// `true` while an event that was taken from the session is being delivered.
    pub(super) telling: bool,
    /// `true` while the streaming thread waits for a change.
    pub(super) waiting: bool,
    /// How often the waits of the streaming thread were interrupted.
    interruptions: u64,
    /// The sleep of the task, from when it has nothing to do until another thread has
    /// work for it or it polls again.
    pub(super) sleep: Option<Sleep>,
}

/// The sleep of a task that has nothing to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sleep {
    /// When it wakes up by itself.
    pub(super) until: Option<Time>,
    /// `true` if the session could have sent frames when the sleep began; `false` if
    /// a full socket waits for the network.
    pub(super) writable: bool,
}

impl Locked {
    /// Ends the sleep of the task if there is work for it, or if it would sleep
    /// beyond `due`. Returns `true` if the caller has to wake it.
    fn ends_sleep(&mut self, due: Option<Time>) -> bool {
        let wakes = self.sleep.is_some_and(|sleep| {
            self.session.needs_poll(sleep.writable)
                || due.is_some_and(|due| sleep.until.is_none_or(|until| due < until))
        });
        if wakes {
            self.sleep = None;
        }
        wakes
    }

    /// Returns `true` if the thread that brought the work should send it itself.
    /// Audio that comes faster than real time is left to the task, which sends more
    /// of it at a time.
    fn sends_at_once(&self) -> bool {
        self.session.is_paced()
            && self.session.needs_poll(true)
            && self.sleep.is_some_and(|sleep| sleep.writable)
    }
}

/// What the task waits for. The streaming thread uses it while the task sleeps.
#[derive(Default)]
pub(super) struct SocketAndTimer {
    /// The socket, while there is one.
    pub(super) link: Option<Link>,
    pub(super) timer: Timer,
}

/// The state that both sides hold.
pub(super) struct Shared {
    pub(super) locked: Mutex<Locked>,
    pub(super) changed: Condvar,
    pub(super) bell: Bell,
    line: Mutex<SocketAndTimer>,
    pub(super) closing: AtomicBool,
    /// See [`Connection::has_failed`].
    pub(super) failed: AtomicBool,
    pub(super) epoch: Instant,
    endpoint: Mutex<Endpoint>,
    /// Held while the application is asked for a token.
    pub(super) asking: Arc<tokio::sync::Mutex<()>>,
}

impl Shared {
    pub(super) fn new(session: Session, endpoint: Endpoint) -> Self {
        Self {
            locked: Mutex::new(Locked {
                session,
                telling: false,
                waiting: false,
                interruptions: 0,
                sleep: None,
            }),
            changed: Condvar::new(),
            bell: Bell::default(),
            line: Mutex::default(),
            closing: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            epoch: Instant::now(),
            endpoint: Mutex::new(endpoint),
            asking: Arc::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Locked> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn line(&self) -> MutexGuard<'_, SocketAndTimer> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what the session has, in place of the sleeping task, if the socket takes
    /// it at once. Returns `true` if the task can stay asleep.
    fn send_at_once(&self, locked: MutexGuard<'_, Locked>, now: Time) -> bool {
        let mut line = match self.line.try_lock() {
            Ok(line) => line,
            Err(TryLockError::Poisoned(line)) => line.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let SocketAndTimer { link, timer } = &mut *line;
        let Some(link) = link else {
            return false;
        };
        let mut held = Some(locked);
        while link.is_writable() {
            let mut locked = held.take().unwrap_or_else(|| self.lock());
            let output = locked.session.poll_frame(now);
            drop(locked);
            match output.map(link::frame) {
                Some(Ok(frame)) => link.send(frame),
                Some(Err(_)) => return false, // only frames come from `poll_frame`
                None => break,
            }
        }
        drop(held);
        if !link.try_flush() {
            return false;
        }
        let mut locked = self.lock();
        let until = locked.session.next_timeout();
        if locked.ends_sleep(until) {
            return false;
        }
        // At an even pace this moves the timer each time before it fires.
        if let (Some(sleep), Some(until)) = (&mut locked.sleep, until) {
            sleep.until = Some(until);
            drop(locked);
            timer.extend(self.epoch + until);
        }
        true
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        self.endpoint
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn now(&self) -> Time {
        self.epoch.elapsed()
    }
}

/// A session and the task that drives it. Dropping it stops the task.
pub struct Connection {
    shared: Arc<Shared>,
    task: tokio::task::AbortHandle,
    ended: Mutex<mpsc::Receiver<()>>,
}

impl Connection {
    /// Starts the task. The session dials at once.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime could not be started.
    pub fn open(
        session: Session,
        endpoint: Endpoint,
        host: Weak<dyn Host>,
    ) -> Result<Self, Failure> {
        let runtime = runtime::runtime()?;
        let shared = Arc::new(Shared::new(session, endpoint));
        shared.lock().session.start(Time::ZERO);
        let (end, ended) = mpsc::sync_channel(1);
        let task = runtime.spawn({
            let shared = Arc::clone(&shared);
            async move {
                let _end = end; // dropped when the task ends, however it ends
                driver::drive(shared, host).await;
            }
        });
        Ok(Self {
            shared,
            task: task.abort_handle(),
            ended: Mutex::new(ended),
        })
    }

    /// Runs `f` on the session. Then sends what there is to send, or wakes the task
    /// for it.
    fn with<R>(&self, f: impl FnOnce(&mut Session, Time) -> R) -> R {
        let now = self.shared.now();
        let mut locked = self.shared.lock();
        let result = f(&mut locked.session, now);
        let failed = locked.session.has_failed();
        self.shared.failed.store(failed, Ordering::Release);
        let closing = self.shared.closing.load(Ordering::Acquire);
        let wakes = if !closing && locked.sends_at_once() {
            !self.shared.send_at_once(locked, now)
        } else {
            let due = locked.session.chunk_deadline();
            let wakes = locked.ends_sleep(due);
            drop(locked);
            wakes
        };
        if wakes {
            self.shared.bell.ring();
        }
        result
    }

    /// Runs `f` for a change of the stream, and always wakes the task: there are new
    /// deadlines, and no audio comes that would wake it.
    fn turn(&self, f: impl FnOnce(&mut Session, Time)) {
        self.with(f);
        self.shared.bell.ring();
    }

    /// Tells the session how audio comes in: see [`Session::set_upstream`].
    pub fn set_upstream(&self, live: bool, paced: bool) {
        self.with(|session, _| session.set_upstream(live, paced));
    }

    /// Sets the format of the audio that follows: see [`Session::set_format`].
    pub fn set_format(&self, format: AudioFormat) {
        self.with(|session, now| session.set_format(now, format));
    }

    /// Sets the speaker of the audio that follows: see [`Session::set_speaker`].
    pub fn set_speaker(&self, speaker: Speaker) {
        self.with(|session, now| session.set_speaker(now, speaker));
    }

    /// Pushes audio that follows the audio before it. Returns `true` if there is room
    /// for more: see [`Session::push_audio`] and [`Session::has_room`].
    pub fn push_audio(&self, audio: &Audio<'_>) -> bool {
        self.with(|session, now| {
            session.push_audio(now, audio);
            session.has_room()
        })
    }

    /// Pushes audio whose times decide where it is placed, after a discontinuity if
    /// `discont` is `true`. `utc` returns the UTC of a running time in nanoseconds.
    /// It is called only if the session needs it: see [`Session::wants_wall_clock`].
    pub fn push_timed(
        &self,
        audio: &Audio<'_>,
        discont: bool,
        utc: impl FnOnce(Option<u64>) -> Option<i64>,
    ) -> Pushed {
        let now = self.shared.now();
        let running_time = {
            let mut locked = self.shared.lock();
            if discont {
                locked.session.discontinuity();
            }
            let session = &locked.session;
            session.wants_wall_clock(now).then(|| {
                let running_time = audio.instants.running_time;
                running_time.or(session.expected_running_time())
            })
        };
        let audio = Audio {
            instants: Instants {
                utc: running_time.and_then(utc),
                ..audio.instants
            },
            ..*audio
        };
        self.with(|session, now| {
            session.push_audio(now, &audio);
            Pushed {
                has_room: session.has_room(),
                is_settled: session.is_settled_in_time(),
            }
        })
    }

    /// Pushes a time without audio: see [`Session::push_gap`].
    pub fn push_gap(&self, instants: Instants, duration: u64, speed: f64) {
        self.with(|session, now| session.push_gap(now, instants, duration, speed));
    }

    /// Notes that the pipeline has another base time: see [`Session::move_running_time`].
    pub fn move_running_time(&self) {
        self.with(|session, _| session.move_running_time());
    }

    /// Drops the audio of a flushed timeline: see [`Session::flush`].
    pub fn flush(&self) {
        self.with(|session, now| session.flush(now));
    }

    /// Pauses the stream: see [`Session::pause`].
    pub fn pause(&self) {
        self.turn(|session, now| session.pause(now));
    }

    /// Resumes the stream after a pause: see [`Session::resume`].
    pub fn resume(&self) {
        self.turn(|session, now| session.resume(now));
    }

    /// Ends the stream: see [`Session::end_of_stream`].
    pub fn end_of_stream(&self) {
        self.turn(|session, now| session.end_of_stream(now));
    }

    /// Sets the token for the next dials. A session that failed because of a token
    /// dials at once.
    pub fn set_token(&self, token: TokenSource) {
        self.shared
            .endpoint
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .token = token;
        self.with(|session, now| session.token_changed(now));
    }

    /// Returns the state that was reported last.
    pub fn state(&self) -> State {
        self.shared.lock().session.state()
    }

    /// Returns `true` if the session has failed for good. Takes no lock.
    pub fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Acquire)
    }

    /// Returns `true` if the session has much room: see [`Session::has_much_room`].
    pub fn has_much_room(&self) -> bool {
        self.shared.lock().session.has_much_room()
    }

    /// Returns `true` if the session has room: see [`Session::has_room`].
    pub fn has_room(&self) -> bool {
        self.shared.lock().session.has_room()
    }

    /// Returns the current counters.
    pub fn stats(&self) -> Stats {
        self.shared.lock().session.stats(self.shared.now())
    }

    /// Returns the end of the audio that was pushed: see [`Session::pushed`].
    pub fn pushed(&self) -> (Position, Option<u64>) {
        self.shared.lock().session.pushed()
    }

    /// Returns the end of the audio that was sent: see [`Session::sent`].
    pub fn sent(&self) -> (Position, Option<u64>) {
        self.shared.lock().session.sent()
    }

    /// Returns how often waits have been interrupted: see [`Connection::interrupt`].
    pub fn interruptions(&self) -> u64 {
        self.shared.lock().interruptions
    }

    /// Waits until the session takes more audio or has failed, or until an
    /// interruption after the first `known` ones.
    pub fn wait_for_room(&self, known: u64) -> Waited {
        self.wait(known, |locked| locked.session.has_room())
    }

    /// Waits until the end of the stream is reached and all events are delivered, or
    /// until an interruption after the first `known` ones. The session's drain
    /// timeout bounds the wait.
    pub fn wait_until_settled(&self, known: u64) -> Waited {
        self.wait(known, |locked| {
            locked.session.is_settled() && !locked.telling
        })
    }

    fn wait(&self, known: u64, ready: impl Fn(&Locked) -> bool) -> Waited {
        let mut locked = self.shared.lock();
        loop {
            locked.waiting = false;
            if ready(&locked) {
                return Waited::Done;
            }
            if locked.interruptions != known {
                return Waited::Interrupted;
            }
            locked.waiting = true;
            locked = self
                .shared
                .changed
                .wait(locked)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends the waits that have begun, and those that are about to begin with the
    /// previous number of interruptions.
    pub fn interrupt(&self) {
        self.shared.lock().interruptions += 1;
        self.shared.changed.notify_all();
    }

    /// Closes the connection: asks the service to stop if a session runs, sends a
    /// close frame and ends the task. Returns within a third of a second, whatever
    /// the network does. No event is delivered afterwards.
    pub fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.bell.ring();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(CLOSE_BOUND) == Err(mpsc::RecvTimeoutError::Timeout) {
            self.task.abort();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
pub(super) mod tests;
