// SPDX-License-Identifier: MPL-2.0

//! Jobs of the Async API on several nodes.

use super::common::jobs::*;
use super::*;

/// Returns a request for a job with these messages, which tells a receiver of itself.
fn texts(all: &[&str]) -> String {
    let messages = all
        .iter()
        .map(|text| json!({"payload": {"content": text}, "from": {"name": "Ada"}}));
    json!({ "messages": messages.collect::<Vec<Value>>() }).to_string()
}

/// Returns the texts of the messages of a job's conversation.
async fn told(place: &impl Place, answer: &Value) -> Vec<String> {
    let all = messages(place, answer, "").await;
    let texts = all
        .iter()
        .map(|message| message["text"].as_str().expect("a text").to_owned());
    texts.collect()
}

#[tokio::test]
async fn a_job_runs_where_it_was_taken_and_elsewhere_only_if_that_node_is_gone() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let receiver = Receiver::start(|_| (200, String::new(), Vec::new())).await;
    let rule = format!("http://{}", receiver.address);
    let own = |parallel: usize| {
        let mut config = configured(&url);
        config.jobs.parallel = parallel;
        config.jobs.webhook_hosts = vec!["http://127.0.0.1".parse().expect("a rule")];
        config
    };
    let a = Server::bind(own(0)).await.expect("a node that runs no job");
    let b = Server::bind(own(1)).await.expect("a node");
    let post = format!("POST /v1/process/text?webhookUrl={rule}/hook");
    let (status, first) = ask(&a, &post, &texts(&["The first."])).await;
    assert_eq!(status, 201, "{first}");
    let (_, second) = ask(&b, &post, &texts(&["The second."])).await;
    assert_eq!(ended(&b, &second).await["status"], "completed");
    // It is older, and would have come before the second one.
    assert_eq!(told(&b, &first).await, Vec::<String>::new());
    a.shutdown().await;
    let (_, third) = ask(&b, &post, &texts(&["The third."])).await;
    assert_eq!(ended(&b, &first).await["status"], "completed");
    assert_eq!(ended(&b, &third).await["status"], "completed");
    assert_eq!(told(&b, &first).await, ["The first."]);
    let count = |all: &[Received]| {
        let ends = all.iter().filter(|one| one.body.contains("completed"));
        ends.count()
    };
    let received = receiver.until(|all| count(all) >= 3).await;
    assert_eq!((count(&received), received.len()), (3, 6), "{received:#?}");
}

#[tokio::test]
async fn a_job_of_one_node_goes_on_with_a_conversation_of_another() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let [a, b] = [node(&url).await, node(&url).await];
    let (_, made) = ask(&a, "POST /v1/process/text", &texts(&["One."])).await;
    assert_eq!(ended(&a, &made).await["status"], "completed");
    let id = made["conversationId"].as_str().expect("an id");
    let put = format!("PUT /v1/process/text/{id}");
    let (status, more) = ask(&b, &put, &texts(&["Two."])).await;
    assert_eq!(
        (status, &more["conversationId"]),
        (201, &made["conversationId"])
    );
    assert_eq!(ended(&a, &more).await["status"], "completed");
    assert_eq!(told(&a, &made).await, ["One.", "Two."]);
    // A speaker is there on one node, and the job runs on the other.
    let (mut ada, live) = Client::started(&a, "beside", &start_as("Ada", 60)).await;
    let mut listener = subscriber(&a, "beside").await;
    ada.send_audio(&said(0..2)).await;
    assert_eq!(message(&mut listener).await.0, 0);
    let put = format!("PUT /v1/process/text/{live}");
    let (_, beside) = ask(&b, &put, &texts(&["Three."])).await;
    assert_eq!(ended(&b, &beside).await["status"], "completed");
    assert_eq!(message(&mut listener).await, (1, "Three.".to_owned()));
    ada.send_audio(&said(2..4)).await;
    assert_eq!(message(&mut listener).await.0, 2);
    assert_eq!(told(&b, &beside).await.len(), 3);
}
