// SPDX-License-Identifier: MPL-2.0

//! A database that is killed under load: it comes back, its replica takes over, or neither
//! happens in time.

use super::*;
use std::net::SocketAddr;
use std::time::Instant;

const NODES: usize = 3;
const SPEAKERS: usize = 9;

/// Longer than a final waits for the database.
const LONGEST_WAIT: Duration = Duration::from_secs(100);

/// Three nodes as processes, with speakers that wait for their finals as long as it takes and a
/// subscriber of each on another node.
struct Talk {
    nodes: Vec<Process>,
    voices: Vec<Voice>,
    ears: Vec<Ear>,
}

impl Talk {
    async fn begin(url: &str, utterances: u16) -> Self {
        let nodes: Vec<Process> = (0..NODES).map(|_| process(url)).collect();
        let places = Places::new(nodes.iter().map(Place::address));
        let (mut voices, mut ears) = (Vec::new(), Vec::new());
        for n in 0..SPEAKERS {
            let patient = Plan {
                patience: Duration::from_secs(58),
                ..plan(&format!("speaker-{n}"), utterances)
            };
            let voice = Voice::start(patient, &places, n).await;
            ears.push(Ear::open(&nodes[(n + 1) % NODES], &voice.plan.room).await);
            voices.push(voice);
        }
        voices.iter().for_each(Voice::speak);
        Self {
            nodes,
            voices,
            ears,
        }
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Place::address).collect()
    }

    /// Waits until every speaker has heard so many finals.
    async fn until(&self, utterances: usize) {
        for voice in &self.voices {
            voice.until(utterances).await;
        }
    }

    /// Asserts that every word is everywhere once, and returns the close codes that speakers
    /// had.
    async fn end(&mut self, postgres: &Postgres, url: &str) -> Vec<Option<u16>> {
        let mut closes = Vec::new();
        for voice in &mut self.voices {
            let heard = voice.end().await;
            assert_eq!(heard.words, voice.plan.words(), "what a speaker was told");
            closes.extend(heard.closes);
        }
        let ledger = Ledger::of(&self.voices);
        let ears: Vec<&Ear> = self.ears.iter().collect();
        let nodes = self.addresses();
        ledger.is_whole(&nodes, &ears, (postgres, url)).await;
        closes
    }

    /// Ends like [`Talk::end`], and asserts that no stream has ended before and that no node was
    /// declared gone.
    async fn ends_without_a_fence(&mut self, postgres: &Postgres, url: &str) {
        let closes = self.end(postgres, url).await;
        assert_eq!(closes, Vec::<Option<u16>>::new(), "no stream ends");
        let gone = "SELECT count(*) FROM node WHERE gone";
        assert_eq!(postgres.ask(url, gone), "0");
    }
}

