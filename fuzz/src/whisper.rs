// SPDX-License-Identifier: MPL-2.0
#![no_main]
//! Whatever lies in a model's folder: nothing panics, memory stays within bounds, and
//! what is read holds what it promises.
//!
//! An input that begins with `{` is a `tokenizer.json`, any other a `model.bin`.

use symbl_whisper::file::ModelFile;
use symbl_whisper::token::Tokenizer;
use symbl_whisper::{align, known};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    match data {
        [b'{', ..] => tokenizer(data),
        _ => model(data),
    }
});

/// Reads every variable of a model.
fn model(data: &[u8]) {
    let Ok(file) = ModelFile::parse(data) else {
        return;
    };
    for name in file.names() {
        assert!(file.contains(name));
        let tensor = file.tensor(name).expect("a name leads to its tensor");
        assert_eq!(tensor.shape.iter().product::<usize>(), tensor.len());
        assert_eq!(tensor.data, &data[tensor.at..tensor.at + tensor.data.len()]);
        if let Ok(floats) = file.floats(name) {
            assert_eq!(floats.len(), tensor.len());
            assert!(floats.iter().all(|float| float.is_finite()), "{name}");
        }
    }
}

/// Turns text into tokens, and the tokens into text and words.
fn tokenizer(data: &[u8]) {
    let Ok(tokenizer) = Tokenizer::from_json(data, 51_865) else {
        return;
    };
    // The input is a text too, and its bytes are tokens.
    let text = String::from_utf8_lossy(data);
    let ids = tokenizer.encode(&text);
    // The text comes back whole only from a sound vocabulary, with a token for each byte
    // and an id for each token; tests with a real one see to that.
    let _ = tokenizer.decode(&ids);
    let ids: Vec<u32> = data.iter().map(|byte| u32::from(*byte) * 7).collect();
    let frames = ids.len() / 2;
    let starts: Vec<usize> = data.iter().map(|byte| usize::from(*byte)).collect();
    let mut words = align::words(&tokenizer, &ids, &starts, &[], frames);
    let voiced: Vec<bool> = data.iter().map(|byte| byte % 2 == 0).collect();
    align::clamp(&mut words, &voiced);
    assert!(words.is_sorted_by_key(|word| word.start));
    for word in known::strip_words(words) {
        assert!(
            word.start < word.end && word.end <= frames.max(1),
            "{word:?}"
        );
        assert!(!word.text.is_empty() && !word.text.contains(char::is_whitespace));
    }
    let left = known::strip_marks(&text);
    assert!(left.len() <= text.len());
}
