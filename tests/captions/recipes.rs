// SPDX-License-Identifier: MPL-2.0

//! The ways from text to captions, each as a user would write it, with the text read back.

mod burned;
mod closed;
mod tracks;

use crate::common::pipeline::Pipeline;
use crate::source::{self, Item};
use std::path::PathBuf;

/// Returns the folder of a test, empty.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let folder = folder.join("captions").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Runs a pipeline to its end, with this text in it.
fn run(line: &str, items: &[Item], duration: u64) {
    play(&mut Pipeline::launch(line), items, duration);
}

/// Runs a pipeline that is made to its end, with this text in it.
fn play(pipeline: &mut Pipeline, items: &[Item], duration: u64) {
    source::push(pipeline, items, duration);
    pipeline.play();
    pipeline.wait_for_eos();
    pipeline.stop();
}