/// Waits until a node answers with this status.
async fn until_status(place: &SocketAddr, request: &str, status: &str) {
    in_time(async {
        while !http(place, request, "")
            .await
            .0
            .starts_with(&format!("http/1.1 {status}"))
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_killed_and_started_under_load_loses_no_word() {
    let Some(postgres) = Postgres::start(&[]) else {
        return;
    };
    let url = postgres.database();
    let mut talk = Talk::begin(&url, 24).await;
    talk.until(2).await;
    for _ in 0..2 {
        postgres.kill();
        let node = talk.addresses()[0];
        until_status(&node, "GET /readyz", "503").await;
        until_status(&node, "GET /livez", "200").await;
        until_status(&node, "GET /v1/conversations", "503").await;
        // Longer than a lease: no node may be declared gone for that.
        tokio::time::sleep(Duration::from_secs(6)).await;
        postgres.start_again();
        until_status(&node, "GET /readyz", "200").await;
    }
    let closes = talk.end(&postgres, &url).await;
    assert_eq!(closes, Vec::<Option<u16>>::new(), "no stream ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_frozen_for_longer_than_a_lease_fences_no_node() {
    let Some(postgres) = Postgres::start(&[]) else {
        return;
    };
    let url = postgres.database();
    let mut talk = Talk::begin(&url, 24).await;
    talk.until(2).await;
    postgres.freeze();
    tokio::time::sleep(Duration::from_secs(8)).await;
    postgres.thaw();
    talk.ends_without_a_fence(&postgres, &url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_takes_no_commit_for_longer_than_a_lease_fences_no_node() {
    let Some(primary) = Postgres::start(&[]) else {
        return;
    };
    let url = primary.database();
    let replica = primary.synchronous_replica();
    let mut talk = Talk::begin(&url, 24).await;
    talk.until(2).await;
    // Reads are answered meanwhile.
    replica.freeze();
    tokio::time::sleep(Duration::from_secs(8)).await;
    replica.thaw();
    talk.ends_without_a_fence(&primary, &url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_synchronous_replica_takes_over_and_no_stream_ends() {
    let Some(primary) = Postgres::start(&[]) else {
        return;
    };
    let name = primary.database();
    let name = name.rsplit('/').next().expect("a name");
    let replica = primary.synchronous_replica();
    let url = primary.url_with(&replica, name);
    let mut talk = Talk::begin(&url, 24).await;
    talk.until(3).await;
    primary.kill();
    let killed = Instant::now();
    replica.promote();
    talk.until(6).await;
    println!(
        "finals of all speakers {:?} after the primary was killed",
        killed.elapsed()
    );
    let closes = talk.end(&replica, &url).await;
    assert_eq!(closes, Vec::<Option<u16>>::new(), "no stream ends");
}

// 19
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replica_did_not_have_when_it_took_over_is_filled_in_and_counted() {
    let Some(primary) = Postgres::start(&[]) else {
        return;
    };
    let url = primary.database();
    let name = url.rsplit('/').next().expect("a name");
    let replica = primary.asynchronous_replica();
    let url = primary.url_with(&replica, name);
    let mut talk = Talk::begin(&url, 24).await;
    talk.until(2).await;
    primary.leave_behind(&replica);
    let before = replica.ask(&replica.url(name), "SELECT count(*) FROM entry");
    // A conversation of which the replica knows nothing.
    let places = Places::new(talk.addresses());
    let late = Voice::start(plan("late", 12), &places, 0).await;
    talk.ears.push(Ear::open(&talk.nodes[1], "late").await);
    late.speak();
    talk.voices.push(late);
    let told = talk.voices[0].heard().words.len() / 2;
    talk.until(told + 3).await;
    primary.kill();
    assert_eq!(
        replica.ask(&replica.url(name), "SELECT count(*) FROM entry"),
        before
    );
    replica.promote();
    let nodes = talk.addresses();
    let closes = talk.end(&replica, &url).await;
    assert_eq!(closes, Vec::<Option<u16>>::new(), "no stream ends");
    let (mut filled, mut lost) = (0.0, 0.0);
    for node in &nodes {
        filled += bus::metric(node, "log_filled_in_total").await;
        lost += bus::metric(node, "log_lost_total").await;
    }
    println!("{filled} entries were filled in");
    assert!(filled >= SPEAKERS as f64, "{filled}");
    assert_eq!(lost, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_that_takes_too_long_ends_streams_and_their_clients_say_all_again() {
    let Some(postgres) = Postgres::start(&[]) else {
        return;
    };
    let url = postgres.database();
    let mut talk = Talk::begin(&url, 30).await;
    talk.until(2).await;
    postgres.kill();
    let killed = Instant::now();
    // Each stream is told so, once its oldest final has waited for 45 s.
    for voice in &talk.voices {
        let is_told = async {
            while voice.heard().failures == 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let told = tokio::time::timeout(LONGEST_WAIT, is_told).await;
        told.expect("a stream ends that waits for too long");
    }
    let waited = killed.elapsed();
    println!("streams end {waited:?} after the database was killed");
    assert!(waited > Duration::from_secs(40), "{waited:?}");
    postgres.start_again();
    let ends = talk.end(&postgres, &url).await;
    assert!(ends.len() >= SPEAKERS, "{ends:?}");
}
