// SPDX-License-Identifier: MPL-2.0

//! What nodes write: one statement after the other, each of which may take effect without an
//! answer, and is given again until there is one.

use super::database::{self, Saying, Starting};
use super::{Effect, Event, Node, Nodes, PAUSE, Reply, guest};
use crate::service::Final;
use std::sync::Arc;
use symbl_client::session::Time;
use symbl_log::fence::Refusal;
use symbl_log::teller::{Item, Teller};

#[derive(Debug, Clone)]
pub(super) enum Work {
    Join(Starting),
    Start(i64, Starting),
    Say(i64, Final),
    Part(i64, bool),
    Vacate(i64),
}

/// A statement, and what became of it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) node: usize,
    /// The node's id when it gave the statement to the database, and its process.
    pub(super) me: String,
    pub(super) process: u32,
    pub(super) socket: u64,
    pub(super) work: Work,
    pub(super) again: bool,
    /// `None` until it has taken effect; fenced if that is `None`.
    pub(super) result: Option<Option<Result>>,
}

#[derive(Debug)]
pub(super) enum Result {
    Joined(i64),
    Begun(Reply),
    Said(Saying),
    Parted,
}

impl Nodes {
    pub(super) fn submit(&mut self, node: usize, socket: u64, work: Work, now: Time) {
        let Node { id, process, .. } = &self.nodes[node];
        let job = Job {
            node,
            me: id.clone(),
            process: *process,
            socket,
            work,
            again: false,
            result: None,
        };
        self.order += 1;
        let number = self.order;
        self.jobs.insert(number, job);
        self.nodes[node].waiting.push_back(number);
        self.write_next(node, now);
    }

    /// Gives the next statement of a node to the database, if none is under way.
    pub(super) fn write_next(&mut self, node: usize, now: Time) {
        let this = &mut self.nodes[node];
        if this.is_writing {
            return;
        }
        if let Some(number) = this.waiting.pop_front()
            && let Some(job) = self.jobs.get_mut(&number)
        {
            this.is_writing = true;
            job.me.clone_from(&this.id);
            let at = now + self.delay();
            self.at(at, Event::Reach(number));
        }
    }

    /// Lets a statement reach the database.
    pub(super) fn reach(&mut self, number: u64, now: Time) {
        let Some(mut job) = self.jobs.remove(&number) else {
            return;
        };
        let is_there = self.nodes[job.node].process == job.process;
        let cut = self.nodes[job.node].cut_until;
        if is_there && cut > now {
            job.again = true;
            self.jobs.insert(number, job);
            let at = cut + PAUSE;
            return self.at(at, Event::Reach(number));
        }
        let (me, again) = (job.me.as_str(), job.again);
        let database = &mut self.database;
        let result = match &job.work {
            Work::Join(starting) => database.join(me, starting.anew, now).map(Result::Joined),
            Work::Start(id, starting) => {
                let begun = database.start(me, *id, starting, again);
                begun.map(|begun| {
                    Result::Begun(match begun {
                        None => Reply::Refused(Refusal::Superseded),
                        Some((said_until, unheard)) => Reply::Begun {
                            conversation: *id,
                            said_until,
                            unheard,
                        },
                    })
                })
            }
            Work::Say(id, said) => database.say(me, *id, said, again).map(Result::Said),
            Work::Part(id, at_once) => database
                .part(me, *id, *at_once, now)
                .map(|_| Result::Parted),
            Work::Vacate(id) => database.vacate(me, *id, now).map(|()| Result::Parted),
        };
        if result.is_ok() {
            self.announce(Some(job.node), now);
        }
        job.result = Some(result.ok());
        self.jobs.insert(number, job);
        let at = now + self.delay();
        self.at(at, Event::Heard(number));
    }

