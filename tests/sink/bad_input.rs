// SPDX-License-Identifier: MPL-2.0

//! Wrong settings, services and answers lead to a clear error or warning, to no panic, and to
//! no loss of earlier results.

use crate::common::feed::{CAPS, Feed, MS};
use crate::common::peer::{self, Message, Peer, Record, Script};
use crate::common::pipeline::{BOUND, Pipeline, counted, init};
use crate::common::service::Service;
use gst::prelude::*;
use symbl_service::Auth;
use symbl_service::recognizer::scripted;

/// Waits for the next WARNING.
fn warning(pipeline: &mut Pipeline) -> (gst::glib::Error, gst::Structure) {
    let message = pipeline.wait_for("a warning", |m| m.type_() == gst::MessageType::Warning);
    let gst::MessageView::Warning(warning) = message.view() else {
        unreachable!()
    };
    let details = warning.details().map(ToOwned::to_owned);
    (
        warning.error(),
        details.unwrap_or_else(|| gst::Structure::new_empty("none")),
    )
}

/// Waits for the next ERROR.
fn error(pipeline: &mut Pipeline) -> (gst::glib::Error, gst::Structure) {
    let message = pipeline.wait_for("an error", |m| m.type_() == gst::MessageType::Error);
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!()
    };
    let details = error.details().map(ToOwned::to_owned);
    (
        error.error(),
        details.unwrap_or_else(|| gst::Structure::new_empty("none")),
    )
}

fn names_all(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}

fn playing(peer: &Peer, properties: &str) -> (Pipeline, Feed) {
    let (pipeline, feed) = Feed::pipeline(&format!("base-url={} {properties}", peer.base_url()));
    pipeline.play();
    (pipeline, feed)
}

#[test]
fn values_that_no_property_has_are_refused_and_change_nothing() {
    init();
    for value in [
        "leaky=sometimes",
        "on-fatal=maybe",
        "chunk-duration=much",
        "no-such=1",
    ] {
        let made = gst::parse::launch(&format!("symblsink {value}"));
        let error = made.expect_err(value).to_string();
        names_all(&error, &[value.split('=').next().expect("a name")]);
    }
    // For a value out of range, GObject prints a warning and keeps the old value.
    let sink = gst::parse::launch("symblsink chunk-duration=5").expect("a sink");
    assert_eq!(sink.property::<u32>("chunk-duration"), 100);
}

#[test]
fn bad_json_in_a_property_is_reported_at_the_start_with_the_reason() {
    let peer = Peer::start(Script::listening());
    for (name, value, reason) in [
        ("trackers", "[{", "JSON"),
        ("trackers", "{}", "array"),
        ("trackers", "[{\"name\":\"x\"}]", "vocabulary"),
        ("start-request-extra", "[1]", "object"),
        ("start-request-extra", "nonsense", "JSON"),
    ] {
        let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={}", peer.base_url()));
        let sink = pipeline.sink();
        sink.set_property(name, value);
        assert_eq!(sink.property::<Option<String>>(name), None, "{value}");
        pipeline.play();
        let (error, _) = warning(&mut pipeline);
        assert!(error.matches(gst::ResourceError::Settings), "{error}");
        names_all(error.message(), &[name, reason]);
        // The rest works without the value.
        assert!(feed.begin(CAPS));
        pipeline.wait_for_state("listening");
    }
}

#[test]
fn settings_that_cannot_work_fail_the_start_with_an_error() {
    for (properties, words) in [
        (
            "base-url=ftp://somewhere",
            &["base-url", "ftp", "http://127.0.0.1:8787"][..],
        ),
        (
            "base-url=http://user:hidden@h",
            &["base-url", "user name", "access-token"],
        ),
        (
            "access-token-file=/nowhere/token",
            &["access-token-file", "/nowhere/token"],
        ),
        ("ca-file=/nowhere/ca.pem", &["ca-file", "/nowhere/ca.pem"]),
        ("streaming-path=/v1?x=1", &["streaming-path"]),
        ("connection-id=..", &["connection-id"]),
    ] {
        let (mut pipeline, _feed) = Feed::pipeline(properties);
        assert!(
            pipeline.pipeline.set_state(gst::State::Playing).is_err(),
            "{properties}"
        );
        let (error, details) = error(&mut pipeline);
        assert!(
            error.matches(gst::ResourceError::Settings),
            "{properties}: {error}"
        );
        names_all(error.message(), words);
        assert!(!error.message().contains("hidden"), "{error}");
        assert_eq!(details.get::<&str>("phase"), Ok("settings"), "{details}");
        assert_eq!(details.get::<bool>("retryable"), Ok(false), "{details}");
    }
}

