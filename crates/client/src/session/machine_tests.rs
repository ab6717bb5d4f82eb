// SPDX-License-Identifier: MPL-2.0

//! Both sides of the conversation, in memory, under a clock that the test moves.

#[path = "identity_tests.rs"]
mod identity;
#[path = "needs_tests.rs"]
mod needs;
#[path = "outage_tests.rs"]
mod outage;

use super::*;
use crate::session::StallAction;
use crate::session::event::{GapReason, Reason, SessionEvent};
use crate::session::timeline::Instants;
use serde_json::{Value, json};
use std::time::Duration;
use symbl_protocol::{Encoding, StartRequest, StreamFormat, response};

const MS: u64 = 1_000_000;
const LISTENING: &str = r#"{"type":"message","message":{"type":"started_listening"}}"#;
const STOPPED: &str = r#"{"type":"message","message":{"type":"recognition_stopped"}}"#;
const COMPLETED: &str = r#"{"type":"message","message":{"type":"conversation_completed"}}"#;

/// A session, its clock, and what it did.
struct Rig {
    session: Session,
    now: Time,
    writable: bool,
    pushed: u64,
    sent: Vec<Output>,
    events: Vec<Event>,
}

impl Rig {
    fn new(change: impl FnOnce(&mut SessionConfig)) -> Self {
        let format = StreamFormat::new(Encoding::Linear16, 16_000).unwrap();
        let mut config = SessionConfig::new(StartRequest::new(format));
        change(&mut config);
        let mut session = Session::new(config);
        session.set_upstream(false, false);
        let mut rig = Self {
            session,
            now: Time::ZERO,
            writable: true,
            pushed: 0,
            sent: Vec::new(),
            events: Vec::new(),
        };
        rig.session.start(rig.now);
        rig.session.set_format(rig.now, AudioFormat::new(format));
        rig.pump();
        rig
    }

    /// Connected and listening.
    fn listening() -> Self {
        Self::listening_with(|_| {})
    }

    fn listening_with(change: impl FnOnce(&mut SessionConfig)) -> Self {
        let mut rig = Self::new(change);
        rig.input(Input::Connected { announced: false });
        rig.text(LISTENING);
        rig
    }

    fn pump(&mut self) {
        while let Some(output) = self.session.poll(self.now, self.writable) {
            match output {
                Output::Event(event) => self.events.push(*event),
                output => self.sent.push(output),
            }
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.session.handle(self.now, input);
        self.pump();
    }

    fn text(&mut self, text: &str) {
        self.input(Input::Text(text));
    }

    fn lose(&mut self) {
        self.input(Input::Closed(Failure::closed(1006, "")));
    }

    /// Lets time pass, doing what falls due on the way.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.session.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            self.pump();
        }
        self.now = end;
    }

    /// Audio that says where it is: each sample counts on.
    fn speak_at(&mut self, running_time: u64, millis: u64) {
        let first = self.pushed;
        let data: Vec<u8> = (first..first + millis * 16)
            .flat_map(|n| (n as i16).to_le_bytes())
            .collect();
        self.session.push_audio(
            self.now,
            &Audio {
                data: &data,
                instants: Instants {
                    running_time: Some(running_time),
                    stream_time: Some(running_time),
                    utc: None,
                },
                duration: None,
                speed: 1.0,
            },
        );
        self.pushed += millis * 16;
        self.pump();
    }

    fn speak(&mut self, millis: u64) {
        self.speak_at(self.pushed * MS / 16, millis);
    }

    /// The audio of all binary messages, as sample numbers.
    fn heard(&self) -> Vec<i16> {
        self.sent
            .iter()
            .filter_map(|output| match output {
                Output::Binary(data) => Some(data),
                _ => None,
            })
            .flat_map(|data| {
                data.chunks(2)
                    .map(|s| i16::from_le_bytes([s[0], s[1]]))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    fn texts(&self) -> Vec<Value> {
        self.sent
            .iter()
            .filter_map(|output| match output {
                Output::Text(text) => Some(serde_json::from_str(text).unwrap()),
                _ => None,
            })
            .collect()
    }

    fn dials(&self) -> usize {
        self.sent.iter().filter(|o| **o == Output::Dial).count()
    }

    fn finals(&self) -> Vec<(String, Option<u64>)> {
        self.events
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::Transcript {
                    text,
                    is_final: true,
                    ..
                } => Some((text.clone(), event.placement.and_then(|p| p.running_time))),
                _ => None,
            })
            .collect()
    }

    fn drained(&self) -> Option<(bool, u64)> {
        self.events.iter().find_map(|event| match event.kind {
            EventKind::Drained {
                complete,
                unconfirmed,
            } => Some((complete, unconfirmed)),
            _ => None,
        })
    }

    fn gaps(&self) -> Vec<(u64, u64, GapReason)> {
        self.events
            .iter()
            .filter_map(|event| match event.kind {
                EventKind::Gap { reason } => {
                    let at = event.placement.unwrap();
                    Some((
                        at.running_time.unwrap() / MS,
                        at.duration.unwrap() / MS,
                        reason,
                    ))
                }
                _ => None,
            })
            .collect()
    }

    fn accounts_for_everything(&self) {
        let stats = self.session.stats(self.now);
        assert_eq!(
            stats.audio_sent + stats.audio_spooled + stats.audio_dropped,
            self.session.chunker.position(),
            "{stats:?}"
        );
    }
}

fn final_of(words: &[(&str, u64, u64)]) -> String {
    let time = |ms: u64| json!({"seconds": (ms / 1000).to_string(), "nanos": format!("{:09}", ms % 1000 * MS)});
    let list: Vec<Value> = words
        .iter()
        .map(|(word, start, end)| json!({"word": word, "startTime": time(*start), "endTime": time(*end)}))
        .collect();
    let text = words.iter().map(|w| w.0).collect::<Vec<_>>().join(" ");
    json!({"type":"message","message":{"type":"recognition_result","isFinal":true,
        "payload":{"raw":{"alternatives":[{"words":list,"transcript":text,"confidence":0.9}]}},
        "punctuated":{"transcript":text}}})
    .to_string()
}

/// The message that follows finals of these words.
fn message_of(id: &str, words: &str) -> String {
    format!(
        r#"{{"type":"message_response","messages":[{{"id":"{id}","payload":{{"content":"{words}"}}}}]}}"#
    )
}

