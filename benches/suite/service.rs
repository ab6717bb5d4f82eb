// SPDX-License-Identifier: MPL-2.0

//! Measures the service under load: how many streams it can serve in real time, and
//! how soon thousands of subscribers get the results.
//!
//! The real service runs in a process of its own, with the recogniser of the tests.
//! The speakers and subscribers run in another process. Both share the processors.

mod load;
mod speaker;

use super::Problem;
use super::books::{self, Used};
use super::child::{self, Child, SOON};
use super::report::{Report, Row, Target};
use load::{Done, Load, Word};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;
use symbl_service::recognizer::scripted::Scripted;
use symbl_service::{Server, ServerConfig};
use tokio::sync::oneshot;

pub use load::{ROLE as LOAD, play as load};

pub const ROLE: &str = "service";

/// Environment variable with the number of streams.
const STREAMS: &str = "SYMBL_BENCH_STREAMS";
const SUBSCRIBERS: usize = 2000;
const SETTLE: Duration = Duration::from_secs(5);
const WINDOW: Duration = Duration::from_secs(10);
/// Bound for thousands of handshakes.
const RAMP: Duration = Duration::from_secs(40);

/// The settings of a service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Served {
    sockets: usize,
}

impl Served {
    /// Returns the settings of a service that takes this many sockets of each kind.
    pub fn sockets(sockets: usize) -> Self {
        Self { sockets }
    }
}

pub fn play(served: Served) -> Result<(), Problem> {
    let mut config = ServerConfig::new(Arc::new(Scripted));
    config.limits.connections = served.sockets;
    config.limits.subscribers = served.sockets;
    config.limits.session_sockets = served.sockets;
    serve(config)
}

/// Runs a service, reports its address, and ends it when standard input is closed.
pub fn serve(config: ServerConfig) -> Result<(), Problem> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let server = Server::bind(config).await?;
        child::say(&server.local_addr())?;
        let (end, ended) = oneshot::channel::<()>();
        let mut end = Some(end);
        child::listen(move |_| drop(end.take()));
        // A closed channel means the same.
        let _ = ended.await;
        server.shutdown().await;
        Ok(())
    })
}

struct Ran {
    done: Done,
    service: Used,
    load: Used,
}

fn run(load: impl FnOnce(SocketAddr) -> Load) -> Result<Ran, Problem> {
    let mut service = Child::start(ROLE, &Served::sockets(100_000))?;
    let load = load(service.answer(SOON)?);
    let mut generator = Child::start(LOAD, &load)?;
    let Word::Speaking = generator.answer(RAMP)? else {
        return Err("it ended before it began".into());
    };
    sleep(load.settle);
    let before = (books::used(service.id())?, books::used(generator.id())?);
    sleep(load.window);
    let used = (books::used(service.id())?, books::used(generator.id())?);
    generator.tell("end")?;
    let Word::Done(done) = generator.answer(SOON)? else {
        return Err("it does not end".into());
    };
    Ok(Ran {
        done,
        service: used.0 - before.0,
        load: used.1 - before.1,
    })
}

pub fn streams(report: &mut Report) -> Result<(), Problem> {
    let streams = std::env::var(STREAMS).ok();
    let streams = streams.and_then(|n| n.parse().ok()).unwrap_or(1000);
    let ran = run(|service| Load {
        service,
        speakers: streams,
        together: false,
        subscribers: 0,
        settle: SETTLE,
        window: WINDOW,
    })?;
    let row = |measure: &str, unit: &'static str, value: f64| {
        let measure = format!("{streams} streams: {measure}");
        Row::new("service-streams", "symbl-service", &measure, unit, &[value])
    };
    let in_time = row(
        "no word later than 500 ms",
        "streams",
        ran.done.in_time as f64,
    );
    report.say(in_time.target(Target::AtLeast(1000.0)));
    delays(report, &row, &ran);
    let minutes = streams as f64 * WINDOW.as_secs_f64() / 60.0;
    let cost = row("CPU per minute of a stream", "s", ran.service.cpu / minutes);
    report.say(cost);
    Ok(())
}

pub fn subscribers(report: &mut Report) -> Result<(), Problem> {
    let ran = run(|service| Load {
        service,
        speakers: 2,
        together: true,
        subscribers: SUBSCRIBERS,
        settle: SETTLE,
        window: WINDOW,
    })?;
    let row = |measure: &str, unit: &'static str, value: f64| {
        let measure = format!("{SUBSCRIBERS} subscribers, 10 interims a second: {measure}");
        Row::new(
            "service-subscribers",
            "symbl-service",
            &measure,
            unit,
            &[value],
        )
    };
    delays(report, &row, &ran);
    Ok(())
}

fn delays(report: &mut Report, row: &dyn Fn(&str, &'static str, f64) -> Row, ran: &Ran) {
    let Done {
        interims, finals, ..
    } = ran.done;
    let said = |spread: super::clock::Spread| format!("{} results", spread.count);
    let word = "end of a word → its interim";
    let end = "end of a word → its final";
    report.say(row(&format!("{word}, p50"), "ms", interims.p50).note(said(interims)));
    let p99 = row(&format!("{word}, p99"), "ms", interims.p99);
    report.say(p99.target(Target::AtMost(100.0)));
    report.say(row(&format!("{word}, max"), "ms", interims.max));
    report.say(row(&format!("{end}, p50"), "ms", finals.p50).note(said(finals)));
    report.say(row(&format!("{end}, p99"), "ms", finals.p99));
    let missing = row("words missing", "words", ran.done.missing as f64);
    report.say(missing.target(Target::AtMost(0.0)));
    let share = |used: Used| used.cpu / WINDOW.as_secs_f64() * 100.0;
    let note = format!("{:.0} threads", ran.service.threads);
    report.say(row("CPU of the service", "% of a core", share(ran.service)).note(note));
    report.say(row("CPU of the load", "% of a core", share(ran.load)));
    let behind = row("frame due → written, p99", "ms", ran.done.behind.p99);
    report.say(behind);
}
