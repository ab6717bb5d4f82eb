// SPDX-License-Identifier: MPL-2.0

//! Injects faults on purpose, so that clients can be tested: the usual failures of
//! services and networks, by name.
//!
//! A script has one fault for each connection, in the order in which connections
//! arrive. Later connections have no fault. A fault is written `NAME[=VALUE][@WHEN]`:
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
//! The faults are at the seams (`seams`) of the server and its connections: `port` is at
//! those of the listening socket, and `state` at those of a connection with a fault.
//! `stream` carries its bytes, `fragments` cuts frames, and `outbox` changes what a
//! session sends. A connection without a fault has nothing of this.

mod fragments;
mod name;
mod outbox;
mod port;
mod state;
mod stream;

pub use name::{HELP, ParseFaultError};

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The fault of a connection, and when it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: Kind,
    /// The moment from which on it applies.
    pub when: When,
}

/// The kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// No fault.
    None,
    /// Closes the port for this long before this connection: a dial is refused.
    Refuse(Duration),
    /// Drops the packets of a dial for this long before this connection, as a network
    /// does that loses them.
    BlackHole(Duration),
    /// Resets the connection.
    Reset,
    /// Ends the connection without a close frame.
    Fin,
    /// Keeps the connection open, but reads and writes nothing more.
    HalfOpen,
    /// Reads at most this many bytes per second. Messages are sent as usual.
    SlowRead(u64),
    /// Does not answer the upgrade, the start or the stop. Pings are answered.
    NoAnswer,
    /// Answers the upgrade with this status.
    Http {
        /// 400 to 599.
        status: u16,
        /// `Retry-After`, in whole seconds.
        retry_after: Option<Duration>,
    },
    /// Answers the upgrade with a redirect.
    Redirect,
    /// Sends a `Sec-WebSocket-Accept` for another key.
    WrongAccept,
    /// Leaves out `Sec-WebSocket-Accept`.
    NoAccept,
    /// Closes the socket with this code. 1005 stands for a close frame without a
    /// code.
    Close(u16),
    /// Begins a new conversation with the connection id.
    Split,
    /// Accepts audio and answers pings, but sends no results.
    Mute,
    /// Delays each message by this time.
    Delay(Duration),
    /// Sends each result twice.
    Duplicate,
    /// Sends results in pairs, the second one first.
    Reorder,
    /// Cuts all messages into WebSocket fragments of a few bytes.
    Fragments,
    /// Sends a text message that is not JSON.
    NotJson,
    /// Sends a binary message.
    Binary,
    /// Sends a text message of 16 MiB.
    Huge,
    /// Sends a message of an unknown type.
    UnknownType,
    /// Sends an error, as a message of its own.
    Error,
    /// Sends an error inside a `message`.
    ErrorEnvelope,
    /// Sends `processing_terminated`, and no results after it. The socket stays open.
    Terminated,
}

/// The moment at which a fault applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// When the connection is accepted. Over TLS that is before the handshake.
    Accept,
    /// When the client asks for the upgrade.
    Upgrade,
    /// When a start was acknowledged. `NoAnswer` and `Delay` apply to the start
    /// request itself.
    Start,
    /// When the client asks for a stop.
    Stop,
    /// When this much audio has come. The duration of FLAC and Opus is not known, so
    /// for these it is the time since the first audio.
    Audio(Duration),
    /// When this many bytes of audio have come.
    AudioBytes(u64),
}

impl Fault {
    /// A connection without a fault.
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
    /// Gives the n-th connection the n-th of `faults`, and later connections none.
    /// Connections for HTTP requests count too.
    pub fn script(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self::new(faults, false)
    }

    /// Gives the n-th connection the n-th of `faults`, and begins again after the
    /// last one.
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

    /// Returns how many connections were accepted. Refused dials are not counted.
    pub fn connections(&self) -> usize {
        self.lock().connections
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns `true` if any of the faults closes the port.
    fn closes_the_port(&self) -> bool {
        self.lock()
            .faults
            .iter()
            .any(|fault| fault.closes_the_port())
    }

    /// Returns `true` if the next fault closes the port.
    fn next_closes(&self) -> bool {
        let script = self.lock();
        script.faults.front().is_some_and(Fault::closes_the_port)
    }

    /// Takes the next fault if it closes the port.
    fn next_closing(&self) -> Option<Kind> {
        let next = self.next_closes().then(|| self.lock().take());
        next.flatten().map(|fault| fault.kind)
    }

    /// Takes the fault of the connection that was just accepted.
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
