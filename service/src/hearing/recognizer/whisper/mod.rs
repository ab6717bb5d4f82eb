// SPDX-License-Identifier: MPL-2.0

//! The default recogniser: a Whisper model on this machine's processor, without a network.
//!
//! The way of the audio: voice detection and utterances where the stream is called
//! (`stream`), a queue in which finals come before looks (`queue`), and threads that
//! decode (`workers`) with the `symbl-whisper` crate. The model is read once and shared;
//! a stream is no more than its audio. Finals are a function of the samples: the same
//! audio gives the same words, times and confidences, however it was cut, and whatever
//! else the service does. Interims become fewer under load.

mod queue;
mod stream;
mod workers;

use super::{Recognizer, RecognizerError, RecognizerStream, StreamOptions, composed};
use crate::hearing::capacity::{Capacity, processor_time};
use crate::hearing::vad::FRAME;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use stream::WhisperStream;
use symbl_whisper::{Draft, LoadOptions, Model, SAMPLE_RATE};
use workers::Workers;

/// Name on the command line and in errors.
const ENGINE: &str = "whisper";

/// Speech for which stands what was measured when the engine was opened, in seconds.
const PRIOR: f64 = 60.0;
/// Speech that is remembered, in seconds: what was measured before it fades.
const MEMORY: f64 = 600.0;
/// Looks per second of speech where there is no load.
const LOOKS_PER_SECOND: f64 = 2.0;
/// How many of these are taken under load, for which room is kept.
const THINNED: f64 = 0.5;
/// What speech costs of what as much noise costs, as measured with tiny.en: it has more
/// tokens.
const SPEECH_OF_NOISE: f64 = 2.2;
/// What all looks cost of what finals cost, as measured with tiny.en.
const LOOKS_OF_FINALS: f64 = 2.4;

/// What the engine is opened with.
#[derive(Debug, Clone)]
pub struct WhisperConfig {
    /// Folder of the model: `model.bin`, `config.json` and `tokenizer.json`.
    pub model: PathBuf,
    /// Threads that decode; 0 means one for each processor core.
    pub workers: usize,
    /// A pause of 256 ms ends an utterance if it closes a sentence. Without this only one
    /// of 512 ms does.
    pub early_finals: bool,
    /// No look is left out, whatever the load: interims are a function of the samples,
    /// too. For tests.
    pub every_look: bool,
}

impl WhisperConfig {
    /// Returns the usual settings with the model of a folder.
    pub fn new(model: impl Into<PathBuf>) -> Self {
        Self {
            model: model.into(),
            workers: 0,
            early_finals: true,
            every_look: false,
        }
    }
}

/// The engine: a model and threads, ready for streams.
pub struct Whisper {
    shared: Arc<Shared>,
}

/// What the streams share.
struct Shared {
    model: Model,
    workers: Workers,
    /// Threads for recordings, which no client waits for. The system gives them what the others
    /// leave.
    bulk: Workers,
    effort: Effort,
    config: WhisperConfig,
}

impl Whisper {
    /// Reads the model, measures what it costs on this machine and starts the threads.
    /// Takes about a second for the smallest model.
    ///
    /// # Errors
    ///
    /// [`RecognizerError::Unavailable`] with what to correct.
    pub fn open(config: WhisperConfig) -> Result<Self, RecognizerError> {
        let model = Model::load(&config.model, LoadOptions::default()).map_err(|error| {
            RecognizerError::Unavailable {
                engine: ENGINE,
                what: format!("model {}", config.model.display()),
                reason: error.to_string(),
                hint: "`symbl-service model fetch tiny.en` gets one; --model takes the folder of \
                       any other"
                    .to_owned(),
            }
        })?;
        let count = match config.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let unavailable = |error: std::io::Error| RecognizerError::Unavailable {
            engine: ENGINE,
            what: format!("{} threads", 2 * count),
            reason: error.to_string(),
            hint: "Allow the service more threads (ulimit -u), or give --max-workers".to_owned(),
        };
        let workers = Workers::start(count).map_err(unavailable)?;
        let bulk = Workers::start_nice(count).map_err(unavailable)?;
        let effort = Effort::default();
        effort.measure_first(&model);
        tracing::debug!(engine = ENGINE, ?model, cost = effort.cost(), "model read");
        Ok(Self {
            shared: Arc::new(Shared {
                model,
                workers,
                bulk,
                effort,
                config,
            }),
        })
    }
}

