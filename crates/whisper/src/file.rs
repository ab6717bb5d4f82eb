// SPDX-License-Identifier: MPL-2.0

//! Reads the weights of a model from CTranslate2's `model.bin`.
//!
//! A whole file comes in as bytes, and views of its tensors go out; nothing is copied
//! before [`ModelFile::floats`] asks for it. The file may come from anywhere: this module
//! checks every length against the rest of the file, must never panic, and must never
//! allocate by a length that the file merely claims.
//!
//! The format, version 6, is little-endian throughout:
//!
//! ```text
//! u32 version, string specification, u32 revision
//! u32 count of variables, and of each: string name, u8 rank, u32 × rank, u8 kind,
//!     u32 bytes, the data
//! u32 count of aliases, and of each: string alias, string variable
//! ```
//!
//! A string is a `u16` length that counts a NUL at the end, the bytes, and the NUL. The
//! source is CTranslate2's `python/ctranslate2/specs/model_spec.py`. There, an int8 weight
//! is `round(weight × scale)` with `scale = 127 / max(|weight|)` for each first index, and
//! `NAME_scale` holds the scales; so the weight is the integer **divided** by its scale.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// The version of the format that this module reads.
const VERSION: u32 = 6;

/// The specification of the models that this crate runs, and its revision.
const SPECIFICATION: &str = "WhisperSpec";
const REVISION: u32 = 3;

/// The most variables or aliases that a file may have. The largest Whisper model has about
/// 1,600; the bound keeps the index small whatever a file claims.
const MAX_NAMES: u32 = 16_384;

/// The highest rank of a tensor. Convolutions have 3.
const MAX_RANK: u8 = 4;

/// The fewest bytes that a variable takes: an empty name (3), rank, kind and length.
const MIN_VARIABLE: usize = 3 + 1 + 1 + 4;

/// The fewest bytes that an alias takes: two empty names.
const MIN_ALIAS: usize = 3 + 3;

/// Says why a model file cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file ends too early, or a length in it is wrong.
    #[error(
        "model.bin has {have} bytes left at byte {at}, where {what} needs {need}: the file is cut \
         short or damaged; copy the model's folder again and compare its size"
    )]
    Cut {
        /// What was being read.
        what: String,
        /// The byte at which it begins.
        at: usize,
        /// The number of bytes that it needs.
        need: u64,
        /// The number of bytes that the file still has.
        have: usize,
    },
    /// The file is of another version, or no such file at all.
    #[error(
        "model.bin begins with version {found} at byte 0 in place of 6: is this a CTranslate2 \
         folder such as faster-whisper-tiny.en? Files of whisper.cpp (ggml) or PyTorch must be \
         converted with ct2-transformers-converter of CTranslate2 4"
    )]
    Version {
        /// The number at the place of the version.
        found: u32,
    },
    /// The file holds another kind of model.
    #[error(
        "model.bin holds a model of the kind {specification:?}, revision {revision}, in place of \
         WhisperSpec, revision 3 (byte {at}): use a CTranslate2 folder such as \
         faster-whisper-tiny.en, or convert the model again with CTranslate2 4"
    )]
    Specification {
        /// The specification that the file names.
        specification: String,
        /// The revision of that specification.
        revision: u32,
        /// The byte at which the name begins.
        at: usize,
    },
    /// Something in the file contradicts the format.
    #[error(
        "model.bin: {what} at byte {at}: the file is damaged; copy the model's folder again, and \
         check that it is a CTranslate2 folder such as faster-whisper-tiny.en"
    )]
    Malformed {
        /// What is wrong.
        what: String,
        /// The byte at which it is wrong.
        at: usize,
    },
    /// A variable that the model needs is not in the file.
    #[error(
        "model.bin has no variable \"{name}\" among its {count}: is this a CTranslate2 folder of a \
         Whisper model, such as faster-whisper-tiny.en?"
    )]
    Missing {
        /// The name of the variable.
        name: String,
        /// The number of variables in the file.
        count: usize,
    },
    /// The numbers of a variable are of a kind that cannot be used.
    #[error(
        "the variable \"{name}\" of model.bin (byte {at}) is {kind} and no weight can be read from \
         it: {hint}"
    )]
    Kind {
        /// The name of the variable.
        name: String,
        /// The kind of its numbers.
        kind: &'static str,
        /// The byte at which its data begin.
        at: usize,
        /// What to try.
        hint: &'static str,
    },
    /// A number of a variable cannot be used.
    #[error(
        "the variable \"{name}\" of model.bin has {what} at byte {at}: the file is damaged, or its \
         conversion failed; copy or convert the model again"
    )]
    Value {
        /// The name of the variable.
        name: String,
        /// What is wrong with the number.
        what: String,
        /// The byte at which the number begins.
        at: usize,
    },
}

