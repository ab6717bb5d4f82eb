// SPDX-License-Identifier: MPL-2.0

//! Calls in Opus over RTP: lost packets, and packets that are not sent in silence.

use super::{assert_words, documented, end, wav};
use crate::common::pipeline::Pipeline;
use crate::common::service::Service;
use gst::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use symbl_service::recognizer::scripted;

/// Plays a call in Opus over RTP on the loopback, in real time. Every twentieth packet is
/// lost. `encoder` is the caller's. Returns the pipeline, and how many packets were sent and
/// lost.
fn lossy_call(samples: &[i16], encoder: &str, last_word: &'static str) -> (Pipeline, u64, u64) {
    let service = Service::start();
    let (_folder, wav) = wav(samples);
    let changes = [
        ("port=5006", "name=net address=127.0.0.1 port=0"),
        ("rtpjitterbuffer", "rtpjitterbuffer mode=none latency=200"),
    ];
    let mut to = Pipeline::launch(&documented("RTP with Opus", &service, &changes));
    to.play();
    let port = to.pipeline.by_name("net").unwrap().property::<i32>("port");
    let mut from = Pipeline::launch(&format!(
        "filesrc location={} ! wavparse ! audioconvert ! audioresample ! {encoder} pt=96 name=pay \
         ! udpsink host=127.0.0.1 port={port}",
        wav.display()
    ));
    let (packets, lost) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (all, dropped) = (Arc::clone(&packets), Arc::clone(&lost));
    let pay = from.pipeline.by_name("pay").unwrap();
    let pad = pay.static_pad("src").unwrap();
    // The first packet is not lost, because it says when the call begins.
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        match all.fetch_add(1, Ordering::Relaxed) % 20 {
            19 => {
                dropped.fetch_add(1, Ordering::Relaxed);
                gst::PadProbeReturn::Drop
            }
            _ => gst::PadProbeReturn::Ok,
        }
    });
    from.play();
    from.wait_for_eos();
    to.wait_for("the last word", |message| {
        let text = message.structure().and_then(|s| s.get::<&str>("text").ok());
        text.is_some_and(|text| text.to_lowercase().contains(last_word))
    });
    end(&mut to);
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    (to, count(&packets), count(&lost))
}

#[test]
fn the_words_of_a_call_with_five_percent_loss_are_at_their_time() {
    let mut samples = scripted::speech(0..25, 16_000);
    samples.extend(scripted::silence(Duration::from_millis(600), 16_000));
    let (pipeline, packets, lost) = lossy_call(&samples, "opusenc ! rtpopuspay", "w24");
    // The call has 5.6 s in packets of 20 ms.
    assert!(packets >= 280 && lost >= 13, "{lost} of {packets}");
    let words = pipeline.words();
    // An unnoticed loss would move all words after it forward by 20 ms.
    assert_words(&words, 0..25, words[0].1, 20_000_000);
}

#[test]
fn the_words_of_a_call_without_packets_in_silence_are_at_their_time() {
    let silence = scripted::silence(Duration::from_secs(3), 16_000);
    let samples = [
        scripted::speech(0..5, 16_000),
        silence.clone(),
        scripted::speech(5..10, 16_000),
        silence,
    ];
    let encoder = "opusenc dtx=true audio-type=voice ! rtpopuspay dtx=true";
    let (pipeline, packets, lost) = lossy_call(&samples.concat(), encoder, "w9");
    // Without silence suppression, 8 s would be 400 packets of 20 ms.
    assert!(packets < 250 && lost >= 5, "{lost} of {packets}");
    let words = pipeline.words();
    let begin = words[0].1;
    let (before, after) = words.split_at(5);
    assert_words(before, 0..5, begin, 20_000_000);
    assert_words(after, 5..10, begin + 4_000_000_000, 40_000_000);
}
