// SPDX-License-Identifier: MPL-2.0

//! What is computed with floats.

use super::{COLUMNS, by_level};

/// Lanes in which a long sum is added up, at every level.
const LANES: usize = 16;

/// Computes e to the power of `x` to within two units in the last place, for `x` ≤ 88.
/// Below −87 it returns a number that is as good as 0.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Adding and subtracting this rounds a small float to a whole number.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts, so that `n` times the first is exact.
    let r = n.mul_add(-0.693_359_4, x);
    let r = n.mul_add(2.121_944_4e-4, r);
    let p = 1.987_569_2e-4_f32;
    let p = p.mul_add(r, 1.398_199_9e-3);
    let p = p.mul_add(r, 8.333_452e-3);
    let p = p.mul_add(r, 4.166_579_6e-2);
    let p = p.mul_add(r, 1.666_666_5e-1);
    let p = p.mul_add(r, 0.5);
    let p = p.mul_add(r * r, r) + 1.0;
    // The low bits of `shifted` are `n`; moved into the exponent they multiply by 2^n.
    f32::from_bits((shifted.to_bits() << 23).wrapping_add(p.to_bits()))
}

/// Adds up the lanes of a sum in a fixed order.
#[inline(always)]
fn total(lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    let mut lanes = lanes;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// Adds up `f` of all values.
#[inline(always)]
fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += f(value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane += f(value);
    }
    total(lanes)
}

/// Returns the largest value.
#[inline(always)]
fn largest(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    let most = rest.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    lanes.iter().fold(most, |a, &b| a.max(b))
}

#[inline(always)]
fn softmax_body(values: &mut [f32]) {
    let most = largest(values);
    for value in values.iter_mut() {
        *value = exp(*value - most);
    }
    let scale = 1.0 / sum(values, |value| value);
    for value in values.iter_mut() {
        *value *= scale;
    }
}
by_level! {
    /// Turns scores into weights that add up to 1.
    pub(crate) fn softmax(values: &mut [f32]) = softmax_body
}

#[inline(always)]
fn sum_of_exp_body(values: &[f32], most: f32, result: &mut f32) {
    *result = sum(values, |value| exp(value - most));
}
by_level! {
    /// Adds up e^(value − `most`).
    pub(crate) fn sum_of_exp(values: &[f32], most: f32, result: &mut f32) = sum_of_exp_body
}

/// Applies the Gaussian error linear unit, with the error function of Abramowitz and
/// Stegun 7.1.26, whose error is below 1.5e-7.
#[inline(always)]
fn gelu_body(values: &mut [f32]) {
    for value in values.iter_mut() {
        let x = *value;
        let a = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
        let t = 1.0 / a.mul_add(0.327_591_1, 1.0);
        let p = 1.061_405_4_f32;
        let p = p.mul_add(t, -1.453_152_1);
        let p = p.mul_add(t, 1.421_413_8);
        let p = p.mul_add(t, -0.284_496_72);
        let p = p.mul_add(t, 0.254_829_6);
        let erf = 1.0 - p * t * exp(-a * a);
        let erf = erf.copysign(x);
        *value = 0.5 * x * (1.0 + erf);
    }
}
by_level! {
    /// Applies GELU to each value.
    pub(crate) fn gelu(values: &mut [f32]) = gelu_body
}

#[inline(always)]
fn layer_norm_body(x: &[f32], gamma: &[f32], beta: &[f32], y: &mut [f32]) {
    let width = gamma.len();
    #[allow(clippy::cast_precision_loss)]
    let scale = 1.0 / width as f32;
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        let mean = sum(x, |v| v) * scale;
        let variance = sum(x, |v| (v - mean) * (v - mean)) * scale;
        let factor = 1.0 / (variance + 1e-5).sqrt();
        for (((y, &x), &gamma), &beta) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
            *y = ((x - mean) * factor).mul_add(gamma, beta);
        }
    }
}
by_level! {
    /// Normalises each row of `x` (as wide as `gamma`) into `y`.
    pub(crate) fn layer_norm(x: &[f32], gamma: &[f32], beta: &[f32], y: &mut [f32])
        = layer_norm_body
}

