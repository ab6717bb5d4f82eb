// SPDX-License-Identifier: MPL-2.0

//! Clients that ask how far the recognition has come (`config.recognitionProgress`), and all
//! others, which must see nothing of it.

use crate::common::promise::Promises;
use crate::common::*;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use symbl_service::recognizer::scripted::{Scripted, silence, speech};
use symbl_service::recognizer::{
    RecognisedWord, Recognition, Recognizer, RecognizerError, RecognizerStream, StreamOptions,
};
use symbl_service::{Server, ServerConfig};

const PROGRESS: &str = "recognition_progress";

fn asking() -> Value {
    let mut request = start_request();
    request["config"]["recognitionProgress"] = true.into();
    request
}

/// Returns the times that a client was told, in milliseconds. Fails if one goes back, or if a
/// final begins before one that was told earlier.
fn progress(heard: &[Heard]) -> Vec<u64> {
    let mut told = Vec::new();
    for one in heard {
        let last = told.last().copied().unwrap_or(0);
        match one.kind() {
            PROGRESS => {
                let time = one.json()["message"]["audioTime"].as_f64();
                told.push((time.expect("a number") * 1_000.0).round() as u64);
                assert!(told.last() >= Some(&last), "{told:?}");
            }
            _ => {
                if let Some((word, start, _)) = final_words(std::slice::from_ref(one)).first() {
                    assert!(*start >= last, "{word} at {start} ms after {last} ms");
                }
            }
        }
    }
    told
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Sends audio to a stream and returns all that its client is told.
async fn told(server: &Server, id: &str, request: &Value, audio: &[i16]) -> Vec<Heard> {
    let (mut client, _) = Client::started(server, id, request).await;
    client.send_audio(&linear16(audio)).await;
    client.stop().await;
    client.rest().await
}

/// Returns speech and pauses of many lengths, the same for the same seed.
fn talk(seed: u64) -> Vec<i16> {
    let mut state = seed;
    let mut draw = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut audio = Vec::new();
    for _ in 0..12 {
        audio.extend(silence(millis(draw(900)), 16_000));
        let first = draw(4_000) as u16;
        let mut words = speech(first..first + 1 + draw(14) as u16, 16_000);
        // Some words are cut in two.
        words.truncate(words.len() - draw(3_000) as usize);
        audio.extend(words);
    }
    audio
}

#[test]
fn no_final_of_the_scripted_engine_begins_before_its_promise() {
    for (seed, chunk) in (0..8).zip([160, 333, 1_600, 16_000].into_iter().cycle()) {
        let audio = talk(seed);
        let mut stream = Scripted.open(&StreamOptions::default()).expect("a stream");
        let promises = Promises::of(stream.as_mut(), &audio, chunk);
        assert!(promises.finals.len() >= 10, "{}", promises.finals.len());
        // It comes close to the words, too, if it is looked at often.
        for (start, promise) in promises.finals.iter().filter(|_| chunk <= 1_600) {
            assert!(*start - *promise <= millis(700), "{start:?}, {promise:?}");
        }
    }
}

#[tokio::test]
async fn in_silence_a_client_is_told_each_second() {
    let server = server().await;
    let audio = silence(Duration::from_secs(20), 16_000);
    let heard = told(&server, "silence", &asking(), &audio).await;
    let told = progress(&heard);
    assert!(told.len() >= 19, "{told:?}");
    assert_eq!(told.last(), Some(&20_000), "none is left at the end");
    for (second, time) in (1..20).zip(&told) {
        let expected = second * 1_000 - 500..=second * 1_000;
        assert!(expected.contains(time), "{told:?}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_ask_is_told_nothing() {
    let server = server().await;
    let audio = silence(Duration::from_secs(3), 16_000);
    for wish in [Value::Null, json!(false)] {
        let mut request = start_request();
        request["config"]["recognitionProgress"] = wish;
        let heard = told(&server, "unasked", &request, &audio).await;
        assert_eq!(progress(&heard), [0; 0]);
        assert!(!kinds(&heard).contains(&"warning"));
    }
    let heard = told(&server, "asked", &asking(), &audio).await;
    assert!(!kinds(&heard).contains(&"warning"), "{heard:?}");
}

#[tokio::test]
async fn finals_begin_behind_what_was_told_before_them() {
    let server = server().await;
    for seed in 100..104 {
        let audio = talk(seed);
        let heard = told(&server, "talk", &asking(), &audio).await;
        let told = progress(&heard);
        let seconds = audio.len() / 16_000;
        assert!(told.len() >= seconds, "{told:?} in {seconds} s");
        assert_eq!(told.last(), Some(&(audio.len() as u64 / 16)));
    }
}

#[tokio::test]
async fn progress_follows_a_final_at_once() {
    let server = server().await;
    let mut audio = speech(0..3, 16_000);
    audio.extend(silence(millis(350), 16_000));
    let (mut client, _) = Client::started(&server, "at-once", &asking()).await;
    // 950 ms: no second is over.
    client.send_audio(&linear16(&audio)).await;
    let mut heard = Vec::new();
    while heard.last().map(Heard::kind) != Some(PROGRESS) {
        heard.push(client.next().await);
    }
    let told = progress(&heard);
    assert_eq!(final_words(&heard).len(), 3);
    assert!((500..=950).contains(&told[0]), "{told:?}");
}

#[tokio::test]
async fn only_the_stream_that_asks_is_told() {
    let server = server().await;
    let (mut other, _) = Client::started(&server, "shared", &start_request()).await;
    let (mut subscriber, _) = Client::open(&server, "/v1/subscribe/shared", &[])
        .await
        .expect("an upgrade");
    let mut audio = speech(0..3, 16_000);
    audio.extend(silence(millis(2_600), 16_000));
    let (mut client, id) = Client::started(&server, "shared", &asking()).await;
    client.send_audio(&linear16(&audio)).await;
    client.stop().await;
    assert!(progress(&client.rest().await).len() >= 3);
    other.stop().await;
    let others = other.rest().await;
    let listened = subscriber.rest().await;
    assert!(kinds(&listened).contains(&"recognition_result"));
    for heard in [&others, &listened] {
        assert!(!kinds(heard).contains(&PROGRESS), "{heard:?}");
    }
    // It is no event of the conversation either.
    let (head, events) = http(&server, &format!("GET /v1/conversations/{id}/events"), "").await;
    assert!(
        head.contains(" 200 ") && events.contains("message_response"),
        "{head}{events}"
    );
    assert!(!events.contains(PROGRESS), "{events}");
}

#[tokio::test]
async fn each_start_counts_from_its_own_audio_and_is_told_only_if_it_asks() {
    let server = server().await;
    let audio = linear16(&silence(millis(2_500), 16_000));
    let mut request = asking();
    request["disconnectOnStopRequest"] = false.into();
    request["disconnectOnStopRequestTimeout"] = 600.into();
    let mut client = Client::connect(&server, "starts").await;
    for _ in 0..2 {
        client.start(&request).await;
        client.send_audio(&audio).await;
        client.stop().await;
        let mut heard = Vec::new();
        while progress(&heard).last() != Some(&2_500) {
            heard.push(client.until(PROGRESS).await);
        }
        assert!(progress(&heard)[0] <= 1_000, "{heard:?}");
        assert_eq!(heard.len(), 3, "{heard:?}");
    }
    client.start(&start_request()).await;
    client.send_audio(&audio).await;
    client.stop().await;
    assert_eq!(progress(&client.rest().await), [0; 0]);
}

/// Says a word for each piece of audio, and cannot tell how far it has come.
struct Unsure;

impl Recognizer for Unsure {
    fn name(&self) -> &'static str {
        "unsure"
    }

    fn open(&self, _: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        Ok(Box::new(Self))
    }
}

impl RecognizerStream for Unsure {
    fn push(&mut self, _: &[i16], out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        out.push(Recognition::bare(vec![RecognisedWord {
            text: "well".to_owned(),
            start: Duration::ZERO,
            end: Duration::ZERO,
            confidence: 1.0,
        }]));
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        Ok(())
    }
}

#[tokio::test]
async fn of_an_engine_that_cannot_tell_nothing_is_told() {
    let config = ServerConfig::new(Arc::new(Unsure));
    let server = Server::bind(config).await.expect("a free port");
    let audio = silence(Duration::from_secs(3), 16_000);
    let heard = told(&server, "unsure", &asking(), &audio).await;
    assert!(kinds(&heard).contains(&"recognition_result"));
    assert_eq!(progress(&heard), [0; 0]);
}
