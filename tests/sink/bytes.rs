// SPDX-License-Identifier: MPL-2.0

//! The audio of the pad goes on the wire byte for byte, in messages that are small enough and
//! are cut only where they may be: C11–C14.
//!
//! Each encoding is pushed in buffers of one sample, 2.5 ms, 20 ms, 1 s and 1 MiB. The input
//! is noise, so that no byte could be taken for another.

use crate::common::peer::{Peer, Record, Script};
use crate::common::pipeline::{Pipeline, buffer};
use crate::common::tap::Tap;

/// Maximum size of a message of audio, in bytes.
const LIMIT: usize = 8192;

const MIB: usize = 1024 * 1024;

/// The format of the audio that upstream pushes.
#[derive(Clone, Copy)]
struct Raw {
    caps: &'static str,
    rate: usize,
    /// Bytes per sample.
    width: usize,
}

const S16_16K: Raw = Raw {
    caps: "audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate=16000",
    rate: 16_000,
    width: 2,
};

const S16_48K: Raw = Raw {
    caps: "audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate=48000",
    rate: 48_000,
    ..S16_16K
};

const S16_44K: Raw = Raw {
    caps: "audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate=44100",
    rate: 44_100,
    ..S16_16K
};

const S16_8K: Raw = Raw {
    caps: "audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate=8000",
    rate: 8_000,
    ..S16_16K
};

const MULAW: Raw = Raw {
    caps: "audio/x-mulaw,channels=1,rate=8000",
    rate: 8_000,
    width: 1,
};

/// Returns sizes of the upstream buffers, each with the total to push, in bytes. The total
/// is enough for many messages, or for more than one buffer, and never a whole number of
/// either.
fn sizes(raw: Raw) -> [(usize, usize); 5] {
    let second = raw.rate * raw.width;
    [
        (raw.width, second / 3 / raw.width * raw.width),
        (second / 400, second + 3 * raw.width),
        (second / 50, 2 * second + 3 * raw.width),
        (second, 4 * second + 3 * raw.width),
        (MIB, MIB + second + 3 * raw.width),
    ]
}

fn noise(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(length as u64);
    std::iter::repeat_with(|| random.u8(..))
        .take(length)
        .collect()
}

/// Returns noise that is soft, so that FLAC can compress it.
fn soft_noise(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(length as u64);
    std::iter::repeat_with(|| random.i16(-500..500))
        .flat_map(i16::to_le_bytes)
        .take(length)
        .collect()
}

/// Plays `input` in buffers of `size` through `encoder` (a part of a launch line, or nothing)
/// to a peer of its own. Returns the buffers of the sink and the record of the peer.
fn play(raw: Raw, encoder: &str, input: &[u8], size: usize) -> (Tap, Record) {
    let peer = Peer::start(Script::listening());
    let mut pipeline = Pipeline::launch(&format!(
        "appsrc name=src format=time block=true max-bytes=4000000 caps=\"{}\" {encoder} \
         ! symblsink name=sink sync=false base-url={}",
        raw.caps,
        peer.base_url()
    ));
    let tap = Tap::on(&pipeline.sink());
    pipeline.play();
    let nanos = |bytes: usize| (bytes / raw.width) as u64 * 1_000_000_000 / raw.rate as u64;
    for (n, piece) in input.chunks(size).enumerate() {
        let (start, end) = (nanos(n * size), nanos(n * size + piece.len()));
        let buffer = buffer(piece.to_vec(), Some(start), Some(end - start));
        pipeline.src().push_buffer(buffer).expect("it flows");
    }
    pipeline.src().end_of_stream().expect("an end");
    pipeline.wait_for_eos();
    assert_eq!(pipeline.of_kind("gap").len(), 0, "{:#?}", pipeline.names());
    let records = peer.records();
    assert_eq!(records.len(), 1, "one connection");
    let first = &records[0].frames[0];
    assert!(first.is_text(), "the start comes first, not {first:?}");
    (tap, records[0].clone())
}

/// Asserts that no message is too long, empty or cut inside a sample of `width` bytes.
fn assert_messages_are_whole(record: &Record, width: usize) {
    let messages = record.audio_messages();
    assert!(!messages.is_empty());
    for message in messages {
        assert!(!message.is_empty() && message.len() <= LIMIT);
        assert_eq!(message.len() % width, 0, "cut inside a sample");
    }
}

/// Asserts that two byte strings are the same, without printing them.
fn assert_same(sent: &[u8], expected: &[u8], what: &str) {
    let differ = sent.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!(differ, None, "{what}: first difference");
    assert_eq!(sent.len(), expected.len(), "{what}: length");
}

#[test]
fn c11_no_message_is_too_long_or_cut_inside_a_sample_whatever_the_buffers() {
    for raw in [S16_16K, S16_44K, S16_48K, MULAW] {
        for (size, total) in sizes(raw) {
            let (_, record) = play(raw, "", &noise(total), size);
            assert_messages_are_whole(&record, raw.width);
        }
    }
}

