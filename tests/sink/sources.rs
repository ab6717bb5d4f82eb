// SPDX-License-Identifier: MPL-2.0

//! The pipelines of README.md, with a sender on the loopback or a file, and
//! words that are known to the letter. What goes in without decoding, and calls
//! in µ-law, are in `inputs`.

use crate::common::pipeline::{Pipeline, init, words_of};
use crate::common::service::Service;
use crate::engine;
use crate::speech::absent;
use gst::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use symbl_service::recognizer::scripted;
use tempfile::TempDir;

/// Samples at 16 kHz, as a WAV file in a folder of its own.
fn wav(samples: &[i16]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("talk.wav");
    engine::write_wav(&path, samples);
    (folder, path)
}

/// Runs a pipeline to its end.
fn run(line: &str) -> Pipeline {
    let mut pipeline = Pipeline::launch(line);
    pipeline.play();
    pipeline.wait_for_eos();
    pipeline
}

/// The words w`first` to w`last`, once each and in order, in steps of 200 ms
/// from `begin` on; none further from its place than `tolerance`. All in nanoseconds.
fn assert_words(words: &[(String, u64)], range: std::ops::Range<u16>, begin: u64, tolerance: u64) {
    let texts: Vec<&str> = words.iter().map(|(text, _)| text.as_str()).collect();
    let expected: Vec<String> = range.map(|n| format!("w{n}")).collect();
    assert_eq!(texts, expected);
    for (n, (text, at)) in words.iter().enumerate() {
        let truth = begin + n as u64 * 200_000_000;
        assert!(at.abs_diff(truth) <= tolerance, "{text} at {at}");
    }
}

#[test]
fn whatever_decodebin_decodes_gives_its_words_once_at_their_time() {
    let service = Service::start();
    let (_folder, wav) = wav(&scripted::speech(0..25, 16_000));
    for (encoder, extension, tolerance) in [
        ("wavenc", "wav", 20),
        ("flacenc", "flac", 20),
        ("vorbisenc ! oggmux", "ogg", 20),
        ("opusenc ! mp4mux", "mp4", 20),
        // What this encoder puts in front of the sound is nowhere written down.
        ("lamemp3enc", "mp3", 100),
    ] {
        let file = wav.with_extension(format!("encoded.{extension}"));
        run(&format!(
            "filesrc location={} ! wavparse ! audioconvert ! audioresample \
             ! audio/x-raw,rate=48000,channels=2 ! {encoder} ! filesink location={}",
            wav.display(),
            file.display()
        ));
        let pipeline = run(&format!(
            "filesrc location={} ! decodebin ! audioconvert ! audioresample \
             ! audio/x-raw,rate=16000,channels=1 ! symblsink name=sink sync=false \
             drain-timeout=60000 base-url={}",
            file.display(),
            service.url()
        ));
        assert_words(&pipeline.words(), 0..25, 0, tolerance * 1_000_000);
    }
}

/// Two channels in one WAV file at 16 kHz.
fn stereo(left: &[i16], right: &[i16]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("call.wav");
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(&path, spec).unwrap();
    for (left, right) in left.iter().zip(right) {
        file.write_sample(*left).unwrap();
        file.write_sample(*right).unwrap();
    }
    file.finalize().unwrap();
    (folder, path)
}

/// The messages of one sink of a pipeline.
fn of_sink(pipeline: &Pipeline, sink: &str, kind: &str) -> Vec<gst::Structure> {
    let of = |message: &&gst::Message| message.src().is_some_and(|src| src.name() == sink);
    let messages = pipeline.messages.iter().filter(of);
    let name = format!("symbl/{kind}");
    messages
        .filter_map(|message| message.structure().map(ToOwned::to_owned))
        .filter(|structure| structure.name() == &name)
        .collect()
}

fn texts(structures: &[gst::Structure], field: &str) -> Vec<String> {
    let text = |s: &gst::Structure| s.get::<String>(field).unwrap_or_default();
    structures.iter().map(text).collect()
}

#[test]
fn the_two_sides_of_a_recorded_call_are_two_speakers_of_one_conversation() {
    let service = Service::start();
    let (anna, bob) = (
        scripted::speech(0..25, 16_000),
        scripted::speech(100..125, 16_000),
    );
    let (_folder, call) = stereo(&anna, &bob);
    let leg = |number: u8, name: &str| {
        format!(
            "call.src_{number} ! queue ! audioconvert ! audioresample \
             ! audio/x-raw,rate=16000,channels=1 ! symblsink name={name} speaker-name={name} \
             connection-id=call-17 sync=false drain-timeout=60000 base-url={}",
            service.url()
        )
    };
    let pipeline = run(&format!(
        "filesrc location={} ! decodebin ! audioconvert ! deinterleave name=call {} {}",
        call.display(),
        leg(0, "Anna"),
        leg(1, "Bob")
    ));
    for (name, range) in [("Anna", 0..25), ("Bob", 100..125)] {
        let mut finals = of_sink(&pipeline, name, "transcript");
        finals.retain(|s| s.get::<bool>("is-final") == Ok(true));
        assert_words(&words_of(&finals), range, 0, 20_000_000);
        assert!(
            texts(&finals, "speaker-name")
                .iter()
                .all(|speaker| speaker == name)
        );
    }
    let sessions = pipeline.of_kind("session");
    let ids = texts(&sessions, "conversation-id");
    assert!(
        ids.len() >= 2 && ids.iter().all(|id| *id == ids[0]),
        "{sessions:?}"
    );
    // One conversation: each side also hears what the other one said.
    let speakers = texts(&of_sink(&pipeline, "Anna", "message"), "speaker-name");
    assert!(speakers.iter().any(|name| name == "Bob"), "{speakers:?}");
}

