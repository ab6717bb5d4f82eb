// SPDX-License-Identifier: MPL-2.0

//! Transport streams, over UDP and over SRT.

use super::{assert_words, documented, free_port, hear, talk, there, wav};
use crate::common::pipeline::Pipeline;
use crate::common::service::Service;
use gst::prelude::*;
use std::path::Path;
use std::time::Duration;

/// Starts an encoder that sends a picture and the sound of a file, in real time.
pub(super) fn encoder(sound: &Path, frames: u32, output: &str) -> Pipeline {
    Pipeline::launch(&format!(
        "mpegtsmux name=mux alignment=7 ! {output} \
         videotestsrc num-buffers={frames} pattern=ball \
         ! video/x-raw,format=I420,width=160,height=120,framerate=25/1 \
         ! openh264enc gop-size=25 ! h264parse ! queue ! mux. \
         filesrc location={} ! wavparse ! audioconvert ! audioresample ! voaacenc ! aacparse \
         ! queue ! mux.",
        sound.display()
    ))
}

const ELEMENTS: [&str; 5] = ["mpegtsmux", "openh264enc", "voaacenc", "faad", "srtsrc"];

/// Asserts that the words of a receiver are in order. Their times are not checked, because
/// the receiver derives the sender's clock from the arrival of packets, which is late on a
/// busy machine.
pub(super) fn assert_in_order(words: &[(String, u64)]) {
    assert_words(words, 0..25, words[0].1, 2_000_000_000);
    assert!(words.is_sorted_by_key(|(_, at)| *at), "{words:?}");
}

#[test]
fn a_transport_stream_over_udp_gives_its_words_once_in_order() {
    if !there(&ELEMENTS) {
        return;
    }
    let service = Service::start();
    // The demuxer holds the last packets back until more come.
    let (_folder, wav) = wav(&talk(Duration::ZERO));
    let here = "name=net address=127.0.0.1 port=0";
    let line = documented("Transport stream", &service, &[("port=5008", here)]);
    let mut to = Pipeline::launch(&line);
    to.play();
    let port = to.pipeline.by_name("net").unwrap().property::<i32>("port");
    let mut from = encoder(&wav, 150, &format!("udpsink host=127.0.0.1 port={port}"));
    from.play();
    from.wait_for_eos();
    hear(&mut to, 25);
    super::end(&mut to);
    assert_in_order(&to.words());
}

#[test]
fn a_transport_stream_over_encrypted_srt_gives_its_words_once_in_order() {
    if !there(&ELEMENTS) {
        return;
    }
    let service = Service::start();
    let (_folder, wav) = wav(&talk(Duration::ZERO));
    let port = free_port();
    let here = format!("srt://127.0.0.1:{port}");
    let line = documented("SRT", &service, &[("srt://:7001", &here)]);
    let mut to = Pipeline::launch(&line);
    to.play();
    // The latency is long enough for a busy machine.
    let output =
        format!("srtsink uri=\"{here}?mode=caller&latency=2000&passphrase=correct-horse\"");
    let mut from = encoder(&wav, 150, &output);
    from.play();
    from.wait_for_eos();
    hear(&mut to, 25);
    // The receiver ends with the sender.
    from.stop();
    to.wait_for_eos();
    assert_in_order(&to.words());
    let drained = to.of_kind("drained");
    assert_eq!(drained[0].get::<bool>("complete"), Ok(true));
}
