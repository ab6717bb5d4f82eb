// SPDX-License-Identifier: MPL-2.0

//! Tests with the files of real models, Whisper's tiny.en and base as CTranslate2 has them.
//!
//! A test that needs a model finds it where `symbl-service model fetch tiny.en` puts it, or
//! in the folder that `SYMBL_TEST_MODEL` names (for base, `SYMBL_TEST_MODEL_BASE`). Without
//! it the test says that it is skipped.

mod tokens;
mod weights;

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Returns the folder of a model, or says that `test` is skipped.
fn folder(model: &str, test: &str) -> Option<PathBuf> {
    let variable = match model {
        "tiny.en" => "SYMBL_TEST_MODEL".to_owned(),
        other => format!("SYMBL_TEST_MODEL_{}", other.to_uppercase()),
    };
    let named = env::var_os(&variable).map(PathBuf::from);
    let folder = named.or_else(|| match model {
        // The model that every test run has.
        "tiny.en" => symbl_testkit::model::model(model),
        other => symbl_models::locate(other),
    });
    if folder.is_none() {
        eprintln!("SKIPPED {test}: run symbl-service model fetch {model}, or set {variable}");
    }
    folder
}

/// Returns the content of a file of the model.
fn read(folder: &Path, name: &str) -> Vec<u8> {
    let path = folder.join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}
