// SPDX-License-Identifier: MPL-2.0

//! Nodes that are stopped by SIGSTOP and go on later, as happens to virtual machines.

use super::*;

const GONE: &str = "SELECT count(*) FROM node WHERE gone";

#[tokio::test]
async fn a_node_that_is_frozen_longer_than_its_lease_is_fenced_and_begins_anew() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let [a, b] = [process(&url), process(&url)];
    let places = Places::new([a.address, b.address]);
    let mut ada = Voice::start(plan("frozen", 12), &places, 0).await;
    let ear = Ear::open(&b, "frozen").await;
    let (mut silent, _) = Client::started(&a, "silent", &start_as("Bob", 60)).await;
    ada.speak();
    ada.until(3).await;
    signal(&a, Signal::SIGSTOP);
    // Ada hears nothing, dials the other node and says again what she was not heard with.
    until_it_says(postgres, &url, GONE, "1").await;
    ada.until(6).await;
    signal(&a, Signal::SIGCONT);
    let end = silent.rest().await;
    assert_eq!(end.last(), Some(&Heard::Closed(Some(1012))), "{end:?}");
    assert_eq!(ada.end().await.closes.len(), 1);
    let (_silent, _) = Client::started(&a, "silent", &start_as("Bob", 0)).await;
    let living = "SELECT count(*) FROM node WHERE NOT gone";
    assert_eq!(postgres.ask(&url, living), "2");
    let ledger = Ledger::of(&[ada]);
    ledger
        .is_whole(&[a.address, b.address], &[&ear], (postgres, &url))
        .await;
}

#[tokio::test]
async fn a_node_that_is_frozen_for_less_than_its_lease_goes_on_as_if_nothing_was() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let [a, b] = [process(&url), process(&url)];
    let patient = Plan {
        patience: Duration::from_secs(50),
        ..plan("napping", 10)
    };
    let mut ada = Voice::start(patient, &Places::new([a.address]), 0).await;
    let ear = Ear::open(&b, "napping").await;
    ada.speak();
    ada.until(3).await;
    signal(&a, Signal::SIGSTOP);
    // The last sign of life may be a second old, and the lease is five.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    signal(&a, Signal::SIGCONT);
    let heard = ada.end().await;
    assert_eq!((heard.closes.len(), heard.words.len()), (0, 20));
    assert_eq!(postgres.ask(&url, GONE), "0");
    let ledger = Ledger::of(&[ada]);
    ledger
        .is_whole(&[a.address, b.address], &[&ear], (postgres, &url))
        .await;
}
