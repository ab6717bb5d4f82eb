// SPDX-License-Identifier: MPL-2.0

//! Takes the buffers of the streaming thread into the connection.
//!
//! Hundreds of elements take fifty buffers a second each. So the times of a buffer that
//! simply continues the one before are not computed: see [`Steady`].

use super::life::Life;
use super::whole::Cut;
use super::{OnFatal, SymblElement, caps, errors, lock, upstream_is_live, whole};
use gst::prelude::*;
use place::{Steady, instants, place};
use std::sync::{Arc, Mutex, MutexGuard};
use symbl_client::session::{Audio, AudioFormat, Instants};
use symbl_client::transport::Connection;

mod place;

/// The state of the streaming thread.
#[derive(Default)]
pub(crate) struct Feed {
    stream: Mutex<StreamState>,
}

#[derive(Default)]
struct StreamState {
    /// The connection that audio goes to, from READY→PAUSED on.
    connection: Option<Arc<Connection>>,
    /// The format of the last CAPS event.
    format: Option<Arc<AudioFormat>>,
    /// Upstream was asked if it is live, since the last start or flush.
    asked_upstream: bool,
    /// Audio came since the last start or flush, so that audio without times can follow it.
    placed: bool,
    /// The base time by which the last times were computed.
    base_time: Option<gst::ClockTime>,
    /// Predicts the next buffer, as long as each buffer continues the one before.
    steady: Option<Steady>,
    /// A sample that upstream cut in two.
    cut: Cut,
    /// Buffers wait for room.
    gated: bool,
    /// A warning about a buffer without a timestamp was posted.
    warned_timestamps: bool,
    /// The last ERROR about a stream that cannot be taken.
    refused: Option<String>,
}

impl Feed {
    /// Forgets the stream, and the connection with it.
    pub(crate) fn reset(&self) {
        *lock(&self.stream) = StreamState::default();
    }

    /// Takes the connection that audio goes to.
    pub(super) fn connect(&self, connection: Arc<Connection>) {
        lock(&self.stream).connection = Some(connection);
    }

    /// Lets go of the connection.
    pub(super) fn disconnect(&self) {
        lock(&self.stream).connection = None;
    }

    /// Returns the connection that audio goes to.
    pub(super) fn connection(&self) -> Option<Arc<Connection>> {
        lock(&self.stream).connection.clone()
    }

    /// Lets the times of the next buffer be computed, whatever came before it.
    pub(crate) fn place_anew(&self) {
        lock(&self.stream).steady = None;
    }

    /// Notes that buffers wait for room. Returns `true` if they did not wait before.
    pub(crate) fn begin_gating(&self) -> bool {
        !std::mem::replace(&mut lock(&self.stream).gated, true)
    }

    /// Returns `true` if buffers wait for room.
    pub(crate) fn is_gated(&self) -> bool {
        lock(&self.stream).gated
    }

    /// Sets if buffers wait for room.
    pub(super) fn set_gated(&self, gated: bool) {
        lock(&self.stream).gated = gated;
    }

    /// Takes raw audio that continues the buffer before, without computing its times. Returns
    /// `true` if there is room for more, and `None` for any other buffer, which [`take`] takes.
    ///
    /// # Errors
    ///
    /// Returns an error if the session has failed and the ERROR is on the bus.
    pub(crate) fn take_steady(
        &self,
        life: &Life,
        buffer: &gst::BufferRef,
    ) -> Result<Option<bool>, gst::FlowError> {
        let Some(connection) = self.goes_on(buffer) else {
            return Ok(None);
        };
        before_audio(life, &connection)?;
        let push = |data: &[u8]| {
            let audio = Audio {
                data,
                instants: Instants::default(),
                duration: None,
                speed: 1.0,
            };
            connection.push_audio(&audio)
        };
        let has_room = map(buffer, push);
        if has_room.is_err() {
            self.place_anew();
        }
        Ok(has_room.ok())
    }

