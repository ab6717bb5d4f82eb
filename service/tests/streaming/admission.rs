// SPDX-License-Identifier: MPL-2.0

//! Overload is refused at the door: no more conversations than the processor can
//! recognise, and none of those that are in is turned away.

use crate::common::dear::{Dear, DearInterims};
use crate::common::{Client, config, http, in_time, start_request};
use std::sync::Arc;
use symbl_service::{Server, ServerConfig};
use tokio_tungstenite::tungstenite::Error;

fn dear(max_load: Option<f64>) -> ServerConfig {
    ServerConfig {
        recognizer: Arc::new(Dear),
        max_load,
        ..config()
    }
}

/// Returns the status and the `Retry-After` of a dial, if it is refused.
async fn refused(server: &Server, id: &str) -> Option<(u16, String)> {
    match Client::open(server, &format!("/v1/streaming/{id}"), &[]).await {
        Ok(_) => None,
        Err(Error::Http(response)) => {
            let retry_after = response.headers().get("Retry-After");
            let retry_after = retry_after.and_then(|value| value.to_str().ok());
            let retry_after = retry_after.unwrap_or_default().to_owned();
            Some((response.status().as_u16(), retry_after))
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn one_more_than_can_be_recognised_is_429_until_one_leaves() {
    let server = Server::bind(dear(Some(1.0))).await.unwrap();
    let first = Client::connect(&server, "a").await;
    let _second = Client::connect(&server, "b").await;
    for _ in 0..3 {
        assert_eq!(refused(&server, "c").await, Some((429, "5".into())));
    }
    first.close(1000).await;
    let let_in = async { while refused(&server, "c").await.is_some() {} };
    in_time(let_in).await;
}

#[tokio::test]
async fn without_a_limit_of_load_no_client_is_refused() {
    let server = Server::bind(dear(None)).await.unwrap();
    let mut inside = Vec::new();
    for id in 0..10 {
        inside.push(Client::connect(&server, &id.to_string()).await);
    }
}

#[tokio::test]
async fn more_are_let_in_of_those_who_want_finals_only() {
    let server = Server::bind(ServerConfig {
        recognizer: Arc::new(DearInterims),
        max_load: Some(1.0),
        ..config()
    })
    .await
    .unwrap();
    let mut request = start_request();
    request["config"]["speechRecognition"]["interimResults"] = false.into();
    request["disconnectOnStopRequest"] = false.into();
    let mut speakers = Vec::new();
    for id in ["a", "b", "c", "d", "e"] {
        speakers.push(Client::started(&server, id, &request).await.0);
    }
    assert_eq!(refused(&server, "f").await, Some((429, "5".into())));
    let (_, metrics) = http(&server, "GET /metrics", "").await;
    assert!(metrics.contains("symbl_service_load 0.625\n"), "{metrics}");
    // One that wants interims after all takes the room that is left for one.
    let mut again = start_request();
    again["disconnectOnStopRequest"] = false.into();
    for (speaker, expected) in speakers.iter_mut().zip(["started_listening", "error"]) {
        speaker.stop().await;
        speaker.until("recognition_stopped").await;
        speaker.send_json(&again).await;
        assert_eq!(speaker.next().await.kind(), expected);
    }
}

#[tokio::test]
async fn one_is_always_let_in() {
    let server = Server::bind(dear(Some(0.1))).await.unwrap();
    let _first = Client::connect(&server, "a").await;
    assert_eq!(
        refused(&server, "b").await.map(|(status, _)| status),
        Some(429)
    );
}

#[tokio::test]
async fn a_lost_speaker_comes_back_however_many_sockets_there_are() {
    let mut config = config();
    config.limits.connections = 1;
    let server = Server::bind(config).await.unwrap();
    let mut request = start_request();
    request["noConnectionTimeout"] = 1800.into();
    let (lost, conversation) = Client::started(&server, "a", &request).await;
    assert_eq!(refused(&server, "b").await, Some((429, "1".into())));
    // Another socket of its conversation is none that comes back.
    assert_eq!(refused(&server, "a").await, Some((429, "1".into())));
    drop(lost);
    let newcomer = async {
        loop {
            if let Ok((client, _)) = Client::open(&server, "/v1/streaming/b", &[]).await {
                break client;
            }
        }
    };
    let _newcomer = in_time(newcomer).await;
    let (_back, same) = Client::started(&server, "a", &request).await;
    assert_eq!(same, conversation);
    for id in ["a", "b", "c"] {
        assert_eq!(refused(&server, id).await, Some((429, "1".into())), "{id}");
    }
}

#[tokio::test]
async fn a_lost_speaker_comes_back_while_the_door_is_closed_to_others() {
    let server = Server::bind(dear(Some(1.0))).await.unwrap();
    let _other = Client::connect(&server, "a").await;
    let mut request = start_request();
    request["noConnectionTimeout"] = 1800.into();
    let (lost, conversation) = Client::started(&server, "b", &request).await;
    drop(lost);
    // A new client gets the place as soon as the service sees that its holder was lost.
    let newcomer = async {
        loop {
            if let Ok((client, _)) = Client::open(&server, "/v1/streaming/c", &[]).await {
                break client;
            }
        }
    };
    let _newcomer = in_time(newcomer).await;
    let (_, metrics) = http(&server, "GET /metrics", "").await;
    assert!(metrics.contains("symbl_service_load 1.0\n"), "{metrics}");
    assert!(metrics.contains("symbl_service_waiting_conversations 1\n"));
    assert_eq!(
        refused(&server, "d").await.map(|(status, _)| status),
        Some(429)
    );
    // The speaker is let in all the same.
    let (back, same) = Client::started(&server, "b", &request).await;
    assert_eq!(same, conversation);
    assert_eq!(
        refused(&server, "d").await.map(|(status, _)| status),
        Some(429)
    );
    // Who joins a conversation that goes on is let in, too.
    let _joins = Client::connect(&server, "b").await;
    drop(back);
}

/// Dials until it is let in.
async fn let_in(server: &Server, id: &str) -> Client {
    let dial = async {
        loop {
            if let Ok((client, _)) = Client::open(server, &format!("/v1/streaming/{id}"), &[]).await
            {
                break client;
            }
        }
    };
    in_time(dial).await
}

#[tokio::test]
async fn a_socket_that_does_not_start_or_was_stopped_keeps_no_other_out() {
    let mut config = dear(Some(1.0));
    config.limits.start = std::time::Duration::from_millis(100);
    let server = Server::bind(config).await.unwrap();
    let mut silent = Client::connect(&server, "a").await;
    let _other = Client::connect(&server, "b").await;
    let mut request = start_request();
    request["disconnectOnStopRequest"] = false.into();
    let mut speakers = Vec::new();
    for id in ["c", "d"] {
        let mut speaker = let_in(&server, id).await;
        speaker.start(&request).await;
        speakers.push(speaker);
    }
    assert!(refused(&server, "e").await.is_some());
    // It is refused on its socket, which stays open.
    for _ in 0..2 {
        silent.send_json(&start_request()).await;
        let error = silent.next().await;
        assert_eq!(error.json()["code"], "overloaded");
    }
    // One is stopped: its place is free, though its socket stays open.
    speakers[0].stop().await;
    let start = async {
        loop {
            silent.send_json(&start_request()).await;
            if silent.next().await.kind() != "error" {
                break;
            }
        }
    };
    in_time(start).await;
    silent.until("recognition_started").await;
    speakers[0].until("recognition_stopped").await;
    speakers[0].send_json(&request).await;
    let error = speakers[0].next().await;
    assert_eq!(error.json()["code"], "overloaded");
}

#[tokio::test]
async fn a_conversation_is_no_way_around_admission() {
    let server = Server::bind(dear(Some(1.0))).await.unwrap();
    let _other = Client::connect(&server, "a").await;
    let (_first, _) = Client::started(&server, "b", &start_request()).await;
    // At the same time, and one after another.
    let dials = (0..8).map(|_| Client::open(&server, "/v1/streaming/b", &[]));
    let dials = futures_util::future::join_all(dials).await;
    let let_in: Vec<_> = dials.into_iter().filter_map(Result::ok).collect();
    assert_eq!(let_in.len(), 1);
    assert_eq!(refused(&server, "b").await, Some((429, "5".into())));
    let (_, metrics) = http(&server, "GET /metrics", "").await;
    assert!(metrics.contains("symbl_service_load 1.5\n"), "{metrics}");
}
