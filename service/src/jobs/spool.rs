// SPDX-License-Identifier: MPL-2.0

//! The recordings that wait to be decoded: a file for each job, named like it, in a directory
//! of the service. A file is deleted when its job ends, and one without a job when the service
//! starts.

use crate::workers::{Undone, Workers};
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How much is written to the disk at once, in bytes.
const PIECE: usize = 1 << 20;

/// How old a file without a job is before it is deleted.
const YOUNG: Duration = Duration::from_secs(60);

/// What the name of a file ends with while it is written.
const PART: &str = "part";

/// The directory.
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    directory: Arc<Directory>,
    workers: Arc<Workers>,
    /// Bytes of the disk that are left to others.
    reserve: u64,
}

#[derive(Debug)]
struct Directory {
    path: PathBuf,
    /// `true` if it goes with the service.
    is_temporary: bool,
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.is_temporary {
            // What is left is in the system's directory for temporary files.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Why a recording was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    #[error("it has more than {0} bytes (--max-upload)")]
    TooLarge(u64),
    #[error("the disk of the service is full")]
    Full,
    #[error("it cannot be written: {0}")]
    Disk(io::Error),
    #[error("{0}")]
    Busy(#[from] Undone),
}

impl From<io::Error> for SpoolError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                Self::Full
            }
            _ => Self::Disk(error),
        }
    }
}

impl Spool {
    /// Opens the spool in a directory of the service, or in a temporary one.
    pub(crate) fn open(
        data: Option<&Path>,
        workers: Arc<Workers>,
        reserve: u64,
    ) -> io::Result<Self> {
        let (path, is_temporary) = match data {
            Some(data) => (data.join("spool"), false),
            None => {
                let name = format!("symbl-spool-{}", uuid::Uuid::new_v4());
                (std::env::temp_dir().join(name), true)
            }
        };
        let mut builder = fs::DirBuilder::new();
        builder.recursive(!is_temporary).mode(0o700).create(&path)?;
        Ok(Self {
            directory: Arc::new(Directory { path, is_temporary }),
            workers,
            reserve,
        })
    }

    /// Returns the directory.
    pub(crate) fn path(&self) -> &Path {
        &self.directory.path
    }

    /// Returns the threads for work that blocks.
    pub(crate) fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Begins the file of a job, of at most `limit` bytes.
    pub(crate) async fn begin(&self, id: &str, limit: u64) -> Result<Incoming, SpoolError> {
        let part = self.path().join(format!("{id}.{PART}"));
        let to_make = part.clone();
        let made = self.workers.run(move || {
            let mut options = OpenOptions::new();
            options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(to_make)
        });
        let guard = Guard(Some(part));
        Ok(Incoming {
            file: Some(made.await??),
            whole: self.path().join(id),
            guard,
            spool: self.clone(),
            waiting: Vec::new(),
            bytes: 0,
            limit,
        })
    }

    /// Deletes the file of a job, if there is one.
    pub(crate) async fn remove(&self, id: &str) {
        let path = self.path().join(id);
        let removed = self.workers.run(move || fs::remove_file(path)).await;
        if let Ok(Err(error)) = removed
            && error.kind() != ErrorKind::NotFound
        {
            tracing::error!(%error, job = id, "a recording stays in the spool");
        }
    }

    /// Deletes the files that belong to none of these jobs. At the start of the service that
    /// includes what is not whole; later on only files that are older than [`YOUNG`], because
    /// the job of a new one may not be known yet.
    pub(crate) async fn sweep(&self, jobs: Vec<String>, is_start: bool) {
        let path = self.path().to_owned();
        let swept = self
            .workers
            .run(move || sweep(&path, &jobs.into_iter().collect(), is_start));
        if let Ok(Err(error)) = swept.await {
            tracing::error!(%error, "the spool cannot be read");
        }
    }
}

/// Returns how many bytes are free where a file is, if the system tells.
fn free(file: &File) -> Option<u64> {
    let found = nix::sys::statvfs::fstatvfs(file).ok()?;
    #[allow(clippy::useless_conversion)] // The types differ between systems.
    let (blocks, size) = (
        u64::from(found.blocks_available()),
        u64::from(found.fragment_size()),
    );
    Some(blocks.saturating_mul(size))
}

