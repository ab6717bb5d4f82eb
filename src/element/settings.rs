// SPDX-License-Identifier: MPL-2.0

//! The values of the element's properties, as plain data, and what they mean.
//!
//! [`Settings`] holds the values that the application has set. Its fields and their defaults
//! are those of the table of the properties. A caller copies it out of its lock before it
//! works with it. It holds no live value (state, counters, the conversation), and it must
//! never show a secret, so that it keeps each as a [`Secret`].
//!
//! Names, ranges and defaults: Symbl Streaming API reference (`start_request`)
//! and `docs/properties.md`.

pub use super::properties::table::Settings;

use super::{InterimText, LateText, TextUnit};
use serde_json::{Map, Value};
use std::time::Duration;
use symbl_client::session::{Failure, Reason, SessionConfig, Speaker};
use symbl_client::track::{self, Shape, TrackConfig};
use symbl_client::transport::{AppCredentials, Endpoint, Proxy, Secret, TokenSource, files};
use symbl_protocol::{Encoding, StartRequest, StreamFormat, Tracker};

/// Environment variable that gives `base-url` its default.
pub const ENV_BASE_URL: &str = "SYMBL_BASE_URL";
/// Environment variable that gives the token its default.
pub const ENV_ACCESS_TOKEN: &str = "SYMBL_ACCESS_TOKEN";
/// Environment variable that gives `app-id` its default.
pub const ENV_APP_ID: &str = "SYMBL_APP_ID";
/// Environment variable that gives `app-secret` its default.
pub const ENV_APP_SECRET: &str = "SYMBL_APP_SECRET";
/// Value of `timezone-offset` that stands for "not set".
pub const TIMEZONE_UNSET: i32 = i32::MIN;
/// Largest offset from UTC, east or west, that `timezone-offset` takes, in minutes.
pub const TIMEZONE_MAX: i32 = 840;

/// The `trackers` property: the text as it was set, and its trackers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trackers {
    text: Option<String>,
    list: Vec<Tracker>,
}

impl Trackers {
    /// Reads a JSON array of trackers, in the form of the wire. `None` means no trackers.
    ///
    /// # Errors
    ///
    /// Returns a sentence that says what is wrong: not JSON, not an array, or an item without a
    /// name or a vocabulary.
    pub fn parse(text: Option<String>) -> Result<Self, String> {
        let list = match text.as_deref().map(Tracker::parse_list) {
            None => Vec::new(),
            Some(Ok(list)) => list,
            Some(Err(error)) => {
                return Err(format!(
                    "{} is not allowed; it {}",
                    error.value, error.allowed
                ));
            }
        };
        Ok(Self { text, list })
    }

    /// Returns the text as it was set.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

/// The `start-request-extra` property: the text as it was set, and its members.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StartRequestExtra {
    text: Option<String>,
    members: Map<String, Value>,
}

impl StartRequestExtra {
    /// Reads a JSON object. `None` means no extra members.
    ///
    /// # Errors
    ///
    /// Returns a sentence that says what is wrong: not JSON, or JSON but not an object.
    pub fn parse(text: Option<String>) -> Result<Self, String> {
        let members = match text.as_deref().map(serde_json::from_str) {
            None => Map::new(),
            Some(Ok(Value::Object(members))) => members,
            Some(Ok(_)) => {
                return Err("JSON, but not an object; \
                            write {\"member\": value} as it would stand in start_request"
                    .into());
            }
            Some(Err(error)) => return Err(format!("not JSON ({error}); write a JSON object")),
        };
        Ok(Self { text, members })
    }

