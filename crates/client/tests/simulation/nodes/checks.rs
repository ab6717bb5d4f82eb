// SPDX-License-Identifier: MPL-2.0

//! What is checked of the nodes, while they run and at the end.

use super::{AFTER_AN_OUTAGE, BEAT, LOOK, Node, Nodes, SEATS};
use crate::invariants::Broken;
use std::time::Duration;
use symbl_client::session::Time;

impl Nodes {
    /// Runs on without faults and without the client, until all is told and over.
    pub fn finish(&mut self, now: Time) -> Result<(), Broken> {
        let faults = self.nodes.iter().map(|node| {
            let cut = node.cut_until.max(node.frozen_until);
            cut.max(node.dead_until)
        });
        let from = faults.max().unwrap_or_default().max(now);
        self.lossy = 0;
        self.guest = None;
        for node in 0..self.nodes.len() {
            let sockets: Vec<u64> = self.nodes[node].sockets.keys().copied().collect();
            for socket in sockets {
                self.leave(node, socket, now);
            }
        }
        let lease = AFTER_AN_OUTAGE + AFTER_AN_OUTAGE;
        let until = from + lease + SEATS + self.keep + 5 * BEAT;
        self.run_until(until);
        self.effects.clear();
        for node in 0..self.nodes.len() {
            self.look(node, until);
        }
        self.check()?;
        let broken = |promise, how| Err(Broken { promise, how });
        let all: Vec<i64> = self.database.conversations().collect();
        for id in all {
            if !self.database.is_over(id) {
                let how = format!("conversation {id} goes on");
                return broken("a_conversation_that_all_have_left_ends", how);
            }
        }
        for listener in &self.listeners {
            if let Err(how) = listener.is_complete(&self.database) {
                return broken("each_listener_hears_all_in_order_and_once", how);
            }
        }
        Ok(())
    }

    /// Checks that no socket stays open that is to be closed: one whose stream goes on
    /// elsewhere, or that of a node which knows that it was declared gone.
    pub fn check_sockets(&mut self, now: Time) -> Result<(), Broken> {
        let promise = "a_socket_without_a_right_is_closed";
        let broken = |how| Err(Broken { promise, how });
        for socket in std::mem::take(&mut self.superseded) {
            if let Some(node) = self.nodes.iter().find(|n| n.sockets.contains_key(&socket)) {
                return broken(format!("{socket} on {}, which is superseded", node.id));
            }
        }
        let late = |node: &&Node| {
            let held = node.frozen_until.max(node.cut_until).max(node.dead_until);
            let longest = LOOK + Duration::from_millis(250);
            let since = node.gone.map(|since| since.max(held));
            since.is_some_and(|since| now > since + longest) && !node.sockets.is_empty()
        };
        match self.nodes.iter().find(late) {
            Some(node) => broken(format!("sockets of {:?}, which was gone", node.sockets)),
            None => Ok(()),
        }
    }

    /// Returns the first promise that the nodes have broken.
    pub fn check(&self) -> Result<(), Broken> {
        self.database.check()?;
        let wrong = self
            .listeners
            .iter()
            .find_map(|listener| listener.wrong.clone());
        match wrong {
            Some(how) => Err(Broken {
                promise: "each_listener_hears_all_in_order_and_once",
                how,
            }),
            None => Ok(()),
        }
    }
}
