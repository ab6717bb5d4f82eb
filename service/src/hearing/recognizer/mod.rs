//! What turns speech into words.
//!
//! An engine stands behind two small traits: a [`Recognizer`] is opened once per process
//! and shared, a [`RecognizerStream`] belongs to one audio stream. The streams share a few
//! worker threads, one for each processor core, so a call may compute, but must not wait:
//! an engine that has results later says so with [`RecognizerStream::wake_with`], one that
//! has enough audio with [`RecognizerStream::is_ready`], and what has to wait all the same
//! does so in [`blocking`]. Calls for one stream never overlap, but come from different
//! threads. Audio is always 16 kHz mono; every time is measured from the first sample that
//! the stream was given.

use crate::hearing::capacity::Capacity;
pub use crate::hearing::pool::blocking;
pub use crate::word::RecognisedWord;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};
use unicode_normalization::UnicodeNormalization;

/// Sample rate of all audio that a [`RecognizerStream`] is given, in hertz.
pub const SAMPLE_RATE: u32 = 16_000;

/// What a stream has heard.
#[derive(Debug, Clone, PartialEq)]
pub enum Recognition {
    /// A guess at the utterance in progress; each replaces the one before.
    Interim {
        /// All words of the utterance so far, in order, never empty. The utterance starts
        /// where its first word does. An engine that does not know the time of a word
        /// lets it start and end where the utterance starts.
        words: Vec<RecognisedWord>,
        /// How many of the first words will not change any more, neither in a later
        /// interim nor in the final; 0 if the engine promises nothing.
        stable: usize,
    },
    /// The utterance is over: its words, in order, never empty.
    Final {
        /// The words with their times.
        words: Vec<RecognisedWord>,
        /// The engine has set punctuation and case. The words are taken as they are then:
        /// the service only cuts them into sentences. Otherwise it sets what its rules know
        /// where it finds no punctuation.
        punctuated: bool,
    },
    /// Audio with speech in it that will never be recognised.
    Gap {
        /// Where it starts.
        start: Duration,
        /// Where it ends.
        end: Duration,
    },
}

impl Recognition {
    /// Returns a final of bare words, as an engine gives it that sets no punctuation.
    pub fn bare(words: Vec<RecognisedWord>) -> Self {
        Self::Final {
            words,
            punctuated: false,
        }
    }
}

/// Returns the text of words: all of them, separated by spaces.
pub fn text_of(words: &[RecognisedWord]) -> String {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    texts.join(" ")
}

/// What a client asked of its stream.
#[derive(Debug, Clone, Default)]
pub struct StreamOptions {
    /// Words and phrases that are likely to be said.
    pub vocabulary: Vec<String>,
    /// BCP-47 tag, `en-US` when empty.
    pub language: String,
    /// Whether interim results are wanted; without them an engine may save work.
    pub interim: bool,
    /// The client's connection id, for the log.
    pub connection: String,
}

/// Returns phrases in the composed form of Unicode (NFC), in which dictionaries and models
/// have their words.
pub(crate) fn composed(phrases: &[String]) -> Vec<String> {
    phrases
        .iter()
        .map(|phrase| phrase.nfc().collect())
        .collect()
}

/// Why an engine cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecognizerError {
    /// A library, model or file is missing or unusable.
    #[error("recogniser {engine}: {what}: {reason}. {hint}")]
    Unavailable {
        /// Name of the engine.
        engine: &'static str,
        /// What was being opened.
        what: String,
        /// What went wrong.
        reason: String,
        /// What the user can do about it.
        hint: String,
    },
    /// The engine failed while it ran.
    #[error("recogniser {engine} failed: {reason}")]
    Failed {
        /// Name of the engine.
        engine: &'static str,
        /// What went wrong.
        reason: String,
    },
    /// The engine is slower than the audio comes, beyond its bound.
    #[error("recogniser {engine} is {} s behind the audio", behind.as_secs())]
    Behind {
        /// Name of the engine.
        engine: &'static str,
        /// How far.
        behind: Duration,
    },
}

/// A speech engine, shared by all streams.
pub trait Recognizer: Send + Sync {
    /// Name as on the command line, for example `pocketsphinx`.
    fn name(&self) -> &'static str;

    /// Returns why speech in `language` (a BCP-47 tag, `en-US` when empty) cannot be
    /// recognised, or nothing if it can or the engine does not know before a stream is
    /// opened. Quick: it is asked before the stream has its thread.
    fn check_language(&self, language: &str) -> Result<(), String> {
        let _ = language;
        Ok(())
    }

    /// Opens a stream. May take a second and a hundred megabytes.
    fn open(&self, options: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError>;

    /// Returns where the engine works and what that takes. Asked again after each piece of
    /// work; an engine that measures by itself says what it knows by then.
    fn capacity(&self) -> Capacity {
        Capacity::Elsewhere
    }

    /// How often a part of the engine died and was replaced, since it was made.
    fn restarts(&self) -> u64 {
        0
    }

    /// The service is about to end: lets go of all that would outlive it. No
    /// stream can go on, none can be opened. Never waits.
    fn close(&self) {}
}

/// One stream of audio on its way to words.
pub trait RecognizerStream: Send {
    /// Takes the next 16 kHz mono samples (any number) and appends what was
    /// heard to `out`, in the order of the audio.
    fn push(&mut self, samples: &[i16], out: &mut Vec<Recognition>) -> Result<(), RecognizerError>;

    /// How far an engine that takes audio and works on it later is behind it.
    fn behind(&self) -> Duration {
        Duration::ZERO
    }

    /// Gives the engine the handle that it wakes the stream with whenever
    /// [`RecognizerStream::poll`] has something to do: a result came, or the engine takes
    /// audio again. May be called again with another handle. An engine that has nothing to
    /// say without audio needs none.
    fn wake_with(&mut self, waker: Waker) {
        let _ = waker;
    }

    /// Returns `true` if the engine takes audio now. One that does not is given none until
    /// it has woken the stream.
    fn is_ready(&self) -> bool {
        true
    }

    /// Returns when [`RecognizerStream::poll`] is due even if the engine wakes nobody,
    /// because a bound of its own ends then. Asked for after each call.
    fn poll_by(&self) -> Option<Instant> {
        None
    }

    /// Appends what was heard since the last call, though no audio came. Never waits.
    ///
    /// # Errors
    ///
    /// The stream cannot go on.
    fn poll(&mut self, out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        let _ = out;
        Ok(())
    }

    /// No more audio will come: appends what is owed by now, and returns
    /// [`Poll::Ready`] if that is all. Otherwise the engine wakes the stream, and this is
    /// called again. An engine that works where it is called says all at once, by
    /// [`RecognizerStream::finish`].
    ///
    /// # Errors
    ///
    /// The stream cannot say what it owes.
    fn poll_finish(&mut self, out: &mut Vec<Recognition>) -> Result<Poll<()>, RecognizerError> {
        self.finish(out).map(Poll::Ready)
    }

    /// No more audio will come: appends all that is still owed, and waits for it where the
    /// engine works elsewhere.
    ///
    /// # Errors
    ///
    /// The stream cannot say what it owes.
    fn finish(&mut self, out: &mut Vec<Recognition>) -> Result<(), RecognizerError>;
}

pub mod command;
pub mod pocketsphinx;
pub mod scripted;

#[cfg(test)]
mod tests {
    use super::composed;

    #[test]
    fn an_engine_is_given_its_vocabulary_composed() {
        let asked = ["Zu\u{308}rich", "Zürich", "plain"].map(str::to_owned);
        assert_eq!(composed(&asked), ["Zürich", "Zürich", "plain"]);
    }
}
