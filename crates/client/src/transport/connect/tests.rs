// SPDX-License-Identifier: MPL-2.0

//! Tests what a server sees of a dial, and what the dialer makes of the server's
//! answer.

mod refusals;
mod trust;

use super::{MAX_MESSAGE, Socket, connect, open};
use crate::session::{Failure, Reason};
use crate::transport::endpoint::{Endpoint, TokenSource};
use crate::transport::link::{Link, Step};
use crate::transport::proxy::Proxy;
use crate::transport::secret::Secret;
use futures_util::{SinkExt, StreamExt};
use std::io::{Read, Write};
use std::time::Duration;
use symbl_testkit::peer::{self, Message, Peer, Record, Script};
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A bound for a wait that must succeed.
const SOON: Duration = Duration::from_secs(20);

const TOKEN: &str = "s3cr3t/t0ken==";

fn endpoint(base_url: impl Into<String>) -> Endpoint {
    Endpoint {
        base_url: base_url.into(),
        streaming_path: "/v1/streaming".into(),
        connection_id: "abc".into(),
        token: TokenSource::Value(Secret::new(TOKEN)),
        token_in_query: false,
        ca_file: None,
        tls_verify: true,
        proxy: Proxy::default(),
        request_timeout: Duration::from_secs(10),
    }
}

/// Dials a peer that plays `script`, and returns how the dial fails.
async fn failure(script: Script) -> Failure {
    let peer = Peer::start(script);
    connect(&endpoint(peer.base_url())).await.err().unwrap()
}

async fn say(socket: &mut Socket, kind: &str) {
    let text = format!(r#"{{"type":"{kind}"}}"#);
    socket.send(Message::text(text)).await.unwrap();
}

async fn next(socket: &mut Socket) -> Message {
    let message = tokio::time::timeout(SOON, socket.next()).await;
    message.expect("a message in time").unwrap().unwrap()
}

fn head(peer: &Peer) -> peer::RequestHead {
    peer.records()[0].request.clone().unwrap()
}

#[tokio::test]
async fn the_request_is_a_plain_upgrade_with_the_token_in_its_header() {
    let peer = Peer::start(Script::listening());
    let endpoint = endpoint(format!("{}/prefix/", peer.base_url()));
    connect(&endpoint).await.unwrap();
    let head = head(&peer);
    assert_eq!(head.method, "GET");
    assert_eq!(head.path, "/prefix/v1/streaming/abc");
    assert_eq!(head.header("x-api-key"), Some(TOKEN));
    let host = peer.address().to_string();
    assert_eq!(head.header("host"), Some(host.as_str()));
    let agent = format!("gst-plugin-symbl/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(head.header("user-agent"), Some(agent.as_str()));
    assert_eq!(head.header("sec-websocket-version"), Some("13"));
    for absent in [
        "sec-websocket-protocol",
        "sec-websocket-extensions",
        "origin",
    ] {
        assert_eq!(head.header(absent), None);
    }
}

#[tokio::test]
async fn with_token_in_query_it_is_there_and_not_in_the_header() {
    let peer = Peer::start(Script::listening());
    let mut endpoint = endpoint(peer.base_url());
    endpoint.token_in_query = true;
    connect(&endpoint).await.unwrap();
    let head = head(&peer);
    assert_eq!(
        head.path,
        "/v1/streaming/abc?access_token=s3cr3t%2Ft0ken%3D%3D"
    );
    assert_eq!(head.header("x-api-key"), None);
}

#[tokio::test]
async fn without_a_token_none_is_sent() {
    let peer = Peer::start(Script::listening());
    let mut endpoint = endpoint(peer.base_url());
    endpoint.token = TokenSource::None;
    endpoint.token_in_query = true;
    connect(&endpoint).await.unwrap();
    assert_eq!(head(&peer).header("x-api-key"), None);
    assert_eq!(head(&peer).path, "/v1/streaming/abc");
}

#[tokio::test]
async fn a_connection_id_in_base64_arrives_intact() {
    let peer = Peer::start(Script::listening());
    let mut endpoint = endpoint(peer.base_url());
    endpoint.connection_id = "a+b/c==".into();
    connect(&endpoint).await.unwrap();
    let path = head(&peer).path;
    let segment = path.strip_prefix("/v1/streaming/").unwrap();
    assert!(!segment.contains('/'));
    let decoded = percent_encoding::percent_decode_str(segment).decode_utf8();
    assert_eq!(decoded.unwrap(), "a+b/c==");
}

#[tokio::test]
async fn the_token_file_is_read_at_each_dial() {
    let peer = Peer::start(Script::listening());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let mut endpoint = endpoint(peer.base_url());
    endpoint.token = TokenSource::File(path.clone());
    for token in ["first", "second"] {
        std::fs::write(&path, format!("{token}\n")).unwrap();
        connect(&endpoint).await.unwrap();
    }
    let token = |record: &Record| {
        record
            .request
            .as_ref()?
            .header("x-api-key")
            .map(str::to_owned)
    };
    let sent: Vec<_> = peer.records().iter().filter_map(token).collect();
    assert_eq!(sent, ["first", "second"]);
}

#[tokio::test]
async fn a_service_announces_itself_by_a_header_of_any_value() {
    let announced = async |script| {
        let peer = Peer::start(script);
        open(&endpoint(peer.base_url())).await.unwrap().announced
    };
    assert!(!announced(Script::listening()).await);
    for value in ["1", "", "0.2; log=3", "é"] {
        assert!(
            announced(Script::listening().announcing(value)).await,
            "{value}"
        );
    }
}

#[tokio::test]
async fn small_messages_leave_at_once() {
    let peer = Peer::start(Script::listening());
    let socket = connect(&endpoint(peer.base_url())).await.unwrap();
    assert!(socket.get_ref().tcp().nodelay().unwrap());
}

#[tokio::test]
async fn a_message_that_comes_in_one_packet_with_the_upgrade_is_not_lost() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        let mut taken = String::new();
        while !taken.ends_with("\r\n\r\n") {
            let mut byte = [0];
            tcp.read_exact(&mut byte).unwrap();
            taken.push(byte[0].into());
        }
        let key = taken.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("Sec-WebSocket-Key")
                .then_some(value)
        });
        let accept = derive_accept_key(key.unwrap().as_bytes());
        let answer = format!(
            "HTTP/1.1 101 OK\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n\u{1}\u{5}hello"
        );
        // A text frame starts with 0x81, which is not ASCII.
        let mut bytes = answer.into_bytes();
        let frame = bytes.len() - 7;
        bytes[frame] = 0x81;
        tcp.write_all(&bytes).unwrap();
    });
    let mut socket = connect(&endpoint(format!("http://{address}")))
        .await
        .unwrap();
    assert_eq!(next(&mut socket).await, Message::text("hello"));
    server.join().unwrap();
}

