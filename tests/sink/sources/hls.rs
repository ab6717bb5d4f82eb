// SPDX-License-Identifier: MPL-2.0

//! A live channel that is recorded and cut into HLS segments beside its captions.

use super::ts::{assert_in_order, encoder};
use super::{documented, free_port, talk, there, watched, wav};
use crate::common::pipeline::{Pipeline, until};
use crate::common::service::Service;
use gst::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Number of pictures, at 25 per second for as long as the sound.
const FRAMES: u32 = 150;

/// Returns the segments of a playlist, and their duration in seconds.
fn playlist(text: &str) -> (Vec<&str>, f64) {
    let segments = text.lines().filter(|line| !line.starts_with('#'));
    let lengths = text
        .lines()
        .filter_map(|line| line.strip_prefix("#EXTINF:"));
    let lengths = lengths.map(|length| length.trim_end_matches(',').parse::<f64>().unwrap());
    (
        segments.filter(|line| !line.is_empty()).collect(),
        lengths.sum(),
    )
}

/// Counts the bytes that come to an element.
fn bytes_into(pipeline: &Pipeline, name: &str) -> Arc<AtomicU64> {
    let bytes = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&bytes);
    let element = pipeline.pipeline.by_name(name).expect("the element");
    let pad = element.static_pad("sink").expect("a pad");
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let size = info.buffer().map_or(0, |buffer| buffer.size());
        counter.fetch_add(size as u64, Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    bytes
}

/// Asserts that a file is a transport stream with all pictures and words.
fn assert_is_whole(file: &Path) {
    let service = Service::start();
    let mut pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! tsdemux name=show \
         show. ! queue ! h264parse ! video/x-h264,alignment=au ! fakesink name=picture sync=false \
         show. ! queue ! decodebin ! audioconvert ! audioresample \
         ! audio/x-raw,rate=16000,channels=1 \
         ! symblsink name=sink sync=false drain-timeout=60000 base-url={}",
        file.display(),
        service.url()
    ));
    let picture = watched(&pipeline, "picture");
    pipeline.play();
    pipeline.wait_for_eos();
    assert_in_order(&pipeline.words());
    assert_eq!(picture.lock().unwrap().len(), FRAMES as usize);
}

#[test]
fn a_channel_is_recorded_and_segmented_whole_beside_its_captions() {
    if !there(&[
        "srtsrc",
        "hlssink2",
        "mpegtsmux",
        "openh264enc",
        "voaacenc",
        "faad",
    ]) {
        return;
    }
    let service = Service::start();
    let (folder, wav) = wav(&talk(Duration::ZERO));
    let at = |name: &str| folder.path().join(name);
    let port = free_port();
    let address = format!("srt://127.0.0.1:{port}");
    let line = documented(
        "Recording and HLS beside the captions",
        &service,
        &[
            ("srt://:7001", &address),
            (
                "location=show",
                &format!("location={}", at("show").display()),
            ),
        ],
    );
    let mut to = Pipeline::launch(&line);
    to.play();
    // The latency is long enough for a busy machine.
    let output = format!("srtsink name=net uri=\"{address}?mode=caller&latency=2000\"");
    let mut from = encoder(&wav, FRAMES, &output);
    let received = bytes_into(&to, "feed");
    from.play();
    from.wait_for_eos();
    // A sender that hangs up drops the packets that are under way.
    let net = from.pipeline.by_name("net").unwrap();
    let sent: u64 = net
        .property::<gst::Structure>("stats")
        .get("bytes-sent-total")
        .unwrap();
    until("all has come", || received.load(Ordering::Relaxed) == sent);
    from.stop();
    // The segments end by themselves: see docs/sources.md.
    to.wait_for_kind("drained");
    let text = || std::fs::read_to_string(at("show.m3u8")).unwrap_or_default();
    until("the playlist is over", || text().contains("#EXT-X-ENDLIST"));
    to.stop();

    assert_in_order(&to.words());
    assert_is_whole(&at("show.ts"));
    let text = text();
    let (segments, length) = playlist(&text);
    assert!(segments.len() >= 3, "{text}");
    // The length is by the sender's clock as the receiver sees it: see `assert_in_order`.
    assert!((length - 6.0).abs() < 2.0, "{text}");
    let bytes: Vec<u8> = segments
        .iter()
        .flat_map(|segment| std::fs::read(at(segment)).unwrap())
        .collect();
    let joined: PathBuf = at("joined.ts");
    std::fs::write(&joined, bytes).unwrap();
    assert_is_whole(&joined);
}
