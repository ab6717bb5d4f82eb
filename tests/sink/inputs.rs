// SPDX-License-Identifier: MPL-2.0

//! Common inputs: WAV, FLAC and Opus files, telephone calls. Each goes through GStreamer's own
//! elements into the sink, once with exactly known words and once with recorded speech and
//! the real recogniser.

use crate::accuracy;
use crate::common::pipeline::{Pipeline, init};
use crate::common::service::Service;
use crate::engine;
use crate::speech;
use gst::prelude::*;
use std::path::{Path, PathBuf};
use std::time::Duration;
use symbl_service::recognizer::scripted;
use tempfile::TempDir;

/// Writes samples at 16 kHz as a WAV file in a folder of its own.
fn wav(samples: &[i16]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("talk.wav");
    engine::write_wav(&path, samples);
    (folder, path)
}

/// Encodes the WAV file in another format, beside it.
fn encoded(wav: &Path, encoder: &str, extension: &str) -> PathBuf {
    let to = wav.with_extension(extension);
    let mut pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! wavparse ! audioconvert ! audioresample ! {encoder} \
         ! filesink location={}",
        wav.display(),
        to.display()
    ));
    pipeline.play();
    pipeline.wait_for_eos();
    to
}

fn flac(wav: &Path) -> PathBuf {
    encoded(wav, "flacenc", "flac")
}

fn opus(wav: &Path) -> PathBuf {
    encoded(wav, "opusenc ! oggmux", "opus")
}

/// Sends a file as fast as the service takes it, to the end.
fn send(service: &Service, file: &Path, elements: &str) -> Pipeline {
    let mut pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! {elements} ! symblsink name=sink sync=false \
         drain-timeout=60000 base-url={}",
        file.display(),
        service.url()
    ));
    pipeline.play();
    pipeline.wait_for_eos();
    let drained = pipeline.of_kind("drained");
    assert_eq!(drained.len(), 1);
    assert_eq!(drained[0].get::<bool>("complete"), Ok(true));
    pipeline
}

const WAV: &str = "wavparse";
const FLAC: &str = "flacparse";
/// Without a depayloader, oggdemux would pass on the headers of the file as packets.
const OPUS: &str = "oggdemux ! rtpopuspay ! rtpopusdepay";
/// The least that the caps of a caller's Opus have: neither rate nor channels.
const OPUS_CALL: &str = "oggdemux ! rtpopuspay ! capssetter replace=true \
     caps=application/x-rtp,media=audio,clock-rate=48000,encoding-name=OPUS,payload=96 \
     ! rtpopusdepay";

/// Returns all words of the transcripts.
fn heard(pipeline: &Pipeline) -> Vec<String> {
    let texts: Vec<String> = pipeline
        .finals()
        .iter()
        .map(|message| message.get::<String>("text").unwrap())
        .collect();
    accuracy::words(&texts.join(" "))
}

/// Asserts that words w0 to w24 came once each and in order, the first at `begin`
/// (nanoseconds) and the others in steps of 200 ms.
fn assert_words(pipeline: &Pipeline, begin: u64) {
    let words = pipeline.words();
    let texts: Vec<&str> = words.iter().map(|(text, _)| text.as_str()).collect();
    let expected: Vec<String> = (0..25).map(|n| format!("w{n}")).collect();
    assert_eq!(texts, expected);
    for (n, (text, at)) in words.iter().enumerate() {
        let truth = begin + n as u64 * 200_000_000;
        assert!(at.abs_diff(truth) <= 20_000_000, "{text} at {at}");
    }
}

#[test]
fn every_kind_of_file_gives_its_words_once_at_their_time() {
    let service = Service::start();
    let (_folder, wav) = wav(&scripted::speech(0..25, 16_000));
    assert_words(&send(&service, &wav, WAV), 0);
    assert_words(&send(&service, &flac(&wav), FLAC), 0);
    assert_words(&send(&service, &opus(&wav), OPUS), 0);
    assert_words(&send(&service, &opus(&wav), OPUS_CALL), 0);
}

/// Returns the prompts that are easy to understand, with pauses, and their texts. Returns
/// `None` if they are not installed.
fn talk() -> Option<(Vec<i16>, Vec<String>)> {
    let mut samples = Vec::new();
    let mut said = Vec::new();
    for sample in speech::samples("smoke") {
        samples.extend(speech::audio(&sample)?);
        samples.extend(speech::silence(Duration::from_millis(1200)));
        said.extend(accuracy::words(sample.reference));
    }
    Some((samples, said))
}

