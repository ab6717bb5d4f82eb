// SPDX-License-Identifier: MPL-2.0

//! Puts the modules of the service together, and ends them within a bound.

pub(crate) mod collectors;
mod drain;
#[cfg(feature = "otlp")]
mod otlp;
pub(crate) mod reload;
mod retention;
pub(crate) mod server;

#[cfg(test)]
mod tests;