    /// Lets the answer to a statement reach its node.
    pub(super) fn heard(&mut self, number: u64, now: Time) {
        let Some(mut job) = self.jobs.remove(&number) else {
            return;
        };
        let node = job.node;
        if self.nodes[node].process != job.process || !self.is_up(node, now) {
            return;
        }
        let Node {
            frozen_until,
            cut_until,
            ..
        } = self.nodes[node];
        if frozen_until > now {
            self.jobs.insert(number, job);
            return self.at(frozen_until, Event::Heard(number));
        }
        let is_lost = self.lossy > 0;
        if cut_until > now || is_lost {
            self.lossy -= u8::from(is_lost);
            (job.again, job.result) = (true, None);
            self.jobs.insert(number, job);
            return self.at(cut_until.max(now) + PAUSE, Event::Reach(number));
        }
        self.nodes[node].is_writing = false;
        self.deliver(job, now);
        self.write_next(node, now);
    }

    pub(super) fn deliver(&mut self, job: Job, now: Time) {
        let (node, socket) = (job.node, job.socket);
        match job.result.flatten() {
            None => {
                self.enter_anew(node, &job.me, now);
                self.answer(socket, Reply::Failed, now);
            }
            Some(Result::Joined(id)) => {
                let Work::Join(starting) = job.work else {
                    return;
                };
                let this = &mut self.nodes[node];
                if this.id == job.me {
                    this.seats.insert(id);
                }
                let Some(of) = this.sockets.get_mut(&socket) else {
                    // It has gone meanwhile.
                    return self.give_up(node, id, false, now);
                };
                let before = of.replace(id);
                if let Some(before) = before.filter(|before| *before != id) {
                    self.give_up(node, before, false, now);
                }
                let head = self.database.head(id);
                let tellers = &mut self.nodes[node].tellers;
                tellers.entry(id).or_insert_with(|| Teller::behind(head));
                self.submit(node, socket, Work::Start(id, starting), now);
            }
            Some(Result::Begun(reply)) => {
                if let Reply::Begun { conversation, .. } = reply {
                    self.catch_up(node, conversation);
                    self.settle_listeners(node);
                }
                self.answer(socket, reply, now);
            }
            Some(Result::Said(saying)) => self.said(node, job.work, socket, saying, now),
            Some(Result::Parted) => {
                if let Work::Part(id, _) = job.work {
                    self.catch_up(node, id);
                }
            }
        }
    }

    /// Gives up the seats that a node does not use: the answers to the joins that got them were
    /// lost, and a repeated join has led elsewhere.
    pub(super) fn give_up_unused(&mut self, node: usize, now: Time) {
        let this = &self.nodes[node];
        let joins = |job: &Job| job.node == node && matches!(job.work, Work::Join(_));
        if self.jobs.values().any(joins) {
            return;
        }
        let is_used =
            |id: &i64| this.seats.contains(id) || this.sockets.values().any(|of| *of == Some(*id));
        let seats = self.database.seats_of(&this.id).into_iter();
        let unused: Vec<i64> = seats.filter(|id| !is_used(id)).collect();
        for id in unused {
            self.submit(node, 0, Work::Vacate(id), now);
        }
    }

    pub(super) fn said(&mut self, node: usize, work: Work, socket: u64, saying: Saying, now: Time) {
        let (Work::Say(id, _), Saying::Stored(said)) = (&work, &saying) else {
            if let Saying::Refused(refusal) = saying {
                self.answer(socket, Reply::Refused(refusal), now);
            }
            return;
        };
        let head = self.database.head(*id);
        let of_it = |entry: &Arc<database::Written>| matches!(&entry.body, database::Body::Said(known) if known.id == said.id);
        let entry = self.database.read(*id, 0, head).into_iter().find(of_it);
        if let (Some(entry), Some(teller)) = (entry, self.nodes[node].tellers.get_mut(id)) {
            let origin = Some(socket);
            teller.put(Item { entry, origin });
        }
        self.tell(node, *id);
        self.answer(socket, Reply::Stored(Arc::clone(said)), now);
    }

    pub(super) fn answer(&mut self, socket: u64, reply: Reply, now: Time) {
        if guest::is_guest(socket) {
            return self.guest_is_answered(socket, &reply, now);
        }
        let code = match &reply {
            Reply::Refused(refusal) => {
                if *refusal == Refusal::Superseded {
                    self.superseded.push(socket);
                }
                refusal.close_code()
            }
            _ => None,
        };
        self.effects.push(Effect::Answer(socket, reply));
        self.effects
            .extend(code.map(|code| Effect::Close(socket, code)));
    }
}
