// SPDX-License-Identifier: MPL-2.0

//! Opens the output: a file, which is emptied once there is something to write, or
//! standard output. Every call here may block; see [`symbl_captions::Outlet`].

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// A file or standard output.
pub enum Output {
    /// A file, which keeps its old content until [`Output::begin`].
    File(File),
    /// Standard output.
    Stdout(io::Stdout),
}

impl Output {
    /// Opens the file at once, so that a wrong name is reported before the listening
    /// begins. `None` stands for standard output.
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

    /// Empties the file, and returns what to write to.
    pub fn begin(self) -> io::Result<Self> {
        match &self {
            // Pipes and terminals have no content to remove.
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

/// Returns the error for an output that cannot be written; none if its reader has gone, as
/// `head` does.
pub fn unwritten(error: &io::Error) -> Result<(), String> {
    match error.kind() {
        ErrorKind::BrokenPipe => Ok(()),
        _ => Err(format!("cannot write the output: {error}")),
    }
}
