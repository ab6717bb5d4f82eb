// SPDX-License-Identifier: MPL-2.0

//! Finds the names of people: by a title, by a given name, or by who introduces himself.

use super::super::lexicon;
use super::lists::{CITIES, DOUBTFUL, GIVEN, NO_NAME, PLACES, STATES, SURNAMES};
use super::word::{Word, bare, ends_with};
use crate::analysis::entity::TITLES;
use fake::locales::{DE_DE, Data, EN, FR_FR, IT_IT};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

/// The word lists, made when they are first needed.
struct Lists {
    given: HashSet<String>,
    doubtful: HashSet<String>,
    surnames: HashSet<String>,
    common: HashSet<&'static str>,
    /// English words. Names are among them only if they are a word too.
    words: HashSet<&'static str>,
}

/// What has a name and is no person.
static NAMED: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let places = PLACES.split_whitespace();
    places
        .chain(CITIES.iter().copied())
        .chain(STATES.iter().copied())
        .collect()
});

static LISTS: LazyLock<Lists> = LazyLock::new(|| {
    let set = |list: &'static str| list.split_whitespace().map(str::to_owned);
    let words: HashSet<&str> = random_word::all(random_word::Lang::En)
        .iter()
        .copied()
        .collect();
    let known =
        |names: &[&str]| -> Vec<String> { names.iter().map(|name| name.to_lowercase()).collect() };
    let first = [
        EN::NAME_FIRST_NAME,
        DE_DE::NAME_FIRST_NAME,
        FR_FR::NAME_FIRST_NAME,
        IT_IT::NAME_FIRST_NAME,
    ];
    let first = first.into_iter().flat_map(known);
    let is_sure =
        |name: &String| name.len() > 2 && !words.contains(name.as_str()) && !is_place(name);
    let (sure, doubtful): (Vec<String>, Vec<String>) = first.partition(is_sure);
    let listed = stop_words::lookup("en").unwrap_or_default();
    let common: HashSet<&str> = listed
        .iter()
        .copied()
        .chain(NO_NAME.split_whitespace())
        .collect();
    let may_be = |name: &String| !common.contains(name.as_str()) && !lexicon::is_listed(name);
    let doubtful: Vec<String> = doubtful.into_iter().filter(may_be).collect();
    Lists {
        given: set(GIVEN).chain(sure).collect(),
        doubtful: set(DOUBTFUL).chain(doubtful).collect(),
        surnames: set(SURNAMES).chain(known(EN::NAME_LAST_NAME)).collect(),
        common,
        words,
    }
});

/// What is said before a name.
const INTRODUCTIONS: &[&str] = &[
    "first name",
    "last name",
    "surname",
    "maiden name",
    "under the name",
    "name of",
    "calls me",
    "call me",
    "on behalf of",
];

/// Words between `name` and `is`: the name on the card is.
const OF_NAME: &[&str] = &[
    "on",
    "the",
    "my",
    "her",
    "his",
    "our",
    "their",
    "card",
    "account",
    "bill",
    "reservation",
    "booking",
    "policy",
    "of",
    "order",
    "file",
    "mother's",
    "full",
    "last",
    "first",
];

/// What is said before a name that is followed by what the person does.
const PRESENTATIONS: &[&str] = &[
    "this is",
    "i'm",
    "i am",
    "speaking with",
    "talking to",
    "it's",
];

/// What is said to or of a person. A word behind it that is in no list of words is a name.
const ADDRESSES: &[&str] = &[
    "hi",
    "hey",
    "hello",
    "thanks",
    "thank you",
    "dear",
    "ask for",
    "speak to",
    "speak with",
    "spoke to",
    "spoke with",
    "talk to",
    "talk with",
    "talked to",
    "talked with",
    "speaking to",
    "under",
    "contact",
    "tell",
    "told",
    "cc",
    "bye",
    "morning",
    "afternoon",
    "evening",
];

/// What follows a name that is given after `this is`.
const DOES: &[&str] = &["speaking", "calling", "here", "from"];

/// Words that spell a name or an address that was said.
const SPELLING: &[&str] = &["that's", "spelled", "spelt", "it's", "is", "s"];

/// Returns `true` if the word is in daily use, and hardly a name.
pub(super) fn is_common(word: &str) -> bool {
    LISTS.common.contains(word)
        || lexicon::is_listed(word)
        || lexicon::is_listed(word.trim_end_matches('s'))
}

