// SPDX-License-Identifier: MPL-2.0

//! Lines that are cut without a word to either end, and mended later.

use super::valve::{Target, Valve};
use super::*;

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
    let mut faults = ledger.compare(&nodes, &[], (postgres, url)).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_from_the_database_is_left_and_comes_back() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let line = Valve::to(Target::Unix(postgres.socket())).await;
    let name = url.rsplit('/').next().expect("a name");
    let by_line = format!("postgres://postgres@{}/{name}", line.address);
    let [a, b] = [node(&by_line).await, node(&url).await];
    let nodes = [a.address(), b.address()];
    let mut ada = Voice::start(plan("cut", 12), &Places::new(nodes), 0).await;
    let ear = Ear::open(&b, "cut").await;
    let (mut silent, _) = Client::started(&a, "silent", &start_as("Bob", 60)).await;
    ada.speak();
    ada.until(3).await;
    line.cut();
    let gone = "SELECT count(*) FROM node WHERE gone";
    until_it_says(postgres, &url, gone, "1").await;
    ada.until(6).await;
    line.mend();
    let living = "SELECT count(*) FROM node WHERE NOT gone";
    until_it_says(postgres, &url, living, "2").await;
    let end = silent.rest().await;
    assert_eq!(end.last(), Some(&Heard::Closed(Some(1012))), "{end:?}");
    assert_eq!(ada.end().await.closes.len(), 1);
    let ledger = Ledger::of(&[ada]);
    ledger.is_whole(&nodes, &[&ear], (postgres, &url)).await;
}
