// SPDX-License-Identifier: MPL-2.0

//! The options of the Async API. docs/jobs.md says what they are for.

use clap::Args;
use clap::builder::RangedU64ValueParser;
use std::path::PathBuf;
use std::time::Duration;
use symbl_service::{HostRule, JobSettings};

/// A secret that cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("--webhook-secret-file {file}: {reason}")]
    File {
        file: PathBuf,
        reason: std::io::Error,
    },
    #[error(
        "the secret of webhooks has {0} bytes; give at least 16, such as `openssl rand -hex 32` makes"
    )]
    Short(usize),
}

/// Shortest secret in bytes.
const SHORTEST: usize = 16;

#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Jobs (Async API)")]
pub(crate) struct JobOptions {
    /// Jobs that run at the same time; the others wait [default: 2]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    max_jobs: Option<usize>,

    /// Unfinished jobs of an account; the next one gets 429 [default: 1000]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    max_waiting_jobs: Option<usize>,

    /// Size of a recording [default: 4294967296]
    #[arg(long, value_name = "BYTES", value_parser = RangedU64ValueParser::<u64>::new().range(1..=1 << 50))]
    max_upload: Option<u64>,

    /// Length of the audio of a job [default: 21600]
    #[arg(long, value_name = "SECONDS", value_parser = RangedU64ValueParser::<u64>::new().range(1..=2_678_400))]
    max_job_duration: Option<u64>,

    /// Free space that recordings leave on the disk [default: 268435456]
    #[arg(long, value_name = "BYTES", value_parser = RangedU64ValueParser::<u64>::new().range(0..=1 << 50))]
    spare_disk: Option<u64>,

    /// Fetch recordings from this host over HTTPS: a name, *.domain for all below it, or
    /// http://name to allow HTTP too; may be given several times. Without it none are fetched
    #[arg(long = "fetch-host", value_name = "HOST")]
    fetch_hosts: Vec<HostRule>,

    /// Send webhooks to this host only, written like --fetch-host; may be given several times.
    /// Without it they go to any public host over HTTPS
    #[arg(long = "webhook-host", value_name = "HOST")]
    webhook_hosts: Vec<HostRule>,

    /// File with the secret that webhooks are signed with
    #[arg(long, value_name = "FILE", conflicts_with = "webhook_secret")]
    webhook_secret_file: Option<PathBuf>,

    /// The secret itself; better given in the environment
    #[arg(
        long,
        value_name = "SECRET",
        env = "SYMBL_WEBHOOK_SECRET",
        hide_env_values = true
    )]
    webhook_secret: Option<String>,
}

impl JobOptions {
    /// Returns the settings of the command line.
    pub(crate) fn settings(&self) -> Result<JobSettings, SecretError> {
        let usual = JobSettings::default();
        let duration = self.max_job_duration.map(Duration::from_secs);
        Ok(JobSettings {
            parallel: self.max_jobs.unwrap_or(usual.parallel),
            waiting: self.max_waiting_jobs.unwrap_or(usual.waiting),
            upload: self.max_upload.unwrap_or(usual.upload),
            duration: duration.unwrap_or(usual.duration),
            reserve: self.spare_disk.unwrap_or(usual.reserve),
            fetch_hosts: self.fetch_hosts.clone(),
            webhook_hosts: self.webhook_hosts.clone(),
            webhook_secret: self.secret()?,
            ..usual
        })
    }

    fn secret(&self) -> Result<Option<Vec<u8>>, SecretError> {
        let secret = match (&self.webhook_secret_file, &self.webhook_secret) {
            (Some(file), _) => {
                let read = std::fs::read_to_string(file);
                let read = read.map_err(|reason| SecretError::File {
                    file: file.clone(),
                    reason,
                })?;
                Some(read.trim().to_owned())
            }
            (None, given) => given.clone(),
        };
        match secret {
            Some(secret) if secret.len() < SHORTEST => Err(SecretError::Short(secret.len())),
            secret => Ok(secret.map(String::into_bytes)),
        }
    }
}
