// SPDX-License-Identifier: MPL-2.0

//! Products of 8-bit weights and 8-bit activations, with exact 32-bit sums.
//!
//! Weights have one scale for each output, activations one for each row, found when the
//! row is made. Both use −127 … 127: then AVX2's 16-bit pair sums cannot overflow.

use super::{Level, by_level};

/// Outputs that lie side by side in memory.
const BLOCK: usize = 16;
/// Inputs that one 32-bit lane takes.
const GROUP: usize = 4;
/// Bytes of a group of a block.
const STEP: usize = BLOCK * GROUP;

/// A matrix of weights, quantised and laid out for the kernels.
pub(crate) struct Weights {
    /// `[block of outputs][group of inputs][output][input]`.
    packed: Vec<i8>,
    scales: Vec<f32>,
    /// −128 times the sum of an output's weights: activations are stored plus 128.
    offsets: Vec<i32>,
    outputs: usize,
    inputs: usize,
}

impl Weights {
    /// Quantises a matrix of `[outputs][inputs]`. `inputs` is a multiple of 4.
    pub(crate) fn new(matrix: &[f32], inputs: usize) -> Self {
        assert!(inputs > 0 && inputs.is_multiple_of(GROUP), "whole groups");
        let outputs = matrix.len() / inputs;
        let blocks = outputs.div_ceil(BLOCK);
        let mut packed = vec![0; blocks * BLOCK * inputs];
        let mut scales = vec![0.0; blocks * BLOCK];
        let mut offsets = vec![0; blocks * BLOCK];
        for (output, row) in matrix.chunks_exact(inputs).enumerate() {
            let most = row.iter().fold(0.0_f32, |most, w| most.max(w.abs()));
            let scale = if most > 0.0 { most / 127.0 } else { 1.0 };
            scales[output] = scale;
            let start = output / BLOCK * BLOCK * inputs + output % BLOCK * GROUP;
            let mut sum = 0_i32;
            for (input, w) in row.iter().enumerate() {
                #[allow(clippy::cast_possible_truncation)]
                let q = (w / scale).round_ties_even() as i8;
                packed[start + input / GROUP * STEP + input % GROUP] = q;
                sum += i32::from(q);
            }
            offsets[output] = -128 * sum;
        }
        Self {
            packed,
            scales,
            offsets,
            outputs,
            inputs,
        }
    }

    /// Writes the weights of one output, as floats.
    pub(crate) fn row(&self, output: usize, row: &mut [f32]) {
        let start = output / BLOCK * BLOCK * self.inputs + output % BLOCK * GROUP;
        for (input, w) in row[..self.inputs].iter_mut().enumerate() {
            let q = self.packed[start + input / GROUP * STEP + input % GROUP];
            *w = f32::from(q) * self.scales[output];
        }
    }

    /// Writes to `y` (rows of `outputs` floats) the product with each row of `x`.
    pub(crate) fn apply(&self, level: Level, x: &Quantised, bias: &[f32], y: &mut [f32]) {
        let rows = x.scales.len();
        let blocks = self.outputs.div_ceil(BLOCK);
        assert_eq!(x.width, self.inputs, "as many inputs as weights");
        assert_eq!(x.bytes.len(), rows * self.inputs);
        assert_eq!(y.len(), rows * self.outputs);
        assert_eq!(self.packed.len(), blocks * BLOCK * self.inputs);
        assert!(self.scales.len() == blocks * BLOCK && self.offsets.len() == blocks * BLOCK);
        assert!(bias.is_empty() || bias.len() == self.outputs);
        match level {
            // SAFETY: the processor has the instructions (see `Level::is_available`), and
            // the lengths were asserted above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::apply_avx512(self, x, bias, y) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::apply_avx2(self, x, bias, y) },
            _ => self.apply_plain(x, bias, y),
        }
    }

    fn apply_plain(&self, x: &Quantised, bias: &[f32], y: &mut [f32]) {
        for (block, weights) in self.packed.chunks_exact(BLOCK * self.inputs).enumerate() {
            for (row, x_row) in x.bytes.chunks_exact(self.inputs).enumerate() {
                let mut sums: [i32; BLOCK] = self.offsets[block * BLOCK..][..BLOCK]
                    .try_into()
                    .expect("BLOCK");
                for (w, x) in weights.chunks_exact(STEP).zip(x_row.chunks_exact(GROUP)) {
                    for (sum, w) in sums.iter_mut().zip(w.chunks_exact(GROUP)) {
                        for (&w, &x) in w.iter().zip(x) {
                            *sum += i32::from(w) * i32::from(x);
                        }
                    }
                }
                self.store(
                    block,
                    &sums,
                    x.scales[row],
                    bias,
                    &mut y[row * self.outputs..],
                );
            }
        }
    }