#[tokio::test]
async fn a_message_above_the_limit_is_an_error_and_one_below_is_not() {
    let fits = "a".repeat(MAX_MESSAGE);
    let too_long = "a".repeat(MAX_MESSAGE + 1);
    let peer = Peer::start(Script::say(vec![
        Message::text(fits.as_str()),
        Message::text(too_long),
    ]));
    let mut socket = connect(&endpoint(peer.base_url())).await.unwrap();
    say(&mut socket, "start_request").await;
    for _ in 0..3 {
        next(&mut socket).await;
    }
    assert!(next(&mut socket).await == Message::text(fits));
    let error = socket.next().await.unwrap().unwrap_err();
    let too_long = CapacityError::MessageTooLong {
        size: MAX_MESSAGE + 1,
        max_size: MAX_MESSAGE,
    };
    assert!(
        matches!(error, Error::Capacity(found) if found == too_long),
        "{error}"
    );
}

#[tokio::test]
async fn a_dial_that_is_dropped_leaves_no_connection_behind() {
    for scheme in ["http", "https"] {
        let peer = Peer::start(Script::black_hole());
        let endpoint = endpoint(format!("{scheme}://{}", peer.address()));
        let dial = tokio::spawn(async move { connect(&endpoint).await.map(|_| ()) });
        let arrived = |records: &[Record]| records.len() == 1;
        let peer = tokio::task::spawn_blocking(move || {
            assert!(peer.wait_for(arrived, SOON));
            peer
        })
        .await
        .unwrap();
        assert!(!dial.is_finished());
        dial.abort();
        assert!(dial.await.unwrap_err().is_cancelled());
        assert!(peer.wait_for(|records| records[0].ended, SOON));
    }
}

#[tokio::test]
async fn a_peer_that_never_accepts_holds_the_dial_up_until_it_is_dropped() {
    let peer = Peer::start(Script::never_accepts());
    let endpoint = endpoint(peer.base_url());
    let dial = tokio::time::timeout(Duration::from_millis(300), connect(&endpoint));
    assert!(dial.await.is_err());
    assert!(peer.records().is_empty());
}

