// SPDX-License-Identifier: MPL-2.0

//! Wakes a stream from the threads and processes that work for it.

use std::sync::{Condvar, Mutex, PoisonError};
use std::task::Waker;

/// The bell of one stream, for all that works for it.
#[derive(Debug, Default)]
pub(super) struct Bell {
    waker: Mutex<Option<Waker>>,
    rung: Mutex<bool>,
    ringing: Condvar,
}

impl Bell {
    /// Wakes `waker` from now on.
    pub(super) fn set(&self, waker: Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker);
    }

    /// Wakes the stream, if it has said how, and the thread that waits.
    pub(super) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ringing.notify_all();
        let waker = self
            .waker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits until the bell was rung since the last call.
    pub(super) fn wait(&self) {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        while !*rung {
            rung = self
                .ringing
                .wait(rung)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *rung = false;
    }
}
