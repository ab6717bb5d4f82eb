// SPDX-License-Identifier: MPL-2.0

//! The zero of a stream's time.

use crate::store;
use std::sync::{Arc, OnceLock};

/// When a stream's first audio came, nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Default)]
pub(crate) struct AudioClock(Arc<OnceLock<i64>>);

impl AudioClock {
    /// Called with every chunk; the first one counts.
    pub(crate) fn start(&self) {
        self.0.get_or_init(store::now);
    }

    /// When it came; now, if none did.
    pub(crate) fn zero(&self) -> i64 {
        *self.0.get_or_init(store::now)
    }
}
