// SPDX-License-Identifier: MPL-2.0

//! Formats a line: time, level, module, message and fields. After the fields of the
//! event come those of its client that the event does not have. So `grep
//! 'connection="call-17"'` finds everything about a connection.

use super::clients::{CLIENT, ClientLines};
use std::fmt::Result;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The format of a line.
pub(super) struct LineFormat;

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
            for (name, value) in client
                .fields()
                .filter(|(name, _)| own.field(*name).is_none())
            {
                write!(writer, " {name}={value}")?;
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
