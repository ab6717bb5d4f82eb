// SPDX-License-Identifier: MPL-2.0

//! `/livez`, `/readyz` and `/version`.

use super::*;
use crate::common::*;
use serde_json::Value;
use symbl_service::Limits;

fn json(body: &str) -> Value {
    serde_json::from_str(body).expect(body)
}

#[test]
fn it_says_that_it_lives_and_which_release_it_is_under_any_name() {
    let service = Running::start(command().args(["--listen", "127.0.0.1:0"]));
    for path in ["/livez", "/readyz", "/version"] {
        let mut stream = TcpStream::connect(service.address()).expect("a connection");
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: pod.example\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    let (_, body) = get(service.address(), "/version");
    let version = json(&body);
    assert_eq!(version["name"], "symbl-service");
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(version["api"], "v1");
    let (_, body) = get(service.address(), "/readyz");
    let ready = json(&body);
    assert_eq!(ready["status"], "ok");
    assert_eq!(ready["engines"], serde_json::json!(["scripted"]));
}

#[tokio::test]
async fn it_is_ready_only_while_another_client_would_be_served() {
    let mut config = config();
    config.limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let server = symbl_service::Server::bind(config)
        .await
        .expect("a free port");
    let ready = async || {
        let (head, body) = http(&server, "GET /readyz", "").await;
        (head.contains(" 200 "), json(&body))
    };
    assert!(ready().await.0);
    let (client, _) = Client::started(&server, "x", &start_request()).await;
    let (is_ready, said) = ready().await;
    assert!(
        !is_ready && said["why"] == serde_json::json!(["load"]),
        "{said}"
    );
    let (head, _) = http(&server, "GET /livez", "").await;
    assert!(head.contains(" 200 "), "{head}");
    client.close(1000).await;
    in_time(async { while !ready().await.0 {} }).await;
}

#[tokio::test]
async fn it_is_not_ready_without_a_store_and_lives_on() {
    let data = tempfile::tempdir().expect("a folder");
    let mut config = config();
    config.data = Some(data.path().to_owned());
    let server = symbl_service::Server::bind(config)
        .await
        .expect("a free port");
    let (head, _) = http(&server, "GET /readyz", "").await;
    assert!(head.contains(" 200 "), "{head}");
    std::fs::remove_file(data.path().join("symbl.db")).expect("a database");
    in_time(async {
        loop {
            let (head, body) = http(&server, "GET /readyz", "").await;
            if head.contains(" 503 ") {
                assert_eq!(json(&body)["why"], serde_json::json!(["store"]), "{body}");
                break;
            }
        }
    })
    .await;
    let (head, _) = http(&server, "GET /livez", "").await;
    assert!(head.contains(" 200 "), "{head}");
}
