// SPDX-License-Identifier: MPL-2.0
#![no_main]
//! Checks that a session never panics, never runs on for ever and breaks no promise of a
//! type, whatever a service sends and whatever happens to the connection.
//!
//! An input is a sequence of steps. A byte that is in no UTF-8 text ends each. A step that
//! begins with one of [`Step`]'s letters is that step. Any other is a text message, so that
//! a recorded message is an input as it is.

mod steps;

use bytes::Bytes;
use std::time::Duration;
use steps::Step;
use symbl_client::session::{
    Audio, AudioFormat, Failure, Input, Instants, LeakyPolicy, Output, Reason, Session,
    SessionConfig, Time,
};
use symbl_protocol::{
    ClientMessage, Encoding, ServerMessage, StartRequest, StreamFormat, Tracker, response,
};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut talk = Talk::new();
    for piece in data.split(|byte| *byte == steps::END) {
        talk.step(&Step::read(piece));
    }
    talk.end();
});

/// Returns a bound for the outputs of a step. A text has no more members than bytes, and the
/// spool bounds the outputs that waited before.
fn most_outputs(step: &Step<'_>) -> usize {
    let size = match step {
        Step::Text(text) | Step::History(text) => text.len(),
        _ => 0,
    };
    size + 2000
}

/// A session between an application and a service.
struct Talk {
    session: Session,
    now: Time,
    /// The time of the next audio, in nanoseconds.
    next: u64,
}

impl Talk {
    fn new() -> Self {
        let format = StreamFormat::new(Encoding::Linear16, 16_000).expect("a format");
        let mut session = Session::new(SessionConfig {
            buffer_duration: Duration::from_secs(2),
            leaky: LeakyPolicy::Oldest,
            ..SessionConfig::new(StartRequest::new(format))
        });
        session.set_upstream(true, true);
        session.start(Time::ZERO);
        let mut talk = Self {
            session,
            now: Time::ZERO,
            next: 0,
        };
        talk.session
            .set_format(Time::ZERO, AudioFormat::new(format));
        talk.step(&Step::Connected);
        talk
    }

    fn step(&mut self, step: &Step<'_>) {
        let now = self.now;
        let session = &mut self.session;
        match *step {
            Step::Text(text) => {
                read(text);
                session.handle(now, Input::Text(text));
            }
            Step::History(text) => {
                read(text);
                if let Ok(messages) = response::history(text) {
                    session.handle(now, Input::History(messages));
                }
            }
            Step::Connected => session.handle(now, Input::Connected { announced: true }),
            Step::Binary => session.handle(now, Input::Binary),
            Step::Ping => session.handle(now, Input::Ping),
            Step::Pong => session.handle(now, Input::Pong),
            Step::Closed { code, reason } => {
                session.handle(now, Input::Closed(Failure::closed(code, reason)));
            }
            Step::DialFailed { status } => {
                let failure = Failure::http(status, "said", None);
                session.handle(now, Input::DialFailed(failure));
            }
            Step::HistoryFailed => {
                let failure = Failure::retryable(Reason::Http, "gone");
                session.handle(now, Input::HistoryFailed(failure));
            }
            Step::Wait { millis } => self.wait(Duration::from_millis(millis.into())),
            Step::Audio { millis } => self.speak(u64::from(millis)),
            Step::Format { rate } => {
                if let Ok(wire) = StreamFormat::new(Encoding::Linear16, rate.into()) {
                    session.set_format(now, AudioFormat::new(wire));
                }
            }
            Step::Flush => session.flush(now),
            Step::End => session.end_of_stream(now),
            Step::Token => session.token_changed(now),
        }
        self.drain(most_outputs(step));
    }

    /// Takes all outputs, of which there must be fewer than `most`.
    fn drain(&mut self, most: usize) {
        let mut count = 0;
        while let Some(output) = self.session.poll(self.now, true) {
            count += 1;
            assert!(count < most, "no end of outputs, the last one {output:?}");
            if let Output::Binary(data) = output {
                check_message(&data);
            }
        }
        let _ = self.session.stats(self.now);
    }

    /// Lets time pass, and handles each timeout on the way.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        let mut timeouts = 0;
        while let Some(due) = self.session.next_timeout().filter(|at| *at <= end) {
            timeouts += 1;
            assert!(timeouts < 10_000, "a timeout that never ends: {due:?}");
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            self.drain(2000);
        }
        self.now = end;
    }

    fn speak(&mut self, millis: u64) {
        let data = vec![7; usize::try_from(millis * 32).unwrap_or(0)];
        let audio = Audio {
            data: &data,
            instants: Instants {
                running_time: Some(self.next),
                stream_time: Some(self.next),
                utc: i64::try_from(self.next).ok(),
            },
            duration: None,
            speed: 1.0,
        };
        self.session.push_audio(self.now, &audio);
        self.next += millis * 1_000_000;
    }

    /// Ends the stream, and checks that the session settles within its bounds.
    fn end(&mut self) {
        self.session.end_of_stream(self.now);
        self.drain(2000);
        self.wait(Duration::from_secs(3600));
        assert!(self.session.is_settled(), "{:?}", self.session.state());
        self.session.close();
        self.drain(10);
    }
}

fn check_message(data: &Bytes) {
    assert!(!data.is_empty() && data.len() <= symbl_protocol::MAX_AUDIO_MESSAGE);
}

/// Reads a text as each type of message, and checks the promises of the types.
fn read(text: &str) {
    let _ = ClientMessage::parse(text);
    let _ = Tracker::parse_list(text);
    let (message, flaw) = match ServerMessage::parse_mended(text) {
        Ok(read) => read,
        Err(_) => {
            let kind = response::Unreadable::of(text).kind;
            assert!(text.contains(&kind) && !kind.contains('\0'));
            return;
        }
    };
    // The text of each item is JSON. If the message was JSON, it is a part of the message.
    let is_handed_on = |json: &str| {
        assert!(!json.contains('\0'));
        assert!(flaw.is_some() || text.contains(json));
    };
    match message {
        ServerMessage::RecognitionResult(result) => {
            is_handed_on(&result.json);
            assert!(flaw.is_some() || result.json == text);
            for word in result.words {
                assert!(word.start <= word.end);
                in_nanoseconds([word.end]);
            }
            assert!(result.confidence.is_none_or(|c| (0.0..=1.0).contains(&c)));
        }
        ServerMessage::RecognitionProgress { audio_time } => in_nanoseconds([audio_time]),
        ServerMessage::MessageResponse { messages, .. } => {
            for message in messages {
                is_handed_on(&message.json);
                in_nanoseconds(message.time_offset.into_iter().chain(message.duration));
                for word in message.words {
                    in_nanoseconds(word.time_offset.into_iter().chain(word.duration));
                }
            }
        }
        ServerMessage::InsightResponse { insights, .. } => {
            insights.iter().for_each(|item| is_handed_on(&item.json));
        }
        ServerMessage::TrackerResponse { matches, .. } => {
            matches.iter().for_each(|item| is_handed_on(&item.json));
        }
        ServerMessage::Unknown { json, .. } => {
            is_handed_on(&json);
            assert!(flaw.is_some() || json == text);
        }
        _ => {}
    }
}

/// Checks that the sum of any two of these times fits into 64 bits of nanoseconds.
fn in_nanoseconds(times: impl IntoIterator<Item = Duration>) {
    for time in times {
        assert!(time <= Duration::from_nanos(i64::MAX as u64), "{time:?}");
    }
}
