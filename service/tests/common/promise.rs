// SPDX-License-Identifier: MPL-2.0

//! Checks what an engine promises of the finals that are still to come.

use std::time::{Duration, Instant};
use symbl_service::recognizer::{Recognition, RecognizerStream};

/// Longest wait for an engine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an engine promised while it was given audio.
#[derive(Default)]
pub struct Promises {
    /// Each promise that was larger than the one before, and how much audio had been given.
    pub made: Vec<(Duration, Duration)>,
    /// The words' start and the last promise before it, of each final.
    pub finals: Vec<(Duration, Duration)>,
    promise: Duration,
}

impl Promises {
    /// Gives all audio in pieces of `chunk` samples, and waits for the last results.
    ///
    /// Fails if a final begins before the last promise, or a promise goes back.
    pub fn of(stream: &mut dyn RecognizerStream, audio: &[i16], chunk: usize) -> Self {
        let mut promises = Self::default();
        let mut given = 0;
        let mut out = Vec::new();
        promises.look(stream, &mut out, given);
        for samples in audio.chunks(chunk) {
            let until = Instant::now() + PATIENCE;
            while !stream.is_ready() {
                assert!(Instant::now() < until, "the engine takes no audio");
                std::thread::yield_now();
                stream.poll(&mut out).expect("going on");
                promises.look(stream, &mut out, given);
            }
            stream.push(samples, &mut out).expect("taken");
            given += samples.len() as u64;
            promises.look(stream, &mut out, given);
        }
        let until = Instant::now() + PATIENCE;
        while stream.poll_finish(&mut out).expect("results").is_pending() {
            assert!(Instant::now() < until, "the last results do not come");
            std::thread::yield_now();
            promises.look(stream, &mut out, given);
        }
        promises.look(stream, &mut out, given);
        promises
    }

    fn look(&mut self, stream: &dyn RecognizerStream, out: &mut Vec<Recognition>, given: u64) {
        let given = Duration::from_nanos(given * 1_000_000_000 / 16_000);
        for heard in out.drain(..) {
            if let Recognition::Final { words, .. } = heard {
                let start = words[0].start;
                assert!(
                    start >= self.promise,
                    "promised {:?}, and then: {words:?}",
                    self.promise
                );
                self.finals.push((start, self.promise));
            }
        }
        let Some(promise) = stream.settled() else {
            return;
        };
        assert!(
            promise >= self.promise,
            "{promise:?} after {:?}",
            self.promise
        );
        assert!(promise <= given, "{promise:?} of {given:?}");
        if promise > self.promise {
            self.promise = promise;
            self.made.push((promise, given));
        }
    }

    /// Returns how far the last promise was behind the audio.
    pub fn lag(&self) -> Duration {
        let (promise, given) = self.made.last().copied().unwrap_or_default();
        given - promise
    }
}
