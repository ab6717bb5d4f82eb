// SPDX-License-Identifier: MPL-2.0

//! Many speakers on a cluster, whose words are counted afterwards.
//!
//! The small form is a test. The large one measures what a cluster does while its nodes are
//! killed, and what that costs. It is ignored, because it takes minutes; docs/cluster.md has
//! its figures.
//!
//!     SYMBL_MEASURE_STREAMS=300 SYMBL_MEASURE_SECONDS=600 SYMBL_MEASURE_KILL=60 \
//!     cargo test --release -p symbl-service --test cluster \
//!     measure_what_kills_cost -- --ignored --nocapture
//!
//! | variable `SYMBL_MEASURE_…` | |
//! |---|---|
//! | `STREAMS` | speakers, each with a conversation and a subscriber of its own |
//! | `SECONDS` | how long they speak |
//! | `PACE_MS` | time from an utterance of two words to the next one, at least 1,000 |
//! | `NODES` | nodes that speakers dial; 0 is a service alone with `--data` |
//! | `KILL` | seconds between two kills; without it none is killed |
//! | `PROGRAM` | the service, if it is not the one that was built with this test |

use super::*;
use futures_util::future::{OptionFuture, join_all};
use futures_util::{StreamExt, stream};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::fs;
use std::time::Instant;
use symbl_testkit::postgres::processor_time;
use tokio::task::block_in_place;
use tokio::time::sleep;
use voice::Away;

/// Speakers that start at the same time.
const AT_ONCE: usize = 8;

/// What is measured.
struct Load {
    streams: usize,
    utterances: u16,
    pace: Duration,
    /// Nodes that speakers dial. Without any, a service alone.
    nodes: usize,
    /// Time between two kills.
    kill: Option<Duration>,
}

/// What came of it.
struct Outcome {
    faults: Vec<String>,
    /// When a node was killed.
    kills: Vec<Instant>,
    finals: usize,
    took: Duration,
    /// The interruptions of all speakers.
    away: Vec<Away>,
    /// Milliseconds from the end of an utterance to its final.
    delays: Vec<u64>,
    /// Processor time of the nodes, the database and this process.
    cost: [Duration; 3],
}

/// Returns a number of the environment.
pub fn number(name: &str, usual: u64) -> u64 {
    let value = std::env::var(format!("SYMBL_MEASURE_{name}"));
    value.map_or(usual, |text| text.parse().expect("a number"))
}

/// Starts a service, of the program that is named if one is.
pub fn measured(change: impl FnOnce(&mut std::process::Command)) -> Process {
    let program = std::env::var_os("SYMBL_MEASURE_PROGRAM");
    Process::start(|command| {
        if let Some(program) = program {
            let mut other = std::process::Command::new(program);
            other
                .args(command.get_args())
                .stdout(std::process::Stdio::piped());
            *command = other;
        }
        // What is admitted is not what is measured.
        command.args(["--log", "error", "--max-load", "0"]);
        change(command);
    })
}

/// Starts a node of this database.
fn in_cluster(url: &str) -> Process {
    measured(|command| {
        command.env("SYMBL_CLUSTER", url);
    })
}

/// Returns the processor time of a node.
pub fn node_time(node: &Process) -> Duration {
    processor_time(&node.child.id().to_string())
}

/// Returns the processor time of this process.
fn own_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("Linux");
    let times = [usage.user_time(), usage.system_time()];
    let times = times.map(|time| time.num_microseconds().unsigned_abs());
    Duration::from_micros(times.iter().sum())
}

/// Returns a part of sorted figures.
pub fn part<T: Copy>(all: &[T], percent: usize) -> Option<T> {
    let last = all.len().checked_sub(1)?;
    Some(all[(all.len() * percent / 100).min(last)])
}

/// Returns the load average of the machine.
pub fn load_average() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

impl Load {
    fn plan(&self, n: usize) -> Plan {
        Plan {
            pace: self.pace,
            patience: Duration::from_secs(30),
            live: true,
            ..plan(&format!("measured-{n}"), self.utterances)
        }
    }

