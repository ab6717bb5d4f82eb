// SPDX-License-Identifier: MPL-2.0

//! Measurements. They are no tests.

use super::bus::until_metric;
use super::process::Process;
use super::*;
use std::time::Instant;
use symbl_testkit::redis::Redis;

/// Speakers, and finals of each.
const SPEAKERS: u64 = 10;
const FINALS: usize = 30;

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
        if name != "no bus" {
            until_metric(&a, "bus_up", |up| up == 1.0).await;
            until_metric(&b, "bus_up", |up| up == 1.0).await;
        }
        let mut all = Vec::new();
        for n in 0..SPEAKERS {
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
            // It may be told there first.
            later.extend(
                both.map(|(here, there)| match there.checked_duration_since(here) {
                    Some(later) => later.as_secs_f64() * 1e3,
                    None => -(here - there).as_secs_f64() * 1e3,
                }),
            );
        }
        later.sort_by(f64::total_cmp);
        let part = |percent: usize| later[(later.len() - 1) * percent / 100];
        eprintln!(
            "{name}: {} finals; p50 {:.1}, p90 {:.1}, p99 {:.1} ms",
            later.len(),
            part(50),
            part(90),
            part(99)
        );
    }
}
