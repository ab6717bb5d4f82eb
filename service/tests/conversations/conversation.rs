// SPDX-License-Identifier: MPL-2.0

//! Several sockets, rejoins, and what is said about what was said.

use crate::common::prompter::Prompter;
use crate::common::shape::{conforms, example};
use crate::common::*;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use symbl_service::recognizer::scripted::{silence, speech};
use symbl_service::{Server, ServerConfig};

fn request(user: &str) -> Value {
    let mut request = start_request();
    request["speaker"] = json!({"userId": format!("{user}@example.org"), "name": user});
    request
}

fn rejoinable(user: &str, seconds: u32) -> Value {
    let mut request = request(user);
    request["noConnectionTimeout"] = seconds.into();
    request
}

#[tokio::test]
async fn s6_messages_of_each_reach_both_and_live_results_only_their_speaker() {
    let server = server().await;
    let (mut ada, first) = Client::started(&server, "s6", &request("Ada")).await;
    let (mut bob, second) = Client::started(&server, "s6", &request("Bob")).await;
    assert_eq!(first, second);

    let mut samples = speech(1..3, 16_000);
    samples.extend(silence(Duration::from_millis(400), 16_000));
    ada.send_audio(&linear16(&samples)).await;
    let own = ada.until("recognition_result").await;
    let to_ada = ada.until("message_response").await;
    let to_bob = bob.next().await;
    assert_eq!(
        to_ada, to_bob,
        "Bob hears Ada's message and none of her live results"
    );
    let from = &to_bob.json()["messages"][0]["from"];
    assert_eq!(from["userId"], "Ada@example.org");
    assert_eq!(from["id"], own.json()["message"]["user"]["id"]);

    bob.send_audio(&linear16(&samples)).await;
    let reply = ada.next().await;
    assert_eq!(reply.kind(), "message_response");
    let other = &reply.json()["messages"][0]["from"];
    assert_ne!(other["id"], from["id"]);
    assert_eq!(reply.json()["sequenceNumber"], 1);

    // One leaves; the conversation goes on until both are gone.
    ada.stop().await;
    ada.rest().await;
    let (carol, third) = Client::started(&server, "s6", &request("Carol")).await;
    assert_eq!(third, first);
    for mut client in [bob, carol] {
        client.stop().await;
        client.rest().await;
    }
    let (_dave, fourth) = Client::started(&server, "s6", &request("Dave")).await;
    assert_ne!(fourth, first);
}

#[tokio::test]
async fn s7_a_rejoin_within_the_time_finds_the_conversation_and_its_speaker() {
    let server = server().await;
    let (mut client, first) = Client::started(&server, "s7", &rejoinable("Ada", 1800)).await;
    client.send_audio(&linear16(&speech(0..10, 16_000))).await;
    client
        .send_audio(&linear16(&silence(Duration::from_millis(100), 16_000)))
        .await;
    let before = client.until("message_response").await;
    drop(client);
    let (mut client, second) = Client::started(&server, "s7", &rejoinable("Ada", 1800)).await;
    assert_eq!(first, second);
    client.send_audio(&linear16(&speech(10..12, 16_000))).await;
    client.stop().await;
    let heard = client.rest().await;
    let words = final_words(&heard);
    assert_eq!(texts(&words), ["w10", "w11"]);
    assert!(words[0].1 <= 10, "word times begin anew with a start");
    let after = heard
        .iter()
        .find(|h| h.kind() == "message_response")
        .unwrap();
    let (before, after) = (before.json(), after.json());
    assert_eq!(before["sequenceNumber"], 0);
    assert_eq!(after["sequenceNumber"], 1);
    assert_eq!(before["messages"][0]["from"], after["messages"][0]["from"]);
    let offset = |message: &Value| message["messages"][0]["duration"]["timeOffset"].as_f64();
    assert_eq!(offset(before), Some(0.0));
    assert!(
        offset(after) > Some(0.0),
        "counted from the start of the conversation"
    );
}

#[tokio::test]
async fn s7_after_the_time_the_connection_id_begins_a_new_conversation() {
    let server = server().await;
    let (client, first) = Client::started(&server, "s7", &rejoinable("Ada", 1)).await;
    drop(client);
    // A rejoin that comes too early waits anew, so each try waits longer.
    for seconds in 2.. {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let (client, next) = Client::started(&server, "s7", &rejoinable("Ada", 1)).await;
        drop(client);
        if next != first {
            return;
        }
    }
}

#[tokio::test]
async fn without_no_connection_timeout_a_lost_socket_ends_the_conversation() {
    let server = server().await;
    let (client, first) = Client::started(&server, "lost", &request("Ada")).await;
    drop(client);
    // Until the server has seen the loss, the old socket still holds the room.
    while Client::started(&server, "lost", &request("Ada")).await.1 == first {}
}

#[tokio::test]
async fn no_speaker_is_waited_for_longer_than_the_service_allows() {
    let mut config = config();
    config.limits.no_connection = Duration::ZERO;
    let server = Server::bind(config).await.expect("a free port");
    let (client, first) = Client::started(&server, "limit", &rejoinable("Ada", 1800)).await;
    drop(client);
    in_time(async {
        while Client::started(&server, "limit", &rejoinable("Ada", 1800))
            .await
            .1
            == first
        {}
    })
    .await;
}

#[tokio::test]
async fn after_a_clean_stop_the_connection_id_begins_a_new_conversation() {
    let server = server().await;
    let (mut client, first) = Client::started(&server, "stop", &rejoinable("Ada", 1800)).await;
    client.stop().await;
    client.rest().await;
    let (_client, second) = Client::started(&server, "stop", &rejoinable("Ada", 1800)).await;
    assert_ne!(first, second);
}

