// SPDX-License-Identifier: MPL-2.0

//! Which words are names, which may be, and which are none, by lists.

use super::super::lexicon;
use super::given::MORE;
use super::lists::{CITIES, DOUBTFUL, GIVEN, NEW_WORDS, NO_NAME, PLACES, STATES, SURNAMES};
use super::word::Word;
use fake::locales::{CY_GB, DE_DE, Data, EN, FR_FR, IT_IT, NL_NL, PT_BR, TR_TR};
use std::collections::HashSet;
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
        .chain(NEW_WORDS.split_whitespace())
        .collect();
    let known =
        |names: &[&str]| -> Vec<String> { names.iter().map(|name| name.to_lowercase()).collect() };
    let first = [
        EN::NAME_FIRST_NAME,
        DE_DE::NAME_FIRST_NAME,
        FR_FR::NAME_FIRST_NAME,
        IT_IT::NAME_FIRST_NAME,
        CY_GB::NAME_FIRST_NAME,
        NL_NL::NAME_FIRST_NAME,
        PT_BR::NAME_FIRST_NAME,
        TR_TR::NAME_FIRST_NAME,
    ];
    let more = MORE.split_whitespace().map(str::to_owned);
    let first = first.into_iter().flat_map(known).chain(more);
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

/// Returns `true` if the word is in daily use, and hardly a name.
pub(super) fn is_common(word: &str) -> bool {
    LISTS.common.contains(word)
        || lexicon::is_listed(word)
        || lexicon::is_listed(word.trim_end_matches('s'))
}

/// Returns `true` if the word is in no list of English words, so that it may be a name.
pub(super) fn is_unknown(word: &Word<'_>) -> bool {
    let stem = word.stem();
    let is_new = |part: &str| {
        part.len() > 1
            && part.chars().all(char::is_alphabetic)
            && !LISTS.words.contains(part)
            && !part
                .strip_suffix('s')
                .is_some_and(|one| part.len() > 5 && LISTS.words.contains(one))
            && !is_common(part)
            && !is_place(part)
    };
    stem.len() > 2
        && match stem.split_once('-') {
            // `Hyun-woo`
            Some((first, second)) => {
                word.capital
                    && is_new(first)
                    && second.chars().all(char::is_alphabetic)
                    && second.len() > 1
            }
            None => is_new(stem),
        }
}

pub(super) fn is_place(word: &str) -> bool {
    NAMED.contains(word)
}

pub(super) fn is_given(word: &Word<'_>) -> bool {
    LISTS.given.contains(word.stem()) || lexicon::is_name(word.stem())
}

pub(super) fn is_doubtful(word: &Word<'_>) -> bool {
    LISTS.doubtful.contains(word.stem()) && !is_given(word)
}

pub(super) fn is_surname(word: &Word<'_>) -> bool {
    LISTS.surnames.contains(word.stem())
}

/// Returns `true` for a part of a name with two letters, as `ji`, which is no word.
pub(super) fn is_short(word: &Word<'_>) -> bool {
    word.bare.len() == 2
        && word.is_alphabetic()
        && !is_common(&word.bare)
        && !LISTS.words.contains(word.bare.as_str())
}

/// Returns `true` if the word is in the list of English words.
pub(super) fn is_word(word: &str) -> bool {
    LISTS.words.contains(word)
}