impl std::fmt::Debug for Whisper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Whisper")
            .field("model", &self.shared.model)
            .finish_non_exhaustive()
    }
}

/// Returns the ISO 639 code of a BCP-47 tag: `en` of `en-US` and of nothing.
fn language_of(tag: &str) -> String {
    let primary = tag.split(['-', '_']).next().unwrap_or_default();
    match primary {
        "" => "en".to_owned(),
        primary => primary.to_ascii_lowercase(),
    }
}

impl Recognizer for Whisper {
    fn name(&self) -> &'static str {
        ENGINE
    }

    fn check_language(&self, language: &str) -> Result<(), String> {
        let request = self.shared.model.request(&language_of(language), &[]);
        let more = match self.shared.model.is_multilingual() {
            true => "",
            false => "; a service with --model base knows many languages",
        };
        request
            .map(|_| ())
            .map_err(|error| format!("{error}{more}"))
    }

    fn open(&self, options: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        let vocabulary = composed(&options.vocabulary);
        let language = language_of(&options.language);
        let made = self.shared.model.request(&language, &vocabulary);
        let (request, left_out) = made.map_err(|error| RecognizerError::Unavailable {
            engine: ENGINE,
            what: format!("language {language:?}"),
            reason: error.to_string(),
            hint: "A multilingual model knows more: `symbl-service model fetch base`, then \
                   --model base"
                .to_owned(),
        })?;
        if !left_out.is_empty() {
            tracing::warn!(
                engine = ENGINE,
                phrases = left_out.len(),
                "phrases of the custom vocabulary are too long or too many to help recognition"
            );
        }
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(WhisperStream::open(shared, request, options)))
    }

    fn capacity(&self) -> Capacity {
        Capacity::Reported {
            cost: self.shared.effort.cost(),
            finals_only: self.shared.effort.cost_of_finals(),
        }
    }

    fn close(&self) {
        self.shared.workers.close();
        self.shared.bulk.close();
    }
}

/// What the work of the threads costs.
#[derive(Debug, Default)]
struct Effort(Mutex<Spent>);

/// Seconds of processor time, and what they were for.
#[derive(Debug, Default)]
struct Spent {
    /// For finals in streams with looks, which most of them have a draft from, and for decoding
    /// on suspicion.
    drafted: Finals,
    /// The same in streams without looks.
    bare: Finals,
    /// For looks.
    looks: f64,
    /// How many looks were taken.
    looked: f64,
}

/// The work for finals.
#[derive(Debug, Default)]
struct Finals {
    /// Seconds of processor time.
    spent: f64,
    /// Seconds of speech that had its final.
    speech: f64,
}

impl Finals {
    fn cost(&self) -> f64 {
        self.spent / self.speech.max(1.0)
    }

    /// Adds speech, and lets what was measured long ago fade.
    fn heard(&mut self, seconds: f64) {
        self.speech += seconds;
        let fades = (MEMORY / self.speech).min(1.0);
        self.spent *= fades;
        self.speech *= fades;
    }
}

impl Spent {
    fn finals(&mut self, interim: bool) -> &mut Finals {
        match interim {
            true => &mut self.drafted,
            false => &mut self.bare,
        }
    }

    /// Adds a look, and lets what was measured long ago fade.
    fn looked(&mut self, seconds: f64) {
        self.looks += seconds;
        self.looked += 1.0;
        let fades = (MEMORY * LOOKS_PER_SECOND / self.looked).min(1.0);
        self.looks *= fades;
        self.looked *= fades;
    }
}

/// Returns what `work` gives, and the seconds of processor time that it took.
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let before = processor_time();
    let result = work();
    let spent: Duration = processor_time().saturating_sub(before);
    (result, spent.as_secs_f64())
}