#[tokio::test]
async fn audio_without_a_final_of_a_lost_socket_is_transcribed_once() {
    let server = server().await;
    let (mut listener, _) = Client::started(&server, "tail", &request("Bob")).await;
    let (mut lost, _) = Client::started(&server, "tail", &rejoinable("Ada", 1800)).await;
    lost.send_audio(&linear16(&speech(0..3, 16_000))).await;
    lost.until("recognition_result").await;
    drop(lost);
    let (mut again, _) = Client::started(&server, "tail", &rejoinable("Ada", 1800)).await;
    again.send_audio(&linear16(&speech(0..3, 16_000))).await;
    again.stop().await;
    again.rest().await;
    let message = listener.until("message_response").await;
    assert_eq!(message.json()["sequenceNumber"], 0);
    let text = message.json()["messages"][0]["metadata"]["originalContent"].clone();
    assert_eq!(
        text.as_str().unwrap().to_lowercase().trim_end_matches('.'),
        "w0 w1 w2"
    );
    listener.stop().await;
    let rest = listener.rest().await;
    assert!(
        !kinds(&rest).contains(&"message_response"),
        "said once: {rest:?}"
    );
}

#[tokio::test]
async fn after_a_clean_close_the_rest_is_said_to_the_others() {
    let server = server().await;
    let (mut listener, _) = Client::started(&server, "close", &request("Bob")).await;
    let (mut speaker, _) = Client::started(&server, "close", &request("Ada")).await;
    speaker.send_audio(&linear16(&speech(0..3, 16_000))).await;
    speaker.close(1000).await;
    let message = listener.until("message_response").await;
    assert_eq!(message.json()["messages"][0]["from"]["name"], "Ada");
}

#[tokio::test]
async fn s12_every_message_has_the_shape_of_the_fixtures() {
    let lines = &[
        "can you send me the budget report",
        "i will check the budget report tomorrow",
        "let's schedule a follow up meeting about the budget report",
    ];
    let server = Server::bind(ServerConfig::new(Arc::new(Prompter(lines))))
        .await
        .unwrap();
    let mut request = request("Ada");
    request["insightTypes"] = json!(["question", "action_item", "follow_up", "topic"]);
    request["trackers"] = json!([{"name": "Money", "vocabulary": ["budget"]}]);
    request["config"]["trackers"] = json!({"interimResults": true});
    let mut client = Client::connect(&server, "s12").await;
    client.send_text("{").await;
    client.send_json(&request).await;
    client
        .send_audio(&linear16(&silence(Duration::from_millis(1600), 16_000)))
        .await;
    client
        .send_json(
            &json!({"type": "modify_request", "speechRecognition": {"sampleRateHertz": 48000}}),
        )
        .await;
    client.stop().await;
    let heard = client.rest().await;
    let kinds = kinds(&heard);
    let mut sequence = 0;
    for message in &heard {
        let Heard::Json(value) = message else {
            continue;
        };
        let is_final = |member: &Value| member != &Value::Bool(false);
        let fixture = match message.kind() {
            "recognition_result" if is_final(&value["message"]["isFinal"]) => {
                "recognition_result_final"
            }
            "recognition_result" => "recognition_result_interim",
            "tracker_response" if is_final(&value["isFinal"]) => "tracker_response",
            "tracker_response" => "tracker_response_interim",
            "insight_response" => "insight_response_action_item",
            "session_modified" => "session_modified_with_rate",
            other => other,
        };
        let mut known = example(fixture);
        if fixture == "recognition_result_interim" {
            // Interims of the original service have no words. Ours have those of a final.
            let words = "/message/payload/raw/alternatives/0/words";
            let of_final = example("recognition_result_final").pointer(words).cloned();
            *known.pointer_mut(words).expect("words") = of_final.expect("words");
        }
        conforms(value, &known, fixture);
        if message.kind() == "message_response" {
            assert_eq!(value["sequenceNumber"], sequence);
            sequence += 1;
            let words = value["messages"][0]["metadata"]["words"].as_str().unwrap();
            let inner: Value = serde_json::from_str(words).unwrap();
            let known = example("message_response")["messages"][0]["metadata"]["words"].clone();
            let known: Value = serde_json::from_str(known.as_str().unwrap()).unwrap();
            conforms(&inner, &known, "words");
        }
    }
    assert_eq!(sequence, 3);
    for kind in [
        "error",
        "started_listening",
        "conversation_created",
        "recognition_started",
        "recognition_result",
        "insight_response",
        "tracker_response",
        "topic_response",
        "session_modified",
        "recognition_stopped",
        "conversation_completed",
    ] {
        assert!(kinds.contains(&kind), "no {kind} in {kinds:?}");
    }
}

#[tokio::test]
async fn an_interim_tracker_names_the_message_that_it_will_be_found_in() {
    let server = Server::bind(ServerConfig::new(Arc::new(Prompter(&[
        "the budget is fine",
    ]))))
    .await
    .unwrap();
    let mut request = request("Ada");
    request["trackers"] = json!([{"name": "Money", "vocabulary": ["budget"]}]);
    request["config"]["trackers"] = json!({"interimResults": true});
    let (mut client, _) = Client::started(&server, "interim", &request).await;
    client
        .send_audio(&linear16(&silence(Duration::from_millis(600), 16_000)))
        .await;
    let interim = client.until("tracker_response").await;
    assert_eq!(interim.json()["isFinal"], false);
    let message = client.until("message_response").await;
    let last = client.until("tracker_response").await;
    assert_eq!(last.json()["isFinal"], true);
    let id = |t: &Heard| t.json()["trackers"][0]["matches"][0]["messageRefs"][0]["id"].clone();
    assert_eq!(id(&interim), message.json()["messages"][0]["id"]);
    assert_eq!(id(&last), message.json()["messages"][0]["id"]);
}
