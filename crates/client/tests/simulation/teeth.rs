// SPDX-License-Identifier: MPL-2.0

//! Checks that the simulation finds bugs: runs it with one planted bug after the other.

use crate::invariants::Broken;
use crate::schedule::Schedule;
use crate::{SCHEDULES, run};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use symbl_client::session::planted as client;
use symbl_log::planted as log;

/// A bug of the client, or of the log that it speaks to.
#[derive(Debug, Clone, Copy)]
enum Bug {
    Client(client::Bug),
    Log(log::Bug),
}

fn plant(bug: Option<Bug>) {
    client::plant(match bug {
        Some(Bug::Client(bug)) => Some(bug),
        _ => None,
    });
    log::plant(match bug {
        Some(Bug::Log(bug)) => Some(bug),
        _ => None,
    });
}

#[test]
fn every_planted_bug_is_found() {
    let of_client = client::Bug::ALL.into_iter().map(Bug::Client);
    let all: Vec<Bug> = of_client
        .chain(log::Bug::ALL.into_iter().map(Bug::Log))
        .collect();
    let next = AtomicUsize::new(0);
    let missed = Mutex::new(Vec::new());
    let hunt = || {
        while let Some(bug) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            plant(Some(*bug));
            let found = (0..SCHEDULES).find_map(|seed| {
                let broken = run(&Schedule::from_seed(seed)).err()?;
                Some((seed, broken))
            });
            match found {
                Some((seed, Broken { promise, how })) => {
                    println!("{bug:?}: found by schedule {seed}, {promise}: {how}");
                    plant(None);
                    let without = run(&Schedule::from_seed(seed));
                    assert!(without.is_ok(), "found without it too: {without:?}");
                }
                None => missed.lock().unwrap().push(*bug),
            }
        }
    };
    std::thread::scope(|scope| {
        let workers = std::thread::available_parallelism().map_or(2, |n| n.get());
        (0..workers).for_each(|_| drop(scope.spawn(hunt)));
    });
    let missed = missed.into_inner().unwrap();
    assert!(
        missed.is_empty(),
        "not found in {SCHEDULES} schedules: {missed:?}"
    );
}
