// SPDX-License-Identifier: MPL-2.0

//! What the options come to that SIGHUP may change.

use crate::{Authentication, Failure, Options, PATIENCE};
use std::io::Write;
use symbl_service::{Account, Auth, logging};
use tracing_subscriber::EnvFilter;

/// Returns what is logged.
pub(crate) fn filter(options: &Options) -> Result<EnvFilter, Failure> {
    EnvFilter::try_new(&options.log).map_err(|reason| Failure::Log {
        filter: options.log.clone(),
        reason,
    })
}

/// Returns the credentials that clients need.
pub(crate) fn credentials(options: &Options) -> Result<Auth, Failure> {
    Ok(
        match (&options.auth, &options.app_id, &options.app_secret) {
            (Some(Authentication::None), ..) => Auth::None,
            (None, Some(id), Some(secret)) => Auth::App {
                id: id.clone(),
                secret: secret.clone(),
            },
            _ => match &options.daemon.accounts {
                Some(file) => Auth::Accounts(Account::read_all(file)?),
                None => Auth::None,
            },
        },
    )
}

/// Returns the part of all cores that recognition may take, if it has a limit.
pub(crate) fn max_load(options: &Options) -> Option<f64> {
    Some(f64::from(options.max_load) / 100.0).filter(|load| *load > 0.0)
}

/// Writes the answer of a command that does not serve to standard output.
pub(crate) fn answer(text: String) {
    logging::within(PATIENCE, move || {
        // If standard output cannot be written, there is no other place for this.
        let _ = writeln!(std::io::stdout(), "{text}");
    });
}
