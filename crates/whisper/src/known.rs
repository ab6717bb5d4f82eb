// SPDX-License-Identifier: MPL-2.0

//! Knows what Whisper writes when nothing was said.
//!
//! Whisper learnt from subtitles. On noise and music it writes what subtitles end with
//! ("Thank you.", "Subtitles by …"), and between speech it writes marks that stand for no
//! word ("[MUSIC]", "(coughing)", "♪"). A text or its words come in here; out goes if the
//! text is such an ending, or what is left without the marks.

use crate::align::Word;

/// Texts that Whisper is known to write for silence, noise and music, as [`normalise`] has
/// them. Some are said by people too.
const WHOLE: &[&str] = &[
    "bye",
    "bye bye",
    "dont forget to like and subscribe",
    "gracias",
    "gracias por ver el video",
    "grazie",
    "ill see you in the next video",
    "merci",
    "merci davoir regardé cette vidéo",
    "please like and subscribe",
    "please subscribe",
    "please subscribe to my channel",
    "see you in the next video",
    "see you next time",
    "so",
    "thank you",
    "thank you bye",
    "thank you for watching",
    "thank you so much",
    "thank you so much for watching",
    "thank you thank you",
    "thank you very much",
    "thank you very much for watching",
    "thanks",
    "thanks for listening",
    "thanks for watching",
    "the end",
    "vielen dank",
    "vielen dank fürs zuschauen",
    "you",
    "you you",
    "продолжение следует",
    "ご視聴ありがとうございました",
    "谢谢大家",
    "谢谢观看",
];

/// How such texts begin when a name follows.
const BEGINNINGS: &[&str] = &[
    "amaraorg",
    "captioning by",
    "captions by",
    "legendas pela comunidade",
    "sottotitoli creati dalla",
    "sous titres par",
    "sous titres réalisés par",
    "subtitled by",
    "subtitles by",
    "subtitles made by",
    "subtitulado por",
    "subtítulos por la comunidad",
    "subtítulos realizados por",
    "transcribed by httpsotterai",
    "transcription by castingwords",
    "transcription by eso",
    "translated by",
    "untertitel der",
    "untertitel im auftrag des",
    "untertitel von",
    "untertitelung des",
    "редактор субтитров",
    "субтитры",
];

/// How such texts end.
const ENDINGS: &[&str] = &["amaraorg"];

/// Brackets around what stands for no word.
const BRACKETS: [(char, char); 5] = [
    ('[', ']'),
    ('(', ')'),
    ('*', '*'),
    ('【', '】'),
    ('（', '）'),
];

/// Signs for music, and the variation selector that may follow one.
const SIGNS: &str = "♩♪♫♬♭♮♯🎵🎶🎼\u{fe0f}";

/// The most words that brackets around no word hold. A remark in brackets is longer.
const MAX_BRACKETED: usize = 4;

