// SPDX-License-Identifier: MPL-2.0

//! Compares the figures with arithmetic of another kind: a grid of 10 ms on which each
//! word of a mixed call is painted.

use super::*;

const SECOND: i64 = 1_000_000_000;
const CELL: i64 = 10_000_000;

/// A call whose times are known: the words of each member.
struct Call {
    words: Vec<Vec<Span>>,
    end: i64,
}

/// A generator of numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, from: i64, to: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        from + (self.0 % (to - from) as u64) as i64
    }
}

/// Mixes a call: each member speaks, with pauses within utterances and between them, and
/// pays no heed to the others. All times are multiples of a cell.
fn mixed(members: usize, seed: u64, pause: i64) -> Call {
    let mut dice = Dice(seed);
    let mut words = Vec::new();
    let mut end = 0;
    for _ in 0..members {
        let mut own = Vec::new();
        let mut now = dice.throw(0, 500);
        for _ in 0..40 {
            for _ in 0..dice.throw(1, 25) {
                let length = dice.throw(8, 60);
                own.push((now * CELL, (now + length) * CELL));
                now += length;
                // Some words follow at once, some after a pause.
                now += if dice.throw(0, 4) == 0 {
                    dice.throw(1, 90)
                } else {
                    0
                };
            }
            now += dice.throw(20, pause);
        }
        end = end.max(own.last().map_or(0, |last: &Span| last.1));
        words.push(own);
    }
    Call { words, end }
}

impl Call {
    /// Returns which members speak in each cell.
    fn grid(&self) -> Vec<Vec<usize>> {
        let mut cells = vec![Vec::new(); (self.end / CELL) as usize];
        for (member, words) in self.words.iter().enumerate() {
            for (start, stop) in words {
                for cell in start / CELL..stop / CELL {
                    let here: &mut Vec<usize> = &mut cells[cell as usize];
                    if !here.contains(&member) {
                        here.push(member);
                    }
                }
            }
        }
        cells
    }

    /// Counts it, with messages of some words, in an order that is not that of time.
    fn counted(&self, most: usize) -> Report {
        let mut analytics = Analytics::with_most(0, most);
        for member in 0..self.words.len() {
            analytics.member(&member.to_string());
        }
        let mut messages: Vec<(usize, &[Span])> = Vec::new();
        for (member, words) in self.words.iter().enumerate() {
            messages.extend(words.chunks(7).map(|chunk| (member, chunk)));
        }
        let mut dice = Dice(7);
        for at in (1..messages.len()).rev() {
            messages.swap(at, dice.throw(0, at as i64 + 1) as usize);
        }
        for (member, times) in messages {
            let said = Said {
                times,
                words: times.len(),
                questions: 0,
                polarity: 0.0,
            };
            analytics.said(&member.to_string(), said);
        }
        analytics.report()
    }
}

fn within(one: i64, other: i64, what: &str) {
    let difference = (one - other).abs() as f64;
    assert!(
        difference <= 0.01 * other as f64,
        "{what}: {one} and {other}"
    );
}

#[test]
fn talk_silence_and_overlap_are_those_of_the_mixed_call() {
    for (members, seed, pause) in [(2, 1, 600), (3, 2, 2000), (5, 3, 4000), (1, 4, 300)] {
        let call = mixed(members, seed, pause);
        let grid = call.grid();
        let cells = |count: usize| count as i64 * CELL;
        let count =
            |test: &dyn Fn(&Vec<usize>) -> bool| cells(grid.iter().filter(|c| test(c)).count());
        let report = call.counted(MOST_STRETCHES);
        assert_eq!(report.duration, call.end);
        assert_eq!(report.talk, count(&|c| !c.is_empty()));
        assert_eq!(report.silence, count(&|c| c.is_empty()));
        assert_eq!(report.overlap, count(&|c| c.len() > 1));
        assert!(members == 1 || report.overlap > 0, "the call has overlaps");
        for (index, member) in report.members.iter().enumerate() {
            let talk = count(&|c| c.contains(&index));
            assert_eq!(member.talk, talk);
            assert_eq!(
                member.listen,
                count(&|c| !c.is_empty() && !c.contains(&index))
            );
            assert_eq!(
                member.overlap,
                count(&|c| c.contains(&index) && c.len() > 1)
            );
            for (other, length) in &member.overlaps {
                assert_eq!(*length, count(&|c| c.contains(&index) && c.contains(other)));
            }
            let pace = call.words[index].len() as f64 / (talk as f64 / 60e9);
            assert!((member.pace() - pace).abs() < 1e-9 * pace);
        }
    }
}

