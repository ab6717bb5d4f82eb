// SPDX-License-Identifier: MPL-2.0

//! The temporary folder of a fetch. It stands in the cache, beside the models, so that a
//! finished model can be moved into place by a rename.
//!
//! A fetch holds a lock on a file in its folder. The system gives the lock back when the
//! process ends, however it ends. So the next fetch can tell the folder of a fetch that was
//! killed from that of a fetch that runs.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How the names of temporary folders begin.
const PREFIX: &str = ".fetch-";

/// The file that is locked.
const LOCK: &str = "lock";

/// How long a fetch waits for another one that makes or cleans folders, which takes
/// milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// A temporary folder, removed with all that is in it when it is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Removes the folders of fetches that were killed, and makes a new one in `cache`,
    /// which is made too if need be.
    pub(crate) fn create(cache: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        fs::create_dir_all(cache)?;
        // Otherwise another fetch could take the new folder, whose lock is not yet held,
        // for one that was left over.
        let making = Making::begin(cache)?;
        if making.is_alone {
            clean(cache);
        }
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = cache.join(format!("{PREFIX}{}-{number}", process::id()));
            match fs::create_dir(&path) {
                Ok(()) => {}
                // Of a process with this number on another machine, or before a restart.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            }
            let lock = File::create_new(path.join(LOCK))?;
            // A file system without locks has no clean-up either.
            let _ = lock.try_lock();
            return Ok(Self { path, _lock: lock });
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays is removed by the next fetch.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The lock that is held while a folder is made. It is on the cache's folder itself.
struct Making {
    is_alone: bool,
    _lock: File,
}

impl Making {
    fn begin(cache: &Path) -> io::Result<Self> {
        let lock = File::open(cache)?;
        let end = Instant::now() + PATIENCE;
        let is_alone = loop {
            match lock.try_lock() {
                Ok(()) => break true,
                Err(TryLockError::WouldBlock) if Instant::now() < end => {
                    thread::sleep(Duration::from_millis(5));
                }
                Err(_) => break false,
            }
        };
        Ok(Self {
            is_alone,
            _lock: lock,
        })
    }
}

/// Removes what fetches that were killed have left. What cannot be removed stays.
fn clean(cache: &Path) {
    let Ok(entries) = fs::read_dir(cache) else {
        return;
    };
    for entry in entries.flatten() {
        let is_ours = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(PREFIX));
        let is_left = || match File::open(entry.path().join(LOCK)) {
            Ok(lock) => lock.try_lock().is_ok(),
            // The fetch was killed before it had its lock, or while it removed the folder.
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if is_ours && is_left() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
