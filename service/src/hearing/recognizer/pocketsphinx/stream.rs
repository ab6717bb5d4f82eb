// SPDX-License-Identifier: MPL-2.0
//! One stream of audio: voice detection, utterances, interims, finals.
//!
//! All decisions are made for frames that are counted from the first sample of the
//! stream. So the results depend on the samples alone, and not on how they were cut into
//! calls. A final comes from a decoder that was given nothing but its utterance. Interims
//! come from the stream's own decoder, which keeps what it has learnt about the channel
//! from one utterance to the next.

use std::sync::Arc;
use std::time::Duration;

use super::ffi::{Decoder, DecoderOptions, FfiError, Mode};
use super::model::Model;
use super::pool::DecoderPool;
use super::words::words;
use super::{ENGINE, failed};
use crate::hearing::recognizer::{
    Recognition, RecognizerError, RecognizerStream, text_of, time_of,
};
use crate::hearing::segmenter::{Cut, Segmenter, Utterance};

/// Audio between two looks at the interim hypothesis: 200 ms at 16 kHz.
const INTERIM_SAMPLES: usize = 3_200;

/// A stream of the engine.
pub(super) struct PocketsphinxStream {
    segmenter: Segmenter,
    decoders: Decoders,
}

/// What recognises the utterances of a stream.
struct Decoders {
    interims: Option<Interims>,
    finals: Arc<DecoderPool>,
}

impl PocketsphinxStream {
    pub(super) fn open(finals: Arc<DecoderPool>, interim: bool) -> Result<Self, FfiError> {
        Ok(Self {
            segmenter: Segmenter::new(),
            decoders: Decoders {
                interims: match interim {
                    true => Some(Interims::open(finals.model())?),
                    false => None,
                },
                finals,
            },
        })
    }
}

impl Decoders {
    fn end(&mut self, utterance: &Utterance, out: &mut Vec<Recognition>) -> Result<(), FfiError> {
        if let Some(interims) = &mut self.interims {
            interims.end()?;
        }
        let words = words(utterance, &self.finals.decode(&utterance.samples)?);
        if !words.is_empty() {
            out.push(Recognition::bare(words));
        }
        Ok(())
    }
}

impl RecognizerStream for PocketsphinxStream {
    fn push(&mut self, samples: &[i16], out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        let decoders = &mut self.decoders;
        let pushed = self.segmenter.push(samples, |cut| match cut {
            Cut::Ended(utterance) => decoders.end(&utterance, out),
            Cut::Speech(utterance) => {
                if let Some(interims) = &mut decoders.interims {
                    out.extend(interims.follow(utterance)?);
                }
                Ok(())
            }
        });
        pushed.map_err(failed)
    }

    /// Returns where the utterance in progress begins, or the next one may. The words of an
    /// utterance never begin before it.
    fn settled(&self) -> Option<Duration> {
        Some(time_of(self.segmenter.settled()))
    }

    fn finish(&mut self, out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        if let Some(utterance) = self.segmenter.finish() {
            self.decoders.end(&utterance, out).map_err(failed)?;
        }
        tracing::trace!(engine = ENGINE, "stream finished");
        Ok(())
    }
}

/// The stream's own decoder, which follows the utterance in progress.
struct Interims {
    decoder: Decoder,
    /// Number of samples of the utterance that the decoder was given. 0 between
    /// utterances.
    fed: usize,
    /// That number at the last look at the hypothesis.
    looked: usize,
    /// The last hypothesis that was returned.
    text: String,
}

impl Interims {
    fn open(model: &Model) -> Result<Self, FfiError> {
        Ok(Self {
            decoder: Decoder::open(DecoderOptions {
                acoustic: &model.acoustic,
                lm: &model.lm,
                dict: &model.dict,
                mode: Mode::Streaming,
            })?,
            fed: 0,
            looked: 0,
            text: String::new(),
        })
    }

    /// Gives the decoder the new samples of `utterance`. Returns the hypothesis if it is
    /// time for one and its text is new.
    fn follow(&mut self, utterance: &Utterance) -> Result<Option<Recognition>, FfiError> {
        let new = utterance.samples.get(self.fed..).unwrap_or_default();
        if new.is_empty() {
            return Ok(None);
        }
        if self.fed == 0 {
            self.decoder.start_utt()?;
        }
        self.decoder.process(new)?;
        self.fed += new.len();
        if self.fed - self.looked < INTERIM_SAMPLES {
            return Ok(None);
        }
        self.looked = self.fed;
        let mut words = words(utterance, &self.decoder.segments());
        for word in &mut words {
            // A hypothesis may begin in the silence before the speech.
            word.start = word.start.max(time_of(utterance.onset));
            word.end = word.end.max(word.start);
        }
        let text = text_of(&words);
        if text.is_empty() || text == self.text {
            return Ok(None);
        }
        self.text = text;
        // The search may find a better path at any time.
        Ok(Some(Recognition::Interim { words, stable: 0 }))
    }

    /// Ends the utterance.
    fn end(&mut self) -> Result<(), FfiError> {
        if self.fed > 0 {
            self.decoder.end_utt()?;
        }
        self.fed = 0;
        self.looked = 0;
        self.text.clear();
        Ok(())
    }
}
