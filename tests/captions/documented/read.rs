// SPDX-License-Identifier: MPL-2.0

//! Reads what the commands have written, and compares it with what was said.

use super::{RATE, Talk, Written};
use crate::lines::{rolled, words};
use crate::read::{When, output, screens, streams, vtt};
use crate::talk::Timed;
use std::path::Path;
use std::process::Command;
use symbl_testkit::speech::word_errors;

/// How many of 100 words may be wrong.
const WRONG: usize = 10;

/// How many words have to be there of a stream whose text came late. Behind the last picture,
/// none has a place.
const LEAST: usize = 5;

/// Text may begin this much earlier than the place of its prompt, in milliseconds.
const EARLY: u64 = 150;

/// Asserts that these words are what was said; of text that came late, what was said first.
fn assert_words(talk: &Talk, in_time: bool, words: &[String]) {
    let plain = |word: &String| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        word.to_lowercase()
    };
    let heard: Vec<String> = words.iter().map(plain).collect();
    let mut said: Vec<&str> = talk.text.split_whitespace().collect();
    if !in_time {
        assert!(heard.len() >= LEAST, "{heard:?}");
        said.truncate(heard.len());
    }
    let errors = word_errors(&said.join(" "), &heard.join(" "));
    // A word may be cut in two by the end.
    let most = (said.len() * WRONG).div_ceil(100);
    assert!(errors <= most, "{errors} of {}: {heard:?}", said.len());
}

/// Asserts that each caption stands at the place of a prompt, and that each prompt has one or
/// two.
fn assert_places(talk: &Talk, cues: &[Timed]) {
    assert!(cues.len() <= 2 * talk.places.len(), "{cues:?}");
    for cue in cues {
        let at_one = |place: &std::ops::Range<u64>| {
            cue.start + EARLY >= place.start && cue.start <= place.end
        };
        assert!(talk.places.iter().any(at_one), "{cue:?}: {:?}", talk.places);
    }
    for place in &talk.places {
        let middle = (place.start + place.end) / 2;
        let shown = |cue: &Timed| (cue.start..cue.end).contains(&middle);
        assert!(cues.iter().any(shown), "nothing at {middle} ms: {cues:?}");
    }
}

/// Reads roll-up captions of a live stream.
pub fn roll_up(talk: &Talk, written: &Written, file: &Path) {
    let screens = screens(file, When::EachChange);
    let lines = rolled(&screens);
    assert_words(talk, written.in_time, &words(&lines));
    let first = &screens[0];
    assert!(first.start + EARLY >= talk.places[0].start, "{first:?}");
    if written.in_time {
        assert!(first.start <= talk.places[0].end, "{first:?}");
    }
}

/// Reads pop-on captions of a live stream. Each appears when it is loaded, two letters in a
/// picture, which takes a second for two full lines.
pub fn pop_on(talk: &Talk, written: &Written, file: &Path) {
    let mut shown = screens(file, When::Complete);
    shown.retain(|screen| !screen.text.is_empty());
    assert_words(talk, written.in_time, &words(&shown));
    assert!(shown.len() <= 2 * talk.places.len(), "{shown:#?}");
    for place in talk.places.iter().filter(|_| written.in_time) {
        let in_time = |screen: &Timed| (place.start..=place.start + 1500).contains(&screen.start);
        assert!(shown.iter().any(in_time), "{place:?}: {shown:#?}");
    }
}

/// Reads the captions of the segments of a playlist.
pub fn segments(talk: &Talk, written: &Written) {
    let list = std::fs::read_to_string(written.file("captions.m3u8")).expect("a playlist");
    assert!(list.contains("#EXT-X-ENDLIST"), "{list}");
    // The playlist of a live stream names the newest segments only.
    let files = std::fs::read_dir(&written.folder).expect("a folder");
    let files = files.map(|file| file.expect("a file").path());
    let mut files: Vec<_> = files
        .filter(|file| file.extension().is_some_and(|e| e == "ts"))
        .collect();
    files.sort();
    assert!(files.len() >= 6, "{files:?}");
    let named = |file: &&std::path::PathBuf| {
        list.contains(&*file.file_name().expect("a name").to_string_lossy())
    };
    assert!(files.iter().filter(named).count() >= 5, "{list}");
    let bytes = files
        .iter()
        .map(|file| std::fs::read(file).expect("a segment"));
    let whole = written.file("whole.ts");
    std::fs::write(&whole, bytes.collect::<Vec<_>>().concat()).expect("a file");
    roll_up(talk, written, &whole);
}

