// SPDX-License-Identifier: MPL-2.0

//! The words of a text as a search compares them.
//!
//! Both stores have to find the same. So the words are found here and not by a parser of the
//! database, which takes `3.5`, `don't` and addresses as one word each: a word is made of
//! letters, digits and marks, its case and its Latin accents do not count.

use super::text::put;
use crate::store::search::Query;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Longest word in bytes, most words and most bytes of all words of a message that are
/// searched: the database takes no more.
const LONGEST: usize = 512;
const MOST: usize = 16_383;
const MOST_BYTES: usize = 256 << 10;

/// Words of a snippet, and those of them before the first one that was found.
const SNIPPET: usize = 24;
const BEFORE: usize = 4;

/// A word and where it is in its text, in characters.
#[derive(Debug, PartialEq, Eq)]
struct Word {
    text: String,
    start: usize,
    end: usize,
}

fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut is_inside = false;
    for (at, c) in text.chars().enumerate() {
        is_inside = match is_inside {
            true => c.is_alphanumeric() || is_combining_mark(c),
            false if c.is_alphanumeric() => {
                words.push(Word {
                    text: String::new(),
                    start: at,
                    end: at,
                });
                true
            }
            false => false,
        };
        if let Some(word) = words.last_mut().filter(|_| is_inside) {
            word.end = at + 1;
            let folded = c.to_lowercase().nfd();
            for c in folded.filter(|c| !('\u{300}'..='\u{36f}').contains(c)) {
                if word.text.len() + c.len_utf8() <= LONGEST {
                    word.text.push(c);
                }
            }
        }
    }
    words
}

/// Returns the words of a text with their places, as a `tsvector`.
pub(super) fn vector(text: &str) -> String {
    let mut vector = String::new();
    for (n, word) in words(text).iter().take(MOST).enumerate() {
        if vector.len() + word.text.len() > MOST_BYTES {
            break;
        }
        // A word has no quote in it.
        vector.push_str(&format!("'{}':{} ", word.text, n + 1));
    }
    vector
}

/// Returns the word of an account, as it is stored, which is no word of any text.
pub(super) fn account_word(account: &str) -> String {
    let digest = Sha256::digest(account.as_bytes());
    let word = digest.iter().map(|byte| format!("{byte:02x}"));
    format!("@{}", word.collect::<String>())
}

/// Returns the words of an account and of a conversation as a `tsvector`. The function
/// `symbl_scope_1` of the database makes the same.
pub(super) fn scope(account: &str, conversation: i64) -> String {
    let account = account_word(&put(account));
    format!("'{account}' '#c{conversation}'")
}

/// Words that follow each other.
#[derive(Debug, Clone)]
pub(super) struct Phrase {
    words: Vec<String>,
    /// `true` if the last word may go on.
    is_prefix: bool,
}

/// Returns what a query looks for.
pub(super) fn phrases(query: &Query) -> Vec<Phrase> {
    let phrases = query.terms.iter().map(|term| Phrase {
        words: words(&term.text)
            .into_iter()
            .map(|word| word.text)
            .collect(),
        is_prefix: term.is_prefix,
    });
    phrases.filter(|phrase| !phrase.words.is_empty()).collect()
}

/// Returns the `tsquery` for messages with all these phrases in a scope.
pub(super) fn query(phrases: &[Phrase], scope: &str) -> String {
    let mut query = format!("'{scope}'");
    for phrase in phrases {
        let words = phrase.words.iter().map(|word| format!("'{word}'"));
        let words: Vec<String> = words.collect();
        let star = if phrase.is_prefix { ":*" } else { "" };
        query.push_str(&format!(" & ({}{star})", words.join(" <-> ")));
    }
    query
}

impl Phrase {
    /// Returns `true` if these words are the phrase.
    fn is(&self, words: &[Word]) -> bool {
        let last = self.words.len() - 1;
        self.words.iter().enumerate().all(|(n, wanted)| {
            words
                .get(n)
                .is_some_and(|word| match self.is_prefix && n == last {
                    true => word.text.starts_with(wanted.as_str()),
                    false => word.text == *wanted,
                })
        })
    }
}

