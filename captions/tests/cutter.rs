// SPDX-License-Identifier: MPL-2.0

//! Tests what holds for the cues that a cutter makes of words with right times: those of a
//! live text stream, which can neither overlap nor wait for the next utterance.

use proptest::prelude::*;
use std::time::Duration;
use symbl_captions::{Cue, Cutter, LONGEST, Late, SHORTEST, Shape, TimedWord, Utterance};
use textwrap::core::display_width;

/// Characters per second that a viewer can read, and how many are shown at most.
const READ_PER_SECOND: u32 = 20;
const MOST_PER_SECOND: u32 = 30;

/// A step of a talk: an utterance, and how far the stream is covered before it comes.
#[derive(Debug, Clone)]
struct Said {
    until: Duration,
    words: Vec<TimedWord>,
}

impl Said {
    fn text(&self) -> String {
        let texts: Vec<&str> = self.words.iter().map(|word| word.text.as_str()).collect();
        texts.join(" ")
    }

    /// Returns the start of the word whose first character is the one after `signs`
    /// characters of the text, if a word begins there.
    fn word_after(&self, signs: usize) -> Option<Duration> {
        let mut at = 0;
        let word = self.words.iter().find(|word| {
            let begins = at == signs;
            at += word.text.chars().count();
            begins
        });
        // Cues have a precision of a millisecond.
        word.map(|word| ms(word.start.as_millis() as u64))
    }
}

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => "[a-zA-Z']{1,12}[.,?!]?",
        1 => "[a-z]{15,140}",
        1 => "[ぁ-ゖ]{1,40}",
        1 => "[a-z]{1,5}é[a-z]{0,5}",
    ]
}

/// Returns words in order, mostly at the pace of speech, some faster than a viewer can read.
fn talk() -> impl Strategy<Value = Vec<Said>> {
    let pause = prop_oneof![12 => 0u64..200, 1 => 200u64..5000, 1 => Just(25_000)];
    let timed = (
        word(),
        pause,
        prop_oneof![0u64..20, 100u64..600, 600u64..9000],
    );
    let words = proptest::collection::vec(timed, 1..40);
    let before = prop_oneof![8 => 0u64..4000, 1 => 4000u64..60_000];
    // How far the stream is covered, from the start of the utterance on.
    let covered = prop_oneof![
        4 => Just(None),
        2 => (0u64..30_000_000_000).prop_map(Some),
    ];
    proptest::collection::vec((before, covered, words), 1..8).prop_map(|utterances| {
        let mut at = 0;
        let place = |(before, covered, words): (u64, Option<u64>, Vec<(String, u64, u64)>)| {
            at += before;
            let until = covered.map(|nanos| ms(at) + Duration::from_nanos(nanos));
            let place = |(text, pause, length)| {
                let start = ms(at + pause);
                at += pause + length;
                TimedWord {
                    text,
                    start,
                    end: ms(at),
                }
            };
            Said {
                until: until.unwrap_or_default(),
                words: words.into_iter().map(place).collect(),
            }
        };
        utterances.into_iter().map(place).collect()
    })
}

fn shape() -> impl Strategy<Value = Shape> {
    let any =
        (Shape::COLUMNS, Shape::LINES).prop_map(|(columns, lines)| Shape::new(columns, lines));
    prop_oneof![1 => Just(Shape::default()), 3 => any]
}

/// Returns the cues of each utterance, as they come.
fn cut(talk: &[Said], mut cutter: Cutter) -> Vec<Vec<Cue>> {
    let cut = |said: &Said| {
        cutter.advance(said.until);
        cutter.cut(&Utterance {
            text: &said.text(),
            words: &said.words,
            ..Utterance::default()
        })
    };
    talk.iter().map(cut).collect()
}

fn waiting(talk: &[Said], shape: Shape) -> Vec<Vec<Cue>> {
    cut(talk, Cutter::new(shape, Late::Waits))
}

