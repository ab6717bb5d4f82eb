// SPDX-License-Identifier: MPL-2.0

use super::{HEAD, Level, Product, Quantised, Weights, padded};

/// Returns numbers between −1 and 1 that look drawn by lot.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .collect()
}

fn levels() -> impl Iterator<Item = Level> {
    Level::ALL.into_iter().filter(|level| level.is_available())
}

/// Runs `f` at every level and returns what it gives; all levels must give the same bits.
fn at_all_levels(f: impl Fn(Level) -> Vec<f32>) -> Vec<f32> {
    let plain = f(Level::Plain);
    for level in levels() {
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&f(level)), bits(&plain), "{level:?}");
    }
    plain
}

fn assert_close(found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs();
        assert!(error <= tolerance, "at {place}: {found}, not {expected}");
    }
}

#[test]
fn a_product_of_floats_is_what_it_should_be() {
    for (rows, depth, columns) in [(1, 1, 1), (7, 64, 33), (13, 240, 96)] {
        let (a, wide) = (numbers(rows * depth, 1), padded(columns));
        let mut b = vec![0.0; depth * wide];
        for (row, values) in b
            .chunks_exact_mut(wide)
            .zip(numbers(depth * columns, 2).chunks(columns))
        {
            row[..columns].copy_from_slice(values);
        }
        let found = at_all_levels(|level| {
            let product = Product {
                a: &a,
                a_stride: depth,
                b: &b,
                b_stride: wide,
                depth,
                rows,
                columns,
            };
            let mut c = vec![0.0; rows * wide];
            super::matmul(level, product, 0.5, &mut c, wide);
            c.chunks_exact(wide)
                .flat_map(|row| row[..columns].to_vec())
                .collect()
        });
        let expected: Vec<f64> = (0..rows * columns)
            .map(|at| {
                let (row, column) = (at / columns, at % columns);
                let terms = (0..depth)
                    .map(|j| f64::from(a[row * depth + j]) * f64::from(b[j * wide + column]));
                0.5 * terms.sum::<f64>()
            })
            .collect();
        assert_close(&found, &expected, 1e-4);
    }
}

#[test]
fn a_product_of_bytes_is_near_that_of_floats() {
    for (rows, inputs, outputs) in [(1, 4, 1), (1, 384, 200), (11, 240, 70), (6, 64, 16)] {
        let (x, w) = (numbers(rows * inputs, 3), numbers(outputs * inputs, 4));
        let bias = numbers(outputs, 5);
        let weights = Weights::new(&w, inputs);
        let found = at_all_levels(|level| {
            let mut quantised = Quantised::default();
            quantised.set(level, &x, inputs, inputs, rows);
            let mut y = vec![0.0; rows * outputs];
            weights.apply(level, &quantised, &bias, &mut y);
            y
        });
        let expected: Vec<f64> = (0..rows * outputs)
            .map(|at| {
                let (row, output) = (at / outputs, at % outputs);
                let terms = (0..inputs)
                    .map(|j| f64::from(x[row * inputs + j]) * f64::from(w[output * inputs + j]));
                f64::from(bias[output]) + terms.sum::<f64>()
            })
            .collect();
        // Each factor is off by at most half a step of 1/127.
        let tolerance = inputs as f64 / 127.0;
        assert_close(
            &found,
            &expected,
            tolerance.min(0.03 * (inputs as f64).sqrt()),
        );
    }
}

#[test]
fn the_largest_bytes_do_not_overflow() {
    let inputs = 1536;
    let weights = Weights::new(&vec![1.0; inputs * 16], inputs);
    for sign in [1.0, -1.0] {
        let found = at_all_levels(|level| {
            let mut quantised = Quantised::default();
            quantised.set(level, &vec![sign; inputs], inputs, inputs, 1);
            let mut y = vec![0.0; 16];
            weights.apply(level, &quantised, &[], &mut y);
            y
        });
        assert_close(&found, &[f64::from(sign) * 1536.0; 16], 0.01);
    }
}

#[test]
fn a_row_of_weights_is_near_what_it_was() {
    let w = numbers(40 * 64, 6);
    let weights = Weights::new(&w, 64);
    let mut row = vec![0.0; 64];
    for output in [0, 15, 16, 39] {
        weights.row(output, &mut row);
        let expected: Vec<f64> = w[output * 64..][..64]
            .iter()
            .map(|w| f64::from(*w))
            .collect();
        assert_close(&row, &expected, 0.5 / 127.0);
    }
}

