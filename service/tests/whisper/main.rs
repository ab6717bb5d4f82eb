// SPDX-License-Identifier: MPL-2.0

//! The neural recogniser in the service, on recorded speech. The tests skip where its model
//! is absent.

mod command;
mod delay;
mod finals;
mod language;
mod noise;

use symbl_service::recognizer::whisper::Whisper;
use symbl_service::recognizer::{RecognisedWord, Recognition, Recognizer, StreamOptions, text_of};

/// Returns the results of a new stream for `audio`, given in pieces of `chunk` samples.
fn hear(engine: &Whisper, audio: &[i16], chunk: usize, interim: bool) -> Vec<Recognition> {
    let options = StreamOptions {
        interim,
        ..StreamOptions::default()
    };
    hear_with(engine, audio, chunk, &options)
}

/// Returns the results of a new stream with these options.
fn hear_with(
    engine: &Whisper,
    audio: &[i16],
    chunk: usize,
    options: &StreamOptions,
) -> Vec<Recognition> {
    let mut stream = engine.open(options).expect("a stream");
    let mut heard = Vec::new();
    for samples in audio.chunks(chunk) {
        stream.push(samples, &mut heard).expect("taken");
    }
    stream.finish(&mut heard).expect("results");
    heard
}

/// Returns the words of each final.
fn finals(heard: &[Recognition]) -> Vec<Vec<RecognisedWord>> {
    heard
        .iter()
        .filter_map(|heard| match heard {
            Recognition::Final { words, .. } => Some(words.clone()),
            _ => None,
        })
        .collect()
}

/// Returns how many of the results are interims.
fn interims(heard: &[Recognition]) -> usize {
    heard
        .iter()
        .filter(|heard| matches!(heard, Recognition::Interim { .. }))
        .count()
}

/// Returns a text in lower case and without punctuation.
fn bare(text: &str) -> String {
    let words = text.split_whitespace().map(|word| {
        word.trim_matches(|c: char| !c.is_alphanumeric())
            .to_lowercase()
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Returns all that the finals say, in lower case and without punctuation.
fn said(finals: &[Vec<RecognisedWord>]) -> String {
    bare(&text_of(&finals.concat()))
}
