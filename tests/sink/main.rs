// SPDX-License-Identifier: MPL-2.0

//! The element, in real pipelines, over real sockets.
//!
//! All tests are in one binary, because it takes long to link GStreamer and the service.
//!
//! A test whose name starts with `c` and a number is the conformance test of that number
//! for a client of the Streaming API:
//!
//! | tests | subject | where |
//! |---|---|---|
//! | C1, C2, C7 | the request that opens a connection | `handshake`; C7 also `faults` |
//! | C3, C4 | tokens that are generated and renewed | `credentials` |
//! | C5, C34, C40 | how often a service is dialed again | `faults::retries`; C5 also `faults` |
//! | C6 | which certificates to trust | `faults::certificates` |
//! | C8–C10, C16–C18 | from the open socket to the first audio | `start` |
//! | C11–C14 | every byte, in messages cut where they may be | `bytes` |
//! | C15 | no faster than real time | `pacing` |
//! | C19–C26 | the messages of the service | `receiving` |
//! | C28–C30 | stops after which it goes on: pauses and new caps | `recess` |
//! | C31–C33 | the end of a session | `closing`; how long it may take: `stopping`, `ending` |
//! | C34, C36, C37 | a plain rejoin after a lost socket | `rejoin` |
//! | C35 | what a close code means | `faults` |
//! | S7 | a service that is killed and comes back with the whole conversation | `killed` |
//! | C39, C41 | sockets that die without a close | `faults::liveness`; C39 also `faults` |
//!
//! C9, C10, C18–C25 and C27 have halves that need no wire in `crates/protocol/tests`; C6 and
//! C7 also in `crates/client/src/transport/connect/tests`.
//!
//! A test with `need` and a number in its name shows that a need of users is met: 1 any drop
//! is survived; 2 dead sockets are noticed; 5 the first words and those of an outage are
//! kept; 9 a rejoin starts with the present settings; 10 programs learn of failures; 14 a
//! failure that no retry can help is not retried; 15 retries back off; 19 no stale results;
//! 20 unknown messages are tolerated.

#[path = "../../view/accuracy.rs"]
mod accuracy;
#[path = "../common/mod.rs"]
mod common;

mod accounting;
mod bad_input;
mod buffers;
mod bytes;
mod closing;
mod credentials;
mod ending;
mod examples;
mod faults;
mod fifty_cuts;
mod findings;
mod first_error;
mod flow;
mod handshake;
mod history;
mod inputs;
mod inspect;
mod killed;
mod liveness;
mod messages;
mod neural;
mod pacing;
mod page;
mod proxy;
mod readme;
mod receiving;
mod recess;
mod refused_start;
mod rejoin;
mod secrets;
mod slice;
mod sources;
mod start;
mod states;
mod stopping;
mod stress;
mod timeline;
mod unreadable;

use symbl_testkit::{engine, speech};
