// SPDX-License-Identifier: MPL-2.0

//! Wakes a stream from the threads of its process.

use std::sync::{Mutex, PoisonError};
use std::task::Waker;

/// The bell of one stream, for all of its processes.
#[derive(Debug, Default)]
pub(super) struct Bell(Mutex<Option<Waker>>);

impl Bell {
    /// Wakes `waker` from now on.
    pub(super) fn set(&self, waker: Waker) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker);
    }

    /// Wakes the stream, if it has said how.
    pub(super) fn ring(&self) {
        let waker = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waker = waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
