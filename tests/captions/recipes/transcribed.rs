// SPDX-License-Identifier: MPL-2.0

//! The same ways with the text of `symbltranscriber`, between a scripted service and the
//! decoders.

mod cues;
mod live;
mod outage;

use super::closed::{ROLL_UP, WHOLE, Way, assert_read, assert_words, have_all};
use super::folder;
use crate::common::pipeline::words_of;
use crate::lines::whole;
use crate::prompter::Says;
use crate::read::{When, screens};
use crate::source::Source;
use crate::talk::{PROMPTS, Talk};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use symbl_testkit::{engine, speech};

#[test]
fn roll_up_captions_have_every_word_that_the_service_says() {
    if !have_all(&["mpegtsmux", "flvmux"]) {
        return;
    }
    let talk = Talk::of(&PROMPTS);
    let ways = [
        ("captions.ts", "tune=zerolatency", "mpegtsmux"),
        ("reordered.ts", "bframes=2 b-adapt=false", "mpegtsmux"),
        ("captions.flv", "tune=zerolatency", "flvmux"),
    ];
    for (name, encoder, mux) in ways {
        let file = folder("transcribed").join(name);
        let source = Source::transcriber(&talk, Says::default(), false, "");
        let way = Way {
            captions: ROLL_UP,
            encoder,
            output: &format!("{mux} ! filesink location="),
            ..Way::default()
        };
        way.write(&source, &file);
        assert_read(&file, &talk);
        assert_eq!(source.connections(), 1);
    }
}

/// Counts the warnings of an element of this name that its text does not fit into the
/// pictures.
fn too_much_text(name: &str) -> Arc<AtomicU64> {
    let count = Arc::new(AtomicU64::new(0));
    let (counted, name) = (Arc::clone(&count), name.to_owned());
    gst::log::set_active(true);
    gst::log::set_threshold_for_name("tttocea608", gst::DebugLevel::Warning);
    gst::log::add_log_function(move |_, level, _, _, _, object, message| {
        let is_ours = object.is_some_and(|object| object.to_string().contains(&name));
        let text = message.get().unwrap_or_default();
        if level == gst::DebugLevel::Warning && is_ours && text.contains("Too much text") {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    count
}

#[test]
fn a_minute_of_fast_speech_fits_into_the_captions() {
    if !have_all(&["mpegtsmux"]) {
        return;
    }
    // 200 words, 200 a minute.
    let sentences: Vec<&str> = PROMPTS.iter().cycle().take(24).copied().collect();
    let talk = Talk::paced(&sentences, 1000, 300, 0);
    for mode in ["roll-up2", "roll-up3"] {
        let name = format!("fast-{mode}");
        let too_much = too_much_text(&name);
        let file = folder(&name).join("captions.ts");
        let source = Source::transcriber(&talk, Says::default(), false, "");
        let way = Way {
            captions: &ROLL_UP
                .replace("roll-up2", mode)
                .replace("tttocea608", &format!("tttocea608 name={name}")),
            encoder: "tune=zerolatency",
            ..Way::default()
        };
        let pipeline = way.write(&source, &file);
        assert_eq!(too_much.load(Ordering::Relaxed), 0, "{mode}");
        assert_words(&file, &talk.texts());
        let of_quality = |message: &&gst::Message| message.type_() == gst::MessageType::Qos;
        let dropped = pipeline.messages.iter().find(of_quality);
        assert!(dropped.is_none(), "{mode}: {dropped:?}");
    }
}

#[test]
fn recorded_speech_has_the_words_of_the_bus_in_its_captions() {
    if !have_all(&["mpegtsmux", "wavparse"]) {
        return;
    }
    let Some(service) = engine::whisper_service() else {
        return;
    };
    let prompts = speech::talk_prompts();
    let Some((talk, _)) = speech::talk(&prompts[..6], Duration::from_millis(900)) else {
        return;
    };
    let folder = folder("recorded");
    let (wav, file) = (folder.join("talk.wav"), folder.join("captions.ts"));
    engine::write_wav(&wav, &talk);
    let duration = talk.len() as u64 / 16;
    let properties = format!("base-url={} drain-timeout=60000", service.url());
    let source = Source::speech(&wav, duration, &properties);
    let way = Way {
        encoder: "tune=zerolatency",
        ..Way::default()
    };
    let pipeline = way.write(&source, &file);
    let plain = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        word.to_lowercase()
    };
    let heard = words_of(&pipeline.finals());
    assert!(heard.len() > 20, "{heard:?}");
    let read = whole(&screens(&file, When::EachChange));
    let texts: Vec<String> = heard.iter().map(|word| word.0.clone()).collect();
    assert_eq!(
        read.iter().map(|word| plain(&word.0)).collect::<Vec<_>>(),
        texts
    );
    // How long after its start each word can be read.
    let starts = heard.iter().map(|word| word.1 / 1_000_000);
    // A word belongs to the picture in which it starts.
    let late = starts
        .zip(&read)
        .map(|(start, word)| word.1.saturating_sub(start));
    let mut late: Vec<u64> = late.collect();
    late.sort_unstable();
    assert!(late[late.len() * 95 / 100] <= WHOLE, "{late:?}");
}
