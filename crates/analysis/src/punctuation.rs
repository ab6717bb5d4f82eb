// SPDX-License-Identifier: MPL-2.0

//! Divides recognised words into sentences.
//!
//! If the engine sets punctuation, its text is cut at its own sentence ends (Unicode UAX
//! #29), but not after an abbreviation. [`punctuated`] also begins each sentence with a
//! capital letter. Bare words are cut at pauses: the shorter the pause, the more
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

/// Abbreviations that another word always follows.
const TITLES: &[&str] = &[
    "mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "vs.", "e.g.", "i.e.", "ext.", "gen.", "sgt.",
    "capt.", "lt.", "rev.", "hon.", "mt.", "approx.", "dept.", "est.", "fig.",
];

/// Abbreviations before a number, which are words of their own elsewhere.
const BEFORE_NUMBERS: &[&str] = &["no.", "nos.", "p.", "pp.", "vol.", "art.", "sec."];

/// Abbreviations that may be the last word of a sentence.
const ABBREVIATIONS: &[&str] = &[
    "a.m.", "p.m.", "etc.", "inc.", "ltd.", "co.", "corp.", "jr.", "sr.", "ave.", "blvd.", "rd.",
    "ph.d.",
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

/// Splits the words of one final, which the engine has punctuated, into sentences and
/// begins each with a capital letter. Every word is in exactly one sentence, in order. The
/// result is empty only if there are no words.
///
/// Pauses count only where the engine has set no mark at all, and only above 900 ms: the
/// word times of such an engine are rough.
pub fn punctuated(words: &[RecognisedWord]) -> Vec<Sentence> {
    let has_mark = |word: &RecognisedWord| is_marked(&word.text) && !is_abbreviation(&word.text);
    let mut sentences = match words.iter().any(has_mark) {
        true => sentences(words),
        false => at_long_pauses(words),
    };
    for sentence in &mut sentences {
        sentence.text = capitalised(&sentence.text);
    }
    sentences
}

/// Cuts unmarked words at long pauses and changes nothing.
fn at_long_pauses(words: &[RecognisedWord]) -> Vec<Sentence> {
    let mut start = 0;
    let near = |one: &RecognisedWord, next: &RecognisedWord| {
        next.start.saturating_sub(one.end) <= LONG_PAUSE
    };
    let runs = words.chunk_by(near).map(|run| {
        let texts: Vec<&str> = run.iter().map(|word| word.text.as_str()).collect();
        let text = texts.join(" ");
        let first = start;
        start += run.len();
        Sentence {
            original_text: text.clone(),
            text,
            words: first..start,
        }
    });
    runs.collect()
}

/// Returns a sentence with a capital first letter. Leaves a first word that has a form of
/// its own (`iPhone`, `example.com`) and a sentence that goes on after dots.
fn capitalised(text: &str) -> String {
    let word = text.split_whitespace().next().unwrap_or_default();
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
    let goes_on = word.starts_with(['.', '…']);
    if goes_on
        || !bare
            .chars()
            .all(|c| c.is_lowercase() || "'\u{2019}-".contains(c))
    {
        return text.to_owned();
    }
    let Some((before, first)) = text.char_indices().find(|(_, c)| c.is_alphabetic()) else {
        return text.to_owned();
    };
    let (start, rest) = text.split_at(before);
    let rest = rest.get(first.len_utf8()..).unwrap_or_default();
    first.to_uppercase().fold(start.to_owned(), |mut text, c| {
        text.push(c);
        text
    }) + rest
}

/// Returns `true` if the engine has set punctuation at the end of this word.
fn is_marked(word: &str) -> bool {
    word.chars().any(char::is_alphanumeric)
        && word
            .trim_end_matches(['"', '\'', '”', '’', ')'])
            .ends_with(['.', '?', '!', ',', ';', ':', '…'])
}

/// Returns `true` if the full stop of `word` is that of an abbreviation and ends no
/// sentence before `next`.
fn is_abbreviated(word: &str, next: &str) -> bool {
    let lower = bare(word).to_lowercase();
    if TITLES.contains(&lower.as_str()) {
        return true;
    }
    if BEFORE_NUMBERS.contains(&lower.as_str()) {
        return next.starts_with(|c: char| c.is_ascii_digit());
    }
    // `At 4 p.m. I …` and `at 9 a.m. Monday` go on; `at 9 a.m. Please …` does not.
    let begins = next.starts_with(|c: char| c.is_uppercase())
        && !next.starts_with("I'")
        && next != "I"
        && BEGINNERS.contains(&next.trim_end_matches(',').to_lowercase().as_str());
    is_abbreviation(word) && !begins
}

/// Returns `true` if the full stop of `word` may be that of an abbreviation.
fn is_abbreviation(word: &str) -> bool {
    let bare = bare(word);
    let lower = bare.to_lowercase();
    let is_initial = |part: &str| {
        let mut letters = part.chars();
        letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none()
    };
    // `U.S.` and the `J.` of a name. The pronoun `I.` is no initial.
    let initials = bare.strip_suffix('.').is_some_and(|initials| {
        initials.split('.').all(is_initial) && initials != "I" && initials != "i"
    });
    initials
        || ABBREVIATIONS.contains(&lower.as_str())
        || TITLES.contains(&lower.as_str())
        || BEFORE_NUMBERS.contains(&lower.as_str())
}

/// Returns a word without brackets and quotation marks before it.
fn bare(word: &str) -> &str {
    word.trim_start_matches(['"', '\'', '“', '‘', '(', '['])
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
        let next = texts.get(index + 1).copied().unwrap_or_default();
        let ends_here = ends.contains(&at) && !is_abbreviated(word, next);
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

    fn marked(text: &str) -> Vec<String> {
        let found = punctuated(&words(text)).into_iter();
        found.map(|sentence| sentence.text).collect()
    }

    #[test]
    fn sentences_follow_the_marks_of_the_engine_and_not_its_pauses() {
        assert_eq!(
            marked("Thank you. 20 Press 1, for sales, 950 or stay. 0 Really? Yes!"),
            [
                "Thank you.",
                "Press 1, for sales, or stay.",
                "Really?",
                "Yes!"
            ]
        );
        assert_eq!(marked("She said \"Go.\" Then left.").len(), 2);
        assert!(punctuated(&[]).is_empty());
    }

    #[test]
    fn a_sentence_of_the_engine_begins_with_a_capital() {
        assert_eq!(marked("to listen to it."), ["To listen to it."]);
        assert_eq!(marked("really? yes."), ["Really?", "Yes."]);
        assert_eq!(marked("\"and you?\""), ["\"And you?\""]);
        assert_eq!(marked("élan."), ["Élan."]);
        // These are written so, or the sentence began before.
        for as_it_is in [
            "iPhone sales.",
            "3rd floor.",
            "example.com is up.",
            "...and so.",
        ] {
            assert_eq!(marked(as_it_is), [as_it_is]);
        }
        let found = punctuated(&words("to listen."));
        assert_eq!(found[0].original_text, "to listen.", "as recognised");
    }

    #[test]
    fn an_abbreviation_ends_no_sentence() {
        for one in [
            "Come at four p.m. I will be there.",
            "From nine a.m. Monday on.",
            "At nine A.M. Eastern.",
            "Dial ext. A5 now.",
            "The U.S. Army called.",
            "Ask Dr. So or Mrs. Will.",
            "Room No. 5, then.",
            "Growth of 3.5 Percent.",
            "It costs $3.50 Canadian.",
        ] {
            assert_eq!(marked(one), [one]);
        }
    }

    #[test]
    fn a_sentence_may_end_with_an_abbreviation() {
        for (text, first) in [
            (
                "We open at nine a.m. Please call back.",
                "We open at nine a.m.",
            ),
            ("He is in the U.S. We are not.", "He is in the U.S."),
            ("No. Thank you.", "No."),
            ("Version 3.5. Next one.", "Version 3.5."),
            ("Take plan B. It's cheap.", "Take plan B."),
        ] {
            let found = marked(text);
            assert_eq!((found.len(), found[0].as_str()), (2, first), "{text}");
        }
    }

    #[test]
    fn a_final_without_a_mark_of_its_engine_is_cut_at_long_pauses_only() {
        let one = ["Password incorrect please try again"];
        assert_eq!(marked("password incorrect 900 please try again"), one);
        assert_eq!(
            marked("Password incorrect 910 please try again"),
            ["Password incorrect", "Please try again"]
        );
        assert_eq!(marked("at four p.m. 910 please try again").len(), 2);
        assert_eq!(marked("Thanks, Ann 910 please try again").len(), 1);
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

    #[test]
    fn every_word_that_the_engine_has_marked_is_in_exactly_one_sentence() {
        let long = vec!["word."; 1000].join(" ");
        for text in [
            "a",
            "a 950 b 950 c",
            "Yes. no",
            "? ! .",
            "p.m. 950 a.m.",
            long.as_str(),
        ] {
            let words = words(text);
            let found = punctuated(&words);
            let covered: Vec<usize> = found.iter().flat_map(|s| s.words.clone()).collect();
            assert_eq!(covered, (0..words.len()).collect::<Vec<_>>(), "{text}");
            for sentence in found {
                let count = sentence.text.split(' ').count();
                assert_eq!(count, sentence.words.len(), "{text}");
            }
        }
    }
}
