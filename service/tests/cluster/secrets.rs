// SPDX-License-Identifier: MPL-2.0

//! TLS to the bus, and its password.

use super::bus::{LONGEST_RETURN, metric, until_interims, until_metric};
use super::process::Process;
use super::*;
use std::process::Command;
use std::time::Instant;
use symbl_testkit::redis::Redis;

#[tokio::test]
async fn the_bus_may_be_encrypted_and_its_password_is_never_shown() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let [certificate, key] = ["certificate", "key"].map(|name| folder.path().join(name));
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let [certificate, key] = [certificate, key].map(|path| path.display().to_string());
    let options = [
        "--bind",
        "127.0.0.1",
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-auth-clients",
        "no",
    ];
    let Some(redis) = Redis::start(&options) else {
        return;
    };
    // A port that was free may be taken by the time that Redis asks for it.
    let mut ports = (0..100).filter_map(|_| {
        let free = std::net::TcpListener::bind("127.0.0.1:0").ok()?;
        Some(free.local_addr().ok()?.port().to_string())
    });
    let is_taken = |port: &String| {
        let set = redis.ask(&["CONFIG", "SET", "tls-port", port]);
        set.as_deref() == Some("OK")
    };
    let port = ports.find(is_taken).expect("a port");
    // The user of docs/cluster.md may do all that a node does.
    let document = include_str!("../../../docs/cluster.md");
    let user = document
        .lines()
        .find(|line| line.starts_with("ACL SETUSER symbl "));
    let user = user.expect("a line").replace(">secret", ">hush-hush");
    let user: Vec<&str> = user.split(' ').collect();
    assert_eq!(redis.ask(&user).as_deref(), Some("OK"));
    let url = postgres.database();
    let bus = format!("rediss://symbl:hush-hush@localhost:{port}");
    let log = folder.path().join("log");
    let start = |certificates: &str| {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log);
        Process::start(|command| {
            command
                .args(["--log", "trace"])
                .env("SYMBL_CLUSTER", &url)
                .env("SYMBL_BUS", &bus)
                .env("SSL_CERT_FILE", certificates)
                .stderr(log.expect("a log"));
        })
    };
    let [a, b] = [start(&certificate), start(&certificate)];
    until_metric(&a, "bus_up", |up| up == 1.0).await;
    until_metric(&b, "bus_up", |up| up == 1.0).await;
    let (mut ada, _) = Client::started(&a, "secret", &start_as("Ada", 0)).await;
    let mut listener = subscriber(&b, "secret").await;
    until_interims(&mut ada, &mut listener, &mut 0).await;
    // A certificate that is not known is not trusted.
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
    let others = folder.path().join("others");
    std::fs::write(&others, other.expect("a certificate").cert.pem()).expect("written");
    let c = start(&others.display().to_string());
    let is_said = || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        assert!(!text.contains("hush"), "{text}");
        text.contains("the bus is away")
    };
    let begun = Instant::now();
    while !is_said() {
        assert!(begun.elapsed() < LONGEST_RETURN, "it is trusted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(metric(&c, "bus_up").await, 0.0);
}

#[test]
fn an_address_of_a_bus_that_is_wrong_is_refused_and_not_shown() {
    let cluster = Some(("SYMBL_CLUSTER", "postgres://localhost/symbl"));
    for (bus, cluster, expected) in [
        ("hush://ada:hush@one", cluster, "redis://"),
        ("redis://ada:hush@one:hush", cluster, "redis://"),
        ("redis://ada:hush@one", None, "--cluster"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_symbl-service"))
            .args(["--listen", "127.0.0.1:0", "--recognizer", "scripted"])
            .args(["--log", "trace"])
            .env("SYMBL_BUS", bus)
            .envs(cluster)
            .output()
            .expect("run");
        assert!(!output.status.success());
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!said.contains("hush"), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}
