// SPDX-License-Identifier: MPL-2.0

//! Reads the output of a recogniser process: one JSON object per line.
//!
//! `docs/recognizers.md` defines the format. The reader ignores types and members that it
//! does not know. It refuses a known member with a wrong value, because a wrong time would
//! put words in the wrong place.

use serde::Deserialize;
use std::io::BufRead;
use std::time::Duration;

/// Longest line in bytes; an utterance of 25 s has about 10,000.
pub const LONGEST_LINE: usize = 1024 * 1024;

/// Times beyond this (115 days) are no times of a stream.
const LATEST: f64 = 1e7;

/// One recognised word.
#[derive(Debug, Clone, PartialEq)]
pub struct RecognisedWord {
    /// The word as the engine wrote it. An engine that sets punctuation and case writes
    /// them here (`"fine."`, `"$5,"`), as the words on the wire have them. Other engines
    /// write bare words. It never contains a space.
    pub text: String,
    /// Start, from the first sample of the stream.
    pub start: Duration,
    /// End, never before `start`.
    pub end: Duration,
    /// How sure the engine is, 0.0–1.0.
    pub confidence: f64,
}

/// A line that was read. Times count from the first sample that the process was given.
#[derive(Debug, Clone, PartialEq)]
pub enum OutputLine {
    /// An interim of the utterance in progress.
    Partial {
        /// All its words so far, for an engine that has no times.
        text: String,
        /// All its words so far with their times, in the order of their start. Empty if
        /// the engine has no times.
        words: Vec<RecognisedWord>,
        /// How many of the first words will not change any more.
        stable: usize,
        /// Where the utterance starts, if said.
        start: Option<Duration>,
    },
    /// The final of an utterance.
    Final {
        /// The words, in the order of their start. May be empty.
        words: Vec<RecognisedWord>,
        /// `true` if the command has set punctuation and case.
        punctuated: bool,
        /// The process has finished the audio up to here.
        end: Duration,
    },
    /// The process has finished more audio, in which nothing was said.
    Progress {
        /// The process has finished the audio up to here.
        end: Duration,
    },
    /// A type that is not known.
    Unknown,
}

