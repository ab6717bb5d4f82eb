// SPDX-License-Identifier: MPL-2.0

//! What travels on the wire of the Symbl Streaming API.
//!
//! Requests are written strictly: a builder refuses what the service would
//! refuse, naming the field, the value and what is allowed. Responses are read
//! tolerantly: unknown types, unknown members and nulls never fail, because a
//! caption that is dropped for a member nobody needs is a bug in the reader.
//!
//! Pure data: this module must never know a socket, a clock or GStreamer. The
//! same types serve the client (`symblsink`) and the server (`symbl-service`).

pub mod encoding;
pub mod reply;
pub mod request;
pub mod response;
pub mod timestamp;

pub use encoding::{Encoding, StreamFormat};
pub use request::{
    ClientMessage, InsightType, ModifyRequest, RequestError, StartRequest, StreamPlace, Tracker,
};
pub use response::{ParseError, ServerMessage};

/// The largest binary message that the service takes, in bytes.
pub const MAX_AUDIO_MESSAGE: usize = 8192;

/// Application-level keep-alive of the official SDKs; not JSON.
pub const PING_TEXT: &str = "__PING__";

/// The answer to [`PING_TEXT`].
pub const PONG_TEXT: &str = "__PONG__";
