// SPDX-License-Identifier: MPL-2.0

//! Tests how players show text that looks like markup. ffmpeg's decoders stand for
//! all players that draw with libass (mpv, VLC), and `subparse` stands for GStreamer.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use symbl_captions::{CaptionWriter, Format, Utterance};

/// One line each, so that no cue breaks a line.
const SAID: [&str; 9] = [
    "Bob <bob@example.com>",
    "<b>bold</b> <i>",
    r"{\an8}above {b} {y:i}",
    r"C:\Net\home \h \N",
    "AT&T &lt; &amp; &#60;",
    "1 < 2 && 3 > 2 <3 a-->b",
    "<font color=red> <!-- no -->",
    "<v Anna> <c.red> <00:00:01>",
    "17",
];

fn write(folder: &Path, format: Format, name: &str) -> std::path::PathBuf {
    let mut writer = CaptionWriter::new(Vec::new(), format).unwrap();
    for (at, text) in (1..).zip(SAID) {
        let utterance = Utterance {
            text,
            start: Some(Duration::from_secs(at * 3)),
            ..Utterance::default()
        };
        writer.utterance(&utterance).unwrap();
    }
    let path = folder.join(name);
    std::fs::write(&path, writer.get_ref()).unwrap();
    path
}

/// Returns what a viewer sees of a text: no word joiners, and ornamental braces as
/// braces.
fn seen(text: &str) -> String {
    let text = text.replace('\u{2060}', "").replace('→', "-->");
    text.replace('❴', "{").replace('❵', "}")
}

/// Returns the standard output of a program, or `None` if it is not installed.
fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Returns an Advanced SubStation text as libass draws it.
fn drawn(text: &str) -> String {
    let mut drawn = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('\\', Some('{' | '}')) => {}
            ('\\', Some('N' | 'n' | 'h')) => {
                drawn.push('\n');
                rest.next();
            }
            ('{', _) if !text.contains("\\{") => while rest.next().is_some_and(|c| c != '}') {},
            _ => drawn.push(c),
        }
    }
    drawn
}

#[test]
fn libass_shows_all_that_was_said() {
    let folder = tempfile::tempdir().unwrap();
    for (format, name) in [(Format::Srt, "talk.srt"), (Format::WebVtt, "talk.vtt")] {
        let path = write(folder.path(), format, name);
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg
            .args(["-v", "error", "-i"])
            .arg(path)
            .args(["-f", "ass", "-"]);
        let Some(read) = output(&mut ffmpeg) else {
            eprintln!("left out: ffmpeg is not installed");
            return;
        };
        let shown: Vec<String> = read
            .lines()
            .filter_map(|line| line.strip_prefix("Dialogue: ")?.splitn(10, ',').nth(9))
            .map(|text| seen(&drawn(text)))
            .collect();
        assert_eq!(shown, SAID, "{read}");
    }
}

#[test]
fn gstreamer_shows_all_that_was_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), Format::Srt, "talk.srt");
    let out = folder.path().join("shown");
    let mut player = Command::new("gst-launch-1.0");
    player
        .args(["-q", "filesrc"])
        .arg(format!("location={}", path.display()))
        .args(["!", "subparse", "!", "multifilesink"])
        .arg(format!("location={}/%d", out.display()));
    std::fs::create_dir(&out).unwrap();
    if output(&mut player).is_none() {
        eprintln!("left out: gst-launch-1.0 is not installed");
        return;
    }
    for (number, said) in SAID.iter().enumerate() {
        let markup = std::fs::read_to_string(out.join(number.to_string())).unwrap();
        // Pango's markup: any `<` that is not escaped would begin a tag.
        assert!(!markup.contains('<'), "{markup}");
        let text = markup.replace("&lt;", "<").replace("&gt;", ">");
        let text = text
            .replace("&quot;", "\"")
            .replace("&apos;", "'")
            .replace("&#39;", "'");
        let text = text.replace("&amp;", "&");
        assert_eq!(seen(text.trim_end_matches('\0')), *said);
    }
}
