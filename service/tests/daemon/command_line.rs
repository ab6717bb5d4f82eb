// SPDX-License-Identifier: MPL-2.0

//! The command as a user runs it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

fn command() -> Command {
    command_at("127.0.0.1:0")
}

fn command_at(address: &str) -> Command {
    let mut command = bare(address);
    command.args(["--recognizer", "scripted"]);
    command
}

/// Returns the command without a recogniser, which the test names.
fn bare(address: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_symbl-service"));
    command
        .args(["--listen", address])
        .env_remove("SYMBL_APP_ID")
        .env_remove("SYMBL_APP_SECRET")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Waits for the line that says where the service listens.
fn address(child: &mut Child) -> String {
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.as_mut().expect("piped"));
    out.read_line(&mut line).expect("a line");
    let address = line.strip_prefix("listening on http://").expect(&line);
    address.trim_end().to_owned()
}

/// Sends a signal, waits, and gives what else was printed.
fn end(mut child: Child, signal: &str) -> (bool, String, String) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args([signal, &pid]).status();
    assert!(sent.expect("kill").success());
    let (mut out, mut err) = (String::new(), String::new());
    child
        .stdout
        .take()
        .expect("piped")
        .read_to_string(&mut out)
        .expect("text");
    child
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut err)
        .expect("text");
    (child.wait().expect("an end").success(), out, err)
}

fn get(address: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let request = format!(
        "GET /v1/streaming/x?access_token=q-u-e-r-y HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("a line");
    line
}

#[test]
fn it_says_where_it_listens_serves_and_ends_by_signal() {
    for signal in ["-TERM", "-INT"] {
        let mut child = command().spawn().expect("started");
        let address = address(&mut child);
        assert!(get(&address, "").starts_with("HTTP/1.1 101"));
        let (success, rest, _) = end(child, signal);
        assert!(success);
        assert_eq!(rest, "", "one line is all there is on standard output");
    }
}

#[test]
fn credentials_from_the_environment_close_the_door_and_are_never_printed() {
    let mut with_secret = command();
    with_secret
        .env("SYMBL_APP_ID", "app")
        .env("SYMBL_APP_SECRET", "h-u-s-h")
        .args(["--log", "trace"]);
    let mut child = with_secret.spawn().expect("started");
    let address = address(&mut child);
    assert!(get(&address, "X-API-KEY: t-o-k-e-n\r\n").starts_with("HTTP/1.1 401"));
    let (_, out, err) = end(child, "-TERM");
    for secret in ["h-u-s-h", "t-o-k-e-n", "q-u-e-r-y"] {
        assert!(!out.contains(secret) && !err.contains(secret), "{err}");
    }
    let help = command()
        .env("SYMBL_APP_SECRET", "h-u-s-h")
        .arg("--help")
        .output();
    assert!(!String::from_utf8_lossy(&help.expect("help").stdout).contains("h-u-s-h"));
}

#[test]
fn an_explicit_auth_none_opens_the_door() {
    let mut open = command();
    open.env("SYMBL_APP_ID", "app")
        .env("SYMBL_APP_SECRET", "hush")
        .args(["--auth", "none"]);
    let mut child = open.spawn().expect("started");
    let address = address(&mut child);
    assert!(get(&address, "").starts_with("HTTP/1.1 101"));
    end(child, "-TERM");
}

#[test]
fn limits_are_given_as_options() {
    let mut narrow = command();
    narrow.args(["--max-connections", "1", "--max-handshake-time", "3600"]);
    let mut child = narrow.spawn().expect("started");
    let address = address(&mut child);
    let upgrade = "GET /v1/streaming/x HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut first = TcpStream::connect(&address).expect("a connection");
    first.write_all(upgrade.as_bytes()).expect("sent");
    let mut line = String::new();
    let mut answers = BufReader::new(&first);
    answers.read_line(&mut line).expect("a line");
    assert!(line.starts_with("HTTP/1.1 101"), "{line}");
    assert!(get(&address, "").starts_with("HTTP/1.1 429"));
    end(child, "-TERM");
    let refused = command()
        .args(["--max-idle", "0"])
        .output()
        .expect("an end");
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("--max-idle") && said.contains("1.."),
        "{said}"
    );
}

#[test]
fn what_cannot_be_is_said_on_standard_error() {
    let mut first = command().spawn().expect("started");
    let taken = address(&mut first);
    for (address, arguments, says) in [
        (taken.as_str(), &[][..], "cannot listen on"),
        (
            "127.0.0.1:0",
            &["--lm", "x.lm"],
            "--recognizer pocketsphinx only",
        ),
        (
            "127.0.0.1:0",
            &["--recognizer-cmd", "cat"],
            "cannot be used with",
        ),
        (
            "127.0.0.1:0",
            &["--recognizer", "scripted"],
            "--recognizer scripted is given twice",
        ),
        ("127.0.0.1:0", &["--app-id", "x"], "--app-secret"),
        (
            "127.0.0.1:0",
            &["--app-id", "x", "--app-secret", ""],
            "secret of the application is empty",
        ),
        (
            "127.0.0.1:0",
            &["--app-id", "", "--app-secret", "x"],
            "id of the application is empty",
        ),
        ("127.0.0.1:0", &["--max-load", "500"], "0..=100"),
        (
            "127.0.0.1:0",
            &["--max-connections", "4294967295"],
            "1..=1000000",
        ),
        (
            "127.0.0.1:0",
            &["--max-message", "100"],
            "--max-audio-message",
        ),
        ("no such host:0", &[], "an IP address or a name"),
        (
            "no-such-host.invalid:0",
            &[],
            "--listen no-such-host.invalid:0",
        ),
        (":8787", &[], "an IP address or a name"),
        (
            "127.0.0.1:0",
            &["--allow-host", "https://x.example"],
            "without scheme",
        ),
        ("127.0.0.1:0", &["--log", "a=b=c"], "--log"),
        ("127.0.0.1:0", &["--fault", "resett"], "reset@3s"),
        ("127.0.0.1:0", &["--repeat-faults"], "--fault"),
        ("127.0.0.1:0", &["--tls-cert", "x.pem"], "--tls-key"),
        (
            "127.0.0.1:0",
            &["--tls-cert", "x.pem", "--tls-key", "x.pem"],
            "x.pem: ",
        ),
    ] {
        let output = command_at(address).args(arguments).output().expect("run");
        assert!(!output.status.success(), "{arguments:?}");
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(err.contains(says), "{err}");
    }
    end(first, "-TERM");
}

