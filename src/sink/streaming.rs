// SPDX-License-Identifier: MPL-2.0

//! What the streaming thread does with buffers: their times, the way into the
//! connection, and the waits on it.
//!
//! Hundreds of sinks take fifty buffers a second each, so that what is the same
//! for each buffer as for the one before is not done again: see [`Steady`].

use super::imp::{CAT, SymblSink, lock};
use super::whole::Cut;
use super::{OnFatal, errors};
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};
use symbl_client::session::packet::is_opus_header;
use symbl_client::session::{Audio, AudioFormat, Instants};
use symbl_client::transport::{Connection, Waited};
use symbl_protocol::Encoding;

/// How often the wall clock and the pipeline's are read together, for the best pair.
const READINGS: usize = 3;

/// Returns the wall-clock time, in nanoseconds since the Unix epoch.
fn wall_clock() -> Option<i64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_nanos()).ok()
}

/// What the streaming thread knows of its stream.
#[derive(Default)]
pub(super) struct Streaming {
    /// Since READY→PAUSED.
    pub(super) connection: Option<Arc<Connection>>,
    /// In force since the last CAPS event.
    pub(super) format: Option<Arc<AudioFormat>>,
    /// Whether upstream was asked if it is live, since the last start or flush.
    pub(super) asked_upstream: bool,
    /// Whether there was audio since the last start or flush, and so something to follow.
    pub(super) placed: bool,
    /// How the stream goes on, while it does.
    pub(super) steady: Option<Steady>,
    /// A sample that upstream cut in two.
    pub(super) cut: Cut,
    /// Whether buffers wait in front of GstBaseSink for room.
    gated: bool,
    /// Whether a buffer without a timestamp was complained about.
    warned_timestamps: bool,
    /// What was said last about a stream that cannot be taken.
    refused: Option<String>,
}

/// Raw audio of which each buffer begins where the one before ended, in one segment.
/// Its times follow from those that were computed last, which is not long ago.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steady {
    /// Timestamp of the next buffer, in nanoseconds.
    next: u64,
    /// Times are computed again for audio behind this, in nanoseconds.
    until: u64,
}

impl Steady {
    /// How far a timestamp may be off and is still where it should be, in
    /// nanoseconds: less than the session would make a new anchor for.
    const JITTER: u64 = 1_000_000;
    /// Longest that no times are computed, in nanoseconds: clocks drift, and
    /// GstBaseSink may change its segment.
    const LONGEST: u64 = 1_000_000_000;

    /// After audio up to `next`, of which times were computed, in a segment that
    /// stops at `stop`.
    fn new(next: u64, stop: Option<u64>) -> Self {
        let until = next.saturating_add(Self::LONGEST);
        Self {
            next,
            until: stop.map_or(until, |stop| stop.min(until)),
        }
    }

