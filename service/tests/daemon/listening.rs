// SPDX-License-Identifier: MPL-2.0

//! Several addresses, sockets in the file system, sockets of systemd, and an address for
//! metrics.

use super::*;
use std::os::unix::net::UnixStream;

#[test]
fn it_listens_at_several_places_and_says_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("symbl.sock");
    let unix = format!("unix:{}", path.display());
    let listen = [
        "--listen",
        "127.0.0.1:0",
        "--listen",
        "127.0.0.2:0",
        "--listen",
        &unix,
    ];
    let service = Running::start(command().args(listen));
    let places: Vec<&str> = service
        .line
        .strip_prefix("listening on ")
        .expect("places")
        .split(", ")
        .collect();
    assert_eq!(places.len(), 3, "{places:?}");
    assert!(places[1].starts_with("http://127.0.0.2:"), "{places:?}");
    assert_eq!(places[2], unix);
    let second = places[1]
        .strip_prefix("http://")
        .expect("an address")
        .parse();
    for (status, body) in [
        get(service.address(), "/livez"),
        get(second.expect("an address"), "/livez"),
        ask(UnixStream::connect(&path).expect("a socket"), "/livez"),
    ] {
        assert_eq!((status, body.as_str()), (200, "{\"status\":\"ok\"}"));
    }
    // A second service does not take it away.
    let (output, said) = run(command().args(["--listen", &unix]));
    assert!(
        !output.status.success() && said.contains(&format!("cannot listen on {unix}")),
        "{said}"
    );
    assert_eq!(
        ask(UnixStream::connect(&path).expect("a socket"), "/livez").0,
        200
    );
    service.end();
    assert!(!path.exists(), "the socket is removed at the end");
}

#[test]
fn a_socket_in_the_file_system_may_be_the_only_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("symbl.sock");
    let service = Running::start(
        command()
            .arg("--listen")
            .arg(format!("unix:{}", path.display())),
    );
    assert_eq!(
        service.line,
        format!("listening on unix:{}", path.display())
    );
    assert_eq!(
        ask(UnixStream::connect(&path).expect("a socket"), "/healthz").0,
        200
    );
    let log = service.end();
    assert!(!log.iter().any(|line| line.contains("anybody")), "{log:?}");
}

#[test]
fn every_address_that_the_world_reaches_without_credentials_is_warned_of() {
    let listen = [
        "--listen",
        "127.0.0.1:0",
        "--listen",
        "0.0.0.0:0",
        "--listen",
        "[::]:0",
    ];
    let log = Running::start(command().args(listen)).end();
    let warned = log
        .iter()
        .filter(|line| line.contains("anybody who reaches"));
    assert_eq!(warned.count(), 2, "{log:#?}");
    let mut closed = command();
    closed
        .args(listen)
        .env("SYMBL_APP_ID", "a")
        .env("SYMBL_APP_SECRET", "s");
    let log = Running::start(&mut closed).end();
    assert!(
        !log.iter().any(|line| line.contains("anybody who reaches")),
        "{log:#?}"
    );
}

#[test]
fn metrics_have_an_address_of_their_own_if_asked_for() {
    let options = ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
    let mut service = Running::start(command().args(options));
    let line = service.logged("listening for metrics");
    let address = line
        .split("address=")
        .nth(1)
        .expect("an address")
        .trim()
        .parse();
    let address: SocketAddr = address.expect(&line);
    assert_eq!(get(service.address(), "/metrics").0, 404);
    assert!(
        get(address, "/metrics")
            .1
            .contains("symbl_service_build_info")
    );
    for path in ["/healthz", "/livez", "/readyz", "/version"] {
        assert_eq!(get(service.address(), path).0, 200, "{path}");
        assert_eq!(get(address, path).0, 200, "{path}");
    }
    for path in ["/v1/conversations", "/v1/streaming/x", "/"] {
        assert_eq!(get(address, path).0, 404, "{path}");
    }
}

/// Gives its own sockets to the command, as systemd does.
const ACTIVATE: &str = "
import os, socket, sys
tcp = socket.create_server(('127.0.0.1', 0))
unix = socket.socket(socket.AF_UNIX)
unix.bind(sys.argv[1])
unix.listen()
os.dup2(tcp.fileno(), 13)
os.dup2(unix.fileno(), 14)
os.dup2(13, 3)
os.dup2(14, 4)
os.environ.update(LISTEN_FDS='2', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
";

#[test]
fn sockets_of_systemd_are_taken_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("symbl.sock");
    let mut activated = Command::new("python3");
    activated
        .args(["-c", ACTIVATE])
        .arg(&path)
        .arg(env!("CARGO_BIN_EXE_symbl-service"))
        .args(["--recognizer", "scripted"])
        .env_remove("SYMBL_APP_ID")
        .env_remove("SYMBL_APP_SECRET");
    let service = Running::start(&mut activated);
    assert_ne!(service.address().port(), 8787, "{}", service.line);
    assert_eq!(get(service.address(), "/livez").0, 200);
    assert_eq!(
        ask(UnixStream::connect(&path).expect("a socket"), "/livez").0,
        200
    );
    service.end();
    assert!(path.exists(), "systemd keeps it");
}