/// Returns `true` if a text is one that Whisper is known to write when nothing was said.
///
/// "Thank you." is also said by people, so this alone is no reason to drop a text: the
/// model's probability of no speech must be raised too.
///
/// ```
/// assert!(symbl_whisper::known::is_hallucination(" Thanks for watching!"));
/// assert!(!symbl_whisper::known::is_hallucination(" Thank you for the invoice."));
/// ```
pub fn is_hallucination(text: &str) -> bool {
    let text = normalise(text);
    let begins = |beginning: &&str| {
        let rest = text.strip_prefix(*beginning);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    let ends = |ending: &&str| text.split(' ').next_back() == Some(*ending);
    WHOLE.binary_search(&text.as_str()).is_ok()
        || BEGINNINGS.iter().any(begins)
        || ENDINGS.iter().any(ends)
}

/// Returns a text in lower case, with one space between its words and without marks.
fn normalise(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for word in strip_marks(text).split(|c: char| c.is_whitespace() || "-–—…".contains(c)) {
        let letters = word.chars().filter(|character| character.is_alphanumeric());
        let word: String = letters.flat_map(char::to_lowercase).collect();
        if !word.is_empty() && !plain.is_empty() {
            plain.push(' ');
        }
        plain.push_str(&word);
    }
    plain
}

/// Returns a text without marks that stand for no word: "[MUSIC]", "(coughing)", "*sighs*",
/// "♪", ">>". If no letter or digit is left, the result is empty.
///
/// What is in brackets stays if it has a digit, as in "(415) 555-0100", more than four
/// words, or is part of a word, as in "option(s)". Words between signs for music stay,
/// because they were sung.
///
/// ```
/// use symbl_whisper::known::strip_marks;
///
/// assert_eq!(strip_marks(" [MUSIC] Hello (coughing) there. ♪"), "Hello there.");
/// ```
pub fn strip_marks(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let kept: Vec<String> = stripped(&words).into_iter().flatten().collect();
    let text = kept.join(" ");
    if text.contains(char::is_alphanumeric) {
        text
    } else {
        String::new()
    }
}

/// Returns the words without those that are marks, as [`strip_marks`] does with a text. The
/// times of the words that stay are unchanged.
pub fn strip_words(words: Vec<Word>) -> Vec<Word> {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    let stripped = stripped(&texts);
    let kept = words.into_iter().zip(stripped).filter_map(|(word, text)| {
        let text =
            text.filter(|text| text.contains(char::is_alphanumeric) || *text == word.text)?;
        Some(Word { text, ..word })
    });
    kept.collect()
}

/// Returns for each word what is left of it, if anything.
fn stripped(words: &[&str]) -> Vec<Option<String>> {
    let mut out: Vec<Option<String>> = Vec::with_capacity(words.len());
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let bare = word.trim_matches(|character| SIGNS.contains(character));
        if let Some((taken, rest)) = bracketed(bare, &words[at..]) {
            out.extend((1..taken).map(|_| None));
            let rest = rest.trim_matches(|character| SIGNS.contains(character));
            out.push((!rest.is_empty()).then(|| rest.to_owned()));
            // A mark at the end of a sentence leaves the sentence's full stop.
            join_lone_mark(&mut out);
            at += taken;
            continue;
        }
        let kept: String = bare
            .chars()
            .filter(|character| !SIGNS.contains(*character))
            .collect();
        let is_mark = kept.is_empty() || kept.chars().all(|character| character == '>');
        out.push((!is_mark).then_some(kept));
        at += 1;
    }
    out
}

/// Moves the last entry, if it has no letter or digit, to the word before it.
fn join_lone_mark(out: &mut [Option<String>]) {
    let Some((last, before)) = out.split_last_mut() else {
        return;
    };
    let Some(mark) = last.take_if(|text| !text.contains(char::is_alphanumeric)) else {
        return;
    };
    if let Some(word) = before.iter_mut().rev().flatten().next()
        && !word.ends_with(|character: char| ".,!?;:".contains(character))
    {
        word.push_str(&mark);
    }
}

