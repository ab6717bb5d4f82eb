// SPDX-License-Identifier: MPL-2.0

//! Sockets in the file system: makes them, takes over those of a service that has died, and
//! removes them.

use std::fs::Permissions;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Owner and group may connect. The system asks for the right to write.
const MODE: u32 = 0o660;

/// Removes the file of a socket when it is dropped.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may have been removed by hand.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Listens at this path. A socket that a dead program has left behind is replaced.
pub(crate) fn bind(path: &Path) -> Result<(UnixListener, SocketFile)> {
    if let Ok(found) = std::fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "there is a file that is no socket",
            ));
        }
        match UnixStream::connect(path) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)?;
            }
            _ => return Err(Error::new(ErrorKind::AddrInUse, "another program has it")),
        }
    }
    let listener = UnixListener::bind(path)?;
    let file = SocketFile(path.to_owned());
    std::fs::set_permissions(path, Permissions::from_mode(MODE))?;
    Ok((listener, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_taken_over_only_from_the_dead_and_removed_at_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("symbl.sock");
        let (listener, file) = bind(&path).expect("a socket");
        let mode = std::fs::metadata(&path).expect("there").permissions();
        assert_eq!(mode.mode() & 0o777, MODE);
        let error = bind(&path).expect_err("the first one has it");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        std::mem::forget(file);
        drop(listener);
        let (_listener, file) = bind(&path).expect("nobody has it");
        drop(file);
        assert!(!path.exists());
        std::fs::write(&path, "precious").expect("room");
        let error = bind(&path).expect_err("it is a file");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).expect("there"), b"precious");
    }
}
