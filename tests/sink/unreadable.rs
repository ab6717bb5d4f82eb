// SPDX-License-Identifier: MPL-2.0

//! Results that are not quite JSON, or no JSON at all. The application learns of each message
//! that cannot be read, and audio without a text does not count as transcribed.

use crate::common::dialogue::{Dialogue, final_result};
use crate::common::feed::MS;
use crate::common::pipeline::counted;

/// Ends the stream. Returns `complete`, and how much audio is unconfirmed, in milliseconds.
fn drained(dialogue: &mut Dialogue) -> (bool, u64) {
    assert!(dialogue.feed.end());
    dialogue.pipeline.wait_for_eos();
    let drained = dialogue.pipeline.of_kind("drained");
    let [drained] = &drained[..] else {
        panic!("{drained:?}");
    };
    (
        drained.get("complete").expect("a boolean"),
        drained.get::<u64>("unconfirmed").expect("nanoseconds") / MS,
    )
}

/// Returns running time and duration in milliseconds, and the reason, of each gap.
fn gaps(dialogue: &Dialogue) -> Vec<(u64, u64, String)> {
    let gaps = dialogue.pipeline.of_kind("gap");
    let millis = |s: &gst::Structure, name| s.get::<u64>(name).expect("nanoseconds") / MS;
    gaps.iter()
        .map(|s| {
            (
                millis(s, "running-time"),
                millis(s, "duration"),
                s.get("reason").expect("a reason"),
            )
        })
        .collect()
}

#[test]
fn a_final_that_is_nearly_json_is_posted_like_any_other() {
    let mut dialogue = Dialogue::listening(4000);
    let said = [
        final_result(&[("nan", 100, 400)]).replace("0.9", "NaN"),
        final_result(&[("infinity", 600, 900)]).replace("0.9", "-Infinity"),
        format!("\u{feff}{}", final_result(&[("bom", 1100, 1400)])),
        format!("{}\0", final_result(&[("nul", 1600, 1900)])),
        final_result(&[("inside", 2100, 2400)]).replace("inside", "in\0side"),
        final_result(&[("escaped", 2600, 2900)]).replace("escaped", "esc\\u0000aped"),
        final_result(&[("half", 3100, 3400)]).replace("half", "half\\ud83d"),
    ];
    said.iter().for_each(|text| dialogue.say_text(text));
    dialogue.settle();
    let words = dialogue.pipeline.words();
    let expected = [
        ("nan", 100),
        ("infinity", 600),
        ("bom", 1100),
        ("nul", 1600),
        ("in\u{fffd}side", 2100),
        ("esc\u{fffd}aped", 2600),
        ("half", 3100),
    ];
    let expected: Vec<_> = expected.map(|(word, at)| (word.to_owned(), at * MS)).into();
    assert_eq!(words, expected);
    let sink = dialogue.pipeline.sink();
    assert_eq!(counted(&sink, "parse-errors"), 5, "the last two are JSON");
    assert!(dialogue.pipeline.of_kind("raw").is_empty(), "all were read");
    dialogue.assert_untroubled();
    assert_eq!(drained(&mut dialogue), (true, 0));
    assert_eq!(gaps(&dialogue), []);
}

#[test]
fn a_final_that_cannot_be_read_is_posted_as_it_came_and_its_audio_is_a_gap() {
    let mut dialogue = Dialogue::listening(4000);
    dialogue.say_text(&final_result(&[("before", 100, 1000)]));
    let mut lost = final_result(&[("lost", 1200, 2000)]);
    lost.truncate(lost.len() - 4);
    lost.push('\0');
    dialogue.say_text(&lost);
    dialogue.say_text(&final_result(&[("after", 2500, 3000)]));
    dialogue.settle();
    let raw = dialogue.pipeline.of_kind("raw");
    assert_eq!(raw.len(), 1);
    assert_eq!(raw[0].get::<&str>("type"), Ok("recognition_result"));
    let json = raw[0].get::<String>("json").expect("the text");
    assert_eq!(json, lost.replace('\0', "\u{fffd}"));
    assert_eq!(counted(&dialogue.pipeline.sink(), "parse-errors"), 1);
    let words: Vec<String> = dialogue.pipeline.words().into_iter().map(|w| w.0).collect();
    assert_eq!(words, ["before", "after"]);
    assert_eq!(gaps(&dialogue), [(1000, 1500, "unreadable".to_owned())]);
    assert_eq!(drained(&mut dialogue), (false, 1500));
    assert_eq!(
        counted(&dialogue.pipeline.sink(), "audio-finalised") / MS,
        2500
    );
}

#[test]
fn the_last_final_that_cannot_be_read_leaves_the_end_incomplete() {
    let mut dialogue = Dialogue::listening(2000);
    dialogue.say_text(&final_result(&[("before", 100, 500)]));
    let lost = final_result(&[("lost", 700, 1500)]).replace(r#""type""#, r#"type"#);
    dialogue.say_text(&lost);
    dialogue.settle();
    assert_eq!(drained(&mut dialogue), (false, 1500));
    assert_eq!(gaps(&dialogue), [(500, 1500, "unreadable".to_owned())]);
}