/// Returns how many of `words` are in brackets that stand for no word, and what follows the
/// closing bracket. `first` is the first word without the signs around it.
fn bracketed<'a>(first: &'a str, words: &[&'a str]) -> Option<(usize, &'a str)> {
    let mut characters = first.chars();
    let opening = characters.next()?;
    let (_, closing) = BRACKETS.into_iter().find(|(open, _)| *open == opening)?;
    for (index, word) in words.iter().take(MAX_BRACKETED).enumerate() {
        let inner = if index == 0 {
            characters.as_str()
        } else {
            *word
        };
        match inner.split_once(closing) {
            Some((inside, rest)) => {
                let is_plain = !inside.contains(char::is_numeric)
                    && !rest
                        .contains(|character: char| character.is_alphanumeric() && closing != ']');
                let is_empty = index == 0 && inside.is_empty();
                return (is_plain && !is_empty).then_some((index + 1, rest));
            }
            None if inner.contains(char::is_numeric) => return None,
            None => {}
        }
    }
    // The text may end within a mark: an interim does.
    let is_end = opening == '[' && words.len() <= MAX_BRACKETED;
    is_end.then_some((words.len(), ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn knows_what_subtitles_end_with() {
        for text in [
            " you",
            "Thank you.",
            " Thanks for watching!",
            "Bye.",
            "Bye-bye!",
            "THANK YOU VERY MUCH.",
            "Subtitles by the Amara.org community",
            "Subtitles by: John Smith",
            "Sous-titres réalisés par la communauté d'Amara.org",
            "Untertitel im Auftrag des ZDF für funk, 2017",
            "Legendas por Amara.org",
            "Субтитры сделал DimaTorzok",
            "ご視聴ありがとうございました",
            "[MUSIC] Thank you.",
            "So…",
            "Don't forget to like and subscribe!",
        ] {
            assert!(is_hallucination(text), "{text}");
        }
    }

    #[test]
    fn lets_speech_pass() {
        for text in [
            "",
            "Yes.",
            "Thank you for the invoice.",
            "Thank you, John.",
            "I read the subtitles by accident.",
            "You are welcome.",
            "So what?",
            "Subtitling by hand is slow.",
            "Goodbye.",
            "Okay.",
        ] {
            assert!(!is_hallucination(text), "{text}");
        }
    }

    #[test]
    fn the_list_is_sorted_and_normalised() {
        assert!(WHOLE.is_sorted(), "it is searched by halves");
        for text in WHOLE.iter().chain(BEGINNINGS).chain(ENDINGS) {
            assert_eq!(normalise(text), *text);
        }
    }

    #[test]
    fn strips_marks() {
        for (text, left) in [
            ("", ""),
            (" Hello.", "Hello."),
            ("[MUSIC]", ""),
            ("[BLANK_AUDIO]", ""),
            ("(coughing)", ""),
            ("(upbeat music playing)", ""),
            ("*sighs* Well.", "Well."),
            ("♪", ""),
            ("♪♪ ♪", ""),
            ("♪ Happy birthday ♪", "Happy birthday"),
            ("🎵Happy birthday🎵", "Happy birthday"),
            (">> Hello. >> Hi.", "Hello. Hi."),
            ("Hello [MUSIC] there", "Hello there"),
            ("Hello (phone rings) there", "Hello there"),
            ("Hello there (laughs).", "Hello there."),
            ("Hello there. (laughs).", "Hello there."),
            ("Hello [door slams], there", "Hello, there"),
            ("[MUSIC]Hello", "Hello"),
            ("♪ [MUSIC] ♪", ""),
            ("...", ""),
            // An interim may end within a mark.
            ("Hello [MUS", "Hello"),
            ("（拍手）", ""),
        ] {
            assert_eq!(strip_marks(text), left, "{text}");
        }
    }

    #[test]
    fn leaves_brackets_around_words() {
        for text in [
            "Call (415) 555-0100.",
            "Press option(s) now.",
            "The amount [12] is right.",
            "We met (as far as I can remember now) in May.",
            "2 * 3 * 4",
            "a*b*c",
            "R & D",
            "Smile :) please",
            "Hello (and",
            "A >= B",
        ] {
            assert_eq!(strip_marks(text), text);
        }
    }

    /// Returns words with the given texts.
    fn words(texts: &[&str]) -> Vec<Word> {
        let word = |(at, text): (usize, &&str)| Word {
            text: (*text).to_owned(),
            start: at * 10,
            end: at * 10 + 5,
            confidence: 1.0,
            first_token: at,
            tokens: 1,
        };
        texts.iter().enumerate().map(word).collect()
    }

    #[test]
    fn strips_words_and_keeps_the_times_of_others() {
        let all = words(&["Hello", "(phone", "rings)", "there", "♪Ok", "&", "♪"]);
        let kept = strip_words(all.clone());
        let expected = [
            all[0].clone(),
            all[3].clone(),
            Word {
                text: "Ok".to_owned(),
                ..all[4].clone()
            },
            all[5].clone(),
        ];
        assert_eq!(kept, expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 4 } else { 512 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn any_text_is_only_shortened(text in "[ab1 .\\[\\]()*♪>]{0,30}|\\PC{0,20}") {
            let left = strip_marks(&text);
            prop_assert!(left.len() <= text.len());
            prop_assert!(left.chars().filter(|c| c.is_numeric()).eq(text.chars().filter(|c| c.is_numeric())));
            is_hallucination(&text);
            let texts: Vec<&str> = text.split_whitespace().collect();
            prop_assert!(strip_words(words(&texts)).len() <= texts.len());
        }
    }
}
