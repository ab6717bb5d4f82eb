// SPDX-License-Identifier: MPL-2.0

//! `--log-format json`: each line is an object, and names its client.

use super::*;
use crate::common::*;
use serde_json::Value;
use symbl_service::recognizer::scripted::speech;

#[tokio::test]
async fn each_line_is_an_object_and_names_its_stream() {
    let options = [
        "--listen",
        "127.0.0.1:0",
        "--log-format",
        "json",
        "--log",
        "debug",
    ];
    let service = Running::start(command().args(options));
    let (mut client, conversation) = Client::started(&service, "call-17", &start_request()).await;
    client.send_audio(&linear16(&speech(0..2, 16_000))).await;
    client.stop().await;
    client.rest().await;
    let origin = "DELETE /v1/conversations/1 HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    let mut refused = TcpStream::connect(service.address()).expect("a connection");
    refused.write_all(origin.as_bytes()).expect("sent");
    let mut answer = String::new();
    BufReader::new(refused)
        .read_line(&mut answer)
        .expect("a line");
    assert!(answer.contains("403"), "{answer}");
    let lines = service.end();
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect();
    for line in &lines {
        for member in ["timestamp", "level", "target"] {
            assert!(line[member].is_string(), "{line}");
        }
    }
    let event = |name: &str| lines.iter().find(|line| line["event"] == name);
    for name in ["connected", "started", "finished", "over"] {
        let line = event(name).unwrap_or_else(|| panic!("{name}: {lines:#?}"));
        assert_eq!(line["connection"], "call-17", "{line}");
        assert_eq!(line["conversation"], conversation.as_str(), "{line}");
        assert_eq!(line["address"], "127.0.0.1", "{line}");
    }
    let refusal = lines
        .iter()
        .find(|line| line["message"] == "request refused");
    let refusal = refusal.unwrap_or_else(|| panic!("{lines:#?}"));
    assert_eq!(refusal["level"], "INFO", "{refusal}");
    assert_eq!(refusal["status"], 403, "{refusal}");
    assert_eq!(refusal["path"], "/v1/conversations/1", "{refusal}");
}

#[test]
fn a_log_that_is_no_terminal_has_no_colours() {
    for format in ["text", "json"] {
        let options = ["--listen", "0.0.0.0:0", "--log-format", format];
        let log = Running::start(command().args(options).env_remove("NO_COLOR")).end();
        assert!(
            log.iter().any(|line| line.contains("shutting down")),
            "{log:?}"
        );
        assert!(!log.iter().any(|line| line.contains('\u{1b}')), "{log:?}");
    }
}
