// SPDX-License-Identifier: MPL-2.0

//! Tests what holds for the captions of any talk: any number of speakers, any words,
//! and times that make sense or do not.

use proptest::prelude::*;
use std::time::Duration;
use subtp::srt::SubRip;
use subtp::vtt::{VttBlock, WebVtt};
use symbl_captions::{
    CaptionWriter, Cue, Cues, Format, HURRIED, LINE_COLUMNS, LINES, LONGEST, TimedWord, Utterance,
    visible,
};
use textwrap::core::display_width;

/// An utterance that owns what [`Utterance`] borrows.
#[derive(Debug, Clone)]
struct OwnedUtterance {
    text: String,
    speaker: Option<String>,
    start: Option<u64>,
    end: Option<u64>,
    words: Vec<TimedWord>,
}

impl OwnedUtterance {
    fn borrowed(&self) -> Utterance<'_> {
        Utterance {
            text: &self.text,
            speaker: self.speaker.as_deref(),
            start: self.start.map(Duration::from_millis),
            end: self.end.map(Duration::from_millis),
            words: &self.words,
            ..Utterance::default()
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        8 => "[a-zA-Z']{1,12}[.,?!]?",
        1 => "[a-z]{40,120}",
        1 => "[0-9]{1,5}|-->|<i>|&amp;|WEBVTT|NOTE",
        1 => "[ぁ-ゖ]{1,60}",
        1 => "\\PC{0,20}",
        1 => "[\\p{C}\u{200b}-\u{200f}\u{202a}-\u{202e}\u{2066}-\u{2069}\u{fe0f}]{1,5}",
        1 => r"[<>&{}\\\\/a-zN]{1,9}",
    ];
    proptest::collection::vec(word, 0..60).prop_map(|words| words.join(" "))
}

/// Returns words that are mostly in order, each after the one before it, and some
/// with senseless times.
fn words() -> impl Strategy<Value = Vec<TimedWord>> {
    let word = (text_word(), 0u64..3000, 0u64..3000);
    let sensible =
        (0u64..100_000, proptest::collection::vec(word, 0..40)).prop_map(|(start, words)| {
            let mut at = start;
            let place = |(text, pause, length)| {
                let start = at + pause;
                at = start + length;
                timed(text, start, at)
            };
            words.into_iter().map(place).collect::<Vec<_>>()
        });
    let any = (text_word(), any::<u64>(), any::<u64>())
        .prop_map(|(text, start, end)| timed(text, start, end));
    prop_oneof![4 => sensible, 1 => proptest::collection::vec(any, 0..10)]
}

fn text_word() -> impl Strategy<Value = String> {
    prop_oneof![9 => "[a-z]{1,9}", 1 => "\\PC{0,4}"]
}

fn timed(text: String, start: u64, end: u64) -> TimedWord {
    TimedWord {
        text,
        start: Duration::from_millis(start),
        end: Duration::from_millis(end),
    }
}

fn utterance() -> impl Strategy<Value = OwnedUtterance> {
    let speaker = proptest::option::of(prop_oneof!["Anna", "Bob", "\\PC{0,40}"]);
    let time = || proptest::option::of(0u64..200_000);
    (text(), speaker, time(), time(), words()).prop_map(|(text, speaker, start, end, words)| {
        OwnedUtterance {
            // Half of the texts consist of their words.
            text: match text.len() % 2 {
                0 => text,
                _ => words.iter().map(|w| w.text.clone() + " ").collect(),
            },
            speaker,
            start,
            end,
            words,
        }
    })
}

fn talk() -> impl Strategy<Value = Vec<OwnedUtterance>> {
    proptest::collection::vec(utterance(), 0..8)
}

/// Returns the readable characters of a text, without the spaces at which a line may
/// end.
fn signs<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let signs = texts.into_iter().flat_map(str::chars);
    signs.filter(|c| !c.is_whitespace()).collect()
}

/// Returns a writer in the middle of the talk: its last captions may still wait.
fn writing(talk: &[OwnedUtterance], format: Format) -> CaptionWriter<Vec<u8>> {
    let mut writer = CaptionWriter::new(Vec::new(), format).unwrap();
    for utterance in talk {
        writer.utterance(&utterance.borrowed()).unwrap();
    }
    writer
}

fn written(talk: &[OwnedUtterance], format: Format) -> String {
    let mut writer = writing(talk, format);
    writer.finish().unwrap();
    String::from_utf8(writer.get_ref().clone()).unwrap()
}

fn cues(talk: &[OwnedUtterance]) -> Vec<Cue> {
    cut(talk, Cues::new())
}

fn cut(talk: &[OwnedUtterance], mut cues: Cues) -> Vec<Cue> {
    let mut all: Vec<Cue> = talk
        .iter()
        .flat_map(|one| cues.cut(&one.borrowed()))
        .collect();
    all.extend(cues.finish());
    all
}

/// Returns what a viewer of SubRip sees of a line.
fn seen(line: &str) -> String {
    line.replace('\u{2060}', "")
        .replace('❴', "{")
        .replace('❵', "}")
}