    /// Returns the text as it was set.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

impl Settings {
    /// Returns the defaults in this environment. `variable` looks a variable up. An empty
    /// variable counts as absent.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut settings = Self::default();
        let text = |name| {
            variable(name)
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty())
        };
        if let Some(url) = text(ENV_BASE_URL) {
            settings.base_url = url;
        }
        let secret = |name| {
            variable(name)
                .map(Secret::new)
                .filter(|text| !text.is_blank())
        };
        settings.environment_token = secret(ENV_ACCESS_TOKEN);
        settings.environment_app_id = text(ENV_APP_ID);
        settings.environment_app_secret = secret(ENV_APP_SECRET);
        settings.proxy = Proxy::from_environment(&variable);
        settings
    }

    /// Returns the source of the token: `access-token`, else `access-token-file`, else `app-id`
    /// with `app-secret`, else the environment in the same order.
    pub fn token(&self) -> TokenSource {
        if let Some(token) = &self.access_token {
            return TokenSource::Value(token.clone());
        }
        if let Some(path) = &self.access_token_file {
            return TokenSource::File(path.into());
        }
        let app = self.app().map(TokenSource::App);
        // The environment may complete a pair of which a property sets one half.
        let is_set = self.app_id.is_some() || self.app_secret.is_some();
        let token = self.environment_token.clone().map(TokenSource::Value);
        let (first, second) = if is_set { (app, token) } else { (token, app) };
        first.or(second).unwrap_or_default()
    }

    fn app(&self) -> Option<AppCredentials> {
        let id = self.app_id.as_ref().or(self.environment_app_id.as_ref());
        let secret = self.app_secret.as_ref();
        let secret = secret.or(self.environment_app_secret.as_ref());
        Some(AppCredentials {
            id: id?.clone(),
            secret: secret?.clone(),
        })
    }

    /// Returns what is wrong with `app-id` and `app-secret`, if they would be used.
    fn app_problem(&self) -> Option<&'static str> {
        if self.access_token.is_some() || self.access_token_file.is_some() || self.app().is_some() {
            None
        } else if self.app_id.is_some() {
            Some("app-id is set and app-secret is not; set both, or SYMBL_APP_SECRET")
        } else if self.app_secret.is_some() {
            Some("app-secret is set and app-id is not; set both, or SYMBL_APP_ID")
        } else {
            None
        }
    }

    /// Returns what is wrong with the properties of the text pad together, if anything is.
    fn text_problem(&self) -> Option<&'static str> {
        let commits = self.interim_text == InterimText::Commit;
        if commits && !self.interim_results {
            Some("interim-text=commit needs interim results; set interim-results=true")
        } else if commits && self.text_unit == TextUnit::Sentence {
            Some(
                "interim-text=commit tells words before their sentence is known; \
                 set text-unit to word or cue",
            )
        } else if self.late_text == LateText::Keep && self.text_unit == TextUnit::Cue {
            Some(
                "late-text=keep lets texts overlap, and cues never do; set late-text to move or \
                 drop, or text-unit=word",
            )
        } else {
            None
        }
    }

    /// Returns the endpoint to dial for this connection id.
    pub fn endpoint(&self, connection_id: &str) -> Endpoint {
        Endpoint {
            base_url: self.base_url.clone(),
            streaming_path: self.streaming_path.clone(),
            connection_id: connection_id.to_owned(),
            token: self.token(),
            token_in_query: self.token_in_query,
            ca_file: self.ca_file.as_ref().map(Into::into),
            tls_verify: self.tls_verify,
            proxy: self.proxy.clone(),
            request_timeout: Duration::from_millis(self.connect_timeout.into()),
        }
    }

    /// Returns the start request for audio in this format.
    pub fn start_request(&self, format: StreamFormat) -> StartRequest {
        let mut request = StartRequest::new(format);
        request.insight_types = self.insight_types.on_the_wire();
        request.custom_vocabulary = self.custom_vocabulary.clone();
        request.confidence_threshold = Some(self.confidence_threshold);
        request.meeting_title = self.meeting_title.clone();
        request.language_code = Some(self.language_code.clone());
        request.timezone_offset =
            (self.timezone_offset != TIMEZONE_UNSET).then_some(self.timezone_offset);
        request.trackers = self.trackers.list.clone();
        request.interim_trackers = self.interim_trackers;
        request.enable_all_trackers = self.enable_all_trackers;
        request.detect_entities = self.detect_entities;
        request.sentiment = self.sentiment;
        request.analytics = self.analytics;
        request.speaker_user_id = self.speaker_id.clone();
        request.speaker_name = self.speaker_name.clone();
        // These are always sent. Without the first, the service does not promise a rejoin. The
        // official service treats the other two as a pair.
        request.no_connection_timeout = Some(self.no_connection_timeout);
        request.disconnect_on_stop_request = Some(self.disconnect_on_stop_request);
        request.disconnect_on_stop_request_timeout = Some(self.disconnect_on_stop_request_timeout);
        request.extra = self.start_request_extra.members.clone();
        request
    }

    /// Returns the speaker of the audio that follows.
    pub fn speaker(&self) -> Speaker {
        Speaker {
            user_id: self.speaker_id.clone(),
            name: self.speaker_name.clone(),
        }
    }

    /// Returns the settings of a session. The format in its start request is a stand-in until the
    /// first caps are known. `seed` decides the jitter of the back-off.
    pub fn session_config(&self, seed: u64) -> SessionConfig {
        let millis = |value: u32| Duration::from_millis(value.into());
        SessionConfig {
            start: self.start_request(stand_in_format()),
            interim_results: self.interim_results,
            chunk_duration: millis(self.chunk_duration),
            alignment_threshold: millis(self.alignment_threshold),
            discont_wait: millis(self.discont_wait),
            buffer_duration: millis(self.buffer_duration),
            leaky: self.leaky.into(),
            catch_up_rate: self.catch_up_rate,
            connect_timeout: millis(self.connect_timeout),
            ping_interval: millis(self.ping_interval),
            pong_timeout: millis(self.pong_timeout),
            reconnect_max_delay: millis(self.reconnect_max_delay),
            reconnect_timeout: millis(self.reconnect_timeout),
            stall_timeout: millis(self.stall_timeout),
            stall_action: self.stall_action.into(),
            pause: self.pause_policy.into(),
            format_change: self.caps_change_policy.into(),
            drain_timeout: millis(self.drain_timeout),
            admission_timeout: millis(self.admission_timeout),
            history_recovery: self.history_recovery,
            seed,
        }
    }

    /// Returns the settings of a text track.
    pub fn track_config(&self) -> TrackConfig {
        let nanos = |millis: u32| u64::from(millis) * 1_000_000;
        TrackConfig {
            latency: nanos(self.latency),
            lateness: nanos(self.lateness),
            unit: match self.text_unit {
                TextUnit::Word => track::TextUnit::Word,
                TextUnit::Cue => track::TextUnit::Cue(Shape::new(
                    self.cue_columns as usize,
                    self.cue_lines as usize,
                )),
                TextUnit::Sentence => track::TextUnit::Sentence,
            },
            late: self.late_text.into(),
            commits_interims: self.interim_text == InterimText::Commit,
            patience: Duration::from_millis(self.patience.into()),
        }
    }

    /// Checks if the element can start with these settings. Reads the files that they name, within
    /// a bound of 200 ms, and uses no network.
    ///
    /// # Errors
    ///
    /// Returns the first property that cannot be used: its name, its value unless that may hold a
    /// secret, and what to try.
    pub fn check(&self) -> Result<(), Failure> {
        let refuse = |message: String| Err(Failure::fatal(Reason::Settings, message));
        if self.streaming_path.contains(['?', '#']) {
            return refuse(
                "streaming-path has a query or fragment in it (not shown, it may be a token); \
                 give the path alone, like /v1/streaming"
                    .into(),
            );
        }
        let connection_id = self.connection_id.as_deref().unwrap_or("new");
        let mut endpoint = self.endpoint(connection_id);
        endpoint.token_in_query = false;
        endpoint.url()?;
        endpoint.proxy.check()?;
        files::check(&endpoint)?;
        if let Some(problem) = self.app_problem().or(self.text_problem()) {
            return refuse(problem.into());
        }
        if let Err(error) = self.start_request(stand_in_format()).to_json() {
            return refuse(format!(
                "the properties make a start request that the service would refuse: {error}"
            ));
        }
        Ok(())
    }
}

/// Returns a format for a start request of which only the rest matters.
fn stand_in_format() -> StreamFormat {
    StreamFormat::new(Encoding::Linear16, 16_000).expect("16 kHz is a rate of LINEAR16")
}

#[cfg(test)]
mod tests;
