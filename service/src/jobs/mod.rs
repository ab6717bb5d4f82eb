// SPDX-License-Identifier: MPL-2.0

//! The Async API behind its door: jobs that turn texts and recordings into conversations.
//!
//! A request becomes a row of the database ([`crate::store::jobs`]) and, for a recording, a
//! file in the spool. The [`scheduler`] begins the oldest job when there is room. A recording
//! is decoded by a process of its own ([`decode`]) and recognised as streams of the lowest
//! priority ([`recording`]); a text is looked into message by message ([`text`]). Both append
//! to the log of their conversation under a stream named like the job, so a job that was killed
//! goes on behind its last entry. Webhooks are rows too, and [`webhook`] delivers them.
//!
//! What is decided without I/O stands apart: [`request`], [`retry`], [`lanes`], [`pcm`],
//! [`signature`] and the rules of [`address`].

pub(crate) mod address;
mod cut;
pub(crate) mod decode;
pub(crate) mod fetch;
pub(crate) mod lanes;
pub(crate) mod pcm;
pub(crate) mod recording;
pub(crate) mod request;
pub(crate) mod retry;
pub(crate) mod scheduler;
pub(crate) mod settings;
pub(crate) mod signature;
mod spell;
pub(crate) mod spool;
pub(crate) mod text;
pub(crate) mod web;
pub(crate) mod webhook;
mod writer;

use settings::JobSettings;
use spool::Spool;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, OnceCell};

/// What the door and the scheduler share.
pub(crate) struct Jobs {
    pub(crate) store: Arc<dyn crate::store::jobs::JobStore>,
    pub(crate) settings: JobSettings,
    pub(crate) spool: Spool,
    /// Notified when there is a new job or webhook.
    news: Notify,
    hooks: Notify,
    /// How far the jobs are that run now.
    running: Mutex<HashMap<String, Arc<AtomicI64>>>,
    /// Set once the decoder's list of plugins was made.
    decoder_prepared: OnceCell<()>,
}

impl Jobs {
    pub(crate) fn new(
        store: Arc<dyn crate::store::jobs::JobStore>,
        settings: JobSettings,
        spool: Spool,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            settings,
            spool,
            news: Notify::new(),
            hooks: Notify::new(),
            running: Mutex::default(),
            decoder_prepared: OnceCell::new(),
        })
    }

    /// Tells the scheduler that there is a new job.
    pub(crate) fn wake(&self) {
        self.news.notify_one();
    }

    /// Tells the deliverer that there may be a new webhook.
    pub(crate) fn wake_hooks(&self) {
        self.hooks.notify_one();
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<AtomicI64>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how far a job is that runs now.
    pub(crate) fn progress(&self, id: &str) -> Option<i64> {
        let running = self.running();
        running.get(id).map(|done| done.load(Ordering::Relaxed))
    }
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let settings = &self.settings;
        f.debug_struct("Jobs")
            .field("settings", settings)
            .finish_non_exhaustive()
    }
}
