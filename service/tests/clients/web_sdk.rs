// SPDX-License-Identifier: MPL-2.0

//! `@symblai/symbl-web-sdk` in a headless Chromium, whose microphone is a file.

use crate::app::{closed, contents, each, run, told, words};
use crate::node::node;
use serde_json::Value;
use std::time::Duration;
use symbl_service::recognizer::scripted;
use symbl_testkit::engine;
use symbl_testkit::programs::chromium;
use symbl_testkit::service::Service;

/// Of the file, in hertz.
const RATE: u32 = 48_000;

/// Words in the file, which the browser plays again and again.
const SPOKEN: u16 = 20;

/// Words after which the page stops: more than the file has.
const HEARD: usize = 25;

/// Streams these samples of 48 kHz in `encoding` from a page, `until` it has this many
/// words. Returns what the page was sent, or `None` where a program is absent.
fn stream(service: &Service, encoding: &str, samples: &[i16], until: &[&str]) -> Option<Value> {
    let chromium = chromium()?;
    let folder = tempfile::tempdir().expect("a folder");
    let sound = folder.path().join("talk.wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&sound, spec).expect("a file");
    for sample in samples {
        writer.write_sample(*sample).expect("room");
    }
    writer.finalize().expect("room");
    let mut node = node("web_sdk.js")?;
    node.arg(chromium)
        .arg(folder.path())
        .arg(service.url())
        .arg(encoding)
        .arg(sound)
        .args(until);
    Some(run(&mut node, |_| {}))
}

/// Asserts that the words follow each other as in the file, from where the page began to
/// listen. A browser drops sound if it gets no processor in time, so one word in ten may
/// be missing.
fn assert_words_follow_each_other(seen: &Value) {
    let finals = told(seen, "speech_recognition").into_iter();
    let finals = finals.filter(|result| result["isFinal"] == true);
    let texts = finals.map(|result| result["punctuated"]["transcript"].as_str().expect("a text"));
    let heard = words(&texts.collect::<Vec<_>>());
    assert!(heard.len() >= HEARD, "{heard:?}");
    let next = |word: &str| {
        let number: u16 = word[1..].parse().expect("a number");
        format!("w{}", (number + 1) % SPOKEN)
    };
    let breaks = heard.windows(2).filter(|two| next(&two[0]) != two[1]);
    let breaks = breaks.count();
    println!("{breaks} breaks in {} words", heard.len());
    assert!(breaks * 10 <= heard.len(), "{heard:?}");
    // The same, as messages.
    let messages = told(seen, "message").into_iter().flat_map(each);
    assert_eq!(words(&contents(messages)), heard, "{seen}");
}

/// Asserts what an application gets from the start to the end. Its page asks for the token
/// by itself.
fn assert_a_page_streams(encoding: &str, rate: Option<u32>) {
    let service = Service::with(closed);
    let mut samples = scripted::speech(0..SPOKEN, RATE);
    samples.extend(scripted::silence(Duration::from_millis(500), RATE));
    let Some(seen) = stream(&service, encoding, &samples, &[&HEARD.to_string()]) else {
        return;
    };
    assert_words_follow_each_other(&seen);
    assert_eq!(seen["config"]["encoding"], encoding);
    let said = seen["config"]["sampleRateHertz"].as_u64().expect("a rate");
    if let Some(rate) = rate {
        assert_eq!(said, u64::from(rate));
    }
    let id = |event: &str| &told(&seen, event)[0]["data"]["conversationId"];
    assert!(id("conversation_created").is_string(), "{seen}");
    assert_eq!(id("processing_started"), id("conversation_created"));
    assert_eq!(id("conversation_completed"), id("conversation_created"));
    let tracker = told(&seen, "tracker")[0];
    assert_eq!(tracker[0]["name"], "Report", "{seen}");
}

#[test]
fn a_page_streams_linear16() {
    assert_a_page_streams("LINEAR16", None);
}

#[test]
fn a_page_streams_opus() {
    assert_a_page_streams("OPUS", Some(48_000));
}

#[test]
fn a_voice_at_the_microphone_as_it_is_gives_messages_and_a_question() {
    let Some(service) = engine::service() else {
        return;
    };
    let Some(spoken) = engine::spoken(&["When does the meeting start?"]) else {
        return;
    };
    // The page may begin to listen in the middle of it.
    let samples: Vec<i16> = spoken.into_iter().flat_map(|s| [s, s, s]).collect();
    let Some(seen) = stream(&service, "LINEAR16", &samples, &["14", "voice"]) else {
        return;
    };
    let messages = told(&seen, "message").into_iter().flat_map(each);
    let heard = contents(messages);
    println!("{heard:?}");
    assert!(heard.contains(&"When does the meeting start?"), "{seen}");
    let questions = contents(told(&seen, "question"));
    assert!(questions.contains(&"When does the meeting start?"));
}
