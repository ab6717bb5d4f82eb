// SPDX-License-Identifier: MPL-2.0

use super::*;
use crate::hearing::capacity::Pace;
use crate::hearing::recognizer::{RecognisedWord, Recognition, SAMPLE_RATE};

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// A stream of the only engine.
const ONLY: Demand = of(0);

/// Returns the demand for this engine with interim results.
const fn of(engine: usize) -> Demand {
    Demand {
        engine,
        interim: true,
    }
}

/// Returns the admission to one engine. Speech in a stream takes `cost` cores, or none of
/// this machine's for an engine that works elsewhere.
fn house(cores: f64, cost: Option<f64>) -> Admission {
    let capacity = cost.map_or(Capacity::Elsewhere, |cost| Capacity::Here { cost });
    Admission::new(cores, &[capacity])
}

/// Returns how many of the streams that dial at once are admitted.
fn let_in(admission: &mut Admission, dials: usize) -> usize {
    let enter = |_: &usize| admission.enter(ONLY, Duration::ZERO, false).is_ok();
    (0..dials).filter(enter).count()
}

fn word(start: Duration, end: Duration) -> RecognisedWord {
    RecognisedWord {
        text: "word".into(),
        start,
        end,
        confidence: 1.0,
    }
}

/// Returns a final result of speech from `start` to `end`.
fn said(start: Duration, end: Duration) -> Recognition {
    Recognition::bare(vec![word(start, start), word(end, end)])
}

#[test]
fn those_that_dial_at_once_before_anything_was_measured_are_as_many_as_the_engine_says() {
    assert_eq!(let_in(&mut house(2.0, Some(0.17)), 100), 11);
    assert_eq!(let_in(&mut house(0.1, Some(0.17)), 100), 1, "one");
    assert_eq!(let_in(&mut house(2.0, None), 100), 100);
}

#[test]
fn what_is_measured_counts_more_and_more() {
    let mut admission = house(1.0, Some(0.1));
    (0..200).for_each(|_| admission.measured(ONLY, 5 * S, 10 * S));
    assert!(admission.cost(ONLY) > 0.45, "{}", admission.cost(ONLY));
    assert_eq!(let_in(&mut admission, 10), 2);
}

#[test]
fn who_leaves_makes_room_for_one() {
    let mut admission = house(1.0, Some(0.25));
    assert_eq!(let_in(&mut admission, 10), 4);
    admission.leave(ONLY);
    assert_eq!(let_in(&mut admission, 10), 1);
}

#[test]
fn an_estimate_that_trembles_does_not_open_the_door() {
    let mut admission = house(1.0, Some(0.25));
    assert_eq!(let_in(&mut admission, 10), 4);
    for _ in 0..100 {
        admission.measured(ONLY, 240 * MS * 10, 10 * S);
        assert_eq!(admission.enter(ONLY, S, false), Err(Full::Capacity));
    }
    assert!(5.0 * admission.cost(ONLY) > 1.0 || admission.cost(ONLY) < 0.25);
    // One that falls does.
    (0..1000).for_each(|_| admission.measured(ONLY, S, 10 * S));
    assert_eq!(admission.enter(ONLY, S, false), Ok(()));
}

#[test]
fn a_full_service_admits_a_rejoin_and_reserves_nothing_for_lost_speakers() {
    let mut admission = house(1.0, Some(0.25));
    assert_eq!(let_in(&mut admission, 10), 4);
    admission.leave(ONLY); // It was lost: its conversation waits.
    assert_eq!(
        admission.enter(ONLY, S, false),
        Ok(()),
        "nobody uses the place"
    );
    assert_eq!(admission.enter(ONLY, S, false), Err(Full::Capacity));
    assert_eq!(
        admission.enter(ONLY, S, true),
        Ok(()),
        "it comes back all the same"
    );
    assert!((admission.load() - 1.25).abs() < 1e-9);
}

#[test]
fn while_a_stream_lags_no_other_is_admitted() {
    let mut admission = house(8.0, None);
    assert_eq!(let_in(&mut admission, 2), 2);
    admission.behind(S, BEHIND - MS);
    assert_eq!(admission.enter(ONLY, S, false), Ok(()));
    admission.behind(S, BEHIND);
    assert_eq!(admission.enter(ONLY, 2 * S, false), Err(Full::Lag));
    assert_eq!(
        admission.enter(ONLY, 2 * S, true),
        Ok(()),
        "but one that rejoins is admitted"
    );
    // A lag that is not seen again is forgotten.
    assert_eq!(admission.enter(ONLY, S + LAGGED, false), Ok(()));
}

