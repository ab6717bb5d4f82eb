// SPDX-License-Identifier: MPL-2.0

//! A model: read once, shared by all streams, never changed.

use crate::decoder::{self, CrossMemory, Decoder};
use crate::encoder::{self, Encoder};
use crate::file::{FileError, ModelFile};
use crate::kernel::{HEAD, Level};
use crate::linear::{Linear, Norm, Precision, Work};
use crate::mel::{HOP, Mel};
use crate::token::{TokenError, Tokenizer};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Encoder vectors per second.
pub(crate) const FRAMES_PER_SECOND: usize = 50;
/// Samples that one encoder vector stands for: 20 ms.
pub(crate) const FRAME: usize = 2 * HOP;

/// Why a folder is no usable model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file cannot be read.
    #[error("cannot read {}: {error}; a model is a folder with model.bin, config.json and \
             tokenizer.json, such as faster-whisper-tiny.en", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The weights cannot be used.
    #[error("{}: {error}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: FileError,
    },
    /// The tokenizer cannot be used.
    #[error("{}: {error}", path.display())]
    Tokens {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: TokenError,
    },
    /// The parts do not fit together.
    #[error("{}: {what}, so this is no Whisper model in CTranslate2's format",
            path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
}

/// How a model is used.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// How weights are kept and multiplied.
    pub precision: Precision,
    /// Which instructions are used. A level that the processor does not have counts as the
    /// best one that it has.
    pub level: Level,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            precision: Precision::default(),
            level: Level::best(),
        }
    }
}

/// What `config.json` says.
#[derive(serde::Deserialize)]
struct Config {
    #[serde(default)]
    alignment_heads: Vec<(usize, usize)>,
    #[serde(default)]
    suppress_ids: Vec<i64>,
    #[serde(default)]
    suppress_ids_begin: Vec<i64>,
}

/// Tokens with a meaning of their own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Special {
    pub(crate) end: u32,
    pub(crate) start: u32,
    pub(crate) no_speech: u32,
    pub(crate) no_timestamps: u32,
    /// Only multilingual models have it.
    pub(crate) transcribe: Option<u32>,
}

/// A Whisper model.
pub struct Model {
    pub(crate) encoder: Encoder,
    pub(crate) decoder: Decoder,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) special: Special,
    pub(crate) suppressed: Vec<u32>,
    pub(crate) suppressed_first: Vec<u32>,
    /// Keys and values of 30 s of silence.
    pub(crate) silence: CrossMemory,
    pub(crate) level: Level,
    pub(crate) mel: Mel,
    multilingual: bool,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field(
                "layers",
                &(self.encoder.layers.len(), self.decoder.layers.len()),
            )
            .field("width", &self.encoder.width)
            .field("multilingual", &self.multilingual)
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

/// Reads the parts of the network out of a file.
struct Parts<'a> {
    file: &'a ModelFile<'a>,
    path: &'a Path,
    precision: Precision,
}

