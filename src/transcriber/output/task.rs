// SPDX-License-Identifier: MPL-2.0

//! The task of the text pad: takes from the track what comes next, and pushes it.

use super::{Output, State, note, pushed};
use crate::element::{SymblElement, gate, lock};
use crate::transcriber::SymblTranscriber;
use crate::transcriber::imp::CAT;
use gst::prelude::*;
use gst::subclass::prelude::*;
use symbl_client::track::{self, Moment};

/// What the task does next.
enum Step {
    Buffer(gst::Buffer, gst::Structure),
    Event(gst::Event),
    Late(u64),
    Nothing,
    Stop,
}

impl Output {
    /// Takes one step: pushes what the track has, or waits until it may have something.
    pub(super) fn step(&self, element: &SymblTranscriber) {
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
                lock(&self.state).stopped |= gate::is_flushing(&element.imp().src_pad);
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
        let stats = state.track.stats();
        let is_news = std::mem::replace(&mut state.counted, stats) != stats;
        let step = output.map(|output| step_of(&mut state, output));
        if is_news {
            // Before the push, which may take long.
            drop(state);
            note(element, stats);
            return step.unwrap_or(Step::Nothing);
        }
        let Some(step) = step else {
            match state.track.next_timeout(now) {
                Some(wait) => drop(self.changed.wait_timeout(state, wait)),
                None => drop(self.changed.wait(state)),
            }
            return Step::Nothing;
        };
        step
    }
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
