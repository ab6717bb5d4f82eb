// SPDX-License-Identifier: MPL-2.0

//! What nodes tell each other at once: interims, and finals before the log is looked at.

use super::lossy::Lossy;
use super::process::Process;
use super::*;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Instant;
use symbl_service::BusUrl;
use symbl_testkit::redis::Redis;

/// How long a final may take to another node, on any machine.
const LONGEST: Duration = Duration::from_secs(15);

/// How long a bus may take to be back.
const LONGEST_RETURN: Duration = Duration::from_secs(60);

/// Starts a node of this database in this process, with this bus.
async fn node_on(url: &str, bus: Option<&str>) -> Server {
    let mut config = configured(url);
    config.bus = bus.map(|bus| BusUrl::from(bus.to_owned()));
    Server::bind(config).await.expect("a node")
}

/// Returns the value of a metric.
async fn metric(place: &impl Place, name: &str) -> f64 {
    let (_, text) = http(place, "GET /metrics", "").await;
    let name = format!("symbl_service_{name} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&name));
    value.expect(&name).parse().expect("a number")
}

/// Waits until a metric has a value.
async fn until_metric(place: &impl Place, name: &str, is_it: impl Fn(f64) -> bool) {
    let begun = Instant::now();
    loop {
        let value = metric(place, name).await;
        if is_it(value) {
            return;
        }
        assert!(begun.elapsed() < LONGEST_RETURN, "{name} is {value}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What a subscriber is told of an utterance, in order.
#[derive(Debug, PartialEq)]
enum Told {
    Interim(String),
    Final(u64, String),
}

/// Returns the next interim or final that a subscriber is told.
async fn told(listener: &mut Client) -> (Told, Value) {
    loop {
        let heard = listener.next().await;
        let value = heard.json().clone();
        let message = &value["message"];
        if heard.kind() == "message_response" {
            let text = value["messages"][0]["payload"]["content"].as_str();
            let number = value["sequenceNumber"].as_u64().expect("a number");
            return (Told::Final(number, text.expect("a text").to_owned()), value);
        }
        if heard.kind() == "recognition_result" && message["isFinal"] == false {
            let text = message["punctuated"]["transcript"].as_str();
            return (Told::Interim(text.expect("a text").to_owned()), value);
        }
    }
}

/// Makes a speaker say utterance after utterance until a subscriber is told an interim.
/// `next` is the number of the next final.
async fn until_interims(speaker: &mut Client, listener: &mut Client, next: &mut u64) {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < LONGEST_RETURN, "no interims");
        let first = u16::try_from(*next * 7 % 900).expect("a word");
        speaker.send_audio(&said(first..first + 4)).await;
        let mut is_there = false;
        loop {
            match told(listener).await.0 {
                Told::Interim(_) => is_there = true,
                Told::Final(number, _) => {
                    assert_eq!(number, *next, "each once and in order");
                    *next += 1;
                    break;
                }
            }
        }
        if is_there {
            return;
        }
    }
}

#[tokio::test]
async fn a_subscriber_hears_the_interims_of_a_speaker_on_another_node_by_each_bus() {
    let (Some(postgres), Some(redis)) = (Postgres::shared(), Redis::start(&[])) else {
        return;
    };
    for bus in [None, Some(redis.url())] {
        let url = postgres.database();
        let [a, b] = [
            node_on(&url, bus.as_deref()).await,
            node_on(&url, bus.as_deref()).await,
        ];
        until_metric(&a, "bus_up", |up| up == 1.0).await;
        until_metric(&b, "bus_up", |up| up == 1.0).await;
        let (mut ada, _) = Client::started(&a, "seen", &start_as("Ada", 0)).await;
        let mut here = subscriber(&a, "seen").await;
        let mut there = subscriber(&b, "seen").await;
        let mut next = 0;
        until_interims(&mut ada, &mut there, &mut next).await;
        // The same messages, and none of an utterance after its final.
        let mut own = Vec::new();
        for n in 0..10u16 {
            ada.send_audio(&said(20 * n..20 * n + 5)).await;
            own.push(20 * n);
        }
        let last = next + 9;
        let (mut known, mut finals) = (Vec::new(), Vec::new());
        loop {
            let (told, value) = told(&mut here).await;
            if let Told::Final(number, text) = told {
                finals.push((number, text));
                if number == last {
                    break;
                }
            }
            known.push(value);
        }
        let mut interims = 0;
        let mut heard = Vec::new();
        while heard.last() != Some(&last) {
            match told(&mut there).await {
                (Told::Interim(text), value) => {
                    interims += 1;
                    assert!(known.contains(&value), "{value}");
                    let (_, of) = finals
                        .iter()
                        .find(|(number, _)| *number == next + heard.len() as u64)
                        .expect("a final");
                    let of = words_of(of);
                    let words = words_of(&text);
                    assert_eq!(of.get(..words.len()), Some(&words[..]), "of the next final");
                }
                (Told::Final(number, _), _) => {
                    assert_eq!(number, next + heard.len() as u64);
                    heard.push(number);
                }
            }
        }
        assert!(interims > 0);
        assert!(metric(&b, "bus_messages_total{kind=\"interim_heard\"}").await >= 1.0);
    }
}

#[tokio::test]
async fn interims_go_only_where_a_listener_is() {
    let (Some(postgres), Some(redis)) = (Postgres::shared(), Redis::start(&[])) else {
        return;
    };
    let (url, bus) = (postgres.database(), redis.url());
    let [a, b] = [
        node_on(&url, Some(&bus)).await,
        node_on(&url, Some(&bus)).await,
    ];
    until_metric(&a, "bus_up", |up| up == 1.0).await;
    until_metric(&b, "bus_up", |up| up == 1.0).await;
    let sent = "bus_messages_total{kind=\"interim_sent\"}";
    let (mut ada, _) = Client::started(&a, "private", &start_as("Ada", 0)).await;
    // One speaker is there, and one who listens to something else.
    let (_bob, _) = Client::started(&b, "private", &start_as("Bob", 0)).await;
    let (mut eve, _) = Client::started(&a, "other", &start_as("Eve", 0)).await;
    let mut other = subscriber(&b, "other").await;
    until_interims(&mut eve, &mut other, &mut 0).await;
    let before = metric(&a, sent).await;
    for n in 0..5 {
        ada.send_audio(&said(10 * n..10 * n + 4)).await;
        ada.until("message_response").await;
    }
    assert_eq!(metric(&a, sent).await, before);
    let mut listener = subscriber(&b, "private").await;
    until_interims(&mut ada, &mut listener, &mut 5).await;
    assert!(metric(&a, sent).await > before);
}

/// Lets a speaker say something, and returns how long the final took to a subscriber.
async fn final_of(speaker: &mut Client, listener: &mut Client, next: &mut u64) -> Duration {
    let first = u16::try_from(*next * 7 % 900).expect("a word");
    speaker.send_audio(&said(first..first + 2)).await;
    speaker.until("message_response").await;
    let begun = Instant::now();
    loop {
        if let Told::Final(number, _) = told(listener).await.0 {
            assert_eq!(number, *next, "each once and in order");
            *next += 1;
            return begun.elapsed();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_killed_emptied_or_frozen_costs_time_and_no_final() {
    let (Some(postgres), Some(redis)) = (Postgres::shared(), Redis::start(&[])) else {
        return;
    };
    let (url, bus) = (postgres.database(), redis.url());
    let [a, b] = [
        node_on(&url, Some(&bus)).await,
        node_on(&url, Some(&bus)).await,
    ];
    let (mut ada, id) = Client::started(&a, "tough", &start_as("Ada", 0)).await;
    let mut listener = subscriber(&b, "tough").await;
    let mut next = 0;
    until_interims(&mut ada, &mut listener, &mut next).await;
    let mut worst = Duration::ZERO;
    for trouble in ["killed", "emptied", "frozen", "its clients cut off"] {
        match trouble {
            "killed" => redis.kill(),
            "frozen" => redis.freeze(),
            "emptied" => assert_eq!(redis.ask(&["FLUSHALL"]).as_deref(), Some("OK")),
            _ => {
                for kind in ["normal", "pubsub"] {
                    redis.ask(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]);
                }
            }
        }
        let since = Instant::now();
        // A frozen one keeps connections and takes what is sent.
        let least = Duration::from_secs(if trouble == "frozen" { 5 } else { 0 });
        let mut number = 0;
        while number < 5 || since.elapsed() < least {
            worst = worst.max(final_of(&mut ada, &mut listener, &mut next).await);
            number += 1;
        }
        if ["killed", "frozen"].contains(&trouble) {
            until_metric(&a, "bus_up", |up| up == 0.0).await;
            until_metric(&b, "bus_up", |up| up == 0.0).await;
        }
        match trouble {
            "killed" => redis.start_again(),
            "frozen" => redis.thaw(),
            _ => {}
        }
        until_metric(&a, "bus_up", |up| up == 1.0).await;
        until_metric(&b, "bus_up", |up| up == 1.0).await;
        until_interims(&mut ada, &mut listener, &mut next).await;
    }
    eprintln!("a final took {worst:?} at most");
    assert!(worst < LONGEST, "{worst:?}");
    assert_eq!(history(&b, &id).await.len() as u64, next);
}

#[tokio::test]
async fn a_bus_that_loses_every_third_message_loses_no_entry() {
    let (Some(postgres), Some(redis)) = (Postgres::shared(), Redis::start(&[])) else {
        return;
    };
    let url = postgres.database();
    let way = Lossy::to(redis.socket()).await;
    let a = node_on(&url, Some(&redis.url())).await;
    let b = node_on(&url, Some(&way.url)).await;
    let (mut ada, _) = Client::started(&a, "lossy", &start_as("Ada", 0)).await;
    let mut listener = subscriber(&b, "lossy").await;
    let mut next = 0;
    until_interims(&mut ada, &mut listener, &mut next).await;
    let before = (
        way.lost.load(Ordering::Relaxed),
        metric(&b, "log_catchups_total").await,
    );
    for _ in 0..30 {
        final_of(&mut ada, &mut listener, &mut next).await;
    }
    let lost = way.lost.load(Ordering::Relaxed) - before.0;
    assert!(lost >= 10, "{lost}");
    assert!(metric(&b, "log_catchups_total").await > before.1);
}

#[tokio::test]
async fn a_bus_that_is_not_there_keeps_no_node_from_its_work() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let nowhere = "redis://ada:hush@127.0.0.1:1";
    let [a, b] = [
        node_on(&url, Some(nowhere)).await,
        node_on(&url, Some(nowhere)).await,
    ];
    let (mut ada, _) = Client::started(&a, "alone", &start_as("Ada", 0)).await;
    let mut listener = subscriber(&b, "alone").await;
    let mut next = 0;
    for _ in 0..5 {
        let took = final_of(&mut ada, &mut listener, &mut next).await;
        assert!(took < LONGEST, "{took:?}");
    }
    assert_eq!(metric(&a, "bus_up").await, 0.0);
}

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
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = port.local_addr().expect("an address").port().to_string();
    let [certificate, key] = [certificate, key].map(|path| path.display().to_string());
    let options = [
        "--tls-port",
        &port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-auth-clients",
        "no",
        "--requirepass",
        "hush-hush",
    ];
    let Some(_redis) = Redis::start_guarded(&options, "hush-hush") else {
        return;
    };
    let url = postgres.database();
    let bus = format!("rediss://:hush-hush@localhost:{port}");
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
    let cluster = ("SYMBL_CLUSTER", "postgres://localhost/symbl");
    let cases: [(&str, &[(&str, &str)], &str); 3] = [
        ("hush://ada:hush@one", &[cluster], "redis://"),
        ("redis://ada:hush@one:hush", &[cluster], "redis://"),
        ("redis://ada:hush@one", &[], "--cluster"),
    ];
    for (bus, others, expected) in cases {
        let output = Command::new(env!("CARGO_BIN_EXE_symbl-service"))
            .args(["--listen", "127.0.0.1:0", "--recognizer", "scripted"])
            .args(["--log", "trace"])
            .env("SYMBL_BUS", bus)
            .envs(others.iter().copied())
            .output()
            .expect("run");
        assert!(!output.status.success());
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!said.contains("hush"), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

/// Measures how much later a final is told on another node than on its own: with
/// `cargo test --test cluster -- --ignored --nocapture how_much_later`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, and no test"]
async fn how_much_later_a_final_is_told_on_another_node() {
    let (Some(postgres), Some(redis)) = (Postgres::start(&[]), Redis::start(&[])) else {
        return;
    };
    for (name, bus) in [
        ("NOTIFY", None),
        ("Redis", Some(redis.url())),
        ("no bus", Some("redis://127.0.0.1:1".to_owned())),
    ] {
        let url = postgres.database();
        let start = || {
            Process::start(|command| {
                command.args(["--log", "error"]).env("SYMBL_CLUSTER", &url);
                if let Some(bus) = &bus {
                    command.env("SYMBL_BUS", bus);
                }
            })
        };
        let [a, b] = [start(), start()];
        let mut all = Vec::new();
        for n in 0..MEASURED {
            let id = format!("measured-{n}");
            let (mut speaker, _) = Client::started(&a, &id, &start_as(&id, 0)).await;
            let [here, there] = [subscriber(&a, &id).await, subscriber(&b, &id).await];
            let times = |mut listener: Client| {
                tokio::spawn(async move {
                    let mut times = Vec::new();
                    while times.len() < FINALS {
                        message(&mut listener).await;
                        times.push(Instant::now());
                    }
                    times
                })
            };
            let pair = [times(here), times(there)];
            tokio::spawn(async move {
                // One after the other, each at another time.
                tokio::time::sleep(Duration::from_millis(137 * n)).await;
                for n in 0..FINALS as u16 {
                    speaker.send_audio(&said(7 * n..7 * n + 5)).await;
                    speaker.until("message_response").await;
                    tokio::time::sleep(Duration::from_millis(700)).await;
                }
                speaker
            });
            all.push(pair);
        }
        let mut later = Vec::new();
        for [here, there] in all {
            let (here, there) = (here.await.expect("told"), there.await.expect("told"));
            let both = here.into_iter().zip(there);
            later.extend(both.map(|(here, there)| there.saturating_duration_since(here)));
        }
        later.sort();
        let part = |percent: usize| later[(later.len() - 1) * percent / 100];
        eprintln!(
            "{name}: {} finals; p50 {:?}, p90 {:?}, p99 {:?}",
            later.len(),
            part(50),
            part(90),
            part(99)
        );
    }
}

/// Speakers, and finals of each.
const MEASURED: u64 = 10;
const FINALS: usize = 30;
