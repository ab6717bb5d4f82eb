// SPDX-License-Identifier: MPL-2.0

//! What waits for the text pad, and the task that pushes it.
//!
//! Threads of the transport bring text, the thread of the audio pad brings events. The task
//! of the text pad pushes both, in the order that the track decides. It holds no lock while
//! it pushes, so downstream may block it for as long as it likes.

mod task;

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
use symbl_client::track::{Moment, Now, Track, TrackConfig, TrackStats};

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
}

/// Shows the application what the track has done.
fn note(element: &SymblTranscriber, stats: TrackStats) {
    if element.life().note_track(stats) {
        element.notify("max-observed-delay");
    }
}

/// Returns the place of the end of the audio so far, and its running time.
fn pushed(element: &SymblTranscriber) -> (u64, Option<u64>) {
    let connection = element.life().connection();
    connection.map_or((0, None), |connection| connection.pushed())
}
