// SPDX-License-Identifier: MPL-2.0

//! Finds if a sentence is positive or negative.
//!
//! The words are rated by VADER's lexicon and its rules for negation, degree and `but`
//! (Hutto and Gilbert 2014, crate `vader-sentimental`). That lexicon was made for short
//! written messages. In a call, people say `please`, `sure` and `I'd like to` without any
//! feeling, so this module first takes such words out: see [`calm`].
//!
//! A polarity is between −1 and 1. [`suggested`] names it, within the bounds of Symbl's documentation.

use std::sync::LazyLock;
pub use symbl_protocol::reply::suggested;
use unicode_segmentation::UnicodeSegmentation;
use vader_sentimental::SentimentIntensityAnalyzer;

/// Most words that are rated together. The time for a sentence grows with the square of it.
const MOST: usize = 100;

static VADER: LazyLock<SentimentIntensityAnalyzer<'static>> =
    LazyLock::new(SentimentIntensityAnalyzer::new);

/// Phrases of two or three words that mean something else than their words.
const PHRASES: &[(&[&str], &str)] = &[
    (&["no", "problem"], "fine"),
    (&["not", "a", "problem"], "fine"),
    (&["no", "problems"], "fine"),
    (&["no", "worries"], "fine"),
    (&["no", "trouble"], "fine"),
    (&["don't", "like"], "dislike"),
    (&["no", "doubt"], ""),
    (&["can't", "thank"], "thank"),
    (&["not", "only"], "only"),
    (&["doesn't", "work"], "broken"),
    (&["not", "work"], "broken"),
    (&["not", "working"], "broken"),
    (&["isn't", "working"], "broken"),
    (&["a", "waste"], "bad"),
];

/// Words that say nothing about feelings in a call: courtesy, answers, and the things that
/// calls are about.
#[rustfmt::skip]
const CALM: &[&str] = &[
    "please", "sure", "yes", "yeah", "yep", "no", "ok", "okay", "well", "dear", "certainly",
    "agree", "help", "helps", "share", "shared", "shares", "sharing", "credit", "interest",
    "security", "support", "join", "joins", "joined", "energy", "value", "values", "chance",
    "top", "cancel", "stop", "pay", "cut", "number", "matter", "care", "party", "ready", "hand",
    "like",
];

/// The words before `like` that make it a feeling.
#[rustfmt::skip]
const WHO_LIKES: &[&str] = &[
    "i", "we", "you", "they", "customers", "people", "really", "also", "still", "not", "don't",
    "didn't", "doesn't",
];

/// Words of calls that the lexicon does not have, each with one that it has.
const MEANS: &[(&str, &str)] = &[
    ("crashes", "fails"),
    ("crashed", "failed"),
    ("unacceptable", "terrible"),
    ("broke", "broken"),
    ("overcharged", "cheated"),
];

/// Returns the polarity of a text, −1 to 1: the mean of its sentences that have one.
pub fn polarity(text: &str) -> f64 {
    let mut found = Vec::new();
    for sentence in text.unicode_sentences() {
        let words: Vec<&str> = sentence.split_whitespace().collect();
        let parts = words.chunks(MOST);
        found.extend(parts.map(|words| VADER.polarity_scores(&calm(words)).compound));
    }
    mean(found)
}

/// Returns the mean of the polarities that are not 0, or 0 if there are none.
pub fn mean(polarities: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0_u32);
    for polarity in polarities {
        if polarity != 0.0 {
            sum += polarity;
            count += 1;
        }
    }
    let mean: f64 = sum / f64::from(count.max(1));
    // Rounding also hides the order in which the crate adds.
    (mean * 1000.0).round() / 1000.0 + 0.0
}

/// Returns the words without those that say nothing about feelings.
fn calm(words: &[&str]) -> String {
    let bare: Vec<String> = words.iter().map(|word| bare(word)).collect();
    let mut out: Vec<&str> = Vec::with_capacity(words.len());
    let mut at = 0;
    while let Some(word) = bare.get(at) {
        let rest = bare.get(at..).unwrap_or_default();
        let phrase = PHRASES.iter().find(|(phrase, _)| {
            rest.len() >= phrase.len() && phrase.iter().zip(rest).all(|(one, other)| one == other)
        });
        if let Some((phrase, meaning)) = phrase {
            out.push(meaning);
            at += phrase.len();
            continue;
        }
        let before = at.checked_sub(1).and_then(|before| bare.get(before));
        let liked =
            word == "like" && before.is_some_and(|before| WHO_LIKES.contains(&before.as_str()));
        let meaning = MEANS.iter().find(|(known, _)| known == word);
        match meaning {
            Some((_, meaning)) => out.push(meaning),
            None if !liked && CALM.contains(&word.as_str()) => {}
            None => out.extend(words.get(at)),
        }
        at += 1;
    }
    // A question mark says nothing about feelings.
    out.join(" ").replace('?', " ")
}

/// Returns a word in lower case without marks around it.
fn bare(word: &str) -> String {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    word.to_lowercase().replace('\u{2019}', "'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn courtesy_and_questions_are_neutral() {
        for text in [
            "Please send me the file.",
            "I'd like to change my address?",
            "What time is it?",
            "No, the other one.",
            "",
            "4711",
        ] {
            assert_eq!(polarity(text), 0.0, "{text}");
        }
        assert_eq!(suggested(polarity("I like it.")), "positive");
    }

    #[test]
    fn negation_and_degree_count() {
        assert!(polarity("I am not happy.") < 0.0);
        assert!(polarity("I am very happy.") > polarity("I am happy."));
        assert!(polarity("It's good, but the support is terrible.") < 0.0);
        assert!(polarity("No problem.") > 0.0);
    }

    #[test]
    fn a_very_long_text_is_rated_in_parts() {
        let long = "great ".repeat(100_000);
        let found = polarity(&long);
        assert!((0.9..=1.0).contains(&found), "{found}");
    }
}
