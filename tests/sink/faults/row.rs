// SPDX-License-Identifier: MPL-2.0

//! One row of the table: a fault of the service, and its effect on a pipeline.

use crate::common::feed::{CAPS, Feed, MS};
use crate::common::pipeline::{Pipeline, counted};
use crate::common::service::Service;
use gst::prelude::*;
use symbl_service::recognizer::scripted;

/// A script of faults, and its effect on a pipeline.
pub struct Row {
    /// The script for [`Service::faulty`].
    pub script: &'static str,
    pub properties: &'static str,
    pub sees: Sees,
}

#[derive(Clone, Copy)]
pub enum Sees {
    /// There is one session, and no WARNING.
    Nothing,
    /// There is one session, and a WARNING with this reason.
    Warning(&'static str),
    /// There is one WARNING, and another session.
    Outage(Failure),
    /// There is an ERROR, and no other dial.
    Fatal(Failure),
}

/// The fields of a WARNING, an ERROR and a change of state.
#[derive(Clone, Copy)]
pub struct Failure {
    /// The reason is one of these.
    pub reasons: &'static [&'static str],
    pub phase: Option<&'static str>,
    pub http_status: Option<i32>,
    pub close_code: Option<i32>,
}

impl Failure {
    pub const fn new(reasons: &'static [&'static str], phase: &'static str) -> Self {
        Self {
            reasons,
            phase: Some(phase),
            http_status: None,
            close_code: None,
        }
    }

    pub const fn http(status: i32, reason: &'static [&'static str]) -> Self {
        Self {
            http_status: Some(status),
            ..Self::new(reason, "connect")
        }
    }

    pub const fn closed(code: i32) -> Self {
        Self {
            close_code: Some(code),
            ..Self::new(&["closed"], "session")
        }
    }

    /// Asserts the fields of a message about this failure, except the phase.
    fn assert_told(&self, told: &gst::StructureRef, retryable: bool) {
        let reason = told.get::<&str>("reason").expect("a reason");
        assert!(self.reasons.contains(&reason), "{told}");
        assert_eq!(told.get("http-status").ok(), self.http_status, "{told}");
        if self.close_code.is_some() {
            assert_eq!(told.get("close-code").ok(), self.close_code, "{told}");
        }
        assert_eq!(told.get("retryable"), Ok(retryable), "{told}");
    }
}

/// Number of words before the fault is over, and of all words.
const BEFORE: u16 = 15;
const ALL: u16 = 25;

/// Timeouts that a busy machine does not reach. A row that waits for a timeout sets its own.
const PATIENT: &str = "connect-timeout=60000 pong-timeout=60000 drain-timeout=60000";

/// Silence after which all speech before it is final, in milliseconds.
const PAUSE: u64 = 400;

/// Plays all rows, each in a thread of its own. A failure names the rows.
pub fn all(rows: &[Row]) {
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let threads: Vec<_> = rows
            .iter()
            .map(|row| {
                let thread = std::thread::Builder::new().name(row.script.to_owned());
                let thread = thread.spawn_scoped(scope, || row.play(None));
                (row.script, thread.expect("a thread"))
            })
            .collect();
        threads
            .into_iter()
            .filter_map(|(script, thread)| thread.join().err().map(|_| script))
            .collect()
    });
    assert!(failed.is_empty(), "these fail, see above: {failed:?}");
}

impl Row {
    /// Plays the row with this service, or with a service of its own.
    pub fn play(&self, service: Option<Service>) {
        let service = service.unwrap_or_else(|| Service::faulty(self.script));
        let (mut pipeline, feed) = Feed::pipeline(&format!(
            "base-url={} reconnect-max-delay=50 {PATIENT} {}",
            service.url(),
            self.properties
        ));
        pipeline.play();
        // A fault at the beginning may come before the caps.
        feed.begin(CAPS);
        match self.sees {
            Sees::Fatal(failure) => self.fails(&mut pipeline, &feed, &failure),
            _ => self.survives(&mut pipeline, &feed),
        }
        if let Sees::Nothing | Sees::Warning(_) = self.sees {
            assert_eq!(service.faults().connections(), 1);
        }
        if let Sees::Fatal(_) = self.sees {
            let after_its_faults = self.script.split_whitespace().count();
            assert_eq!(service.faults().connections(), after_its_faults);
        }
    }

    fn fails(&self, pipeline: &mut Pipeline, feed: &Feed, failure: &Failure) {
        // The session may have failed already.
        let _ = feed.speak(&scripted::speech(0..ALL, 16_000));
        let error = pipeline.wait_for("an error", |m| m.type_() == gst::MessageType::Error);
        let gst::MessageView::Error(error) = error.view() else {
            unreachable!()
        };
        let details = error.details().expect("details");
        failure.assert_told(details, false);
        if failure.reasons != ["auth"] && failure.reasons != ["limit"] {
            assert_eq!(details.get("phase").ok(), failure.phase, "{details}");
        }
        assert_eq!(pipeline.state(), "failed");
        let states = pipeline.of_kind("state");
        failure.assert_told(states.last().expect("a change of state"), false);
        assert_eq!(feed.refusal(), gst::FlowError::Error);
    }

