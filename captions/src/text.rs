// SPDX-License-Identifier: MPL-2.0

//! Formats times and texts for SubRip, WebVTT and plain text.

use crate::cues::Cue;
use crate::{Found, Utterance, visible};
use std::time::Duration;

/// Width of the time column, `[00:00.0] `.
const MARGIN: usize = 10;

/// Returns a SubRip cue.
pub(crate) fn srt(number: u64, cue: &Cue) -> String {
    let (start, end) = (stamp(cue.start, ','), stamp(cue.end, ','));
    let text = plain(&cue.lines.join("\n"));
    format!("{number}\n{start} --> {end}\n{text}\n\n")
}

/// Keeps players from reading what follows as markup. It has no width, and lines do
/// not break at it.
const WORD_JOINER: char = '\u{2060}';

/// Returns `text` in a form that SubRip players show unchanged.
///
/// The format has no escapes. Players interpret HTML tags (`<b>`), and some drop
/// everything that looks like one (`<bob@example.com>`). VLC interprets entities
/// (`&lt;`). Players that draw with libass interpret `\N` and hide everything between
/// braces (`{\an8}`). A word joiner after `<`, `&` and `\` makes them plain
/// characters. Nothing inside braces helps, so braces become ornamental ones. `-->`
/// becomes `→`, because players read it as a time line.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '{' => plain.push('❴'),
            '}' => plain.push('❵'),
            '<' | '&' | '\\' => {
                plain.push(c);
                if rest.peek().is_some_and(|next| !next.is_whitespace()) {
                    plain.push(WORD_JOINER);
                }
            }
            _ => plain.push(c),
        }
    }
    plain.replace("-->", "→")
}

/// Returns a WebVTT cue, with a voice tag if the speaker is known.
pub(crate) fn webvtt(cue: &Cue) -> String {
    let (start, end) = (stamp(cue.start, '.'), stamp(cue.end, '.'));
    let voice = match &cue.speaker {
        Some(speaker) => format!("<v {}>", escaped(speaker)),
        None => String::new(),
    };
    let text = escaped(&cue.lines.join("\n"));
    format!("{start} --> {end}\n{voice}{text}\n\n")
}

/// Returns `text` with the escapes of WebVTT. A word joiner after a backslash keeps
/// ffmpeg and players based on it from interpreting the backslash.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\\', &format!("\\{WORD_JOINER}"))
}

/// Returns `hh:mm:ss,mmm`. Hours have more than two digits if needed.
fn stamp(time: Duration, point: char) -> String {
    let seconds = time.as_secs();
    format!(
        "{:02}:{:02}:{:02}{point}{:03}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        time.subsec_millis()
    )
}

/// Returns an utterance as a line of text. An interim has no time.
pub(crate) fn line(utterance: &Utterance<'_>) -> String {
    let time = match utterance.start {
        _ if !utterance.is_final => "…".to_owned(),
        Some(start) => format!("[{}]", minutes(start)),
        None => String::new(),
    };
    let speaker = utterance
        .speaker
        .map(visible)
        .filter(|name| !name.is_empty());
    let speaker = speaker.map_or_else(String::new, |name| format!("{name}: "));
    let (text, width) = (visible(utterance.text), MARGIN - 1);
    format!("{time:<width$} {speaker}{text}\n")
}

/// Returns a finding as a line of text, indented below its utterance.
pub(crate) fn found(found: &Found<'_>) -> String {
    let kind = visible(found.kind).replace('_', " ");
    let text = match found.name {
        Some(name) => format!("{}: \"{}\"", visible(name), visible(found.text)),
        None => visible(found.text),
    };
    let assignee = found.assignee.map(visible).map(|name| format!(" [{name}]"));
    let due = found.due.map(visible).map(|due| format!(" (due: {due})"));
    let (assignee, due) = (assignee.unwrap_or_default(), due.unwrap_or_default());
    format!("{:MARGIN$}> {kind:<11} {text}{assignee}{due}\n", "")
}

/// Returns `mm:ss.s`, with hours before it if there are any.
fn minutes(time: Duration) -> String {
    let tenths = time.as_millis() / 100;
    let (hours, minutes, seconds) = (tenths / 36_000, tenths / 600 % 60, tenths / 10 % 60);
    let hours = match hours {
        0 => String::new(),
        hours => format!("{hours}:"),
    };
    format!("{hours}{minutes:02}:{seconds:02}.{}", tenths % 10)
}