#[test]
fn a_thread_that_hears_less_than_time_goes_by_is_behind() {
    let mut pace = Pace::default();
    let mut at = Duration::ZERO;
    let mut last = Duration::ZERO;
    for _ in 0..100 {
        // 100 ms of audio take 130.
        last = pace.heard(at, at + 130 * MS, 100 * MS);
        at += 130 * MS;
    }
    assert_eq!(last, 3000 * MS);
    // It catches up: the next ones take 20.
    for _ in 0..38 {
        last = pace.heard(at, at + 20 * MS, 100 * MS);
        at += 20 * MS;
    }
    assert_eq!(last, Duration::ZERO);
}

#[test]
fn who_is_sent_in_time_or_faster_or_with_pauses_is_not_behind() {
    for (took, every) in [(30, 100), (30, 30), (5, 20), (90, 400)] {
        let mut pace = Pace::default();
        for n in 0..500 {
            let begin = every * n * MS;
            let audio = 100.min(every.max(took)) * MS;
            let behind = pace.heard(begin, begin + took * MS, audio);
            assert!(behind <= took * MS, "{took} ms each {every}: {behind:?}");
        }
    }
}

/// Returns the measured cost after speech and pauses of these lengths in seconds. A
/// second of speech takes 100 ms of processor time, half of it at the end of the
/// utterance.
fn estimate(speech: u32, pause: u32) -> f64 {
    let admission = SharedAdmission::new(Some(house(2.0, Some(0.1))));
    let _place = admission.enter(ONLY, false).expect("the first");
    let mut effort = admission.effort(ONLY);
    let mut at = Duration::ZERO;
    let mut hear = |said: &[Recognition], spent| {
        let work = (at, at + 10 * MS, SAMPLE_RATE as usize / 10);
        effort.account(work.0, work.1, work.2, said, (spent, Duration::ZERO));
        at += 100 * MS;
    };
    for _ in 0..1200 / (speech + pause) {
        for tenth in 0..speech * 10 {
            let guess = Recognition::Interim {
                words: vec![word(S, S)],
                stable: 0,
            };
            let heard: &[_] = if tenth % 10 == 9 { &[guess] } else { &[] };
            hear(heard, 5 * MS);
        }
        hear(&[said(S, S + speech * S)], speech * 50 * MS);
        (1..pause * 10).for_each(|_| hear(&[], MS / 100));
    }
    // Hours of silence, which costs nothing.
    (0..100_000).for_each(|_| hear(&[], MS / 100));
    admission.lock().expect("it is heeded").cost(ONLY)
}

#[test]
fn neither_silence_nor_the_length_of_what_is_said_changes_what_speech_costs() {
    for (speech, pause) in [(1, 1), (3, 1), (10, 1), (30, 1), (3, 60)] {
        let cost = estimate(speech, pause);
        assert!(
            (0.09..0.12).contains(&cost),
            "{cost} of {speech} s with {pause} s between"
        );
    }
}

/// Simulates hours of random arrivals, departures and costs.
#[test]
fn whatever_happens_the_house_is_never_overfull_nor_closed_without_reason() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let cost = 0.02 + random.f64() / 2.0;
        let told = cost * (0.5 + random.f64());
        let capacity = 1.0 + random.f64() * 7.0;
        let mut admission = house(capacity, Some(told));
        let (mut inside, mut refused, mut opened) = (0usize, 0u32, 0u32);
        let mut open = true;
        for step in 0..10_000u32 {
            let now = step * S;
            match random.u32(0..10) {
                0..4 => {
                    let entered = admission.enter(ONLY, now, false).is_ok();
                    // Once the real cost is measured, it is the one that counts.
                    let real = (inside + 1) as f64 * cost / capacity;
                    if step > 2000 {
                        assert!(
                            !entered || inside == 0 || real < 1.1,
                            "seed {seed}: overfull"
                        );
                        assert!(entered || real > RELIEF * 0.9, "seed {seed}: no reason");
                    }
                    opened += u32::from(entered && !open);
                    open = entered;
                    refused += u32::from(!entered);
                    inside += usize::from(entered);
                }
                4..7 if inside > 0 => {
                    admission.leave(ONLY);
                    inside -= 1;
                }
                _ => {
                    let spoken = (0.5 + random.f64() * 10.0) * 1000.0;
                    let spent = spoken * cost * (0.8 + random.f64() * 0.4);
                    let millis = |of: f64| Duration::from_micros((of * 1000.0) as u64);
                    admission.measured(ONLY, millis(spent), millis(spoken));
                }
            }
            assert_eq!(admission.streams, inside, "seed {seed}");
        }
        assert!(
            refused == 0 || opened > 0,
            "seed {seed}: it never opened again"
        );
    }
}