/// Returns `true` if the word is in no list of English words, so that it may be a name.
pub(super) fn is_unknown(word: &Word<'_>) -> bool {
    let stem = word.stem();
    let is_word = |word: &str| LISTS.words.contains(word);
    stem.len() > 2
        && stem.chars().all(char::is_alphabetic)
        && !is_word(stem)
        && !is_common(stem)
        && !is_place(stem)
}

fn is_place(word: &str) -> bool {
    NAMED.contains(word)
}

pub(super) fn is_given(word: &Word<'_>) -> bool {
    LISTS.given.contains(word.stem()) || lexicon::is_name(word.stem())
}

fn is_doubtful(word: &Word<'_>) -> bool {
    LISTS.doubtful.contains(word.stem()) && !is_given(word)
}

fn is_surname(word: &Word<'_>) -> bool {
    LISTS.surnames.contains(word.stem())
}

/// Appends the words of all names.
pub(super) fn find(words: &[Word<'_>], found: &mut Vec<Range<usize>>) {
    let mut at = 0;
    while at < words.len() {
        match name(words, at) {
            Some(end) => {
                found.push(at..end);
                at = end;
            }
            None => at += 1,
        }
    }
    letters(words, found);
    // `Priya and Kwame`: the first one is known.
    let mut more = Vec::new();
    let is_hidden = |at: usize| found.iter().any(|span| span.contains(&at));
    for and in (1..words.len()).filter(|at| bare(words, *at) == "and") {
        let unknown = words
            .get(and + 1)
            .is_some_and(|word| is_unknown(word) && word.capital);
        if unknown && is_hidden(and - 1) && !is_hidden(and + 1) {
            more.push(and + 1..and + 2);
        }
    }
    found.extend(more);
}

/// Appends what is spelled letter by letter: three letters behind `name` or `spell`, or
/// four anywhere.
fn letters(words: &[Word<'_>], found: &mut Vec<Range<usize>>) {
    let mut start = 0;
    let runs = words
        .chunk_by(|one, next| one.is_letter() && next.is_letter())
        .map(|run| {
            let letters = start..start + run.len();
            start = letters.end;
            letters
        });
    let is_spelled = |run: &Range<usize>| {
        let from = run.start.saturating_sub(4);
        let cued = (from..run.start).any(|at| {
            matches!(
                bare(words, at),
                "name" | "surname" | "spell" | "spelled" | "spelt" | "name's"
            )
        });
        run.len() >= 4 || run.len() == 3 && cued
    };
    found.extend(runs.filter(is_spelled));
}

/// Returns where letters begin that the words end with, and that may spell a name.
pub(super) fn letters_begun(words: &[Word<'_>]) -> Option<usize> {
    let letters = words
        .iter()
        .rev()
        .take_while(|word| word.is_letter())
        .count();
    let only = words.len() - letters;
    (letters > 1 || letters == 1 && !matches!(bare(words, only), "i" | "a")).then_some(only)
}

/// Returns where the name ends that begins at this index.
fn name(words: &[Word<'_>], at: usize) -> Option<usize> {
    let word = words.get(at)?;
    if let Some(end) = titled(words, at).or_else(|| introduced(words, at)) {
        return Some(end);
    }
    let next = words
        .get(at + 1)
        .filter(|_| !word.marked && word.stem() == word.bare);
    if is_given(word) {
        return Some(surnames(words, at + 1));
    }
    let is_followed = next.is_some_and(|next| {
        let looks_so = word.capital == next.capital;
        let known = is_surname(next)
            && (word.capital || !is_common(&next.bare) && !LISTS.words.contains(next.stem()));
        looks_so && (known || is_unknown(next) && !is_common(&word.bare))
    });
    (is_doubtful(word) && is_followed).then(|| surnames(words, at + 1))
}

fn titled(words: &[Word<'_>], at: usize) -> Option<usize> {
    let title = words.get(at)?;
    if !TITLES.contains(&title.bare.as_str()) || title.marked && !title.raw.ends_with('.') {
        return None;
    }
    let next = words.get(at + 1)?;
    let known =
        is_given(next) || is_surname(next) || is_unknown(next) || next.capital && title.capital;
    let sure = matches!(title.bare.as_str(), "mr" | "mister" | "mrs" | "missus");
    let is_name = next.is_alphabetic()
        && (known && (!is_common(&next.bare) || next.capital) || sure && !is_common(&next.bare));
    is_name.then(|| surnames(words, at + 2))
}

/// Returns `true` if these words end with `the name is`, `the name on the card was`.
fn is_named(words: &[Word<'_>], last: usize) -> bool {
    match bare(words, last) {
        "name's" => return true,
        "is" | "was" => {}
        _ => return false,
    }
    let mut before = (last.saturating_sub(5)..last).rev();
    let mut between = before
        .by_ref()
        .skip_while(|at| OF_NAME.contains(&bare(words, *at)));
    between
        .next()
        .is_some_and(|at| matches!(bare(words, at), "name" | "surname"))
}

/// Returns where the name ends that begins with a person's word for himself.
fn introduced(words: &[Word<'_>], at: usize) -> Option<usize> {
    let last = at.checked_sub(1)?;
    let may_be = |word: &Word<'_>| {
        word.is_alphabetic() && word.bare.len() > 1 && (!is_common(&word.bare) || is_surname(word))
    };
    let first = words.get(at).filter(|word| may_be(word))?;
    let ends_before = words.get(last).is_some_and(|word| word.ends);
    let said = |phrases: &[&str]| {
        !ends_before && phrases.iter().any(|phrase| ends_with(words, last, phrase))
    };
    let known = is_given(first) || is_unknown(first);
    let more = |at: usize| {
        let before = words
            .get(at - 1)
            .filter(|word| !word.marked && word.stem() == word.bare)?;
        words.get(at).filter(|word| {
            word.capital == before.capital
                && (is_unknown(word)
                    || is_given(word)
                    || is_surname(word) && !AMBIGUOUS.contains(&word.bare.as_str())
                    || word.capital && may_be(word))
        })
    };
    let whole = || {
        let mut end = at + 1;
        while end < at + 3 && more(end).is_some() {
            end += 1;
        }
        end
    };
    if is_named(words, last) && !ends_before
        || said(&["last name", "surname", "maiden name", "first name"])
    {
        return Some(whole());
    }
    if known && (said(INTRODUCTIONS) || said(ADDRESSES) || said_before_mark(words, last)) {
        return Some(whole());
    }
    if !said(PRESENTATIONS) {
        return None;
    }
    if is_given(first) {
        return Some(whole());
    }
    let does = |at: usize| DOES.contains(&bare(words, at));
    let end = whole();
    let sure = is_unknown(first) || first.capital && !ends_with(words, last, "it's");
    (does(end) && (sure || bare(words, end) != "from" && bare(words, end) != "here")).then_some(end)
}

/// Returns `true` for `thanks,` and `hi,`.
fn said_before_mark(words: &[Word<'_>], last: usize) -> bool {
    words.get(last).is_some_and(|word| word.raw.ends_with(','))
        && ADDRESSES.contains(&bare(words, last))
}

/// Returns where the surnames end that begin here.
fn surnames(words: &[Word<'_>], from: usize) -> usize {
    let mut end = from;
    while end < from + 3 {
        let (Some(last), Some(next)) = (words.get(end - 1), words.get(end)) else {
            break;
        };
        // A title has a full stop of its own.
        let is_cut = last.marked && !TITLES.contains(&last.bare.as_str());
        let same = next.capital == last.capital;
        let is_new = is_unknown(next) && same
            || next.capital && last.capital && next.is_alphabetic() && !is_common(&next.bare);
        let is_written = same
            && is_surname(next)
            && (next.capital || !is_common(&next.bare) && !AMBIGUOUS.contains(&next.bare.as_str()));
        if is_cut || last.stem() != last.bare || !(is_new || is_written) {
            break;
        }
        end += 1;
    }
    end
}

/// Surnames that are a word which may follow a given name.
const AMBIGUOUS: &[&str] = &[
    "long", "young", "price", "park", "cook", "hunt", "reed", "rice", "hill", "wood", "woods",
    "grant", "long", "bell", "stone", "rose", "wells", "mills", "west", "lane", "ford", "king",
    "ward", "white", "black", "green", "gray",
];

/// Returns where the letters end that spell what ends here.
pub(super) fn spelled(words: &[Word<'_>], end: usize) -> Option<Range<usize>> {
    let mut start = end;
    while start < end + 2 && SPELLING.contains(&bare(words, start)) {
        start += 1;
    }
    let letters = words
        .get(start..)?
        .iter()
        .take_while(|word| word.is_letter())
        .count();
    (letters >= 2).then_some(start..start + letters)
}
