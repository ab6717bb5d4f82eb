// SPDX-License-Identifier: MPL-2.0

//! The clock, the network and the application around one session, and the
//! invariants.

use crate::schedule::{Fault, Schedule};
use crate::service::{Answer, STEP, Service, WORD};
use bytes::Bytes;
use fastrand::Rng;
use gstsymbl::protocol::{Encoding, StartRequest, StreamFormat};
use gstsymbl::session::{
    Audio, AudioFormat, Event, EventKind, Failure, Input, Instants, LeakyPolicy, Output, Reason,
    Session, SessionConfig, State, Time,
};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Nanoseconds of a word.
const WORD_NANOS: u64 = WORD * 62_500;
/// No run may take longer than its audio and this.
const PATIENCE: Duration = Duration::from_secs(200);

/// What is under way. Ordered by time, then by when it was put there.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Audio,
    Fault(usize),
    Dialed { link: u64, ok: bool },
    ToService { link: u64, frame: Frame },
    ToClient { link: u64, frame: Frame },
    Writable,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Clone)]
enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Ping,
    Pong,
    /// A close frame, in its turn.
    Closed(u16),
    /// The client learns that the link is no more.
    Broken(u16),
}

struct Link {
    number: u64,
    service: Service,
    /// Both directions keep their order.
    up: Time,
    down: Time,
    /// Nothing gets through.
    dead: bool,
    /// The service has sent its close frame and hears nothing any more.
    closing: bool,
    /// The start acknowledgement reached the client.
    acknowledged: bool,
}

/// One run.
pub struct World {
    schedule: Schedule,
    rng: Rng,
    session: Session,
    now: Time,
    order: u64,
    steps: BinaryHeap<Reverse<(Time, u64, Step)>>,
    link: Option<Link>,
    links: u64,
    conversation: u64,
    /// Samples pushed so far, and where the source stands (they differ by the hole).
    pushed: u64,
    refuse_until: Time,
    hang_until: Time,
    stalled_until: Time,
    slow: Duration,
    ended: bool,
    dials: u64,
    finals: Vec<(u64, u64, u64)>,
    gaps: Vec<(u64, u64)>,
    drained: Option<(bool, u64)>,
    tracing: bool,
}

impl World {
    /// Everything at its beginning.
    pub fn new(schedule: Schedule) -> Self {
        let format = StreamFormat::new(Encoding::Linear16, 16_000).unwrap();
        let mut config = SessionConfig::new(StartRequest::new(format));
        config.buffer_duration = schedule.buffer_duration;
        config.catch_up_rate = schedule.catch_up_rate;
        config.leaky = LeakyPolicy::Auto;
        config.seed = schedule.seed;
        config.connect_timeout = Duration::from_secs(3);
        config.ping_interval = Duration::from_secs(2);
        config.pong_timeout = Duration::from_secs(2);
        config.reconnect_max_delay = Duration::from_secs(4);
        config.drain_timeout = Duration::from_secs(30);
        let mut session = Session::new(config);
        session.set_upstream(schedule.live, true);
        session.start(Time::ZERO);
        session.set_format(Time::ZERO, AudioFormat::new(format));
        let mut world = Self {
            rng: Rng::with_seed(schedule.seed),
            session,
            now: Time::ZERO,
            order: 0,
            steps: BinaryHeap::new(),
            link: None,
            links: 0,
            conversation: 1,
            pushed: 0,
            refuse_until: Time::ZERO,
            hang_until: Time::ZERO,
            stalled_until: Time::ZERO,
            slow: Duration::ZERO,
            ended: false,
            dials: 0,
            finals: Vec::new(),
            gaps: Vec::new(),
            drained: None,
            tracing: std::env::var_os("SYMBL_SIMULATION_TRACE").is_some(),
            schedule,
        };
        world.after(Duration::ZERO, Step::Audio);
        for n in 0..world.schedule.faults.len() {
            world.after(world.schedule.faults[n].0, Step::Fault(n));
        }
        world
    }

    fn after(&mut self, delay: Duration, step: Step) {
        self.order += 1;
        self.steps
            .push(Reverse((self.now + delay, self.order, step)));
    }

    fn latency(&mut self) -> Duration {
        Duration::from_micros(self.rng.u64(10..80_000))
    }

