// SPDX-License-Identifier: MPL-2.0

//! Splits a sentence into words as the rules see them: in lower case, with
//! contractions taken apart and small numbers in letters. Each has its place in the
//! text.
//!
//! Word boundaries are those of Unicode (UAX #29), and stems are Snowball's. Words
//! are compared in their composed form (NFC), however the text is written. Places are
//! those in the text as it is written. This module never changes the text.

use rust_stemmers::{Algorithm, Stemmer};
use std::borrow::Cow;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};
use unicode_segmentation::UnicodeSegmentation;

/// One word, or one half of a contraction: `i'll` gives `i` and `will`, both with the
/// place of the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// The word in lower case.
    pub text: String,
    /// Position of the first character, in characters of the sentence.
    pub start: usize,
    /// Position after the last character, in characters of the sentence.
    pub end: usize,
    /// `true` if the word begins with a capital letter in the text.
    pub capital: bool,
}

/// Number words; the index is the value.
pub(super) const NUMBERS: &[&str] = &[
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
];

/// Contractions that stand for two words.
const CONTRACTIONS: &[(&str, [&str; 2])] = &[
    ("can't", ["can", "not"]),
    ("cannot", ["can", "not"]),
    ("won't", ["will", "not"]),
    ("shan't", ["shall", "not"]),
    ("let's", ["let", "us"]),
    ("gonna", ["going", "to"]),
    ("gotta", ["have", "to"]),
    ("wanna", ["want", "to"]),
    ("lemme", ["let", "me"]),
];

/// Endings that stand for a word.
const ENDINGS: &[(&str, &str)] = &[
    ("n't", "not"),
    ("'ll", "will"),
    ("'re", "are"),
    ("'ve", "have"),
    ("'m", "am"),
    ("'d", "would"),
];

/// After these words, `'s` is read as `is`. Elsewhere it is a genitive.
const IS_BEFORE: &[&str] = &[
    "i", "he", "she", "it", "that", "this", "there", "here", "what", "who", "where", "when", "why",
    "how",
];

/// Sounds of hesitation.
const HESITATIONS: &[&str] = &["uh", "um", "er", "erm", "hm", "hmm", "mm", "mhm"];

/// Maximum number of words that are read from a sentence. No speaker says that many
/// in one.
const MOST: usize = 200;

/// Returns the tokens of a text without hesitations and without repeated words: what
/// the speaker meant to say. At most the first [`MOST`].
pub(super) fn fluent_tokens(text: &str) -> Vec<Token> {
    let mut tokens = tokens(text);
    tokens.retain(|token| !HESITATIONS.contains(&token.text.as_str()));
    tokens.dedup_by(|next, first| next.text == first.text);
    tokens.truncate(MOST);
    tokens
}

/// Returns the tokens of a text, in order.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut characters = 0;
    let mut pieces = text.split_word_bounds().peekable();
    while let Some(piece) = pieces.next() {
        let start = characters;
        characters += piece.chars().count();
        if !piece.chars().any(char::is_alphanumeric) {
            continue;
        }
        // The last full stop of `p.m.` belongs to the word.
        if is_meridiem(piece) && pieces.next_if_eq(&".").is_some() {
            characters += 1;
        }
        let capital = piece.chars().next().is_some_and(char::is_uppercase);
        for text in parts(&composed(piece).to_lowercase().replace('\u{2019}', "'")) {
            out.push(Token {
                text,
                start,
                end: characters,
                capital,
            });
        }
    }
    out
}

/// Returns a word in the composed form of Unicode (NFC): an `e` followed by an accent
/// becomes one `é`.
pub(super) fn composed(word: &str) -> Cow<'_, str> {
    match is_nfc_quick(word.chars()) {
        IsNormalized::Yes => Cow::Borrowed(word),
        _ => Cow::Owned(word.nfc().collect()),
    }
}

/// Returns `true` for `a.m` and `p.m`, in any case.
fn is_meridiem(word: &str) -> bool {
    word.eq_ignore_ascii_case("a.m") || word.eq_ignore_ascii_case("p.m")
}