fn sweep(directory: &Path, jobs: &HashSet<String>, is_start: bool) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let id = name.strip_suffix(&format!(".{PART}")).unwrap_or(&name);
        let is_ours = uuid::Uuid::try_parse(id).is_ok();
        let is_part = id != name;
        let is_young = || {
            let age = entry.metadata().and_then(|known| known.modified());
            age.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < YOUNG))
        };
        let is_kept = match is_part {
            true => !is_start,
            false => jobs.contains(id) || (!is_start && is_young()),
        };
        if is_ours && !is_kept {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Deletes a file that has not become whole.
#[derive(Debug)]
struct Guard(Option<PathBuf>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // A file that is left here is swept at the next start.
            let _ = fs::remove_file(path);
        }
    }
}

/// A file that is being written. Dropped, it is deleted.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// `None` while a thread writes.
    file: Option<File>,
    whole: PathBuf,
    guard: Guard,
    spool: Spool,
    waiting: Vec<u8>,
    bytes: u64,
    limit: u64,
}

impl Incoming {
    /// Takes bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.limit {
            return Err(SpoolError::TooLarge(self.limit));
        }
        self.waiting.extend_from_slice(bytes);
        match self.waiting.len() >= PIECE {
            true => self.flush().await,
            false => Ok(()),
        }
    }

    async fn flush(&mut self) -> Result<(), SpoolError> {
        let waiting = std::mem::take(&mut self.waiting);
        let gone = || SpoolError::Disk(io::Error::other("an earlier write failed"));
        let mut file = self.file.take().ok_or_else(gone)?;
        let (reserve, size) = (self.spool.reserve, waiting.len() as u64);
        let written = self.spool.workers.run(move || {
            let has_room = free(&file).is_none_or(|free| free >= reserve.saturating_add(size));
            let written = match has_room {
                true => file.write_all(&waiting),
                false => Err(ErrorKind::StorageFull.into()),
            };
            (file, written)
        });
        let (file, written) = written.await?;
        self.file = Some(file);
        Ok(written?)
    }

    /// Ends the file. Then it outlives a failure of the machine. Returns its size in bytes.
    pub(crate) async fn finish(mut self) -> Result<u64, SpoolError> {
        self.flush().await?;
        let (file, whole) = (self.file.take(), self.whole.clone());
        let part = self.guard.0.clone();
        let renamed = self.spool.workers.run(move || {
            file.as_ref().map_or(Ok(()), File::sync_all)?;
            part.map_or(Ok(()), |part| fs::rename(part, whole))
        });
        renamed.await??;
        self.guard.0 = None;
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn spool() -> (tempfile::TempDir, Spool) {
        let directory = tempfile::tempdir().expect("a directory");
        let workers = Arc::new(Workers::start().expect("threads"));
        let spool = Spool::open(Some(directory.path()), workers, 0).expect("a spool");
        (directory, spool)
    }

    fn files(spool: &Spool) -> Vec<String> {
        let entries = fs::read_dir(spool.path()).expect("a directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = names
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_file_that_is_cut_short_or_too_large_is_gone() {
        let (_directory, spool) = spool();
        let mut cut = spool.begin("cut", 100).await.expect("begun");
        cut.write(b"half").await.expect("taken");
        assert_eq!(files(&spool), ["cut.part"]);
        drop(cut);
        let mut large = spool.begin("large", 3).await.expect("begun");
        let refused = large.write(b"four").await;
        assert!(
            matches!(refused, Err(SpoolError::TooLarge(3))),
            "{refused:?}"
        );
        drop(large);
        assert!(files(&spool).is_empty());
        let mut whole = spool.begin("whole", 2 * PIECE as u64).await.expect("begun");
        whole.write(&vec![7; PIECE + 1]).await.expect("taken");
        assert_eq!(whole.finish().await.expect("whole"), PIECE as u64 + 1);
        assert_eq!(
            fs::read(spool.path().join("whole")).expect("read").len(),
            PIECE + 1
        );
        spool.remove("whole").await;
        spool.remove("whole").await;
        assert!(files(&spool).is_empty());
    }

    #[tokio::test]
    async fn a_sweep_leaves_the_files_of_jobs_and_of_others() {
        let (_directory, spool) = spool();
        let ids = [(); 3].map(|()| Uuid::new_v4().to_string());
        for name in [
            &ids[0],
            &ids[1],
            &format!("{}.part", ids[2]),
            "registry.bin",
        ] {
            fs::write(spool.path().join(name), "x").expect("written");
        }
        let jobs = || vec![ids[0].clone(), ids[2].clone()];
        spool.sweep(jobs(), false).await;
        assert_eq!(files(&spool).len(), 4, "they are new");
        spool.sweep(jobs(), true).await;
        let mut left = vec![ids[0].clone(), "registry.bin".to_owned()];
        left.sort();
        assert_eq!(files(&spool), left);
    }
}