#[test]
fn zeros_stay_zeros() {
    let weights = Weights::new(&[0.0; 64], 4);
    let y = at_all_levels(|level| {
        let mut quantised = Quantised::default();
        quantised.set(level, &[0.0; 4], 4, 4, 1);
        let mut y = vec![1.0; 16];
        weights.apply(level, &quantised, &[], &mut y);
        y
    });
    assert_eq!(y, [0.0; 16]);
}

#[test]
fn softmax_is_what_it_should_be() {
    for count in [1, 15, 16, 33, 1500] {
        let scores: Vec<f32> = numbers(count, 7).iter().map(|x| x * 12.0).collect();
        let found = at_all_levels(|level| {
            let mut weights = scores.clone();
            super::softmax(level, &mut weights);
            weights
        });
        let most = scores.iter().fold(f32::MIN, |a, &b| a.max(b));
        let exp: Vec<f64> = scores.iter().map(|x| f64::from(x - most).exp()).collect();
        let sum: f64 = exp.iter().sum();
        let expected: Vec<f64> = exp.iter().map(|e| e / sum).collect();
        assert_close(&found, &expected, 1e-6);
    }
}

#[test]
fn softmax_of_extremes_has_no_nan() {
    let found = at_all_levels(|level| {
        let mut weights = vec![-1e30, 1e30, f32::NEG_INFINITY, 0.0];
        super::softmax(level, &mut weights);
        weights
    });
    assert_close(&found, &[0.0, 1.0, 0.0, 0.0], 1e-6);
}

#[test]
fn sum_of_exp_is_what_it_should_be() {
    let values = numbers(1000, 8);
    let found = at_all_levels(|level| {
        let mut sum = 0.0;
        super::sum_of_exp(level, &values, 1.0, &mut sum);
        vec![sum]
    });
    let expected: f64 = values.iter().map(|x| f64::from(x - 1.0).exp()).sum();
    assert_close(&found, &[expected], expected * 1e-6);
}

#[test]
fn gelu_is_what_it_should_be() {
    // x times the normal distribution's function, to 6 places.
    let (x, expected): (Vec<f32>, Vec<f64>) = [
        (-6.0, 0.0),
        (-3.0, -0.004_050),
        (-1.0, -0.158_655),
        (-0.1, -0.046_017),
        (0.0, 0.0),
        (0.1, 0.053_983),
        (1.0, 0.841_345),
        (3.0, 2.995_950),
        (20.0, 20.0),
    ]
    .into_iter()
    .unzip();
    let found = at_all_levels(|level| {
        let mut values = x.clone();
        super::gelu(level, &mut values);
        values
    });
    assert_close(&found, &expected, 2e-6);
}

#[test]
fn layer_norm_is_what_it_should_be() {
    let width = 70;
    let (x, gamma, beta) = (
        numbers(3 * width, 9),
        numbers(width, 10),
        numbers(width, 11),
    );
    let found = at_all_levels(|level| {
        let mut y = vec![0.0; x.len()];
        super::layer_norm(level, &x, &gamma, &beta, &mut y);
        y
    });
    let mut expected = Vec::new();
    for row in x.chunks(width) {
        let row: Vec<f64> = row.iter().map(|v| f64::from(*v)).collect();
        let mean = row.iter().sum::<f64>() / width as f64;
        let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / width as f64;
        let normal = row.iter().map(|v| (v - mean) / (variance + 1e-5).sqrt());
        let scaled = normal.zip(&gamma).zip(&beta);
        expected.extend(scaled.map(|((n, g), b)| n * f64::from(*g) + f64::from(*b)));
    }
    assert_close(&found, &expected, 1e-5);
}

#[test]
fn a_weighted_sum_adds_to_what_is_there() {
    let (rows, count) = (8, 37);
    let (weights, values) = (numbers(rows * 40, 12), numbers(count * HEAD, 13));
    let before = numbers(rows * 100, 14);
    let found = at_all_levels(|level| {
        let mut out = before.clone();
        super::weighted_sum(level, &weights, 40, rows, &values, &mut out, 100);
        out
    });
    let mut expected: Vec<f64> = before.iter().map(|v| f64::from(*v)).collect();
    for row in 0..rows {
        for t in 0..count {
            for dim in 0..HEAD {
                expected[row * 100 + dim] +=
                    f64::from(weights[row * 40 + t]) * f64::from(values[t * HEAD + dim]);
            }
        }
    }
    assert_close(&found, &expected, 1e-5);
}
