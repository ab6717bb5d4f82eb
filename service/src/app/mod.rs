// SPDX-License-Identifier: MPL-2.0

//! Puts the rooms together, and ends them within a bound.

pub(crate) mod collectors;
pub(crate) mod server;

#[cfg(test)]
mod tests;
