// SPDX-License-Identifier: MPL-2.0

//! Tests of the cues of given sentences. `tests/any_talk.rs` tests what holds for any
//! talk.

use super::{Cue, Cues, LATEST};
use crate::{TimedWord, Utterance};
use std::time::Duration;

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// Returns the words of `text`, from `start` on, of `each` milliseconds each.
fn words(text: &str, start: u64, each: u64) -> Vec<TimedWord> {
    let words = text
        .split_whitespace()
        .zip((start..).step_by(each as usize));
    let word = |(text, at): (&str, u64)| TimedWord {
        text: text.to_owned(),
        start: ms(at),
        end: ms(at + each),
    };
    words.map(word).collect()
}

fn cut(text: &str, words: &[TimedWord]) -> Vec<Cue> {
    let utterance = Utterance {
        text,
        words,
        ..Utterance::default()
    };
    Cues::new().cut(&utterance)
}

fn shown(cues: &[Cue]) -> Vec<(u128, u128, String)> {
    let show = |cue: &Cue| {
        let text = cue.lines.join(" / ");
        (cue.start.as_millis(), cue.end.as_millis(), text)
    };
    cues.iter().map(show).collect()
}

#[test]
fn a_short_sentence_is_one_cue_at_its_time() {
    let cues = cut("Hello world.", &words("hello world", 1000, 700));
    assert_eq!(shown(&cues), [(1000, 2400, "Hello world.".into())]);
}

#[test]
fn a_word_stays_for_a_second_and_long_enough_to_be_read() {
    let cues = cut("Yes.", &words("yes", 1000, 100));
    assert_eq!(shown(&cues), [(1000, 2000, "Yes.".into())]);
    let text = "Whoever reads this sentence needs time.";
    let cues = cut(text, &words(text, 0, 10));
    assert_eq!(shown(&cues), [(0, 1700, text.into())]);
}

#[test]
fn a_long_sentence_is_cut_at_words_and_lines_are_about_equal() {
    let text = "The quick brown fox jumps over the lazy dog while the five boxing wizards \
                jump quickly, and nobody in the whole village knows why they do it.";
    let cues = cut(text, &words(text, 0, 300));
    assert_eq!(
        shown(&cues),
        [
            (
                0,
                4500,
                "The quick brown fox jumps over the lazy / dog while the five boxing wizards jump"
                    .into(),
            ),
            (
                4500,
                8100,
                "quickly, and nobody in the whole / village knows why they do it.".into(),
            ),
        ]
    );
}

#[test]
fn a_cue_ends_with_a_sentence_rather_than_in_the_next() {
    let text = "That is the end of the first sentence. Now comes a second one that would \
                not fit beside it.";
    let cues = cut(text, &words(text, 0, 200));
    assert_eq!(cues[0].lines, ["That is the end of the first sentence."]);
}

#[test]
fn no_cue_is_made_for_a_word_that_is_left_over() {
    let text = "Your call is now first in line and will be answered by the next available \
                representative.";
    let cues = cut(text, &words(text, 0, 300));
    let lines: Vec<&str> = cues
        .iter()
        .flat_map(|cue| &cue.lines)
        .map(String::as_str)
        .collect();
    let expected = [
        "Your call is now first in",
        "line and will be answered",
        "by the next available representative.",
    ];
    assert_eq!((cues.len(), lines.as_slice()), (2, expected.as_slice()));
}

#[test]
fn a_pause_ends_a_cue_and_no_cue_stays_for_longer_than_seven_seconds() {
    let mut slow = words("one two", 0, 500);
    slow.extend(words("three", 9000, 30_000));
    let cues = cut("one two three", &slow);
    assert_eq!(
        shown(&cues),
        [(0, 1000, "one two".into()), (9000, 16_000, "three".into())]
    );
    let drawled = words("a b c d e f", 0, 1700);
    let cues = cut("a b c d e f", &drawled);
    assert_eq!(cues[0].lines, ["a b c"]);
    assert_eq!(cues[0].end, ms(5100));
}

#[test]
fn a_second_speaker_at_the_same_time_is_shown_afterwards() {
    let mut cues = Cues::with_names();
    let mut say = |speaker, text, start, end| {
        let utterance = Utterance {
            text,
            speaker: Some(speaker),
            start: Some(ms(start)),
            end: Some(ms(end)),
            ..Utterance::default()
        };
        shown(&cues.cut(&utterance)).remove(0)
    };
    let first = say("Anna", "I think that we should", 0, 4000);
    assert_eq!(first, (0, 4000, "Anna: I think that we should".into()));
    let second = say("Bob", "No.", 1000, 1500);
    assert_eq!(second, (4000, 5000, "Bob: No.".into()));
    let third = say("Bob", "Never.", 6000, 7500);
    assert_eq!(third, (6000, 7500, "Never.".into()));
}

#[test]
fn a_name_as_long_as_a_sentence_is_cut() {
    let utterance = Utterance {
        text: "Yes.",
        speaker: Some("somebody-with-a-very-long-address@mail.example.com"),
        ..Utterance::default()
    };
    let cues = Cues::with_names().cut(&utterance);
    assert_eq!(cues[0].lines, ["somebody-with-a-very-lon…: Yes."]);
}

