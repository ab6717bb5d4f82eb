// SPDX-License-Identifier: MPL-2.0

//! Several nodes of the service over one shared log.
//!
//! A node writes what its sockets give it, one statement after the other for each socket. It
//! tells a socket what became of a statement only when the answer has come. Nodes die, freeze,
//! are cut off from the database or lose its answers, and so a statement may take effect and
//! nobody hears of it. Beside the client under test there is a guest, who speaks on some node
//! and names no stream, and a listener on each node.

pub mod database;
mod guest;
mod listener;

use crate::audio::Ms;
use crate::invariants::Broken;
use crate::schedule::{ClusterSettings, Fault};
use crate::service::Final;
use database::{Database, Saying, Starting};
use fastrand::Rng;
use guest::Guest;
use listener::Listener;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use symbl_client::session::Time;
use symbl_log::fence::{GONE, Refusal};
use symbl_log::teller::{Item, Next, Teller};

/// Time between two signs of life of a node, and between two sweeps.
const BEAT: Duration = Duration::from_secs(1);
/// How long an entry of another node whose announcement was lost waits at most.
pub const LOOK: Duration = Duration::from_millis(250);
/// Time until a statement that failed is given again.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a node does not sweep after it was cut off: the others' lease.
const AFTER_AN_OUTAGE: Duration = Duration::from_nanos(database::LEASE.unsigned_abs());

/// What a socket asks of the log.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    Start(Starting),
    Say(Final),
}

/// What the log answers.
#[derive(Debug, Clone)]
pub enum Reply {
    Begun {
        conversation: i64,
        said_until: u64,
        unheard: Vec<Arc<Final>>,
    },
    Stored(Arc<Final>),
    Refused(Refusal),
    /// Nothing is known of it.
    Failed,
}

/// What the world has to do.
#[derive(Debug)]
pub enum Effect {
    Answer(u64, Reply),
    Close(u64, u16),
    /// This node goes on after it was frozen.
    Thawed(usize),
    /// The process of this node is dead.
    Killed(usize),
}

#[derive(Debug, Clone)]
enum Work {
    Join(Starting),
    Start(i64, Starting),
    Say(i64, Final),
    Part(i64, bool),
}

/// A statement, and what became of it.
#[derive(Debug)]
struct Job {
    node: usize,
    /// The node's id when it gave the statement to the database, and its process.
    me: String,
    process: u32,
    socket: u64,
    work: Work,
    again: bool,
    /// `None` until it has taken effect; fenced if that is `None`.
    result: Option<Option<Result>>,
}

#[derive(Debug)]
enum Result {
    Joined(i64),
    Begun(Reply),
    Said(Saying),
    Parted,
}

/// Events are ordered by time, then by when they were added.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Event {
    Tick(usize),
    Look(usize),
    Reach(u64),
    Heard(u64),
    Restart(usize),
    Thaw(usize),
    Guest,
    /// The guest's old socket says what it still had.
    Ghost(u64),
}

/// One node.
#[derive(Debug, Default)]
struct Node {
    id: String,
    /// How often its process has begun.
    process: u32,
    dead_until: Time,
    frozen_until: Time,
    cut_until: Time,
    /// Since when it knows that it was declared gone, while its sockets are still open.
    gone: Option<Time>,
    /// The sockets of speakers, and the conversation that each is in.
    sockets: BTreeMap<u64, Option<i64>>,
    /// Sockets whose speakers have finished.
    finished: BTreeSet<u64>,
    seats: BTreeSet<i64>,
    /// Statements that wait for the one that is under way, if one is.
    waiting: VecDeque<u64>,
    is_writing: bool,
    tellers: BTreeMap<i64, Teller<database::Written>>,
}

/// The nodes.
#[derive(Debug)]
pub struct Nodes {
    rng: Rng,
    latency: Ms,
    pub database: Database,
    nodes: Vec<Node>,
    events: BinaryHeap<Reverse<(Time, u64, Event)>>,
    order: u64,
    jobs: HashMap<u64, Job>,
    listeners: Vec<Listener>,
    guest: Option<Guest>,
    pub effects: Vec<Effect>,
    /// Sockets whose streams go on elsewhere.
    superseded: Vec<u64>,
    /// Answers of the database that get lost.
    lossy: u8,
    keep: Duration,
}

impl Nodes {
    pub fn new(settings: &ClusterSettings, latency: Ms, seed: u64) -> Self {
        let count = usize::from(settings.nodes);
        let mut nodes = Self {
            rng: Rng::with_seed(seed ^ 0x40de),
            latency: latency.clamp(1, 40),
            database: Database::new(settings.keep.into()),
            nodes: (0..count).map(|_| Node::default()).collect(),
            events: BinaryHeap::new(),
            order: 0,
            jobs: HashMap::new(),
            listeners: (0..count).map(Listener::on).collect(),
            guest: settings.guest.then(Guest::default),
            effects: Vec::new(),
            superseded: Vec::new(),
            lossy: 0,
            keep: Duration::from_secs(settings.keep.into()),
        };
        for node in 0..count {
            nodes.begin(node, Time::ZERO);
        }
        if nodes.guest.is_some() {
            nodes.at(Duration::from_millis(300), Event::Guest);
        }
        nodes
    }

