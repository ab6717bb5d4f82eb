// SPDX-License-Identifier: MPL-2.0

//! The small language in which the rules are written. A table of rules can be read
//! aloud.
//!
//! | piece | stands for |
//! |---|---|
//! | `send` | that word |
//! | `TASK` | any word of that class, see [`super::lexicon`] |
//! | `!TASK` | any one word that is not of the class |
//! | `-ing` | any word with that ending |
//! | `a\|B\|-ed` | any of these |
//! | `?a\|b` | any of these, or nothing |
//! | `*` | any one word |
//! | `**` | nothing to three words |
//! | `...` | any number of words |
//! | `^` | the start of the sentence, after openers such as `okay so` |
//! | `$` | the end of the sentence |
//!
//! A pattern may match anywhere in the sentence. Matching never fails and allocates
//! nothing.

use super::lexicon::Class;
use super::token::Token;
use std::ops::Range;

#[derive(Debug, Clone, PartialEq)]
enum Atom {
    Any,
    Word(&'static str),
    Ending(&'static str),
    In(Class),
    NotIn(Class),
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Start,
    End,
    /// Any words, up to this number.
    Gap(usize),
    OneOf(Vec<Atom>, /* optional */ bool),
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Vec<Piece>);

/// A sentence that patterns are matched against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    /// All words of the sentence.
    pub tokens: &'a [Token],
    /// Index of the first word after the openers.
    pub opening: usize,
}

impl Pattern {
    /// Reads a pattern. Every string is one: a piece that is not in the table is a
    /// word.
    pub fn new(source: &'static str) -> Self {
        Self(source.split(' ').map(piece).collect())
    }

    /// Returns the first place where the pattern matches, as a range of tokens.
    pub fn find(&self, subject: Subject) -> Option<Range<usize>> {
        self.places(subject).next()
    }

    /// Returns all places, at most one for each word that a match can start with.
    pub fn places<'a>(&'a self, subject: Subject<'a>) -> impl Iterator<Item = Range<usize>> + 'a {
        (0..=subject.tokens.len())
            .filter_map(move |start| matches(&self.0, subject, start).map(|end| start..end))
    }

    #[cfg(test)]
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().flat_map(|piece| {
            match piece {
                Piece::OneOf(atoms, _) => atoms.as_slice(),
                _ => &[],
            }
            .iter()
            .filter_map(|atom| match atom {
                Atom::Word(word) => Some(*word),
                _ => None,
            })
        })
    }
}

fn piece(source: &'static str) -> Piece {
    match source {
        "^" => Piece::Start,
        "$" => Piece::End,
        "**" => Piece::Gap(3),
        "..." => Piece::Gap(usize::MAX),
        _ => {
            let (atoms, optional) = match source.strip_prefix('?') {
                Some(rest) => (rest, true),
                None => (source, false),
            };
            Piece::OneOf(atoms.split('|').map(atom).collect(), optional)
        }
    }
}

fn atom(source: &'static str) -> Atom {
    if source == "*" {
        return Atom::Any;
    }
    if let Some(ending) = source.strip_prefix('-') {
        return Atom::Ending(ending);
    }
    if let Some(class) = source.strip_prefix('!').and_then(Class::named) {
        return Atom::NotIn(class);
    }
    Class::named(source).map_or(Atom::Word(source), Atom::In)
}

impl Atom {
    fn matches(&self, subject: Subject, at: usize) -> bool {
        let Some(token) = subject.tokens.get(at) else {
            return false;
        };
        match self {
            Self::Any => true,
            Self::Word(word) => token.text == *word,
            Self::Ending(ending) => {
                token.text.len() > ending.len() + 1 && token.text.ends_with(ending)
            }
            Self::In(class) => class.has(token, at),
            Self::NotIn(class) => !class.has(token, at),
        }
    }
}

/// Returns the end of the match that begins at `at`.
fn matches(pieces: &[Piece], subject: Subject, at: usize) -> Option<usize> {
    let Some((first, rest)) = pieces.split_first() else {
        return Some(at);
    };
    match first {
        Piece::Start => (at == subject.opening)
            .then(|| matches(rest, subject, at))
            .flatten(),
        Piece::End => (at == subject.tokens.len())
            .then(|| matches(rest, subject, at))
            .flatten(),
        Piece::Gap(most) => {
            let left = subject.tokens.len().saturating_sub(at);
            (0..=left.min(*most)).find_map(|skip| matches(rest, subject, at + skip))
        }
        Piece::OneOf(atoms, optional) => {
            let here = atoms.iter().any(|atom| atom.matches(subject, at));
            here.then(|| matches(rest, subject, at + 1))
                .flatten()
                .or_else(|| optional.then(|| matches(rest, subject, at)).flatten())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::tokens;
    use super::*;

    fn find(pattern: &'static str, text: &str) -> Option<Range<usize>> {
        Pattern::new(pattern).find(Subject {
            tokens: &tokens(text),
            opening: 0,
        })
    }

    #[test]
    fn pieces_match_as_the_table_says() {
        assert_eq!(find("will send", "so i will send it"), Some(2..4));
        assert_eq!(
            find("i|we will ?also send", "we will also send it"),
            Some(0..4)
        );
        assert_eq!(find("i|we will ?also send", "we will send it"), Some(0..3));
        assert_eq!(find("be -ing", "i will be calling"), Some(2..4));
        assert_eq!(
            find("have ** ready", "i have the big report ready"),
            Some(1..6)
        );
        assert_eq!(
            find("have ** ready", "i have one two three four ready"),
            None
        );
        assert_eq!(
            find("had ... would", "had he known this at the time he would"),
            Some(0..9)
        );
        assert_eq!(find("^ send", "please send"), None);
        assert_eq!(find("know $", "let me know"), Some(2..3));
        assert_eq!(find("know $", "let me know it"), None);
        assert_eq!(find("PERSON !PERSON", "i you send"), Some(1..3));
        assert_eq!(find("send *", "please send"), None);
    }
}
