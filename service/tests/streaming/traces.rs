// SPDX-License-Identifier: MPL-2.0

//! Traces, as a collector of OpenTelemetry gets them by OTLP over HTTP.

use crate::common::*;
use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Attribute;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use symbl_service::recognizer::scripted::{silence, speech};
use symbl_service::{Auth, CollectorUrl, Server, ServerConfig};

const STAGES: [&str; 6] = ["pause", "queue", "decode", "analyse", "commit", "tell"];

/// A collector that keeps what it is sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Vec<u8>>>>);

impl Collector {
    /// Starts it, and returns its address.
    async fn start(&self) -> String {
        let kept = Arc::clone(&self.0);
        let take = move |headers: HeaderMap, body: Bytes| async move {
            assert_eq!(headers["content-type"], "application/x-protobuf");
            kept.lock().expect("no panic").push(body.to_vec());
        };
        let router = Router::new().route("/v1/traces", post(take));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    /// Returns the name of the service that sent them, and all spans.
    fn spans(&self) -> (String, Vec<Span>) {
        let mut service = String::new();
        let mut spans = Vec::new();
        for body in self.0.lock().expect("no panic").iter() {
            let sent = ExportTraceServiceRequest::decode(&body[..]).expect("protobuf");
            for part in sent.resource_spans {
                let resource = part.resource.expect("a resource");
                let name = resource.attributes.iter().find(|a| a.key == "service.name");
                service = text_of(&name.expect("a name").value);
                spans.extend(part.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        }
        (service, spans)
    }
}

fn text_of(value: &Option<opentelemetry_proto::tonic::common::v1::AnyValue>) -> String {
    match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Attribute::StringValue(text)) => text.clone(),
        Some(Attribute::IntValue(number)) => number.to_string(),
        other => panic!("{other:?}"),
    }
}

fn attributes(span: &Span) -> BTreeMap<String, String> {
    let all = span.attributes.iter();
    all.map(|one| (one.key.clone(), text_of(&one.value)))
        .collect()
}

fn traced(mut config: ServerConfig, url: String) -> ServerConfig {
    config.otlp = Some(CollectorUrl::from(url));
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_the_stages_of_finals_and_the_requests_and_no_secret() {
    let collector = Collector::default();
    let mut config = traced(config(), collector.start().await);
    let (id, secret) = ("the-application", "the-secret");
    config.auth = Auth::App {
        id: id.into(),
        secret: secret.into(),
    };
    let server = Server::bind(config).await.expect("a free port");
    let body = json!({"type": "application", "appId": id, "appSecret": secret});
    let (_, granted) = http(&server, "POST /oauth2/token:generate", &body.to_string()).await;
    let granted: serde_json::Value = serde_json::from_str(&granted).expect("JSON");
    let token = granted["accessToken"].as_str().expect("a token");

    let path = format!("/v1/streaming/the-connection?access_token={token}");
    let (mut client, _) = Client::open(&server, &path, &[]).await.expect("a socket");
    let mut request = start_request();
    request["speaker"] = json!({"userId": "the-speaker@example.org", "name": "the-speaker"});
    let conversation = client.start(&request).await;
    let mut samples = speech(0..3, 16_000);
    samples.extend(silence(Duration::from_millis(600), 16_000));
    client.send_audio(&linear16(&samples)).await;
    let message = client.until("message_response").await;
    let message = message.json()["messages"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    client.stop().await;
    client.rest().await;
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let line = format!(
        "GET /v1/conversations/{conversation}/messages?access_token={token} HTTP/1.1\r\n\
         traceparent: 00-{trace}-{parent}-01\r\nx-api-key: {token}\r\nx-rest:"
    );
    let (head, _) = http(&server, &line, "").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    server.shutdown().await;

    let (service, spans) = collector.spans();
    assert_eq!(service, "symbl-service");
    let finals: Vec<&Span> = spans.iter().filter(|span| span.name == "final").collect();
    let [whole] = finals[..] else {
        panic!("{} finals", finals.len());
    };
    assert!(whole.parent_span_id.is_empty());
    let about = attributes(whole);
    assert_eq!(about["symbl.conversation.id"], conversation);
    assert_eq!(about["symbl.message.id"], message);
    let mut inside: Vec<&Span> = spans
        .iter()
        .filter(|span| span.parent_span_id == whole.span_id)
        .collect();
    inside.sort_by_key(|span| STAGES.iter().position(|name| *name == span.name));
    let names: Vec<&str> = inside.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, STAGES);
    for span in &inside {
        assert_eq!(span.trace_id, whole.trace_id, "{}", span.name);
        let times = whole.start_time_unix_nano..=whole.end_time_unix_nano;
        assert!(times.contains(&span.start_time_unix_nano), "{}", span.name);
        assert!(times.contains(&span.end_time_unix_nano), "{}", span.name);
        assert!(
            span.start_time_unix_nano <= span.end_time_unix_nano,
            "{}",
            span.name
        );
    }
    // The scripted recogniser waits for silence behind a word.
    let pause = inside[0].end_time_unix_nano - inside[0].start_time_unix_nano;
    assert!(pause > 100_000_000, "{pause} ns");

    let name = "GET /v1/conversations/{id}/messages";
    let asked = spans.iter().find(|span| span.name == name);
    let asked = asked.unwrap_or_else(|| panic!("{:?}", spans.iter().map(|s| &s.name)));
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    assert_eq!(hex(&asked.trace_id), trace);
    assert_eq!(hex(&asked.parent_span_id), parent);
    assert_eq!(attributes(asked)["http.response.status_code"], "200");
    for private in [
        id,
        secret,
        token,
        "the-connection",
        "the-speaker",
        "access_token",
        "W0",
    ] {
        for body in collector.0.lock().expect("no panic").iter() {
            let has = body
                .windows(private.len())
                .any(|part| part == private.as_bytes());
            assert!(!has, "{private}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_holds_nothing_up() {
    // A port that was just free.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let config = traced(config(), format!("http://{address}"));
    let server = Server::bind(config).await.expect("a free port");
    let (mut client, _) = Client::started(&server, "x", &start_request()).await;
    client.send_audio(&linear16(&speech(0..3, 16_000))).await;
    client.stop().await;
    let said = client.rest().await;
    assert!(said.iter().any(|heard| heard.kind() == "message_response"));
    in_time(server.shutdown()).await;
}
