// SPDX-License-Identifier: MPL-2.0

//! Many subscribers of one conversation. Each node reads an entry from the database once at
//! most, however many of them it has.
//!
//! The small form is a test. The large one is ignored; docs/cluster.md has its figures.
//!
//!     SYMBL_MEASURE_SUBSCRIBERS=10000 cargo test --release -p symbl-service \
//!     --test cluster measure_ten_thousand -- --ignored --nocapture

use super::bus::{metric, until_metric};
use super::measure::{load_average, measured, node_time, number, part};
use super::*;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use std::sync::Arc;
use std::time::Instant;
use symbl_testkit::redis::Redis;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Nodes, of which the first one has the speaker.
const NODES: usize = 3;

/// Subscribers that come at the same time.
const AT_ONCE: usize = 64;

/// A bus that is never there: entries of other nodes are found in the log only.
const NOWHERE: &str = "redis://127.0.0.1:1";

/// Most reads of something else meanwhile, as of webhooks that are due. One for each subscriber
/// would be hundreds.
const OTHER_READS: f64 = 30.0;

/// How long a final may take to all subscribers.
const LONGEST: Duration = Duration::from_secs(60);

/// What it took to tell the subscribers of a conversation everything.
struct Told {
    /// How often each node has read from the database meanwhile.
    reads: Vec<f64>,
    /// Milliseconds from the moment a final was sent to its speaker to that in which a
    /// subscriber was told it, sorted.
    later: Vec<u64>,
    /// Processor time of the nodes meanwhile.
    spent: Duration,
}

/// Opens the sockets of subscribers, the same number on each node.
async fn gather(nodes: &[Process], subscribers: usize) -> Vec<Client> {
    let all = (0..subscribers).map(|n| nodes[n % nodes.len()].address());
    let all = stream::iter(all).map(async |node| subscriber(&node, "crowd").await);
    Box::pin(all.buffer_unordered(AT_ONCE)).collect().await
}

async fn reads(nodes: &[Process]) -> Vec<f64> {
    join_all(nodes.iter().map(|node| metric(node, "store_reads_total"))).await
}

/// Lets a speaker on the first node say this many finals, one after the other, and checks that
/// each subscriber is told each of them once and in order.
async fn talk(ada: &mut Client, nodes: &[Process], subscribers: Vec<Client>, finals: u16) -> Told {
    let spent = || nodes.iter().map(node_time).sum::<Duration>();
    let (reads_before, spent_before) = (reads(nodes).await, spent());
    let are_told = Arc::new(Barrier::new(subscribers.len() + 1));
    let mut tasks = JoinSet::new();
    for mut subscriber in subscribers {
        let are_told = Arc::clone(&are_told);
        tasks.spawn(async move {
            let mut times = Vec::new();
            for number in 0..finals {
                let (seen, text) = message(&mut subscriber).await;
                times.push(Instant::now());
                assert_eq!(seen, u64::from(number), "each once and in order");
                let words = [2 * number, 2 * number + 1].map(|word| format!("w{word}"));
                assert_eq!(words_of(&text), words);
                are_told.wait().await;
            }
            // Nothing is told twice.
            loop {
                match subscriber.next().await.kind() {
                    "conversation_completed" => return times,
                    "message_response" => panic!("more than was said"),
                    _ => {}
                }
            }
        });
    }
    let mut sent = Vec::new();
    for number in 0..finals {
        ada.send_audio(&said(2 * number..2 * number + 2)).await;
        ada.until("message_response").await;
        sent.push(Instant::now());
        let told = timeout(LONGEST, are_told.wait()).await;
        told.expect("all are told");
    }
    let (reads_after, spent) = (reads(nodes).await, spent() - spent_before);
    ada.stop().await;
    let mut later = Vec::new();
    for times in in_time(tasks.join_all()).await {
        let times = times.into_iter().zip(&sent);
        later.extend(times.map(|(told, sent)| told.saturating_duration_since(*sent)));
    }
    later.sort_unstable();
    let later = later.iter().map(Duration::as_millis);
    let later = later.map(|later| u64::try_from(later).expect("short"));
    let reads = reads_before.iter().zip(reads_after);
    Told {
        reads: reads.map(|(before, after)| after - before).collect(),
        later: later.collect(),
        spent,
    }
}

