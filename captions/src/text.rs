// SPDX-License-Identifier: MPL-2.0

//! How the formats for people write times and texts.

use crate::cues::Cue;
use crate::{Found, Said, visible};
use std::time::Duration;

/// Width of the column with the time: `[00:00.0] `.
const MARGIN: usize = 10;

/// Returns a cue of SubRip.
pub(crate) fn srt(number: u64, cue: &Cue) -> String {
    let (start, end) = (stamp(cue.start, ','), stamp(cue.end, ','));
    let text = plain(&cue.lines.join("\n"));
    format!("{number}\n{start} --> {end}\n{text}\n\n")
}

/// Keeps players from reading what follows it as a part of markup. It has no
/// width, and is no place to break a line.
const WORD_JOINER: char = '\u{2060}';

/// Returns `text` so that players of SubRip show it.
///
/// The format has no escapes. Players read HTML tags (`<b>`) and some drop all that
/// looks like one (`<bob@example.com>`); VLC reads entities (`&lt;`); those that draw
/// with libass read `\N`, and hide all between braces (`{\an8}`). A word joiner behind
/// `<`, `&` and `\` makes them plain characters. Nothing inside braces helps, so
/// they become ornamental ones. `-->` would be read as times.
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

/// Returns a cue of WebVTT, in the voice of its speaker.
pub(crate) fn webvtt(cue: &Cue) -> String {
    let (start, end) = (stamp(cue.start, '.'), stamp(cue.end, '.'));
    let voice = match &cue.speaker {
        Some(speaker) => format!("<v {}>", escaped(speaker)),
        None => String::new(),
    };
    let text = escaped(&cue.lines.join("\n"));
    format!("{start} --> {end}\n{voice}{text}\n\n")
}

/// Returns `text` with the escapes of WebVTT, and so that players that make
/// something of a backslash (ffmpeg and what is made of it) make nothing of it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\\', &format!("\\{WORD_JOINER}"))
}

/// `hh:mm:ss,mmm`; hours have more digits where they need them.
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

/// What was said, on a line; of an interim, the time is not told.
pub(crate) fn line(said: &Said<'_>) -> String {
    let time = match said.start {
        _ if !said.is_final => "…".to_owned(),
        Some(start) => format!("[{}]", minutes(start)),
        None => String::new(),
    };
    let speaker = said.speaker.map(visible).filter(|name| !name.is_empty());
    let speaker = speaker.map_or_else(String::new, |name| format!("{name}: "));
    let (text, width) = (visible(said.text), MARGIN - 1);
    format!("{time:<width$} {speaker}{text}\n")
}

/// What was found, on a line below what it was found in.
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

/// `mm:ss.s`, with hours where there are some.
fn minutes(time: Duration) -> String {
    let tenths = time.as_millis() / 100;
    let (hours, minutes, seconds) = (tenths / 36_000, tenths / 600 % 60, tenths / 10 % 60);
    let hours = match hours {
        0 => String::new(),
        hours => format!("{hours}:"),
    };
    format!("{hours}{minutes:02}:{seconds:02}.{}", tenths % 10)
}