    fn at(&mut self, at: Time, event: Event) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, event)));
    }

    fn delay(&mut self) -> Duration {
        Duration::from_micros(self.rng.u64(200..=u64::from(self.latency) * 1000))
    }

    /// Begins a process of this node.
    fn begin(&mut self, node: usize, now: Time) {
        let process = self.nodes[node].process + 1;
        self.nodes[node] = Node {
            id: format!("node{node}-{}", self.database.next()),
            process,
            ..Node::default()
        };
        self.database.enter(&self.nodes[node].id, now);
        let first = Duration::from_millis(self.rng.u64(0..1000));
        self.at(now + first, Event::Tick(node));
    }

    /// Returns the time of the next event.
    pub fn next(&self) -> Option<Time> {
        let due = self.events.peek().map(|Reverse((at, _, _))| *at);
        match self.effects.is_empty() {
            true => due,
            false => Some(Time::ZERO),
        }
    }

    /// Draws the node that a dial reaches. A balancer sends few dials to a dead one.
    pub fn draw(&mut self, now: Time) -> usize {
        let node = self.rng.usize(0..self.nodes.len());
        match self.is_up(node, now) || self.rng.u8(0..4) == 0 {
            true => node,
            false => (node + 1) % self.nodes.len(),
        }
    }

    pub fn is_up(&self, node: usize, now: Time) -> bool {
        self.nodes[node].dead_until <= now
    }

    pub fn is_frozen(&self, node: usize, now: Time) -> bool {
        self.nodes[node].frozen_until > now
    }

    /// Returns which process runs on a node.
    pub fn process(&self, node: usize) -> u32 {
        self.nodes[node].process
    }

    /// Carries a fault out.
    pub fn strike(&mut self, fault: Fault, own: Option<usize>, now: Time) {
        let count = self.nodes.len();
        let node = match (own, self.rng.u8(0..4) > 0) {
            (Some(own), true) => own,
            _ => self.rng.usize(0..count),
        };
        match fault {
            Fault::Kill(span) => self.kill(node, now + Duration::from_millis(span.into()), now),
            Fault::Freeze(span) => {
                let until = now + Duration::from_millis(span.into());
                self.nodes[node].frozen_until = self.nodes[node].frozen_until.max(until);
                self.at(until, Event::Thaw(node));
            }
            Fault::CutOff(span) => {
                let until = now + Duration::from_millis(span.into());
                self.nodes[node].cut_until = self.nodes[node].cut_until.max(until);
            }
            Fault::Lose(count) => self.lossy = count,
        }
    }

    fn kill(&mut self, node: usize, until: Time, now: Time) {
        if !self.is_up(node, now) {
            return;
        }
        self.nodes[node].dead_until = until;
        self.nodes[node].sockets.clear();
        self.nodes[node].tellers.clear();
        self.effects.push(Effect::Killed(node));
        self.at(until, Event::Restart(node));
        self.scatter(node, now);
    }

    /// Asks the log for a socket of a node.
    pub fn ask(&mut self, node: usize, socket: u64, ask: Ask, now: Time) {
        let of = self.nodes[node].sockets.get(&socket).copied().flatten();
        let work = match (ask, of) {
            (Ask::Start(starting), Some(of))
                if !starting.anew && self.nodes[node].seats.contains(&of) =>
            {
                Work::Start(of, starting)
            }
            (Ask::Start(starting), _) => Work::Join(starting),
            (Ask::Say(said), Some(of)) => Work::Say(of, said),
            (Ask::Say(_), None) => return,
        };
        self.nodes[node].sockets.entry(socket).or_default();
        self.submit(node, socket, work, now);
    }

    fn submit(&mut self, node: usize, socket: u64, work: Work, now: Time) {
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
    fn write_next(&mut self, node: usize, now: Time) {
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

    /// Notes that the speaker of a socket has finished.
    pub fn finished(&mut self, node: usize, socket: u64) {
        self.nodes[node].finished.insert(socket);
    }

    /// Notes that a socket is closed. The last one of a conversation gives up the node's seat.
    pub fn leave(&mut self, node: usize, socket: u64, now: Time) {
        let keep = self.keep;
        let this = &mut self.nodes[node];
        let Some(Some(of)) = this.sockets.remove(&socket) else {
            return;
        };
        let finished = this.finished.remove(&socket);
        self.give_up(node, of, finished || keep.is_zero(), now);
    }

    /// Gives up the seat of a node in a conversation that none of its sockets is in.
    fn give_up(&mut self, node: usize, id: i64, at_once: bool, now: Time) {
        let this = &mut self.nodes[node];
        let is_left = !this.sockets.values().any(|other| *other == Some(id));
        if is_left {
            // A start request that was written after the node was declared gone has given it
            // a seat that it does not know of.
            this.seats.remove(&id);
            self.submit(node, 0, Work::Part(id, at_once), now);
        }
    }

    /// Carries out what is due.
    pub fn run_until(&mut self, now: Time) {
        while let Some(Reverse((at, _, _))) = self.events.peek()
            && *at <= now
        {
            if let Some(Reverse((at, _, event))) = self.events.pop() {
                self.happen(event, at);
            }
        }
    }

    fn happen(&mut self, event: Event, now: Time) {
        match event {
            Event::Tick(node) => self.tick(node, now),
            Event::Look(node) => self.look(node, now),
            Event::Reach(job) => self.reach(job, now),
            Event::Heard(job) => self.heard(job, now),
            Event::Restart(node) => self.begin(node, now),
            Event::Thaw(node) if !self.is_frozen(node, now) && self.is_up(node, now) => {
                self.effects.push(Effect::Thawed(node));
            }
            Event::Thaw(_) => {}
            Event::Guest => self.guest_acts(now),
            Event::Ghost(socket) => self.ghost_speaks(socket, now),
        }
    }

    /// Puts an event of a node off that is frozen or cut off. Returns `true` if it did so.
    fn is_put_off(&mut self, node: usize, event: Event, now: Time) -> bool {
        let until = self.nodes[node]
            .frozen_until
            .max(self.nodes[node].cut_until);
        if until > now {
            let pause = Duration::from_millis(self.rng.u64(1..200));
            self.at(until + pause, event);
        }
        until > now
    }

    fn tick(&mut self, node: usize, now: Time) {
        if !self.is_up(node, now) || self.is_put_off(node, Event::Tick(node), now) {
            return;
        }
        self.at(now + BEAT, Event::Tick(node));
        let id = self.nodes[node].id.clone();
        if !self.database.beat(&id, now) {
            self.enter_anew(node, &id, now);
        }
        if now >= self.nodes[node].cut_until + AFTER_AN_OUTAGE || now < AFTER_AN_OUTAGE {
            let is_new = self.database.sweep(now);
            if is_new {
                self.announce(None, now);
            }
        }
    }

    /// Enters the cluster again after this node was declared gone under an id.
    fn enter_anew(&mut self, node: usize, gone: &str, now: Time) {
        let this = &mut self.nodes[node];
        if this.id != gone {
            return;
        }
        this.id = format!("node{node}-{}", self.database.next());
        this.gone = Some(now);
        this.seats.clear();
        self.database.enter(&self.nodes[node].id, now);
        let soon = self.rng.u64(0..=LOOK.as_micros() as u64);
        self.at(now + Duration::from_micros(soon), Event::Look(node));
    }

    /// Wakes the other nodes, by an announcement or because they look by themselves.
    fn announce(&mut self, by: Option<usize>, now: Time) {
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

    fn look(&mut self, node: usize, now: Time) {
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
    fn catch_up(&mut self, node: usize, id: i64) {
        let head = self.database.head(id);
        if let Some(teller) = self.nodes[node].tellers.get_mut(&id) {
            let entries = self.database.read(id, teller.told(), head);
            teller.fill(entries, head);
        }
        self.tell(node, id);
    }

    /// Tells the listeners of a node what its teller has.
    fn tell(&mut self, node: usize, id: i64) {
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

    /// A statement reaches the database.
    fn reach(&mut self, number: u64, now: Time) {
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
        };
        if result.is_ok() {
            self.announce(Some(job.node), now);
        }
        job.result = Some(result.ok());
        self.jobs.insert(number, job);
        let at = now + self.delay();
        self.at(at, Event::Heard(number));
    }

    /// The answer to a statement reaches its node.
    fn heard(&mut self, number: u64, now: Time) {
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

    fn deliver(&mut self, job: Job, now: Time) {
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

    fn said(&mut self, node: usize, work: Work, socket: u64, saying: Saying, now: Time) {
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

    fn answer(&mut self, socket: u64, reply: Reply, now: Time) {
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

    /// Runs on without faults and without the client, until all is told and over.
    pub fn finish(&mut self, now: Time) -> std::result::Result<(), Broken> {
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
        self.run_until(from + lease + self.keep + 4 * BEAT);
        self.effects.clear();
        for node in 0..self.nodes.len() {
            self.look(node, from + lease + self.keep + 4 * BEAT);
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
    pub fn check_sockets(&mut self, now: Time) -> std::result::Result<(), Broken> {
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
    pub fn check(&self) -> std::result::Result<(), Broken> {
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
