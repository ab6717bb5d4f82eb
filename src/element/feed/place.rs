// SPDX-License-Identifier: MPL-2.0

//! The times of a buffer: when it begins in running time and stream time, and how much of
//! it lies in the segment.

use super::{ask_upstream, read};
use crate::element::{SymblElement, lock, wall_clock};
use gst::prelude::*;
use symbl_client::session::packet::is_opus_header;
use symbl_client::session::{Audio, AudioFormat, Instants};
use symbl_client::transport::Connection;
use symbl_protocol::Encoding;

/// Predicts raw audio of which each buffer begins where the one before ended, in one
/// segment. The times of such buffers follow from the times that were computed last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steady {
    /// Timestamp of the next buffer, in nanoseconds.
    next: u64,
    /// Times are computed again for audio that ends after this, in nanoseconds.
    until: u64,
}

impl Steady {
    /// How far a timestamp may be off the predicted one, in nanoseconds. For a difference of
    /// this size the session would make no anchor.
    const JITTER: u64 = 1_000_000;
    /// Longest time for which no times are computed, in nanoseconds: clocks drift, and a base
    /// class may change its segment.
    const LONGEST: u64 = 1_000_000_000;

    /// Returns the prediction after a buffer that ends at `next` and whose times were computed,
    /// in a segment that stops at `stop`.
    fn new(next: u64, stop: Option<u64>) -> Self {
        let until = next.saturating_add(Self::LONGEST);
        Self {
            next,
            until: stop.map_or(until, |stop| stop.min(until)),
        }
    }

    /// Returns `true` if a buffer with this timestamp, which lasts `duration` nanoseconds, is
    /// the predicted one, and predicts the buffer after it.
    pub(super) fn goes_on(&mut self, pts: u64, duration: u64) -> bool {
        let end = self.next.saturating_add(duration);
        let goes_on = pts.abs_diff(self.next) <= Self::JITTER && end <= self.until;
        self.next = end;
        goes_on
    }
}

/// Returns the buffer with its duration set from the count of its samples. GStreamer clips
/// by the duration that a buffer states, and reads beyond the end of a buffer that states
/// more than it holds.
fn with_true_duration(buffer: &gst::Buffer, format: &AudioFormat) -> gst::Buffer {
    let mut buffer = buffer.clone();
    let duration = gst::ClockTime::from_nseconds(format.duration_of(buffer.size()));
    if buffer.duration() != Some(duration) {
        buffer.make_mut().set_duration(duration);
    }
    buffer
}

/// Computes the times of a buffer and takes it. Returns `true` if there is room for more.
pub(super) fn place(
    element: &impl SymblElement,
    buffer: &gst::Buffer,
    segment: &gst::Segment,
    connection: &Connection,
    format: &AudioFormat,
) -> Result<bool, gst::FlowError> {
    element.feed().place_anew();
    ask_upstream(element, connection);
    let base_time = element.base_time();
    if std::mem::replace(&mut lock(&element.feed().stream).base_time, base_time) != base_time {
        // As behind a flushing seek, whose first audio comes before the new base time is set.
        connection.move_running_time();
    }
    // Upstream may have flushed and sent no segment after it. Then nothing is clipped.
    let times = segment.downcast_ref::<gst::ClockTime>();
    let buffer = match format.bytes_per_sample() {
        // Compressed streams repeat their headers before the first packet. The session sends
        // them from the caps.
        None if buffer.flags().contains(gst::BufferFlags::HEADER) => {
            return Ok(true);
        }
        None => buffer.clone(),
        Some(width) => {
            let rate = format.wire.sample_rate();
            let buffer = with_true_duration(buffer, format);
            if times.is_none() {
                buffer
            } else if let Some(buffer) =
                gst_audio::audio_buffer_clip(buffer, segment, rate, width as u32)
            {
                buffer
            } else {
                return Ok(true);
            }
        }
    };
    read(element, &buffer, |data| {
        // Some payloaders send the headers of a file as audio, and RTP has no flag for them.
        let is_header = format.wire.encoding() == Encoding::Opus && is_opus_header(data);
        if data.is_empty() || is_header {
            return true;
        }
        let pts = times.and_then(|segment| pts_of(element, &buffer, segment));
        let instants = times.map_or_else(Instants::default, |segment| instants(segment, pts));
        let audio = Audio {
            data,
            instants,
            duration: buffer.duration().map(gst::ClockTime::nseconds),
            speed: segment.rate().abs(),
        };
        let discont = buffer
            .flags()
            .intersects(gst::BufferFlags::DISCONT | gst::BufferFlags::RESYNC);
        let utc = |running_time| wall_clock::utc(element, running_time);
        let pushed = connection.push_timed(&audio, discont, utc);
        // The buffers after one whose times are known can be predicted.
        if let (Some(pts), Some(segment), Some(_)) = (pts, times, format.bytes_per_sample())
            && instants.running_time.is_some()
            && buffer.pts().is_some()
            && pushed.is_settled
        {
            let next = pts.nseconds() + format.duration_of(data.len());
            let stop = segment.stop().map(gst::ClockTime::nseconds);
            lock(&element.feed().stream).steady = Some(Steady::new(next, stop));
        }
        pushed.has_room
    })
}

/// Returns the start of a buffer. The first audio of a stream without timestamps starts with
/// its segment. The audio after it has no time of its own.
fn pts_of(
    element: &impl SymblElement,
    buffer: &gst::BufferRef,
    segment: &gst::FormattedSegment<gst::ClockTime>,
) -> Option<gst::ClockTime> {
    let first = !std::mem::replace(&mut lock(&element.feed().stream).placed, true);
    let start = segment.start();
    match buffer.pts() {
        // A packet that begins before its segment is sent whole. There is no running time before
        // the start of the segment.
        Some(pts) => Some(pts.max(start.unwrap_or_default())),
        None => {
            warn_about_timestamps(element);
            start.filter(|_| first)
        }
    }
}

fn warn_about_timestamps(element: &impl SymblElement) {
    let feed = element.feed();
    if !std::mem::replace(&mut lock(&feed.stream).warned_timestamps, true) {
        gst::element_warning!(
            element,
            gst::StreamError::Format,
            ("A buffer has no timestamp; its audio is taken to follow the one before, or \
                 to begin with the segment. Put `audiorate`, or a parser, before the sink if \
                 times matter")
        );
    }
}

/// Returns running time and stream time of the audio that begins at `pts`.
pub(super) fn instants(
    segment: &gst::FormattedSegment<gst::ClockTime>,
    pts: Option<gst::ClockTime>,
) -> Instants {
    let running_time = pts.and_then(|pts| segment.to_running_time(pts));
    let stream_time = pts.and_then(|pts| segment.to_stream_time(pts));
    Instants {
        running_time: running_time.map(gst::ClockTime::nseconds),
        stream_time: stream_time.map(gst::ClockTime::nseconds),
        utc: None,
    }
}
