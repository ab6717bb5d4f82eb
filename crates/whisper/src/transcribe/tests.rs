// SPDX-License-Identifier: MPL-2.0

//! Tests of what only this module sees: pieces of an utterance, windows of looks, prompts.

use super::*;
use crate::model::LoadOptions;
use crate::support::{prompt, voiced};
use std::sync::OnceLock;

fn model() -> Option<&'static Model> {
    static MODEL: OnceLock<Option<Model>> = OnceLock::new();
    let model = MODEL.get_or_init(|| {
        let folder = symbl_testkit::model::model("tiny.en")?;
        Some(Model::load(&folder, LoadOptions::default()).unwrap())
    });
    model.as_ref()
}

/// A word counts for this much of the audio from its start on: 1.5 s.
const SPOKEN: usize = RATE * 3 / 2;

/// Returns the most voiced audio in a row without a word, in samples.
fn uncovered(words: &[TimedWord], voiced: &[bool]) -> usize {
    let (mut most, mut row) = (0, 0);
    for (place, voiced) in voiced.iter().enumerate() {
        let at = place * VOICE..(place + 1) * VOICE;
        let is_in =
            |word: &TimedWord| word.start < at.end && word.end.min(word.start + SPOKEN) > at.start;
        if words.iter().any(is_in) {
            row = 0;
        } else if *voiced {
            row += VOICE;
            most = most.max(row);
        }
    }
    most
}

#[test]
fn speech_behind_an_early_end_is_decoded_again() {
    let Some(model) = model() else { return };
    let (request, _) = model.request("en", &[]).unwrap();
    // "Thank you for calling Super Awesome Company", and 20 s more of a menu.
    let Some(samples) = prompt("basic-pbx-ivr-main") else {
        return;
    };
    let voiced = voiced(&samples);
    let (hypothesis, first) = model.piece(&samples, &voiced, &request, &[]);
    let first: Vec<TimedWord> = timed(&first, 0).collect();
    assert_eq!(hypothesis.end, End::Finished);
    assert!(
        uncovered(&first, &voiced) > 5 * RATE,
        "the model does not end early here: {first:?}"
    );
    // The words that it wrote are where they were said, and not all over the audio.
    let last = first.last().unwrap();
    assert_eq!(last.text, "Company.");
    assert!(last.end < 4 * RATE, "{first:?}");
    let found = model.transcribe(&samples, &voiced, &request, &Draft::default());
    let text: Vec<&str> = found.words.iter().map(|word| &word.text[..]).collect();
    let left = uncovered(&found.words, &voiced);
    assert!(left <= UNCOVERED, "{left} samples without a word: {text:?}");
    assert!(found.words.len() > 40, "{text:?}");
    for pair in found.words.windows(2) {
        assert!(pair[0].start <= pair[1].start, "{pair:?}");
        assert!(pair[0].end <= pair[1].start + FRAME, "{pair:?}");
    }
}

#[test]
fn an_utterance_that_is_heard_to_its_end_is_decoded_once() {
    let Some(model) = model() else { return };
    let (request, _) = model.request("en", &[]).unwrap();
    for name in ["tt-allbusy", "demo-nogo"] {
        let Some(samples) = prompt(name) else { return };
        let voiced = voiced(&samples);
        let (_, first) = model.piece(&samples, &voiced, &request, &[]);
        let first: Vec<TimedWord> = timed(&first, 0).collect();
        assert!(uncovered(&first, &voiced) <= UNCOVERED, "{name}: {first:?}");
        let found = model.transcribe(&samples, &voiced, &request, &Draft::default());
        assert_eq!(found.words, first, "{name}");
    }
}

#[test]
fn a_vocabulary_has_two_hundred_terms_whatever_their_spelling() {
    let Some(model) = model() else { return };
    let mut terms: Vec<String> = (0..200).map(|number| format!("term{number}")).collect();
    assert!(model.request("en", &terms).unwrap().1.is_empty());
    // Said again, a term is no further one.
    terms.push("term7".to_owned());
    terms.push("one more".to_owned());
    assert_eq!(model.request("en", &terms).unwrap().1, [201]);
}
