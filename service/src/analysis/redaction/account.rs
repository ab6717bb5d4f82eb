// SPDX-License-Identifier: MPL-2.0

//! Finds IBANs: `DE89 3704 0044 …`. Other numbers of accounts are known by what is said before
//! them (`number`).

use super::word::Word;
use std::ops::Range;

/// Returns the groups of an IBAN that begins at this word: their count and length.
fn iban_at(words: &[Word<'_>], at: usize) -> Option<(usize, usize)> {
    let (country, check) = words.get(at)?.bare.split_at_checked(2)?;
    let (check, _) = check.split_at_checked(2)?;
    let is_country = country.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !is_country || !check.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let is_group = |word: &&Word<'_>| {
        let has_digit = word.bare.contains(|c: char| c.is_ascii_digit());
        let is_bank = word.bare.len() == 4 && word.raw.bytes().all(|c| c.is_ascii_uppercase());
        word.bare.bytes().all(|c| c.is_ascii_alphanumeric()) && (has_digit || is_bank)
    };
    let groups = words.iter().skip(at).take_while(is_group);
    let lengths = groups.map(|group| group.bare.len());
    Some(lengths.fold((0, 0), |(count, length), next| (count + 1, length + next)))
}

/// Appends the words of all IBANs: `DE89 3704 0044 …`.
pub(super) fn find(words: &[Word<'_>], found: &mut Vec<Range<usize>>) {
    for at in 0..words.len() {
        if let Some((count, 15..=34)) = iban_at(words, at) {
            found.push(at..at + count);
        }
    }
}

/// Returns where an IBAN may begin that is not complete at the end of the words.
pub(super) fn begun(words: &[Word<'_>]) -> Option<usize> {
    let mut starts = words.len().saturating_sub(10)..words.len();
    starts.find(|at| iban_at(words, *at).is_some_and(|(count, _)| at + count == words.len()))
}
