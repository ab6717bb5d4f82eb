// SPDX-License-Identifier: MPL-2.0

//! A service that is reached through a proxy.
//!
//! The service has the name `service.example`, which only the proxy knows. So every request
//! that reaches the service came through the proxy.

use crate::common::feed::{CAPS, Feed};
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::{Pipeline, bytes_of, until};
use crate::common::plugin;
use crate::common::proxy::{Act, Proxy};
use crate::common::relay::Relay;
use crate::common::service::Service;
use gst::prelude::*;
use rcgen::{CertificateParams, KeyPair};
use std::path::PathBuf;
use symbl_service::recognizer::scripted;
use symbl_service::{ServerConfig, tls_config};
use tempfile::TempDir;

/// User name and password, as in an address.
const CREDENTIALS: &str = "user:S3cr3t-7f3a9c2e1b@";
/// A part of the password that any encoding keeps, and the beginning of the credentials in
/// base64.
const TRACES: [&str; 2] = ["7f3a9c2e1b", "dXNlcjpTM2NyM3Qt"];

/// Plays two seconds of words through a sink with these properties, to the end.
fn talk(properties: &str) -> Pipeline {
    let mut pipeline = Pipeline::appsrc(CAPS, &format!("{properties} drain-timeout=60000"));
    pipeline.play();
    let samples = bytes_of(&scripted::speech(0..10, 16_000));
    let src = pipeline.src();
    src.push_buffer(gst::Buffer::from_slice(samples)).unwrap();
    src.end_of_stream().unwrap();
    pipeline.wait_for_eos();
    pipeline
}

fn assert_words(pipeline: &Pipeline) {
    let words: Vec<String> = pipeline.words().into_iter().map(|word| word.0).collect();
    let expected: Vec<String> = (0..10).map(|n| format!("w{n}")).collect();
    assert_eq!(words, expected);
}

fn shows_nothing(text: &str) {
    for trace in TRACES {
        assert!(!text.contains(trace), "{text}");
    }
}

/// Lets the service accept the name that the proxy knows.
fn named(config: &mut ServerConfig) {
    config.hosts = vec!["service.example".parse().expect("a name")];
}

/// A service over TLS as `service.example`, and the file of its certificate.
struct Secure {
    service: Service,
    folder: TempDir,
}

impl Secure {
    fn start() -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["service.example".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(path("key.pem"), key.serialize_pem()).unwrap();
        let tls = tls_config(&path("cert.pem"), &path("key.pem")).unwrap();
        let service = Service::with(|config| {
            named(config);
            config.tls = Some(tls);
        });
        Self { service, folder }
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }
}

#[test]
fn words_come_through_a_proxy_that_wants_credentials() {
    let service = Service::with(named);
    let proxy = Proxy::start(&service.url(), []);
    let address = proxy.url(CREDENTIALS);
    let pipeline = talk(&format!(
        "base-url=http://service.example:8787 proxy={address} access-token=a-token-of-mine"
    ));
    assert_words(&pipeline);
    let heads = proxy.heads();
    assert_eq!(heads.len(), 1);
    let head = heads[0].to_lowercase();
    let start = "connect service.example:8787 http/1.1\r\n";
    assert!(head.starts_with(start), "{head}");
    assert!(
        head.contains("\r\nhost: service.example:8787\r\n"),
        "{head}"
    );
    let sent = "dXNlcjpTM2NyM3QtN2YzYTljMmUxYg==";
    assert!(heads[0].contains(&format!(": Basic {sent}\r\n")), "{head}");
    assert!(head.contains("\r\nproxy-authorization: basic "), "{head}");
    // The token is for the service.
    assert!(!head.contains("a-token-of-mine"), "{head}");
    let shown: String = pipeline.sink().property("proxy");
    assert_eq!(shown, proxy.url("***@"));
}

#[test]
fn words_come_over_tls_through_a_proxy() {
    let secure = Secure::start();
    let proxy = Proxy::start(&secure.service.url(), []);
    let pipeline = talk(&format!(
        "base-url=https://service.example ca-file={} proxy={}",
        secure.certificate().display(),
        proxy.url("")
    ));
    assert_words(&pipeline);
    let heads = proxy.heads();
    let start = "CONNECT service.example:443 HTTP/1.1\r\n";
    assert!(heads.len() == 1 && heads[0].starts_with(start), "{heads:?}");
    assert!(!heads[0].to_lowercase().contains("proxy-authorization"));
}

