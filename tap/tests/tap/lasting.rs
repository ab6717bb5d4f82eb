// SPDX-License-Identifier: MPL-2.0

//! Tests how long the program listens, to which services it shows its token, and how
//! it fails.

use crate::run::{ANNA, SOON, TOKEN, Tap, command, connections, failed, sentence};
use rcgen::{CertificateParams, KeyPair};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use symbl_testkit::peer::{Peer, Script, close};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

#[test]
fn a_lost_connection_is_dialed_again_until_the_conversation_is_over() {
    let peer = Peer::start(Script::upgrade_only());
    let tap = Tap::start(&peer.base_url(), &[]);
    for (connection, text) in ["One.", "Two.", "Three."].into_iter().enumerate() {
        assert!(peer.wait_for(connections(connection + 1), SOON));
        peer.say(connection, sentence(ANNA, text, 1000));
        let code = [1011, 1001, 1000][connection];
        peer.say(connection, close(code));
    }
    let (status, out, err) = tap.end();
    assert!(status.success(), "{status}: {err}");
    for text in ["One.", "Two.", "Three."] {
        assert_eq!(out.matches(text).count(), 1, "{out}");
    }
    assert_eq!(
        err.matches("what is said until then is missing").count(),
        2,
        "{err}"
    );
    assert_eq!(err.matches("listening to").count(), 3, "{err}");
}

#[test]
fn ctrl_c_ends_it_with_a_goodbye() {
    let peer = Peer::start(Script::upgrade_only());
    let mut tap = Tap::start(&peer.base_url(), &[]);
    tap.says("listening");
    tap.signal("-INT");
    let (status, _, err) = tap.end();
    assert!(status.success(), "{status}: {err}");
    assert!(peer.wait_for(|records| records[0].close_code() == Some(1000), SOON));
}

#[test]
fn ctrl_c_ends_it_while_it_waits_too() {
    let peer = Peer::start(Script::http(503, &[], ""));
    let tap = Tap::start(&peer.base_url(), &["--wait", "600"]);
    assert!(peer.wait_for(connections(2), SOON));
    tap.signal("-TERM");
    assert!(tap.end().0.success());
}

#[test]
fn the_token_comes_from_the_environment_or_a_file_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, format!("{TOKEN}\n")).unwrap();
    let echo = format!(r#"{{"message":"no such token: {TOKEN}"}}"#);
    for from_file in [true, false] {
        let peer = Peer::start(Script::http(401, &[], &echo));
        let mut command = match from_file {
            true => command(
                &peer.base_url(),
                &["--access-token-file", path.to_str().unwrap()],
            ),
            false => command(&peer.base_url(), &[]),
        };
        if !from_file {
            command.env("SYMBL_ACCESS_TOKEN", TOKEN);
        }
        let (status, out, err) = Tap::run(command).end();
        assert_eq!(status.code(), Some(1));
        let request = peer.records()[0].request.clone().unwrap();
        assert_eq!(request.header("x-api-key"), Some(TOKEN));
        assert!(err.contains("401") && !err.contains("7f3a9c2e1b"), "{err}");
        assert_eq!(out, "");
    }
}

#[test]
fn a_token_that_the_service_says_is_not_written() {
    let peer = Peer::start(Script::upgrade_only());
    let mut command = command(&peer.base_url(), &["--format", "jsonl"]);
    command.env("SYMBL_ACCESS_TOKEN", TOKEN);
    let tap = Tap::run(command);
    assert!(peer.wait_for(connections(1), SOON));
    peer.say(0, sentence(ANNA, &format!("My token is {TOKEN}"), 0));
    peer.say(0, close(1000));
    let (_, out, err) = tap.end();
    assert!(out.contains("My token is ***"), "{out}");
    assert!(!out.contains("7f3a9c2e1b") && !err.contains("7f3a9c2e1b"));
}

#[test]
fn each_failure_is_reported_in_one_line() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (status, err) = failed(&format!("http://{free}"), &[]);
    assert_eq!(status, Some(1));
    assert!(
        err.starts_with("symbl-tap: cannot connect to 127.0.0.1:"),
        "{err}"
    );

    let peer = Peer::start(Script::http(404, &[], ""));
    let (status, err) = failed(&peer.base_url(), &[]);
    assert_eq!(status, Some(1));
    assert!(err.contains("nobody is connected as \"call/17\""), "{err}");

    let (status, err) = failed(&peer.base_url(), &["--output", "/nowhere/talk.srt"]);
    assert_eq!(status, Some(1));
    assert!(err.contains("cannot write /nowhere/talk.srt"), "{err}");

    let (status, err) = failed(&peer.base_url(), &["--format", "srt", "--interim"]);
    assert_eq!(status, Some(2));
    assert!(
        err.contains("--interim needs --format text or jsonl"),
        "{err}"
    );

    let (status, err) = failed(&peer.base_url(), &["--format", "vtt"]);
    assert_eq!(status, Some(2));
    assert!(err.contains("there are text, jsonl, srt, webvtt"), "{err}");
    assert_eq!(peer.records().len(), 1);
}

#[test]
fn a_conversation_that_ended_during_an_outage_is_reported() {
    // The first connection is upgraded and lost. The second dial gets a 404.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tap = Tap::start(&format!("http://{}", listener.local_addr().unwrap()), &[]);
    drop(accepted(&listener, true));
    drop(accepted(&listener, false));
    let (status, _, err) = tap.end();
    assert_eq!(status.code(), Some(1));
    assert!(err.contains("ended while the connection was lost"), "{err}");
}

#[test]
fn a_service_that_is_silent_is_left_and_dialed_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let mut tap = Tap::start(&base_url, &["--ping-interval", "50"]);
    let first = accepted(&listener, true);
    tap.says("the service has been silent for 100ms");
    let second = accepted(&listener, true);
    drop((first, second));
}

/// Accepts a connection and answers its request with an upgrade or with 404.
fn accepted(listener: &TcpListener, upgrade: bool) -> std::net::TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0].into());
    }
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("Sec-WebSocket-Key")
            .then_some(value)
    });
    let accept = derive_accept_key(key.unwrap().as_bytes());
    let answer = match upgrade {
        true => format!(
            "HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        ),
        false => "HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n".to_owned(),
    };
    stream.write_all(answer.as_bytes()).unwrap();
    stream
}

#[test]
fn a_service_over_tls_must_have_a_trusted_certificate() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, certificate.pem()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    let peer = Peer::start_tls(Script::upgrade_only(), config);
    let (status, err) = failed(&peer.base_url(), &[]);
    assert_eq!(status, Some(1));
    assert!(err.contains("TLS with 127.0.0.1:"), "{err}");
    assert_eq!(peer.records()[0].request, None);

    let mut tap = Tap::start(&peer.base_url(), &["--ca-file", path.to_str().unwrap()]);
    tap.says("listening to wss://127.0.0.1:");
    peer.say(1, sentence(ANNA, "Nobody listens.", 0));
    peer.say(1, close(1000));
    let (status, out, _) = tap.end();
    assert!(
        status.success() && out.contains("Anna: Nobody listens."),
        "{out}"
    );
}
