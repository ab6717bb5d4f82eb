// SPDX-License-Identifier: MPL-2.0

//! Finds the phrases of trackers.
//!
//! An *exact* match has all words of the phrase in order, each in any inflection:
//! `refunds` matches `refund`, but `manager` does not match `managed`, although both
//! have the same stem. Case and marks do not count, and numbers match however they are
//! written: `press one` matches `Press 1,` but not `Press 10`. A *similar* match is one that a listener would still take for
//! the phrase: other little words in between, words joined or split, or one word of
//! several misheard by a letter or two. Meaning is not compared: `I love it` is not
//! similar to `I like it`.
//!
//! The limits are chosen so that wrong matches are rare. A missed match is less
//! harmful.

use super::TrackerFinding;
use super::number::{goes_on, in_one_form};
use super::token::{Token, stem};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use symbl_protocol::Tracker;

/// Minimum length of a word that may be misheard, in letters.
const MISHEARD_LENGTH: usize = 4;
/// Maximum number of letters that differ in a misheard word.
const MISHEARD_LETTERS: usize = 2;
/// Minimum similarity of a misheard word to the right one (0–1, Jaro-Winkler).
const MISHEARD_LIKENESS: f64 = 0.88;
/// Maximum number of little words between two words of the phrase.
const MOST_BETWEEN: usize = 2;

/// Words that may be added, left out or changed inside a phrase. Negations and
/// question words are not among them, because they change the meaning.
const LITTLE: &[&str] = &[
    "a", "an", "the", "my", "your", "his", "her", "its", "our", "their", "this", "that", "these",
    "those", "of", "to", "for", "in", "on", "at", "with", "and", "or", "some", "any", "please",
    "just", "really", "very", "also", "me", "you", "it", "us",
];

/// Endings that inflect a word and keep its meaning, after the common beginning of
/// two forms.
const INFLECTIONS: &[&str] = &[
    "", "s", "es", "'s", "e", "ed", "d", "ing", "y", "ies", "ied",
];

/// Smallest block that the allocator gives, in bytes.
const BLOCK: usize = 32;

/// A word in the form that is compared.
#[derive(Debug)]
struct Form {
    word: Box<str>,
    stem: Box<str>,
    little: bool,
}

/// A phrase of a vocabulary, prepared for the search.
#[derive(Debug)]
struct Phrase {
    name: Arc<str>,
    value: Box<str>,
    forms: Box<[Form]>,
    /// The phrase without spaces, as a stem.
    joined: Box<str>,
}

/// Maximum length of a tracker's name and of a phrase, in bytes.
const LONGEST_TEXT: usize = 1024;

/// Punctuation that a phrase may contain.
const MARKS: &[char] = &['.', '\'', '\u{2019}', '-'];

/// Why a tracker cannot be looked for, as a sentence for the client that asked for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnfitTracker(pub String);

/// Checks that a tracker can be looked for: it has a name and phrases, each only once, without
/// punctuation that is not spoken.
///
/// # Errors
///
/// Returns why it cannot, as a sentence.
pub fn check(tracker: &Tracker) -> Result<(), UnfitTracker> {
    let unfit = |why: String| Err(UnfitTracker(why));
    if tracker.name.trim().is_empty() || tracker.name.len() > LONGEST_TEXT {
        return unfit(format!("\"name\" must have 1 to {LONGEST_TEXT} bytes."));
    }
    if tracker.vocabulary.is_empty() {
        return unfit("\"vocabulary\" must have at least one phrase.".to_owned());
    }
    let mut known = HashSet::new();
    for phrase in &tracker.vocabulary {
        if phrase.len() > LONGEST_TEXT || !phrase.contains(char::is_alphanumeric) {
            return unfit(format!(
                "A phrase must have words, and at most {LONGEST_TEXT} bytes."
            ));
        }
        let said = |c: char| c.is_alphanumeric() || c.is_whitespace() || MARKS.contains(&c);
        if let Some(mark) = phrase.chars().find(|c| !said(*c)) {
            return unfit(format!(
                "{phrase:?} has {mark:?}: only . ' and - are allowed."
            ));
        }
        if !known.insert(phrase) {
            return unfit(format!("{phrase:?} is in the vocabulary twice."));
        }
    }
    Ok(())
}

/// All phrases of all trackers.
#[derive(Debug)]
pub struct Phrases(Vec<Phrase>);

/// Returns the length in words of a match at the beginning of the heard words.
type Way = fn(&Phrase, &[Form]) -> Option<usize>;

impl Form {
    fn new(token: &Token) -> Self {
        Self {
            word: token.text.as_str().into(),
            stem: stem(&token.text).into(),
            little: LITTLE.contains(&token.text.as_str()),
        }
    }

