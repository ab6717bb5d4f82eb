// SPDX-License-Identifier: MPL-2.0

use super::*;

const S: u64 = 1_000_000_000;

fn at(seconds: u64) -> Instants {
    Instants {
        running_time: Some(seconds * S),
        stream_time: Some(seconds * S + 5),
        utc: Some((seconds * S) as i64 + 7),
    }
}

#[test]
fn time_runs_with_the_audio() {
    let mut timeline = Timeline::default();
    assert_eq!(timeline.locate(0), None);
    timeline.anchor(0, at(3), 1.0);
    assert_eq!(timeline.locate(2 * S), Some(at(5)));
}

#[test]
fn a_hole_moves_the_audio_behind_it_and_none_before() {
    let mut timeline = Timeline::default();
    timeline.anchor(0, at(0), 1.0);
    timeline.anchor(4 * S, at(10), 1.0);
    assert_eq!(timeline.locate(3 * S), Some(at(3)));
    assert_eq!(timeline.locate(4 * S), Some(at(10)));
    assert_eq!(
        timeline.locate_end(3 * S, 4 * S),
        Some(at(4)),
        "a word before the hole ends before it"
    );
    assert_eq!(timeline.locate(5 * S), Some(at(11)));
}

#[test]
fn rounding_moves_no_word_over_a_hole() {
    let mut timeline = Timeline::default();
    timeline.anchor(0, at(0), 1.0);
    timeline.anchor(4 * S, at(10), 1.0);
    let heard = |start, end| timeline.locate_heard(start, end).unwrap();
    assert_eq!(heard(4 * S - 1, 5 * S), (at(10), at(11)), "begins behind");
    assert_eq!(heard(3 * S, 4 * S + 1), (at(3), at(4)), "ends before");
    let over = heard(3 * S, 5 * S);
    assert_eq!(over, (at(3), at(11)), "a word that goes over it does");
    assert_eq!(heard(4 * S, 5 * S), (at(10), at(11)));
    let short = heard(4 * S - 2, 4 * S - 1);
    assert!(short.1.running_time < Some(4 * S), "{short:?}");
}

#[test]
fn audio_that_goes_on_needs_no_anchor() {
    let mut timeline = Timeline::default();
    for second in 0..1000 {
        timeline.anchor(second * S, at(second), 1.0);
    }
    assert_eq!(timeline.anchors.len(), 1);
}

#[test]
fn a_pause_moves_utc_and_nothing_else() {
    let mut timeline = Timeline::default();
    timeline.anchor(0, at(0), 1.0);
    assert_eq!(timeline.read_wall_clock(Time::ZERO, 0, &at(0)), None);
    timeline.part();
    assert!(timeline.wants_wall_clock(Time::ZERO));
    let paused = Instants {
        utc: at(61).utc,
        ..at(1)
    };
    timeline.anchor(S, paused, 1.0);
    let stepped = timeline.read_wall_clock(Time::ZERO, S, &paused);
    assert_eq!(stepped, None, "the wall clock was not set");
    assert!(!timeline.wants_wall_clock(Time::ZERO));
    assert!(timeline.goes_on(2 * S, &at(2), 1.0));
    let after = timeline.locate(2 * S).unwrap();
    assert_eq!((after.running_time, after.utc), (Some(2 * S), at(62).utc));
    assert_eq!(
        timeline.locate(S / 2).unwrap().utc,
        at(0).utc.map(|t| t + 500_000_000)
    );
}

#[test]
fn a_segment_at_double_speed_takes_half_the_running_time() {
    let mut timeline = Timeline::default();
    timeline.anchor(0, at(0), 2.0);
    let there = timeline.locate(4 * S).unwrap();
    assert_eq!(
        (there.running_time, there.stream_time),
        (Some(2 * S), Some(4 * S + 5))
    );
}

