// SPDX-License-Identifier: MPL-2.0

//! A word as the rules of the redaction see it.

/// Marks that may stand around a word.
const AROUND: &[char] = &[
    ',', '.', '?', '!', ':', ';', '"', '\'', '\u{2019}', '\u{201c}', '\u{201d}', '(', ')', '[',
    ']', '<', '>', '…', '-', '\u{2013}', '\u{2014}', '#', '*',
];

/// Words that are sounds, or that say a mark between two groups of digits.
const FILLERS: &[&str] = &[
    "uh", "um", "er", "erm", "hm", "hmm", "dash", "hyphen", "space",
];

/// One word of a final.
#[derive(Debug, Clone)]
pub(super) struct Word<'a> {
    /// The word as it was recognised.
    pub(super) raw: &'a str,
    /// The word in lower case, without the marks around it.
    pub(super) bare: String,
    /// `true` if it begins with a capital letter.
    pub(super) capital: bool,
    /// `true` if a mark follows it.
    pub(super) marked: bool,
    /// `true` if a sentence ends with it, as far as the mark behind it says.
    pub(super) ends: bool,
}

impl<'a> Word<'a> {
    pub(super) fn new(raw: &'a str) -> Self {
        let core = raw.trim_matches(AROUND);
        let behind = raw
            .trim_end()
            .trim_end_matches(['"', '\'', '\u{201d}', ')']);
        Self {
            raw,
            bare: core.to_lowercase().replace('\u{2019}', "'"),
            capital: core.chars().next().is_some_and(char::is_uppercase),
            marked: behind.ends_with([',', '.', '?', '!', ':', ';']),
            ends: behind.ends_with(['.', '?', '!']),
        }
    }

    /// Returns the word without a genitive `'s`.
    pub(super) fn stem(&self) -> &str {
        self.bare.strip_suffix("'s").unwrap_or(&self.bare)
    }

    pub(super) fn is_alphabetic(&self) -> bool {
        !self.bare.is_empty()
            && self
                .bare
                .chars()
                .all(|c| c.is_alphabetic() || c == '\'' || c == '-')
    }

    pub(super) fn is_letter(&self) -> bool {
        let mut letters = self.bare.chars();
        letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none()
    }

    pub(super) fn is_filler(&self) -> bool {
        FILLERS.contains(&self.bare.as_str())
    }
}

/// Returns the bare word at an index, or an empty string.
pub(super) fn bare<'a>(words: &'a [Word<'_>], at: usize) -> &'a str {
    words.get(at).map_or("", |word| word.bare.as_str())
}

/// Returns `true` if these words end at the index `last`.
pub(super) fn ends_with(words: &[Word<'_>], last: usize, phrase: &str) -> bool {
    let mut at = last + 1;
    for part in phrase.rsplit(' ') {
        let Some(before) = at.checked_sub(1) else {
            return false;
        };
        at = before;
        // `the sort code's` says as much as `the sort code is`.
        let is_same = bare(words, at) == part
            || at == last && words.get(at).is_some_and(|word| word.stem() == part);
        if !is_same {
            return false;
        }
    }
    true
}
