// SPDX-License-Identifier: MPL-2.0

//! Prints the words of a recording with their times and confidences.
//!
//! ```sh
//! cargo run --release -p symbl-whisper --example words -- MODEL_DIR FILE.wav
//! ```
//!
//! `MODEL_DIR` is the folder of a CTranslate2 model such as `faster-whisper-tiny.en`;
//! `symbl-service model path tiny.en` prints where the service keeps it. `FILE.wav` is
//! 16 kHz mono. Each line has the start and the end of a word in seconds, its confidence
//! and its text. The last line, on stderr, has the real-time factor: the seconds of
//! computing for each second of audio.
//!
//! The crate leaves it to the caller to cut audio into utterances. This example does it by
//! level alone, which is enough for a clean recording. A service needs a voice detector.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use symbl_whisper::{Draft, LoadOptions, Model, SAMPLE_RATE};

/// Samples that one answer of the voice detector stands for: 16 ms.
const VOICE: usize = 256;
/// A pause of this many answers (0.5 s) ends an utterance.
const PAUSE: usize = 31;
/// An utterance has at most this many answers (28 s), because the model hears 30 s.
const LONGEST: usize = 1750;

/// Reads a file of 16 kHz mono audio.
fn read(path: &Path) -> Result<Vec<f32>, String> {
    let failed = |error: hound::Error| format!("cannot read {}: {error}", path.display());
    let mut wav = hound::WavReader::open(path).map_err(failed)?;
    let spec = wav.spec();
    if spec.sample_rate != SAMPLE_RATE || spec.channels != 1 {
        return Err(format!(
            "{} has {} Hz and {} channels, not 16000 Hz and one; convert it: \
             ffmpeg -i FILE -ar 16000 -ac 1 NEW.wav",
            path.display(),
            spec.sample_rate,
            spec.channels
        ));
    }
    let samples: Result<Vec<f32>, _> = match spec.sample_format {
        hound::SampleFormat::Float => wav.samples::<f32>().collect(),
        hound::SampleFormat::Int => {
            let full = f64::from(1_u32 << (spec.bits_per_sample.clamp(1, 32) - 1));
            #[allow(clippy::cast_possible_truncation)]
            let scaled = |sample: i32| (f64::from(sample) / full) as f32;
            wav.samples::<i32>()
                .map(|sample| sample.map(scaled))
                .collect()
        }
    };
    samples.map_err(failed)
}

/// Returns for each 16 ms `true` if it is at most 34 dB softer than the loudest.
fn detect(samples: &[f32]) -> Vec<bool> {
    let power = |frame: &[f32]| frame.iter().map(|sample| sample * sample).sum::<f32>();
    let powers: Vec<f32> = samples.chunks(VOICE).map(power).collect();
    let most = powers.iter().copied().fold(0.0, f32::max);
    powers.iter().map(|power| *power > most * 4e-4).collect()
}

/// Returns the start and the end of each utterance, in answers of the detector. Each has
/// up to 0.25 s of the pause on either side.
fn utterances(voiced: &[bool]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(begin) = voiced[at..].iter().position(|voiced| *voiced) {
        let start = (at + begin).saturating_sub(PAUSE / 2).max(at);
        let most = voiced.len().min(start + LONGEST);
        let first = at + begin;
        let pause = voiced[first..most]
            .windows(PAUSE)
            .position(|answers| !answers.contains(&true));
        at = pause.map_or(most, |pause| first + pause + PAUSE / 2);
        found.push((start, at));
    }
    found
}

fn run() -> Result<(), String> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [folder, file] = &arguments[..] else {
        return Err("usage: words MODEL_DIR FILE.wav".to_owned());
    };
    let samples = read(file.as_ref())?;
    let model =
        Model::load(folder.as_ref(), LoadOptions::default()).map_err(|error| error.to_string())?;
    let (request, _) = model
        .request("en", &[])
        .map_err(|error| error.to_string())?;
    let voiced = detect(&samples);
    let begun = Instant::now();
    for (start, end) in utterances(&voiced) {
        let from = start * VOICE;
        let said = &samples[from..samples.len().min(end * VOICE)];
        let found = model.transcribe(said, &voiced[start..end], &request, &Draft::default());
        for word in found.words {
            #[allow(clippy::cast_precision_loss)]
            let seconds = |sample: usize| (from + sample) as f64 / f64::from(SAMPLE_RATE);
            let (start, end) = (seconds(word.start), seconds(word.end));
            println!(
                "{start:8.2} {end:8.2} {:5.2}  {}",
                word.confidence, word.text
            );
        }
    }
    #[allow(clippy::cast_precision_loss)]
    let audio = samples.len() as f64 / f64::from(SAMPLE_RATE);
    let factor = begun.elapsed().as_secs_f64() / audio.max(1e-3);
    eprintln!("{audio:.1} s of audio, real-time factor {factor:.3}");
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("words: {error}");
            ExitCode::FAILURE
        }
    }
}
