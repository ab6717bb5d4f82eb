// SPDX-License-Identifier: MPL-2.0

//! What nodes tell: entries of their own as they are committed, and those of others as they
//! hear of them.

use super::{Effect, Event, LOOK, Nodes};
use std::time::Duration;
use symbl_client::session::Time;
use symbl_log::fence::GONE;
use symbl_log::teller::{Item, Next};

impl Nodes {
    /// Wakes the other nodes, by an announcement or because they look by themselves.
    pub(super) fn announce(&mut self, by: Option<usize>, now: Time) {
        for node in 0..self.nodes.len() {
            if Some(node) != by {
                let most = match self.rng.u8(0..4) {
                    0 => LOOK.as_micros() as u64,
                    _ => 20_000,
                };
                let soon = Duration::from_micros(self.rng.u64(200..=most));
                self.at(now + soon, Event::Look(node));
            }
        }
    }

    pub(super) fn look(&mut self, node: usize, now: Time) {
        if !self.is_up(node, now) || self.is_put_off(node, Event::Look(node), now) {
            return;
        }
        if self.nodes[node].gone.take().is_some() {
            let sockets: Vec<u64> = self.nodes[node].sockets.keys().copied().collect();
            for socket in sockets {
                self.effects.push(Effect::Close(socket, GONE));
                self.leave(node, socket, now);
            }
            self.scatter(node, now);
        }
        let all: Vec<i64> = self.nodes[node].tellers.keys().copied().collect();
        for id in all {
            self.catch_up(node, id);
        }
        self.settle_listeners(node);
    }

    /// Puts in what the log has, and tells it.
    pub(super) fn catch_up(&mut self, node: usize, id: i64) {
        let head = self.database.head(id);
        if let Some(teller) = self.nodes[node].tellers.get_mut(&id) {
            let entries = self.database.read(id, teller.told(), head);
            teller.fill(entries, head);
        }
        self.tell(node, id);
    }

    /// Tells the listeners of a node what its teller has.
    pub(super) fn tell(&mut self, node: usize, id: i64) {
        loop {
            let Some(teller) = self.nodes[node].tellers.get_mut(&id) else {
                return;
            };
            match teller.next() {
                Next::Nothing => return,
                Next::Read(after, before) => {
                    let entries = self.database.read(id, after, before - 1);
                    teller.fill(entries, before - 1);
                }
                Next::Tell(Item { entry, .. }) => {
                    for listener in &mut self.listeners {
                        listener.hear(node, id, &entry);
                    }
                }
            }
        }
    }
}
