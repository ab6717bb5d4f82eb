// SPDX-License-Identifier: MPL-2.0

//! Finds people: given names, titles with a name, and speakers that say their name.

use super::super::lexicon::Class;
use super::super::token::Token;
use super::piece::{Piece, before, word};
use super::when;

/// Words before a name.
pub(crate) const TITLES: &[&str] = &[
    "mr",
    "mister",
    "mrs",
    "missus",
    "miss",
    "ms",
    "doctor",
    "dr",
    "professor",
    "prof",
];

pub(super) fn person(pieces: &[Piece], at: usize) -> usize {
    let titled = usize::from(TITLES.contains(&word(pieces, at)));
    let introduced = before(pieces, at) == "is"
        && at >= 3
        && word(pieces, at - 2) == "name"
        && word(pieces, at - 3) == "my";
    let first = at + titled;
    let named = match pieces.get(first) {
        Some(piece) if titled > 0 || introduced => is_word(piece) && !is_function(piece),
        Some(piece) => is_given(piece),
        None => false,
    };
    if !named {
        return 0;
    }
    let mut length = titled + 1;
    // A surname has a capital letter, if the text has capitals at all.
    while let (Some(last), Some(next)) = (pieces.get(at + length - 1), pieces.get(at + length)) {
        let surname = last.capital
            && next.capital
            && !last.marked
            && is_word(next)
            && next.text != "i"
            && !when::is_calendar(&next.text);
        if !surname || length > 3 {
            break;
        }
        length += 1;
    }
    length
}

fn is_word(piece: &Piece) -> bool {
    piece.text.chars().all(|c| c.is_alphabetic() || c == '\'')
}

fn token(piece: &Piece) -> Token {
    Token {
        text: piece.text.trim_end_matches("'s").to_owned(),
        start: piece.start,
        end: piece.end,
        capital: false,
    }
}

/// Returns `true` if the word is in the list of given names, without its genitive
/// `'s`.
fn is_given(piece: &Piece) -> bool {
    Class::Name.has(&token(piece), 0)
}

fn is_function(piece: &Piece) -> bool {
    let token = token(piece);
    Class::Block.has(&token, 0) || Class::Fragment.has(&token, 0)
}
