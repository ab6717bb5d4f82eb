// SPDX-License-Identifier: MPL-2.0

//! An upstream that the test plays itself. When a push returns, the element has taken the
//! buffer, and the test gets the flow return.

use super::pipeline::{BOUND, Pipeline, buffer};
use gst::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Raw audio at 16 kHz.
pub const CAPS: &str = "audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate=16000";

/// Nanoseconds in a millisecond.
pub const MS: u64 = 1_000_000;

/// A source pad in front of an element. The test's own thread pushes.
#[derive(Clone)]
pub struct Feed {
    pub pad: gst::Pad,
    /// Timestamp of the next audio, in nanoseconds.
    next: Arc<AtomicU64>,
}

impl Feed {
    /// Returns a pipeline with nothing but a sink with these properties, and its feed.
    pub fn pipeline(properties: &str) -> (Pipeline, Self) {
        let (pipeline, sink) = Pipeline::around(&format!("symblsink sync=false {properties}"));
        let feed = Self::of(&sink);
        (pipeline, feed)
    }

    /// Returns a feed in front of a sink that has no upstream.
    pub fn of(sink: &gst::Element) -> Self {
        let pad = gst::Pad::builder(gst::PadDirection::Src).name("feed");
        Self::linked(pad.build(), sink)
    }

    /// Returns a feed that answers LATENCY queries as a live source.
    pub fn live(sink: &gst::Element) -> Self {
        let pad = gst::Pad::builder(gst::PadDirection::Src)
            .name("feed")
            .query_function(|pad, parent, query| match query.view_mut() {
                gst::QueryViewMut::Latency(latency) => {
                    latency.set(true, gst::ClockTime::ZERO, None);
                    true
                }
                _ => gst::Pad::query_default(pad, parent, query),
            });
        Self::linked(pad.build(), sink)
    }

    fn linked(pad: gst::Pad, sink: &gst::Element) -> Self {
        pad.set_active(true).expect("a source pad");
        pad.link(&sink.static_pad("sink").expect("a pad"))
            .expect("pads fit");
        Self {
            pad,
            next: Arc::default(),
        }
    }

    /// Pushes stream start, caps and a segment from zero. Returns `true` if the sink takes the
    /// caps.
    pub fn begin(&self, caps: &str) -> bool {
        self.pad.push_event(gst::event::StreamStart::new("feed"));
        let taken = self.caps(caps);
        self.segment();
        taken
    }

    /// Pushes the caps of the audio that follows. Returns `true` if the sink takes them.
    pub fn caps(&self, caps: &str) -> bool {
        let caps: gst::Caps = caps.parse().expect("caps");
        // The result of the push says nothing, because such events are pushed again later.
        self.pad.push_event(gst::event::Caps::new(&caps));
        let sink = self.pad.peer().expect("a sink pad");
        sink.current_caps() == Some(caps)
    }

    /// Pushes a segment from zero.
    pub fn segment(&self) {
        self.segment_of(&gst::FormattedSegment::new());
    }

    /// Pushes this segment, in which the next audio begins at its start.
    pub fn segment_of(&self, segment: &gst::FormattedSegment<gst::ClockTime>) {
        self.pad.push_event(gst::event::Segment::new(segment));
        let start = segment.start().unwrap_or_default();
        self.next.store(start.nseconds(), Ordering::Relaxed);
    }

    /// Leaves out `duration` nanoseconds in front of the next audio.
    pub fn skip(&self, duration: u64) {
        self.next.fetch_add(duration, Ordering::Relaxed);
    }

    /// Returns the timestamp of the next audio, in nanoseconds.
    pub fn next(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Pushes `samples` at 16 kHz in buffers of 20 ms, right behind the audio before.
    pub fn speak(&self, samples: &[i16]) -> Result<(), gst::FlowError> {
        for piece in samples.chunks(320) {
            let duration = piece.len() as u64 * MS / 16;
            let pts = self.next.fetch_add(duration, Ordering::Relaxed);
            let data = super::pipeline::bytes_of(piece);
            self.pad.push(buffer(data, Some(pts), Some(duration)))?;
        }
        Ok(())
    }

    /// Pushes audio until the sink refuses it, which it does soon after its error was
    /// posted. Returns the refusal.
    pub fn refusal(&self) -> gst::FlowError {
        let end = Instant::now() + BOUND;
        loop {
            if let Err(refusal) = self.hush(20) {
                return refusal;
            }
            assert!(Instant::now() < end, "the flow never ends");
        }
    }

    /// Pushes `millis` of silence.
    pub fn hush(&self, millis: usize) -> Result<(), gst::FlowError> {
        self.speak(&vec![0; millis * 16])
    }

    /// Pushes the end of the stream. Returns when the sink has handled it.
    pub fn end(&self) -> bool {
        self.pad.push_event(gst::event::Eos::new())
    }

    /// Pushes a flush, and a new segment from zero.
    pub fn flush(&self) {
        assert!(self.pad.push_event(gst::event::FlushStart::new()));
        assert!(self.pad.push_event(gst::event::FlushStop::new(true)));
        self.segment();
    }
}
