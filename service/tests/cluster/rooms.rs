// SPDX-License-Identifier: MPL-2.0

//! Conversations with many speakers, and their end.

use super::*;

/// Starts speakers of these rooms, in turn on these nodes. They say nothing yet.
pub async fn speakers(
    rooms: usize,
    speakers: usize,
    utterances: u16,
    pace: Duration,
    places: &Places,
) -> Vec<Voice> {
    let mut voices = Vec::new();
    for n in 0..rooms * speakers {
        let room = n % rooms;
        let plan = Plan {
            name: format!("speaker-{n}"),
            room: format!("room-{room}"),
            first: u16::try_from(n / rooms).expect("few") * 2 * utterances,
            pace,
            patience: Duration::from_secs(58),
            live: false,
            utterances,
        };
        voices.push(Voice::start(plan, places, n / rooms + n).await);
    }
    voices
}

/// Returns how many transactions the database had to end because they waited for each other.
pub fn deadlocks(postgres: &Postgres, url: &str) -> String {
    let sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    postgres.ask(url, sql)
}

/// Lets speakers of these rooms speak on three nodes, and finds each word everywhere.
async fn talk(rooms: usize, speakers: usize, utterances: u16, pace: Duration) {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let nodes = [node(&url).await, node(&url).await, node(&url).await];
    let all: Vec<_> = nodes.iter().map(Place::address).collect();
    let places = Places::new(all.clone());
    let mut voices = self::speakers(rooms, speakers, utterances, pace, &places).await;
    let mut ears = Vec::new();
    for node in &nodes {
        ears.push(Ear::open(node, "room-0").await);
    }
    voices.iter().for_each(Voice::speak);
    let mut delays = Vec::new();
    for voice in &mut voices {
        let heard = voice.end().await;
        assert_eq!(heard.closes, Vec::<Option<u16>>::new());
        delays.extend(heard.delays);
    }
    delays.sort_unstable();
    let part = |percent: usize| delays[(delays.len() * percent / 100).min(delays.len() - 1)];
    println!("a final after {} ms, p99 {} ms", part(50), part(99));
    let ledger = Ledger::of(&voices);
    let ears: Vec<&Ear> = ears.iter().collect();
    ledger.is_whole(&all, &ears, (postgres, &url)).await;
    assert_eq!(deadlocks(postgres, &url), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_speakers_of_one_conversation_on_three_nodes_are_heard_in_one_order() {
    talk(1, 50, 5, Duration::from_millis(2500)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_write_many_conversations_at_once_do_not_wait_for_each_other() {
    talk(12, 3, 6, Duration::from_millis(100)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_that_all_have_left_is_over_once_for_every_subscriber() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let nodes = [node(&url).await, node(&url).await, node(&url).await];
    let mut clients = Vec::new();
    for (n, node) in nodes.iter().enumerate() {
        let name = format!("speaker-{n}");
        clients.push(Client::started(node, "left", &start_as(&name, 2)).await);
    }
    let mut ears = Vec::new();
    for node in &nodes {
        ears.push(Ear::open(node, "left").await);
    }
    let id = clients[0].1.clone();
    drop(clients);
    for ear in &mut ears {
        assert_eq!(ear.end().await.completed, 1);
    }
    let sql = format!("SELECT count(*) FROM entry WHERE conversation = {id} AND kind = 'over'");
    assert_eq!(postgres.ask(&url, &sql), "1");
    let sql = format!("SELECT kind FROM entry WHERE conversation = {id} ORDER BY seq DESC LIMIT 1");
    assert_eq!(postgres.ask(&url, &sql), "over");
}
