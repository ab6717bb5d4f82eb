// SPDX-License-Identifier: MPL-2.0

//! Each fault on purpose, as a client sees it, and that the connection after it
//! is served well.

use crate::common::*;
use futures_util::FutureExt;
use std::io::ErrorKind;
use std::time::{Duration, Instant};
use symbl_service::fault::{Fault, Faults};
use symbl_service::recognizer::scripted::speech;
use symbl_service::{Server, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};

fn script(faults: &[&str]) -> Faults {
    let faults = faults.iter().map(|text| text.parse::<Fault>());
    Faults::script(faults.collect::<Result<Vec<_>, _>>().expect("faults"))
}

fn with(faults: &Faults) -> ServerConfig {
    let mut config = config();
    config.faults = faults.clone();
    config.limits.shutdown = Duration::from_millis(100);
    config.limits.close = Duration::from_millis(100);
    config
}

async fn serving(faults: &[&str]) -> Server {
    Server::bind(with(&script(faults)))
        .await
        .expect("a free port")
}

async fn started(server: &Server) -> Client {
    Client::started(server, "x", &start_request()).await.0
}

/// Says ten words and stops; gives all that is heard.
async fn talk(client: &mut Client) -> Vec<Heard> {
    client.send_audio(&linear16(&speech(0..10, 16_000))).await;
    client.stop().await;
    client.rest().await
}

/// Asserts that a connection is served as usual.
async fn assert_served(server: &Server) {
    let mut client = started(server).await;
    let words = final_words(&talk(&mut client).await);
    assert_eq!(words.len(), 10);
}

/// Returns how a connection without a request ends.
async fn end_of(server: &Server) -> Result<usize, ErrorKind> {
    let mut tcp = TcpStream::connect(server.local_addr()).await.unwrap();
    tcp.read(&mut [0; 100]).await.map_err(|error| error.kind())
}

