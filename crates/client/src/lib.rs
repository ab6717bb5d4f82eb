// SPDX-License-Identifier: MPL-2.0

//! A client of the Symbl Streaming API that loses no word.
//!
//! [`session`] decides and does no I/O: the time is an argument. [`track`] turns what it
//! says into the text beside a picture, likewise. `transport` (feature `net`) carries out
//! what the session decides: sockets, TLS, proxies, tokens, threads. All build on
//! [`symbl_protocol`], and none knows GStreamer.
//!
//! A session is driven by what its caller says has happened:
//!
//! ```
//! use std::time::Duration;
//! use symbl_client::session::{AudioFormat, Input, Output, Session, SessionConfig, State};
//! use symbl_protocol::{Encoding, StartRequest, StreamFormat};
//!
//! let format = StreamFormat::new(Encoding::Linear16, 16_000)?;
//! let mut session = Session::new(SessionConfig::new(StartRequest::new(format)));
//! let now = Duration::ZERO;
//! session.start(now);
//! session.set_format(now, AudioFormat::new(format));
//! assert_eq!(session.poll(now, true), Some(Output::Dial));
//!
//! // The caller has dialled. What the session wants to send goes to the socket.
//! session.handle(now, Input::Connected { announced: false });
//! let outputs: Vec<Output> = std::iter::from_fn(|| session.poll(now, true)).collect();
//! assert!(outputs.iter().any(
//!     |output| matches!(output, Output::Text(text) if text.contains("start_request"))
//! ));
//!
//! // What the socket receives goes to the session.
//! let answer = r#"{"type":"message","message":{"type":"started_listening"}}"#;
//! session.handle(now, Input::Text(answer));
//! assert_eq!(session.state(), State::Listening);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod session;
pub mod track;
#[cfg(feature = "net")]
pub mod transport;
