// SPDX-License-Identifier: MPL-2.0

//! Writes a conversation of the past, from the service's log, as it would have been
//! written while it was held.
//!
//! Nothing else waits for this program, so it writes only as fast as its output is read,
//! and nothing is lost.

use crate::output::{Output, unwritten};
use crate::recall::Page;
use crate::show::Show;
use std::io;
use std::time::Duration;
use symbl_captions::{CaptionWriter, Format, Notes};
use symbl_client::session::Failure;
use symbl_client::transport::{After, Endpoint};
use symbl_protocol::ServerMessage;
use tokio::sync::Notify;

/// Writes all that was said in a conversation so far, until `stop` is notified.
pub async fn replay(
    endpoint: &Endpoint,
    conversation: &str,
    output: Output,
    format: Format,
    notes: &Notes,
    stop: &Notify,
) -> Result<(), String> {
    let mut page = tokio::select! {
        page = Page::read(endpoint, conversation, After::Entry(0)) => {
            page.map_err(|failure| explained(conversation, &failure))?
        }
        () = stop.notified() => return Ok(()),
    };
    let begun = output
        .begin()
        .and_then(|output| CaptionWriter::new(output, format));
    let mut show = match begun {
        Ok(writer) => Show::new(writer, false),
        Err(error) => return unwritten(&error),
    };
    let first = page.events.first().map_or(0, |event| event.at);
    loop {
        if let Err(error) = show_page(&mut show, &page, first, notes) {
            return unwritten(&error);
        }
        let Some(after) = page.next() else {
            break;
        };
        page = tokio::select! {
            page = Page::read(endpoint, conversation, after) => {
                page.map_err(|failure| explained(conversation, &failure))?
            }
            () = stop.notified() => break,
        };
    }
    match show.finish() {
        Ok(()) => Ok(()),
        Err(error) => unwritten(&error),
    }
}

/// Writes the messages of a page. `first` is when the first event was written: the times of
/// the others count from there, as if they came now.
fn show_page(show: &mut Show<Output>, page: &Page, first: i64, notes: &Notes) -> io::Result<()> {
    for event in &page.events {
        let since = event.at.saturating_sub(first);
        let since = Duration::from_millis(u64::try_from(since).unwrap_or(0));
        for message in &event.messages {
            match ServerMessage::parse(message.get()) {
                Ok(message) => show.message(&message, since)?,
                Err(error) => notes.tell(&format!("cannot read a message: {error}")),
            }
        }
    }
    Ok(())
}

fn explained(conversation: &str, failure: &Failure) -> String {
    match failure.http_status {
        Some(404) => format!(
            "the service knows no conversation \"{conversation}\" (HTTP 404), or is none that \
             can replay: see the ids with --list"
        ),
        _ => failure.message.clone(),
    }
}
