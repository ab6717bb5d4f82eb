// SPDX-License-Identifier: MPL-2.0

//! Writes JSON Lines: one object per item, for programs.
//!
//! `type` is `transcript` for an utterance, and the kind of a finding for a finding.
//! Times are seconds with at most three decimals. Unknown values are left out. Texts
//! are exactly those of the service; characters that a terminal would interpret are
//! written as `\uXXXX`.

use crate::timed::millis;
use crate::{Found, Utterance, visible};
use serde::Serialize;
use std::time::Duration;

#[derive(Serialize)]
struct SaidLine<'a> {
    r#type: &'a str,
    r#final: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    utc: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<&'a str>,
    text: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    words: Vec<WordLine<'a>>,
}

#[derive(Serialize)]
struct WordLine<'a> {
    word: &'a str,
    start: f64,
    end: f64,
}

#[derive(Serialize)]
struct FoundLine<'a> {
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    assignee: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<&'a str>,
}

/// Returns the line for an utterance.
pub(crate) fn utterance(utterance: &Utterance<'_>) -> serde_json::Result<String> {
    let words = utterance.words.iter().map(|word| WordLine {
        word: &word.text,
        start: seconds(word.start),
        end: seconds(word.end),
    });
    line(&SaidLine {
        r#type: "transcript",
        r#final: utterance.is_final,
        start: utterance.start.map(seconds),
        end: utterance.end.map(seconds),
        utc: utterance.utc,
        speaker: utterance.speaker,
        text: utterance.text,
        words: words.collect(),
    })
}

/// Returns the line for a finding.
pub(crate) fn found(found: &Found<'_>) -> serde_json::Result<String> {
    line(&FoundLine {
        r#type: found.kind,
        name: found.name,
        text: found.text,
        assignee: found.assignee,
        due: found.due,
    })
}

fn line(value: &impl Serialize) -> serde_json::Result<String> {
    let mut line = visible::json(&serde_json::to_string(value)?);
    line.push('\n');
    Ok(line)
}

fn seconds(time: Duration) -> f64 {
    millis(time) as f64 / 1000.0
}
