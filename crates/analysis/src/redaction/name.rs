// SPDX-License-Identifier: MPL-2.0

//! Finds the names of people: by a title, by a given name, or by who introduces himself.

use super::known::{
    is_common, is_doubtful, is_given, is_place, is_short, is_surname, is_unknown, is_word,
};
use super::person;
use super::said::{
    ADDRESSES, AMBIGUOUS, DOES, INTRODUCTIONS, OF_NAME, PEOPLE, PRESENTATIONS, RANKS, ROLES,
};
use super::spelling;
use super::word::{Word, bare, ends_with};
use crate::entity::TITLES;
use std::collections::HashMap;
use std::ops::Range;

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
    spelling::letters(words, found);
    beside(words, found);
    again(words, found);
}

/// Appends the later places of names that are in no list and were found once. An interim may
/// have shown the earlier ones.
fn again(words: &[Word<'_>], found: &mut Vec<Range<usize>>) {
    let mut first: HashMap<&str, usize> = HashMap::new();
    for at in found.iter().cloned().flatten() {
        if let Some(word) = words.get(at).filter(|word| is_unknown(word)) {
            let known = first.entry(word.stem()).or_insert(at);
            *known = at.min(*known);
        }
    }
    if !first.is_empty() {
        let places = words.iter().enumerate();
        let places = places.filter(|(at, word)| first.get(word.stem()).is_some_and(|one| one < at));
        found.extend(places.map(|(at, _)| at..at + 1));
    }
}

/// Appends the unknown words beside a name that is hidden: `Priya and Kwame`.
fn beside(words: &[Word<'_>], found: &mut Vec<Range<usize>>) {
    let mut hidden = vec![false; words.len()];
    for at in found.iter().cloned().flatten() {
        if let Some(place) = hidden.get_mut(at) {
            *place = true;
        }
    }
    let is_hidden = |at: usize| hidden.get(at).copied().unwrap_or(false);
    let unknown = |at: usize| words.get(at).is_some_and(is_unknown);
    let acts = |at: usize| {
        matches!(
            bare(words, at),
            "are" | "were" | "have" | "will" | "both" | "also" | "can"
        )
    };
    for and in (1..words.len()).filter(|at| bare(words, *at) == "and") {
        // `to tunde and then to aoife`
        let mut next = and + 1;
        while next < and + 3 && matches!(bare(words, next), "then" | "to" | "with" | "also") {
            next += 1;
        }
        if is_hidden(and - 1) && !is_hidden(next) && unknown(next) {
            found.push(next..next + 1);
        }
        let both = unknown(and - 1) && unknown(and + 1) && acts(and + 2);
        if both && !is_hidden(and - 1) && !is_hidden(and + 1) {
            found.push(and - 1..and);
            found.push(and + 1..and + 2);
        }
        if is_hidden(and + 1) && !is_hidden(and - 1) && unknown(and - 1) {
            found.push(and - 1..and);
        }
    }
}

/// Returns where the name ends that begins at this index.
fn name(words: &[Word<'_>], at: usize) -> Option<usize> {
    let word = words.get(at)?;
    // `w as in walter` spells another name.
    let example = at >= 2 && bare(words, at - 1) == "in" && bare(words, at - 2) == "as";
    if example || is_acronym(words, at) {
        return None;
    }
    // `M. Kowalczyk`
    let is_initial = word.is_letter() && word.capital && word.raw.ends_with('.');
    let surname = words
        .get(at + 1)
        .filter(|next| is_initial && next.capital && (is_unknown(next) || is_surname(next)));
    if surname.is_some() {
        return Some(surnames(words, at + 2));
    }
    let found = titled(words, at).or_else(|| introduced(words, at));
    if let Some(end) = found.or_else(|| person::end(words, at)) {
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
        let known =
            is_surname(next) && (word.capital || !is_common(&next.bare) && !is_word(next.stem()));
        looks_so && (known || is_unknown(next) && !is_common(&word.bare))
    });
    (is_doubtful(word) && is_followed).then(|| surnames(words, at + 1))
}

fn titled(words: &[Word<'_>], at: usize) -> Option<usize> {
    let title = words.get(at)?;
    if RANKS.contains(&title.bare.as_str())
        && !title.marked
        && let Some(next) = words.get(at + 1)
        && (is_given(next) || is_unknown(next))
    {
        return Some(surnames(words, at + 2));
    }
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

/// Returns `true` for a short word in capitals among words that are not.
fn is_acronym(words: &[Word<'_>], at: usize) -> bool {
    let is_lower = |at: usize| {
        words
            .get(at)
            .is_some_and(|word| word.raw.contains(char::is_lowercase))
    };
    let is_upper = words.get(at).is_some_and(|word| {
        matches!(word.bare.len(), 2..=5)
            && !word.raw.contains(char::is_lowercase)
            && word.is_alphabetic()
    });
    is_upper && (is_lower(at.wrapping_sub(1)) || is_lower(at + 1))
}

/// Returns `true` if these words end with `the name is`, `the name on the card was`.
fn is_named(words: &[Word<'_>], last: usize) -> bool {
    match bare(words, last) {
        "name's" | "surname's" => return true,
        "is" | "was" | "it's" | "that's" => {}
        _ => return false,
    }
    let mut before = (last.saturating_sub(5)..last).rev();
    let mut between = before
        .by_ref()
        .skip_while(|at| OF_NAME.contains(&bare(words, *at)));
    between
        .next()
        .is_some_and(|at| matches!(bare(words, at), "name" | "surname") && !is_of_thing(words, at))
}

/// Returns `true` for `user name`, `file name`.
fn is_of_thing(words: &[Word<'_>], name: usize) -> bool {
    const THINGS: &[&str] = &[
        "user",
        "file",
        "domain",
        "company",
        "product",
        "street",
        "brand",
        "host",
        "screen",
        "business",
        "store",
        "app",
        "project",
        "dog's",
        "cat's",
        "server",
        "table",
        "column",
        "code",
        "model",
        "network",
        "wifi",
        "bank",
        "path",
        "branch",
        "team",
        "function",
        "class",
        "variable",
        "package",
        "release",
        "song",
        "place",
        "hotel",
        "restaurant",
    ];
    name > 0 && THINGS.contains(&bare(words, name - 1))
}

/// Returns where the name ends that begins with a person's word for himself.
fn introduced(words: &[Word<'_>], at: usize) -> Option<usize> {
    let last = at.checked_sub(1)?;
    let may_be = |word: &Word<'_>| {
        word.is_alphabetic() && word.bare.len() > 1 && (!is_common(&word.bare) || is_surname(word))
    };
    if let Some(end) = initialed(words, at) {
        return Some(end);
    }
    let first = words.get(at).filter(|word| may_be(word))?;
    let ends_before = words.get(last).is_some_and(|word| word.ends);
    let said = |phrases: &[&str]| {
        !ends_before && phrases.iter().any(|phrase| ends_with(words, last, phrase))
    };
    let known = is_given(first) || is_unknown(first);
    let after_name = is_named(words, last) && !ends_before;
    let more = |at: usize| {
        let before = words
            .get(at - 1)
            .filter(|word| !word.marked && word.stem() == word.bare)?;
        words.get(at).filter(|word| {
            word.capital == before.capital
                && (is_unknown(word)
                    || is_given(word)
                    || after_name && is_short(word)
                    || is_surname(word) && (after_name || !AMBIGUOUS.contains(&word.bare.as_str()))
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
    let is_done = !first.capital && (first.bare.ends_with("ed") || first.bare == "made") && !known;
    if after_name && !is_done || said(&["last name", "surname", "maiden name", "first name"]) {
        return Some(whole());
    }
    let of_people = || PEOPLE.contains(&bare(words, last)) && !ends_before;
    let of_role = || {
        matches!(bare(words, last), "is" | "was")
            && !ends_before
            && (last.saturating_sub(7)..last).any(|at| {
                let word = bare(words, at);
                ROLES.contains(&word) || PEOPLE.contains(&word)
            })
    };
    let is_said = || said(INTRODUCTIONS) || said(ADDRESSES) || of_people() || of_role();
    let nicknamed = is_doubtful(first)
        && said(&[
            "call me",
            "calls me",
            "goes by",
            "go by",
            "named",
            "under the name",
        ]);
    if nicknamed {
        return Some(whole());
    }
    // `hi rose`, but not `hey may i`
    let greeted = is_doubtful(first)
        && !matches!(first.bare.as_str(), "will" | "may" | "can")
        && said(&["hi", "hey", "hello", "dear", "thanks", "thank you", "bye"])
        && !matches!(
            bare(words, at + 1),
            "i" | "you" | "we" | "he" | "she" | "they" | "the" | "be" | "it" | "in" | "of"
        );
    if greeted {
        return Some(whole());
    }
    if known && (is_said() || said_before_mark(words, last)) {
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
    let sure = is_unknown(first)
        || is_doubtful(first)
        || first.capital && !ends_with(words, last, "it's") && !is_place(&first.bare);
    let other = is_place(&first.bare) && !is_doubtful(first);
    (does(end) && !other && (sure || bare(words, end) != "from" && bare(words, end) != "here"))
        .then_some(end)
}

/// Returns where a name ends that begins with an initial behind `the name is`.
fn initialed(words: &[Word<'_>], at: usize) -> Option<usize> {
    let last = at.checked_sub(1)?;
    let initial = words
        .get(at)
        .filter(|word| word.is_letter() && word.raw.ends_with('.'))?;
    let next = words
        .get(at + 1)
        .filter(|next| next.capital && next.is_alphabetic())?;
    let named = is_named(words, last)
        || bare(words, last) == "is" && words.iter().take(at).any(|word| word.bare == "name");
    (named && initial.capital && next.bare.len() > 1).then(|| surnames(words, at + 2))
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
        // `theodora k lindgren`
        let is_initial = end == from
            && words
                .get(end)
                .is_some_and(|word| word.is_letter() && !matches!(word.bare.as_str(), "i" | "a"))
            && words
                .get(end + 1)
                .is_some_and(|word| is_unknown(word) || is_surname(word))
            && !words.get(end - 1).is_some_and(|word| word.marked);
        if is_initial {
            end += 2;
            continue;
        }
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
