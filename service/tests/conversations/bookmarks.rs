// SPDX-License-Identifier: MPL-2.0

//! Bookmarks: single and in bulk, by time and by messages, and their summaries.

use crate::common::annotated::{Api, each, stages};
use serde_json::{Value, json};

fn user() -> Value {
    json!({"name": "Ada", "userId": "ada@example.org", "email": "ada@example.org"})
}

#[tokio::test]
async fn a_bookmark_has_the_messages_of_its_time_or_those_that_are_named() {
    for stage in stages().await {
        let api = Api::of(&stage.server).await;
        let id = api.hold("call").await;
        let path = format!("/v1/conversations/{id}/bookmarks");
        let messages = api.get(&format!("/v1/conversations/{id}/messages")).await;
        let ids = each(&messages, "messages", "id");
        let texts = each(&messages, "messages", "text");
        // Messages begin at 0, 0.5, 1 and 1.5 seconds and take up to 0.14 seconds.
        let sent = json!({"label": "Leak", "description": "First mention", "user": user(),
                          "beginTimeOffset": 0.05, "duration": 0.5});
        let made = api.done(&format!("POST {path}"), &sent).await;
        assert_eq!(made["label"], "Leak");
        assert_eq!(made["user"], user());
        assert_eq!(
            (&made["beginTimeOffset"], &made["duration"]),
            (&json!(0.05), &json!(0.5))
        );
        assert_eq!(each(&made, "messageRefs", "id"), ids[..2]);
        assert_eq!(each(&made, "messageRefs", "text"), texts[..2]);
        assert_eq!(
            made["messageRefs"][0]["startTime"],
            messages["messages"][0]["startTime"]
        );
        let sent = json!({"label": "Order", "messageRefs": [{"id": ids[3]}, {"id": ids[2]}]});
        let named = api.done(&format!("POST {path}"), &sent).await;
        assert_eq!(each(&named, "messageRefs", "id"), ids[2..]);
        assert_eq!(
            (&named["beginTimeOffset"], &named["duration"]),
            (&json!(1), &json!(1))
        );
        let listed = api.get(&path).await;
        assert_eq!(listed, json!({"bookmarks": [made, named]}));
        let one = format!("{path}/{}", named["id"].as_str().expect("an id"));
        assert_eq!(api.get(&one).await, named);
        // All of a bookmark is replaced.
        let sent = json!({"label": "Later", "beginTimeOffset": 1, "duration": 60});
        let put = api.done(&format!("PUT {one}"), &sent).await;
        assert_eq!((&put["id"], &put["label"]), (&named["id"], &json!("Later")));
        assert_eq!(
            (&put["description"], &put["user"]),
            (&json!(""), &json!({}))
        );
        assert_eq!(api.get(&one).await, put);
        let (code, nothing) = api.ask(&format!("DELETE {one}"), &Value::Null).await;
        assert_eq!((code, nothing), (204, Value::Null));
        assert_eq!(each(&api.get(&path).await, "bookmarks", "id").len(), 1);
        for method in ["GET", "DELETE"] {
            let message = api
                .refused(&format!("{method} {one}"), &Value::Null, 404)
                .await;
            assert!(message.contains("no bookmark"), "{message}");
        }
        api.refused(&format!("PUT {one}"), &sent, 404).await;
        api.refused(&format!("GET {path}/x"), &Value::Null, 404)
            .await;
    }
}

#[tokio::test]
async fn bookmarks_in_bulk_are_created_all_or_none() {
    for stage in stages().await {
        let api = Api::of(&stage.server).await;
        let id = api.hold("call").await;
        let path = format!("/v1/conversations/{id}/bookmarks");
        let bulk = format!("POST {path}/bulk");
        let mark = |label: &str| json!({"label": label, "beginTimeOffset": 0, "duration": 1});
        let foreign = json!({"label": "c", "messageRefs": [{"id": "1"}]});
        let message = api.refused(&bulk, &json!([mark("a"), foreign]), 400).await;
        assert!(message.contains("no message with the id 1"), "{message}");
        let message = api
            .refused(&bulk, &json!([mark("a"), {"label": "b"}]), 400)
            .await;
        assert!(
            message.contains("bookmarks[1]: A bookmark needs"),
            "{message}"
        );
        assert_eq!(api.get(&path).await, json!({"bookmarks": []}));
        let made = api.done(&bulk, &json!([mark("a"), mark("b")])).await;
        assert_eq!(each(&made, "bookmarks", "label"), ["a", "b"]);
        let made = api.done(&bulk, &json!({"bookmarks": [mark("c")]})).await;
        assert_eq!(each(&made, "bookmarks", "label"), ["c"]);
        let listed = api.get(&path).await;
        assert_eq!(each(&listed, "bookmarks", "label"), ["a", "b", "c"]);
        let many: Vec<Value> = (0..100).map(|n| mark(&n.to_string())).collect();
        for _ in 0..9 {
            api.done(&bulk, &json!(many)).await;
        }
        let message = api.refused(&bulk, &json!(many), 400).await;
        assert!(message.contains("at most 1000 bookmarks"), "{message}");
        let message = api.refused(&bulk, &json!([]), 400).await;
        assert!(message.contains("1 to 100 bookmarks"), "{message}");
        api.refused("POST /v1/conversations/404/bookmarks", &mark("a"), 404)
            .await;
    }
}

#[tokio::test]
async fn the_summary_of_a_bookmark_was_said_in_it() {
    for stage in stages().await {
        let api = Api::of(&stage.server).await;
        let id = api.hold("call").await;
        let path = format!("/v1/conversations/{id}/bookmarks");
        let sent = json!([{"label": "a", "beginTimeOffset": 0, "duration": 1},
                          {"label": "b", "beginTimeOffset": 3600, "duration": 1}]);
        let made = api.done(&format!("POST {path}"), &sent).await;
        let bookmark = made["bookmarks"][0]["id"].as_str().expect("an id");
        let summary = api.get(&format!("{path}/{bookmark}/summary")).await;
        let one = &summary["summary"][0];
        assert_eq!(one["bookmarkReference"]["id"], bookmark);
        // Sentences that are too short to be chosen are quoted as they come.
        assert_eq!(
            one["text"],
            "The pump is leaking again. Who repaired it last time?"
        );
        let refs = made["bookmarks"][0]["messageRefs"].clone();
        assert_eq!(one["messageRefs"], refs);
        let all = api.get(&format!("{path}/summary")).await;
        let all = all["bookmarksSummary"]
            .as_array()
            .expect("summaries")
            .clone();
        assert_eq!(all[0]["bookmarkId"], bookmark);
        assert_eq!(all[0]["summary"][0]["text"], one["text"]);
        assert_eq!(all[1]["summary"], json!([]), "nothing was said there");
        let again = api
            .get(&format!("/v1/conversations/{id}/bookmarks-summary"))
            .await;
        assert_eq!(each(&again, "bookmarksSummary", "bookmarkId").len(), 2);
        api.refused(&format!("GET {path}/1/summary"), &Value::Null, 404)
            .await;
    }
}
