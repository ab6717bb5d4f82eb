// SPDX-License-Identifier: MPL-2.0

//! How a speaker's socket ends.

use crate::conversation::hub::Leave;

/// How the service ends a speaker's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// With a close frame of the service.
    Close {
        code: u16,
        reason: &'static str,
        leave: Leave,
    },
    /// Without one: the client's socket is gone or closing.
    Gone(Leave),
}

impl Closing {
    /// Returns the code of the service's close frame, or 0 without one.
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
    /// With a close frame that only says that the client goes: without a code, or 1001.
    Left,
    /// Without a close frame, or with one that names an error.
    Lost,
}
