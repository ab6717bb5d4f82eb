// SPDX-License-Identifier: MPL-2.0

//! The element, in real pipelines, over real sockets.
//!
//! One binary: linking GStreamer and the service once is slow enough.
//!
//! A test whose name starts with `c` and a number is that conformance test of
//! a client of the Streaming API:
//!
//! | tests | subject | where |
//! |---|---|---|
//! | C1, C2 | the request that opens a connection | `handshake` |
//! | C8–C10, C16–C18 | from the open socket to the first audio | `start` |
//! | C11–C14 | every byte, in messages cut where they may be | `bytes` |
//! | C15 | no faster than real time | `pacing` |
//! | C19–C26 | what the service says | `receiving` |
//! | C31–C33 | the end of a session | `closing`; how long it may take: `stopping`, `ending` |
//! | C34, C36 | a plain rejoin after a lost socket | `rejoin` |
//!
//! C9, C10, C18–C25 and C27 have halves that need no wire in `tests/protocol`;
//! C6 and C7 are where they are decided, in `src/transport/connect/tests`, and
//! the retries of C5 in `src/session/machine_tests.rs`.

#[path = "../../examples/captions/accuracy.rs"]
mod accuracy;
#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code)] // the service's tests need more of it
#[path = "../../service/tests/speech/mod.rs"]
mod speech;

mod accounting;
mod bad_input;
mod bytes;
mod closing;
mod ending;
mod engine;
mod examples;
mod fifty_cuts;
mod flow;
mod handshake;
mod inputs;
mod inspect;
mod liveness;
mod messages;
mod pacing;
mod readme;
mod receiving;
mod rejoin;
mod sdk;
mod secrets;
mod slice;
mod start;
mod states;
mod stopping;
mod stress;
mod timeline;
