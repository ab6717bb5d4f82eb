// SPDX-License-Identifier: MPL-2.0

//! Divides recognised words into sentences.
//!
//! If the engine sets punctuation, its text is only cut at its own sentence ends
//! (Unicode UAX #29). Bare words are cut at pauses: the shorter the pause, the more
//! the words must look like the start of a sentence. These sentences get a capital
//! letter, and a full stop or a question mark. No word is added, lost or changed,
//! except for capitals and the mark at the end.

use super::{RecognisedWord, Sentence, question, token};
use std::time::Duration;
use unicode_segmentation::UnicodeSegmentation;

/// A pause this long ends a sentence, whatever the words are.
const LONG_PAUSE: Duration = Duration::from_millis(900);
/// A pause this long ends a sentence whose last word does not need another one.
const PAUSE: Duration = Duration::from_millis(450);
/// A pause this long ends such a sentence if the next word is a likely beginning.
const SHORT_PAUSE: Duration = Duration::from_millis(200);
/// Minimum number of words in a sentence, unless the pause is long.
const FEWEST_WORDS: usize = 2;

/// Maximum number of words in a sentence.
const MOST_WORDS: usize = 60;

/// Words that need another word after them.
const DANGLING: &[&str] = &[
    "a", "an", "the", "my", "your", "his", "her", "its", "our", "their", "of", "to", "for", "in",
    "on", "at", "with", "by", "from", "and", "or", "but", "if", "because", "is", "are", "was",
    "were", "will", "would", "can", "could", "should", "i", "we", "he", "she", "they", "that",
    "which", "not", "very", "um", "uh",
];

/// Words that usually begin a sentence.
const BEGINNERS: &[&str] = &[
    "i", "i'm", "i'll", "i've", "i'd", "we", "we're", "we'll", "we've", "he", "she", "they",
    "it's", "that's", "there's", "there", "this", "please", "thanks", "thank", "hello", "hi",
    "okay", "so", "well", "yes", "no", "what", "when", "where", "who", "why", "how", "do", "does",
    "did", "can", "could", "would", "let's", "press", "if", "to", "your", "you", "sorry",
];

/// Words that always have a capital letter.
const CAPITAL: &[&str] = &[
    "i",
    "i'm",
    "i'll",
    "i've",
    "i'd",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "january",
    "february",
    "april",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "english",
    "mr",
    "mrs",
    "ms",
    "dr",
];

/// Abbreviations whose full stop does not end a sentence.
const ABBREVIATIONS: &[&str] = &[
    "mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "no.", "vs.", "e.g.", "i.e.",
];

/// Minimum confidence for a question mark.
const ASKING: f64 = 0.5;

/// Splits the words of one final into sentences with punctuation and case. Every word
/// is in exactly one sentence, in order. The result is empty only if there are no
/// words.
pub fn punctuate(words: &[RecognisedWord]) -> Vec<Sentence> {
    if words.iter().any(|word| is_marked(&word.text)) {
        return sentences(words);
    }
    let mut sentences = Vec::new();
    let mut start = 0;
    for end in 1..=words.len() {
        if end < words.len() && !ends_sentence(words, start, end) {
            continue;
        }
        let texts: Vec<&str> = words
            .get(start..end)
            .unwrap_or_default()
            .iter()
            .map(|word| word.text.as_str())
            .collect();
        sentences.push(Sentence {
            text: written(&texts),
            original_text: texts.join(" "),
            words: start..end,
        });
        start = end;
    }
    sentences
}

/// Splits the words of one final, which the engine has punctuated, into sentences and
/// changes nothing. Every word is in exactly one sentence, in order. The result is empty
/// only if there are no words.
pub fn sentences(words: &[RecognisedWord]) -> Vec<Sentence> {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    as_marked(&texts)
}

/// Returns `true` if the engine has set punctuation at the end of this word.
fn is_marked(word: &str) -> bool {
    word.chars().any(char::is_alphanumeric)
        && word
            .trim_end_matches(['"', '\'', '”', '’', ')'])
            .ends_with(['.', '?', '!', ',', ';', ':', '…'])
}

/// Cuts where a sentence ends according to Unicode, but only between two words.
fn as_marked(texts: &[&str]) -> Vec<Sentence> {
    let text = texts.join(" ");
    let ends: Vec<usize> = text
        .split_sentence_bound_indices()
        .map(|(at, piece)| at + piece.trim_end().len())
        .collect();
    let mut sentences = Vec::new();
    let (mut start, mut at) = (0, 0);
    for (index, word) in texts.iter().enumerate() {
        at += word.len();
        let abbreviated = ABBREVIATIONS.contains(&word.to_lowercase().as_str());
        let ends_here = ends.contains(&at) && !abbreviated;
        at += 1;
        if ends_here || index + 1 == texts.len() {
            let original_text = texts.get(start..=index).unwrap_or_default().join(" ");
            sentences.push(Sentence {
                text: original_text.clone(),
                original_text,
                words: start..index + 1,
            });
            start = index + 1;
        }
    }
    sentences
}

