// SPDX-License-Identifier: MPL-2.0

//! The ways from text to captions, each as a user would write it, with the text read back.

mod burned;
mod closed;
mod tracks;
mod transcribed;

use crate::common::pipeline::Pipeline;
use crate::source::Source;
use std::path::PathBuf;

/// Returns the folder of a test, empty.
pub fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let folder = folder.join("captions").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Runs a pipeline to its end. `line` has the place of the text's source.
fn run(source: &Source, line: impl FnOnce(&str) -> String) -> Pipeline {
    let mut pipeline = Pipeline::launch(&line(&source.line));
    play(&mut pipeline, source);
    pipeline
}

/// Runs a pipeline that is made to its end.
fn play(pipeline: &mut Pipeline, source: &Source) {
    source.begin(pipeline);
    pipeline.play();
    pipeline.wait_for_eos();
    pipeline.collect();
    pipeline.stop();
}