#[test]
fn a_token_is_asked_for_through_the_proxy_too() {
    let service = Service::with(named);
    let proxy = Proxy::start(&service.url(), []);
    let pipeline = talk(&format!(
        "base-url=http://service.example:8787 app-id=proxied app-secret=hush-hush-hush proxy={}",
        proxy.url("")
    ));
    assert_words(&pipeline);
    // One request is for the token, and one for the socket.
    assert_eq!(proxy.heads().len(), 2);
}

#[test]
fn messages_that_were_missed_are_asked_for_through_the_proxy_too() {
    let service = Service::with(named);
    let relay = Relay::to(&service.url());
    let proxy = Proxy::start(&relay.base_url(), []);
    let (mut pipeline, feed) = Feed::pipeline(&format!(
        "base-url=http://service.example history-recovery=true proxy={}",
        proxy.url("")
    ));
    pipeline.play();
    assert!(feed.begin(CAPS));
    feed.speak(&scripted::speech(0..5, 16_000)).unwrap();
    feed.hush(1000).unwrap();
    pipeline.wait_for_kind("message");
    relay.cut();
    pipeline.wait_for_state("reconnecting");
    pipeline.wait_for_state("listening");
    // There are two sockets, and a request to the Conversation API.
    until("a third connection", || proxy.heads().len() == 3);
}

#[test]
fn a_proxy_that_refuses_the_credentials_is_an_error_and_is_not_asked_again() {
    let service = Service::with(named);
    for (credentials, hint) in [
        (CREDENTIALS, "refuses the user name and the password"),
        ("", "wants a user name and a password"),
    ] {
        let echo = "<title>No, user:S3cr3t-7f3a9c2e1b</title>";
        let refuse = Act::Refuse(407, echo.to_owned());
        let proxy = Proxy::start(&service.url(), [refuse]);
        let address = proxy.url(credentials);
        let mut pipeline = Pipeline::appsrc(
            CAPS,
            &format!("base-url=http://service.example proxy={address}"),
        );
        pipeline.play();
        let message = pipeline.wait_for("an error", |m| m.type_() == gst::MessageType::Error);
        let gst::MessageView::Error(error) = message.view() else {
            unreachable!()
        };
        let text = error.error().to_string();
        assert!(error.error().matches(gst::ResourceError::NotAuthorized));
        assert!(text.contains(hint), "{text}");
        let details = error.details().expect("details");
        assert_eq!(details.get("reason"), Ok("proxy"));
        assert_eq!(details.get("http-status"), Ok(407));
        assert_eq!(details.get("retryable"), Ok(false));
        if !credentials.is_empty() {
            shows_nothing(&format!("{:?}", pipeline.names()));
            shows_nothing(&text);
        }
        assert_eq!(pipeline.state(), "failed");
        assert_eq!(proxy.heads().len(), 1);
    }
}

#[test]
fn a_proxy_that_does_not_connect_is_asked_again() {
    let service = Service::with(named);
    let acts = [
        // The request for a token.
        Act::Pass,
        Act::Refuse(503, "the service is away".to_owned()),
        // This 401 is from the proxy. It is not about the token, which is not renewed for it.
        Act::Refuse(401, String::new()),
    ];
    let proxy = Proxy::start(&service.url(), acts);
    let pipeline = talk(&format!(
        "base-url=http://service.example reconnect-max-delay=50 app-id=asked-again \
         app-secret=hush-hush-hush proxy={}",
        proxy.url("")
    ));
    assert_words(&pipeline);
    assert_eq!(proxy.heads().len(), 4);
    let states = pipeline.of_kind("state");
    let failed = |s: &&gst::Structure| s.get::<&str>("reason") == Ok("proxy");
    let failed: Vec<_> = states.iter().filter(failed).collect();
    assert_eq!(failed.len(), 2, "{states:?}");
    for (state, status) in failed.iter().zip([503, 401]) {
        assert_eq!(state.get("http-status"), Ok(status));
        assert_eq!(state.get("retryable"), Ok(true));
    }
}

