// SPDX-License-Identifier: MPL-2.0

//! What will happen, drawn from a seed before anything happens.

use fastrand::Rng;
use std::time::Duration;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// The link is gone; what was under way is lost in both directions.
    Cut,
    /// The service closes with this code.
    Close(u16),
    /// Nothing gets through any more and nobody says so.
    HalfOpen,
    /// Dials are refused for a while.
    Refuse(Duration),
    /// Dials get no answer for a while.
    Hang(Duration),
    /// The socket takes nothing for a while.
    Stall(Duration),
    /// Results take this much longer from now on.
    Slow(Duration),
    /// The service loses its memory: the next start is a new conversation.
    Forget,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Decides everything that is drawn later: delays, orders, utterances.
    pub seed: u64,
    /// Words of 200 ms that are said.
    pub words: u16,
    /// Whether the audio is live: dropped rather than held back.
    pub live: bool,
    /// Length of upstream buffers.
    pub buffer: Duration,
    /// Bound of the spool.
    pub buffer_duration: Duration,
    /// Most × real time while catching up.
    pub catch_up_rate: f64,
    /// When the audio pauses (nothing comes), and for how long.
    pub hole: Option<(Duration, Duration)>,
    /// In the order of time.
    pub faults: Vec<(Duration, Fault)>,
}

impl Schedule {
    /// The same seed gives the same schedule.
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let words = rng.u16(5..100);
        let length = u64::from(words) * 200;
        let mut faults: Vec<(Duration, Fault)> = (0..rng.usize(0..6))
            .map(|_| {
                let at = Duration::from_millis(rng.u64(0..length + 2000));
                let span = Duration::from_millis(rng.u64(10..6000));
                let fault = match rng.u8(0..12) {
                    0..=3 => Fault::Cut,
                    4 => Fault::Close([1000, 1001, 1005, 1006, 1011, 1012, 1013][rng.usize(0..7)]),
                    5 => Fault::HalfOpen,
                    6 | 7 => Fault::Refuse(span),
                    8 => Fault::Hang(span),
                    9 => Fault::Stall(span),
                    10 => Fault::Slow(span / 4),
                    _ => Fault::Forget,
                };
                (at, fault)
            })
            .collect();
        faults.sort_by_key(|(at, _)| *at);
        Self {
            seed,
            words,
            live: rng.bool(),
            buffer: Duration::from_millis([2, 10, 20, 100, 1000][rng.usize(0..5)]),
            buffer_duration: Duration::from_millis([2000, 5000, 60_000][rng.usize(0..3)]),
            catch_up_rate: [1.0, 2.0, 10.0][rng.usize(0..3)],
            hole: rng.bool().then(|| {
                // Between two words: a word that is cut in two is no word.
                let at = Duration::from_millis(rng.u64(0..length) / 200 * 200);
                (at, Duration::from_millis(rng.u64(1..5000)))
            }),
            faults,
        }
    }
}
