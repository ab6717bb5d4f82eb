// SPDX-License-Identifier: MPL-2.0

//! Lines that are cut without a word to either end, and mended later.

use super::bus::{final_of, node_on, until_interims, until_metric};
use super::valve::{Target, Valve};
use super::*;
use symbl_testkit::redis::Redis;

/// Lets a speaker whose line hangs move to another node and say all again, and more, and then
/// mends the line, with audio on it. Returns what is wrong afterwards.
pub async fn moved(postgres: &Postgres, url: &str, [a, b]: [&Server; 2]) -> Vec<String> {
    let line = Valve::to(Target::Tcp(a.address())).await;
    let first = start_at("Ada", 1, 0);
    let (mut hanging, id) = Client::started(&line.address, "hanging", &first).await;
    hanging.send_audio(&said(0..2)).await;
    hanging.until("message_response").await;
    line.cut();
    hanging.send_audio(&said(2..4)).await;
    let (mut ada, same) = Client::started(b, "hanging", &start_at("Ada", 2, 0)).await;
    assert_eq!(same, id);
    for n in 0..3 {
        ada.send_audio(&said(2 * n..2 * n + 2)).await;
    }
    for _ in 0..3 {
        ada.until("message_response").await;
    }
    line.mend();
    // With all fences, the old socket is closed when it says something. Without one, more is
    // stored than was said.
    let too_much = async {
        while ledger::logged(postgres, url, &id).len() <= 6 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let end = tokio::select! {
        rest = hanging.rest() => rest.last().cloned(),
        () = too_much => None,
    };
    let mut ledger = Ledger::default();
    let words = (0..6).map(|n| format!("w{n}"));
    ledger.note(&id, "hanging", words.collect());
    let nodes = [a.address(), b.address()];
    let mut faults = ledger.compare(&nodes, &[], Some((postgres, url))).await;
    faults.extend(
        (end != Some(Heard::Closed(Some(4103)))).then(|| format!("the old socket: {end:?}")),
    );
    faults
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_hung_and_heals_says_nothing_more_and_is_closed() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let [a, b] = [node(&url).await, node(&url).await];
    let faults = moved(postgres, &url, [&a, &b]).await;
    assert_eq!(faults, Vec::<String>::new());
}

/// Cuts a node from the database, and from the bus if there is one, until it is declared gone, and
/// mends the lines again. Its speakers go on elsewhere, and it begins anew.
async fn cut_from_the_database(redis: Option<&Redis>, room: &str) {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let line = Valve::to(Target::Unix(postgres.socket())).await;
    let name = url.rsplit('/').next().expect("a name");
    let by_line = format!("postgres://postgres@{}/{name}", line.address);
    let mut lines = vec![line];
    let mut buses = [None, None];
    if let Some(redis) = redis {
        let bus = Valve::to(Target::Unix(redis.socket())).await;
        buses = [Some(format!("redis://{}", bus.address)), Some(redis.url())];
        lines.push(bus);
    }
    let a = node_on(&by_line, buses[0].as_deref()).await;
    let b = node_on(&url, buses[1].as_deref()).await;
    let nodes = [a.address(), b.address()];
    let mut ada = Voice::start(plan(room, 12), &Places::new(nodes), 0).await;
    let ear = Ear::open(&b, room).await;
    let silence = format!("{room}-silent");
    let (mut silent, _) = Client::started(&a, &silence, &start_as("Bob", 60)).await;
    ada.speak();
    ada.until(3).await;
    lines.iter().for_each(Valve::cut);
    let gone = "SELECT count(*) FROM node WHERE gone";
    until_it_says(postgres, &url, gone, "1").await;
    ada.until(6).await;
    lines.iter().for_each(Valve::mend);
    let living = "SELECT count(*) FROM node WHERE NOT gone";
    until_it_says(postgres, &url, living, "2").await;
    let end = silent.rest().await;
    assert_eq!(end.last(), Some(&Heard::Closed(Some(1012))), "{end:?}");
    assert_eq!(ada.end().await.closes.len(), 1);
    if redis.is_some() {
        until_metric(&a, "bus_up", |up| up == 1.0).await;
    }
    let ledger = Ledger::of(&[ada]);
    ledger.is_whole(&nodes, &[&ear], (postgres, &url)).await;
}

// 22
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_from_the_database_is_left_and_comes_back() {
    cut_from_the_database(None, "cut").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_from_the_database_and_the_bus_is_left_and_comes_back() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    cut_from_the_database(Some(&redis), "cut-off").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_from_the_bus_finds_finals_by_itself_and_no_interims() {
    let (Some(postgres), Some(redis)) = (Postgres::shared(), Redis::start(&[])) else {
        return;
    };
    let url = postgres.database();
    let line = Valve::to(Target::Unix(redis.socket())).await;
    let by_line = format!("redis://{}", line.address);
    let a = node_on(&url, Some(&redis.url())).await;
    let b = node_on(&url, Some(&by_line)).await;
    let (mut ada, id) = Client::started(&a, "quiet", &start_as("Ada", 0)).await;
    let (mut bob, _) = Client::started(&b, "quiet-too", &start_as("Bob", 0)).await;
    let mut there = subscriber(&b, "quiet").await;
    let mut here = subscriber(&a, "quiet-too").await;
    let (mut next, mut of_bob) = (0, 0);
    until_interims(&mut ada, &mut there, &mut next).await;
    until_interims(&mut bob, &mut here, &mut of_bob).await;
    line.cut();
    until_metric(&b, "bus_up", |up| up == 0.0).await;
    let heard = "bus_messages_total{kind=\"interim_heard\"}";
    let before = bus::metric(&b, heard).await;
    // Finals come in both directions, each once and in order.
    for _ in 0..5 {
        final_of(&mut ada, &mut there, &mut next).await;
        final_of(&mut bob, &mut here, &mut of_bob).await;
    }
    assert_eq!(bus::metric(&b, heard).await, before);
    // The other nodes miss nothing.
    assert_eq!(bus::metric(&a, "bus_up").await, 1.0);
    let gone = postgres.ask(&url, "SELECT count(*) FROM node WHERE gone");
    assert_eq!(gone, "0");
    line.mend();
    until_metric(&b, "bus_up", |up| up == 1.0).await;
    until_interims(&mut ada, &mut there, &mut next).await;
    until_interims(&mut bob, &mut here, &mut of_bob).await;
    assert_eq!(history(&b, &id).await.len() as u64, next);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_from_its_clients_only_keeps_its_place_and_they_go_on_elsewhere() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let [a, b] = [node(&url).await, node(&url).await];
    let nodes = [a.address(), b.address()];
    let line = Valve::to(Target::Tcp(a.address())).await;
    let places = Places::new([line.address, b.address()]);
    let mut ada = Voice::start(plan("clients", 12), &places, 0).await;
    let ears = [
        Ear::open(&line.address, "clients").await,
        Ear::open(&b, "clients").await,
    ];
    // Without a stream of its own it is not superseded by anything.
    let (mut silent, _) = Client::started(&line.address, "still", &start_as("Bob", 60)).await;
    ada.speak();
    ada.until(3).await;
    line.cut();
    places.set([b.address()]);
    ada.until(9).await;
    let (head, _) = http(&a, "GET /readyz", "").await;
    assert!(head.contains(" 200 "), "{head}");
    let gone = postgres.ask(&url, "SELECT count(*) FROM node WHERE gone");
    assert_eq!(gone, "0");
    line.mend();
    let heard = ada.end().await;
    assert_eq!(heard.closes.len(), 1, "{heard:?}");
    silent.send_audio(&said(0..2)).await;
    assert_eq!(
        silent.until("message_response").await.json()["sequenceNumber"],
        0
    );
    let ledger = Ledger::of(&[ada]);
    let [on_the_line, other] = &ears;
    let ears = [on_the_line, other];
    ledger.is_whole(&nodes, &ears, (postgres, &url)).await;
}
