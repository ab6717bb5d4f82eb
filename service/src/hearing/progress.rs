// SPDX-License-Identifier: MPL-2.0

//! Decides when a client is told how far the recognition of its stream has come.
//!
//! What comes in is how far the engine has come and how much audio it was given; what goes
//! out is the time to tell, if one is due. The times count audio, so the same audio gives the
//! same messages however fast it comes. This module must never read a clock, and never let a
//! time go back.

use std::time::Duration;

/// Progress is told at least once for this much audio.
const STEP: Duration = Duration::from_secs(1);

/// What a client that asked for it was told of the progress of its stream.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The last time that was told.
    told: Duration,
    /// Whole steps of audio that had been heard then.
    steps: u128,
    /// A final was sent since, or the audio is over.
    has_moved: bool,
}

impl Progress {
    /// Takes down that a final was sent, or that none is left, so that progress is due if
    /// there is any.
    pub(crate) fn moved(&mut self) {
        self.has_moved = true;
    }

    /// Returns the time to tell now, if one is due. No final that is still to come begins
    /// before `settled`. `heard` is how much audio the engine was given.
    ///
    /// It is due once for each second of audio, even if it has not moved, and at once when
    /// it has moved after a final or by a second.
    pub(crate) fn due(&mut self, settled: Duration, heard: Duration) -> Option<Duration> {
        // Messages have whole milliseconds.
        let time = Duration::from_millis(u64::try_from(settled.as_millis()).unwrap_or(u64::MAX));
        let time = time.max(self.told);
        let steps = heard.as_nanos() / STEP.as_nanos();
        let has_moved = std::mem::take(&mut self.has_moved);
        let is_news = time > self.told && (has_moved || time - self.told >= STEP);
        if steps <= self.steps && !is_news {
            return None;
        }
        self.told = time;
        self.steps = steps;
        Some(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn it_is_told_once_for_each_second_of_audio_even_if_it_stands() {
        let mut progress = Progress::default();
        let mut told = Vec::new();
        for heard in (0..=3_500).step_by(100) {
            let settled = heard.min(1_200_u64);
            told.extend(progress.due(millis(settled), millis(heard)));
        }
        assert_eq!(told, [millis(1_000), millis(1_200), millis(1_200)]);
    }

    #[test]
    fn it_is_told_at_once_when_it_moves_after_a_final() {
        let mut progress = Progress::default();
        assert_eq!(progress.due(millis(300), millis(500)), None);
        progress.moved();
        assert_eq!(progress.due(millis(300), millis(500)), Some(millis(300)));
        progress.moved();
        assert_eq!(progress.due(millis(300), millis(600)), None, "it stands");
        assert_eq!(
            progress.due(millis(400), millis(600)),
            None,
            "no final since"
        );
    }

    #[test]
    fn it_is_told_at_once_when_it_moves_by_a_second_without_a_final() {
        let mut progress = Progress::default();
        assert_eq!(
            progress.due(Duration::ZERO, millis(5_000)),
            Some(Duration::ZERO)
        );
        assert_eq!(progress.due(millis(999), millis(5_100)), None);
        assert_eq!(
            progress.due(millis(1_000), millis(5_100)),
            Some(millis(1_000))
        );
    }

    #[test]
    fn it_never_goes_back_and_is_rounded_down() {
        let mut progress = Progress::default();
        let time = Duration::from_micros(1_999_999);
        assert_eq!(progress.due(time, millis(2_000)), Some(millis(1_999)));
        assert_eq!(
            progress.due(millis(1_000), millis(3_000)),
            Some(millis(1_999))
        );
    }
}
