// SPDX-License-Identifier: MPL-2.0

//! Speakers that come and go on several nodes.

use super::*;

/// Returns the kinds of the entries of a conversation, in order.
fn kinds_of(postgres: &Postgres, url: &str, id: &str) -> Vec<String> {
    let sql = format!("SELECT kind FROM entry WHERE conversation = {id} ORDER BY seq");
    let kinds = postgres.ask(url, &sql);
    kinds.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_conversation_goes_on_when_the_last_speaker_of_a_node_leaves_and_ends_once() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let [a, b, c] = [node(&url).await, node(&url).await, node(&url).await];
    let (mut ada, id) = Client::started(&a, "going", &start_as("Ada", 0)).await;
    let (mut bob, _) = Client::started(&b, "going", &start_as("Bob", 0)).await;
    let mut listeners = Vec::new();
    for place in [&a, &b, &c] {
        listeners.push(subscriber(place, "going").await);
    }
    ada.stop().await;
    ada.until("conversation_completed").await;
    ada.close(1000).await;
    bob.send_audio(&said(0..2)).await;
    for listener in &mut listeners {
        assert_eq!(message(listener).await.0, 0);
    }
    // Ada comes back on another node, into the same conversation.
    let (mut ada, same) = Client::started(&c, "going", &start_as("Ada", 0)).await;
    assert_eq!(same, id);
    ada.stop().await;
    ada.until("conversation_completed").await;
    ada.close(1000).await;
    bob.stop().await;
    bob.until("conversation_completed").await;
    bob.close(1000).await;
    for listener in &mut listeners {
        let rest = listener.rest().await;
        let ends = rest
            .iter()
            .filter(|heard| heard.kind() == "conversation_completed");
        assert_eq!(ends.count(), 1, "{rest:?}");
        assert_eq!(rest.last(), Some(&Heard::Closed(Some(1000))));
    }
    let kinds = kinds_of(postgres, &url, &id);
    let over = kinds.iter().filter(|kind| *kind == "over").count();
    assert_eq!((over, kinds.last().map(String::as_str)), (1, Some("over")));
    let members = postgres.ask(&url, "SELECT count(*) FROM member");
    assert_eq!(members, "2", "Ada has one id on all nodes");
    let (_, another) = Client::started(&a, "going", &start_as("Ada", 0)).await;
    assert_ne!(another, id);
}

#[tokio::test]
async fn a_lost_speaker_is_waited_for_on_every_node_and_not_for_ever() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let [a, b] = [node(&url).await, node(&url).await];
    let (ada, id) = Client::started(&a, "lost", &start_as("Ada", 60)).await;
    drop(ada);
    let (ada, same) = Client::started(&b, "lost", &start_as("Ada", 1)).await;
    assert_eq!(same, id);
    let mut listener = subscriber(&a, "lost").await;
    drop(ada);
    listener.until("conversation_completed").await;
    let (_ada, another) = Client::started(&a, "lost", &start_as("Ada", 1)).await;
    assert_ne!(another, id);
    let over = kinds_of(postgres, &url, &id);
    assert_eq!(over.last().map(String::as_str), Some("over"), "{over:?}");
}
