// SPDX-License-Identifier: MPL-2.0

//! Who said what in audio with several speakers: told afterwards, and while it streams.

use crate::common::annotated::{Api, stages};
use crate::common::*;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use symbl_service::recognizer::scripted::silence;

fn event(kind: &str, name: &str, seconds: f64) -> Value {
    json!({
        "type": format!("{kind}_speaking"),
        "user": {"id": format!("id-{name}"), "name": name, "email": format!("{name}@example.com")},
        "offset": {"seconds": seconds.trunc(), "nanos": (seconds.fract() * 1e9).round()},
    })
}

/// Returns the name of the speaker of each message.
async fn names(api: &Api<'_>, id: &str) -> Vec<String> {
    let list = api.get(&format!("/v1/conversations/{id}/messages")).await;
    let items = list["messages"].as_array().expect("messages").iter();
    let name = |item: &Value| item["from"]["name"].as_str().unwrap_or_default().to_owned();
    items.map(name).collect()
}

/// Asks until the speakers are these.
async fn until_names(api: &Api<'_>, id: &str, expected: &[&str]) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let now = names(api, id).await;
        if now == expected {
            return;
        }
        assert!(Instant::now() < until, "{now:?} instead of {expected:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn events_that_are_put_change_messages_insights_and_members() {
    for stage in stages().await {
        let api = Api::of(&stage.server).await;
        let id = api.hold("call").await;
        let path = format!("/v1/conversations/{id}");
        assert_eq!(names(&api, &id).await, ["Ada"; 4]);
        let events = json!({"speakerEvents": [
            event("started", "Derek", 0.0), event("stopped", "Derek", 1.05),
            event("started", "Mary", 0.95), event("stopped", "Mary", 1.2),
        ]});
        let put = format!("PUT {path}/speakers");
        let answer = api.done(&put, &events).await;
        let message = answer["message"].as_str().expect("a message");
        assert!(
            message.contains(&id) && message.contains("successfully"),
            "{message}"
        );
        // Messages begin at 0, 0.5, 1 and 1.5 seconds.
        assert_eq!(names(&api, &id).await, ["Derek", "Derek", "Mary", "Ada"]);
        let members = api.get(&format!("{path}/members")).await;
        let members = members["members"].as_array().expect("members").clone();
        let derek = json!({"id": "id-Derek", "name": "Derek", "email": "Derek@example.com"});
        assert!(
            members.len() == 3 && members.contains(&derek),
            "{members:?}"
        );
        let transcript = api.get(&format!("{path}/transcript?format=json")).await;
        assert_eq!(transcript["messages"][2]["speaker"], "Mary");
        api.done(&put, &events).await;
        assert_eq!(names(&api, &id).await, ["Derek", "Derek", "Mary", "Ada"]);
        for (body, says) in [
            (json!({}), "`speakerEvents`: 1 to 20000 objects"),
            (json!({"speakerEvents": []}), "`speakerEvents`: 1 to"),
            (
                json!({"speakerEvents": [1]}),
                "speakerEvents[0]: `type` must be",
            ),
            (
                json!({"speakerEvents": [{"type": "started_speaking", "user": {"name": "a"}}]}),
                "speakerEvents[0]: `offset` is missing",
            ),
        ] {
            let message = api.refused(&put, &body, 400).await;
            assert!(message.contains(says), "{body}: {message}");
        }
        api.refused("PUT /v1/conversations/404/speakers", &events, 404)
            .await;
    }
}

/// Returns the next correction that a socket is sent: the name of each speaker, and the number
/// of its messages.
async fn corrected(client: &mut Client) -> Vec<(Value, usize)> {
    let heard = client.until("speaker_response").await;
    let speakers = heard.json()["speakers"].as_array().expect("a list").clone();
    let speakers = speakers.iter().map(|one| {
        let ids = one["messageIds"].as_array().expect("ids");
        (one["from"]["name"].clone(), ids.len())
    });
    speakers.collect()
}

#[tokio::test]
async fn sockets_are_told_of_corrections_and_what_is_said_later_has_the_new_name() {
    for stage in stages().await {
        let api = Api::of(&stage.server).await;
        let (mut client, id) = mixed(&api).await;
        let headers = [("X-API-KEY", api.token.as_str())];
        let opened = Client::open(&stage.server, "/v1/subscribe/mixed", &headers).await;
        let (mut listener, _) = opened.expect("an upgrade");
        listener.until("subscription_started").await;
        speak(&mut client, 1100).await;
        client.until("message_response").await;
        let first = client.until("message_response").await;
        assert_eq!(from(&first)["name"], "Room");
        let room = from(&first)["id"].as_str().expect("an id").to_owned();
        let path = format!("/v1/conversations/{id}");
        let put = format!("PUT {path}/speakers");
        // Eve is new and has said nothing.
        let events = json!({"speakerEvents": [
            event("started", "Derek", 0.0), event("stopped", "Derek", 0.4),
            event("started", "Eve", 0.45), event("stopped", "Eve", 0.46),
        ]});
        api.done(&put, &events).await;
        for socket in [&mut listener, &mut client] {
            assert_eq!(corrected(socket).await, [(json!("Derek"), 1)]);
            assert_eq!(corrected(socket).await, [(json!("Eve"), 0)]);
        }
        // The user is known, and has another name now.
        let mut events = events;
        events["speakerEvents"][0]["user"]["name"] = "Derek Jones".into();
        events["speakerEvents"][1]["user"]["name"] = "Derek Jones".into();
        api.done(&put, &events).await;
        let rename = format!("PUT {path}/members/{room}");
        api.done(&rename, &json!({"name": "Board room"})).await;
        for socket in [&mut listener, &mut client] {
            assert_eq!(corrected(socket).await, [(json!("Derek Jones"), 0)]);
            assert_eq!(corrected(socket).await, [(json!("Board room"), 0)]);
        }
        speak(&mut client, 500).await;
        let said = from(&listener.until("message_response").await);
        assert_eq!(said["name"], "Board room");
        // Who comes later is told the same.
        let told = api.get(&format!("{path}/events")).await.to_string();
        assert_eq!(told.matches("speaker_response").count(), 4, "{told}");
        // An event of the stream that comes late has the names of now.
        let late = json!({"type": "speaker_event", "event": event("started", "ada", 1.0)});
        client.send_json(&late).await;
        speak(&mut client, 500).await;
        until_names(&api, &id, &["Derek Jones", "Board room", "ada", "ada"]).await;
    }
}

/// Starts a stream of a mixed channel. Returns its socket and its conversation.
async fn mixed(api: &Api<'_>) -> (Client, String) {
    let mut client = api.connect("mixed").await;
    let mut request = start_request();
    request["speaker"] = json!({"userId": "room@example.org", "name": "Room"});
    request["noConnectionTimeout"] = 1800.into();
    let id = client.start(&request).await;
    (client, id)
}

async fn speak(client: &mut Client, milliseconds: u64) {
    let audio = silence(Duration::from_millis(milliseconds), 16_000);
    client.send_audio(&linear16(&audio)).await;
}

fn from(heard: &Heard) -> Value {
    heard.json()["messages"][0]["from"].clone()
}

#[tokio::test]
async fn finals_of_a_mixed_stream_are_from_who_speaks_and_late_events_correct_them() {
    for stage in stages().await {
        let api = Api::of(&stage.server).await;
        let (mut client, id) = mixed(&api).await;
        let send = async |client: &mut Client, events: Value| {
            let message = json!({"type": "speaker_event", "speakerEvents": events});
            client.send_json(&message).await;
        };
        let ada = event("started", "ada", 0.0);
        send(&mut client, json!([ada, event("stopped", "ada", 0.4)])).await;
        let one = json!({"type": "speaker_event", "event": event("started", "bob", 0.4)});
        client.send_json(&one).await;
        speak(&mut client, 1100).await;
        let first = from(&client.until("message_response").await);
        assert_eq!(first["name"], "ada");
        assert_eq!(
            (&first["id"], &first["userId"]),
            (&json!("id-ada"), &json!("ada@example.com"))
        );
        assert_eq!(from(&client.until("message_response").await)["name"], "bob");
        assert_eq!(names(&api, &id).await, ["ada", "bob"]);
        let members = api.get(&format!("/v1/conversations/{id}/members")).await;
        assert_eq!(
            members["members"].as_array().map(Vec::len),
            Some(3),
            "{members}"
        );
        // Bob had stopped before the second message, in which no user spoke.
        send(&mut client, json!([event("stopped", "bob", 0.45)])).await;
        until_names(&api, &id, &["ada", "Room"]).await;
        speak(&mut client, 1000).await;
        assert_eq!(
            from(&client.until("message_response").await)["name"],
            "Room"
        );
        let eve = event("started", "eve", 0.9);
        send(&mut client, json!([event("stopped", "eve", 2.0), eve])).await;
        until_names(&api, &id, &["ada", "Room", "eve", "eve"]).await;
        client.stop().await;
        client.rest().await;
        assert_eq!(names(&api, &id).await, ["ada", "Room", "eve", "eve"]);
    }
}

#[tokio::test]
async fn an_event_that_is_wrong_or_early_is_answered_with_an_error_and_the_stream_goes_on() {
    let [stage, _] = stages().await;
    let api = Api::of(&stage.server).await;
    let mut client = api.connect("early").await;
    let good = json!({"type": "speaker_event", "event": event("started", "ada", 0.0)});
    client.send_json(&good).await;
    let error = client.until("error").await;
    assert_eq!(error.json()["code"], "not_processing");
    client.start(&start_request()).await;
    for (sent, says) in [
        (
            json!({"type": "speaker_event"}),
            "`event` must be an object",
        ),
        (
            json!({"type": "speaker_event", "event": {}}),
            "event 0: `type` must be",
        ),
        (
            json!({"type": "speaker_event", "speakerEvents": []}),
            "1 to 1000",
        ),
    ] {
        client.send_json(&sent).await;
        let error = client.until("error").await;
        assert_eq!(error.json()["code"], "invalid_request");
        let details = error.json()["details"]
            .as_str()
            .expect("details")
            .to_owned();
        assert!(details.contains(says), "{sent}: {details}");
    }
    // Without an offset it is now.
    let now = json!({"type": "speaker_event", "event": {"type": "started_speaking",
                     "user": {"userId": "ada@example.org", "name": "Ada"}}});
    client.send_json(&now).await;
    speak(&mut client, 600).await;
    assert_eq!(from(&client.until("message_response").await)["name"], "Ada");
}

#[tokio::test]
async fn bookmarks_on_the_socket_are_those_of_the_api_and_all_sockets_are_told() {
    for stage in stages().await {
        let api = Api::of(&stage.server).await;
        let (mut client, id) = mixed(&api).await;
        let mut other = api.connect("mixed").await;
        other.start(&start_request()).await;
        let path = format!("/v1/conversations/{id}/bookmarks");
        let user = json!({"name": "Ada", "userId": "ada", "email": "ada@example.org"});
        let mut request = json!({
            "type": "bookmark_request", "operation": "create", "label": "Leak",
            "description": "First mention", "user": user, "beginTimeOffset": 1, "duration": 30,
        });
        client.send_json(&request).await;
        let told = client.until("bookmark_response").await.json().clone();
        assert_eq!(other.until("bookmark_response").await.json(), &told);
        let one = &told["bookmarks"][0];
        crate::common::shape::conforms(
            &told,
            &crate::common::shape::example("bookmark_response"),
            "bookmark_response",
        );
        let bookmark = one["id"].as_str().expect("an id").to_owned();
        for name in [
            "operation",
            "label",
            "description",
            "user",
            "beginTimeOffset",
            "duration",
        ] {
            assert_eq!(one[name], request[name], "{name}");
        }
        let stored = api.get(&format!("{path}/{bookmark}")).await;
        assert_eq!((&stored["label"], &stored["user"]), (&json!("Leak"), &user));
        request["operation"] = "update".into();
        request["id"] = bookmark.as_str().into();
        request["label"] = "Repaired".into();
        client.send_json(&request).await;
        let told = client.until("bookmark_response").await.json().clone();
        assert_eq!(told["bookmarks"][0]["label"], "Repaired");
        assert_eq!(
            api.get(&format!("{path}/{bookmark}")).await["label"],
            "Repaired"
        );
        let delete = json!({"type": "bookmark_request", "operation": "delete", "id": bookmark});
        client.send_json(&delete).await;
        let told = client.until("bookmark_response").await.json().clone();
        assert_eq!(told["bookmarks"][0]["operation"], "delete");
        assert_eq!(told["bookmarks"][0]["id"], bookmark.as_str());
        assert_eq!(api.get(&path).await, json!({"bookmarks": []}));
        for (sent, code) in [
            (delete, "unknown_bookmark"),
            (json!({"type": "bookmark_request"}), "invalid_request"),
            (
                json!({"type": "bookmark_request", "operation": "create"}),
                "invalid_request",
            ),
        ] {
            client.send_json(&sent).await;
            assert_eq!(client.until("error").await.json()["code"], code, "{sent}");
        }
        let mut early = api.connect("early").await;
        request["operation"] = "create".into();
        early.send_json(&request).await;
        assert_eq!(early.until("error").await.json()["code"], "not_processing");
    }
}
