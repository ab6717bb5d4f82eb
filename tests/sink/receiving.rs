// SPDX-License-Identifier: MPL-2.0

//! The messages of the service, and what the application gets of them: C19–C26.
//! `crates/protocol/tests` tests the parsers. These tests are about the element, with a
//! stream that goes on.

use crate::common::dialogue::{Dialogue, final_result, interim_result, message_response};
use crate::common::peer::{Message, Script, close, fragments};
use crate::common::pipeline::{bytes_of, counted};
use serde_json::Value;
use std::path::Path;
use symbl_service::recognizer::scripted;

/// Returns the text of a fixture, as on the wire.
fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/symbl-messages");
    std::fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns the names of the fixtures that a service sends in text frames.
fn fixtures() -> Vec<String> {
    let index: Value = serde_json::from_str(&fixture("index.json")).expect("JSON");
    let sent =
        |about: &Value| about["transport"] == "ws-text" && about["direction"] == "server->client";
    let entries = index.as_object().expect("an object").iter();
    entries
        .filter(|(_, about)| sent(about))
        .map(|(name, _)| name.clone())
        .collect()
}

/// Asserts that audio that is pushed now still arrives.
fn assert_goes_on(dialogue: &mut Dialogue) {
    let before = dialogue.record().audio().len();
    let speech = scripted::speech(0..5, 16_000);
    dialogue.feed.speak(&speech).expect("it flows");
    let complete = before + 2 * speech.len();
    dialogue.wait(|record| record.audio().len() >= complete);
    assert!(dialogue.record().audio().ends_with(&bytes_of(&speech)));
    assert_eq!(dialogue.peer.records().len(), 1, "still the same socket");
    dialogue.assert_untroubled();
}

/// Returns `(text, is-final, utterance-id)` of each transcript.
fn transcripts(dialogue: &Dialogue) -> Vec<(String, bool, String)> {
    dialogue
        .pipeline
        .of_kind("transcript")
        .iter()
        .map(|s| {
            (
                s.get("text").expect("a text"),
                s.get("is-final").expect("a boolean"),
                s.get("utterance-id").expect("an id"),
            )
        })
        .collect()
}

fn texts(dialogue: &Dialogue, kind: &str) -> Vec<String> {
    let items = dialogue.pipeline.of_kind(kind);
    items
        .iter()
        .map(|s| s.get("text").expect("a text"))
        .collect()
}

#[test]
fn c19_every_message_that_is_known_to_exist_leaves_the_stream_alone() {
    let fixtures = fixtures();
    assert!(fixtures.len() >= 25, "{fixtures:?}");
    // That message ends the session: see `faults`.
    let lasting = |name: &String| !name.starts_with("processing_terminated");
    for name in fixtures.into_iter().filter(lasting) {
        let mut dialogue = Dialogue::listening(5000);
        dialogue.say_text(&fixture(&name));
        dialogue.settle();
        let errors = counted(&dialogue.pipeline.sink(), "parse-errors");
        assert_eq!(errors, 0, "{name}");
        assert_goes_on(&mut dialogue);
    }
}

