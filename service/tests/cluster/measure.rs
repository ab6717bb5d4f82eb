// SPDX-License-Identifier: MPL-2.0

//! Measures what a cluster of three nodes does while its nodes are killed, and what its
//! database costs. Ignored, because it takes minutes; docs/cluster.md has its figures.
//!
//!     SYMBL_MEASURE_STREAMS=100 SYMBL_MEASURE_SECONDS=120 SYMBL_MEASURE_KILL=20 \
//!     SYMBL_MEASURE_PROGRAM=target/release/symbl-service \
//!     cargo test -p symbl-service --test cluster measure -- --ignored --nocapture

use super::*;
use std::fs;
use std::time::Instant;

/// Returns a number of the environment.
fn number(name: &str, usual: u64) -> u64 {
    let value = std::env::var(format!("SYMBL_MEASURE_{name}"));
    value.map_or(usual, |text| text.parse().expect("a number"))
}

/// Starts a node, of the release if one is named.
fn measured(url: &str) -> Process {
    let program = std::env::var_os("SYMBL_MEASURE_PROGRAM");
    Process::start(|command| {
        if let Some(program) = program {
            let mut other = std::process::Command::new(program);
            other
                .args(command.get_args())
                .stdout(std::process::Stdio::piped());
            *command = other;
        }
        command.args(["--log", "error"]).env("SYMBL_CLUSTER", url);
    })
}

/// Returns the processor time of a process, in milliseconds, with that of its children that
/// have ended.
fn processor_time(id: &str) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(4);
    ticks
        .filter_map(|field| field.parse::<u64>().ok())
        .sum::<u64>()
        * 10
}

/// Returns the processor time of a database, in milliseconds.
fn database_time(postgres: &Postgres, url: &str) -> u64 {
    let file = postgres.ask(url, "SELECT pg_read_file('postmaster.pid')");
    let server = file.lines().next().expect("an id").to_owned();
    let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children"));
    let children = children.unwrap_or_default();
    let all = children.split_whitespace().chain([server.as_str()]);
    all.map(processor_time).sum()
}

/// Returns a part of sorted figures.
fn part<T: Copy>(all: &[T], percent: usize) -> T {
    all[(all.len() * percent / 100).min(all.len() - 1)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn measure_what_kills_cost() {
    let (streams, seconds) = (number("STREAMS", 60), number("SECONDS", 60));
    let (kill_after, pace) = (number("KILL", 20), number("PACE_MS", 1000));
    let Some(postgres) = Postgres::start(&[]) else {
        return;
    };
    let url = postgres.database();
    let mut nodes: Vec<Process> = (0..3).map(|_| measured(&url)).collect();
    // Subscribers are on a node that is not killed.
    let quiet = measured(&url);
    let places = Places::new(nodes.iter().map(Place::address));
    let (mut voices, mut ears) = (Vec::new(), Vec::new());
    for n in 0..usize::try_from(streams).expect("few") {
        let plan = Plan {
            pace: Duration::from_millis(pace),
            patience: Duration::from_secs(30),
            ..plan(
                &format!("measured-{n}"),
                u16::try_from(seconds * 1000 / pace).expect("few"),
            )
        };
        let voice = Voice::start(plan, &places, n).await;
        ears.push(Ear::open(&quiet, &voice.plan.room).await);
        voices.push(voice);
    }
    voices.iter().for_each(Voice::speak);
    let (begun, cost) = (Instant::now(), database_time(&postgres, &url));
    let mut kills = 0;
    let is_done = |voices: &[Voice]| {
        let all = voices.iter();
        all.map(|voice| voice.heard().words.len() / 2)
            .all(|heard| heard as u64 * pace > (seconds - 5) * 1000)
    };
    while kill_after > 0 && begun.elapsed().as_secs() < 3 * seconds {
        tokio::time::sleep(Duration::from_secs(kill_after)).await;
        if is_done(&voices) {
            break;
        }
        let victim = kills % nodes.len();
        signal(&nodes[victim], Signal::SIGKILL);
        kills += 1;
        nodes[victim] = measured(&url);
        places.set(nodes.iter().map(Place::address));
    }
    let (mut away, mut delays) = (Vec::new(), Vec::new());
    for voice in &mut voices {
        let heard = voice.end().await;
        assert_eq!(heard.words, voice.plan.words(), "what a speaker was told");
        away.extend(heard.away);
        delays.extend(heard.delays);
    }
    let elapsed = begun.elapsed();
    let cost = database_time(&postgres, &url) - cost;
    let ledger = Ledger::of(&voices);
    let ears: Vec<&Ear> = ears.iter().collect();
    let addresses: Vec<_> = nodes.iter().map(Place::address).collect();
    let faults = ledger.faults(&addresses, &ears, (&postgres, &url)).await;
    let entries = postgres.ask(&url, "SELECT count(*) FROM entry WHERE kind = 'said'");
    let entries: u64 = entries.parse().expect("a number");
    away.sort();
    delays.sort_unstable();
    println!(
        "{streams} streams, {kills} kills, {} words, {} faults",
        2 * entries,
        faults.len()
    );
    println!(
        "{entries} finals in {elapsed:.0?}: {:.0} a second",
        entries as f64 / elapsed.as_secs_f64()
    );
    println!(
        "database: {:.0} µs of processor time a final",
        cost as f64 * 1000.0 / entries as f64
    );
    println!(
        "own final after the utterance: p50 {} ms, p99 {} ms",
        part(&delays, 50),
        part(&delays, 99)
    );
    if !away.is_empty() {
        println!(
            "{} interruptions: back after p50 {:.1?}, p95 {:.1?}, at most {:.1?}",
            away.len(),
            part(&away, 50),
            part(&away, 95),
            part(&away, 100)
        );
    }
    assert_eq!(faults, Vec::<String>::new());
}
