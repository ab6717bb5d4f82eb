// SPDX-License-Identifier: MPL-2.0

//! The same for encoded audio, which comes in packets that can be lost but not cut or filled.

use super::{L16_16K, MS, S, Stream, segment, times};
use crate::common::pipeline::{Pipeline, buffer, bytes_of};
use gst::prelude::*;
use symbl_service::recognizer::scripted;

/// Encodes speech. Returns the caps, and the packets with their times.
fn encode(rate: u32, encoder: &str, samples: &[i16]) -> (gst::Caps, Vec<gst::Buffer>) {
    let caps = L16_16K.replace("16000", &rate.to_string());
    let pipeline = Pipeline::launch(&format!(
        "appsrc name=src format=time caps=\"{caps}\" ! {encoder} \
         ! appsink name=out sync=false"
    ));
    let out = pipeline.pipeline.by_name("out").expect("a sink");
    let out: gst_app::AppSink = out.downcast().expect("an appsink");
    pipeline.play();
    let block = rate as usize / 50;
    for (n, piece) in (0..).zip(samples.chunks(block)) {
        let buffer = buffer(bytes_of(piece), Some(n * 20 * MS), Some(20 * MS));
        pipeline.src().push_buffer(buffer).expect("it flows");
    }
    pipeline.src().end_of_stream().expect("an end");
    let samples: Vec<_> = std::iter::from_fn(|| out.pull_sample().ok()).collect();
    let caps = samples[0].caps_owned().expect("caps");
    let packets = samples.iter().filter_map(|s| s.buffer_owned()).collect();
    (caps, packets)
}

/// Returns the packet at another time.
fn moved(packet: &gst::Buffer, by: u64) -> gst::Buffer {
    let mut packet = packet.copy();
    let pts = packet
        .pts()
        .map(|pts| pts + gst::ClockTime::from_nseconds(by));
    packet.make_mut().set_pts(pts);
    packet
}

/// Rate and encoder of each compressed encoding.
const ENCODERS: [(u32, &str); 4] = [
    (8_000, "mulawenc"),
    (48_000, "opusenc bitrate=64000"),
    (16_000, "flacenc ! flacparse"),
    (48_000, "flacenc blocksize=1024 ! flacparse"),
];

#[test]
fn every_encoding() {
    for (rate, encoder) in ENCODERS {
        let (caps, packets) = encode(rate, encoder, &scripted::speech(0..25, rate));
        let stream = Stream::begin(&caps);
        stream.segment(&segment(0, None));
        packets.into_iter().for_each(|packet| stream.push(packet));
        stream.finish().assert_words(&times(0..25, 0));
    }
}

#[test]
fn every_encoding_in_a_segment_that_starts_later() {
    for (rate, encoder) in ENCODERS {
        let (caps, packets) = encode(rate, encoder, &scripted::speech(0..25, rate));
        let stream = Stream::begin(&caps);
        let mut segment = segment(900 * S, None);
        segment.set_base(gst::ClockTime::from_seconds(3));
        stream.segment(&segment);
        for packet in &packets {
            stream.push(moved(packet, 901 * S));
        }
        stream.finish().assert_words(&times(0..25, 4 * S));
    }
}

#[test]
fn every_encoding_after_a_hole_and_after_lost_packets() {
    for (rate, encoder) in ENCODERS {
        for told_of in [false, true] {
            let quiet = scripted::silence(std::time::Duration::from_secs(2), rate);
            let samples = [
                scripted::speech(0..10, rate),
                quiet,
                scripted::speech(10..20, rate),
            ]
            .concat();
            let (caps, packets) = encode(rate, encoder, &samples);
            let stream = Stream::begin(&caps);
            stream.segment(&segment(0, None));
            // The middle of the silence from 2 s to 4 s is lost. The packets behind it come
            // three seconds later.
            let lost = |packet: &&gst::Buffer| {
                let pts = packet.pts().map_or(0, gst::ClockTime::nseconds);
                (2500 * MS..3400 * MS).contains(&pts)
            };
            let first = packets.iter().position(|p| lost(&p)).expect("one");
            let last = packets.iter().rposition(|p| lost(&p)).expect("one");
            for packet in &packets[..first] {
                stream.push(packet.clone());
            }
            if told_of {
                let begin = packets[first].pts().expect("a time").nseconds();
                let end = packets[last + 1].pts().expect("a time").nseconds();
                stream.gap(begin, end + 3 * S);
            }
            for packet in &packets[last + 1..] {
                stream.push(moved(packet, 3 * S));
            }
            let expected = [times(0..10, 0), times(10..20, 7 * S)];
            stream.finish().assert_words(&expected.concat());
        }
    }
}

#[test]
fn packets_without_times_behind_one_with_times() {
    for (rate, encoder) in &ENCODERS[1..] {
        let (caps, packets) = encode(*rate, encoder, &scripted::speech(0..25, *rate));
        let stream = Stream::begin(&caps);
        stream.segment(&segment(0, None));
        let is_header = |packet: &gst::Buffer| packet.flags().contains(gst::BufferFlags::HEADER);
        let first = packets.iter().position(|p| !is_header(p)).expect("audio");
        for (n, packet) in packets.iter().enumerate() {
            let mut packet = moved(packet, 6 * S);
            if n > first {
                packet.make_mut().set_pts(None);
                packet.make_mut().set_duration(None);
            }
            stream.push(packet);
        }
        stream.finish().assert_words(&times(0..25, 6 * S));
    }
}

#[test]
fn packets_across_the_start_of_a_segment() {
    for (rate, encoder) in &ENCODERS[1..] {
        let (caps, packets) = encode(*rate, encoder, &scripted::speech(0..25, *rate));
        let stream = Stream::begin(&caps);
        // The segment starts in the middle of word 5, and of most packets.
        stream.segment(&segment(1110 * MS, None));
        packets.into_iter().for_each(|packet| stream.push(packet));
        let told = stream.finish();
        // A packet is sent whole, so that a word or two before the edge may come, at the
        // earliest possible time.
        let mut words = told.0.words();
        words.retain(|(word, _)| !["w3", "w4", "w5"].contains(&word.as_str()));
        let expected = times(6..25, 90 * MS);
        assert_eq!(words.len(), expected.len(), "{words:?}");
        for ((word, at), (n, truth)) in words.iter().zip(&expected) {
            assert_eq!(*word, format!("w{n}"));
            assert!(at.abs_diff(*truth) <= 20 * MS, "{word} at {at}");
        }
    }
}