#[test]
fn c19_unknown_messages_are_passed_on_unchanged_and_change_nothing() {
    let mut dialogue = Dialogue::listening(500);
    let unknown = [
        (r#"{"type":"weather","sky":"grey"}"#, "weather"),
        (
            r#"{"type":"message","message":{"type":"mood","value":[1,null]}}"#,
            "mood",
        ),
    ];
    for (text, _) in unknown {
        dialogue.say_text(text);
    }
    // A known message has unknown members.
    let mut known: Value = serde_json::from_str(&final_result(&[("Hello", 0, 300)])).expect("JSON");
    known["colour"] = "red".into();
    known["message"]["mood"] = Value::Null;
    dialogue.say_text(&known.to_string());
    dialogue.settle();

    let raw = dialogue.pipeline.of_kind("raw");
    let raw: Vec<_> = raw
        .iter()
        .map(|s| (s.get("json").expect("text"), s.get("type").expect("a type")))
        .collect();
    assert_eq!(raw, unknown);
    assert_eq!(counted(&dialogue.pipeline.sink(), "unknown"), 2);
    assert_eq!(texts(&dialogue, "transcript"), ["Hello"]);
    assert_goes_on(&mut dialogue);
}

#[test]
fn c20_interims_replace_each_other_and_a_final_ends_the_utterance() {
    let mut dialogue = Dialogue::listening(3000);
    dialogue.say_text(&interim_result("The"));
    dialogue.say_text(&interim_result("The pun"));
    dialogue.say_text(&final_result(&[("The", 200, 400), ("pump", 400, 900)]));
    dialogue.say_text(&interim_result("On line"));
    dialogue.say_text(&final_result(&[("On", 1000, 1200), ("line", 1200, 1500)]));
    dialogue.settle();

    let told = transcripts(&dialogue);
    let expected = [
        ("The", false),
        ("The pun", false),
        ("The pump", true),
        ("On line", false),
        ("On line", true),
    ];
    let texts: Vec<_> = told.iter().map(|t| (t.0.as_str(), t.1)).collect();
    assert_eq!(texts, expected);
    let utterances: Vec<_> = told.iter().map(|t| t.2.as_str()).collect();
    assert!(utterances[..3].iter().all(|u| *u == utterances[0]));
    assert!(utterances[3..].iter().all(|u| *u == utterances[3]));
    assert_ne!(utterances[0], utterances[3]);
    let finals = dialogue.pipeline.words();
    let finals: Vec<_> = finals.iter().map(|(word, _)| word.as_str()).collect();
    assert_eq!(finals, ["the", "pump", "on", "line"]);
}

#[test]
fn c20_unwanted_interims_are_not_posted() {
    let mut dialogue = Dialogue::begin(Script::listening(), "interim-results=false");
    dialogue.pipeline.wait_for_state("listening");
    dialogue.feed.hush(1000).expect("there is room");
    dialogue.wait(|record| record.audio().len() == 32_000);
    dialogue.say_text(&interim_result("The pun"));
    dialogue.say_text(&final_result(&[("The", 200, 400), ("pump", 400, 900)]));
    dialogue.settle();
    assert_eq!(texts(&dialogue, "transcript"), ["The pump"]);
}

#[test]
fn c21_two_messages_in_one_response_are_posted_as_two_in_order_with_their_words() {
    let mut dialogue = Dialogue::listening(6000);
    let response = fixture("message_response.json");
    dialogue.say_text(&fixture("recognition_result_final.json"));
    dialogue.say_text(&response);
    dialogue.settle();

    let response: Value = serde_json::from_str(&response).expect("JSON");
    let messages = dialogue.pipeline.of_kind("message");
    assert_eq!(messages.len(), 2);
    for (told, said) in messages
        .iter()
        .zip(response["messages"].as_array().unwrap())
    {
        let content = said["payload"]["content"].as_str();
        assert_eq!(told.get::<&str>("text").ok(), content);
        assert_eq!(told.get::<&str>("id").ok(), said["id"].as_str());
        let words: Value = serde_json::from_str(told.get("words").expect("words")).unwrap();
        let encoded = said["metadata"]["words"].as_str().expect("a string");
        let decoded: Value = serde_json::from_str(encoded).expect("JSON in a string");
        let spellings = |words: &Value| -> Vec<String> {
            let words = words.as_array().expect("an array").iter();
            words
                .map(|w| w["word"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(spellings(&words), spellings(&decoded));
        // The message is at the place of its audio: the stream begins at zero.
        let first = &decoded[0]["timeOffset"].as_f64().expect("seconds");
        let first = (first * 1e9).round() as u64;
        assert_eq!(told.get::<u64>("running-time"), Ok(first));
        assert_eq!(words[0]["running-time"].as_u64(), Some(first));
    }
}

#[test]
fn c21_malformed_words_do_not_drop_the_message() {
    let mut dialogue = Dialogue::listening(1000);
    for (n, words) in [r#""[{broken""#, "17", "{}", "null", r#""""#]
        .iter()
        .enumerate()
    {
        dialogue.say_text(&format!(
            r#"{{"type":"message_response","messages":[{{"id":"m{n}",
            "payload":{{"content":"Message {n}."}},"metadata":{{"words":{words}}}}}]}}"#
        ));
    }
    dialogue.settle();
    let expected: Vec<String> = (0..5).map(|n| format!("Message {n}.")).collect();
    assert_eq!(texts(&dialogue, "message"), expected);
    assert_goes_on(&mut dialogue);
}

