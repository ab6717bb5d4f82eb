// SPDX-License-Identifier: MPL-2.0

//! What the subscribers of a conversation were sent, read from its log: for a client that
//! comes late, or lost its connection until the conversation was over.
//!
//! A request reads one page, so that neither the service nor its client holds a whole log.

use crate::conversation::form::Form as _;
use crate::conversation::log::{Log, LogError};
use crate::door::asked::Readable;
use crate::door::http::{Shared, error};
use crate::door::rest::{Asked, busy, failed, must, unknown};
use crate::door::symbl::wire::SYMBL;
use crate::workers::Undone;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Entries on a page, if the request does not say, and at most.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;

/// Size in bytes at which a page ends.
const FULL: usize = 1 << 20;

/// Where a page begins, and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    after: After,
    limit: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// The entry with this number of the log.
    Entry(u64),
    /// The final with this `sequenceNumber`.
    Final(i64),
}

/// Reads from the query which entries are wanted.
fn wanted(asked: &[(String, String)]) -> Result<Wanted, String> {
    let mut wanted = Wanted {
        after: After::Entry(0),
        limit: PAGE,
    };
    for (name, value) in asked {
        match name.as_str() {
            "after" => {
                let after = value.parse().ok().filter(|after| *after <= i64::MAX as u64);
                let after = after.ok_or_else(|| must(name, "the `seq` of an event, or 0"))?;
                wanted.after = After::Entry(after);
            }
            "afterSequenceNumber" => {
                let after = value.parse().ok().filter(|after| *after >= -1);
                let after = after.ok_or_else(|| must(name, "a `sequenceNumber`, or -1"))?;
                wanted.after = After::Final(after);
            }
            "limit" => {
                let limit = value.parse().ok();
                let limit = limit.filter(|limit| (1..=LARGEST_PAGE).contains(limit));
                wanted.limit = limit.ok_or_else(|| must(name, "1 to 1000"))?;
            }
            _ => {}
        }
    }
    Ok(wanted)
}

/// Reads a page of entries that were written up to `until`, nanoseconds since the Unix
/// epoch, as JSON text.
fn page(log: &dyn Log, conversation: i64, from: Wanted, until: i64) -> Result<String, LogError> {
    let after = match from.after {
        After::Entry(seq) => seq,
        After::Final(number) => log.entry_of(conversation, number)?,
    };
    let entries = log.read(conversation, after, from.limit)?;
    let (mut text, mut last) = ("{\"events\":[".to_owned(), after);
    // Entries of unknown kinds are left out, so a short page may not be the last one.
    let mut more = !entries.is_empty();
    let mut follows = false;
    for entry in entries {
        if entry.at > until || text.len() >= FULL {
            more = entry.at <= until;
            break;
        }
        last = entry.seq;
        let rendered = SYMBL.render(&entry);
        if rendered.is_empty() {
            continue;
        }
        if std::mem::replace(&mut follows, true) {
            text.push(',');
        }
        let (seq, at) = (entry.seq, entry.at / 1_000_000);
        text.push_str(&format!("{{\"seq\":{seq},\"at\":{at},\"messages\":["));
        for (index, (_, message)) in rendered.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(message.as_str());
        }
        text.push_str("]}");
    }
    text.push_str(&format!("],\"last\":{last},\"more\":{more}}}"));
    Ok(text)
}

/// Answers with a page of what the subscribers were sent.
pub(crate) async fn events(
    State(shared): State<Shared>,
    Readable(whose): Readable,
    Query(asked): Asked,
) -> Response {
    let wanted = match wanted(&asked) {
        Ok(wanted) => wanted,
        Err(message) => return error(StatusCode::BAD_REQUEST, &message),
    };
    let (conversation, until) = (whose.conversation, whose.until());
    match shared.records.find(whose).await {
        Ok(Some(_)) => {}
        Ok(None) => return unknown(),
        Err(reason) => return failed(&reason),
    }
    let log = Arc::clone(&shared.hub.log);
    let read = move || page(log.as_ref(), conversation, wanted, until);
    match shared.hub.workers.run(read).await {
        Ok(Ok(text)) => ([(CONTENT_TYPE, "application/json")], text).into_response(),
        Ok(Err(reason)) => unreadable(&reason),
        Err(Undone::Busy) => busy(),
        Err(reason @ Undone::Panicked) => unreadable(&reason),
    }
}

fn unreadable(reason: &dyn std::error::Error) -> Response {
    tracing::error!(%reason, "a log was not read");
    let message = "The log of the conversation cannot be read; see the log of the service.";
    error(StatusCode::INTERNAL_SERVER_ERROR, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_begins_where_it_is_asked_for_and_is_no_longer_than_allowed() {
        let of = |query: &[(&str, &str)]| {
            let asked = query.iter().map(|(a, b)| (a.to_string(), b.to_string()));
            wanted(&asked.collect::<Vec<_>>())
        };
        let page = |after, limit| Ok(Wanted { after, limit });
        assert_eq!(of(&[]), page(After::Entry(0), 100));
        assert_eq!(
            of(&[("after", "7"), ("limit", "1000"), ("more", "x")]),
            page(After::Entry(7), 1000)
        );
        assert_eq!(
            of(&[("afterSequenceNumber", "-1")]),
            page(After::Final(-1), 100)
        );
        for (name, value) in [
            ("after", "-1"),
            ("after", "9223372036854775808"),
            ("after", "x"),
            ("afterSequenceNumber", "-2"),
            ("limit", "0"),
            ("limit", "1001"),
        ] {
            let refused = of(&[(name, value)]).expect_err(value);
            assert!(
                refused.starts_with(&format!("`{name}` must be ")),
                "{refused}"
            );
        }
    }
}