#[test]
fn a_missing_service_leads_to_one_warning_with_address_and_advice_and_to_retries() {
    // The port is bound, so that no other process can take it, and no server listens on it.
    let taken = tokio::net::TcpSocket::new_v4().expect("a socket");
    taken
        .bind("127.0.0.1:0".parse().expect("an address"))
        .expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let (mut pipeline, feed) =
        Feed::pipeline(&format!("base-url=http://{address} reconnect-max-delay=20"));
    pipeline.play();
    assert!(feed.begin(CAPS));
    feed.hush(300).expect("there is room");
    let (error, details) = warning(&mut pipeline);
    assert!(error.matches(gst::ResourceError::OpenWrite), "{error}");
    names_all(
        error.message(),
        &[&address, "start symbl-service", "base-url"],
    );
    assert_eq!(details.get::<&str>("reason"), Ok("tcp"), "{details}");
    assert_eq!(details.get::<bool>("retryable"), Ok(true), "{details}");
    pipeline.wait_for("the fifth dial", |message| {
        message
            .structure()
            .is_some_and(|s| s.get::<i32>("attempt") == Ok(5))
    });
    let warnings = |m: &&gst::Message| m.type_() == gst::MessageType::Warning;
    assert_eq!(pipeline.messages.iter().filter(warnings).count(), 1);
    assert_eq!(counted(&pipeline.sink(), "audio-spooled"), 300 * MS);
}

/// Starts a service that requires a token.
fn guarded() -> Service {
    Service::with(|config| {
        config.auth = Auth::App {
            id: "app".into(),
            secret: "secret".into(),
        };
    })
}

#[test]
fn a_wrong_token_is_an_error_of_its_own_kind_and_is_not_tried_again() {
    let service = guarded();
    for token in ["", "access-token=not-a-token"] {
        let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={} {token}", service.url()));
        pipeline.play();
        assert!(feed.begin(CAPS));
        let (error, details) = error(&mut pipeline);
        assert!(error.matches(gst::ResourceError::NotAuthorized), "{error}");
        names_all(error.message(), &["401", "access-token"]);
        assert_eq!(details.get::<i32>("http-status"), Ok(401), "{details}");
        assert_eq!(details.get::<&str>("reason"), Ok("auth"), "{details}");
        assert_eq!(details.get::<&str>("phase"), Ok("connect"), "{details}");
        assert_eq!(details.get::<bool>("retryable"), Ok(false), "{details}");
        assert_eq!(pipeline.state(), "failed");
        assert_eq!(feed.refusal(), gst::FlowError::Error);
    }
}

#[test]
fn need_14_a_refused_dial_is_not_repeated() {
    let refusing = Peer::start(Script::http(403, &[], ""));
    let (mut pipeline, _feed) = playing(&refusing, "reconnect-max-delay=1 on-fatal=warning");
    pipeline.wait_for_state("failed");
    // Another sink, which does dial again, has dialed twice meanwhile.
    let away = Peer::start(Script::http(503, &[], ""));
    let (_other, _feed) = playing(&away, "reconnect-max-delay=1");
    assert!(away.wait_for(|records| records.len() > 2, BOUND));
    assert_eq!(refusing.records().len(), 1);
}

