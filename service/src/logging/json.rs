// SPDX-License-Identifier: MPL-2.0

//! A line as an object in JSON: `timestamp`, `level`, `target`, `message`, and the fields of
//! the event and of its client, each a member of its own.

use super::clients::{CLIENT, ClientLines};
use serde_json::{Map, Value};
use std::fmt::{Debug, Error, Result};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The members of a line.
struct Members(Map<String, Value>);

impl Members {
    fn set(&mut self, field: &Field, value: Value) {
        // A field of the log's own must not be lost to one of the event.
        let name = match field.name() {
            name @ ("timestamp" | "level" | "target") => format!("field.{name}"),
            name => name.to_owned(),
        };
        self.0.insert(name, value);
    }
}

impl Visit for Members {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value.into());
    }
}

/// Writes an event and its client.
pub(super) fn line<S, N>(
    context: &FmtContext<'_, S, N>,
    writer: &mut Writer<'_>,
    event: &Event<'_>,
) -> Result
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    let about = event.metadata();
    let mut time = String::new();
    SystemTime.format_time(&mut Writer::new(&mut time))?;
    let mut members = Members(Map::new());
    for (name, value) in [
        ("timestamp", time.as_str()),
        ("level", about.level().as_str()),
        ("target", about.target()),
    ] {
        members.0.insert(name.to_owned(), value.into());
    }
    event.record(&mut members);
    let client = context
        .event_scope()
        .and_then(|mut scope| scope.find(|span| span.name() == CLIENT));
    if let Some(span) = client
        && let Some(client) = span.extensions().get::<ClientLines>()
    {
        for field in client.fields() {
            let known = members.0.entry(field.name);
            known.or_insert_with(|| field.value.clone().into());
        }
    }
    let text = serde_json::to_string(&members.0).map_err(|_| Error)?;
    writeln!(writer, "{text}")
}
