// SPDX-License-Identifier: MPL-2.0

//! The threads that decode, shared by all streams.

use super::queue::{Queue, Ticket};
use crate::hearing::recognizer::bell::Bell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The priority of those threads: a thirtieth of that of the others, where both want a core.
#[cfg(target_os = "linux")]
const LOWEST: i32 = 15;

/// Something to compute.
type Job = Box<dyn FnOnce() + Send>;

/// The threads. They end when the last clone is dropped or [`Workers::close`] was called.
#[derive(Clone)]
pub(super) struct Workers(Arc<Owner>);

struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    queue: Queue<Job>,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        // Dropped behind the lock: a job holds the end of its stream's slot.
        let jobs = state.queue.drain();
        drop(state);
        drop(jobs);
        self.work.notify_all();
    }

    fn work(&self) {
        loop {
            let mut state = self.lock();
            let job = loop {
                if state.closed {
                    return;
                }
                if let Some(job) = state.queue.take(Instant::now()) {
                    break job;
                }
                state = self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            };
            drop(state);
            // A job that panics has not filled its slot: its stream fails, no other does.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }
}

impl Workers {
    /// Starts `count` threads.
    ///
    /// # Errors
    ///
    /// The system has no thread left.
    pub(super) fn start(count: usize) -> std::io::Result<Self> {
        Self::start_with(count, "whisper", || {})
    }

    /// Starts threads that run when no other thread wants the processor.
    ///
    /// # Errors
    ///
    /// The system has no thread left.
    pub(super) fn start_nice(count: usize) -> std::io::Result<Self> {
        Self::start_with(count, "whisper-bulk", || {
            // On Linux each thread has a priority of its own.
            #[cfg(target_os = "linux")]
            if let Err(error) =
                rustix::process::setpriority_process(Some(rustix::thread::gettid()), LOWEST)
            {
                tracing::warn!(%error, "jobs are recognised at the priority of live streams");
            }
        })
    }

    fn start_with(count: usize, name: &str, begin: fn()) -> std::io::Result<Self> {
        let workers = Self(Arc::new(Owner(Arc::default())));
        for number in 0..count.max(1) {
            let shared = Arc::clone(&workers.0.0);
            std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || {
                    begin();
                    shared.work();
                })?;
        }
        Ok(workers)
    }

    /// Queues a job that decodes a final by `deadline`, if the workers keep up. The slot of
    /// a job that is dropped before it begins is lost, see [`Slot::take`].
    pub(super) fn final_by(&self, deadline: Instant, job: Job) -> Ticket {
        self.push(Queue::push_final, deadline, job)
    }

    /// Queues a job that takes a look, which has been due since `due`.
    pub(super) fn look(&self, due: Instant, job: Job) -> Ticket {
        self.push(Queue::push_look, due, job)
    }

    fn push(
        &self,
        push: fn(&mut Queue<Job>, Instant, Job) -> Ticket,
        time: Instant,
        job: Job,
    ) -> Ticket {
        let mut state = self.0.0.lock();
        if state.closed {
            drop(state);
            // The job goes with this queue, and its slot is lost.
            return push(&mut Queue::default(), time, job);
        }
        let ticket = push(&mut state.queue, time, job);
        drop(state);
        self.0.0.work.notify_one();
        ticket
    }

    /// Takes back a job that no thread has begun. Returns `true` if there was one.
    pub(super) fn take_back(&self, ticket: Ticket) -> bool {
        let job = self.0.0.lock().queue.remove(ticket);
        job.is_some()
    }

    /// Returns `true` once [`Workers::close`] was called.
    pub(super) fn is_closed(&self) -> bool {
        self.0.0.lock().closed
    }

    /// Returns how many jobs no thread has begun.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.0.0.lock().queue.len()
    }

    /// Lets the only thread wait until what this returns is dropped.
    #[cfg(test)]
    pub(super) fn occupied(&self) -> std::sync::mpsc::Sender<()> {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (begins, begun) = std::sync::mpsc::channel();
        let job = Box::new(move || {
            let _ = begins.send(());
            let _ = released.recv_timeout(std::time::Duration::from_secs(60));
        });
        self.final_by(Instant::now(), job);
        let begun = begun.recv_timeout(std::time::Duration::from_secs(60));
        begun.expect("it has begun");
        release
    }

    /// Ends the threads after what they do now. Does not wait.
    pub(super) fn close(&self) {
        self.0.0.close();
    }
}

