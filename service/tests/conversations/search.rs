// SPDX-License-Identifier: MPL-2.0

//! Search by words, in one conversation and in all of an application.

use crate::common::annotated::{Api, config, each, stages};
use serde_json::{Value, json};
use symbl_service::{Auth, Server};

#[tokio::test]
async fn what_was_said_is_found_in_its_conversation_and_in_all() {
    for stage in stages().await {
        let api = Api::of(&stage.server).await;
        let (first, second) = (api.hold("first").await, api.hold("second").await);
        let messages = api
            .get(&format!("/v1/conversations/{first}/messages"))
            .await;
        let within = format!("/v1/conversations/{first}/search");
        let found = api.get(&format!("{within}?q=new%20PUMP")).await;
        assert_eq!(found["more"], false);
        let results = found["results"].as_array().expect("results").clone();
        // The newest first.
        let expected = [&messages["messages"][3], &messages["messages"][2]];
        assert_eq!(results.len(), expected.len());
        for (result, message) in results.iter().zip(expected) {
            for name in [
                "id",
                "text",
                "from",
                "startTime",
                "endTime",
                "timeOffset",
                "duration",
            ] {
                assert_eq!(result[name], message[name], "{name}");
            }
            assert_eq!(result["conversationId"], first.as_str());
            let snippet = result["snippet"].as_str().expect("a snippet");
            let marked = result["highlights"].as_array().expect("highlights").iter();
            let marked = marked.map(|at| {
                let number = |name: &str| at[name].as_u64().expect("a number") as usize;
                let rest = snippet.chars().skip(number("offset"));
                rest.take(number("length")).collect::<String>()
            });
            assert_eq!(marked.collect::<Vec<_>>(), ["new", "pump"]);
        }
        let all = api.get("/v1/search?q=leak*&order=asc").await;
        assert_eq!(each(&all, "results", "conversationId"), [first, second]);
        let page = api.get("/v1/search?q=pump&limit=4&offset=1").await;
        assert_eq!(
            (each(&page, "results", "id").len(), &page["more"]),
            (4, &json!(true))
        );
        let page = api.get("/v1/search?q=pump&limit=5&offset=1").await;
        assert_eq!(
            (each(&page, "results", "id").len(), &page["more"]),
            (5, &json!(false))
        );
    }
}

#[tokio::test]
async fn no_text_is_an_error_by_chance_and_what_is_wrong_is_said() {
    let [stage, _] = stages().await;
    let api = Api::of(&stage.server).await;
    let id = api.hold("call").await;
    let path = format!("/v1/conversations/{id}/search");
    for (query, says) in [
        ("", "such as `?q=budget%20report`"),
        ("q=", "must have a word"),
        ("q=%21%3F", "made of letters and digits"),
        (
            "q=%22new%20pump",
            "a quote at character 1 that is not closed",
        ),
        ("q=a&limit=1001", "`limit` must be a number from 0 to 1000"),
        ("q=a&limit=-1", "`limit` must"),
        ("q=a&offset=x", "`offset` must"),
        ("q=a&order=up", "`order` must be `asc` or `desc`"),
    ] {
        for path in [path.as_str(), "/v1/search"] {
            let request = format!("GET {path}?{query}");
            let message = api.refused(&request, &Value::Null, 400).await;
            assert!(message.contains(says), "{query}: {message}");
        }
    }
    let long = format!("GET {path}?q={}", "x".repeat(513));
    api.refused(&long, &Value::Null, 400).await;
    for query in [
        "AND",
        "NOT%20a",
        "a%20NEAR(b)",
        "text%3Apump",
        "%2Apump",
        "pump)%28",
        "%5Ea",
        "pump%00x",
        "%27",
        "a%27b",
        "%5C",
        "pump%20%20%20",
        "%F0%9F%98%80a",
        "%EF%B7%90pump",
        "a%2Bb%2D%2D",
    ] {
        let (code, answer) = api
            .ask(&format!("GET {path}?q={query}"), &Value::Null)
            .await;
        let is_fine = code == 200 || query == "%27" || query == "%5C";
        assert!(is_fine, "{query}: {code} {answer}");
    }
}

#[tokio::test]
async fn a_search_belongs_to_its_application_and_survives_a_restart() {
    let [stage, _] = stages().await;
    let api = Api::of(&stage.server).await;
    let id = api.hold("call").await;
    let path = format!("/v1/conversations/{id}/search?q=pump");
    let before = api.get(&path).await;
    assert_eq!(each(&before, "results", "id").len(), 3);
    let body = json!({});
    let share = api
        .done(&format!("POST /v1/conversations/{id}/share"), &body)
        .await;
    let bearer = Api {
        server: &stage.server,
        token: share["accessToken"].as_str().expect("a token").to_owned(),
    };
    assert_eq!(bearer.get(&path).await, before);
    bearer
        .refused("GET /v1/search?q=pump", &Value::Null, 403)
        .await;
    let directory = stage.directory.expect("a directory");
    stage.server.shutdown().await;
    let mut other = config(&[]);
    other.data = Some(directory.path().to_owned());
    other.auth = Auth::None;
    let server = Server::bind(other).await.expect("a free port");
    let foreign = Api {
        server: &server,
        token: String::new(),
    };
    foreign
        .refused(&format!("GET {path}"), &Value::Null, 404)
        .await;
    let nothing = json!({"results": [], "more": false});
    assert_eq!(foreign.get("/v1/search?q=pump").await, nothing);
    server.shutdown().await;
    let mut same = config(&[]);
    same.data = Some(directory.path().to_owned());
    let server = Server::bind(same).await.expect("a free port");
    let api = Api::of(&server).await;
    assert_eq!(api.get(&path).await, before);
    let request = format!("DELETE /v1/conversations/{id}");
    api.done(&request, &Value::Null).await;
    api.refused(&format!("GET {path}"), &Value::Null, 404).await;
    assert_eq!(api.get("/v1/search?q=pump").await, nothing);
    for file in std::fs::read_dir(directory.path()).expect("a directory") {
        let path = file.expect("a file").path();
        if path.is_dir() {
            continue;
        }
        let bytes = std::fs::read(&path).expect("bytes");
        for word in ["pump", "leaking", "repaired"] {
            let is_there = bytes
                .windows(word.len())
                .any(|part| part == word.as_bytes());
            assert!(!is_there, "{word} in {}", path.display());
        }
    }
}