fn named(kind: &str, id: &str) -> String {
    json!({"type":"message","message":{"type":kind,"data":{"conversationId":id}}}).to_string()
}

#[test]
fn the_start_request_goes_first_and_audio_waits_for_its_acknowledgement() {
    let mut rig = Rig::new(|_| {});
    rig.speak(500);
    rig.input(Input::Connected { announced: false });
    assert_eq!(rig.texts()[0]["type"], "start_request");
    assert!(rig.heard().is_empty());
    rig.text(LISTENING);
    assert_eq!(rig.heard(), (0..8000).collect::<Vec<i16>>());
    rig.accounts_for_everything();
}

#[test]
fn the_three_replies_are_accepted_in_all_orders_and_the_conversation_is_told_once() {
    let replies = [
        LISTENING.to_owned(),
        named("conversation_created", "42"),
        named("recognition_started", "42"),
    ];
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let mut rig = Rig::new(|_| {});
        rig.input(Input::Connected { announced: false });
        order.iter().for_each(|n| rig.text(&replies[*n]));
        let told: Vec<_> = rig
            .events
            .iter()
            .filter(|e| matches!(e.kind, EventKind::Session { .. }))
            .collect();
        assert_eq!(told.len(), 1, "{order:?}");
        assert_eq!(told[0].conversation_id.as_deref(), Some("42"));
        assert_eq!(rig.session.state(), State::Listening);
    }
}

#[test]
fn a_socket_without_a_format_waits_for_one() {
    let format = StreamFormat::new(Encoding::Linear16, 16_000).unwrap();
    let mut session = Session::new(SessionConfig::new(StartRequest::new(format)));
    session.start(Time::ZERO);
    assert_eq!(session.poll(Time::ZERO, false), Some(Output::Dial));
    session.handle(Time::ZERO, Input::Connected { announced: false });
    while let Some(output) = session.poll(Time::ZERO, true) {
        assert!(matches!(output, Output::Event(_)), "{output:?}");
    }
    session.set_format(Time::ZERO, AudioFormat::new(format));
    assert!(matches!(
        std::iter::from_fn(|| session.poll(Time::ZERO, true)).last(),
        Some(Output::Text(_))
    ));
}

#[test]
fn a_lone_short_buffer_leaves_in_time() {
    let mut rig = Rig::listening();
    rig.speak(5);
    assert!(rig.heard().is_empty());
    rig.pass(Duration::from_millis(100));
    assert_eq!(rig.heard().len(), 80);
}

#[test]
fn nothing_leaves_on_a_socket_that_takes_nothing() {
    let mut rig = Rig::listening();
    rig.writable = false;
    rig.speak(1000);
    assert!(rig.heard().is_empty());
    rig.writable = true;
    rig.pump();
    assert_eq!(rig.heard().len(), 16_000);
}

#[test]
fn a_failed_first_dial_is_tried_again_and_loses_nothing() {
    let mut rig = Rig::new(|_| {});
    rig.speak(300);
    rig.input(Input::DialFailed(Failure::retryable(
        Reason::Tcp,
        "refused",
    )));
    assert_eq!(rig.session.state(), State::Connecting);
    assert_eq!(
        rig.events
            .iter()
            .filter(|e| matches!(e.kind, EventKind::Warning(_)))
            .count(),
        1
    );
    rig.pass(Duration::from_millis(500));
    assert_eq!(rig.dials(), 2);
    rig.input(Input::DialFailed(Failure::retryable(
        Reason::Tcp,
        "refused",
    )));
    assert_eq!(
        rig.events
            .iter()
            .filter(|e| matches!(e.kind, EventKind::Warning(_)))
            .count(),
        1,
        "one outage"
    );
    rig.pass(Duration::from_secs(1));
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    assert_eq!(rig.heard(), (0..4800).collect::<Vec<i16>>());
}

#[test]
fn a_dial_that_does_not_answer_is_given_up_in_time() {
    let mut rig = Rig::new(|config| config.connect_timeout = Duration::from_secs(3));
    rig.pass(Duration::from_secs(3));
    assert!(rig.sent.contains(&Output::Abort));
    let state = rig.events.iter().rev().find_map(|e| match &e.kind {
        EventKind::State {
            failure: Some(failure),
            ..
        } => Some(failure.reason),
        _ => None,
    });
    assert_eq!(state, Some(Reason::ConnectTimeout));
}

#[test]
fn a_start_that_is_not_acknowledged_is_given_up_in_the_time_of_the_whole_way() {
    let mut rig = Rig::new(|config| config.connect_timeout = Duration::from_secs(3));
    rig.pass(Duration::from_secs(2));
    rig.input(Input::Connected { announced: false });
    assert_eq!(rig.session.state(), State::Starting);
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.session.state(), State::Connecting);
    assert!(rig.sent.contains(&Output::Abort));
}

#[test]
fn a_refusal_that_no_retry_can_help_ends_it() {
    let mut rig = Rig::new(|_| {});
    rig.speak(300);
    rig.input(Input::DialFailed(Failure::http(
        401,
        "Token validation failed",
        None,
    )));
    assert_eq!(rig.session.state(), State::Failed);
    assert!(
        rig.events
            .iter()
            .any(|e| matches!(&e.kind, EventKind::Failed(f) if f.reason == Reason::Auth))
    );
    rig.pass(Duration::from_secs(3600));
    assert_eq!(rig.dials(), 1);
    assert_eq!(rig.gaps(), [(0, 300, GapReason::SessionFailed)]);
    assert!(rig.session.has_room(), "upstream is not blocked");
    rig.speak(100);
}

#[test]
fn the_end_of_a_failed_session_is_at_once_and_says_what_nobody_confirmed() {
    let mut rig = Rig::listening();
    rig.speak(300);
    rig.text(&final_of(&[("hello", 0, 100)]));
    rig.input(Input::Closed(Failure::closed(1008, "")));
    assert_eq!(rig.session.state(), State::Failed);
    rig.speak(50);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    assert_eq!(rig.drained(), Some((false, 250 * MS)));
    let warned = |e: &Event| matches!(&e.kind, EventKind::Warning(_));
    assert!(!rig.events.iter().any(warned), "the failure was told");
}