impl Parts<'_> {
    fn floats(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        self.file.floats(name).map_err(|error| self.weights(error))
    }

    fn weights(&self, error: FileError) -> ModelError {
        ModelError::Weights {
            path: self.path.to_owned(),
            error,
        }
    }

    fn misfit(&self, what: String) -> ModelError {
        ModelError::Shape {
            path: self.path.to_owned(),
            what,
        }
    }

    fn shape(&self, name: &str, rank: usize) -> Result<Vec<usize>, ModelError> {
        let tensor = self
            .file
            .tensor(name)
            .map_err(|error| self.weights(error))?;
        let shape = tensor.shape.clone();
        if shape.len() == rank && shape.iter().all(|&size| size > 0) {
            Ok(shape)
        } else {
            Err(self.misfit(format!("{name} has the shape {shape:?}")))
        }
    }

    /// Reads a vector of `size` floats.
    fn vector(&self, name: &str, size: usize) -> Result<Vec<f32>, ModelError> {
        let vector = self.floats(name)?;
        if vector.len() == size {
            Ok(vector)
        } else {
            let length = vector.len();
            Err(self.misfit(format!("{name} has {length} values, {size} are needed")))
        }
    }

    fn linear(&self, name: &str, outputs: usize, inputs: usize) -> Result<Linear, ModelError> {
        let weights = self.vector(&format!("{name}/weight"), outputs * inputs)?;
        let bias = self.vector(&format!("{name}/bias"), outputs)?;
        Ok(Linear::new(&weights, bias, inputs, self.precision))
    }

    /// Reads a convolution over three frames, `[output][input][frame]`, as a layer that
    /// takes three frames one after the other.
    fn convolution(&self, name: &str, outputs: usize, inputs: usize) -> Result<Linear, ModelError> {
        let weights = self.vector(&format!("{name}/weight"), outputs * inputs * 3)?;
        let bias = self.vector(&format!("{name}/bias"), outputs)?;
        let mut ordered = vec![0.0; weights.len()];
        let kernels = weights
            .chunks_exact(inputs * 3)
            .zip(ordered.chunks_exact_mut(inputs * 3));
        for (from, to) in kernels {
            for (input, frames) in from.chunks_exact(3).enumerate() {
                for (frame, &w) in frames.iter().enumerate() {
                    to[frame * inputs + input] = w;
                }
            }
        }
        Ok(Linear::new(&ordered, bias, inputs * 3, self.precision))
    }

    fn norm(&self, name: &str, width: usize) -> Result<Norm, ModelError> {
        Ok(Norm {
            gamma: self.vector(&format!("{name}/gamma"), width)?,
            beta: self.vector(&format!("{name}/beta"), width)?,
        })
    }

    /// Returns how many layers the encoder or the decoder has.
    fn layers(&self, part: &str) -> usize {
        (0..)
            .take_while(|i| {
                self.file
                    .contains(&format!("{part}/layer_{i}/ffn/linear_0/weight"))
            })
            .count()
    }

    fn encoder(&self) -> Result<Encoder, ModelError> {
        let shape = self.shape("encoder/conv1/weight", 3)?;
        let (width, bands) = (shape[0], shape[1]);
        if width % HEAD != 0 || shape[2] != 3 || !matches!(bands, 80 | 128) {
            return Err(self.misfit(format!("encoder/conv1 has the shape {shape:?}")));
        }
        let longest = self.shape("encoder/position_encodings/encodings", 2)?[0];
        let layers = (0..self.layers("encoder"))
            .map(|i| {
                let name = format!("encoder/layer_{i}");
                let inner = self.shape(&format!("{name}/ffn/linear_0/weight"), 2)?[0];
                let attention = format!("{name}/self_attention");
                Ok(encoder::Layer {
                    attention_norm: self.norm(&format!("{attention}/layer_norm"), width)?,
                    query_key_value: self.linear(
                        &format!("{attention}/linear_0"),
                        3 * width,
                        width,
                    )?,
                    attention_out: self.linear(&format!("{attention}/linear_1"), width, width)?,
                    ffn_norm: self.norm(&format!("{name}/ffn/layer_norm"), width)?,
                    ffn_in: self.linear(&format!("{name}/ffn/linear_0"), inner, width)?,
                    ffn_out: self.linear(&format!("{name}/ffn/linear_1"), width, inner)?,
                })
            })
            .collect::<Result<_, ModelError>>()?;
        Ok(Encoder {
            width,
            bands,
            conv1: self.convolution("encoder/conv1", width, bands)?,
            conv2: self.convolution("encoder/conv2", width, width)?,
            positions: self.vector("encoder/position_encodings/encodings", longest * width)?,
            layers,
            norm: self.norm("encoder/layer_norm", width)?,
        })
    }

    fn decoder(&self, alignment_heads: Vec<(usize, usize)>) -> Result<Decoder, ModelError> {
        let shape = self.shape("decoder/embeddings/weight", 2)?;
        let (vocabulary, width) = (shape[0], shape[1]);
        if width % HEAD != 0 {
            return Err(self.misfit(format!("decoder/embeddings has the shape {shape:?}")));
        }
        let embeddings = self.vector("decoder/embeddings/weight", vocabulary * width)?;
        let longest = self.shape("decoder/position_encodings/encodings", 2)?[0];
        let layers: Vec<decoder::Layer> = (0..self.layers("decoder"))
            .map(|i| {
                let name = format!("decoder/layer_{i}");
                let inner = self.shape(&format!("{name}/ffn/linear_0/weight"), 2)?[0];
                let (own, cross) = (
                    format!("{name}/self_attention"),
                    format!("{name}/attention"),
                );
                Ok(decoder::Layer {
                    self_norm: self.norm(&format!("{own}/layer_norm"), width)?,
                    self_query_key_value: self.linear(
                        &format!("{own}/linear_0"),
                        3 * width,
                        width,
                    )?,
                    self_out: self.linear(&format!("{own}/linear_1"), width, width)?,
                    cross_norm: self.norm(&format!("{cross}/layer_norm"), width)?,
                    cross_query: self.linear(&format!("{cross}/linear_0"), width, width)?,
                    cross_key_value: self.linear(&format!("{cross}/linear_1"), 2 * width, width)?,
                    cross_out: self.linear(&format!("{cross}/linear_2"), width, width)?,
                    ffn_norm: self.norm(&format!("{name}/ffn/layer_norm"), width)?,
                    ffn_in: self.linear(&format!("{name}/ffn/linear_0"), inner, width)?,
                    ffn_out: self.linear(&format!("{name}/ffn/linear_1"), width, inner)?,
                })
            })
            .collect::<Result<_, ModelError>>()?;
        let heads = width / HEAD;
        let is_head = |&(layer, head): &(usize, usize)| layer < layers.len() && head < heads;
        let alignment_heads = if alignment_heads.is_empty() {
            // As in OpenAI's code: all heads of the upper half.
            let upper = layers.len() / 2..layers.len();
            upper
                .flat_map(|layer| (0..heads).map(move |head| (layer, head)))
                .collect()
        } else if alignment_heads.iter().all(is_head) {
            alignment_heads
        } else {
            return Err(self.misfit(format!(
                "config.json has alignment_heads {alignment_heads:?}"
            )));
        };
        Ok(Decoder {
            width,
            projection: Linear::new(&embeddings, Vec::new(), width, self.precision),
            positions: self.vector("decoder/position_encodings/encodings", longest * width)?,
            layers,
            norm: self.norm("decoder/layer_norm", width)?,
            alignment_heads,
        })
    }
}

