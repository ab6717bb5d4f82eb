// SPDX-License-Identifier: MPL-2.0

//! The links of a service of several nodes: where they are, what their sockets ask of the
//! shared log, and what the faults of nodes do to them.

use super::{World, broken};
use crate::audio::Ms;
use crate::invariants::Broken;
use crate::network::{Frame, Link, Seat};
use crate::nodes::{Ask, Effect, Nodes, Reply};
use crate::service::Answer;
use fastrand::Rng;
use std::collections::VecDeque;
use std::time::Duration;
use symbl_client::session::{Failure, Reason, Time};
use symbl_log::fence::{Refusal, SUPERSEDED};

/// Returns a frame that the service takes now. A frozen node takes none, a dead one loses it,
/// and while a socket waits for the log it takes pings only.
pub(super) fn hold(
    nodes: Option<&Nodes>,
    link: &mut Link,
    frame: Frame,
    now: Time,
) -> Option<Frame> {
    let Some(nodes) = nodes else {
        return Some(frame);
    };
    let seat = &mut link.seat;
    if nodes.process(seat.node) != seat.process || !nodes.is_up(seat.node, now) {
        return None;
    }
    let waits = seat.asking && frame != Frame::Ping;
    if waits || nodes.is_frozen(seat.node, now) {
        seat.backlog.push_back(frame);
        return None;
    }
    Some(frame)
}

impl World {
    /// Chooses the node that a dial reaches. Returns `None` if none answers.
    pub(super) fn sit_down(&mut self) -> Option<Seat> {
        let Some(nodes) = &mut self.nodes else {
            return Some(Seat::default());
        };
        let node = nodes.draw(self.now);
        if !nodes.is_up(node, self.now) {
            self.lost(Failure::retryable(Reason::Tcp, "refused"), true);
            return None;
        }
        if nodes.is_frozen(node, self.now) {
            return None;
        }
        let process = nodes.process(node);
        Some(Seat {
            node,
            process,
            ..Seat::default()
        })
    }

    /// Returns how much later the service learns that a link is given up.
    pub(super) fn lag(&self, number: u64) -> Ms {
        let mut rng = Rng::with_seed(self.schedule.seed ^ number << 32);
        let lag = rng.u32(0..4000);
        // A socket may hang for long.
        match self.nodes.is_some() && rng.u8(0..4) == 0 {
            true => lag * 5,
            false => lag,
        }
    }

    fn socket(&mut self, number: u64) -> Option<&mut Link> {
        let all = self.link.iter_mut().chain(&mut self.orphans);
        all.into_iter().find(|link| link.number == number)
    }

    /// Asks the shared log for a socket. `rest` waits for the answer.
    pub(super) fn ask(&mut self, number: u64, ask: Ask, rest: VecDeque<(Ms, Answer)>) {
        let Some(link) = self.socket(number) else {
            return;
        };
        (link.seat.asking, link.seat.rest) = (true, rest);
        let node = link.seat.node;
        let now = self.now;
        if let Some(nodes) = &mut self.nodes {
            nodes.ask(node, number, ask, now);
        }
    }

    pub(super) fn socket_finished(&mut self, number: u64) {
        let node = self.socket(number).map(|link| link.seat.node);
        if let (Some(nodes), Some(node)) = (&mut self.nodes, node) {
            nodes.finished(node, number);
        }
    }

    /// Goes on with a link that the client has given up: it is told nothing.
    pub(super) fn orphan_asks(&mut self, number: u64, mut answers: VecDeque<(Ms, Answer)>) {
        while let Some((_, answer)) = answers.pop_front() {
            match answer {
                Answer::Ask(ask) => return self.ask(number, ask, answers),
                Answer::Last(_) => self.socket_finished(number),
                Answer::Text(_) | Answer::Again(_) | Answer::Told(_) | Answer::Incomplete => {}
            }
        }
    }

    /// Lets the service learn that the client has given a link up. It says what it still has,
    /// and leaves.
    pub(super) fn leave_node(&mut self, number: u64) {
        let Some(nodes) = &self.nodes else { return };
        let now = self.now;
        let Some(link) = self.orphans.iter_mut().find(|link| link.number == number) else {
            return;
        };
        link.seat.leaving = true;
        let node = link.seat.node;
        if nodes.process(node) != link.seat.process || !nodes.is_up(node, now) {
            return self.orphans.retain(|link| link.number != number);
        }
        if link.seat.asking || nodes.is_frozen(node, now) {
            return; // It is asked again after that.
        }
        let mut aside = self.conversation.aside();
        let answers = link.service.orphaned(&mut aside);
        self.conversation.ledger = aside.ledger;
        if answers.is_empty() {
            self.orphans.retain(|link| link.number != number);
            if let Some(nodes) = &mut self.nodes {
                nodes.leave(node, number, now);
            }
        } else {
            self.orphan_asks(number, answers.into());
            if self.socket(number).is_some_and(|link| !link.seat.asking) {
                self.leave_node(number);
            }
        }
    }