/// A call in Opus over RTP on the loopback, in real time; every twentieth
/// packet is lost. `encoder` is the one of the caller. What the sink told.
fn lossy_call(samples: &[i16], encoder: &str, last_word: &'static str) -> (Pipeline, u64, u64) {
    let service = Service::start();
    let (_folder, wav) = wav(samples);
    let mut to = Pipeline::launch(&format!(
        "udpsrc name=net address=127.0.0.1 port=0 \
         caps=\"application/x-rtp,media=audio,clock-rate=48000,encoding-name=OPUS,payload=96\" \
         ! rtpjitterbuffer mode=none latency=200 ! rtpopusdepay \
         ! symblsink name=sink drain-timeout=60000 base-url={}",
        service.url()
    ));
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
    // Not the first one, which says when the call begins.
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
    to.pipeline.send_event(gst::event::Eos::new());
    to.wait_for_eos();
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    (to, count(&packets), count(&lost))
}

#[test]
fn of_a_call_with_five_percent_loss_the_words_are_at_their_time() {
    let mut samples = scripted::speech(0..25, 16_000);
    samples.extend(scripted::silence(Duration::from_millis(600), 16_000));
    let (pipeline, packets, lost) = lossy_call(&samples, "opusenc ! rtpopuspay", "w24");
    // 5.6 s in packets of 20 ms.
    assert!(packets >= 280 && lost >= 13, "{lost} of {packets}");
    let words = pipeline.words();
    // A loss that was not noticed would bring all words after it 20 ms forward.
    assert_words(&words, 0..25, words[0].1, 20_000_000);
}

#[test]
fn of_a_call_that_sends_nothing_in_silence_the_words_are_at_their_time() {
    let silence = scripted::silence(Duration::from_secs(3), 16_000);
    let samples = [
        scripted::speech(0..5, 16_000),
        silence.clone(),
        scripted::speech(5..10, 16_000),
        silence,
    ];
    let encoder = "opusenc dtx=true audio-type=voice ! rtpopuspay dtx=true";
    let (pipeline, packets, lost) = lossy_call(&samples.concat(), encoder, "w9");
    // 8 s are 400 packets of 20 ms.
    assert!(packets < 250 && lost >= 5, "{lost} of {packets}");
    let words = pipeline.words();
    let begin = words[0].1;
    let (before, after) = words.split_at(5);
    assert_words(before, 0..5, begin, 20_000_000);
    assert_words(after, 5..10, begin + 4_000_000_000, 40_000_000);
}

#[test]
fn a_transport_stream_over_udp_gives_its_words_once_in_order() {
    init();
    if gst::ElementFactory::find("mpegtsmux").is_none() {
        absent("no mpegtsmux (Debian package gstreamer1.0-plugins-bad)");
        return;
    }
    let service = Service::start();
    let mut samples = scripted::speech(0..25, 16_000);
    // The last packets wait for more that never comes.
    samples.extend(scripted::silence(Duration::from_secs(2), 16_000));
    let (_folder, wav) = wav(&samples);
    let mut to = Pipeline::launch(&format!(
        "udpsrc name=net address=127.0.0.1 port=0 caps=\"video/mpegts,systemstream=true\" \
         ! decodebin ! audioconvert ! audioresample ! audio/x-raw,rate=16000,channels=1 \
         ! symblsink name=sink drain-timeout=60000 base-url={}",
        service.url()
    ));
    to.play();
    let port = to.pipeline.by_name("net").unwrap().property::<i32>("port");
    let mut from = Pipeline::launch(&format!(
        "filesrc location={} ! wavparse ! audioconvert ! audioresample ! lamemp3enc ! mpegaudioparse \
         ! mpegtsmux alignment=7 ! udpsink host=127.0.0.1 port={port}",
        wav.display()
    ));
    from.play();
    from.wait_for_eos();
    while to.words().len() < 25 {
        to.wait_for_kind("transcript");
    }
    to.pipeline.send_event(gst::event::Eos::new());
    to.wait_for_eos();
    let words = to.words();
    // A receiver places the sender's clock by when packets arrive, which on a busy
    // machine is late: so it is the order that counts.
    assert_words(&words, 0..25, words[0].1, 2_000_000_000);
    assert!(words.is_sorted_by_key(|(_, at)| *at), "{words:?}");
}