    /// Lets the speakers speak, and kills a node from time to time. Each is started again by
    /// `start`.
    async fn run(
        &self,
        start: impl Fn() -> Process,
        database: Option<(&Postgres, &str)>,
    ) -> Outcome {
        let mut nodes: Vec<Process> = (0..self.nodes.max(1)).map(|_| start()).collect();
        let places = Places::new(nodes.iter().map(Place::address));
        // Where nodes are killed, subscribers are on another one.
        let quiet = self.kill.map(|_| start());
        let at = |n: usize| quiet.as_ref().unwrap_or(&nodes[n % nodes.len()]).address();
        let ears: Vec<_> = (0..self.streams).map(|n| at(n + 1)).collect();
        let started = stream::iter(ears).enumerate().map(async |(n, ear)| {
            let voice = Voice::start(self.plan(n), &places, n).await;
            let ear = Ear::open(&ear, &voice.plan.room).await;
            (voice, ear)
        });
        let started: Vec<_> = Box::pin(started.buffered(AT_ONCE)).collect().await;
        let (mut voices, ears): (Vec<Voice>, Vec<Ear>) = started.into_iter().unzip();
        let time = || {
            [
                database.map_or(Duration::ZERO, |(p, _)| p.processor_time()),
                own_time(),
            ]
        };
        let (begun, before) = (Instant::now(), time());
        let sum = |nodes: &[Process]| nodes.iter().chain(&quiet).map(node_time).sum::<Duration>();
        let before_all = sum(&nodes);
        let mut of_killed = Duration::ZERO;
        let apart = self.pace / u32::try_from(self.streams).expect("few");
        let mut kills: Vec<Instant> = Vec::new();
        let kill = OptionFuture::from(self.kill.map(|every| {
            let (nodes, kills, of_killed) = (&mut nodes, &mut kills, &mut of_killed);
            let (start, places) = (&start, &places);
            async move {
                loop {
                    sleep(every).await;
                    let victim = kills.len() % nodes.len();
                    *of_killed += node_time(&nodes[victim]);
                    kills.push(Instant::now());
                    signal(&nodes[victim], Signal::SIGKILL);
                    nodes[victim] = block_in_place(start);
                    places.set(nodes.iter().map(Place::address));
                    eprintln!("kill {}, load average {}", kills.len(), load_average());
                }
            }
        }));
        let talk = join_all(voices.iter_mut().enumerate().map(async |(n, voice)| {
            // Not all in the same moment.
            sleep(apart * u32::try_from(n).expect("few")).await;
            voice.speak();
            voice.end().await
        }));
        let heard = tokio::select! {
            heard = talk => heard,
            Some(()) = kill => unreachable!("it goes on"),
        };
        let took = begun.elapsed();
        let (after, spent) = (time(), sum(&nodes) + of_killed - before_all);
        let mut faults = Vec::new();
        let (mut away, mut delays) = (Vec::new(), Vec::new());
        for (voice, heard) in voices.iter().zip(heard) {
            let said = [voice.plan.words()];
            let fault = ledger::wrong(&said, &heard.words);
            faults.extend(fault.map(|fault| format!("{}, speaker: {fault}", voice.plan.name)));
            away.extend(heard.away);
            delays.extend(heard.delays);
        }
        let ledger = Ledger::of(&voices);
        let all: Vec<_> = nodes.iter().chain(&quiet).map(Place::address).collect();
        let ears: Vec<&Ear> = ears.iter().collect();
        faults.extend(ledger.faults(&all, &ears, database).await);
        delays.sort_unstable();
        Outcome {
            faults,
            kills,
            finals: self.streams * usize::from(self.utterances),
            took,
            away,
            delays,
            cost: [spent, after[0] - before[0], after[1] - before[1]],
        }
    }
}

