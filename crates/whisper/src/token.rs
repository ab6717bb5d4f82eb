// SPDX-License-Identifier: MPL-2.0

//! Turns text into Whisper's tokens and back: byte-level byte-pair encoding.
//!
//! A `tokenizer.json` comes in, as Hugging Face's tokenizers write it and each
//! faster-whisper folder has it. A token stands for bytes, not for characters: one
//! character may be spread over several tokens, so text exists only where their bytes are
//! joined. Like a model file, the file may come from anywhere: reading it never panics.
//!
//! To encode, GPT-2's rules cut the text into pieces (a word with the space before it, a
//! number, a run of marks), and in each piece the two neighbours that were merged first in
//! training are merged, until no merge is left.

use serde::Deserialize;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// The size of the vocabulary from which on a Whisper model knows several languages:
/// models for English alone have one token fewer.
const MULTILINGUAL: usize = 51_865;

/// Two names of one token: models differ in which of them they use.
const NO_SPEECH: [&str; 2] = ["<|nospeech|>", "<|nocaptions|>"];

/// Says why a tokenizer cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The file is no JSON, or JSON of another form.
    #[error(
        "cannot read tokenizer.json ({0}): is this the file of a folder such as \
         faster-whisper-tiny.en? Copy it again"
    )]
    Json(#[from] serde_json::Error),
    /// The file describes a tokenizer of another kind.
    #[error(
        "tokenizer.json holds a model of the kind {0:?} in place of \"BPE\": use the file that \
         came with model.bin"
    )]
    Model(String),
    /// A token has a number that the model does not have.
    #[error(
        "tokenizer.json gives the token {token:?} the id {id}, but model.bin knows only {size}: \
         both files must come from the same folder"
    )]
    Id {
        /// The token as the file writes it.
        token: String,
        /// Its number.
        id: u32,
        /// The number of tokens that the model knows.
        size: usize,
    },
    /// Two tokens have one number.
    #[error("tokenizer.json gives the id {id} to {token:?} and to another token: copy it again")]
    SameId {
        /// The token as the file writes it.
        token: String,
        /// Its number.
        id: u32,
    },
    /// A token contains a character that stands for no byte.
    #[error(
        "the token {token:?} of tokenizer.json contains {character:?}, which stands for no byte: \
         this is not the tokenizer of a Whisper model"
    )]
    Character {
        /// The token as the file writes it.
        token: String,
        /// The character.
        character: char,
    },
    /// A byte cannot be written.
    #[error(
        "tokenizer.json has no token for the byte 0x{0:02x}: this is not the tokenizer of a \
         Whisper model"
    )]
    Byte(u8),
    /// A merge names what is no token.
    #[error("merge {index} of tokenizer.json, {merge:?}, names what is no token: copy it again")]
    Merge {
        /// The place of the merge, counted from 0.
        index: usize,
        /// The merge as the file writes it.
        merge: String,
    },
    /// A token that the recogniser needs is missing.
    #[error(
        "tokenizer.json has no added token {0:?}: use the file of a Whisper model, such as that in \
         faster-whisper-tiny.en"
    )]
    Special(String),
}

/// The parts of `tokenizer.json` that matter.
#[derive(Deserialize)]
struct File {
    model: Model,
    #[serde(default)]
    added_tokens: Vec<Added>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: HashMap<String, u32>,
    merges: Vec<Merge>,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
}

/// A merge in the form of older files, `"a b"`, or of newer ones, `["a", "b"]`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Text(String),
    Pair([String; 2]),
}

impl Merge {
    /// Returns the two tokens that are merged.
    fn pair(&self) -> Option<(&str, &str)> {
        match self {
            Self::Text(text) => text.split_once(' '),
            Self::Pair([left, right]) => Some((left, right)),
        }
    }
}

/// The rank of the merge of two tokens, and the token that it makes.
type Merges = HashMap<(u32, u32), (u32, u32)>;

/// The bytes of all tokens, one after the other, and the first byte of each token with the
/// one after its last, by id.
type Texts = (Vec<u8>, Vec<(u32, u32)>);

