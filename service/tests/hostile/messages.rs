// SPDX-License-Identifier: MPL-2.0

//! What is said on an open socket: far too much, far too many, and what is no
//! message or no audio.

use crate::common::child::Service;
use crate::common::*;
use crate::raw::{Raw, frame_head};
use serde_json::{Value, json};
use std::time::Duration;
use symbl_service::Server;
use symbl_service::recognizer::scripted::{silence, speech};
use tokio_tungstenite::tungstenite::Message;

const MEBIBYTE: usize = 1024 * 1024;

/// A text frame that is not the last of its message, and one that goes on.
const FIRST: u8 = 0x01;
const CONTINUED: u8 = 0x00;

/// Tries to send 64 MiB as one text message.
async fn flood(service: &Service, fragmented: bool) -> (usize, String) {
    let mut raw = Raw::websocket(service, "/v1/streaming/flood").await;
    let part = vec![b'x'; 64 * 1024];
    let mut sent = 0;
    if !fragmented {
        // A start request of a gigabyte, it says.
        raw.send(&frame_head(0x81, 1 << 30)).await;
    }
    for number in 0..1024 {
        if fragmented {
            let first = if number == 0 { FIRST } else { CONTINUED };
            raw.send(&frame_head(first, part.len() as u64)).await;
        }
        let taken = raw.send(&part).await;
        sent += taken;
        if taken < part.len() {
            break;
        }
    }
    (sent, raw.text().await)
}

#[tokio::test]
async fn a_start_request_of_a_gigabyte_is_refused_and_never_held() {
    let service = Service::start(&[]);
    let (mut honest, _) = Client::started(&service, "honest", &start_request()).await;
    let before = service.peak_memory();
    let mut floods = Vec::new();
    for number in 0..16 {
        floods.push(flood(&service, number % 2 == 0));
    }
    for (_, answer) in futures_util::future::join_all(floods).await {
        assert!(answer.contains("message_too_large"), "{answer:?}");
        assert!(answer.contains("\u{3}"), "{answer:?}");
    }
    let grown = service.peak_memory() - before;
    // Two of a mebibyte for each, and as much again for buffers; a sixteenth of
    // what was sent or said to be coming.
    assert!(grown < 16 * 4 * MEBIBYTE as u64, "{grown} bytes");
    honest.send_audio(&linear16(&speech(0..5, 16_000))).await;
    honest.stop().await;
    assert_eq!(final_words(&honest.rest().await).len(), 5);
}

#[tokio::test]
async fn a_start_request_that_asks_for_too_much_is_refused_with_the_bound() {
    let mut config = config();
    config.limits.speakers = 2;
    let limits = config.limits.clone();
    let server = Server::bind(config).await.expect("a free port");
    let mut client = Client::connect(&server, "much").await;
    let long = "x".repeat(limits.text + 1);
    let phrases: Vec<String> = (0..=limits.phrases).map(|n| format!("a{n}")).collect();
    let trackers: Vec<Value> = (0..=500)
        .map(|n| json!({"name": n.to_string(), "vocabulary": ["a"]}))
        .collect();
    let tracker =
        |name: &str, vocabulary: &[String]| json!([{"name": name, "vocabulary": vocabulary}]);
    let phrase = "y".repeat(limits.phrase + 1);
    for (fields, says) in [
        (json!({"speaker": {"userId": long}}), "speaker.userId"),
        (json!({"speaker": {"name": long}}), "speaker.name"),
        (
            json!({"config": {"meetingTitle": long}}),
            "config.meetingTitle",
        ),
        (
            json!({"config": {"languageCode": long}}),
            "config.languageCode",
        ),
        (json!({"customVocabulary": phrases}), "5001 phrases"),
        (json!({"trackers": tracker("x", &phrases)}), "5001 phrases"),
        (json!({"trackers": trackers}), "501 trackers"),
        (
            json!({"customVocabulary": [phrase]}),
            "257 bytes in a phrase",
        ),
        (
            json!({"trackers": tracker(&phrase, &["a".to_owned()])}),
            "257 bytes in a phrase",
        ),
        (
            json!({"trackers": tracker("x", &[phrase])}),
            "257 bytes in a phrase",
        ),
    ] {
        let mut request = json!({"type": "start_request"});
        let members = request.as_object_mut().expect("an object");
        members.extend(fields.as_object().expect("an object").clone());
        client.send_json(&request).await;
        let error = client.next().await;
        assert_eq!(error.json()["code"], "invalid_request");
        let details = error.json()["details"].as_str().expect("a string");
        assert!(details.contains(says), "{says}: {details}");
        assert!(details.len() < 200, "{details}");
    }
    // As much as is allowed is taken.
    let mut request = start_request();
    request["disconnectOnStopRequest"] = false.into();
    request["trackers"] = tracker("x", &phrases[1..]);
    for name in ["a", "b"] {
        request["speaker"] = json!({"name": name});
        client.start(&request).await;
        client.stop().await;
        client.until("recognition_stopped").await;
    }
    request["speaker"] = json!({"name": "c"});
    client.send_json(&request).await;
    let error = client.until("error").await;
    let details = error.json()["details"].as_str().expect("a string");
    assert!(details.contains("2 speakers"), "{details}");
}