#[tokio::test]
async fn a_closed_port_refuses_and_opens_again() {
    let server = serving(&["refuse=300ms"]).await;
    let begin = Instant::now();
    let mut refused = 0;
    while let Err(error) = TcpStream::connect(server.local_addr()).await {
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        refused += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(refused > 0 && begin.elapsed() < Duration::from_secs(30));
    assert_served(&server).await;
}

#[tokio::test]
async fn a_black_hole_does_not_answer_a_dial() {
    let server = serving(&["none", "black-hole=1s"]).await;
    assert_served(&server).await;
    let knock = TcpStream::connect(server.local_addr());
    let begin = Instant::now();
    // The kernel dials again after a second, when the port is open.
    knock.await.expect("at last");
    assert!(begin.elapsed() >= Duration::from_millis(500));
}

#[tokio::test]
async fn connections_are_reset_and_ended() {
    let faults = script(&["reset", "fin", "none"]);
    let server = Server::bind(with(&faults)).await.expect("a free port");
    assert_eq!(end_of(&server).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(end_of(&server).await, Ok(0));
    assert_served(&server).await;
    assert_eq!(faults.connections(), 3);
}

#[tokio::test]
async fn sockets_are_reset_and_ended_when_so_much_audio_came() {
    let audio = linear16(&speech(0..10, 16_000));
    for (fault, reset) in [("reset@1s", true), ("fin@32000b", false)] {
        let server = serving(&[fault]).await;
        let mut client = started(&server).await;
        client.send_audio(&audio[..28_800]).await;
        client.send_text("__PING__").await;
        assert_eq!(client.until("__PONG__").await.kind(), "__PONG__");
        client.send_audio(&audio[28_800..32_000]).await;
        let mut error = None;
        while error.is_none() {
            error = client.next_message().await.err();
        }
        let is_reset =
            matches!(&error, Some(Error::Io(e)) if e.kind() == ErrorKind::ConnectionReset);
        assert_eq!(is_reset, reset, "{fault}: {error:?}");
        assert_served(&server).await;
    }
}

#[tokio::test]
async fn a_half_open_socket_neither_speaks_nor_ends() {
    let server = serving(&["half-open@start"]).await;
    let mut client = started(&server).await;
    client.send_text("__PING__").await;
    client.send(Message::Ping(Vec::new().into())).await;
    let heard = timeout(Duration::from_millis(300), client.next()).await;
    assert!(heard.is_err(), "{heard:?}");
    assert_served(&server).await;
}

#[tokio::test]
async fn a_slow_reader_is_slow() {
    let server = serving(&["slow-read=30000@start"]).await;
    let mut client = started(&server).await;
    let begin = Instant::now();
    // 64,000 bytes.
    let words = final_words(&talk(&mut client).await);
    assert_eq!(words.len(), 10);
    assert!(begin.elapsed() > Duration::from_millis(1500));
}

/// Returns the answer to an upgrade.
async fn answer(server: &Server) -> String {
    let mut tcp = TcpStream::connect(server.local_addr()).await.unwrap();
    let request = "GET /v1/streaming/x HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tcp.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap().to_lowercase()
}

#[tokio::test]
async fn the_upgrade_is_answered_with_something_else() {
    let server = serving(&[
        "http=503:2s",
        "http=404",
        "redirect",
        "no-accept",
        "wrong-accept",
    ])
    .await;
    let head = answer(&server).await;
    assert!(head.starts_with("http/1.1 503") && head.contains("retry-after: 2\r\n"));
    let head = answer(&server).await;
    assert!(head.starts_with("http/1.1 404") && !head.contains("retry-after"));
    let head = answer(&server).await;
    assert!(head.starts_with("http/1.1 302") && head.contains("location: https://"));
    let head = answer(&server).await;
    assert!(head.starts_with("http/1.1 101") && !head.contains("sec-websocket-accept"));
    let accept = "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=";
    let head = answer(&server).await;
    assert!(head.starts_with("http/1.1 101") && !head.contains(accept));
    let head = answer(&server).await;
    assert!(head.contains(accept), "{head}");
}

#[tokio::test]
async fn what_is_asked_for_is_not_answered() {
    let server = serving(&["no-answer", "no-answer@start", "no-answer@stop"]).await;
    let upgrade = timeout(Duration::from_millis(300), answer(&server)).await;
    assert!(upgrade.is_err(), "{upgrade:?}");
    let mut client = Client::connect(&server, "x").await;
    client.send_json(&start_request()).await;
    client.send_text("__PING__").await;
    assert_eq!(client.next().await.kind(), "__PONG__");
    let mut client = started(&server).await;
    client.stop().await;
    client.send_text("__PING__").await;
    assert_eq!(client.next().await.kind(), "__PONG__");
}

#[tokio::test]
async fn the_socket_is_closed_with_any_code_or_none() {
    let server = serving(&["close=1012", "close=4000@stop", "close@1s"]).await;
    let mut client = started(&server).await;
    assert_eq!(client.next().await, Heard::Closed(Some(1012)));
    let mut client = started(&server).await;
    client.stop().await;
    assert_eq!(client.rest().await.pop(), Some(Heard::Closed(Some(4000))));
    let mut client = started(&server).await;
    client.send_audio(&linear16(&speech(0..5, 16_000))).await;
    assert_eq!(client.rest().await.pop(), Some(Heard::Closed(None)));
}

#[tokio::test]
async fn a_split_begins_another_conversation() {
    let server = serving(&["none", "split"]).await;
    let (_first, a) = Client::started(&server, "x", &start_request()).await;
    let (_second, b) = Client::started(&server, "x", &start_request()).await;
    let (_third, c) = Client::started(&server, "x", &start_request()).await;
    assert_ne!(a, b);
    assert_eq!(b, c);
}

#[tokio::test]
async fn results_are_withheld_doubled_and_turned_round() {
    let server = serving(&["none", "mute", "duplicate", "reorder", "fragments"]).await;
    let mut heard = Vec::new();
    for _ in 0..5 {
        let mut client = started(&server).await;
        heard.push(talk(&mut client).await);
    }
    let is_result = |kind: &&str| kind.ends_with("_result") || kind.ends_with("_response");
    let results = |n: usize| -> Vec<&str> {
        let kinds: Vec<&str> = kinds(&heard[n]);
        kinds.into_iter().filter(is_result).collect()
    };
    let good = results(0);
    assert!(good.len() >= 11);
    assert_eq!(results(1), [""; 0]);
    let doubled: Vec<&str> = good.iter().flat_map(|kind| [*kind; 2]).collect();
    assert_eq!(results(2), doubled);
    let mut turned = good.clone();
    turned.chunks_mut(2).for_each(<[&str]>::reverse);
    assert_eq!(results(3), turned);
    assert_eq!(results(4), good);
    for heard in &heard {
        assert_eq!(heard.last(), Some(&Heard::Closed(Some(1000))));
        assert!(kinds(heard).contains(&"conversation_completed"));
    }
}

#[tokio::test]
async fn with_results_progress_is_withheld_too() {
    let server = serving(&["none", "mute"]).await;
    let mut request = start_request();
    request["config"]["recognitionProgress"] = true.into();
    for expected in [true, false] {
        let (mut client, _) = Client::started(&server, "mute", &request).await;
        let heard = talk(&mut client).await;
        let told = kinds(&heard).contains(&"recognition_progress");
        assert_eq!(told, expected, "{heard:?}");
    }
}

#[tokio::test]
async fn everything_is_said_later() {
    let server = serving(&["delay=200ms", "delay=200ms@accept"]).await;
    for answers in [2, 3] {
        let begin = Instant::now();
        let mut client = started(&server).await;
        let words = final_words(&talk(&mut client).await);
        assert_eq!(words.len(), 10);
        assert!(begin.elapsed() >= Duration::from_millis(200) * answers);
    }
}

#[tokio::test]
async fn messages_come_that_no_client_wants() {
    for (fault, kind) in [
        ("not-json", "a fault on purpose"),
        ("unknown-type", "fault_on_purpose"),
        ("error", "error"),
        ("error-envelope", "error"),
        ("terminated", "processing_terminated"),
    ] {
        let server = serving(&[fault]).await;
        let mut client = started(&server).await;
        client.until(kind).await;
        let words = final_words(&talk(&mut client).await);
        let expected = if fault == "terminated" { 0 } else { 10 };
        assert_eq!(words.len(), expected, "{fault}");
    }
    let server = serving(&["binary", "huge"]).await;
    let mut client = started(&server).await;
    let binary = client.next_message().await.expect("a message");
    assert_eq!(binary.len(), 1000);
    let mut client = started(&server).await;
    let huge = client.next_message().await.expect("a message");
    assert_eq!(huge.len(), 16 << 20);
}

#[tokio::test]
async fn a_script_may_begin_anew() {
    let faults = Faults::repeating(["reset", "none"].map(|text| text.parse().expect("a fault")));
    let server = Server::bind(with(&faults)).await.expect("a free port");
    for _ in 0..2 {
        assert_eq!(end_of(&server).await, Err(ErrorKind::ConnectionReset));
        assert_served(&server).await;
    }
}

#[tokio::test]
async fn one_client_that_is_kept_waiting_holds_up_no_other() {
    let server = serving(&["half-open", "delay=3600s@accept"]).await;
    let mut stuck = TcpStream::connect(server.local_addr()).await.unwrap();
    let mut late = TcpStream::connect(server.local_addr()).await.unwrap();
    assert_served(&server).await;
    for tcp in [&mut stuck, &mut late] {
        assert!(tcp.read(&mut [0; 1]).now_or_never().is_none());
    }
}