#[test]
fn c22_members_that_services_leave_out_or_spell_otherwise_are_no_error() {
    let mut dialogue = Dialogue::listening(3000);
    let final_of = |members: &str, words: &str| {
        format!(
            r#"{{"type":"message","message":{{"type":"recognition_result","isFinal":true{members},
            "punctuated":{{"transcript":"word"}},"payload":{{"raw":{{"alternatives":[
            {{"words":{words},"transcript":"word"}}]}}}}}}}}"#
        )
    };
    let word = |start: &str, end: &str| {
        format!(r#"[{{"word":"word","startTime":{start},"endTime":{end}}}]"#)
    };
    let strings = word(
        r#"{"seconds":"0","nanos":"300000000"}"#,
        r#"{"seconds":"0","nanos":"500000000"}"#,
    );
    let numbers = word(
        r#"{"seconds":1,"nanos":200000000}"#,
        r#"{"seconds":1,"nanos":400000000}"#,
    );
    let sparse = word(r#"{"seconds":"2"}"#, r#"{"seconds":2,"nanos":null}"#);
    dialogue.say_text(&final_of("", &strings));
    dialogue.say_text(&final_of(r#","user":null,"entities":null"#, &numbers));
    dialogue.say_text(&final_of(r#","user":{},"timeOffset":null"#, &sparse));
    // The sequence numbers have gaps.
    for number in ["7", "3", "null", "\"9\""] {
        let members = r#""messages":[],"insights":null"#;
        dialogue.say_text(&format!(
            r#"{{"type":"message_response","sequenceNumber":{number},{members}}}"#
        ));
    }
    dialogue.settle();
    let times: Vec<u64> = dialogue.pipeline.words().iter().map(|w| w.1).collect();
    assert_eq!(times, [300_000_000, 1_200_000_000, 2_000_000_000]);
    assert_eq!(counted(&dialogue.pipeline.sink(), "parse-errors"), 0);
    assert_goes_on(&mut dialogue);
}

#[test]
fn c23_the_end_of_the_conversation_is_understood_in_both_placements() {
    for name in [
        "conversation_completed.json",
        "conversation_completed_flat.json",
    ] {
        let script = Script::listening().replying_to_stop(vec![Message::text(fixture(name))]);
        let mut dialogue = Dialogue::begin(script, "drain-timeout=30000");
        dialogue.pipeline.wait_for_state("listening");
        dialogue.feed.hush(200).expect("there is room");
        // Only this message completes the conversation.
        assert!(dialogue.feed.end());
        dialogue.pipeline.wait_for_eos();
        let mut sessions = dialogue.pipeline.of_kind("session");
        sessions.retain(|s| s.get::<&str>("event") == Ok("completed"));
        assert_eq!(sessions.len(), 1, "{name}");
        let drained = dialogue.pipeline.of_kind("drained");
        assert_eq!(drained[0].get::<bool>("complete"), Ok(true), "{name}");
    }
}

#[test]
fn c24_an_error_of_the_service_is_posted_in_both_forms_and_the_stream_goes_on() {
    let mut dialogue = Dialogue::listening(200);
    dialogue.say_text(&fixture("error.json"));
    dialogue.say_text(&fixture("error_envelope.json"));
    dialogue.settle();
    let errors = dialogue.pipeline.of_kind("error");
    let told: Vec<(&str, &str)> = errors
        .iter()
        .map(|s| {
            (
                s.get("message").expect("a message"),
                s.get("details").expect("details"),
            )
        })
        .collect();
    assert_eq!(told[0].0, "Invalid start_request");
    assert!(
        told[0]
            .1
            .contains("must be a number between 8000 and 48000")
    );
    assert_eq!(
        told[1],
        ("Invalid state", "No active recognition for this connection")
    );
    let last: String = crate::common::pipeline::stats(&dialogue.pipeline.sink())
        .get("last-error")
        .expect("a text");
    assert_eq!(last, "No active recognition for this connection");
    assert_goes_on(&mut dialogue);
}

#[test]
fn c24_an_error_and_a_close_leave_it_to_the_code_whether_to_come_back() {
    // A sink that is refused by policy does not reconnect.
    for (code, comes_back) in [(1011, true), (1008, false)] {
        let mut dialogue = Dialogue::begin(Script::listening(), "on-fatal=warning");
        dialogue.pipeline.wait_for_state("listening");
        dialogue.say_text(&fixture("error.json"));
        dialogue.say(close(code));
        let state = if comes_back { "reconnecting" } else { "failed" };
        dialogue.pipeline.wait_for_state(state);
        let names = dialogue.pipeline.names();
        let error = names.iter().position(|n| n.starts_with("symbl/error"));
        assert!(error.is_some(), "{names:#?}");
        if comes_back {
            dialogue.pipeline.wait_for_state("listening");
            assert_eq!(dialogue.peer.records().len(), 2);
        }
        let states = dialogue.pipeline.of_kind("state");
        let told = states.iter().find(|s| s.get::<&str>("state") == Ok(state));
        assert_eq!(
            told.expect("a state").get::<i32>("close-code"),
            Ok(code.into())
        );
    }
}

#[test]
fn c25_pongs_and_binary_frames_are_taken_silently_and_pings_are_answered() {
    let mut dialogue = Dialogue::listening(200);
    dialogue.settle();
    dialogue.pipeline.collect();
    let before = dialogue.pipeline.messages.len();
    dialogue.say_text("__PONG__");
    dialogue.say(Message::Binary(vec![1, 2, 3].into()));
    dialogue.say(Message::Pong("unasked".into()));
    let payload = Message::Ping(vec![0, 255, 17].into());
    dialogue.say(payload);
    let answer = Message::Pong(vec![0, 255, 17].into());
    dialogue.wait(|record| record.frames.contains(&answer));
    dialogue.settle();
    assert_eq!(dialogue.pipeline.messages.len(), before, "nothing is told");
    let sink = dialogue.pipeline.sink();
    assert_eq!(
        counted(&sink, "parse-errors") + counted(&sink, "unknown"),
        0
    );
    assert_goes_on(&mut dialogue);
}

#[test]
fn c26_a_message_in_fragments_is_one_message() {
    let text = final_result(&[("Gr\u{fc}\u{df}e", 0, 200), ("\u{1f600}", 200, 400)]);
    for size in [1, 7, 100] {
        let mut dialogue = Dialogue::listening(1000);
        for fragment in fragments(&text, size) {
            dialogue.say(fragment);
        }
        dialogue.settle();
        assert_eq!(
            texts(&dialogue, "transcript"),
            ["Gr\u{fc}\u{df}e \u{1f600}"],
            "fragments of {size}"
        );
        assert_goes_on(&mut dialogue);
    }
}

#[test]
fn c26_a_message_of_a_mebibyte_is_received() {
    let mut dialogue = Dialogue::listening(200);
    let text: String = "All work and no play. ".repeat(1024 * 1024 / 22 + 1);
    dialogue.say_text(&message_response(&[("m1", &text)]));
    let in_fragments = message_response(&[("m2", &text)]);
    for fragment in fragments(&in_fragments, 16_000) {
        dialogue.say(fragment);
    }
    dialogue.settle();
    let told = texts(&dialogue, "message");
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|t| *t == text));
    assert_goes_on(&mut dialogue);
}
