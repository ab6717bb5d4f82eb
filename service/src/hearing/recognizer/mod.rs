//! Turns speech into words: the traits of recognisers, and the engines.
//!
//! An engine implements two small traits. A [`Recognizer`] is opened once and shared by
//! all streams. A [`RecognizerStream`] belongs to one audio stream. The streams share a few
//! worker threads, one for each processor core, so a call may compute but must not wait. An
//! engine that has results later wakes its stream with the handle of
//! [`RecognizerStream::wake_with`]. One that has enough audio says so with
//! [`RecognizerStream::is_ready`]. A call that has to wait in spite of that does so in
//! [`blocking`]. Calls for one stream never overlap, but come from different threads. Audio
//! is always 16 kHz mono, and every time counts from the first sample that the stream was
//! given.

use crate::hearing::capacity::Capacity;
pub use crate::hearing::pool::blocking;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};
pub use symbl_analysis::RecognisedWord;
use unicode_normalization::UnicodeNormalization;

/// An engine that has settled all audio but this much awaits no word in it.
const REST: Duration = Duration::from_millis(500);

/// Sample rate of all audio that a [`RecognizerStream`] is given, in hertz.
pub const SAMPLE_RATE: u32 = 16_000;

/// A result of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Recognition {
    /// An interim of the utterance in progress. It replaces the interim before it.
    Interim {
        /// All words of the utterance so far, in order, never empty. The utterance starts
        /// where its first word does. An engine that does not know the time of a word
        /// lets it start and end where the utterance starts.
        words: Vec<RecognisedWord>,
        /// How many of the first words no later interim of this utterance changes; 0 if the
        /// engine promises nothing. An engine that decodes the whole utterance once more for
        /// the final may still correct one there.
        stable: usize,
    },
    /// The final of an utterance.
    Final {
        /// The words with their times, in order, never empty.
        words: Vec<RecognisedWord>,
        /// `true` if the engine has set punctuation and case. Then the service takes the
        /// words as they are, cuts them into sentences, and begins each sentence with a
        /// capital letter. Otherwise it sets
        /// punctuation by its rules where it finds none.
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
    /// Returns a final of an engine that sets no punctuation.
    pub fn bare(words: Vec<RecognisedWord>) -> Self {
        Self::Final {
            words,
            punctuated: false,
        }
    }
}

/// Returns the time of a sample, from the start of the stream.
pub(crate) fn time_of(sample: u64) -> Duration {
    let rate = u64::from(SAMPLE_RATE);
    Duration::from_secs(sample / rate) + Duration::from_secs(sample % rate) / SAMPLE_RATE
}

/// Returns all words, separated by spaces.
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
    /// `true` if interim results are wanted. Without them an engine may save work.
    pub interim: bool,
    /// The time from the start of a word after which its final is wanted, at least a second;
    /// `None` for the engine's own. An engine may ignore it.
    pub max_final_delay: Option<Duration>,
    /// `true` for a recording, which no client waits for. An engine does the work for it when it has
    /// none for live streams.
    pub bulk: bool,
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

/// When an engine's own threads worked on a final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worked {
    /// Since when it waited for a thread.
    pub queued: Instant,
    /// When a thread took it.
    pub begun: Instant,
    /// When the thread was done.
    pub done: Instant,
    /// How much audio of the stream the engine had looked at when it knew that this was a final.
    pub heard: Duration,
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
    /// Returns the name of the engine on the command line, for example `pocketsphinx`.
    fn name(&self) -> &'static str;

    /// Returns an error with the reason if the engine cannot recognise speech in
    /// `language` (a BCP-47 tag, `en-US` when empty). Returns `Ok` if it can, or if it
    /// only finds out when a stream is opened. Must be quick, because it is called on a
    /// thread that must not wait.
    fn check_language(&self, language: &str) -> Result<(), String> {
        let _ = language;
        Ok(())
    }

    /// Opens a stream. May take a second and a hundred megabytes.
    fn open(&self, options: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError>;

    /// Returns where the engine works and what its work costs. It is called again after
    /// each piece of work, so an engine that measures by itself returns its newest figure.
    fn capacity(&self) -> Capacity {
        Capacity::Elsewhere
    }

    /// Returns how often a part of the engine has died and was replaced.
    fn restarts(&self) -> u64 {
        0
    }

    /// Ends all that would outlive the service, which is about to end. Afterwards no
    /// stream can go on, and none can be opened. Never waits.
    fn close(&self) {}
}

