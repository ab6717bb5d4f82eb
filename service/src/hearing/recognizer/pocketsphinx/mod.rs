// SPDX-License-Identifier: MPL-2.0
//! CMU PocketSphinx with its US English model: the recogniser of machines without a speech
//! model of Whisper.
//!
//! Way of the audio: frames of 16 ms → voice detection → utterances → a
//! streaming decoder per stream (interims, only if wanted) → a shared decoder
//! that takes each utterance whole (finals with word times and confidence).
//! Finals are a function of the samples alone: the same audio gives the same
//! words, times and confidences, however it was cut, and whatever else the
//! service is doing.
//!
//! Good on clean wideband speech; on 8 kHz telephony two words of three are
//! wrong unless a closed-domain language model is given. An utterance in which
//! no word was found gives no final, even if interims guessed at one.
//!
//! Library and model come from Debian's `libpocketsphinx3` and
//! `pocketsphinx-en-us`; opening must never print or end the process for want
//! of them, but say which package to install.

mod domain;
mod ffi;
mod model;
mod pool;
mod stream;
mod words;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::ffi::FfiError;
use self::model::{MissingFile, Model};
use self::pool::DecoderPool;
use self::stream::PocketsphinxStream;
use super::{Recognizer, RecognizerError, RecognizerStream, StreamOptions};
use crate::hearing::capacity::Capacity;

/// Name on the command line and in errors.
const ENGINE: &str = "pocketsphinx";

const INSTALL_HINT: &str = "On Debian and Ubuntu: sudo apt-get install -y \
    --no-install-recommends libpocketsphinx3 pocketsphinx-en-us \
    (libpocketsphinx5 where there is no libpocketsphinx3)";

/// What the engine is opened with. The default finds the installed model and
/// uses all processors.
#[derive(Debug, Clone, Default)]
pub struct PocketsphinxConfig {
    /// Folder with `en-us/`, `en-us.lm.bin` and `cmudict-en-us.dict`, or an
    /// acoustic model itself; the usual places when `None`.
    pub model_dir: Option<PathBuf>,
    /// Language model (ARPA or binary) in place of the model's own: a small
    /// one of a closed domain makes telephony usable.
    pub lm: Option<PathBuf>,
    /// Pronunciation dictionary in place of the model's own.
    pub dict: Option<PathBuf>,
    /// Most decoders that make finals at the same time, about 97 MB each;
    /// 0 means one per processor.
    pub batch_decoders: usize,
}

/// The engine: library and model, ready for streams.
pub struct Pocketsphinx {
    finals: Arc<DecoderPool>,
    /// Only the model that is found by itself has a known language.
    english_only: bool,
}

impl Pocketsphinx {
    /// Opens library, model and a first decoder (about 0.2 s).
    ///
    /// # Errors
    /// [`RecognizerError::Unavailable`] with what to install or to correct.
    pub fn open(config: PocketsphinxConfig) -> Result<Self, RecognizerError> {
        let PocketsphinxConfig {
            model_dir,
            lm,
            dict,
            batch_decoders,
        } = config;
        let model = Model::find(model_dir.as_deref(), lm.as_deref(), dict.as_deref())
            .map_err(|missing| missing_file(missing, model_dir.is_none() && lm.is_none()))?;
        tracing::debug!(engine = ENGINE, ?model, "model found");
        let limit = match batch_decoders {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            limit => limit,
        };
        let finals = DecoderPool::open(model, limit).map_err(|error| match (&error, &lm) {
            // The library refuses no dictionary, so it refused the language model.
            (FfiError::Open { .. }, Some(lm)) => of_the_user(
                "language model",
                lm,
                "the library refused it",
                "An ARPA file is expected, or one that the library made of it",
            ),
            _ => unavailable(error),
        })?;
        if let Some(dict) = &dict {
            let words =
                domain::dictionary_words(dict).map_err(|e| unreadable("dictionary", dict, &e))?;
            check_words(&finals, "dictionary", dict, &words)?;
        }
        if let Some(lm) = &lm {
            let words = domain::arpa_words(lm).map_err(|e| unreadable("language model", lm, &e))?;
            if let Some(words) = words {
                check_words(&finals, "language model", lm, &words)?;
            }
        }
        Ok(Self {
            finals: Arc::new(finals),
            english_only: model_dir.is_none(),
        })
    }

    /// Warns of vocabulary that can never be recognised.
    fn check_vocabulary(&self, vocabulary: &[String]) -> Result<(), FfiError> {
        if vocabulary.is_empty() {
            return Ok(());
        }
        let lower: Vec<String> = vocabulary
            .iter()
            .map(|entry| entry.to_lowercase())
            .collect();
        let words: Vec<&str> = lower
            .iter()
            .flat_map(|entry| entry.split_whitespace())
            .collect();
        let unknown = self.finals.unknown_words(&words)?;
        if !unknown.is_empty() {
            tracing::warn!(
                engine = ENGINE,
                words = unknown.join(", "),
                "not in the pronunciation dictionary, so these words of the custom vocabulary \
                 can never be recognised; add them to a dictionary of your own"
            );
        }
        Ok(())
    }
}

