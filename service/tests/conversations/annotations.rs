// SPDX-License-Identifier: MPL-2.0

//! The metadata and the name of a conversation, filters over them, and groups.

use crate::common::annotated::{Api, each, stages};
use crate::common::*;
use serde_json::{Value, json};
use symbl_service::{Auth, Server};

#[tokio::test]
async fn metadata_and_a_name_are_shown_in_the_conversation_and_in_the_list() {
    for stage in stages().await {
        let api = Api::of(&stage.server).await;
        let id = api.hold("call").await;
        let path = format!("/v1/conversations/{id}");
        assert_eq!(api.get(&path).await["metadata"], json!({}));
        let sent = json!({"metadata": {"agentId": "johndoe", "a \"b\" ü": "é"}});
        let put = api.done(&format!("PUT {path}"), &sent).await;
        assert_eq!(put["id"], id.as_str());
        assert_eq!(put["metadata"], sent["metadata"]);
        assert_eq!(put["name"], "call", "what the body has not stays");
        let sent = json!({"metadata": {"agentId": null, "label": "Sales"},
                          "name": "Monday", "x_retainDays": 30});
        let patched = api.done(&format!("PATCH {path}"), &sent).await;
        let expected = json!({"a \"b\" ü": "é", "label": "Sales"});
        assert_eq!(patched["metadata"], expected);
        assert_eq!(
            (&patched["name"], &patched["x_retainDays"]),
            (&json!("Monday"), &json!(30))
        );
        assert_eq!(api.get(&path).await, patched);
        assert_eq!(
            api.get("/v1/conversations").await["conversations"],
            json!([patched])
        );
        // A client may send back what it was sent, and take everything back.
        let sent = json!({"id": id, "type": "meeting", "metadata": {}, "name": null,
                          "x_retainDays": null});
        let put = api.done(&format!("PUT {path}"), &sent).await;
        assert_eq!(put["metadata"], json!({}));
        assert_eq!(put["name"], format!("Conversation {id}"));
        assert!(put.get("x_retainDays").is_none(), "{put}");
    }
}

#[tokio::test]
async fn what_is_wrong_or_too_much_is_refused_and_changes_nothing() {
    for stage in stages().await {
        let api = Api::of(&stage.server).await;
        let id = api.hold("call").await;
        let path = format!("/v1/conversations/{id}");
        let before = api.get(&path).await;
        let many = |range: std::ops::Range<u32>| -> Value {
            let labels = range.map(|n| (n.to_string(), Value::from("x")));
            json!({"metadata": labels.collect::<serde_json::Map<_, _>>()})
        };
        for (body, says) in [
            (json!([]), "must be a JSON object"),
            (
                json!({"metadata": {"a": 1}}),
                "`metadata.a` must be a string",
            ),
            (
                json!({"metadata": {"a": "x".repeat(129)}}),
                "at most 128 characters",
            ),
            (
                json!({"name": "other", "metadata": many(0..65)["metadata"]}),
                "at most 64",
            ),
            (json!({"endTime": "now"}), "`endTime` cannot be changed"),
        ] {
            let message = api.refused(&format!("PUT {path}"), &body, 400).await;
            assert!(message.contains(says), "{body}: {message}");
        }
        assert_eq!(api.get(&path).await, before);
        api.done(&format!("PUT {path}"), &many(0..64)).await;
        let message = api
            .refused(&format!("PATCH {path}"), &many(64..65), 400)
            .await;
        assert!(message.contains("remove some with PATCH"), "{message}");
        let text = format!("PUT {path} HTTP/1.1\r\nX-API-KEY: {}\r\nX-Rest:", api.token);
        let twice = r#"{"metadata": {"a": "1", "a": "2"}}"#;
        let (head, answer) = http(api.server, &text, twice).await;
        assert!(head.starts_with("http/1.1 400"), "{head}");
        assert!(answer.contains("is there twice"), "{answer}");
        for unknown in ["404", "x", "0123456789012345"] {
            let request = format!("PUT /v1/conversations/{unknown}");
            api.refused(&request, &json!({}), 404).await;
        }
    }
}

#[tokio::test]
async fn a_filter_and_the_criteria_of_a_group_look_at_the_metadata() {
    for stage in stages().await {
        let api = Api::of(&stage.server).await;
        let mut ids = Vec::new();
        for (name, metadata) in [
            ("first", json!({"agentId": "john", "x'y": "1"})),
            ("second", json!({"agentId": "mary"})),
            ("third", json!({})),
        ] {
            let id = api.hold(name).await;
            let request = format!("PUT /v1/conversations/{id}");
            api.done(&request, &json!({ "metadata": metadata })).await;
            ids.push(id);
        }
        for (filter, expected) in [
            ("metadata.agentId==john", &["first"][..]),
            ("conversation.metadata.agentId==j*", &["first"]),
            ("metadata.agentId!=john", &["second", "third"]),
            ("metadata.agentId!=j*", &["second", "third"]),
            ("metadata.agentId=gt=k", &["second"]),
            ("metadata.agentId==john,name==third", &["first", "third"]),
            ("metadata.nothing==john", &[]),
            ("metadata.agentId=='john\" OR 1=1'", &[]),
        ] {
            let query: String = filter.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let path = format!("/v1/conversations?order=asc&filter={query}");
            let found = each(&api.get(&path).await, "conversations", "name");
            assert_eq!(found, expected, "{filter}");
        }
        let sent = json!({"name": "Calls made by John", "description": "All of them.",
                          "criteria": "conversation.metadata.agentId==john"});
        let made = api.done("POST /v1/manage/group", &sent).await;
        let group = made["group"]["id"].as_str().expect("an id").to_owned();
        let of = format!("/v1/groups/{group}/conversations");
        let listed = api.get(&of).await;
        assert_eq!(each(&listed, "conversations", "id"), [ids[0].clone()]);
        let none = api.get(&format!("{of}?filter=name==third")).await;
        assert_eq!(none, json!({"conversations": []}));
        assert_eq!(api.get(&format!("{of}?limit=0")).await, none);
        let mut changed = sent.clone();
        changed["id"] = made["group"]["id"].clone();
        changed["criteria"] = "name!=first".into();
        let put = api
            .done(&format!("PUT /v1/manage/group/{group}"), &changed)
            .await;
        assert_eq!(put["group"], changed);
        assert_eq!(api.get(&format!("/v1/manage/groups/{group}")).await, put);
        let listed = api
            .get(&format!("{of}?sort=conversation.name,startTime&order=desc"))
            .await;
        assert_eq!(each(&listed, "conversations", "name"), ["third", "second"]);
        for sort in ["", "name,", "name,x", "name,name,name,name,name"] {
            let request = format!("GET {of}?sort={sort}");
            let message = api.refused(&request, &Value::Null, 400).await;
            assert!(message.contains("several of them with commas"), "{message}");
        }
    }
}

