// SPDX-License-Identifier: MPL-2.0

//! Finds e-mail addresses, written or spoken: `john dot smith at example dot com`.

use super::digits;
use super::word::{Word, bare};
use crate::entity::NO_NAME;
use linkify::{LinkFinder, LinkKind};
use std::ops::Range;

/// Top-level domains that are recognised after a spoken `dot`.
#[rustfmt::skip]
const DOMAINS: &[&str] = &[
    "com", "org", "net", "edu", "gov", "io", "uk", "de", "eu", "us", "ca", "info", "biz", "fr", "in", "au",
    "app", "dev", "ai", "tv", "co", "me", "ch", "at", "nl", "it", "es", "nz", "ie", "se", "no", "dk", "be",
    "pl", "br", "mx", "jp", "cn", "mil", "xyz", "online", "shop", "tech", "cloud", "email", "mail",
];

/// Words that join the parts of an address.
const JOINTS: &[&str] = &[
    "dot",
    "underscore",
    "dash",
    "hyphen",
    "minus",
    "point",
    "plus",
    "period",
];

/// Words that are not a name before an `at`, besides those of [`NO_NAME`].
#[rustfmt::skip]
const NO_NAME_EITHER: &[&str] = &[
    "looked", "looking", "you", "i", "we", "they", "to", "the", "a", "or", "and", "am", "working", "work",
    "works", "not", "e-mail", "email", "page", "site", "website", "look", "were", "was", "is", "are", "be",
    "been", "meet", "met", "me", "him", "it", "that", "this", "there", "here", "us", "them", "live", "lives",
    "lived", "stay", "stayed", "arrive", "arrived", "arrives", "back", "down", "up", "out", "still", "good",
    "bad", "only", "just", "starts", "start", "started", "open", "opens", "closes", "worked", "job", "people",
    "team", "guys", "everyone", "someone", "somebody", "point", "stop", "stopped", "pointed", "laugh", "get",
    "bought", "ordered", "order", "shop", "shopped", "shopping", "read", "saw", "found", "listed", "posted",
    "friend",
];

fn is_no_name(word: &str) -> bool {
    NO_NAME.contains(&word) || NO_NAME_EITHER.contains(&word)
}

/// Words that say that an address follows.
const CUES: &[&str] = &["email", "e-mail", "mail", "address"];

/// Words between a cue and the address that belong to neither.
#[rustfmt::skip]
const BETWEEN: &[&str] = &[
    "is", "it's", "its", "at", "address", "would", "be", "to", "me", "him", "her", "us", "the", "my", "his",
    "for", "that's", "so", "um", "uh", "was", "under", "on", "will", "please", "it", "down", "this", "that",
    "over", "there", "here",
];

/// Most words before the `at` that a cue makes part of the address.
const LONGEST: usize = 8;

fn is_part(word: &str) -> bool {
    !word.is_empty()
        && word
            .chars()
            .all(|c| c.is_alphanumeric() || ".-_+'".contains(c))
}

/// Hosts of mail that are said without what follows their name.
#[rustfmt::skip]
const PROVIDERS: &[&str] = &[
    "gmail", "hotmail", "yahoo", "outlook", "icloud", "aol", "protonmail", "btinternet", "googlemail",
    "comcast", "fastmail", "gmx", "verizon", "msn", "live",
];

/// Words behind `dot` that are no top-level domain. There are some 1,400 of those
/// (the root zone of the IANA), and new ones each year, so what is not here counts as one.
#[rustfmt::skip]
const NO_DOMAIN: &[&str] = &[
    "the", "and", "or", "a", "an", "on", "of", "to", "is", "was", "for", "with", "then", "so", "that", "this",
    "i", "you", "we", "they", "he", "she", "but", "from", "as", "by", "not", "if", "when", "where", "who",
    "what", "dot", "at", "um", "uh", "like", "just", "point", "two", "one", "three", "four", "five", "six",
    "seven", "eight", "nine", "zero", "ten",
];

/// Returns `true` for a word that may be a top-level domain.
fn is_top(word: &str) -> bool {
    DOMAINS.contains(&word)
        || word.len() >= 2 && word.chars().all(char::is_alphabetic) && !NO_DOMAIN.contains(&word)
}

