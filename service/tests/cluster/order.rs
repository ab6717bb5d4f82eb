// SPDX-License-Identifier: MPL-2.0

//! What is said on one node is told on all, in one order.

use super::*;

/// Finals of each speaker.
const EACH: usize = 6;

#[tokio::test]
async fn two_speakers_on_two_nodes_are_heard_in_one_order_on_a_third() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let [a, b, c] = [node(&url).await, node(&url).await, node(&url).await];
    let (mut ada, id) = Client::started(&a, "talk", &start_as("Ada", 0)).await;
    let (mut bob, same) = Client::started(&b, "talk", &start_as("Bob", 0)).await;
    assert_eq!(id, same, "one conversation");
    let mut listeners = Vec::new();
    for place in [&a, &b, &c] {
        listeners.push(subscriber(place, "talk").await);
    }
    for n in 0..EACH as u16 {
        ada.send_audio(&said(10 * n..10 * n + 2)).await;
        bob.send_audio(&said(500 + 10 * n..500 + 10 * n + 2)).await;
    }
    let mut told = Vec::new();
    for listener in &mut listeners {
        let mut heard = Vec::new();
        while heard.len() < 2 * EACH {
            heard.push(message(listener).await);
        }
        told.push(heard);
    }
    let numbers: Vec<u64> = told[0].iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (0..2 * EACH as u64).collect::<Vec<_>>());
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0], told[2]);
    let texts: Vec<String> = told.remove(0).into_iter().map(|(_, text)| text).collect();
    let mut words: Vec<String> = texts.iter().flat_map(|text| words_of(text)).collect();
    for place in [&a, &b, &c] {
        assert_eq!(history(place, &id).await, texts);
    }
    words.sort();
    words.dedup();
    assert_eq!(words.len(), 4 * EACH, "each word once");
    // A speaker hears the other one too.
    let mut heard = Vec::new();
    while heard.len() < 2 * EACH {
        heard.push(message(&mut ada).await.0);
    }
    assert_eq!(heard, numbers);
    let members = format!("GET /v1/conversations/{id}/members");
    let (_, members) = http(&c, &members, "").await;
    let members: Value = serde_json::from_str(&members).expect("JSON");
    assert_eq!(members["members"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn an_entry_that_is_not_announced_is_found_all_the_same() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let [a, b] = [node(&url).await, node(&url).await];
    let (mut ada, _) = Client::started(&a, "deaf", &start_as("Ada", 0)).await;
    let mut listener = subscriber(&b, "deaf").await;
    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND query = 'LISTEN symbl'";
    for n in 0..5 {
        // A node that listens again is cut off again.
        postgres.ask(&url, sql);
        ada.send_audio(&said(n..n + 1)).await;
        ada.until("message_response").await;
        assert_eq!(message(&mut listener).await.0, u64::from(n));
    }
}
