// SPDX-License-Identifier: MPL-2.0

use super::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

const LONG: Duration = Duration::from_secs(60);

/// A job that does what a closure says.
struct Does<F>(F);

impl<F: FnMut(&Waker) -> Next + Send> Turns for Does<F> {
    fn turn(&mut self, waker: &Waker) -> Next {
        (self.0)(waker)
    }
}

fn spawn(pool: &Pool, lag: Duration, turn: impl FnMut(&Waker) -> Next + Send + 'static) -> Waker {
    pool.spawn(Box::new(Does(turn)), lag)
}

fn wait() -> Next {
    Next::Wait {
        until: None,
        not_before: Instant::now(),
    }
}

/// Starts a job that keeps the only worker busy until the test sends to what is returned.
fn keep_busy(pool: &Pool) -> Sender<()> {
    let (begun, begins) = channel();
    let (release, released) = channel::<()>();
    spawn(pool, Duration::ZERO, move |_| {
        let _ = begun.send(());
        let _ = released.recv();
        Next::Over
    });
    begins.recv_timeout(LONG).expect("it runs");
    release
}

#[test]
fn the_job_with_the_earliest_deadline_runs_first() {
    let pool = Pool::start(1).expect("threads");
    let release = keep_busy(&pool);
    let (tell, told) = channel();
    for lag in [300, 100, 200] {
        let tell = tell.clone();
        spawn(&pool, Duration::from_millis(lag), move |_| {
            tell.send(lag).expect("a test");
            Next::Over
        });
    }
    release.send(()).expect("it waits");
    let order: Vec<u64> = (0..3).map(|_| told.recv_timeout(LONG).unwrap()).collect();
    assert_eq!(order, [100, 200, 300]);
}

#[test]
fn one_that_has_more_to_do_lets_one_that_waits_longer_go_first() {
    let pool = Pool::start(1).expect("threads");
    let release = keep_busy(&pool);
    let (tell, told) = channel();
    let then = Instant::now() + LONG;
    let (of_first, mut turns) = (tell.clone(), 0);
    spawn(&pool, Duration::ZERO, move |_| {
        turns += 1;
        of_first.send("first").expect("a test");
        match turns {
            1 => Next::Again { since: then },
            _ => Next::Over,
        }
    });
    spawn(&pool, Duration::from_secs(1), move |_| {
        tell.send("second").expect("a test");
        Next::Over
    });
    release.send(()).expect("it waits");
    let order: Vec<_> = (0..3).map(|_| told.recv_timeout(LONG).unwrap()).collect();
    assert_eq!(order, ["first", "second", "first"]);
}

#[test]
fn a_job_is_never_in_two_workers_and_loses_no_wake_up() {
    const WAKERS: usize = 4;
    const TIMES: usize = 2000;
    let pool = Pool::start(4).expect("threads");
    let asked = Arc::new(AtomicUsize::new(0));
    let (seen, sees) = channel();
    let (inside, counted) = (AtomicBool::new(false), Arc::clone(&asked));
    let waker = spawn(&pool, Duration::ZERO, move |_| {
        assert!(!inside.swap(true, Ordering::SeqCst), "two at once");
        let now = counted.load(Ordering::SeqCst);
        std::thread::yield_now();
        inside.store(false, Ordering::SeqCst);
        seen.send(now).expect("a test");
        match now {
            now if now == WAKERS * TIMES => Next::Over,
            _ => wait(),
        }
    });
    for _ in 0..WAKERS {
        let (waker, asked) = (waker.clone(), Arc::clone(&asked));
        std::thread::spawn(move || {
            for _ in 0..TIMES {
                asked.fetch_add(1, Ordering::SeqCst);
                waker.wake_by_ref();
            }
        });
    }
    // Whatever the last wake-up was, a turn came after it.
    while sees.recv_timeout(LONG).expect("another turn") < WAKERS * TIMES {}
}

