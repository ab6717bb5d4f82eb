// SPDX-License-Identifier: MPL-2.0

//! Which audio is sent again after a reconnect, and which results are told once.

use super::*;

impl Rig {
    /// Loses the connection, rejoins, and returns where the replay begins, in milliseconds.
    fn replay_begins_at(&mut self) -> i16 {
        self.lose();
        self.sent.clear();
        self.pass(Duration::from_secs(3));
        self.input(Input::Connected { announced: false });
        self.text(LISTENING);
        let first = self.heard().first().copied();
        first.map_or(-1, |sample| sample / 16)
    }
}

#[test]
fn a_lost_socket_is_rejoined_and_unfinalised_audio_is_sent_again() {
    let mut rig = Rig::listening();
    rig.text(&named("conversation_created", "42"));
    rig.speak(3000);
    rig.text(&final_of(&[("one", 200, 950)]));
    rig.text(&message_of("m1", "One."));
    rig.lose();
    assert_eq!(rig.session.state(), State::Reconnecting);
    rig.speak(1000);
    rig.sent.clear();
    rig.pass(Duration::from_millis(500));
    rig.input(Input::Connected { announced: false });
    rig.text(&named("recognition_started", "42"));
    // The chunk that holds 950 ms is the first that was not finalised.
    assert_eq!(
        rig.heard(),
        (900 * 16..4000 * 16).map(|n| n as i16).collect::<Vec<_>>()
    );
    rig.text(&final_of(&[("one", 0, 50), ("two", 500, 700)]));
    assert_eq!(
        rig.finals(),
        [
            ("one".into(), Some(200 * MS)),
            ("two".into(), Some(1400 * MS))
        ]
    );
    let last = rig.events.last().unwrap();
    assert!(last.placement.unwrap().replayed && last.generation == 2);
    assert!(rig.events.iter().any(|e| matches!(
        &e.kind,
        EventKind::Session {
            event: SessionEvent::Resumed,
            ..
        }
    )));
    assert_eq!(rig.session.stats(rig.now).audio_replayed, 2100 * MS);
    rig.accounts_for_everything();
}

#[test]
fn audio_is_kept_until_its_message_has_come_too() {
    let mut rig = Rig::listening();
    rig.speak(2000);
    rig.text(&final_of(&[("one", 900, 1100)]));
    rig.text(&message_of("m1", "One."));
    rig.text(&final_of(&[("two", 1750, 1900)]));
    // The replay goes back to the silence before the word, in whole chunks.
    assert_eq!(rig.replay_begins_at(), 1200);
    rig.text(&final_of(&[("two", 550, 700)]));
    rig.text(&message_of("m2", "Two."));
    assert_eq!(rig.finals().len(), 2, "the final had come before");
    assert_eq!(rig.messages(), ["One.", "Two."]);
    assert_eq!(rig.replay_begins_at(), 1900);
}

#[test]
fn a_final_that_will_have_no_message_does_not_keep_its_audio() {
    // A service that sends no messages at all.
    let mut rig = Rig::listening();
    rig.speak(2000);
    rig.text(&final_of(&[("one", 100, 400)]));
    rig.text(&final_of(&[("two", 900, 1100)]));
    assert_eq!(rig.replay_begins_at(), 1100);
    // A service that sends none for this final: the message of the next one came first.
    let mut rig = Rig::listening();
    rig.speak(2000);
    rig.text(&final_of(&[("one", 100, 400)]));
    rig.text(&final_of(&[("two", 900, 1100)]));
    rig.text(&message_of("m2", "Two."));
    assert_eq!(rig.replay_begins_at(), 1100);
    // A service that owes it for too long.
    let mut rig = Rig::listening();
    rig.speak(2000);
    rig.text(&final_of(&[("one", 100, 400)]));
    rig.text(&message_of("m1", "One."));
    rig.text(&final_of(&[("two", 900, 1100)]));
    rig.speak(20_000);
    rig.text(&final_of(&[("three", 12_000, 12_100)]));
    rig.text(&final_of(&[("four", 21_050, 21_900)]));
    rig.lose();
    assert!(rig.session.stats(rig.now).audio_finalised >= 21_900 * MS);
}

#[test]
fn a_message_owed_when_the_stream_ends_is_asked_for_again() {
    let mut rig = Rig::listening();
    rig.speak(1000);
    rig.text(&final_of(&[("one", 100, 400)]));
    rig.text(&message_of("m1", "One."));
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.text(&final_of(&[("two", 600, 990)]));
    rig.lose();
    assert_eq!(rig.drained(), None);
    rig.pass(Duration::from_millis(500));
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    rig.text(&final_of(&[("two", 200, 590)]));
    rig.text(&message_of("m2", "Two."));
    rig.text(STOPPED);
    rig.text(COMPLETED);
    assert_eq!(rig.messages(), ["One.", "Two."]);
    assert_eq!(rig.drained(), Some((true, 0)));
}

#[test]
fn a_final_whose_audio_is_forgotten_moves_nothing() {
    let mut rig = Rig::listening();
    rig.speak(1000);
    rig.text(&final_of(&[("one", 200, 900)]));
    rig.lose();
    rig.pass(Duration::from_millis(500));
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    rig.session.flush(rig.now);
    rig.lose();
    rig.pass(Duration::from_secs(2));
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    // A start that was given no audio has no place for any word.
    rig.text(&final_of(&[("two", 200, 900)]));
    assert_eq!(rig.finals().len(), 1);
}
