// SPDX-License-Identifier: MPL-2.0
//! The embedded recogniser on recorded human speech.

use crate::common::promise::Promises;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use symbl_service::recognizer::pocketsphinx::{Pocketsphinx, PocketsphinxConfig};
use symbl_service::recognizer::{
    RecognisedWord, Recognition, Recognizer, RecognizerError, StreamOptions, text_of,
};
use symbl_testkit::speech::{
    Sample, absent, audio, samples, samples_in, silence, time_of, word_errors,
};

/// Returns the engine, which is opened once, or `None` where library or model are absent.
fn engine() -> Option<&'static Pocketsphinx> {
    static ENGINE: OnceLock<Result<Pocketsphinx, RecognizerError>> = OnceLock::new();
    match ENGINE.get_or_init(|| Pocketsphinx::open(PocketsphinxConfig::default())) {
        Ok(engine) => Some(engine),
        Err(error) => {
            absent(&error.to_string());
            None
        }
    }
}

/// Returns the results of a new stream for `audio`, given in pieces of `chunk` samples.
fn recognise(
    engine: &Pocketsphinx,
    audio: &[i16],
    chunk: usize,
    interim: bool,
) -> Vec<Recognition> {
    let options = StreamOptions {
        interim,
        ..StreamOptions::default()
    };
    let mut stream = engine.open(&options).unwrap();
    let mut heard = Vec::new();
    for samples in audio.chunks(chunk) {
        stream.push(samples, &mut heard).unwrap();
    }
    stream.finish(&mut heard).unwrap();
    heard
}

fn finals(engine: &Pocketsphinx, audio: &[i16]) -> Vec<Vec<RecognisedWord>> {
    recognise(engine, audio, 1600, false)
        .into_iter()
        .map(|heard| match heard {
            Recognition::Final { words, .. } => words,
            other => panic!("{other:?} although no interim was asked for"),
        })
        .collect()
}

fn text<'a>(words: impl IntoIterator<Item = &'a RecognisedWord>) -> String {
    let words: Vec<&str> = words.into_iter().map(|word| word.text.as_str()).collect();
    words.join(" ")
}

/// Returns the audio of each sample, or `None` where a package is absent.
fn all_audio(samples: &[Sample]) -> Option<Vec<Vec<i16>>> {
    samples.iter().map(audio).collect()
}

/// Returns the prompts one after the other with pauses, and where each begins and ends.
fn talk(prompts: &[Vec<i16>], pause: Duration) -> (Vec<i16>, Vec<(usize, usize)>) {
    let mut talk = silence(pause);
    let mut places = Vec::new();
    for prompt in prompts {
        let start = talk.len();
        talk.extend(prompt);
        places.push((start, talk.len()));
        talk.extend(silence(pause));
    }
    (talk, places)
}

#[test]
fn clear_prompts_come_out_exactly() {
    let Some(engine) = engine() else { return };
    for sample in samples("smoke") {
        let Some(audio) = audio(&sample) else { return };
        let heard = finals(engine, &audio);
        assert_eq!(
            text(heard.iter().flatten()),
            sample.reference,
            "{}",
            sample.id
        );
    }
}

#[test]
fn no_final_begins_before_the_promise_which_follows_the_audio_in_silence() {
    let Some(engine) = engine() else { return };
    let Some(prompts) = all_audio(&samples("smoke")[..3]) else {
        return;
    };
    let (talk, places) = talk(&prompts, Duration::from_millis(900));
    for interim in [false, true] {
        let options = StreamOptions {
            interim,
            ..StreamOptions::default()
        };
        let mut stream = engine.open(&options).unwrap();
        let promises = Promises::of(stream.as_mut(), &talk, 800);
        assert!(promises.finals.len() >= places.len());
        for (start, promise) in &promises.finals {
            let before = *start - *promise;
            assert!(
                before <= Duration::from_millis(800),
                "{start:?}, {promise:?}"
            );
        }
        assert!(promises.lag() <= Duration::from_millis(480));
    }
}

