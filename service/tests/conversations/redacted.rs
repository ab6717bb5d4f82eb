// SPDX-License-Identifier: MPL-2.0

//! Streams that ask for a redaction (`config.redaction`), on the wire and in the Conversation
//! API.

use crate::common::secrets::*;
use crate::common::*;
use serde_json::{Value, json};
use std::time::Duration;
use symbl_service::recognizer::scripted::silence;
use symbl_service::{RedactionPolicy, Server};

/// Returns the texts of the messages of a conversation.
async fn messages(server: &Server, id: &str) -> Vec<String> {
    let path = format!("GET /v1/conversations/{id}/messages");
    let (_, body) = http(server, &path, "").await;
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let messages = body["messages"].as_array().expect("messages").iter();
    messages
        .map(|one| one["text"].as_str().expect("a text").to_owned())
        .collect()
}

#[tokio::test]
async fn a_stream_that_asks_for_it_is_redacted_and_others_of_its_conversation_are_not() {
    let server = serve(None, RedactionPolicy::default()).await;
    let mut asking = request();
    asking["config"]["redaction"] = json!({"redactContent": true, "redactionString": "[gone]"});
    let (mut plain, id) = Client::started(&server, "both", &request()).await;
    let (same, heard) = call(&server, "both", &asking).await;
    assert_eq!(same, id);
    assert!(!kinds(&heard).contains(&"warning"), "it is done");
    let texts = messages(&server, &id).await;
    has_no_secret("the messages", texts[..5].join("\n").as_bytes());
    assert_eq!(texts[1], "You can write to [gone] please.");
    assert!(
        texts[2].starts_with("my number is [gone], can you call"),
        "{texts:?}"
    );
    let second = silence(Duration::from_secs(1), 16_000);
    plain.send_audio(&linear16(&second)).await;
    plain.stop().await;
    plain.rest().await;
    let texts = messages(&server, &id).await.join("\n");
    assert!(texts.contains("zanzibar dot quixote"), "{texts}");
}

#[tokio::test]
async fn what_clients_write_beside_the_talk_is_hidden_as_what_is_said() {
    let server = serve(None, everything()).await;
    let (_, id) = Client::started(&server, "labels", &request()).await;
    let path = format!("/v1/conversations/{id}");
    let bookmark = json!({
        "label": "call 415-555-0187 back",
        "description": "it was svetlana, zanzibar@example.com",
        "user": {"name": "Ada", "userId": "ada@example.org"},
        "beginTimeOffset": 0, "duration": 1,
    });
    let labels = json!({
        "name": "svetlana, 415-555-0187",
        "metadata": {"ticket": "for M778899 at 17742 Hawthorne Street", "stage": "open"},
    });
    let mut answers = Vec::new();
    for (request, body) in [
        (format!("PUT {path}"), labels.to_string()),
        (format!("PATCH {path}"), labels.to_string()),
        (format!("POST {path}/bookmarks"), bookmark.to_string()),
        (format!("GET {path}"), String::new()),
        (format!("GET {path}/bookmarks"), String::new()),
    ] {
        let (head, body) = http(&server, &request, &body).await;
        assert!(head.starts_with("http/1.1 200"), "{request}: {head}");
        has_no_secret(&request, body.as_bytes());
        answers.push(body);
    }
    let made: Value = serde_json::from_str(&answers[2]).expect("JSON");
    assert_eq!(made["label"], "call **** back");
    assert_eq!(
        made["user"]["userId"], "ada@example.org",
        "who made it stays"
    );
    let again = format!(
        "PUT {path}/bookmarks/{}",
        made["id"].as_str().expect("an id")
    );
    let (_, body) = http(&server, &again, &bookmark.to_string()).await;
    has_no_secret(&again, body.as_bytes());
    let kept: Value = serde_json::from_str(&answers[3]).expect("JSON");
    assert_eq!(kept["metadata"]["stage"], "open");
}

