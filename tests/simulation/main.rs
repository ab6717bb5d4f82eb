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
mod schedule;
mod service;
mod source;
mod waits;
mod world;

use schedule::Schedule;
use world::World;

/// Schedules run by `cargo test`; `SYMBL_SIMULATION_SCHEDULES` asks for more.
const SCHEDULES: u64 = 500;

fn schedules() -> u64 {
    std::env::var("SYMBL_SIMULATION_SCHEDULES").map_or(SCHEDULES, |n| n.parse().expect("a number"))
}

fn run(seed: u64) -> Result<(), String> {
    let schedule = Schedule::from_seed(seed);
    let text = format!("{schedule:?}");
    let outcome = std::panic::catch_unwind(move || World::new(schedule).run());
    let failure = match outcome {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(broken)) => format!("{}: {}", broken.promise, broken.how),
        Err(panic) => match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(_) => "panicked".to_owned(),
        },
    };
    Err(format!("seed {seed}: {failure}\n{text}"))
}

#[test]
fn every_word_is_delivered_once_or_lies_in_a_gap_whatever_the_network_does() {
    let workers = std::thread::available_parallelism().map_or(2, |n| n.get() as u64);
    let failures: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|worker| {
                scope.spawn(move || {
                    (worker..schedules())
                        .step_by(workers as usize)
                        .filter_map(|seed| run(seed).err())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|t| t.join().unwrap())
            .collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn one_seed() {
    let seed = std::env::var("SYMBL_SIMULATION_SEED").map_or(0, |s| s.parse().expect("a number"));
    run(seed).unwrap_or_else(|failure| panic!("{failure}"));
}