#[test]
fn a_failure_while_draining_ends_the_wait() {
    let mut rig = Rig::listening();
    rig.speak(300);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.input(Input::Closed(Failure::closed(1008, "")));
    assert_eq!(rig.drained(), Some((false, 300 * MS)));
    assert!(rig.session.is_settled());
}

#[test]
fn a_new_token_revives_a_session_that_failed_for_want_of_one_and_no_other() {
    for (status, dials) in [(401, 2), (404, 1)] {
        let mut rig = Rig::new(|_| {});
        rig.speak(100);
        rig.input(Input::DialFailed(Failure::http(status, "", None)));
        assert_eq!(rig.session.state(), State::Failed);
        rig.session.token_changed(rig.now);
        rig.pump();
        assert_eq!(rig.dials(), dials);
    }
    let mut rig = Rig::listening();
    rig.session.token_changed(rig.now);
    rig.pump();
    assert_eq!(rig.dials(), 1, "a session that goes well goes on");
}

#[test]
fn the_back_off_bounds_the_dials() {
    let mut rig = Rig::new(|config| config.reconnect_max_delay = Duration::from_secs(10));
    let end = Duration::from_secs(600);
    while rig.now < end {
        if rig.session.phase
            == (Phase::Dialing {
                deadline: rig.now + Duration::from_secs(10),
            })
        {
            rig.input(Input::DialFailed(Failure::retryable(
                Reason::Tcp,
                "refused",
            )));
        }
        let due = rig.session.next_timeout().unwrap();
        rig.pass(due - rig.now);
    }
    assert!(rig.dials() <= 130, "{} dials in ten minutes", rig.dials());
    assert!(rig.dials() >= 60, "{} dials in ten minutes", rig.dials());
}

#[test]
fn reconnecting_ends_when_its_time_is_up() {
    let mut rig = Rig::new(|config| config.reconnect_timeout = Duration::from_secs(5));
    for _ in 0..20 {
        rig.input(Input::DialFailed(Failure::retryable(
            Reason::Tcp,
            "refused",
        )));
        rig.pass(Duration::from_secs(1));
    }
    assert_eq!(rig.session.state(), State::Failed);
    // Nor does a dial without an answer make it longer.
    let mut rig = Rig::new(|config| config.reconnect_timeout = Duration::from_secs(5));
    rig.pass(Duration::from_millis(4_900));
    assert_eq!(rig.session.state(), State::Connecting);
    rig.pass(Duration::from_millis(200));
    assert_eq!(rig.session.state(), State::Failed);
}

#[test]
fn words_stand_at_the_running_time_of_their_audio() {
    let mut rig = Rig::listening();
    rig.speak_at(7_000 * MS, 2000);
    rig.text(&final_of(&[("hello", 400, 800), ("world", 800, 1300)]));
    assert_eq!(rig.finals(), [("hello world".to_owned(), Some(7_400 * MS))]);
    let EventKind::Transcript { words, .. } = &rig.events.last().unwrap().kind else {
        panic!()
    };
    assert_eq!(
        (words[1].running_time, words[1].duration),
        (Some(7_800 * MS), Some(500 * MS))
    );
}

#[test]
fn a_hole_is_filled_up_to_a_bound_and_then_stepped_over() {
    let mut rig = Rig::listening();
    rig.speak_at(0, 1000);
    rig.session.discontinuity();
    rig.speak_at(1_500 * MS, 1000); // half a second is missing
    rig.session.discontinuity();
    rig.speak_at(10_000 * MS, 1000); // seven and a half are missing
    rig.pass(Duration::from_millis(100));
    assert_eq!(rig.heard().len(), (3000 + 500 + 1000) * 16);
    rig.text(&final_of(&[
        ("one", 900, 1000),
        ("two", 1500, 1700),
        ("three", 3500, 3700),
    ]));
    let EventKind::Transcript { words, .. } = &rig.events.last().unwrap().kind else {
        panic!()
    };
    let times: Vec<_> = words.iter().map(|w| w.running_time.unwrap() / MS).collect();
    assert_eq!(times, [900, 1500, 10_000]);
}

#[test]
fn audio_that_comes_in_bursts_is_sent_as_it_is() {
    let mut rig = Rig::listening();
    for n in 0..500 {
        // Five buffers of 20 ms have the time at which they came, together.
        rig.speak_at((n / 5 + 1) * 100 * MS, 20);
    }
    rig.pass(Duration::from_millis(100));
    assert_eq!(rig.heard().len(), 10_000 * 16);
    rig.text(&final_of(&[("late", 9000, 9500)]));
    let counted = Some((100 + 9000) * MS);
    assert_eq!(rig.finals(), [("late".to_owned(), counted)]);
}

#[test]
fn that_the_wall_clock_was_set_is_told_once() {
    let mut rig = Rig::listening();
    let zero = std::cell::Cell::new(1_700_000_000_000_000_000);
    let speak = |rig: &mut Rig| {
        let running_time = rig.pushed * MS / 16;
        let audio = Audio {
            data: &[0; 3200],
            instants: Instants {
                running_time: Some(running_time),
                stream_time: Some(running_time),
                utc: Some(zero.get() + running_time as i64),
            },
            duration: None,
            speed: 1.0,
        };
        rig.session.push_audio(rig.now, &audio);
        rig.pushed += 1600;
        rig.pass(Duration::from_millis(100));
        rig.input(Input::Pong);
    };
    (0..20).for_each(|_| speak(&mut rig));
    zero.set(zero.get() + 3_600_000_000_000);
    (0..400).for_each(|_| speak(&mut rig));
    let told = rig
        .events
        .iter()
        .filter(|e| matches!(&e.kind, EventKind::Warning(f) if f.reason == Reason::WallClock));
    assert_eq!(told.count(), 1);
    rig.text(&final_of(&[("late", 40_000, 41_000)]));
    let place = rig.events.last().unwrap().placement.unwrap();
    let running_time = place.running_time.unwrap() as i64;
    assert_eq!(place.utc, Some(zero.get() + running_time));
}

#[test]
fn a_gap_event_feeds_bounded_silence_however_often_it_comes() {
    let mut rig = Rig::listening();
    rig.speak_at(0, 1000);
    for n in 0..200 {
        let at = Instants {
            running_time: Some((1000 + n * 20) * MS),
            ..Instants::default()
        };
        rig.session.push_gap(rig.now, at, 20 * MS, 1.0);
    }
    rig.speak_at(5_000 * MS, 1000);
    rig.pass(Duration::from_millis(100));
    assert_eq!(rig.heard().len(), 3000 * 16);
    rig.text(&final_of(&[("late", 2000, 2500)]));
    assert_eq!(rig.finals(), [("late".to_owned(), Some(5_000 * MS))]);
}

