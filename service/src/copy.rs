// SPDX-License-Identifier: MPL-2.0

//! `symbl-service copy`.

use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use symbl_service::{MoveError, Moved};

/// The directory of a service, and the database of a cluster.
#[derive(Args)]
pub(crate) struct MoveOptions {
    /// Directory of the service, as its --data says
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// PostgreSQL database of the cluster, which has to be empty; better given in the
    /// environment if it has a password
    #[arg(
        long,
        value_name = "URL",
        env = "SYMBL_CLUSTER",
        hide_env_values = true
    )]
    cluster: String,

    /// Let jobs fail in the cluster that have an uploaded recording and have not ended.
    /// Without this, nothing is copied while there are any
    #[arg(long)]
    fail_uploads: bool,
}

/// Copies what a service has stored into the database of a cluster.
pub(crate) fn copy(options: &MoveOptions) -> Result<(), MoveError> {
    let MoveOptions {
        data,
        cluster,
        fail_uploads,
    } = options;
    let moved = symbl_service::copy_to_cluster(data, cluster, *fail_uploads, &mut say)?;
    let Moved {
        conversations,
        entries,
        messages,
        jobs,
        trackers,
        groups,
    } = moved;
    say(&format!(
        "copied {conversations} conversations with {entries} entries and {messages} messages, \
         {jobs} jobs, {trackers} trackers and {groups} groups; start nodes with --cluster, and \
         the service on {} no more",
        data.display()
    ));
    Ok(())
}

fn say(line: &str) {
    // The copy goes on, even if standard output takes nothing.
    let _ = writeln!(std::io::stdout(), "{line}");
}
