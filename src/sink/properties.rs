// SPDX-License-Identifier: MPL-2.0

//! The element's properties: their param specs, and the way from a
//! [`glib::Value`] into [`Settings`] and back.
//!
//! This module never tells a secret: a write-only property has no value here.
//! It knows no live value either; for the read-only properties [`get`] gives
//! the default and the element the truth.
//!
//! Facts: GStreamer plugin writer's guide (property flags), `docs/properties.md`.

use super::settings::{Settings, StartRequestExtra, TIMEZONE_MAX, TIMEZONE_UNSET, Trackers};
use gst::glib;
use gst::prelude::*;
use symbl_client::transport::Secret;

pub use specs::specs;

mod specs;

/// Whether a property may be set while the element is in `state`. GStreamer
/// shows the flags and leaves it to the element to keep them.
pub fn may_change(pspec: &glib::ParamSpec, state: gst::State) -> bool {
    pspec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING) || state <= gst::State::Ready
}

/// Takes over what the application set. An empty string is as good as none.
///
/// # Errors
///
/// A sentence that says why the value is refused, without the name of the
/// property; the old value stays.
pub fn set(
    settings: &mut Settings,
    value: &glib::Value,
    pspec: &glib::ParamSpec,
) -> Result<(), String> {
    let s = settings;
    match pspec.name() {
        "base-url" => s.base_url = text(value)?.unwrap_or_else(|| Settings::default().base_url),
        "streaming-path" => {
            s.streaming_path = text(value)?.unwrap_or_else(|| Settings::default().streaming_path)
        }
        "access-token" => s.access_token = secret(value)?,
        "access-token-file" => s.access_token_file = text(value)?,
        "app-id" => s.app_id = text(value)?,
        "app-secret" => s.app_secret = secret(value)?,
        "token-in-query" => s.token_in_query = plain(value)?,
        "ca-file" => s.ca_file = text(value)?,
        "tls-verify" => s.tls_verify = plain(value)?,
        "proxy" => s.proxy.address = secret(value)?,
        "connection-id" => s.connection_id = text(value)?,
        "insight-types" => s.insight_types = plain(value)?,
        "custom-vocabulary" => s.custom_vocabulary = phrases(value)?,
        "trackers" => s.trackers = Trackers::parse(text(value)?)?,
        "enable-all-trackers" => s.enable_all_trackers = plain(value)?,
        "interim-trackers" => s.interim_trackers = plain(value)?,
        "detect-entities" => s.detect_entities = plain(value)?,
        "sentiment" => s.sentiment = plain(value)?,
        "confidence-threshold" => s.confidence_threshold = plain(value)?,
        "meeting-title" => s.meeting_title = text(value)?,
        "language-code" => {
            s.language_code = text(value)?.unwrap_or_else(|| Settings::default().language_code)
        }
        "timezone-offset" => s.timezone_offset = minutes(value)?,
        "speaker-id" => s.speaker_id = text(value)?,
        "speaker-name" => s.speaker_name = text(value)?,
        "no-connection-timeout" => s.no_connection_timeout = plain(value)?,
        "disconnect-on-stop-request" => s.disconnect_on_stop_request = plain(value)?,
        "disconnect-on-stop-request-timeout" => {
            s.disconnect_on_stop_request_timeout = plain(value)?
        }
        "start-request-extra" => s.start_request_extra = StartRequestExtra::parse(text(value)?)?,
        "interim-results" => s.interim_results = plain(value)?,
        "chunk-duration" => s.chunk_duration = plain(value)?,
        "alignment-threshold" => s.alignment_threshold = plain(value)?,
        "discont-wait" => s.discont_wait = plain(value)?,
        "buffer-duration" => s.buffer_duration = plain(value)?,
        "leaky" => s.leaky = plain(value)?,
        "catch-up-rate" => s.catch_up_rate = plain(value)?,
        "connect-timeout" => s.connect_timeout = plain(value)?,
        "ping-interval" => s.ping_interval = plain(value)?,
        "pong-timeout" => s.pong_timeout = plain(value)?,
        "reconnect-max-delay" => s.reconnect_max_delay = plain(value)?,
        "reconnect-timeout" => s.reconnect_timeout = plain(value)?,
        "stall-timeout" => s.stall_timeout = plain(value)?,
        "stall-action" => s.stall_action = plain(value)?,
        "pause-policy" => s.pause_policy = plain(value)?,
        "caps-change-policy" => s.caps_change_policy = plain(value)?,
        "drain-timeout" => s.drain_timeout = plain(value)?,
        "admission-timeout" => s.admission_timeout = plain(value)?,
        "history-recovery" => s.history_recovery = plain(value)?,
        "on-fatal" => s.on_fatal = plain(value)?,
        _ => return Err("it cannot be set".into()),
    }
    Ok(())
}

