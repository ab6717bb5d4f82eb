// SPDX-License-Identifier: MPL-2.0

//! Long conversations that many clients read at once: no client makes the service hold a
//! list.

use crate::common::child::Service;
use crate::common::sqlite::sqlite;
use crate::common::*;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use symbl_service::recognizer::scripted::speech;

const MESSAGES: usize = 4000;

/// Messages of a very long conversation.
const MANY_MESSAGES: usize = 100_000;

/// Words of each message.
const WORDS: usize = 14;

/// How many ask at the same time.
const READERS: usize = 4;

/// What all of them together may cost, in bytes.
const LARGEST_GROWTH: u64 = 64 << 20;

/// Makes a conversation of `MESSAGES` messages and returns its id.
async fn prepared(service: &Service, data: &Path) -> String {
    prepared_with(service, data, MESSAGES).await
}

/// Makes a conversation of this many messages and returns its id.
async fn prepared_with(service: &Service, data: &Path, messages: usize) -> String {
    let (mut client, id) = Client::started(service, "long", &start_request()).await;
    client.send_audio(&linear16(&speech(0..2, 16_000))).await;
    client.stop().await;
    client.rest().await;
    let words: Vec<String> = (0..WORDS)
        .map(|k| format!(r#"["word{k}",17000000000000000{k:02},17000000000000000{k:02}]"#))
        .collect();
    let sql = format!(
        "DELETE FROM message; WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n
         WHERE n < {messages}) INSERT INTO message (id, conversation, live, speaker, text, start,
         stop, words, confidence) SELECT 2000000000000000 + n, {id}, 'live' || n, 'x',
         'Message ' || n || '.', 1700000000000000000 + n * 1000000000,
         1700000000500000000 + n * 1000000000, '[{}]', 0.5 FROM n;
         INSERT INTO insight SELECT id + 1, conversation, id, 'question', text, 0.5, 0, NULL, NULL
         FROM message;
         INSERT INTO tracker VALUES (1, {id}, 'Rates');
         INSERT INTO tracker_match SELECT 1, id, 'phrase ' || (id % 3), 0 FROM message;
         INSERT INTO entity SELECT id, id, 'date', id % 3, 'day', 0 FROM message;
         INSERT INTO topic SELECT id, conversation, text, 0.5, json_array(live) FROM message
         LIMIT 2000;",
        words.join(",")
    );
    sqlite(&data.join("symbl.db"), &sql);
    id
}

fn got(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

fn posted(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn ask(service: &Service, path: &str) -> TcpStream {
    sent(service, &got(path))
}

fn post(service: &Service, path: &str, body: &str) -> TcpStream {
    sent(service, &posted(path, body))
}

fn sent(service: &Service, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(service.address()).expect("a connection");
    stream.write_all(request.as_bytes()).expect("sent");
    stream
}

/// Returns the body of an answer, which may come in chunks. Panics if it is not whole.
fn body(stream: TcpStream) -> Vec<u8> {
    let mut answer = BufReader::new(stream);
    let mut line = String::new();
    answer.read_line(&mut line).expect("a status line");
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    let mut chunked = false;
    while line != "\r\n" {
        line.clear();
        answer.read_line(&mut line).expect("a header");
        chunked |= line.eq_ignore_ascii_case("transfer-encoding: chunked\r\n");
    }
    let mut body = Vec::new();
    if !chunked {
        answer.read_to_end(&mut body).expect("a body");
        return body;
    }
    loop {
        line.clear();
        answer.read_line(&mut line).expect("a length");
        let length = usize::from_str_radix(line.trim(), 16).expect("a length");
        let taken = answer.by_ref().take(length as u64).read_to_end(&mut body);
        assert_eq!(taken.expect("a chunk"), length);
        answer.read_line(&mut line).expect("the chunk's end");
        if length == 0 {
            return body;
        }
    }
}

/// Returns how often `what` is in a text.
fn count(text: &[u8], what: &str) -> usize {
    std::str::from_utf8(text)
        .expect("UTF-8")
        .matches(what)
        .count()
}

#[tokio::test]
async fn a_long_conversation_is_read_by_many_at_once_in_little_memory() {
    let data = tempfile::tempdir().expect("a directory");
    let directory = data.path().to_str().expect("UTF-8");
    let service = Service::start(&["--data", directory]);
    let id = prepared(&service, data.path()).await;
    let before = service.peak_memory();
    let path = format!("/v1/conversations/{id}/messages?verbose=true");
    // These ask and do not read, and must delay no other client.
    let idle: Vec<TcpStream> = (0..8).map(|_| ask(&service, &path)).collect();
    let readers: Vec<_> = (0..READERS)
        .map(|_| ask(&service, &path))
        .map(|stream| {
            std::thread::spawn(move || {
                let body = body(stream);
                assert!(body.ends_with(b"]}"));
                (count(&body, "conversationId"), count(&body, "\"score\""))
            })
        })
        .collect();
    let (mut client, _) = Client::started(&service, "beside", &start_request()).await;
    client.send_audio(&linear16(&speech(0..2, 16_000))).await;
    client.stop().await;
    assert!(kinds(&client.rest().await).contains(&"message_response"));
    for reader in readers {
        let counted = reader.join().expect("no panic");
        assert_eq!(counted, (MESSAGES, MESSAGES * WORDS));
    }
    drop(idle);
    let growth = service.peak_memory().saturating_sub(before);
    assert!(growth < LARGEST_GROWTH, "{growth} bytes");
}

#[tokio::test]
async fn every_long_list_is_whole_however_many_pieces_it_takes() {
    let data = tempfile::tempdir().expect("a directory");
    let directory = data.path().to_str().expect("UTF-8");
    let service = Service::start(&["--data", directory]);
    let id = prepared(&service, data.path()).await;
    let get = |part: &str| -> Value {
        let path = format!("/v1/conversations/{id}{part}");
        serde_json::from_slice(&body(ask(&service, &path))).expect("JSON")
    };
    let all = |answer: &Value, name: &str| -> Vec<String> {
        let items = answer.as_array().expect("an array").iter();
        items
            .map(|item| item[name].as_str().expect(name).to_owned())
            .collect()
    };
    let messages = all(&get("/messages")["messages"], "id");
    let expected: Vec<String> = (1..=MESSAGES)
        .map(|n| (2_000_000_000_000_000 + n).to_string())
        .collect();
    assert!(messages == expected, "{} messages", messages.len());
    let texts = all(&get("/insights")["insights"], "text");
    let expected: Vec<String> = (1..=MESSAGES).map(|n| format!("Message {n}.")).collect();
    assert!(texts == expected, "{} insights", texts.len());
    let topics = all(&get("/topics")["topics"], "id");
    assert_eq!(topics.iter().collect::<BTreeSet<_>>().len(), 2000);
    for (part, groups) in [
        (
            "/trackers-detected",
            get("/trackers-detected")[0]["matches"].clone(),
        ),
        ("/entities", get("/entities")["entities"].clone()),
    ] {
        let groups = groups.as_array().expect(part);
        assert_eq!(groups.len(), 3, "{part}");
        let places = groups
            .iter()
            .flat_map(|group| all(&group["messageRefs"], "id"));
        assert_eq!(places.collect::<BTreeSet<_>>().len(), MESSAGES, "{part}");
    }
}

#[tokio::test]
async fn a_long_transcript_is_whole_in_every_format_and_takes_little_memory() {
    let data = tempfile::tempdir().expect("a directory");
    let directory = data.path().to_str().expect("UTF-8");
    let service = Service::start(&["--data", directory]);
    let id = prepared(&service, data.path()).await;
    let before = service.peak_memory();
    let path = format!("/v1/conversations/{id}/transcript?format=");
    // These ask and do not read.
    let idle: Vec<TcpStream> = (0..8)
        .map(|_| ask(&service, &format!("{path}json")))
        .collect();
    for format in ["srt", "vtt", "md", "txt", "json"] {
        let text = body(ask(&service, &format!("{path}{format}")));
        assert_eq!(count(&text, "Message "), MESSAGES, "{format}");
    }
    let json: Value =
        serde_json::from_slice(&body(ask(&service, &format!("{path}json")))).expect("JSON");
    let texts = json["messages"].as_array().expect("a list").iter();
    let texts: Vec<&str> = texts.filter_map(|item| item["text"].as_str()).collect();
    let expected: Vec<String> = (1..=MESSAGES).map(|n| format!("Message {n}.")).collect();
    assert!(texts == expected, "{} messages", texts.len());
    let request = r#"{"contentType": "text/markdown"}"#;
    let posted = post(
        &service,
        &format!("/v1/conversations/{id}/transcript"),
        request,
    );
    let posted: Value = serde_json::from_slice(&body(posted)).expect("JSON");
    let payload = posted["transcript"]["payload"].as_str().expect("a string");
    assert_eq!(count(payload.as_bytes(), "Message "), MESSAGES);
    drop(idle);
    let growth = service.peak_memory().saturating_sub(before);
    assert!(growth < LARGEST_GROWTH, "{growth} bytes");
}

/// Returns how many pieces of lists the service has read so far.
fn pieces(service: &Service) -> u64 {
    let metrics = String::from_utf8(body(ask(service, "/metrics"))).expect("text");
    let mut lines = metrics.lines();
    let count = lines.find_map(|line| line.strip_prefix("symbl_service_store_reads_total "));
    count.expect("a metric").parse().expect("a number")
}

/// Returns the parts that were read when no more are.
async fn pieces_at_rest(service: &Service) -> u64 {
    let mut known = pieces(service);
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = pieces(service);
        if now == known {
            return now;
        }
        known = now;
    }
}

#[tokio::test]
async fn what_a_client_that_hung_up_asked_for_is_not_read_to_its_end() {
    let data = tempfile::tempdir().expect("a directory");
    let directory = data.path().to_str().expect("UTF-8");
    let service = Service::start(&["--data", directory]);
    let id = prepared(&service, data.path()).await;
    let path = format!("/v1/conversations/{id}/messages?verbose=true");
    let before = pieces(&service);
    assert_eq!(
        count(&body(ask(&service, &path)), "conversationId"),
        MESSAGES
    );
    let whole = pieces(&service) - before;
    // All of them together would be as many pieces again, eight times.
    for _ in 0..8 {
        let mut stream = ask(&service, &path);
        stream.read_exact(&mut [0; 12]).expect("an answer");
    }
    body(ask(&service, &path));
    let read = pieces(&service) - before;
    assert!(read < 8 * whole, "{read} pieces, {whole} for a whole list");
}

#[tokio::test]
async fn a_transcript_of_100_000_messages_begins_after_one_part_of_them() {
    let data = tempfile::tempdir().expect("a directory");
    let directory = data.path().to_str().expect("UTF-8");
    // The system holds a few hundred kilobytes of what is sent there, and on a network as much
    // as a whole transcript.
    let socket = data.path().join("socket");
    let listen = format!("unix:{}", socket.display());
    let service = Service::start(&["--data", directory, "--listen", &listen]);
    let id = prepared_with(&service, data.path(), MANY_MESSAGES).await;
    let path = format!("/v1/conversations/{id}/transcript");
    let before = pieces(&service);
    let mut streams = Vec::new();
    for request in [
        got(&format!("{path}?format=srt")),
        got(&format!("{path}?format=md")),
        posted(&path, r#"{"contentType": "text/markdown"}"#),
    ] {
        let mut stream = UnixStream::connect(&socket).expect("a connection");
        stream.write_all(request.as_bytes()).expect("sent");
        stream.read_exact(&mut [0; 12]).expect("an answer");
        streams.push(stream);
    }
    // A part is a read. What the client does not take fills the buffers of its connection, and
    // then no more is read.
    let begun = pieces_at_rest(&service).await - before;
    let whole = (MANY_MESSAGES * WORDS * 45 / (64 << 10)) as u64;
    assert!(
        begun < whole,
        "{begun} parts were read, {whole} are a whole transcript"
    );
    drop(streams);
    let memory = service.peak_memory();
    let text = body(ask(&service, &format!("{path}?format=srt")));
    assert_eq!(count(&text, "Message "), MANY_MESSAGES);
    let growth = service.peak_memory().saturating_sub(memory);
    assert!(growth < LARGEST_GROWTH / 4, "{growth} bytes");
}

#[tokio::test]
async fn what_is_computed_of_100_000_messages_takes_little_memory() {
    let data = tempfile::tempdir().expect("a directory");
    let directory = data.path().to_str().expect("UTF-8");
    let service = Service::start(&["--data", directory]);
    let id = prepared_with(&service, data.path(), MANY_MESSAGES).await;
    let path = format!("/v1/conversations/{id}");
    let before = service.peak_memory();
    let analytics = body(ask(&service, &format!("{path}/analytics")));
    let analytics: Value = serde_json::from_slice(&analytics).expect("JSON");
    let member = &analytics["members"][0];
    assert_eq!(member["x_messages"], MANY_MESSAGES, "{analytics:#}");
    assert_eq!(member["x_words"], MANY_MESSAGES * WORDS);
    let summary = body(ask(&service, &format!("{path}/summary")));
    assert!(summary.starts_with(b"{\"summary\":["));
    let checklist = r#"{"criteria": [{"name": "a", "type": "phrase", "phrases": ["message"]}]}"#;
    let score = body(post(&service, &format!("{path}/callscore"), checklist));
    assert_eq!(count(&score, "\"messageId\""), 5);
    let growth = service.peak_memory().saturating_sub(before);
    // All words of the conversation would be more.
    assert!(growth < LARGEST_GROWTH / 2, "{growth} bytes");
}