impl Recognizer for Pocketsphinx {
    fn name(&self) -> &'static str {
        ENGINE
    }

    /// Returns the cost of a quick pass for interims and a pass over the whole utterance
    /// for the final. It is 0.17 on a fast machine. On a slow one, a core keeps up with two
    /// streams, and clients that dial before the first measurement must not overload it.
    fn capacity(&self) -> Capacity {
        Capacity::Here { cost: 0.4 }
    }

    fn check_language(&self, language: &str) -> Result<(), String> {
        match self.english_only && !is_english(language) {
            true => Err(
                "the installed model of PocketSphinx knows English only; ask for en-US, or start \
                 the service with a recogniser of that language"
                    .to_owned(),
            ),
            false => Ok(()),
        }
    }

    fn open(&self, options: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        if self.check_language(&options.language).is_err() {
            return Err(RecognizerError::Unavailable {
                engine: ENGINE,
                what: format!("language {:?}", options.language),
                reason: "the installed model knows English only".to_owned(),
                hint: "Ask for en-US, or give the service a model of that language".to_owned(),
            });
        }
        self.check_vocabulary(&options.vocabulary).map_err(failed)?;
        let stream =
            PocketsphinxStream::open(Arc::clone(&self.finals), options.interim).map_err(failed)?;
        Ok(Box::new(stream))
    }
}

/// Checks that the words of a user's file can be recognised. Returns an error if none of
/// them can, and warns if some of them cannot.
fn check_words(
    finals: &DecoderPool,
    what: &'static str,
    path: &Path,
    words: &[String],
) -> Result<(), RecognizerError> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let unknown = finals.unknown_words(&words).map_err(failed)?;
    if unknown.len() == words.len() {
        let reason = match unknown.first() {
            None => "it has no words".to_owned(),
            Some(word) => format!("none of its words can be recognised, such as `{word}`"),
        };
        let hint = match what {
            "dictionary" => {
                "Each line is a word and its phones, in the phones of the acoustic model, \
                 for example `hello HH AH L OW`"
            }
            _ => "Its words must stand in the dictionary, in the same case; give one with --dict",
        };
        return Err(of_the_user(what, path, &reason, hint));
    }
    if !unknown.is_empty() {
        let some = unknown
            .iter()
            .take(10)
            .copied()
            .collect::<Vec<_>>()
            .join(", ");
        let file = path.display();
        tracing::warn!(engine = ENGINE, what, %file, count = unknown.len(), words = some,
            "words that can never be recognised");
    }
    Ok(())
}

fn of_the_user(what: &str, path: &Path, reason: &str, hint: &str) -> RecognizerError {
    RecognizerError::Unavailable {
        engine: ENGINE,
        what: format!("{what} {}", path.display()),
        reason: reason.to_owned(),
        hint: hint.to_owned(),
    }
}

fn unreadable(what: &str, path: &Path, error: &std::io::Error) -> RecognizerError {
    of_the_user(
        what,
        path,
        &error.to_string(),
        "Check the path and its permissions",
    )
}

/// Returns `true` if a BCP-47 tag is empty or means English of any region.
fn is_english(tag: &str) -> bool {
    let language = tag.split(['-', '_']).next().unwrap_or_default();
    language.is_empty() || language.eq_ignore_ascii_case("en")
}

fn missing_file(missing: MissingFile, installed: bool) -> RecognizerError {
    RecognizerError::Unavailable {
        engine: ENGINE,
        what: missing.what.to_owned(),
        reason: missing.to_string(),
        hint: if installed {
            INSTALL_HINT.to_owned()
        } else {
            "Check the path".to_owned()
        },
    }
}

fn unavailable(error: FfiError) -> RecognizerError {
    let (what, hint) = match &error {
        FfiError::Library(_) => ("library libpocketsphinx", INSTALL_HINT),
        FfiError::Open { .. } | FfiError::Nul(_) | FfiError::Call { .. } => (
            "model",
            "Check that the three files belong together and are whole",
        ),
    };
    RecognizerError::Unavailable {
        engine: ENGINE,
        what: what.to_owned(),
        reason: error.to_string(),
        hint: hint.to_owned(),
    }
}

fn failed(error: FfiError) -> RecognizerError {
    RecognizerError::Failed {
        engine: ENGINE,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_of_any_region_is_english() {
        for tag in ["", "en", "en-US", "EN-gb", "en_AU"] {
            assert!(is_english(tag), "{tag}");
        }
        for tag in ["fr-FR", "eng-US", "de"] {
            assert!(!is_english(tag), "{tag}");
        }
    }

    #[test]
    fn a_missing_model_names_the_package_to_install() {
        let missing = MissingFile {
            what: "acoustic model",
            path: PathBuf::from("/usr/share/pocketsphinx/model/en-us"),
        };
        let error = missing_file(missing, true).to_string();
        assert!(error.contains("apt-get install"), "{error}");
        assert!(error.contains("pocketsphinx-en-us"), "{error}");
    }

    #[test]
    fn a_wrong_path_of_the_users_own_is_named() {
        let config = PocketsphinxConfig {
            model_dir: Some(PathBuf::from("/nonexistent/model")),
            ..PocketsphinxConfig::default()
        };
        let error = Pocketsphinx::open(config).err().unwrap().to_string();
        assert!(error.contains("/nonexistent/model"), "{error}");
        assert!(!error.contains("apt-get"), "{error}");
    }
}
