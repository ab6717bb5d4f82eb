// SPDX-License-Identifier: MPL-2.0
//! The decoders that make finals, shared by all streams.
//!
//! A decoder is only given whole utterances and keeps no history. So any decoder gives
//! the same final for the same samples. A decoder takes about 97 MB, so another one is
//! opened only when all are busy, up to the limit. Workers call this module and wait here
//! for a decoder; an async task must not.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::ffi::{Decoder, DecoderOptions, FfiError, Mode, Segment};
use super::model::Model;
use crate::hearing::pool::blocking;

/// The pool. At least one decoder is open from the start.
pub(super) struct DecoderPool {
    model: Model,
    limit: usize,
    decoders: Mutex<Decoders>,
    returned: Condvar,
}

struct Decoders {
    idle: Vec<Decoder>,
    /// Number of idle and busy decoders.
    open: usize,
}

impl DecoderPool {
    /// Opens the first decoder, which proves that library and model work;
    /// `limit` of 0 counts as 1.
    pub(super) fn open(model: Model, limit: usize) -> Result<Self, FfiError> {
        let first = open_whole(&model)?;
        Ok(Self {
            model,
            limit: limit.max(1),
            decoders: Mutex::new(Decoders {
                idle: vec![first],
                open: 1,
            }),
            returned: Condvar::new(),
        })
    }

    /// Returns the model that the decoders use.
    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    /// Recognises one whole utterance.
    pub(super) fn decode(&self, samples: &[i16]) -> Result<Vec<Segment>, FfiError> {
        self.with_decoder(|decoder| {
            decoder.start_utt()?;
            decoder.process(samples)?;
            decoder.end_utt()?;
            Ok(decoder.segments())
        })
    }

    /// Returns those of `words` that the dictionary does not know.
    pub(super) fn unknown_words<'a>(&self, words: &[&'a str]) -> Result<Vec<&'a str>, FfiError> {
        self.with_decoder(|decoder| {
            let unknown = |word: &&&str| !decoder.lookup_word(word);
            Ok(words.iter().filter(unknown).copied().collect())
        })
    }

    fn with_decoder<T>(
        &self,
        work: impl FnOnce(&mut Decoder) -> Result<T, FfiError>,
    ) -> Result<T, FfiError> {
        let mut lease = Lease {
            pool: self,
            decoder: None,
        };
        let decoder = match self.idle() {
            Some(decoder) => decoder,
            None => open_whole(&self.model)?,
        };
        let decoder = lease.decoder.insert(decoder);
        let result = work(decoder);
        if result.is_err() {
            // The decoder's state is unknown, so the next utterance gets another one.
            lease.decoder = None;
        }
        result
    }

    /// Waits for an idle decoder. Returns `None` if the caller may open another one.
    fn idle(&self) -> Option<Decoder> {
        blocking(|| self.wait_for_idle())
    }

    fn wait_for_idle(&self) -> Option<Decoder> {
        let mut decoders = self.lock();
        loop {
            if let Some(decoder) = decoders.idle.pop() {
                return Some(decoder);
            }
            if decoders.open < self.limit {
                decoders.open += 1;
                return None;
            }
            decoders = self
                .returned
                .wait(decoders)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Decoders> {
        self.decoders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the open decoders, or the right to open one. Dropping it gives the decoder
/// back, or only the right if there is no decoder.
struct Lease<'a> {
    pool: &'a DecoderPool,
    decoder: Option<Decoder>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut decoders = self.pool.lock();
        match self.decoder.take() {
            Some(decoder) => decoders.idle.push(decoder),
            None => decoders.open -= 1,
        }
        drop(decoders);
        self.pool.returned.notify_one();
    }
}

fn open_whole(model: &Model) -> Result<Decoder, FfiError> {
    Decoder::open(DecoderOptions {
        acoustic: &model.acoustic,
        lm: &model.lm,
        dict: &model.dict,
        mode: Mode::Whole,
    })
}
