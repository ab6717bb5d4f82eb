// SPDX-License-Identifier: MPL-2.0

//! The life of one session: start, audio, modify, stop, pause, errors.

use crate::common::*;
use serde_json::{Value, json};
use std::time::Duration;
use symbl_service::Server;
use symbl_service::recognizer::scripted::{silence, speech};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn s8_a_stop_gives_recognition_stopped_then_the_tail_then_completed_then_close_1000() {
    let server = server().await;
    let (mut client, conversation) = Client::started(&server, "s8", &start_request()).await;
    client.send_audio(&linear16(&speech(0..13, 16_000))).await;
    client.stop().await;
    let heard = client.rest().await;
    let kinds = kinds(&heard);
    let at = |kind: &str| kinds.iter().position(|k| *k == kind).expect(kind);
    let tail = kinds
        .iter()
        .rposition(|k| *k == "message_response")
        .expect("a tail");
    assert!(at("recognition_stopped") < tail, "{kinds:?}");
    assert_eq!(
        kinds[kinds.len() - 2..],
        ["conversation_completed", "closed"]
    );
    assert_eq!(heard.last(), Some(&Heard::Closed(Some(1000))));
    let completed = heard[heard.len() - 2].json();
    assert_eq!(
        completed["message"]["data"]["conversationId"],
        conversation.as_str()
    );

    let words = final_words(&heard);
    let expected: Vec<String> = (0..13).map(|n| format!("w{n}")).collect();
    assert_eq!(texts(&words), expected);
    for (k, (word, start, end)) in (0u64..).zip(&words) {
        assert!(start.abs_diff(200 * k) <= 10, "{word} starts at {start} ms");
        assert!(end.abs_diff(200 * k + 200) <= 10, "{word} ends at {end} ms");
    }
}

/// Returns the kinds of the messages that end things, of what a client is sent for a start,
/// words and a stop.
async fn end_of_a_stop(query: &str, request: &Value) -> Vec<String> {
    let server = server().await;
    let path = format!("/v1/realtime/insights/s8?{query}");
    let (mut client, _) = Client::open(&server, &path, &[]).await.unwrap();
    client.start(request).await;
    client.send_audio(&linear16(&speech(0..3, 16_000))).await;
    client.stop().await;
    let ends = [
        "message_response",
        "recognition_stopped",
        "conversation_completed",
        "closed",
    ];
    let heard = client.rest().await;
    let kinds = kinds(&heard).into_iter().filter(|kind| ends.contains(kind));
    kinds.map(str::to_owned).collect()
}

#[tokio::test]
async fn s8_a_client_that_hangs_up_at_recognition_stopped_is_sent_it_last() {
    let usual = [
        "recognition_stopped",
        "message_response",
        "conversation_completed",
        "closed",
    ];
    let last = [
        "message_response",
        "conversation_completed",
        "recognition_stopped",
        "closed",
    ];
    let request = start_request();
    for query in ["source=js_sdk", "a=b&source=web_sdk"] {
        assert_eq!(end_of_a_stop(query, &request).await, last, "{query}");
    }
    for query in ["source=python_sdk", ""] {
        assert_eq!(end_of_a_stop(query, &request).await, usual, "{query}");
    }
    // Those who said so hang up at nothing.
    let mut patient = start_request();
    patient["disconnectOnStopRequest"] = json!(false);
    patient["disconnectOnStopRequestTimeout"] = json!(0);
    assert_eq!(end_of_a_stop("source=js_sdk", &patient).await, usual);
}

#[tokio::test]
async fn results_come_while_audio_is_being_sent() {
    let server = server().await;
    let (mut client, _) = Client::started(&server, "live", &start_request()).await;
    let mut samples = speech(5..8, 16_000);
    samples.extend(silence(Duration::from_millis(400), 16_000));
    client.send_audio(&linear16(&samples)).await;
    let interim = client.until("recognition_result").await;
    let message = &interim.json()["message"];
    assert_eq!(message["isFinal"], false);
    assert_eq!(message["punctuated"]["transcript"], "w5");
    assert_eq!(
        message["payload"]["raw"]["alternatives"][0]["words"],
        json!([])
    );
    client.until("message_response").await;
}

