// SPDX-License-Identifier: MPL-2.0
//! Reads the words of a user's language model and dictionary.
//!
//! The library takes what it can use of these files and says nothing about the rest. With
//! a dictionary of another phone set, or a model in another case than the dictionary, it
//! opens without an error and never recognises a word. So this module lists the words, and
//! its caller asks the library if it knows them. Files are read line by line, as far as
//! needed.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Most lines before the words of an ARPA model. A file with a longer head is not one.
const HEAD: usize = 1000;

/// Longest line of either file, in bytes.
const LONGEST: u64 = 64 * 1024;

/// Returns the words of a dictionary, which has `word PHONE PHONE …` in each line.
pub(super) fn dictionary_words(path: &Path) -> std::io::Result<Vec<String>> {
    let mut words = Vec::new();
    for line in Lines::open(path)? {
        let line = line?;
        let mut parts = line.split_whitespace();
        let Some(word) = parts.next() else { continue };
        let comment = word.starts_with(";;") || word.starts_with("##");
        // Another way to say a word: `read(2)`.
        if !comment && !word.ends_with(')') && parts.next().is_some() {
            words.push(word.to_owned());
        }
    }
    Ok(words)
}

/// Returns the words of a language model in ARPA form, or `None` if it has another form.
pub(super) fn arpa_words(path: &Path) -> std::io::Result<Option<Vec<String>>> {
    let mut lines = Lines::open(path)?;
    let mut is_arpa = false;
    for line in lines.by_ref().take(HEAD) {
        if line?.trim() == "\\1-grams:" {
            is_arpa = true;
            break;
        }
    }
    if !is_arpa {
        return Ok(None);
    }
    let mut words = Vec::new();
    for line in lines {
        let line = line?;
        if line.starts_with('\\') {
            break;
        }
        let word = line.split_whitespace().nth(1);
        // `<s>`, `</s>`, `<UNK>` are in no dictionary.
        words.extend(
            word.filter(|word| !word.starts_with('<'))
                .map(str::to_owned),
        );
    }
    Ok(Some(words))
}

/// The lines of a file, whatever bytes are in them.
struct Lines(BufReader<File>);

impl Lines {
    fn open(path: &Path) -> std::io::Result<Self> {
        File::open(path).map(|file| Self(BufReader::new(file)))
    }
}

impl Iterator for Lines {
    type Item = std::io::Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        let mut reader = self.0.by_ref().take(LONGEST);
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(Ok(String::from_utf8_lossy(&line).into_owned())),
            Err(error) => Some(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_dictionary_is_a_word_and_its_phones_in_each_line() {
        let dict = file(";;; a comment\nread R EH D\nread(2) R IY D\n\nnothing\na AH");
        assert_eq!(dictionary_words(dict.path()).unwrap(), ["read", "a"]);
    }

    #[test]
    fn the_words_of_an_arpa_model_are_its_unigrams() {
        let lm = file(
            "made by hand\n\\data\\\nngram 1=3\n\n\\1-grams:\n-1 <s> -0.3\n-1 hello -1\n\
            -2 world\n\n\\2-grams:\n-1 hello world\n\n\\end\\\n",
        );
        let words = arpa_words(lm.path()).unwrap();
        assert_eq!(words, Some(vec!["hello".to_owned(), "world".to_owned()]));
        assert_eq!(arpa_words(file("garbage\n").path()).unwrap(), None);
    }
}
