// SPDX-License-Identifier: MPL-2.0

//! Recognises the official SDKs, because the service allows for some of their habits.
//! docs/clients.md has the list.
//!
//! An SDK names itself in the query of the request: `source=js_sdk`, `web_sdk` or
//! `python_sdk`. The kind of a client must never change what the client is sent, only the
//! order and which of two forms is used.

/// The kind of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientKind {
    /// `@symblai/symbl-js`, in Node.js or under `@symblai/symbl-web-sdk`.
    JavaScriptSdk,
    /// Anything else.
    Other,
}

impl ClientKind {
    /// Returns the kind of a client from the query of its request.
    pub(crate) fn of(query: Option<&str>) -> Self {
        let mut pairs = query.unwrap_or_default().split('&');
        if pairs.any(|pair| matches!(pair, "source=js_sdk" | "source=web_sdk")) {
            Self::JavaScriptSdk
        } else {
            Self::Other
        }
    }

    /// Returns `true` if the client closes its socket at `recognition_stopped`, before the
    /// last results, when a stop ends the connection anyway. Such a client also closes it
    /// at `conversation_completed`.
    pub(crate) fn hangs_up_when_stopped(self) -> bool {
        self == Self::JavaScriptSdk
    }

    /// Returns `true` if the client's `start()` only sees an error in the envelope of
    /// `message`, and otherwise waits for ever.
    pub(crate) fn wants_errors_enveloped(self) -> bool {
        self == Self::JavaScriptSdk
    }
}