#[test]
fn faults_of_the_command_line_strike_one_connection_each() {
    let mut faulty = command();
    faulty.args([
        "--fault",
        "http=503:2s",
        "--fault",
        "none",
        "--fault",
        "http=404",
    ]);
    let mut child = faulty.spawn().expect("started");
    let address = address(&mut child);
    for status in ["503", "101", "404", "101"] {
        let line = get(&address, "");
        assert!(line.starts_with(&format!("HTTP/1.1 {status}")), "{line}");
    }
    let (success, _, _) = end(child, "-TERM");
    assert!(success);
    let help = command().arg("--help").output().expect("help").stdout;
    assert!(String::from_utf8_lossy(&help).contains("half-open"));
}

#[test]
fn each_event_is_one_line_with_connection_and_conversation() {
    let mut child = command().spawn().expect("started");
    let address = address(&mut child);
    assert!(get(&address, "").starts_with("HTTP/1.1 101"));
    let (_, _, err) = end(child, "-TERM");
    let plain: String = err.replace("\u{1b}[3m", "").replace("\u{1b}[0m", "");
    let plain = plain.replace("\u{1b}[2m", "");
    for event in ["connected", "lost", "over"] {
        let named = format!("event=\"{event}\" connection=\"x\" conversation=\"");
        assert_eq!(plain.matches(&named).count(), 1, "{event}: {plain}");
    }
}

#[tokio::test]
async fn a_recogniser_command_runs_without_the_secrets_and_ends_with_the_service() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;

    let folder = tempfile::TempDir::new().expect("a folder");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recognizers/counting.py");
    let line = format!(
        "python3 '{script}' '{}' environment deaf",
        folder.path().display()
    );
    let mut service = bare("127.0.0.1:0");
    service
        .env("SYMBL_APP_ID", "app")
        .env("SYMBL_APP_SECRET", "h-u-s-h")
        .env("NO_COLOR", "1")
        .args(["--auth", "none", "--recognizer-cmd", &line]);
    let mut child = service.spawn().expect("started");
    let address = address(&mut child);
    let start = r#"{"type":"start_request","config":{"speechRecognition":
        {"encoding":"LINEAR16","sampleRateHertz":16000}}}"#;
    let mut said = String::new();
    for (id, text, chunks) in [
        ("first", "message_response", 1),
        ("second", "recognition_started", 60),
    ] {
        let url = format!("ws://{address}/v1/streaming/{id}");
        let (mut socket, _) = tokio_tungstenite::connect_async(url)
            .await
            .expect("upgrade");
        socket.send(Message::text(start)).await.expect("sent");
        for _ in 0..chunks {
            let chunk = Message::binary(vec![0; 6400]);
            socket.send(chunk).await.expect("sent");
        }
        if id == "first" {
            let stop = Message::text(r#"{"type":"stop_request"}"#);
            socket.send(stop).await.expect("sent");
        }
        while !said.contains(text) {
            said = socket
                .next()
                .await
                .expect("more")
                .expect("a message")
                .to_string();
        }
        let secret = said.contains("first -") && !said.contains("h-u-s-h");
        assert!(id != "first" || secret, "{said}");
        // The second one's process takes nothing, and its thread waits for that.
        std::mem::forget(socket);
    }
    let mut runs = String::new();
    while runs.lines().count() < 2 {
        runs = std::fs::read_to_string(folder.path().join("runs")).expect("runs");
        std::thread::yield_now();
    }
    let (success, _, log) = end(child, "-TERM");
    assert!(success && log.contains("run 1: environment"), "{log}");
    assert!(
        log.contains("connection=\"first\"") && !log.contains("h-u-s-h"),
        "{log}"
    );
    for process in runs.lines() {
        let stat = format!("/proc/{process}/stat");
        let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z")) {
            assert!(std::time::Instant::now() < until, "{process} lives on");
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_name_to_listen_on_is_resolved_and_the_address_is_said() {
    let mut child = command_at("localhost:0").spawn().expect("started");
    let address = address(&mut child);
    let parsed: std::net::SocketAddr = address.parse().expect("an address");
    assert!(parsed.ip().is_loopback(), "{address}");
    assert!(get(&address, "").starts_with("HTTP/1.1 101"));
    end(child, "-TERM");
}

#[test]
fn a_hangup_ends_nothing() {
    let mut child = command().spawn().expect("started");
    let address = address(&mut child);
    for _ in 0..2 {
        let process = child.id().to_string();
        let sent = Command::new("kill").args(["-HUP", &process]).status();
        assert!(sent.expect("kill").success());
        assert!(get(&address, "").starts_with("HTTP/1.1 101"));
    }
    let (success, _, log) = end(child, "-TERM");
    assert!(success);
    assert!(log.contains("SIGHUP"), "{log}");
}
