// SPDX-License-Identifier: MPL-2.0

//! A client of the Symbl Streaming API that loses no word.
//!
//! [`session`] decides and does no I/O: the time is an argument. [`track`] turns what it
//! says into the text beside a picture, likewise. `transport` (feature `net`) carries out
//! what the session decides: sockets, TLS, proxies, tokens, threads. All build on
//! [`symbl_protocol`], and none knows GStreamer.

pub mod session;
pub mod track;
#[cfg(feature = "net")]
pub mod transport;
