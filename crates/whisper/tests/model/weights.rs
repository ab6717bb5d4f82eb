// SPDX-License-Identifier: MPL-2.0

//! Reads the weights of tiny.en.

use crate::{folder, read};
use symbl_whisper::file::{Kind, ModelFile};

#[test]
fn every_weight_of_tiny_en_is_read() {
    let Some(folder) = folder("tiny.en", "every_weight_of_tiny_en_is_read") else {
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
