// SPDX-License-Identifier: MPL-2.0

//! Tests how late captions may be, whatever is said and whatever times it has.

use proptest::prelude::*;
use std::time::Duration;
use symbl_captions::{Cue, Cues, LATEST, TimedWord, Utterance};

/// Maximum distance of a time from its neighbours at which it is believed at once.
const LEAP: Duration = Duration::from_secs(20);

/// A remark with its start and its length.
#[derive(Debug, Clone)]
struct Remark {
    start: Duration,
    length: Duration,
    words: usize,
    speaker: Option<&'static str>,
    timed_words: bool,
}

/// Returns remarks in order, each some time after the start of the one before.
fn talk() -> impl Strategy<Value = Vec<Remark>> {
    let pause = prop_oneof![8 => 0u64..4000, 2 => 0u64..20, 1 => 4000u64..19_000];
    let speaker = prop_oneof![Just(None), Just(Some("Anna")), Just(Some("Bob"))];
    let remark = (pause, 0u64..5000, 1usize..30, speaker, any::<bool>());
    proptest::collection::vec(remark, 2..60).prop_map(|remarks| {
        let mut at = 0;
        let place = |(pause, length, words, speaker, timed_words)| {
            at += pause;
            Remark {
                start: Duration::from_millis(at),
                length: Duration::from_millis(length),
                words,
                speaker,
                timed_words,
            }
        };
        remarks.into_iter().map(place).collect()
    })
}

/// Returns the cues of each remark. The text of a cue contains the number of its
/// remark.
fn cues(talk: &[Remark]) -> Vec<Vec<Cue>> {
    let mut cues = Cues::with_names();
    let mut all = Vec::new();
    for (number, remark) in talk.iter().enumerate() {
        let text = format!("r{number}x ").repeat(remark.words);
        let each = remark.length / remark.words as u32;
        let words: Vec<TimedWord> = (0..remark.words as u32)
            .map(|n| TimedWord {
                text: "word".into(),
                start: remark.start.saturating_add(each * n),
                end: remark.start.saturating_add(each * (n + 1)),
            })
            .collect();
        all.extend(cues.cut(&Utterance {
            text: &text,
            speaker: remark.speaker,
            start: Some(remark.start),
            end: Some(remark.start.saturating_add(remark.length)),
            words: if remark.timed_words { &words } else { &[] },
            ..Utterance::default()
        }));
    }
    all.extend(cues.finish());
    assert!(all.is_sorted_by_key(|cue| cue.start), "{all:?}");
    let mut of_remarks = vec![Vec::new(); talk.len()];
    let mut next = 0;
    for cue in all {
        // No word is lost, and all words are in order.
        let text = cue.lines.join(" ");
        let mut numbers = text
            .split(' ')
            .filter_map(|w| w.strip_prefix('r')?.strip_suffix('x'));
        let number: usize = numbers.next_back().unwrap().parse().unwrap();
        assert!(number == next || number == next + 1, "{cue:?} after {next}");
        next = number;
        of_remarks[number].push(cue);
    }
    for (number, cues) in of_remarks.iter().enumerate() {
        let text: Vec<&str> = cues
            .iter()
            .flat_map(|cue| &cue.lines)
            .map(String::as_str)
            .collect();
        let words = text
            .join(" ")
            .split(' ')
            .filter(|w| w.starts_with('r'))
            .count();
        assert_eq!(words, talk[number].words);
    }
    of_remarks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_cue_is_never_later_than_five_seconds_after_its_words(talk in talk()) {
        // Latest end of the words of other speakers so far.
        let mut others = Duration::ZERO;
        for (cues, remark) in cues(&talk).iter().zip(&talk) {
            let until = remark.start + remark.length;
            prop_assert!(cues[0].start >= remark.start);
            let latest = remark.start.max(others) + LATEST;
            prop_assert!(cues[0].start <= latest, "{:?} {:?}", remark, cues);
            others = others.max(until);
            let last = cues.last().unwrap();
            prop_assert!(last.start <= others + LATEST, "{:?} {:?}", remark, cues);
        }
    }

    #[test]
    fn one_wrong_time_makes_no_other_remark_late(
        talk in talk(),
        index in any::<proptest::sample::Index>(),
        wrong in prop_oneof![
            0u64..1_000_000,
            any::<u64>(),
            Just(3_600_000),
            Just(u64::MAX),
        ],
    ) {
        let index = index.index(talk.len());
        let mut stray = talk.clone();
        stray[index].start = Duration::from_millis(wrong);
        for (number, (cues, remark)) in cues(&stray).iter().zip(&talk).enumerate() {
            if number != index {
                let until = remark.start + remark.length;
                for cue in cues {
                    let latest = until + LATEST + LEAP + LATEST;
                    prop_assert!(cue.start <= latest, "{} {:?} {:?}", number, remark, cue);
                    prop_assert!(cue.start >= remark.start, "{} {:?} {:?}", number, remark, cue);
                }
            }
        }
    }
}
