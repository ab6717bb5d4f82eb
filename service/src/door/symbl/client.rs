// SPDX-License-Identifier: MPL-2.0

//! Which of the official SDKs a client is, for habits of theirs that the service
//! allows for. docs/clients.md has the list.
//!
//! They say it in the query of the request: `source=js_sdk`, `web_sdk` or `python_sdk`.
//! It must never change what is said, only in which order and in which of two forms.

/// What dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientKind {
    /// `@symblai/symbl-js`, in Node.js or under `@symblai/symbl-web-sdk`.
    JavaScriptSdk,
    /// Anything else.
    Other,
}

impl ClientKind {
    /// From the query of its request.
    pub(crate) fn of(query: Option<&str>) -> Self {
        let mut pairs = query.unwrap_or_default().split('&');
        if pairs.any(|pair| matches!(pair, "source=js_sdk" | "source=web_sdk")) {
            Self::JavaScriptSdk
        } else {
            Self::Other
        }
    }

    /// Whether it closes its socket at `recognition_stopped`, before the last results,
    /// if a stop ends the connection anyway. It does at `conversation_completed` too.
    pub(crate) fn hangs_up_when_stopped(self) -> bool {
        self == Self::JavaScriptSdk
    }

    /// Whether its `start()` hears of an error in the envelope of `message` only, and
    /// otherwise waits for ever.
    pub(crate) fn wants_errors_enveloped(self) -> bool {
        self == Self::JavaScriptSdk
    }
}