    /// Returns the connection if a buffer goes on where the one before ended, and counts it.
    fn goes_on(&self, buffer: &gst::BufferRef) -> Option<Arc<Connection>> {
        let mut stream = lock(&self.stream);
        let stream = &mut *stream;
        let steady = stream.steady.as_mut()?;
        let (connection, format) = (stream.connection.as_ref()?, stream.format.as_ref()?);
        let size = buffer.size();
        let goes_on = format
            .bytes_per_sample()
            .is_some_and(|width| stream.cut.is_whole(size, width))
            && buffer
                .pts()
                .is_some_and(|pts| steady.goes_on(pts.nseconds(), format.duration_of(size)));
        if !goes_on {
            stream.steady = None;
            return None;
        }
        Some(Arc::clone(connection))
    }

    /// Returns the whole samples of `width` bytes that a buffer of this content completes, and
    /// `true` if this is the first time that a sample is cut.
    pub(super) fn complete(&self, data: &[u8], width: usize, discont: bool) -> (Vec<u8>, bool) {
        let cut = &mut lock(&self.stream).cut;
        if discont {
            cut.forget();
        }
        let bytes = cut.complete(data, width);
        (bytes, cut.is_news())
    }
}

/// Posts an ERROR that says why the stream cannot be taken. Posts the same problem only
/// once, because upstream pushes caps and segments again with every buffer.
pub(crate) fn refuse(element: &impl SymblElement, problem: String) {
    let mut stream = lock(&element.feed().stream);
    let before = stream.refused.replace(problem.clone());
    drop(stream);
    if before.as_ref() != Some(&problem) {
        element.post_error_message(errors::format(&problem));
    }
}

/// Takes the caps of the audio that follows.
///
/// # Errors
///
/// Returns a sentence that says why the service would not take such audio.
pub(crate) fn set_caps<T: SymblElement>(element: &T, caps: &gst::CapsRef) -> Result<(), String> {
    let format = caps::format_from_caps(caps)?;
    gst::debug!(T::category(), obj = element, "Audio is {:?}", format.wire);
    {
        let mut stream = lock(&element.feed().stream);
        stream.format = Some(Arc::new(format.clone()));
        stream.steady = None;
        stream.cut.forget();
    }
    if let Some(connection) = element.life().connection() {
        ask_upstream(element, &connection);
        connection.set_format(format);
    }
    Ok(())
}

/// Takes a segment of the audio that follows. Returns `false` if it is refused.
pub(crate) fn set_segment(element: &impl SymblElement, segment: &gst::Segment) -> bool {
    element.feed().place_anew();
    match problem_of(segment) {
        Some(problem) => {
            refuse(element, problem);
            false
        }
        None => true,
    }
}

/// Takes a FLUSH_STOP event. The next audio does not follow the audio before it.
pub(crate) fn flush(element: &impl SymblElement) {
    {
        let mut stream = lock(&element.feed().stream);
        stream.asked_upstream = false;
        stream.placed = false;
        stream.steady = None;
        stream.cut.forget();
    }
    if let Some(connection) = element.life().connection() {
        connection.flush();
    }
}

/// Takes a buffer that [`Feed::take_steady`] has not taken: raw audio, which is clipped to
/// the segment, or one packet. Returns `true` if there is room for more.
///
/// # Errors
///
/// Returns the flow error for upstream: there is no format, the buffer cannot be read, or
/// the session has failed and the ERROR is on the bus.
pub(crate) fn take(
    element: &impl SymblElement,
    buffer: &gst::Buffer,
    segment: impl FnOnce() -> gst::Segment,
) -> Result<bool, gst::FlowError> {
    let stream = lock(&element.feed().stream);
    let width = stream.format.as_ref().and_then(|f| f.bytes_per_sample());
    match width {
        Some(width) if !stream.cut.is_whole(buffer.size(), width) => {
            drop(stream);
            match whole::whole(element, buffer, width)? {
                Some(whole) => take_whole(element, &whole, segment, lock(&element.feed().stream)),
                None => Ok(true),
            }
        }
        _ => take_whole(element, buffer, segment, stream),
    }
}

