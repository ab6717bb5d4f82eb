// SPDX-License-Identifier: MPL-2.0

//! Formats a line: time, level, module, message and fields. After the fields of the
//! event come those of its client that the event does not have. So `grep
//! 'connection="call-17"'` finds everything about a connection. `json` writes the same as
//! an object in JSON.

use super::clients::{CLIENT, ClientField, ClientLines};
use super::json;
use std::fmt::Result;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// How the lines of the log are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people and `grep`.
    #[default]
    Text,
    /// An object in JSON on each line.
    Json,
}

/// The format of a line.
pub(super) struct LineFormat(pub(super) LogFormat);

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> Result {
        let about = event.metadata();
        if self.0 == LogFormat::Json {
            return json::line(context, &mut writer, event);
        }
        let (dim, colour, plain) = match writer.has_ansi_escapes() {
            true => ("\u{1b}[2m", colour(*about.level()), "\u{1b}[0m"),
            false => ("", "", ""),
        };
        write!(writer, "{dim}")?;
        SystemTime.format_time(&mut writer)?;
        let (level, target) = (about.level(), about.target());
        write!(
            writer,
            "{plain} {colour}{level:>5}{plain} {dim}{target}:{plain} "
        )?;
        context.format_fields(writer.by_ref(), event)?;
        let client = context
            .event_scope()
            .and_then(|mut scope| scope.find(|span| span.name() == CLIENT));
        if let Some(span) = client
            && let Some(client) = span.extensions().get::<ClientLines>()
        {
            let own = about.fields();
            let fields = client.fields();
            for ClientField { name, shown, .. } in
                fields.filter(|field| own.field(field.name).is_none())
            {
                write!(writer, " {name}={shown}")?;
            }
        }
        writeln!(writer)
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[32m",
        Level::DEBUG => "\u{1b}[34m",
        Level::TRACE => "\u{1b}[35m",
    }
}
