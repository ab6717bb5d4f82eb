// SPDX-License-Identifier: MPL-2.0

//! Text that is drawn into the pictures.

use super::{folder, play, run};
use crate::common::pipeline::Pipeline;
use crate::elements::have;
use crate::pictures::Pictures;
use crate::read::streams;
use crate::source::Source;
use crate::talk::Timed;

/// Ten seconds of a ball that moves, so that no picture equals the one before.
pub const BALL: &str = "videotestsrc pattern=ball num-buffers=300 \
                    ! video/x-raw,format=I420,width=320,height=240,framerate=30/1";

/// Returns the pictures of a pipeline that end in `fakesink name=out`. `line` has the place of
/// the text's source.
fn pictures(source: &Source, line: impl FnOnce(&str) -> String) -> Pictures {
    let mut pipeline = Pipeline::launch(&line(&source.line));
    let pictures = Pictures::at(&pipeline, "out");
    play(&mut pipeline, source);
    pictures
}

#[test]
fn text_is_in_the_pictures_of_its_time_only() {
    if !have(&["textoverlay"]) {
        return;
    }
    let cues = [
        Timed::new("You have entered\nthe conference.", 1000, 3000),
        Timed::new("Please wait.", 3000, 4500),
        Timed::new("Thank you.", 8100, 9700),
    ];
    let source = Source::cues(&cues, 10_000);
    let plain = pictures(&source, |text| {
        format!("{BALL} ! fakesink name=out {text} ! fakesink")
    });
    let drawn = pictures(&source, |text| {
        format!(
            "{BALL} ! textoverlay name=overlay ! video/x-raw,format=I420 ! fakesink name=out \
             {text} ! overlay.text_sink"
        )
    });
    assert_eq!(drawn.count(), 300);

    let within = |pts: &u64| cues.iter().any(|cue| (cue.start..cue.end).contains(pts));
    let times = plain.all().into_iter().map(|picture| picture.pts);
    let expected: Vec<u64> = times.filter(within).collect();
    assert_eq!(expected.len(), 60 + 45 + 48);
    assert_eq!(drawn.differing(&plain), expected);
}

/// Reads which streams there are, and not what the bitmaps show.
#[test]
fn bitmaps_of_dvb_are_a_stream_beside_the_pictures() {
    if !have(&["textrender", "dvbsubenc", "x264enc", "mpegtsmux"]) {
        return;
    }
    let file = folder("dvb").join("dvb.ts");
    let cue = Timed::new("You have entered\nthe conference.", 1000, 3000);
    run(&Source::cues(&[cue], 10_000), |text| {
        format!(
            "mpegtsmux name=mux ! filesink location={} \
             {BALL} ! x264enc tune=zerolatency speed-preset=ultrafast ! h264parse ! queue ! mux. \
             {text} ! textrender ! video/x-raw,width=720,height=576 ! videoconvert \
             ! video/x-raw,format=AYUV ! dvbsubenc ! queue ! mux.",
            file.display()
        )
    });
    let streams = streams(&file);
    let codecs: Vec<&str> = streams.iter().map(|(_, codec, _)| codec.as_str()).collect();
    assert_eq!(codecs, ["h264", "dvb_subtitle"]);
}
