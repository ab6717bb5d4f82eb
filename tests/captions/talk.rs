// SPDX-License-Identifier: MPL-2.0

//! What is said in a test: sentences of words at known times.

/// A text and its time, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed {
    pub text: String,
    pub start: u64,
    pub end: u64,
}

impl Timed {
    pub fn new(text: impl Into<String>, start: u64, end: u64) -> Self {
        Self {
            text: text.into(),
            start,
            end,
        }
    }
}

/// Sentences, each one a list of words, and how long the audio is.
#[derive(Debug, Clone)]
pub struct Talk {
    pub sentences: Vec<Vec<Timed>>,
    /// In milliseconds.
    pub duration: u64,
}

/// How long a word is said, in milliseconds, at the pace of [`Talk::of`].
const WORD: u64 = 250;

impl Talk {
    /// Returns these sentences from 1 s on: a word of 250 ms each 300 ms, and 700 ms between
    /// two sentences. Two seconds of silence follow.
    pub fn of(sentences: &[&str]) -> Self {
        Self::paced(sentences, 1000, 300, 700)
    }

    /// Returns these sentences from `start` on: a word each `pace`, and `pause` between two
    /// sentences, in milliseconds.
    pub fn paced(sentences: &[&str], start: u64, pace: u64, pause: u64) -> Self {
        let mut at = start;
        let mut talk = Self {
            sentences: Vec::new(),
            duration: 0,
        };
        for sentence in sentences {
            let mut words = Vec::new();
            for word in sentence.split_whitespace() {
                words.push(Timed::new(word, at, at + WORD.min(pace)));
                at += pace;
            }
            talk.sentences.push(words);
            at += pause;
        }
        talk.duration = at + 2000;
        talk
    }

    /// Returns the words, in order.
    pub fn words(&self) -> Vec<Timed> {
        self.sentences.concat()
    }

    /// Returns the texts of the words.
    pub fn texts(&self) -> Vec<String> {
        self.words().into_iter().map(|word| word.text).collect()
    }
}

/// Sentences of the prompts that the demo plays, with long words and marks.
pub const PROMPTS: [&str; 6] = [
    "You have entered the conference.",
    "Please wait, a conference operator will be with you shortly.",
    "Is this correct? Press one to accept, two to reject it.",
    "All representatives are busy; your call is important to us.",
    "The number you have dialed is not in service.",
    "Thank you for calling, goodbye.",
];
