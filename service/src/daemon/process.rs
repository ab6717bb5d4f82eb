// SPDX-License-Identifier: MPL-2.0

//! What the system lets the process do.

use crate::{Failure, system};
use tokio::signal::unix::{SignalKind, signal};

/// Raises the limit of open files as far as the system allows. Each socket is an open file,
/// and many shells set the limit to 1,024.
pub(crate) fn allow_many_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // If the system refuses it, the limit stays as it was.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Makes a write beyond the limit of a file's size (`ulimit -f`) an error (EFBIG), like on a
/// full disk. Without a handler, the signal that comes with it (SIGXFSZ) would end the
/// process. It is not ignored instead, because the recognisers that the service starts would
/// inherit that.
pub(crate) fn survive_large_files() -> Result<(), Failure> {
    let number = nix::sys::signal::Signal::SIGXFSZ as i32;
    // The handler stays when the listener is dropped.
    signal(SignalKind::from_raw(number))
        .map(drop)
        .map_err(system("no signals"))
}
