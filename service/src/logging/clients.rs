// SPDX-License-Identifier: MPL-2.0

//! Finds the client that a line is about, and drops the line if the client has caused
//! too many.
//!
//! The client's span ([`span`]) is entered wherever its connection is served. So the
//! lines of every module, and of libraries below, are known to be about it.

use super::budget::{Budget, LineVerdict, Socket};
use super::writer::Lost;
use crate::rate::Network;
use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Span, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// The name of a client's span.
pub(super) const CLIENT: &str = "client";

/// Target of the lines about suppressed lines. Those lines are always written.
const SUPPRESSED: &str = "symbl_service::logging";

/// Returns the span of a connection from this address. Its level is one that no
/// filter drops, because a line outside the span would not be counted.
pub(crate) fn span(address: IpAddr) -> Span {
    tracing::error_span!(
        "client",
        %address,
        connection = tracing::field::Empty,
        conversation = tracing::field::Empty,
    )
}

/// What a client's span says about it.
#[derive(Default)]
pub(super) struct ClientLines {
    address: Option<IpAddr>,
    /// The fields that are appended to a line.
    fields: Vec<ClientField>,
    socket: Mutex<Socket>,
}

/// A field of a client's span.
pub(super) struct ClientField {
    pub(super) name: &'static str,
    /// The value as a line of text shows it, in quotes if it is a text.
    pub(super) shown: String,
    /// The value itself.
    pub(super) value: String,
}

impl ClientLines {
    /// Returns the fields.
    pub(super) fn fields(&self) -> impl Iterator<Item = &ClientField> {
        self.fields.iter()
    }

    fn record(&mut self, name: &'static str, shown: String, value: String) {
        if name == "address" {
            self.address = value.parse().ok();
        }
        self.fields.retain(|field| field.name != name);
        self.fields.push(ClientField { name, shown, value });
    }
}

impl Visit for ClientLines {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        self.record(field.name(), text.clone(), text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record(field.name(), format!("{value:?}"), value.to_owned());
    }
}

/// The layer that limits the lines about each client.
pub(super) struct Clients {
    budget: Mutex<Budget>,
    lost: Lost,
}

impl Clients {
    pub(super) fn new(lost: Lost) -> Self {
        Self {
            budget: Mutex::default(),
            lost,
        }
    }

    fn verdict(&self, client: &ClientLines) -> LineVerdict {
        let Some(address) = client.address else {
            return LineVerdict::Write { suppressed: 0 };
        };
        let mut socket = client.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        budget.line(&mut socket, Network::of(address), Instant::now())
    }
}

const MORE: &str = "more lines about this client were suppressed";

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Clients {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id).filter(|span| span.name() == CLIENT) {
            let mut client = ClientLines::default();
            attributes.record(&mut client);
            span.extensions_mut().insert(client);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(client) = span.extensions_mut().get_mut::<ClientLines>()
        {
            values.record(client);
        }
    }

    fn event_enabled(&self, event: &Event<'_>, context: Context<'_, S>) -> bool {
        if event.metadata().target() == SUPPRESSED {
            return true;
        }
        let client = context
            .event_scope(event)
            .and_then(|mut scope| scope.find(|span| span.name() == CLIENT));
        let Some(span) = client else {
            return true;
        };
        let verdict = span
            .extensions()
            .get::<ClientLines>()
            .map(|c| self.verdict(c));
        match verdict {
            Some(LineVerdict::Suppress) => {
                self.lost.suppress();
                false
            }
            Some(LineVerdict::Write { suppressed }) if suppressed > 0 => {
                // Logged in the same span, so that the line names the client.
                tracing::warn!(target: SUPPRESSED, lines = suppressed, "{MORE}");
                true
            }
            _ => true,
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else {
            return;
        };
        let client = span.extensions_mut().remove::<ClientLines>();
        let Some(ClientLines {
            address: Some(address),
            socket,
            ..
        }) = client
        else {
            return;
        };
        let network = Network::of(address);
        let socket = socket.into_inner().unwrap_or_else(PoisonError::into_inner);
        let suppressed = {
            let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
            budget.close(&socket, network, Instant::now())
        };
        if suppressed > 0 {
            // This thread may serve another client now, so the line must not be in
            // its span.
            tracing::warn!(
                target: SUPPRESSED,
                parent: None,
                lines = suppressed,
                %network,
                "{MORE}"
            );
        }
    }
}