    fn survives(&self, pipeline: &mut Pipeline, feed: &Feed) {
        let speech = scripted::speech(0..ALL, 16_000);
        let (before, after) = speech.split_at(usize::from(BEFORE) * 3200);
        feed.speak(before).expect("there is room");
        if let Sees::Outage(failure) = &self.sees
            && !self.script.contains("@stop")
        {
            let outage = pipeline.wait_for("an outage", |message| {
                let outage = message.structure();
                outage.is_some_and(|s| s.name() == "symbl/state" && s.has_field("retry-in"))
            });
            failure.assert_told(outage.structure().expect("fields"), true);
            pipeline.wait_for_state("listening");
        }
        feed.speak(after).expect("there is room");
        feed.hush(PAUSE as usize).expect("there is room");
        assert_eq!(pipeline.pipeline.current_state(), gst::State::Playing);
        assert!(feed.end());
        pipeline.wait_for_eos();
        self.assert_warned(pipeline);
        assert_words(pipeline, ALL);
        // The service goes on to recognise the audio of a dead socket. It may send those
        // messages to the new socket, whose own audio brings them again.
        if !self.script.contains("half-open") {
            assert_messages(pipeline, ALL);
        }
        let sink = pipeline.sink();
        let given = (u64::from(ALL) * 200 + PAUSE) * MS;
        assert_eq!(counted(&sink, "audio-sent"), given);
        assert_eq!(counted(&sink, "audio-dropped"), 0);
        assert_eq!(counted(&sink, "audio-spooled"), 0);
    }

    fn assert_warned(&self, pipeline: &Pipeline) {
        let warnings: Vec<_> = pipeline
            .messages
            .iter()
            .filter_map(|message| match message.view() {
                gst::MessageView::Warning(warning) => Some(warning.details()?.to_owned()),
                _ => None,
            })
            .collect();
        let [warning] = &warnings[..] else {
            let untroubled = warnings.is_empty() && matches!(self.sees, Sees::Nothing);
            assert!(untroubled, "{warnings:?}");
            return;
        };
        match &self.sees {
            Sees::Warning(reason) => assert_eq!(warning.get("reason"), Ok(*reason)),
            Sees::Outage(failure) => {
                failure.assert_told(warning, true);
                if failure.reasons != ["limit"] {
                    assert_eq!(warning.get("phase").ok(), failure.phase, "{warning}");
                }
            }
            Sees::Nothing | Sees::Fatal(_) => panic!("{warning}"),
        }
    }
}

/// Asserts that each word came once and in order, in transcripts and in messages.
pub fn assert_all_said(pipeline: &Pipeline, count: u16) {
    assert_words(pipeline, count);
    assert_messages(pipeline, count);
}

fn said(count: u16) -> Vec<String> {
    (0..count).map(|n| format!("w{n}")).collect()
}

/// Asserts that each word came once, in order and in its place, and that there is no gap.
fn assert_words(pipeline: &Pipeline, count: u16) {
    let words = pipeline.words();
    let said = said(count);
    let heard: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
    assert_eq!(heard, said);
    for (n, (word, at)) in (0..).zip(&words) {
        assert!(at.abs_diff(n * 200 * MS) <= 20 * MS, "{word} at {at}");
    }
    // Without a confirmation of the stop, the audio behind the last word stays unconfirmed.
    let last = words.last().map_or(0, |(_, at)| *at);
    for gap in pipeline.of_kind("gap") {
        assert_eq!(gap.get::<&str>("reason"), Ok("not-drained"), "{gap}");
        assert!(
            gap.get::<u64>("running-time").expect("a time") > last,
            "{gap}"
        );
    }
}

/// Asserts that each word came once and in order in messages. A message may be missing if the
/// connection was lost between a final and its message.
fn assert_messages(pipeline: &Pipeline, count: u16) {
    let said = said(count);
    let messages = pipeline.of_kind("message");
    let texts = messages.iter().map(|s| s.get::<String>("text"));
    let texts: Vec<String> = texts.collect::<Result<_, _>>().expect("texts");
    let heard = texts.join(" ").to_lowercase();
    let heard = heard.split(|c: char| !c.is_alphanumeric());
    let heard: Vec<&str> = heard.filter(|word| !word.is_empty()).collect();
    if pipeline
        .of_kind("state")
        .iter()
        .any(|s| s.has_field("retry-in"))
    {
        let mut said = said.iter();
        let once = heard.iter().all(|word| said.any(|said| said == word));
        assert!(once, "in messages: {heard:?}");
    } else {
        assert_eq!(heard, said, "in messages");
    }
}
