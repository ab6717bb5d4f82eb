// SPDX-License-Identifier: MPL-2.0

//! Finds if an action item can be understood without what was said before it, and if it is
//! settled.

use super::insight;
use super::token::{fluent_tokens, is_number, stem};
use super::topic::is_stop;

/// Words that stand for something that was named before.
#[rustfmt::skip]
const REFERS: &[&str] = &[
    "it", "that", "this", "these", "those", "them", "they", "one", "ones", "there", "so", "he",
    "she", "him", "her",
];

/// A sentence of fewer words says too little by itself.
const SHORT: usize = 5;

/// Returns `true` if a sentence refers to something before it.
pub fn needs_context(text: &str) -> bool {
    let tokens = fluent_tokens(text);
    tokens.len() < SHORT
        || tokens
            .iter()
            .any(|token| REFERS.contains(&token.text.as_str()))
}

/// Returns `true` if two sentences have a word in common that means something, in any
/// inflection.
pub fn share_words(one: &str, other: &str) -> bool {
    let one = stems(one);
    stems(other).iter().any(|stem| one.contains(stem))
}

fn stems(text: &str) -> Vec<String> {
    let tokens = fluent_tokens(text);
    let means = tokens
        .iter()
        .map(|token| token.text.as_str())
        .filter(|word| word.chars().count() > 2 && !is_stop(word) && !is_number(word));
    means.map(stem).collect()
}

/// Returns `true` if an action item is settled: no request, and without a word of doubt.
pub fn is_definitive(text: &str) -> bool {
    insight::is_settled(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pronoun_or_few_words_need_what_was_said_before() {
        assert!(needs_context("I will send it to the customer."));
        assert!(needs_context("I'll call."));
        assert!(!needs_context("I will send the report to the customer."));
    }

    #[test]
    fn words_are_shared_in_any_inflection_but_not_little_ones() {
        assert!(share_words(
            "I'll check the reports.",
            "The report is late."
        ));
        assert!(!share_words(
            "I'll check the reports.",
            "I will, the day after."
        ));
    }

    #[test]
    fn requests_and_doubts_are_not_settled() {
        assert!(is_definitive("I will send the report."));
        assert!(!is_definitive("I will probably send the report."));
        assert!(!is_definitive("Could you send the report?"));
    }
}
