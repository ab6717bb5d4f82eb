// SPDX-License-Identifier: MPL-2.0

//! Cues of `symbltranscriber`: drawn into the pictures of a file, as tracks, and as files of
//! their own.

use crate::common::pipeline::Pipeline;
use crate::elements::have;
use crate::pictures::Pictures;
use crate::prompter::Says;
use crate::read::{streams, track, vtt};
use crate::recipes::{folder, play};
use crate::source::{Source, Texts};
use crate::talk::{PROMPTS, Talk, Timed};
use std::path::{Path, PathBuf};

/// How long a picture of a clip lasts, in milliseconds. Matroska has whole ones.
const PICTURE: u64 = 40;

/// Makes a file with a moving ball and silence, as long as the talk. Returns its path.
fn clip(name: &str, talk: &Talk) -> PathBuf {
    let file = folder(name).join("clip.mkv");
    let mut pipeline = Pipeline::launch(&format!(
        "matroskamux name=mux ! filesink location={} \
         videotestsrc pattern=ball num-buffers={} \
         ! video/x-raw,format=I420,width=160,height=120,framerate=25/1 ! queue ! mux. \
         audiotestsrc wave=silence samplesperbuffer=1600 num-buffers={} \
         ! audio/x-raw,format=S16LE,rate=16000,channels=1 ! queue ! mux.",
        file.display(),
        frames(talk),
        talk.duration / 100
    ));
    pipeline.play();
    pipeline.wait_for_eos();
    file
}

/// Returns the number of pictures of a clip.
fn frames(talk: &Talk) -> usize {
    usize::try_from(talk.duration / PICTURE).expect("not so long")
}

/// Plays a clip with captions in its pictures. `room` ms of pictures may wait for text.
/// Returns the pictures, and the cues that the element gave.
fn burn(clip: &Path, talk: &Talk, says: Says, properties: &str, room: u64) -> (Pictures, Texts) {
    let audio = "demux.audio_0 ! queue";
    let source = Source::transcriber_of(audio, talk, says, properties);
    let mut pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! matroskademux name=demux \
         demux.video_0 ! queue max-size-time={room}000000 max-size-bytes=0 max-size-buffers=0 \
         ! textoverlay name=overlay ! video/x-raw,format=I420 ! fakesink name=out \
         {} ! overlay.text_sink",
        clip.display(),
        source.line
    ));
    let (pictures, texts) = (Pictures::at(&pipeline, "out"), Texts::of(&pipeline));
    play(&mut pipeline, &source);
    (pictures, texts)
}

/// Asserts that cues are as readers want them, and that their text is all that was said.
fn assert_cues(cues: &[Timed], talk: &Talk, columns: usize) {
    let text: Vec<&str> = cues
        .iter()
        .flat_map(|cue| cue.text.split_whitespace())
        .collect();
    assert_eq!(text, talk.texts(), "{cues:#?}");
    for cue in cues {
        assert!(cue.text.lines().count() <= 2, "{cue:?}");
        let longest = cue.text.lines().map(|line| line.chars().count()).max();
        assert!(longest.is_some_and(|longest| longest <= columns), "{cue:?}");
        assert!((1000..=7000).contains(&(cue.end - cue.start)), "{cue:?}");
    }
    for pair in cues.windows(2) {
        assert!(pair[0].end <= pair[1].start, "{pair:?}");
    }
}