#[test]
fn with_a_warning_in_place_of_the_error_the_pipeline_goes_on() {
    let service = guarded();
    let mut pipeline = Pipeline::launch(&format!(
        "audiotestsrc num-buffers=100 samplesperbuffer=1600 ! {CAPS} ! tee name=t \
         t. ! queue ! symblsink name=sink sync=false on-fatal=warning base-url={} \
         t. ! queue ! fakesink sync=true",
        service.url()
    ));
    pipeline.play();
    let (error, details) = warning(&mut pipeline);
    assert!(error.matches(gst::ResourceError::NotAuthorized), "{error}");
    assert_eq!(details.get::<i32>("http-status"), Ok(401), "{details}");
    pipeline.wait_for_eos();
}

#[test]
fn need_14_a_new_token_revives_a_sink_that_was_refused() {
    let service = guarded();
    let (mut pipeline, feed) =
        Feed::pipeline(&format!("base-url={} on-fatal=warning", service.url()));
    pipeline.play();
    assert!(feed.begin(CAPS));
    pipeline.wait_for_state("failed");
    feed.hush(200).expect("thrown away");
    pipeline
        .sink()
        .set_property("access-token", token(&service));
    pipeline.wait_for_state("listening");
    feed.speak(&scripted::speech(0..5, 16_000))
        .expect("there is room");
    assert!(feed.end());
    pipeline.wait_for_eos();
    let words: Vec<String> = pipeline.words().into_iter().map(|w| w.0).collect();
    assert_eq!(words, ["w0", "w1", "w2", "w3", "w4"]);
}

/// Requests a token from a guarded service, as any client does.
fn token(service: &Service) -> String {
    use std::io::{Read, Write};
    let url = service.url();
    let address = url.strip_prefix("http://").expect("plain");
    let body = r#"{"type":"application","appId":"app","appSecret":"secret"}"#;
    let mut socket = std::net::TcpStream::connect(address).expect("it listens");
    write!(
        socket,
        "POST /oauth2/token:generate HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers");
    let (_, json) = answer.split_once("\r\n\r\n").expect("a body");
    let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
    json["accessToken"].as_str().expect("a token").to_owned()
}

#[test]
fn an_answer_that_is_no_upgrade_is_an_error_that_says_what_it_was() {
    let page = "<html><head><title>Welcome to the router</title></head></html>";
    let elsewhere = [("Location", "https://login.example/x?access_token=sesame")];
    for (script, words) in [
        (
            Script::http(200, &[("Content-Type", "text/html")], page),
            &["200", "Welcome to the router", "base-url"][..],
        ),
        (
            Script::http(302, &elsewhere, ""),
            &["302", "login.example", "base-url"],
        ),
        (Script::http(404, &[], ""), &["404", "streaming-path"]),
        (
            Script::answer("SSH-2.0-OpenSSH_9.2\r\n"),
            &["HTTP", "base-url"],
        ),
        (Script::wrong_accept(), &["Sec-WebSocket-Accept", "proxy"]),
    ] {
        let peer = Peer::start(script);
        let (mut pipeline, _feed) = playing(&peer, "");
        let (error, details) = error(&mut pipeline);
        names_all(error.message(), words);
        assert!(!error.message().contains("sesame"), "{error}");
        assert_eq!(details.get::<&str>("phase"), Ok("connect"), "{details}");
    }
}

fn result(n: u32) -> Message {
    Message::text(format!(
        r#"{{"type":"message_response","messages":[{{"id":"m{n}","payload":{{"content":"said {n}"}}}}]}}"#
    ))
}

fn said(pipeline: &Pipeline) -> Vec<String> {
    let messages = pipeline.of_kind("message");
    messages
        .iter()
        .map(|s| s.get::<String>("text").expect("text"))
        .collect()
}

