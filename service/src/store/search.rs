// SPDX-License-Identifier: MPL-2.0

//! Finds messages by their words.
//!
//! A query is plain words: all of them have to be in a message, in any order and case. Words
//! in quotes have to follow each other, and a word that ends with `*` stands for all words
//! that begin so. Nothing else has a meaning, so no text of a user is an error by chance.

use super::{Answer, Piece, Whose};

/// Longest query in bytes, and its most terms.
const LONGEST: usize = 512;
const MOST_TERMS: usize = 32;

/// Finds messages.
pub(crate) trait Search: Send + Sync {
    /// Lists the messages of a conversation that a query finds.
    fn search(&self, whose: Whose, hunt: Hunt) -> Answer<'_, Option<Piece>>;

    /// Lists the messages of all conversations of an account that a query finds. `whose`
    /// names no conversation.
    fn search_all(&self, whose: Whose, hunt: Hunt) -> Answer<'_, Piece>;
}

/// Which messages are looked for, and which of those that are found are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hunt {
    pub(crate) query: Query,
    /// `true` for the newest messages first.
    pub(crate) descending: bool,
    pub(crate) limit: u32,
    pub(crate) offset: u32,
}

/// A query: terms that all have to be in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) terms: Vec<Term>,
}

/// A word, or words that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) text: String,
    /// `true` if the last word may go on.
    pub(crate) is_prefix: bool,
}

/// Why a text is not a query.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum QueryError {
    #[error("`q` has more than {LONGEST} bytes; look for fewer words")]
    TooLong,
    #[error("`q` has more than {MOST_TERMS} words; look for fewer")]
    TooMany,
    #[error("`q` must have a word; what is looked for is made of letters and digits")]
    NoWord,
    #[error(
        "`q` has a quote at character {0} that is not closed; add another one, or leave it out"
    )]
    Unclosed(usize),
}

impl Query {
    /// Parses a query.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, and what to do.
    pub(crate) fn parse(text: &str) -> Result<Self, QueryError> {
        if text.len() > LONGEST {
            return Err(QueryError::TooLong);
        }
        let mut terms = Vec::new();
        let mut rest = text;
        let is_space = |c: char| c.is_whitespace() || c.is_control();
        loop {
            rest = rest.trim_start_matches(is_space);
            let Some(first) = rest.chars().next() else {
                break;
            };
            let (term, after) = match first {
                '"' => {
                    let inside = rest.get(1..).unwrap_or_default();
                    let Some((phrase, after)) = inside.split_once('"') else {
                        let before = text.len() - rest.len();
                        let before = text.get(..before).unwrap_or_default();
                        return Err(QueryError::Unclosed(before.chars().count() + 1));
                    };
                    (phrase, after)
                }
                _ => {
                    let length = rest.find(|c| is_space(c) || matches!(c, '"' | '*'));
                    rest.split_at(length.unwrap_or(rest.len()))
                }
            };
            let after_stars = after.trim_start_matches('*');
            let is_prefix = after_stars.len() < after.len();
            rest = after_stars;
            // Without a letter or a digit there is no word.
            if term.chars().any(char::is_alphanumeric) {
                terms.push(Term {
                    text: term.replace(is_space, " "),
                    is_prefix,
                });
            }
            if terms.len() > MOST_TERMS {
                return Err(QueryError::TooMany);
            }
        }
        match terms.is_empty() {
            true => Err(QueryError::NoWord),
            false => Ok(Self { terms }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(String, bool)> {
        let query = Query::parse(text).unwrap();
        let terms = query.terms.into_iter();
        terms.map(|term| (term.text, term.is_prefix)).collect()
    }

    #[test]
    fn words_are_plain_phrases_are_quoted_and_a_star_ends_a_prefix() {
        for (text, expected) in [
            ("pump", &[("pump", false)][..]),
            (" the  PUMP ", &[("the", false), ("PUMP", false)]),
            ("\"new pump\" leak*", &[("new pump", false), ("leak", true)]),
            ("\"new pu\"* x", &[("new pu", true), ("x", false)]),
            ("a\"b c\"d", &[("a", false), ("b c", false), ("d", false)]),
            (
                "NOT (a OR b) text:c ^d -e",
                &[
                    ("NOT", false),
                    ("(a", false),
                    ("OR", false),
                    ("b)", false),
                    ("text:c", false),
                    ("^d", false),
                    ("-e", false),
                ],
            ),
            ("* - pump \"\" **", &[("pump", false)]),
            ("a\0b\u{7}c", &[("a", false), ("b", false), ("c", false)]),
            ("\"a\0b\"", &[("a b", false)]),
            ("Grüße 水", &[("Grüße", false), ("水", false)]),
        ] {
            let expected: Vec<_> = expected
                .iter()
                .map(|(t, p)| ((*t).to_owned(), *p))
                .collect();
            assert_eq!(parsed(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_query_is_refused_with_what_to_do() {
        for text in ["", "  ", "!?", "\"\"", "***", "\0"] {
            assert_eq!(Query::parse(text), Err(QueryError::NoWord), "{text:?}");
        }
        assert_eq!(Query::parse("é \"b c"), Err(QueryError::Unclosed(3)));
        assert_eq!(Query::parse(&"x".repeat(513)), Err(QueryError::TooLong));
        assert_eq!(Query::parse(&"x ".repeat(33)), Err(QueryError::TooMany));
        assert!(Query::parse(&"x ".repeat(32)).is_ok());
    }
}
