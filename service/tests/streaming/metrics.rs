// SPDX-License-Identifier: MPL-2.0

//! `GET /metrics`: the format, and the counts after a conversation.

use crate::common::prompter::Prompter;
use crate::common::*;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use symbl_service::capacity::Capacity;
use symbl_service::recognizer::scripted::silence;
use symbl_service::recognizer::{
    RecognisedWord, Recognition, Recognizer, RecognizerError, RecognizerStream, StreamOptions,
    Worked,
};
use symbl_service::{Auth, Server, ServerConfig};

const LINES: &[&str] = &[
    "can you send me the budget report",
    "i will check the budget report on monday",
];

/// Returns each sample's name with its labels, and its value. Checks the format.
async fn scrape(server: &Server) -> HashMap<String, f64> {
    let (head, text) = http(server, "GET /metrics", "").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"));
    let body = text.strip_suffix("# EOF\n").expect("an end");
    let mut kinds: HashMap<&str, &str> = HashMap::new();
    let mut samples = HashMap::new();
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<&str> = comment.splitn(3, ' ').collect();
            match words[..] {
                ["TYPE", name, kind] => assert_eq!(kinds.insert(name, kind), None, "{line}"),
                ["HELP" | "UNIT", _, said] => assert!(!said.is_empty(), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect(line);
        let bare = name.split('{').next().expect(line);
        let known = |(family, kind): (&&str, &&str)| {
            let suffixes: &[&str] = match *kind {
                "counter" => &["_total"],
                "gauge" => &[""],
                "info" => &["_info"],
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => panic!("{kind}"),
            };
            suffixes.iter().any(|s| bare == format!("{family}{s}"))
        };
        assert!(kinds.iter().any(known), "{line}");
        let value = value.parse().expect(line);
        assert_eq!(samples.insert(name.to_owned(), value), None, "{line}");
    }
    samples
}

/// Scrapes until a sample has this value: sockets are counted as they come and go.
async fn until(server: &Server, name: &str, value: f64) -> HashMap<String, f64> {
    in_time(async {
        loop {
            let samples = scrape(server).await;
            if samples.get(name) == Some(&value) {
                return samples;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_conversation_is_counted_and_no_client_is_named() {
    let mut config = ServerConfig::new(Arc::new(Prompter(LINES)));
    let (id, secret) = ("the-application", "the-secret");
    config.auth = Auth::App {
        id: id.into(),
        secret: secret.into(),
    };
    config.limits.subscribers = 1;
    let server = Server::bind(config).await.expect("a free port");
    let before = scrape(&server).await;
    for name in [
        "symbl_service_streams{recognizer=\"prompter\"}",
        "symbl_service_sockets{kind=\"streaming\"}",
        "symbl_service_connections_accepted_total{kind=\"subscriber\"}",
        "symbl_service_audio_seconds_total{recognizer=\"prompter\"}",
        "symbl_service_recognizer_restarts_total",
        "symbl_service_connections_refused_total{reason=\"unauthorized\"}",
        "symbl_service_store_failures_total",
        "symbl_service_final_latency_seconds_count",
    ] {
        assert_eq!(before.get(name), Some(&0.0), "{name}");
    }
    assert!(before["process_start_time_seconds"] > 1.6e9);
    let build = before
        .keys()
        .find(|name| name.starts_with("symbl_service_build_info{"));
    let build = build.expect("the release");
    assert!(
        build.contains(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION"))),
        "{build}"
    );

    let body = json!({"type": "application", "appId": id, "appSecret": secret});
    let (_, granted) = http(&server, "POST /oauth2/token:generate", &body.to_string()).await;
    let granted: serde_json::Value = serde_json::from_str(&granted).expect("JSON");
    let token = granted["accessToken"].as_str().expect("a token");
    let headers = [("X-API-KEY", token)];
    let path = "/v1/streaming/the-connection";
    assert!(Client::open(&server, path, &[]).await.is_err());
    let (mut client, _) = Client::open(&server, path, &headers)
        .await
        .expect("a socket");
    let mut request = start_request();
    request["speaker"] = json!({"userId": "the-speaker@example.org"});
    request["insightTypes"] = json!(["question", "action_item"]);
    request["trackers"] = json!([{"name": "the-tracker", "vocabulary": ["budget"]}]);
    request["config"]["detectEntities"] = true.into();
    let conversation = client.start(&request).await;
    let path = "/v1/subscribe/the-connection";
    let (mut ear, _) = Client::open(&server, path, &headers).await.expect("an ear");
    assert!(Client::open(&server, path, &headers).await.is_err());
    assert!(
        Client::open(&server, "/v1/subscribe/nobody", &headers)
            .await
            .is_err()
    );
    let running = scrape(&server).await;
    assert_eq!(
        running["symbl_service_streams{recognizer=\"prompter\"}"],
        1.0
    );
    assert_eq!(running["symbl_service_sockets{kind=\"streaming\"}"], 1.0);
    assert_eq!(running["symbl_service_sockets{kind=\"subscriber\"}"], 1.0);

    let audio = silence(Duration::from_millis(1500), 16_000);
    client.send_audio(&linear16(&audio)).await;
    client.stop().await;
    let heard = client.rest().await;
    ear.rest().await;
    let insights = heard.iter().filter(|h| h.kind() == "insight_response");
    let insights = insights.flat_map(|h| h.json()["insights"].as_array().cloned());
    let kinds = insights.flatten().map(|insight| insight["type"].clone());
    let (questions, others): (Vec<_>, Vec<_>) = kinds.partition(|kind| kind == "question");
    let (questions, actions) = (questions.len() as f64, others.len() as f64);
    assert!(questions > 0.0 && actions > 0.0);
    until(&server, "symbl_service_sockets{kind=\"subscriber\"}", 0.0).await;
    let over = until(&server, "symbl_service_sockets{kind=\"streaming\"}", 0.0).await;
    for (name, value) in [
        ("streams{recognizer=\"prompter\"}", 0.0),
        ("connections_accepted_total{kind=\"streaming\"}", 1.0),
        ("connections_accepted_total{kind=\"subscriber\"}", 1.0),
        ("connections_refused_total{reason=\"unauthorized\"}", 1.0),
        ("connections_refused_total{reason=\"limit\"}", 1.0),
        ("connections_refused_total{reason=\"unknown_id\"}", 1.0),
        ("audio_seconds_total{recognizer=\"prompter\"}", 1.5),
        ("results_total{kind=\"interim\"}", 2.0),
        ("results_total{kind=\"final\"}", 2.0),
        ("results_total{kind=\"message\"}", 2.0),
        ("results_total{kind=\"question\"}", questions),
        ("results_total{kind=\"action_item\"}", actions),
        ("results_total{kind=\"tracker\"}", 2.0),
        ("results_total{kind=\"entity\"}", 1.0),
        ("final_latency_seconds_count", 2.0),
        ("final_stage_seconds_count{stage=\"pause\"}", 2.0),
        ("final_stage_seconds_count{stage=\"queue\"}", 2.0),
        // This engine does not say where it works.
        ("final_stage_seconds_count{stage=\"decode\"}", 0.0),
        ("final_stage_seconds_count{stage=\"analyse\"}", 2.0),
        ("final_stage_seconds_count{stage=\"commit\"}", 2.0),
        ("final_stage_seconds_count{stage=\"tell\"}", 2.0),
        ("store_failures_total", 0.0),
        ("store_healthy", 1.0),
    ] {
        let found = over[&format!("symbl_service_{name}")];
        assert!((found - value).abs() < 1e-9, "{name}: {found}");
    }
    assert!(over["symbl_service_store_writes_total"] >= 3.0);

    let (_, text) = http(&server, "GET /metrics", "").await;
    for private in [
        id,
        secret,
        token,
        "the-connection",
        &conversation,
        "the-speaker",
        "the-tracker",
    ] {
        assert!(!text.contains(private), "{private}");
    }
}

/// An engine with threads of its own, which says for its only final: it waited for a quarter of
/// a second, was decoded in half a second, and was known with the first second of audio.
struct Threads;

struct Thread {
    samples: usize,
}

impl Recognizer for Threads {
    fn name(&self) -> &'static str {
        "threads"
    }

    fn capacity(&self) -> Capacity {
        Capacity::Reported {
            cost: 0.1,
            finals_only: 0.1,
        }
    }

    fn open(&self, _: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        Ok(Box::new(Thread { samples: 0 }))
    }
}

impl RecognizerStream for Thread {
    fn push(&mut self, samples: &[i16], out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        let before = self.samples;
        self.samples += samples.len();
        if before < 24_000 && self.samples >= 24_000 {
            out.push(Recognition::bare(vec![RecognisedWord {
                text: "hello".to_owned(),
                start: Duration::from_millis(100),
                end: Duration::from_millis(400),
                confidence: 1.0,
            }]));
        }
        Ok(())
    }

    fn worked(&self) -> Option<Worked> {
        let begun = Instant::now();
        Some(Worked {
            queued: begun.checked_sub(Duration::from_millis(250))?,
            begun,
            done: begun + Duration::from_millis(500),
            heard: Duration::from_secs(1),
        })
    }

    fn finish(&mut self, _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        Ok(())
    }
}

#[tokio::test]
async fn the_stages_of_a_final_are_those_of_its_engine() {
    let server = Server::bind(ServerConfig {
        listen: "127.0.0.1:0".parse().expect("an address"),
        ..ServerConfig::new(Arc::new(Threads))
    })
    .await
    .expect("a free port");
    let (mut client, _) = Client::started(&server, "x", &start_request()).await;
    let audio = silence(Duration::from_secs(2), 16_000);
    client.send_audio(&linear16(&audio)).await;
    client.stop().await;
    client.rest().await;
    let scraped = scrape(&server).await;
    let sum = |stage: &str| {
        let name = format!("symbl_service_final_stage_seconds_sum{{stage=\"{stage}\"}}");
        scraped[&name]
    };
    // From the end of the word to the audio with which the engine knew.
    assert!((sum("pause") - 0.6).abs() < 1e-6, "{}", sum("pause"));
    assert!((sum("decode") - 0.5).abs() < 1e-6, "{}", sum("decode"));
    assert!(sum("queue") >= 0.25, "{}", sum("queue"));
    for stage in ["analyse", "commit", "tell"] {
        assert!(sum(stage) > 0.0, "{stage}");
    }
}

#[tokio::test]
async fn connections_that_never_were_are_counted_by_their_reason() {
    let mut config = config();
    config.limits.handshakes = 2;
    let server = Server::bind(config).await.expect("a free port");
    let first = tokio::net::TcpStream::connect(server.local_addr()).await;
    let second = tokio::net::TcpStream::connect(server.local_addr()).await;
    let (head, _) = http(&server, "GET /metrics", "").await;
    assert!(head.starts_with("http/1.1 503"), "{head}");
    drop((first, second));
    let name = "symbl_service_connections_refused_total{reason=\"busy\"}";
    // More are refused while the service has not seen that those are gone.
    let scraped = in_time(async {
        loop {
            let (head, text) = http(&server, "GET /metrics", "").await;
            if head.starts_with("http/1.1 200") {
                break text;
            }
        }
    })
    .await;
    let line = scraped.lines().find_map(|line| line.strip_prefix(name));
    let refused: f64 = line.expect("a count").trim().parse().expect("a number");
    assert!(refused >= 1.0);
}
