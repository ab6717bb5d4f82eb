// SPDX-License-Identifier: MPL-2.0

//! What to do when: the conversation of a sink with a service, without I/O.
//!
//! A [`Session`] is one value. Its owner pushes audio in, tells it what the
//! socket did and what time it is, and then takes [`Output`]s until there are
//! none: dial, send this frame, close, tell the application that. It never
//! waits, sleeps, spawns or reads a clock, so the same code runs under a tokio
//! task, a test and a simulation with a virtual clock.
//!
//! The caller's loop:
//!
//! ```text
//! session.push_audio(now, …)            from the streaming thread
//! session.handle(now, Input::Text(…))   from the socket
//! session.handle_timeout(now)           when next_timeout() has passed
//! while let Some(output) = session.poll(now, writable) { do it }
//! sleep until next_timeout(), input or audio
//! ```
//!
//! The way of audio: [`chunker`] → [`spool`] → `poll`. The way of a result:
//! `handle` → [`delivery`], which finds the place in the audio that it belongs
//! to and drops what was delivered before → [`timeline`], which turns that
//! place into running time, stream time and UTC → `poll`.
//!
//! Positions in the audio are nanoseconds of audio pushed since the session
//! was made. They never restart: a flush, a format change or a reconnect leaves
//! the count going, so that one number names one moment of audio for good.
//!
//! Facts: Symbl Streaming API reference, sections on lifetimes and rejoin.

pub mod alignment;
pub mod backoff;
pub mod chunker;
pub mod config;
pub mod delivery;
pub mod event;
pub mod generation;
mod machine;
pub mod packet;
pub mod planted;
pub mod spool;
pub mod stats;
pub mod timeline;

pub use chunker::AudioFormat;
pub use config::{
    FormatChangePolicy, LeakyPolicy, PausePolicy, SessionConfig, Speaker, StallAction,
};
pub use event::{Event, EventKind, Failure, Placement, Reason, SessionEvent, State};
pub use machine::{Audio, Input, Output, Session};
pub use stats::Stats;
pub use timeline::Instants;

/// Monotonic time since an epoch that the caller chose and keeps.
pub type Time = std::time::Duration;

/// A place in the audio: nanoseconds of audio since the session was made.
pub type Position = u64;