    /// Scales the sums of one block and writes them to a row.
    #[inline(always)]
    fn store(&self, block: usize, sums: &[i32; BLOCK], scale: f32, bias: &[f32], y: &mut [f32]) {
        let first = block * BLOCK;
        let count = BLOCK.min(self.outputs - first);
        for i in 0..count {
            #[allow(clippy::cast_precision_loss)]
            let product = sums[i] as f32 * (scale * self.scales[first + i]);
            y[first + i] = product + bias.get(first + i).copied().unwrap_or(0.0);
        }
    }
}

/// Rows of activations, quantised.
#[derive(Default)]
pub(crate) struct Quantised {
    /// Each value plus 128.
    bytes: Vec<u8>,
    scales: Vec<f32>,
    width: usize,
}

impl Quantised {
    /// Quantises `rows` rows of `width` floats; each begins `stride` after the one before.
    pub(crate) fn set(
        &mut self,
        level: Level,
        x: &[f32],
        width: usize,
        stride: usize,
        rows: usize,
    ) {
        self.width = width;
        self.bytes.resize(rows * width, 0);
        self.scales.resize(rows, 0.0);
        for row in 0..rows {
            let x = &x[row * stride..][..width];
            quantise(
                level,
                x,
                &mut self.bytes[row * width..][..width],
                &mut self.scales[row],
            );
        }
    }
}

