// SPDX-License-Identifier: MPL-2.0

//! A second speaker of the conversation, whose client names no stream and sends nothing again.

use super::database::Starting;
use super::{Ask, Event, Nodes, Reply};
use crate::service::{Final, Heard, PEOPLE};
use std::time::Duration;
use symbl_client::session::Time;

/// The numbers of the guest's sockets begin here, and the words of the guest too.
const GUEST: u64 = 1 << 40;
const WORDS: u16 = 10_000;

/// How long the guest waits for an answer before it gives its socket up.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
pub struct Guest {
    sockets: u64,
    words: u16,
    /// The open socket, its node and its process.
    on: Option<(u64, usize, u32)>,
    begun: bool,
    /// A question without an answer.
    asked: Option<Time>,
    /// How many finals it has yet to say.
    left: u8,
}

/// Returns `true` if a socket is the guest's.
pub fn is_guest(socket: u64) -> bool {
    socket >= GUEST
}

impl Nodes {
    pub(super) fn guest_acts(&mut self, now: Time) {
        let pause = Duration::from_millis(self.rng.u64(200..1500));
        let Some(mut guest) = self.guest.take() else {
            return;
        };
        self.at(now + pause, Event::Guest);
        let is_lost = |&(socket, node, process): &(u64, usize, u32)| {
            let this = &self.nodes[node];
            this.process != process || !self.is_up(node, now) || !this.sockets.contains_key(&socket)
        };
        if guest.on.as_ref().is_some_and(is_lost) {
            guest.on = None;
        }
        match guest.on {
            Some((socket, node, _)) if guest.asked.is_some_and(|since| since + PATIENCE < now) => {
                // Its old socket hangs, and still has a word.
                let later = now + Duration::from_millis(self.rng.u64(0..4000));
                let later = later.max(self.nodes[node].frozen_until);
                self.at(later, Event::Ghost(socket));
                guest.on = None;
            }
            Some(_) if guest.asked.is_some() => {}
            Some((socket, node, _)) if guest.left == 0 => {
                if !self.is_frozen(node, now) {
                    if self.rng.bool() {
                        self.finished(node, socket);
                    }
                    self.leave(node, socket, now);
                    guest.on = None;
                }
            }
            Some((socket, node, _)) if guest.begun => {
                guest.left -= 1;
                guest.asked = Some(now);
                if !self.is_frozen(node, now) {
                    let said = self.guest_final(guest.words);
                    guest.words += 1;
                    self.ask(node, socket, Ask::Say(said), now);
                }
            }
            Some(_) => {}
            None => {
                let node = self.draw(now);
                if self.is_up(node, now) && !self.is_frozen(node, now) {
                    guest.sockets += 1;
                    let socket = GUEST + guest.sockets;
                    guest.on = Some((socket, node, self.process(node)));
                    (guest.begun, guest.asked) = (false, Some(now));
                    guest.left = self.rng.u8(1..12);
                    let starting = Starting {
                        place: None,
                        member: "guest",
                        anew: false,
                    };
                    self.ask(node, socket, Ask::Start(starting), now);
                }
            }
        }
        self.guest = Some(guest);
    }

    fn guest_final(&mut self, word: u16) -> Final {
        let id = self.database.next();
        let word = Heard {
            word: WORDS + word,
            start: 0,
            end: 1,
        };
        Final::of(id, vec![word], None, PEOPLE[2])
    }

    pub(super) fn guest_is_answered(&mut self, socket: u64, reply: &Reply, now: Time) {
        let Some(guest) = &mut self.guest else {
            return;
        };
        let Some((current, node, _)) = guest.on else {
            return;
        };
        if current != socket {
            return;
        }
        guest.asked = None;
        match reply {
            Reply::Begun { .. } => guest.begun = true,
            Reply::Stored(_) => {}
            Reply::Refused(_) | Reply::Failed => {
                guest.on = None;
                self.leave(node, socket, now);
            }
        }
    }

    /// Lets the guest's old socket, whose node does not know yet that it is given up, say a
    /// word.
    pub(super) fn ghost_speaks(&mut self, socket: u64, now: Time) {
        let has_it = |(_, node): &(usize, &super::Node)| node.sockets.contains_key(&socket);
        let node = self.nodes.iter().enumerate().find(has_it).map(|(n, _)| n);
        let Some(node) = node.filter(|node| self.is_up(*node, now)) else {
            return;
        };
        if self.is_frozen(node, now) {
            let until = self.nodes[node].frozen_until;
            return self.at(until, Event::Ghost(socket));
        }
        let word = 20_000 + u16::try_from(socket - GUEST).unwrap_or(0);
        let said = self.guest_final(word);
        self.ask(node, socket, Ask::Say(said), now);
        self.leave(node, socket, now);
    }
}
