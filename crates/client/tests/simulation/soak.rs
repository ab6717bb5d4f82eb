// SPDX-License-Identifier: MPL-2.0

//! Runs new schedules for as long as it is asked to, and prints figures of them.

use crate::run_many;
use crate::world::Figures;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Default)]
struct Seen {
    schedules: u64,
    figures: Figures,
    happenings: BTreeMap<String, u64>,
}

#[test]
#[ignore = "runs for ten minutes, or SYMBL_SOAK_MINUTES: make soak"]
fn soak() {
    let minutes = crate::asked("SYMBL_SOAK_MINUTES", 10);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let first = crate::asked("SYMBL_SOAK_SEED", now.as_nanos() as u64);
    println!("{minutes} minutes from seed {first} on");
    let seen = Mutex::new(Seen::default());
    let time = Duration::from_secs(minutes * 60);
    run_many(first, u64::MAX, time, &|schedule, figures| {
        let mut seen = seen.lock().unwrap();
        seen.schedules += 1;
        seen.figures.add(figures);
        for (_, happening) in &schedule.happenings {
            let text = format!("{happening:?}");
            let kind = text.split('(').next().unwrap_or_default();
            *seen.happenings.entry(kind.to_owned()).or_default() += 1;
        }
    });
    let seen = seen.into_inner().unwrap();
    let Figures {
        words,
        told,
        in_gaps,
        messages,
        dials,
        replayed,
        time,
    } = seen.figures;
    println!(
        "{} schedules, {time:.0?} of virtual time, no finding",
        seen.schedules
    );
    println!("{words} words said, {told} told, {in_gaps} in gaps; {messages} messages");
    println!("{dials} dials, {replayed:.0?} of audio replayed");
    let happenings = seen.happenings.iter();
    let happenings: Vec<String> = happenings.map(|(kind, n)| format!("{n} {kind}")).collect();
    println!("happened: {}", happenings.join(", "));
}
