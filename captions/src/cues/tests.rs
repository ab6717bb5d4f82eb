// SPDX-License-Identifier: MPL-2.0

//! Cues of given sentences. What holds for all is in `tests/any_talk.rs`.

use super::{Cue, Cues};
use crate::{Said, Word};
use std::time::Duration;

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// Words of so many milliseconds each, from `start` on.
fn words(text: &str, start: u64, each: u64) -> Vec<Word> {
    let words = text
        .split_whitespace()
        .zip((start..).step_by(each as usize));
    let word = |(text, at): (&str, u64)| Word {
        text: text.to_owned(),
        start: ms(at),
        end: ms(at + each),
    };
    words.map(word).collect()
}

fn cut(text: &str, words: &[Word]) -> Vec<Cue> {
    let said = Said {
        text,
        words,
        ..Said::default()
    };
    Cues::new().cut(&said)
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
fn who_speaks_at_the_same_time_is_shown_afterwards() {
    let mut cues = Cues::with_names();
    let mut say = |speaker, text, start, end| {
        let said = Said {
            text,
            speaker: Some(speaker),
            start: Some(ms(start)),
            end: Some(ms(end)),
            ..Said::default()
        };
        shown(&cues.cut(&said)).remove(0)
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
    let said = Said {
        text: "Yes.",
        speaker: Some("somebody-with-a-very-long-address@mail.example.com"),
        ..Said::default()
    };
    let cues = Cues::with_names().cut(&said);
    assert_eq!(cues[0].lines, ["somebody-with-a-very-lon…: Yes."]);
}

#[test]
fn an_interim_and_silence_are_no_cues() {
    let interim = Said {
        text: "hel",
        is_final: false,
        ..Said::default()
    };
    assert_eq!(Cues::new().cut(&interim), []);
    assert_eq!(cut(" \n", &[]), []);
}