#[inline(always)]
fn quantise_body(x: &[f32], bytes: &mut [u8], scale: &mut f32) {
    /// Adding this to a small float rounds it and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let mut lanes = [0.0_f32; 16];
    for chunk in x.chunks(16) {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            let x = x.abs();
            *lane = if x > *lane { x } else { *lane };
        }
    }
    let most = lanes.iter().fold(0.0_f32, |a, &b| a.max(b));
    let factor = if most > 0.0 { 127.0 / most } else { 0.0 };
    *scale = most / 127.0;
    for (byte, &x) in bytes.iter_mut().zip(x) {
        #[allow(clippy::cast_possible_truncation)]
        let low = (x.mul_add(factor, ROUND).to_bits() & 0xff) as u8;
        *byte = low ^ 0x80;
    }
}
by_level! {
    fn quantise(x: &[f32], bytes: &mut [u8], scale: &mut f32) = quantise_body
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{BLOCK, Quantised, STEP, Weights};
    use std::arch::x86_64::*;

    /// Multiplies `R` rows by `B` blocks with AVX-512.
    ///
    /// # Safety
    ///
    /// `x` has `R` rows of `inputs` bytes, `weights` has `B` blocks.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma")]
    unsafe fn tile_avx512<const R: usize, const B: usize>(
        inputs: usize,
        x: *const u8,
        weights: *const i8,
        offsets: *const i32,
    ) -> [[__m512i; B]; R] {
        // SAFETY: the caller's promise; every index is below the counts it names.
        unsafe {
            let mut sums = [[_mm512_setzero_si512(); B]; R];
            for b in 0..B {
                let offset = _mm512_loadu_si512(offsets.add(b * BLOCK).cast());
                for row in &mut sums {
                    row[b] = offset;
                }
            }
            for group in 0..inputs / 4 {
                let mut w = [_mm512_setzero_si512(); B];
                for (b, w) in w.iter_mut().enumerate() {
                    *w = _mm512_loadu_si512(weights.add(b * BLOCK * inputs + group * STEP).cast());
                }
                for (r, row) in sums.iter_mut().enumerate() {
                    let four = x.add(r * inputs + group * 4).cast::<i32>().read_unaligned();
                    let four = _mm512_set1_epi32(four);
                    for (sum, &w) in row.iter_mut().zip(&w) {
                        *sum = _mm512_dpbusd_epi32(*sum, four, w);
                    }
                }
            }
            sums
        }
    }

    /// Runs tiles of `R` rows and `B` blocks over rows from `row`, while `R` are left.
    ///
    /// # Safety
    ///
    /// The lengths are as [`Weights::apply`] asserts them, and there are `B` blocks from
    /// `block`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma")]
    unsafe fn rows_avx512<const R: usize, const B: usize>(
        weights: &Weights,
        x: &Quantised,
        bias: &[f32],
        y: &mut [f32],
        block: usize,
        row: &mut usize,
    ) {
        let inputs = weights.inputs;
        while *row + R <= x.scales.len() {
            // SAFETY: rows from `row` to `row + R` and blocks from `block` to `block + B`
            // exist.
            let sums = unsafe {
                tile_avx512::<R, B>(
                    inputs,
                    x.bytes.as_ptr().add(*row * inputs),
                    weights.packed.as_ptr().add(block * BLOCK * inputs),
                    weights.offsets.as_ptr().add(block * BLOCK),
                )
            };
            for (r, sums) in sums.iter().enumerate() {
                let y = &mut y[(*row + r) * weights.outputs..];
                for (b, &sum) in sums.iter().enumerate() {
                    let mut lanes = [0_i32; BLOCK];
                    // SAFETY: 16 lanes of 4 bytes.
                    unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), sum) };
                    weights.store(block + b, &lanes, x.scales[*row + r], bias, y);
                }
            }
            *row += R;
        }
    }

    /// Multiplies as [`Weights::apply`] says.
    ///
    /// # Safety
    ///
    /// The lengths are as [`Weights::apply`] asserts them.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma")]
    pub(super) unsafe fn apply_avx512(
        weights: &Weights,
        x: &Quantised,
        bias: &[f32],
        y: &mut [f32],
    ) {
        const BLOCKS: usize = 4;
        let blocks = weights.outputs.div_ceil(BLOCK);
        let mut block = 0;
        while block + BLOCKS <= blocks {
            let mut row = 0;
            // SAFETY: passed on.
            unsafe {
                rows_avx512::<6, BLOCKS>(weights, x, bias, y, block, &mut row);
                rows_avx512::<3, BLOCKS>(weights, x, bias, y, block, &mut row);
                rows_avx512::<1, BLOCKS>(weights, x, bias, y, block, &mut row);
            }
            block += BLOCKS;
        }
        while block < blocks {
            let mut row = 0;
            // SAFETY: passed on.
            unsafe { rows_avx512::<1, 1>(weights, x, bias, y, block, &mut row) };
            block += 1;
        }
    }

    /// Multiplies `R` rows by one block with AVX2.
    ///
    /// # Safety
    ///
    /// `x` has `R` rows of `inputs` bytes, `weights` has one block.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn tile_avx2<const R: usize>(
        inputs: usize,
        x: *const u8,
        weights: *const i8,
    ) -> [[__m256i; 2]; R] {
        // SAFETY: the caller's promise; every index is below the counts it names.
        unsafe {
            let ones = _mm256_set1_epi16(1);
            let mut sums = [[_mm256_setzero_si256(); 2]; R];
            for group in 0..inputs / 4 {
                let w = weights.add(group * STEP);
                let w = [
                    _mm256_loadu_si256(w.cast()),
                    _mm256_loadu_si256(w.add(32).cast()),
                ];
                for (r, row) in sums.iter_mut().enumerate() {
                    let four = x.add(r * inputs + group * 4).cast::<i32>().read_unaligned();
                    let four = _mm256_set1_epi32(four ^ 0x8080_8080_u32.cast_signed());
                    let size = _mm256_abs_epi8(four);
                    for (sum, &w) in row.iter_mut().zip(&w) {
                        let pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(w, four));
                        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
                    }
                }
            }
            sums
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn rows_avx2<const R: usize>(
        weights: &Weights,
        x: &Quantised,
        bias: &[f32],
        y: &mut [f32],
        block: usize,
        row: &mut usize,
    ) {
        let inputs = weights.inputs;
        while *row + R <= x.scales.len() {
            // SAFETY: rows from `row` to `row + R` and the block exist.
            let sums = unsafe {
                tile_avx2::<R>(
                    inputs,
                    x.bytes.as_ptr().add(*row * inputs),
                    weights.packed.as_ptr().add(block * BLOCK * inputs),
                )
            };
            for (r, sums) in sums.iter().enumerate() {
                let mut lanes = [0_i32; BLOCK];
                // SAFETY: twice 8 lanes of 4 bytes.
                unsafe {
                    _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sums[0]);
                    _mm256_storeu_si256(lanes.as_mut_ptr().add(8).cast(), sums[1]);
                }
                let y = &mut y[(*row + r) * weights.outputs..];
                weights.store(block, &lanes, x.scales[*row + r], bias, y);
            }
            *row += R;
        }
    }

    /// Multiplies as [`Weights::apply`] says.
    ///
    /// # Safety
    ///
    /// The lengths are as [`Weights::apply`] asserts them.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn apply_avx2(weights: &Weights, x: &Quantised, bias: &[f32], y: &mut [f32]) {
        for block in 0..weights.outputs.div_ceil(BLOCK) {
            let mut row = 0;
            // SAFETY: passed on.
            unsafe {
                rows_avx2::<4>(weights, x, bias, y, block, &mut row);
                rows_avx2::<1>(weights, x, bias, y, block, &mut row);
            }
        }
    }
}
