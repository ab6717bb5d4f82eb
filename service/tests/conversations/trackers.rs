// SPDX-License-Identifier: MPL-2.0

//! Trackers of the account, from the Management API to the sockets.

use crate::common::prompter::Prompter;
use crate::common::*;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use symbl_service::recognizer::scripted::silence;
use symbl_service::{Auth, Server, ServerConfig};

/// Status and body.
async fn ask(server: &Server, request: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let (head, body) = http(server, request, &body).await;
    let status = head.split(' ').nth(1).expect("a status");
    (
        status.parse().expect("a number"),
        serde_json::from_str(&body).expect("JSON"),
    )
}

async fn prompted(lines: &'static [&'static str]) -> Server {
    let config = ServerConfig::new(Arc::new(Prompter(lines)));
    Server::bind(config).await.expect("a free port")
}

/// Returns audio in which the prompter says this many lines.
fn lines(count: u64) -> Vec<u8> {
    linear16(&silence(Duration::from_millis(500 * count), 16_000))
}

const PROMO: &str = "Promotion Mention";

fn promo() -> Value {
    json!({"name": PROMO, "vocabulary": ["we have a sale", "special promotion"]})
}

#[tokio::test]
async fn a_tracker_is_made_read_changed_and_deleted() {
    let server = server().await;
    for path in ["/v1/manage/tracker", "/v1/manage/trackers"] {
        let (status, made) = ask(&server, &format!("POST {path}"), &promo()).await;
        assert_eq!(status, 200);
        let tracker = &made["tracker"];
        let id = tracker["id"].as_str().expect("a string").to_owned();
        assert!(
            id.len() == 16 && id.bytes().all(|b| b.is_ascii_digit()),
            "{id}"
        );
        assert_eq!(tracker["vocabulary"], promo()["vocabulary"]);

        let get = format!("GET {path}/{id}");
        assert_eq!(ask(&server, &get, &Value::Null).await, (200, made.clone()));
        let list = format!("GET {path}?name=Promotion%20Mention");
        let listed = json!({"trackers": [tracker]});
        assert_eq!(
            ask(&server, &list, &Value::Null).await,
            (200, listed.clone())
        );
        let other = format!("GET {path}?name=other");
        assert_eq!(
            ask(&server, &other, &Value::Null).await.1,
            json!({"trackers": []})
        );
        assert_eq!(
            ask(&server, &format!("GET {path}"), &Value::Null).await.1,
            listed
        );

        let changed = json!({"id": id, "name": PROMO, "vocabulary": ["flash sale"]});
        let put = ask(&server, &format!("PUT {path}/{id}"), &changed).await;
        assert_eq!(put, (200, json!({"tracker": changed})));
        assert_eq!(ask(&server, &get, &Value::Null).await.1["tracker"], changed);

        let delete = format!("DELETE {path}/{id}");
        let deleted = json!({"id": id, "type": "tracker", "deleted": true});
        assert_eq!(ask(&server, &delete, &Value::Null).await, (200, deleted));
        for request in [delete, get, format!("PUT {path}/{id}")] {
            assert_eq!(ask(&server, &request, &promo()).await.0, 404, "{request}");
        }
    }
}

#[tokio::test]
async fn several_are_made_at_once_or_none() {
    let server = server().await;
    let two = json!([promo(), {"name": "Hello", "vocabulary": ["good morning"], "languages": []}]);
    for path in ["/v1/manage/trackers", "/v1/manage/trackers/bulk"] {
        let (status, made) = ask(&server, &format!("POST {path}"), &two).await;
        assert_eq!(
            (status, made["trackers"].as_array().map(Vec::len)),
            (200, Some(2))
        );
        let (status, body) = ask(&server, &format!("POST {path}"), &two).await;
        assert_eq!(status, 409);
        assert!(body["message"].as_str().expect("a reason").contains(PROMO));
        for tracker in made["trackers"].as_array().expect("two") {
            let delete = format!("DELETE {path}/{}", tracker["id"].as_str().expect("an id"));
            ask(&server, &delete.replace("/bulk", ""), &Value::Null).await;
        }
    }
}