#[test]
fn buffers_without_times_follow_the_one_before() {
    let mut rig = Rig::listening();
    rig.speak_at(3_000 * MS, 1000);
    let untimed = Audio {
        data: &[0; 32_000],
        instants: Instants::default(),
        duration: None,
        speed: 1.0,
    };
    rig.session.push_audio(rig.now, &untimed);
    rig.pump();
    rig.text(&final_of(&[("later", 1500, 1600)]));
    assert_eq!(rig.finals(), [("later".to_owned(), Some(4_500 * MS))]);
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

impl Rig {
    /// Loses the socket, rejoins, and tells where the replay begins, in milliseconds.
    fn replay_begins_at(&mut self) -> i16 {
        self.lose();
        self.sent.clear();
        self.pass(Duration::from_secs(3));
        self.input(Input::Connected { announced: false });
        self.text(LISTENING);
        let first = self.heard().first().copied();
        first.map_or(-1, |sample| sample / 16)
    }

    fn messages(&self) -> Vec<String> {
        let texts = self.events.iter().filter_map(|event| match &event.kind {
            EventKind::Message { text, .. } => Some(text.clone()),
            _ => None,
        });
        texts.collect()
    }
}

#[test]
fn audio_is_kept_until_its_message_has_come_too() {
    let mut rig = Rig::listening();
    rig.speak(2000);
    rig.text(&final_of(&[("one", 900, 1100)]));
    rig.text(&message_of("m1", "One."));
    rig.text(&final_of(&[("two", 1750, 1900)]));
    // Back to the silence before the word, in whole chunks.
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
    // One that sends none for this final: the next one's came first.
    let mut rig = Rig::listening();
    rig.speak(2000);
    rig.text(&final_of(&[("one", 100, 400)]));
    rig.text(&final_of(&[("two", 900, 1100)]));
    rig.text(&message_of("m2", "Two."));
    assert_eq!(rig.replay_begins_at(), 1100);
    // One that owes it for too long.
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

impl Rig {
    /// Audio for so long, in step with the clock; `level` is the loudest sample.
    fn sound(&mut self, level: i16, millis: u64) {
        for _ in 0..millis / 100 {
            let data: Vec<u8> = [level; 1600].iter().flat_map(|s| s.to_le_bytes()).collect();
            self.session.push_audio(
                self.now,
                &Audio {
                    data: &data,
                    instants: Instants::default(),
                    duration: None,
                    speed: 1.0,
                },
            );
            self.pushed += 1600;
            self.pass(Duration::from_millis(100));
            self.input(Input::Pong); // it lives
        }
    }

    fn stalls(&self) -> Vec<u128> {
        let stalls = self.events.iter().filter_map(|event| match event.kind {
            EventKind::Stall { silent_for } => Some(silent_for.as_millis()),
            _ => None,
        });
        stalls.collect()
    }
}

#[test]
fn speech_without_a_result_is_a_stall_and_is_told_once() {
    let mut rig = Rig::listening();
    rig.sound(3000, 29_000);
    assert!(rig.stalls().is_empty());
    rig.sound(3000, 2_000);
    assert_eq!(rig.stalls().len(), 1);
    assert!(
        (30_000..30_200).contains(&rig.stalls()[0]),
        "{:?}",
        rig.stalls()
    );
    rig.sound(3000, 60_000);
    assert_eq!(rig.stalls().len(), 1);
    rig.text(&final_of(&[("well", 88_000, 88_500)]));
    rig.sound(3000, 29_000);
    assert_eq!(rig.stalls().len(), 1);
    rig.sound(3000, 2_000);
    assert_eq!(rig.stalls().len(), 2);
    assert_eq!(rig.session.state(), State::Listening);
}

#[test]
fn half_an_hour_of_silence_is_no_stall_and_neither_is_a_cough() {
    let mut rig = Rig::listening();
    rig.sound(3000, 4_900);
    rig.sound(60, 30 * 60_000);
    assert!(rig.stalls().is_empty());
    rig.sound(3000, 200); // with the cough, enough
    assert_eq!(rig.stalls().len(), 1);
}

#[test]
fn a_stall_may_be_a_reason_to_connect_anew() {
    let mut rig = Rig::listening_with(|config| {
        config.stall_timeout = Duration::from_secs(10);
        config.stall_action = StallAction::Reconnect;
    });
    rig.sound(3000, 10_100);
    assert_eq!(rig.stalls().len(), 1);
    assert_eq!(rig.session.state(), State::Reconnecting);
    let reason = rig.events.iter().find_map(|event| match &event.kind {
        EventKind::State { failure, .. } => failure.as_ref().map(|f| f.reason),
        _ => None,
    });
    assert_eq!(reason, Some(Reason::Stall));
}

#[test]
fn of_compressed_audio_only_packets_that_say_something_count_for_a_stall() {
    for (packet, stalls) in [(&[0x08_u8, 0xff, 0xfe][..], 0), (&[0x08; 40][..], 1)] {
        let mut rig = Rig::listening_with(|config| config.stall_timeout = Duration::from_secs(10));
        let wire = StreamFormat::new(Encoding::Opus, 48_000).unwrap();
        rig.session.set_format(rig.now, AudioFormat::new(wire));
        for _ in 0..600 {
            let packet = Audio {
                data: packet, // 20 ms
                instants: Instants::default(),
                duration: None,
                speed: 1.0,
            };
            rig.session.push_audio(rig.now, &packet);
            rig.pass(Duration::from_millis(20));
            rig.input(Input::Pong);
        }
        assert_eq!(rig.stalls().len(), stalls, "{} bytes", packet.len());
    }
}

#[test]
fn c38_what_was_missed_in_an_outage_is_asked_for_and_told_once() {
    let history = r#"{"messages":[
        {"id":"1","text":"One.","startTime":"2026-01-01T00:00:00.200Z","endTime":"2026-01-01T00:00:00.900Z"},
        {"id":"2","text":"Theirs.","from":{"email":"other@example.org"},
         "startTime":"2026-01-01T00:00:03.000Z","endTime":"2026-01-01T00:00:03.500Z"}]}"#;
    let mut rig = Rig::listening_with(|config| config.history_recovery = true);
    rig.text(&named("conversation_created", "42"));
    rig.speak(3000);
    let user = r#""user":{"userId":"me@example.org"},"type":"recognition_result""#;
    let heard = final_of(&[("one", 200, 900)]);
    rig.text(&heard.replace(r#""type":"recognition_result""#, user));
    rig.text(
        r#"{"type":"message_response","messages":[{"id":"m1","from":{"userId":"me@example.org"},
            "payload":{"content":"One."},"duration":{"startTime":"2026-01-01T00:00:00.200Z"}}]}"#,
    );
    rig.lose();
    rig.sent.clear();
    rig.pass(Duration::from_millis(500));
    rig.input(Input::Connected { announced: false });
    rig.text(&named("recognition_started", "42"));
    // From the beginning of our time: there are no five minutes of it.
    let first = response::history(history).unwrap()[0].start_time.unwrap() - 200_000_000;
    let asked = Output::FetchHistory {
        conversation_id: Arc::from("42"),
        since: first,
    };
    assert!(rig.sent.contains(&asked), "{:?}", rig.sent);
    for _ in 0..2 {
        rig.input(Input::History(response::history(history).unwrap()));
    }
    assert_eq!(rig.messages(), ["One.", "Theirs."]);
    let last = rig.events.last().unwrap();
    assert_eq!(last.placement.unwrap().running_time, Some(3000 * MS));

    let failure = Failure::http(503, "", None);
    rig.input(Input::HistoryFailed(failure));
    assert_eq!(rig.session.state(), State::Listening);
    let last = rig.events.last().unwrap();
    assert!(matches!(last.kind, EventKind::Warning(_)));
}