impl Outcome {
    fn print(&self, load: &Load) {
        let Self { finals, took, .. } = self;
        let seconds = took.as_secs_f64();
        println!(
            "{} streams, {} nodes, {} kills, {} words, {} faults; load average {}",
            load.streams,
            load.nodes,
            self.kills.len(),
            2 * finals,
            self.faults.len(),
            load_average(),
        );
        let rate = *finals as f64 / seconds;
        println!("{finals} finals in {seconds:.0} s: {rate:.0} a second");
        println!(
            "a final after its utterance: p50 {:?} ms, p95 {:?} ms, p99 {:?} ms",
            part(&self.delays, 50).unwrap_or_default(),
            part(&self.delays, 95).unwrap_or_default(),
            part(&self.delays, 99).unwrap_or_default(),
        );
        let [nodes, database, own] = self.cost.map(|cost| cost.as_secs_f64());
        println!(
            "cores: nodes {:.2}, database {:.2}, speakers and subscribers {:.2}",
            nodes / seconds,
            database / seconds,
            own / seconds
        );
        println!(
            "nodes: {:.0} streams a core; database: {:.0} µs of processor time a final",
            load.streams as f64 * seconds / nodes,
            database * 1e6 / *finals as f64
        );
        println!("{}", back_after(&self.away));
        for (n, kill) in self.kills.iter().enumerate() {
            let next = self.kills.get(n + 1);
            let is_of_it =
                |away: &&Away| away.since >= *kill && next.is_none_or(|next| away.since < *next);
            let of_it: Vec<Away> = self.away.iter().filter(is_of_it).copied().collect();
            let is_late = |away: &&Away| next.is_some_and(|next| away.since + away.lasted >= *next);
            let late = of_it.iter().filter(is_late).count();
            let all = match late {
                0 => "all before the next kill".to_owned(),
                _ => format!("{late} of them after the next kill"),
            };
            println!("kill {}: {}, {all}", n + 1, back_after(&of_it));
        }
    }
}

/// Returns how soon speakers were back.
fn back_after(away: &[Away]) -> String {
    let mut all: Vec<Duration> = away.iter().map(|away| away.lasted).collect();
    all.sort_unstable();
    let [half, most, last] =
        [50, 95, 100].map(|percent| part(&all, percent).unwrap_or_default().as_secs_f64());
    format!(
        "{} interruptions, back after p50 {half:.2} s, p95 {most:.2} s, at most {last:.2} s",
        all.len()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_speakers_on_three_nodes_are_heard_once_everywhere() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let load = Load {
        streams: 30,
        utterances: 8,
        pace: Duration::from_millis(1250),
        nodes: 3,
        kill: None,
    };
    let start = || in_cluster(&url);
    let outcome = load.run(start, Some((postgres, &url))).await;
    outcome.print(&load);
    assert_eq!(outcome.away.len(), 0, "no socket is lost");
    assert_eq!(outcome.faults, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn measure_what_kills_cost() {
    let seconds = number("SECONDS", 60);
    let pace = number("PACE_MS", 1000);
    let load = Load {
        streams: usize::try_from(number("STREAMS", 60)).expect("few"),
        utterances: u16::try_from(seconds * 1000 / pace).expect("few"),
        pace: Duration::from_millis(pace),
        nodes: usize::try_from(number("NODES", 3)).expect("few"),
        kill: Some(Duration::from_secs(number("KILL", 0))).filter(|kill| !kill.is_zero()),
    };
    assert!(
        load.nodes > 0 || load.kill.is_none(),
        "it is not started again"
    );
    let outcome = if load.nodes == 0 {
        let data = tempfile::tempdir().expect("a directory");
        let start = || {
            measured(|command| {
                command.arg("--data").arg(data.path());
            })
        };
        load.run(start, None).await
    } else {
        let Some(postgres) = Postgres::start(&[]) else {
            return;
        };
        let url = postgres.database();
        let start = || in_cluster(&url);
        load.run(start, Some((&postgres, &url))).await
    };
    outcome.print(&load);
    assert_eq!(outcome.faults, Vec::<String>::new());
}
