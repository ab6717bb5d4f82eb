// SPDX-License-Identifier: MPL-2.0

//! Measures how long an append takes, in SQLite in a directory and in PostgreSQL with its
//! log on the disk, from one node and from three:
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

/// Appends with this many writers, each in a conversation of its own, to these nodes in turn.
/// Returns the latencies in order, and how long all took.
fn measured(nodes: &[Box<dyn Log>], writers: i64, first: i64) -> (Vec<Duration>, Duration) {
    let begun = Instant::now();
    let all = std::thread::scope(|scope| {
        let writers = (first..first + writers).zip(nodes.iter().cycle());
        let writers = writers.map(|(conversation, log)| {
            scope.spawn(move || {
                begin(log.as_ref(), conversation, None);
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
    let sqlite: Vec<Box<dyn Log>> = vec![Box::new(sqlite)];
    compared("SQLite", &sqlite, || Duration::ZERO);
    #[cfg(feature = "cluster")]
    if let Some(server) = symbl_testkit::postgres::Postgres::start(&[]) {
        for nodes in [1, 3] {
            let url = server.database();
            let open = |_| -> Box<dyn Log> {
                Box::new(crate::store::postgres::Store::open(&url).expect("a cluster"))
            };
            let nodes: Vec<_> = (0..nodes).map(open).collect();
            let name = format!("PostgreSQL, {} nodes", nodes.len());
            compared(&name, &nodes, || server.processor_time());
        }
    }
}

/// Prints what it takes to append to these nodes.
fn compared(name: &str, nodes: &[Box<dyn Log>], processor_time: impl Fn() -> Duration) {
    for (writers, first) in [(1, 1), (10, 100), (50, 1000), (90, 2000)] {
        let spent = processor_time();
        let (latencies, took) = measured(nodes, writers, first);
        let spent = processor_time() - spent;
        let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
        let rate = latencies.len() as f64 / took.as_secs_f64();
        println!(
            "{name}: {writers} writers: p50 {:.2?}, p95 {:.2?}, p99 {:.2?}; {rate:.0} a second; \
             {:.2?} of the server's processor time each",
            at(50),
            at(95),
            at(99),
            spent / u32::try_from(latencies.len()).expect("few"),
        );
    }
}