fn signs(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_cue_has_the_shape(talk in talk(), shape in shape()) {
        for late in [Late::Waits, Late::Overlaps] {
            for cue in cut(&talk, Cutter::new(shape, late)).concat() {
                prop_assert!((1..=shape.lines()).contains(&cue.lines.len()), "{cue:?}");
                for line in &cue.lines {
                    prop_assert!(!line.is_empty() && line.trim() == line, "{cue:?}");
                    prop_assert!(display_width(line) <= shape.columns(), "{cue:?}");
                }
            }
        }
    }

    #[test]
    fn each_utterance_is_told_at_once_whole_and_in_order(talk in talk(), shape in shape()) {
        for late in [Late::Waits, Late::Overlaps] {
            for (said, cues) in talk.iter().zip(cut(&talk, Cutter::new(shape, late))) {
                let lines: Vec<String> = cues.into_iter().flat_map(|cue| cue.lines).collect();
                prop_assert_eq!(signs(&lines.concat()), signs(&said.text()));
            }
        }
    }

    #[test]
    fn no_two_cues_overlap_and_each_stays_for_one_to_seven_seconds(
        talk in talk(),
        shape in shape(),
    ) {
        let cues = waiting(&talk, shape).concat();
        for cue in &cues {
            let length = cue.end - cue.start;
            prop_assert!((SHORTEST..=LONGEST).contains(&length), "{cue:?}");
        }
        prop_assert!(cues.is_sorted_by(|one, next| one.end <= next.start), "{cues:?}");
    }

    #[test]
    fn a_cue_appears_with_its_words_or_as_soon_as_there_is_room(
        talk in talk(),
        shape in shape(),
    ) {
        let mut free = Duration::ZERO;
        for (said, cues) in talk.iter().zip(waiting(&talk, shape)) {
            free = free.max(said.until);
            let mut shown = 0;
            for cue in cues {
                prop_assert!(cue.start >= free, "{cue:?} before {free:?}");
                if let Some(spoken) = said.word_after(shown) {
                    let latest = spoken.max(free) + ms(1);
                    prop_assert!(cue.start >= spoken && cue.start < latest, "{cue:?}, {latest:?}");
                }
                shown += signs(&cue.lines.concat()).chars().count();
                free = cue.end;
            }
        }
    }

    #[test]
    fn a_cue_can_be_read_unless_it_is_in_time_and_the_next_words_need_its_place(
        talk in talk(),
        shape in shape(),
    ) {
        for (said, cues) in talk.iter().zip(waiting(&talk, shape)) {
            let mut shown = 0;
            for (number, cue) in cues.iter().enumerate() {
                // A line may end within a word, so the ends of lines do not count.
                let text = cue.lines.concat();
                let second = ms(1000) * text.chars().count() as u32;
                let length = cue.end - cue.start;
                // A cue may begin in the middle of a long word.
                let spoken = said.word_after(shown);
                let in_time = spoken.is_none_or(|spoken| spoken == cue.start);
                let next = cues.get(number + 1).map(|next| next.start);
                let needs_its_place = in_time && next == Some(cue.end);
                let can_be_read = length + ms(1) > second / READ_PER_SECOND;
                prop_assert!(can_be_read || needs_its_place, "{cue:?}");
                prop_assert!(length + ms(1) > second / MOST_PER_SECOND, "{cue:?}");
                shown += signs(&text).chars().count();
            }
        }
    }
}

#[test]
fn a_shape_is_brought_into_its_ranges() {
    let of = |columns, lines| {
        let shape = Shape::new(columns, lines);
        (shape.columns(), shape.lines())
    };
    assert_eq!(of(0, 0), (16, 1));
    assert_eq!(of(32, 3), (32, 3));
    assert_eq!(of(100, 100), (64, 4));
    assert_eq!(Shape::default(), Shape::new(42, 2));
}

#[test]
fn an_interim_is_no_cue() {
    let mut cutter = Cutter::new(Shape::default(), Late::Waits);
    let interim = Utterance {
        text: "Hello",
        is_final: false,
        ..Utterance::default()
    };
    assert_eq!(cutter.cut(&interim), []);
}

#[test]
fn a_late_utterance_waits_for_as_long_as_it_takes() {
    let mut cutter = Cutter::new(Shape::default(), Late::Waits);
    let yes = |at: u64| Utterance {
        text: "Yes.",
        start: Some(ms(at)),
        end: Some(ms(at + 100)),
        ..Utterance::default()
    };
    // Forty remarks at once take forty seconds.
    for n in 0..40 {
        let cues = cutter.cut(&yes(1000));
        assert_eq!(cues[0].start, ms(1000 * (n + 1)));
    }
    // What follows a pause is in time again.
    assert_eq!(cutter.cut(&yes(50_000))[0].start, ms(50_000));
}

#[test]
fn words_that_come_faster_than_they_are_read_are_shown_at_the_pace_of_a_reader() {
    let text = "one two three four ".repeat(40);
    let mut cutter = Cutter::new(Shape::new(64, 4), Late::Waits);
    let cues = cutter.cut(&Utterance {
        text: &text,
        start: Some(ms(1000)),
        end: Some(ms(1500)),
        ..Utterance::default()
    });
    let last = cues.last().unwrap();
    let signs = text.trim().chars().count() as u64;
    let reading = ms(signs * 1000 / 20);
    // The first cue makes room for the others: it is in time.
    assert!(last.end >= ms(1000) + reading - LONGEST / 3, "{cues:?}");
    assert!(last.end <= ms(2000) + reading, "{cues:?}");
}
