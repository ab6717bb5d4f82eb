// SPDX-License-Identifier: MPL-2.0

//! Several nodes of the service over one shared log.
//!
//! A node writes what its sockets give it, one statement after the other for each socket. It
//! tells a socket what became of a statement only when the answer has come. Nodes die, freeze,
//! are cut off from the database or lose its answers, and so a statement may take effect
//! without an answer. Beside the client under test there is a guest, who speaks on some node
//! and names no stream, and a listener on each node.

mod checks;
pub mod database;
mod guest;
mod listener;
mod teller;
mod writer;

use crate::audio::Ms;
use crate::schedule::{ClusterSettings, Fault};
use crate::service::Final;
use database::{Database, Starting};
use fastrand::Rng;
use guest::Guest;
use listener::Listener;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use symbl_client::session::Time;
use symbl_log::fence::Refusal;
use symbl_log::teller::Teller;
use writer::{Job, Work};

/// Time between two signs of life of a node, and between two sweeps.
const BEAT: Duration = Duration::from_secs(1);
/// Time between two looks of a node at its seats.
const SEATS: Duration = Duration::from_secs(5);
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
    /// When it looks at its seats next.
    looks_at_seats: Time,
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
        if now >= self.nodes[node].looks_at_seats {
            self.nodes[node].looks_at_seats = now + SEATS;
            self.give_up_unused(node, now);
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
}