    /// To the end, or to the first broken invariant.
    pub fn run(mut self) -> Result<(), String> {
        let bound = self.length() + PATIENCE;
        self.pump()?;
        let mut still = 0;
        while !self.session.is_settled() {
            let step = self.steps.peek().map(|Reverse((at, _, _))| *at);
            let timer = self.session.next_timeout();
            let Some(next) = [step, timer].into_iter().flatten().min() else {
                return Err(format!(
                    "nothing will ever happen again in {:?}",
                    self.session.state()
                ));
            };
            if next > bound {
                return Err(format!(
                    "not over after {bound:?}, in {:?}",
                    self.session.state()
                ));
            }
            still = if next > self.now { 0 } else { still + 1 };
            if still > 100_000 {
                return Err(format!(
                    "spins at {:?} in {:?}",
                    self.now,
                    self.session.state()
                ));
            }
            self.now = self.now.max(next);
            if timer.is_some_and(|at| at <= self.now) {
                self.session.handle_timeout(self.now);
            }
            while let Some(Reverse((at, _, _))) = self.steps.peek()
                && *at <= self.now
            {
                let Some(Reverse((_, _, step))) = self.steps.pop() else {
                    break;
                };
                self.step(step)?;
            }
            self.pump()?;
            self.check_step()?;
        }
        self.check_end()
    }

    /// Of the source, hole included.
    fn length(&self) -> Duration {
        let hole = self
            .schedule
            .hole
            .map_or(Duration::ZERO, |(_, length)| length);
        Duration::from_millis(u64::from(self.schedule.words) * 200) + hole
    }

