// SPDX-License-Identifier: MPL-2.0

//! The clock that all processes of a measurement share, and its time stamps in audio.

use super::Problem;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Returns CLOCK_MONOTONIC in nanoseconds.
pub fn now() -> u64 {
    let now =
        clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap_or(nix::sys::time::TimeSpec::new(0, 0));
    let whole = u64::try_from(now.tv_sec()).unwrap_or(0) * 1_000_000_000;
    whole + u64::try_from(now.tv_nsec()).unwrap_or(0)
}

/// Marks a stamp.
const MAGIC: u32 = 0x53_59_4d_42;

/// Size of a stamp in bytes.
const SIZE: usize = 16;

/// A time stamp at the end of a buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stamp {
    /// Number of the buffer, from 0.
    pub number: u32,
    /// When the buffer came to the sink, in nanoseconds of [`now`].
    pub at: u64,
}

impl Stamp {
    /// Writes the stamp over the end of `buffer`.
    pub fn write(self, buffer: &mut [u8]) {
        let mut bytes = [0; SIZE];
        let (magic, rest) = bytes.split_at_mut(4);
        let (number, at) = rest.split_at_mut(4);
        magic.copy_from_slice(&MAGIC.to_le_bytes());
        number.copy_from_slice(&self.number.to_le_bytes());
        at.copy_from_slice(&self.at.to_le_bytes());
        if let Some(end) = buffer.last_chunk_mut::<SIZE>() {
            *end = bytes;
        }
    }

    /// Reads the stamp at the end of `buffer`.
    pub fn read(buffer: &[u8]) -> Option<Self> {
        let end = buffer.last_chunk::<SIZE>()?;
        let magic = u32::from_le_bytes(*end.first_chunk()?);
        let number = u32::from_le_bytes(*end.get(4..)?.first_chunk()?);
        let at = u64::from_le_bytes(*end.get(8..)?.first_chunk()?);
        (magic == MAGIC).then_some(Self { number, at })
    }
}

/// The distribution of delays, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub count: usize,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

impl Spread {
    /// Returns the distribution of delays in nanoseconds, which it sorts.
    pub fn of(waits: &mut [u64]) -> Self {
        waits.sort_unstable();
        let at = |part: f64| {
            let last = waits.len().saturating_sub(1);
            // A double can hold every such index.
            let index = (part * last as f64).round() as usize;
            waits.get(index).copied().unwrap_or(0) as f64 / 1e6
        };
        Self {
            count: waits.len(),
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            max: at(1.0),
        }
    }

    /// Returns an error if there is no delay in it.
    pub fn some(self) -> Result<Self, Problem> {
        match self.count {
            0 => Err("nothing arrived that could be timed".into()),
            _ => Ok(self),
        }
    }
}
