// SPDX-License-Identifier: MPL-2.0

//! Live sources, in real time.

use crate::common::peer::{Peer, Script};
use crate::common::pipeline::Pipeline;
use crate::elements::have;
use crate::pictures::Pictures;
use crate::prompter::{Prompter, Says};
use crate::read::{When, screens};
use crate::recipes::closed::{ROLL_UP, have_all};
use crate::recipes::folder;
use crate::talk::{PROMPTS, Talk};
use gst::prelude::*;

/// Ten seconds of pictures.
const VIDEO: &str = "videotestsrc is-live=true num-buffers=300 \
                     ! video/x-raw,format=I420,width=320,height=240,framerate=30/1";

/// Ten seconds of silence.
const AUDIO: &str = "audiotestsrc is-live=true wave=silence samplesperbuffer=320 num-buffers=500 \
                     ! audio/x-raw,format=S16LE,rate=16000,channels=1";

/// Returns an address where nothing listens.
fn refused() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

#[test]
fn pictures_go_on_in_time_without_any_service() {
    if !have(&["tttocea608", "ccconverter", "cccombiner"]) {
        return;
    }
    let black_hole = Peer::start(Script::black_hole());
    for url in [refused(), black_hole.base_url()] {
        let mut pipeline = Pipeline::launch(&format!(
            "{VIDEO} ! queue ! c. \
             {AUDIO} ! symbltranscriber name=text base-url={url} latency=1000 on-fatal=warning \
             drain-timeout=100 \
             ! {ROLL_UP} ! closedcaption/x-cea-708,format=cc_data,framerate=30/1 \
             ! queue ! c.caption \
             cccombiner name=c latency=0 ! fakesink name=out sync=true"
        ));
        let pictures = Pictures::at(&pipeline, "out");
        pipeline.play();
        pipeline.wait_for_eos();
        let pictures = pictures.all();
        assert!(pictures.len() >= 295, "{} pictures", pictures.len());
        let late = pictures.iter().filter_map(|picture| picture.late).max();
        assert!(late.is_some_and(|late| late <= 1100), "{late:?} ms late");
    }
}

/// Returns the structure's field of milliseconds that an element has.
fn millis(element: &gst::Element, name: &str) -> u32 {
    element.property(name)
}

#[test]
fn the_bin_for_transcribers_takes_the_element() {
    if !have_all(&["transcriberbin", "mpegtsmux"]) {
        return;
    }
    // The bin makes one of these when it is made, and takes ours in its place.
    let ours = gst::ElementFactory::find("symbltranscriber").expect("the plugin");
    let ours = ours.load().expect("it loads").element_type();
    gst::Element::register(None, "awstranscriber", gst::Rank::NONE, ours).expect("a new name");

    let talk = Talk::of(&PROMPTS[..2]);
    let prompter = Prompter::start(&talk, Says::default());
    let file = folder("bin").join("captions.ts");
    let mut pipeline = Pipeline::launch(&format!(
        "{VIDEO} ! tee name=video ! queue ! bin.sink_video  {AUDIO} ! bin.sink_audio \
         transcriberbin name=bin mux-method=cea708 latency=2000 lateness=500 \
         cc-caps=\"closedcaption/x-cea-708,format=cc_data\" \
         bin.src_video ! identity name=out \
         ! queue max-size-time=5000000000 max-size-bytes=0 max-size-buffers=0 \
         ! x264enc tune=zerolatency speed-preset=ultrafast ! h264parse ! mpegtsmux \
         ! filesink location={} \
         bin.src_audio ! queue ! fakesink",
        file.display()
    ));
    let bin = pipeline.pipeline.by_name("bin").expect("the bin");
    let transcriber = gst::ElementFactory::make("symbltranscriber")
        .property("base-url", prompter.base_url())
        .build()
        .expect("the plugin");
    let pad = bin.static_pad("sink_audio").expect("a pad");
    pad.set_property("transcriber", &transcriber);
    let pictures = Pictures::at(&pipeline, "out");
    pipeline.play();
    assert_eq!(millis(&transcriber, "latency"), 2000);
    assert_eq!(millis(&transcriber, "lateness"), 500);
    pipeline.wait_for_eos();
    assert_eq!(pictures.count(), 300);
    pipeline.stop();

    let mut read: Vec<String> = Vec::new();
    for line in crate::lines::rolled(&screens(&file, When::EachChange)) {
        read.extend(line.text.split_whitespace().map(str::to_owned));
    }
    assert_eq!(read, talk.texts());
    assert_eq!(prompter.connections(), 1);
}