#[test]
fn another_conversation_after_a_rejoin_is_told_as_a_split() {
    let mut rig = Rig::listening();
    rig.text(&named("conversation_created", "42"));
    rig.lose();
    rig.pass(Duration::from_millis(500));
    rig.input(Input::Connected { announced: false });
    rig.text(&named("conversation_created", "43"));
    let split = rig.events.iter().find_map(|e| match &e.kind {
        EventKind::Session {
            event: SessionEvent::Split,
            previous_conversation_id,
        } => Some(previous_conversation_id.clone()),
        _ => None,
    });
    assert_eq!(split.flatten().as_deref(), Some("42"));
}

#[test]
fn a_backlog_of_paced_audio_is_sent_at_the_catch_up_rate() {
    let mut rig = Rig::new(|_| {});
    rig.session.set_upstream(true, true);
    for _ in 0..10 {
        rig.speak(1000);
    }
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    let at_once = rig.heard().len() / 16;
    assert!((1000..1200).contains(&at_once), "{at_once} ms at once");
    rig.pass(Duration::from_secs(2));
    let later = rig.heard().len() / 16;
    assert!(
        (5000..5300).contains(&later),
        "{later} ms after two seconds at twice real time"
    );
    rig.pass(Duration::from_secs(3));
    assert_eq!(rig.heard().len(), 160_000);
}

#[test]
fn a_backlog_that_is_held_back_wakes_nobody_and_a_flush_ends_that() {
    let mut rig = Rig::new(|_| {});
    rig.session.set_upstream(true, true);
    rig.speak(10_000);
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    assert!(!rig.session.needs_poll(true));
    rig.session.flush(rig.now);
    assert!(!rig.session.needs_poll(true), "nothing is there");
    let audio = Audio {
        data: &[0; 3200],
        instants: Instants::default(),
        duration: None,
        speed: 1.0,
    };
    rig.session.push_audio(rig.now, &audio);
    assert!(rig.session.needs_poll(true));
    assert!(
        !rig.session.needs_poll(false),
        "a socket that takes nothing"
    );
}

#[test]
fn audio_that_waits_for_nobody_blocks_and_loses_nothing() {
    let mut rig = Rig::new(|config| config.buffer_duration = Duration::from_secs(2));
    // A buffer is taken whole, however long; and none after it.
    rig.speak(5000);
    assert!(!rig.session.has_room());
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    assert!(rig.session.has_room());
    rig.accounts_for_everything();
}

#[test]
fn live_audio_drops_the_oldest_and_tells_one_gap_for_one_hole() {
    let mut rig = Rig::new(|config| config.buffer_duration = Duration::from_secs(2));
    rig.session.set_upstream(true, true);
    for _ in 0..50 {
        rig.speak(100);
    }
    rig.accounts_for_everything();
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    assert_eq!(rig.gaps(), [(0, 3000, GapReason::BufferFull)]);
    assert_eq!(rig.heard()[0], (3000 * 16) as u16 as i16);
    rig.text(&final_of(&[("here", 100, 300)]));
    assert_eq!(rig.finals(), [("here".to_owned(), Some(3_100 * MS))]);
}

#[test]
fn silence_that_is_never_finalised_does_not_fill_the_spool() {
    let mut rig = Rig::listening_with(|config| config.buffer_duration = Duration::from_secs(2));
    for _ in 0..100 {
        assert!(rig.session.has_room());
        rig.speak(1000);
    }
    assert!(rig.gaps().is_empty());
    rig.accounts_for_everything();
}

#[test]
fn a_dead_connection_is_found_by_its_missing_pong() {
    let mut rig = Rig::listening();
    rig.pass(Duration::from_secs(10));
    assert!(rig.sent.contains(&Output::Ping));
    rig.pass(Duration::from_millis(9_999));
    assert_eq!(rig.session.state(), State::Listening);
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.session.state(), State::Reconnecting);
    assert!(rig.sent.contains(&Output::Abort));
}

#[test]
fn any_frame_is_a_sign_of_life_and_a_pong_measures_the_way() {
    let mut rig = Rig::listening();
    for _ in 0..100 {
        let ping = rig.session.next_timeout().unwrap();
        rig.pass(ping - rig.now);
        rig.now += Duration::from_millis(7);
        rig.input(Input::Pong);
    }
    assert_eq!(rig.session.state(), State::Listening);
    assert_eq!(
        rig.session.stats(rig.now).rtt,
        Some(Duration::from_millis(7))
    );
    rig.pass(Duration::from_secs(10));
    rig.text("__PONG__");
    rig.pass(Duration::from_secs(15));
    assert_eq!(rig.session.state(), State::Listening);
}

