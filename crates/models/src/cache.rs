// SPDX-License-Identifier: MPL-2.0

//! Where the models lie.

use crate::Model;
use std::env;
use std::path::{Path, PathBuf};

/// A folder that has a folder for each model.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Returns the cache of the user, `symbl-service/models` in `XDG_CACHE_HOME` or else
    /// in `.cache` of the home folder. A path that is not absolute does not count, as the
    /// XDG Base Directory Specification has it.
    pub fn of_user() -> Option<Self> {
        let absolute = |name: &str| {
            let path = env::var_os(name).map(PathBuf::from);
            path.filter(|path| path.is_absolute())
        };
        let home = || absolute("HOME").map(|home| home.join(".cache"));
        let base = absolute("XDG_CACHE_HOME").or_else(home)?;
        Some(Self::at(base.join("symbl-service").join("models")))
    }

    /// Returns the cache that is `folder`, which need not exist.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Returns the folder that has the folders of the models.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns where the model lies or would lie.
    pub fn folder_of(&self, model: &Model) -> PathBuf {
        self.folder.join(model.folder_name())
    }

    /// Returns the folder of the model if all of its files are there with the right size.
    pub fn locate(&self, model: &Model) -> Option<PathBuf> {
        let folder = self.folder_of(model);
        let is_there = |file: &crate::File| {
            let found = folder.join(file.name).metadata();
            found.is_ok_and(|found| found.is_file() && found.len() == file.size)
        };
        model.files.iter().all(is_there).then_some(folder)
    }
}