impl Effort {
    fn lock(&self) -> std::sync::MutexGuard<'_, Spent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Measures four seconds of noise, before there is any speech.
    fn measure_first(&self, model: &Model) {
        const SECONDS: usize = 4;
        let mut state = 1_u32;
        let noise: Vec<f32> = (0..SECONDS * SAMPLE_RATE as usize)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 16) as f32 / 65_536.0 - 0.5
            })
            .collect();
        let Ok((request, _)) = model.request("en", &[]) else {
            return;
        };
        let voiced = vec![true; noise.len() / FRAME];
        let decode = || model.transcribe(&noise, &voiced, &request, &Draft::default());
        let ((), spent) = timed(|| drop(decode()));
        let mut known = self.lock();
        for finals in [true, false] {
            let finals = known.finals(finals);
            finals.speech = PRIOR;
            finals.spent = PRIOR * SPEECH_OF_NOISE * spent / SECONDS as f64;
        }
        known.looked = PRIOR * LOOKS_PER_SECOND;
        known.looks = LOOKS_OF_FINALS * known.bare.spent;
    }

    /// Measures the work for a final, in a stream with interims or without.
    fn finals<T>(&self, interim: bool, work: impl FnOnce() -> T) -> T {
        let (result, spent) = timed(work);
        self.lock().finals(interim).spent += spent;
        result
    }

    /// Takes down that so many samples had their final.
    fn heard(&self, interim: bool, samples: usize) {
        let seconds = samples as f64 / f64::from(SAMPLE_RATE);
        self.lock().finals(interim).heard(seconds);
    }

    /// Measures a look.
    fn looks<T>(&self, work: impl FnOnce() -> T) -> T {
        let (result, spent) = timed(work);
        self.lock().looked(spent);
        result
    }

    /// Returns what a second of speech costs under load, in seconds of processor time.
    ///
    /// Looks count by what one costs and not by how many were taken: else fewer looks
    /// would let more streams in, and those would make the looks fewer still.
    fn cost(&self) -> f64 {
        let known = self.lock();
        let look = known.looks / known.looked.max(1.0);
        known.drafted.cost() + look * LOOKS_PER_SECOND * THINNED
    }

    /// Returns what a second of speech costs in a stream without looks, in seconds of
    /// processor time. It is no more than with looks, of which only one may have been measured.
    fn cost_of_finals(&self) -> f64 {
        let finals = self.lock().bare.cost();
        finals.min(self.cost())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_looks_do_not_make_a_stream_cheaper() {
        let effort = Effort::default();
        let known = |looked: f64| Spent {
            drafted: Finals {
                spent: 1.0,
                speech: 50.0,
            },
            bare: Finals {
                spent: 1.5,
                speech: 50.0,
            },
            looks: looked * 0.02,
            looked,
        };
        *effort.lock() = known(100.0);
        let cost = effort.cost();
        assert!((cost - 0.04).abs() < 1e-9, "{cost}");
        *effort.lock() = known(10.0);
        assert!((effort.cost() - cost).abs() < 1e-9);
        let finals = effort.cost_of_finals();
        assert!((finals - 0.03).abs() < 1e-9, "{finals}");
    }

    #[test]
    fn speech_without_looks_says_nothing_of_their_cost() {
        let effort = Effort::default();
        *effort.lock() = Spent {
            drafted: Finals {
                spent: 1.0,
                speech: 50.0,
            },
            looks: 2.0,
            looked: 100.0,
            ..Spent::default()
        };
        let cost = effort.cost();
        for _ in 0..20 {
            effort.finals(false, || ());
            effort.heard(false, MEMORY as usize * SAMPLE_RATE as usize);
        }
        assert!((effort.cost() - cost).abs() < 1e-9, "{}", effort.cost());
    }

    #[test]
    fn what_was_measured_long_ago_fades() {
        let effort = Effort::default();
        let before = || Finals {
            spent: 60.0,
            speech: MEMORY,
        };
        *effort.lock() = Spent {
            drafted: before(),
            bare: before(),
            looks: 60.0,
            looked: MEMORY * LOOKS_PER_SECOND,
        };
        for interim in [true, false] {
            effort.heard(interim, MEMORY as usize * SAMPLE_RATE as usize);
            let mut known = effort.lock();
            let finals = known.finals(interim);
            assert!((finals.speech - MEMORY).abs() < 1e-6);
            assert!((finals.spent - 30.0).abs() < 1e-6);
        }
        effort.looks(|| ());
        let known = effort.lock();
        assert!(known.looks < 60.0 && known.looked <= MEMORY * LOOKS_PER_SECOND);
    }

    #[test]
    fn the_language_of_a_tag_is_its_first_part() {
        for (tag, language) in [("", "en"), ("en-US", "en"), ("DE", "de"), ("zh_Hant", "zh")] {
            assert_eq!(language_of(tag), language);
        }
    }
}