/// Returns all that a client can read of a conversation.
async fn all_of(server: &Server, id: &str) -> String {
    let mut all = String::new();
    for path in [
        "",
        "/members",
        "/messages",
        "/events",
        "/transcript?format=md",
    ] {
        let request = format!("GET /v1/conversations/{id}{path}");
        let (head, body) = http(server, &request, "").await;
        assert!(head.starts_with("http/1.1 200"), "{request}: {head}");
        all.push_str(&body);
    }
    all
}

#[tokio::test]
async fn names_of_speakers_and_titles_are_hidden_where_they_are_told_stored_and_listed() {
    let data = tempfile::tempdir().expect("a directory");
    let server = serve(Some(data.path()), everything()).await;
    let mut asking = request();
    asking["config"]["meetingTitle"] = "Call of svetlana, 415-555-0187".into();
    let named = |name: &str| json!({"name": name});
    let mut clients = Vec::new();
    // Two callers that are numbers are two, and a name stays.
    for name in ["+1 415-555-0187", "zanzibar@example.com", "Ada Brown"] {
        asking["speaker"] = named(name);
        let (mut client, id) = Client::started(&server, "titled", &asking).await;
        let audio = silence(Duration::from_millis(600), 16_000);
        client.send_audio(&linear16(&audio)).await;
        let heard = client.until("message_response").await;
        let shown = match name {
            "Ada Brown" => name,
            _ => "****",
        };
        assert_eq!(heard.json()["messages"][0]["from"]["name"], shown);
        clients.push((client, id));
    }
    let id = clients[0].1.clone();
    let (client, _) = &mut clients[2];
    let event = json!({"type": "speaker_event", "event": {
        "type": "started_speaking", "user": {"id": "s", "name": "card 4539 1488 0343 6467"}}});
    client.send_json(&event).await;
    let audio = silence(Duration::from_millis(600), 16_000);
    client.send_audio(&linear16(&audio)).await;
    let heard = client.until("message_response").await;
    assert_eq!(
        heard.json()["messages"][0]["from"]["id"],
        "s",
        "{:?}",
        heard.json()
    );
    for (request, body) in [
        (
            "speakers",
            json!({"speakerEvents": [{"type": "started_speaking", "offset": {"seconds": 0},
                            "user": {"id": "t", "name": "219-09-9999"}}]}),
        ),
        ("members/s", named("M778899")),
    ] {
        let request = format!("PUT /v1/conversations/{id}/{request}");
        let (head, _) = http(&server, &request, &body.to_string()).await;
        assert!(head.starts_with("http/1.1 200"), "{request}: {head}");
    }
    let all = all_of(&server, &id).await;
    has_no_secret("what is listed", all.as_bytes());
    assert!(
        all.contains("Call of ****, ****") && all.contains("Ada Brown"),
        "{all}"
    );
    let (_, members) = http(&server, &format!("GET /v1/conversations/{id}/members"), "").await;
    assert_eq!(members.matches("****").count(), 4, "{members}");
    drop(clients);
    server.shutdown().await;
    for (file, bytes) in files(data.path()) {
        has_no_secret(&file, &bytes);
    }
}

#[tokio::test]
async fn a_stream_that_asks_for_it_hides_its_own_name_and_title() {
    let server = serve(None, RedactionPolicy::default()).await;
    let mut asking = request();
    asking["config"]["meetingTitle"] = "415-555-0187".into();
    asking["speaker"] = json!({"name": "415-555-0187"});
    let (_, id) = Client::started(&server, "open", &asking).await;
    assert!(all_of(&server, &id).await.contains("415-555-0187"));
    asking["config"]["redaction"] = json!({"redactContent": true, "redactionString": "[gone]"});
    let (_, id) = Client::started(&server, "hidden", &asking).await;
    let all = all_of(&server, &id).await;
    has_no_secret("what is listed", all.as_bytes());
    assert_eq!(all.matches("\"name\":\"[gone]\"").count(), 3, "{all}");
}

