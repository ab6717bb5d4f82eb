// SPDX-License-Identifier: MPL-2.0

//! The encoder: log-mel frames in, one vector for every 20 ms out.

use crate::attention::{Memory, Queries, Seen, attend};
use crate::kernel::{self, HEAD};
use crate::linear::{Linear, Norm, Work, add};

/// One layer of the encoder.
pub(crate) struct Layer {
    pub(crate) attention_norm: Norm,
    /// Queries, keys and values, stacked.
    pub(crate) query_key_value: Linear,
    pub(crate) attention_out: Linear,
    pub(crate) ffn_norm: Norm,
    pub(crate) ffn_in: Linear,
    pub(crate) ffn_out: Linear,
}

/// The encoder of a model.
pub(crate) struct Encoder {
    pub(crate) width: usize,
    pub(crate) bands: usize,
    /// Three frames of all bands in, in the order of `[frame][band]`.
    pub(crate) conv1: Linear,
    pub(crate) conv2: Linear,
    /// `[position][width]`.
    pub(crate) positions: Vec<f32>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) norm: Norm,
}

/// Queries that attend together; their scores stay in the cache.
const QUERIES: usize = 24;

impl Encoder {
    /// Returns how many vectors the longest window has.
    pub(crate) fn longest(&self) -> usize {
        self.positions.len() / self.width
    }

    /// Returns the vectors `[frame / 2][width]` of log-mel frames `[frame][band]`, an even
    /// number of them.
    pub(crate) fn run(&self, work: &mut Work, mel: &[f32]) -> Vec<f32> {
        let level = work.level;
        let frames = mel.len() / self.bands;
        let x = convolve(work, &self.conv1, mel, self.bands, 1);
        let mut x = convolve(work, &self.conv2, &x, self.width, 2);
        debug_assert_eq!(x.len(), frames / 2 * self.width);
        add(&mut x, &self.positions);
        let count = x.len() / self.width;
        let heads = self.width / HEAD;
        let mut weights = Vec::new();
        for layer in &self.layers {
            let stride = 3 * self.width;
            let qkv = layer
                .query_key_value
                .apply(work, &layer.attention_norm.apply(level, &x));
            let mut memory = Memory::new(heads, count);
            memory.extend(&qkv, stride, self.width, 2 * self.width);
            let mut attended = vec![0.0; x.len()];
            let seen = Seen {
                first: &memory,
                len: count,
                rest: None,
            };
            for head in 0..heads {
                for from in (0..count).step_by(QUERIES) {
                    let queries = Queries {
                        rows: &qkv[from * stride + head * HEAD..],
                        stride,
                        count: QUERIES.min(count - from),
                    };
                    let out = &mut attended[from * self.width + head * HEAD..];
                    attend(level, head, queries, seen, &mut weights, out, self.width);
                }
            }
            add(&mut x, &layer.attention_out.apply(work, &attended));
            let mut inner = layer.ffn_in.apply(work, &layer.ffn_norm.apply(level, &x));
            kernel::gelu(level, &mut inner);
            add(&mut x, &layer.ffn_out.apply(work, &inner));
        }
        self.norm.apply(level, &x)
    }
}

/// Convolves rows of `width` floats with a kernel of three rows, padded with one row of
/// zeros on each side, and applies GELU.
fn convolve(work: &mut Work, conv: &Linear, x: &[f32], width: usize, step: usize) -> Vec<f32> {
    let rows = x.len() / width / step;
    // Three rows of the padded input, one after the other, are the inputs of one output.
    let mut padded = vec![0.0; x.len() + 2 * width];
    padded[width..][..x.len()].copy_from_slice(x);
    let mut y = conv.apply_strided(work, &padded, step * width, rows);
    kernel::gelu(work.level, &mut y);
    y
}