#[test]
fn the_same_audio_gives_the_same_results_however_it_is_cut() {
    let Some(engine) = engine() else { return };
    let Some(prompts) = all_audio(&samples("smoke")[..2]) else {
        return;
    };
    let (talk, _) = talk(&prompts, Duration::from_millis(900));
    let whole = recognise(engine, &talk, talk.len(), true);
    assert_eq!(whole.iter().filter(|heard| is_final(heard)).count(), 2);
    assert!(whole.iter().any(|heard| !is_final(heard)));
    for chunk in [1, 37, 4_097] {
        assert_eq!(
            recognise(engine, &talk, chunk, true),
            whole,
            "pieces of {chunk} samples"
        );
    }
}

#[test]
fn finals_do_not_depend_on_what_else_is_decoded() {
    // One decoder for all: the two streams must wait for each other, too.
    let one_decoder = PocketsphinxConfig {
        batch_decoders: 1,
        ..PocketsphinxConfig::default()
    };
    let Some(engine) = engine().map(|_| Pocketsphinx::open(one_decoder).unwrap()) else {
        return;
    };
    let engine = &engine;
    let Some(prompts) = all_audio(&samples("smoke")[..6]) else {
        return;
    };
    let forwards: Vec<_> = prompts.iter().map(|audio| finals(engine, audio)).collect();
    let mut backwards: Vec<Vec<_>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    prompts
                        .iter()
                        .rev()
                        .map(|audio| finals(engine, audio))
                        .collect()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    for results in &mut backwards {
        results.reverse();
        assert_eq!(*results, forwards);
    }
}

#[test]
fn asking_for_interims_does_not_change_the_finals() {
    let Some(engine) = engine() else { return };
    let Some(prompts) = all_audio(&samples("smoke")[3..6]) else {
        return;
    };
    let (talk, _) = talk(&prompts, Duration::from_millis(900));
    let with_interims: Vec<_> = recognise(engine, &talk, 1600, true)
        .into_iter()
        .filter(is_final)
        .collect();
    assert_eq!(with_interims, recognise(engine, &talk, 1600, false));
}

fn is_final(heard: &Recognition) -> bool {
    matches!(heard, Recognition::Final { .. })
}

#[test]
fn interims_come_before_their_final_and_start_with_their_utterance() {
    let Some(engine) = engine() else { return };
    let Some(prompts) = all_audio(&samples("smoke")[..2]) else {
        return;
    };
    let (talk, places) = talk(&prompts, Duration::from_millis(1200));
    let mut utterances = places.iter();
    let mut interims = Vec::new();
    for heard in recognise(engine, &talk, 1600, true) {
        match heard {
            Recognition::Interim { words, .. } => interims.push((text_of(&words), words[0].start)),
            Recognition::Final { .. } => {
                let (from, to) = *utterances.next().unwrap();
                assert!(interims.len() >= 3, "{interims:?}");
                for (text, start) in &interims {
                    assert!(!text.is_empty());
                    assert!((time_of(from)..time_of(to)).contains(start), "{start:?}");
                }
                let texts: Vec<_> = interims.drain(..).map(|(text, _)| text).collect();
                assert!(texts.windows(2).all(|pair| pair[0] != pair[1]), "{texts:?}");
            }
            Recognition::Gap { .. } => panic!("{heard:?}"),
        }
    }
    assert!(utterances.next().is_none());
}

#[test]
fn word_times_stay_right_over_a_talk_with_pauses() {
    let Some(engine) = engine() else { return };
    let samples = samples("smoke");
    let Some(prompts) = all_audio(&samples) else {
        return;
    };
    let (talk, places) = talk(&prompts, Duration::from_millis(1200));
    let heard = finals(engine, &talk);
    let words: Vec<&RecognisedWord> = heard.iter().flatten().collect();
    for word in &words {
        assert!(word.start < word.end, "{word:?}");
        assert!((0.0..=1.0).contains(&word.confidence), "{word:?}");
    }
    for pair in words.windows(2) {
        assert!(pair[0].end <= pair[1].start, "{pair:?}");
    }
    let slack = Duration::from_millis(150);
    for (sample, (from, to)) in samples.iter().zip(places) {
        let here = time_of(from).saturating_sub(slack)..time_of(to) + slack;
        let inside = words
            .iter()
            .filter(|word| here.contains(&word.start) && here.contains(&word.end));
        // Pauses around a prompt may change a word of it, but not its place.
        let said = text(inside.copied());
        assert!(
            word_errors(sample.reference, &said) <= 1,
            "{said:?} at {here:?}"
        );
    }
}

