// SPDX-License-Identifier: MPL-2.0

//! What waits for the text pad, and the task that pushes it.
//!
//! Threads of the transport bring text, the thread of the audio pad brings events. The task
//! of the text pad pushes both, in the order that the track decides. It holds no lock while
//! it pushes, so downstream may block it for as long as it likes.

use super::SymblTranscriber;
use super::imp::CAT;
use super::text::{self, upstream_latency};
use crate::element::settings::Settings;
use crate::element::{SymblElement, lock};
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::{Condvar, Mutex};
use std::time::Instant;
use symbl_client::session::{Event, EventKind};
use symbl_client::track::{self, Moment, Now, Track, TrackConfig, TrackStats};

/// The state between the two pads.
pub(super) struct Output {
    state: Mutex<State>,
    changed: Condvar,
    epoch: Instant,
}

struct State {
    track: Track<gst::Event>,
    /// The segment of the audio.
    audio: gst::Segment,
    /// The segment on the text pad, as upstream sent it.
    text: Option<gst::FormattedSegment<gst::ClockTime>>,
    lateness: gst::ClockTime,
    /// The segment of the audio, or the flush, behind which no audio has come yet: its place
    /// and the running time of its start.
    fresh: Option<(u64, u64)>,
    /// Language of the text, as ISO 639.
    language: String,
    /// The language was told in this stream.
    told_language: bool,
    /// The session has failed, so that nothing more comes for any audio.
    over: bool,
    /// A stream has begun on the text pad.
    began: bool,
    /// The speaker of the text that follows.
    speaker: Option<String>,
    /// The next buffer follows no other.
    discont: bool,
    playing: bool,
    /// The task may not push.
    stopped: bool,
    /// An error that downstream has returned and upstream was not told yet.
    failed: Option<gst::FlowError>,
    /// The counters as the application sees them.
    counted: TrackStats,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            state: Mutex::new(State::new(TrackConfig::default())),
            changed: Condvar::new(),
            epoch: Instant::now(),
        }
    }
}

impl State {
    fn new(config: TrackConfig) -> Self {
        Self {
            track: Track::new(config),
            audio: gst::Segment::new(),
            text: None,
            lateness: gst::ClockTime::from_nseconds(config.lateness),
            fresh: None,
            language: String::new(),
            told_language: false,
            over: false,
            began: false,
            speaker: None,
            discont: true,
            playing: false,
            stopped: false,
            failed: None,
            counted: TrackStats::default(),
        }
    }

    /// Returns the end of the audio that was pushed up to a place with this running time.
    fn moment(&self, (position, running_time): (u64, Option<u64>)) -> Moment {
        let fresh = self.fresh.filter(|(at, _)| *at == position);
        let running_time = fresh.map(|(_, starts)| starts).or(running_time);
        Moment {
            position,
            running_time: running_time.unwrap_or_default(),
        }
    }

    /// Returns the timestamp on the text pad of this running time, in nanoseconds.
    fn timestamp(&self, running_time: u64) -> Option<gst::ClockTime> {
        let time = gst::ClockTime::from_nseconds(running_time);
        let position = self.text.as_ref()?.position_from_running_time_full(time)?;
        position.positive()
    }

    /// Returns the timestamp and the duration on the text pad of what begins at this running
    /// time and lasts for `duration`, in nanoseconds. Timestamps run as fast as the segment is
    /// played, so that a duration is another one there.
    fn times(&self, start: u64, duration: u64) -> Option<(gst::ClockTime, gst::ClockTime)> {
        let (start, end) = (
            self.timestamp(start)?,
            self.timestamp(start.saturating_add(duration))?,
        );
        let least = gst::ClockTime::from_nseconds(1);
        Some((start, end.saturating_sub(start).max(least)))
    }
}

/// What the task does next.
enum Step {
    Buffer(gst::Buffer, gst::Structure),
    Event(gst::Event),
    Late(u64),
    /// The counters have changed.
    Count(TrackStats),
    Nothing,
    Stop,
}

impl Output {
    /// Begins anew, at READY→PAUSED.
    pub(super) fn reset(&self, element: &SymblTranscriber, settings: &Settings) {
        let mut state = State::new(settings.track_config());
        let language = settings.language_code.split(['-', '_']).next();
        state.language = language.unwrap_or_default().to_lowercase();
        *lock(&self.state) = state;
        element.life().note_track(TrackStats::default());
    }

    /// Shows the application what the track has done, when the task is over.
    pub(super) fn conclude(&self, element: &SymblTranscriber) {
        let stats = lock(&self.state).track.stats();
        note(element, stats);
    }