/// Starts nodes with this bus.
async fn nodes_on(url: &str, bus: Option<&str>) -> Vec<Process> {
    let start = |_| {
        measured(|command| {
            command.env("SYMBL_CLUSTER", url);
            if let Some(bus) = bus {
                command.env("SYMBL_BUS", bus);
            }
        })
    };
    let nodes: Vec<Process> = (0..NODES).map(start).collect();
    for node in nodes.iter().filter(|_| bus != Some(NOWHERE)) {
        until_metric(node, "bus_up", |up| up == 1.0).await;
    }
    nodes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_reads_an_entry_once_for_all_its_subscribers() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    const FINALS: u16 = 5;
    for bus in [None, Some(NOWHERE)] {
        let url = postgres.database();
        let nodes = nodes_on(&url, bus).await;
        let (mut ada, _) = Client::started(&nodes[0], "crowd", &start_as("Ada", 0)).await;
        let subscribers = gather(&nodes, 300).await;
        let told = talk(&mut ada, &nodes, subscribers, FINALS).await;
        println!("{bus:?}: reads {:?}", told.reads);
        for reads in &told.reads {
            assert!(
                *reads <= f64::from(FINALS) + OTHER_READS,
                "{:?}",
                told.reads
            );
        }
        if bus == Some(NOWHERE) {
            assert!(
                told.reads[1] > 0.0 && told.reads[2] > 0.0,
                "{:?}",
                told.reads
            );
        }
    }
}

/// Returns how often entries were read from the database, and how many, since the last reset.
fn entries_read(postgres: &Postgres, url: &str) -> String {
    let sql = "SELECT coalesce(sum(calls), 0), coalesce(sum(rows), 0) FROM pg_stat_statements
               WHERE query LIKE '%FROM entry%' AND query NOT LIKE '%pg_stat%'";
    postgres.ask(url, sql)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn measure_ten_thousand_subscribers() {
    let count = usize::try_from(number("SUBSCRIBERS", 10_000)).expect("few");
    let finals = u16::try_from(number("FINALS", 30)).expect("few");
    let counts = ["-c", "shared_preload_libraries=pg_stat_statements"];
    let (Some(postgres), Some(redis)) = (Postgres::start(&counts), Redis::start(&[])) else {
        return;
    };
    for (name, bus) in [
        ("NOTIFY", None),
        ("Redis", Some(redis.url())),
        ("no bus", Some(NOWHERE.to_owned())),
    ] {
        let url = postgres.database();
        postgres.ask(&url, "CREATE EXTENSION pg_stat_statements");
        let nodes = nodes_on(&url, bus.as_deref()).await;
        let (mut ada, _) = Client::started(&nodes[0], "crowd", &start_as("Ada", 0)).await;
        let begun = Instant::now();
        let subscribers = gather(&nodes, count).await;
        println!(
            "{name}: {count} subscribers have come in {:.1?}, for which entries were read \
             (calls|rows) {}",
            begun.elapsed(),
            entries_read(&postgres, &url),
        );
        postgres.ask(&url, "SELECT pg_stat_statements_reset()");
        let begun = Instant::now();
        let told = talk(&mut ada, &nodes, subscribers, finals).await;
        println!(
            "{name}: {finals} finals told to {count} in {:.1?}: calls|rows {}, reads of each node {:?}",
            begun.elapsed(),
            entries_read(&postgres, &url),
            told.reads,
        );
        println!(
            "{name}: told after p50 {:?} ms, p99 {:?} ms, at most {:?} ms; nodes: {:.1} µs of \
             processor time a subscriber and final, resident {:?} MB; load average {}",
            part(&told.later, 50).unwrap_or_default(),
            part(&told.later, 99).unwrap_or_default(),
            told.later.last().unwrap_or(&0),
            told.spent.as_secs_f64() * 1e6 / count as f64 / f64::from(finals),
            nodes.iter().map(resident).collect::<Vec<_>>(),
            load_average(),
        );
    }
}

/// Returns the resident memory of a node, in MB.
fn resident(node: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.child.id()));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let size = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    size.unwrap_or_default() / 1024
}
