// SPDX-License-Identifier: MPL-2.0

//! The rules of a conversation's log, without a database, a socket or a clock.
//!
//! [`fence`] decides whether a final is appended. [`teller`] decides which entry a socket is
//! sent next. [`cluster`] is the whole of what several nodes share: nodes and their leases,
//! who is in which conversation, when a conversation is over, and the numbers of entries.
//! The time is an argument.
//!
//! The service decides by [`fence`] and [`teller`]. Its functions in SQL are held to
//! [`cluster`] by a test that draws what nodes do, and the simulation of the client runs
//! against all three.
//!
//! ```
//! use symbl_log::fence::{Part, Refusal, Stream, admit, begin};
//!
//! let first = begin(None, 1, false).expect("the first start request");
//! let said = Part { attempt: 1, from: 0, until: 400 };
//! assert_eq!(admit(false, Some(&first), Some(&said)), Ok(()));
//!
//! // The client begins again, on whatever node. What the first attempt still hears is late.
//! let second = begin(Some(first), 2, false);
//! assert_eq!(admit(false, second.as_ref(), Some(&said)), Err(Refusal::Superseded));
//! ```

pub mod cluster;
pub mod fence;
pub mod planted;
pub mod teller;
