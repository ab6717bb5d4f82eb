// SPDX-License-Identifier: MPL-2.0

//! How sockets and sessions end.

use crate::conversation::hub::Leave;

/// How a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// With a close frame of ours.
    Close {
        code: u16,
        reason: &'static str,
        leave: Leave,
    },
    /// The client's socket is gone or closing.
    Gone(Leave),
}

impl Closing {
    /// The code of our close frame; 0 without one.
    pub(crate) fn code(self) -> u16 {
        match self {
            Self::Close { code, .. } => code,
            Self::Gone(_) => 0,
        }
    }
}

/// How a client's socket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SocketEnd {
    /// With the client's close frame, code 1000.
    Closed,
    /// With a close frame that says no more than that the client goes: without
    /// a code, or 1001.
    Left,
    /// Without a close frame, or with one that tells of trouble.
    Lost,
}
