// SPDX-License-Identifier: MPL-2.0

//! What nodes tell each other at once: interims, and finals before the log is looked at.

use super::lossy::Lossy;
use super::*;
use std::sync::atomic::Ordering;
use std::time::Instant;
use symbl_service::BusUrl;
use symbl_testkit::redis::Redis;

/// How long a final may take to another node, on any machine.
const LONGEST: Duration = Duration::from_secs(15);

/// How long a bus may take to be back.
pub const LONGEST_RETURN: Duration = Duration::from_secs(60);

/// Starts a node of this database in this process, with this bus.
pub async fn node_on(url: &str, bus: Option<&str>) -> Server {
    let mut config = configured(url);
    config.bus = bus.map(|bus| BusUrl::from(bus.to_owned()));
    Server::bind(config).await.expect("a node")
}

/// Returns the value of a metric.
pub async fn metric(place: &impl Place, name: &str) -> f64 {
    let (_, text) = http(place, "GET /metrics", "").await;
    let name = format!("symbl_service_{name} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&name));
    value.expect(&name).parse().expect("a number")
}

/// Waits until a metric has a value.
pub async fn until_metric(place: &impl Place, name: &str, is_it: impl Fn(f64) -> bool) {
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
pub async fn until_interims(speaker: &mut Client, listener: &mut Client, next: &mut u64) {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < LONGEST_RETURN, "no interims");
        let first = u16::try_from(*next * 7 % 900).expect("a word");
        speaker.send_audio(&begin(first..first + 3)).await;
        // As long as the utterance goes on, its interim is not overtaken by its final.
        let early = tokio::time::timeout(Duration::from_millis(500), told(listener)).await;
        speaker.send_audio(&said(first + 3..first + 4)).await;
        let mut heard = early.ok().map(|(told, _)| told);
        let mut is_there = false;
        loop {
            match heard.take() {
                Some(Told::Interim(_)) => is_there = true,
                Some(Told::Final(number, _)) => {
                    assert_eq!(number, *next, "each once and in order");
                    *next += 1;
                    break;
                }
                None => {}
            }
            heard = Some(told(listener).await.0);
        }
        if is_there {
            return;
        }
    }
}

/// Returns words without the pause that ends an utterance.
fn begin(words: std::ops::Range<u16>) -> Vec<u8> {
    linear16(&speech(words, 16_000))
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
        let mut heard = Vec::new();
        for n in 0..5 {
            ada.send_audio(&begin(20 * n..20 * n + 3)).await;
            // On a machine that is busy, the bus may be away just now.
            let early = told(&mut there);
            heard.extend(
                tokio::time::timeout(Duration::from_secs(2), early)
                    .await
                    .ok(),
            );
            ada.send_audio(&said(20 * n + 3..20 * n + 5)).await;
            let mut is_over = false;
            while !is_over {
                let one = told(&mut there).await;
                is_over = matches!(one.0, Told::Final(..));
                heard.push(one);
            }
        }
        let mut known = Vec::new();
        while !known.contains(&heard[heard.len() - 1].1) {
            known.push(told(&mut here).await.1);
        }
        assert!(
            heard
                .iter()
                .any(|(told, _)| matches!(told, Told::Interim(_)))
        );
        for (told, value) in &heard {
            assert!(known.contains(value), "{told:?}: {value}");
        }
        let mut rest = heard.iter().map(|(told, _)| told).peekable();
        for n in 0..5 {
            let words: Vec<String> = (20 * n..20 * n + 5).map(|n| format!("w{n}")).collect();
            while let Some(Told::Interim(text)) = rest.next_if(|t| matches!(t, Told::Interim(_))) {
                assert!(words.starts_with(&words_of(text)), "{text}");
            }
            let Some(Told::Final(number, text)) = rest.next() else {
                panic!("a final");
            };
            assert_eq!((*number, words_of(text)), (next + n, words));
        }
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
    let (mut bob, _) = Client::started(&b, "private", &start_as("Bob", 0)).await;
    let (mut eve, _) = Client::started(&a, "other", &start_as("Eve", 0)).await;
    let mut other = subscriber(&b, "other").await;
    until_interims(&mut eve, &mut other, &mut 0).await;
    let before = metric(&a, sent).await;
    for n in 0..5 {
        ada.send_audio(&said(10 * n..10 * n + 4)).await;
        ada.until("message_response").await;
    }
    assert_eq!(metric(&a, sent).await, before);
    // The other node has told all of it before the subscriber comes.
    for _ in 0..5 {
        bob.until("message_response").await;
    }
    let mut listener = subscriber(&b, "private").await;
    until_interims(&mut ada, &mut listener, &mut 5).await;
    assert!(metric(&a, sent).await > before);
}

/// Lets a speaker say something, and returns how long the final took to a subscriber.
pub async fn final_of(speaker: &mut Client, listener: &mut Client, next: &mut u64) -> Duration {
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
