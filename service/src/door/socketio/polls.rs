// SPDX-License-Identifier: MPL-2.0

//! Ends the connections of single clients, so that they come back by themselves, and on another
//! node if there is one.
//!
//! The library can only disconnect a client, which stays away then, or close all of them. A client
//! whose poll fails counts its connection as lost, as it does when its WebSocket is cut.

use crate::door::stall::{WeakLimit, WriteLimit};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The clients whose sockets are open.
#[derive(Debug, Clone, Default)]
pub(super) struct Polls(Arc<Mutex<Clients>>);

#[derive(Debug, Default)]
struct Clients {
    /// By the id of their connection.
    open: HashMap<String, Client>,
    /// Connections of WebSockets whose client's socket is not open yet: a client that polls asks
    /// for both at once.
    early: HashMap<String, WeakLimit>,
}

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
        let mut clients = self.clients();
        let client = Client {
            is_ended: watch::Sender::new(false),
            upgraded: clients.early.remove(&id).and_then(|early| early.get()),
        };
        clients.open.insert(id.clone(), client);
        drop(clients);
        let polls = self.clone();
        Polling { polls, id }
    }

    /// Notes the connection of a client's WebSocket.
    pub(super) fn upgraded(&self, id: &str, connection: &WriteLimit) {
        let mut clients = self.clients();
        let Some(client) = clients.open.get_mut(id) else {
            clients.early.retain(|_, early| early.get().is_some());
            clients.early.insert(id.to_owned(), connection.weak());
            return;
        };
        client.upgraded = Some(connection.clone());
        if *client.is_ended.borrow() {
            connection.cut();
        }
    }

    /// Waits until the connection of a client is to end. Without such a client it never does.
    pub(super) async fn ended(&self, id: &str) {
        let ended = self
            .clients()
            .open
            .get(id)
            .map(|one| one.is_ended.subscribe());
        if let Some(mut ended) = ended
            && ended.wait_for(|is_ended| *is_ended).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Polling {
    /// Fails the client's poll, and those that come, and cuts its WebSocket.
    pub(super) fn end(&self) {
        if let Some(client) = self.polls.clients().open.get(&self.id) {
            client.is_ended.send_replace(true);
            if let Some(connection) = &client.upgraded {
                connection.cut();
            }
        }
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        self.polls.clients().open.remove(&self.id);
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

    #[test]
    fn a_websocket_is_cut_whenever_it_was_asked_for() {
        let polls = Polls::default();
        let [before, meanwhile, after, gone] = [(); 4].map(|()| WriteLimit::default());
        polls.upgraded("gone", &gone);
        drop(gone);
        polls.upgraded("before", &before);
        assert_eq!(polls.clients().early.len(), 1, "the other one is forgotten");
        for (id, connection) in [
            ("before", &before),
            ("meanwhile", &meanwhile),
            ("after", &after),
        ] {
            let client = polls.enter(id.to_owned());
            if id == "meanwhile" {
                polls.upgraded(id, connection);
            }
            client.end();
            if id == "after" {
                polls.upgraded(id, connection);
            }
            assert!(connection.is_cut(), "{id}");
        }
        assert!(polls.clients().early.is_empty());
    }
}
