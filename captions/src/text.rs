// SPDX-License-Identifier: MPL-2.0

//! How the formats for people write times and texts.

use crate::cues::Cue;
use crate::timed::clean;
use crate::{Found, Said};
use std::time::Duration;

/// Width of the column with the time: `[00:00.0] `.
const MARGIN: usize = 10;

/// A cue of SubRip. The format has no escapes, and `-->` would be read as times.
pub(crate) fn srt(number: u64, cue: &Cue) -> String {
    let (start, end) = (stamp(cue.start, ','), stamp(cue.end, ','));
    let text = cue.lines.join("\n").replace("-->", "→");
    format!("{number}\n{start} --> {end}\n{text}\n\n")
}

/// A cue of WebVTT, in the voice of its speaker.
pub(crate) fn webvtt(cue: &Cue) -> String {
    let (start, end) = (stamp(cue.start, '.'), stamp(cue.end, '.'));
    let voice = match &cue.speaker {
        Some(speaker) => format!("<v {}>", escaped(speaker)),
        None => String::new(),
    };
    let text = escaped(&cue.lines.join("\n"));
    format!("{start} --> {end}\n{voice}{text}\n\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
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
    let speaker = said.speaker.map(clean).filter(|name| !name.is_empty());
    let speaker = speaker.map_or_else(String::new, |name| format!("{name}: "));
    let (text, width) = (clean(said.text), MARGIN - 1);
    format!("{time:<width$} {speaker}{text}\n")
}

/// What was found, on a line below what it was found in.
pub(crate) fn found(found: &Found<'_>) -> String {
    let kind = found.kind.replace('_', " ");
    let text = match found.name {
        Some(name) => format!("{}: \"{}\"", clean(name), clean(found.text)),
        None => clean(found.text),
    };
    let assignee = found.assignee.map(clean).map(|name| format!(" [{name}]"));
    let due = found.due.map(clean).map(|due| format!(" (due: {due})"));
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