    /// Returns `true` if both are forms of one word.
    fn is(&self, other: &Self) -> bool {
        self.word == other.word || self.stem == other.stem && is_inflected(&self.word, &other.word)
    }

    /// Returns `true` if one may have been misheard for the other.
    fn sounds_like(&self, other: &Self) -> bool {
        let long = |form: &Self| !form.little && form.word.chars().count() >= MISHEARD_LENGTH;
        long(self)
            && long(other)
            && strsim::damerau_levenshtein(&self.word, &other.word) <= MISHEARD_LETTERS
            && strsim::jaro_winkler(&self.word, &other.word) >= MISHEARD_LIKENESS
    }
}

fn is_inflected(one: &str, other: &str) -> bool {
    let common: usize = one
        .chars()
        .zip(other.chars())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a.len_utf8())
        .sum();
    let ending = |word: &str| {
        let (kept, rest) = word.split_at_checked(common).unwrap_or((word, ""));
        // `cancel`, `cancelling`: the doubled consonant belongs to the ending.
        let doubled = kept.chars().next_back().and_then(|c| rest.strip_prefix(c));
        INFLECTIONS.contains(&rest) || doubled.is_some_and(|rest| INFLECTIONS.contains(&rest))
    };
    ending(one) && ending(other)
}

impl Phrases {
    /// Prepares the phrases of trackers. Leaves out phrases without words, and
    /// duplicates within a tracker.
    pub fn new(trackers: &[Tracker]) -> Self {
        let mut phrases: Vec<Phrase> = Vec::new();
        for tracker in trackers {
            // Compares only phrases of the same tracker, because there may be
            // thousands of others.
            let first = phrases.len();
            let name: Arc<str> = tracker.name.as_str().into();
            for value in &tracker.vocabulary {
                let words = in_one_form(value);
                let forms: Box<[Form]> = words.iter().map(Form::new).collect();
                let known = |p: &Phrase| same(&p.forms, &forms);
                if forms.is_empty() || phrases.iter().skip(first).any(known) {
                    continue;
                }
                phrases.push(Phrase {
                    name: Arc::clone(&name),
                    value: value.as_str().into(),
                    joined: joined(&forms),
                    forms,
                });
            }
        }
        Self(phrases)
    }

    /// Returns an upper estimate of the memory that these trackers take when
    /// prepared, in bytes.
    pub fn bytes(trackers: &[Tracker]) -> usize {
        let phrases = trackers.iter().flat_map(|tracker| &tracker.vocabulary);
        let phrase = |value: &String| {
            // A digit or a sign may become a word: `$100` is `one hundred dollar`.
            let is_word = |c: char| !c.is_alphanumeric() || c.is_numeric();
            let words = 1 + value.matches(is_word).count();
            size_of::<Phrase>() + 4 * value.len() + words * (size_of::<Form>() + 4 * BLOCK)
        };
        phrases.map(phrase).sum()
    }

    /// Returns every place of every phrase: exact matches, and similar ones
    /// elsewhere.
    pub fn find(&self, text: &str) -> Vec<TrackerFinding> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let tokens = in_one_form(text);
        let heard: Vec<Form> = tokens.iter().map(Form::new).collect();
        self.0
            .iter()
            .flat_map(|phrase| phrase.find(&heard, &tokens, text))
            .collect()
    }
}

impl Phrase {
    fn find(&self, heard: &[Form], tokens: &[Token], text: &str) -> Vec<TrackerFinding> {
        let mut places: Vec<(Range<usize>, bool)> = Vec::new();
        let ways: [(bool, Way); 4] = [
            (true, Self::said),
            (false, Self::said_in_other_pieces),
            (false, Self::said_with_other_little_words),
            (false, Self::misheard),
        ];
        for (exact, way) in ways {
            for start in 0..heard.len() {
                let Some(length) = heard.get(start..).and_then(|rest| way(self, rest)) else {
                    continue;
                };
                let place = start..start + length;
                if goes_on_after(heard, &place) {
                    continue;
                }
                if !places.iter().any(|(known, _)| overlap(known, &place)) {
                    places.push((place, exact));
                }
            }
        }
        places.sort_by_key(|(place, _)| place.start);
        places
            .into_iter()
            .map(|(place, exact)| TrackerFinding {
                name: self.name.to_string(),
                value: self.value.to_string(),
                text: text.to_owned(),
                offset: match tokens.get(place.start) {
                    Some(first) if exact => i64::try_from(first.start).unwrap_or(-1),
                    _ => -1,
                },
            })
            .collect()
    }

    /// Matches the phrase word for word.
    fn said(&self, rest: &[Form]) -> Option<usize> {
        let here = rest.get(..self.forms.len())?;
        same(here, &self.forms).then_some(self.forms.len())
    }