/// What the application reads back. Properties that are read-only (the element
/// knows their live value) or write-only give their default.
pub fn get(settings: &Settings, pspec: &glib::ParamSpec) -> glib::Value {
    let s = settings;
    match pspec.name() {
        "base-url" => s.base_url.to_value(),
        "streaming-path" => s.streaming_path.to_value(),
        "access-token-file" => s.access_token_file.to_value(),
        "app-id" => s.app_id.to_value(),
        "token-in-query" => s.token_in_query.to_value(),
        "ca-file" => s.ca_file.to_value(),
        "tls-verify" => s.tls_verify.to_value(),
        "proxy" => s.proxy.shown().to_value(),
        "connection-id" => s.connection_id.to_value(),
        "insight-types" => s.insight_types.to_value(),
        "custom-vocabulary" => gst::Array::new(&s.custom_vocabulary).to_value(),
        "trackers" => s.trackers.text().to_value(),
        "enable-all-trackers" => s.enable_all_trackers.to_value(),
        "interim-trackers" => s.interim_trackers.to_value(),
        "detect-entities" => s.detect_entities.to_value(),
        "sentiment" => s.sentiment.to_value(),
        "confidence-threshold" => s.confidence_threshold.to_value(),
        "meeting-title" => s.meeting_title.to_value(),
        "language-code" => s.language_code.to_value(),
        "timezone-offset" => s.timezone_offset.to_value(),
        "speaker-id" => s.speaker_id.to_value(),
        "speaker-name" => s.speaker_name.to_value(),
        "no-connection-timeout" => s.no_connection_timeout.to_value(),
        "disconnect-on-stop-request" => s.disconnect_on_stop_request.to_value(),
        "disconnect-on-stop-request-timeout" => s.disconnect_on_stop_request_timeout.to_value(),
        "start-request-extra" => s.start_request_extra.text().to_value(),
        "interim-results" => s.interim_results.to_value(),
        "chunk-duration" => s.chunk_duration.to_value(),
        "alignment-threshold" => s.alignment_threshold.to_value(),
        "discont-wait" => s.discont_wait.to_value(),
        "buffer-duration" => s.buffer_duration.to_value(),
        "leaky" => s.leaky.to_value(),
        "catch-up-rate" => s.catch_up_rate.to_value(),
        "connect-timeout" => s.connect_timeout.to_value(),
        "ping-interval" => s.ping_interval.to_value(),
        "pong-timeout" => s.pong_timeout.to_value(),
        "reconnect-max-delay" => s.reconnect_max_delay.to_value(),
        "reconnect-timeout" => s.reconnect_timeout.to_value(),
        "stall-timeout" => s.stall_timeout.to_value(),
        "stall-action" => s.stall_action.to_value(),
        "pause-policy" => s.pause_policy.to_value(),
        "caps-change-policy" => s.caps_change_policy.to_value(),
        "drain-timeout" => s.drain_timeout.to_value(),
        "admission-timeout" => s.admission_timeout.to_value(),
        "history-recovery" => s.history_recovery.to_value(),
        "on-fatal" => s.on_fatal.to_value(),
        _ => pspec.default_value().clone(),
    }
}

fn plain<'a, T: glib::value::FromValue<'a>>(value: &'a glib::Value) -> Result<T, String> {
    value
        .get::<T>()
        .map_err(|_| format!("it has the wrong type {}", value.type_()))
}

fn text(value: &glib::Value) -> Result<Option<String>, String> {
    Ok(plain::<Option<String>>(value)?.filter(|text| !text.is_empty()))
}

fn secret(value: &glib::Value) -> Result<Option<Secret>, String> {
    let secret = text(value)?.map(Secret::new);
    Ok(secret.filter(|secret| !secret.is_blank()))
}

fn phrases(value: &glib::Value) -> Result<Vec<String>, String> {
    let array = plain::<gst::Array>(value)?;
    let phrase = |(index, value): (usize, &glib::SendValue)| {
        text(value)?.ok_or_else(|| format!("entry {index} is empty; leave it out"))
    };
    array.iter().enumerate().map(phrase).collect()
}

fn minutes(value: &glib::Value) -> Result<i32, String> {
    match plain(value)? {
        offset if offset == TIMEZONE_UNSET || offset >= -TIMEZONE_MAX => Ok(offset),
        offset => Err(format!(
            "{offset} minutes; allowed are -{TIMEZONE_MAX} to {TIMEZONE_MAX}"
        )),
    }
}

#[cfg(test)]
mod tests;
