// SPDX-License-Identifier: MPL-2.0

//! Measures how soon thousands of Socket.IO listeners of one conversation get each of its
//! events, and how much memory they take.
//!
//! The real service runs in a process of its own. The listeners, and the operators whose
//! texts are the events, run in another process. Both share the processors.

mod load;
mod socket;

use super::Problem;
use super::books;
use super::child::{Child, SOON};
use super::report::{Report, Row, Target};
use super::service::{self, Served};
use load::{Done, Load, Word};
use std::thread::sleep;
use std::time::Duration;

pub use load::{ROLE as LOAD, play as load};

/// Environment variable with the number of listeners.
const LISTENERS: &str = "SYMBL_BENCH_LISTENERS";
const USUAL: usize = 5000;
const EVENTS_PER_SECOND: u64 = 5;
const SETTLE: Duration = Duration::from_secs(5);
const WINDOW: Duration = Duration::from_secs(20);
/// Bound for thousands of handshakes.
const RAMP: Duration = Duration::from_secs(120);

pub fn measure(report: &mut Report) -> Result<(), Problem> {
    let listeners = std::env::var(LISTENERS).ok();
    let listeners = listeners.and_then(|n| n.parse().ok()).unwrap_or(USUAL);
    let mut service = Child::start(service::ROLE, &Served::sockets(100_000))?;
    let address = service.answer(SOON)?;
    let alone = books::resident(service.id())?;
    let load = Load {
        service: address,
        listeners,
        per_second: EVENTS_PER_SECOND,
    };
    let mut generator = Child::start(LOAD, &load)?;
    let Word::Joined { seconds } = generator.answer(RAMP)? else {
        return Err("it ended before it began".into());
    };
    sleep(SETTLE);
    generator.tell("count")?;
    let before = (books::used(service.id())?, books::used(generator.id())?);
    sleep(WINDOW);
    let used = (books::used(service.id())?, books::used(generator.id())?);
    let resident = books::resident(service.id())?;
    generator.tell("end")?;
    let Word::Done(done) = generator.answer(SOON)? else {
        return Err("it does not end".into());
    };
    let row = |measure: &str, unit: &'static str, value: f64| {
        let measure =
            format!("{listeners} listeners, {EVENTS_PER_SECOND} events a second: {measure}");
        Row::new(
            "service-sessions",
            "symbl-service",
            &measure,
            unit,
            &[value],
        )
    };
    delays(report, &row, &done);
    let share = |cpu: f64| cpu / WINDOW.as_secs_f64() * 100.0;
    let cost = share(used.0.cpu - before.0.cpu);
    let threads = format!("{:.0} threads", used.0.threads);
    report.say(row("CPU of the service", "% of a core", cost).note(threads));
    let cost = share(used.1.cpu - before.1.cpu);
    report.say(row("CPU of the load", "% of a core", cost));
    let memory = row("resident memory of the service", "MB", resident);
    let without = format!("{alone:.0} MB without listeners");
    report.say(memory.target(Target::AtMost(250.0)).note(without));
    let peak = books::peak(service.id())? * MB_PER_MIB;
    report.say(row("peak of it", "MB", peak));
    report.say(row("all of them have joined after", "s", seconds));
    Ok(())
}

const MB_PER_MIB: f64 = 1.048_576;

fn delays(report: &mut Report, row: &dyn Fn(&str, &'static str, f64) -> Row, done: &Done) {
    let Done { delays, .. } = done;
    let way = "sent by an operator → at a listener";
    let count = format!("{} events at listeners", delays.count);
    report.say(row(&format!("{way}, p50"), "ms", delays.p50).note(count));
    let p99 = row(&format!("{way}, p99"), "ms", delays.p99);
    report.say(p99.target(Target::AtMost(500.0)));
    report.say(row(&format!("{way}, max"), "ms", delays.max));
    for (name, number) in [
        ("events missing", done.missing),
        ("events doubled or out of order", done.doubled),
        ("listeners that were closed", done.closed),
        ("texts that were refused", done.refused),
    ] {
        let row = row(name, "events", number as f64);
        report.say(row.target(Target::AtMost(0.0)));
    }
}