/// Splits `4pm` into its digits and `pm`.
fn time_of_day(word: &str) -> Option<(&str, &str)> {
    let digits = word.trim_end_matches(|c: char| !c.is_ascii_digit());
    let is_hour = matches!(digits.len(), 1 | 2) && digits.bytes().all(|b| b.is_ascii_digit());
    let (digits, rest) = word.split_at_checked(digits.len()).filter(|_| is_hour)?;
    ["am", "pm"].contains(&rest).then_some((digits, rest))
}

fn parts(word: &str) -> Vec<String> {
    if is_meridiem(word) {
        return vec![word.replace('.', "")];
    }
    if let Some((digits, half)) = time_of_day(word) {
        return [parts(digits), vec![half.to_owned()]].concat();
    }
    if let Some((_, two)) = CONTRACTIONS.iter().find(|(short, _)| *short == word) {
        return two.iter().map(ToString::to_string).collect();
    }
    for (ending, long) in ENDINGS {
        if let Some(stem) = word.strip_suffix(ending)
            && !stem.is_empty()
        {
            return vec![stem.to_owned(), (*long).to_owned()];
        }
    }
    if let Some(stem) = word.strip_suffix("'s")
        && IS_BEFORE.contains(&stem)
    {
        return vec![stem.to_owned(), "is".to_owned()];
    }
    if let Some(number) = word.parse().ok().and_then(|n: usize| NUMBERS.get(n)) {
        return vec![(*number).to_owned()];
    }
    vec![word.to_owned()]
}

/// Returns `true` if a word is a number, in digits or letters.
pub(super) fn is_number(word: &str) -> bool {
    const MORE: &[&str] = &[
        "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred", "thousand",
        "million", "billion", "oh",
    ];
    NUMBERS.contains(&word) || MORE.contains(&word) || word.parse::<f64>().is_ok()
}

/// Returns the stem of a lower-case English word: `cancelled` → `cancel`.
pub(super) fn stem(word: &str) -> String {
    Stemmer::create(Algorithm::English).stem(word).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        tokens(text).into_iter().map(|t| t.text).collect()
    }

    #[test]
    fn contractions_are_two_words_in_one_place() {
        let found = tokens("So I’ll go, won't I?");
        let texts: Vec<&str> = found.iter().map(|t| t.text.as_str()).collect();
        assert_eq!(texts, ["so", "i", "will", "go", "will", "not", "i"]);
        assert_eq!((found[1].start, found[1].end), (3, 7));
        assert_eq!((found[2].start, found[2].end), (3, 7));
        assert!(found[1].capital);
    }

    #[test]
    fn a_genitive_stays_one_word() {
        assert_eq!(
            words("john's file that's it"),
            ["john's", "file", "that", "is", "it"]
        );
    }

    #[test]
    fn fluent_words_do_not_stammer() {
        let found = fluent_tokens("um we we uh we'll go");
        let texts: Vec<&str> = found.iter().map(|t| t.text.as_str()).collect();
        assert_eq!(texts, ["we", "will", "go"]);
    }

    #[test]
    fn small_numbers_become_words() {
        assert_eq!(words("Press 1, w12"), ["press", "one", "w12"]);
    }

    #[test]
    fn times_of_day_have_one_form_and_keep_their_marks() {
        for text in ["4 p.m. on", "4pm on", "4 PM on", "4 P.M. on", "four p.m on"] {
            assert_eq!(words(text), ["four", "pm", "on"], "{text}");
        }
        let found = tokens("at 4 p.m.");
        assert_eq!((found[2].start, found[2].end), (5, 9));
        assert_eq!(words("30pm 100am spam"), ["30", "pm", "100am", "spam"]);
    }

    #[test]
    fn a_decomposed_word_is_compared_composed_and_keeps_its_place() {
        let found = tokens("u\u{308}ber cafe\u{301} now");
        let texts: Vec<&str> = found.iter().map(|t| t.text.as_str()).collect();
        assert_eq!(texts, ["über", "café", "now"]);
        assert_eq!((found[0].start, found[0].end), (0, 5));
        assert_eq!((found[2].start, found[2].end), (12, 15));
    }

    #[test]
    fn places_count_characters_not_bytes() {
        let found = tokens("über café now");
        assert_eq!((found[2].start, found[2].end), (10, 13));
    }
}
