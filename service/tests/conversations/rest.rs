// SPDX-License-Identifier: MPL-2.0

//! The Conversation API: S13.

use crate::common::prompter::Prompter;
use crate::common::shape::{conforms, example};
use crate::common::*;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use symbl_service::recognizer::scripted::silence;
use symbl_service::{Server, ServerConfig};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

const LINES: &[&str] = &[
    "can you send me the budget report",
    "i will check the budget report tomorrow",
    "let's schedule a follow up meeting about the budget report",
];

async fn ask(server: &Server, request: &str, body: &str) -> (String, Value) {
    let (head, body) = http(server, request, body).await;
    assert!(head.contains("content-type: application/json"), "{head}");
    let code = head.split(' ').nth(1).expect("a status").to_owned();
    (code, serde_json::from_str(&body).expect("JSON"))
}

/// Asks until the server has seen the end of what came before.
async fn until_not(server: &Server, request: &str, code: &str) -> String {
    let asking = async {
        loop {
            let answer = ask(server, request, "").await.0;
            if answer != code {
                return answer;
            }
        }
    };
    let patience = Duration::from_secs(60);
    tokio::time::timeout(patience, asking).await.expect(request)
}

async fn get(server: &Server, path: &str) -> Value {
    let (code, body) = ask(server, &format!("GET /v1/conversations{path}"), "").await;
    assert_eq!(code, "200", "{path}: {body}");
    body
}

fn request() -> Value {
    let mut request = start_request();
    request["speaker"] = json!({"userId": "ada@example.org", "name": "Ada"});
    request["insightTypes"] = json!(["question", "action_item", "follow_up", "topic"]);
    request["trackers"] = json!([{"name": "Money", "vocabulary": ["budget", "report"]}]);
    request["config"]["meetingTitle"] = "Handover".into();
    request
}

/// Holds a conversation in which all lines are said. Returns its id and what its client was
/// sent.
async fn held(server: &Server, name: &str) -> (String, Vec<Heard>) {
    let (mut client, id) = Client::started(server, name, &request()).await;
    let audio = linear16(&silence(Duration::from_millis(1600), 16_000));
    client.send_audio(&audio).await;
    client.stop().await;
    (id, client.rest().await)
}

async fn server() -> Server {
    let config = ServerConfig::new(Arc::new(Prompter(LINES)));
    Server::bind(config).await.expect("a free port")
}

/// Asserts that a numeric id is a string of sixteen digits.
fn assert_numeric(id: &Value) {
    let id = id.as_str().expect("a string");
    assert!(
        id.len() == 16 && id.bytes().all(|b| b.is_ascii_digit()),
        "{id}"
    );
}

