// SPDX-License-Identifier: MPL-2.0

//! Tests the exact output of each format.

use std::io::{self, Write};
use std::time::Duration;
use symbl_captions::{CaptionWriter, Format, Found, TimedWord, Utterance};

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// Writes two speakers, an interim, a question and a tracker.
fn written(format: Format) -> String {
    let mut file = Vec::new();
    let mut writer = CaptionWriter::new(&mut file, format).unwrap();
    let interim = Utterance {
        text: "how much is",
        is_final: false,
        ..Utterance::default()
    };
    let word = |text: &str, start, end| TimedWord {
        text: text.into(),
        start: ms(start),
        end: ms(end),
    };
    let words = [word("how", 61_000, 61_400), word("much?", 61_400, 62_900)];
    let asked = Utterance {
        text: "How <much>?",
        speaker: Some("Anna"),
        start: Some(ms(61_000)),
        end: Some(ms(62_900)),
        words: &words,
        utc: Some("2026-11-21T09:01:01.000Z"),
        ..Utterance::default()
    };
    let answered = Utterance {
        text: "Nothing & more",
        speaker: Some("Bob & Co"),
        start: Some(ms(3_663_250)),
        ..Utterance::default()
    };
    writer.utterance(&interim).unwrap();
    writer.utterance(&asked).unwrap();
    writer
        .found(&Found {
            kind: "action_item",
            text: "How much?",
            assignee: Some("Bob"),
            due: Some("by Friday"),
            ..Found::default()
        })
        .unwrap();
    writer
        .found(&Found {
            kind: "tracker",
            name: Some("Price"),
            text: "how much",
            ..Found::default()
        })
        .unwrap();
    writer.utterance(&answered).unwrap();
    writer.finish().unwrap();
    String::from_utf8(file).unwrap()
}

#[test]
fn srt() {
    assert_eq!(
        written(Format::Srt),
        "1\n00:01:01,000 --> 00:01:02,900\nAnna: How <\u{2060}much>?\n\n\
         2\n01:01:03,250 --> 01:01:04,300\nBob & Co: Nothing & more\n\n"
    );
}

#[test]
fn webvtt() {
    assert_eq!(
        written(Format::WebVtt),
        "WEBVTT\n\n00:01:01.000 --> 00:01:02.900\n<v Anna>How &lt;much&gt;?\n\n\
         01:01:03.250 --> 01:01:04.250\n<v Bob &amp; Co>Nothing &amp; more\n\n"
    );
}

#[test]
fn text() {
    assert_eq!(
        written(Format::Text),
        "…         how much is\n\
         [01:01.0] Anna: How <much>?\n          \
         > action item How much? [Bob] (due: by Friday)\n          \
         > tracker     Price: \"how much\"\n\
         [1:01:03.2] Bob & Co: Nothing & more\n"
    );
}

#[test]
fn jsonl() {
    let expected = [
        r#"{"type":"transcript","final":false,"text":"how much is"}"#,
        r#"{"type":"transcript","final":true,"start":61.0,"end":62.9,"utc":"2026-11-21T09:01:01.000Z","speaker":"Anna","text":"How <much>?","words":[{"word":"how","start":61.0,"end":61.4},{"word":"much?","start":61.4,"end":62.9}]}"#,
        r#"{"type":"action_item","text":"How much?","assignee":"Bob","due":"by Friday"}"#,
        r#"{"type":"tracker","name":"Price","text":"how much"}"#,
        r#"{"type":"transcript","final":true,"start":3663.25,"speaker":"Bob & Co","text":"Nothing & more"}"#,
    ];
    let written = written(Format::Jsonl);
    assert_eq!(written.lines().collect::<Vec<_>>(), expected);
}

/// Counts the writes that reach it, and remembers where it was flushed.
#[derive(Default)]
struct Flushes {
    bytes: Vec<u8>,
    at: Vec<usize>,
    writes: usize,
}

impl Write for Flushes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend(bytes);
        self.writes += 1;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.at.push(self.bytes.len());
        Ok(())
    }
}

#[test]
fn a_cue_is_one_write_and_is_flushed() {
    for format in [Format::Srt, Format::WebVtt] {
        let mut writer = CaptionWriter::new(Flushes::default(), format).unwrap();
        let text = "a word and another ".repeat(20);
        let utterance = Utterance {
            text: &text,
            ..Utterance::default()
        };
        writer.utterance(&utterance).unwrap();
        let out = writer.get_ref();
        assert!(out.writes > 3);
        assert_eq!(out.writes, out.at.len());
        for at in &out.at {
            assert!(out.bytes[..*at].ends_with(b"\n\n"));
        }
    }
}

#[test]
fn a_format_has_a_name() {
    for (name, format) in Format::NAMES {
        assert_eq!(name.parse(), Ok(format));
    }
    let error = "vtt".parse::<Format>().unwrap_err().to_string();
    assert_eq!(error, "no format 'vtt'; there are text, jsonl, srt, webvtt");
}

/// What an engine writes that sets punctuation and digits.
const MARKED: &str = "At 4 p.m., press 1. It costs $5, up 3.5%. Really?";

#[test]
fn the_marks_of_the_engine_are_shown_once() {
    let words: Vec<TimedWord> = MARKED
        .split(' ')
        .zip(0u64..)
        .map(|(text, index)| TimedWord {
            text: text.into(),
            start: ms(index * 300),
            end: ms(index * 300 + 300),
        })
        .collect();
    for format in [Format::Srt, Format::WebVtt, Format::Text] {
        let mut file = Vec::new();
        let mut writer = CaptionWriter::new(&mut file, format).unwrap();
        let said = Utterance {
            text: MARKED,
            start: Some(ms(0)),
            end: Some(ms(3_600)),
            words: &words,
            ..Utterance::default()
        };
        writer.utterance(&said).unwrap();
        writer.finish().unwrap();
        let shown = String::from_utf8(file).unwrap();
        let lines = shown.lines().filter(|line| !line.contains("-->"));
        let shown: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
        assert!(shown.join(" ").contains(MARKED), "{format:?}: {shown:?}");
    }
}
