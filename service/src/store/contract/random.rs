// SPDX-License-Identifier: MPL-2.0

//! Every store decides by the rules of `symbl_log::cluster`, whatever one node writes.

use super::{Log, begin, said, speaker, start, with_each};
use crate::conversation::entry::{Entry, Part};
use crate::conversation::log::{Begun, StreamPosition, Verdict};
use fastrand::Rng;
use std::sync::{Arc, Mutex};
use symbl_log::cluster::{self, Cluster, Ended, Said, Start, StreamStart};

/// When conversations without a speaker are over: not during the test.
const LATER: i64 = i64::MAX / 4;

/// Returns the numbers of the new entries of a call.
fn numbers(change: impl FnOnce(crate::conversation::log::Committed)) -> Vec<u64> {
    let new = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&new);
    let (done, wait) = std::sync::mpsc::channel();
    change(Box::new(move |entries: &[Arc<Entry>]| {
        let numbers = entries.iter().map(|entry| entry.seq);
        seen.lock().expect("a list").extend(numbers);
        let _ = done.send(());
    }));
    // Some calls do not block.
    let _ = wait.recv_timeout(std::time::Duration::from_secs(60));
    let numbers = new.lock().expect("a list").clone();
    // The entry with number 0 says that it was over before.
    numbers.into_iter().filter(|seq| *seq > 0).collect()
}

fn seqs(entries: &[cluster::Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.seq).collect()
}

/// Gives a log and the rules what one node writes, drawn from this seed.
fn run(log: &dyn Log, seed: u64) {
    let rng = &mut Rng::with_seed(seed);
    let (mut rules, me) = (Cluster::default(), "me");
    rules.enter(me, 0);
    for id in 1..=3 {
        begin(log, id, None);
        let first = Start {
            conversation: id,
            connection: "room",
            keep: 10,
            ends: None,
            member: Some(("ada", None)),
            stream: None,
            again: false,
        };
        rules.start(me, &first).expect("it lives");
    }
    for step in 0..150 {
        let id = rng.i64(1..=3);
        let is_over = rules.conversation(id).is_none_or(|c| c.ended.is_some());
        let how = format!("seed {seed}, step {step}");
        match rng.u8(0..20) {
            0..=5 if !is_over => {
                let who = ["ada", "bob"][rng.usize(0..2)];
                let (attempt, position) = (rng.u64(1..8), rng.u64(0..12));
                let stream = ["s", "t"][rng.usize(0..2)];
                let mut record = start(id, None);
                record.speaker = Some(speaker(who));
                record.stream_position = Some(StreamPosition {
                    stream: stream.to_owned(),
                    attempt,
                    position,
                });
                let mut begun = None;
                let new = numbers(|committed| begun = log.begin(record, committed).ok());
                let asked = Start {
                    conversation: id,
                    connection: "room",
                    keep: 10,
                    ends: None,
                    member: Some((who, None)),
                    stream: Some(StreamStart {
                        stream,
                        attempt,
                        position,
                    }),
                    again: false,
                };
                let (by_rule, entries) = rules.start(me, &asked).expect("it lives");
                let begun = match begun.expect("an answer") {
                    Begun::Superseded => cluster::Begun::Superseded,
                    Begun::Here {
                        said_until,
                        unheard,
                    } => cluster::Begun::Here {
                        said_until,
                        unheard: unheard.iter().map(|entry| entry.seq).collect(),
                    },
                };
                assert_eq!((begun, new), (by_rule, seqs(&entries)), "{how}");
            }
            6..=16 => {
                let from = rng.u64(0..12);
                let part = rng.bool().then(|| Part {
                    stream: ["s", "t"][rng.usize(0..2)].to_owned(),
                    attempt: rng.u64(1..8),
                    base: 0,
                    from,
                    until: from + rng.u64(0..6),
                });
                let mut drawn = said("word", None);
                drawn.part.clone_from(&part);
                let message = drawn.messages[0].id;
                let verdict = super::append(log, id, drawn);
                let asked = Said {
                    message,
                    part: part
                        .as_ref()
                        .map(|part| (part.stream.as_str(), part.heard())),
                    again: false,
                };
                let by_rule = match rules.append(me, id, &asked).expect("it lives") {
                    cluster::Verdict::Stored { seq, .. } => Verdict::Stored(seq),
                    cluster::Verdict::Refused(refusal) => refusal.into(),
                };
                assert_eq!(verdict, by_rule, "{how}: {part:?}");
            }
            17 => {
                log.close(id, LATER);
                rules.close(me, id, LATER).expect("it lives");
            }
            18 => {
                let here = ["ada".to_owned()];
                let new = numbers(|committed| log.left(id, here.to_vec(), committed));
                let entries = rules.left(me, id, &["ada"]).expect("it lives");
                assert_eq!(new, seqs(&entries), "{how}");
            }
            19 if rng.bool() => {
                let new = numbers(|committed| log.finish(id, 9, committed));
                let ended = rules.over(me, id, 9, false, 9).expect("it lives");
                let Ended::Over(entries) = ended else {
                    panic!("{how}: another node is in it");
                };
                assert_eq!(new, seqs(&entries), "{how}");
            }
            _ => {}
        }
    }
}

#[test]
fn every_store_decides_by_the_rules_of_the_log() {
    let clock = u64::try_from(crate::clock::now()).unwrap_or(0);
    println!("seed {clock}");
    for seed in [1, clock] {
        with_each(|log| run(log, seed));
    }
}