/// Where the result of a job appears.
#[derive(Debug)]
pub(super) struct Slot<T>(Arc<SlotShared<T>>);

/// The job's end of a [`Slot`]. Dropped unfilled, the result is lost.
#[derive(Debug)]
pub(super) struct Filler<T> {
    shared: Arc<SlotShared<T>>,
    bell: Arc<Bell>,
    is_filled: bool,
}

#[derive(Debug)]
struct SlotShared<T>(Mutex<SlotState<T>>);

#[derive(Debug)]
enum SlotState<T> {
    Empty,
    Filled(T),
    Lost,
}

/// What a slot has.
#[derive(Debug)]
pub(super) enum Taken<T> {
    /// The job is not done.
    Nothing,
    /// Its result.
    Result(T),
    /// The job panicked, or the engine was closed.
    Lost,
}

/// Makes a slot; `bell` is rung when it is filled or lost.
pub(super) fn slot<T>(bell: &Arc<Bell>) -> (Slot<T>, Filler<T>) {
    let shared = Arc::new(SlotShared(Mutex::new(SlotState::Empty)));
    let filler = Filler {
        shared: Arc::clone(&shared),
        bell: Arc::clone(bell),
        is_filled: false,
    };
    (Slot(shared), filler)
}

impl<T> Slot<T> {
    /// Takes the result, if it is there.
    pub(super) fn take(&self) -> Taken<T> {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, SlotState::Empty) {
            SlotState::Empty => Taken::Nothing,
            SlotState::Filled(result) => Taken::Result(result),
            SlotState::Lost => Taken::Lost,
        }
    }
}

impl<T> Filler<T> {
    /// Gives the result and wakes the stream.
    pub(super) fn fill(mut self, result: T) {
        self.is_filled = true;
        self.set(SlotState::Filled(result));
    }

    fn set(&self, new: SlotState<T>) {
        *self.shared.0.lock().unwrap_or_else(PoisonError::into_inner) = new;
    }
}

impl<T> Drop for Filler<T> {
    fn drop(&mut self) {
        if !self.is_filled {
            self.set(SlotState::Lost);
        }
        self.bell.ring();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;
    use std::time::Duration;

    /// Longer than anything here takes, however busy the machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Waits for the bell and takes the result.
    fn result<T>(slot: &Slot<T>, bell: &Bell) -> Taken<T> {
        loop {
            match slot.take() {
                Taken::Nothing => bell.wait(),
                taken => return taken,
            }
        }
    }

    fn filling<T: Send + 'static>(filler: Filler<T>, result: T) -> Job {
        Box::new(move || filler.fill(result))
    }

    #[test]
    fn a_job_that_panics_loses_its_own_result_and_no_other() {
        let workers = Workers::start(1).expect("a thread");
        let bells: [Arc<Bell>; 2] = Default::default();
        let (bad, filler) = slot::<u32>(&bells[0]);
        let now = Instant::now();
        workers.final_by(
            now,
            Box::new(move || {
                let _filler = filler;
                panic!("on purpose");
            }),
        );
        let (good, filler) = slot(&bells[1]);
        workers.final_by(now, filling(filler, 7));
        assert!(matches!(result(&bad, &bells[0]), Taken::Lost));
        assert!(matches!(result(&good, &bells[1]), Taken::Result(7)));
    }

