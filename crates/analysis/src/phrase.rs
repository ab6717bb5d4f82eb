// SPDX-License-Identifier: MPL-2.0

//! Finds the actionable part of a sentence: `submit the documents` in `I will submit the
//! documents tomorrow.`
//!
//! The rules of action items and follow-ups say where such a part is. It begins with the
//! verb of the match and ends before the time, before a mark, or before a word that begins
//! another clause.

use super::due;
use super::insight;
use super::lexicon::Class;
use super::question;
use super::token::fluent_tokens;
use std::ops::Range;
use symbl_protocol::InsightType;
use unicode_segmentation::UnicodeSegmentation;

/// Most words of a phrase.
const LONGEST: usize = 12;

/// Words that begin another clause.
#[rustfmt::skip]
const CLAUSES: &[&str] = &[
    "and", "but", "or", "because", "if", "so", "when", "before", "after", "until", "while",
    "which", "who", "unless", "since", "then", "that",
];

/// Words that a phrase does not end with.
#[rustfmt::skip]
const LOOSE: &[&str] = &[
    "the", "a", "an", "my", "your", "our", "their", "this", "to", "for", "at", "in", "on", "by",
    "of", "with", "from", "it's", "also", "just", "please", "is", "are", "will", "not",
];

/// Returns the actionable parts of a text, in order.
pub fn phrases(text: &str) -> Vec<String> {
    let places = places(text).into_iter();
    places
        .filter_map(|place| text.get(place))
        .map(str::to_owned)
        .collect()
}

/// Returns where the actionable parts of a text are, in bytes: at most one for a sentence.
pub fn places(text: &str) -> Vec<Range<usize>> {
    let sentences = text.split_sentence_bound_indices();
    let places = sentences.filter_map(|(start, sentence)| {
        let place = place(sentence)?;
        Some(start + place.start..start + place.end)
    });
    places.collect()
}

fn place(sentence: &str) -> Option<Range<usize>> {
    let tokens = fluent_tokens(sentence);
    let subject = question::subject(&tokens);
    let (kind, found) = insight::task_place(subject, sentence)?;
    let due = due::find(subject).map_or(tokens.len(), |due| due.start);
    let is_task = |at: &usize| {
        tokens
            .get(*at)
            .is_some_and(|token| Class::Task.has(token, *at))
    };
    // The verb is the first task of the match. Else, a follow-up begins with its verb, and an
    // action item ends with it: `i will ?ADVERB !NOTASK`.
    let acts = |at: &usize| {
        let before = [Class::Person, Class::Modal, Class::Adverb, Class::Be];
        let token = tokens.get(*at);
        token.is_some_and(|token| !before.iter().any(|class| class.has(token, *at)))
    };
    let verb = found.clone().find(is_task);
    let verb = verb.or_else(|| match kind {
        InsightType::FollowUp => found.clone().find(acts),
        _ => found.end.checked_sub(1),
    })?;
    let mut last = verb;
    for (at, token) in tokens.iter().enumerate().skip(verb + 1).take(LONGEST - 1) {
        let before = tokens.get(at - 1)?;
        // Both halves of a contraction have the same place.
        let between = characters(sentence, before.end..token.start).unwrap_or_default();
        let marked = between.contains([',', ';', ':', '.', '?', '!', '–', '—']);
        let inside = at < found.end && at < due;
        if marked || at == due || !inside && CLAUSES.contains(&token.text.as_str()) {
            break;
        }
        last = at;
    }
    while last > verb
        && tokens
            .get(last)
            .is_some_and(|end| LOOSE.contains(&end.text.as_str()))
    {
        last -= 1;
    }
    // One word alone says nothing.
    if last == verb {
        return None;
    }
    bytes(sentence, tokens.get(verb)?.start..tokens.get(last)?.end)
}

/// Returns a range of characters as a range of bytes.
fn bytes(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let mut ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    let start = ends.nth(range.start)?;
    let length = range.end.checked_sub(range.start)?;
    let end = match length {
        0 => start,
        length => ends.nth(length - 1)?,
    };
    Some(start..end)
}

fn characters(text: &str, range: Range<usize>) -> Option<&str> {
    text.get(bytes(text, range)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_that_is_to_be_done_is_found() {
        for (text, expected) in [
            (
                "I will submit the documents tomorrow.",
                "submit the documents",
            ),
            (
                "Can you send me the report by Friday?",
                "send me the report",
            ),
            ("Please update the wiki, it's old.", "update the wiki"),
            (
                "Maria will call the customer and then we close.",
                "call the customer",
            ),
            (
                "We need to order two new pumps next week.",
                "order two new pumps",
            ),
            ("Naïve, but I'll send Zoë the file.", "send Zoë the file"),
            ("I'll get back to you on Monday.", "get back to you"),
        ] {
            assert_eq!(phrases(text), [expected], "{text}");
        }
    }

    #[test]
    fn what_is_no_task_has_no_phrase() {
        for text in ["It rained yesterday.", "What time is it?", "", "I will."] {
            assert!(phrases(text).is_empty(), "{text}: {:?}", phrases(text));
        }
    }

    #[test]
    fn each_sentence_has_its_own() {
        let text = "I will send the file. Nothing else. Please check the invoice.";
        assert_eq!(phrases(text), ["send the file", "check the invoice"]);
        let places = places(text);
        assert_eq!(text.get(places[1].clone()), Some("check the invoice"));
    }
}