/// The vocabulary of a Whisper model.
///
/// ```no_run
/// let json = std::fs::read("faster-whisper-tiny.en/tokenizer.json")?;
/// let tokenizer = symbl_whisper::token::Tokenizer::from_json(&json, 51_864)?;
/// let ids = tokenizer.encode(" Hello");
/// assert_eq!(tokenizer.decode(&ids), " Hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tokenizer {
    texts: Texts,
    /// The tokens of single bytes.
    single: [u32; 256],
    merges: Merges,
    /// The added tokens by name.
    specials: HashMap<String, u32>,
    /// The codes of the languages and their tokens, by token; empty for English alone.
    languages: Vec<(String, u32)>,
}

impl Tokenizer {
    /// Reads a `tokenizer.json` for a model that has `vocabulary_size` tokens.
    pub fn from_json(tokenizer_json: &[u8], vocabulary_size: usize) -> Result<Self, TokenError> {
        let File {
            model,
            added_tokens,
        } = serde_json::from_slice(tokenizer_json)?;
        if let Some(kind) = model.kind.filter(|kind| kind != "BPE") {
            return Err(TokenError::Model(kind));
        }
        let mut specials = HashMap::new();
        for Added { id, content } in added_tokens {
            check_id(&content, id, vocabulary_size)?;
            specials.insert(content, id);
        }
        let texts = vocabulary(&model.vocab, &specials, vocabulary_size)?;
        let mut single = [0; 256];
        for (byte, character) in (0..=255).zip(alphabet()) {
            let token = model.vocab.get(character.encode_utf8(&mut [0; 4]));
            single[usize::from(byte)] = *token.ok_or(TokenError::Byte(byte))?;
        }
        let merges = merges(&model.vocab, &model.merges)?;
        let languages = languages(&specials, vocabulary_size);
        Ok(Self {
            texts,
            single,
            merges,
            specials,
            languages,
        })
    }

    /// Returns the bytes that a token stands for: none for an added token such as
    /// `<|endoftext|>`, for a timestamp, and for an id that is no token.
    pub fn bytes(&self, id: u32) -> &[u8] {
        let (bytes, spans) = &self.texts;
        let span = spans.get(id as usize);
        span.and_then(|(start, end)| bytes.get(*start as usize..*end as usize))
            .unwrap_or_default()
    }

    /// Returns the text of tokens. A character that is incomplete at the end is left out,
    /// because the next token may complete it; U+FFFD stands for other bytes that are no
    /// UTF-8.
    pub fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| self.bytes(*id)).copied().collect();
        let mut text = String::with_capacity(bytes.len());
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            let invalid = chunk.invalid();
            let incomplete =
                str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            let may_be_completed = incomplete && chunks.peek().is_none();
            if !invalid.is_empty() && !may_be_completed {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        text
    }

    /// Returns the tokens of a text. What looks like an added token is text like any
    /// other, so no text of a client can make one.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        for piece in pieces(text) {
            self.merge(piece.as_bytes(), &mut ids);
        }
        ids
    }

    /// Returns the id of an added token, such as `<|endoftext|>`. `<|nospeech|>` and
    /// `<|nocaptions|>` are names of one token, and either finds it.
    pub fn special(&self, name: &str) -> Option<u32> {
        let find = |name: &str| self.specials.get(name).copied();
        find(name).or_else(|| {
            NO_SPEECH
                .contains(&name)
                .then(|| NO_SPEECH.into_iter().find_map(find))?
        })
    }

    /// Returns the id of an added token that the caller cannot do without.
    pub fn require(&self, name: &str) -> Result<u32, TokenError> {
        self.special(name)
            .ok_or_else(|| TokenError::Special(name.to_owned()))
    }

    /// Returns the codes of the model's languages, such as "en" and "yue", with their
    /// tokens, sorted by token. A model for English alone has none.
    pub fn languages(&self) -> &[(String, u32)] {
        &self.languages
    }

    /// Appends the tokens of one piece.
    fn merge(&self, piece: &[u8], ids: &mut Vec<u32>) {
        // A list of tokens in which each knows its neighbours; `NONE` is no neighbour. The
        // heap keeps the work at n log n for a "word" of any length.
        const NONE: usize = usize::MAX;
        struct Link {
            id: u32,
            before: usize,
            after: usize,
            merged: bool,
        }
        let mut links: Vec<Link> = (0..piece.len())
            .map(|at| Link {
                id: self.single[usize::from(piece[at])],
                before: at.checked_sub(1).unwrap_or(NONE),
                after: if at + 1 < piece.len() { at + 1 } else { NONE },
                merged: false,
            })
            .collect();
        let candidate = |links: &[Link], at: usize| {
            let left = links.get(at)?;
            let pair = (left.id, links.get(left.after)?.id);
            let (rank, _) = self.merges.get(&pair)?;
            // Of merges with one rank, the leftmost comes first.
            Some(Reverse((*rank, at, pair)))
        };
        let mut heap: BinaryHeap<_> = (0..links.len())
            .filter_map(|at| candidate(&links, at))
            .collect();
        while let Some(Reverse((_, at, pair))) = heap.pop() {
            let after = links[at].after;
            // An earlier merge may have taken one of the two.
            let stands = |links: &[Link]| {
                !links[at].merged
                    && links[at].id == pair.0
                    && links.get(after).is_some_and(|right| right.id == pair.1)
            };
            let Some((_, id)) = self.merges.get(&pair).filter(|_| stands(&links)) else {
                continue;
            };
            let beyond = links[after].after;
            links[after].merged = true;
            links[at].id = *id;
            links[at].after = beyond;
            if let Some(beyond) = links.get_mut(beyond) {
                beyond.before = at;
            }
            heap.extend(candidate(&links, links[at].before));
            heap.extend(candidate(&links, at));
        }
        ids.extend(links.iter().filter(|link| !link.merged).map(|link| link.id));
    }
}

