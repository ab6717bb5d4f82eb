// SPDX-License-Identifier: MPL-2.0

//! The messages of the Symbl Streaming API, as they travel on the wire.
//!
//! [`request`] writes what a client sends, and reads it for the service. [`response`]
//! reads what the service sends, and [`reply`] writes it. So the client (`symblsink`)
//! and the server (`symbl-service`) share one set of types.
//!
//! Requests are written strictly: a builder refuses what the service would refuse,
//! and names the field, the value and what is allowed. Responses are read tolerantly:
//! unknown types, unknown members and nulls never fail, because no caption may be
//! lost for a member that no reader needs.
//!
//! Two protocols that are not Symbl's are here as well: [`session`] reads the events that
//! clients of sessions send over Socket.IO, and [`recognizer`] the lines of a recogniser that
//! is a process.
//!
//! This crate must never know a socket, a clock or GStreamer.
//!
//! ```
//! use symbl_protocol::{Encoding, ServerMessage, StartRequest, StreamFormat};
//!
//! let format = StreamFormat::new(Encoding::Linear16, 16_000)?;
//! let frame = StartRequest::new(format).to_json()?;
//! assert!(frame.contains(r#""sampleRateHertz":16000"#));
//!
//! let answer = r#"{"type":"message","message":{"type":"started_listening"}}"#;
//! assert_eq!(ServerMessage::parse(answer)?, ServerMessage::StartedListening);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod encoding;
pub mod recognizer;
pub mod reply;
pub mod request;
pub mod response;
pub mod session;
pub mod timestamp;

pub use encoding::{Encoding, StreamFormat};
pub use request::{
    ClientMessage, InsightType, ModifyRequest, RequestError, StartRequest, StreamPlace, Tracker,
};
pub use response::{ParseError, ServerMessage};

/// Maximum size of a binary message, in bytes.
pub const MAX_AUDIO_MESSAGE: usize = 8192;

/// The keep-alive text frame of the official SDKs. It is not JSON.
pub const PING_TEXT: &str = "__PING__";

/// The answer to [`PING_TEXT`].
pub const PONG_TEXT: &str = "__PONG__";
