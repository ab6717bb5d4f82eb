// SPDX-License-Identifier: MPL-2.0

//! Recognises speech with Whisper models on the CPU, in plain Rust.
//!
//! Samples (16 kHz mono, −1.0 to 1.0) come in, words with their times go out. A [`Model`]
//! is read once from a folder of CTranslate2 files, such as `faster-whisper-tiny.en`, and
//! shared by all threads; it never changes. [`Model::transcribe`] decodes an utterance that
//! is over, [`Looks`] follows one that goes on. Cutting audio into utterances is left to
//! the caller.
//!
//! ```no_run
//! use symbl_whisper::{Draft, LoadOptions, Model};
//!
//! let model = Model::load("faster-whisper-tiny.en".as_ref(), LoadOptions::default())?;
//! let (request, _) = model.request("en", &["Symbl".to_owned()])?;
//! let samples = vec![0.0; 16_000];
//! let voiced = vec![true; samples.len() / 256];
//! let transcript = model.transcribe(&samples, &voiced, &request, &Draft::default());
//! for word in transcript.words {
//!     println!("{:6} {:6} {}", word.start, word.end, word.text);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The example `words` prints the words of a WAV file with their times and
//! confidences, and how long it computed for each second of audio:
//!
//! ```sh
//! cargo run --release -p symbl-whisper --example words -- MODEL_DIR FILE.wav
//! ```
//!
//! The encoder hears the utterance and one second more; for the rest of Whisper's 30 s the
//! decoder looks at what the model remembers of silence. That costs a fraction of the whole
//! window and changes no word in most utterances. Nothing is carried from one utterance to
//! the next, and the arithmetic gives the same bits at every [`Level`]: what is found is a
//! function of the samples.

pub mod align;
mod attention;
pub mod boost;
mod decoder;
mod encoder;
pub mod file;
mod kernel;
pub mod known;
mod linear;
mod mel;
mod model;
mod search;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;
#[cfg(test)]
mod tests;
pub mod token;
mod transcribe;

pub use kernel::Level;
pub use linear::Precision;
pub use mel::SAMPLE_RATE;
pub use model::{LoadOptions, Model, ModelError};
pub use search::End;
pub use transcribe::{Draft, Look, Looks, Request, TimedWord, Transcript, UnknownLanguage};
