// SPDX-License-Identifier: MPL-2.0

//! What the streaming thread does with buffers: their times, the way into the
//! connection, and the waits on it.

use super::imp::{CAT, SymblSink, lock};
use super::{OnFatal, errors};
use crate::protocol::Encoding;
use crate::session::packet::is_opus_header;
use crate::session::{Audio, AudioFormat, Instants};
use crate::transport::{Connection, Waited};
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

/// The same audio, which says of itself that it lasts as long as its samples.
/// GStreamer clips by what a buffer says, and beyond the end of one that says
/// more than it holds.
fn with_true_duration(buffer: &gst::Buffer, format: &AudioFormat) -> gst::Buffer {
    let mut buffer = buffer.clone();
    let duration = gst::ClockTime::from_nseconds(format.duration_of(buffer.size()));
    if buffer.duration() != Some(duration) {
        buffer.make_mut().set_duration(duration);
    }
    buffer
}

impl SymblSink {
    /// Whether upstream is live, as far as it says.
    pub(super) fn upstream_is_live(&self) -> bool {
        let mut query = gst::query::Latency::new();
        self.obj().sink_pad().peer_query(&mut query) && query.result().0
    }

    /// Times of the audio that begins at `pts`.
    pub(super) fn instants(&self, pts: Option<gst::ClockTime>) -> Instants {
        let obj = self.obj();
        let segment = obj.segment();
        let Some(segment) = segment.downcast_ref::<gst::ClockTime>() else {
            return Instants::default();
        };
        let running_time = pts.and_then(|pts| segment.to_running_time(pts));
        Instants {
            running_time: running_time.map(gst::ClockTime::nseconds),
            stream_time: pts
                .and_then(|pts| segment.to_stream_time(pts))
                .map(gst::ClockTime::nseconds),
            utc: running_time.and_then(|running_time| self.utc(running_time)),
        }
    }

    /// Wall-clock time at which a running time is due, or was.
    pub(super) fn utc(&self, running_time: gst::ClockTime) -> Option<i64> {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let wall = i128::try_from(wall.as_nanos()).ok()?;
        let obj = self.obj();
        let due = obj
            .base_time()
            .zip(obj.clock())
            .map_or(0, |(base_time, clock)| {
                let due = base_time.saturating_add(running_time);
                i128::from(due.nseconds()) - i128::from(clock.time().nseconds())
            });
        i64::try_from(wall + due).ok()
    }

    /// Holds the streaming thread up until there is room for a buffer.
    ///
    /// In a probe of the pad, in front of GstBaseSink, and not in `render`: there
    /// it holds its preroll lock, which it takes for a change to PLAYING as well
    /// as to PAUSED, but ends waits (`unlock`) for the latter only. Out here a
    /// wait is in nobody's way, and a pause is no reason to end it.
    pub(super) fn wait_for_room(&self) {
        if let Some(connection) = self.connection().filter(|c| !c.has_room()) {
            self.wait(&connection, Connection::wait_for_room);
        }
    }

    /// End of the stream: everything is sent, and the last results have come
    /// or their time is up. In a probe as well.
    pub(super) fn drain(&self) {
        if let Some(connection) = self.connection() {
            connection.end_of_stream();
            self.wait(&connection, Connection::wait_until_settled);
        }
    }

    /// Waits, but not any longer when the pad is flushing.
    fn wait(&self, connection: &Connection, wait: impl Fn(&Connection, u64) -> Waited) {
        loop {
            // In this order: the pad is flushing before the wait is interrupted.
            let known = connection.interruptions();
            let flushing = self
                .obj()
                .sink_pad()
                .pad_flags()
                .contains(gst::PadFlags::FLUSHING);
            if flushing || wait(connection, known) == Waited::Done {
                return;
            }
        }
    }

    /// Tells the connection how audio comes, once per start and flush.
    pub(super) fn ask_upstream(&self, connection: &Connection) {
        if !std::mem::replace(&mut lock(&self.streaming).asked_upstream, true) {
            let live = self.upstream_is_live();
            let paced = live || self.obj().is_sync();
            gst::debug!(CAT, imp = self, "Upstream is live: {live}, paced: {paced}");
            connection.set_upstream(live, paced);
        }
    }

