// SPDX-License-Identifier: MPL-2.0

//! Faults on purpose: what services and networks do wrong, by name, for tests
//! of clients.
//!
//! A script has one fault for each connection in the order of their arrival;
//! connections after those are served well. A fault is written
//! `NAME[=VALUE][@WHEN]`:
//!
//! ```
//! use symbl_service::fault::{Fault, Faults};
//!
//! let script: Result<Vec<Fault>, _> =
//!     ["reset@3s", "none", "http=503:2s", "close=1011@start"].iter().map(|f| f.parse()).collect();
//! let faults = Faults::script(script?);
//! # Ok::<(), symbl_service::fault::ParseFaultError>(())
//! ```
//!
//! The layer is thin: `door` is the listening socket, `wire` the accepted one,
//! `fragments` cuts frames, `mouth` stands before the writer, and `line` is what
//! they share of one connection. A connection without a fault goes through the
//! same places and nothing happens there.

mod door;
mod fragments;
mod line;
mod mouth;
mod name;
mod wire;

pub use name::{HELP, ParseFaultError};

pub(crate) use door::{Accepted, Door};
pub(crate) use line::{Line, OnLine};
pub(crate) use mouth::through;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What goes wrong with a connection, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: Kind,
    /// From when on.
    pub when: When,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Nothing.
    None,
    /// Before this connection nobody listens for so long: who dials is refused.
    Refuse(Duration),
    /// Before this connection who dials is not even refused for so long, as if
    /// packets were lost.
    BlackHole(Duration),
    /// The connection is reset.
    Reset,
    /// The connection ends without a close frame.
    Fin,
    /// The connection stays open, and nothing is read or written any more.
    HalfOpen,
    /// At most so many bytes are read in a second. What is said is said.
    SlowRead(u64),
    /// No answer to the upgrade, the start or the stop. Pings are answered.
    NoAnswer,
    /// The upgrade is answered with this status.
    Http {
        /// 400 to 599.
        status: u16,
        /// In whole seconds.
        retry_after: Option<Duration>,
    },
    /// The upgrade is answered with a redirect.
    Redirect,
    /// `Sec-WebSocket-Accept` answers another key.
    WrongAccept,
    /// `Sec-WebSocket-Accept` is missing.
    NoAccept,
    /// The socket is closed with this code; 1005: with a close frame without one.
    Close(u16),
    /// The connection id begins a new conversation.
    Split,
    /// Audio is taken and pings are answered, and there are no results.
    Mute,
    /// Everything that is said is said so much later.
    Delay(Duration),
    /// Each result is said twice.
    Duplicate,
    /// Results are said in pairs, the second first.
    Reorder,
    /// All messages are cut into WebSocket fragments of a few bytes.
    Fragments,
    /// A text message that is no JSON.
    NotJson,
    /// A binary message.
    Binary,
    /// A text message of 16 MiB.
    Huge,
    /// A message of a type that nobody knows.
    UnknownType,
    /// An error, as a message of its own.
    Error,
    /// An error inside of a `message`.
    ErrorEnvelope,
    /// `processing_terminated`, and no results after it. The socket stays open.
    Terminated,
}

/// When a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// When the connection is accepted; over TLS that is before its handshake.
    Accept,
    /// When the upgrade is asked for.
    Upgrade,
    /// When a start was acknowledged; `NoAnswer` and `Delay`: when it is asked for.
    Start,
    /// When a stop is asked for.
    Stop,
    /// When so much audio came. Of FLAC and Opus, whose length is not to be
    /// seen, when so much time has passed since the first of it.
    Audio(Duration),
    /// When so many bytes of audio came.
    AudioBytes(u64),
}

impl Fault {
    /// A connection that is served well.
    pub const NONE: Self = Self {
        kind: Kind::None,
        when: When::Accept,
    };
}

/// The faults of a server, one for each connection to come.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Script>>);

#[derive(Debug, Default)]
struct Script {
    faults: VecDeque<Fault>,
    repeats: bool,
    connections: usize,
}

impl Faults {
    /// The n-th connection gets the n-th of `faults`, later ones none. A
    /// connection for each HTTP request counts too.
    pub fn script(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self::new(faults, false)
    }

    /// The same, and begins anew when it is through.
    pub fn repeating(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self::new(faults, true)
    }

    fn new(faults: impl IntoIterator<Item = Fault>, repeats: bool) -> Self {
        Self(Arc::new(Mutex::new(Script {
            faults: faults.into_iter().collect(),
            repeats,
            connections: 0,
        })))
    }

    /// How many connections were accepted. Those that were refused are not seen.
    pub fn connections(&self) -> usize {
        self.lock().connections
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any of the faults needs the port to be closed.
    fn closes_the_port(&self) -> bool {
        self.lock()
            .faults
            .iter()
            .any(|fault| fault.closes_the_port())
    }

    /// Whether the port is to be closed before the next connection.
    fn next_closes(&self) -> bool {
        let script = self.lock();
        script.faults.front().is_some_and(Fault::closes_the_port)
    }

    /// What is to happen to the port before the next connection.
    fn next_closing(&self) -> Option<Kind> {
        let next = self.next_closes().then(|| self.lock().take());
        next.flatten().map(|fault| fault.kind)
    }

    /// The fault of the connection that was just accepted.
    fn accepted(&self) -> Fault {
        let mut script = self.lock();
        script.connections += 1;
        script.take().unwrap_or(Fault::NONE)
    }
}

impl Script {
    fn take(&mut self) -> Option<Fault> {
        let fault = self.faults.pop_front()?;
        if self.repeats {
            self.faults.push_back(fault);
        }
        Some(fault)
    }
}

impl Fault {
    fn closes_the_port(&self) -> bool {
        matches!(self.kind, Kind::Refuse(_) | Kind::BlackHole(_))
    }
}
