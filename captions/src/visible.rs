// SPDX-License-Identifier: MPL-2.0

//! Makes untrusted text safe to display.
//!
//! A transcript, a speaker's name or an error text comes from another party. A
//! terminal interprets control characters in it (escape sequences move the cursor and
//! set the title), and bidirectional controls show it in another order than it was
//! said. Both can also end a cue of a caption file early or garble it. This module
//! decides what becomes of each character. Every program and format of this project
//! uses it, and none has rules of its own.
//!
//! Letters of all scripts stay as they are, including right-to-left ones, which a
//! terminal orders itself. Joiners and variation selectors stay after a letter, a
//! digit or an emoji that they can change. The tags of an emoji flag stay too.
//!
//! Sources: Unicode Standard Annex #9 (bidirectional controls), #44 (the properties
//! used here), Unicode Technical Standard #51 (emoji sequences).

use icu_properties::CodePointSetData;
use icu_properties::props::{BidiControl, DefaultIgnorableCodePoint, VariationSelector};
use std::fmt::Write;

/// What becomes of a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Keep,
    /// White space and control characters become one space.
    Space,
    /// An invisible character that changes nothing before it.
    LeaveOut,
    /// A character that would change the order of other characters.
    Replace,
}

/// The only emoji that tags may follow.
const BLACK_FLAG: char = '\u{1f3f4}';
/// Maximum number of tags after a flag. The longest flag of a region has fewer.
const MOST_TAGS: usize = 8;

/// Returns `text` as one line that any terminal and any caption file can show.
///
/// White space and control characters become a single space. Bidirectional
/// embeddings, overrides and isolates become U+FFFD. Invisible characters that change
/// nothing before them are left out.
///
/// ```
/// use symbl_captions::visible;
///
/// assert_eq!(visible("one\n\u{1b}[2Jtwo"), "one [2Jtwo");
/// assert_eq!(visible("user\u{202e}nimda"), "user\u{fffd}nimda");
/// assert_eq!(visible("می\u{200c}خواهم 👩\u{200d}🚒"), "می\u{200c}خواهم 👩\u{200d}🚒");
/// ```
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut space = false;
    each(text, |c, fate| match fate {
        Fate::Keep | Fate::Replace => {
            if space && !shown.is_empty() {
                shown.push(' ');
            }
            space = false;
            shown.push(match fate {
                Fate::Replace => char::REPLACEMENT_CHARACTER,
                _ => c,
            });
        }
        Fate::Space => space = true,
        Fate::LeaveOut => {}
    });
    shown
}

/// Returns a line of JSON with the same strings, in which everything that [`visible`]
/// would change is written as `\uXXXX`. A terminal can show the line, and a program
/// reads the exact data.
pub fn json(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len());
    each(line, |c, fate| match fate {
        Fate::Keep => escaped.push(c),
        Fate::Space if !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}') => escaped.push(c),
        Fate::Space | Fate::LeaveOut | Fate::Replace => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a `String` cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    });
    escaped
}

/// Calls `take` for each character with its fate.
fn each(text: &str, mut take: impl FnMut(char, Fate)) {
    // The last character that was kept, if no space came after it.
    let mut before = None;
    let mut tags = 0;
    for c in text.chars() {
        tags = if is_tag(c) { tags + 1 } else { 0 };
        let fate = match tags {
            0..=MOST_TAGS => fate(c, before),
            _ => Fate::LeaveOut,
        };
        match fate {
            Fate::Keep => before = Some(c),
            Fate::Space => before = None,
            Fate::Replace => before = Some(char::REPLACEMENT_CHARACTER),
            Fate::LeaveOut => {}
        }
        take(c, fate);
    }
}

