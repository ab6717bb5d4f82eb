// SPDX-License-Identifier: MPL-2.0

//! Reads the files of a real model, Whisper's tiny.en as CTranslate2 has it.

use std::fs;
use std::path::Path;
use symbl_whisper::file::{Kind, ModelFile};

/// Returns a file of the model.
fn read(folder: &Path, name: &str) -> Vec<u8> {
    let path = folder.join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

#[test]
fn every_weight_of_tiny_en_is_read() {
    let Some(folder) = symbl_testkit::model::model("tiny.en") else {
        return;
    };
    let bytes = read(&folder, "model.bin");
    let file = ModelFile::parse(&bytes).unwrap();
    let embeddings = file.tensor("decoder/embeddings/weight").unwrap();
    assert_eq!(embeddings.shape, [51864, 384]);
    assert_eq!(embeddings.kind, Kind::F16);
    assert_eq!(
        file.tensor("encoder/conv1/weight").unwrap().shape,
        [384, 80, 3]
    );
    let mut count = 0;
    for name in file.names() {
        if matches!(file.tensor(name).unwrap().kind, Kind::F16 | Kind::F32) {
            count += file.floats(name).unwrap().len();
        }
    }
    // 37.2 million weights, and the sine positions of the encoder.
    assert!((37_000_000..39_000_000).contains(&count), "{count}");
}
