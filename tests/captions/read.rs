// SPDX-License-Identifier: MPL-2.0

//! Captions as others read them: ffmpeg for files with pictures, `subtp` for text files.

use crate::talk::Timed;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use subtp::srt::SubRip;
use subtp::vtt::{VttBlock, WebVtt};

/// When ffmpeg tells what is on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before a line rolls away, or all is erased. The last line of a file that does not erase
    /// it never comes.
    Complete,
    /// After each change, at most each 0.2 s.
    EachChange,
}

/// Returns the screens of CEA-608 captions in the pictures of a file.
pub fn screens(file: &Path, when: When) -> Vec<Timed> {
    // The name stands in a filter's description, where many characters have a meaning.
    let folder = file.parent().expect("a folder");
    let name = file.file_name().expect("a name").to_string_lossy();
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.current_dir(folder);
    ffmpeg.args(["-v", "error", "-nostdin"]);
    if when == When::EachChange {
        ffmpeg.args(["-real_time", "1"]);
    }
    ffmpeg.args(["-f", "lavfi", "-i", &format!("movie={name}[out0+subcc]")]);
    ffmpeg.args(["-map", "0:s", "-f", "srt", "-"]);
    // ffmpeg does not know when a screen ends, and says that it stays for 49 days. Its end is
    // the start of the next one.
    let text: Vec<String> = output(&mut ffmpeg).lines().map(without_end).collect();
    let mut screens = srt(&text.join("\n"));
    for next in 1..screens.len() {
        screens[next - 1].end = screens[next].start;
    }
    screens
}

/// Returns a line of SRT, where it has the times of a cue with the start as its end.
fn without_end(line: &str) -> String {
    match line.split_once(" --> ") {
        Some((start, _)) => format!("{start} --> {start}"),
        None => line.to_owned(),
    }
}

/// Returns the cues of the subtitle track of a file.
pub fn track(file: &Path) -> Vec<Timed> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin", "-i"]).arg(file);
    ffmpeg.args(["-map", "0:s:0", "-f", "srt", "-"]);
    srt(&output(&mut ffmpeg))
}

/// Returns the kind, the codec and the language of each stream of a file, as ffmpeg names
/// them.
pub fn streams(file: &Path) -> Vec<(String, String, Option<String>)> {
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "error", "-of", "json", "-show_streams"]);
    let found = output(ffprobe.arg(file));
    let found: serde_json::Value = serde_json::from_str(&found).expect("JSON");
    let streams = found["streams"].as_array().expect("streams");
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    streams
        .iter()
        .map(|stream| {
            let kind = text(&stream["codec_type"]).expect("a kind");
            let codec = text(&stream["codec_name"]).expect("a codec");
            (kind, codec, text(&stream["tags"]["language"]))
        })
        .collect()
}

/// Returns the cues of SRT text.
pub fn srt(text: &str) -> Vec<Timed> {
    let parsed = SubRip::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let cues = parsed.subtitles.into_iter();
    cues.map(|cue| {
        let text: Vec<_> = cue.text.iter().map(|line| plain(line)).collect();
        Timed::new(text.join("\n"), millis(cue.start), millis(cue.end))
    })
    .collect()
}

/// Returns the cues of WebVTT.
pub fn vtt(text: &str) -> Vec<Timed> {
    let parsed = WebVtt::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let cues = parsed.blocks.into_iter().filter_map(|block| match block {
        VttBlock::Que(cue) => Some(cue),
        _ => None,
    });
    cues.map(|cue| {
        let (start, end) = (millis(cue.timings.start), millis(cue.timings.end));
        Timed::new(cue.payload.join("\n"), start, end)
    })
    .collect()
}

fn millis(time: impl Into<Duration>) -> u64 {
    u64::try_from(time.into().as_millis()).expect("not so long")
}

/// Returns a line of ffmpeg's without tags of fonts and places, and without the spaces that
/// place a line on a screen.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut tag = None;
    for character in line.replace("\\h", " ").chars() {
        match (tag, character) {
            (None, '<') => tag = Some('>'),
            (None, '{') => tag = Some('}'),
            (None, _) => text.push(character),
            (Some(end), _) if end == character => tag = None,
            (Some(_), _) => {}
        }
    }
    // The characters of CEA-608 have no straight apostrophe.
    text.trim().replace(['‘', '’'], "'")
}

/// Runs a program that has to succeed. Returns what it prints.
pub fn output(program: &mut Command) -> String {
    let output = program
        .output()
        .unwrap_or_else(|error| panic!("{program:?}: {error}; scripts/install-deps.sh"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program:?}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}
