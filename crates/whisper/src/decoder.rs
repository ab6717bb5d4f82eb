// SPDX-License-Identifier: MPL-2.0

//! The decoder: tokens in, the next token's logits out.

use crate::attention::{Memory, Queries, Seen, attend};
use crate::kernel::{self, HEAD};
use crate::linear::{Linear, Norm, Work, add};

/// One layer of the decoder.
pub(crate) struct Layer {
    pub(crate) self_norm: Norm,
    /// Queries, keys and values, stacked.
    pub(crate) self_query_key_value: Linear,
    pub(crate) self_out: Linear,
    pub(crate) cross_norm: Norm,
    pub(crate) cross_query: Linear,
    /// Keys and values of the encoder's vectors, stacked.
    pub(crate) cross_key_value: Linear,
    pub(crate) cross_out: Linear,
    pub(crate) ffn_norm: Norm,
    pub(crate) ffn_in: Linear,
    pub(crate) ffn_out: Linear,
}

/// The decoder of a model.
pub(crate) struct Decoder {
    pub(crate) width: usize,
    /// The embedding of each token, and the projection onto the vocabulary.
    pub(crate) projection: Linear,
    /// `[position][width]`.
    pub(crate) positions: Vec<f32>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) norm: Norm,
    /// Layer and head of those whose attention follows the audio.
    pub(crate) alignment_heads: Vec<(usize, usize)>,
}

/// What the decoder can look at: keys and values of each layer.
pub(crate) type CrossMemory = Vec<Memory>;

impl Decoder {
    /// Returns how many tokens the model can take.
    pub(crate) fn longest(&self) -> usize {
        self.positions.len() / self.width
    }

    /// Returns each layer's keys and values of the encoder's vectors.
    pub(crate) fn look_at(&self, work: &mut Work, encoded: &[f32]) -> CrossMemory {
        let count = encoded.len() / self.width;
        self.layers
            .iter()
            .map(|layer| {
                let rows = layer.cross_key_value.apply(work, encoded);
                let mut memory = Memory::new(self.width / HEAD, count);
                memory.extend(&rows, 2 * self.width, 0, self.width);
                memory
            })
            .collect()
    }
}

/// A decoder at work on one utterance.
pub(crate) struct Decoding<'a> {
    decoder: &'a Decoder,
    /// What is heard of the utterance.
    heard: &'a CrossMemory,
    /// What is remembered of silence: it follows the utterance from its end on.
    silence: &'a CrossMemory,
    past: Vec<Memory>,
    /// Attention of the alignment heads: for each head the rows of all tokens.
    attention: Vec<Vec<f32>>,
    weights: Vec<f32>,
    /// Frames of attention that are kept.
    frames: usize,
    room: usize,
}

impl<'a> Decoding<'a> {
    /// Begins an utterance that has at most `room` tokens, prompt included. Attention to
    /// the first `frames` encoder vectors is kept.
    pub(crate) fn new(
        decoder: &'a Decoder,
        heard: &'a CrossMemory,
        silence: &'a CrossMemory,
        room: usize,
        frames: usize,
    ) -> Self {
        let room = room.min(decoder.longest());
        let heads = decoder.width / HEAD;
        let past = decoder
            .layers
            .iter()
            .map(|_| Memory::new(heads, room))
            .collect();
        Self {
            decoder,
            heard,
            silence,
            past,
            attention: vec![Vec::new(); decoder.alignment_heads.len()],
            weights: Vec::new(),
            frames,
            room,
        }
    }

    /// Returns how many tokens were fed.
    pub(crate) fn len(&self) -> usize {
        self.past.first().map_or(0, Memory::len)
    }

    /// Returns how many more tokens may be fed.
    pub(crate) fn room(&self) -> usize {
        self.room - self.len()
    }

    /// Forgets all tokens but the first `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        for past in &mut self.past {
            past.truncate(len);
        }
        for rows in &mut self.attention {
            rows.truncate(len * self.frames);
        }
    }

    /// Returns the attention of each alignment head: a row of `frames` weights for each
    /// token that was fed.
    pub(crate) fn attention(&self) -> &[Vec<f32>] {
        &self.attention
    }

    /// Feeds tokens (at least one, at most [`Decoding::room`]) and returns the logits after
    /// those at the places `wanted`, one row of the vocabulary after the other.
    pub(crate) fn feed(&mut self, work: &mut Work, tokens: &[u32], wanted: &[usize]) -> Vec<f32> {
        let Self {
            decoder,
            heard,
            silence,
            ..
        } = *self;
        let (level, width) = (work.level, decoder.width);
        let heads = width / HEAD;
        let before = self.len();
        let mut x = vec![0.0; tokens.len() * width];
        for (i, (&token, x)) in tokens.iter().zip(x.chunks_exact_mut(width)).enumerate() {
            decoder.projection.row(token as usize, x);
            add(x, &decoder.positions[(before + i) * width..][..width]);
        }
        for (index, layer) in decoder.layers.iter().enumerate() {
            let stride = 3 * width;
            let norm = layer.self_norm.apply(level, &x);
            let qkv = layer.self_query_key_value.apply(work, &norm);
            let past = &mut self.past[index];
            past.extend(&qkv, stride, width, 2 * width);
            let mut attended = vec![0.0; x.len()];
            for i in 0..tokens.len() {
                let seen = Seen {
                    first: past,
                    len: before + i + 1,
                    rest: None,
                };
                for head in 0..heads {
                    let rows = &qkv[i * stride + head * HEAD..];
                    let queries = Queries {
                        rows,
                        stride,
                        count: 1,
                    };
                    let out = &mut attended[i * width + head * HEAD..];
                    attend(level, head, queries, seen, &mut self.weights, out, width);
                }
            }
            add(&mut x, &layer.self_out.apply(work, &attended));
            let norm = layer.cross_norm.apply(level, &x);
            let queries = layer.cross_query.apply(work, &norm);
            let mut attended = vec![0.0; x.len()];
            let heard = &heard[index];
            let silence = &silence[index];
            let seen = Seen {
                first: heard,
                len: heard.len(),
                rest: (silence.len() > heard.len()).then_some((silence, heard.len())),
            };
            for head in 0..heads {
                let rows = &queries[head * HEAD..];
                let queries = Queries {
                    rows,
                    stride: width,
                    count: tokens.len(),
                };
                let out = &mut attended[head * HEAD..];
                let weights = &mut self.weights;
                let stride = attend(level, head, queries, seen, weights, out, width);
                let kept = decoder.alignment_heads.iter().zip(&mut self.attention);
                for (_, rows) in kept.filter(|(place, _)| **place == (index, head)) {
                    for row in weights.chunks_exact(stride) {
                        rows.extend_from_slice(&row[..self.frames]);
                    }
                }
            }
            add(&mut x, &layer.cross_out.apply(work, &attended));
            let mut inner = layer.ffn_in.apply(work, &layer.ffn_norm.apply(level, &x));
            kernel::gelu(level, &mut inner);
            add(&mut x, &layer.ffn_out.apply(work, &inner));
        }
        let mut last = Vec::with_capacity(wanted.len() * width);
        for &place in wanted {
            last.extend_from_slice(&x[place * width..][..width]);
        }
        decoder
            .projection
            .apply(work, &decoder.norm.apply(level, &last))
    }
}