/// One tile of a product: `R` rows of `a`, `COLUMNS` columns of `b`.
#[allow(clippy::too_many_arguments)]
#[inline(always)]
fn tile<const R: usize>(
    depth: usize,
    a: &[f32],
    a_stride: usize,
    b: &[f32],
    b_stride: usize,
    c: &mut [f32],
    c_stride: usize,
    factor: f32,
) {
    let mut sums = [[0.0_f32; COLUMNS]; R];
    for j in 0..depth {
        let b: &[f32; COLUMNS] = b[j * b_stride..][..COLUMNS].try_into().expect("COLUMNS");
        for (r, sums) in sums.iter_mut().enumerate() {
            let a = a[r * a_stride + j];
            for (sum, &b) in sums.iter_mut().zip(b) {
                *sum = a.mul_add(b, *sum);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        for (c, &sum) in c[r * c_stride..][..COLUMNS].iter_mut().zip(sums) {
            *c = sum * factor;
        }
    }
}

/// Two matrices of a product, and how they lie in memory.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a> {
    /// Rows of the left matrix, one after the other.
    pub(crate) a: &'a [f32],
    /// From one row of the left matrix to the next.
    pub(crate) a_stride: usize,
    /// Rows of the right matrix.
    pub(crate) b: &'a [f32],
    /// From one row of the right matrix to the next.
    pub(crate) b_stride: usize,
    /// Columns of the left matrix and rows of the right one.
    pub(crate) depth: usize,
    /// Rows of the left matrix.
    pub(crate) rows: usize,
    /// Columns of the right matrix that count. Up to [`padded`](super::padded) of them are
    /// read and written; what is written there means nothing.
    pub(crate) columns: usize,
}

#[inline(always)]
fn matmul_body(product: Product<'_>, factor: f32, c: &mut [f32], c_stride: usize) {
    const ROWS: usize = 6;
    let Product {
        a,
        b,
        a_stride,
        b_stride,
        depth,
        rows,
        columns,
    } = product;
    for column in (0..columns).step_by(COLUMNS) {
        let b = &b[column..];
        let mut row = 0;
        while row + ROWS <= rows {
            let (a, c) = (&a[row * a_stride..], &mut c[row * c_stride + column..]);
            tile::<ROWS>(depth, a, a_stride, b, b_stride, c, c_stride, factor);
            row += ROWS;
        }
        while row < rows {
            let (a, c) = (&a[row * a_stride..], &mut c[row * c_stride + column..]);
            tile::<1>(depth, a, a_stride, b, b_stride, c, c_stride, factor);
            row += 1;
        }
    }
}
by_level! {
    /// Multiplies two matrices and the result by `factor`; writes it to the rows of `c`.
    pub(crate) fn matmul(product: Product<'_>, factor: f32, c: &mut [f32], c_stride: usize)
        = matmul_body
}

/// Size of an attention head.
pub(crate) const HEAD: usize = 64;

#[inline(always)]
fn weighted_rows<const R: usize>(
    weights: &[f32],
    stride: usize,
    values: &[f32],
    out: &mut [f32],
    out_stride: usize,
) {
    let count = values.len() / HEAD;
    // Half a head at a time, so that the sums stay in registers.
    for half in 0..2 {
        const HALF: usize = HEAD / 2;
        let mut sums = [[0.0_f32; HALF]; R];
        for (r, sums) in sums.iter_mut().enumerate() {
            sums.copy_from_slice(&out[r * out_stride + half * HALF..][..HALF]);
        }
        for t in 0..count {
            let v: &[f32; HALF] = values[t * HEAD + half * HALF..][..HALF]
                .try_into()
                .expect("HALF");
            for (r, sums) in sums.iter_mut().enumerate() {
                let weight = weights[r * stride + t];
                for (sum, &v) in sums.iter_mut().zip(v) {
                    *sum = weight.mul_add(v, *sum);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            out[r * out_stride + half * HALF..][..HALF].copy_from_slice(sums);
        }
    }
}

#[inline(always)]
fn weighted_sum_body(
    weights: &[f32],
    stride: usize,
    rows: usize,
    values: &[f32],
    out: &mut [f32],
    out_stride: usize,
) {
    const ROWS: usize = 6;
    let mut row = 0;
    while row + ROWS <= rows {
        let (w, o) = (&weights[row * stride..], &mut out[row * out_stride..]);
        weighted_rows::<ROWS>(w, stride, values, o, out_stride);
        row += ROWS;
    }
    while row < rows {
        let (w, o) = (&weights[row * stride..], &mut out[row * out_stride..]);
        weighted_rows::<1>(w, stride, values, o, out_stride);
        row += 1;
    }
}
by_level! {
    /// Adds to each row of `out` the values (of [`HEAD`] floats each), times that row's
    /// weights.
    pub(crate) fn weighted_sum(weights: &[f32], stride: usize, rows: usize, values: &[f32],
        out: &mut [f32], out_stride: usize) = weighted_sum_body
}