#[tokio::test]
async fn a_listening_peer_records_a_session_from_start_to_close() {
    let peer = Peer::start(Script::listening());
    let mut socket = connect(&endpoint(peer.base_url())).await.unwrap();
    say(&mut socket, "start_request").await;
    assert_eq!(next(&mut socket).await, peer::started_listening());
    assert_eq!(next(&mut socket).await, peer::conversation_created());
    assert_eq!(next(&mut socket).await, peer::recognition_started());
    for audio in ["one", "two"] {
        socket.send(Message::binary(audio)).await.unwrap();
    }
    socket.send(Message::Ping("p".into())).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::Pong("p".into()));
    say(&mut socket, "stop_request").await;
    assert_eq!(next(&mut socket).await, peer::recognition_stopped());
    assert_eq!(next(&mut socket).await, peer::conversation_completed());
    assert_eq!(next(&mut socket).await, peer::close(1000));
    assert!(socket.next().await.is_none());
    assert!(peer.wait_for(|records| records[0].ended, SOON));
    let record = &peer.records()[0];
    assert_eq!(record.audio(), b"onetwo");
    assert!(record.has("start_request") && record.has("stop_request"));
    assert_eq!(record.frames[3], Message::Ping("p".into()));
    assert_eq!(record.frames.len(), 6);
    assert_eq!(record.close_code(), Some(1000));
}

#[tokio::test]
async fn peers_do_what_their_names_say() {
    let peer = Peer::start(Script::upgrade_only());
    let mut socket = connect(&endpoint(peer.base_url())).await.unwrap();
    say(&mut socket, "start_request").await;
    socket.send(Message::Ping("p".into())).await.unwrap();
    // The answer to the ping comes first: the start had none.
    assert_eq!(next(&mut socket).await, Message::Pong("p".into()));

    let peer = Peer::start(
        Script::no_stop_answer()
            .replying_to_start(vec![peer::recognition_started(), peer::started_listening()]),
    );
    let mut socket = connect(&endpoint(peer.base_url())).await.unwrap();
    say(&mut socket, "start_request").await;
    assert_eq!(next(&mut socket).await, peer::recognition_started());
    assert_eq!(next(&mut socket).await, peer::started_listening());
    say(&mut socket, "stop_request").await;
    socket.send(Message::Ping("p".into())).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::Pong("p".into()));
    assert!(peer.records()[0].has("stop_request"));

    let text = "fragments cut “inside” characters";
    let peer = Peer::start(
        Script::say(peer::fragments(text, 3)).replying_to_stop(vec![peer::close(1011)]),
    );
    let mut socket = connect(&endpoint(peer.base_url())).await.unwrap();
    say(&mut socket, "start_request").await;
    for _ in 0..3 {
        next(&mut socket).await;
    }
    assert_eq!(next(&mut socket).await, Message::text(text));
    say(&mut socket, "stop_request").await;
    assert_eq!(next(&mut socket).await, peer::close(1011));
}

#[tokio::test]
async fn a_peer_that_does_not_read_lets_the_socket_fill_up() {
    let peer = Peer::start(Script::not_reading());
    let mut socket = connect(&endpoint(peer.base_url())).await.unwrap();
    say(&mut socket, "start_request").await;
    for _ in 0..3 {
        next(&mut socket).await;
    }
    // More than all buffers of both sides take.
    let flood = Message::binary(vec![0; 64 << 20]);
    let sent = tokio::time::timeout(Duration::from_millis(500), socket.send(flood));
    assert!(sent.await.is_err());
    assert_eq!(peer.records()[0].frames.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_sent_after_a_close_frame_ended_by_that_close_frame() {
    let peer = Peer::start(Script::upgrade_only());
    let socket = connect(&endpoint(peer.base_url())).await.unwrap();
    let mut link = Some(Link::new(socket, None));
    peer.say(0, peer::close(1008));
    let step = tokio::time::timeout(SOON, Link::step(&mut link)).await;
    assert!(matches!(step, Ok(Step::Message(Message::Close(_)))));
    let mut link = link.unwrap();
    link.send(Message::text("late"));
    let failure = link.flush().await.unwrap_err();
    assert_eq!((failure.close_code, failure.retryable), (Some(1008), false));
}