#[tokio::test]
async fn what_is_no_tracker_is_refused_with_a_reason() {
    let server = server().await;
    for (body, status, says) in [
        (json!({"name": "x"}), 400, "vocabulary"),
        (
            json!({"name": "x", "vocabulary": ["what?"]}),
            400,
            "only . ' and - are allowed",
        ),
        (json!({"name": "x", "vocabulary": ["a", "a"]}), 400, "twice"),
        (json!(7), 400, "JSON object"),
        (
            json!({"name": "x", "vocabulary": ["a".repeat(1_100_000)]}),
            413,
            "limit",
        ),
    ] {
        let (answered, body) = ask(&server, "POST /v1/manage/tracker", &body).await;
        assert_eq!(answered, status, "{body}");
        assert!(
            body["message"].as_str().expect("a reason").contains(says),
            "{body}"
        );
    }
    assert_eq!(
        ask(&server, "DELETE /v1/manage/trackers", &Value::Null)
            .await
            .0,
        405
    );
}

#[tokio::test]
async fn only_a_client_with_a_token_manages_trackers() {
    let mut config = config();
    config.auth = Auth::App {
        id: "app".into(),
        secret: "secret".into(),
    };
    let server = Server::bind(config).await.expect("a free port");
    for request in [
        "GET /v1/manage/trackers",
        "POST /v1/manage/tracker",
        "GET /v1/manage/tracker/1",
        "PUT /v1/manage/tracker/1",
        "DELETE /v1/manage/tracker/1",
    ] {
        assert_eq!(ask(&server, request, &promo()).await.0, 401, "{request}");
    }
}

#[tokio::test]
async fn enable_all_trackers_finds_those_of_the_account_with_their_ids() {
    let server = prompted(&[
        "well we had sales",
        "we have a sale",
        "today we have the sale",
    ])
    .await;
    let (_, made) = ask(&server, "POST /v1/manage/tracker", &promo()).await;
    let mut request = start_request();
    request["trackers"] = json!([{"name": "Own", "vocabulary": ["today"]}]);
    request["config"]["trackers"] = json!({"enableAllTrackers": true, "interimResults": true});
    let (mut all, _) = Client::started(&server, "all", &request).await;
    all.send_audio(&lines(3)).await;
    all.stop().await;
    let mut found = Vec::new();
    for heard in all.rest().await {
        if heard.kind() != "tracker_response" {
            continue;
        }
        for tracker in heard.json()["trackers"].as_array().expect("trackers") {
            let place = &tracker["matches"][0]["messageRefs"][0];
            found.push(json!([
                heard.json()["isFinal"],
                tracker["name"],
                tracker["id"],
                tracker["matches"][0]["value"],
                place["offset"]
            ]));
        }
    }
    let id = &made["tracker"]["id"];
    let sale = "we have a sale";
    // The second line word for word, the third one nearly.
    let expected = [
        json!([false, PROMO, id, sale, 0]),
        json!([true, PROMO, id, sale, 0]),
        json!([false, "Own", null, "today", 0]),
        json!([false, PROMO, id, sale, -1]),
        json!([true, "Own", null, "today", 0]),
        json!([true, PROMO, id, sale, -1]),
    ];
    assert_eq!(found, expected);

    // Who does not ask for them is not told.
    let (mut none, _) = Client::started(&server, "none", &start_request()).await;
    none.send_audio(&lines(3)).await;
    none.stop().await;
    assert!(!kinds(&none.rest().await).contains(&"tracker_response"));
}

#[tokio::test]
async fn a_requests_own_tracker_takes_the_place_of_one_with_its_name() {
    let server = prompted(&["we have a sale"]).await;
    ask(&server, "POST /v1/manage/tracker", &promo()).await;
    let mut request = start_request();
    request["trackers"] = json!([{"name": PROMO, "vocabulary": ["sale"]}]);
    request["config"]["trackers"] = json!({"enableAllTrackers": true});
    let (mut client, _) = Client::started(&server, "own", &request).await;
    client.send_audio(&lines(1)).await;
    let found = client.until("tracker_response").await;
    let trackers = found.json()["trackers"].as_array().expect("trackers");
    assert_eq!(trackers.len(), 1);
    assert_eq!(trackers[0].get("id"), None);
    assert_eq!(trackers[0]["matches"].as_array().map(Vec::len), Some(1));
    assert_eq!(trackers[0]["matches"][0]["value"], "sale");
}
