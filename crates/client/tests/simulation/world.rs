// SPDX-License-Identifier: MPL-2.0

//! The clock, the network and the application around one session.

use crate::book::Book;
use crate::invariants::{self, Broken, Seen};
use crate::network::{Frame, Link};
use crate::pad::Pad;
use crate::schedule::{Happening, Schedule};
use crate::service::{Answer, Conversation, Service, noise};
use crate::source::Source;
use crate::waits::{
    ADMISSION_TIMEOUT, CONNECT_TIMEOUT, MAX_DELAY, PING_INTERVAL, PONG_TIMEOUT, Waits,
};
use crate::wall::Wall;
use fastrand::Rng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;
use symbl_client::session::{
    EventKind, Failure, Input, Output, PausePolicy, Reason, Session, SessionConfig, State, Time,
};
use symbl_protocol::timestamp::parse_rfc3339;
use symbl_protocol::{StartRequest, reply, response};

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
            conversation: Conversation::new(1),
            forgotten: false,
            refusing: None,
            hanging_until: Time::ZERO,
            threadless_until: Time::ZERO,
            stalled_until: Time::ZERO,
            ignoring_until: Time::ZERO,
            slow: Duration::ZERO,
            think: Duration::ZERO,
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
        [step, source, self.session.next_timeout(), end]
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
        self.pad.sent(self.now, self.session.sent());
        self.pad.poll(self.now, &self.source.spoken)?;
        self.check(invariants::always)
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

    fn happening(&mut self, what: Happening) -> Result<(), Broken> {
        self.trace(|| format!("{what:?}"));
        if self.stopped.is_some() {
            return Ok(());
        }
        match what {
            Happening::Cut(late) => self.cut(ms(late)),
            Happening::Close(1006) => self.cut(Duration::ZERO),
            Happening::Close(code) => self.close_link(code),
            Happening::Deaf => {
                if let Some(link) = &mut self.link {
                    link.deaf = true;
                }
            }
            Happening::Mute => {
                if let Some(link) = &mut self.link {
                    link.mute(self.now);
                }
            }
            Happening::Refuse(status, span, after) => {
                self.refusing = Some((status, self.now + ms(span), ms(after)));
                self.cut(Duration::ZERO);
            }
            Happening::Hang(span) => {
                self.hanging_until = self.now + ms(span);
                self.cut(Duration::ZERO);
            }
            Happening::NoThread(span) => {
                self.threadless_until = self.now + ms(span);
                self.cut(Duration::ZERO);
            }
            Happening::Stall(span) => {
                self.stalled_until = self.now + ms(span);
                self.at(self.stalled_until, Step::Writable);
            }
            Happening::Slow(each) => self.slow = ms(each),
            Happening::Think(more) => self.think = ms(more),
            Happening::Ponder(more) => {
                if let Some(link) = &mut self.link {
                    link.service.ponder = more;
                }
            }
            Happening::Repeat(count) => {
                if let Some(link) = &mut self.link {
                    link.service.repeat = count;
                }
            }
            Happening::Forget => self.forgotten = true,
            Happening::Ignore(span) => self.ignoring_until = self.now + ms(span),
            Happening::Terminate => self.terminate(),
            Happening::Noise(kind) => {
                let link = self.links;
                self.send_down(link, Frame::Text(noise(kind)));
            }
            Happening::Suspend(span) if !self.suspended => self.suspending = Some(ms(span)),
            Happening::Suspend(_) => {}
            Happening::Flush => self.flush()?,
            Happening::End if !self.source.ended => self.end(),
            Happening::End => {}
            Happening::Stop => {
                self.session.close();
                self.pad.stop();
                self.stopped = Some(self.now);
                self.waits = Waits::default();
                self.book.ending_since = None;
            }
            Happening::Clock(ms) => self.walls.set(self.now, ms),
            Happening::Token => {
                self.refusing = self
                    .refusing
                    .filter(|(status, _, _)| !matches!(status, 401 | 403));
                self.session.token_changed(self.now);
            }
        }
        Ok(())
    }

    /// Pauses the pipeline, which will play again.
    fn suspend(&mut self, span: Duration) {
        self.trace(|| "pauses".into());
        self.suspending = None;
        if self.stopped.is_none() {
            self.suspended = true;
            self.pad.play(self.now, false);
            self.session.pause(self.now);
            self.at(self.now + span, Step::Resume);
        }
    }

    fn resume(&mut self) {
        self.trace(|| "plays".into());
        self.suspended = false;
        self.pad.play(self.now, true);
        self.source.due = self.source.due.max(self.now);
        if self.stopped.is_some() {
            return;
        }
        if std::mem::take(&mut self.end_put_off) {
            self.begin_to_end();
        }
        self.session.resume(self.now);
    }

    /// Returns `true` if a pause keeps the session from starting.
    fn is_held(&self) -> bool {
        self.suspended
            && self.schedule.settings.pause != PausePolicy::Keep
            && self.book.ending_since.is_none()
    }

    fn flush(&mut self) -> Result<(), Broken> {
        self.end_put_off = false;
        self.source.flush(self.now);
        self.book.drained = None;
        self.book.ending_since = None;
        self.session.flush(self.now);
        let starts = self.source.running_time;
        self.pad.flush(self.now, self.session.pushed(), starts)
    }

    fn end(&mut self) {
        self.trace(|| "the end".into());
        self.source.ended = true;
        self.book.drained = None;
        self.end_put_off = self.is_held() && !matches!(self.book.state, State::Failed);
        if !self.end_put_off {
            self.begin_to_end();
        }
        self.session.end_of_stream(self.now);
    }

    /// Begins the wait for the end, which is bounded from here on.
    fn begin_to_end(&mut self) {
        self.book.ending_since = Some(self.now);
        self.waits.progress = self.now;
        let stats = self.session.stats(self.now);
        let unfinalised = stats.audio_sent + stats.audio_spooled - stats.audio_finalised;
        self.waits.unfinalised = Duration::from_nanos(unfinalised);
    }

    /// Breaks the link. Frames to the service are lost, and frames to the client still arrive
    /// for `late`.
    fn cut(&mut self, late: Duration) {
        let heard_of = self.now + late + self.latency();
        let Some(link) = &mut self.link else {
            return;
        };
        link.deaf = true;
        link.mute(self.now + late);
        if std::mem::replace(&mut link.breaking, true) {
            return;
        }
        let link = link.number;
        let frame = Frame::Broken;
        self.at(heard_of, Step::ToClient { link, frame });
    }

    /// Ends the processing of the service, unless none has begun or it has ended.
    fn terminate(&mut self) {
        if let Some(link) = &mut self.link
            && link.service.is_processing()
            && !std::mem::replace(&mut link.terminated, true)
        {
            let link = link.number;
            self.send_down(link, Frame::Text(reply::processing_terminated()));
        }
    }

    /// Closes the link from the service, after the frames that it sent before.
    fn close_link(&mut self, code: u16) {
        if let Some(link) = &mut self.link
            && !std::mem::replace(&mut link.closing, true)
        {
            let link = link.number;
            self.send_down(link, Frame::Closed(code));
        }
    }

    /// Sends a frame from the service on the open link.
    fn send_down(&mut self, number: u64, frame: Frame) {
        let delay = self.latency();
        if let Some(link) = self.link.as_mut().filter(|link| link.number == number) {
            if link.closing && !matches!(frame, Frame::Closed(_)) {
                return;
            }
            link.closing |= matches!(frame, Frame::Closed(_));
            link.down = link.down.max(self.now + delay);
            let at = link.down;
            self.at(
                at,
                Step::ToClient {
                    link: number,
                    frame,
                },
            );
        }
    }

    fn dialed(&mut self) {
        if self.now < self.threadless_until {
            return self.lost(Failure::retryable(Reason::Internal, "no thread"), true);
        }
        if let Some((status, _, after)) = self.refusing.filter(|(_, until, _)| self.now < *until) {
            let failure = match status {
                0 => Failure::retryable(Reason::Tcp, "refused"),
                status => Failure::http(status, "", Some(after).filter(|d| !d.is_zero())),
            };
            self.lost(failure, true);
            return;
        }
        let seed = self.schedule.seed ^ self.links;
        let service = Service::new(self.schedule.settings.clone(), seed);
        self.link = Some(Link::new(self.links, service, self.now));
        self.waits.opened(self.now);
        let announced = self.schedule.settings.announces;
        self.session
            .handle(self.now, Input::Connected { announced });
    }

    /// Tells the session that it has lost its link, or that a dial has failed.
    fn lost(&mut self, failure: Failure, dialing: bool) {
        self.trace(|| failure.message.clone());
        // After an answer of a real service, the session retries an odd answer for a while.
        let odd = matches!(failure.http_status, Some(302 | 404));
        let answered = self.session.conversation_id().is_some();
        if failure.retryable || dialing && odd && answered {
            self.waits.asked_to_wait |=
                failure.reason == Reason::Limit || failure.retry_after.is_some();
            let least = failure.retry_after.unwrap_or_default();
            self.waits.lost(self.now, least);
        } else {
            self.hopeless = true;
            self.waits.closed();
        }
        self.leave_link();
        let input = if dialing {
            Input::DialFailed(failure)
        } else {
            Input::Closed(failure)
        };
        self.session.handle(self.now, input);
    }

    fn reach_service(&mut self, number: u64, frame: Frame) -> Result<(), Broken> {
        let Some(link) = self
            .link
            .as_mut()
            .filter(|link| link.number == number && !link.deaf && !link.closing)
        else {
            self.reach_orphan(number, frame);
            return Ok(());
        };
        let answers = match frame {
            Frame::Text(_) | Frame::Binary(_) if link.terminated => return Ok(()),
            Frame::Text(text)
                if link.ignoring
                    || self.now < self.ignoring_until && !text.contains("modify_request") =>
            {
                link.ignoring = true;
                return Ok(());
            }
            Frame::Text(text) => {
                if text.contains("start_request") && std::mem::take(&mut self.forgotten) {
                    let next = Conversation::new(self.conversation.id + 1);
                    let before = std::mem::replace(&mut self.conversation, next);
                    self.conversation.ledger = before.ledger;
                }
                link.service.text(&text, self.now, &mut self.conversation)
            }
            Frame::Binary(data) => link.service.audio(&data, &mut self.conversation),
            Frame::Ping => {
                self.send_down(number, Frame::Pong);
                return Ok(());
            }
            _ => return Ok(()),
        };
        let answers = answers.map_err(|how| broken("the_service_gets_what_it_expects", how))?;
        link.heard = link.heard.max(self.now + self.think);
        let heard = link.heard;
        for (delay, answer) in answers {
            let at = heard + ms(delay);
            match answer {
                Answer::Text(text) if delay == 0 => self.say(number, at, text),
                Answer::Text(text) => {
                    let Some(link) = &mut self.link else { break };
                    link.thought = link.thought.max(at);
                    let at = link.thought;
                    self.say(number, at, text);
                }
                Answer::Again(text) => {
                    let at = self.link.as_ref().map_or(at, |link| link.said.max(at));
                    self.say(number, at, text);
                }
                Answer::Last(text) => {
                    let at = self.link.as_ref().map_or(at, |link| link.said.max(at));
                    self.say(number, at, text);
                    let frame = Frame::Closed(1000);
                    self.at(
                        at,
                        Step::Said {
                            link: number,
                            frame,
                        },
                    );
                }
            }
        }
        Ok(())
    }

    /// Lets the service send a text at `at`.
    fn say(&mut self, link: u64, at: Time, text: String) {
        if let Some(link) = &mut self.link {
            link.said = link.said.max(at);
        }
        let frame = Frame::Text(text);
        self.at(at, Step::Said { link, frame });
    }

    fn reach_client(&mut self, number: u64, frame: Frame) {
        let Some(link) = self.link.as_mut().filter(|link| link.number == number) else {
            return;
        };
        if frame == Frame::Broken {
            return self.lost(Failure::closed(1006, ""), false);
        }
        if link.is_mute(self.now) {
            return;
        }
        self.waits.heard = Some(self.now);
        match frame {
            Frame::Text(text) => {
                if text.contains("processing_terminated") {
                    self.waits.terminated();
                } else if text.contains("_started") || text.contains("started_") {
                    link.acknowledged = true;
                    self.waits.acknowledged(self.now);
                }
                if self.waits.up.is_some() {
                    self.waits.progress = self.now;
                }
                self.trace(|| format!("came {text}"));
                self.session.handle(self.now, Input::Text(&text));
            }
            Frame::Pong => self.session.handle(self.now, Input::Pong),
            Frame::Closed(code) => self.lost(Failure::closed(code, ""), false),
            Frame::Binary(_) | Frame::Ping | Frame::Broken => {}
        }
    }

    /// Carries out the outputs of the session.
    fn pump(&mut self) -> Result<(), Broken> {
        loop {
            let writable = self.link.is_some() && self.now >= self.stalled_until;
            let Some(output) = self.session.poll(self.now, writable) else {
                return Ok(());
            };
            if self.stopped.is_some()
                && matches!(
                    output,
                    Output::Event(_)
                        | Output::Dial
                        | Output::Binary(_)
                        | Output::FetchHistory { .. }
                )
            {
                let how = format!("{output:?}");
                return Err(broken("nothing_is_reported_or_done_after_a_stop", how));
            }
            match output {
                Output::Dial => self.dial(),
                Output::Abort => {
                    // If there is a link or a dial, the session gave it up by itself. Otherwise
                    // the loss was noted before.
                    if self.link.is_some() || self.waits.dialing.is_some() {
                        self.waits.lost(self.now, Duration::ZERO);
                    }
                    self.hang_up();
                }
                Output::Close { .. } => {
                    self.waits.closed();
                    self.hang_up();
                }
                Output::Text(text) => {
                    self.waits.progress = self.now;
                    if text.contains("start_request") {
                        if self.is_held() {
                            return Err(broken("a_pause_is_a_pause", "it starts"));
                        }
                        self.waits.starting = Some(self.now);
                        if let Some(link) = &mut self.link {
                            link.acknowledged = false;
                        }
                    }
                    self.send(Frame::Text(text))?;
                }
                Output::Binary(data) => {
                    self.waits.progress = self.now;
                    if self.link.as_ref().is_some_and(|link| !link.acknowledged) {
                        let how = "audio before the start acknowledgement";
                        return Err(broken("the_service_gets_what_it_expects", how));
                    }
                    self.send(Frame::Binary(data))?;
                }
                Output::Ping => self.send(Frame::Ping)?,
                Output::FetchHistory { since, .. } => self.fetch_history(since),
                Output::Event(event) => {
                    self.trace(|| format!("told {:?} {:?}", event.kind, event.placement));
                    if matches!(event.kind, EventKind::Failed(_) | EventKind::Drained { .. }) {
                        self.waits.closed(); // The session will not dial by itself.
                    }
                    if let EventKind::State { state, .. } = event.kind
                        && state == State::Idle
                        && self.link.is_none()
                    {
                        self.waits.closed(); // The session dials when the pause is over.
                    }
                    if matches!(event.kind, EventKind::Failed(_))
                        && std::mem::take(&mut self.end_put_off)
                    {
                        self.begin_to_end();
                    }
                    self.pad.take(&event, self.now, &self.source.spoken)?;
                    if matches!(event.kind, EventKind::Drained { .. }) {
                        self.pad.end(self.session.pushed());
                    }
                    self.book.write(*event);
                }
            }
        }
    }

    /// Answers with the messages that began at `since` or later, as the service does.
    fn fetch_history(&mut self, since: i64) {
        let began = |message: &serde_json::Value| {
            let start = message["startTime"].as_str().and_then(parse_rfc3339);
            start.is_none_or(|start| start >= since)
        };
        let messages = self.conversation.history.iter();
        let messages: Vec<_> = messages.filter(|message| began(message)).collect();
        let body = serde_json::json!({"messages": messages}).to_string();
        let body = Some(body).filter(|_| self.rng.u8(0..4) > 0);
        let at = self.now + self.latency();
        self.at(at, Step::History(body));
    }

    /// Gives the link up on the side of the client. A service that stores each word once learns
    /// of it later, perhaps after the start on the next link.
    fn leave_link(&mut self) {
        let Some(link) = self.link.take() else {
            return;
        };
        if !self.schedule.settings.announces {
            return;
        }
        let number = link.number;
        let lag = Rng::with_seed(self.schedule.seed ^ number << 32).u32(0..4000);
        let later = |Reverse((at, order, step))| match step {
            Step::ToService { link, .. } if link == number => Reverse((at + ms(lag), order, step)),
            step => Reverse((at, order, step)),
        };
        self.steps = std::mem::take(&mut self.steps)
            .into_iter()
            .map(later)
            .collect();
        let end = link.up.max(self.now) + ms(lag);
        self.orphans.push(link);
        self.at(end, Step::Orphaned { link: number });
    }

    /// Takes a frame that was under way when the client gave the link up. The client gets no
    /// answer, and only the ledger changes.
    fn reach_orphan(&mut self, number: u64, frame: Frame) {
        let hears = |link: &&mut Link| {
            let is_deaf = link.deaf || link.closing || link.ignoring || link.terminated;
            link.number == number && !is_deaf
        };
        let Some(link) = self.orphans.iter_mut().find(hears) else {
            return;
        };
        let mut aside = self.conversation.aside();
        // A frame that comes too late is refused, which is no broken promise.
        let _ = match frame {
            Frame::Text(text) => link.service.text(&text, self.now, &mut aside),
            Frame::Binary(data) => link.service.audio(&data, &mut aside),
            _ => Ok(Vec::new()),
        };
        self.conversation.ledger = aside.ledger;
    }

    fn orphaned(&mut self, number: u64) {
        let Some(at) = self.orphans.iter().position(|link| link.number == number) else {
            return;
        };
        let mut link = self.orphans.remove(at);
        let mut aside = self.conversation.aside();
        link.service.orphaned(&mut aside);
        self.conversation.ledger = aside.ledger;
    }

    fn hang_up(&mut self) {
        self.leave_link();
        self.links += 1; // drops a dial that is under way
    }

    fn dial(&mut self) {
        self.trace(|| "dials".into());
        self.waits.dial(self.now);
        self.leave_link();
        self.links += 1;
        if self.now >= self.hanging_until {
            let at = self.now + self.latency();
            let link = self.links;
            self.at(at, Step::Dialed { link });
        }
    }

    fn send(&mut self, frame: Frame) -> Result<(), Broken> {
        self.trace(|| match &frame {
            Frame::Text(text) => format!("sent {text}"),
            Frame::Binary(data) => format!("sent {} bytes of audio", data.len()),
            _ => "sent a ping".to_owned(),
        });
        let delay = self.latency();
        let Some(link) = &mut self.link else {
            return Err(broken(
                "the_service_gets_what_it_expects",
                "a frame without a link",
            ));
        };
        link.up = link.up.max(self.now + delay);
        let (at, link) = (link.up, link.number);
        self.at(at, Step::ToService { link, frame });
        if !self.slow.is_zero() {
            self.stalled_until = self.stalled_until.max(self.now + self.slow);
            self.at(self.stalled_until, Step::Writable);
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