#[tokio::test]
async fn s13_every_part_of_a_conversation_has_the_shape_of_the_fixtures_and_what_was_told() {
    let server = server().await;
    let (id, heard) = held(&server, "s13").await;
    let mut all = Vec::new();
    for (part, fixture, root) in [
        ("/messages?verbose=true", "rest_messages", "messages"),
        ("/insights", "rest_insights", "insights"),
        ("/action-items", "rest_action_items", "actionItems"),
        ("/questions", "rest_questions", "questions"),
        ("/follow-ups", "rest_follow_ups", "followUps"),
        ("/topics", "rest_topics", "topics"),
        ("/trackers-detected", "rest_trackers_detected", ""),
        ("/trackers", "rest_trackers_detected", ""),
    ] {
        let answer = get(&server, &format!("/{id}{part}")).await;
        let items = if root.is_empty() {
            &answer
        } else {
            &answer[root]
        };
        let items = items.as_array().expect(part).clone();
        assert!(!items.is_empty(), "{part}");
        let known = example(fixture);
        let known = if root.is_empty() {
            &known
        } else {
            &known[root]
        };
        for item in &items {
            assert_numeric(&item["id"]);
            // Examples of persons and of phrases differ between the samples.
            let mut item = item.clone();
            for name in ["from", "assignee", "dueBy", "phrases"] {
                item.as_object_mut().expect("an object").remove(name);
            }
            conforms(&item, &known[0], part);
        }
        all.push(items);
    }
    let [
        messages,
        insights,
        actions,
        questions,
        follow_ups,
        topics,
        trackers,
        _,
    ] = &all[..]
    else {
        panic!("eight parts")
    };
    assert_eq!(messages.len(), LINES.len());
    assert_eq!(
        insights.len(),
        actions.len() + questions.len() + follow_ups.len()
    );
    let ids: Vec<&Value> = messages.iter().map(|m| &m["id"]).collect();
    for item in insights.iter().chain(topics) {
        for message in item["messageIds"].as_array().expect("ids") {
            assert!(ids.contains(&message), "{item}");
        }
    }
    assert!(topics.iter().all(|t| t["messageIds"] != json!([])));
    let values: Vec<&Value> = trackers[0]["matches"]
        .as_array()
        .expect("matches")
        .iter()
        .map(|m| &m["value"])
        .collect();
    assert_eq!(values, ["budget", "report"]);
    // The same insights as the sockets were told.
    let mut told: Vec<String> = heard
        .iter()
        .filter(|h| h.kind() == "insight_response")
        .flat_map(|h| h.json()["insights"].as_array().cloned().expect("insights"))
        .map(|i| format!("{} {}", i["type"], i["payload"]["content"]))
        .collect();
    let mut stored: Vec<String> = insights
        .iter()
        .map(|i| format!("{} {}", i["type"], i["text"]))
        .collect();
    told.sort();
    stored.sort();
    assert_eq!(stored, told);
    assert_eq!(
        get(&server, &format!("/{id}/entities")).await,
        json!({"entities": []})
    );

    let meta = get(&server, &format!("/{id}")).await;
    conforms(&meta, &example("rest_conversation"), "conversation");
    assert_eq!(meta["id"], id.as_str());
    assert_eq!(meta["name"], "Handover");
    assert_eq!(meta["members"][0]["email"], "ada@example.org");
}

#[tokio::test]
async fn s13_a_task_is_due_on_a_day_and_not_by_a_word() {
    let server = server().await;
    let mut request = request();
    // Seven hours west: there it may be another day.
    request["config"]["timezoneOffset"] = (-420).into();
    let (mut client, id) = Client::started(&server, "due", &request).await;
    let audio = linear16(&silence(Duration::from_millis(1600), 16_000));
    client.send_audio(&audio).await;
    client.stop().await;
    let heard = client.rest().await;
    let messages = get(&server, &format!("/{id}/messages")).await;
    let said = messages["messages"][1]["startTime"]
        .as_str()
        .expect("a time");
    let offset = UtcOffset::from_hms(-7, 0, 0).expect("an offset");
    let said = OffsetDateTime::parse(said, &Rfc3339)
        .expect("RFC 3339")
        .to_offset(offset);
    let tomorrow = said.date().next_day().expect("a day");
    // As in the samples: live with the offset, in the API in UTC.
    let live = heard
        .iter()
        .filter(|h| h.kind() == "insight_response")
        .flat_map(|h| h.json()["insights"].as_array().cloned().expect("insights"))
        .find_map(|i| i["dueBy"]["value"].as_str().map(str::to_owned));
    assert_eq!(live, Some(format!("{tomorrow}T00:00:00-07:00")));
    let actions = get(&server, &format!("/{id}/action-items")).await;
    let due: Vec<&Value> = actions["actionItems"]
        .as_array()
        .expect("items")
        .iter()
        .filter_map(|item| item.get("dueBy"))
        .collect();
    assert_eq!(due, [&json!(format!("{tomorrow}T07:00:00.000Z"))]);
}