/// The kind of the numbers of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 32-bit floating point.
    F32,
    /// 8-bit integer.
    I8,
    /// 16-bit integer.
    I16,
    /// 32-bit integer.
    I32,
    /// 16-bit floating point of IEEE 754.
    F16,
    /// 16-bit floating point with the exponent of 32 bits.
    Bf16,
}

impl Kind {
    /// Returns the kind that a byte of the file stands for.
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::F32,
            1 => Self::I8,
            2 => Self::I16,
            3 => Self::I32,
            4 => Self::F16,
            5 => Self::Bf16,
            _ => return None,
        })
    }

    /// Returns the number of bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Self::I8 => 1,
            Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::F32 | Self::I32 => 4,
        }
    }

    /// Returns the name by which CTranslate2 calls the kind.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }
}

/// One tensor of the file: its shape, and its numbers as they lie there.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorView<'a> {
    /// The name of the variable that holds the tensor, with aliases resolved.
    pub name: &'a str,
    /// The dimensions, outermost first; none for a scalar. Matrices are [out, in].
    pub shape: Vec<usize>,
    /// The kind of the numbers.
    pub kind: Kind,
    /// The numbers, little-endian, the last dimension varying fastest.
    pub data: &'a [u8],
    /// The byte of the file at which `data` begins.
    pub at: usize,
}

impl TensorView<'_> {
    /// Returns the number of numbers.
    pub fn len(&self) -> usize {
        self.data.len() / self.kind.size()
    }

    /// Returns `true` if the tensor holds no number.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Returns the numbers of a floating-point tensor, all of them finite.
    pub fn to_f32(&self) -> Result<Vec<f32>, FileError> {
        let floats: Vec<f32> = match self.kind {
            Kind::F32 => numbers(self.data, f32::from_le_bytes),
            Kind::F16 => numbers(self.data, |b| half::f16::from_le_bytes(b).to_f32()),
            Kind::Bf16 => numbers(self.data, |b| half::bf16::from_le_bytes(b).to_f32()),
            Kind::I8 => {
                return Err(
                    self.refuse("an int8 weight needs its scales; read it with ModelFile::floats")
                );
            }
            Kind::I16 | Kind::I32 => {
                return Err(self.refuse(
                    "convert the model again with --quantization float16, float32 or int8",
                ));
            }
        };
        match floats.iter().position(|float| !float.is_finite()) {
            None => Ok(floats),
            Some(index) => Err(FileError::Value {
                name: self.name.to_owned(),
                what: format!("{} in place of a number", floats[index]),
                at: self.at + index * self.kind.size(),
            }),
        }
    }

    /// Returns the error for a kind of numbers that cannot be used.
    fn refuse(&self, hint: &'static str) -> FileError {
        FileError::Kind {
            name: self.name.to_owned(),
            kind: self.kind.name(),
            at: self.at,
            hint,
        }
    }
}

/// Returns the numbers that `data` holds one after the other, `N` bytes each.
fn numbers<const N: usize>(data: &[u8], read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    data.as_chunks()
        .0
        .iter()
        .map(|bytes| read(*bytes))
        .collect()
}

