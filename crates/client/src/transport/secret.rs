// SPDX-License-Identifier: MPL-2.0

//! A text that must not be shown: an access token, an app secret.
//!
//! It must never implement `Display` or show its content in `Debug`, so that no log
//! line, error text or dump of a struct can leak it.

use std::fmt;
use url::form_urlencoded;

/// Minimum length of a secret that is removed from texts. A shorter one may be an
/// ordinary word.
const UNMISTAKABLE: usize = 12;

/// A secret text. `Debug` prints `***`; there is no `Display`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text` as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the content, for the one place that sends it. Never for a text that
    /// people read.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns `true` if it contains only white space.
    pub fn is_blank(&self) -> bool {
        self.0.trim().is_empty()
    }

    /// Replaces the secret in a text of the service by `***`, in the spellings of a
    /// URL and of JSON too. Returns `None` if the text does not contain it, or if the
    /// secret is so short that it could be an ordinary word.
    pub fn cut_out_of(&self, said: &str) -> Option<String> {
        if self.0.len() < UNMISTAKABLE {
            return None;
        }
        let in_url: String = form_urlencoded::byte_serialize(self.0.as_bytes()).collect();
        let in_json = self.0.replace('/', "\\/");
        let spellings = [self.0.as_str(), &in_url, &in_json];
        spellings
            .iter()
            .any(|spelling| said.contains(spelling))
            .then(|| {
                spellings.iter().fold(said.to_owned(), |said, spelling| {
                    said.replace(spelling, "***")
                })
            })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn debug_shows_neither_the_content_nor_its_length() {
        let short = Secret::new("a");
        let long = Secret::new("a much longer token");
        assert_eq!(format!("{short:?}"), "***");
        assert_eq!(format!("{:#?}", Some(&long)), "Some(\n    ***,\n)");
        assert_eq!(long.expose(), "a much longer token");
    }

    #[test]
    fn white_space_alone_is_no_token() {
        assert!(Secret::new(" \n").is_blank());
        assert!(Secret::default().is_blank());
        assert!(!Secret::new(" t\n").is_blank());
    }

    #[test]
    fn a_secret_is_cut_out_of_what_a_service_says_in_every_spelling() {
        let secret = Secret::new("a+much/longer=token");
        let said = r#"{"a":"a+much/longer=token","b":"a+much\/longer=token","c":"?t=a%2Bmuch%2Flonger%3Dtoken"}"#;
        assert_eq!(
            secret.cut_out_of(said).as_deref(),
            Some(r#"{"a":"***","b":"***","c":"?t=***"}"#)
        );
        assert_eq!(secret.cut_out_of("a much longer token"), None);
    }

    #[test]
    fn a_secret_that_may_be_a_word_is_left_in_the_text() {
        assert_eq!(Secret::new("token").cut_out_of("a token"), None);
        assert_eq!(Secret::default().cut_out_of("anything"), None);
    }
}
