// SPDX-License-Identifier: MPL-2.0

//! The element under stress: many starts and stops, many sinks, storms of
//! everything that an application can do, next to services that do not work.
//!
//! What is counted for a whole process is counted in one of its own: such a
//! test starts itself again, see [`child`].

mod child;
mod cycles;
mod hostile;
mod many;
mod storm;
mod tee;
#[cfg(target_os = "linux")]
mod threads;