impl Model {
    /// Reads a model from its folder: `model.bin`, `config.json` and `tokenizer.json` of
    /// any `faster-whisper-*` model whose frames have 80 or 128 bands. Takes part of a
    /// second for the smallest.
    ///
    /// # Errors
    ///
    /// A file is missing, damaged, of another format, or the parts do not fit together.
    pub fn load(folder: &Path, options: LoadOptions) -> Result<Self, ModelError> {
        let read = |name: &str| {
            let path = folder.join(name);
            match fs::read(&path) {
                Ok(bytes) => Ok((path, bytes)),
                Err(error) => Err(ModelError::Read { path, error }),
            }
        };
        let (config_path, config) = read("config.json")?;
        let config: Config =
            serde_json::from_slice(&config).map_err(|error| ModelError::Shape {
                path: config_path.clone(),
                what: error.to_string(),
            })?;
        let (tokens_path, tokens) = read("tokenizer.json")?;
        let (path, bytes) = read("model.bin")?;
        let file = ModelFile::parse(&bytes).map_err(|error| ModelError::Weights {
            path: path.clone(),
            error,
        })?;
        let parts = Parts {
            file: &file,
            path: &path,
            precision: options.precision,
        };
        let encoder = parts.encoder()?;
        let decoder = parts.decoder(config.alignment_heads)?;
        if encoder.width != decoder.width || decoder.layers.is_empty() || encoder.layers.is_empty()
        {
            return Err(parts.misfit("the encoder does not fit the decoder".to_owned()));
        }
        drop(file);
        drop(bytes);
        let vocabulary = decoder.projection.outputs();
        let tokenizer =
            Tokenizer::from_json(&tokens, vocabulary).map_err(|error| ModelError::Tokens {
                path: tokens_path.clone(),
                error,
            })?;
        let special = |name: &str| {
            tokenizer
                .special(name)
                .filter(|&id| (id as usize) < vocabulary)
                .ok_or_else(|| ModelError::Shape {
                    path: tokens_path.clone(),
                    what: format!("no token {name}"),
                })
        };
        let special = Special {
            end: special("<|endoftext|>")?,
            start: special("<|startoftranscript|>")?,
            no_speech: special("<|nospeech|>").or_else(|_| special("<|nocaptions|>"))?,
            no_timestamps: special("<|notimestamps|>")?,
            transcribe: special("<|transcribe|>").ok(),
        };
        let known = |ids: &[i64]| {
            ids.iter()
                .filter_map(|&id| u32::try_from(id).ok())
                .filter(|&id| (id as usize) < vocabulary)
                .collect()
        };
        let level = Level::ALL
            .into_iter()
            .rev()
            .find(|&level| level <= options.level && level.is_available())
            .unwrap_or(Level::Plain);
        let mut model = Self {
            mel: Mel::new(encoder.bands),
            suppressed: known(&config.suppress_ids),
            suppressed_first: known(&config.suppress_ids_begin),
            silence: Vec::new(),
            level,
            // The multilingual vocabulary has one token more than the English one.
            multilingual: vocabulary >= 51_865,
            special,
            encoder,
            decoder,
            tokenizer,
        };
        model.silence = model.listen_to_silence();
        Ok(model)
    }