#[test]
fn a_bounded_number_of_stretches_changes_the_figures_by_less_than_a_hundredth() {
    let call = mixed(3, 9, 3000);
    let exact = call.counted(MOST_STRETCHES);
    // One stretch is too many, so one in eight is joined.
    let mut stretches = 0;
    for words in &call.words {
        stretches += 1 + words
            .windows(2)
            .filter(|pair| pair[0].1 < pair[1].0)
            .count();
    }
    let bounded = call.counted(stretches - 1);
    assert_ne!(bounded.talk, exact.talk, "the bound was not reached");
    within(bounded.talk, exact.talk, "talk");
    within(bounded.silence, exact.silence, "silence");
}

#[test]
fn a_long_conversation_takes_no_more_memory_than_its_stretches() {
    let mut analytics = Analytics::with_most(0, 1000);
    for message in 0..100_000_i64 {
        let start = message * SECOND;
        let times: Vec<Span> = (0..10)
            .map(|k| (start + k * 90_000_000, start + k * 90_000_000 + 50_000_000))
            .collect();
        let said = Said {
            times: &times,
            words: 10,
            questions: 0,
            polarity: 0.0,
        };
        analytics.said(["a", "b"][message as usize % 2], said);
        assert!(analytics.kept() <= 1000);
    }
    let report = analytics.report();
    assert_eq!(
        report.members.iter().map(|m| m.words).sum::<u64>(),
        1_000_000
    );
}

/// Counts what members say: pairs of seconds.
fn counted(members: &[&[(f64, f64)]]) -> Report {
    let mut analytics = Analytics::new(0);
    for (member, spans) in members.iter().enumerate() {
        let time = |seconds: f64| (seconds * 1e9) as i64;
        let times: Vec<Span> = spans
            .iter()
            .map(|(from, to)| (time(*from), time(*to)))
            .collect();
        let said = Said {
            times: &times,
            words: times.len(),
            questions: 1,
            polarity: [0.5, -0.25][member % 2],
        };
        analytics.said(&member.to_string(), said);
    }
    analytics.report()
}

#[test]
fn a_remark_ends_no_monologue_but_a_turn_does() {
    let long = [(0.0, 20.0)];
    let report = counted(&[&long, &[(5.0, 5.6)]]);
    assert_eq!(report.members[0].monologue, Some((0, 20 * SECOND)));
    assert_eq!(report.members[1].monologue, None);
    let report = counted(&[&long, &[(5.0, 7.0)]]);
    assert_eq!(report.members[0].monologue, Some((7 * SECOND, 20 * SECOND)));
    // A pause of three seconds is part of it, a longer one ends it.
    let report = counted(&[&[(0.0, 4.0), (7.0, 9.0), (12.1, 14.0)]]);
    assert_eq!(report.members[0].monologue, Some((0, 9 * SECOND)));
    // A turn of another member in the pause ends it.
    let report = counted(&[&[(0.0, 4.0), (6.5, 9.0)], &[(4.5, 6.0)]]);
    assert_eq!(report.members[0].monologue, Some((0, 4 * SECOND)));
}

#[test]
fn who_begins_while_another_speaks_and_goes_on_longer_interrupts() {
    let interruptions = |members: &[&[(f64, f64)]]| {
        let report = counted(members);
        let each = report.members.iter();
        each.map(|member| (member.interruptions, member.interrupted))
            .collect::<Vec<_>>()
    };
    let first: &[(f64, f64)] = &[(0.0, 5.0)];
    assert_eq!(interruptions(&[first, &[(4.0, 8.0)]]), [(0, 1), (1, 0)]);
    // The second one gives up, only remarks, or begins when the first one all but stops.
    for second in [(2.0, 4.0), (4.5, 5.2), (4.8, 8.0), (5.0, 8.0)] {
        assert_eq!(
            interruptions(&[first, &[second]]),
            [(0, 0), (0, 0)],
            "{second:?}"
        );
    }
}

#[test]
fn a_conversation_without_words_has_zeros() {
    let mut analytics = Analytics::new(5);
    analytics.member("a");
    let report = analytics.report();
    assert_eq!((report.duration, report.talk, report.silence), (0, 0, 0));
    assert_eq!(report.members[0].pace(), 0.0);
    let report = counted(&[&[(1.0, 2.0)], &[(2.0, 3.0)]]);
    assert_eq!(
        report.silence, SECOND,
        "silence before the first word counts"
    );
    assert_eq!((report.polarity, report.members[0].polarity), (0.125, 0.5));
    assert_eq!(report.members[1].questions, 1);
}

#[test]
fn times_that_make_no_sense_do_no_harm() {
    let report = counted(&[&[(2.0, 1.0), (3.0, 3.0), (-4.0, -2.0)]]);
    assert_eq!((report.talk, report.duration), (2 * SECOND, 2 * SECOND));
    let mut analytics = Analytics::new(i64::MAX);
    let times = [(i64::MIN, i64::MAX), (0, 1)];
    let said = Said {
        times: &times,
        words: 2,
        questions: 0,
        polarity: 0.0,
    };
    analytics.said("a", said);
    assert_eq!(analytics.report().silence, 0);
}
