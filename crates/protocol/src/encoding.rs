// SPDX-License-Identifier: MPL-2.0

//! Audio encodings of the API, and the sample rates that each allows.
//!
//! This module knows what the service accepts, not what a decoder or a pad could
//! handle. A [`StreamFormat`] that the service would refuse cannot be constructed.
//! The rates are those of the Symbl Streaming API reference and, for Opus, of
//! libopus.

use super::RequestError;

/// How audio is encoded on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Signed 16-bit little-endian mono PCM, without a header.
    Linear16,
    /// Native FLAC. The stream header comes first after every start.
    Flac,
    /// G.711 µ-law, one byte per sample, without a header.
    Mulaw,
    /// Raw Opus packets, one per message. Never Ogg.
    Opus,
}

impl Encoding {
    /// Returns the name on the wire: `LINEAR16`, `FLAC`, `MULAW`, `Opus`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Linear16 => "LINEAR16",
            Self::Flac => "FLAC",
            Self::Mulaw => "MULAW",
            Self::Opus => "Opus",
        }
    }

    /// Reads a name in any case, as the service does.
    pub fn from_wire(name: &str) -> Option<Self> {
        [Self::Linear16, Self::Flac, Self::Mulaw, Self::Opus]
            .into_iter()
            .find(|encoding| encoding.as_str().eq_ignore_ascii_case(name.trim()))
    }

    fn takes(self, sample_rate: u32) -> bool {
        match self {
            Self::Linear16 => (8_000..=48_000).contains(&sample_rate),
            Self::Flac => (16_000..=48_000).contains(&sample_rate),
            Self::Mulaw => sample_rate == 8_000,
            Self::Opus => matches!(sample_rate, 8_000 | 12_000 | 16_000 | 24_000 | 48_000),
        }
    }

    fn allowed_rates(self) -> &'static str {
        match self {
            Self::Linear16 => "LINEAR16 takes 8000 to 48000 Hz",
            Self::Flac => "FLAC takes 16000 to 48000 Hz",
            Self::Mulaw => "MULAW takes 8000 Hz",
            Self::Opus => "Opus takes 8000, 12000, 16000, 24000 or 48000 Hz",
        }
    }
}

/// An encoding and its sample rate, as in `speechRecognition`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamFormat {
    encoding: Encoding,
    sample_rate: u32,
}

impl StreamFormat {
    /// Creates a format if the service accepts it.
    ///
    /// # Errors
    ///
    /// Returns a [`RequestError`] with the rate and the allowed rates: LINEAR16
    /// 8,000–48,000 Hz, FLAC 16,000–48,000, MULAW 8,000, Opus 8,000, 12,000, 16,000,
    /// 24,000 or 48,000.
    pub fn new(encoding: Encoding, sample_rate: u32) -> Result<Self, RequestError> {
        if encoding.takes(sample_rate) {
            Ok(Self {
                encoding,
                sample_rate,
            })
        } else {
            Err(RequestError {
                field: "config.speechRecognition.sampleRateHertz",
                value: sample_rate.to_string(),
                allowed: encoding.allowed_rates().to_owned(),
            })
        }
    }

    /// Returns the encoding.
    pub fn encoding(self) -> Encoding {
        self.encoding
    }

    /// Returns the sample rate in hertz.
    pub fn sample_rate(self) -> u32 {
        self.sample_rate
    }
}