    /// Notes if the pipeline plays, which is when its clock runs.
    pub(super) fn set_playing(&self, playing: bool) {
        lock(&self.state).playing = playing;
        self.changed.notify_all();
    }

    /// Returns `true` if the pipeline plays.
    pub(super) fn is_playing(&self) -> bool {
        lock(&self.state).playing
    }

    /// Returns the segment of the audio.
    pub(super) fn audio_segment(&self) -> gst::Segment {
        lock(&self.state).audio.clone()
    }

    /// Returns an error that downstream has returned, once.
    pub(super) fn take_flow_error(&self) -> Result<(), gst::FlowError> {
        lock(&self.state).failed.take().map_or(Ok(()), Err)
    }

    /// Takes an event of the session.
    pub(super) fn take(&self, element: &SymblTranscriber, event: &Event) {
        let now = self.now(element);
        let mut state = lock(&self.state);
        state.track.take(event, now);
        state.over |= matches!(event.kind, EventKind::Failed(_));
        drop(state);
        self.changed.notify_all();
    }

    /// Asks upstream if it is live and how late it is.
    pub(super) fn ask_upstream(&self, element: &SymblTranscriber) {
        if let Some((live, min, _)) = upstream_latency(element) {
            self.set_upstream(live.then_some(min));
        }
    }

    /// Sets how late live audio arrives; `None` for audio that is not live.
    pub(super) fn set_upstream(&self, latency: Option<gst::ClockTime>) {
        let latency = latency.map(gst::ClockTime::nseconds);
        lock(&self.state).track.set_latency(latency);
        self.changed.notify_all();
    }

    /// Begins the stream of the text pad, and its task. `start` is upstream's event, if there
    /// is one.
    pub(super) fn begin_stream(
        &self,
        element: &SymblTranscriber,
        start: Option<&gst::event::StreamStart>,
    ) -> bool {
        if start.is_none() && lock(&self.state).began {
            return true;
        }
        let pad = &element.imp().src_pad;
        let id = pad.create_stream_id(element, Some("text"));
        let mut event = gst::event::StreamStart::builder(&id).flags(gst::StreamFlags::SPARSE);
        if let Some(start) = start {
            event = event.seqnum(start.seqnum());
            if let Some(group) = start.group_id() {
                event = event.group_id(group);
            }
        }
        let caps = gst::event::Caps::builder(&text::caps()).build();
        for event in [event.build(), caps] {
            self.mark(element, event);
        }
        let mut state = lock(&self.state);
        state.began = true;
        state.told_language = false;
        drop(state);
        self.start_task(element)
    }

