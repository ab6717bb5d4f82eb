// SPDX-License-Identifier: MPL-2.0

//! What a text is, who says it, and how much of it one buffer holds.

use crate::common::dialogue::final_result;
use crate::common::feed::MS;
use crate::common::peer::Script;
use crate::common::service::Service;
use crate::scene::{Exchange, Scene};
use crate::tape::{Entry, Item};
use gst::prelude::*;
use std::sync::{Arc, Mutex};
use symbl_service::recognizer::scripted;

#[test]
fn texts_are_visible_whatever_the_service_sends() {
    let mut exchange = Exchange::new(Script::listening(), "");
    exchange.hush(6000);
    let words = [
        ("new\nline", 0, 200),
        ("tab\there", 200, 400),
        ("nul\0byte", 400, 600),
        ("\u{1b}[31mred", 600, 800),
        ("😀", 800, 1000),
        ("  ", 1000, 1200),
        ("", 1200, 1400),
        ("\n", 1400, 1600),
        ("end", 1600, 1800),
        (".", 1800, 1900),
        ("“quoted”", 1900, 2100),
        ("?!", 2100, 2200),
        ("שלום", 2200, 2400),
    ];
    exchange.dialogue.say_text(&final_result(&words));
    exchange.tape.wait_for_texts(8);
    assert!(exchange.dialogue.feed.end());
    exchange.tape.wait_for_eos();
    exchange.tape.check();
    let expected = [
        "new line",
        "tab here",
        "nul\u{fffd}byte",
        "[31mred",
        "😀",
        "end.",
        "“quoted”?!",
        "שלום",
    ];
    assert_eq!(exchange.tape.texts(), expected);
}

#[test]
fn a_final_that_is_blank_leaves_a_gap() {
    let mut exchange = Exchange::new(Script::listening(), "");
    exchange.hush(2000);
    exchange
        .dialogue
        .say_text(&final_result(&[(" ", 0, 200), ("", 200, 400)]));
    exchange
        .dialogue
        .say_text(&final_result(&[("word", 1000, 1300)]));
    exchange.tape.wait_for_texts(1);
    assert!(exchange.dialogue.feed.end());
    exchange.tape.wait_for_eos();
    let pad = exchange.tape.check();
    assert_eq!(exchange.tape.texts(), ["word"]);
    assert_eq!(pad.covered, 2000 * MS);
}

#[test]
fn words_that_overlap_or_come_in_disorder_never_go_back() {
    let mut exchange = Exchange::new(Script::listening(), "");
    exchange.hush(3000);
    let words = [
        ("a", 0, 500),
        ("b", 300, 600),
        ("c", 550, 600),
        ("d", 1000, 1000),
        ("e", 1000, 1400),
    ];
    exchange.dialogue.say_text(&final_result(&words));
    exchange.tape.wait_for_texts(5);
    let pad = exchange.tape.check(); // which finds overlaps
    let texts: Vec<&str> = pad.words.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(texts, ["a", "b", "c", "d", "e"]);
}

/// Returns the texts, the ends of finals and the changes of speaker of a tape.
fn names(entries: &[Entry]) -> Vec<String> {
    let name = |entry: &Entry| {
        if let Some(text) = entry.text() {
            return Some(text.trim_end_matches('.').to_lowercase());
        }
        if entry.custom("rstranscribe/final-transcript").is_some() {
            return Some("/".to_owned());
        }
        let change = entry.custom("rstranscribe/speaker-change")?;
        let name: Option<String> = change.get("speaker").expect("a name or none");
        Some(format!("<{}>", name.unwrap_or_default()))
    };
    entries.iter().filter_map(name).collect()
}

#[test]
fn each_speaker_is_told_before_their_first_word_and_each_final_behind_its_last() {
    let service = Service::start();
    let scene = Scene::new(&format!(
        "base-url={} speaker-id=a speaker-name=Anna",
        service.url()
    ));
    let items = Arc::<Mutex<Vec<gst::Structure>>>::default();
    let seen = Arc::clone(&items);
    scene
        .feed
        .pad
        .add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
            let structure = info.event().and_then(|event| event.structure());
            let item = structure.filter(|s| s.name() == "rstranscribe/new-item");
            seen.lock().unwrap().extend(item.map(ToOwned::to_owned));
            gst::PadProbeReturn::Ok
        });
    scene.begin();
    let speak = |words: std::ops::Range<u16>| {
        scene
            .feed
            .speak(&scripted::speech(words, 16_000))
            .expect("room");
        scene.feed.hush(600).expect("room");
    };
    speak(0..2);
    speak(2..3);
    let element = scene.element();
    element.set_property("speaker-id", "b");
    element.set_property("speaker-name", "Ben");
    speak(3..5);
    scene.end();
    scene.tape.check();
    let expected = [
        "<Anna>", "w0", "w1", "/", "w2", "/", "<Ben>", "w3", "w4", "/",
    ];
    assert_eq!(names(&scene.tape.entries()), expected);
    // Upstream is told of each word, as the transcribers of gst-plugins-rs do.
    let items = items.lock().unwrap();
    let told: Vec<(String, String)> = items
        .iter()
        .map(|item| (item.get("speaker").unwrap(), item.get("content").unwrap()))
        .collect();
    assert_eq!(told.len(), 5);
    assert_eq!(told[0].0, "Anna");
    assert_eq!(told[4].0, "Ben");
    let at: u64 = items[1]
        .get::<gst::ClockTime>("running-time")
        .unwrap()
        .nseconds();
    assert!(at.abs_diff(200 * MS) <= 20 * MS, "{at}");
}

#[test]
fn a_sentence_is_one_buffer_if_that_is_asked_for() {
    let mut exchange = Exchange::new(Script::listening(), "text-unit=sentence");
    exchange.hush(3000);
    let words = [
        ("good", 500, 700),
        ("morning", 700, 1100),
        ("all", 1200, 1500),
    ];
    exchange.dialogue.say_text(&final_result(&words));
    exchange.tape.wait_for_texts(1);
    let pad = exchange.tape.check();
    assert_eq!(pad.words.len(), 1);
    assert_eq!(pad.words[0].text, "good morning all");
    assert_eq!(pad.words[0].pts, 500 * MS);
    assert!(pad.words[0].end >= 1500 * MS, "{:?}", pad.words);
}

#[test]
fn interims_are_not_on_the_pad_unless_that_is_asked_for() {
    let service = Service::start();
    let mut scene = Scene::new(&format!("base-url={} interim-results=true", service.url()));
    scene.begin();
    scene
        .feed
        .speak(&scripted::speech(0..4, 16_000))
        .expect("room");
    scene.end();
    scene.pipeline.collect();
    let transcripts = scene.pipeline.of_kind("transcript");
    assert!(transcripts.len() > 1, "there were interims");
    let buffers = scene
        .tape
        .entries()
        .into_iter()
        .filter(|entry| matches!(entry.item, Item::Buffer(_)));
    assert_eq!(buffers.count(), 4);
    let finals = names(&scene.tape.entries());
    assert_eq!(finals.iter().filter(|name| *name == "/").count(), 1);
}