#[test]
fn at_most_two_words_in_five_of_ordinary_prompts_are_wrong() {
    let Some(engine) = engine() else { return };
    let Some(wer) = word_error_rate(engine, "smoke").zip(word_error_rate(engine, "dev")) else {
        return;
    };
    assert_eq!(wer.0, 0.0);
    assert!(wer.1 <= 0.40, "word error rate {:.1} %", 100.0 * wer.1);
}

/// Returns the word error rate over a set, and prints it with the cost, for the README.
fn word_error_rate(engine: &Pocketsphinx, set: &str) -> Option<f64> {
    let samples = samples(set);
    let prompts = all_audio(&samples)?;
    let (mut errors, mut words) = (0, 0);
    let start = Instant::now();
    for (sample, audio) in samples.iter().zip(&prompts) {
        let heard = text(finals(engine, audio).iter().flatten());
        errors += word_errors(sample.reference, &heard);
        words += sample.reference.split_whitespace().count();
    }
    let rate = errors as f64 / words as f64;
    let spoken = time_of(prompts.iter().map(Vec::len).sum());
    println!(
        "{set}: {errors} errors in {words} words = {:.1} %, {:.2} of real time",
        100.0 * rate,
        start.elapsed().as_secs_f64() / spoken.as_secs_f64()
    );
    Some(rate)
}

#[test]
fn silence_noise_and_tones_say_nothing() {
    let Some(engine) = engine() else { return };
    let length = samples_in(Duration::from_secs(8));
    // A linear congruential generator: the same noise in every run.
    let mut state = 1u32;
    let mut noise = |amplitude: i32| -> Vec<i16> {
        (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (((state >> 16) as i32 - 32_768) * amplitude / 32_768) as i16
            })
            .collect()
    };
    let tone = |hertz: f64| -> Vec<i16> {
        let step = hertz * std::f64::consts::TAU / 16_000.0;
        (0..length)
            .map(|n| (8_000.0 * (step * n as f64).sin()) as i16)
            .collect()
    };
    let sounds = [
        ("silence", silence(Duration::from_secs(8))),
        ("quiet noise", noise(50)),
        ("loud noise", noise(8_000)),
        ("tone", tone(440.0)),
    ];
    for (name, audio) in sounds {
        let heard = finals(engine, &audio);
        assert!(
            heard.is_empty(),
            "{name}: {:?}",
            text(heard.iter().flatten())
        );
    }
}

#[test]
fn a_stream_may_end_before_it_began() {
    let Some(engine) = engine() else { return };
    for length in [0, 1, 255, 256, 257] {
        assert_eq!(recognise(engine, &vec![1_000; length], 100, true), []);
    }
}

#[test]
fn a_language_that_the_model_does_not_know_is_refused() {
    let Some(engine) = engine() else { return };
    let options = StreamOptions {
        language: "fr-FR".to_owned(),
        ..StreamOptions::default()
    };
    let error = engine.open(&options).err().unwrap();
    assert!(matches!(error, RecognizerError::Unavailable { .. }));
    assert!(error.to_string().contains("fr-FR"), "{error}");
}

#[test]
fn vocabulary_that_can_never_be_recognised_is_named_in_the_log() {
    let Some(engine) = engine() else { return };
    let log = Arc::new(Mutex::new(Vec::new()));
    let options = StreamOptions {
        vocabulary: vec!["Conference".to_owned(), "the Xqzzyblat".to_owned()],
        ..StreamOptions::default()
    };
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(Mutex::new(Log(Arc::clone(&log))))
        .finish();
    tracing::subscriber::with_default(subscriber, || engine.open(&options).map(drop)).unwrap();
    let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("WARN") && log.contains("words=\"xqzzyblat\""),
        "{log}"
    );
}

struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