#[tokio::test]
async fn s13_a_member_is_renamed_everywhere_and_a_conversation_is_deleted() {
    let server = server().await;
    let (id, _) = held(&server, "s13").await;
    let members = get(&server, &format!("/{id}/members")).await;
    let member = members["members"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let path = format!("PUT /v1/conversations/{id}/members/{member}");
    let name = "Ada'); DROP TABLE member;--";
    let body = json!({"id": member, "name": name}).to_string();
    let (code, answer) = ask(&server, &path, &body).await;
    assert_eq!(code, "200");
    assert!(
        answer["message"]
            .as_str()
            .expect("text")
            .contains("updated")
    );
    let messages = get(&server, &format!("/{id}/messages")).await;
    assert_eq!(messages["messages"][0]["from"]["name"], name);
    assert_eq!(messages["messages"][0]["from"]["email"], "ada@example.org");
    assert_eq!(ask(&server, &path, "[1").await.0, "400");
    let nobody = format!("PUT /v1/conversations/{id}/members/nobody");
    assert_eq!(ask(&server, &nobody, &body).await.0, "404");

    let delete = format!("DELETE /v1/conversations/{id}");
    assert_eq!(until_not(&server, &delete, "409").await, "200");
    for path in ["", "/messages", "/members", "/trackers-detected"] {
        let path = format!("GET /v1/conversations/{id}{path}");
        let (code, body) = ask(&server, &path, "").await;
        assert_eq!((code.as_str(), body["message"].is_string()), ("404", true));
    }
    assert_eq!(ask(&server, &delete, "").await.0, "404");
}

#[tokio::test]
async fn a_conversation_that_runs_is_not_deleted() {
    let server = server().await;
    let (_client, id) = Client::started(&server, "runs", &request()).await;
    let delete = format!("DELETE /v1/conversations/{id}");
    assert_eq!(ask(&server, &delete, "").await.0, "409");
    get(&server, &format!("/{id}")).await;
}

#[tokio::test]
async fn s13_conversations_are_listed_in_the_order_and_number_that_is_asked_for() {
    let server = server().await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(held(&server, name).await.0);
    }
    let listed = async |query: &str| {
        let answer = get(&server, query).await;
        let list = answer["conversations"].as_array().expect("a list");
        let ids = list
            .iter()
            .map(|c| c["id"].as_str().expect("an id").to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(listed("?order=asc").await, ids);
    assert_eq!(
        listed("?order=asc&limit=1&offset=1").await,
        [ids[1].clone()]
    );
    ids.reverse();
    assert_eq!(listed("").await, ids);
    assert_eq!(listed("?endTime=2001-01-01T00%3A00%3A00Z").await, [""; 0]);
    assert_eq!(listed("?startTime=2001-01-01T00:00:00Z").await, ids);
    for query in [
        "?limit=65537",
        "?limit=-1",
        "?order=up",
        "?startTime=soon",
        "?sort=size",
        "?filter=size==1",
    ] {
        let (code, body) = ask(&server, &format!("GET /v1/conversations{query}"), "").await;
        assert_eq!((code.as_str(), body["message"].is_string()), ("400", true));
    }
}

#[tokio::test]
async fn s13_conversations_are_sorted_and_filtered_as_asked() {
    let server = server().await;
    for title in ["beta one", "alpha", "beta two"] {
        let mut request = request();
        request["config"]["meetingTitle"] = title.into();
        let path = title.replace(' ', "%20");
        let (mut client, _) = Client::started(&server, &path, &request).await;
        // Its first audio is when it begins.
        client
            .send_audio(&linear16(&silence(Duration::from_millis(600), 16_000)))
            .await;
        client.until("message_response").await;
        client.stop().await;
        client.rest().await;
    }
    let listed = async |query: &str| {
        let answer = get(&server, query).await;
        let list = answer["conversations"].as_array().expect("a list").clone();
        let names = list
            .iter()
            .map(|c| c["name"].as_str().expect("a name").to_owned());
        (names.collect::<Vec<_>>(), list)
    };
    let (names, all) = listed("?sort=startTime&order=asc").await;
    assert_eq!(names, ["beta one", "alpha", "beta two"]);
    let (names, _) = listed("?sort=endTime").await;
    assert_eq!(names, ["beta two", "alpha", "beta one"]);
    let (names, _) = listed("?sort=name&order=asc").await;
    assert_eq!(names, ["alpha", "beta one", "beta two"]);
    let (id, start) = (&all[1]["id"], &all[1]["startTime"]);
    let (id, start) = (id.as_str().expect("an id"), start.as_str().expect("a time"));
    for (filter, expected) in [
        ("name==beta*".to_owned(), &["beta one", "beta two"][..]),
        ("name!=beta*".to_owned(), &["alpha"]),
        ("name==%22beta+one%22".to_owned(), &["beta one"]),
        ("name==alpha,name==*two".to_owned(), &["alpha", "beta two"]),
        ("name==*two;name==beta*".to_owned(), &["beta two"]),
        (
            "(name==alpha,name==*two);name==b*".to_owned(),
            &["beta two"],
        ),
        (format!("id=={id}"), &["alpha"]),
        (format!("startTime%3C{start}"), &["beta one"]),
        (format!("startTime=={start}"), &["alpha"]),
        (format!("startTime=gt={start}"), &["beta two"]),
        (format!("startTime=ge={start}"), &["alpha", "beta two"]),
        ("name==%27%20OR%201=1%20--%27".to_owned(), &[]),
        (String::new(), &["alpha", "beta one", "beta two"]),
    ] {
        let query = format!("?sort=name&order=asc&filter={filter}");
        assert_eq!(listed(&query).await.0, expected, "{filter}");
    }
}

#[tokio::test]
async fn s13_what_was_said_is_known_only_after_the_delay_that_is_asked_for() {
    let parts = ["messages", "insights", "topics", "trackers", "entities"];
    let found = |answer: &Value| {
        let list = answer.as_object().and_then(|o| o.values().next());
        list.unwrap_or(answer).as_array().expect("a list").len()
    };
    let mut request = request();
    request["config"]["detectEntities"] = true.into();
    for (delay, known) in [
        (Duration::from_secs(3600), false),
        (Duration::from_millis(1), true),
    ] {
        let mut config = ServerConfig::new(Arc::new(Prompter(LINES)));
        config.history_delay = delay;
        let server = Server::bind(config).await.expect("a free port");
        let (mut client, id) = Client::started(&server, "delay", &request).await;
        client
            .send_audio(&linear16(&silence(Duration::from_millis(1600), 16_000)))
            .await;
        client.stop().await;
        client.rest().await;
        // The conversation itself is known at once.
        get(&server, &format!("/{id}")).await;
        for part in parts {
            let path = format!("/{id}/{part}");
            in_time(async { while known && found(&get(&server, &path).await) == 0 {} }).await;
            assert_eq!(found(&get(&server, &path).await) > 0, known, "{part}");
        }
    }
}

#[tokio::test]
async fn in_memory_the_newest_conversations_and_messages_are_kept() {
    let mut config = ServerConfig::new(Arc::new(Prompter(LINES)));
    config.limits.kept_conversations = 2;
    config.limits.kept_messages = 2;
    let server = Server::bind(config).await.expect("a free port");
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(held(&server, name).await.0);
    }
    let gone = format!("GET /v1/conversations/{}", ids[0]);
    assert_eq!(until_not(&server, &gone, "200").await, "404");
    let messages = get(&server, &format!("/{}/messages", ids[2])).await;
    let messages = messages["messages"].as_array().expect("messages");
    assert_eq!(messages.len(), 2);
    // The zero of time is the first sentence, which is gone.
    assert!(messages[0]["timeOffset"].as_f64() > Some(0.0));
}

#[tokio::test]
async fn s13_what_is_no_conversation_is_404_with_a_message() {
    let server = server().await;
    for id in [
        "1",
        "x",
        "1234567890123456",
        "99999999999999999999",
        "1%27%20OR%201=1",
        "-1",
    ] {
        let (code, body) = ask(&server, &format!("GET /v1/conversations/{id}"), "").await;
        assert_eq!(
            (code.as_str(), body["message"].is_string()),
            ("404", true),
            "{id}"
        );
    }
    assert_eq!(ask(&server, "POST /v1/conversations", "").await.0, "405");
}

#[tokio::test]
async fn who_asks_for_its_health_needs_no_token() {
    let mut config = config();
    config.auth = symbl_service::Auth::App {
        id: "app".into(),
        secret: "hush".into(),
    };
    let server = Server::bind(config).await.expect("a free port");
    let (code, body) = ask(&server, "GET /healthz", "").await;
    assert_eq!((code.as_str(), body), ("200", json!({"status": "ok"})));
    assert_eq!(ask(&server, "GET /v1/conversations", "").await.0, "401");
}