/// Appends the words of all addresses.
pub(super) fn find(words: &[Word<'_>], found: &mut Vec<Range<usize>>) {
    written(words, found);
    let mut at = 1;
    while at < words.len() {
        match spoken(words, at) {
            Some(span) => {
                at = span.end;
                found.push(span);
            }
            None => at += 1,
        }
    }
}

fn written(words: &[Word<'_>], found: &mut Vec<Range<usize>>) {
    let mut finder = LinkFinder::new();
    finder.kinds(&[LinkKind::Email]);
    for (at, word) in words.iter().enumerate() {
        if word.raw.contains('@') && finder.links(word.raw).next().is_some() {
            found.push(at..at + 1);
        }
    }
}

/// Reads the address whose `at` is at this index.
fn spoken(words: &[Word<'_>], at: usize) -> Option<Range<usize>> {
    if bare(words, at) != "at" && bare(words, at) != "@" {
        return None;
    }
    let start = name(words, at)?;
    if let Some(end) = domain(words, at + 1) {
        return Some(start..end);
    }
    // `stefan at gmail`
    let host = bare(words, at + 1);
    let named = at - start > 1
        || words.get(start).is_some_and(|word| {
            super::known::is_unknown(word)
                || super::known::is_given(word)
                || word.bare.contains(['.', '_'])
        });
    (PROVIDERS.contains(&host) && named).then_some(start..at + 2)
}

/// Returns where the domain ends that begins at this index.
pub(super) fn domain(words: &[Word<'_>], at: usize) -> Option<usize> {
    let at = match bare(words, at) {
        "sign" => at + 1,
        _ => at,
    };
    let first = bare(words, at);
    if let Some((_, last)) = first.rsplit_once('.')
        && is_part(first)
        && is_top(last)
    {
        return Some(at + 1);
    }
    if !is_part(first) || first == "the" && bare(words, at + 1) == "dot" {
        return None;
    }
    let mut end = at + 1;
    let mut known = None;
    loop {
        match bare(words, end) {
            "dot" | "period" if is_part(bare(words, end + 1)) => {
                let last = bare(words, end + 1);
                end += 2;
                if is_top(last) {
                    known = Some(end);
                } else if known.is_some() {
                    return known;
                }
            }
            "dash" | "hyphen" | "underscore" if is_part(bare(words, end + 1)) => end += 2,
            // The name of the host is said in two words, or letter by letter.
            next if known.is_none() && end < at + 6 && is_part(next) && goes_on(words, end) => {
                end += 1;
            }
            _ => return known,
        }
    }
}

/// Returns `true` if a `dot` and a known domain are near after the host name's next word.
fn goes_on(words: &[Word<'_>], at: usize) -> bool {
    let dot = (at + 1..at + 5).find(|next| bare(words, *next) == "dot");
    // `at meridian health dot org`, `at harper and stone dot law`
    let joined = bare(words, at) == "and" && dot == Some(at + 2);
    let one_word = dot == Some(at + 1) || joined;
    let letters =
        dot.is_some_and(|dot| (at..dot).all(|at| words.get(at).is_some_and(Word::is_letter)));
    dot.is_some_and(|dot| is_top(bare(words, dot + 1))) && (one_word || letters)
}

/// Returns where the name begins that ends before the `at` at this index.
fn name(words: &[Word<'_>], at: usize) -> Option<usize> {
    let last = at.checked_sub(1)?;
    if !is_part(bare(words, last)) || is_no_name(bare(words, last)) {
        return None;
    }
    // `the form at example dot org` is a page.
    let article = last.checked_sub(1).map_or("", |before| bare(words, before));
    if matches!(article, "the" | "a" | "an" | "our" | "your" | "this")
        && super::known::is_word(bare(words, last))
    {
        return None;
    }
    let mut start = last;
    while let Some(before) = start.checked_sub(1) {
        let word = bare(words, before);
        let is_spelled = |at: usize| {
            words
                .get(at)
                .is_some_and(|word| word.is_letter() && word.bare != "a" && word.bare != "i")
                || digits::element(words, at, false).is_some()
                || words.get(at).is_some_and(Word::is_letter)
                    && start - at == 1
                    && words.get(start).is_some_and(Word::is_letter)
        };
        if JOINTS.contains(&word) && before > 0 && is_part(bare(words, before - 1)) {
            start = before - 1;
        } else if is_spelled(before) {
            start = before;
        } else if is_spelled(start)
            && is_part(word)
            && !BETWEEN.contains(&word)
            && !is_no_name(word)
            && !CUES.contains(&word)
            && digits::element(words, start, false).is_some()
        {
            // `garcia eighty two at`: the word before the number.
            start = before;
        } else {
            break;
        }
    }
    Some(cued(words, start, last).unwrap_or(start))
}

/// Returns where the name begins if a cue is before it: `my email is john smith at`.
fn cued(words: &[Word<'_>], start: usize, last: usize) -> Option<usize> {
    let from = last.saturating_sub(LONGEST);
    let at_cue = |at: &usize| {
        let word = bare(words, *at);
        CUES.contains(&word) || word == "write" || word == "reach"
    };
    let cue = (from..start).rev().find(at_cue)?;
    let mut first = cue + 1;
    while first < start
        && (BETWEEN.contains(&bare(words, first)) || words.get(first).is_some_and(Word::is_filler))
    {
        first += 1;
    }
    let parts = words.get(first..start)?;
    let is_name = |word: &Word<'_>| {
        is_part(&word.bare) && !word.marked && !BETWEEN.contains(&word.bare.as_str())
    };
    (parts.len() <= 3 && parts.iter().all(is_name)).then_some(first)
}

/// Returns where an address may begin that is not complete at the end of the words.
pub(super) fn begun(words: &[Word<'_>]) -> Option<usize> {
    let is_joint = |at: usize| {
        let word = bare(words, at);
        JOINTS.contains(&word) || word == "at" || word == "sign"
    };
    let is_letter = |at: usize| {
        words
            .get(at)
            .is_some_and(|word| word.is_letter() && word.bare != "i" && word.bare != "a")
    };
    let is_short = |at: usize| {
        is_letter(at)
            || digits::element(words, at, true).is_some()
            || words.get(at).is_some_and(Word::is_letter)
                && (is_letter(at + 1) || at > 0 && is_letter(at - 1))
    };
    let mut start = words.len();
    let mut joined = false;
    while let Some(before) = start.checked_sub(1) {
        let belongs = is_joint(before)
            || is_short(before)
            || is_part(bare(words, before))
                && (start == words.len()
                    || is_joint(start)
                    || is_short(start)
                        && (before == 0
                            || is_joint(before - 1)
                            || is_joint(start - 1)
                            || digits::element(words, start, true).is_some()));
        if !belongs {
            break;
        }
        joined |= is_joint(before) || is_letter(before);
        start = before;
    }
    let behind_cue = (words.len().saturating_sub(LONGEST + 2)..words.len())
        .rev()
        .find_map(|at| {
            let mut first = at + 1;
            let is_cue = matches!(
                bare(words, at),
                "email" | "e-mail" | "mail" | "write" | "reach"
            );
            let is_cue = is_cue || bare(words, at) == "address";
            while BETWEEN.contains(&bare(words, first)) {
                first += 1;
            }
            let parts = words.get(first..).unwrap_or_default();
            let open = is_cue && parts.iter().all(|word| is_part(&word.bare)) && !parts.is_empty();
            open.then_some(first)
        });
    // `jack ninety four`
    let mut number = words.len();
    while number > 0 && is_short(number - 1) {
        number -= 1;
    }
    let before = number.checked_sub(1).filter(|before| {
        let word = bare(words, *before);
        number < words.len() && is_part(word) && !is_no_name(word) && !super::known::is_common(word)
    });
    [
        joined.then_some(start),
        behind_cue,
        behind_at(words),
        before,
    ]
    .into_iter()
    .flatten()
    .min()
}

/// Returns where the name begins of an address whose host is not complete: `bookings at the
/// grand`.
fn behind_at(words: &[Word<'_>]) -> Option<usize> {
    let from = words.len().saturating_sub(6).max(1);
    let at = (from..words.len())
        .rev()
        .find(|at| matches!(bare(words, *at), "at" | "@"))?;
    let host = words.get(at + 1..)?;
    let is_open = host.iter().all(|word| is_part(&word.bare) && !word.ends);
    let known = is_open && digits::element(words, at + 1, false).is_none();
    known.then(|| name(words, at)).flatten()
}
