// SPDX-License-Identifier: MPL-2.0

//! Finds what is spelled letter by letter: `s m i t h`, `S-M-I-T-H`, `d as in david`.

use super::word::{Word, bare};
use std::ops::Range;

/// Words between what was said and the letters that spell it.
const SPELLING: &[&str] = &[
    "that's", "spelled", "spelt", "it's", "is", "s", "spell", "as",
];

/// What is said letter by letter and is no name.
const ACRONYMS: &[&str] = &[
    "http", "https", "html", "usbc", "json", "asap", "rsvp", "ymca", "aarp", "naacp", "hvac",
    "hdmi", "gdpr", "hipaa", "faqs", "ahdt", "adhd", "ptsd", "ncaa", "espn", "lgbt", "lgbtq",
    "mp3s", "pdfs", "urls", "apis", "atms", "dvds", "ceos", "usps", "iban", "dhcp", "smtp", "snmp",
    "ipv", "mysql", "yaml", "crud", "saas", "fyi", "iphone",
];

/// Letters in a row, with the words that tell them apart: `d as in david`, `m for mike`.
struct Letters {
    words: Range<usize>,
    count: usize,
}

/// Reads the letters that begin at this word.
fn read(words: &[Word<'_>], start: usize) -> Letters {
    let mut letters = Letters {
        words: start..start,
        count: 0,
    };
    let mut at = start;
    while let Some(word) = words.get(at) {
        let several = hyphened(word);
        if several == 0 && !word.is_letter() {
            break;
        }
        letters.count += several.max(1);
        at += 1;
        letters.words.end = at;
        if several > 0 {
            continue;
        }
        let example = match (bare(words, at), bare(words, at + 1)) {
            ("as", "in") => at + 2,
            ("for" | "like", _) => at + 1,
            _ => continue,
        };
        let is_word = |word: &&Word<'_>| word.bare.len() > 2 && word.is_alphabetic();
        let begins = |example: &&Word<'_>| example.bare.chars().next() == word.bare.chars().next();
        if words.get(example).filter(is_word).filter(begins).is_none() {
            continue;
        }
        // The word for the last letter is not hidden by itself.
        if words.get(example + 1).is_some_and(Word::is_letter) || letters.count > 1 {
            letters.words.end = example + 1;
        }
        at = example + 1;
        if words.get(example).is_some_and(|word| word.ends) {
            break;
        }
    }
    letters
}

/// Returns how many letters the word spells: 5 for `S-M-I-T-H`.
fn hyphened(word: &Word<'_>) -> usize {
    let mut letters = word.bare.split('-');
    let count = letters.clone().count();
    let single = letters
        .all(|letter| letter.chars().count() == 1 && letter.chars().all(char::is_alphabetic));
    match single && count > 2 {
        true => count,
        false => 0,
    }
}

/// Appends what is spelled letter by letter: three letters behind `name` or `spell`, or
/// four anywhere.
pub(super) fn letters(words: &[Word<'_>], found: &mut Vec<Range<usize>>) {
    let mut at = 0;
    while at < words.len() {
        let letters = read(words, at);
        if letters.count == 0 {
            at += 1;
            continue;
        }
        let from = at.saturating_sub(4);
        let cued = (from..at).any(|at| {
            matches!(
                bare(words, at),
                "name" | "surname" | "spell" | "spelled" | "spelt" | "name's"
            )
        });
        at = letters.words.end;
        let said: String = letters.words.clone().map(|at| bare(words, at)).collect();
        if ACRONYMS.contains(&said.as_str()) {
            continue;
        }
        if letters.count >= 4 || letters.count == 3 && cued {
            found.push(letters.words);
        }
    }
}

/// Returns where letters begin that the words end with, and that may spell a name.
pub(super) fn begun(words: &[Word<'_>]) -> Option<usize> {
    let from = words.len().saturating_sub(32);
    let start = (from..words.len()).find(|at| {
        let letters = read(words, *at);
        let rest = words.get(letters.words.end..).unwrap_or_default();
        // `d as in`, `m for`
        let open = rest.len() <= 3
            && rest.iter().all(|word| {
                matches!(word.bare.as_str(), "as" | "in" | "for" | "like")
                    || rest.len() < 4 && matches!(bare(rest, 0), "as" | "for" | "like")
            });
        letters.count > 0 && open
    })?;
    let only = words.len() - start == 1;
    (!only || !matches!(bare(words, start), "i" | "a")).then_some(start)
}

/// Returns where the letters end that spell what ends here.
pub(super) fn behind(words: &[Word<'_>], end: usize) -> Option<Range<usize>> {
    let mut start = end;
    while start < end + 2 && SPELLING.contains(&bare(words, start)) {
        start += 1;
    }
    let letters = read(words, start);
    (letters.count >= 2).then_some(letters.words)
}