#[tokio::test]
async fn hidden_words_are_one_that_lasts_as_long() {
    let server = serve(None, everything()).await;
    let (_, heard) = call(&server, "times", &request()).await;
    let words = final_words(&heard);
    let second: Vec<_> = words
        .iter()
        .filter(|word| (500..1000).contains(&word.1))
        .collect();
    let texts: Vec<&str> = second.iter().map(|word| word.0.as_str()).collect();
    assert_eq!(texts, ["you", "can", "write", "to", "", "please"]);
    // Seven words of 20 ms each behind four of them.
    assert_eq!((second[4].1, second[4].2), (580, 720));
}

#[tokio::test]
async fn what_is_identified_is_told_as_entities_and_hidden_only_if_asked_for() {
    let server = serve(None, RedactionPolicy::default()).await;
    let mut asking = request();
    asking["config"]["detectEntities"] = false.into();
    for (redact, value) in [(false, "415-555-0187"), (true, "****")] {
        let redaction = json!({"identifyContent": true, "redactContent": redact});
        asking["config"]["redaction"] = redaction;
        let (_, heard) = call(&server, &format!("identify-{redact}"), &asking).await;
        let message = heard
            .iter()
            .filter(|heard| heard.kind() == "message_response")
            .nth(2);
        let message = &message.expect("a message").json()["messages"][0];
        let phone = &message["entities"][0];
        assert_eq!(phone["type"], "PHONE_NUMBER", "{message}");
        assert_eq!(phone["detectedValue"], value);
        assert_eq!(phone["offset"], 13);
        let text = message["payload"]["content"].as_str().expect("a text");
        assert!(text.get(13..).expect("long").starts_with(value), "{text}");
    }
}

#[tokio::test]
async fn a_replay_after_a_cut_does_not_tell_what_was_hidden() {
    let server = serve(None, RedactionPolicy::default()).await;
    let mut asking = request();
    asking["config"]["redaction"] = json!({"redactContent": true});
    asking["noConnectionTimeout"] = 1800.into();
    let place =
        |attempt: u64, ms: u64| json!({"id": "s", "attempt": attempt, "position": ms * 1_000_000});
    asking["x_stream"] = place(1, 0);
    let (mut client, id) = Client::started(&server, "cut", &asking).await;
    let half = linear16(&silence(Duration::from_millis(500), 16_000));
    client.send_audio(&half).await;
    client.send_audio(&half).await;
    client.until("message_response").await;
    client.until("message_response").await;
    drop(client);
    // The prompter begins anew: its first line lies where its second one was.
    asking["x_stream"] = place(2, 500);
    let (mut client, same) = Client::started(&server, "cut", &asking).await;
    assert_eq!(same, id);
    for _ in CALL {
        client.send_audio(&half).await;
    }
    client.stop().await;
    let told: Vec<String> = client
        .rest()
        .await
        .iter()
        .map(|heard| format!("{heard:?}"))
        .collect();
    let secrets = told.join("\n");
    for secret in SECRETS.iter().filter(|secret| **secret != "778899") {
        assert_eq!(found(&secrets, secret), None, "{secret}");
    }
}

#[tokio::test]
async fn a_replacement_that_cannot_be_seen_is_refused() {
    let server = serve(None, RedactionPolicy::default()).await;
    for wrong in [
        json!(" "),
        json!("a\u{7}b"),
        json!("12345678901234567"),
        json!(7),
    ] {
        let mut asking = request();
        asking["config"]["redaction"] = json!({"redactContent": true, "redactionString": wrong});
        let mut client = Client::connect(&server, "wrong").await;
        client.send_json(&asking).await;
        let error = client.next().await;
        assert_eq!(error.json()["code"], "invalid_request", "{wrong}");
    }
}
