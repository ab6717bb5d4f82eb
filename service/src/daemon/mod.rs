// SPDX-License-Identifier: MPL-2.0

//! The command as a daemon: its configuration file, its credentials, what it tells systemd,
//! and what it does at SIGHUP.

pub(crate) mod drain;
pub(crate) mod effect;
pub(crate) mod file;
pub(crate) mod notify;
pub(crate) mod process;
pub(crate) mod reload;
pub(crate) mod sockets;

use clap::{Args, ValueEnum};
use drain::DrainOptions;
use std::net::SocketAddr;
use std::path::PathBuf;
use symbl_service::logging::LogFormat;

/// The options.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Daemon")]
pub(crate) struct DaemonOptions {
    /// File with options, in TOML: each by its long name, such as `listen = "0.0.0.0:8787"`.
    /// The environment and the command line come before it. SIGHUP reads it again
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Check the options and the files that they name, say so, and end
    #[arg(long)]
    pub(crate) check_config: bool,

    /// Print all options as they would be used, as a configuration file, and end. Secrets are
    /// shown as ***
    #[arg(long, conflicts_with = "check_config")]
    pub(crate) print_config: bool,

    /// File with several applications, in TOML: an `[[account]]` for each, with its `id` and
    /// a `secret-sha256` or a `secret-file`. SIGHUP reads it again
    #[arg(long, value_name = "FILE", conflicts_with_all = ["app_id", "app_secret"])]
    pub(crate) accounts: Option<PathBuf>,

    /// Another address for /metrics and the probes, which serves nothing else. The other
    /// addresses have no /metrics then
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics_listen: Option<SocketAddr>,

    /// Send traces of finals and requests to the collector of OpenTelemetry at this address,
    /// such as http://127.0.0.1:4318, over HTTP (OTLP). OTEL_EXPORTER_OTLP_HEADERS has headers
    /// for it
    #[cfg(feature = "otlp")]
    #[arg(
        long,
        value_name = "URL",
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        hide_env_values = true
    )]
    pub(crate) otlp: Option<String>,

    /// How lines of the log are written
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub(crate) log_format: Format,

    #[command(flatten)]
    pub(crate) drain: DrainOptions,
}

/// The value of `--log-format`.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people and grep
    #[default]
    Text,
    /// An object in JSON on each line
    Json,
}

impl From<Format> for LogFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => Self::Text,
            Format::Json => Self::Json,
        }
    }
}