/// Converts a time of the parser's, for both formats.
macro_rules! time {
    ($stamp:expr) => {{
        let stamp = $stamp;
        let minutes = u64::from(stamp.hours) * 60 + u64::from(stamp.minutes);
        let seconds = minutes * 60 + u64::from(stamp.seconds);
        Duration::from_millis(seconds * 1000 + u64::from(stamp.milliseconds))
    }};
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn cues_are_in_the_order_of_their_starts_and_can_be_read(talk in talk()) {
        let cues = cues(&talk);
        for cue in &cues {
            prop_assert!(cue.start <= cue.end, "{cue:?}");
            // Near the largest time there is no room for a second.
            if cue.start < Duration::from_millis(u64::MAX) - LONGEST {
                let length = cue.end - cue.start;
                prop_assert!((HURRIED..=LONGEST).contains(&length), "{cue:?}");
            }
            prop_assert!((1..=LINES).contains(&cue.lines.len()), "{cue:?}");
            for line in &cue.lines {
                prop_assert!(!line.is_empty() && line.trim() == line, "{cue:?}");
                prop_assert!(display_width(line) <= LINE_COLUMNS, "{cue:?}");
            }
        }
        prop_assert!(cues.is_sorted_by_key(|cue| cue.start), "{cues:?}");
    }

    #[test]
    fn no_word_is_lost_or_said_twice(talk in talk()) {
        let said: Vec<String> = talk.iter().map(|utterance| visible(&utterance.text)).collect();
        let said = signs(said.iter().map(String::as_str));
        let cues = cues(&talk);
        let shown = signs(cues.iter().flat_map(|cue| &cue.lines).map(String::as_str));
        prop_assert_eq!(shown, said);
    }

    #[test]
    fn srt_is_read_by_another_parser(talk in talk()) {
        let cues = cut(&talk, Cues::with_names());
        prop_assume!(cues.iter().all(|cue| cue.end < Duration::from_secs(99 * 3600)));
        let file = written(&talk, Format::Srt);
        if cues.is_empty() {
            prop_assert_eq!(file, "");
            return Ok(());
        }
        let parsed = SubRip::parse(&file).map_err(|e| TestCaseError::fail(format!("{e}\n{file}")))?;
        prop_assert_eq!(parsed.subtitles.len(), cues.len(), "{}", file);
        for (number, (parsed, cue)) in parsed.subtitles.iter().zip(&cues).enumerate() {
            prop_assert_eq!(parsed.sequence as usize, number + 1);
            prop_assert_eq!(time!(parsed.start), cue.start);
            prop_assert_eq!(time!(parsed.end), cue.end);
            let shown: Vec<String> = parsed.text.iter().map(|line| seen(line)).collect();
            let lines: Vec<String> = cue.lines.iter().map(|l| seen(&l.replace("-->", "→"))).collect();
            prop_assert_eq!(shown, lines);
        }
    }

    #[test]
    fn webvtt_is_read_by_another_parser(talk in talk()) {
        let cues = cues(&talk);
        prop_assume!(cues.iter().all(|cue| cue.end < Duration::from_secs(99 * 3600)));
        let file = written(&talk, Format::WebVtt);
        let parsed = WebVtt::parse(&file).map_err(|e| TestCaseError::fail(format!("{e}\n{file}")))?;
        let found: Vec<_> = parsed.blocks.iter().filter_map(|block| match block {
            VttBlock::Que(cue) => Some(cue),
            _ => None,
        }).collect();
        prop_assert_eq!(found.len(), cues.len(), "{}", file);
        for (parsed, cue) in found.iter().zip(&cues) {
            prop_assert_eq!(time!(parsed.timings.start), cue.start);
            prop_assert_eq!(time!(parsed.timings.end), cue.end);
            let text = parsed.payload.join("\n");
            let text = match &cue.speaker {
                Some(_) => text.split_once('>').expect("a voice").1.to_owned(),
                None => text,
            };
            let text = text.replace('\u{2060}', "").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
            prop_assert_eq!(text, cue.lines.join("\n"));
        }
    }

    #[test]
    fn what_was_written_stays_and_each_item_is_written_whole(talk in talk()) {
        for (_, format) in Format::NAMES {
            let whole = written(&talk, format);
            for count in 0..talk.len() {
                let part = writing(&talk[..count], format);
                let part = String::from_utf8(part.get_ref().clone()).unwrap();
                prop_assert!(whole.starts_with(&part));
                prop_assert!(part.is_empty() || part.ends_with('\n'));
            }
        }
    }

    #[test]
    fn json_lines_are_json_and_text_is_lines(talk in talk()) {
        let file = written(&talk, Format::Jsonl);
        prop_assert_eq!(file.lines().count(), talk.len());
        for (line, utterance) in file.lines().zip(&talk) {
            let item: serde_json::Value = serde_json::from_str(line).unwrap();
            prop_assert_eq!(item["text"].as_str(), Some(utterance.text.as_str()));
            prop_assert_eq!(item["start"].is_f64(), utterance.start.is_some());
        }
        prop_assert_eq!(written(&talk, Format::Text).matches('\n').count(), talk.len());
    }
}