    /// Matches `voicemail` for `voice mail`, and the other way round.
    fn said_in_other_pieces(&self, rest: &[Form]) -> Option<usize> {
        (1..=self.forms.len() + 2).find(|length| {
            *length != self.forms.len()
                && rest
                    .get(..*length)
                    .is_some_and(|here| joined(here) == self.joined)
        })
    }

    /// Matches all words but the little ones, in order, with only little words in
    /// between.
    fn said_with_other_little_words(&self, rest: &[Form]) -> Option<usize> {
        if !self.is_specific() {
            return None;
        }
        let mut at = 0;
        let content = self.forms.iter().filter(|form| !form.little);
        for (index, form) in content.enumerate() {
            if index > 0 {
                let little = rest
                    .iter()
                    .skip(at)
                    .take_while(|heard| heard.little)
                    .count();
                if little > MOST_BETWEEN {
                    return None;
                }
                at += little;
            }
            if !rest.get(at)?.is(form) {
                return None;
            }
            at += 1;
        }
        Some(at)
    }

    /// Matches all words but one, which was misheard.
    fn misheard(&self, rest: &[Form]) -> Option<usize> {
        if !self.is_specific() {
            return None;
        }
        let here = rest.get(..self.forms.len())?;
        let mut wrong = here
            .iter()
            .zip(&self.forms)
            .filter(|(heard, meant)| !heard.is(meant));
        let (heard, meant) = wrong.next()?;
        (wrong.next().is_none() && heard.sounds_like(meant)).then_some(self.forms.len())
    }

    /// Returns `true` if at least two words are not little. A single word is too weak
    /// for a similar match.
    fn is_specific(&self) -> bool {
        self.forms.iter().filter(|form| !form.little).count() >= 2
    }
}

fn same(some: &[Form], others: &[Form]) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(a, b)| a.is(b))
}

fn joined(forms: &[Form]) -> Box<str> {
    let words: String = forms.iter().map(|form| &*form.word).collect();
    stem(&words).into()
}