/// Tells when it is dropped.
struct Told(Sender<&'static str>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

#[test]
fn a_job_that_panics_is_over_and_its_worker_goes_on() {
    let pool = Pool::start(1).expect("threads");
    let (tell, told) = channel();
    for _ in 0..2 {
        let holds = Told(tell.clone());
        spawn(&pool, Duration::ZERO, move |_| {
            let _holds = &holds;
            panic!("on purpose")
        });
        assert_eq!(told.recv_timeout(LONG), Ok("dropped"));
    }
    spawn(&pool, Duration::ZERO, move |_| {
        tell.send("goes on").expect("a test");
        Next::Over
    });
    assert_eq!(told.recv_timeout(LONG), Ok("goes on"));
}

#[test]
fn those_that_wait_for_something_else_hold_no_worker() {
    let pool = Pool::start(1).expect("threads");
    let (release, released) = channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let (tell, told) = channel();
    for _ in 0..SPARE {
        let (released, tell) = (Arc::clone(&released), tell.clone());
        let begun = tell.clone();
        spawn(&pool, Duration::ZERO, move |_| {
            blocking(|| {
                begun.send("waits").expect("a test");
                let released: MutexGuard<'_, Receiver<()>> = released.lock().expect("a lock");
                let _ = released.recv();
            });
            tell.send("had it").expect("a test");
            Next::Over
        });
    }
    for _ in 0..SPARE {
        assert_eq!(told.recv_timeout(LONG), Ok("waits"));
    }
    spawn(&pool, Duration::ZERO, move |_| {
        tell.send("ran").expect("a test");
        Next::Over
    });
    assert_eq!(told.recv_timeout(LONG), Ok("ran"));
    drop(release);
    for _ in 0..SPARE {
        assert_eq!(told.recv_timeout(LONG), Ok("had it"));
    }
    let until = Instant::now() + LONG;
    while pool.0.0.lock().running > 0 {
        assert!(Instant::now() < until, "a place was not given back");
        std::thread::yield_now();
    }
}

#[test]
fn a_time_wakes_a_job_that_nothing_else_does() {
    let pool = Pool::start(1).expect("threads");
    let (tell, told) = channel();
    let begun = Instant::now();
    for millis in [40, 20] {
        let (tell, mut waited) = (tell.clone(), false);
        let at = begun + Duration::from_millis(millis);
        spawn(&pool, Duration::ZERO, move |_| {
            if std::mem::replace(&mut waited, true) {
                tell.send((millis, Instant::now() >= at)).expect("a test");
                return Next::Over;
            }
            Next::Wait {
                until: Some(at),
                not_before: begun,
            }
        });
    }
    assert_eq!(told.recv_timeout(LONG), Ok((20, true)));
    assert_eq!(told.recv_timeout(LONG), Ok((40, true)));
}

#[test]
fn the_threads_end_with_the_pool_but_not_before_its_jobs() {
    let pool = Pool::start(2).expect("threads");
    let (tell, told) = channel();
    let mut turns = 0;
    let waker = spawn(&pool, Duration::ZERO, move |_| {
        turns += 1;
        tell.send(turns).expect("a test");
        match turns {
            1 => wait(),
            _ => Next::Over,
        }
    });
    assert_eq!(told.recv_timeout(LONG), Ok(1));
    let shared = Arc::downgrade(&pool.0.0);
    drop(pool);
    waker.wake();
    assert_eq!(told.recv_timeout(LONG), Ok(2));
    let until = Instant::now() + LONG;
    while shared.upgrade().is_some() {
        assert!(Instant::now() < until, "a thread lives on");
        std::thread::yield_now();
    }
}

/// Waits until all threads of a pool with one worker rest.
fn rest(pool: &Pool) {
    let until = Instant::now() + LONG;
    while pool.0.0.lock().resting.len() < 1 + SPARE {
        assert!(Instant::now() < until, "a thread does not rest");
        std::thread::yield_now();
    }
}

#[test]
fn the_thread_that_rested_last_is_called_first() {
    let pool = Pool::start(1).expect("threads");
    let (tell, told) = channel();
    let mut threads = std::collections::HashSet::new();
    for _ in 0..20 {
        rest(&pool);
        let tell = tell.clone();
        spawn(&pool, Duration::ZERO, move |_| {
            tell.send(std::thread::current().id()).expect("a test");
            Next::Over
        });
        threads.insert(told.recv_timeout(LONG).expect("a turn"));
    }
    assert_eq!(threads.len(), 1);
}
