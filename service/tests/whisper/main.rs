// SPDX-License-Identifier: MPL-2.0

//! The neural recogniser in the service, on recorded speech. The tests skip where its model
//! is absent.

mod command;
mod delay;
mod finals;
mod language;
mod long;
mod noise;
mod progress;
#[path = "../common/promise.rs"]
mod promise;
mod soak;

use std::time::Duration;
use symbl_service::recognizer::whisper::Whisper;
use symbl_service::recognizer::{RecognisedWord, Recognition, Recognizer, StreamOptions, text_of};
use symbl_testkit::speech::{Sample, audio, silence};

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

/// Returns the prompts one after the other without the silence at their ends; `None` where a
/// package is absent.
fn joined(prompts: &[Sample]) -> Option<Vec<i16>> {
    let mut joined = silence(Duration::from_millis(500));
    for prompt in prompts {
        let audio = audio(prompt)?;
        let loud = |sample: &i16| sample.unsigned_abs() > 500;
        let first = audio.iter().position(loud).unwrap_or(0);
        let last = audio.iter().rposition(loud).unwrap_or(0);
        joined.extend(&audio[first..last]);
    }
    joined.extend(silence(Duration::from_secs(1)));
    Some(joined)
}

/// Returns the words that were given out on both sides of a cut, with their places.
fn doubled(finals: &[Vec<RecognisedWord>], reference: &str) -> Vec<String> {
    let mut doubled = Vec::new();
    for pair in finals.windows(2) {
        let (before, behind) = (said(&pair[..1]), said(&pair[1..]));
        let before: Vec<&str> = before.split_whitespace().collect();
        let behind: Vec<&str> = behind.split_whitespace().collect();
        for n in 1..=before.len().min(behind.len()) {
            let gram = [&behind[..n], &behind[..n]].concat().join(" ");
            if before.ends_with(&behind[..n]) && !reference.contains(&gram) {
                let gram = behind[..n].join(" ");
                doubled.push(format!("{gram}, at {:?}", pair[1][0].start));
            }
        }
    }
    doubled
}
