// SPDX-License-Identifier: MPL-2.0
//! Finds the model: the acoustic model, the language model and the pronunciation
//! dictionary.
//!
//! This module only looks at the file system and never opens the engine. An empty file
//! counts as missing, because the engine would end the process over it. Facts: file lists
//! of the Debian package `pocketsphinx-en-us` and of the PyPI package `pocketsphinx`, which
//! have the same layout:
//!
//! ```text
//! en-us/mdef, means, …     acoustic model
//! en-us.lm.bin             language model
//! cmudict-en-us.dict       dictionary
//! ```

use std::path::{Path, PathBuf};

/// Folders that hold the layout above, most usual first.
const USUAL_DIRS: [&str; 5] = [
    "/usr/share/pocketsphinx/model/en-us",
    "/usr/local/share/pocketsphinx/model/en-us",
    "/usr/share/pocketsphinx/model",
    "/usr/local/share/pocketsphinx/model",
    "/opt/homebrew/share/pocketsphinx/model/en-us",
];

const ACOUSTIC: &str = "en-us";
const LM: &str = "en-us.lm.bin";
const DICT: &str = "cmudict-en-us.dict";

/// A file or folder that is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no {what} at {}, or it is empty", path.display())]
pub(super) struct MissingFile {
    /// What was looked for.
    pub(super) what: &'static str,
    /// Where.
    pub(super) path: PathBuf,
}

/// The three parts of a model; all of them existed when looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Model {
    /// Folder of the acoustic model.
    pub(super) acoustic: PathBuf,
    /// Language model file.
    pub(super) lm: PathBuf,
    /// Pronunciation dictionary file.
    pub(super) dict: PathBuf,
}

impl Model {
    /// Finds the model in `dir`, or in the usual folders; `lm` and `dict`
    /// replace the model's own.
    pub(super) fn find(
        dir: Option<&Path>,
        lm: Option<&Path>,
        dict: Option<&Path>,
    ) -> Result<Self, MissingFile> {
        let acoustic = match dir {
            Some(dir) => acoustic_in(dir),
            None => USUAL_DIRS
                .iter()
                .find_map(|dir| acoustic_in(Path::new(dir))),
        };
        let acoustic = acoustic.ok_or_else(|| MissingFile {
            what: "acoustic model",
            path: dir.unwrap_or(Path::new(USUAL_DIRS[0])).to_owned(),
        })?;
        let beside = |name: &str| acoustic.with_file_name(name);
        Ok(Self {
            lm: existing(
                "language model",
                lm.map_or_else(|| beside(LM), Path::to_owned),
            )?,
            dict: existing(
                "dictionary",
                dict.map_or_else(|| beside(DICT), Path::to_owned),
            )?,
            acoustic,
        })
    }
}

/// Returns the acoustic model in `dir`, which is the layout's folder, the acoustic model
/// itself, or the folder above both.
fn acoustic_in(dir: &Path) -> Option<PathBuf> {
    [
        dir.join(ACOUSTIC),
        dir.to_owned(),
        dir.join(ACOUSTIC).join(ACOUSTIC),
    ]
    .into_iter()
    .find(|candidate| has_content(&candidate.join("mdef")))
}

fn existing(what: &'static str, path: PathBuf) -> Result<PathBuf, MissingFile> {
    if has_content(&path) {
        Ok(path)
    } else {
        Err(MissingFile { what, path })
    }
}

fn has_content(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Dir(PathBuf);

    impl Dir {
        fn with(files: &[&str]) -> Self {
            let dir = std::env::temp_dir().join(format!("symbl-model-{}", uuid::Uuid::new_v4()));
            for file in files {
                let path = dir.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "something").unwrap();
            }
            Self(dir)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const LAYOUT: [&str; 3] = ["m/en-us/mdef", "m/en-us.lm.bin", "m/cmudict-en-us.dict"];

    #[test]
    fn the_layout_folder_and_the_acoustic_folder_name_the_same_model() {
        let dir = Dir::with(&LAYOUT);
        let by_layout = Model::find(Some(&dir.0.join("m")), None, None).unwrap();
        let by_acoustic = Model::find(Some(&dir.0.join("m/en-us")), None, None).unwrap();
        assert_eq!(by_layout, by_acoustic);
        assert_eq!(by_layout.lm, dir.0.join("m/en-us.lm.bin"));
        assert_eq!(by_layout.dict, dir.0.join("m/cmudict-en-us.dict"));
    }

    #[test]
    fn own_language_model_and_dictionary_replace_the_models() {
        let dir = Dir::with(&["m/en-us/mdef", "own.lm", "own.dict"]);
        let (lm, dict) = (dir.0.join("own.lm"), dir.0.join("own.dict"));
        let model = Model::find(Some(&dir.0.join("m")), Some(&lm), Some(&dict)).unwrap();
        assert_eq!((model.lm, model.dict), (lm, dict));
    }

    #[test]
    fn an_empty_file_is_a_missing_file() {
        let dir = Dir::with(&LAYOUT);
        let layout = dir.0.join("m");
        for (file, what) in [
            ("en-us.lm.bin", "language model"),
            ("en-us/mdef", "acoustic model"),
        ] {
            fs::write(layout.join(file), "").unwrap();
            assert_eq!(
                Model::find(Some(&layout), None, None).unwrap_err().what,
                what
            );
        }
    }

    #[test]
    fn what_is_missing_is_named_with_its_place() {
        let dir = Dir::with(&LAYOUT[..2]);
        let missing = Model::find(Some(&dir.0.join("m")), None, None).unwrap_err();
        assert_eq!(missing.what, "dictionary");
        assert_eq!(missing.path, dir.0.join("m/cmudict-en-us.dict"));

        let nowhere = dir.0.join("nowhere");
        let missing = Model::find(Some(&nowhere), None, None).unwrap_err();
        assert_eq!((missing.what, missing.path), ("acoustic model", nowhere));
    }
}
