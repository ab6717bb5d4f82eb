// SPDX-License-Identifier: MPL-2.0

//! Tests with the files of a real model, Whisper's tiny.en as CTranslate2 has it.
//!
//! A test that needs them finds them where `symbl-service model fetch tiny.en` puts them,
//! or in the folder that `SYMBL_TEST_MODEL` names. Without them it says that it is skipped.

mod tokens;
mod weights;

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Returns the folder of tiny.en, or says that `test` is skipped.
fn folder(test: &str) -> Option<PathBuf> {
    let named = env::var_os("SYMBL_TEST_MODEL").map(PathBuf::from);
    let folder = named.or_else(|| symbl_models::locate("tiny.en"));
    if folder.is_none() {
        eprintln!("SKIPPED {test}: run symbl-service model fetch tiny.en, or set SYMBL_TEST_MODEL");
    }
    folder
}

/// Returns the content of a file of the model.
fn read(folder: &Path, name: &str) -> Vec<u8> {
    let path = folder.join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}
