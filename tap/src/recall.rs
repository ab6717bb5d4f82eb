// SPDX-License-Identifier: MPL-2.0

//! Reads what was said in a conversation from the service's log, page by page: what was
//! missed, or all of it.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;
use symbl_client::session::{Failure, Reason};
use symbl_client::transport::{After, Endpoint, events};
use tokio::time::timeout;

/// A page of what the subscribers of a conversation were sent.
#[derive(Debug, Deserialize)]
pub struct Page {
    pub events: Vec<Event>,
    /// The number of the last entry that the page is about.
    last: u64,
    /// `true` if there may be another page.
    more: bool,
}

/// The messages of an entry of the log.
#[derive(Debug, Deserialize)]
pub struct Event {
    /// When it was written, in milliseconds since the Unix epoch.
    pub at: i64,
    pub messages: Vec<Box<RawValue>>,
}

impl Page {
    /// Asks for a page within the endpoint's time limit.
    pub async fn read(
        endpoint: &Endpoint,
        conversation: &str,
        after: After,
    ) -> Result<Self, Failure> {
        let text = within(endpoint, events(endpoint, conversation, after)).await?;
        parsed(endpoint, &text)
    }

    /// Returns where the next page begins, if there is one.
    pub fn next(&self) -> Option<After> {
        self.more.then_some(After::Entry(self.last))
    }
}

/// Awaits an answer within the endpoint's time limit.
pub async fn within<T>(
    endpoint: &Endpoint,
    answer: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let bound: Duration = endpoint.request_timeout;
    timeout(bound, answer).await.unwrap_or_else(|_| {
        let place = &endpoint.base_url;
        let seconds = bound.as_secs();
        Err(Failure::retryable(
            Reason::ConnectTimeout,
            format!("no answer of {place} within {seconds} s; check --base-url"),
        ))
    })
}

/// Reads an answer in JSON.
pub fn parsed<T: for<'a> Deserialize<'a>>(endpoint: &Endpoint, text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        let place = &endpoint.base_url;
        Failure::fatal(
            Reason::Protocol,
            format!("the answer of {place} cannot be read: {error}; check --base-url"),
        )
    })
}