/// Reads a file of WebVTT.
pub fn web_vtt(talk: &Talk, file: &Path) {
    let cues = vtt(&std::fs::read_to_string(file).expect("UTF-8"));
    assert_words(talk, true, &words(&cues));
    assert_places(talk, &cues);
}

/// Reads a text track beside the pictures and the sound of the recording.
pub fn track(talk: &Talk, file: &Path) {
    let streams = streams(file);
    let expected = [
        ("video", "h264", None),
        ("audio", "aac", None),
        ("subtitle", "subrip", Some("eng")),
    ];
    for (kind, codec, language) in expected {
        let fits = |stream: &&(String, String, Option<String>)| {
            let language = language.is_none() || stream.2.as_deref() == language;
            stream.0 == kind && stream.1 == codec && language
        };
        assert_eq!(
            streams.iter().filter(fits).count(),
            1,
            "{kind}: {streams:?}"
        );
    }
    assert_eq!(pictures(file), talk.pictures);
    let cues = crate::read::track(file);
    assert_words(talk, true, &words(&cues));
    assert_places(talk, &cues);
}

/// Returns how many pictures a file has.
fn pictures(file: &Path) -> usize {
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "error", "-count_packets", "-select_streams", "v:0"]);
    ffprobe.args(["-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"]);
    let count = output(ffprobe.arg(file));
    // It says it once more for the program of a transport stream.
    let first = count.lines().next().unwrap_or_default();
    first.parse().unwrap_or_else(|_| panic!("{count:?}"))
}

/// Returns which pictures of a grey film have text in their lower third: more than `least`
/// pixels that are not grey.
fn with_text(ffmpeg: &mut Command, least: usize) -> Vec<bool> {
    let (width, height) = (320, 240);
    ffmpeg.args(["-pix_fmt", "gray", "-f", "rawvideo", "-"]);
    let output = ffmpeg.output().expect("ffmpeg");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let pictures = output.stdout.chunks_exact(width * height);
    pictures
        .map(|picture| {
            let lower = &picture[width * height * 2 / 3..];
            let differs = |luma: &&u8| luma.abs_diff(picture[0]) > 48;
            lower.iter().filter(differs).count() > least
        })
        .collect()
}

/// Asserts that the pictures have text where it was said, `later` ms later, and none before.
fn assert_shown(talk: &Talk, in_time: bool, shown: &[bool], later: u64) {
    let picture = |millis: u64| usize::try_from(millis).expect("not so long") * RATE / 1000;
    let first = shown.iter().position(|shown| *shown).expect("no text");
    let earliest = picture(talk.places[0].start + later - EARLY);
    assert!(first >= earliest, "text in picture {first}");
    for place in talk.places.iter().filter(|_| in_time) {
        // The end of the film comes before the last text of one that is later.
        let end = picture(place.end + later).min(shown.len());
        let during = &shown[picture(place.start + later).min(end)..end];
        let count = during.iter().filter(|shown| **shown).count();
        assert!(count * 3 >= during.len(), "{count} with text in {place:?}");
    }
    let count = shown.iter().filter(|shown| **shown).count();
    let least = (shown.len() - picture(later)) / if in_time { 2 } else { 8 };
    assert!(count >= least, "{count} with text");
    assert!(count < shown.len() * 19 / 20, "{count} with text");
}

/// Reads text that was drawn into the pictures.
pub fn burned(talk: &Talk, written: &Written, file: &Path, later: u64) {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin", "-i"]).arg(file);
    let shown = with_text(&mut ffmpeg, 100);
    assert_eq!(shown.len(), talk.pictures);
    assert_shown(talk, written.in_time, &shown, later);
}

/// Reads bitmaps beside the pictures, drawn by a player.
pub fn bitmaps(talk: &Talk, written: &Written, file: &Path) {
    let streams = streams(file);
    let codecs: Vec<&str> = streams.iter().map(|stream| stream.1.as_str()).collect();
    assert_eq!(codecs, ["h264", "dvb_subtitle"]);
    assert_eq!(pictures(file), talk.pictures);
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "fatal", "-nostdin", "-i"]).arg(file);
    ffmpeg.args(["-filter_complex", "[0:v][0:s]overlay[all]", "-map", "[all]"]);
    // It goes on behind the film.
    ffmpeg.args(["-frames:v", &talk.pictures.to_string()]);
    let shown = with_text(&mut ffmpeg, 30);
    assert_shown(talk, written.in_time, &shown, 0);
}
