// SPDX-License-Identifier: MPL-2.0

use super::*;
use fastrand::Rng;

const MS: u64 = 1_000_000;
const S: u64 = 1000 * MS;

/// A stream, and where its audio stands by the decisions so far.
struct Stream {
    alignment: Aligner,
    /// Samples so far, as nanoseconds.
    position: Position,
    /// The running time of the next sample, in nanoseconds.
    line: i64,
    resyncs: u32,
    shifts: Vec<Shift>,
}

impl Stream {
    /// Returns a stream with one buffer, at running time zero.
    fn new() -> Self {
        let mut stream = Self {
            alignment: Aligner::new(Duration::from_millis(40), Duration::from_secs(1)),
            position: 0,
            line: 0,
            resyncs: 0,
            shifts: Vec::new(),
        };
        assert_eq!(stream.alignment.take(0, 0, 0, false), Alignment::Resync);
        stream.count(20 * MS);
        stream
    }

    fn count(&mut self, nanos: u64) {
        self.position += nanos;
        self.line += nanos as i64;
    }

    /// Takes a buffer of 20 ms with this timestamp.
    fn take(&mut self, stamp: i64, declared: bool) {
        let (stamp, line) = (stamp + S as i64, self.line + S as i64);
        let verdict = self
            .alignment
            .take(self.position, line as u64, stamp as u64, declared);
        match verdict {
            Alignment::GoesOn => {}
            Alignment::Resync => {
                self.resyncs += 1;
                self.line = stamp - S as i64;
            }
            Alignment::Moved(shifts) => {
                for shift in shifts {
                    self.line += shift.by;
                    self.shifts.push(shift);
                }
            }
        }
        self.count(20 * MS);
    }

    /// Takes buffers whose timestamps are off the count by what `off` returns.
    fn run(&mut self, buffers: u64, mut off: impl FnMut(u64) -> i64) {
        for n in 0..buffers {
            self.take(self.position as i64 + off(n), false);
        }
    }
}

const fn ms(ms: i64) -> i64 {
    ms * MS as i64
}

#[test]
fn bursts_are_no_holes() {
    let mut stream = Stream::new();
    stream.run(3000, |n| ms(20 * (4 - n as i64 % 5)));
    assert_eq!((stream.resyncs, stream.shifts.len()), (0, 0));
    assert!(stream.alignment.is_settled());
}

#[test]
fn a_stall_and_the_burst_behind_it_are_no_hole() {
    let mut stream = Stream::new();
    stream.run(100, |_| 0);
    // Seven seconds of audio arrive in one moment.
    stream.run(350, |n| ms(7000 - 20 * n as i64));
    stream.run(500, |_| 0);
    assert_eq!((stream.resyncs, stream.shifts.len()), (0, 0));
}

#[test]
fn timestamps_that_stay_apart_count_from_where_they_parted() {
    for step in [ms(60), ms(900), ms(-900), ms(-60)] {
        let mut stream = Stream::new();
        stream.run(100, |_| 0);
        let begins = stream.position;
        stream.run(49, |_| step);
        assert_eq!(stream.shifts, [], "not before the wait is over");
        stream.run(10, |_| step);
        let expected = Shift {
            from: begins,
            by: step,
        };
        assert_eq!(stream.shifts, [expected]);
        stream.run(500, |_| step);
        assert_eq!((stream.resyncs, stream.shifts.len()), (0, 1));
    }
}

#[test]
fn a_step_forward_that_is_longer_than_the_wait_counts_when_eight_buffers_agree() {
    for step in [ms(1000), ms(7000), ms(600_000)] {
        let mut stream = Stream::new();
        stream.run(100, |_| 0);
        let begins = stream.position;
        stream.run(8, |_| step);
        assert_eq!(stream.shifts, []);
        stream.run(1, |_| step);
        let expected = Shift {
            from: begins,
            by: step,
        };
        assert_eq!(stream.shifts, [expected]);
    }
}

