// SPDX-License-Identifier: MPL-2.0

//! `interim-text=commit`: settled words go out when their time comes, and never twice.

use crate::common::feed::MS;
use crate::common::peer::Script;
use crate::common::pipeline::{counted, until};
use crate::common::service::Service;
use crate::scene::{Exchange, QUICK, Scene};
use crate::words::assert_said;
use serde_json::json;
use symbl_service::recognizer::scripted;

/// Returns a result with words and their times in milliseconds, of which the first `stable`
/// stay as they are.
fn result(words: &[(&str, u64, u64)], stable: usize, is_final: bool) -> String {
    let time = |millis: u64| json!({"seconds": (millis / 1000).to_string(), "nanos": (millis % 1000 * 1_000_000).to_string()});
    let text: Vec<&str> = words.iter().map(|(word, ..)| *word).collect();
    let words: Vec<_> = words
        .iter()
        .map(|(word, start, end)| json!({"word": word, "startTime": time(*start), "endTime": time(*end)}))
        .collect();
    let mut alternative = json!({"words": words, "transcript": text.join(" "), "confidence": 0.9});
    if stable > 0 {
        alternative["x_stableWords"] = stable.into();
    }
    json!({"type": "message", "message": {
        "type": "recognition_result", "isFinal": is_final,
        "payload": {"raw": {"alternatives": [alternative]}},
        "punctuated": {"transcript": text.join(" ")},
    }})
    .to_string()
}

const LATENCY: u64 = 500;

fn exchange(more: &str) -> Exchange {
    Exchange::live(
        Script::listening(),
        &format!("latency={LATENCY} interim-text=commit interim-results=true {more}"),
    )
}

#[test]
fn a_settled_word_goes_out_at_its_deadline_and_its_final_adds_the_rest() {
    let mut exchange = exchange("");
    exchange.hush(6000);
    let words = [
        ("one", 1000, 1300),
        ("two", 1300, 1600),
        ("tree", 1600, 1900),
    ];
    exchange.set_time(1400);
    exchange.tape.wait_until_covered(900 * MS);
    exchange.dialogue.say_text(&result(&words[..2], 1, false));
    exchange.dialogue.pipeline.wait_for_kind("transcript");
    // The deadline of the first word is 1.5 s; the second is not settled yet.
    exchange.set_time(1600);
    exchange.tape.wait_for_texts(1);
    assert_eq!(exchange.tape.texts(), ["one"]);
    exchange.dialogue.say_text(&result(&words, 2, false));
    exchange.dialogue.pipeline.wait_for_kind("transcript");
    exchange.set_time(1850);
    exchange.tape.wait_for_texts(2);
    // The final corrects the word that was not settled.
    let finals = [
        ("one", 1000, 1300),
        ("two", 1300, 1600),
        ("three", 1600, 1900),
    ];
    exchange.dialogue.say_text(&result(&finals, 0, true));
    exchange.tape.wait_for_texts(3);
    exchange.set_time(3000);
    exchange.tape.wait_until_covered(2500 * MS);
    let pad = exchange.tape.check();
    assert_eq!(exchange.tape.texts(), ["one", "two", "three"]);
    assert_said(
        &pad.said(),
        &[("one", 1000), ("two", 1300), ("three", 1600)],
    );
    let element = exchange.dialogue.pipeline.sink();
    until("all words are counted", || {
        counted(&element, "words-pushed") == 3
    });
    assert_eq!(counted(&element, "words-committed"), 2);
    assert_eq!(counted(&element, "words-moved"), 0);
    // The end of the final is told once, behind its last word.
    let entries = exchange.tape.entries();
    let ends = entries
        .iter()
        .filter(|e| e.custom("rstranscribe/final-transcript").is_some());
    assert_eq!(ends.count(), 1);
}

#[test]
fn a_word_that_the_final_takes_back_is_not_told_twice() {
    let mut exchange = exchange("");
    exchange.hush(6000);
    exchange.set_time(1400);
    exchange.tape.wait_until_covered(900 * MS);
    let words = [
        ("wreck", 1000, 1300),
        ("a", 1300, 1400),
        ("nice", 1400, 1700),
    ];
    exchange.dialogue.say_text(&result(&words, 3, false));
    exchange.dialogue.pipeline.wait_for_kind("transcript");
    exchange.set_time(2100);
    exchange.tape.wait_for_texts(3);
    // What was on air stays, whatever the final says.
    let finals = [("recognise", 1000, 1700), ("speech", 1700, 2200)];
    exchange.dialogue.say_text(&result(&finals, 0, true));
    exchange.tape.wait_for_texts(4);
    exchange.set_time(4000);
    exchange.tape.wait_until_covered(3500 * MS);
    assert_eq!(exchange.tape.texts(), ["wreck", "a", "nice", "speech"]);
    exchange.tape.check();
}

#[test]
fn words_of_an_engine_that_settles_them_at_once_are_on_time_in_a_long_utterance() {
    let service = Service::start();
    let properties = format!("latency=800 interim-text=commit interim-results=true {QUICK}");
    let mut scene = Scene::live(&format!("base-url={} {properties}", service.url()));
    scene.begin();
    scene.speak(&[0; 8_000]);
    // The times of a word come when half of the next one has come, and an utterance ends after
    // ten words: the final alone would be late by more than a second.
    for n in 0..10u16 {
        scene.speak(&scripted::speech(n..n + 1, 16_000));
        let heard = usize::from(n) + 1;
        while interims(&scene) < heard && scene.pipeline.finals().is_empty() {
            scene.pipeline.wait_for_kind("transcript");
        }
    }
    scene.speak(&[0; 16_000]);
    scene.end();
    let pad = scene.tape.check();
    let expected: Vec<String> = (0..10).map(|n| format!("w{n}")).collect();
    let said = pad.said();
    let texts: Vec<&String> = said.iter().map(|(word, _)| word).collect();
    assert_eq!(texts, expected.iter().collect::<Vec<_>>());
    for (n, (word, at)) in (0..).zip(&said) {
        let right = (500 + 200 * n) * MS;
        assert!(at.abs_diff(right) <= 20 * MS, "{word} at {at}");
    }
    let element = scene.element();
    until("all words are counted", || {
        counted(&element, "words-pushed") == 10
    });
    assert_eq!(counted(&element, "words-moved"), 0);
    let committed = counted(&element, "words-committed");
    assert!(committed >= 5, "{committed}");
}

/// Returns the number of words in the last interim.
fn interims(scene: &Scene) -> usize {
    let interims = scene.pipeline.of_kind("transcript");
    let last = interims
        .iter()
        .rev()
        .find(|s| s.get("is-final") == Ok(false));
    last.map_or(0, |s| {
        let text: &str = s.get("text").expect("a text");
        text.split_whitespace().count()
    })
}
