// SPDX-License-Identifier: MPL-2.0

//! What is computed from the text when it is asked for: sentiment, phrases and the hierarchy
//! of topics.

use crate::common::prompter::Prompter;
use crate::common::*;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use symbl_service::recognizer::scripted::silence;
use symbl_service::{Server, ServerConfig};

const LINES: &[&str] = &[
    "i am very happy with the budget report",
    "the budget report is on the server",
    "i hate the delivery and it is a terrible mess",
    "i will send the budget to the team tomorrow",
    "we talked about the budget and the weather",
    "nobody saw the budget",
    "that budget is fine",
];

async fn talk(request: Value) -> (Server, String, Vec<Heard>) {
    let config = ServerConfig::new(Arc::new(Prompter(LINES)));
    let server = Server::bind(config).await.expect("a free port");
    let (mut client, id) = Client::started(&server, "x", &request).await;
    let length = Duration::from_millis(500 * LINES.len() as u64 + 100);
    client.send_audio(&linear16(&silence(length, 16_000))).await;
    client.stop().await;
    let heard = client.rest().await;
    (server, id, heard)
}

fn request() -> Value {
    let mut request = start_request();
    request["speaker"] = json!({"userId": "ada@example.org", "name": "Ada"});
    request["insightTypes"] = json!(["question", "action_item", "follow_up", "topic"]);
    request
}

async fn get(server: &Server, path: &str) -> Value {
    let (head, body) = http(server, &format!("GET /v1/conversations/{path}"), "").await;
    assert!(head.starts_with("http/1.1 200"), "{head} {body}");
    serde_json::from_str(&body).expect(&body)
}

fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name].as_array().expect(name)
}

/// Returns the messages that the socket was sent.
fn told(heard: &[Heard]) -> Vec<Value> {
    let responses = heard
        .iter()
        .filter(|heard| heard.kind() == "message_response");
    let responses = responses.map(|heard| list(heard.json(), "messages").clone());
    responses.flatten().collect()
}

#[tokio::test]
async fn messages_have_their_sentiment_live_and_afterwards_if_it_is_asked_for() {
    let mut wanted = request();
    wanted["config"]["sentiment"] = true.into();
    let (server, id, heard) = talk(wanted).await;
    let live = told(&heard);
    let read = get(&server, &format!("{id}/messages?sentiment=true")).await;
    let read = list(&read, "messages");
    assert_eq!((live.len(), read.len()), (LINES.len(), LINES.len()));
    for (live, read) in live.iter().zip(read) {
        assert_eq!(live["sentiment"], read["sentiment"], "{read}");
        assert!(live["sentiment"]["polarity"]["score"].is_f64(), "{live}");
    }
    let suggested = read
        .iter()
        .map(|message| &message["sentiment"]["suggested"]);
    let suggested: Vec<&Value> = suggested.collect();
    assert_eq!(
        suggested[..4],
        ["positive", "neutral", "negative", "neutral"]
    );
    let read = get(&server, &format!("{id}/messages")).await;
    assert!(
        list(&read, "messages")
            .iter()
            .all(|message| message["sentiment"].is_null())
    );
    let analytics = get(&server, &format!("{id}/analytics")).await;
    assert!(
        analytics["x_sentiment"]["polarity"]["score"].is_f64(),
        "{analytics}"
    );
}

#[tokio::test]
async fn a_client_that_asks_for_nothing_is_told_no_sentiment_and_no_phrases() {
    let (server, id, heard) = talk(request()).await;
    for message in told(&heard) {
        assert!(
            message["sentiment"].is_null() && message["phrases"].is_null(),
            "{message}"
        );
    }
    let read = get(&server, &format!("{id}/messages")).await;
    assert!(
        list(&read, "messages")
            .iter()
            .all(|message| message["phrases"] == json!([]))
    );
}

#[tokio::test]
async fn phrases_are_the_actionable_parts_of_messages_and_insights() {
    let mut wanted = request();
    wanted["config"]["detectPhrases"] = true.into();
    let (server, id, heard) = talk(wanted).await;
    let phrase = json!([{"type": "action_phrase", "text": "send the budget to the team"}]);
    let live = told(&heard);
    assert_eq!(
        (&live[3]["phrases"], &live[0]["phrases"]),
        (&phrase, &json!([]))
    );
    let read = get(&server, &format!("{id}/messages")).await;
    assert_eq!(read["messages"][3]["phrases"], phrase);
    let items = get(&server, &format!("{id}/action-items")).await;
    assert_eq!(items["actionItems"][0]["phrases"], phrase);
}

#[tokio::test]
async fn topics_have_their_sentiment_and_their_parents_if_they_are_asked_for() {
    let (server, id, _) = talk(request()).await;
    let topics = get(
        &server,
        &format!("{id}/topics?sentiment=true&parentRefs=true"),
    )
    .await;
    let topic = |text: &str| {
        let mut topics = list(&topics, "topics").iter();
        topics
            .find(|topic| topic["text"] == text)
            .expect(text)
            .clone()
    };
    let report = topic("budget report");
    assert_eq!(
        report["parentRefs"],
        json!([{"type": "topic", "text": "budget"}])
    );
    assert_eq!(report["sentiment"]["suggested"], "positive");
    assert_eq!(topic("budget")["parentRefs"], json!([]));
    let bare = get(&server, &format!("{id}/topics")).await;
    for topic in list(&bare, "topics") {
        assert_eq!(
            (&topic["parentRefs"], &topic["sentiment"]),
            (&json!([]), &Value::Null)
        );
    }
}

#[tokio::test]
async fn broad_topics_hold_the_messages_of_their_parts() {
    let (server, id, _) = talk(request()).await;
    let topics = get(&server, &format!("{id}/topics")).await;
    let found = get(&server, &format!("{id}/abstract-topics")).await;
    let broad = |text: &str| {
        let mut broad = list(&found, "abstractTopics").iter();
        broad.find(|topic| topic["text"] == text)
    };
    assert!(broad("budget report").is_none(), "{found:#}");
    let budget = broad("budget").expect("a broad topic");
    assert_eq!(budget["type"], "abstract_topic");
    let mut parts: Vec<&Value> = Vec::new();
    for topic in list(&topics, "topics") {
        if topic["text"].as_str().expect("text").contains("budget") {
            parts.extend(list(topic, "messageIds"));
        }
    }
    assert!(parts.len() > 2, "{topics:#}");
    assert!(
        parts
            .iter()
            .all(|id| list(budget, "messageIds").contains(id)),
        "{found:#}"
    );
    let score = budget["score"].as_f64().expect("a number");
    assert!((0.5..=1.0).contains(&score), "{found:#}");
}
