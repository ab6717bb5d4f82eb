// SPDX-License-Identifier: MPL-2.0

//! Files that decodebin reads, and a recorded call with a speaker on each channel.

use super::{assert_words, of_sink, run, texts, wav};
use crate::common::pipeline::words_of;
use crate::common::service::Service;
use std::path::PathBuf;
use symbl_service::recognizer::scripted;
use tempfile::TempDir;

#[test]
fn whatever_decodebin_decodes_gives_its_words_once_at_their_time() {
    let service = Service::start();
    let (_folder, wav) = wav(&scripted::speech(0..25, 16_000));
    for (encoder, extension, tolerance) in [
        ("wavenc", "wav", 20),
        ("flacenc", "flac", 20),
        ("vorbisenc ! oggmux", "ogg", 20),
        ("opusenc ! mp4mux", "mp4", 20),
        // The silence that this encoder adds before the sound is not documented.
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

/// Writes two channels into one WAV file at 16 kHz.
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
    // There is one conversation, in which each side also gets the messages of the other.
    let speakers = texts(&of_sink(&pipeline, "Anna", "message"), "speaker-name");
    assert!(speakers.iter().any(|name| name == "Bob"), "{speakers:?}");
}
