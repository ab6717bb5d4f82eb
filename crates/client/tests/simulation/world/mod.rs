// SPDX-License-Identifier: MPL-2.0

//! The clock, the network and the application around one session.

mod application;
mod cluster;
mod links;
mod outputs;

use crate::book::Book;
use crate::invariants::{self, Broken, Seen};
use crate::network::{Frame, Link};
use crate::nodes::Nodes;
use crate::pad::Pad;
use crate::schedule::{Happening, Schedule};
use crate::service::Conversation;
use crate::source::{MS, Source};
use crate::waits::{
    ADMISSION_TIMEOUT, CONNECT_TIMEOUT, MAX_DELAY, PING_INTERVAL, PONG_TIMEOUT, Waits,
};
use crate::wall::Wall;
use fastrand::Rng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;
use symbl_client::session::{Failure, Input, Reason, Session, SessionConfig, Time};
use symbl_protocol::{StartRequest, response};

/// How much longer than its schedule a run may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// How many times its length a long schedule may take, because of the slowest socket.
const SLOWEST: u32 = 9;

/// How long a stopped session is watched.
const AFTERMATH: Duration = Duration::from_secs(15);

/// A step that is to come. Steps are ordered by time, then by when they were added.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Happening(usize),
    Dialed {
        link: u64,
    },
    ToService {
        link: u64,
        frame: Frame,
    },
    /// The service sends.
    Said {
        link: u64,
        frame: Frame,
    },
    ToClient {
        link: u64,
        frame: Frame,
    },
    /// The answer to a request for the history; `None` if the request fails.
    History(Option<String>),
    Writable,
    Resume,
    /// The service learns that the client has given this link up.
    Orphaned {
        link: u64,
    },
}

/// Figures of a run.
#[derive(Debug, Default, Clone)]
pub struct Figures {
    pub words: u64,
    pub told: u64,
    pub in_gaps: u64,
    pub messages: u64,
    pub dials: u64,
    pub replayed: Duration,
    pub time: Duration,
}

impl Figures {
    /// Adds the figures of another run.
    pub fn add(&mut self, other: &Self) {
        self.words += other.words;
        self.told += other.told;
        self.in_gaps += other.in_gaps;
        self.messages += other.messages;
        self.dials += other.dials;
        self.replayed += other.replayed;
        self.time += other.time;
    }
}

/// One run of a schedule.
pub struct World {
    schedule: Schedule,
    rng: Rng,
    session: Session,
    source: Source,
    book: Book,
    pad: Pad,
    walls: Wall,
    waits: Waits,
    now: Time,
    order: u64,
    steps: BinaryHeap<Reverse<(Time, u64, Step)>>,
    link: Option<Link>,
    /// Links that the client has given up without the service's knowledge. Frames that are
    /// under way on them still arrive.
    orphans: Vec<Link>,
    links: u64,
    /// The nodes of the service, if it has several.
    nodes: Option<Nodes>,
    conversation: Conversation,
    /// The next start begins a new conversation.
    forgotten: bool,
    /// Dials get this status until this time, with this `Retry-After`.
    refusing: Option<(u16, Time, Duration)>,
    hanging_until: Time,
    threadless_until: Time,
    stalled_until: Time,
    ignoring_until: Time,
    slow: Duration,
    think: Duration,
    /// The spool was once nearly full, or flushed.
    pressed: bool,
    /// How much audio was dropped.
    dropped: u64,
    /// When audio was dropped, but for what a flush drops.
    drops: Vec<Time>,
    hopeless: bool,
    /// The application is about to pause for this long.
    suspending: Option<Duration>,
    /// The application has paused.
    suspended: bool,
    /// The stream ended during the pause. The end counts when the pipeline plays again.
    end_put_off: bool,
    stopped: Option<Time>,
    tracing: bool,
}

fn ms(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}

fn broken(promise: &'static str, how: impl Into<String>) -> Broken {
    Broken {
        promise,
        how: how.into(),
    }
}

