// SPDX-License-Identifier: MPL-2.0

//! A language of tones: numbers become sound, and sound numbers again.
//!
//! Pure: the results depend on the samples alone, and never on a time, on how the audio was
//! cut into calls, or on other streams.
//!
//! ```
//! use symbl_tones::{Decoder, Event, SAMPLE_RATE, silence, speech};
//! use std::time::Duration;
//!
//! let mut samples = speech([17, 4], SAMPLE_RATE);
//! samples.extend(silence(Duration::from_secs(1), SAMPLE_RATE));
//! let mut heard = Vec::new();
//! let mut decoder = Decoder::new(Duration::from_millis(300));
//! decoder.push(&samples, &mut heard);
//! let words: Vec<u16> = heard
//!     .iter()
//!     .filter_map(|event| match event {
//!         Event::Word { code, .. } => Some(*code),
//!         _ => None,
//!     })
//!     .collect();
//! assert_eq!(words, [17, 4]);
//! assert_eq!(heard.last(), Some(&Event::Quiet));
//! ```

mod decoder;
mod sound;

pub use decoder::{Decoder, Event};
pub use sound::{VOCABULARY, WORD_LENGTH, silence, speech};

/// Samples per second of the audio that a [`Decoder`] takes.
pub const SAMPLE_RATE: u32 = 16_000;