/// Returns an error if the model has no token of this id.
fn check_id(token: &str, id: u32, size: usize) -> Result<(), TokenError> {
    if (id as usize) < size {
        return Ok(());
    }
    Err(TokenError::Id {
        token: token.to_owned(),
        id,
        size,
    })
}

/// Returns the bytes of all tokens, and the place of each among them by id.
fn vocabulary(
    vocab: &HashMap<String, u32>,
    specials: &HashMap<String, u32>,
    size: usize,
) -> Result<Texts, TokenError> {
    let of_character: HashMap<char, u8> = alphabet().into_iter().zip(0..=255).collect();
    let mut bytes = Vec::new();
    let most = vocab.values().max().map_or(0, |id| *id as usize + 1);
    let mut spans = vec![None; most.min(size)];
    for (token, id) in vocab {
        check_id(token, *id, size)?;
        if spans[*id as usize].is_some() {
            return Err(TokenError::SameId {
                token: token.clone(),
                id: *id,
            });
        }
        let start = bytes.len();
        // An added token is written in plain characters and stands for no text.
        if !specials.contains_key(token) {
            for character in token.chars() {
                let byte = of_character.get(&character);
                bytes.push(*byte.ok_or_else(|| TokenError::Character {
                    token: token.clone(),
                    character,
                })?);
            }
        }
        spans[*id as usize] = Some((start as u32, bytes.len() as u32));
    }
    Ok((
        bytes,
        spans.into_iter().map(Option::unwrap_or_default).collect(),
    ))
}

/// Returns the merges by the ids of what they merge, with their ranks.
fn merges(vocab: &HashMap<String, u32>, merges: &[Merge]) -> Result<Merges, TokenError> {
    let mut ranks = HashMap::with_capacity(merges.len());
    for (index, merge) in merges.iter().enumerate() {
        let ids = merge.pair().and_then(|(left, right)| {
            let whole = vocab.get(&format!("{left}{right}"))?;
            Some(((*vocab.get(left)?, *vocab.get(right)?), *whole))
        });
        let Some((pair, whole)) = ids else {
            let merge = match merge {
                Merge::Text(text) => text.clone(),
                Merge::Pair(pair) => pair.join(" "),
            };
            return Err(TokenError::Merge { index, merge });
        };
        ranks.entry(pair).or_insert((index as u32, whole));
    }
    Ok(ranks)
}

