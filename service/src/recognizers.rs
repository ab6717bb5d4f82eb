// SPDX-License-Identifier: MPL-2.0

//! The engines as options of the command.

use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use symbl_service::recognizer::command::{Command, CommandLimits};
use symbl_service::recognizer::pocketsphinx::{Pocketsphinx, PocketsphinxConfig};
use symbl_service::recognizer::scripted::Scripted;
use symbl_service::recognizer::whisper::{Whisper, WhisperConfig};
use symbl_service::recognizer::{Recognizer, RecognizerError};

/// The model that is used unless another one is asked for.
const USUAL: &str = "tiny.en";

/// What turns speech into words.
#[derive(Args, Debug)]
pub(crate) struct RecognizerOptions {
    /// What turns speech into words. May be given several times: a stream has the first one
    /// that speaks its languageCode, or the first of all if it asks for no language
    #[arg(long = "recognizer", value_name = "NAME", value_enum, default_values = ["auto"])]
    recognizers: Vec<Engine>,

    /// Model for whisper: a name of `symbl-service model list`, or a folder with model.bin,
    /// config.json and tokenizer.json [default: tiny.en]
    #[arg(long, value_name = "NAME|DIR", conflicts_with = "recognizer_cmd")]
    model: Option<PathBuf>,

    /// A command in place of a built-in recogniser: 16 kHz S16LE mono on its standard
    /// input, JSON lines on its standard output, one process per stream. Without a shell.
    /// The format is in docs/recognizers.md
    #[arg(long, value_name = "CMD", conflicts_with_all = ["recognizers", "lm", "dict"])]
    recognizer_cmd: Option<String>,

    /// Language model of a closed domain, in place of the recogniser's own (pocketsphinx)
    #[arg(long, value_name = "FILE")]
    lm: Option<PathBuf>,

    /// Pronunciation dictionary, in place of the recogniser's own (pocketsphinx)
    #[arg(long, value_name = "FILE")]
    dict: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Engine {
    /// whisper if a model is there, pocketsphinx if not
    Auto,
    /// Speech, by a Whisper model on this machine
    Whisper,
    /// Speech, by CMU PocketSphinx on this machine
    Pocketsphinx,
    /// Test audio that carries its own words
    Scripted,
}

/// Why the engines cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecognizersError {
    #[error("--lm and --dict are for --recognizer pocketsphinx only")]
    DomainWithoutEngine,
    #[error("--model is for --recognizer whisper only")]
    ModelWithoutEngine,
    #[error("--recognizer {0} is given twice; a second one would never have a stream")]
    Twice(&'static str),
    #[error(
        "the model {0} is not here; `symbl-service model fetch {0}` gets it, and --model DIR \
         takes any folder of a Whisper model in CTranslate2's format"
    )]
    Absent(String),
    #[error(
        "--model {}: there is no such folder and no model of that name; `symbl-service model \
         list` shows the names, and any folder of a Whisper model in CTranslate2's format will \
         do", .0.display()
    )]
    UnknownModel(PathBuf),
    #[error(transparent)]
    Recognizer(#[from] RecognizerError),
}

/// The engines of the service, in the order in which they were named.
pub(crate) struct Recognizers {
    pub(crate) first: Arc<dyn Recognizer>,
    pub(crate) others: Vec<Arc<dyn Recognizer>>,
}

impl Recognizers {
    /// Opens what the command line asks for. An engine with threads of its own starts
    /// `workers` of them, or one for each processor core if that is 0.
    pub(crate) fn open(
        options: &RecognizerOptions,
        workers: usize,
    ) -> Result<Self, RecognizersError> {
        if let Some(line) = &options.recognizer_cmd {
            return Ok(Self {
                first: Arc::new(Command::new(line, CommandLimits::default())?),
                others: Vec::new(),
            });
        }
        let names: Vec<Engine> = options
            .recognizers
            .iter()
            .map(|name| options.chosen(*name))
            .collect();
        if options.is_domain() && !names.contains(&Engine::Pocketsphinx) {
            return Err(RecognizersError::DomainWithoutEngine);
        }
        if options.model.is_some() && !names.contains(&Engine::Whisper) {
            return Err(RecognizersError::ModelWithoutEngine);
        }
        let mut opened: Vec<Arc<dyn Recognizer>> = Vec::new();
        for name in names {
            let engine = options.engine(name, workers)?;
            if opened.iter().any(|other| other.name() == engine.name()) {
                return Err(RecognizersError::Twice(engine.name()));
            }
            opened.push(engine);
        }
        let mut opened = opened.into_iter();
        Ok(Self {
            // The option has a default, so there is one.
            first: match opened.next() {
                Some(first) => first,
                None => options.engine(options.chosen(Engine::Auto), workers)?,
            },
            others: opened.collect(),
        })
    }

    /// Closes all engines, see [`Recognizer::close`].
    pub(crate) fn close(&self) {
        self.first.close();
        self.others.iter().for_each(|other| other.close());
    }
}

/// Returns the folder of the usual model, or of another one that was fetched.
fn fetched() -> Option<PathBuf> {
    let others = symbl_models::MODELS.iter().map(|model| model.name);
    std::iter::once(USUAL)
        .chain(others)
        .find_map(symbl_models::locate)
}

impl RecognizerOptions {
    /// Returns `true` if pocketsphinx is given a domain of its own.
    fn is_domain(&self) -> bool {
        self.lm.is_some() || self.dict.is_some()
    }

    /// Returns the engine that `auto` stands for here; any other stands for itself.
    fn chosen(&self, engine: Engine) -> Engine {
        match engine {
            Engine::Auto if self.model.is_some() => Engine::Whisper,
            Engine::Auto if self.is_domain() => Engine::Pocketsphinx,
            Engine::Auto if fetched().is_some() => Engine::Whisper,
            Engine::Auto => {
                tracing::warn!(
                    "recognising with pocketsphinx, because the model {USUAL} is not here: \
                     `symbl-service model fetch {USUAL}` gets it, and most words are right then"
                );
                Engine::Pocketsphinx
            }
            named => named,
        }
    }

    /// Returns the folder of the model.
    fn model(&self) -> Result<PathBuf, RecognizersError> {
        let Some(model) = &self.model else {
            return fetched().ok_or_else(|| RecognizersError::Absent(USUAL.to_owned()));
        };
        let is_name = |path: &Path| path.components().count() == 1;
        let known = model
            .to_str()
            .filter(|_| is_name(model))
            .and_then(symbl_models::model);
        match known {
            Some(known) if !model.is_dir() => symbl_models::locate(known.name)
                .ok_or_else(|| RecognizersError::Absent(known.name.to_owned())),
            None if !model.is_dir() => Err(RecognizersError::UnknownModel(model.clone())),
            _ => Ok(model.clone()),
        }
    }

    fn engine(
        &self,
        name: Engine,
        workers: usize,
    ) -> Result<Arc<dyn Recognizer>, RecognizersError> {
        Ok(match name {
            Engine::Auto | Engine::Whisper => {
                let mut config = WhisperConfig::new(self.model()?);
                config.workers = workers;
                Arc::new(Whisper::open(config)?)
            }
            Engine::Pocketsphinx => Arc::new(Pocketsphinx::open(PocketsphinxConfig {
                lm: self.lm.clone(),
                dict: self.dict.clone(),
                ..PocketsphinxConfig::default()
            })?),
            Engine::Scripted => Arc::new(Scripted),
        })
    }
}
