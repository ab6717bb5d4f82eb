// SPDX-License-Identifier: MPL-2.0

//! Counts the errors of the word error rate.

use num2words::Num2Words;

/// Splits a text into words, so that different spellings of the same words are equal:
/// lower case, no punctuation, numbers as words.
pub fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .replace('’', "'")
        .split_whitespace()
        .flat_map(spoken)
        .collect()
}

/// Returns the words that a reader says for a piece of text without white space.
fn spoken(piece: &str) -> Vec<String> {
    let piece = piece.trim_matches(|c: char| !c.is_alphanumeric());
    let digits = piece.replace(',', "");
    let number = digits
        .starts_with(|c: char| c.is_ascii_digit())
        .then(|| Num2Words::parse(&digits)?.to_words().ok())
        .flatten();
    number
        .as_deref()
        .unwrap_or(piece)
        .split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Returns the smallest number of words to replace, add or remove to get from what
/// was `said` to what was `heard`.
pub fn word_errors(said: &[String], heard: &[String]) -> usize {
    let (said, heard) = (said.to_vec(), heard.to_vec());
    strsim::generic_levenshtein(&said, &heard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_punctuation_and_the_way_of_writing_numbers_make_no_difference() {
        assert_eq!(
            words("Press 1, to accept — or 42; it’s Mid-day... 1,000!"),
            words("press one to accept or forty two it's mid day one thousand")
        );
        assert_eq!(words(" ... "), Vec::<String>::new());
    }

    #[test]
    fn replaced_added_and_missing_words_are_errors() {
        let errors = |said, heard| word_errors(&words(said), &words(heard));
        assert_eq!(errors("the pound key", "The pound key."), 0);
        assert_eq!(errors("the pound key", "the round key"), 1);
        assert_eq!(errors("the pound key", "the pound or key"), 1);
        assert_eq!(errors("the pound key", "pound"), 2);
        assert_eq!(errors("the pound key", ""), 3);
        assert_eq!(errors("", "the pound key"), 3);
    }
}