#[test]
fn audio_that_was_held_up_and_comes_at_twice_the_pace_is_no_hole() {
    let mut stream = Stream::new();
    stream.run(100, |_| 0);
    stream.run(400, |n| ms(4000 - 10 * n as i64));
    stream.run(500, |_| 0);
    assert_eq!((stream.resyncs, stream.shifts.len()), (0, 0));
}

#[test]
fn timestamps_that_come_back_within_the_wait_do_not_count() {
    let mut stream = Stream::new();
    for _ in 0..20 {
        stream.run(100, |_| 0);
        stream.run(45, |_| ms(300));
    }
    assert_eq!((stream.resyncs, stream.shifts.len()), (0, 0));
}

#[test]
fn speech_between_undeclared_pauses_is_placed_by_its_timestamps() {
    let mut stream = Stream::new();
    stream.run(100, |_| 0);
    let first = stream.position;
    stream.run(20, |_| ms(3000)); // 400 ms of talk
    let second = stream.position;
    stream.run(20, |_| ms(5000));
    let expected = [(first, ms(3000)), (second, ms(2000))];
    assert_eq!(stream.shifts, expected.map(|(from, by)| Shift { from, by }));
}

#[test]
fn a_declared_discontinuity_counts_at_once() {
    let mut stream = Stream::new();
    stream.run(100, |_| 0);
    stream.take(stream.position as i64 + ms(15), true);
    assert_eq!(stream.line - stream.position as i64, ms(15));
    stream.take(stream.position as i64 - ms(500), true);
    assert_eq!(stream.line - stream.position as i64, ms(-500));
    assert_eq!(stream.resyncs, 2);
}

#[test]
fn a_declared_hole_that_is_no_larger_than_the_jitter_is_none() {
    let mut stream = Stream::new();
    stream.run(100, |n| ms(20 * (4 - n as i64 % 5)));
    stream.take(stream.position as i64 + ms(90), true);
    assert_eq!(stream.resyncs, 0);
    stream.take(stream.position as i64 + ms(2000), true);
    assert_eq!(stream.resyncs, 1);
}

#[test]
fn without_a_wait_a_step_counts_at_once() {
    let mut alignment = Aligner::new(Duration::from_millis(40), Duration::ZERO);
    alignment.take(0, 0, 0, false);
    let verdict = |alignment: &mut Aligner, off| alignment.take(S, S, S + off, false);
    assert_eq!(verdict(&mut alignment, 39 * MS), Alignment::GoesOn);
    assert_eq!(verdict(&mut alignment, 40 * MS), Alignment::Resync);
}

/// Returns how far the times of the audio are off the truth at most in an hour, in
/// milliseconds. The truth is the count of samples from the first timestamp on, in the
/// sender's time.
fn farthest_off_in_an_hour(drift_ppm: i64, mut jitter: impl FnMut(u64) -> i64) -> i64 {
    let mut stream = Stream::new();
    let first = jitter(0);
    let mut farthest = 0;
    for n in 1..180_000 {
        let drift = stream.position as i64 / 1_000_000 * drift_ppm;
        let truth = stream.position as i64 + drift;
        farthest = farthest.max((stream.line - truth).abs());
        stream.take(truth + jitter(n) - first, false);
    }
    assert_eq!(stream.resyncs, 0);
    let jump = stream.shifts.iter().map(|shift| shift.by.abs()).max();
    assert!(jump.unwrap_or(0) <= ms(10), "no jump: {jump:?}");
    farthest / ms(1)
}