#[test]
fn cues_are_in_the_pictures_of_their_time_only() {
    if !have(&["textoverlay", "matroskamux", "matroskademux"]) {
        return;
    }
    let talk = Talk::of(&PROMPTS[..2]);
    let clip = clip("burned", &talk);
    let plain = {
        let mut pipeline = Pipeline::launch(&format!(
            "filesrc location={} ! matroskademux ! video/x-raw ! fakesink name=out",
            clip.display()
        ));
        let pictures = Pictures::at(&pipeline, "out");
        pipeline.play();
        pipeline.wait_for_eos();
        pictures
    };
    let (drawn, texts) = burn(&clip, &talk, Says::default(), "text-unit=cue", 9000);
    assert_eq!(drawn.count(), frames(&talk));
    let cues = texts.all();
    assert_cues(&cues, &talk, 42);

    let within = |pts: &u64| {
        let mut cues = cues.iter();
        cues.any(|cue| cue.start < pts + PICTURE && *pts < cue.end)
    };
    let times = plain.all().into_iter().map(|picture| picture.pts);
    let expected: Vec<u64> = times.filter(within).collect();
    assert_eq!(drawn.differing(&plain), expected, "{cues:#?}");
}

/// Lets fewer pictures wait than the silence is long, so that the file stands still unless
/// the text pad goes on.
#[test]
fn a_long_silence_in_a_file_does_not_stop_its_pictures() {
    if !have(&["textoverlay", "matroskamux", "matroskademux"]) {
        return;
    }
    let talk = Talk::paced(&[PROMPTS[0], PROMPTS[5]], 1000, 300, 12_000);
    let clip = clip("silence", &talk);
    let progress = Says {
        progress: true,
        ..Says::default()
    };
    let ways = [
        // The service says how far it has heard. The patience is longer than any test.
        (progress, "patience=600000"),
        // It does not, and the silence is waited out.
        (Says::default(), "patience=1000"),
    ];
    for (says, patience) in ways {
        let properties = format!("text-unit=cue {patience}");
        let (pictures, texts) = burn(&clip, &talk, says, &properties, 5000);
        assert_eq!(pictures.count(), frames(&talk), "{patience}");
        assert_cues(&texts.all(), &talk, 42);
    }
}

#[test]
fn tracks_and_files_have_the_cues_of_the_pad() {
    if !have(&["matroskamux", "mp4mux", "webvttenc", "x264enc"]) {
        return;
    }
    let talk = Talk::of(&PROMPTS);
    let video = format!(
        "videotestsrc num-buffers={} ! video/x-raw,width=320,height=240,framerate=25/1 \
         ! x264enc speed-preset=ultrafast ! h264parse ! queue max-size-time=0 ! mux.",
        frames(&talk)
    );
    let folder = folder("transcribed-tracks");
    for name in ["cues.mkv", "cues.mp4", "cues.vtt"] {
        let properties = "text-unit=cue cue-columns=32";
        let source = Source::transcriber(&talk, Says::default(), false, properties);
        let (file, text) = (folder.join(name), &source.line);
        let mux = match name.rsplit('.').next() {
            Some("mkv") => {
                format!("matroskamux name=mux {video} {text} ! queue ! mux.subtitle_0 mux.")
            }
            Some("mp4") => format!("mp4mux name=mux {video} {text} ! queue ! mux.subtitle_0 mux."),
            _ => format!("{text} ! webvttenc"),
        };
        let line = format!("{mux} ! filesink location={}", file.display());
        let mut pipeline = Pipeline::launch(&line);
        let texts = Texts::of(&pipeline);
        play(&mut pipeline, &source);
        let mut cues = texts.all();
        assert_cues(&cues, &talk, 32);

        let mut read = track(&file);
        if name == "cues.vtt" {
            let written = std::fs::read_to_string(&file).expect("UTF-8");
            assert_eq!(vtt(&written), cues, "{written}");
        } else {
            let language = |stream: &(String, _, _)| stream.0 == "subtitle";
            let streams = streams(&file);
            let subtitles = streams.iter().find(|stream| language(stream));
            let subtitles = subtitles.expect("a track");
            assert_eq!(subtitles.2.as_deref(), Some("eng"), "{name}");
        }
        if name == "cues.mp4" {
            for cues in [&mut read, &mut cues] {
                // See the test of tracks with text of this test's own.
                cues.last_mut().expect("cues").end = 0;
            }
        }
        assert_eq!(read, cues, "{name}");
    }
}