/// Returns `true` if a sentence of bare words that begins at `start` ends before the
/// word at `at`.
fn ends_sentence(words: &[RecognisedWord], start: usize, at: usize) -> bool {
    let (Some(last), Some(next)) = (at.checked_sub(1).and_then(|i| words.get(i)), words.get(at))
    else {
        return false;
    };
    let pause = next.start.saturating_sub(last.end);
    if pause >= LONG_PAUSE || at - start >= MOST_WORDS {
        return true;
    }
    let is_in =
        |list: &[&str], word: &RecognisedWord| list.contains(&word.text.to_lowercase().as_str());
    let short = at - start < FEWEST_WORDS || words.len() - at < FEWEST_WORDS;
    if short || is_in(DANGLING, last) {
        return false;
    }
    pause >= PAUSE || pause >= SHORT_PAUSE && is_in(BEGINNERS, next)
}

/// Returns a sentence with capitals and a mark at its end.
fn written(words: &[&str]) -> String {
    let mut text = String::new();
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            text.push(' ');
        }
        let plain = word.split(['\'', '\u{2019}']).next().unwrap_or(word);
        if index == 0 || CAPITAL.contains(&word.to_lowercase().as_str()) || CAPITAL.contains(&plain)
        {
            let mut letters = word.chars();
            text.extend(letters.next().into_iter().flat_map(char::to_uppercase));
            text.push_str(letters.as_str());
        } else {
            text.push_str(word);
        }
    }
    let tokens = token::fluent_tokens(&text);
    let asks = question::confidence(question::subject(&tokens)).is_some_and(|sure| sure >= ASKING);
    text.push(if asks { '?' } else { '.' });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns words of 300 ms each. A number before a word is the pause before it,
    /// in milliseconds.
    fn words(text: &str) -> Vec<RecognisedWord> {
        let mut at = Duration::ZERO;
        let mut out = Vec::new();
        for piece in text.split(' ') {
            if let Ok(pause) = piece.parse() {
                at += Duration::from_millis(pause);
                continue;
            }
            let end = at + Duration::from_millis(300);
            out.push(RecognisedWord {
                text: piece.to_owned(),
                start: at,
                end,
                confidence: 1.0,
            });
            at = end;
        }
        out
    }

    fn texts(text: &str) -> Vec<String> {
        punctuate(&words(text))
            .into_iter()
            .map(|s| s.text)
            .collect()
    }

    #[test]
    fn bare_words_get_capitals_and_a_mark() {
        assert_eq!(
            texts("i think i'll call on monday"),
            ["I think I'll call on Monday."]
        );
        assert_eq!(texts("are you there"), ["Are you there?"]);
        assert_eq!(texts("w12 w13 w14"), ["W12 w13 w14."]);
        assert_eq!(texts("hello"), ["Hello."]);
    }

    #[test]
    fn the_words_as_recognised_are_kept() {
        let found = punctuate(&words("w12 i said 950 hello there"));
        let original: Vec<&str> = found.iter().map(|s| s.original_text.as_str()).collect();
        assert_eq!(original, ["w12 i said", "hello there"]);
        assert_eq!(
            (found[0].words.clone(), found[1].words.clone()),
            (0..3, 3..5)
        );
    }

    #[test]
    fn the_shorter_the_pause_the_more_it_must_look_like_a_start() {
        let twice = ["Password incorrect.", "Please try again."];
        assert_eq!(texts("password incorrect 250 please try again"), twice);
        assert_eq!(texts("password incorrect 100 please try again").len(), 1);
        assert_eq!(texts("the blue car 250 drives on").len(), 1);
        assert_eq!(texts("the blue car 500 drives on").len(), 2);
        assert_eq!(texts("go to the 500 blue car").len(), 1, "left dangling");
        assert_eq!(texts("go to the 950 blue car").len(), 2);
    }

    #[test]
    fn punctuation_of_the_engine_is_kept() {
        assert_eq!(
            texts("I'm fine. Thanks, Mr. Smith. You left?"),
            ["I'm fine.", "Thanks, Mr. Smith.", "You left?"]
        );
        assert_eq!(texts("are you there. 950 Bob"), ["are you there.", "Bob"]);
    }

    #[test]
    fn what_an_engine_has_punctuated_is_cut_and_not_changed() {
        let cut = |text: &str| -> Vec<String> {
            let cut = sentences(&words(text)).into_iter();
            cut.map(|sentence| sentence.text).collect()
        };
        // By itself neither capital nor mark would stay away.
        assert_eq!(cut("are you there 950 bob"), ["are you there bob"]);
        assert_eq!(cut("Yes. Are you"), ["Yes.", "Are you"]);
        assert!(sentences(&[]).is_empty());
    }

    #[test]
    fn every_word_is_in_exactly_one_sentence() {
        assert!(punctuate(&[]).is_empty());
        let long = vec!["word"; 1000].join(" ");
        for text in ["a", "a 950 b 950 c", "Yes. no", "? ! .", long.as_str()] {
            let words = words(text);
            let found = punctuate(&words);
            let covered: Vec<usize> = found.iter().flat_map(|s| s.words.clone()).collect();
            assert_eq!(covered, (0..words.len()).collect::<Vec<_>>(), "{text}");
            for sentence in found {
                let texts: Vec<&str> = words[sentence.words]
                    .iter()
                    .map(|w| w.text.as_str())
                    .collect();
                assert_eq!(sentence.original_text, texts.join(" "));
            }
        }
    }
}
