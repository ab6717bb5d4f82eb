// SPDX-License-Identifier: MPL-2.0

//! Turns a failure of the session into an error of GStreamer.
//!
//! Domain and code say what kind of thing went wrong. The details structure is for programs:
//! `reason`, `phase`, `retryable`, and, if there is one, `http-status`, `close-code` and
//! `close-reason`. The caller decides between an ERROR and a WARNING message. Nothing here
//! may hold a secret.
//!
//! Sources: GStreamer's error domains; `docs/messages.md`.

use gst::glib;
use gst::prelude::*;
use symbl_client::session::{Failure, Reason};

/// A failure in GStreamer's terms.
#[derive(Debug, Clone)]
pub struct Report {
    /// Domain, code and the message for people.
    pub error: glib::Error,
    /// The details in one line, which `gst-launch-1.0` prints below the message.
    pub debug: String,
    /// The details for programs.
    pub details: gst::Structure,
}

impl Report {
    /// Returns the report of a failure.
    pub fn new(failure: &Failure) -> Self {
        let details = details(failure);
        Self {
            error: error(failure),
            debug: line(&details),
            details,
        }
    }

    /// Returns the ERROR message.
    pub fn into_error(self, src: &impl IsA<gst::Object>) -> gst::Message {
        gst::message::Error::builder_from_error(self.error)
            .debug(&self.debug)
            .details(self.details)
            .src(src)
            .build()
    }

    /// Returns the WARNING message.
    pub fn into_warning(self, src: &impl IsA<gst::Object>) -> gst::Message {
        gst::message::Warning::builder_from_error(self.error)
            .debug(&self.debug)
            .details(self.details)
            .src(src)
            .build()
    }
}

/// Returns the error for audio in a format that the service does not take.
pub fn format(problem: &str) -> gst::ErrorMessage {
    gst::error_msg!(
        gst::StreamError::Format,
        ("The service cannot take this audio: {problem}")
    )
}

fn error(failure: &Failure) -> glib::Error {
    let message = failure.message.as_str();
    match failure.reason {
        Reason::Auth => glib::Error::new(gst::ResourceError::NotAuthorized, message),
        Reason::Limit => glib::Error::new(gst::ResourceError::Busy, message),
        Reason::Settings => glib::Error::new(gst::ResourceError::Settings, message),
        Reason::Http if failure.http_status == Some(404) => {
            glib::Error::new(gst::ResourceError::NotFound, message)
        }
        Reason::Proxy if failure.http_status == Some(407) => {
            glib::Error::new(gst::ResourceError::NotAuthorized, message)
        }
        Reason::Dns
        | Reason::Tcp
        | Reason::Tls
        | Reason::Proxy
        | Reason::Http
        | Reason::Handshake
        | Reason::ConnectTimeout
        | Reason::StartTimeout => glib::Error::new(gst::ResourceError::OpenWrite, message),
        Reason::PongTimeout
        | Reason::Stall
        | Reason::Terminated
        | Reason::Closed
        | Reason::Read
        | Reason::Write => glib::Error::new(gst::ResourceError::Write, message),
        Reason::DrainTimeout => glib::Error::new(gst::ResourceError::Close, message),
        Reason::Protocol | Reason::FormatChange => {
            glib::Error::new(gst::StreamError::Format, message)
        }
        Reason::WallClock => glib::Error::new(gst::CoreError::Clock, message),
        Reason::Internal => glib::Error::new(gst::CoreError::Failed, message),
    }
}

/// Returns the phase in which the failure happened, if the reason alone shows it.
fn phase(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::Settings => Some("settings"),
        Reason::Dns
        | Reason::Tcp
        | Reason::Tls
        | Reason::Proxy
        | Reason::Http
        | Reason::Handshake
        | Reason::ConnectTimeout => Some("connect"),
        Reason::StartTimeout => Some("start"),
        Reason::PongTimeout
        | Reason::Stall
        | Reason::Terminated
        | Reason::Closed
        | Reason::Read
        | Reason::Write
        | Reason::Protocol
        | Reason::FormatChange
        | Reason::WallClock => Some("session"),
        Reason::DrainTimeout => Some("drain"),
        // The service can refuse a token or a limit at the upgrade and during the session.
        Reason::Auth | Reason::Limit | Reason::Internal => None,
    }
}

fn details(failure: &Failure) -> gst::Structure {
    let phase = match failure.http_status {
        Some(_) => Some("connect"),
        None => phase(failure.reason),
    };
    gst::Structure::builder("details")
        .field("reason", failure.reason.as_str())
        .field_if_some("phase", phase)
        .field_if_some("http-status", failure.http_status.map(i32::from))
        .field_if_some("close-code", failure.close_code.map(i32::from))
        .field_if_some("close-reason", failure.close_reason.as_deref())
        .field("retryable", failure.retryable)
        .build()
}

fn line(details: &gst::StructureRef) -> String {
    let word = |(name, value): (&glib::GStr, &glib::SendValue)| match value.get::<&str>() {
        Ok(text) => format!("{name}={text:?}"),
        Err(_) => format!("{name}={}", value.serialize().unwrap_or_default()),
    };
    details.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
