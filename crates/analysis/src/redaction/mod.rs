// SPDX-License-Identifier: MPL-2.0

//! Finds what a redaction has to hide in the words of a final: e-mail addresses, phone and
//! card numbers, social security numbers, street addresses, names, dates of birth, account
//! numbers and whatever an operator's own patterns match. As a recogniser writes it, in
//! words or in digits.
//!
//! [`Redaction`] is what is to be hidden, [`Redaction::find`] finds it in one list of words,
//! and a [`Redactor`] does so for the finals and interims of one stream, one after the other.
//! Words come in, and the places of those to hide come out. This module never changes a word.
//!
//! The rules are heuristic and for English. `docs/privacy.md` says how often they are right,
//! measured on the labelled lines in `crates/analysis/tests/data`.

mod account;
mod address;
mod birth;
mod code;
mod cue;
mod custom;
mod digits;
mod email;
mod gap;
mod given;
mod identity;
mod known;
mod lists;
mod name;
mod number;
mod person;
mod postcode;
mod said;
mod spelling;
mod stream;
mod taken;
mod town;
mod unnamed;
mod word;

use regex::Regex;
use std::ops::Range;
use taken::Taken;
use word::Word;

pub use stream::{Redactor, Shown};

/// Most words that are looked at in one go. A longer text is cut there.
const MOST: usize = 4000;

/// A kind of what is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// The number of a payment card, its security code, its expiry date, a PIN.
    Card,
    /// A social security number, or its last four digits.
    Ssn,
    /// A street address, a post box, a zip code.
    Address,
    /// The name of a person.
    Name,
    /// A date of birth.
    Birth,
    /// The number of a bank account, a routing number, an IBAN.
    Account,
    /// What one of the operator's patterns matches, by its index.
    Custom(usize),
}

impl Kind {
    /// All kinds but the operator's patterns.
    pub const ALL: [Self; 8] = [
        Self::Email,
        Self::Phone,
        Self::Card,
        Self::Ssn,
        Self::Address,
        Self::Name,
        Self::Birth,
        Self::Account,
    ];

    /// Returns the name of the kind in options and documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Card => "card",
            Self::Ssn => "ssn",
            Self::Address => "address",
            Self::Name => "name",
            Self::Birth => "birth",
            Self::Account => "account",
            Self::Custom(_) => "custom",
        }
    }

    /// Returns the kind with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Returns the type of the entity on the wire.
    pub fn entity(self) -> &'static str {
        match self {
            Self::Email => "EMAIL",
            Self::Phone => "PHONE_NUMBER",
            Self::Card => "CREDIT_CARD",
            Self::Ssn => "SSN",
            Self::Address => "ADDRESS",
            Self::Name => "NAME",
            Self::Birth => "DATE_OF_BIRTH",
            Self::Account => "BANK_ACCOUNT",
            Self::Custom(_) => "CUSTOM",
        }
    }

    fn is_number(self) -> bool {
        !matches!(self, Self::Email | Self::Name | Self::Custom(_))
    }
}

/// A pattern that is none.
#[derive(Debug, thiserror::Error)]
#[error("the pattern {name} cannot be used: {source}")]
pub struct PatternError {
    name: String,
    source: regex::Error,
}

/// An operator's pattern.
#[derive(Debug, Clone)]
struct Pattern {
    name: String,
    regex: Regex,
}

/// What is to be hidden.
#[derive(Debug, Clone, Default)]
pub struct Redaction {
    kinds: Vec<Kind>,
    patterns: Vec<Pattern>,
}

/// Words to hide that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Their places in the words.
    pub words: Range<usize>,
    /// What they are.
    pub kind: Kind,
}

impl Redaction {
    /// Returns a redaction of these kinds, and of none of the operator's patterns.
    pub fn of(kinds: &[Kind]) -> Self {
        Self {
            kinds: kinds.to_vec(),
            patterns: Vec::new(),
        }
    }

    /// Adds a pattern: a regular expression, in which case does not matter.
    ///
    /// # Errors
    ///
    /// The expression cannot be compiled, or is too large.
    pub fn add(&mut self, name: &str, expression: &str) -> Result<(), PatternError> {
        let regex = custom::compile(expression).map_err(|source| PatternError {
            name: name.to_owned(),
            source,
        })?;
        let name = name.to_owned();
        self.patterns.push(Pattern { name, regex });
        Ok(())
    }

    /// Returns a redaction of all kinds and of the patterns that this one has.
    #[must_use]
    pub fn with_all_kinds(&self) -> Self {
        Self {
            kinds: Kind::ALL.to_vec(),
            patterns: self.patterns.clone(),
        }
    }

    /// Returns a redaction of the same kinds but this one, and of the same patterns.
    #[must_use]
    pub fn without(&self, kind: Kind) -> Self {
        let others = self.kinds.iter().filter(|other| **other != kind);
        Self {
            kinds: others.copied().collect(),
            patterns: self.patterns.clone(),
        }
    }

