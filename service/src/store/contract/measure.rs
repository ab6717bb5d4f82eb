// SPDX-License-Identifier: MPL-2.0

//! Measures how long an append takes, in SQLite in a directory and in PostgreSQL with its
//! log on the disk:
//!
//! ```sh
//! cargo test --release -p symbl-service --lib append_latency -- --ignored --nocapture
//! ```

use super::{begin, said};
use crate::conversation::entry::Insight;
use crate::conversation::log::Log;
use crate::ids::new_id;
use crate::limits::Limits;
use crate::store::sqlite::Store;
use std::time::{Duration, Instant};

/// Appends of each writer.
const EACH: usize = 300;

/// Appends with this many writers, each in a conversation of its own. Returns the latencies
/// in order, and how long all took.
fn measured(log: &dyn Log, writers: i64, first: i64) -> (Vec<Duration>, Duration) {
    let begun = Instant::now();
    let all = std::thread::scope(|scope| {
        let writers = (first..first + writers).map(|conversation| {
            scope.spawn(move || {
                begin(log, conversation, None);
                let append = |n: usize| {
                    let mut said = said(&format!("utterance {n}"), None);
                    said.insights.push(Insight {
                        id: new_id(),
                        message: said.messages[0].id,
                        kind: "question".to_owned(),
                        ..Insight::default()
                    });
                    let begun = Instant::now();
                    log.append(conversation, said, Box::new(|_| {}))
                        .expect("stored");
                    begun.elapsed()
                };
                (0..EACH).map(append).collect::<Vec<_>>()
            })
        });
        let writers: Vec<_> = writers.collect();
        let done = writers
            .into_iter()
            .flat_map(|w| w.join().expect("a writer"));
        done.collect::<Vec<_>>()
    });
    let took = begun.elapsed();
    let mut all = all;
    all.sort_unstable();
    (all, took)
}

#[test]
#[ignore = "it measures"]
fn append_latency() {
    let directory = tempfile::tempdir().expect("a directory");
    let sqlite = Store::open(Some(directory.path()), &Limits::default()).expect("a database");
    let mut stores: Vec<(&str, Box<dyn Log>)> = vec![("SQLite", Box::new(sqlite))];
    #[cfg(feature = "cluster")]
    let server = symbl_testkit::postgres::Postgres::start(&[]);
    #[cfg(feature = "cluster")]
    if let Some(server) = &server {
        let store = crate::store::postgres::Store::open(&server.database());
        stores.push(("PostgreSQL", Box::new(store.expect("a cluster"))));
    }
    for (name, log) in &stores {
        for (writers, first) in [(1, 1), (10, 100), (50, 1000)] {
            let (latencies, took) = measured(log.as_ref(), writers, first);
            let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
            let rate = latencies.len() as f64 / took.as_secs_f64();
            println!(
                "{name}: {writers} writers: p50 {:.2?}, p95 {:.2?}, p99 {:.2?}; {rate:.0} a second",
                at(50),
                at(95),
                at(99)
            );
        }
    }
}