/// Returns the part of a text around what was found, and where each phrase begins in it and
/// how long it is, in characters.
pub(super) fn snippet(text: &str, phrases: &[Phrase]) -> (String, Vec<Value>) {
    let words = words(text);
    // The first word and the one after the last.
    let mut found: Vec<(usize, usize)> = Vec::new();
    for at in 0..words.len() {
        let rest = words.get(at..).unwrap_or_default();
        let longest = phrases.iter().filter(|phrase| phrase.is(rest));
        let Some(length) = longest.map(|phrase| phrase.words.len()).max() else {
            continue;
        };
        match found.last_mut().filter(|(_, end)| *end > at) {
            Some((_, end)) => *end = (at + length).max(*end),
            None => found.push((at, at + length)),
        }
    }
    let first = match words.len() <= SNIPPET {
        true => 0,
        false => best(&found, words.len()),
    };
    let last = (first + SNIPPET).min(words.len());
    let from = match first {
        0 => 0,
        first => words.get(first).map_or(0, |word| word.start),
    };
    let until = match last == words.len() {
        true => usize::MAX,
        false => last
            .checked_sub(1)
            .and_then(|last| words.get(last))
            .map_or(0, |w| w.end),
    };
    let cut = text.chars().skip(from).take(until - from);
    let before = if from > 0 { "…" } else { "" };
    let after = if until < usize::MAX { "…" } else { "" };
    let snippet: String = before.chars().chain(cut).chain(after.chars()).collect();
    let shift = before.chars().count();
    let inside = found
        .into_iter()
        .filter(|(begin, end)| first <= *begin && *end <= last);
    let highlights = inside.filter_map(|(begin, end)| {
        let (begin, end) = (words.get(begin)?.start, words.get(end.checked_sub(1)?)?.end);
        Some(json!({"offset": begin - from + shift, "length": end - begin}))
    });
    (snippet, highlights.collect())
}

/// Returns the first word of the snippet that shows most of what was found.
fn best(found: &[(usize, usize)], number: usize) -> usize {
    let starts = found.iter().map(|(begin, _)| begin.saturating_sub(BEFORE));
    let shows = |start: usize| {
        let shown = |(begin, end): &&(usize, usize)| start <= *begin && *end <= start + SNIPPET;
        found.iter().filter(shown).count()
    };
    // Of those that show the same, the first one.
    let best = starts.rev().max_by_key(|start| shows(*start)).unwrap_or(0);
    best.min(number.saturating_sub(SNIPPET))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<Phrase> {
        phrases(&Query::parse(text).expect("a query"))
    }

    #[test]
    fn words_are_letters_and_digits_without_case_and_latin_accents() {
        let of = |text: &str| -> Vec<String> { words(text).into_iter().map(|w| w.text).collect() };
        assert_eq!(of("Größe 3.5, GROẞE!"), ["große", "3", "5", "große"]);
        assert_eq!(of("don't e\u{301}té"), ["don", "t", "ete"]);
        assert_eq!(of("'\\ & | ! : * <->"), Vec::<String>::new());
        assert_eq!(
            of(&"x".repeat(9999)).first().map(String::len),
            Some(LONGEST)
        );
    }

    #[test]
    fn nothing_of_a_text_or_a_query_is_syntax() {
        assert_eq!(vector("It's 'it'"), "'it':1 's':2 'it':3 ");
        let query = query(&parsed("\"o'x\"* a&!b"), "#c1");
        assert_eq!(query, "'#c1' & ('o' <-> 'x':*) & ('a' <-> 'b')");
        assert!(vector(&"word ".repeat(99_999)).len() < MOST_BYTES + LONGEST);
    }

    #[test]
    fn a_snippet_shows_where_the_words_are() {
        let (text, found) = snippet("The new pump leaks.", &parsed("leak* \"NEW pump\""));
        assert_eq!(text, "The new pump leaks.");
        let at = |offset: usize, length: usize| json!({"offset": offset, "length": length});
        assert_eq!(found, [at(4, 8), at(13, 5)]);
        let long = format!("{}ü pump here {}", "so ".repeat(40), "it goes ".repeat(40));
        let (text, found) = snippet(&long, &parsed("pump"));
        assert!(
            text.starts_with("…so so so ü pump here it") && text.ends_with('…'),
            "{text}"
        );
        assert_eq!(found, [at(12, 4)]);
        let (text, found) = snippet(&format!("{}end", "so ".repeat(40)), &parsed("end"));
        assert!(text.starts_with('…') && text.ends_with("so end"), "{text}");
        assert_eq!(found.len(), 1);
        assert_eq!(snippet("", &parsed("a")), (String::new(), Vec::new()));
    }
}
