// SPDX-License-Identifier: MPL-2.0

//! Two hours of live speech with the neural recogniser: its memory does not grow, and its
//! times do not drift. `make soak-speech` runs it, because it takes as long as it hears.

use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use symbl_service::recognizer::whisper::{Whisper, WhisperConfig};
use symbl_service::{Server, ServerConfig};
use symbl_testkit::client::{Client, Heard, final_words, in_time, linear16, start_request};
use symbl_testkit::model::model;
use symbl_testkit::speech::{talk, talk_prompts};
use tokio::time::interval;

/// Audio in a message.
const CHUNK: Duration = Duration::from_millis(100);
/// Bytes of that.
const BYTES: usize = 3_200;
/// Bytes of a millisecond.
const MILLISECOND: usize = 32;
/// How long it speaks if `SYMBL_SOAK_MINUTES` does not say.
const MINUTES: u64 = 120;
/// Rounds of the talk after which the memory is read for the first time.
const SETTLED: u64 = 3;
/// How much the resident memory may grow after that, in KiB.
const GROWTH: u64 = 5 << 10;
/// How far the last word of a round may lie from its place in the first round, in
/// milliseconds.
const DRIFT: u64 = 200;

/// Returns the resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.expect("a size").parse().expect("a number")
}

fn request() -> Value {
    let mut request = start_request();
    request["config"]["confidenceThreshold"] = json!(0.0);
    request
}

/// What a round of the talk came to.
#[derive(Debug, Clone, Default)]
struct Round {
    words: Vec<String>,
    /// End of its last word, in milliseconds from the start of the round.
    last: u64,
}

#[tokio::test]
#[ignore = "takes two hours: make soak-speech"]
async fn two_hours_of_speech_take_no_more_memory_and_keep_their_times() {
    let model = model("tiny.en").expect("the model");
    let minutes = std::env::var("SYMBL_SOAK_MINUTES").ok();
    let minutes = minutes.and_then(|minutes| minutes.parse().ok());
    let minutes: u64 = minutes.unwrap_or(MINUTES);
    let (talk, _) = talk(&talk_prompts(), Duration::from_secs(1)).expect("the prompts");
    let mut talk = linear16(&talk);
    talk.truncate(talk.len() / BYTES * BYTES);
    let length = (talk.len() / MILLISECOND) as u64;
    let rounds = (minutes * 60_000).div_ceil(length);

    let engine = Whisper::open(WhisperConfig::new(model)).expect("an engine");
    let config = ServerConfig::new(Arc::new(engine));
    let server = Server::bind(config).await.expect("a port");
    let (mut client, _) = in_time(Client::started(&server, "soak", &request())).await;
    let mut clock = interval(CHUNK);
    let mut chunks = (0..rounds).flat_map(|_| talk.chunks(BYTES));
    let mut heard_rounds = vec![Round::default(); rounds as usize];
    let mut settled = None;
    let mut is_stopped = false;
    loop {
        tokio::select! {
            _ = clock.tick(), if !is_stopped => match chunks.next() {
                Some(chunk) => client.send_audio(chunk).await,
                None => {
                    is_stopped = true;
                    client.stop().await;
                }
            },
            heard = client.next() => {
                if matches!(heard, Heard::Closed(_)) {
                    break;
                }
                assert_ne!(heard.kind(), "error", "{heard:?}");
                let is_final = heard.kind() == "recognition_result"
                    && heard.json()["message"]["isFinal"] == true;
                if !is_final {
                    continue;
                }
                for (word, start, end) in final_words(&[heard]) {
                    let round = start / length;
                    let of = &mut heard_rounds[round as usize];
                    if of.words.is_empty() && round == SETTLED {
                        settled = Some(resident());
                    }
                    of.words.push(word);
                    of.last = end - round * length;
                }
            }
        }
    }
    let (settled, end) = (settled.expect("enough rounds"), resident());
    println!("{rounds} rounds of {length} ms; {settled} KiB settled, {end} KiB at the end");
    let first = &heard_rounds[0];
    let drifts = heard_rounds.iter().map(|of| of.last.abs_diff(first.last));
    println!("the last word drifts by {:?} ms at most", drifts.max());
    for (n, of) in heard_rounds.iter().enumerate() {
        assert!(of.last.abs_diff(first.last) <= DRIFT, "round {n}: {of:?}");
        // A word at the edge of two rounds may differ by what comes before it.
        let (words, expected) = (of.words.len(), first.words.len());
        assert!(words.abs_diff(expected) <= 2, "round {n}: {of:?}");
    }
    assert!(end <= settled + GROWTH, "{settled} KiB grew to {end} KiB");
}
