// SPDX-License-Identifier: MPL-2.0

//! The element under stress: many starts and stops, many sinks, storms of everything that an
//! application can do, and services that do not work.
//!
//! A test that measures a whole process starts itself again in a process of its own: see
//! [`child`].

mod child;
mod cycles;
mod hostile;
mod many;
mod storm;
mod tee;
#[cfg(target_os = "linux")]
mod threads;
