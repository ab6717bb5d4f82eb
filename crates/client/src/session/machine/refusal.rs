// SPDX-License-Identifier: MPL-2.0

//! Errors that the service sends during a session, and which of them end it.
//!
//! If the service answers a start request by an error that calls the request itself wrong, the
//! session ends at once: the next start would make the same request. Any other error is
//! reported, and the session goes on. If starts end again and again with the same error, and
//! none has ever brought a result, the session ends too. No catalogue of the original
//! service's errors is published, so that its refusals are recognised by their words.

use super::super::Time;
use super::super::event::{EventKind, Failure, Reason};
use super::{Phase, Session};
use symbl_protocol::response::ServiceError;

/// How many starts in a row have to end with the same error to end the session.
const TRIES: u32 = 3;

/// Longest error text that a failure repeats, in characters.
const LONGEST: usize = 500;

/// Members of a start request, and the properties that set them.
const MEMBERS: [(&str, &str); 9] = [
    ("languageCode", "language-code"),
    ("customVocabulary", "custom-vocabulary"),
    ("trackers", "trackers"),
    ("insightTypes", "insight-types"),
    ("confidenceThreshold", "confidence-threshold"),
    ("timezoneOffset", "timezone-offset"),
    ("meetingTitle", "meeting-title"),
    ("speaker", "speaker-id and speaker-name"),
    ("sampleRateHertz", "the caps of the audio"),
];

/// Starts in a row that ended with an error of the service.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// The last error of this start.
    said: Option<String>,
    /// The error of the starts before, and the number of starts in a row that it ended.
    before: Option<(String, u32)>,
    /// A start has brought a result.
    worked: bool,
}

impl Refusals {
    /// Begins a start.
    pub(super) fn begin(&mut self) {
        self.said = None;
    }

    /// Notes a result.
    pub(super) fn worked(&mut self) {
        self.worked = true;
        self.before = None;
    }

    /// Returns the last error of this start, in the service's words.
    pub(super) fn said(&self) -> Option<&str> {
        self.said.as_deref()
    }

    /// Notes the end of a start. Returns the error if it has ended enough of them.
    fn end(&mut self) -> Option<String> {
        let said = self.said.take();
        self.before = match (said, self.before.take()) {
            (Some(said), Some((before, tries))) if said == before => Some((said, tries + 1)),
            (said, _) => said.map(|said| (said, 1)),
        };
        let (text, tries) = self.before.as_ref().filter(|_| !self.worked)?;
        (*tries >= TRIES).then(|| text.clone())
    }
}

/// Returns the error in the service's words.
fn words(error: &ServiceError) -> String {
    let texts = [&error.message, &error.details];
    let texts: Vec<&str> = texts.into_iter().flatten().map(String::as_str).collect();
    let text = match texts[..] {
        [] => "an error without a text".to_owned(),
        _ => texts.join(": "),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Returns the properties that an error is about, as far as it names members of the request.
fn properties(text: &str) -> String {
    let named = MEMBERS.iter().filter(|(member, _)| text.contains(member));
    let named: Vec<&str> = named.map(|(_, property)| *property).collect();
    match named[..] {
        [] => "the properties that the request is made of".to_owned(),
        _ => named.join(", "),
    }
}

impl Session {
    /// Reports an error that the service sent, and ends the session if the error refuses the
    /// start request.
    pub(super) fn service_error(&mut self, now: Time, error: ServiceError) {
        let text = error.details.clone().or_else(|| error.message.clone());
        self.counters.stats.last_error = text
            .clone()
            .or_else(|| Some("the service told an error without a text".to_owned()));
        let said = words(&error);
        let fatal = matches!(self.phase, Phase::Starting { .. }) && error.refuses_the_request();
        let kind = EventKind::Error {
            message: error.message,
            details: error.details,
            fatal,
        };
        self.emit(kind, None, Some(error.json));
        if fatal {
            let check = properties(&said);
            let message = format!("the service refuses the start request: {said}; check {check}");
            return self.fail(now, Failure::fatal(Reason::Settings, message));
        }
        self.outage.refusals.said = Some(said);
        self.modify_failed(now, text.as_deref());
    }

    /// Notes that a start ended with `failure`. If the same error has ended enough starts,
    /// makes `failure` one that no retry can help.
    pub(super) fn count_refusals(&mut self, failure: &mut Failure) {
        if let Some(said) = self.outage.refusals.end() {
            failure.retryable = false;
            failure.message = format!(
                "the service told the same error at each of {TRIES} starts, and nothing else: {said}; \
                 see its log, and check {}",
                properties(&said)
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_equal_errors_in_a_row_add_up_and_only_where_nothing_has_worked() {
        let mut refusals = Refusals::default();
        let mut end = |said: Option<&str>, worked: bool| {
            refusals.begin();
            if worked {
                refusals.worked();
            }
            refusals.said = said.map(str::to_owned);
            refusals.end()
        };
        assert_eq!(end(Some("a"), false), None);
        assert_eq!(end(Some("a"), false), None);
        assert_eq!(end(Some("b"), false), None);
        assert_eq!(end(Some("b"), false), None);
        assert_eq!(end(None, false), None);
        assert_eq!(end(Some("b"), false), None);
        assert_eq!(end(Some("b"), false), None);
        assert_eq!(end(Some("b"), false), Some("b".to_owned()));
        for _ in 0..2 * TRIES {
            assert_eq!(end(Some("b"), true), None);
        }
    }

    #[test]
    fn an_error_of_any_length_is_told_in_a_sentence() {
        let error = ServiceError {
            message: None,
            details: Some("ä".repeat(10_000)),
            code: None,
            json: String::new(),
        };
        assert_eq!(words(&error).chars().count(), LONGEST + 1);
        assert_eq!(
            properties("config.languageCode and trackers"),
            "language-code, trackers"
        );
    }
}