/// A place of a tensor within the file.
#[derive(Clone, Debug)]
struct Variable<'a> {
    shape: Vec<usize>,
    kind: Kind,
    data: &'a [u8],
    at: usize,
}

/// The content of a `model.bin`.
///
/// ```no_run
/// let bytes = std::fs::read("faster-whisper-tiny.en/model.bin")?;
/// let file = symbl_whisper::file::ModelFile::parse(&bytes)?;
/// let shape = file.tensor("decoder/embeddings/weight")?.shape;
/// let weights = file.floats("decoder/embeddings/weight")?;
/// assert_eq!(weights.len(), shape.iter().product::<usize>());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ModelFile<'a> {
    variables: BTreeMap<&'a str, Variable<'a>>,
    aliases: BTreeMap<&'a str, &'a str>,
}

impl<'a> ModelFile<'a> {
    /// Reads the index of a file. Every tensor in it has as many bytes as its shape says.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FileError> {
        let mut input = Input { bytes, at: 0 };
        let version = input.u32("the version")?;
        if version != VERSION {
            return Err(FileError::Version { found: version });
        }
        let at = input.at;
        let specification = input.string("the name of the specification")?;
        let revision = input.u32("the revision of the specification")?;
        if specification != SPECIFICATION || revision != REVISION {
            return Err(FileError::Specification {
                specification: specification.to_owned(),
                revision,
                at,
            });
        }
        let variables = input.variables()?;
        let aliases = input.aliases(&variables)?;
        if input.rest() > 0 {
            return Err(input.malformed(format!("{} bytes follow the end", input.rest()), input.at));
        }
        Ok(Self { variables, aliases })
    }

    /// Returns `true` if the file has a variable or an alias of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.variables.contains_key(name) || self.aliases.contains_key(name)
    }

    /// Returns the names of the variables, sorted, without the aliases.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.variables.keys().copied()
    }

    /// Returns the tensor that a variable or an alias names.
    pub fn tensor(&self, name: &str) -> Result<TensorView<'a>, FileError> {
        let name = self.aliases.get(name).copied().unwrap_or(name);
        match self.variables.get_key_value(name) {
            Some((name, variable)) => Ok(TensorView {
                name,
                shape: variable.shape.clone(),
                kind: variable.kind,
                data: variable.data,
                at: variable.at,
            }),
            None => Err(FileError::Missing {
                name: name.to_owned(),
                count: self.variables.len(),
            }),
        }
    }

    /// Returns the numbers of a tensor, all of them finite. An int8 tensor is divided by
    /// the scales of the variable `NAME_scale`, one for each first index.
    pub fn floats(&self, name: &str) -> Result<Vec<f32>, FileError> {
        let tensor = self.tensor(name)?;
        if tensor.kind != Kind::I8 {
            return tensor.to_f32();
        }
        // The converter writes no alias for the scales of an alias.
        let own = format!("{name}_scale");
        let scale = if self.contains(&own) {
            self.tensor(&own)?
        } else {
            self.tensor(&format!("{}_scale", tensor.name))?
        };
        let scales = scale.to_f32()?;
        let rows = tensor.shape.first().copied().unwrap_or(1);
        if scales.len() != rows {
            return Err(FileError::Value {
                name: scale.name.to_owned(),
                what: format!(
                    "{} scales for the {rows} rows of \"{}\"",
                    scales.len(),
                    tensor.name
                ),
                at: scale.at,
            });
        }
        // A scale that is smaller than this makes an infinite weight of 127.
        let bad = |scale: &f32| !(128.0 / scale).is_finite();
        if let Some(index) = scales.iter().position(bad) {
            return Err(FileError::Value {
                name: scale.name.to_owned(),
                what: format!("{} in place of a scale", scales[index]),
                at: scale.at + index * scale.kind.size(),
            });
        }
        let mut floats = Vec::with_capacity(tensor.data.len());
        if let Some(row) = tensor.data.len().checked_div(rows).filter(|row| *row > 0) {
            for (integers, scale) in tensor.data.chunks_exact(row).zip(scales) {
                floats.extend(
                    integers
                        .iter()
                        .map(|byte| f32::from(byte.cast_signed()) / scale),
                );
            }
        }
        Ok(floats)
    }
}