#[test]
fn the_end_of_the_stream_goes_last_byte_stop_results_drained() {
    let mut rig = Rig::listening();
    rig.speak(150);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    assert_eq!(rig.heard().len(), 150 * 16);
    assert_eq!(rig.texts().last().unwrap()["type"], "stop_request");
    rig.text(STOPPED);
    rig.pass(Duration::from_secs(3));
    rig.text(&final_of(&[("end", 20, 140)]));
    assert_eq!(rig.drained(), None);
    rig.text(COMPLETED);
    assert_eq!(rig.drained(), Some((true, 0)));
    assert!(matches!(
        rig.sent.last(),
        Some(Output::Close { code: 1000, .. })
    ));
    assert_eq!(rig.finals().len(), 1);
    assert!(rig.session.is_settled());
    assert_eq!(
        rig.texts()
            .iter()
            .filter(|t| t["type"] == "stop_request")
            .count(),
        1
    );
}

#[test]
fn a_close_after_the_stop_was_taken_completes_too() {
    let mut rig = Rig::listening();
    rig.speak(100);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.text(STOPPED);
    rig.input(Input::Closed(Failure::closed(1000, "")));
    assert_eq!(rig.drained(), Some((true, 0)));
}

#[test]
fn a_stop_that_is_never_answered_ends_within_the_drain_timeout_and_says_what_is_missing() {
    let mut rig = Rig::listening();
    rig.speak(1000);
    rig.text(&final_of(&[("one", 100, 400)]));
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.pass(Duration::from_millis(9_999));
    assert_eq!(rig.drained(), None);
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.drained(), Some((false, 600 * MS)));
    assert!(
        rig.events
            .iter()
            .any(|e| matches!(&e.kind, EventKind::Warning(f) if f.reason == Reason::DrainTimeout))
    );
    assert!(matches!(
        rig.sent.last(),
        Some(Output::Close { code: 1000, .. })
    ));
}

#[test]
fn results_keep_the_drain_alive_but_not_for_ever() {
    let mut rig = Rig::listening();
    rig.speak(5000);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    let mut waited = 0;
    while rig.drained().is_none() {
        rig.pass(Duration::from_secs(1));
        waited += 1;
        rig.text(&final_of(&[("x", waited * 300, waited * 300 + 100)]));
    }
    assert_eq!(
        waited, 15,
        "drain timeout and the five seconds that were unfinalised"
    );
}

#[test]
fn an_end_without_audio_is_at_once() {
    let mut rig = Rig::listening();
    rig.session.end_of_stream(rig.now);
    rig.pump();
    assert_eq!(rig.drained(), Some((true, 0)));
    let mut rig = Rig::new(|_| {});
    rig.session.end_of_stream(rig.now);
    rig.pump();
    assert_eq!(rig.drained(), Some((true, 0)));
}

#[test]
fn an_end_while_the_service_is_away_is_bounded_and_named() {
    let mut rig = Rig::new(|_| {});
    rig.speak(2000);
    rig.input(Input::DialFailed(Failure::retryable(
        Reason::Tcp,
        "refused",
    )));
    rig.session.end_of_stream(rig.now);
    rig.pass(Duration::from_secs(12));
    assert_eq!(rig.drained(), Some((false, 2000 * MS)));
    assert_eq!(rig.gaps(), [(0, 2000, GapReason::NotDrained)]);
    rig.accounts_for_everything();
}

#[test]
fn a_socket_lost_while_draining_is_rejoined_for_the_rest() {
    let mut rig = Rig::listening();
    rig.speak(1000);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.lose();
    rig.pass(Duration::from_millis(500));
    rig.sent.clear();
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    assert_eq!(rig.heard().len(), 16_000);
    assert_eq!(rig.texts().last().unwrap()["type"], "stop_request");
    rig.text(COMPLETED);
    assert_eq!(rig.drained(), Some((true, 0)));
}

#[test]
fn a_flush_drops_what_waits_and_keeps_the_session() {
    let mut rig = Rig::listening();
    rig.speak_at(0, 1050);
    rig.writable = false;
    rig.speak_at(1_050 * MS, 500);
    rig.session.flush(rig.now);
    rig.writable = true;
    rig.speak_at(60_000 * MS, 1000);
    assert_eq!(
        rig.heard().len(),
        2000 * 16,
        "no silence is sent for a seek"
    );
    rig.text(&final_of(&[("there", 1100, 1300)]));
    assert_eq!(rig.finals(), [("there".to_owned(), Some(60_100 * MS))]);
    assert_eq!(rig.session.state(), State::Listening);
    rig.accounts_for_everything();
}

#[test]
fn after_the_end_a_flush_begins_anew() {
    let mut rig = Rig::listening();
    rig.speak(100);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.text(STOPPED);
    rig.text(COMPLETED);
    rig.sent.clear();
    rig.session.flush(rig.now);
    rig.speak_at(0, 100);
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    assert_eq!((rig.dials(), rig.heard().len()), (1, 1600));
}

#[test]
fn a_change_of_format_is_told_between_the_last_old_byte_and_the_first_new() {
    let mut rig = Rig::listening();
    rig.speak(150);
    let other = StreamFormat::new(Encoding::Linear16, 8_000).unwrap();
    rig.session.set_format(rig.now, AudioFormat::new(other));
    let audio = Audio {
        data: &[7; 1600],
        instants: Instants::default(),
        duration: None,
        speed: 1.0,
    };
    rig.session.push_audio(rig.now, &audio);
    rig.pump();
    let tail: Vec<_> = rig.sent.iter().rev().take(3).collect();
    assert!(matches!(tail[0], Output::Binary(data) if data[..] == [7; 1600]));
    assert!(
        matches!(tail[1], Output::Text(text) if text.contains("modify_request") && text.contains("8000"))
    );
    assert!(matches!(tail[2], Output::Binary(data) if data.len() == 50 * 32));
}

