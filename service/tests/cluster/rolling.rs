// SPDX-License-Identifier: MPL-2.0

//! Nodes that end one after the other while speakers speak, killed or asked to.

use super::*;
use std::time::Instant;

const NODES: usize = 3;
const SPEAKERS: usize = 12;

/// Ends each node with this signal, one after the other, and starts another one for it.
async fn ends_one_after_the_other(with: Signal) {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let mut nodes: Vec<Process> = (0..NODES).map(|_| process(&url)).collect();
    let places = Places::new(nodes.iter().map(Place::address));
    // Subscribers are on a node that does not end.
    let quiet = process(&url);
    let (mut voices, mut ears) = (Vec::new(), Vec::new());
    for n in 0..SPEAKERS {
        let plan = plan(&format!("rolling-{n}"), 24);
        let voice = Voice::start(plan, &places, n).await;
        ears.push(Ear::open(&quiet, &voice.plan.room).await);
        voice.speak();
        voices.push(voice);
    }
    for n in 0..NODES {
        for voice in &voices {
            voice.until(4 * n + 2).await;
        }
        let ended = Instant::now();
        signal(&nodes[n], with);
        in_time(async {
            while nodes[n].child.try_wait().expect("a child").is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        nodes[n] = process(&url);
        places.set(nodes.iter().map(Place::address));
        println!("another node after {:?}", ended.elapsed());
    }
    let mut away: Vec<Duration> = Vec::new();
    for voice in &mut voices {
        let heard = voice.end().await;
        assert_eq!(heard.words, voice.plan.words(), "what a speaker was told");
        away.extend(heard.away.iter().map(|away| away.lasted));
    }
    away.sort();
    println!(
        "{} interruptions, the longest: {:?}",
        away.len(),
        away.last()
    );
    assert!(
        away.len() >= SPEAKERS,
        "each speaker was on a node that ended"
    );
    let ears: Vec<&Ear> = ears.iter().collect();
    let mut all: Vec<_> = nodes.iter().map(Place::address).collect();
    all.push(quiet.address);
    let ledger = Ledger::of(&voices);
    ledger.is_whole(&all, &ears, (postgres, &url)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_are_killed_in_mid_speech_one_after_the_other_lose_no_word() {
    ends_one_after_the_other(Signal::SIGKILL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_are_restarted_one_after_the_other_lose_no_word() {
    ends_one_after_the_other(Signal::SIGTERM).await;
}
