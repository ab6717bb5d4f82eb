// SPDX-License-Identifier: MPL-2.0

//! Finds the fields of a `start_request` or `modify_request` that this service does not
//! do. The client is told of them, because it may rely on a field that was accepted.
//!
//! Pure: text in, names out. The lists are of the fields that the service honours. So a
//! field that is new in the API counts as unsupported until it is added here.

use crate::door::symbl::bounds::shortened;
use crate::door::unhonoured::{MOST, asks};
use serde_json::{Map, Value};
use symbl_protocol::InsightType;

const REQUEST: &[&str] = &[
    "type",
    "config",
    "customVocabulary",
    "detectPhrases",
    "disconnectOnStopRequest",
    "disconnectOnStopRequestTimeout",
    "enableAllTrackers",
    "insightTypes",
    "meetingTitle",
    "noConnectionTimeout",
    "sentiment",
    "sentiments",
    "speaker",
    "trackers",
    "x_stream",
];

const CONFIG: &[&str] = &[
    "analytics",
    "confidenceThreshold",
    "detectEntities",
    "detectPhrases",
    "encoding",
    "interimResults",
    "languageCode",
    "maxFinalDelay",
    "meetingTitle",
    "recognitionProgress",
    "redaction",
    "sampleRateHertz",
    "sentiment",
    "sentiments",
    "speechRecognition",
    "timezoneOffset",
    "trackers",
];

/// The fields of the objects of a request.
const OBJECTS: &[(&str, &[&str])] = &[
    ("config", CONFIG),
    (
        "config.speechRecognition",
        &["encoding", "interimResults", "sampleRateHertz"],
    ),
    (
        "config.redaction",
        &["identifyContent", "redactContent", "redactionString"],
    ),
    ("config.trackers", &["enableAllTrackers", "interimResults"]),
    ("speaker", &["email", "name", "userId"]),
    ("x_stream", &["attempt", "id", "position"]),
];

const TRACKER: &[&str] = &["name", "vocabulary"];

const MODIFY: &str = "modify_request";

/// Only the format can be modified.
const MODIFY_REQUEST: &[&str] = &["type", "config", "speechRecognition"];

const MODIFY_OBJECTS: &[(&str, &[&str])] = &[
    (
        "config",
        &["encoding", "sampleRateHertz", "speechRecognition"],
    ),
    ("config.speechRecognition", &["encoding", "sampleRateHertz"]),
    ("speechRecognition", &["encoding", "sampleRateHertz"]),
];

/// Returns the paths of the fields that ask for something unsupported, such as
/// `config.redaction`.
pub(crate) fn fields(request: &str) -> Vec<String> {
    // A request that is not an object was refused before.
    let Ok(Value::Object(request)) = serde_json::from_str(request) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let is_modify = request.get("type").and_then(Value::as_str) == Some(MODIFY);
    let (members, objects) = match is_modify {
        true => (MODIFY_REQUEST, MODIFY_OBJECTS),
        false => (REQUEST, OBJECTS),
    };
    unknown("", &request, members, &mut found);
    for (path, known) in objects {
        let object = path.split('.').try_fold(&request, |object, name| {
            object.get(name).and_then(Value::as_object)
        });
        if let Some(object) = object {
            unknown(&format!("{path}."), object, known, &mut found);
        }
    }
    if is_modify {
        found.truncate(MOST);
        return found;
    }
    let trackers = request.get("trackers").and_then(Value::as_array);
    for (index, tracker) in trackers.into_iter().flatten().enumerate() {
        if let Some(tracker) = tracker.as_object().filter(|_| found.len() < MOST) {
            unknown(&format!("trackers[{index}]."), tracker, TRACKER, &mut found);
        }
    }
    // The official Go SDK sends a boolean, which has no time.
    if matches!(request.get("noConnectionTimeout"), Some(Value::Bool(true))) {
        found.push("noConnectionTimeout".to_owned());
    }
    let kinds = request.get("insightTypes").and_then(Value::as_array);
    let kinds = kinds.into_iter().flatten().filter_map(Value::as_str);
    let kinds = kinds.filter(|kind| !kind.trim().is_empty());
    for kind in kinds.filter(|kind| InsightType::from_wire(kind).is_none()) {
        found.push(format!("insightTypes.{}", shortened(kind)));
    }
    found.truncate(MOST);
    found
}