#[tokio::test]
async fn text_that_is_no_message_is_refused_in_few_words() {
    let server = server().await;
    let mut client = Client::connect(&server, "text").await;
    let most = MEBIBYTE - 100;
    let deep = "[".repeat(most);
    let deep_object = format!("{{\"type\":{}", "{\"a\":".repeat(most / 10));
    let number = format!(
        "{{\"type\":\"start_request\",\"noConnectionTimeout\":1{}}}",
        "0".repeat(most)
    );
    let kind = json!({"type": "x".repeat(most)}).to_string();
    let encoding = json!({
        "type": "start_request",
        "config": {"speechRecognition": {"encoding": "x".repeat(most)}},
    });
    for (text, code) in [
        (deep.as_str(), "invalid_message"),
        (&deep_object, "invalid_message"),
        (&number, "invalid"),
        (&kind, "unknown_type"),
        (&encoding.to_string(), "invalid_request"),
        ("", "invalid_message"),
        ("\0", "invalid_message"),
        ("\u{202e}\u{feff}{}", "invalid_message"),
    ] {
        client.send_text(text).await;
        let error = client.next().await;
        let told = error.json()["code"].as_str().expect("a code");
        assert!(told.starts_with(code), "{told}");
        assert!(error.json().to_string().len() < 500, "{told}");
    }
    client.start(&start_request()).await;
}

#[tokio::test]
async fn audio_that_is_not_what_was_said_ends_its_own_stream_alone() {
    let server = server().await;
    let (mut honest, _) = Client::started(&server, "honest", &start_request()).await;
    honest.send_audio(&linear16(&speech(0..3, 16_000))).await;
    // What looks like any format and is none.
    let noise: Vec<u8> = (0u32..4096)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for (encoding, rate) in [("FLAC", 16_000), ("Opus", 48_000)] {
        let mut request = start_request();
        request["config"]["speechRecognition"] =
            json!({"encoding": encoding, "sampleRateHertz": rate});
        let (mut client, _) = Client::started(&server, encoding, &request).await;
        // It may end after any of them.
        for _ in 0..50 {
            client.send(Message::binary(noise.clone())).await;
        }
        let error = client.until("error").await;
        assert_eq!(error.json()["code"], "invalid_audio", "{encoding}");
        client.send_text("__PING__").await;
        client.until("__PONG__").await;
    }
    // Any bytes are audio of these; an odd number is half a sample too many.
    for (encoding, rate) in [("LINEAR16", 16_000), ("MULAW", 8000)] {
        let mut request = start_request();
        request["config"]["speechRecognition"] =
            json!({"encoding": encoding, "sampleRateHertz": rate});
        let (mut client, _) = Client::started(&server, encoding, &request).await;
        client.send(Message::binary(noise[1..].to_vec())).await;
        client.send(Message::binary(vec![0])).await;
        client.stop().await;
        client.until("conversation_completed").await;
    }
    honest.send_audio(&linear16(&speech(3..5, 16_000))).await;
    honest.stop().await;
    let words = final_words(&honest.rest().await);
    assert_eq!(texts(&words), ["w0", "w1", "w2", "w3", "w4"]);
}

/// Returns a start request with 5,000 phrases that no other client has.
fn tracking(client: usize) -> Value {
    let mut request = start_request();
    request["noConnectionTimeout"] = 1800.into();
    let trackers = (0..500).map(|n| {
        let phrases = (0..10).map(|k| format!("client{client} tracker{n} phrase{k}"));
        json!({"name": n.to_string(), "vocabulary": phrases.collect::<Vec<_>>()})
    });
    request["trackers"] = trackers.collect();
    request
}

#[tokio::test]
async fn conversations_that_wait_for_their_speakers_keep_no_trackers() {
    let service = Service::start(&[]);
    let mut before = 0;
    for number in 0..45 {
        let id = number.to_string();
        let (mut client, _) = Client::started(&service, &id, &tracking(number)).await;
        let mut samples = speech(0..2, 16_000);
        samples.extend(silence(Duration::from_millis(400), 16_000));
        client.send_audio(&linear16(&samples)).await;
        // Its phrases are looked for in this.
        client.until("message_response").await;
        drop(client);
        if number == 4 {
            before = service.peak_memory();
        }
    }
    let grown = service.peak_memory() - before;
    // One client's take about 2 MiB.
    assert!(grown < 24 * MEBIBYTE as u64, "{grown} bytes for 40 clients");
}