#[tokio::test]
async fn s4_binary_before_the_start_is_ignored_and_sdk_oddities_are_accepted() {
    let server = server().await;
    let mut client = Client::connect(&server, "s4").await;
    client
        .send_audio(&linear16(&speech(900..905, 16_000)))
        .await;
    client
        .start(&json!({
            "type": "start_request",
            "insightTypes": [],
            "config": {"speechRecognition": {"encoding": "linear16", "sampleRateHertz": 16000.0},
                       "unheardOf": {"a": [1, null]}},
            "speaker": null,
            "trackers": null,
        }))
        .await;
    client.send(Message::binary(Vec::new())).await;
    client.send_audio(&linear16(&speech(1..3, 16_000))).await;
    client.stop().await;
    let words = final_words(&client.rest().await);
    assert_eq!(texts(&words), ["w1", "w2"]);
    assert!(
        words[0].1 <= 10,
        "time starts with the audio after the start: {words:?}"
    );
}

#[tokio::test]
async fn s5_ping_gives_pong_in_every_state() {
    let server = server().await;
    let mut client = Client::connect(&server, "s5").await;
    client.send_text("__PING__").await;
    assert_eq!(client.next().await, Heard::Text("__PONG__".into()));
    let mut request = start_request();
    request["disconnectOnStopRequest"] = false.into();
    client.start(&request).await;
    client.send_text("__PING__").await;
    assert_eq!(client.next().await, Heard::Text("__PONG__".into()));
    client.stop().await;
    client.send_text("__PING__").await;
    client.until("__PONG__").await;
    client.send(Message::Ping(b"payload".to_vec().into())).await;
    assert_eq!(client.next().await, Heard::Pong(b"payload".to_vec()));
}

#[tokio::test]
async fn a_second_start_is_an_error_and_the_session_goes_on() {
    let server = server().await;
    let (mut client, _) = Client::started(&server, "twice", &start_request()).await;
    client.send_audio(&linear16(&speech(0..3, 16_000))).await;
    client.send_json(&start_request()).await;
    let error = client.until("error").await;
    assert_eq!(error.json()["code"], "already_started");
    client.send_audio(&linear16(&speech(3..6, 16_000))).await;
    client.stop().await;
    let words = final_words(&client.rest().await);
    assert_eq!(texts(&words), ["w0", "w1", "w2", "w3", "w4", "w5"]);
}

