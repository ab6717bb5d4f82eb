// SPDX-License-Identifier: MPL-2.0

//! Cues as tracks of files, and as files of their own.

use super::{folder, run};
use crate::elements::have;
use crate::read::{srt, streams, track, vtt};
use crate::source::Source;
use crate::talk::Timed;

/// Cues with two lines, right behind another one, and at odd milliseconds.
fn cues() -> Vec<Timed> {
    vec![
        Timed::new("You have entered\nthe conference.", 1000, 3000),
        Timed::new(
            "Please wait, a conference operator\nwill be with you.",
            3000,
            5001,
        ),
        Timed::new("Is this correct?", 6123, 7999),
    ]
}

/// Returns a source of these cues.
fn source() -> Source {
    Source::cues(&cues(), 10_000)
}

#[test]
fn tracks_of_matroska_and_mp4_have_the_cues_at_their_times() {
    if !have(&["matroskamux", "mp4mux", "x264enc"]) {
        return;
    }
    let ways = [
        ("cues.mkv", "matroskamux", "subrip"),
        ("cues.mp4", "mp4mux", "mov_text"),
    ];
    for (name, mux, codec) in ways {
        let file = folder("tracks").join(name);
        run(&source(), |text| {
            format!(
                "{mux} name=mux ! filesink location={} \
             videotestsrc num-buffers=300 ! video/x-raw,width=320,height=240,framerate=30/1 \
             ! x264enc speed-preset=ultrafast ! h264parse ! queue max-size-time=0 ! mux. \
             {text} ! queue ! mux.subtitle_0",
                file.display()
            )
        });
        let (mut read, mut expected) = (track(&file), cues());
        if mux == "mp4mux" {
            // ffmpeg 5.1 ends the last cue of an MP4 track too early, by the start of the
            // first one.
            for cues in [&mut read, &mut expected] {
                cues.last_mut().expect("cues").end = 0;
            }
        }
        assert_eq!(read, expected, "{name}");
        let streams = streams(&file);
        let kinds: Vec<_> = streams
            .iter()
            .map(|s| (s.0.as_str(), s.1.as_str()))
            .collect();
        assert!(kinds.contains(&("video", "h264")), "{name}: {kinds:?}");
        assert!(kinds.contains(&("subtitle", codec)), "{name}: {kinds:?}");
    }
}

#[test]
fn files_of_webvtt_and_srt_have_the_cues_at_their_times() {
    if !have(&["webvttenc", "srtenc"]) {
        return;
    }
    type Parse = fn(&str) -> Vec<Timed>;
    let ways: [(&str, &str, Parse); 2] =
        [("cues.vtt", "webvttenc", vtt), ("cues.srt", "srtenc", srt)];
    for (name, encoder, parse) in ways {
        let file = folder("files").join(name);
        run(&source(), |text| {
            format!("{text} ! {encoder} ! filesink location={}", file.display())
        });
        let written = std::fs::read_to_string(&file).expect("UTF-8");
        assert_eq!(parse(&written), cues(), "{written}");
        // ffmpeg reads both as well.
        assert_eq!(track(&file), cues(), "{written}");
    }
}
