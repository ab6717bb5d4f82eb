// SPDX-License-Identifier: MPL-2.0

//! The table of Symbl's API: docs/symbl-api.json as types.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the service does with an operation, a field or a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It does what Symbl documents.
    Works,
    /// It does it in another way, which the row describes.
    Differs,
    /// It does not do it and says so.
    Refused,
}

/// The whole table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    #[serde(rename = "about")]
    _about: String,
    pub areas: Vec<Area>,
    /// Fields that several operations share.
    pub sets: BTreeMap<String, Set>,
    pub streaming: Streaming,
}

/// Some operations that belong together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Area {
    pub name: String,
    pub about: Option<String>,
    pub operations: Vec<Operation>,
}

/// A request of the REST API.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    pub method: String,
    /// The path, with `{name}` for what an earlier operation gave.
    pub path: String,
    pub status: Status,
    /// How it differs, or what the refusal says.
    #[serde(default)]
    pub how: String,
    /// The part of the project that is to implement it. Such a row must not work yet.
    pub awaits: Option<String>,
    /// The status code of success.
    pub success: Option<u16>,
    /// The type of a recording that is sent as the body.
    pub send: Option<String>,
    /// The members that a body must have at least.
    pub body: Option<Value>,
    /// Sets of fields, by the part of the request they are in: `body` or `query`.
    #[serde(default)]
    pub uses: BTreeMap<String, Vec<String>>,
    /// Fields by name: `query.limit`, `body.messages[0].from.name`.
    #[serde(default)]
    pub fields: Fields,
    /// JSON pointers to members that an answer has.
    #[serde(default)]
    pub members: Vec<String>,
    /// JSON pointers to documented members that no answer has, and why.
    #[serde(default)]
    pub without: BTreeMap<String, String>,
    /// Names for later paths, and the JSON pointers to their values in the answer.
    #[serde(default)]
    pub gives: BTreeMap<String, String>,
}

pub type Fields = BTreeMap<String, Field>;

/// A field of a request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    pub status: Status,
    #[serde(default)]
    pub how: String,
    pub awaits: Option<String>,
    pub example: Value,
    /// A JSON pointer to what an answer has only if the field is sent.
    pub shows: Option<String>,
}

/// Fields that several operations share.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    pub about: String,
    pub fields: Fields,
}

/// The Streaming and the Subscribe API.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Streaming {
    pub paths: Vec<Endpoint>,
    /// What a client sends.
    pub client: Vec<Message>,
    /// What a client is sent.
    pub server: Vec<Message>,
}

/// A path for WebSockets.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    pub path: String,
    pub status: Status,
}

/// A message on a WebSocket.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    #[serde(rename = "type")]
    pub kind: String,
    pub status: Status,
    #[serde(default)]
    pub how: String,
    pub awaits: Option<String>,
    /// The kind of message that answers what a client sends.
    pub answer: Option<String>,
    /// What a client sends for it beside the type.
    pub body: Option<Value>,
    #[serde(default)]
    pub fields: Fields,
    #[serde(default)]
    pub members: Vec<String>,
    #[serde(default)]
    pub without: BTreeMap<String, String>,
}

/// Returns the path of a file in `docs`.
pub fn document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name)
}

/// Reads the table.
pub fn table() -> Table {
    let text = std::fs::read_to_string(document("symbl-api.json")).expect("the table");
    serde_json::from_str(&text).expect("a table")
}

impl Table {
    /// Returns all fields of an operation, also those of its sets.
    pub fn fields(&self, operation: &Operation) -> Fields {
        let mut fields = operation.fields.clone();
        for (part, names) in &operation.uses {
            for name in names {
                let set = self.sets.get(name).expect("a set");
                let named = set.fields.iter();
                let named = named.map(|(name, field)| (format!("{part}.{name}"), field.clone()));
                fields.extend(named);
            }
        }
        fields
    }
}

/// Sets a value in a tree by a path such as `messages[0].from.name`.
pub fn put(tree: &mut Value, path: &str, value: &Value) {
    let mut place = tree;
    for step in path.replace('[', ".").replace(']', "").split('.') {
        place = match step.parse::<usize>() {
            Ok(index) => {
                if !place.is_array() {
                    *place = Value::Array(Vec::new());
                }
                let items = place.as_array_mut().expect("an array");
                if items.len() <= index {
                    items.resize(index + 1, Value::Null);
                }
                &mut items[index]
            }
            Err(_) => &mut place[step],
        };
    }
    *place = value.clone();
}

/// Returns `true` if a text names a field, by its whole name or the first part of it.
pub fn names(text: &str, field: &str) -> bool {
    let first = field.split(['.', '[']).next().unwrap_or(field);
    let words: Vec<&str> = text
        .split(|c: char| !(c.is_alphanumeric() || "_.[]".contains(c)))
        .map(|word| word.trim_matches('.'))
        .collect();
    words.contains(&field) || words.contains(&first)
}
