// SPDX-License-Identifier: MPL-2.0

//! The request that opens a connection, and answers that are no upgrade: C1, C2, C7.

use crate::common::dialogue::Dialogue;
use crate::common::feed::{CAPS, Feed};
use crate::common::peer::{Peer, RequestHead, Script};
use crate::common::pipeline::BOUND;
use crate::common::plugin;
use gst::prelude::*;

/// Returns the request head of a sink with these properties.
fn request(properties: &str) -> (RequestHead, Dialogue) {
    let mut dialogue = Dialogue::begin(Script::listening(), properties);
    dialogue.pipeline.wait_for_state("listening");
    let request = dialogue.record().request.expect("a request");
    (request, dialogue)
}

#[test]
fn c1_the_first_request_upgrades_at_the_path_of_the_connection() {
    let (request, dialogue) = request("");
    let id: String = dialogue.pipeline.sink().property("connection-id");
    assert_eq!(request.method, "GET");
    assert_eq!(request.path, format!("/v1/streaming/{id}"));
    let header = |name: &str| request.header(name).unwrap_or_default().to_lowercase();
    assert_eq!(header("Upgrade"), "websocket");
    assert_eq!(header("Connection"), "upgrade");
    assert_eq!(header("Sec-WebSocket-Version"), "13");
    assert_eq!(
        header("Host"),
        dialogue.peer.base_url().replace("http://", "")
    );
    assert_eq!(dialogue.peer.records().len(), 1);
}

#[test]
fn c1_an_id_that_the_application_gives_arrives_intact() {
    for (id, path) in [
        ("a+b/c==", "a%2Bb%2Fc%3D%3D"),
        ("4f1d-77", "4f1d-77"),
        ("d\u{e9}j\u{e0}", "d%C3%A9j%C3%A0"),
    ] {
        let (request, _) = request(&format!("connection-id={id}"));
        assert_eq!(request.path, format!("/v1/streaming/{path}"));
    }
}

#[test]
fn c1_the_path_is_the_configured_one() {
    let (request, _) = request("connection-id=x streaming-path=/v1/realtime/insights");
    assert_eq!(request.path, "/v1/realtime/insights/x");
}

#[test]
fn c2_the_token_goes_into_the_header_or_the_query_and_not_into_both() {
    let token = "s3cr3t.of-the_test";
    let (by_header, _) = request(&format!("access-token={token}"));
    assert_eq!(by_header.header("X-API-KEY"), Some(token));
    assert!(!by_header.path.contains("access_token") && !by_header.path.contains(token));

    let (by_query, dialogue) = request(&format!("access-token={token} token-in-query=true"));
    let id: String = dialogue.pipeline.sink().property("connection-id");
    assert_eq!(
        by_query.path,
        format!("/v1/streaming/{id}?access_token={token}")
    );
    let others = by_query.headers.iter();
    assert_eq!(others.filter(|(_, value)| value.contains(token)).count(), 0);
    assert_eq!(by_query.header("X-API-KEY"), None);
}

#[test]
fn c2_without_a_token_none_is_sent() {
    let (request, _) = request("");
    assert_eq!(request.header("X-API-KEY"), None);
    assert_eq!(request.header("Authorization"), None);
    assert!(!request.path.contains('?'));
}

#[test]
fn c2_the_token_is_in_no_line_of_the_log() {
    let token = "s3cr3t.that-nobody_logs";
    for in_query in ["false", "true"] {
        for script in [Script::listening(), Script::http(401, &[], "no")] {
            let peer = Peer::start(script);
            // GStreamer's parser would log a token on the command line.
            let output = plugin::command("gst-launch-1.0")
                .env("SYMBL_ACCESS_TOKEN", token)
                .env("GST_DEBUG", "9")
                .args(["-v", "audiotestsrc", "num-buffers=3", "!"])
                .args(["audio/x-raw,rate=16000", "!", "symblsink"])
                .arg(format!("base-url={}", peer.base_url()))
                .arg(format!("token-in-query={in_query}"))
                .output()
                .expect("gst-launch-1.0");
            let sent = format!("{:?}", peer.records()[0].request);
            assert!(sent.contains(token), "{sent}");
            for printed in [output.stdout, output.stderr] {
                let printed = String::from_utf8_lossy(&printed);
                let line = printed.lines().find(|line| line.contains(token));
                assert_eq!(line, None);
            }
        }
    }
}

#[test]
fn c7_after_an_answer_that_is_no_upgrade_nothing_is_sent() {
    let no_accept = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\n\r\n";
    for script in [
        Script::http(302, &[("Location", "https://elsewhere.example/")], ""),
        Script::answer(no_accept),
        Script::wrong_accept(),
    ] {
        let peer = Peer::start(script);
        let url = peer.base_url();
        let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={url} on-fatal=warning"));
        pipeline.play();
        assert!(feed.begin(CAPS));
        feed.hush(500).expect("there is room");
        pipeline.wait_for_state("failed");
        assert!(peer.wait_for(|records| records[0].ended, BOUND));
        let records = peer.records();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].ignored, 0);
        assert_eq!(records[0].frames, []);
    }
}
