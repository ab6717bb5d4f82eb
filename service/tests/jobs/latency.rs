// SPDX-License-Identifier: MPL-2.0

//! Measures, by hand, how much later finals of live streams come beside fifty jobs, with the
//! neural recogniser: `cargo test -p symbl-service --test jobs latency -- --ignored --nocapture`.
//! The figure counts on an idle machine only.

use crate::common::jobs::{get, upload, wav};
use crate::common::*;
use futures_util::future::join_all;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use symbl_service::recognizer::whisper::{Whisper, WhisperConfig};
use symbl_service::{Server, ServerConfig};
use symbl_testkit::model::model;
use symbl_testkit::speech::{talk, talk_prompts};
use tokio::time::{MissedTickBehavior, interval};

/// Audio of 100 ms.
const BYTES: usize = 3_200;

/// Live streams.
const STREAMS: usize = 2;

/// Sends speech as fast as it is spoken. Returns how long after its last word each final came.
async fn speak(server: &Server, id: &str, audio: &[u8]) -> Vec<Duration> {
    let (mut client, _) = Client::started(server, id, &start_request()).await;
    let mut clock = interval(Duration::from_millis(100));
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (begun, mut pieces) = (Instant::now(), audio.chunks(BYTES));
    let (mut late, mut is_stopped) = (Vec::new(), false);
    loop {
        tokio::select! {
            _ = clock.tick(), if !is_stopped => match pieces.next() {
                Some(piece) => client.send_audio(piece).await,
                None => {
                    is_stopped = true;
                    client.send_json(&json!({"type": "stop_request"})).await;
                }
            },
            heard = client.next() => match heard {
                Heard::Closed(_) => return late,
                heard if heard.kind() == "recognition_result"
                    && heard.json()["message"]["isFinal"] == true =>
                {
                    let words = final_words(&[heard]);
                    let end = words.last().map_or(0, |word| word.2);
                    late.push(begun.elapsed().saturating_sub(Duration::from_millis(end)));
                }
                _ => {}
            }
        }
    }
}

async fn measure(server: &Server, round: &str, audio: &[u8]) -> (Duration, Duration) {
    let ids: Vec<String> = (0..STREAMS)
        .map(|n| format!("{}-{n}", round.replace(' ', "-")))
        .collect();
    let late = join_all(ids.iter().map(|id| speak(server, id, audio))).await;
    let mut late: Vec<Duration> = late.concat();
    late.sort();
    (late[late.len() / 2], late[late.len() * 95 / 100])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of some minutes, on an idle machine"]
async fn finals_of_live_streams_beside_fifty_jobs() {
    let model = model("tiny.en").expect("a model");
    let prompts = talk_prompts();
    let (samples, _) = talk(&prompts[..8], Duration::from_millis(700)).expect("speech");
    let audio = linear16(&samples);
    let engine = Whisper::open(WhisperConfig::new(model)).expect("an engine");
    let mut config = ServerConfig::new(Arc::new(engine));
    config.jobs.decoder = Some(env!("CARGO_BIN_EXE_symbl-service").into());
    let server = Server::bind(config).await.expect("a port");
    for round in ["alone 1", "alone 2"] {
        let (p50, p95) = measure(&server, round, &audio).await;
        println!("{round}: p50 {p50:?}, p95 {p95:?}");
    }
    let recording = wav(&[samples.repeat(5)]);
    let mut jobs = Vec::new();
    for _ in 0..50 {
        let (status, made) = upload(&server, "POST /v1/process/audio", &recording).await;
        assert_eq!(status, 201, "{made}");
        jobs.push(made);
    }
    for round in ["beside 1", "beside 2"] {
        let (p50, p95) = measure(&server, round, &audio).await;
        println!("{round}: p50 {p50:?}, p95 {p95:?}");
    }
    let last = jobs[49]["jobId"].as_str().expect("an id");
    let (_, last) = get(&server, &format!("/v1/job/{last}"), "").await;
    assert_eq!(last["status"], "scheduled", "jobs ran all the time");
}