#[test]
fn arrivals_tell_when_audio_was_complete() {
    let mut timeline = Timeline::default();
    timeline.arrived(S, Time::from_secs(10));
    timeline.arrived(2 * S, Time::from_secs(11));
    assert_eq!(timeline.arrival(S / 2), Some(Time::from_secs(10)));
    assert_eq!(timeline.arrival(S + 1), Some(Time::from_secs(11)));
    assert_eq!(timeline.arrival(9 * S), Some(Time::from_secs(11)));
}

#[test]
fn memory_is_bounded() {
    let mut timeline = Timeline::default();
    for second in 0..1000 {
        timeline.anchor(second * S, at(second * 2), 1.0);
        timeline.arrived(second * S, Time::from_secs(second));
        timeline.prune(second * S);
    }
    assert!(timeline.anchors.len() <= 122 && timeline.arrivals.len() <= 122);
    assert!(timeline.locate(900 * S).is_some());
}

#[test]
fn a_small_difference_of_the_wall_clock_is_corrected_bit_by_bit_and_a_large_one_at_once() {
    let reading = |seconds: u64, off: i64| Instants {
        utc: at(seconds).utc.map(|utc| utc + off),
        ..at(seconds)
    };
    let mut timeline = Timeline::default();
    timeline.anchor(0, at(0), 1.0);
    assert_eq!(timeline.read_wall_clock(Time::ZERO, 0, &at(0)), None);
    let ten = Time::from_secs(10);
    assert!(
        !timeline.wants_wall_clock(ten - Time::from_nanos(1)) && timeline.wants_wall_clock(ten)
    );
    // The pipeline's clock is 25 ms slow by now.
    let late = reading(10, 25_000_000);
    assert_eq!(timeline.read_wall_clock(ten, 10 * S, &late), None);
    assert_eq!(
        timeline.locate(9 * S),
        Some(at(9)),
        "earlier audio keeps its UTC"
    );
    assert_eq!(timeline.locate(11 * S), Some(reading(11, 10_000_000)));
    for n in 2..4 {
        timeline.read_wall_clock(ten * n, u64::from(n) * 10 * S, &reading(10, 25_000_000));
    }
    assert_eq!(timeline.locate(31 * S), Some(reading(31, 25_000_000)));
    // It is set by an hour.
    let hour = 3_600_000_000_000;
    let set = timeline.read_wall_clock(ten * 4, 40 * S, &reading(40, hour));
    assert_eq!(set, Some(hour - 25_000_000));
    assert_eq!(timeline.locate(41 * S), Some(reading(41, hour)));
    let again = timeline.read_wall_clock(ten * 5, 50 * S, &reading(50, hour));
    assert_eq!(again, None, "reported once");
}

#[test]
fn a_step_that_was_noticed_late_moves_the_audio_behind_it() {
    let mut timeline = Timeline::default();
    timeline.anchor(0, at(1), 1.0);
    timeline.anchor(8 * S, at(10), 1.0);
    timeline.shift(Shift {
        from: 4 * S,
        by: 3_000_000_000,
    });
    assert_eq!(timeline.locate(3 * S), Some(at(4)));
    assert_eq!(timeline.locate(5 * S), Some(at(9)));
    assert_eq!(timeline.locate(8 * S), Some(at(13)));
    timeline.shift(Shift {
        from: 0,
        by: -1_000_000,
    });
    let earlier = at(4).running_time.map(|t| t - 1_000_000);
    assert_eq!(timeline.locate(3 * S).and_then(|i| i.running_time), earlier);
}

#[test]
fn audio_before_the_first_remembered_anchor_is_placed_by_that_anchor() {
    let mut timeline = Timeline::default();
    timeline.anchor(50 * S, at(60), 1.0);
    assert_eq!(
        timeline.locate(40 * S).and_then(|i| i.running_time),
        Some(50 * S)
    );
    assert_eq!(
        timeline.locate(0).and_then(|i| i.stream_time),
        Some(10 * S + 5)
    );
}
