// SPDX-License-Identifier: MPL-2.0

//! Live sources, in real time.

use crate::common::peer::{Peer, Script};
use crate::common::pipeline::{Pipeline, until};
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

/// Returns the least latency at the end of an element, in milliseconds; it has to be live.
fn latency(element: &gst::Element, pad: &str) -> u64 {
    latency_of(&element.static_pad(pad).expect("a pad"))
}

/// Returns the least latency that a source pad says, in milliseconds; it has to be live.
pub fn latency_of(pad: &gst::Pad) -> u64 {
    let mut query = gst::query::Latency::new();
    assert!(pad.query(&mut query), "no latency");
    let (live, min, _) = query.result();
    assert!(live, "not live");
    min.mseconds()
}

#[test]
fn pictures_go_on_in_time_without_any_service() {
    if !have(&["tttocea608", "ccconverter", "cccombiner", "textoverlay"]) {
        return;
    }
    let black_hole = Peer::start(Script::black_hole());
    let captions = format!(
        "{ROLL_UP} ! closedcaption/x-cea-708,format=cc_data,framerate=30/1 ! queue \
         ! merge.caption  cccombiner name=merge latency=0"
    );
    // This one waits for text without any deadline.
    let overlay = "merge.text_sink  textoverlay name=merge".to_owned();
    let ways = [(refused(), captions), (black_hole.base_url(), overlay)];
    for (url, merge) in ways {
        let mut pipeline = Pipeline::launch(&format!(
            "{VIDEO} ! queue max-size-time=2000000000 max-size-bytes=0 max-size-buffers=0 ! merge. \
             {AUDIO} ! symbltranscriber name=text base-url={url} latency=1000 on-fatal=warning \
             drain-timeout=100 ! {merge} ! fakesink name=out sync=true"
        ));
        let pictures = Pictures::at(&pipeline, "out");
        pipeline.play();
        until("a picture", || pictures.count() > 0);
        let merge = pipeline.pipeline.by_name("merge").expect("an element");
        let latency = latency(&merge, "src");
        assert!((1000..1200).contains(&latency), "{latency} ms");
        pipeline.wait_for_eos();
        let pictures = pictures.all();
        assert!(pictures.len() >= 295, "{} pictures", pictures.len());
        let late = pictures.iter().filter_map(|picture| picture.late).max();
        assert!(late.is_some_and(|late| late <= 1100), "{late:?} ms late");
    }
}

/// Returns a property in milliseconds.
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
    until("a picture", || pictures.count() > 0);
    // That of the text, of the bin, and of two pictures.
    let latency = latency(&bin, "src_video");
    assert!((2766..2900).contains(&latency), "{latency} ms");
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