impl World {
    /// Returns a world at the beginning of this schedule.
    pub fn new(schedule: Schedule) -> Self {
        let settings = &schedule.settings;
        let mut start = StartRequest::new(settings.format.wire());
        let speaker = crate::source::speaker_named(0);
        start.speaker_user_id = speaker.user_id;
        start.speaker_name = speaker.name;
        start.recognition_progress = settings.progress;
        start.disconnect_on_stop_request = Some(settings.disconnect_on_stop);
        let mut config = SessionConfig::new(start);
        config.chunk_duration = ms(settings.chunk);
        config.buffer_duration = ms(settings.spool);
        config.catch_up_rate = f64::from(settings.catch_up);
        config.seed = schedule.seed;
        config.interim_results = settings.interims;
        config.history_recovery = settings.history;
        config.connect_timeout = CONNECT_TIMEOUT;
        config.ping_interval = PING_INTERVAL;
        config.pong_timeout = PONG_TIMEOUT;
        config.reconnect_max_delay = MAX_DELAY;
        config.reconnect_timeout = ms(settings.give_up);
        config.drain_timeout = ms(settings.drain_timeout);
        config.admission_timeout = ADMISSION_TIMEOUT;
        config.pause = settings.pause;
        config.format_change = settings.format_change;
        let mut session = Session::new(config);
        session.set_upstream(settings.live, settings.paced);
        session.start(Time::ZERO);
        let source = Source::new(&schedule);
        session.set_format(Time::ZERO, source.format().session());
        let cluster = schedule.settings.cluster;
        let mut world = Self {
            rng: Rng::with_seed(schedule.seed),
            session,
            source,
            book: Book::default(),
            pad: Pad::new(&schedule.settings),
            walls: Wall::new(schedule.settings.wall_drift),
            waits: Waits::default(),
            now: Time::ZERO,
            order: 0,
            steps: BinaryHeap::new(),
            link: None,
            orphans: Vec::new(),
            links: 0,
            nodes: (cluster.nodes > 0)
                .then(|| Nodes::new(&cluster, schedule.settings.latency, schedule.seed)),
            conversation: Conversation::new(1),
            forgotten: false,
            refusing: None,
            hanging_until: Time::ZERO,
            threadless_until: Time::ZERO,
            stalled_until: Time::ZERO,
            ignoring_until: Time::ZERO,
            slow: Duration::ZERO,
            think: Duration::ZERO,
            pressed: false,
            dropped: 0,
            drops: Vec::new(),
            hopeless: false,
            suspending: None,
            suspended: false,
            end_put_off: false,
            stopped: None,
            tracing: std::env::var_os("SYMBL_SIMULATION_TRACE").is_some(),
            schedule,
        };
        for n in 0..world.schedule.happenings.len() {
            world.at(ms(world.schedule.happenings[n].0), Step::Happening(n));
        }
        world
    }

    fn at(&mut self, at: Time, step: Step) {
        self.order += 1;
        self.steps
            .push(Reverse((at.max(self.now), self.order, step)));
    }

    fn latency(&mut self) -> Duration {
        let most = u64::from(self.schedule.settings.latency) * 1000;
        Duration::from_micros(self.rng.u64(10..=most))
    }

    /// Runs to the end, or to the first broken promise.
    pub fn run(mut self) -> Result<Figures, Broken> {
        let length = ms(self.schedule.length());
        let bound = (length + PATIENCE).max(length * SLOWEST);
        let mut still = 0;
        self.pump()?;
        while let Some(next) = self.next() {
            still = if next > self.now { 0 } else { still + 1 };
            if next > bound || still > 10_000 {
                let how = format!("{:?} at {:?}", self.session.state(), self.now);
                return Err(broken("the_end_comes", how));
            }
            self.now = self.now.max(next);
            self.step()?;
        }
        if !self.is_over() {
            let how = format!("nothing will happen again in {:?}", self.session.state());
            return Err(broken("the_end_comes", how));
        }
        self.check(invariants::at_the_end)?;
        self.pad.finish(self.now, &self.source.spoken)?;
        if let Some(nodes) = &mut self.nodes {
            nodes.finish(self.now)?;
        }
        Ok(self.figures())
    }

    /// Returns the time of the next step, or `None` if the run is over.
    fn next(&self) -> Option<Time> {
        if self.is_over() {
            return None;
        }
        let step = self.steps.peek().map(|Reverse((at, _, _))| *at);
        let source = self.is_sourcing().then_some(self.source.due);
        let end = self.stopped.map(|at| at + AFTERMATH);
        let nodes = self.nodes.as_ref().and_then(Nodes::next);
        [step, source, nodes, self.session.next_timeout(), end]
            .into_iter()
            .flatten()
            .min()
    }

    /// Returns `true` if upstream has audio and is not held up.
    fn is_sourcing(&self) -> bool {
        self.stopped.is_none() && !self.suspended && !self.source.ended && self.session.has_room()
    }

