// SPDX-License-Identifier: MPL-2.0

//! Messages that cannot be parsed, and the audio of finals among them.

use super::*;

/// Returns a final of these words that cannot be parsed.
fn broken_final(words: &[(&str, u64, u64)]) -> String {
    let mut text = final_of(words);
    text.pop();
    text
}

#[test]
fn unreadable_messages_are_warned_of_once_and_change_nothing() {
    let mut rig = Rig::listening();
    rig.text("<html>");
    rig.text("[1,2]");
    rig.text("{");
    assert_eq!(rig.session.stats(rig.now).parse_errors, 3);
    assert_eq!(
        rig.events
            .iter()
            .filter(|e| matches!(&e.kind, EventKind::Warning(f) if f.reason == Reason::Protocol))
            .count(),
        1
    );
    rig.speak(100);
    assert_eq!(rig.heard().len(), 1600);
}

#[test]
fn audio_whose_final_cannot_be_read_is_a_gap_as_soon_as_the_next_final_shows_its_end() {
    let mut rig = Rig::listening();
    rig.speak(2000);
    rig.text(&final_of(&[("a", 0, 500)]));
    rig.text(&broken_final(&[("b", 600, 900)]));
    assert_eq!(rig.gaps(), []);
    rig.text(&final_of(&[("c", 1200, 1500)]));
    assert_eq!(rig.gaps(), [(500, 700, GapReason::Unreadable)]);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.text(STOPPED);
    rig.text(COMPLETED);
    assert_eq!(rig.drained(), Some((false, 700 * MS)));
    assert_eq!(rig.session.stats(rig.now).audio_finalised, 1300 * MS);
    rig.accounts_for_everything();
}

#[test]
fn an_unreadable_final_without_words_covers_all_audio_that_was_sent_by_then() {
    let mut rig = Rig::listening();
    rig.speak(1000);
    rig.text(&broken_final(&[]));
    rig.speak(1000);
    rig.text(r#"{"type":"recognition_result","isFinal":true,"punctuated":{"transcript":"Next."}}"#);
    assert_eq!(rig.gaps(), [(0, 1000, GapReason::Unreadable)]);
    assert_eq!(rig.finals(), [("Next.".to_owned(), Some(1000 * MS))]);
}

#[test]
fn audio_whose_final_could_not_be_read_is_sent_again_at_a_new_start() {
    let mut rig = Rig::listening();
    rig.speak(1000);
    rig.text(&broken_final(&[("a", 0, 500)]));
    rig.lose();
    rig.pass(Duration::from_millis(500));
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    rig.text(&final_of(&[("a", 0, 500)]));
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.text(STOPPED);
    rig.text(COMPLETED);
    assert_eq!(rig.gaps(), []);
    assert_eq!(rig.drained(), Some((true, 0)));
}

#[test]
fn other_texts_that_cannot_be_read_leave_the_audio_alone() {
    let mut rig = Rig::listening();
    rig.speak(1000);
    for text in [
        "nonsense",
        r#"{"type":"topic_response","topics":["#,
        r#"{"type":"recognition_result","isFinal":false,"#,
    ] {
        rig.text(text);
    }
    rig.text(&final_of(&[("a", 0, 500)]));
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.text(STOPPED);
    rig.text(COMPLETED);
    assert_eq!((rig.gaps(), rig.drained()), (vec![], Some((true, 0))));
}
