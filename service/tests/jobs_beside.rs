// SPDX-License-Identifier: MPL-2.0

//! Fifty jobs beside a live stream, with an engine that is too slow for the jobs.

mod common;

use common::jobs::*;
use common::*;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use symbl_service::recognizer::{
    RecognisedWord, Recognition, Recognizer, RecognizerError, RecognizerStream, StreamOptions,
};
use symbl_service::{Server, ServerConfig};

/// How long the engine computes for 100 ms of a recording: longer than those last.
const BULK: Duration = Duration::from_millis(150);

const LIVE: Duration = Duration::from_millis(5);

/// Notes whose audio it is given, in order: `true` for that of a job.
#[derive(Clone, Default)]
struct Slow(Arc<Mutex<Vec<bool>>>);

struct SlowStream {
    given: Slow,
    is_bulk: bool,
    samples: usize,
}

impl Recognizer for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn open(&self, options: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        assert!(
            !options.bulk || !options.interim,
            "nobody reads interims of a job"
        );
        Ok(Box::new(SlowStream {
            given: self.clone(),
            is_bulk: options.bulk,
            samples: 0,
        }))
    }
}

impl RecognizerStream for SlowStream {
    fn push(&mut self, samples: &[i16], _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        let computed = if self.is_bulk { BULK } else { LIVE };
        let begun = Instant::now();
        while begun.elapsed() < computed {
            std::hint::spin_loop();
        }
        self.samples += samples.len();
        self.given.0.lock().expect("a lock").push(self.is_bulk);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        let end = Duration::from_secs_f64(self.samples as f64 / 16_000.0);
        out.push(Recognition::bare(vec![RecognisedWord {
            text: "heard".to_owned(),
            start: Duration::ZERO,
            end,
            confidence: 1.0,
        }]));
        Ok(())
    }
}

#[tokio::test]
async fn fifty_jobs_keep_no_live_stream_waiting_and_all_end() {
    let engine = Slow::default();
    let mut config = ServerConfig::new(Arc::new(engine.clone()));
    config.jobs.decoder = Some(env!("CARGO_BIN_EXE_symbl-service").into());
    config.limits.workers = 1;
    // Jobs take no place of a live stream, however far they are behind.
    config.max_load = Some(0.9);
    let server = Server::bind(config).await.expect("a server");
    // The two that run first take long.
    let (long, short) = (wav(&[vec![0; 16_000 * 6]]), wav(&[vec![0; 1600]]));
    let mut jobs = Vec::new();
    for number in 0..50 {
        let recording = if number < 2 { &long } else { &short };
        let (status, made) = upload(&server, "POST /v1/process/audio", recording).await;
        assert_eq!(status, 201, "{made}");
        jobs.push(made);
    }
    let given = || engine.0.lock().expect("a lock").clone();
    let bulk = |given: &[bool]| given.iter().filter(|is_bulk| **is_bulk).count();
    while bulk(&given()) < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    const COUNT: usize = 40;
    let (mut ada, _) = Client::started(&server, "ada", &start_request()).await;
    let before = bulk(&given());
    for _ in 0..COUNT {
        ada.send_audio(&[0; 3200]).await;
    }
    let begun = Instant::now();
    while given().len() - bulk(&given()) < COUNT {
        assert!(begun.elapsed() < PATIENCE, "{:?}", given());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let meanwhile = bulk(&given()) - before;
    // The call that runs when the first message comes, and what runs between two messages if
    // this machine is slow to deliver them.
    assert!(
        meanwhile <= COUNT / 4,
        "{meanwhile} calls for jobs came before live audio"
    );
    ada.send_json(&serde_json::json!({"type": "stop_request"}))
        .await;
    ada.until("conversation_completed").await;
    for made in &jobs {
        assert_eq!(ended(&server, made).await["status"], "completed");
    }
}
