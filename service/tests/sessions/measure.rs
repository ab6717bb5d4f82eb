// SPDX-License-Identifier: MPL-2.0

//! Measures how soon thousands of sockets of one session get what is sent, and what that
//! costs: `cargo test --release -p symbl-service --test sessions -- --ignored --nocapture`.
//! The clients are in this process and the service in another one.

use crate::about;
use crate::common::{Place, http};
use crate::raw::Raw;
use futures_util::stream::{StreamExt, iter};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::time::interval;

/// Texts in a second.
const RATE: u64 = 5;
/// Sockets that are opened at the same time.
const AT_ONCE: usize = 100;

struct Service {
    child: Child,
    address: SocketAddr,
}

impl Service {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_symbl-service"))
            .args(["--listen", "127.0.0.1:0", "--recognizer", "scripted"])
            .args(["--auth", "none", "--log", "warn"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        out.read_line(&mut line).expect("a line");
        let address = line.strip_prefix("listening on http://").expect(&line);
        let address = address.trim_end().parse().expect("an address");
        Self { child, address }
    }

    /// Returns the CPU time so far, in seconds, and the memory now and at most, in MB.
    fn used(&self) -> (f64, u64, u64) {
        let read = |name: &str| {
            let path = format!("/proc/{}/{name}", self.child.id());
            std::fs::read_to_string(path).expect("Linux")
        };
        let stat = read("stat");
        let fields: Vec<&str> = stat
            .rsplit(") ")
            .next()
            .expect("fields")
            .split(' ')
            .collect();
        let ticks = |field: usize| fields[field].parse::<f64>().expect("a number");
        let status = read("status");
        let megabytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kilobytes = line.and_then(|line| line.split_whitespace().next());
            kilobytes.expect("a line").parse::<u64>().expect("a number") / 1024
        };
        let cpu = (ticks(11) + ticks(12)) / 100.0;
        (cpu, megabytes("VmRSS:"), megabytes("VmHWM:"))
    }
}

impl Place for Service {
    fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads until a socket has got so many texts, and returns how long each took.
async fn listen(mut raw: Raw, texts: u64, begun: Instant) -> Vec<Duration> {
    let mut delays = Vec::new();
    for n in 0..texts {
        let seen = raw.event("message:send:sync").await;
        let words = seen["input"]["text"].as_str().expect("a text");
        let mut words = words.split(' ');
        assert_eq!(
            words.next(),
            Some(n.to_string().as_str()),
            "in order, none missing"
        );
        let sent = words.next().and_then(|sent| sent.parse().ok());
        let sent = Duration::from_micros(sent.expect("a time"));
        delays.push(begun.elapsed().saturating_sub(sent));
    }
    delays
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn thousands_of_sockets_of_one_session() {
    let viewers: usize = std::env::var("SYMBL_SESSION_VIEWERS")
        .ok()
        .map_or(5_000, |viewers| viewers.parse().expect("a number"));
    let texts = 20 * RATE;
    let service = Service::start();
    let mut sender = Raw::connect(&service).await;
    let session = sender.create().await;
    let begun = Instant::now();
    #[expect(
        clippy::async_yields_async,
        reason = "each viewer answers pings from the start"
    )]
    let joining = (0..viewers).map(|_| async {
        let mut raw = Raw::connect(&service).await;
        raw.emit("session:reconnect", &about(&session)).await;
        raw.event("session:reconnected").await;
        tokio::spawn(listen(raw, texts, begun))
    });
    let joined: Vec<_> = iter(joining).buffer_unordered(AT_ONCE).collect().await;
    let joined_after = begun.elapsed();
    let before = service.used();
    let mut ticks = interval(Duration::from_millis(1_000 / RATE));
    for n in 0..texts {
        ticks.tick().await;
        // About as long as a sentence.
        let words = format!("{n} {} {}", begun.elapsed().as_micros(), "word ".repeat(12));
        let mut sent = about(&session);
        sent["input"] = json!({ "text": words });
        sender.emit("message:send", &sent).await;
    }
    let mut delays = Vec::new();
    for listening in joined {
        delays.extend(listening.await.expect("a viewer that has got all"));
    }
    let after = service.used();
    delays.sort_unstable();
    let of = |part: f64| {
        let at = ((delays.len() - 1) as f64 * part) as usize;
        delays[at].as_secs_f64() * 1_000.0
    };
    let (_, metrics) = http(&service, "GET /metrics", "").await;
    assert!(metrics.contains("symbl_service_sockets{kind=\"session\"}"));
    assert_eq!(
        delays.len() as u64,
        viewers as u64 * texts,
        "none is missing"
    );
    println!(
        "{viewers} sockets, {RATE} texts a second: joined in {:.1} s; sent → received p50 {:.1}, \
         p95 {:.1}, p99 {:.1}, max {:.1} ms; CPU of the service {:.0} % of a core; memory {} MB, \
         at most {} MB",
        joined_after.as_secs_f64(),
        of(0.5),
        of(0.95),
        of(0.99),
        of(1.0),
        (after.0 - before.0) / 20.0 * 100.0,
        after.1,
        after.2,
    );
}