/// Why a line was skipped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// Not a JSON object, or a member has the wrong type.
    #[error("not as in docs/recognizers.md: {0}")]
    Malformed(String),
    /// A time is negative, not finite, too late, or an end before its start.
    #[error("{0} is no time in seconds, or lies before its start")]
    Time(String),
    /// A final has a text, but neither words nor start and end.
    #[error("a final with a text needs `words`, or `start` and `end`")]
    Untimed,
    /// Longer than [`LONGEST_LINE`].
    #[error("longer than {LONGEST_LINE} bytes")]
    TooLong,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Wire {
    Partial {
        text: Option<String>,
        words: Option<Vec<WireWord>>,
        stable: Option<u64>,
        start: Option<f64>,
    },
    Final {
        words: Option<Vec<WireWord>>,
        punctuated: Option<bool>,
        text: Option<String>,
        start: Option<f64>,
        end: Option<f64>,
    },
    Progress {
        end: f64,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
struct WireWord {
    word: String,
    start: f64,
    end: f64,
    confidence: Option<f64>,
}

impl OutputLine {
    /// Reads one line, without its line feed.
    ///
    /// # Errors
    ///
    /// It is not understood.
    pub fn parse(line: &[u8]) -> Result<Self, LineError> {
        let wire = serde_json::from_slice(line)
            .map_err(|error| LineError::Malformed(error.to_string()))?;
        Ok(match wire {
            Wire::Partial {
                text,
                words,
                stable,
                start,
            } => {
                if text.is_none() && words.is_none() {
                    let missing = "a partial needs `words` or `text`".to_owned();
                    return Err(LineError::Malformed(missing));
                }
                Self::Partial {
                    text: text.unwrap_or_default(),
                    words: words_of(&words.unwrap_or_default())?,
                    stable: usize::try_from(stable.unwrap_or(0)).unwrap_or(usize::MAX),
                    start: start.map(time).transpose()?,
                }
            }
            Wire::Final {
                words,
                punctuated,
                text,
                start,
                end,
            } => {
                let text = text.unwrap_or_default();
                let spoken = match (words.unwrap_or_default(), start, end) {
                    (words, ..) if !words.is_empty() => words,
                    _ if text.trim().is_empty() => Vec::new(),
                    (_, Some(start), Some(end)) => vec![WireWord {
                        word: text,
                        start,
                        end,
                        confidence: None,
                    }],
                    _ => return Err(LineError::Untimed),
                };
                let words = words_of(&spoken)?;
                let last = words.iter().map(|word| word.end).max();
                let end = end.map(time).transpose()?;
                Self::Final {
                    end: last.max(end).unwrap_or_default(),
                    punctuated: punctuated.unwrap_or(false),
                    words,
                }
            }
            Wire::Progress { end } => Self::Progress { end: time(end)? },
            Wire::Unknown => Self::Unknown,
        })
    }
}

fn time(seconds: f64) -> Result<Duration, LineError> {
    (0.0..=LATEST)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
        .ok_or_else(|| LineError::Time(seconds.to_string()))
}

fn words_of(spoken: &[WireWord]) -> Result<Vec<RecognisedWord>, LineError> {
    let mut words = Vec::with_capacity(spoken.len());
    for entry in spoken {
        let (start, end) = (time(entry.start)?, time(entry.end)?);
        if end < start {
            return Err(LineError::Time(entry.end.to_string()));
        }
        let confidence = entry.confidence.unwrap_or(1.0).clamp(0.0, 1.0);
        words.extend(spread(&entry.word, start, end, confidence));
    }
    words.sort_by_key(|word| word.start);
    Ok(words)
}

/// Splits a text into words and gives each a share of the time by its length.
fn spread(
    text: &str,
    start: Duration,
    end: Duration,
    confidence: f64,
) -> impl Iterator<Item = RecognisedWord> {
    let letters = |word: &str| u32::try_from(word.chars().count()).unwrap_or(u32::MAX);
    let total = text
        .split_whitespace()
        .map(letters)
        .fold(0, u32::saturating_add)
        .max(1);
    let mut before = 0u32;
    text.split_whitespace().map(move |word| {
        let at = |count: u32| start + (end - start).mul_f64(f64::from(count) / f64::from(total));
        let from = at(before);
        before = before.saturating_add(letters(word)).min(total);
        RecognisedWord {
            text: word.to_owned(),
            start: from,
            end: at(before).max(from),
            confidence,
        }
    })
}

/// Reads up to the next line feed or the end. Returns `None` at the end.
///
/// Keeps at most [`LONGEST_LINE`] bytes of a line, however long it is.
///
/// # Errors
///
/// What the reader says.
pub fn read_line(reader: &mut impl BufRead) -> std::io::Result<Option<Result<Vec<u8>, LineError>>> {
    let mut line = Vec::new();
    let (mut any, mut long) = (false, false);
    loop {
        let piece = match reader.fill_buf() {
            Ok(piece) => piece,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if piece.is_empty() {
            break;
        }
        any = true;
        let feed = piece.iter().position(|byte| *byte == b'\n');
        let text = piece.get(..feed.unwrap_or(piece.len())).unwrap_or_default();
        if line.len() + text.len() > LONGEST_LINE {
            (long, line) = (true, Vec::new());
        } else if !long {
            line.extend_from_slice(text);
        }
        let taken = text.len() + usize::from(feed.is_some());
        reader.consume(taken);
        if feed.is_some() {
            break;
        }
    }
    Ok(match (any, long) {
        (false, _) => None,
        (true, true) => Some(Err(LineError::TooLong)),
        (true, false) => Some(Ok(line)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<OutputLine, LineError> {
        OutputLine::parse(line.as_bytes())
    }

    fn words(line: &str) -> Vec<(String, u128, u128)> {
        match parse(line) {
            Ok(OutputLine::Final { words, .. }) => words
                .into_iter()
                .map(|w| (w.text, w.start.as_millis(), w.end.as_millis()))
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn unknown_members_and_types_are_tolerated() {
        let line = r#"{"type":"partial","text":"hi","start":0.5,"extra":{"a":[1]}}"#;
        let start = Some(Duration::from_millis(500));
        let partial = OutputLine::Partial {
            text: "hi".to_owned(),
            words: Vec::new(),
            stable: 0,
            start,
        };
        assert_eq!(parse(line), Ok(partial));
        assert_eq!(parse(r#"{"type":"later","x":1}"#), Ok(OutputLine::Unknown));
    }

    #[test]
    fn words_carry_their_times_and_come_in_order() {
        let line = r#"{"type":"final","words":[{"word":"b","start":1,"end":1.5,"confidence":7},
                      {"word":"a","start":0.25,"end":1}],"end":2}"#;
        let line = line.replace('\n', "");
        assert_eq!(
            words(&line),
            [("a".into(), 250, 1000), ("b".into(), 1000, 1500)]
        );
        let Ok(OutputLine::Final { end, words, .. }) = parse(&line) else {
            panic!()
        };
        assert_eq!(end, Duration::from_secs(2));
        assert_eq!((words[0].confidence, words[1].confidence), (1.0, 1.0));
    }

    #[test]
    fn a_partial_may_have_words_with_times_of_which_some_are_stable() {
        let line = r#"{"type":"partial","stable":1,"words":[{"word":"good","start":1,"end":1.5},{"word":"mor","start":1.5,"end":2}]}"#;
        let Ok(OutputLine::Partial { words, stable, .. }) = parse(line) else {
            panic!()
        };
        let times = |word: &RecognisedWord| (word.text.clone(), word.start.as_millis());
        let times: Vec<_> = words.iter().map(times).collect();
        assert_eq!(times, [("good".into(), 1000), ("mor".into(), 1500)]);
        assert_eq!(stable, 1);
        let bare = parse(r#"{"type":"partial"}"#);
        assert!(matches!(bare, Err(LineError::Malformed(_))), "{bare:?}");
    }

    #[test]
    fn a_final_says_if_it_is_punctuated() {
        for (member, expected) in [("", false), (r#","punctuated":true"#, true)] {
            let line = format!(r#"{{"type":"final","text":"Yes","start":0,"end":1{member}}}"#);
            let Ok(OutputLine::Final { punctuated, .. }) = parse(&line) else {
                panic!()
            };
            assert_eq!(punctuated, expected, "{line}");
        }
    }

    #[test]
    fn a_text_without_words_is_spread_over_its_time() {
        let line = r#"{"type":"final","text":"ab abcd ab","start":1,"end":3}"#;
        let expected = [("ab", 1000, 1500), ("abcd", 1500, 2500), ("ab", 2500, 3000)];
        assert_eq!(words(line), expected.map(|(w, s, e)| (w.to_owned(), s, e)));
        assert_eq!(words(r#"{"type":"final","text":" "}"#), []);
        assert_eq!(
            parse(r#"{"type":"final","text":"ab"}"#),
            Err(LineError::Untimed)
        );
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for line in [
            r#"{"type":"progress","end":-1}"#,
            r#"{"type":"progress","end":1e300}"#,
            r#"{"type":"final","words":[{"word":"a","start":2,"end":1}]}"#,
            r#"{"type":"partial","text":"a","start":1e9}"#,
        ] {
            assert!(matches!(parse(line), Err(LineError::Time(_))), "{line}");
        }
        for line in [
            "",
            "hello",
            "[]",
            r#"{"type":"final","words":[{"word":"a"}]}"#,
            "\u{0}",
        ] {
            assert!(
                matches!(parse(line), Err(LineError::Malformed(_))),
                "{line}"
            );
        }
    }

    #[test]
    fn a_line_beyond_the_bound_is_skipped_to_its_end() {
        let mut text = vec![b'x'; 3 * LONGEST_LINE];
        text.extend_from_slice(b"\nshort\nlast");
        let mut reader = std::io::BufReader::with_capacity(1000, text.as_slice());
        let mut next = || read_line(&mut reader).unwrap();
        assert_eq!(next(), Some(Err(LineError::TooLong)));
        assert_eq!(next(), Some(Ok(b"short".to_vec())));
        assert_eq!(next(), Some(Ok(b"last".to_vec())));
        assert_eq!(next(), None);
    }
}