/// Takes a buffer of whole samples, or one packet. Returns `true` if there is room for more.
fn take_whole(
    element: &impl SymblElement,
    buffer: &gst::Buffer,
    segment: impl FnOnce() -> gst::Segment,
    stream: MutexGuard<'_, StreamState>,
) -> Result<bool, gst::FlowError> {
    let (Some(connection), Some(format)) = (&stream.connection, &stream.format) else {
        drop(stream);
        return Err(not_negotiated(element));
    };
    let (connection, format) = (Arc::clone(connection), Arc::clone(format));
    drop(stream);
    before_audio(element.life(), &connection)?;
    place(element, buffer, &segment(), &connection, &format)
}

/// Gives the connection a new speaker before the audio that comes now.
///
/// # Errors
///
/// Returns an error if the session has failed and the ERROR is on the bus.
fn before_audio(life: &Life, connection: &Connection) -> Result<(), gst::FlowError> {
    if let Some(speaker) = life.new_speaker() {
        connection.set_speaker(speaker);
    }
    // Until the ERROR is on the bus, the audio is taken and counted as lost. A handler of the
    // application may take long over the message. A wait for it here could be a deadlock,
    // because the handler may itself wait for this thread.
    if connection.has_failed() && life.has_posted_error() && life.on_fatal() == OnFatal::Error {
        return Err(gst::FlowError::Error);
    }
    Ok(())
}

/// Takes a GAP event: there is no audio for `duration`.
pub(crate) fn take_gap(
    element: &impl SymblElement,
    segment: &gst::Segment,
    start: gst::ClockTime,
    duration: gst::ClockTime,
) {
    let Some(connection) = element.life().connection() else {
        return;
    };
    let Some(times) = segment.downcast_ref::<gst::ClockTime>() else {
        return;
    };
    let speed = segment.rate().abs();
    let instants = instants(times, Some(start));
    connection.push_gap(instants, duration.nseconds(), speed);
}

/// Gives `f` the bytes of a buffer. They nearly always lie in one piece of memory, and to
/// map that piece costs less than to map the buffer.
fn map<R>(buffer: &gst::BufferRef, f: impl FnOnce(&[u8]) -> R) -> Result<R, gst::glib::BoolError> {
    match buffer.n_memory() {
        1 => buffer.peek_memory(0).map_readable().map(|map| f(&map)),
        _ => buffer.map_readable().map(|map| f(&map)),
    }
}

/// Gives `f` the bytes of a buffer, or posts an ERROR.
pub(super) fn read<R>(
    element: &impl SymblElement,
    buffer: &gst::BufferRef,
    f: impl FnOnce(&[u8]) -> R,
) -> Result<R, gst::FlowError> {
    map(buffer, f).map_err(|_| {
        gst::element_error!(
            element,
            gst::ResourceError::Read,
            ("A buffer could not be read")
        );
        gst::FlowError::Error
    })
}

/// Tells the connection once per start and flush how audio arrives.
fn ask_upstream<T: SymblElement>(element: &T, connection: &Connection) {
    let feed = element.feed();
    if !std::mem::replace(&mut lock(&feed.stream).asked_upstream, true) {
        let live = upstream_is_live(element);
        let paced = live || element.waits_for_the_clock();
        gst::debug!(
            T::category(),
            obj = element,
            "Upstream is live: {live}, paced: {paced}"
        );
        connection.set_upstream(live, paced);
    }
}

/// Returns the flow error for a buffer without a format. Posts an ERROR that says that there
/// are no caps, unless caps were refused before. A file or a socket has none.
fn not_negotiated(element: &impl SymblElement) -> gst::FlowError {
    // An element with a text pad opens its session when caps have come.
    let is_open = element.life().connection().is_some() || element.has_text_pad();
    if is_open && lock(&element.feed().stream).refused.is_none() {
        let raw = "audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate=16000";
        let problem = format!(
            "its format is not known (it has no caps); put `decodebin ! audioconvert ! \
             audioresample` before the sink for a file, a `capsfilter` or the `caps` of the \
             source for raw audio, for example `{raw}`"
        );
        refuse(element, problem);
    }
    gst::FlowError::NotNegotiated
}

/// Returns what is wrong with a segment, if anything is.
fn problem_of(segment: &gst::Segment) -> Option<String> {
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
