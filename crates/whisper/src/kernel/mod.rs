// SPDX-License-Identifier: MPL-2.0

//! The arithmetic of the network: matrix products, softmax, GELU, layer norm.
//!
//! Every function gives the same bits at every [`Level`]. Integer sums are exact, and a
//! sum of floats is added up in one fixed order, with fused multiply-add throughout. So a
//! final is a function of its samples on every machine.
//!
//! This is the only room of the crate with `unsafe` code. It is needed for two things:
//! calling a function that was compiled for instructions which the processor has
//! (checked once, in [`Level::best`]), and loads and stores of whole vectors in
//! [`int8`], whose bounds the safe functions around them assert.
#![allow(unsafe_code)]

mod float;
mod int8;

pub(crate) use float::{
    HEAD, Product, gelu, layer_norm, matmul, softmax, sum_of_exp, weighted_sum,
};
pub(crate) use int8::{Quantised, Weights};

/// Columns that a tile of a float product has; buffers are padded to a multiple of it.
pub(crate) const COLUMNS: usize = 32;

/// Returns `n` rounded up to whole tiles.
pub(crate) const fn padded(n: usize) -> usize {
    n.div_ceil(COLUMNS) * COLUMNS
}

/// Which instructions of the processor are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Those that every processor of this kind has. On x86-64 this is slow, because it
    /// has no fused multiply-add; on aarch64 it is NEON.
    Plain,
    /// AVX2 and FMA: x86-64 processors since 2013.
    Avx2,
    /// AVX-512 with VNNI: x86-64 servers since 2019.
    Avx512,
}

impl Level {
    /// All levels, the slowest first.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Avx2, Self::Avx512];

    /// Returns the fastest level that this processor has.
    pub fn best() -> Self {
        Self::ALL
            .into_iter()
            .rev()
            .find(|level| level.is_available())
            .unwrap_or(Self::Plain)
    }

    /// Returns `true` if this processor has the level's instructions.
    pub fn is_available(self) -> bool {
        match self {
            Self::Plain => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
                    && Self::Avx2.is_available()
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }
}

/// Defines a function that runs the same body compiled for each [`Level`].
macro_rules! by_level {
    ($(#[$attribute:meta])* $visible:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?)
     = $body:ident) => {
        $(#[$attribute])*
        $visible fn $name(level: crate::kernel::Level, $($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($argument: $type),*) {
                $body($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma")]
            fn avx512($($argument: $type),*) {
                $body($($argument),*)
            }
            match level {
                // SAFETY: a model gets a level only if `Level::is_available` says that
                // the processor has these instructions.
                #[cfg(target_arch = "x86_64")]
                crate::kernel::Level::Avx512 => unsafe { avx512($($argument),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                crate::kernel::Level::Avx2 => unsafe { avx2($($argument),*) },
                _ => $body($($argument),*),
            }
        }
    };
}
pub(crate) use by_level;

#[cfg(test)]
mod tests;
