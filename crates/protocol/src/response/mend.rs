// SPDX-License-Identifier: MPL-2.0

//! Mends text that is nearly JSON.
//!
//! Some serialisers write what JSON does not allow: `NaN` for a confidence of 0/0, a
//! byte order mark at the start, a NUL at the end, control characters inside strings.
//! A caption is worth more than strictness, so [`mend`] writes the JSON that was
//! meant. It is called only for text that a strict parser has refused. No crate that
//! accepts more than JSON keeps the original text of each item, which is promised to
//! applications.
//!
//! If a text cannot be mended, [`Unreadable`] says what kind of message it seems to
//! have been.

use std::fmt::Write;
use std::iter::Peekable;
use std::str::Chars;

/// Maximum length of the type reported for an unreadable text, in bytes.
const LONGEST_KIND: usize = 64;

/// Returns the JSON that `text` was meant to be, or `None` if there is nothing to
/// mend.
///
/// Numbers that JSON does not have (`NaN`, `Infinity`) and `undefined` become `null`.
/// Inside strings, control characters are escaped, and so is a backslash that escapes
/// nothing. Outside strings, control characters and byte order marks become spaces.
/// Everything else stays as it is, so the result is JSON only if the rest of `text`
/// was.
pub(super) fn mend(text: &str) -> Option<String> {
    let mut mended = String::with_capacity(text.len() + 16);
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '"' => string(&mut rest, &mut mended),
            '+' | '-' if rest.peek().is_some_and(char::is_ascii_alphabetic) => {
                let name = name(None, &mut rest);
                match is_no_number(&name) {
                    true => mended.push_str("null"),
                    false => mended.extend([String::from(next), name]),
                }
            }
            letter if letter.is_ascii_alphabetic() => {
                let name = name(Some(letter), &mut rest);
                match is_no_number(&name) || name == "undefined" {
                    true => mended.push_str("null"),
                    false => mended.push_str(&name),
                }
            }
            '\n' | '\r' | '\t' => mended.push(next),
            '\u{feff}' => mended.push(' '),
            control if control.is_control() => mended.push(' '),
            other => mended.push(other),
        }
    }
    (mended != text).then_some(mended)
}

/// Copies a string up to its closing quotation mark, and escapes what JSON requires.
fn string(rest: &mut Peekable<Chars<'_>>, mended: &mut String) {
    mended.push('"');
    while let Some(next) = rest.next() {
        match next {
            '"' => {
                mended.push('"');
                return;
            }
            '\\' => escape(rest, mended),
            control if u32::from(control) < 0x20 => {
                // Writing to a `String` cannot fail.
                let _ = write!(mended, "\\u{:04x}", u32::from(control));
            }
            other => mended.push(other),
        }
    }
}

/// Copies what follows a backslash. JavaScript, C and Python have escapes that JSON
/// lacks.
fn escape(rest: &mut Peekable<Chars<'_>>, mended: &mut String) {
    match rest.peek() {
        Some('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => {
            mended.push('\\');
            mended.extend(rest.next());
        }
        Some('u') => {
            let digits = rest.clone().skip(1).take(4);
            let is_one = digits.filter(char::is_ascii_hexdigit).count() == 4;
            mended.push_str(if is_one { "\\" } else { "\\\\" });
            mended.extend(rest.next());
        }
        // Drops the backslash and keeps the character: `\'` is an apostrophe.
        Some(_) => {}
        None => mended.push('\\'),
    }
}

/// Reads the rest of a bare word.
fn name(first: Option<char>, rest: &mut Peekable<Chars<'_>>) -> String {
    let mut name: String = first.into_iter().collect();
    while let Some(letter) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
        name.push(letter);
    }
    name
}

/// Returns `true` if `name` is NaN or infinity in some programming language.
fn is_no_number(name: &str) -> bool {
    ["nan", "inf", "infinity"]
        .iter()
        .any(|no_number| name.eq_ignore_ascii_case(no_number))
}

/// What an unreadable text seems to have been.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unreadable {
    /// The type of the message. Empty if it cannot be told.
    pub kind: String,
    /// `true` if it may have been a final recognition result. Losing one leaves audio
    /// without text.
    pub may_be_final: bool,
}

impl Unreadable {
    /// Examines a text that [`super::ServerMessage::parse`] has refused.
    pub fn of(text: &str) -> Self {
        let mut kinds = text
            .match_indices(r#""type""#)
            .filter_map(|(at, name)| value(text.get(at + name.len()..)?));
        let outer = kinds.next().unwrap_or_default();
        let kind = match outer {
            "message" => kinds.next().unwrap_or(outer),
            _ => outer,
        };
        let names_a_result =
            kind == RESULT || matches!(kind, "" | "message") && text.contains(RESULT);
        Self {
            kind: kind.to_owned(),
            may_be_final: names_a_result && !is_interim(text),
        }
    }
}

const RESULT: &str = "recognition_result";

/// Returns the string after the name of a member, if it could be a type.
fn value(rest: &str) -> Option<&str> {
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let rest = rest.strip_prefix('"')?;
    let end = rest
        .bytes()
        .take(LONGEST_KIND)
        .position(|byte| byte == b'"')?;
    let kind = rest.get(..end)?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_.-:".contains(c);
    kind.chars().all(is_name).then_some(kind)
}

/// Returns `true` if the text says that its result is not final.
fn is_interim(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("isFinal") else {
        return false;
    };
    let value = rest.trim_start_matches(|c: char| c.is_whitespace() || "\"':=".contains(c));
    value
        .get(..5)
        .is_some_and(|word| word.eq_ignore_ascii_case("false"))
}