/// Returns `true` if a place ends within a number, as `press one` does in `press one
/// hundred`.
fn goes_on_after(heard: &[Form], place: &Range<usize>) -> bool {
    let last = place.end.checked_sub(1).and_then(|at| heard.get(at));
    match (last, heard.get(place.end)) {
        (Some(last), Some(next)) => goes_on(&last.word, &next.word),
        _ => false,
    }
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracker(name: &str, vocabulary: &[&str]) -> Tracker {
        Tracker {
            name: name.to_owned(),
            vocabulary: vocabulary.iter().map(ToString::to_string).collect(),
        }
    }

    fn phrases(vocabulary: &[&str]) -> Phrases {
        Phrases::new(&[tracker("T", vocabulary)])
    }

    #[test]
    fn a_tracker_has_a_name_and_phrases_that_can_be_said() {
        let spoken = ["we have a sale", "it's 10 p.m. on-site"];
        assert_eq!(check(&tracker("Promo", &spoken)), Ok(()));
        for (name, vocabulary) in [
            ("", &["a"][..]),
            ("x", &[]),
            ("x", &["what?"]),
            ("x", &["a", "a"]),
            ("x", &["-"]),
            ("x", &[&"a".repeat(LONGEST_TEXT + 1)]),
        ] {
            let result = check(&tracker(name, vocabulary));
            assert!(result.is_err(), "{name} {vocabulary:?}");
        }
    }

    fn offsets(phrase: &str, text: &str) -> Vec<i64> {
        phrases(&[phrase])
            .find(text)
            .iter()
            .map(|f| f.offset)
            .collect()
    }

    #[test]
    fn an_exact_match_has_its_offset_in_characters() {
        assert_eq!(offsets("pound key", "Café: press the Pound keys."), [16]);
        assert_eq!(offsets("i am happy", "Well, I'm happy."), [6]);
        assert_eq!(offsets("press 1", "Press one."), [0]);
    }

    #[test]
    fn a_phrase_is_found_however_its_letters_are_composed() {
        for (phrase, text, offset) in [
            ("cre\u{300}me bru\u{302}le\u{301}e", "The crème brûlée.", 4),
            ("crème brûlée", "The cre\u{300}me bru\u{302}le\u{301}e.", 4),
            // Offsets count characters of the text as it was said.
            ("Zürich", "Ge\u{301}za in Zu\u{308}rich.", 9),
            (
                "한국",
                "\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}",
                0,
            ),
        ] {
            assert_eq!(offsets(phrase, text), [offset], "{text}");
        }
        let found = phrases(&["cafe\u{301}"]).find("A café.");
        assert_eq!(found[0].value, "cafe\u{301}", "as it was asked for");
        assert_eq!(found[0].text, "A café.");
    }

    #[test]
    fn a_similar_match_has_the_offset_minus_one() {
        assert_eq!(
            offsets("cancel my subscription", "Cancel the subscription."),
            [-1]
        );
        assert_eq!(offsets("voice mail", "No voicemail."), [-1]);
        assert_eq!(offsets("voicemail", "No voice mails."), [-1]);
        assert_eq!(offsets("pound key", "The pond key."), [-1]);
    }

    #[test]
    fn one_place_is_one_finding_and_every_place_is_found() {
        assert_eq!(offsets("refund", "Refund or refunds?"), [0, 10]);
        assert_eq!(
            offsets("sales team", "The sales team is a sale team."),
            [4, 20]
        );
        assert_eq!(
            phrases(&["Refund", "refunds", "", "?"])
                .find("A refund.")
                .len(),
            1
        );
    }

    #[test]
    fn negation_and_single_misheard_words_do_not_match() {
        assert!(offsets("i am happy", "I am not happy.").is_empty());
        assert!(offsets("contract", "Our contact.").is_empty());
        assert!(offsets("price", "A surprise.").is_empty());
    }

    #[test]
    fn inflection_is_exact_and_derivation_is_not_the_word() {
        assert_eq!(offsets("cancel", "I am cancelling."), [5]);
        assert_eq!(offsets("company", "All companies."), [4]);
        assert!(offsets("manager", "We managed.").is_empty());
    }

    #[test]
    fn a_number_matches_however_it_is_written() {
        for (phrase, text) in [
            ("press one", "press 1"),
            ("press one", "Press 1, please."),
            ("Press 1.", "press one"),
            ("press ten", "Press 10."),
            ("extension twenty one", "Extension 21."),
            ("extension twenty-one", "Extension 21."),
            ("extension 21", "Extension twenty one."),
            ("one hundred units", "100 units"),
            ("1000 units", "We need 1,000 units."),
            ("one thousand units", "We need 1,000 units."),
            ("first floor", "The 1st floor."),
            ("2nd floor", "The second floor."),
            ("twenty first floor", "The 21st floor."),
            ("thirtieth floor", "The 30th floor."),
            ("four p.m.", "Come at 4 p.m. tomorrow."),
            ("four p m", "Come at 4 P.M."),
            ("4 pm", "Come at 4 p.m."),
            ("four pm", "Come at 4pm."),
            ("9 a.m.", "At nine AM."),
            ("four thirty", "At 4:30."),
            ("five dollars", "It costs $5."),
            ("$5", "It costs five dollars."),
            ("$5", "It costs $5, right?"),
            ("fifty pounds", "It costs £50."),
            ("five million dollars", "A budget of $5 million."),
            ("five percent", "Up 5%."),
            ("5 %", "Up five per cent."),
            ("3.5%", "Up 3.5%, they say."),
            ("three point five percent", "Up 3.5%."),
            ("U.S.A.", "In the USA."),
            ("thank you", "Thank you!"),
            ("HOLD ON", "\"Hold, on,\" he said."),
        ] {
            let found = offsets(phrase, text);
            assert!(
                found.len() == 1 && found[0] >= 0,
                "{phrase}: {text} {found:?}"
            );
        }
    }

    #[test]
    fn a_number_does_not_match_one_that_it_is_a_part_of() {
        for (phrase, text) in [
            ("press one", "Press 10."),
            ("press one", "Press 100."),
            ("press one", "Press 1.5."),
            ("press one", "Press one hundred."),
            ("press one", "Press the 1st."),
            ("press twenty", "Press 21."),
            ("press twenty", "Press twenty one."),
            ("five percent", "Up 3.5%."),
            ("five dollars", "It costs $15."),
            ("five dollars", "It costs £5."),
            ("five dollars", "It costs $5.50."),
            ("$5", "Press 5."),
            ("5%", "Press 5."),
            ("4 p.m.", "At 4 a.m."),
            ("1st floor", "Floor 1."),
        ] {
            assert_eq!(offsets(phrase, text), [0; 0], "{phrase}: {text}");
        }
    }

    #[test]
    fn digits_in_a_row_stay_apart_and_keep_their_places() {
        assert_eq!(offsets("one two three", "Dial 1, 2, 3."), [5]);
        assert_eq!(offsets("2", "Dial one two three."), [9]);
        assert_eq!(offsets("dollars", "Now $5."), [4]);
        assert_eq!(
            offsets("units", "Café: twenty one units, 21 units."),
            [17, 27]
        );
        assert_eq!(offsets("am happy", "I'm happy."), [0]);
    }
}