    fn is_over(&self) -> bool {
        if let Some(at) = self.stopped {
            return self.now >= at + AFTERMATH;
        }
        // A later action of the application may revive the session.
        let planned = self.steps.iter().any(|Reverse((_, _, step))| match step {
            Step::Happening(n) => matches!(
                self.schedule.happenings[*n].1,
                Happening::Flush | Happening::Token | Happening::Stop
            ),
            _ => false,
        });
        self.source.ended && self.session.is_settled() && !planned && !self.suspended
    }

    /// Carries out everything that is due now.
    fn step(&mut self) -> Result<(), Broken> {
        self.pad.run_until(self.now, &self.source.spoken)?;
        if self.session.next_timeout().is_some_and(|at| at <= self.now) {
            self.session.handle_timeout(self.now);
            self.pump()?;
        }
        while let Some(Reverse((at, _, _))) = self.steps.peek()
            && *at <= self.now
        {
            if let Some(Reverse((_, _, step))) = self.steps.pop() {
                self.happen(step)?;
            }
        }
        self.run_nodes()?;
        self.pump()?;
        if let Some(span) = self.suspending
            && self.source.is_between_words()
        {
            self.suspend(span);
            self.pump()?;
        }
        if self.is_sourcing() && self.source.due <= self.now {
            self.source.wall = self.walls.at(self.now);
            if self.source.give(self.now, &mut self.session) {
                self.end();
            }
            for pushed in self.source.events.drain(..) {
                self.pad.event(pushed);
            }
            self.pump()?;
        }
        let settings = &self.schedule.settings;
        let more = settings.chunk.max(520) + settings.buffer + 1500;
        self.pressed |=
            self.session.audio_kept() + u64::from(more) * MS >= u64::from(settings.spool) * MS;
        if self.source.epoch > 0 && self.dropped_more() {
            self.drops.push(self.now);
        }
        self.pad.sent(self.now, self.session.sent());
        self.pad.poll(self.now, &self.source.spoken)?;
        self.check(invariants::always)
    }

    /// Returns `true` if audio was dropped since the last call.
    fn dropped_more(&mut self) -> bool {
        let dropped = self.session.stats(self.now).audio_dropped;
        std::mem::replace(&mut self.dropped, dropped) < dropped
    }

    fn check(&self, promises: fn(&Seen<'_>) -> Result<(), Broken>) -> Result<(), Broken> {
        promises(&Seen {
            now: self.now,
            settings: &self.schedule.settings,
            book: &self.book,
            spoken: &self.source.spoken,
            walls: &self.walls,
            waits: &self.waits,
            ledger: &self.conversation.ledger,
            pairs: &self.conversation.pairs,
            given: self.source.given,
            stats: &self.session.stats(self.now),
            kept: self.session.audio_kept(),
            pressed: self.pressed,
            drops: &self.drops,
            hopeless: self.hopeless,
            stopped: self.stopped.is_some(),
        })
    }

    fn figures(&self) -> Figures {
        let stats = self.session.stats(self.now);
        let words = self.source.spoken.iter();
        let lost = words.filter(|word| invariants::lost_least(&self.book, word) > 0);
        Figures {
            words: self.source.spoken.len() as u64,
            told: self.book.finals.len() as u64,
            in_gaps: lost.count() as u64,
            messages: self.book.message_ids.len() as u64,
            dials: self.waits.dials.into(),
            replayed: Duration::from_nanos(stats.audio_replayed),
            time: self.now,
        }
    }

    fn happen(&mut self, step: Step) -> Result<(), Broken> {
        match step {
            Step::Happening(n) => {
                self.happening(self.schedule.happenings[n].1)?;
                return self.pump();
            }
            Step::Dialed { link } if link == self.links => self.dialed(),
            Step::ToService { link, frame } => return self.reach_service(link, frame),
            Step::Said { link, frame } => self.send_down(link, frame),
            Step::ToClient { link, frame } => self.reach_client(link, frame),
            Step::History(Some(text)) => {
                let messages = response::history(&text);
                let messages =
                    messages.map_err(|e| broken("the_history_is_read", e.to_string()))?;
                self.session.handle(self.now, Input::History(messages));
            }
            Step::History(None) => {
                let failure = Failure::retryable(Reason::Http, "no history");
                self.session.handle(self.now, Input::HistoryFailed(failure));
            }
            Step::Resume => self.resume(),
            Step::Orphaned { link } => self.orphaned(link),
            Step::Writable | Step::Dialed { .. } => {}
        }
        Ok(())
    }

    /// Prints one line for each step, if `SYMBL_SIMULATION_TRACE` is set.
    fn trace(&self, what: impl FnOnce() -> String) {
        if self.tracing {
            println!("{:>9.3} {}", self.now.as_secs_f64(), what());
        }
    }
}