/// Returns the languages among the added tokens, such as `<|en|>`.
fn languages(specials: &HashMap<String, u32>, vocabulary_size: usize) -> Vec<(String, u32)> {
    // A model for English alone has the tokens too, and was trained with none of them.
    if vocabulary_size < MULTILINGUAL {
        return Vec::new();
    }
    let mut languages: Vec<(String, u32)> = specials
        .iter()
        .filter_map(|(name, id)| {
            let code = name.strip_prefix("<|")?.strip_suffix("|>")?;
            let is_code =
                matches!(code.len(), 2..=3) && code.bytes().all(|byte| byte.is_ascii_lowercase());
            is_code.then(|| (code.to_owned(), *id))
        })
        .collect();
    languages.sort_by_key(|(_, id)| *id);
    languages
}

/// Returns the character that stands for each byte in the file: itself if it can be seen,
/// else one from U+0100 on. The rule is GPT-2's `bytes_to_unicode`.
fn alphabet() -> [char; 256] {
    let mut hidden = (0x100..).filter_map(char::from_u32);
    std::array::from_fn(|byte| match byte as u8 {
        byte @ (b'!'..=b'~' | 0xa1..=0xac | 0xae..) => char::from(byte),
        byte => hidden.next().unwrap_or(char::from(byte)),
    })
}

/// The classes of characters that GPT-2 tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Letter,
    Number,
    Space,
    Other,
}

impl Class {
    /// Returns the class of a character.
    fn of(character: char) -> Self {
        if character.is_whitespace() {
            return Self::Space;
        }
        match character.general_category_group() {
            GeneralCategoryGroup::Letter => Self::Letter,
            GeneralCategoryGroup::Number => Self::Number,
            _ => Self::Other,
        }
    }
}

/// Cuts a text into the pieces that are encoded one by one. The rule is the pattern
/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let (piece, rest) = text.split_at_checked(piece_len(text)).unwrap_or((text, ""));
        text = rest;
        Some(piece)
    })
}

