// SPDX-License-Identifier: MPL-2.0

//! A client of the Symbl Streaming API that loses no word.
//!
//! [`session`] decides and does no I/O: the time is an argument. `transport` (feature
//! `net`) carries out what it decides: sockets, TLS, proxies, tokens, threads. Both build
//! on [`symbl_protocol`], and neither knows GStreamer.

pub mod session;
#[cfg(feature = "net")]
pub mod transport;
