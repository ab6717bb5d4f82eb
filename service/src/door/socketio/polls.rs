// SPDX-License-Identifier: MPL-2.0

//! Ends the connections of single clients, so that they come back by themselves, and on another
//! node if there is one.
//!
//! The library can only disconnect a client, which stays away then, or close all of them. A client
//! whose poll fails counts its connection as lost, as it does when its WebSocket is cut.

use crate::door::stall::WriteLimit;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The clients whose sockets are open, by the id of their connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Polls(Arc<Mutex<HashMap<String, Client>>>);

#[derive(Debug)]
struct Client {
    is_ended: watch::Sender<bool>,
    /// The connection of its WebSocket, if it has begun with polls.
    upgraded: Option<WriteLimit>,
}

/// A client whose socket is open.
#[derive(Debug)]
pub(super) struct Polling {
    polls: Polls,
    id: String,
}

impl Polls {
    /// Adds a client.
    pub(super) fn enter(&self, id: String) -> Polling {
        let client = Client {
            is_ended: watch::Sender::new(false),
            upgraded: None,
        };
        self.map().insert(id.clone(), client);
        let polls = self.clone();
        Polling { polls, id }
    }

    /// Notes the connection of a client's WebSocket.
    pub(super) fn upgraded(&self, id: &str, connection: &WriteLimit) {
        if let Some(client) = self.map().get_mut(id) {
            client.upgraded = Some(connection.clone());
        }
    }

    /// Waits until the connection of a client is to end. Without such a client it never does.
    pub(super) async fn ended(&self, id: &str) {
        let ended = self.map().get(id).map(|one| one.is_ended.subscribe());
        if let Some(mut ended) = ended
            && ended.wait_for(|is_ended| *is_ended).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }

    fn map(&self) -> MutexGuard<'_, HashMap<String, Client>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Polling {
    /// Fails the client's poll, and those that come, and cuts its WebSocket.
    pub(super) fn end(&self) {
        if let Some(client) = self.polls.map().get(&self.id) {
            client.is_ended.send_replace(true);
            if let Some(connection) = &client.upgraded {
                connection.cut();
            }
        }
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        self.polls.map().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn the_polls_of_a_client_fail_from_its_end_on_and_no_others() {
        let polls = Polls::default();
        let (one, _other) = (
            polls.enter("one".to_owned()),
            polls.enter("other".to_owned()),
        );
        let has_ended = |id: &str| polls.ended(id).now_or_never().is_some();
        assert!(!has_ended("one"));
        one.end();
        assert!(has_ended("one") && has_ended("one"));
        assert!(!has_ended("other") && !has_ended("unknown"));
        drop(one);
        assert!(!has_ended("one"), "it is gone");
    }
}