    /// Takes a segment of the audio, which becomes one of the text.
    pub(super) fn segment(
        &self,
        element: &SymblTranscriber,
        segment: &gst::Segment,
        event: &gst::Event,
    ) {
        let starts = segment
            .downcast_ref::<gst::ClockTime>()
            .and_then(|times| times.to_running_time(times.start()));
        let starts = starts.unwrap_or_default().nseconds();
        let pushed = pushed(element);
        let mut state = lock(&self.state);
        let behind = state.moment(pushed);
        state.fresh = Some((pushed.0, starts));
        state.audio = segment.clone();
        state.track.segment(behind, starts, event.clone());
        if !state.language.is_empty() && !std::mem::replace(&mut state.told_language, true) {
            let mut tags = gst::TagList::new();
            let language = state.language.clone();
            let tags_mut = tags.make_mut();
            tags_mut.add::<gst::tags::LanguageCode>(&language.as_str(), gst::TagMergeMode::Replace);
            tags_mut.set_scope(gst::TagScope::Stream);
            let at = state.moment(pushed);
            state.track.mark(at, gst::event::Tag::new(tags));
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Takes any other event of the stream.
    pub(super) fn mark(&self, element: &SymblTranscriber, event: gst::Event) {
        let pushed = pushed(element);
        let mut state = lock(&self.state);
        let at = state.moment(pushed);
        state.track.mark(at, event);
        drop(state);
        self.changed.notify_all();
    }

    /// Takes the end of the stream, when all results have come.
    pub(super) fn end(&self, element: &SymblTranscriber, event: gst::Event) {
        let pushed = pushed(element);
        let mut state = lock(&self.state);
        let at = state.moment(pushed);
        state.track.end(at, event);
        drop(state);
        self.changed.notify_all();
        self.start_task(element);
    }

    /// Takes FLUSH_START. It goes downstream first, so that a push that blocks returns.
    pub(super) fn flush_start(&self, element: &SymblTranscriber, event: gst::Event) -> bool {
        lock(&self.state).stopped = true;
        self.changed.notify_all();
        let pad = &element.imp().src_pad;
        let passed = pad.push_event(event);
        if let Err(error) = pad.pause_task() {
            gst::warning!(CAT, obj = element, "The task could not be paused: {error}");
        }
        passed
    }

    /// Takes FLUSH_STOP. The session goes on with the audio that follows.
    pub(super) fn flush_stop(&self, element: &SymblTranscriber, event: gst::Event) -> bool {
        let passed = element.imp().src_pad.push_event(event);
        let pushed = pushed(element);
        let mut state = lock(&self.state);
        let waiting = state.track.flush(pushed.0);
        // The audio that comes has nothing to do with the running time of before.
        state.fresh = Some((pushed.0, 0));
        let at = state.moment(pushed);
        for event in waiting {
            let goes = matches!(event.type_(), gst::EventType::Segment | gst::EventType::Eos);
            if event.is_sticky() && !goes {
                state.track.mark(at, event);
            }
        }
        state.stopped = false;
        state.discont = true;
        state.failed = None;
        drop(state);
        self.start_task(element);
        passed
    }

    /// Stops the task, when the pad is deactivated.
    pub(super) fn stop(&self, pad: &gst::Pad) -> Result<(), gst::LoggableError> {
        lock(&self.state).stopped = true;
        self.changed.notify_all();
        pad.stop_task()
            .map_err(|error| gst::loggable_error!(CAT, "The task could not be stopped: {error}"))
    }

    fn start_task(&self, element: &SymblTranscriber) -> bool {
        if lock(&self.state).stopped {
            return false;
        }
        let weak = element.downgrade();
        let started = element.imp().src_pad.start_task(move || {
            if let Some(element) = weak.upgrade() {
                let output = &element.imp().output;
                output.step(&element);
            }
        });
        if let Err(error) = &started {
            gst::warning!(CAT, obj = element, "The task could not be started: {error}");
        }
        started.is_ok()
    }

    fn now(&self, element: &SymblTranscriber) -> Now {
        let running_time = match self.is_playing() {
            true => element.current_running_time(),
            false => None,
        };
        Now {
            time: self.epoch.elapsed(),
            running_time: running_time.map(gst::ClockTime::nseconds),
        }
    }

    /// Takes one step: pushes what the track has, or waits until it may have something.
    fn step(&self, element: &SymblTranscriber) {
        let pad = &element.imp().src_pad;
        match self.next_step(element) {
            Step::Buffer(buffer, item) => {
                let item = gst::event::CustomUpstream::new(item);
                element.audio_pad().push_event(item);
                self.pushed(element, pad.push(buffer));
            }
            // The answer of a gap or a tag says nothing about the flow.
            Step::Event(event) => drop(pad.push_event(event)),
            Step::Late(by) => warn_of_lateness(element, by),
            Step::Count(stats) => note(element, stats),
            Step::Nothing => {}
            Step::Stop => drop(pad.pause_task()),
        }
    }

    /// Takes what downstream said to a buffer.
    fn pushed(&self, element: &SymblTranscriber, flow: Result<gst::FlowSuccess, gst::FlowError>) {
        match flow {
            // Behind an end, and without anything behind the pad, the text is on the bus alone.
            Ok(_) | Err(gst::FlowError::Eos) => {}
            Err(gst::FlowError::NotLinked) => lock(&self.state).discont = true,
            // The pad is flushing or deactivated, here or downstream.
            Err(gst::FlowError::Flushing) => {
                lock(&self.state).stopped |= is_flushing(&element.imp().src_pad);
            }
            Err(error) => {
                gst::warning!(CAT, obj = element, "Downstream refuses text: {error}");
                lock(&self.state).failed = Some(error);
            }
        }
    }

    fn next_step(&self, element: &SymblTranscriber) -> Step {
        // The connection is not asked under the lock that its threads need to bring text.
        let state = lock(&self.state);
        let (asks, over) = (state.track.asks_what_was_sent(), state.over);
        drop(state);
        let connection = element.life().connection().filter(|_| asks);
        let sent = connection.map(|connection| connection.sent());
        let now = self.now(element);
        let pushed = over.then(|| pushed(element));
        let mut state = lock(&self.state);
        if state.stopped {
            return Step::Stop;
        }
        if let Some(pushed) = pushed {
            let at = state.moment(pushed);
            state.track.settle(at, now.time);
        }
        if let Some((position, Some(running_time))) = sent {
            let at = Moment {
                position,
                running_time,
            };
            state.track.sent(at, now.time);
        }
        let output = state.track.poll(now);
        let Some(output) = output else {
            let stats = state.track.stats();
            if std::mem::replace(&mut state.counted, stats) != stats {
                return Step::Count(stats);
            }
            match state.track.next_timeout(now) {
                Some(wait) => drop(self.changed.wait_timeout(state, wait)),
                None => drop(self.changed.wait(state)),
            }
            return Step::Nothing;
        };
        step_of(&mut state, output)
    }
}

/// Shows the application what the track has done.
fn note(element: &SymblTranscriber, stats: TrackStats) {
    if element.life().note_track(stats) {
        element.notify("max-observed-delay");
    }
}

fn is_flushing(pad: &gst::Pad) -> bool {
    pad.pad_flags().contains(gst::PadFlags::FLUSHING)
}

/// Returns the place of the end of the audio so far, and its running time.
fn pushed(element: &SymblTranscriber) -> (u64, Option<u64>) {
    let connection = element.life().connection();
    connection.map_or((0, None), |connection| connection.pushed())
}

/// Returns what the task does for an output of the track.
fn step_of(state: &mut State, output: track::Output<gst::Event>) -> Step {
    match output {
        track::Output::Text(text) => text_step(state, text),
        track::Output::Gap { start, duration } => match state.times(start, duration) {
            Some((start, duration)) => {
                Step::Event(gst::event::Gap::builder(start).duration(duration).build())
            }
            None => Step::Nothing,
        },
        track::Output::Mark(event) => match event.view() {
            gst::EventView::Segment(segment) => match segment.segment().downcast_ref() {
                Some(times) => Step::Event(later(state, times, event.seqnum())),
                None => Step::Nothing,
            },
            _ => Step::Event(event),
        },
        track::Output::Final => {
            let event = gst::Structure::new_empty("rstranscribe/final-transcript");
            Step::Event(gst::event::CustomDownstream::new(event))
        }
        track::Output::Speaker(name) => {
            let event = gst::Structure::builder("rstranscribe/speaker-change")
                .field("speaker", name.as_deref())
                .build();
            state.speaker = name;
            Step::Event(gst::event::CustomDownstream::new(event))
        }
        track::Output::Late { by } => Step::Late(by),
    }
}

fn text_step(state: &mut State, text: track::Text) -> Step {
    let Some((start, duration)) = state.times(text.start, text.duration) else {
        return Step::Nothing; // before the segment, or without one
    };
    // What transcribers of GStreamer's Rust plugins tell elements that speak.
    let item = gst::Structure::builder("rstranscribe/new-item")
        .field("speaker", state.speaker.as_deref())
        .field("content", &text.text)
        .field(
            "running-time",
            gst::ClockTime::from_nseconds(text.start) + state.lateness,
        )
        .field("duration", gst::ClockTime::from_nseconds(text.duration))
        .build();
    let mut buffer = gst::Buffer::from_slice(text.text.into_bytes());
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(start);
        buffer.set_duration(duration);
        if std::mem::take(&mut state.discont) {
            buffer.set_flags(gst::BufferFlags::DISCONT);
        }
    }
    Step::Buffer(buffer, item)
}

/// Returns the segment of the text for a segment of the audio: all running times are
/// later by the lateness.
fn later(
    state: &mut State,
    times: &gst::FormattedSegment<gst::ClockTime>,
    seqnum: gst::Seqnum,
) -> gst::Event {
    let mut segment = times.clone();
    segment.set_base(times.base().unwrap_or_default() + state.lateness);
    state.text = Some(times.clone());
    gst::event::Segment::builder(&segment)
        .seqnum(seqnum)
        .build()
}

/// Tells the application once that text has become late.
fn warn_of_lateness(element: &SymblTranscriber, by: u64) {
    let by = gst::ClockTime::from_nseconds(by);
    let latency = element.life().settings().latency;
    let enough = (u64::from(latency) + by.mseconds() + 1).div_ceil(500) * 500;
    let text = format!(
        "Text came {} ms too late for its time; `late-text` says what happens to it. A `latency` of \
         {enough} would have been enough",
        by.mseconds()
    );
    gst::element_warning!(
        element,
        gst::CoreError::Clock,
        ("{text}"),
        details: gst::Structure::builder("details")
            .field("reason", "late-text")
            .field("late-by", by.nseconds())
            .build()
    );
}