/// Returns the length in bytes of the piece with which a text begins.
fn piece_len(text: &str) -> usize {
    const CONTRACTIONS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
    if let Some(contraction) = CONTRACTIONS.iter().find(|part| text.starts_with(**part)) {
        return contraction.len();
    }
    let run = |text: &str, class: Class| {
        let end = text.find(|character| Class::of(character) != class);
        end.unwrap_or(text.len())
    };
    let space = usize::from(text.starts_with(' '));
    if let Some(class) = text[space..].chars().next().map(Class::of)
        && class != Class::Space
    {
        return space + run(&text[space..], class);
    }
    let spaces = run(text, Class::Space);
    match text[..spaces].char_indices().next_back() {
        // The last space before a word belongs to the word.
        Some((last, _)) if spaces < text.len() && last > 0 => last,
        _ => spaces,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// Returns a `tokenizer.json` with the 256 bytes as the tokens 0 to 255, then one
    /// token for each merge, then added tokens.
    fn file(merges: &[(&str, &str)], added: &[&str]) -> Value {
        let mut vocab = serde_json::Map::new();
        for (id, character) in (0..).zip(alphabet()) {
            vocab.insert(character.to_string(), json!(id));
        }
        for (left, right) in merges {
            vocab.insert(format!("{left}{right}"), json!(vocab.len()));
        }
        let first = vocab.len();
        let added: Vec<Value> = (first..)
            .zip(added)
            .map(|(id, content)| json!({ "id": id, "content": content, "special": true }))
            .collect();
        let merges: Vec<String> = merges
            .iter()
            .map(|(left, right)| format!("{left} {right}"))
            .collect();
        json!({ "added_tokens": added, "model": { "type": "BPE", "vocab": vocab, "merges": merges } })
    }

    /// Returns a tokenizer with few tokens: see [`file`].
    pub(crate) fn small(merges: &[(&str, &str)], added: &[&str]) -> Tokenizer {
        Tokenizer::from_json(file(merges, added).to_string().as_bytes(), MULTILINGUAL).unwrap()
    }

    /// Reads a changed file and returns why it is refused.
    fn refused(json: &Value) -> String {
        Tokenizer::from_json(json.to_string().as_bytes(), 1000)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_alphabet_is_that_of_gpt_2() {
        let alphabet = alphabet();
        assert_eq!(alphabet[usize::from(b' ')], 'Ġ');
        assert_eq!(alphabet[usize::from(b'\n')], 'Ċ');
        assert_eq!(alphabet[usize::from(b'~')], '~');
        assert_eq!(
            (alphabet[0x7f], alphabet[0xa0], alphabet[0xad]),
            ('ġ', 'ł', 'Ń')
        );
        assert_eq!(alphabet[0xff], 'ÿ');
    }

    #[test]
    fn merges_by_rank_and_from_the_left() {
        let tokenizer = small(&[("a", "a"), ("b", "c"), ("a", "b"), ("aa", "bc")], &[]);
        let (aa, bc, ab, aabc) = (256, 257, 258, 259);
        let a = u32::from(b'a');
        assert_eq!(tokenizer.encode("aaa"), [aa, a]);
        assert_eq!(tokenizer.encode("abc"), [a, bc]);
        assert_eq!(tokenizer.encode("aab"), [aa, u32::from(b'b')]);
        assert_eq!(tokenizer.encode("ab"), [ab]);
        assert_eq!(tokenizer.encode("aabc"), [aabc]);
        assert_eq!(tokenizer.encode("aaaa"), [aa, aa]);
        assert_eq!(tokenizer.encode(""), [0; 0]);
    }

    #[test]
    fn reads_both_forms_of_merges() {
        let mut json = file(&[("a", "b"), ("ab", "c")], &[]);
        let strings = Tokenizer::from_json(json.to_string().as_bytes(), 1000).unwrap();
        json["model"]["merges"] = json!([["a", "b"], ["ab", "c"]]);
        let arrays = Tokenizer::from_json(json.to_string().as_bytes(), 1000).unwrap();
        assert_eq!(strings.encode("abc"), [257]);
        assert_eq!(arrays.encode("abc"), [257]);
    }

    #[test]
    fn cuts_text_as_gpt_2_does() {
        let cases: [(&str, &[&str]); 12] = [
            ("Hello world", &["Hello", " world"]),
            (
                "it's we'll 'retold",
                &["it", "'s", " we", "'ll", " '", "retold"],
            ),
            ("'retold", &["'re", "told"]),
            ("IT'S", &["IT", "'", "S"]),
            ("a1b22 333", &["a", "1", "b", "22", " 333"]),
            ("x  y", &["x", " ", " y"]),
            ("x\n\ny", &["x", "\n", "\n", "y"]),
            ("x \n", &["x", " \n"]),
            ("x\n y", &["x", "\n", " y"]),
            ("...what?!", &["...", "what", "?!"]),
            // A combining accent is no letter; a letter number and a fraction are numbers.
            ("e\u{301} Ⅷ½ Ⓐ", &["e", "\u{301}", " Ⅷ½", " Ⓐ"]),
            ("a\u{a0}b", &["a", "\u{a0}", "b"]),
        ];
        for (text, expected) in cases {
            assert_eq!(pieces(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    #[test]
    fn joins_characters_over_tokens() {
        let tokenizer = small(&[], &["<|endoftext|>"]);
        let ids = |bytes: &[u8]| {
            bytes
                .iter()
                .map(|byte| u32::from(*byte))
                .collect::<Vec<_>>()
        };
        assert_eq!(tokenizer.decode(&ids("né😀".as_bytes())), "né😀");
        // The end may come with the next token.
        assert_eq!(tokenizer.decode(&ids(b"n\xc3")), "n");
        assert_eq!(tokenizer.decode(&ids(b"n\xf0\x9f\x98")), "n");
        // This cannot be completed.
        assert_eq!(tokenizer.decode(&ids(b"n\xc3n")), "n\u{fffd}n");
        assert_eq!(tokenizer.decode(&ids(b"n\xff")), "n\u{fffd}");
        assert_eq!(tokenizer.decode(&ids(b"\xa9\xf0\x9f")), "\u{fffd}");
    }

    #[test]
    fn added_tokens_have_a_name_and_no_text() {
        let names = [
            "<|endoftext|>",
            "<|en|>",
            "<|yue|>",
            "<|translate|>",
            "<|nocaptions|>",
        ];
        let tokenizer = small(&[], &names);
        assert_eq!(tokenizer.special("<|endoftext|>"), Some(256));
        assert_eq!(tokenizer.special("<|nocaptions|>"), Some(260));
        assert_eq!(tokenizer.special("<|nospeech|>"), Some(260));
        assert_eq!(tokenizer.special("<|notimestamps|>"), None);
        let error = tokenizer
            .require("<|notimestamps|>")
            .unwrap_err()
            .to_string();
        assert!(error.contains("<|notimestamps|>"), "{error}");
        assert_eq!(
            tokenizer.languages(),
            [("en".to_owned(), 257), ("yue".to_owned(), 258)]
        );
        assert_eq!(tokenizer.bytes(256), b"");
        assert_eq!(tokenizer.bytes(u32::MAX), b"");
        assert_eq!(
            tokenizer.decode(&[u32::from(b'a'), 256, 99_999, u32::from(b'b')]),
            "ab"
        );
        let ids = tokenizer.encode("<|en|>");
        assert_eq!(ids.len(), 6, "{ids:?}");
    }

    #[test]
    fn a_model_for_english_has_no_languages() {
        let json = file(&[], &["<|en|>", "<|de|>"]).to_string();
        let tokenizer = Tokenizer::from_json(json.as_bytes(), MULTILINGUAL - 1).unwrap();
        assert!(tokenizer.languages().is_empty());
    }

    #[test]
    fn says_what_is_wrong_with_a_file() {
        let good = file(&[("a", "b")], &["<|endoftext|>"]);
        let change = |pointer: &str, value: Value| {
            let mut json = good.clone();
            match json.pointer_mut(pointer) {
                Some(place) => *place = value,
                None => json["model"]["vocab"][pointer] = value,
            }
            refused(&json)
        };
        for (pointer, value, part) in [
            ("/model", json!(3), "cannot read tokenizer.json"),
            ("/model/type", json!("Unigram"), "\"Unigram\""),
            ("/model/vocab/ab", json!(1000), "the id 1000"),
            (
                "/model/vocab/ab",
                json!(4_294_967_295u32),
                "the id 4294967295",
            ),
            ("/model/vocab/ab", json!(-1), "cannot read"),
            ("/model/vocab/ab", json!(7), "the id 7"),
            ("€", json!(300), "'€'"),
            ("/model/merges/0", json!("a"), "merge 0"),
            ("/model/merges/0", json!("a c"), "\"a c\""),
            ("/model/merges/0", json!(["x", "ab"]), "\"x ab\""),
            ("/model/merges/0", json!(["a"]), "cannot read"),
            ("/added_tokens/0/id", json!(5000), "the id 5000"),
        ] {
            let error = change(pointer, value);
            assert!(error.contains(part), "{part}: {error}");
        }
        let mut json = good.clone();
        json["model"]["vocab"].as_object_mut().unwrap().remove("Ġ");
        assert!(refused(&json).contains("0x20"));
        assert!(Tokenizer::from_json(b"", 1000).is_err());
    }

    #[test]
    fn a_long_word_is_encoded_in_little_time() {
        let tokenizer = small(&[("a", "a"), ("aa", "aa"), ("aaaa", "aaaa")], &[]);
        let len = if cfg!(miri) { 1 << 8 } else { 1 << 20 };
        let ids = tokenizer.encode(&"a".repeat(len));
        assert_eq!(ids, vec![258; len / 8]);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 4 } else { 256 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn any_text_comes_back(text in any::<String>()) {
            let tokenizer = small(&[("e", "r"), ("Ġ", "t"), ("Ã", "©")], &["<|en|>"]);
            prop_assert_eq!(pieces(&text).collect::<String>(), text.as_str());
            prop_assert_eq!(tokenizer.decode(&tokenizer.encode(&text)), text);
        }

        #[test]
        fn no_tokens_make_decoding_panic(ids in prop::collection::vec(0u32..300, 0..40)) {
            let tokenizer = small(&[("e", "r")], &["<|en|>"]);
            let text = tokenizer.decode(&ids);
            let whole: Vec<u8> = ids.iter().flat_map(|id| tokenizer.bytes(*id)).copied().collect();
            let lossy = String::from_utf8_lossy(&whole);
            let cut = lossy.strip_suffix(char::REPLACEMENT_CHARACTER);
            prop_assert!(lossy == text || cut == Some(text.as_str()), "{:?}", text);
        }
    }
}
