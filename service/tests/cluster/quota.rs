// SPDX-License-Identifier: MPL-2.0

//! Limits that hold over all nodes, and nodes that are full.

use super::common::dear::Dear;
use super::process::Process;
use super::*;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Error;

/// Returns the socket of a dial, or the status and the `Retry-After` of the refusal.
async fn dial(place: &impl Place, id: &str) -> Result<Client, (u16, String)> {
    match Client::open(place, &format!("/v1/streaming/{id}"), &[]).await {
        Ok((client, _)) => Ok(client),
        Err(Error::Http(response)) => {
            let wait = response.headers().get("Retry-After");
            let wait = wait.and_then(|value| value.to_str().ok());
            let wait = wait.unwrap_or_default().to_owned();
            Err((response.status().as_u16(), wait))
        }
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_has_as_many_streams_as_it_may_have_on_all_nodes_together() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let start = || {
        Process::start(|command| {
            command
                .args(["--log", "error", "--max-account-streams", "10"])
                .env("SYMBL_CLUSTER", &url);
        })
    };
    let [a, b, c] = [start(), start(), start()];
    let addresses = [a.address, b.address, c.address];
    // Ten at each node, all at once.
    let mut dials = JoinSet::new();
    for n in 0..30 {
        let place = addresses[n % 3];
        dials.spawn(async move { (n % 3, dial(&place, &format!("id-{n}")).await) });
    }
    let mut inside = Vec::new();
    for (node, dialled) in dials.join_all().await {
        match dialled {
            Ok(client) => inside.push((node, client)),
            Err(refused) => assert_eq!(refused, (429, "5".to_owned())),
        }
    }
    assert_eq!(inside.len(), 10);
    // One that leaves makes room, wherever it was.
    let (_, left) = inside.pop().expect("ten");
    left.close(1000).await;
    let newcomer = async {
        loop {
            if let Ok(client) = dial(&b, "newcomer").await {
                break client;
            }
        }
    };
    inside.push((1, in_time(newcomer).await));
    assert_eq!(dial(&c, "one-more").await.err().map(|r| r.0), Some(429));
    // The places of a node that is killed are free when its lease is over.
    let lost = inside.iter().filter(|(node, _)| *node == 0).count();
    let lost = match lost {
        // It happened to let no client in.
        0 => {
            let (_, left) = inside.pop().expect("ten");
            left.close(1000).await;
            let dialled = async { while dial(&a, "for-a").await.is_err() {} };
            in_time(dialled).await;
            1
        }
        lost => lost,
    };
    let killed = Instant::now();
    a.kill();
    let mut again = Vec::new();
    in_time(async {
        while again.len() < lost {
            if let Ok(client) = dial(&b, &format!("again-{}", again.len())).await {
                again.push(client);
            }
        }
    })
    .await;
    eprintln!("{lost} places were free after {:?}", killed.elapsed());
    assert_eq!(dial(&c, "too-many").await.err().map(|r| r.0), Some(429));
}

#[tokio::test]
async fn a_full_node_says_503_and_lets_in_who_comes_back_into_a_conversation() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let mut narrow = configured(&url);
    narrow.recognizer = Arc::new(Dear);
    narrow.max_load = Some(1.0);
    let full = Server::bind(narrow).await.expect("a node");
    let other = node(&url).await;
    let _first = dial(&full, "a").await.expect("room");
    let _second = dial(&full, "b").await.expect("room");
    let refused = dial(&full, "c").await.err();
    assert_eq!(refused, Some((503, "1".to_owned())));
    let (lost, id) = Client::started(&other, "c", &start_as("Ada", 60)).await;
    drop(lost);
    let mut back = dial(&full, "c").await.expect("it comes back");
    assert_eq!(back.start(&start_as("Ada", 60)).await, id);
    assert!(dial(&full, "d").await.is_err());
    let sockets = "SELECT count(*) FROM socket";
    assert_eq!(postgres.ask(&url, sockets), "0", "nothing is limited");
}

#[tokio::test]
async fn a_node_whose_limit_of_sockets_is_reached_says_503() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let mut narrow = configured(&url);
    narrow.limits.connections = 1;
    let full = Server::bind(narrow).await.expect("a node");
    let other = node(&url).await;
    let _first = dial(&full, "a").await.expect("room");
    assert_eq!(dial(&full, "b").await.err(), Some((503, "1".to_owned())));
    // A client that comes back from another node is let in.
    let (lost, id) = Client::started(&other, "c", &start_as("Ada", 60)).await;
    drop(lost);
    let mut back = dial(&full, "c").await.expect("it comes back");
    assert_eq!(back.start(&start_as("Ada", 60)).await, id);
    assert!(dial(&full, "d").await.is_err());
}
