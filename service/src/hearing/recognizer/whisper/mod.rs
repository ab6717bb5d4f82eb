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
/// What interims may cost under load, of what they cost without: they become fewer then.
const THINNED: f64 = 0.5;

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
        let workers = Workers::start(count).map_err(|error| RecognizerError::Unavailable {
            engine: ENGINE,
            what: format!("{count} threads"),
            reason: error.to_string(),
            hint: "Allow the service more threads (ulimit -u), or give --max-workers".to_owned(),
        })?;
        let effort = Effort::default();
        effort.measure_first(&model);
        tracing::debug!(engine = ENGINE, ?model, cost = effort.cost(), "model read");
        Ok(Self {
            shared: Arc::new(Shared {
                model,
                workers,
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
        request.map(|_| ()).map_err(|error| error.to_string())
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
        Ok(Box::new(WhisperStream::open(
            shared,
            request,
            options.interim,
        )))
    }

    fn capacity(&self) -> Capacity {
        Capacity::Reported {
            cost: self.shared.effort.cost(),
        }
    }

    fn close(&self) {
        self.shared.workers.close();
    }
}

/// What the work of the threads costs.
#[derive(Debug, Default)]
struct Effort(Mutex<Spent>);

/// Seconds of processor time, and of the speech that they were for.
#[derive(Debug, Default)]
struct Spent {
    finals: f64,
    looks: f64,
    speech: f64,
}

impl Effort {
    fn lock(&self) -> std::sync::MutexGuard<'_, Spent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Measures a final of four seconds of noise, before there is any speech.
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
        let before = processor_time();
        let voiced = vec![true; noise.len() / 256];
        let _ = model.transcribe(&noise, &voiced, &request, &Draft::default());
        let spent = processor_time().saturating_sub(before).as_secs_f64() / SECONDS as f64;
        let mut known = self.lock();
        known.speech = PRIOR;
        known.finals = PRIOR * spent;
        // Twice a second there is a look, at less than half of an utterance on average.
        known.looks = PRIOR * spent * 3.0;
    }

    /// Measures a final of so many samples.
    fn finals<T>(&self, samples: usize, work: impl FnOnce() -> T) -> T {
        let before = processor_time();
        let result = work();
        let spent = processor_time().saturating_sub(before);
        let mut known = self.lock();
        known.finals += spent.as_secs_f64();
        known.speech += samples as f64 / f64::from(SAMPLE_RATE);
        let fades = (MEMORY / known.speech).min(1.0);
        known.finals *= fades;
        known.looks *= fades;
        known.speech *= fades;
        result
    }

    /// Measures a look.
    fn looks<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = processor_time();
        let result = work();
        let spent: Duration = processor_time().saturating_sub(before);
        self.lock().looks += spent.as_secs_f64();
        result
    }

    /// Returns what a second of speech costs, in seconds of processor time.
    fn cost(&self) -> f64 {
        let known = self.lock();
        (known.finals + known.looks * THINNED) / known.speech.max(1.0)
    }
}
