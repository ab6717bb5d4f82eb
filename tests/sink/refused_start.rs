// SPDX-License-Identifier: MPL-2.0

//! A service that says why it does not start. If no retry can help, the application gets the
//! reason at once.

use crate::common::dialogue::{Dialogue, final_result};
use crate::common::peer::{Message, Script, processing_terminated, started_listening};
use crate::common::pipeline::{BOUND, Pipeline};
use std::path::Path;
use symbl_protocol::reply;

/// The error of `symbl-service` for a language that its engine does not have.
const LANGUAGE: &str = "config.languageCode: \"xx-YY\" is not understood: the installed model of \
    PocketSphinx knows English only";

/// Waits for the ERROR. Returns it and its details.
fn error(pipeline: &mut Pipeline) -> (gst::glib::Error, gst::Structure) {
    let message = pipeline.wait_for("an error", |m| m.type_() == gst::MessageType::Error);
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!()
    };
    (error.error(), error.details().expect("details").to_owned())
}

/// Starts a pipeline whose service answers each start with these messages.
fn answered(replies: Vec<Message>, properties: &str) -> Dialogue {
    Dialogue::begin(Script::listening().replying_to_start(replies), properties)
}

#[test]
fn a_start_that_the_service_refuses_for_what_it_asks_is_an_error_with_the_reason() {
    let title = "The session was not started";
    let fixture =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/symbl-messages/error.json");
    let original = std::fs::read_to_string(fixture).expect("a fixture");
    for (refusal, words) in [
        (
            reply::error(title, LANGUAGE, Some("unsupported_language")),
            &["knows English only", "language-code"][..],
        ),
        (
            reply::enveloped_error(title, LANGUAGE, Some("unsupported_language")),
            &["knows English only", "language-code"],
        ),
        (
            reply::error(title, "there are 9 speakers", Some("invalid_request")),
            &["there are 9 speakers"],
        ),
        (
            r#"{"type":"error","errorMessage":"Unknown language","errorCode":400}"#.to_owned(),
            &["Unknown language"],
        ),
        (original, &["must be a number between 8000 and 48000"]),
    ] {
        let mut dialogue = answered(vec![Message::text(&refusal)], "language-code=xx-YY");
        let (error, details) = error(&mut dialogue.pipeline);
        assert!(error.matches(gst::ResourceError::Settings), "{error}");
        for word in words {
            assert!(error.message().contains(word), "no {word:?} in {error}");
        }
        assert_eq!(details.get::<&str>("reason"), Ok("settings"), "{details}");
        assert_eq!(details.get::<bool>("retryable"), Ok(false), "{details}");
        let told = dialogue.pipeline.of_kind("error");
        assert_eq!(told.len(), 1, "{refusal}");
        assert_eq!(told[0].get::<bool>("fatal"), Ok(true), "{refusal}");
        assert_eq!(dialogue.pipeline.state(), "failed");
        assert_eq!(dialogue.peer.records().len(), 1, "it was not tried again");
    }
}

#[test]
fn an_error_that_is_no_refusal_does_not_affect_the_start() {
    let busy = reply::error("Busy", "no thread for the stream", Some("internal"));
    let replies = vec![Message::text(busy), started_listening()];
    let mut dialogue = answered(replies, "");
    dialogue.pipeline.wait_for_state("listening");
    let told = dialogue.pipeline.of_kind("error");
    assert_eq!(told[0].get::<bool>("fatal"), Ok(false));
    dialogue.assert_untroubled();
}

#[test]
fn a_service_that_ends_each_start_with_the_same_error_is_given_up_with_that_error() {
    let error_text = "recogniser whisper: no model";
    let unavailable = reply::error(
        "Speech recognition is not available",
        error_text,
        Some("recognizer_unavailable"),
    );
    let replies = vec![
        started_listening(),
        Message::text(unavailable),
        processing_terminated(),
    ];
    let mut dialogue = answered(replies, "reconnect-max-delay=1");
    let (error, details) = error(&mut dialogue.pipeline);
    assert!(error.message().contains(error_text), "{error}");
    assert_eq!(details.get::<&str>("reason"), Ok("terminated"), "{details}");
    assert_eq!(details.get::<bool>("retryable"), Ok(false), "{details}");
    assert_eq!(dialogue.peer.records().len(), 3);
    // The warning of each outage before has the reason too.
    let warnings = dialogue.pipeline.messages.iter();
    let warnings: Vec<String> = warnings
        .filter_map(|m| match m.view() {
            gst::MessageView::Warning(warning) => Some(warning.error().to_string()),
            _ => None,
        })
        .collect();
    assert!(!warnings.is_empty());
    assert!(
        warnings.iter().all(|w| w.contains(error_text)),
        "{warnings:?}"
    );
}

#[test]
fn a_service_that_had_worked_is_tried_again_whatever_error_it_tells() {
    let failed = reply::error("Speech recognition failed", "crashed", Some("failed"));
    let replies = vec![
        started_listening(),
        Message::text(final_result(&[("hello", 0, 100)])),
        Message::text(failed),
        processing_terminated(),
    ];
    let mut dialogue = answered(replies, "reconnect-max-delay=1");
    dialogue.feed.hush(200).expect("there is room");
    assert!(dialogue.peer.wait_for(|records| records.len() > 5, BOUND));
    dialogue.pipeline.collect();
    let errors = |m: &&gst::Message| m.type_() == gst::MessageType::Error;
    assert_eq!(dialogue.pipeline.messages.iter().filter(errors).count(), 0);
}
