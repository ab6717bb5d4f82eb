// SPDX-License-Identifier: MPL-2.0

//! Finals of long utterances, for clients that ask for a greatest delay.

use crate::{doubled, finals, hear_with, joined, said};
use std::time::Duration;
use symbl_service::recognizer::whisper::{Whisper, WhisperConfig};
use symbl_service::recognizer::{RecognisedWord, Recognition, Recognizer, StreamOptions};
use symbl_testkit::engine::whisper;
use symbl_testkit::model::model;
use symbl_testkit::speech::{talk_prompts, word_errors};

fn asking_for(delay: Option<Duration>, interim: bool) -> StreamOptions {
    StreamOptions {
        interim,
        max_final_delay: delay,
        ..StreamOptions::default()
    }
}

/// Returns the finals of a new stream.
fn finals_of(engine: &Whisper, audio: &[i16], options: &StreamOptions) -> Vec<Vec<RecognisedWord>> {
    let mut stream = engine.open(options).expect("a stream");
    let mut heard = Vec::new();
    stream.push(audio, &mut heard).expect("taken");
    stream.finish(&mut heard).expect("results");
    let finals = heard.into_iter().filter_map(|heard| match heard {
        Recognition::Final { words, .. } => Some(words),
        _ => None,
    });
    finals.collect()
}

#[test]
fn the_words_of_long_speech_come_in_time_once_each() {
    let Some(engine) = whisper() else { return };
    let prompts = &talk_prompts();
    let Some(audio) = joined(prompts) else { return };
    let delay = Duration::from_secs(3);
    let uncut = finals_of(&engine, &audio, &asking_for(None, false));
    let cut = finals_of(&engine, &audio, &asking_for(Some(delay), false));
    // A final comes no sooner than its last word, so one that is longer came too late.
    let late = |given: &[Vec<RecognisedWord>]| {
        let late = given.iter().filter(|words| {
            let length = words[words.len() - 1].end - words[0].start;
            length > delay + Duration::from_secs(1)
        });
        late.count()
    };
    assert!(late(&uncut) > 0, "the speech has no long utterance");
    assert_eq!(late(&cut), 0);
    assert!(cut.len() > uncut.len());

    let words: Vec<RecognisedWord> = cut.iter().flat_map(Clone::clone).collect();
    for pair in words.windows(2) {
        // The model's times are in steps of 20 ms, and frames have 16 ms.
        let step = Duration::from_millis(20);
        assert!(pair[0].end <= pair[1].start + step, "{pair:?}");
    }
    let reference: Vec<&str> = prompts.iter().map(|prompt| prompt.reference).collect();
    let reference = reference.join(" ");
    let (uncut, cut_text) = (said(&uncut), said(&cut));
    let count = reference.split_whitespace().count();
    let errors = |text: &str| word_errors(&reference, text);
    assert!(
        errors(&cut_text) <= errors(&uncut) + count * 4 / 100,
        "{} errors in {count} words, and {} without cuts: {cut_text}",
        errors(&cut_text),
        errors(&uncut),
    );
    assert_eq!(
        doubled(&cut, &reference),
        Vec::<String>::new(),
        "{cut_text}"
    );
}

#[test]
fn cuts_do_not_depend_on_how_the_audio_comes() {
    let Some(model) = model("tiny.en") else {
        return;
    };
    let Some(audio) = joined(&talk_prompts()[..3]) else {
        return;
    };
    let engine = Whisper::open(WhisperConfig {
        every_look: true,
        ..WhisperConfig::new(model)
    });
    let engine = engine.expect("an engine");
    let options = asking_for(Some(Duration::from_secs(2)), true);
    let whole = hear_with(&engine, &audio, audio.len(), &options);
    assert!(finals(&whole).len() >= 4, "{whole:?}");
    for chunk in [160, 255, 4_000] {
        let heard = hear_with(&engine, &audio, chunk, &options);
        assert_eq!(heard, whole, "pieces of {chunk} samples");
    }
    // Nor do the finals depend on the interims.
    let options = asking_for(Some(Duration::from_secs(2)), false);
    let without = hear_with(&engine, &audio, 1_600, &options);
    assert_eq!(finals(&without), finals(&whole));
}
