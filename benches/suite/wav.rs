// SPDX-License-Identifier: MPL-2.0

//! Audio in a file: noise, because some subjects treat silence differently.

use super::Problem;
use super::dialect::BYTES_PER_SECOND;
use std::path::Path;
use tempfile::NamedTempFile;

/// A temporary file, which is removed when this is dropped.
pub struct Wav {
    file: NamedTempFile,
    /// Bytes of audio in the file.
    pub bytes: u64,
    /// CRC of the audio.
    pub crc: u32,
}

impl Wav {
    /// Creates a file of this many seconds: 16 kHz, S16LE, mono.
    pub fn new(seconds: usize) -> Result<Self, Problem> {
        let file = tempfile::Builder::new().suffix(".wav").tempfile()?;
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 16_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(file.path(), spec)?;
        let mut random = fastrand::Rng::with_seed(5);
        let mut crc = crc32fast::Hasher::new();
        for _ in 0..seconds {
            let mut second = Vec::with_capacity(BYTES_PER_SECOND);
            for _ in 0..BYTES_PER_SECOND / 2 {
                let sample = random.i16(-8000..8000);
                writer.write_sample(sample)?;
                second.extend_from_slice(&sample.to_le_bytes());
            }
            crc.update(&second);
        }
        writer.finalize()?;
        Ok(Self {
            file,
            bytes: (seconds * BYTES_PER_SECOND) as u64,
            crc: crc.finalize(),
        })
    }

    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Checks that everything came, over a single connection.
    pub fn compare(&self, subject: &str, heard: &super::server::Heard) -> Result<(), Problem> {
        if (heard.bytes, heard.crc) == (self.bytes, self.crc) {
            return Ok(());
        }
        let (came, all) = (heard.bytes, self.bytes);
        Err(format!("{subject}: {came} of {all} bytes came, or others").into())
    }
}