#[test]
fn c12_a_message_lasts_100_ms_or_as_long_as_fits_on_a_sample_boundary() {
    for (raw, full) in [
        (S16_8K, 1600),
        (S16_16K, 3200),
        (S16_44K, 8192),
        (S16_48K, 8192),
        (MULAW, 800),
    ] {
        for (size, total) in sizes(raw).into_iter().skip(1) {
            let (_, record) = play(raw, "", &noise(total), size);
            let messages = record.audio_messages();
            let (last, others) = messages.split_last().expect("messages");
            assert!(messages.iter().all(|m| m.len() <= full));
            // Audio that has waited for 100 ms leaves as it is, so that a busy machine may
            // make some messages shorter.
            let short = others.iter().filter(|m| m.len() < full).count();
            assert!(short <= others.len() / 2, "{short} of {}", others.len());
            assert!(!last.is_empty());
        }
    }
}

#[test]
fn c13_linear16_arrives_byte_for_byte_whatever_the_buffers() {
    for raw in [S16_16K, S16_44K] {
        for (size, total) in sizes(raw) {
            let input = noise(total);
            let (_, record) = play(raw, "", &input, size);
            let what = format!("{} in buffers of {size}", raw.rate);
            assert_same(&record.audio(), &input, &what);
        }
    }
}

#[test]
fn c13_mulaw_arrives_byte_for_byte_whatever_the_buffers() {
    for (size, total) in sizes(MULAW) {
        let input = noise(total);
        let (_, record) = play(MULAW, "", &input, size);
        assert_same(&record.audio(), &input, &format!("buffers of {size}"));
    }
}

#[test]
fn c13_mulaw_of_an_encoder_arrives_byte_for_byte_whatever_the_buffers() {
    for (size, total) in sizes(S16_8K) {
        let (tap, record) = play(S16_8K, "! mulawenc", &noise(total), size);
        let what = format!("buffers of {size}");
        assert_same(&record.audio(), &tap.packets().concat(), &what);
        assert_eq!(record.audio().len(), total / 2, "{what}");
        assert_messages_are_whole(&record, 1);
    }
}

#[test]
fn c14_each_opus_packet_is_one_message_whatever_the_buffers() {
    for (size, total) in sizes(S16_48K) {
        for encoder in ["! opusenc", "! opusenc frame-size=2.5 audio-type=voice"] {
            let (tap, record) = play(S16_48K, encoder, &soft_noise(total), size);
            let packets = tap.packets();
            assert!(packets.len() >= total / (2 * 960), "{}", packets.len());
            assert!(
                record.audio_messages() == packets,
                "{encoder}, buffers of {size}: {} messages of {} packets",
                record.audio_messages().len(),
                packets.len()
            );
            assert_no_ogg(&record);
        }
    }
}

#[test]
fn c14_opus_packets_of_every_length_are_messages() {
    for frame_size in ["2.5", "5", "10", "20", "40", "60"] {
        for raw in [S16_8K, S16_16K, S16_48K] {
            // The packets come out of RTP.
            let rtp = "rtpopuspay ! rtpopusdepay";
            let encoder = format!("! opusenc frame-size={frame_size} ! {rtp}");
            let second = raw.rate * raw.width;
            let (tap, record) = play(raw, &encoder, &soft_noise(second), second / 50);
            assert!(record.audio_messages() == tap.packets(), "{frame_size} ms");
            assert_no_ogg(&record);
        }
    }
}

/// Asserts that the packets are raw, without anything that a container would add.
fn assert_no_ogg(record: &Record) {
    for message in record.audio_messages() {
        assert!(message.len() <= LIMIT);
        for marker in ["OggS", "OpusHead", "OpusTags"] {
            assert!(!message.starts_with(marker.as_bytes()), "{marker}");
        }
    }
}

/// The caps of `flacenc` alone do not say that its buffers are whole frames.
const FLAC: &str = "! flacenc ! flacparse";

#[test]
fn c13_flac_arrives_as_a_native_stream_whatever_the_buffers() {
    for raw in [S16_16K, S16_48K] {
        for (size, total) in sizes(raw) {
            let (tap, record) = play(raw, FLAC, &soft_noise(total), size);
            assert_native_flac(&tap, &record);
        }
    }
}

/// Asserts that the first message is the header, and that each other one is a frame.
fn assert_native_flac(tap: &Tap, record: &Record) {
    let messages = record.audio_messages();
    let (header, frames) = messages.split_first().expect("messages");
    assert!(header.starts_with(b"fLaC"));
    assert_eq!(*header, tap.flac_header(), "what decoders need");
    assert!(frames.iter().all(|frame| frame.len() <= LIMIT));
    assert!(frames == tap.packets(), "one message for each frame");
}

#[test]
fn c11_a_flac_frame_that_is_too_long_is_cut_and_no_message_holds_two() {
    // FLAC cannot compress full-scale noise.
    let (tap, record) = play(S16_48K, FLAC, &noise(96_000 * 3), 96_000);
    let packets = tap.packets();
    assert!(packets.iter().any(|frame| frame.len() > LIMIT));
    let pieces: Vec<&[u8]> = packets.iter().flat_map(|p| p.chunks(LIMIT)).collect();
    let messages = record.audio_messages();
    assert!(messages[1..] == pieces);
    assert_same(
        &record.audio(),
        &[tap.flac_header(), packets.concat()].concat(),
        "stream",
    );
}
