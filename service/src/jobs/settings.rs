// SPDX-License-Identifier: MPL-2.0

//! The settings of the Async API.

use crate::jobs::address::HostRule;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The settings of the Async API.
#[derive(Clone)]
pub struct JobSettings {
    /// Jobs that run at the same time; the others wait.
    pub parallel: usize,
    /// Unfinished jobs of an account; the next one is refused (429).
    pub waiting: usize,
    /// Largest recording in bytes.
    pub upload: u64,
    /// Bytes that stay free on the disk, for what is said live.
    pub reserve: u64,
    /// Longest audio of a job.
    pub duration: Duration,
    /// The program that decodes: the service itself, with the subcommand `decode`. `None` for
    /// the executable of this process.
    pub decoder: Option<PathBuf>,
    /// How long the decoder may need for its next audio.
    pub stall: Duration,
    /// Hosts of which recordings may be fetched. None by default: fetching is off.
    pub fetch_hosts: Vec<HostRule>,
    /// Hosts to which webhooks may be sent. Without any, all public hosts over HTTPS.
    pub webhook_hosts: Vec<HostRule>,
    /// The key of the signatures of webhooks. Without one, they are not signed.
    pub webhook_secret: Option<Vec<u8>>,
    /// The delay before the second attempt to deliver a webhook. It doubles with each attempt.
    pub first_retry: Duration,
}

impl Default for JobSettings {
    fn default() -> Self {
        Self {
            parallel: 2,
            waiting: 1000,
            upload: 4 << 30,
            reserve: 256 << 20,
            duration: Duration::from_secs(6 * 3600),
            decoder: None,
            stall: Duration::from_secs(300),
            fetch_hosts: Vec::new(),
            webhook_hosts: Vec::new(),
            webhook_secret: None,
            first_retry: Duration::from_secs(5),
        }
    }
}

/// Shows no secret.
impl fmt::Debug for JobSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobSettings")
            .field("parallel", &self.parallel)
            .field("waiting", &self.waiting)
            .field("upload", &self.upload)
            .field("duration", &self.duration)
            .field("fetch_hosts", &self.fetch_hosts)
            .field("webhook_hosts", &self.webhook_hosts)
            .field("is_signed", &self.webhook_secret.is_some())
            .finish_non_exhaustive()
    }
}