    fn step(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Audio => self.audio(),
            Step::Writable => {}
            Step::Fault(n) => self.fault(self.schedule.faults[n].1),
            Step::Dialed { link, ok } => {
                if link == self.links {
                    self.dialed(ok);
                }
            }
            Step::ToService { link, frame } => return self.reach_service(link, frame),
            Step::ToClient { link, frame } => self.reach_client(link, frame),
        }
        Ok(())
    }

    /// The next buffer of the source, or its end.
    fn audio(&mut self) {
        let total = u64::from(self.schedule.words) * WORD;
        if self.pushed >= total {
            self.ended = true;
            self.session.end_of_stream(self.now);
            return;
        }
        if !self.session.has_room() {
            // A source that is held back goes on as soon as it may.
            self.after(Duration::from_millis(10), Step::Audio);
            return;
        }
        let mut end = (self.pushed + self.schedule.buffer.as_millis() as u64 * 16).min(total);
        if let Some((at, _)) = self.schedule.hole {
            let hole = at.as_millis() as u64 * 16;
            if (self.pushed + 1..end).contains(&hole) {
                end = hole;
            }
        }
        let data: Vec<u8> = (self.pushed..end)
            .flat_map(|sample| ((sample / WORD + 1) as u16 * STEP).to_le_bytes())
            .collect();
        let running_time = self.running_time(self.pushed);
        self.session.push_audio(
            self.now,
            &Audio {
                data: &data,
                instants: Instants {
                    running_time: Some(running_time),
                    stream_time: Some(running_time),
                    utc: None,
                },
                duration: None,
                speed: 1.0,
            },
        );
        self.pushed = end;
        let next = Duration::from_nanos(self.running_time(end));
        self.after(next.saturating_sub(self.now), Step::Audio);
    }

    /// Running time of a sample of the source.
    fn running_time(&self, sample: u64) -> u64 {
        let plain = sample * 62_500;
        match self.schedule.hole {
            Some((at, length)) if plain >= at.as_nanos() as u64 => plain + length.as_nanos() as u64,
            _ => plain,
        }
    }

    fn fault(&mut self, fault: Fault) {
        self.trace(|| format!("fault {fault:?}"));
        match fault {
            Fault::Cut => self.break_link(1006),
            Fault::Close(1006) => self.break_link(1006),
            Fault::Close(code) => self.close_link(code),
            Fault::HalfOpen => {
                if let Some(link) = &mut self.link {
                    link.dead = true;
                }
            }
            Fault::Refuse(span) => {
                self.refuse_until = self.now + span;
                self.break_link(1006);
            }
            Fault::Hang(span) => {
                self.hang_until = self.now + span;
                self.break_link(1006);
            }
            Fault::Stall(span) => {
                self.stalled_until = self.now + span;
                self.after(span, Step::Writable);
            }
            Fault::Slow(more) => self.slow = more,
            Fault::Forget => self.conversation += 1,
        }
    }

    /// What was under way is lost; the client learns of it a little later.
    fn break_link(&mut self, code: u16) {
        let Some(link) = &mut self.link else {
            return;
        };
        let number = link.number;
        if std::mem::replace(&mut link.dead, true) {
            return;
        }
        let delay = self.latency();
        self.after(
            delay,
            Step::ToClient {
                link: number,
                frame: Frame::Broken(code),
            },
        );
    }

    /// The service closes in due form: what it said before comes before.
    fn close_link(&mut self, code: u16) {
        let delay = self.latency();
        let Some(link) = self.link.as_mut().filter(|l| !l.dead && !l.closing) else {
            return;
        };
        link.closing = true;
        link.down = link.down.max(self.now + delay);
        let (delay, number) = (link.down - self.now, link.number);
        self.after(
            delay,
            Step::ToClient {
                link: number,
                frame: Frame::Closed(code),
            },
        );
    }

    fn dialed(&mut self, ok: bool) {
        if !ok {
            let failure = Failure::retryable(Reason::Tcp, "refused");
            self.session.handle(self.now, Input::DialFailed(failure));
            return;
        }
        self.link = Some(Link {
            number: self.links,
            service: Service::new(
                self.conversation.to_string(),
                self.schedule.seed ^ self.links,
            ),
            up: self.now,
            down: self.now,
            dead: false,
            closing: false,
            acknowledged: false,
        });
        self.session.handle(self.now, Input::Connected);
    }

    fn reach_service(&mut self, number: u64, frame: Frame) -> Result<(), String> {
        let Some(link) = self
            .link
            .as_mut()
            .filter(|l| l.number == number && !l.dead && !l.closing)
        else {
            return Ok(());
        };
        let answers = match frame {
            Frame::Text(text) => link.service.text(&text)?,
            Frame::Binary(data) => link.service.audio(&data)?,
            Frame::Ping => vec![Answer::Pong],
            _ => Vec::new(),
        };
        for answer in answers {
            let delay = self.latency() + self.slow;
            let Some(link) = &mut self.link else {
                break;
            };
            link.down = link.down.max(self.now + delay);
            let (delay, number) = (link.down - self.now, link.number);
            let frame = match answer {
                Answer::Text(text) => Frame::Text(text),
                Answer::Pong => Frame::Pong,
                Answer::Close(code) => Frame::Closed(code),
            };
            self.after(
                delay,
                Step::ToClient {
                    link: number,
                    frame,
                },
            );
        }
        Ok(())
    }

    fn reach_client(&mut self, number: u64, frame: Frame) {
        let Some(link) = self.link.as_mut().filter(|l| l.number == number) else {
            return;
        };
        let in_turn = !link.dead;
        if let Frame::Broken(code) = frame {
            self.link = None;
            self.session
                .handle(self.now, Input::Closed(Failure::closed(code, "")));
            return;
        }
        if let Frame::Closed(code) = frame
            && in_turn
        {
            self.link = None;
            self.session
                .handle(self.now, Input::Closed(Failure::closed(code, "")));
            return;
        }
        if link.dead {
            return;
        }
        match frame {
            Frame::Text(text) => {
                link.acknowledged |= text.contains("started");
                self.trace(|| format!("came {text}"));
                self.session.handle(self.now, Input::Text(&text));
            }
            Frame::Pong => self.session.handle(self.now, Input::Pong),
            _ => {}
        }
    }

    /// Does what the session wants done.
    fn pump(&mut self) -> Result<(), String> {
        loop {
            let writable = self.link.is_some() && self.now >= self.stalled_until;
            let Some(output) = self.session.poll(self.now, writable) else {
                return Ok(());
            };
            match output {
                Output::Dial => self.dial(),
                Output::Abort | Output::Close { .. } => {
                    self.link = None;
                    self.links += 1; // a dial under way is of no interest any more
                }
                Output::Text(text) => self.send(Frame::Text(text))?,
                Output::Binary(data) => self.send_audio(&data)?,
                Output::Ping => self.send(Frame::Ping)?,
                Output::FetchHistory { .. } => {}
                Output::Event(event) => self.event(*event)?,
            }
        }
    }

    fn dial(&mut self) {
        self.dials += 1;
        self.links += 1;
        self.link = None;
        if self.now < self.hang_until {
            return;
        }
        let ok = self.now >= self.refuse_until;
        let delay = self.latency();
        self.after(
            delay,
            Step::Dialed {
                link: self.links,
                ok,
            },
        );
    }

    fn send_audio(&mut self, data: &Bytes) -> Result<(), String> {
        if self.link.as_ref().is_some_and(|l| !l.acknowledged) {
            return Err("audio before the start acknowledgement".into());
        }
        self.send(Frame::Binary(data.to_vec()))
    }

    fn send(&mut self, frame: Frame) -> Result<(), String> {
        self.trace(|| match &frame {
            Frame::Text(text) => format!("sent {text}"),
            Frame::Binary(data) => format!("sent {} bytes of audio", data.len()),
            _ => "sent a ping".to_owned(),
        });
        let delay = self.latency();
        let Some(link) = &mut self.link else {
            return Err("a frame without a link".into());
        };
        link.up = link.up.max(self.now + delay);
        let (delay, number) = (link.up - self.now, link.number);
        self.after(
            delay,
            Step::ToService {
                link: number,
                frame,
            },
        );
        Ok(())
    }

    /// One line for each thing that happens, where `SYMBL_SIMULATION_TRACE` is set.
    fn trace(&self, what: impl FnOnce() -> String) {
        if self.tracing {
            println!("{:>9.3} {}", self.now.as_secs_f64(), what());
        }
    }

    fn event(&mut self, event: Event) -> Result<(), String> {
        self.trace(|| format!("told {:?} {:?}", event.kind, event.placement));
        if self.drained.is_some() && !matches!(event.kind, EventKind::State { .. }) {
            return Err(format!("told after the end: {:?}", event.kind));
        }
        match event.kind {
            EventKind::Transcript {
                is_final: true,
                words,
                ..
            } => {
                for word in words {
                    let number = word
                        .word
                        .trim_start_matches('w')
                        .parse()
                        .map_err(|e| format!("{e}"))?;
                    let start = word.running_time.ok_or("a word without a time")?;
                    self.finals
                        .push((number, start, word.duration.unwrap_or(0)));
                }
            }
            EventKind::Gap { .. } => {
                let at = event.placement.ok_or("a gap without a place")?;
                let start = at.running_time.ok_or("a gap without a time")?;
                self.gaps
                    .push((start, start + at.duration.ok_or("a gap without a length")?));
            }
            EventKind::Drained {
                complete,
                unconfirmed,
            } => self.drained = Some((complete, unconfirmed)),
            EventKind::Failed(failure) => return Err(format!("failed: {failure:?}")),
            _ => {}
        }
        Ok(())
    }

    fn check_step(&self) -> Result<(), String> {
        let stats = self.session.stats(self.now);
        let pushed = self.pushed * 62_500;
        let accounted = stats.audio_sent + stats.audio_spooled + stats.audio_dropped;
        let filled = accounted.saturating_sub(pushed);
        if accounted < pushed || filled > self.schedule.hole.map_or(0, |(_, l)| l.as_nanos() as u64)
        {
            return Err(format!(
                "{accounted} ns accounted for, {pushed} ns pushed: {stats:?}"
            ));
        }
        let mut bound = self.schedule.buffer_duration + Duration::from_millis(300);
        if !self.schedule.live {
            // Where nothing is dropped, one buffer is taken whole, and silence in
            // place of a hole before it.
            bound += self.schedule.buffer + Duration::from_secs(1);
        }
        let bound = bound.as_nanos() as u64;
        if stats.audio_spooled > bound {
            return Err(format!("{} ns spooled, bound {bound}", stats.audio_spooled));
        }
        Ok(())
    }

    fn check_end(&self) -> Result<(), String> {
        let Some((complete, unconfirmed)) = self.drained else {
            return Err("settled without saying that it is drained".into());
        };
        if !self.ended || self.session.state() != State::Drained {
            return Err(format!("settled in {:?}", self.session.state()));
        }
        let mut before = 0;
        for (number, start, _) in &self.finals {
            let truth = self.running_time(number * WORD);
            if start.abs_diff(truth) > WORD_NANOS {
                return Err(format!("w{number} at {start}, said at {truth}"));
            }
            if *start < before {
                return Err(format!("w{number} at {start} after a word at {before}"));
            }
            before = *start;
        }
        let end = self.running_time(u64::from(self.schedule.words) * WORD);
        for number in 0..u64::from(self.schedule.words) {
            let count = self.finals.iter().filter(|w| w.0 == number).count();
            let start = self.running_time(number * WORD);
            let last = self.running_time(number * WORD + WORD - 1);
            let lost = self
                .gaps
                .iter()
                .any(|(from, to)| start < *to && last >= *from)
                || (!complete && last + unconfirmed + WORD_NANOS >= end);
            if count > 1 {
                return Err(format!("w{number} came {count} times"));
            }
            if count == 0 && !lost {
                return Err(format!("w{number} never came and lies in no gap"));
            }
        }
        let allowed = 10 + (self.now.as_secs() + 1) * 4;
        if self.dials > allowed {
            return Err(format!("{} dials in {:?}", self.dials, self.now));
        }
        Ok(())
    }
}
