// SPDX-License-Identifier: MPL-2.0

//! `symbl-service backup` and `symbl-service restore`.

use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use symbl_service::{Copied, CopyError};

/// A copy, and the directory of the service.
#[derive(Args)]
pub(crate) struct CopyOptions {
    /// File of the backup
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Directory of the service, as its --data says
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// Writes a copy of the database of a service, which may be running.
pub(crate) fn backup(options: &CopyOptions) -> Result<(), CopyError> {
    let copied = symbl_service::backup(&options.data, &options.file)?;
    say(&format!("{} in {}", told(copied), options.file.display()));
    Ok(())
}

/// Makes the directory of a service of a copy.
pub(crate) fn restore(options: &CopyOptions) -> Result<(), CopyError> {
    let copied = symbl_service::restore(&options.file, &options.data)?;
    say(&format!(
        "{} in {}; start a service with --data {}",
        told(copied),
        options.data.display(),
        options.data.display()
    ));
    Ok(())
}

fn told(copied: Copied) -> String {
    let Copied {
        conversations,
        messages,
        bytes,
    } = copied;
    format!("{conversations} conversations and {messages} messages, {bytes} bytes")
}

fn say(line: &str) {
    // The copy is there, even if its maker cannot be told.
    let _ = writeln!(std::io::stdout(), "{line}");
}