#[test]
fn each_engine_counts_with_its_own_cost() {
    let engines = [0.1, 0.5].map(|cost| Capacity::Here { cost });
    let mut admission = Admission::new(1.0, &engines);
    for engine in [0, 0, 1] {
        assert_eq!(admission.enter(of(engine), S, false), Ok(()));
    }
    assert!((admission.load() - 0.7).abs() < 1e-9);
    assert_eq!(admission.enter(of(1), S, false), Err(Full::Capacity));
    admission.measured(of(1), 60 * S, 60 * S);
    assert!(
        (admission.cost(of(0)) - 0.1).abs() < 1e-9,
        "it was not measured"
    );
    assert!((admission.cost(of(1)) - 0.75).abs() < 1e-9);
    admission.leave(of(1));
    assert!((admission.load() - 0.2).abs() < 1e-9);
}

#[test]
fn a_stream_that_turns_out_to_have_a_dearer_engine_needs_room_for_it() {
    let engines = [0.1, 0.6].map(|cost| Capacity::Here { cost });
    let mut admission = Admission::new(1.0, &engines);
    assert_eq!(admission.enter(of(0), S, false), Ok(()));
    assert_eq!(
        admission.choose(of(0), of(1), false),
        Ok(()),
        "alone it may have any"
    );
    assert_eq!(admission.enter(of(0), S, false), Ok(()));
    assert_eq!(admission.choose(of(0), of(1), false), Err(Full::Capacity));
    assert!((admission.load() - 0.7).abs() < 1e-9, "it is in as before");
    assert_eq!(
        admission.choose(of(0), of(1), true),
        Ok(()),
        "one that comes back may"
    );
    assert!((admission.load() - 1.2).abs() < 1e-9);
    assert_eq!(
        admission.choose(of(1), of(0), false),
        Ok(()),
        "a cheaper one is no matter"
    );
}

#[test]
fn more_streams_fit_that_want_no_interims() {
    let capacity = Capacity::Reported {
        cost: 0.1,
        finals_only: 0.02,
    };
    const CORES: f64 = 1.01;
    let mut admission = Admission::new(CORES, &[capacity]);
    let takes = |admission: &Admission, cores: f64| {
        assert!((admission.load() * CORES - cores).abs() < 1e-9, "{cores}");
    };
    let finals = Demand {
        interim: false,
        ..ONLY
    };
    // What it asks for is known when it starts.
    let mut let_in = 0;
    while admission.enter(ONLY, S, false).is_ok() {
        assert_eq!(admission.choose(ONLY, finals, false), Ok(()));
        let_in += 1;
    }
    assert_eq!(let_in, 46, "there has to be room for one with interims");
    takes(&admission, 0.92);
    // One that wants them after all needs room for them.
    let wants = |admission: &mut Admission| admission.choose(finals, ONLY, false);
    assert_eq!(wants(&mut admission), Ok(()));
    assert_eq!(wants(&mut admission), Err(Full::Capacity));
    admission.reported(
        0,
        Capacity::Reported {
            cost: 0.02,
            finals_only: 0.01,
        },
    );
    assert_eq!(wants(&mut admission), Ok(()), "now they are cheaper");
    takes(&admission, 0.48);
    admission.leave(finals);
    admission.leave(ONLY);
    takes(&admission, 0.45);
}

#[test]
fn what_is_measured_of_one_kind_counts_for_the_other_until_that_is_measured() {
    let mut admission = house(2.0, Some(0.4));
    let finals = Demand {
        interim: false,
        ..ONLY
    };
    assert_eq!(admission.enter(ONLY, S, false), Ok(()));
    assert_eq!(admission.choose(ONLY, finals, false), Ok(()));
    (0..200).for_each(|_| admission.measured(finals, 12 * S, 10 * S));
    assert!(admission.cost(finals) > 1.1, "{}", admission.cost(finals));
    // It is refused at the door, and not when it starts.
    assert_eq!(admission.enter(ONLY, S, false), Err(Full::Capacity));
    (0..200).for_each(|_| admission.measured(ONLY, 20 * S, 10 * S));
    (0..200).for_each(|_| admission.measured(finals, 2 * S, 10 * S));
    let costs = (admission.cost(ONLY), admission.cost(finals));
    assert!(costs.0 > 1.7 && costs.1 < 0.4, "{costs:?}");
}