/// The bytes of a file, and how far they are read.
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    /// Returns the number of bytes that are not read yet.
    fn rest(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// Returns the error for something at byte `at` that the format does not allow.
    fn malformed(&self, what: String, at: usize) -> FileError {
        FileError::Malformed { what, at }
    }

    /// Takes the next `len` bytes. `what` names them for an error.
    fn take(&mut self, len: usize, what: impl Fn() -> String) -> Result<&'a [u8], FileError> {
        let end = self.at.checked_add(len);
        let Some(taken) = end.and_then(|end| self.bytes.get(self.at..end)) else {
            return Err(FileError::Cut {
                what: what(),
                at: self.at,
                need: len as u64,
                have: self.rest(),
            });
        };
        self.at += len;
        Ok(taken)
    }

    /// Takes the next `N` bytes.
    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], FileError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, || what.to_owned())?);
        Ok(array)
    }

    /// Takes a number of 8 bits.
    fn u8(&mut self, what: &str) -> Result<u8, FileError> {
        Ok(u8::from_le_bytes(self.array(what)?))
    }

    /// Takes a number of 32 bits.
    fn u32(&mut self, what: &str) -> Result<u32, FileError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    /// Takes a string, without the NUL at its end.
    fn string(&mut self, what: &str) -> Result<&'a str, FileError> {
        let len = u16::from_le_bytes(self.array(what)?);
        let at = self.at;
        let bytes = self.take(usize::from(len), || what.to_owned())?;
        match bytes.split_last() {
            Some((0, text)) if !text.contains(&0) => str::from_utf8(text)
                .map_err(|error| self.malformed(format!("{what} is not UTF-8 ({error})"), at)),
            _ => Err(self.malformed(format!("{what} does not end with a NUL"), at)),
        }
    }

    /// Takes the number of entries that follow, each of at least `least` bytes.
    fn count(&mut self, what: &str, least: usize) -> Result<u32, FileError> {
        let at = self.at;
        let count = self.u32(what)?;
        if count > MAX_NAMES {
            return Err(self.malformed(format!("{what} is {count}, more than {MAX_NAMES}"), at));
        }
        let need = u64::from(count) * least as u64;
        if need > self.rest() as u64 {
            return Err(FileError::Cut {
                what: format!("{what}, {count},"),
                at: self.at,
                need,
                have: self.rest(),
            });
        }
        Ok(count)
    }

    /// Takes all variables.
    fn variables(&mut self) -> Result<BTreeMap<&'a str, Variable<'a>>, FileError> {
        let count = self.count("the number of variables", MIN_VARIABLE)?;
        let mut variables = BTreeMap::new();
        for index in 0..count {
            let at = self.at;
            let name = self.string(&format!("the name of variable {index}"))?;
            let variable = self.variable(name)?;
            match variables.entry(name) {
                Entry::Vacant(entry) => entry.insert(variable),
                Entry::Occupied(_) => {
                    return Err(self.malformed(format!("a second variable \"{name}\""), at));
                }
            };
        }
        Ok(variables)
    }

    /// Takes what follows the name of a variable.
    fn variable(&mut self, name: &str) -> Result<Variable<'a>, FileError> {
        let at = self.at;
        let rank = self.u8(&format!("the rank of \"{name}\""))?;
        if rank > MAX_RANK {
            let what = format!("the rank of \"{name}\" is {rank}, more than {MAX_RANK}");
            return Err(self.malformed(what, at));
        }
        let shape = (0..rank)
            .map(|_| {
                self.u32(&format!("the shape of \"{name}\""))
                    .map(|dimension| dimension as usize)
            })
            .collect::<Result<Vec<usize>, FileError>>()?;
        let at = self.at;
        let byte = self.u8(&format!("the type of \"{name}\""))?;
        let Some(kind) = Kind::from_byte(byte) else {
            let what = format!("the type of \"{name}\" is {byte}, which stands for none");
            return Err(self.malformed(what, at));
        };
        let length_at = self.at;
        let length = self.u32(&format!("the length of \"{name}\""))?;
        let at = self.at;
        let data = self.take(length as usize, || format!("the data of \"{name}\""))?;
        let need = shape.iter().try_fold(kind.size(), |product, dimension| {
            product.checked_mul(*dimension)
        });
        if need != Some(data.len()) {
            let what = format!(
                "\"{name}\" has {length} bytes, which do not hold {} numbers of shape {shape:?}",
                kind.name()
            );
            return Err(self.malformed(what, length_at));
        }
        Ok(Variable {
            shape,
            kind,
            data,
            at,
        })
    }

    /// Takes all aliases. Each leads to a variable, not to another alias.
    fn aliases(
        &mut self,
        variables: &BTreeMap<&'a str, Variable<'a>>,
    ) -> Result<BTreeMap<&'a str, &'a str>, FileError> {
        let count = self.count("the number of aliases", MIN_ALIAS)?;
        let mut aliases: BTreeMap<&'a str, &'a str> = BTreeMap::new();
        for index in 0..count {
            let at = self.at;
            let alias = self.string(&format!("the name of alias {index}"))?;
            let target = self.string(&format!("the variable of alias \"{alias}\""))?;
            // An alias may name an earlier alias.
            let target = aliases.get(target).copied().unwrap_or(target);
            if !variables.contains_key(target) {
                let what =
                    format!("the alias \"{alias}\" stands for \"{target}\", which is missing");
                return Err(self.malformed(what, at));
            }
            if variables.contains_key(alias) || aliases.insert(alias, target).is_some() {
                return Err(self.malformed(format!("the alias \"{alias}\" is a name already"), at));
            }
        }
        Ok(aliases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Writes a string as the format has it.
    fn string(out: &mut Vec<u8>, text: &str) {
        out.extend((text.len() as u16 + 1).to_le_bytes());
        out.extend(text.as_bytes());
        out.push(0);
    }

    /// A file that a test writes.
    #[derive(Clone, Default)]
    struct Writer {
        variables: Vec<(String, Vec<u32>, u8, Vec<u8>)>,
        aliases: Vec<(String, String)>,
    }

    impl Writer {
        fn with(mut self, name: &str, shape: &[u32], kind: u8, data: &[u8]) -> Self {
            self.variables
                .push((name.to_owned(), shape.to_vec(), kind, data.to_vec()));
            self
        }

        fn floats(self, name: &str, shape: &[u32], data: &[f32]) -> Self {
            let data: Vec<u8> = data.iter().flat_map(|float| float.to_le_bytes()).collect();
            self.with(name, shape, 0, &data)
        }

        fn alias(mut self, alias: &str, variable: &str) -> Self {
            self.aliases.push((alias.to_owned(), variable.to_owned()));
            self
        }

        fn bytes(&self) -> Vec<u8> {
            self.bytes_as(6, "WhisperSpec", 3)
        }

        fn bytes_as(&self, version: u32, specification: &str, revision: u32) -> Vec<u8> {
            let mut out = version.to_le_bytes().to_vec();
            string(&mut out, specification);
            out.extend(revision.to_le_bytes());
            out.extend((self.variables.len() as u32).to_le_bytes());
            for (name, shape, kind, data) in &self.variables {
                string(&mut out, name);
                out.push(shape.len() as u8);
                out.extend(shape.iter().flat_map(|dimension| dimension.to_le_bytes()));
                out.push(*kind);
                out.extend((data.len() as u32).to_le_bytes());
                out.extend(data);
            }
            out.extend((self.aliases.len() as u32).to_le_bytes());
            for (alias, variable) in &self.aliases {
                string(&mut out, alias);
                string(&mut out, variable);
            }
            out
        }
    }

    /// Returns a file with a tensor of each kind.
    fn sample() -> Writer {
        let halves: Vec<u8> = [1.5f32, -2.0, 0.25, 65504.0]
            .iter()
            .flat_map(|float| half::f16::from_f32(*float).to_le_bytes())
            .collect();
        let brains: Vec<u8> = [1.5f32, -3.0]
            .iter()
            .flat_map(|float| half::bf16::from_f32(*float).to_le_bytes())
            .collect();
        Writer::default()
            .floats("a/f32", &[2, 3], &[1.0, -2.0, 3.5, 0.0, -0.5, 6.0])
            .with("a/f16", &[4], 4, &halves)
            .with("a/bf16", &[2, 1, 1], 5, &brains)
            .with("a/weight", &[2, 2], 1, &[127, 0x81, 64, 0])
            .floats("a/weight_scale", &[2], &[127.0, 32.0])
            .with("a/heads", &[], 2, &[6, 0])
            .with("a/ids", &[1], 3, &[1, 0, 0, 0])
            .with("a/none", &[0, 7], 0, &[])
            .alias("b/weight", "a/weight")
            .alias("c/weight", "b/weight")
    }

    /// Returns the place at which `needle` begins.
    fn find(bytes: &[u8], needle: &str) -> usize {
        bytes
            .windows(needle.len())
            .position(|window| window == needle.as_bytes())
            .unwrap()
    }

    #[test]
    fn reads_each_kind_of_tensor() {
        let bytes = sample().bytes();
        let file = ModelFile::parse(&bytes).unwrap();
        assert_eq!(file.names().count(), 8);
        assert_eq!(
            file.floats("a/f32").unwrap(),
            [1.0, -2.0, 3.5, 0.0, -0.5, 6.0]
        );
        assert_eq!(file.floats("a/f16").unwrap(), [1.5, -2.0, 0.25, 65504.0]);
        assert_eq!(file.floats("a/bf16").unwrap(), [1.5, -3.0]);
        let view = file.tensor("a/f32").unwrap();
        assert_eq!(
            (view.shape.as_slice(), view.kind, view.len()),
            (&[2, 3][..], Kind::F32, 6)
        );
        assert_eq!(view.data, &bytes[view.at..view.at + 24]);
        let scalar = file.tensor("a/heads").unwrap();
        assert_eq!(
            (scalar.shape.as_slice(), scalar.data),
            (&[][..], &[6, 0][..])
        );
        assert!(file.tensor("a/none").unwrap().is_empty());
        assert_eq!(file.floats("a/none").unwrap(), [0.0; 0]);
    }

    #[test]
    fn divides_int8_by_the_scale_of_its_row() {
        let bytes = sample().bytes();
        let file = ModelFile::parse(&bytes).unwrap();
        assert_eq!(file.floats("a/weight").unwrap(), [1.0, -1.0, 2.0, 0.0]);
    }

    #[test]
    fn resolves_aliases() {
        let bytes = sample().bytes();
        let file = ModelFile::parse(&bytes).unwrap();
        assert!(file.contains("b/weight") && file.contains("a/weight") && !file.contains("d"));
        assert_eq!(
            file.tensor("c/weight").unwrap(),
            file.tensor("a/weight").unwrap()
        );
        // Neither alias has scales of its own.
        assert_eq!(file.floats("c/weight").unwrap(), [1.0, -1.0, 2.0, 0.0]);
    }

    #[test]
    fn names_the_variable_that_is_missing() {
        let bytes = sample().bytes();
        let error = ModelFile::parse(&bytes)
            .unwrap()
            .tensor("decoder/x")
            .unwrap_err();
        assert_eq!(
            error,
            FileError::Missing {
                name: "decoder/x".to_owned(),
                count: 8
            }
        );
        assert!(
            error.to_string().contains("faster-whisper-tiny.en"),
            "{error}"
        );
    }

    #[test]
    fn refuses_numbers_that_are_no_weights() {
        let bytes = sample().bytes();
        let file = ModelFile::parse(&bytes).unwrap();
        for (name, kind) in [("a/heads", "int16"), ("a/ids", "int32")] {
            let error = file.floats(name).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(kind), "{error}");
            assert!(error.contains("float16"), "{error}");
        }
        let error = file
            .tensor("a/weight")
            .unwrap()
            .to_f32()
            .unwrap_err()
            .to_string();
        assert!(error.contains("ModelFile::floats"), "{error}");
    }

    #[test]
    fn refuses_scales_that_do_not_fit() {
        let weight = |scales: &[f32]| {
            Writer::default()
                .with("w", &[2, 2], 1, &[1, 2, 3, 4])
                .floats("w_scale", &[scales.len() as u32], scales)
                .bytes()
        };
        for scales in [&[1.0][..], &[1.0; 3], &[1.0, 0.0], &[1.0, 1e-40]] {
            let bytes = weight(scales);
            let error = ModelFile::parse(&bytes).unwrap().floats("w").unwrap_err();
            assert!(
                matches!(&error, FileError::Value { name, .. } if name == "w_scale"),
                "{error}"
            );
        }
        let bytes = Writer::default().with("w", &[1], 1, &[1]).bytes();
        let error = ModelFile::parse(&bytes).unwrap().floats("w").unwrap_err();
        assert!(
            matches!(&error, FileError::Missing { name, .. } if name == "w_scale"),
            "{error}"
        );
    }

    #[test]
    fn refuses_what_is_not_finite_and_says_where() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let bytes = Writer::default()
                .floats("w", &[3], &[1.0, 2.0, bad])
                .bytes();
            let error = ModelFile::parse(&bytes).unwrap().floats("w").unwrap_err();
            // The alias count is all that follows the last number.
            let at = bytes.len() - 4 - 4;
            assert!(
                matches!(&error, FileError::Value { at: found, .. } if *found == at),
                "{error}"
            );
        }
    }

    #[test]
    fn refuses_other_files() {
        let error = ModelFile::parse(b"ggml and more").unwrap_err();
        assert_eq!(
            error,
            FileError::Version {
                found: u32::from_le_bytes(*b"ggml")
            }
        );
        assert!(error.to_string().contains("CTranslate2 folder"), "{error}");
        for version in [0, 5, 7] {
            let bytes = sample().bytes_as(version, "WhisperSpec", 3);
            assert_eq!(
                ModelFile::parse(&bytes).unwrap_err(),
                FileError::Version { found: version }
            );
        }
        for (specification, revision) in [("TransformerSpec", 3), ("WhisperSpec", 2)] {
            let bytes = sample().bytes_as(6, specification, revision);
            let error = ModelFile::parse(&bytes).unwrap_err();
            assert!(
                matches!(error, FileError::Specification { at: 4, .. }),
                "{error}"
            );
            assert!(error.to_string().contains(specification), "{error}");
        }
    }

    #[test]
    fn refuses_a_file_that_is_cut_anywhere() {
        let bytes = sample().bytes();
        assert!(bytes.len() > 200);
        for end in 0..bytes.len() {
            let error = ModelFile::parse(&bytes[..end]).unwrap_err();
            let FileError::Cut { at, need, have, .. } = &error else {
                panic!("{end}: {error}");
            };
            assert!(
                *at <= end && *have == end - at && *need > *have as u64,
                "{end}: {error}"
            );
        }
        let mut longer = bytes;
        longer.push(0);
        let error = ModelFile::parse(&longer).unwrap_err();
        assert!(
            error.to_string().contains("1 bytes follow the end"),
            "{error}"
        );
    }

    #[test]
    fn refuses_absurd_numbers() {
        let bytes = sample().bytes();
        let name = find(&bytes, "a/f32");
        let (rank, shape, kind, length) = (name + 6, name + 7, name + 15, name + 16);
        let count = name - 6;
        let overwrite = |at: usize, with: &[u8]| {
            let mut bytes = bytes.clone();
            bytes[at..at + with.len()].copy_from_slice(with);
            let error = ModelFile::parse(&bytes).unwrap_err();
            error.to_string()
        };
        let most = u32::MAX.to_le_bytes();
        for (at, with, part) in [
            (count, &most[..], "the number of variables is 4294967295"),
            (count, &16_000u32.to_le_bytes(), "needs 144000"),
            (rank, &[255], "rank of \"a/f32\" is 255"),
            (rank, &[1], "\"a/f32\""),
            (shape, &[9], "shape [9, 3]"),
            (shape, &[255; 8], "shape [4294967295, 4294967295]"),
            (kind, &[6], "type of \"a/f32\" is 6"),
            (kind, &[4], "float16 numbers of shape [2, 3]"),
            (length, &most, "data of \"a/f32\" needs 4294967295"),
            (length, &[23], "\"a/f32\" has 23 bytes"),
            (name - 2, &[0, 0], "does not end with a NUL"),
            (name - 2, &[255, 255], "needs 65535"),
            (name + 1, &[0], "does not end with a NUL"),
            (name + 5, &[1], "does not end with a NUL"),
            (name, &[0xff], "is not UTF-8"),
            (
                bytes.len() - 3,
                b"x",
                "stands for \"b/weigxt\", which is missing",
            ),
        ] {
            let error = overwrite(at, with);
            assert!(error.contains(part), "{part}: {error}");
            assert!(error.contains("at byte "), "{error}");
        }
    }

    #[test]
    fn refuses_a_product_that_overflows() {
        // 2^32 × 2^32 is 0 in 64 bits, the length of the data.
        let shape = [0x8000_0000, 0x8000_0000, 4, 1];
        let bytes = Writer::default().floats("w", &shape, &[]).bytes();
        assert!(ModelFile::parse(&bytes).is_err());
    }

    #[test]
    fn refuses_a_name_that_is_taken() {
        for writer in [
            sample().floats("a/f32", &[], &[1.0]),
            sample().alias("a/f32", "a/f16"),
            sample().alias("b/weight", "a/f16"),
        ] {
            let bytes = writer.bytes();
            let error = ModelFile::parse(&bytes).unwrap_err();
            assert!(matches!(error, FileError::Malformed { .. }), "{error}");
        }
        let bytes = sample().alias("d", "d").bytes();
        assert!(ModelFile::parse(&bytes).is_err());
    }

    /// Uses whatever can be used of a file.
    fn use_all(bytes: &[u8]) {
        let Ok(file) = ModelFile::parse(bytes) else {
            return;
        };
        for name in file.names() {
            let tensor = file.tensor(name).unwrap();
            assert_eq!(tensor.shape.iter().product::<usize>(), tensor.len());
            if let Ok(floats) = file.floats(name) {
                assert_eq!(floats.len(), tensor.len());
                assert!(floats.iter().all(|float| float.is_finite()));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 8 } else { 512 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn no_change_of_a_file_makes_it_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            end in any::<prop::sample::Index>(),
            cut in any::<bool>(),
        ) {
            let mut bytes = sample().bytes();
            for (index, byte) in changes {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            if cut {
                bytes.truncate(end.index(bytes.len()));
            }
            use_all(&bytes);
        }

        #[test]
        fn no_tail_of_a_header_makes_it_panic(
            tail in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut bytes = Writer::default().bytes();
            bytes.truncate(bytes.len() - 8);
            bytes.extend(tail);
            use_all(&bytes);
        }

        #[test]
        fn any_tensor_is_read_back(
            name in "[a-z/_0-9]{1,40}",
            floats in prop::collection::vec(-1e30f32..1e30, 0..64),
        ) {
            let bytes = Writer::default().floats(&name, &[floats.len() as u32], &floats).bytes();
            prop_assert_eq!(ModelFile::parse(&bytes).unwrap().floats(&name).unwrap(), floats);
        }
    }
}
