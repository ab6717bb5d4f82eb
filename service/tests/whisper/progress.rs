// SPDX-License-Identifier: MPL-2.0

//! What the engine promises of the finals that are still to come, on recorded speech.

use crate::joined;
use crate::promise::Promises;
use std::time::Duration;
use symbl_service::recognizer::{Recognizer, StreamOptions};
use symbl_service::{Server, ServerConfig};
use symbl_testkit::client::{Client, Heard, final_words, linear16, start_request};
use symbl_testkit::engine::whisper;
use symbl_testkit::speech::{silence, talk, talk_prompts};

/// Most audio by which the promise is behind in silence: 304 ms of pre-roll, ten frames in
/// which speech is noticed, and the frame that is not full.
const LAG: Duration = Duration::from_millis(304 + 160 + 16);

#[test]
fn no_final_begins_before_the_promise_however_the_audio_is_cut() {
    let Some(engine) = whisper() else { return };
    let prompts = &talk_prompts()[..5];
    let Some((talk, _)) = talk(prompts, Duration::from_millis(900)) else {
        return;
    };
    // Without a pause, so that utterances are cut off.
    let Some(mut audio) = joined(prompts) else {
        return;
    };
    audio.extend(talk);
    for (delay, interim, chunk) in [
        (None, false, 1_600),
        (None, true, 333),
        (Some(1), true, 1_600),
        (Some(3), false, 16_000),
    ] {
        let options = StreamOptions {
            interim,
            max_final_delay: delay.map(Duration::from_secs),
            ..StreamOptions::default()
        };
        let mut stream = engine.open(&options).expect("a stream");
        let promises = Promises::of(stream.as_mut(), &audio, chunk);
        let finals = promises.finals.len();
        assert!(finals > prompts.len(), "{finals} finals");
        assert!(promises.lag() <= LAG, "{:?} behind", promises.lag());
        // A promise that stood still would be true as well. It comes close to the words.
        let far = |(start, promise): &&(Duration, Duration)| *start - *promise > 2 * LAG;
        let far: Vec<_> = promises.finals.iter().filter(far).collect();
        assert!(far.len() * 4 <= finals, "{far:?} of {finals}");
    }
}

#[test]
fn in_silence_the_promise_follows_the_audio() {
    let Some(engine) = whisper() else { return };
    let mut stream = engine.open(&StreamOptions::default()).expect("a stream");
    let promises = Promises::of(stream.as_mut(), &silence(Duration::from_secs(20)), 1_600);
    for (promise, given) in &promises.made {
        assert!(*given - *promise <= LAG, "{promise:?} of {given:?}");
    }
    assert!(promises.made.len() >= 190, "{}", promises.made.len());
}

/// Returns the time of a progress message, or the start of the first word of a final, in
/// milliseconds, and which of them it is.
fn place(heard: &Heard) -> Option<(&str, u64)> {
    let message = match heard {
        Heard::Json(value) => &value["message"],
        _ => return None,
    };
    if heard.kind() == "recognition_progress" {
        let seconds = message["audioTime"].as_f64().expect("a number");
        return Some(("progress", (seconds * 1_000.0).round() as u64));
    }
    let words = final_words(std::slice::from_ref(heard));
    words.first().map(|(_, start, _)| ("final", *start))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_told_the_promise_in_order_with_its_finals() {
    let Some(engine) = whisper() else { return };
    let Some((audio, places)) = talk(&talk_prompts()[..4], Duration::from_secs(2)) else {
        return;
    };
    let config = ServerConfig::new(engine);
    let server = Server::bind(config).await.expect("a free port");
    for delay in [None, Some(2)] {
        let mut request = start_request();
        request["config"]["recognitionProgress"] = true.into();
        if let Some(delay) = delay {
            request["config"]["maxFinalDelay"] = delay.into();
        }
        let (mut client, _) = Client::started(&server, "progress", &request).await;
        client.send_audio(&linear16(&audio)).await;
        client.stop().await;
        let heard = client.rest().await;
        let told: Vec<(&str, u64)> = heard.iter().filter_map(place).collect();
        let mut promise = 0;
        for (what, time) in &told {
            assert!(*time >= promise, "{time} after {promise}: {told:?}");
            if *what == "progress" {
                promise = *time;
            }
        }
        let count = |kind| told.iter().filter(|told| told.0 == kind).count();
        let seconds = audio.len() / 16_000;
        assert!(count("progress") >= seconds, "{told:?} in {seconds} s");
        assert!(count("final") >= places.len(), "{told:?}");
        assert_eq!(promise, audio.len() as u64 / 16);
    }
}
