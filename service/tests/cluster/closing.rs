// SPDX-License-Identifier: MPL-2.0

//! A socket that is being closed on one node while its connection id is dialled on another.

use super::*;
use std::pin::pin;

/// Longer than a node takes to join a conversation that goes on.
const A_WHILE: Duration = Duration::from_secs(1);

/// Starts a node that waits so long for the answer to a close frame.
async fn patient(url: &str, close: Duration) -> Server {
    let mut config = configured(url);
    config.limits.close = close;
    Server::bind(config).await.expect("a node")
}

/// Starts a speaker that has stopped and has not answered the close frame of its node, and
/// returns when the other nodes know that.
async fn closing(postgres: &Postgres, url: &str, node: &Server, room: &str) -> (Client, String) {
    let (mut ada, id) = Client::started(node, room, &start_as("Ada", 1800)).await;
    ada.stop().await;
    ada.until("conversation_completed").await;
    let known =
        format!("SELECT count(*) FROM seat WHERE conversation = {id} AND closing IS NOT NULL");
    until_it_says(postgres, url, &known, "1").await;
    (ada, id)
}

// 14
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_a_closing_ends_decides_what_is_joined_on_another_node() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let long = Duration::from_secs(600);
    let [a, b] = [patient(&url, long).await, patient(&url, long).await];
    for (room, answers) in [("answered", true), ("lost", false)] {
        let (mut ada, id) = closing(postgres, &url, &a, room).await;
        let request = start_as("Bob", 60);
        let mut bob = pin!(Client::started(&b, room, &request));
        let early = tokio::time::timeout(A_WHILE, &mut bob).await;
        assert!(early.is_err(), "nobody knows yet");
        match answers {
            true => drop(ada.rest().await),
            false => drop(ada),
        }
        let (_bob, joined) = bob.await;
        assert_eq!(joined != id, answers, "{room}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closing_on_another_node_is_not_waited_for_too_long_or_without_need() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let a = patient(&url, Duration::from_secs(600)).await;
    // It waits for twice as long.
    let b = patient(&url, Duration::from_millis(250)).await;
    let (_ada, id) = closing(postgres, &url, &a, "slow").await;
    let (_bob, joined) = Client::started(&b, "slow", &start_as("Bob", 60)).await;
    assert_eq!(joined, id);
    // A speaker is there now, so no dial has to wait on the node that still closes.
    let (_eve, joined) = Client::started(&a, "slow", &start_as("Eve", 60)).await;
    assert_eq!(joined, id);
    let open = format!("SELECT count(*) FROM seat WHERE conversation = {id} AND closing IS NULL");
    assert_eq!(postgres.ask(&url, &open), "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_ends_closes_a_socket_that_still_waits_to_join() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let long = Duration::from_secs(600);
    let [a, b] = [patient(&url, long).await, patient(&url, long).await];
    let (_ada, _) = closing(postgres, &url, &a, "ends").await;
    let opened = Client::open(&b, "/v1/streaming/ends", &[]).await;
    let (mut bob, _) = opened.expect("an upgrade");
    let ((), rest) = in_time(async { tokio::join!(b.shutdown(), bob.rest()) }).await;
    assert_eq!(rest.last(), Some(&Heard::Closed(Some(1001))), "{rest:?}");
}
