// SPDX-License-Identifier: MPL-2.0

//! Sockets that listen only: S1, S5, S6, S7.

use crate::common::chatty::Chatty;
use crate::common::*;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use symbl_service::recognizer::scripted::{silence, speech};
use symbl_service::{Auth, Server, ServerConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

fn rejoinable() -> Value {
    let mut request = start_request();
    request["noConnectionTimeout"] = 1800.into();
    request["speaker"] = serde_json::json!({"userId": "ada@example.org", "name": "Ada"});
    request
}

async fn subscriber(server: &Server, id: &str) -> (Client, String) {
    let (mut client, _) = Client::open(server, &format!("/v1/subscribe/{id}"), &[])
        .await
        .expect("an upgrade");
    let first = client.next().await;
    assert_eq!(first.kind(), "subscription_started");
    let id = &first.json()["message"]["data"]["conversationId"];
    (client, id.as_str().expect("a string").to_owned())
}

/// Returns words and the pause that ends an utterance.
fn said(words: std::ops::Range<u16>) -> Vec<u8> {
    let mut samples = speech(words, 16_000);
    samples.extend(silence(Duration::from_millis(600), 16_000));
    linear16(&samples)
}

fn refused<T>(result: Result<T, Error>) -> u16 {
    match result {
        Err(Error::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            let body: Value = serde_json::from_slice(body).expect("JSON");
            assert!(body["message"].is_string());
            response.status().as_u16()
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("let in"),
    }
}

#[tokio::test]
async fn s1_both_subscribe_paths_lead_to_the_conversation_and_an_unknown_id_is_404() {
    let server = server().await;
    for path in ["/v1/subscribe/s1", "/session/subscribe/s1"] {
        assert_eq!(refused(Client::open(&server, path, &[]).await), 404);
    }
    let (_speaker, id) = Client::started(&server, "s1", &start_request()).await;
    for path in ["/v1/subscribe/s1", "/session/subscribe/s1"] {
        let (mut client, _) = Client::open(&server, path, &[]).await.expect("an upgrade");
        let first = client.next().await;
        let told = &first.json()["message"]["data"]["conversationId"];
        assert_eq!(told, id.as_str());
    }
    let (head, _) = http(&server, "GET /v1/subscribe/s1", "").await;
    assert!(head.starts_with("http/1.1 426"), "{head}");
}

#[tokio::test]
async fn s5_a_subscriber_is_answered_and_told_that_it_only_listens() {
    let server = server().await;
    let (_speaker, _) = Client::started(&server, "s5", &start_request()).await;
    let (mut client, _) = subscriber(&server, "s5").await;
    client.send_text("__PING__").await;
    assert_eq!(client.next().await, Heard::Text("__PONG__".into()));
    client.send(Message::Ping(b"payload".to_vec().into())).await;
    assert_eq!(client.next().await, Heard::Pong(b"payload".to_vec()));
    client.send_audio(&said(0..2)).await;
    client.send_json(&start_request()).await;
    let error = client.next().await;
    assert_eq!(error.json()["code"], "listen_only");
    client.send_text("__PING__").await;
    assert_eq!(client.next().await, Heard::Text("__PONG__".into()));
}

#[tokio::test]
async fn a_subscriber_that_sends_more_than_4_kib_is_closed_with_1009() {
    let server = server().await;
    let (_speaker, _) = Client::started(&server, "large", &start_request()).await;
    let (mut client, _) = subscriber(&server, "large").await;
    client.send_text(&"x".repeat(4096)).await;
    assert_eq!(client.next().await.json()["code"], "listen_only");
    client.send_text(&"x".repeat(4097)).await;
    assert_eq!(client.next().await, Heard::Closed(Some(1009)));
}

#[tokio::test]
async fn s6_a_subscriber_hears_all_that_all_speakers_say_live_results_too() {
    let server = server().await;
    let (mut ada, first) = Client::started(&server, "s6", &start_request()).await;
    let (mut bob, _) = Client::started(&server, "s6", &start_request()).await;
    let (mut listener, same) = subscriber(&server, "s6").await;
    assert_eq!(same, first);
    for (speaker, words) in [(&mut ada, 0..3), (&mut bob, 20..23)] {
        speaker.send_audio(&said(words)).await;
        let mut own = Vec::new();
        while own.last().map(Heard::kind) != Some("message_response") {
            let heard = speaker.next().await;
            // What the other speaker's messages are is heard by both.
            if heard.kind() == "recognition_result" || !own.is_empty() {
                own.push(heard);
            }
        }
        let mut heard = Vec::new();
        for _ in &own {
            heard.push(listener.next().await);
        }
        assert_eq!(heard, own);
    }
}

#[tokio::test]
async fn s7_a_subscriber_stays_over_a_lost_speaker_and_is_closed_at_the_end() {
    let server = server().await;
    let (speaker, first) = Client::started(&server, "s7", &rejoinable()).await;
    let (mut listener, _) = subscriber(&server, "s7").await;
    drop(speaker);
    let (mut again, second) = Client::started(&server, "s7", &rejoinable()).await;
    assert_eq!(second, first);
    again.send_audio(&said(0..3)).await;
    listener.until("message_response").await;
    again.stop().await;
    again.rest().await;
    let end = listener.rest().await;
    assert_eq!(
        kinds(&end)[end.len() - 2..],
        ["conversation_completed", "closed"]
    );
    assert_eq!(end.last(), Some(&Heard::Closed(Some(1000))));
    let path = "/v1/subscribe/s7";
    assert_eq!(refused(Client::open(&server, path, &[]).await), 404);
}

#[tokio::test]
async fn s7_a_subscriber_is_closed_when_no_speaker_came_back() {
    let server = server().await;
    let mut request = rejoinable();
    request["noConnectionTimeout"] = 1.into();
    let (speaker, _) = Client::started(&server, "gone", &request).await;
    let (mut listener, _) = subscriber(&server, "gone").await;
    drop(speaker);
    assert_eq!(
        kinds(&listener.rest().await),
        ["conversation_completed", "closed"]
    );
}

#[tokio::test]
async fn a_subscriber_that_reads_nothing_holds_up_nobody_and_is_let_go() {
    let mut config = ServerConfig::new(Arc::new(Chatty));
    config.limits.outbound_queue = 32;
    config.limits.close = Duration::from_millis(100);
    config.limits.subscribers = 2;
    let server = Server::bind(config).await.expect("a free port");
    let (mut speaker, _) = Client::started(&server, "deaf", &start_request()).await;
    let (_deaf, _) = subscriber(&server, "deaf").await;
    let (mut other, _) = subscriber(&server, "deaf").await;
    assert_eq!(
        refused(Client::open(&server, "/v1/subscribe/deaf", &[]).await),
        429
    );
    // Until the place of the deaf one is free.
    loop {
        speaker.send_audio(&[0; 3200]).await;
        speaker.until("message_response").await;
        other.until("message_response").await;
        if Client::open(&server, "/v1/subscribe/deaf", &[])
            .await
            .is_ok()
        {
            break;
        }
    }
}

#[tokio::test]
async fn who_subscribes_needs_a_token() {
    let mut config = config();
    config.auth = Auth::App {
        id: "app".into(),
        secret: "hush".into(),
    };
    let server = Server::bind(config).await.expect("a free port");
    assert_eq!(
        refused(Client::open(&server, "/v1/subscribe/x", &[]).await),
        401
    );
}

#[tokio::test]
async fn a_speaker_who_hangs_up_at_once_is_heard_to_the_end() {
    let server = server().await;
    let (mut speaker, _) = Client::started(&server, "hasty", &start_request()).await;
    let (mut listener, conversation) = subscriber(&server, "hasty").await;
    speaker.send_audio(&linear16(&speech(0..25, 16_000))).await;
    speaker.stop().await;
    speaker.close(1000).await;
    let heard = listener.rest().await;
    let words = final_words(&heard);
    let expected: Vec<String> = (0..25).map(|n| format!("w{n}")).collect();
    assert_eq!(texts(&words), expected);
    let completed = heard[heard.len() - 2].json();
    assert_eq!(completed["message"]["type"], "conversation_completed");
    let id = &completed["message"]["data"]["conversationId"];
    assert_eq!(id, conversation.as_str());
}

#[tokio::test]
async fn what_subscribers_were_sent_can_be_read_in_pages_when_the_conversation_is_over() {
    let server = server().await;
    let mut request = rejoinable();
    request["trackers"] = serde_json::json!([{"name": "Two", "vocabulary": ["w2", "w9"]}]);
    let (mut speaker, id) = Client::started(&server, "events", &request).await;
    let (mut early, _) = subscriber(&server, "events").await;
    for words in [0..4, 4..8, 8..12] {
        speaker.send_audio(&said(words)).await;
        speaker.until("message_response").await;
    }
    let (mut late, _) = Client::open(&server, "/v1/subscribe/events?after=0", &[])
        .await
        .expect("an upgrade");
    let started = late.next().await;
    let last = &started.json()["message"]["data"]["x_lastSequenceNumber"];
    assert_eq!(*last, 2, "{started:?}");
    speaker.stop().await;
    speaker.rest().await;
    let content = |heard: &Heard| match heard {
        Heard::Json(json) if heard.kind() == "recognition_result" => {
            json["message"]["isFinal"] == true
        }
        Heard::Json(json) if heard.kind() == "tracker_response" => json["isFinal"] == true,
        Heard::Json(_) => heard.kind() != "conversation_completed",
        _ => false,
    };
    let sent = early.rest().await;
    let sent: Vec<Value> = sent
        .iter()
        .filter(|heard| content(heard))
        .map(|heard| heard.json().clone())
        .collect();
    assert!(sent.len() > 6, "{sent:?}");
    let page = async |query: &str| -> Value {
        let request = format!("GET /v1/conversations/{id}/events{query}");
        let (head, body) = http(&server, &request, "").await;
        assert!(head.starts_with("http/1.1 200"), "{head} {body}");
        serde_json::from_str(&body).expect("JSON")
    };
    for limit in [1, 2, 1000] {
        let (mut after, mut read, mut seqs) = (0, Vec::new(), Vec::new());
        loop {
            let page = page(&format!("?after={after}&limit={limit}")).await;
            for event in page["events"].as_array().expect("a list") {
                seqs.push(event["seq"].as_u64().expect("a number"));
                assert!(event["at"].as_i64() > Some(1_600_000_000_000), "{event}");
                read.extend(event["messages"].as_array().expect("a list").clone());
            }
            after = page["last"].as_u64().expect("a number");
            if page["more"] != true {
                break;
            }
        }
        assert_eq!(read, sent, "{limit}");
        assert!(seqs.is_sorted() && seqs.len() == 3, "{seqs:?}");
    }
    let rest = page("?afterSequenceNumber=1").await;
    let numbers: Vec<&Value> = rest["events"]
        .as_array()
        .expect("a list")
        .iter()
        .flat_map(|event| event["messages"].as_array().expect("a list"))
        .filter(|message| message["type"] == "message_response")
        .map(|message| &message["sequenceNumber"])
        .collect();
    assert_eq!(numbers, [2]);
    for (path, status) in [
        (format!("{id}/events?after=-1"), "400"),
        (format!("{id}/events?limit=0"), "400"),
        ("1234567890123456/events".to_owned(), "404"),
    ] {
        let request = format!("GET /v1/conversations/{path}");
        let (head, body) = http(&server, &request, "").await;
        assert_eq!(head.split(' ').nth(1), Some(status), "{path}");
        assert!(body.contains("message"), "{body}");
    }
}

#[tokio::test]
async fn a_subscriber_is_told_behind_which_final_it_comes_in() {
    let server = server().await;
    let (mut speaker, _) = Client::started(&server, "place", &rejoinable()).await;
    for (last, words) in [(-1, 0..4), (0, 4..8), (1, 8..12)] {
        let (mut client, _) = Client::open(&server, "/v1/subscribe/place", &[])
            .await
            .expect("an upgrade");
        let started = client.next().await;
        let told = &started.json()["message"]["data"]["x_lastSequenceNumber"];
        assert_eq!(*told, last, "{started:?}");
        speaker.send_audio(&said(words)).await;
        let next = client.until("message_response").await;
        assert_eq!(next.json()["sequenceNumber"], last + 1);
        speaker.until("message_response").await;
    }
}
