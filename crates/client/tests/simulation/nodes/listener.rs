// SPDX-License-Identifier: MPL-2.0

//! Listeners: each is on a node, goes to another one if that is lost, and says there after
//! which entry it goes on.

use super::Nodes;
use super::database::{Body, Database, Written};
use std::collections::BTreeMap;
use symbl_client::session::Time;
use symbl_log::cluster::Kind;
use symbl_log::teller::Teller;

#[derive(Debug)]
pub struct Listener {
    node: usize,
    /// The conversation that it listens to, and the number of the last entry that it heard.
    at: Option<(i64, u64)>,
    /// It lost its node, and has yet to say where it goes on.
    lost: bool,
    /// The last entry that it had when it came to its node, which may have yet to tell that.
    had: u64,
    /// The entries that it heard, from which one on and how many.
    heard: BTreeMap<i64, (u64, u64)>,
    pub wrong: Option<String>,
}

impl Listener {
    pub fn on(node: usize) -> Self {
        Self {
            node,
            at: None,
            lost: false,
            had: 0,
            heard: BTreeMap::new(),
            wrong: None,
        }
    }

    /// Hears what a node tells in a conversation.
    pub fn hear(&mut self, node: usize, id: i64, entry: &Written) {
        let Some((of, last)) = self.at else { return };
        if node != self.node || of != id || self.lost || entry.seq <= self.had {
            return;
        }
        if entry.seq != last + 1 {
            let (node, seq) = (self.node, entry.seq);
            let how = format!("a listener on node {node} is told {seq} of {id} after {last}");
            self.wrong.get_or_insert(how);
        }
        self.heard.entry(id).or_insert((last, 0)).1 += 1;
        self.at = match &entry.body {
            Body::Of(Kind::Over) => None,
            _ => Some((id, entry.seq)),
        };
    }

    /// Returns an error if an entry of a conversation that it listened to is missing.
    pub fn is_complete(&self, database: &Database) -> Result<(), String> {
        for (id, (from, count)) in &self.heard {
            let head = database.head(*id);
            if from + count != head {
                return Err(format!("{count} entries after {from} of {head} in {id}"));
            }
        }
        match self.at {
            Some((id, last)) if last < database.head(id) => {
                Err(format!("nothing after {last} of {id}"))
            }
            _ => Ok(()),
        }
    }
}

impl Nodes {
    /// Sends the listeners of a node that is lost to another one.
    pub(super) fn scatter(&mut self, node: usize, now: Time) {
        for n in 0..self.listeners.len() {
            if self.listeners[n].node == node {
                let other = self.draw(now);
                let listener = &mut self.listeners[n];
                (listener.node, listener.lost) = (other, true);
            }
        }
    }

    /// Lets listeners of a node take up the latest conversation, or go on where they were.
    pub(super) fn settle_listeners(&mut self, node: usize) {
        let Some(latest) = self.database.latest() else {
            return;
        };
        for n in 0..self.listeners.len() {
            let listener = &self.listeners[n];
            let is_new = listener.at.is_none() && !listener.heard.contains_key(&latest);
            let is_back = listener.at.is_some() && listener.lost;
            if listener.node != node || !(is_back || is_new) {
                continue;
            }
            let (id, after) = listener.at.unwrap_or((latest, 0));
            let head = self.database.head(id);
            let tellers = &mut self.nodes[node].tellers;
            let teller = tellers.entry(id).or_insert_with(|| Teller::behind(head));
            let told = teller.told();
            let missed = match teller.since(after) {
                Some(entries) => entries,
                None => self.database.read(id, after, told),
            };
            let listener = &mut self.listeners[n];
            (listener.at, listener.lost) = (Some((id, after)), false);
            listener.had = after;
            for entry in missed {
                listener.hear(node, id, &entry);
            }
            self.catch_up(node, id);
        }
    }
}