#[test]
fn a_flac_header_precedes_the_audio_of_every_start() {
    let mut rig = Rig::listening();
    let wire = StreamFormat::new(Encoding::Flac, 16_000).unwrap();
    let header = Bytes::from_static(b"fLaC header");
    rig.session.set_format(
        rig.now,
        AudioFormat {
            header: header.clone(),
            ..AudioFormat::new(wire)
        },
    );
    let frame = Audio {
        data: &[0xff, 0xf8, 0x79, 0x18, 0, 0x06, 0x3f, 0],
        instants: Instants::default(),
        duration: None,
        speed: 1.0,
    };
    rig.session.push_audio(rig.now, &frame);
    rig.pump();
    assert_eq!(rig.sent[rig.sent.len() - 2], Output::Binary(header.clone()));
    rig.lose();
    rig.pass(Duration::from_millis(500));
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    assert_eq!(rig.sent[rig.sent.len() - 2], Output::Binary(header));
    assert_eq!(
        rig.sent.last(),
        Some(&Output::Binary(Bytes::copy_from_slice(frame.data)))
    );
    let again = rig.texts();
    assert_eq!(
        again.last().unwrap()["config"]["speechRecognition"]["encoding"],
        "FLAC"
    );
}

#[test]
fn what_cannot_be_read_is_warned_of_once_and_changes_nothing() {
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

/// A final of these words that no parser takes.
fn broken_final(words: &[(&str, u64, u64)]) -> String {
    let mut text = final_of(words);
    text.pop();
    text
}

#[test]
fn audio_whose_final_cannot_be_read_is_a_gap_as_soon_as_the_next_final_tells_where_it_ends() {
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
fn where_finals_have_no_words_an_unreadable_one_is_about_what_was_given_by_then() {
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

#[test]
fn unknown_types_are_passed_on() {
    let mut rig = Rig::listening();
    rig.text(r#"{"type":"brand_new","x":1}"#);
    let last = rig.events.last().unwrap();
    assert_eq!(
        last.kind,
        EventKind::Raw {
            kind: "brand_new".into()
        }
    );
    assert_eq!(last.json.as_deref(), Some(r#"{"type":"brand_new","x":1}"#));
}

#[test]
fn after_close_nothing_is_told() {
    let mut rig = Rig::listening();
    rig.speak(100);
    rig.text(&final_of(&[("a", 0, 50)]));
    rig.events.clear();
    rig.sent.clear();
    rig.session.close();
    rig.text(&final_of(&[("b", 50, 90)]));
    rig.pass(Duration::from_secs(100));
    assert!(rig.events.is_empty());
    assert_eq!(rig.texts()[0]["type"], "stop_request");
    assert!(matches!(rig.sent[1], Output::Close { code: 1000, .. }));
    assert_eq!(rig.sent.len(), 2);
}

#[test]
fn audio_that_a_close_leaves_behind_is_accounted_for() {
    let mut rig = Rig::listening();
    rig.writable = false;
    rig.speak(250);
    rig.session.close();
    rig.accounts_for_everything();
    assert_eq!(rig.session.stats(rig.now).audio_dropped, 250 * MS);
}

#[test]
fn a_backlog_on_a_socket_that_takes_nothing_is_no_reason_to_wake_up() {
    let mut rig = Rig::new(|_| {});
    rig.session.set_upstream(true, true);
    for _ in 0..5 {
        rig.speak(1000);
    }
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    rig.writable = false;
    rig.pass(Duration::from_secs(3));
    let due = rig.session.next_timeout();
    assert!(
        due.is_some_and(|at| at > rig.now),
        "{due:?} at {:?}",
        rig.now
    );
    rig.writable = true;
    rig.pump();
    assert!(rig.heard().len() > 16_000);
}

#[test]
fn a_replay_that_is_dropped_is_not_counted_twice() {
    let mut rig = Rig::listening_with(|config| config.buffer_duration = Duration::from_secs(2));
    rig.session.set_upstream(true, true);
    rig.speak(1500);
    rig.lose();
    rig.pass(Duration::from_millis(500));
    rig.input(Input::Connected { announced: false }); // from here on, what was sent is to be sent again
    for _ in 0..30 {
        rig.speak(100);
        rig.accounts_for_everything();
    }
}

#[test]
fn a_link_that_breaks_after_the_stop_was_taken_took_the_last_results_with_it() {
    let mut rig = Rig::listening();
    rig.speak(1000);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.text(STOPPED);
    rig.lose();
    assert_eq!(rig.drained(), None);
    rig.pass(Duration::from_millis(500));
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    rig.text(&final_of(&[("last", 500, 900)]));
    rig.text(STOPPED);
    rig.text(COMPLETED);
    assert_eq!(rig.finals().len(), 1);
    assert_eq!(rig.drained(), Some((true, 0)));
}

#[test]
fn audio_is_taken_for_as_long_as_the_bound_allows() {
    // Buffers shorter than a chunk, and packets longer than one.
    let mut rig = Rig::new(|config| {
        config.buffer_duration = Duration::from_secs(2);
        config.leaky = LeakyPolicy::None;
    });
    while rig.session.has_room() {
        rig.speak(20);
    }
    assert!((1880..=2020).contains(&(rig.pushed / 16)), "{}", rig.pushed);
    let mut rig = Rig::new(|config| {
        config.buffer_duration = Duration::from_secs(1);
        config.chunk_duration = Duration::from_millis(10);
        config.leaky = LeakyPolicy::None;
    });
    let wire = StreamFormat::new(Encoding::Opus, 48_000).unwrap();
    rig.session.set_format(rig.now, AudioFormat::new(wire));
    let packet = Audio {
        data: &[0x1b, 0x02, 0, 0], // two SILK frames of 60 ms
        instants: Instants::default(),
        duration: None,
        speed: 1.0,
    };
    let mut taken = 0;
    while rig.session.has_room() {
        rig.session.push_audio(rig.now, &packet);
        taken += 1;
    }
    assert_eq!(taken, 9); // of 120 ms: the ninth began within the bound
    assert_eq!(rig.session.stats(rig.now).audio_dropped, 0);
}

#[test]
fn a_short_buffer_is_used_in_full_whatever_chunks_were_asked_for() {
    let mut rig = Rig::new(|config| {
        config.buffer_duration = Duration::from_millis(900);
        config.chunk_duration = Duration::from_secs(1);
        config.leaky = LeakyPolicy::Oldest;
    });
    for _ in 0..50 {
        rig.speak(100);
    }
    rig.pass(Duration::from_secs(1));
    let kept = rig.session.stats(rig.now).audio_spooled / MS;
    assert!((600..=900).contains(&kept), "{kept} ms of 900");
}

#[test]
fn after_a_flush_new_audio_does_not_wait_for_the_backlog_that_was_dropped() {
    let mut rig = Rig::new(|_| {});
    rig.session.set_upstream(true, true);
    rig.speak(20_000);
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    rig.session.flush(rig.now);
    let before = rig.heard().len();
    rig.speak_at(60_000 * MS, 100);
    assert_eq!(rig.heard().len() - before, 1600);
}

#[test]
fn a_link_that_breaks_after_the_stop_was_taken_has_not_settled() {
    let mut rig = Rig::listening_with(|config| {
        config.start.disconnect_on_stop_request = Some(false);
    });
    rig.speak(1000);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.text(STOPPED);
    rig.lose();
    rig.pass(Duration::from_secs(9));
    assert_eq!(rig.drained(), None);
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.drained(), Some((false, 1000 * MS)));
}

#[test]
fn a_new_token_after_the_end_tells_no_second_end() {
    let mut rig = Rig::new(|_| {});
    rig.speak(100);
    rig.input(Input::DialFailed(Failure::http(401, "", None)));
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.session.token_changed(rig.now);
    rig.pass(Duration::from_secs(60));
    let ends = rig
        .events
        .iter()
        .filter(|e| matches!(e.kind, EventKind::Drained { .. }));
    assert_eq!(ends.count(), 1);
    assert_eq!(rig.dials(), 1, "nothing is left to say");
    rig.session.flush(rig.now);
    rig.pump();
    assert_eq!(rig.dials(), 2, "the stream goes on, with the new token");
}

#[test]
fn times_at_the_end_of_all_time_do_not_overflow() {
    let mut rig = Rig::listening();
    rig.speak_at(u64::MAX - 1, 100);
    rig.speak_at(u64::MAX - 1, 100);
    let end = Instants {
        running_time: Some(u64::MAX - 1),
        ..Instants::default()
    };
    rig.session.push_gap(rig.now, end, u64::MAX, 1.0);
    assert_eq!(rig.heard().len(), 3200);
}

#[test]
fn packets_of_no_known_duration_do_not_fill_the_memory() {
    let mut rig = Rig::new(|config| {
        config.buffer_duration = Duration::from_secs(1);
        config.leaky = LeakyPolicy::Oldest;
    });
    let wire = StreamFormat::new(Encoding::Opus, 48_000).unwrap();
    rig.session.set_format(rig.now, AudioFormat::new(wire));
    let packet = Audio {
        data: &[0xfb, 0x00], // no frames
        instants: Instants::default(),
        duration: None,
        speed: 1.0,
    };
    for _ in 0..100_000 {
        rig.session.push_audio(rig.now, &packet);
    }
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    let held = rig
        .sent
        .iter()
        .filter(|o| matches!(o, Output::Binary(_)))
        .count();
    assert!(held <= 1000, "{held} packets");
}

#[test]
fn audio_that_was_dropped_does_not_count_as_finalised() {
    let mut rig = Rig::new(|config| config.buffer_duration = Duration::from_secs(2));
    rig.session.set_upstream(true, false);
    for _ in 0..50 {
        rig.speak(100);
    }
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    rig.text(&final_of(&[("here", 100, 300)]));
    assert_eq!(rig.session.stats(rig.now).audio_finalised, 300 * MS);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.text(COMPLETED);
    let stats = rig.session.stats(rig.now);
    assert_eq!(stats.audio_finalised, stats.audio_sent);
}

#[test]
fn a_file_that_outruns_its_service_leaves_room_for_what_was_sent() {
    let mut rig = Rig::listening_with(|config| {
        config.buffer_duration = Duration::from_secs(2);
        config.leaky = LeakyPolicy::None;
    });
    // The service takes one chunk, and upstream gives another as soon as it may.
    for _ in 0..100 {
        rig.writable = false;
        while rig.session.has_room() {
            rig.speak(100);
        }
        rig.writable = true;
        if let Some(output) = rig.session.poll(rig.now, true) {
            rig.sent.push(output);
        }
    }
    assert_eq!(rig.heard().len(), 100 * 1600);
    rig.lose();
    rig.pass(Duration::from_millis(500));
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    // Ten seconds were sent: one of them is kept.
    let gaps = rig.gaps();
    assert!(
        matches!(gaps[..], [(0, ..=9100, GapReason::NotFinalised)]),
        "{gaps:?}"
    );
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
    // Of a start that was given nothing there is no place for any word.
    rig.text(&final_of(&[("two", 200, 900)]));
    assert_eq!(rig.finals().len(), 1);
}

#[test]
fn who_abandoned_a_session_is_not_waited_for_at_its_end() {
    let mut rig = Rig::listening();
    rig.speak(1000);
    rig.session.abandon();
    rig.session.end_of_stream(rig.now);
    assert!(rig.session.is_settled());
}

#[test]
fn settings_that_worked_are_tried_again() {
    let missing = Failure::fatal(Reason::Settings, "no such file");
    let mut rig = Rig::new(|_| {});
    rig.input(Input::DialFailed(missing.clone()));
    assert_eq!(rig.session.state(), State::Failed);
    let mut rig = Rig::listening();
    rig.lose();
    rig.pass(Duration::from_millis(500));
    rig.input(Input::DialFailed(missing));
    assert_eq!(rig.session.state(), State::Reconnecting);
}

#[test]
fn a_dial_that_is_refused_for_a_token_that_was_replaced_is_tried_again() {
    let refused = Failure::http(403, "", None);
    let mut rig = Rig::new(|_| {});
    rig.session.token_changed(rig.now);
    rig.input(Input::DialFailed(refused.clone()));
    rig.pass(Duration::from_millis(500));
    assert_eq!((rig.dials(), rig.session.state()), (2, State::Connecting));
    rig.input(Input::DialFailed(refused));
    assert_eq!(rig.session.state(), State::Failed);
}

#[test]
fn the_end_of_a_socket_that_is_being_replaced_is_no_outage() {
    let mut rig = Rig::listening();
    rig.speak(1000);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.session.flush(rig.now);
    // Before anybody has come to the new dial.
    rig.lose();
    assert_eq!((rig.dials(), rig.session.state()), (2, State::Connecting));
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    assert_eq!(rig.session.state(), State::Listening);
}