    /// Returns `true` if the model knows more languages than English.
    pub fn is_multilingual(&self) -> bool {
        self.multilingual
    }

    /// Returns the tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Returns how many samples the longest window has.
    pub(crate) fn longest(&self) -> usize {
        self.encoder.longest() * FRAME
    }

    /// Returns the encoder's vectors for samples that are followed by `padding` samples of
    /// silence. What lies beyond the longest window is left out.
    pub(crate) fn encode(&self, work: &mut Work, samples: &[f32], padding: usize) -> Vec<f32> {
        let samples = &samples[..samples.len().min(self.longest())];
        let length = (samples.len() + padding).min(self.longest());
        let frames = length.div_ceil(FRAME).max(1) * 2;
        debug_assert_eq!(self.mel.bands(), self.encoder.bands);
        let mel = self.mel.frames(samples, frames);
        self.encoder.run(work, &mel)
    }

    /// Returns keys and values of silence as long as the longest window.
    ///
    /// The decoder has learnt to stop by looking at silence behind the speech. A window
    /// that ends with the utterance makes it loop; with what is remembered of silence in
    /// place of the rest, it decodes as with the whole window.
    fn listen_to_silence(&self) -> CrossMemory {
        // A little noise first, as loud as speech is: levels count relative to the loudest.
        let mut state = 1_u32;
        let noise: Vec<f32> = (0..8000_u16)
            .map(|i| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                #[allow(clippy::cast_precision_loss)]
                let value = (state >> 8) as f32 / 8_388_608.0 - 1.0;
                value * 0.05 * (1.0 + (f32::from(i) * 0.002).sin())
            })
            .collect();
        let mut work = Work::new(self.level);
        let encoded = self.encode(&mut work, &noise, self.longest());
        self.decoder.look_at(&mut work, &encoded)
    }
}