#[tokio::test]
async fn what_cannot_be_understood_is_an_error_and_the_socket_stays_open() {
    let server = server().await;
    let mut client = Client::connect(&server, "odd").await;
    for (text, code) in [
        ("{'type': 'start_request'}", "invalid_message"),
        ("[1]", "invalid_message"),
        (r#"{"type":"wave_request"}"#, "unknown_type"),
        (r#"{"type":"bookmark_request"}"#, "invalid_request"),
        (r#"{"type":"speaker_event"}"#, "not_processing"),
        (r#"{"type":"stop_request"}"#, "not_processing"),
        (
            r#"{"type":"modify_request","speechRecognition":{"sampleRateHertz":8000}}"#,
            "not_processing",
        ),
        (
            r#"{"type":"start_request","config":{"speechRecognition":{"encoding":"MULAW","sampleRateHertz":16000}}}"#,
            "invalid_request",
        ),
        (
            r#"{"type":"start_request","noConnectionTimeout":1801}"#,
            "invalid_request",
        ),
    ] {
        client.send_text(text).await;
        let error = client.next().await;
        assert_eq!(error.json()["type"], "error", "{text}");
        assert_eq!(error.json()["code"], code, "{text}");
        assert!(error.json()["details"].is_string());
    }
    client.start(&start_request()).await;
}

#[tokio::test]
async fn an_audio_message_above_8192_bytes_gives_an_error_and_close_1009() {
    let server = server().await;
    let (mut client, _) = Client::started(&server, "big", &start_request()).await;
    client.send(Message::binary(vec![0; 8192])).await;
    client.send(Message::binary(vec![0; 8193])).await;
    let heard = client.rest().await;
    assert_eq!(kinds(&heard), ["error", "closed"]);
    assert_eq!(heard[0].json()["code"], "audio_too_large");
    assert_eq!(heard[1], Heard::Closed(Some(1009)));
}

#[tokio::test]
async fn a_lenient_server_takes_large_audio_messages() {
    let mut config = config();
    config.strict = false;
    let server = Server::bind(config).await.unwrap();
    let (mut client, _) = Client::started(&server, "big", &start_request()).await;
    client
        .send(Message::binary(linear16(&speech(0..5, 16_000))))
        .await;
    client.stop().await;
    assert_eq!(final_words(&client.rest().await).len(), 5);
}

#[tokio::test]
async fn a_text_message_above_the_limit_closes_with_1009() {
    let server = server().await;
    let mut client = Client::connect(&server, "long").await;
    client.send_text(&"x".repeat(2 * 1024 * 1024)).await;
    let heard = client.rest().await;
    assert_eq!(kinds(&heard), ["error", "closed"]);
    assert_eq!(heard[1], Heard::Closed(Some(1009)));
}

#[tokio::test]
async fn a_modify_changes_the_format_between_two_bytes() {
    let server = server().await;
    let (mut client, _) = Client::started(&server, "modify", &start_request()).await;
    client.send_audio(&linear16(&speech(10..13, 16_000))).await;
    // Both shapes that clients use: with and without an encoding.
    client
        .send_json(
            &json!({"type": "modify_request", "speechRecognition": {"sampleRateHertz": 48000}}),
        )
        .await;
    let modified = client.until("session_modified").await;
    assert_eq!(
        modified.json()["message"]["data"]["speechRecognition"],
        json!({"encoding": "LINEAR16", "sampleRateHertz": 48000})
    );
    client.send_audio(&linear16(&speech(13..16, 48_000))).await;
    client
        .send_json(&json!({
            "type": "modify_request",
            "speechRecognition": {"encoding": "FLAC", "sampleRateHertz": 16000},
        }))
        .await;
    client.until("session_modified").await;
    for piece in flac::encode(&speech(16..19, 16_000), 16_000, 960) {
        client.send_audio(&piece).await;
    }
    client
        .send_json(&json!({"type": "modify_request", "speechRecognition": {"encoding": "MULAW"}}))
        .await;
    let refused = client.until("error").await;
    assert_eq!(refused.json()["code"], "invalid_request");
    client.stop().await;
    let words = final_words(&client.rest().await);
    // The first final came before the answers that were waited for above.
    assert_eq!(texts(&words).last(), Some(&"w18"));
    assert!(words.last().unwrap().2.abs_diff(1800) <= 10, "{words:?}");
}

#[tokio::test]
async fn s9_a_paused_session_resumes_on_the_same_socket_in_the_same_conversation() {
    let server = server().await;
    let mut request = start_request();
    request["disconnectOnStopRequest"] = false.into();
    request["disconnectOnStopRequestTimeout"] = 600.into();
    let (mut client, first) = Client::started(&server, "s9", &request).await;
    client.send_audio(&linear16(&speech(0..2, 16_000))).await;
    client.stop().await;
    // The next start may come at once, with another rate; results stay in order.
    request["config"]["speechRecognition"]["sampleRateHertz"] = 8000.into();
    client.send_json(&request).await;
    client.send_audio(&linear16(&speech(2..4, 8_000))).await;
    let mut heard = Vec::new();
    while heard.last().map(Heard::kind) != Some("recognition_started") {
        heard.push(client.next().await);
    }
    assert_eq!(texts(&final_words(&heard)), ["w0", "w1"]);
    let second = heard.last().unwrap().json()["message"]["data"]["conversationId"].clone();
    assert_eq!(second, first.as_str());
    client.stop().await;
    client.until("recognition_stopped").await;
    client.until("message_response").await;
    client.send_text("__PING__").await;
    assert_eq!(
        client.next().await.kind(),
        "__PONG__",
        "no completion at a pause"
    );
}

#[tokio::test]
async fn s9_an_idle_pause_ends_after_its_timeout() {
    let server = server().await;
    let mut request = start_request();
    request["disconnectOnStopRequest"] = false.into();
    request["disconnectOnStopRequestTimeout"] = 1.into();
    let (mut client, _) = Client::started(&server, "s9", &request).await;
    let before = std::time::Instant::now();
    client.stop().await;
    let heard = client.rest().await;
    assert_eq!(
        kinds(&heard),
        ["recognition_stopped", "conversation_completed", "closed"]
    );
    assert!(before.elapsed() >= Duration::from_secs(1));
    assert_eq!(heard[2], Heard::Closed(Some(1000)));
}

/// Returns what the `recognition_stopped` messages say of the results, and `None` for each
/// result between them.
fn told(heard: &[Heard]) -> Vec<Option<&Value>> {
    let of_interest = |heard: &&Heard| {
        let is_final = || heard.json()["message"]["isFinal"] == true;
        match heard.kind() {
            "recognition_stopped" | "message_response" => true,
            "recognition_result" => is_final(),
            _ => false,
        }
    };
    let heard = heard.iter().filter(of_interest);
    heard
        .map(|heard| heard.json()["message"].get("x_told"))
        .collect()
}

#[tokio::test]
async fn a_stop_is_told_again_when_all_is_told_to_a_client_that_names_its_streams() {
    let server = server().await;
    let mut request = start_request();
    request["disconnectOnStopRequest"] = false.into();
    request["x_stream"] = json!({"id": "s", "attempt": 1, "position": 0});
    let (mut client, _) = Client::started(&server, "told", &request).await;
    client.send_audio(&linear16(&speech(0..3, 16_000))).await;
    client.stop().await;
    let mut heard = vec![client.until("recognition_stopped").await];
    while heard.len() == 1 || heard.last().map(Heard::kind) != Some("recognition_stopped") {
        heard.push(client.next().await);
    }
    assert_eq!(texts(&final_words(&heard)), ["w0", "w1", "w2"]);
    let (first, last) = (json!(false), json!(true));
    assert_eq!(told(&heard), [Some(&first), None, None, Some(&last)]);
    // A stop in the pause has nothing to wait for.
    client.stop().await;
    let again = [client.next().await, client.next().await];
    assert_eq!(told(&again), [Some(&first), Some(&last)]);
}

#[tokio::test]
async fn a_stop_is_not_told_twice_to_a_client_that_does_not_know_it() {
    for (stays, named) in [(true, false), (false, true), (false, false)] {
        let server = server().await;
        let mut request = start_request();
        request["disconnectOnStopRequest"] = (!stays).into();
        request["disconnectOnStopRequestTimeout"] = 1.into();
        if named {
            request["x_stream"] = json!({"id": "s", "attempt": 1, "position": 0});
        }
        let (mut client, _) = Client::started(&server, "untold", &request).await;
        client.send_audio(&linear16(&speech(0..3, 16_000))).await;
        client.stop().await;
        let heard = client.rest().await;
        assert_eq!(told(&heard), [None; 3], "{stays} {named}");
    }
}

#[tokio::test]
async fn s9_a_timeout_of_zero_drops_at_the_stop() {
    let server = server().await;
    let mut request = start_request();
    request["disconnectOnStopRequest"] = false.into();
    request["disconnectOnStopRequestTimeout"] = 0.into();
    let (mut client, _) = Client::started(&server, "s9", &request).await;
    client.stop().await;
    let heard = client.rest().await;
    assert_eq!(
        kinds(&heard),
        ["recognition_stopped", "conversation_completed", "closed"]
    );
}

#[tokio::test]
async fn s10_an_idle_socket_is_terminated_and_closed_with_1008() {
    let mut config = config();
    config.limits.idle = Duration::from_millis(50);
    let server = Server::bind(config).await.unwrap();
    let mut client = Client::connect(&server, "s10").await;
    let heard = client.rest().await;
    assert_eq!(kinds(&heard), ["processing_terminated", "closed"]);
    assert_eq!(heard[1], Heard::Closed(Some(1008)));
}

#[tokio::test]
async fn s10_a_stream_in_which_nothing_is_said_is_terminated() {
    let mut config = config();
    config.limits.silence = Duration::from_secs(3);
    let server = Server::bind(config).await.unwrap();
    let (mut client, _) = Client::started(&server, "s10", &start_request()).await;
    let mut samples = silence(Duration::from_secs(2), 16_000);
    samples.extend(speech(0..1, 16_000));
    samples.extend(silence(Duration::from_millis(2900), 16_000));
    client.send_audio(&linear16(&samples)).await;
    client.until("message_response").await;
    client
        .send_audio(&linear16(&silence(Duration::from_secs(1), 16_000)))
        .await;
    let heard = client.rest().await;
    assert_eq!(kinds(&heard), ["processing_terminated", "closed"]);
}

#[tokio::test]
async fn s10_with_finals_only_nothing_is_said_for_the_length_of_an_utterance_longer() {
    let mut config = config();
    config.limits.silence = Duration::from_secs(3);
    let server = Server::bind(config).await.unwrap();
    let mut request = start_request();
    request["config"]["speechRecognition"]["interimResults"] = false.into();
    let (mut client, _) = Client::started(&server, "s10", &request).await;
    let mut samples = silence(Duration::from_secs(32), 16_000);
    samples.extend(speech(0..1, 16_000));
    samples.extend(silence(Duration::from_secs(32), 16_000));
    client.send_audio(&linear16(&samples)).await;
    client.until("message_response").await;
    client
        .send_audio(&linear16(&silence(Duration::from_secs(2), 16_000)))
        .await;
    let heard = client.rest().await;
    assert_eq!(kinds(&heard), ["processing_terminated", "closed"]);
}

#[tokio::test]
async fn undecodable_audio_terminates_the_stream_and_the_socket_can_start_again() {
    let server = server().await;
    let mut request = start_request();
    request["config"]["speechRecognition"]["encoding"] = "FLAC".into();
    let (mut client, first) = Client::started(&server, "flac", &request).await;
    client.send(Message::binary(vec![7; 5000])).await;
    assert_eq!(client.until("error").await.json()["code"], "invalid_audio");
    assert_eq!(client.next().await.kind(), "processing_terminated");
    // The server may still be clearing up.
    let second = client.start(&start_request()).await;
    assert_eq!(first, second);
    client.send_audio(&linear16(&speech(4..6, 16_000))).await;
    client.stop().await;
    assert_eq!(texts(&final_words(&client.rest().await)), ["w4", "w5"]);
}

#[tokio::test]
async fn an_ogg_page_is_named_as_such() {
    let server = server().await;
    let mut request = start_request();
    request["config"]["speechRecognition"] = json!({"encoding": "OPUS", "sampleRateHertz": 48000});
    let (mut client, _) = Client::started(&server, "ogg", &request).await;
    client.send(Message::binary(b"OggS\0\x02".to_vec())).await;
    let error = client.until("error").await;
    assert_eq!(error.json()["code"], "invalid_audio");
    assert!(
        error.json()["details"]
            .as_str()
            .unwrap()
            .contains("raw packets")
    );
    client.stop().await;
    client.until("conversation_completed").await;
}

#[tokio::test]
async fn shutting_down_closes_sockets_with_1001() {
    let server = server().await;
    let (mut client, _) = Client::started(&server, "down", &start_request()).await;
    let (heard, ()) = tokio::join!(client.rest(), server.shutdown());
    assert_eq!(heard.last(), Some(&Heard::Closed(Some(1001))));
}

#[tokio::test]
async fn what_a_lone_speaker_said_before_a_clean_close_is_stored() {
    let server = server().await;
    let (mut ada, id) = Client::started(&server, "clean", &start_request()).await;
    ada.send_audio(&linear16(&speech(0..3, 16_000))).await;
    ada.close(1000).await;
    // She was not waited for, and did not wait: the rest is said all the same.
    let path = format!("GET /v1/conversations/{id}/messages");
    let stored = async {
        loop {
            let (_, body) = http(&server, &path, "").await;
            if body.contains("W0 w1 w2") {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    in_time(stored).await;
}
