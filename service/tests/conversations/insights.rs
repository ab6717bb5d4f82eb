// SPDX-License-Identifier: MPL-2.0

//! Summary, action items with context, broad topics and the score of a call.

use crate::common::prompter::Prompter;
use crate::common::*;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use symbl_service::analysis::score::Checklist;
use symbl_service::recognizer::scripted::silence;
use symbl_service::{Auth, Server, ServerConfig};

const LINES: &[&str] = &[
    "good morning and thank you for calling",
    "the budget report for the new warehouse is late",
    "the late budget report stops the new warehouse",
    "i will send it to the board tomorrow",
    "my cat slept on a blue sofa yesterday evening",
    "we build the new warehouse when the budget report is done",
    "that is your fault",
];

/// Says all lines as Ada. Returns the id of the conversation.
async fn talk(server: &Server) -> String {
    let mut request = start_request();
    request["speaker"] = json!({"userId": "ada@support.example", "name": "Ada"});
    request["insightTypes"] = json!(["action_item", "topic"]);
    let (mut client, id) = Client::started(server, "x", &request).await;
    let length = Duration::from_millis(500 * LINES.len() as u64 + 100);
    client.send_audio(&linear16(&silence(length, 16_000))).await;
    client.stop().await;
    client.rest().await;
    id
}

async fn server(callscore: Option<&Value>) -> Server {
    let mut config = ServerConfig::new(Arc::new(Prompter(LINES)));
    let parsed = callscore.map(|list| Checklist::parse(list.to_string().as_bytes()));
    config.callscore = parsed.map(|list| Arc::new(list.expect("a checklist")));
    Server::bind(config).await.expect("a free port")
}

async fn ask(server: &Server, request: &str, body: &str) -> (u16, Value) {
    let (method, path) = request.split_once(' ').expect("a method and a path");
    let request = format!("{method} /v1/conversations/{path}");
    let (head, body) = http(server, &request, body).await;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (
        status.expect(&head),
        serde_json::from_str(&body).expect(&body),
    )
}

#[tokio::test]
async fn a_summary_has_sentences_that_were_said_with_their_messages() {
    let server = server(None).await;
    let id = talk(&server).await;
    let (status, found) = ask(&server, &format!("GET {id}/summary"), "").await;
    assert_eq!(status, 200, "{found}");
    let lines = found["summary"].as_array().expect("a list");
    assert!((1..=3).contains(&lines.len()), "{found:#}");
    let (_, messages) = ask(&server, &format!("GET {id}/messages"), "").await;
    let messages = messages["messages"].as_array().expect("a list");
    for line in lines {
        let own = messages
            .iter()
            .find(|message| message["id"] == line["id"])
            .expect("its message");
        assert_eq!(own["text"], line["text"]);
        let references = line["messageRefs"].as_array().expect("a list");
        assert!(
            references.iter().any(|one| one["id"] == line["id"]),
            "{line}"
        );
    }
    assert!(found.to_string().contains("warehouse") && !found.to_string().contains("cat"));
    let again = ask(&server, &format!("GET {id}/summary?refresh=true"), "").await;
    assert_eq!(again, (200, found));
    assert_eq!(
        ask(&server, "GET 1234567890123456/summary", "").await.0,
        404
    );
}

#[tokio::test]
async fn an_action_item_has_what_it_refers_to() {
    let server = server(None).await;
    let id = talk(&server).await;
    let (status, found) = ask(&server, &format!("GET {id}/comprehensive/action-items"), "").await;
    assert_eq!(status, 200, "{found}");
    let items = found["actionItems"].as_array().expect("a list");
    let [item] = items.as_slice() else {
        panic!("{found:#}")
    };
    let text = "The budget report for the new warehouse is late. The late budget report stops the \
                new warehouse. I will send it to the board tomorrow.";
    assert_eq!(item["text"], text);
    assert_eq!(item["messageRefs"].as_array().map(Vec::len), Some(3));
    assert_eq!(
        (&item["definitive"], &item["messageIds"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(item["assignee"]["name"], "Ada");
    assert_eq!(item["phrases"][0]["text"], "send it to the board");
}

#[tokio::test]
async fn a_call_is_scored_by_a_checklist_and_says_by_which_words() {
    let default = json!({"name": "Support", "criteria": [
        {"name": "Greeting", "weight": 3, "type": "timing", "phrases": ["good morning"],
         "before": 10, "speaker": "*@support.example"},
        {"name": "No blame", "type": "absence", "phrases": ["your fault"]},
    ]});
    let server = server(Some(&default)).await;
    let id = talk(&server).await;
    let (status, found) = ask(&server, &format!("GET {id}/callscore"), "").await;
    assert_eq!(status, 200, "{found}");
    assert_eq!(
        (&found["name"], &found["score"]),
        (&json!("Support"), &json!(75.0))
    );
    assert_eq!((&found["met"], &found["of"]), (&json!(1), &json!(2)));
    let quote = |criterion: usize| &found["criteria"][criterion]["quotes"][0];
    assert_eq!(quote(0)["text"], "Good morning and thank you for calling.");
    assert_eq!(
        (&quote(0)["phrase"], &quote(0)["offset"]),
        (&json!("good morning"), &json!(0))
    );
    assert_eq!(quote(0)["from"]["name"], "Ada");
    assert_eq!(quote(1)["text"], "That is your fault.");
    let (_, messages) = ask(&server, &format!("GET {id}/messages"), "").await;
    assert_eq!(quote(1)["messageId"], messages["messages"][6]["id"]);
    let own = json!({"criteria": [
        {"name": "Talk", "type": "talk_ratio", "speaker": "ada", "max": 0.6},
        {"name": "Order", "type": "order", "steps": [["budget report"], ["board"]]},
    ]});
    let (status, found) = ask(&server, &format!("POST {id}/callscore"), &own.to_string()).await;
    assert_eq!((status, &found["score"]), (200, &json!(50.0)), "{found}");
    assert_eq!(
        (
            &found["criteria"][0]["met"],
            &found["criteria"][0]["talkRatio"]
        ),
        (&json!(false), &json!(1.0))
    );
    assert_eq!(
        found["criteria"][1]["quotes"].as_array().map(Vec::len),
        Some(2)
    );
}

#[tokio::test]
async fn what_cannot_be_scored_is_refused_with_a_message_that_helps() {
    let server = server(None).await;
    let id = talk(&server).await;
    for (request, body, status, part) in [
        (format!("GET {id}/callscore"), "", 400, "--callscore FILE"),
        (format!("POST {id}/callscore"), "{", 400, "cannot be read"),
        (
            format!("POST {id}/callscore"),
            r#"{"criteria": []}"#,
            400,
            "1 to 100",
        ),
        (
            "POST 1234567890123456/callscore".to_owned(),
            r#"{"criteria": [{"name": "a", "type": "phrase", "phrases": ["a"]}]}"#,
            404,
            "known",
        ),
    ] {
        let (code, found) = ask(&server, &request, body).await;
        assert_eq!(code, status, "{request}: {found}");
        assert!(
            found["message"].as_str().expect("a message").contains(part),
            "{found}"
        );
    }
    let mut config = ServerConfig::new(Arc::new(Prompter(LINES)));
    config.auth = Auth::App {
        id: "a".into(),
        secret: "s".into(),
    };
    let guarded = Server::bind(config).await.expect("a free port");
    for path in [
        "summary",
        "analytics",
        "callscore",
        "abstract-topics",
        "comprehensive/action-items",
    ] {
        assert_eq!(
            ask(&guarded, &format!("GET {id}/{path}"), "").await.0,
            401,
            "{path}"
        );
    }
}
