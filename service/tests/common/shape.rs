// SPDX-License-Identifier: MPL-2.0

//! Compares what the service says with the fixtures of the API.

use serde_json::Value;

/// Asserts that the example has every member of `value`, with the same type.
pub fn conforms(value: &Value, example: &Value, path: &str) {
    match (value, example) {
        (Value::Object(members), Value::Object(known)) => {
            for (name, member) in members {
                // Our extensions: a stable name for each error, where an interim starts and how
                // many of its words are stable, and the session and state of a conversation.
                let of_interim = ["startTime", "x_stableWords"].contains(&name.as_str());
                let of_conversation = ["x_sessionId", "x_status"].contains(&name.as_str());
                if name == "code"
                    || path.ends_with(".alternatives[]") && of_interim
                    || path == "conversation" && of_conversation
                {
                    continue;
                }
                let example = known
                    .get(name)
                    .unwrap_or_else(|| panic!("{path}.{name} is unknown"));
                conforms(member, example, &format!("{path}.{name}"));
            }
        }
        (Value::Array(items), Value::Array(known)) => {
            for item in items {
                conforms(
                    item,
                    known.first().expect("an example"),
                    &format!("{path}[]"),
                );
            }
        }
        (value, example) => assert_eq!(
            std::mem::discriminant(value),
            std::mem::discriminant(example),
            "{path}: {value} is of another type than {example}"
        ),
    }
}

pub fn example(name: &str) -> Value {
    let path = format!(
        "{}/../tests/fixtures/symbl-messages/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_str(&std::fs::read_to_string(path).expect("a fixture")).expect("JSON")
}