    /// Whether a buffer of this timestamp, which lasts `duration` nanoseconds, goes
    /// on. It has gone on then.
    fn goes_on(&mut self, pts: u64, duration: u64) -> bool {
        let end = self.next.saturating_add(duration);
        let goes_on = pts.abs_diff(self.next) <= Self::JITTER && end <= self.until;
        self.next = end;
        goes_on
    }
}

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

    /// Returns the wall-clock time at which a running time is due, or was.
    fn utc(&self, running_time: Option<u64>) -> Option<i64> {
        let running_time = gst::ClockTime::from_nseconds(running_time?);
        let obj = self.obj();
        let Some((base_time, clock)) = obj.base_time().zip(obj.clock()) else {
            return wall_clock();
        };
        let due = base_time.saturating_add(running_time);
        // Another thread may run between the two readings: the closest pair counts.
        let pairs = (0..READINGS).filter_map(|_| {
            let before = wall_clock()?;
            let now = i64::try_from(clock.time().nseconds()).ok()?;
            let took = wall_clock()?.checked_sub(before)?;
            Some((took.unsigned_abs(), before.checked_add(took / 2)?, now))
        });
        let (_, wall, now) = pairs.min_by_key(|(took, _, _)| *took)?;
        let due = i64::try_from(due.nseconds()).ok()?;
        wall.checked_add(due.checked_sub(now)?)
    }

    /// Holds the streaming thread up until there is room for a buffer.
    ///
    /// In a probe of the pad, in front of GstBaseSink, and not in `render`: there
    /// it holds its preroll lock, which it takes for a change to PLAYING as well
    /// as to PAUSED, but ends waits (`unlock`) for the latter only. Out here a
    /// wait is in nobody's way, and a pause is no reason to end it. The probe is
    /// there only while room is scarce: each buffer would pay for it.
    fn gate(&self) {
        if std::mem::replace(&mut lock(&self.streaming).gated, true) {
            return;
        }
        let buffers = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        self.obj().sink_pad().add_probe(buffers, |pad, _| {
            let sink = pad.parent().and_downcast::<super::SymblSink>();
            match sink.is_some_and(|sink| sink.imp().wait_for_room()) {
                true => gst::PadProbeReturn::Ok,
                false => gst::PadProbeReturn::Remove,
            }
        });
    }

    /// Waits at the gate. Whether it is still needed.
    fn wait_for_room(&self) -> bool {
        let connection = lock(&self.streaming).connection.clone();
        let Some(connection) = connection else {
            lock(&self.streaming).gated = false;
            return false;
        };
        if !connection.has_room() {
            self.wait(&connection, Connection::wait_for_room);
        }
        let gated = !connection.has_much_room();
        lock(&self.streaming).gated = gated;
        gated
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
    fn pts_of(
        &self,
        buffer: &gst::BufferRef,
        segment: &gst::FormattedSegment<gst::ClockTime>,
    ) -> Option<gst::ClockTime> {
        let first = !std::mem::replace(&mut lock(&self.streaming).placed, true);
        let start = segment.start();
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

    /// There is no format that a buffer could have. Where none was told, caps have not
    /// been refused before: a file, or a socket, says nothing of what it holds.
    fn not_negotiated(&self) -> gst::FlowError {
        if self.connection().is_some() && lock(&self.streaming).refused.is_none() {
            let raw = "audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate=16000";
            self.refuse(format!(
                "nobody has said what it is (no caps); put `decodebin ! audioconvert ! \
                 audioresample` before the sink for a file, a `capsfilter` or the `caps` of the \
                 source for raw audio, for example `{raw}`"
            ));
        }
        gst::FlowError::NotNegotiated
    }

    /// Takes a buffer as the caps say it is: raw audio clipped to the segment,
    /// or one packet.
    pub(super) fn take(&self, buffer: &gst::Buffer) -> Result<(), gst::FlowError> {
        let streaming = lock(&self.streaming);
        let width = streaming.format.as_ref().and_then(|f| f.bytes_per_sample());
        match width {
            Some(width) if !streaming.cut.is_whole(buffer.size(), width) => {
                drop(streaming);
                match self.whole(buffer, width)? {
                    Some(whole) => self.take_whole(&whole, lock(&self.streaming)),
                    None => Ok(()),
                }
            }
            _ => self.take_whole(buffer, streaming),
        }
    }

    /// Takes a buffer of whole samples, or one packet.
    fn take_whole(
        &self,
        buffer: &gst::Buffer,
        mut streaming: MutexGuard<'_, Streaming>,
    ) -> Result<(), gst::FlowError> {
        let (connection, format, goes_on) = {
            let (Some(connection), Some(format)) = (&streaming.connection, &streaming.format)
            else {
                drop(streaming);
                return Err(self.not_negotiated());
            };
            let (connection, format) = (Arc::clone(connection), Arc::clone(format));
            let duration = format.duration_of(buffer.size());
            let pts = buffer.pts().map(gst::ClockTime::nseconds);
            let goes_on = pts
                .zip(streaming.steady.as_mut())
                .is_some_and(|(pts, steady)| steady.goes_on(pts, duration));
            (connection, format, goes_on)
        };
        drop(streaming);
        if self.speaker_changed.load(Ordering::Relaxed)
            && self.speaker_changed.swap(false, Ordering::AcqRel)
        {
            connection.set_speaker(lock(&self.settings).speaker());
        }
        // Until the application has been told why, which it may take its time over, the
        // audio is taken and counted as lost. To wait here could be a deadlock: a handler may
        // itself wait for this thread.
        if connection.has_failed()
            && self.error_posted.load(Ordering::Acquire)
            && self.on_fatal() == OnFatal::Error
        {
            return Err(gst::FlowError::Error);
        }
        let has_room = if goes_on {
            self.read(buffer, |data| {
                let audio = Audio {
                    data,
                    instants: Instants::default(),
                    duration: None,
                    speed: 1.0,
                };
                connection.push_audio(&audio)
            })?
        } else {
            self.place(buffer, &connection, &format)?
        };
        if !has_room {
            self.gate();
        }
        Ok(())
    }

    /// Takes a buffer whose times are to be computed. Whether there is room for more.
    fn place(
        &self,
        buffer: &gst::Buffer,
        connection: &Connection,
        format: &AudioFormat,
    ) -> Result<bool, gst::FlowError> {
        lock(&self.streaming).steady = None;
        self.ask_upstream(connection);
        let segment = self.obj().segment();
        // Somebody who flushed and sent no segment after it gets no clipping.
        let times = segment.downcast_ref::<gst::ClockTime>();
        let buffer = match format.bytes_per_sample() {
            // Compressed streams repeat their headers in front of the first
            // packet; the wire has its own place for them.
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
                    gst_audio::audio_buffer_clip(buffer, &segment, rate, width as u32)
                {
                    buffer
                } else {
                    return Ok(true);
                }
            }
        };
        self.read(&buffer, |data| {
            // Not all payloaders know the headers of a file, and RTP has no flag for them.
            let is_header = format.wire.encoding() == Encoding::Opus && is_opus_header(data);
            if data.is_empty() || is_header {
                return true;
            }
            let pts = times.and_then(|segment| self.pts_of(&buffer, segment));
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
            let pushed =
                connection.push_timed(&audio, discont, |running_time| self.utc(running_time));
            // Where a position is known, what follows can go on from it.
            if let (Some(pts), Some(segment), Some(_)) = (pts, times, format.bytes_per_sample())
                && instants.running_time.is_some()
                && buffer.pts().is_some()
                && pushed.is_settled
            {
                let next = pts.nseconds() + format.duration_of(data.len());
                let stop = segment.stop().map(gst::ClockTime::nseconds);
                lock(&self.streaming).steady = Some(Steady::new(next, stop));
            }
            pushed.has_room
        })
    }

    /// Gives `f` the bytes of a buffer. They nearly always lie in one piece, which is
    /// mapped for less than a buffer.
    pub(super) fn read<R>(
        &self,
        buffer: &gst::BufferRef,
        f: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, gst::FlowError> {
        let read = match buffer.n_memory() {
            1 => buffer.peek_memory(0).map_readable().map(|map| f(&map)),
            _ => buffer.map_readable().map(|map| f(&map)),
        };
        read.map_err(|_| {
            gst::element_imp_error!(
                self,
                gst::ResourceError::Read,
                ("A buffer could not be read")
            );
            gst::FlowError::Error
        })
    }

    /// Nothing sounds for so long.
    pub(super) fn take_gap(&self, start: gst::ClockTime, duration: gst::ClockTime) {
        let Some(connection) = self.connection() else {
            return;
        };
        let segment = self.obj().segment();
        let Some(times) = segment.downcast_ref::<gst::ClockTime>() else {
            return;
        };
        let speed = segment.rate().abs();
        let instants = instants(times, Some(start));
        connection.push_gap(instants, duration.nseconds(), speed);
    }
}

/// Running time and stream time of the audio that begins at `pts`.
fn instants(
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
