// SPDX-License-Identifier: MPL-2.0

//! Where it is written: a file that is replaced once there is something to
//! write, or standard output. All of this may block; see [`symbl_captions::Outlet`].

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// A file or standard output.
pub enum Output {
    /// Holds what was in it before until [`Output::begin`].
    File(File),
    /// Standard output.
    Stdout(io::Stdout),
}

impl Output {
    /// Opens the file now, so that a mistake in its name is told at once.
    pub fn open(path: Option<&Path>) -> Result<Self, String> {
        let Some(path) = path else {
            return Ok(Self::Stdout(io::stdout()));
        };
        let options = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let file = options.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(Self::File(file))
    }

    /// Replaces what was there, and returns what to write to.
    pub fn begin(self) -> io::Result<Self> {
        match &self {
            // A pipe and a terminal hold nothing.
            Self::File(file) if file.metadata()?.is_file() => file.set_len(0)?,
            Self::File(_) | Self::Stdout(_) => {}
        }
        Ok(self)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stdout(stdout) => stdout.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stdout(stdout) => stdout.flush(),
        }
    }
}

/// Returns `true` if the reader of the output has gone, as `head` does: no failure of ours.
pub fn nobody_reads(error: &io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe
}