/// Returns the fate of `c`, which follows `before`.
fn fate(c: char, before: Option<char>) -> Fate {
    match c {
        ' '..='~' if c != ' ' => Fate::Keep,
        _ if c.is_whitespace() || c.is_control() => Fate::Space,
        // Direction marks are invisible, and letters have a direction of their own.
        '\u{061c}' | '\u{200e}' | '\u{200f}' => Fate::LeaveOut,
        _ if CodePointSetData::new::<BidiControl>().contains(c) => Fate::Replace,
        // The zero-width space and the two joiners. A second one in a row has no
        // effect.
        '\u{200b}'..='\u{200d}' => {
            keep_if(before.is_some_and(|b| !b.is_ascii() && !matches!(b, '\u{200b}'..='\u{200d}')))
        }
        _ if is_selector(c) => keep_if(before.is_some_and(|b| {
            // An emoji may start with a digit: U+0031 U+FE0F U+20E3.
            let plain = b.is_ascii() && !matches!(b, '0'..='9' | '#' | '*');
            !plain && !is_selector(b) && !matches!(b, '\u{200b}'..='\u{200d}')
        })),
        _ if is_tag(c) => keep_if(before.is_some_and(|b| b == BLACK_FLAG || is_tag(b))),
        // Annotation characters: the annotation between them would look like a part
        // of the text.
        '\u{fff9}'..='\u{fffb}' => Fate::LeaveOut,
        _ if CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c) => Fate::LeaveOut,
        _ => Fate::Keep,
    }
}

fn keep_if(keep: bool) -> Fate {
    match keep {
        true => Fate::Keep,
        false => Fate::LeaveOut,
    }
}

fn is_selector(c: char) -> bool {
    CodePointSetData::new::<VariationSelector>().contains(c)
}

fn is_tag(c: char) -> bool {
    matches!(c, '\u{e0020}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::{json, visible};

    #[test]
    fn control_characters_and_white_space_become_single_spaces() {
        let text = "\u{feff}a\n\nb\0c\u{1b}[1m \u{2028}d\u{9b}31me\u{7f}f\t";
        assert_eq!(visible(text), "a b c [1m d 31me f");
        assert_eq!(visible(" \n \u{85}"), "");
    }

    #[test]
    fn what_changes_the_order_of_text_is_replaced_and_marks_are_left_out() {
        for c in ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}') {
            assert_eq!(visible(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
        }
        assert_eq!(visible("a\u{200e}\u{200f}\u{061c}b"), "ab");
    }

    #[test]
    fn what_cannot_be_seen_is_left_out() {
        for c in [
            '\u{ad}',
            '\u{34f}',
            '\u{115f}',
            '\u{3164}',
            '\u{180e}',
            '\u{2060}',
            '\u{2063}',
            '\u{206a}',
            '\u{fff9}',
            '\u{fffb}',
            '\u{e0001}',
            '\u{e0061}',
            '\u{200d}',
            '\u{fe0f}',
        ] {
            assert_eq!(visible(&format!("a{c}b")), "ab", "{c:?}");
        }
        let joined = visible(&format!("é{}é", "\u{200d}".repeat(1000)));
        assert_eq!(joined, "é\u{200d}é");
        let tagged = visible(&format!("🏴{}", "\u{e0061}".repeat(1000)));
        assert!(tagged.chars().count() < 10);
    }

    #[test]
    fn letters_of_all_scripts_and_emoji_survive() {
        for text in [
            "שלום עולם, 123!",
            "مرحبا بالعالم",
            "می\u{200c}خواهم",
            "ന്\u{200d}",
            "नमस्ते क्\u{200d}ष",
            "ภาษา\u{200b}ไทย",
            "👩\u{200d}👩\u{200d}👧 🏳\u{fe0f}\u{200d}🌈 👍🏽 ❤\u{fe0f}\u{200d}🔥 1\u{fe0f}\u{20e3}",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            "日本語 葛\u{e0100} e\u{301} ﷽",
        ] {
            assert_eq!(visible(text), text);
        }
    }

    #[test]
    fn json_says_the_same_and_shows_nothing_that_a_terminal_obeys() {
        let text = "a\u{7f}\u{9b}2J\u{202e}b\u{200b}\u{2028}\u{a0}c\u{e0061}می\u{200c}خ";
        let line = json(&serde_json::to_string(text).unwrap());
        let expected = r#""a\u007f\u009b2J\u202eb\u200b\u2028"#.to_owned()
            + "\u{a0}"
            + r"c\udb40\udc61"
            + "می\u{200c}خ\"";
        assert_eq!(line, expected);
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }
}