#[test]
fn a_proxy_that_does_not_answer_is_given_up_in_time() {
    let service = Service::with(named);
    let proxy = Proxy::start(&service.url(), [Act::Ignore]);
    let pipeline = talk(&format!(
        "base-url=http://service.example connect-timeout=1000 reconnect-max-delay=50 proxy={}",
        proxy.url("")
    ));
    assert_words(&pipeline);
    let states = pipeline.of_kind("state");
    let given_up = states
        .iter()
        .filter(|s| s.get::<&str>("reason") == Ok("connect-timeout"));
    assert_eq!(given_up.count(), 1, "{states:?}");
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = free.local_addr().unwrap();
    drop(free);
    let mut pipeline = Pipeline::appsrc(
        CAPS,
        &format!("base-url=http://service.example proxy=http://{CREDENTIALS}{place}"),
    );
    pipeline.play();
    let message = pipeline.wait_for("a warning", |m| m.type_() == gst::MessageType::Warning);
    let gst::MessageView::Warning(warning) = message.view() else {
        unreachable!()
    };
    let text = warning.error().to_string();
    let start = format!("cannot connect to the proxy {place}: ");
    assert!(text.starts_with(&start), "{text}");
    assert_eq!(warning.details().unwrap().get("reason"), Ok("proxy"));
    shows_nothing(&text);
}

#[test]
fn the_loopback_is_dialed_directly() {
    let service = Service::with(named);
    let proxy = Proxy::start(&service.url(), []);
    let pipeline = talk(&format!(
        "base-url={} proxy={}",
        service.url(),
        proxy.url("")
    ));
    assert_words(&pipeline);
    assert_eq!(proxy.heads(), [""; 0]);
}

#[test]
fn an_address_that_is_none_fails_the_start() {
    init_and_fail("proxy=socks5://user:S3cr3t-7f3a9c2e1b@proxy");
    init_and_fail("proxy=http://user:S3cr3t-7f3a9c2e1b");
}

fn init_and_fail(property: &str) {
    let mut pipeline = Pipeline::appsrc(CAPS, property);
    assert!(pipeline.pipeline.set_state(gst::State::Ready).is_err());
    let message = pipeline.wait_for("an error", |m| m.type_() == gst::MessageType::Error);
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!()
    };
    assert!(error.error().matches(gst::ResourceError::Settings));
    shows_nothing(&error.error().to_string());
}

#[test]
fn the_environment_names_a_proxy_and_hosts_without_one_and_no_password_is_shown() {
    let secure = Secure::start();
    let echo = || Act::Refuse(502, "user:S3cr3t-7f3a9c2e1b".to_owned());
    for (base_url, no_proxy, expected) in [
        ("https://service.example", "", true),
        ("https://service.example", "example", false),
        ("http://service.example", "", false),
    ] {
        let proxy = Proxy::start(&secure.service.url(), [echo()]);
        let log = secure.folder.path().join("log");
        let output = plugin::command("gst-launch-1.0")
            .args("-v -m audiotestsrc num-buffers=10 ! symblsink sync=false".split(' '))
            .args(["drain-timeout=2000", "reconnect-max-delay=50"])
            .arg(format!("base-url={base_url}"))
            .arg(format!("ca-file={}", secure.certificate().display()))
            .env("HTTPS_PROXY", proxy.url(CREDENTIALS))
            .env("NO_PROXY", no_proxy)
            .env("GST_DEBUG", "9")
            .env("GST_DEBUG_FILE", &log)
            .env("RUST_LOG", "trace")
            .output()
            .expect("gst-launch-1.0");
        let printed =
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        // The proxy refuses the first connection and passes the next ones on.
        assert_eq!(proxy.heads().len() >= 2, expected, "{printed}");
        assert_eq!(
            printed.contains("state=(string)listening"),
            expected,
            "{printed}"
        );
        shows_nothing(&printed);
        let log = std::fs::read(&log).unwrap();
        shows_nothing(&String::from_utf8_lossy(&log));
    }
}

#[test]
fn the_proxy_is_asked_before_anything_is_sent_to_it() {
    // A server that is no proxy answers, and gets no token.
    let peer = Peer::start(Script::answer(
        "HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n",
    ));
    let address = peer.address();
    let mut pipeline = Pipeline::appsrc(
        CAPS,
        &format!("base-url=http://service.example access-token=mine proxy=http://{address}"),
    );
    pipeline.play();
    pipeline.wait_for("a warning", |m| m.type_() == gst::MessageType::Warning);
    let request = peer.records()[0].request.clone().expect("a request");
    assert_eq!(request.method, "CONNECT");
    assert_eq!(request.header("x-api-key"), None);
}