    #[test]
    fn closing_ends_the_threads_and_loses_what_waits() {
        let workers = Workers::start(1).expect("a thread");
        let shared = Arc::downgrade(&workers.0.0);
        let release = workers.occupied();
        let bell = Arc::default();
        let (waits, filler) = slot(&bell);
        workers.final_by(Instant::now(), filling(filler, 1));
        let (look, filler) = slot(&bell);
        workers.look(Instant::now(), filling(filler, 2));
        // Does not wait for the one that works.
        workers.close();
        assert!(matches!(result(&waits, &bell), Taken::Lost));
        assert!(matches!(result(&look, &bell), Taken::Lost));
        // What comes afterwards is lost at once.
        let (late, filler) = slot(&bell);
        let ticket = workers.final_by(Instant::now(), filling(filler, 3));
        assert!(matches!(late.take(), Taken::Lost));
        assert!(!workers.take_back(ticket));
        let (late, filler) = slot(&bell);
        workers.look(Instant::now(), filling(filler, 4));
        assert!(matches!(late.take(), Taken::Lost));
        drop(release);
        drop(workers);
        all_gone(&shared);
    }

    #[test]
    fn threads_end_with_the_last_clone() {
        let workers = Workers::start(2).expect("threads");
        let shared = Arc::downgrade(&workers.0.0);
        let other = workers.clone();
        drop(workers);
        let bell = Arc::default();
        let (still, filler) = slot(&bell);
        other.final_by(Instant::now(), filling(filler, 1));
        assert!(matches!(result(&still, &bell), Taken::Result(1)));
        drop(other);
        all_gone(&shared);
    }

    /// Waits until no thread has what all of them share.
    fn all_gone(shared: &std::sync::Weak<Shared>) {
        let end = Instant::now() + PATIENCE;
        while shared.strong_count() > 0 {
            assert!(Instant::now() < end, "a thread goes on");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_stream_that_is_dropped_while_its_job_waits_disturbs_no_other() {
        let workers = Workers::start(1).expect("a thread");
        let release = workers.occupied();
        let gone = Arc::default();
        let (dropped, filler) = slot(&gone);
        workers.final_by(Instant::now(), filling(filler, vec![1]));
        let (looks, filler) = slot(&gone);
        workers.look(Instant::now(), filling(filler, vec![2]));
        drop((dropped, looks, gone));
        let bell = Arc::default();
        let (stays, filler) = slot(&bell);
        workers.look(Instant::now(), filling(filler, 3));
        drop(release);
        assert!(matches!(result(&stays, &bell), Taken::Result(3)));
    }

    #[test]
    fn a_job_that_is_taken_back_is_never_done_and_its_result_is_lost() {
        let workers = Workers::start(1).expect("a thread");
        let release = workers.occupied();
        let bell = Arc::default();
        let done = Arc::new(AtomicBool::new(false));
        let (taken, filler) = slot::<()>(&bell);
        let doing = Arc::clone(&done);
        let ticket = workers.look(
            Instant::now(),
            Box::new(move || {
                doing.store(true, Ordering::SeqCst);
                filler.fill(());
            }),
        );
        assert!(workers.take_back(ticket));
        assert!(!workers.take_back(ticket));
        assert!(matches!(taken.take(), Taken::Lost));
        let (last, filler) = slot(&bell);
        workers.look(Instant::now(), filling(filler, ()));
        drop(release);
        assert!(matches!(result(&last, &bell), Taken::Result(())));
        assert!(!done.load(Ordering::SeqCst));
    }

    #[test]
    fn a_result_wakes_the_waker_that_was_set_last() {
        struct Woken(AtomicBool);
        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let wakers = [(); 2].map(|()| Arc::new(Woken(AtomicBool::new(false))));
        let bell = Arc::default();
        let (result, filler) = slot(&bell);
        for waker in &wakers {
            bell.set(Arc::clone(waker).into());
        }
        filler.fill(5);
        let woken = wakers
            .each_ref()
            .map(|waker| waker.0.load(Ordering::SeqCst));
        assert_eq!(woken, [false, true]);
        assert!(matches!(result.take(), Taken::Result(5)));
        assert!(matches!(result.take(), Taken::Nothing), "taken once");
    }
}
