// SPDX-License-Identifier: MPL-2.0
#![no_main]
//! Checks that the readers and the analysis of `symbl-service` never panic, whatever a client or a
//! recogniser's process sends, and that words, times and places keep their promises.
//!
//! An input is lines. Each is read as a client's message, as a recogniser's line, and as
//! speech.

use std::time::Duration;
use symbl_analysis::{Analyzer, AnalyzerOptions, RecognisedWord, check_tracker, punctuate};
use symbl_protocol::recognizer::OutputLine;
use symbl_protocol::{ClientMessage, InsightType, Tracker};

/// Longest stream: 10^7 seconds, and a little for rounding.
const LATEST: Duration = Duration::from_secs(10_000_001);

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for line in data.split(|byte| *byte == b'\n') {
        if let Ok(line) = OutputLine::parse(line) {
            heard(line);
        }
        let text = String::from_utf8_lossy(line);
        let _ = ClientMessage::parse(&text);
        for tracker in Tracker::parse_list(&text).unwrap_or_default() {
            let _ = check_tracker(&tracker);
        }
        said(&text);
    }
});

/// Checks the promises of a recogniser's line.
fn heard(line: OutputLine) {
    match line {
        OutputLine::Partial { start, .. } => assert!(start.is_none_or(|start| start <= LATEST)),
        OutputLine::Progress { end } => assert!(end <= LATEST),
        OutputLine::Final { words, end, .. } => {
            assert!(end <= LATEST);
            assert!(words.is_sorted_by_key(|word| word.start));
            for word in &words {
                assert!(word.start <= word.end && word.end <= end, "{word:?}");
                assert!((0.0..=1.0).contains(&word.confidence), "{word:?}");
                assert!(!word.text.is_empty() && !word.text.contains(char::is_whitespace));
            }
            analyse(&words);
        }
        OutputLine::Unknown => {}
    }
}

/// Analyses the words of a text, one every 300 ms.
fn said(text: &str) {
    let words = text
        .split_whitespace()
        .zip(0u64..)
        .map(|(word, index)| RecognisedWord {
            text: word.to_owned(),
            start: Duration::from_millis(index * 300),
            end: Duration::from_millis(index * 300 + 300),
            confidence: 1.0,
        });
    analyse(&words.collect::<Vec<_>>());
}

/// Checks that every word is in one sentence, and that findings lie within its text.
fn analyse(words: &[RecognisedWord]) {
    let mut analyzer = Analyzer::new(AnalyzerOptions {
        insight_types: vec![
            InsightType::Question,
            InsightType::ActionItem,
            InsightType::FollowUp,
            InsightType::Topic,
        ],
        confidence_threshold: 0.0,
        trackers: vec![Tracker {
            name: "T".to_owned(),
            vocabulary: vec!["cancel my order".to_owned(), "refund".to_owned()],
        }],
        entities: true,
    });
    let mut next = 0;
    for sentence in punctuate(words) {
        assert_eq!(sentence.words.start, next);
        next = sentence.words.end;
        let length = sentence.text.chars().count();
        let found = analyzer.sentence("m", &sentence);
        let mut free = 0;
        for entity in found.entities {
            assert!(entity.offset >= free, "{entity:?}");
            free = entity.offset + entity.value.chars().count();
            assert!(free <= length, "{entity:?}");
        }
        for tracker in found.trackers {
            assert!(tracker.offset < i64::try_from(length).unwrap_or(i64::MAX));
        }
        for insight in found.insights {
            assert!((0.0..=1.0).contains(&insight.confidence));
        }
    }
    assert_eq!(next, words.len());
}
