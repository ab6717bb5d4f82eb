// SPDX-License-Identifier: MPL-2.0

//! Where nothing is said the engine hears nothing, and it hears what is said after that.

use crate::{finals, hear, said};
use std::f64::consts::TAU;
use std::time::Duration;
use symbl_testkit::engine::whisper;
use symbl_testkit::speech::{audio, samples_in, silence, talk_prompts, time_of, word_errors};

const LENGTH: Duration = Duration::from_secs(24);

/// Returns noise with this amplitude, the same in every run; low-passed if it is to be `dull`.
fn noise(amplitude: f64, dull: bool) -> Vec<i16> {
    let mut random = fastrand::Rng::with_seed(10);
    let mut before = 0.0;
    (0..samples_in(LENGTH))
        .map(|_| {
            let white = random.f64() * 2.0 - 1.0;
            before = if dull {
                before * 0.95 + white * 0.2
            } else {
                white
            };
            (before * amplitude) as i16
        })
        .collect()
}

/// Returns the sum of tones whose frequencies in hertz `tones` gives for a time in seconds.
fn tones(length: Duration, amplitude: f64, tones: impl Fn(f64) -> Vec<f64>) -> Vec<i16> {
    (0..samples_in(length))
        .map(|n| {
            let time = time_of(n).as_secs_f64();
            let tones = tones(time);
            let sum: f64 = tones.iter().map(|hertz| (TAU * hertz * time).sin()).sum();
            (amplitude * sum / tones.len().max(1) as f64) as i16
        })
        .collect()
}

/// Returns what a caller hears while it rings: two seconds of every six.
fn ringback(time: f64) -> Vec<f64> {
    if time % 6.0 < 2.0 {
        vec![440.0, 480.0]
    } else {
        Vec::new()
    }
}

/// Keys of a telephone, each for 100 ms.
fn keys(time: f64) -> Vec<f64> {
    let key = (time / 0.4) as usize;
    match time % 0.4 < 0.1 {
        true => vec![
            [697.0, 770.0, 852.0, 941.0][key % 4],
            [1209.0, 1336.0, 1477.0][key % 3],
        ],
        false => Vec::new(),
    }
}

/// Chords with overtones, another one each second.
fn music(time: f64) -> Vec<f64> {
    let root = [261.6, 220.0, 174.6, 196.0][time as usize % 4];
    [1.0, 1.25, 1.5, 2.0, 2.5, 3.0]
        .map(|ratio| root * ratio)
        .to_vec()
}

/// Returns a melody for callers that wait, four notes in a second with pauses between.
fn melody(time: f64) -> Vec<f64> {
    let notes = [523.3, 659.3, 784.0, 659.3, 587.3, 698.5, 880.0, 698.5];
    let note = notes[(time * 4.0) as usize % notes.len()];
    if time * 4.0 % 1.0 < 0.8 {
        vec![note, note * 2.0]
    } else {
        Vec::new()
    }
}

/// Clicks of a keyboard, five in a second.
fn clicks() -> Vec<i16> {
    let mut random = fastrand::Rng::with_seed(11);
    (0..samples_in(LENGTH))
        .map(|n| {
            let amplitude = 12_000.0 * (-((n % 3_200) as f64) / 40.0).exp();
            ((random.f64() * 2.0 - 1.0) * amplitude) as i16
        })
        .collect()
}

#[test]
fn silence_noise_and_tones_have_no_final() {
    let Some(engine) = whisper() else { return };
    let sounds = [
        ("silence", silence(LENGTH)),
        ("quiet noise", noise(100.0, false)),
        ("loud noise", noise(8_000.0, false)),
        ("dull noise", noise(8_000.0, true)),
        ("a tone", tones(LENGTH, 8_000.0, |_| vec![440.0])),
        ("ringback", tones(LENGTH, 8_000.0, ringback)),
        ("keys", tones(LENGTH, 8_000.0, keys)),
        ("music", tones(LENGTH, 8_000.0, music)),
        ("a melody", tones(LENGTH, 8_000.0, melody)),
        ("clicks", clicks()),
    ];
    let heard = std::thread::scope(|scope| {
        let engine = &engine;
        let streams = sounds.map(|(name, audio)| {
            let stream = scope.spawn(move || finals(&hear(engine, &audio, 1_600, false)));
            (name, stream)
        });
        streams.map(|(name, stream)| (name, stream.join().expect("no panic")))
    });
    let heard: Vec<_> = heard
        .into_iter()
        .filter(|(_, finals)| !finals.is_empty())
        .collect();
    assert!(heard.is_empty(), "{heard:#?}");
}

#[test]
fn the_first_sentence_after_half_a_minute_of_tones_is_heard() {
    let Some(engine) = whisper() else { return };
    let length = Duration::from_secs(30);
    for (name, sound) in [
        ("ringback", tones(length, 8_000.0, ringback)),
        ("a melody", tones(length, 8_000.0, melody)),
    ] {
        let prompt = &talk_prompts()[3];
        let Some(speech) = audio(prompt) else { return };
        let pause = Duration::from_millis(700);
        let call = [sound, silence(pause), speech, silence(pause)].concat();
        let heard = finals(&hear(&engine, &call, 1_600, false));
        let errors = word_errors(prompt.reference, &said(&heard));
        assert!(errors <= 1, "after {name}: {heard:#?}");
        assert!(heard[0][0].start >= length, "after {name}: {heard:#?}");
    }
}
