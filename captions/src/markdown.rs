// SPDX-License-Identifier: MPL-2.0

//! Escapes untrusted text for Markdown.

use crate::visible;

/// Returns `text` as one line that Markdown shows as it is, also in the dialect of GitHub.
///
/// Nothing in it makes a link, an image, HTML, a table, a list, a heading or a formula.
/// [`visible`] decides which characters are shown.
///
/// ```
/// use symbl_captions::markdown;
///
/// assert_eq!(markdown("1. *all* <b>"), r"1\. \*all\* \<b\>");
/// assert_eq!(markdown("It costs 3.50, or not?"), "It costs 3.50, or not?");
/// ```
pub fn markdown(text: &str) -> String {
    let text = visible(text);
    let mut escaped = String::with_capacity(text.len() + 8);
    // A number with a point or a bracket behind it begins a list, but only in front.
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    for (at, c) in text.char_indices() {
        let is_special = match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '|' | '~' | '#' | '$' | '!'
            | '@' => true,
            '+' | '-' | '=' | ':' => at == 0,
            '.' | ')' => at == digits && digits > 0,
            _ => false,
        };
        if is_special {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::markdown;
    use crate::visible;
    use proptest::prelude::*;

    /// Returns what Markdown shows of an escaped text, or `None` if a sign that means
    /// something in any place is not escaped.
    fn shown(escaped: &str) -> Option<String> {
        let mut shown = String::new();
        let mut rest = escaped.chars();
        while let Some(c) = rest.next() {
            match c {
                '\\' => shown.push(rest.next().filter(char::is_ascii_punctuation)?),
                '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '|' | '~' | '#' | '$' => {
                    return None;
                }
                c => shown.push(c),
            }
        }
        Some(shown)
    }

    proptest! {
        #[test]
        fn markdown_shows_what_is_visible_of_any_text(text in "\\PC{0,20}[-+=*_`<>\\[\\]0-9.)#| \\n\\\\]{0,20}") {
            prop_assert_eq!(shown(&markdown(&text)), Some(visible(&text)));
        }
    }

    #[test]
    fn every_sign_of_markdown_is_escaped_where_it_means_something() {
        for (text, escaped) in [
            ("# no heading", r"\# no heading"),
            ("- no item", r"\- no item"),
            ("+ nor this - one", r"\+ nor this - one"),
            ("12) no list", r"12\) no list"),
            ("=== ---", r"\=== ---"),
            ("a_b_c `x` ~~y~~", r"a\_b\_c \`x\` \~\~y\~\~"),
            ("![x](y) [a]: b", r"\!\[x\](y) \[a\]: b"),
            ("<img onerror=x> &lt;", r"\<img onerror=x\> \&lt;"),
            ("a | b", r"a \| b"),
            (r"\*", r"\\\*"),
            ("$x$ @me", r"\$x\$ \@me"),
            ("one\n\n# two", r"one \# two"),
            ("plain, 3.5 (or 4) words.", "plain, 3.5 (or 4) words."),
            ("", ""),
        ] {
            assert_eq!(markdown(text), escaped, "{text}");
        }
    }
}