/// One stream of audio that an engine turns into words.
pub trait RecognizerStream: Send {
    /// Takes the next 16 kHz mono samples (any number) and appends the results to `out`,
    /// in the order of the audio.
    fn push(&mut self, samples: &[i16], out: &mut Vec<Recognition>) -> Result<(), RecognizerError>;

    /// Returns how far the results have come: no final that is still to come begins before
    /// this time, which never goes back. It counts all results that the engine has appended
    /// so far. Returns `None` for an engine that cannot tell.
    fn settled(&self) -> Option<Duration> {
        None
    }

    /// Returns `true` if no final is to come of the audio so far, because the speaker pauses:
    /// the stream can be ended now, and the client has no word to send again. `heard` is how
    /// much audio the engine was given. Returns `None` for an engine that cannot tell. Then the
    /// stream counts as resting while no interim waits for its final.
    fn is_resting(&self, heard: Duration) -> Option<bool> {
        let settled = self.settled()?;
        Some(heard.saturating_sub(settled) <= REST)
    }

    /// Returns how far the engine is behind the audio that it has taken. It is zero for an
    /// engine that works where it is called.
    fn behind(&self) -> Duration {
        Duration::ZERO
    }

    /// Returns when the engine's own threads worked on the newest final. Returns `None` for an
    /// engine that works where it is called, or on another machine.
    fn worked(&self) -> Option<Worked> {
        None
    }

    /// Gives the engine the waker of the stream. The engine wakes it whenever
    /// [`RecognizerStream::poll`] has something to do: a result came, or the engine takes
    /// audio again. May be called again with another waker. An engine that has no results
    /// without audio needs none.
    fn wake_with(&mut self, waker: Waker) {
        let _ = waker;
    }

    /// Returns `true` if the engine takes audio now. Otherwise it is given none until it
    /// has woken the stream.
    fn is_ready(&self) -> bool {
        true
    }

    /// Returns when [`RecognizerStream::poll`] is due even if the engine does not wake the
    /// stream, because one of its time limits ends then. It is called after each other
    /// call.
    fn poll_by(&self) -> Option<Instant> {
        None
    }

    /// Appends the results since the last call, although no audio came. Never waits.
    ///
    /// # Errors
    ///
    /// The stream cannot go on.
    fn poll(&mut self, out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        let _ = out;
        Ok(())
    }

    /// Ends the audio and appends the results that there are. Returns [`Poll::Ready`] if
    /// no more will come. Otherwise the engine wakes the stream, and this is called again.
    /// An engine that works where it is called needs only [`RecognizerStream::finish`].
    ///
    /// # Errors
    ///
    /// The last results cannot be had.
    fn poll_finish(&mut self, out: &mut Vec<Recognition>) -> Result<Poll<()>, RecognizerError> {
        self.finish(out).map(Poll::Ready)
    }

    /// Ends the audio, waits for the last results where the engine works elsewhere, and
    /// appends them.
    ///
    /// # Errors
    ///
    /// The last results cannot be had.
    fn finish(&mut self, out: &mut Vec<Recognition>) -> Result<(), RecognizerError>;
}

mod bell;
pub mod command;
pub mod pocketsphinx;
pub mod scripted;
pub mod whisper;

#[cfg(test)]
mod tests {
    use super::composed;

    #[test]
    fn an_engine_is_given_its_vocabulary_composed() {
        let asked = ["Zu\u{308}rich", "Zürich", "plain"].map(str::to_owned);
        assert_eq!(composed(&asked), ["Zürich", "Zürich", "plain"]);
    }
}
