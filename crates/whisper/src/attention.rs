// SPDX-License-Identifier: MPL-2.0

//! Attention of one head over keys and values that lie as the kernels want them.

use crate::kernel::{self, HEAD, Level, Product};

/// Keys and values of every head of a layer.
///
/// Keys are `[head][HEAD][capacity]`, so that scores of neighbouring positions are computed
/// side by side; values are `[head][capacity][HEAD]`.
#[derive(Clone)]
pub(crate) struct Memory {
    keys: Vec<f32>,
    values: Vec<f32>,
    heads: usize,
    /// Positions that there is room for, padded to whole tiles.
    capacity: usize,
    /// Positions that are filled.
    len: usize,
}

impl Memory {
    /// Makes an empty memory for `capacity` positions.
    pub(crate) fn new(heads: usize, capacity: usize) -> Self {
        let capacity = kernel::padded(capacity);
        Self {
            // One tile more, because tiles may begin anywhere in a row.
            keys: vec![0.0; heads * HEAD * capacity + kernel::COLUMNS],
            values: vec![0.0; heads * HEAD * capacity],
            heads,
            capacity,
            len: 0,
        }
    }

    /// Returns how many positions are filled.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Forgets all positions but the first `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Appends rows; each has the keys of all heads at `key` and the values at `value`.
    pub(crate) fn extend(&mut self, rows: &[f32], stride: usize, key: usize, value: usize) {
        let count = rows.len() / stride;
        assert!(self.len + count <= self.capacity, "room for what comes");
        for head in 0..self.heads {
            for dim in 0..HEAD {
                let place = (head * HEAD + dim) * self.capacity + self.len;
                let keys = &mut self.keys[place..][..count];
                let column = key + head * HEAD + dim;
                for (k, row) in keys.iter_mut().zip(rows.chunks_exact(stride)) {
                    *k = row[column];
                }
            }
            for (i, row) in rows.chunks_exact(stride).enumerate() {
                let place = (head * self.capacity + self.len + i) * HEAD;
                self.values[place..][..HEAD].copy_from_slice(&row[value + head * HEAD..][..HEAD]);
            }
        }
        self.len += count;
    }

    /// Writes the scores of `rows` queries of a head for positions from `from` to `to`.
    fn scores(
        &self,
        level: Level,
        head: usize,
        (from, to): (usize, usize),
        queries: Queries<'_>,
        scores: &mut [f32],
        stride: usize,
    ) {
        let product = Product {
            a: queries.rows,
            a_stride: queries.stride,
            b: &self.keys[head * HEAD * self.capacity + from..],
            b_stride: self.capacity,
            depth: HEAD,
            rows: queries.count,
            columns: to - from,
        };
        // 1 / sqrt(64)
        kernel::matmul(level, product, 0.125, scores, stride);
    }

    fn values(&self, head: usize, from: usize, to: usize) -> &[f32] {
        &self.values[(head * self.capacity + from) * HEAD..(head * self.capacity + to) * HEAD]
    }
}

/// Queries of one head: the first begins where the slice does.
#[derive(Clone, Copy)]
pub(crate) struct Queries<'a> {
    pub(crate) rows: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) count: usize,
}

/// What queries attend to: the beginning of one memory and, behind it, the end of another.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) first: &'a Memory,
    /// How many positions of `first` count.
    pub(crate) len: usize,
    /// The other memory, and its first position that counts.
    pub(crate) rest: Option<(&'a Memory, usize)>,
}

/// Lets queries of a head attend to what they see, and adds that to the rows of `out`.
///
/// Leaves the weights of each query in a row of `weights`, and returns how far apart these
/// rows are.
pub(crate) fn attend(
    level: Level,
    head: usize,
    queries: Queries<'_>,
    seen: Seen<'_>,
    weights: &mut Vec<f32>,
    out: &mut [f32],
    out_stride: usize,
) -> usize {
    let Seen {
        first: memory,
        len,
        rest,
    } = seen;
    let count = len + rest.map_or(0, |(memory, from)| memory.len() - from);
    let stride = kernel::padded(count) + 2 * kernel::COLUMNS;
    weights.resize(queries.count * stride, 0.0);
    memory.scores(level, head, (0, len), queries, weights, stride);
    if let Some((memory, from)) = rest {
        // Written after those of the first, whose last tile reaches beyond its end.
        memory.scores(
            level,
            head,
            (from, memory.len()),
            queries,
            &mut weights[len..],
            stride,
        );
    }
    for row in weights.chunks_exact_mut(stride) {
        kernel::softmax(level, &mut row[..count]);
    }
    kernel::weighted_sum(
        level,
        weights,
        stride,
        queries.count,
        memory.values(head, 0, len),
        out,
        out_stride,
    );
    if let Some((memory, from)) = rest {
        kernel::weighted_sum(
            level,
            &weights[len..],
            stride,
            queries.count,
            memory.values(head, from, memory.len()),
            out,
            out_stride,
        );
    }
    stride
}