#[test]
fn a_drift_of_200_ppm_is_followed_within_20_ms_for_an_hour_whatever_the_jitter() {
    for drift in [-200, 0, 200] {
        let off = farthest_off_in_an_hour(drift, |_| 0);
        assert!(off <= 20, "{off} ms off at {drift} ppm without jitter");
        let off = farthest_off_in_an_hour(drift, |n| ms(20 * (4 - n as i64 % 5)));
        assert!(off <= 20, "{off} ms off at {drift} ppm in bursts");
        for seed in 0..3 {
            for most in [2, 5, 30, 500] {
                let mut rng = Rng::with_seed(seed);
                let jitter = |_| rng.i64(-ms(most)..=ms(most));
                let off = farthest_off_in_an_hour(drift, jitter);
                assert!(
                    off <= 20,
                    "{off} ms off at {drift} ppm, jitter {most} ms, {seed}"
                );
            }
        }
    }
}

#[test]
fn a_loss_under_jitter_that_is_known_is_no_hole() {
    let mut stream = Stream::new();
    let bursts = |n: u64| ms(20 * (4 - n as i64 % 5));
    stream.run(1000, bursts);
    // Each 50th packet is lost, and the packet behind it has the DISCONT flag.
    for round in 0..100 {
        let lost = round + 1;
        stream.take(
            stream.position as i64 + bursts(round) + ms(20 * lost as i64 % 40),
            true,
        );
        stream.run(49, bursts);
    }
    assert_eq!(stream.resyncs, 0);
}

#[test]
fn known_jitter_outlives_a_discontinuity() {
    let mut stream = Stream::new();
    let bursts = |n: u64| ms(20 * (4 - n as i64 % 5));
    stream.run(1000, bursts);
    // There is a real hole, and behind it losses that are smaller than the jitter.
    stream.take(stream.position as i64 + ms(5000), true);
    assert_eq!(stream.resyncs, 1);
    let moved = stream.line - stream.position as i64;
    for late in [60, -60, 80, -80] {
        stream.take(stream.position as i64 + moved + ms(late), true);
    }
    assert_eq!(stream.resyncs, 1);
}

#[test]
fn after_a_pause_under_jitter_the_earliest_arrivals_decide() {
    for seed in 0..100 {
        let mut rng = Rng::with_seed(seed);
        let mut stream = Stream::new();
        // Little of the jitter is known when the pause comes.
        let most = 100 * (4 + seed as i64 % 6);
        stream.run(10, |_| ms(rng.i64(0..most)));
        stream.run(20, |_| 0);
        let before = stream.line - stream.position as i64;
        stream.run(2500, |_| ms(5000 + rng.i64(0..most)));
        let off = stream.line - stream.position as i64 - before - ms(5000);
        assert!(off.abs() <= ms(most), "seed {seed}: {off} ns");
    }
}

#[test]
fn buffers_longer_than_the_wait_follow_a_step_too() {
    for long in [1500, 1700, 2000, 4000, 12_000] {
        let long = long * MS;
        let mut alignment = Aligner::new(Duration::from_millis(40), Duration::from_secs(1));
        let (mut position, mut line) = (0, S);
        let step = 60 * S;
        assert_eq!(alignment.take(0, line, line, false), Alignment::Resync);
        for n in 1..40 {
            (position, line) = (position + long, line + long);
            let stamp = S + position + if n >= 10 { step } else { 0 };
            if let Alignment::Moved(shifts) = alignment.take(position, line, stamp, false) {
                line = line.saturating_add_signed(shifts.iter().map(|shift| shift.by).sum());
            }
        }
        assert_eq!(line, S + position + step, "buffers of {} ms", long / MS);
    }
}

#[test]
fn without_a_threshold_exact_timestamps_still_agree() {
    let mut alignment = Aligner::new(Duration::ZERO, Duration::from_secs(1));
    let (mut line, step) = (S, S / 2);
    assert_eq!(alignment.take(0, line, line, false), Alignment::Resync);
    for n in 1..500 {
        line += 20 * MS;
        let stamp = S + n * 20 * MS + if n >= 100 { step } else { 0 };
        if let Alignment::Moved(shifts) = alignment.take(n * 20 * MS, line, stamp, false) {
            line = line.saturating_add_signed(shifts.iter().map(|shift| shift.by).sum());
        }
    }
    assert_eq!(line, S + 499 * 20 * MS + step);
}
