// SPDX-License-Identifier: MPL-2.0

//! Compares the tokenizer with Hugging Face's.
//!
//! The expected ids are what `tokenizers` 0.23.3 for Python gives with the `tokenizer.json`
//! of faster-whisper-tiny.en:
//!
//! ```python
//! Tokenizer.from_file("tokenizer.json").encode(text, add_special_tokens=False).ids
//! ```
//!
//! `data/tokenizer.json` is that file without the tokens and merges that occur in none of
//! the texts; `tokenizers` gives the same ids with it.

use symbl_whisper::token::Tokenizer;

/// Texts and their tokens.
const EXPECTED: &[(&str, &[u32])] = &[
    ("", &[]),
    (" ", &[220]),
    ("  ", &[220, 220]),
    ("Hello", &[15496]),
    (" Hello", &[18435]),
    ("hello world", &[31373, 995]),
    (" Hello, world!", &[18435, 11, 995, 0]),
    (
        "It's they're we've I'm you'll he'd don't",
        &[
            1026, 338, 484, 821, 356, 1053, 314, 1101, 345, 1183, 339, 1549, 836, 470,
        ],
    ),
    ("IT'S", &[2043, 6, 50]),
    (" Digium", &[7367, 1505]),
    (" Asterisk PBX", &[38484, 1984, 30524, 55]),
    (
        "press 1 for sales, or 12345 for support",
        &[8439, 352, 329, 4200, 11, 393, 17031, 2231, 329, 1104],
    ),
    ("  two  spaces  ", &[220, 734, 220, 9029, 220, 220]),
    (
        "line\u{a}break\u{d}\u{a}\u{9}tab",
        &[1370, 198, 9032, 201, 198, 197, 8658],
    ),
    ("trailing \u{a}", &[9535, 4386, 220, 198]),
    ("naïve café", &[2616, 38776, 40304]),
    ("Größe straße", &[8642, 9101, 39683, 68, 3534, 39683, 68]),
    (
        "日本語テキスト",
        &[33768, 98, 17312, 105, 45739, 252, 24336, 25084, 43302],
    ),
    (
        "😀 👩\u{200d}👩\u{200d}👧",
        &[
            47249, 222, 50169, 102, 447, 235, 41840, 102, 447, 235, 41840, 100,
        ],
    ),
    ("a\u{a0}b\u{2003}c", &[64, 1849, 65, 447, 225, 66]),
    ("x²½Ⅷ٣", &[87, 31185, 23141, 158, 227, 100, 149, 96]),
    (
        "e\u{301} Ⓐ \u{345}",
        &[68, 136, 223, 2343, 240, 114, 220, 137, 227],
    ),
    (
        "हिन्दी",
        &[
            11976, 117, 11976, 123, 11976, 101, 24231, 235, 11976, 99, 24231, 222,
        ],
    ),
    (
        "Привет, мир",
        &[
            140, 253, 21169, 18849, 38857, 16843, 20375, 11, 12466, 120, 18849, 21169,
        ],
    ),
    ("العربية", &[23525, 44690, 26897, 39848, 22654, 45632]),
    (
        "$5.00 & 3.5% (a.m.)",
        &[3, 20, 13, 405, 1222, 513, 13, 20, 4, 357, 64, 13, 76, 2014],
    ),
    (
        "www.example.com/a?b=c#d",
        &[2503, 13, 20688, 13, 785, 14, 64, 30, 65, 28, 66, 2, 67],
    ),
    ("''''", &[39115]),
    ("'s 'S 'll 'LL", &[338, 705, 50, 705, 297, 705, 3069]),
    ("#@!!! ...--", &[2, 31, 10185, 2644, 438]),
    (
        "antidisestablishmentarianism",
        &[415, 29207, 44390, 3699, 1042],
    ),
    (
        "ﬁ ﷺ 𝔘𝔫𝔦",
        &[
            171, 105, 223, 27332, 115, 118, 220, 47728, 242, 246, 47728, 242, 104, 47728, 242, 99,
        ],
    ),
    ("\u{0}\u{1f}\u{7f}", &[188, 219, 221]),
    (
        "Mr.O'Neil-Smith's",
        &[5246, 13, 46, 6, 29354, 12, 17919, 338],
    ),
];

/// Checks a tokenizer of tiny.en against the expected ids.
fn check(json: &[u8]) {
    let tokenizer = Tokenizer::from_json(json, 51_864).unwrap();
    for (text, ids) in EXPECTED {
        assert_eq!(tokenizer.encode(text), *ids, "{text:?}");
        assert_eq!(tokenizer.decode(ids), *text);
    }
    for (name, id) in [
        ("<|endoftext|>", 50_256),
        ("<|startoftranscript|>", 50_257),
        ("<|en|>", 50_258),
        ("<|transcribe|>", 50_358),
        ("<|nospeech|>", 50_361),
        ("<|notimestamps|>", 50_362),
    ] {
        assert_eq!(tokenizer.special(name), Some(id), "{name}");
        assert_eq!(tokenizer.bytes(id), b"", "{name}");
    }
    assert!(tokenizer.languages().is_empty());
}

#[test]
fn encodes_as_hugging_face_does() {
    check(include_bytes!("data/tokenizer.json"));
}

#[test]
fn encodes_as_hugging_face_does_with_the_whole_vocabulary() {
    let Some(folder) = symbl_testkit::model::model("tiny.en") else {
        return;
    };
    let path = folder.join("tokenizer.json");
    let json = std::fs::read(&path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    check(&json);
}