#[test]
fn an_interim_and_silence_are_no_cues() {
    let interim = Utterance {
        text: "hel",
        is_final: false,
        ..Utterance::default()
    };
    assert_eq!(Cues::new().cut(&interim), []);
    assert_eq!(cut(" \n", &[]), []);
}

/// Returns the cues of remarks of 400 ms each that begin at `times`, in milliseconds.
fn remarks(times: impl IntoIterator<Item = u64>) -> Vec<Cue> {
    let mut cues = Cues::new();
    let mut all = Vec::new();
    for time in times {
        all.extend(cues.cut(&Utterance {
            text: "Yes.",
            start: Some(ms(time)),
            end: Some(ms(time.saturating_add(400))),
            ..Utterance::default()
        }));
    }
    all.extend(cues.finish());
    all
}

#[test]
fn two_remarks_a_second_for_ten_minutes_are_shown_as_they_come() {
    let cues = remarks((0..1200).map(|n| n * 500));
    assert_eq!(cues.len(), 1200);
    for (n, cue) in (0..).zip(&cues) {
        let late = cue.start - ms(n * 500);
        assert!(late < ms(1500), "{late:?} late: {cue:?}");
        assert!(cue.end - cue.start >= ms(490), "{cue:?}");
    }
    assert!(cues.is_sorted_by(|one, next| one.end <= next.start));
}

#[test]
fn forty_remarks_at_once_overlap_rather_than_be_late() {
    let cues = remarks([1000; 40]);
    assert_eq!(cues.len(), 40);
    assert!(cues.iter().all(|cue| cue.start <= ms(1000) + LATEST));
    assert_eq!(remarks([1000, 1000, 20_000])[2].start, ms(20_000));
}

#[test]
fn one_wrong_time_moves_no_other_caption() {
    let right: Vec<u64> = (0..50).map(|n| n * 3000).collect();
    let hour = 3_600_000;
    for wrong in [u64::MAX, 100_000 * hour, hour, 0] {
        for index in 0..right.len() {
            let mut times = right.clone();
            times[index] = wrong;
            let cues = remarks(times.iter().copied());
            assert_eq!(cues.len(), right.len());
            for (n, cue) in cues.iter().enumerate() {
                let expected = if n == index { continue } else { right[n] };
                let late = cue.start.checked_sub(ms(expected));
                assert!(
                    late.is_some_and(|late| late <= ms(1000)),
                    "{wrong} at {index}: {cue:?}"
                );
            }
            // No utterance follows the last one, so nothing can show that its time is
            // wrong.
            if index > 0 && index + 1 < right.len() {
                let (before, own) = (cues[index - 1].start, cues[index].start);
                assert!(
                    (before..=before + ms(1000)).contains(&own),
                    "{wrong} at {index}"
                );
            }
        }
    }
}

#[test]
fn a_long_pause_is_kept() {
    let hour = 3_600_000;
    let times = [0, 3000, hour, hour + 3000, 3 * hour, 3 * hour + 3000];
    let starts: Vec<Duration> = remarks(times).iter().map(|cue| cue.start).collect();
    assert_eq!(starts, times.map(ms));
}

#[test]
fn a_caption_comes_at_once_after_a_pause_that_the_application_waited_for() {
    let mut cues = Cues::new();
    for (at, heard) in [(0, 7000), (3_600_000, 3_606_000)] {
        let utterance = Utterance {
            text: "Yes.",
            start: Some(ms(at)),
            heard_at: Some(ms(heard)),
            ..Utterance::default()
        };
        assert_eq!(cues.cut(&utterance)[0].start, ms(at));
    }
}

#[test]
fn captions_go_on_where_they_are_when_a_clock_is_set_back_by_an_hour() {
    let hour = 3_600_000;
    let set_back = (0..10)
        .map(|n| hour + n * 3000)
        .chain((10..20).map(|n| n * 3000));
    let set_right = (20..30).map(|n| hour + n * 3000);
    let cues = remarks(set_back.chain(set_right));
    for (n, cue) in (0..).zip(&cues) {
        let right = ms(hour + n * 3000);
        assert!(cue.start.abs_diff(right) <= ms(6000), "{n}: {cue:?}");
    }
}

#[test]
fn one_word_with_a_wrong_time_moves_no_other_word() {
    let text = "one two three four five six";
    for wrong in [0, 3_600_000, u64::MAX] {
        for index in 0..6 {
            let mut words = words(text, 600_000, 500);
            words[index].start = ms(wrong);
            words[index].end = ms(wrong.saturating_add(500));
            let mut cues = Cues::new();
            let before = Utterance {
                text: "Now.",
                start: Some(ms(599_000)),
                ..Utterance::default()
            };
            let utterance = Utterance {
                text,
                words: &words,
                end: Some(ms(603_000)),
                ..Utterance::default()
            };
            let after = Utterance {
                text: "Then.",
                start: Some(ms(604_000)),
                ..Utterance::default()
            };
            let all: Vec<Cue> = [before, utterance, after]
                .iter()
                .flat_map(|s| cues.cut(s))
                .collect();
            let last = all.last().unwrap();
            assert!(last.start <= ms(606_000), "{wrong} at {index}: {all:?}");
            let spread = all.iter().all(|cue| cue.end <= ms(612_000));
            assert!(spread, "{wrong} at {index}: {all:?}");
        }
    }
}
