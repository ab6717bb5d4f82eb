// SPDX-License-Identifier: MPL-2.0

//! A layer that multiplies by a matrix and adds a bias.

use crate::kernel::{self, Level, Product, Quantised, Weights};

/// How the weights of a model are kept and multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 8-bit weights and activations with exact sums: small, fast, and the same bits on
    /// every machine.
    #[default]
    Int8,
    /// 32-bit floats: four times as large and as slow. It is what a reference is compared
    /// with.
    Float,
}

/// Buffers that the layers of one pass share, and the level they compute at.
pub(crate) struct Work {
    pub(crate) level: Level,
    quantised: Quantised,
    floats: Vec<f32>,
}

impl Work {
    /// Returns buffers for a pass at a level.
    pub(crate) fn new(level: Level) -> Self {
        Self {
            level,
            quantised: Quantised::default(),
            floats: Vec::new(),
        }
    }
}

enum Matrix {
    Int8(Weights),
    /// `[inputs][outputs, padded]`.
    Float(Vec<f32>),
}

/// A matrix of weights and a bias.
pub(crate) struct Linear {
    matrix: Matrix,
    bias: Vec<f32>,
    inputs: usize,
    outputs: usize,
}

impl Linear {
    /// Makes a layer of weights `[outputs][inputs]` and a bias that may be empty.
    pub(crate) fn new(
        weights: &[f32],
        bias: Vec<f32>,
        inputs: usize,
        precision: Precision,
    ) -> Self {
        let outputs = weights.len() / inputs;
        let matrix = match precision {
            Precision::Int8 => Matrix::Int8(Weights::new(weights, inputs)),
            Precision::Float => {
                let stride = kernel::padded(outputs);
                let mut columns = vec![0.0; inputs * stride];
                for (output, row) in weights.chunks_exact(inputs).enumerate() {
                    for (input, &w) in row.iter().enumerate() {
                        columns[input * stride + output] = w;
                    }
                }
                Matrix::Float(columns)
            }
        };
        Self {
            matrix,
            bias,
            inputs,
            outputs,
        }
    }

    /// Returns the outputs for rows of inputs that lie one after the other.
    pub(crate) fn apply(&self, work: &mut Work, x: &[f32]) -> Vec<f32> {
        self.apply_strided(work, x, self.inputs, x.len() / self.inputs)
    }

    /// Returns the outputs for `rows` rows of inputs; each begins `stride` after the one
    /// before.
    pub(crate) fn apply_strided(
        &self,
        work: &mut Work,
        x: &[f32],
        stride: usize,
        rows: usize,
    ) -> Vec<f32> {
        let mut y = vec![0.0; rows * self.outputs];
        match &self.matrix {
            Matrix::Int8(weights) => {
                work.quantised.set(work.level, x, self.inputs, stride, rows);
                weights.apply(work.level, &work.quantised, &self.bias, &mut y);
            }
            Matrix::Float(columns) => {
                let b_stride = kernel::padded(self.outputs);
                work.floats.clear();
                work.floats.resize(rows * b_stride, 0.0);
                let product = Product {
                    a: x,
                    a_stride: stride,
                    b: columns,
                    b_stride,
                    depth: self.inputs,
                    rows,
                    columns: self.outputs,
                };
                kernel::matmul(work.level, product, 1.0, &mut work.floats, b_stride);
                let products = work.floats.chunks_exact(b_stride);
                for (y, product) in y.chunks_exact_mut(self.outputs).zip(products) {
                    y.copy_from_slice(&product[..self.outputs]);
                    add(y, &self.bias);
                }
            }
        }
        y
    }

    /// Returns how many outputs there are.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Writes the weights of one output: the embedding of a token, where the matrix is the
    /// projection onto the vocabulary.
    pub(crate) fn row(&self, output: usize, row: &mut [f32]) {
        match &self.matrix {
            Matrix::Int8(weights) => weights.row(output, row),
            Matrix::Float(columns) => {
                let stride = kernel::padded(self.outputs);
                for (input, w) in row[..self.inputs].iter_mut().enumerate() {
                    *w = columns[input * stride + output];
                }
            }
        }
    }
}

/// The normalisation of a layer's rows.
pub(crate) struct Norm {
    pub(crate) gamma: Vec<f32>,
    pub(crate) beta: Vec<f32>,
}

impl Norm {
    /// Returns the rows of `x`, normalised.
    pub(crate) fn apply(&self, level: Level, x: &[f32]) -> Vec<f32> {
        let mut y = vec![0.0; x.len()];
        kernel::layer_norm(level, x, &self.gamma, &self.beta, &mut y);
        y
    }
}

/// Adds `b` to `a`, as far as `b` goes.
pub(crate) fn add(a: &mut [f32], b: &[f32]) {
    for (a, b) in a.iter_mut().zip(b) {
        *a += b;
    }
}
