// SPDX-License-Identifier: MPL-2.0

//! Sessions against a simulated service and network, under a virtual clock.
//!
//! The real `session` and `protocol` code runs in one thread by a schedule. The schedule
//! says what upstream gives, and what network, service and application do meanwhile.
//! Promises are checked after each step and at the end. A failure prints its seed and the
//! shrunk schedule, as a literal for `regressions`. This prints each step of a run:
//!
//! ```text
//! SYMBL_SIMULATION_SEED=1234 SYMBL_SIMULATION_TRACE=1 \
//!     cargo test --package symbl-client --test simulation one_seed -- --nocapture
//! ```
//!
//! `make soak` runs new seeds for as long as it is asked to.

mod audio;
mod book;
mod invariants;
mod ledger;
mod network;
mod nodes;
mod pad;
mod regressions;
mod schedule;
mod service;
mod shrink;
mod soak;
mod source;
#[cfg(planted_bugs)]
mod teeth;
mod waits;
mod wall;
mod world;

use invariants::Broken;
use schedule::Schedule;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use world::{Figures, World};

/// How many schedules `cargo test` runs. `SYMBL_SIMULATION_SCHEDULES` sets another number.
const SCHEDULES: u64 = 20_000;

/// Returns a number from the environment.
fn asked(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |n| {
        n.parse()
            .unwrap_or_else(|_| panic!("{name}={n} is no number"))
    })
}

/// Runs a schedule. A panic counts as a broken promise.
fn run(schedule: &Schedule) -> Result<Figures, Broken> {
    let world = schedule.clone();
    let outcome = std::panic::catch_unwind(move || World::new(world).run());
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(Broken {
            promise: "nothing_panics",
            how: text.unwrap_or_default(),
        })
    })
}

/// Returns the report of a schedule that failed, with the shrunk schedule for `regressions`.
fn report(schedule: &Schedule, broken: &Broken) -> String {
    let smallest = shrink::shrink(schedule, broken.promise);
    let how = run(&smallest).map_or_else(|broken| broken.how, |_| broken.how.clone());
    let literal = format!("{smallest:?}").replace('[', "vec![");
    format!(
        "seed {}: {}: {}\nshrunk: {how}\n{literal}",
        schedule.seed, broken.promise, broken.how,
    )
}

/// Runs schedules on all processors until `most` have run, the time is up, or one fails.
fn run_many(first: u64, most: u64, time: Duration, ran: &(dyn Fn(&Schedule, &Figures) + Sync)) {
    let workers = std::thread::available_parallelism().map_or(2, |n| n.get());
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let work = || {
        while !stop.load(Ordering::Relaxed) && begun.elapsed() < time {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= most {
                return None;
            }
            let schedule = Schedule::from_seed(first.wrapping_add(n));
            match run(&schedule) {
                Ok(figures) => ran(&schedule, &figures),
                Err(broken) => {
                    stop.store(true, Ordering::Relaxed);
                    return Some(report(&schedule, &broken));
                }
            }
        }
        None
    };
    let findings: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap());
        joined.flatten().collect()
    });
    assert!(findings.is_empty(), "{}", findings.join("\n\n"));
}

#[test]
fn every_promise_is_kept_whatever_the_network_does() {
    let most = asked("SYMBL_SIMULATION_SCHEDULES", SCHEDULES);
    run_many(0, most, Duration::MAX, &|_, _| {});
}

#[test]
fn one_seed() {
    let seed = asked("SYMBL_SIMULATION_SEED", 0);
    if let Err(broken) = run(&Schedule::from_seed(seed)) {
        panic!("{broken:?}");
    }
}