fn unknown(path: &str, object: &Map<String, Value>, known: &[&str], found: &mut Vec<String>) {
    let members = object
        .iter()
        .filter(|(name, _)| !known.contains(&name.as_str()));
    let asked = members.filter(|(_, value)| asks(value));
    let names = asked.map(|(name, _)| format!("{path}{}", shortened(name)));
    found.extend(names.take(MOST));
}

/// Returns the message to the client about these fields, if there are any.
pub(crate) fn details(fields: &[String]) -> Option<String> {
    if fields.is_empty() {
        return None;
    }
    let list = fields.join(", ");
    Some(format!(
        "this service does not do what is asked by: {list}."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_that_ask_for_what_is_not_done_are_named() {
        for (request, expected) in [
            (json!({"config": {"mood": true}}), vec!["config.mood"]),
            (
                json!({"config": {"redaction": {"redact": 1}}}),
                vec!["config.redaction.redact"],
            ),
            (
                json!({"trackers": [{"name": "a", "vocabulary": []}, {"name": "b", "zz": 1}]}),
                vec!["trackers[1].zz"],
            ),
            (json!({"actions": [{"invokeOn": "stop"}]}), vec!["actions"]),
            (
                json!({"noConnectionTimeout": true}),
                vec!["noConnectionTimeout"],
            ),
            (
                json!({"insightTypes": ["question", "mood"]}),
                vec!["insightTypes.mood"],
            ),
            (
                json!({"config": {"speechRecognition": {"engine": "google", "interimResults": false}}}),
                vec!["config.speechRecognition.engine"],
            ),
        ] {
            let mut request = request;
            request["type"] = "start_request".into();
            assert_eq!(fields(&request.to_string()), expected, "{request}");
        }
    }

    #[test]
    fn what_asks_for_nothing_or_is_done_is_not_named() {
        let request = json!({
            "type": "start_request",
            "insightTypes": ["question", "action_item", "follow_up", "topic", ""],
            "customVocabulary": ["GStreamer"],
            "config": {
                "speechRecognition":
                    {"encoding": "LINEAR16", "sampleRateHertz": 16000.0, "interimResults": true},
                "redaction": {"identifyContent": true, "redactContent": true, "redactionString": "****"},
                "sentiment": true,
                "detectPhrases": true,
                "confidenceThreshold": 0.5,
                "maxFinalDelay": 3,
                "recognitionProgress": true,
                "meetingTitle": "x",
                "languageCode": "en-US",
                "timezoneOffset": 60,
                "detectEntities": true,
                "trackers": {"interimResults": true, "enableAllTrackers": true},
            },
            "speaker": {"userId": "a@b.example", "name": "A"},
            "trackers": null,
            "noConnectionTimeout": 5,
            "disconnectOnStopRequest": false,
            "disconnectOnStopRequestTimeout": 5,
        });
        assert_eq!(fields(&request.to_string()), Vec::<String>::new());
        assert_eq!(details(&[]), None);
    }

    #[test]
    fn fields_of_a_modify_that_are_no_format_are_named() {
        let request = json!({
            "type": "modify_request",
            "insightTypes": ["question"],
            "config": {"languageCode": "en-US", "encoding": "LINEAR16"},
            "speechRecognition": {"sampleRateHertz": 8000, "engine": "x"},
        });
        let expected = [
            "insightTypes",
            "config.languageCode",
            "speechRecognition.engine",
        ];
        assert_eq!(fields(&request.to_string()), expected);
    }

    #[test]
    fn what_is_told_is_bounded() {
        let members: Map<String, Value> = (0..10_000)
            .map(|number| (format!("{number}{}", "x".repeat(50)), true.into()))
            .collect();
        let found = fields(&json!({"config": members}).to_string());
        assert_eq!(found.len(), MOST);
        assert!(details(&found).is_some_and(|text| text.len() < 2000));
    }
}
