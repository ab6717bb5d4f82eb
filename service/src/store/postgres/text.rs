// SPDX-License-Identifier: MPL-2.0

//! Texts as PostgreSQL takes them: it refuses U+0000, which clients may send.

/// Stands before a character that is written in another way. It is no character of any
/// text, but a text may have it.
const ESCAPE: char = '\u{10FFFF}';

/// Returns a text as it is stored.
pub(super) fn put(text: &str) -> String {
    if !text.contains(['\0', ESCAPE]) {
        return text.to_owned();
    }
    text.chars().fold(String::new(), |mut stored, c| {
        match c {
            '\0' => stored.extend([ESCAPE, '0']),
            ESCAPE => stored.extend([ESCAPE, '1']),
            c => stored.push(c),
        }
        stored
    })
}

/// Returns a text that was stored.
pub(super) fn take(stored: String) -> String {
    if !stored.contains(ESCAPE) {
        return stored;
    }
    let mut text = String::new();
    let mut characters = stored.chars();
    while let Some(c) = characters.next() {
        match c {
            ESCAPE => text.push(match characters.next() {
                Some('0') => '\0',
                _ => ESCAPE,
            }),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_as_it_was_and_without_a_nul() {
        for text in ["", "a", "\0", "a\0b\u{10FFFF}0\u{10FFFF}\0", "Grüße 👋"] {
            let stored = put(text);
            assert!(!stored.contains('\0'));
            assert_eq!(take(stored), text);
        }
        assert_ne!(put("\0"), put("\u{10FFFF}0"));
    }
}