    /// When a buffer begins. The first audio of a stream without timestamps
    /// begins with its segment; what follows has no time of its own.
    fn pts_of(&self, buffer: &gst::BufferRef) -> Option<gst::ClockTime> {
        let first = !std::mem::replace(&mut lock(&self.streaming).placed, true);
        let obj = self.obj();
        let segment = obj.segment();
        let start = segment.downcast_ref::<gst::ClockTime>()?.start();
        match buffer.pts() {
            // A packet that hangs over the start of its segment is sent whole, and
            // there is no running time before that.
            Some(pts) => Some(pts.max(start.unwrap_or_default())),
            None => {
                self.warn_about_timestamps();
                start.filter(|_| first)
            }
        }
    }

    fn warn_about_timestamps(&self) {
        if !std::mem::replace(&mut lock(&self.streaming).warned_timestamps, true) {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Format,
                ("A buffer has no timestamp; its audio is taken to follow the one before, or \
                     to begin with the segment. Put `audiorate`, or a parser, before the sink if \
                     times matter")
            );
        }
    }

    /// The stream cannot be taken. Upstream pushes caps and segments again with
    /// every buffer until it gives up: told once.
    pub(super) fn refuse(&self, problem: String) {
        let before = lock(&self.streaming).refused.replace(problem.clone());
        if before.as_ref() != Some(&problem) {
            self.post_error_message(errors::format(&problem));
        }
    }

    /// Takes a buffer as the caps say it is: raw audio clipped to the segment,
    /// or one packet.
    pub(super) fn take(&self, buffer: &gst::Buffer) -> Result<(), gst::FlowError> {
        let format = lock(&self.streaming).format.clone();
        let (Some(format), Some(connection)) = (format, self.connection()) else {
            return Err(gst::FlowError::NotNegotiated);
        };
        self.ask_upstream(&connection);
        if self.speaker_changed.swap(false, Ordering::AcqRel) {
            connection.set_speaker(lock(&self.settings).speaker());
        }
        let buffer = match format.bytes_per_sample() {
            // Compressed streams repeat their headers in front of the first
            // packet; the wire has its own place for them.
            None if buffer.flags().contains(gst::BufferFlags::HEADER) => {
                return Ok(());
            }
            None => buffer.clone(),
            Some(width) => {
                let rate = format.wire.sample_rate();
                let buffer = with_true_duration(buffer, &format);
                let segment = self.obj().segment();
                // Somebody who flushed and sent no segment after it gets no clipping.
                if segment.format() != gst::Format::Time {
                    buffer
                } else if let Some(buffer) =
                    gst_audio::audio_buffer_clip(buffer, &segment, rate, width as u32)
                {
                    buffer
                } else {
                    return Ok(());
                }
            }
        };
        let map = buffer.map_readable().map_err(|_| {
            gst::element_imp_error!(
                self,
                gst::ResourceError::Read,
                ("A buffer could not be read")
            );
            gst::FlowError::Error
        })?;
        // Not all payloaders know the headers of a file, and RTP has no flag for them.
        let is_header = format.wire.encoding() == Encoding::Opus && is_opus_header(&map);
        if map.is_empty() || is_header {
            return Ok(());
        }
        if connection.has_failed() && self.on_fatal() == OnFatal::Error {
            return Err(gst::FlowError::Error); // It is on the bus already.
        }
        connection.push_audio(&Audio {
            data: &map,
            instants: self.instants(self.pts_of(&buffer)),
            duration: buffer.duration().map(gst::ClockTime::nseconds),
            speed: self.obj().segment().rate().abs(),
        });
        Ok(())
    }
}

/// What is wrong with a segment, if anything is.
pub(super) fn problem_of(segment: &gst::Segment) -> Option<String> {
    if segment.format() != gst::Format::Time {
        Some(format!(
            "its segment is in {:?} format and so has no times; put a parser before the sink",
            segment.format()
        ))
    } else if segment.rate() < 0.0 {
        Some(format!(
            "it is played backwards, at a rate of {}",
            segment.rate()
        ))
    } else {
        None
    }
}
