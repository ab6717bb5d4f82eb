// SPDX-License-Identifier: MPL-2.0

//! What nodes count, and a clock that is not that of the database.

use super::*;
use std::collections::HashMap;

/// Returns the samples of a node that only nodes have, without the common prefix.
async fn scraped(place: &impl Place) -> HashMap<String, f64> {
    let (_, text) = http(place, "GET /metrics", "").await;
    let samples = text.lines().filter_map(|line| {
        let (name, value) = line.strip_prefix("symbl_service_")?.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    });
    samples.collect()
}

/// Scrapes until a sample is as it should be.
async fn until(place: &impl Place, name: &str, is_so: impl Fn(f64) -> bool) {
    in_time(async {
        loop {
            let samples = scraped(place).await;
            let value = samples.get(name).copied();
            if is_so(value.unwrap_or_else(|| panic!("no {name}"))) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_count_what_becomes_of_finals_and_of_other_nodes() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let [a, b] = [node(&url).await, node(&url).await];
    let before = scraped(&a).await;
    for name in [
        "log_append_seconds_count",
        "log_appends_total{verdict=\"stored\"}",
        "log_appends_total{verdict=\"superseded\"}",
        "log_appends_total{verdict=\"failed\"}",
        "log_waiting",
        "log_catchups_total",
        "fenced_total",
        "streams_superseded_total",
    ] {
        assert_eq!(before.get(name), Some(&0.0), "{name}");
    }
    for place in [&a, &b] {
        until(place, "cluster_nodes{state=\"serving\"}", |nodes| {
            nodes == 2.0
        })
        .await;
        let skew = scraped(place).await["clock_skew_seconds"];
        // One machine has one clock.
        assert!(skew.abs() < 0.1, "{skew}");
    }
    let (mut ada, id) = Client::started(&a, "counted", &start_at("Ada", 1, 0)).await;
    let mut listener = subscriber(&b, "counted").await;
    ada.send_audio(&said(0..2)).await;
    assert_eq!(message(&mut listener).await.0, 0);
    until(&a, "log_appends_total{verdict=\"stored\"}", |count| {
        count == 1.0
    })
    .await;
    until(&a, "log_append_seconds_count", |count| count == 1.0).await;
    until(&a, "log_waiting", |count| count == 0.0).await;
    // The stream goes on on the other node.
    let (_ada, _) = Client::started(&b, "counted", &start_at("Ada", 2, 1000)).await;
    ada.send_audio(&said(2..4)).await;
    until(&a, "streams_superseded_total", |count| count == 1.0).await;
    until(&a, "log_appends_total{verdict=\"superseded\"}", |count| {
        count >= 1.0
    })
    .await;
    let (_, text) = http(&a, "GET /metrics", "").await;
    for private in [id.as_str(), "counted", "Ada"] {
        assert!(!text.contains(private), "{private}");
    }
    postgres.ask(&url, "UPDATE node SET gone = true");
    for place in [&a, &b] {
        until(place, "fenced_total", |count| count == 1.0).await;
        until(place, "cluster_nodes{state=\"gone\"}", |nodes| nodes == 2.0).await;
    }
}

/// Sets the clock of the database off, as the nodes read it. Those that live were just heard
/// of by that clock too.
fn set_off(postgres: &Postgres, url: &str, seconds: i64) {
    postgres.ask(
        url,
        &format!(
            "CREATE OR REPLACE FUNCTION symbl_now_1() RETURNS bigint LANGUAGE sql VOLATILE AS
             $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000
                       + {seconds} * 1000000000::bigint $$;
             UPDATE node SET beats = symbl_now_1() WHERE NOT gone"
        ),
    );
}

// 30
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_clock_is_off_is_not_ready_and_serves_on() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let a = node(&url).await;
    let ready = async |status: &str| {
        in_time(async {
            loop {
                let (head, body) = http(&a, "GET /readyz", "").await;
                if head.contains(status) {
                    return serde_json::from_str::<Value>(&body).expect("JSON");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
    };
    assert_eq!(ready(" 200 ").await["why"], json!([]));
    let (mut ada, _) = Client::started(&a, "clock", &start_at("Ada", 1, 0)).await;
    for (seconds, side) in [(-3, "s before that"), (0, ""), (3, "s behind that")] {
        set_off(postgres, &url, seconds);
        if seconds == 0 {
            assert_eq!(ready(" 200 ").await.get("clock"), None);
            continue;
        }
        let body = ready(" 503 ").await;
        assert_eq!(body["why"], json!(["clock"]), "{body}");
        let clock = body["clock"].as_str().expect("a text");
        assert!(clock.contains("NTP"), "{clock}");
        // A slow answer makes it less sure, and never more.
        until(&a, "clock_skew_seconds", |skew| {
            (skew + seconds as f64).abs() < 0.1
        })
        .await;
        let body = ready(" 503 ").await;
        assert!(
            body["clock"].as_str().expect("a text").contains(side),
            "{body}"
        );
        let (head, _) = http(&a, "GET /healthz", "").await;
        assert!(head.contains(" 200 "), "{head}");
        let (head, _) = http(&a, "GET /livez", "").await;
        assert!(head.contains(" 200 "), "{head}");
    }
    ada.send_audio(&said(0..2)).await;
    let said = ada.until("message_response").await;
    assert_eq!(said.json()["sequenceNumber"], 0);
}