    /// Lets the nodes run up to now, and takes what they do.
    pub(super) fn run_nodes(&mut self) -> Result<(), Broken> {
        while let Some(nodes) = &mut self.nodes
            && nodes.next().is_some_and(|at| at <= self.now)
        {
            nodes.run_until(self.now);
            nodes.check()?;
            for effect in std::mem::take(&mut nodes.effects) {
                self.trace(|| format!("{effect:?}"));
                match effect {
                    Effect::Answer(number, reply) => self.answered(number, reply)?,
                    Effect::Close(number, code) => self.close_socket(number, code)?,
                    Effect::Thawed(node) => self.thawed(node)?,
                    Effect::Killed(node) => self.killed(node),
                }
            }
            if let Some(nodes) = &mut self.nodes {
                nodes.check_sockets(self.now)?;
            }
        }
        Ok(())
    }

    /// Takes the answer of the shared log to a socket.
    fn answered(&mut self, number: u64, reply: Reply) -> Result<(), Broken> {
        let is_open = self.link.as_ref().is_some_and(|link| link.number == number);
        if is_open && matches!(reply, Reply::Refused(Refusal::Superseded)) {
            let how = format!("{number}, which is the latest");
            return Err(broken("a_stream_supersedes_older_sockets_only", how));
        }
        let now = self.now;
        let mut aside = self.conversation.aside();
        let all = self.link.iter_mut().chain(&mut self.orphans);
        let Some(link) = all.into_iter().find(|link| link.number == number) else {
            self.conversation.ledger = aside.ledger;
            return Ok(());
        };
        link.seat.asking = false;
        let rest = std::mem::take(&mut link.seat.rest);
        let mut answers: VecDeque<(Ms, Answer)> = match is_open {
            true => {
                self.conversation.ledger = std::mem::take(&mut aside.ledger);
                link.service
                    .answered(reply, now, &mut self.conversation)
                    .into()
            }
            false => {
                let answers = link.service.answered(reply, now, &mut aside);
                self.conversation.ledger = aside.ledger;
                answers.into()
            }
        };
        // A stream that has failed says nothing more.
        let goes_on = self
            .socket(number)
            .is_some_and(|link| !link.service.has_failed());
        answers.extend(rest.into_iter().filter(|_| goes_on));
        match is_open {
            true => self.answer(number, answers),
            false => self.orphan_asks(number, answers),
        }
        self.serve_backlog(number)
    }

    /// Takes the frames that have waited.
    fn serve_backlog(&mut self, number: u64) -> Result<(), Broken> {
        while let Some(link) = self.socket(number)
            && !link.seat.asking
            && let Some(frame) = link.seat.backlog.pop_front()
        {
            self.reach_service(number, frame)?;
        }
        let is_leaving = |link: &Link| link.number == number && link.seat.leaving;
        if self.orphans.iter().any(is_leaving) {
            self.leave_node(number);
        }
        Ok(())
    }

    /// Closes a socket on the side of its node.
    fn close_socket(&mut self, number: u64, code: u16) -> Result<(), Broken> {
        let now = self.now;
        if self.link.as_ref().is_some_and(|link| link.number == number) {
            if code == SUPERSEDED {
                let how = format!("{number}, which is the latest");
                return Err(broken("a_stream_supersedes_older_sockets_only", how));
            }
            self.close_link(code);
        }
        let node = self.socket(number).map(|link| link.seat.node);
        if let (Some(nodes), Some(node)) = (&mut self.nodes, node) {
            nodes.leave(node, number, now);
        }
        self.orphans.retain(|link| link.number != number);
        Ok(())
    }

    fn thawed(&mut self, node: usize) -> Result<(), Broken> {
        let all = self.link.iter().chain(&self.orphans);
        let here = all.filter(|link| link.seat.node == node);
        let here: Vec<u64> = here.map(|link| link.number).collect();
        for number in here {
            self.serve_backlog(number)?;
        }
        Ok(())
    }

    fn killed(&mut self, node: usize) {
        self.orphans.retain(|link| link.seat.node != node);
        if self
            .link
            .as_ref()
            .is_some_and(|link| link.seat.node == node)
        {
            self.cut(Duration::ZERO);
        }
    }

    /// Returns `true` if the open link has asked the shared log and has no answer yet.
    pub(super) fn waits_for_the_log(&self) -> bool {
        let link = self.link.as_ref();
        link.is_some_and(|link| link.seat.asking || !link.seat.backlog.is_empty())
    }

    /// Lets a node fail.
    pub(super) fn strike(&mut self, fault: crate::schedule::Fault) {
        let own = self.link.as_ref().map(|link| link.seat.node);
        if let Some(nodes) = &mut self.nodes {
            nodes.strike(fault, own, self.now);
        }
    }
}