#[tokio::test]
async fn groups_are_created_listed_and_deleted_and_belong_to_one_application() {
    for stage in stages().await {
        let api = Api::of(&stage.server).await;
        let group = |name: &str| json!({"name": name, "criteria": "metadata.label==Internal"});
        let several = json!([group("a"), group("b")]);
        let made = api.done("POST /v1/manage/groups", &several).await;
        assert_eq!(each(&made, "groups", "name"), ["a", "b"]);
        assert_eq!(api.get("/v1/manage/groups").await, made);
        let half = json!([group("c"), {"name": "d", "criteria": "nothing"}]);
        let message = api.refused("POST /v1/manage/groups", &half, 400).await;
        assert!(message.contains("`[1].criteria` is no filter"), "{message}");
        assert_eq!(api.get("/v1/manage/groups").await, made, "all or none");
        let id = made["groups"][0]["id"].as_str().expect("an id");
        let path = format!("/v1/manage/group/{id}");
        let other = json!({"id": "7", "name": "a", "criteria": "name==a"});
        api.refused(&format!("PUT {path}"), &other, 400).await;
        let deleted = api.done(&format!("DELETE {path}"), &Value::Null).await;
        assert_eq!(deleted, json!({"id": id, "type": "group", "deleted": true}));
        for request in [
            format!("GET {path}"),
            format!("DELETE {path}"),
            format!("GET /v1/groups/{id}/conversations"),
            "GET /v1/groups/x/conversations".to_owned(),
        ] {
            api.refused(&request, &Value::Null, 404).await;
        }
        api.refused(&format!("PUT {path}"), &group("a"), 404).await;
        assert_eq!(
            each(&api.get("/v1/manage/groups").await, "groups", "name"),
            ["b"]
        );
    }
}

#[tokio::test]
async fn annotations_survive_a_restart() {
    let [stage, _] = stages().await;
    let api = Api::of(&stage.server).await;
    let id = api.hold("call").await;
    let path = format!("/v1/conversations/{id}");
    let sent = json!({"metadata": {"label": "kept"}});
    let put = api.done(&format!("PUT {path}"), &sent).await;
    let group = json!({"name": "a", "criteria": "metadata.label==kept"});
    let made = api.done("POST /v1/manage/group", &group).await;
    let directory = stage.directory.expect("a directory");
    stage.server.shutdown().await;
    let mut config = crate::common::annotated::config(&[]);
    config.data = Some(directory.path().to_owned());
    let server = Server::bind(config).await.expect("a free port");
    let api = Api::of(&server).await;
    assert_eq!(api.get(&path).await, put);
    let groups = api.get("/v1/manage/groups").await;
    assert_eq!(groups["groups"][0], made["group"]);
}

#[tokio::test]
async fn another_application_neither_sees_nor_changes_annotations() {
    let [stage, _] = stages().await;
    let api = Api::of(&stage.server).await;
    let id = api.hold("call").await;
    let made = json!({"name": "a", "criteria": "name==call"});
    let made = api.done("POST /v1/manage/group", &made).await;
    let group = made["group"]["id"].as_str().expect("an id").to_owned();
    let directory = stage.directory.expect("a directory");
    stage.server.shutdown().await;
    // The token of one application is not valid for another, so a second one is another server
    // on the same directory.
    let mut config = crate::common::annotated::config(&[]);
    config.data = Some(directory.path().to_owned());
    config.auth = Auth::None;
    let server = Server::bind(config).await.expect("a free port");
    let api = Api {
        server: &server,
        token: String::new(),
    };
    for request in [
        format!("PUT /v1/conversations/{id}"),
        format!("PATCH /v1/conversations/{id}"),
        format!("GET /v1/manage/group/{group}"),
        format!("DELETE /v1/manage/group/{group}"),
        format!("GET /v1/groups/{group}/conversations"),
        format!("GET /v1/conversations/{id}/bookmarks"),
        format!("GET /v1/conversations/{id}/bookmarks/summary"),
    ] {
        api.refused(&request, &json!({}), 404).await;
    }
    assert_eq!(api.get("/v1/manage/groups").await, json!({"groups": []}));
}
