// SPDX-License-Identifier: MPL-2.0

//! Sessions against a simulated service and network, under a virtual clock.
//!
//! The real `session` and `protocol` code runs in one thread from a seed; the
//! network cuts, refuses, hangs and stalls as the seed says. Invariants are
//! checked after each step and at the end. A failure prints its seed:
//!
//! ```text
//! SYMBL_SIMULATION_SEED=1234 cargo test --no-default-features --test simulation one_seed
//! ```

mod audio;
mod book;
mod invariants;
mod network;
mod regressions;
mod schedule;
mod service;
mod shrink;
mod source;
mod waits;
mod world;

use invariants::Broken;
use schedule::Schedule;
use world::{Figures, World};

/// Schedules run by `cargo test`; `SYMBL_SIMULATION_SCHEDULES` asks for more.
const SCHEDULES: u64 = 500;

fn schedules() -> u64 {
    std::env::var("SYMBL_SIMULATION_SCHEDULES").map_or(SCHEDULES, |n| n.parse().expect("a number"))
}

/// Runs a schedule. A panic is a broken promise too.
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

/// What to print of a schedule that failed: it shrunk, to be kept in `regressions`.
fn report(schedule: &Schedule, broken: &Broken) -> String {
    let smallest = shrink::shrink(schedule, broken.promise);
    let how = run(&smallest).map_or_else(|broken| broken.how, |_| broken.how.clone());
    format!(
        "seed {}: {}: {}\nshrunk: {how}\n{}",
        schedule.seed,
        broken.promise,
        broken.how,
        format!("{smallest:?}").replace('[', "vec![")
    )
}

fn run_seed(seed: u64) -> Result<Figures, String> {
    let schedule = Schedule::from_seed(seed);
    run(&schedule).map_err(|broken| report(&schedule, &broken))
}

/// Runs all schedules on all processors; the first failures of each.
fn run_seeds(seeds: std::ops::Range<u64>) -> Vec<String> {
    let workers = std::thread::available_parallelism().map_or(2, |n| n.get());
    let failures = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|worker| {
                let mine = seeds.clone().skip(worker).step_by(workers);
                let failed = mine.filter_map(|seed| run_seed(seed).err());
                scope.spawn(move || failed.take(show()).collect::<Vec<_>>())
            })
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap());
        joined.flatten().collect()
    });
    failures
}

/// Failures that each processor looks for before it gives up.
fn show() -> usize {
    std::env::var("SYMBL_SIMULATION_SHOW").map_or(2, |n| n.parse().expect("a number"))
}

#[test]
fn every_promise_is_kept_whatever_the_network_does() {
    let failures = run_seeds(0..schedules());
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn one_seed() {
    let seed = std::env::var("SYMBL_SIMULATION_SEED").map_or(0, |s| s.parse().expect("a number"));
    if let Err(broken) = run(&Schedule::from_seed(seed)) {
        panic!("{broken:?}");
    }
}