/// Returns the word error rate, and prints it for the README.
fn word_error_rate(kind: &str, said: &[String], heard: &[String]) -> f64 {
    let errors = accuracy::word_errors(said, heard);
    println!("{kind}: {errors} errors in {} words", said.len());
    errors as f64 / said.len() as f64
}

#[test]
fn recorded_speech_is_understood_and_flac_loses_nothing_of_it() {
    let Some(service) = engine::service() else {
        return;
    };
    let Some((samples, said)) = talk() else {
        return;
    };
    let (_folder, wav) = wav(&samples);
    let from_wav = heard(&send(&service, &wav, WAV));
    let wer = word_error_rate("WAV", &said, &from_wav);
    assert!(wer <= 0.10, "{:.1} %: {from_wav:?}", 100.0 * wer);
    assert_eq!(heard(&send(&service, &flac(&wav), FLAC)), from_wav);
}

#[test]
fn recorded_speech_is_understood_through_opus_and_rtp() {
    let Some(service) = engine::service() else {
        return;
    };
    let Some((samples, said)) = talk() else {
        return;
    };
    let (_folder, wav) = wav(&samples);
    let from_opus = heard(&send(&service, &opus(&wav), OPUS));
    let wer = word_error_rate("Opus", &said, &from_opus);
    assert!(wer <= 0.25, "{:.1} %: {from_opus:?}", 100.0 * wer);
}

/// A call in µ-law over RTP on the loopback, in real time.
struct Call {
    from: Pipeline,
    to: Pipeline,
}

impl Call {
    /// Plays the WAV file to a sink.
    fn start(wav: &Path, service: &Service) -> Self {
        init();
        // The times are those of the caller's clock, because packets on a busy machine arrive
        // at uneven times.
        let to = Pipeline::launch(&format!(
            "udpsrc name=net address=127.0.0.1 port=0 \
             caps=\"application/x-rtp,media=audio,clock-rate=8000,encoding-name=PCMU,payload=0\" \
             ! rtpjitterbuffer mode=none latency=1000 ! rtppcmudepay \
             ! symblsink name=sink drain-timeout=60000 base-url={}",
            service.url()
        ));
        to.play();
        let net = to.pipeline.by_name("net").unwrap();
        let port = net.property::<i32>("port");
        let from = Pipeline::launch(&format!(
            "filesrc location={} ! wavparse ! audioconvert ! audioresample ! mulawenc \
             ! rtppcmupay ! udpsink host=127.0.0.1 port={port}",
            wav.display()
        ));
        from.play();
        Self { from, to }
    }

    /// Ends the call after all of it has arrived.
    fn hang_up(mut self) -> Pipeline {
        self.from.wait_for_eos();
        self.to.pipeline.send_event(gst::event::Eos::new());
        self.to.wait_for_eos();
        self.to
    }
}

#[test]
fn a_call_gives_its_words_once_at_their_time() {
    let service = Service::start();
    let mut samples = scripted::speech(0..25, 16_000);
    samples.extend(scripted::silence(Duration::from_millis(600), 16_000));
    let (_folder, wav) = wav(&samples);
    let mut call = Call::start(&wav, &service);
    while call.to.words().len() < 25 {
        call.to.wait_for_kind("transcript");
    }
    let pipeline = call.hang_up();
    let (_, begin) = pipeline.words()[0];
    assert_words(&pipeline, begin);
    let drained = pipeline.of_kind("drained");
    assert_eq!(drained[0].get::<bool>("complete"), Ok(true));
}

#[test]
fn a_spoken_call_is_heard_where_it_is_spoken() {
    let Some(service) = engine::service() else {
        return;
    };
    let sentence = ["The meeting starts at nine and the report is ready."];
    let Some(samples) = engine::spoken(&sentence) else {
        return;
    };
    let spoken = samples.len() as u64 * 1_000_000_000 / 16_000;
    let (_folder, wav) = wav(&samples);
    let mut call = Call::start(&wav, &service);
    call.to.wait_for("a final transcript", |message| {
        message
            .structure()
            .is_some_and(|s| s.get("is-final") == Ok(true))
    });
    let pipeline = call.hang_up();
    // Telephone speech is hard for this engine, so that its words are not checked.
    let words = pipeline.words();
    assert!(words.len() >= 5, "{words:?}");
    assert!(
        words.windows(2).all(|two| two[0].1 <= two[1].1),
        "{words:?}"
    );
    let (first, last) = (words[0].1, words[words.len() - 1].1);
    assert!(last - first < spoken, "{words:?}");
    let stats = pipeline.sink().property::<gst::Structure>("stats");
    let sent = stats.get::<u64>("audio-sent").unwrap();
    assert!(sent.abs_diff(spoken) <= 100_000_000, "{sent} of {spoken}");
}