#[test]
fn need_20_meaningless_frames_lead_to_one_warning_and_the_others_count() {
    let mut script = vec![result(1)];
    const NONSENSE: [&str; 8] = [
        "",
        "hello",
        "{",
        "[]",
        "null",
        "\u{0}",
        "{\"type\":",
        "1e999",
    ];
    for nonsense in NONSENSE {
        script.push(Message::text(nonsense));
    }
    script.push(Message::binary(vec![0u8; 100_000]));
    script.push(Message::binary(Vec::new()));
    script.push(Message::Ping(vec![1, 2, 3].into()));
    script.push(Message::text(r#"{"type":"a_type_of_tomorrow","x":[1]}"#));
    script.push(Message::text(
        r#"{"type":"message_response","messages":null}"#,
    ));
    script.push(Message::text(
        r#"{"type":"message","message":{"type":"recognition_result"}}"#,
    ));
    script.extend(peer::fragments(result(2).to_text().expect("text"), 7));
    script.push(result(3));
    let peer = Peer::start(Script::say(script));
    let (mut pipeline, feed) = playing(&peer, "");
    assert!(feed.begin(CAPS));
    feed.hush(300).expect("there is room");
    pipeline.wait_for_state("listening");
    while said(&pipeline).len() < 3 {
        pipeline.wait_for_kind("message");
    }
    assert!(feed.end());
    pipeline.wait_for_eos();
    assert_eq!(said(&pipeline), ["said 1", "said 2", "said 3"]);
    let warnings: Vec<String> = pipeline
        .messages
        .iter()
        .filter_map(|m| match m.view() {
            gst::MessageView::Warning(warning) => Some(warning.error().to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    names_all(&warnings[0], &["base-url"]);
    // All messages are passed on. A NUL is replaced, because it would end a C string.
    let raw = pipeline.of_kind("raw");
    let raw: Vec<(&str, &str)> = raw
        .iter()
        .map(|s| (s.get("type").expect("a type"), s.get("json").expect("text")))
        .collect();
    let (known, unreadable) = raw.split_last().expect("messages");
    assert_eq!(known.0, "a_type_of_tomorrow");
    assert!(
        unreadable.iter().all(|(kind, _)| kind.is_empty()),
        "{raw:?}"
    );
    let unreadable: Vec<_> = unreadable.iter().map(|(_, text)| *text).collect();
    let expected = NONSENSE.map(|text| text.replace('\0', "\u{fffd}"));
    assert_eq!(unreadable, expected);
    let errors = u64::try_from(NONSENSE.len()).expect("few");
    assert_eq!(counted(&pipeline.sink(), "parse-errors"), errors);
    assert_eq!(counted(&pipeline.sink(), "unknown"), 1);
    let records = peer.records();
    assert_eq!(records.len(), 1, "the session lasts");
    assert_eq!(records[0].audio().len(), 300 * 32);
}

#[test]
fn a_frame_beyond_all_measure_ends_the_connection_and_loses_no_audio() {
    let huge = Message::text(format!("\"{}\"", "x".repeat(16 << 20)));
    let not_utf8 = Message::Frame(
        tokio_tungstenite::tungstenite::protocol::frame::Frame::message(
            vec![0xff, 0xfe],
            tokio_tungstenite::tungstenite::protocol::frame::coding::OpCode::Data(
                tokio_tungstenite::tungstenite::protocol::frame::coding::Data::Text,
            ),
            true,
        ),
    );
    for (frame, word) in [(huge, "too large"), (not_utf8, "UTF-8")] {
        let peer = Peer::start(Script::say(vec![result(1), frame]));
        let (mut pipeline, feed) = playing(&peer, "reconnect-max-delay=1 drain-timeout=100");
        assert!(feed.begin(CAPS));
        feed.hush(400).expect("there is room");
        let (error, details) = warning(&mut pipeline);
        names_all(error.message(), &[word]);
        assert_eq!(details.get::<&str>("reason"), Ok("protocol"), "{details}");
        assert_eq!(details.get::<bool>("retryable"), Ok(true), "{details}");
        assert_eq!(said(&pipeline), ["said 1"]);
        // Nothing was finalised, so that a later connection gets all audio.
        let whole = |record: &Record| record.audio().len() == 400 * 32;
        assert!(peer.wait_for(|records| records.iter().skip(1).any(whole), BOUND));
        assert_eq!(counted(&pipeline.sink(), "audio-dropped"), 0);
    }
}
