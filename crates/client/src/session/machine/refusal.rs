// SPDX-License-Identifier: MPL-2.0

//! Errors that the service tells inside the session, and which of them end it.
//!
//! An error in answer to a start request that says that the request itself is wrong ends
//! the session at once: the next dial would ask for the same. Any other error is told, and
//! the session goes on. If starts end again and again with the same error, and none has ever
//! brought a result, that ends the session too. No catalogue of the original service's errors
//! is published, so its refusals are known by their words.

use super::super::Time;
use super::super::event::{EventKind, Failure, Reason};
use super::{Phase, Session};
use symbl_protocol::response::ServiceError;

/// How many starts in a row the same error has to end before the session does.
const TRIES: u32 = 3;

/// Most of an error's text that is repeated in a failure, in characters.
const LONGEST: usize = 500;

/// Members of a start request, and the properties that make them.
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
    /// What the service told in this start.
    said: Option<String>,
    /// What it told in the starts before, and in how many.
    before: Option<(String, u32)>,
    /// Whether a start has ever brought a result.
    worked: bool,
}

impl Refusals {
    /// There is a new start.
    pub(super) fn begin(&mut self) {
        self.said = None;
    }

    /// The service said something about the audio.
    pub(super) fn worked(&mut self) {
        self.worked = true;
        self.before = None;
    }

    /// Returns what the service told in this start, in its words.
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

/// What to say about an error, in the service's words.
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

/// The properties that an error is about, as far as it names members of the request.
fn properties(text: &str) -> String {
    let named = MEMBERS.iter().filter(|(member, _)| text.contains(member));
    let named: Vec<&str> = named.map(|(_, property)| *property).collect();
    match named[..] {
        [] => "the properties that the request is made of".to_owned(),
        _ => named.join(", "),
    }
}

impl Session {
    /// The service told an error.
    pub(super) fn service_error(&mut self, now: Time, error: ServiceError) {
        let text = error.details.clone().or_else(|| error.message.clone());
        self.stats.last_error = text
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
        self.refusals.said = Some(said);
        self.modify_failed(now, text.as_deref());
    }

    /// A start has ended with `failure`. Makes it one that no retry can help, if the
    /// service has ended enough of them with the same error.
    pub(super) fn count_refusals(&mut self, failure: &mut Failure) {
        if let Some(said) = self.refusals.end() {
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