    /// Returns `true` if nothing is to be hidden.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.patterns.is_empty()
    }

    /// Returns the name of a kind: for one of the operator's patterns, the pattern's.
    pub fn name(&self, kind: Kind) -> &str {
        match kind {
            Kind::Custom(index) => self.patterns.get(index).map_or("custom", |one| &one.name),
            _ => kind.name(),
        }
    }

    fn has(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    fn has_numbers(&self) -> bool {
        self.kinds.iter().any(|kind| kind.is_number()) || !self.patterns.is_empty()
    }

    /// Returns what is to be hidden in these words, in their order. Spans do not overlap.
    pub fn find(&self, words: &[&str]) -> Vec<Span> {
        let mut start = 0;
        let parts = words.chunks(MOST).flat_map(|part| {
            let part: Vec<Word<'_>> = part.iter().map(|word| Word::new(word)).collect();
            let mut found = self.find_in(&part);
            for span in &mut found {
                span.words = start + span.words.start..start + span.words.end;
            }
            start += part.len();
            found
        });
        parts.collect()
    }

    /// Returns the text with a replacement for what is to be hidden.
    pub fn text(&self, text: &str, replacement: &str) -> String {
        let mut words: Vec<Range<usize>> = Vec::new();
        let mut at = 0;
        for piece in text.split_inclusive(char::is_whitespace) {
            let length = piece.trim_end().len();
            if length > 0 {
                words.push(at..at + length);
            }
            at += piece.len();
        }
        let word = |place: &Range<usize>| text.get(place.clone()).unwrap_or_default();
        let texts: Vec<&str> = words.iter().map(word).collect();
        let mut out = String::with_capacity(text.len());
        let mut told = 0;
        for span in self.find(&texts) {
            let first = words.get(span.words.start).map_or(told, |word| word.start);
            let last = words
                .get(span.words.end - 1)
                .cloned()
                .unwrap_or(first..first);
            out.push_str(text.get(told..first).unwrap_or_default());
            out.push_str(replacement);
            let mark = word(&last).chars().last();
            out.extend(mark.filter(|c| ".,?!:;".contains(*c)));
            told = last.end;
        }
        out.push_str(text.get(told..).unwrap_or_default());
        out
    }

    fn find_in(&self, words: &[Word<'_>]) -> Vec<Span> {
        let runs = digits::runs(words);
        let mut taken = Taken::new(words.len());
        for (index, pattern) in self.patterns.iter().enumerate() {
            let mut found = Vec::new();
            custom::Text::recognised(words).matches(&pattern.regex, &mut found);
            custom::Text::joined(words).matches(&pattern.regex, &mut found);
            taken.all(found, Kind::Custom(index));
        }
        type Rule<'a> = (Kind, &'a dyn Fn(&mut Vec<Range<usize>>));
        let rules: [Rule<'_>; 7] = [
            (Kind::Email, &|found| email::find(words, found)),
            (Kind::Birth, &|found| birth::births(words, found)),
            (Kind::Card, &|found| birth::expiries(words, found)),
            (Kind::Address, &|found| address::find(words, &runs, found)),
            (Kind::Account, &|found| account::find(words, found)),
            (Kind::Ssn, &|found| identity::find(words, found)),
            (Kind::Address, &|found| postcode::find(words, found)),
        ];
        for (kind, find) in rules {
            if self.has(kind) {
                let mut found = Vec::new();
                find(&mut found);
                taken.all(found, kind);
            }
        }
        let mut numbers = Vec::new();
        number::find(words, &runs, &mut numbers);
        for (span, kind) in numbers.into_iter().filter(|(_, kind)| self.has(*kind)) {
            taken.take(span, kind);
        }
        if self.has(Kind::Name) {
            let mut found = Vec::new();
            name::find(words, &mut found);
            taken.all(found, Kind::Name);
        }
        // What was said is often spelled behind it.
        for span in taken.spans() {
            if matches!(span.kind, Kind::Name | Kind::Email)
                && let Some(letters) = spelling::behind(words, span.words.end)
            {
                taken.take(letters, span.kind);
            }
        }
        taken.spans()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_any_length_is_looked_at_to_its_end() {
        let redaction = Redaction::of(&Kind::ALL);
        let long = "word ".repeat(3 * MOST / 2) + "or ada@example.org, ok";
        let hidden = redaction.text(&long, "[x]");
        assert!(
            hidden.ends_with("word or [x], ok"),
            "{}",
            &hidden[hidden.len() - 40..]
        );
    }

    #[test]
    fn spaces_and_marks_stay_where_they_are() {
        let redaction = Redaction::of(&Kind::ALL);
        for (text, expected) in [
            ("", ""),
            ("  Call\n 555-123-4567!\t", "  Call\n [x]!\t"),
            ("nothing here", "nothing here"),
        ] {
            assert_eq!(redaction.text(text, "[x]"), expected);
        }
    }

    #[test]
    fn a_pattern_finds_what_is_spelled_and_nothing_of_a_kind_that_was_not_asked_for() {
        let mut redaction = Redaction::of(&[Kind::Email]);
        redaction.add("member", "m[0-9]{4}").expect("a pattern");
        let words = [
            "member",
            "m",
            "one",
            "two",
            "double",
            "three",
            "call",
            "555-123-4567",
        ];
        let found = redaction.find(&words);
        assert_eq!(
            found,
            [Span {
                words: 1..6,
                kind: Kind::Custom(0)
            }]
        );
        assert_eq!(redaction.name(found[0].kind), "member");
        assert!(redaction.add("broken", "(").is_err());
        assert!(redaction.add("large", "((a{100}){100}){100}").is_err());
    }

    #[test]
    fn the_check_digit_tells_a_card_from_another_long_number() {
        let redaction = Redaction::of(&[Kind::Card]);
        assert_eq!(redaction.find(&["4539148803436467"]).len(), 1);
        assert_eq!(redaction.find(&["4539148803436468"]).len(), 0);
    }
}
