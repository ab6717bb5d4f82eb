// SPDX-License-Identifier: MPL-2.0

//! Cuts audio into the binary messages that go on the wire.
//!
//! Raw audio is collected until a chunk's duration or 8,192 bytes are full, whichever is
//! less, always on a sample boundary. Compressed audio keeps its packets. An Opus packet
//! is one message. A FLAC frame is one message or, if it is larger than a message may be,
//! several that only make sense together. Audio that waits here has a deadline, so that a
//! lone short buffer leaves in time.

use super::config::Speaker;
use super::{Position, Time};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use std::time::Duration;
use symbl_protocol::{Encoding, MAX_AUDIO_MESSAGE, StreamFormat};

/// The format of audio, and its speaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioFormat {
    /// The format as `start_request` and `modify_request` state it.
    pub wire: StreamFormat,
    /// The FLAC stream header. It is sent as the first audio after each start.
    pub header: Bytes,
    /// The speaker. The session fills it in.
    pub speaker: Arc<Speaker>,
}

impl AudioFormat {
    /// Returns a format without a stream header.
    pub fn new(wire: StreamFormat) -> Self {
        Self {
            wire,
            header: Bytes::new(),
            speaker: Arc::default(),
        }
    }

    /// Returns the bytes per sample of raw audio, or `None` for packets.
    pub fn bytes_per_sample(&self) -> Option<usize> {
        match self.wire.encoding() {
            Encoding::Linear16 => Some(2),
            Encoding::Mulaw => Some(1),
            Encoding::Opus | Encoding::Flac => None,
        }
    }

    /// Returns how long `bytes` of raw audio last, in nanoseconds; 0 for packets.
    pub fn duration_of(&self, bytes: usize) -> u64 {
        self.bytes_per_sample().map_or(0, |width| {
            samples_to_nanos((bytes / width) as u64, self.clock_rate())
        })
    }

    /// Returns the byte that raw audio repeats for silence.
    pub(super) fn silence(&self) -> Option<u8> {
        match self.wire.encoding() {
            Encoding::Linear16 => Some(0),
            Encoding::Mulaw => Some(0xff),
            Encoding::Opus | Encoding::Flac => None,
        }
    }

    /// Returns the rate that packets and samples are counted in, in hertz. Opus always counts
    /// at 48 kHz.
    pub(super) fn clock_rate(&self) -> u32 {
        match self.wire.encoding() {
            Encoding::Opus => 48_000,
            _ => self.wire.sample_rate(),
        }
    }
}

/// One binary message, which holds whole audio or one part of a packet that is too large
/// for one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The payload of the message, 1–8,192 bytes.
    pub data: Bytes,
    /// The start of its audio.
    pub start: Position,
    /// The end of its audio. Parts of a packet before the last end where they start.
    pub end: Position,
    /// The format of the bytes.
    pub format: Arc<AudioFormat>,
    /// `true` if a stream may begin here; `false` for later parts of a packet.
    pub entry: bool,
    /// `true` if the chunk may hold sound. Compressed audio always may.
    pub audible: bool,
    /// `true` if the chunk holds sound, as far as that shows without decoding it.
    pub loud: bool,
    /// How much of its stream was sent before this chunk was sent for the first time, in
    /// nanoseconds; `None` until then. A replay does not change it.
    pub place: Option<u64>,
}

/// Peak below which raw audio is silence, about −50 dBFS of 16 bits.
const AUDIBLE: u16 = 100;

/// Bit rate below which compressed audio is silence: discontinuous transmission, or frames
/// that encode silence.
const LOUD_BIT_RATE: u64 = 5_000;

/// Returns `true` if a packet of `bytes` that lasts `nanos` is more than silence.
fn is_loud(bytes: usize, nanos: u64) -> bool {
    bytes as u64 * 8_000_000_000 / LOUD_BIT_RATE > nanos
}

/// Bytes that are examined together; a whole number of samples.
const LOOK: usize = 512;

/// Memory that is allocated at once, in bytes: two messages of the largest size. Chunks
/// are cut from it, and it is used again when all of them have been dropped.
const BLOCK: usize = 2 * MAX_AUDIO_MESSAGE;

/// Returns `true` if raw audio is louder than silence anywhere.
fn is_audible(encoding: Encoding, data: &[u8]) -> bool {
    match encoding {
        // By blocks, so that the compiler can vectorise the loop.
        Encoding::Linear16 => data.chunks(LOOK).any(|block| {
            let samples = block.as_chunks().0.iter();
            let levels = samples.map(|sample| i16::from_le_bytes(*sample).unsigned_abs());
            levels.fold(0, u16::max) > AUDIBLE
        }),
        // The first segment of the companding curve ends at about the same level.
        Encoding::Mulaw => data.chunks(LOOK).any(|block| {
            let levels = block.iter().map(|byte| !byte & 0x7f);
            levels.fold(0, u8::max) > 0x0f
        }),
        Encoding::Opus | Encoding::Flac => true,
    }
}

/// Turns a count of samples into positions without accumulating rounding errors.
#[derive(Debug, Clone, Copy)]
struct SampleClock {
    base: Position,
    samples: u64,
    rate: u32,
}

impl SampleClock {
    fn position(&self) -> Position {
        self.base + samples_to_nanos(self.samples, self.rate)
    }
}

/// Returns how long `samples` last at `rate` hertz, in nanoseconds, rounded down.
pub fn samples_to_nanos(samples: u64, rate: u32) -> u64 {
    // The fast way: this runs several times for each buffer, and days of audio fit in 64 bits.
    match samples.checked_mul(1_000_000_000) {
        Some(scaled) => scaled / u64::from(rate.max(1)),
        None => u64::try_from(u128::from(samples) * 1_000_000_000 / u128::from(rate.max(1)))
            .unwrap_or(u64::MAX),
    }
}

/// Returns the number of samples in `nanos` at `rate` hertz, rounded to the nearest.
pub fn nanos_to_samples(nanos: u64, rate: u32) -> u64 {
    u64::try_from((u128::from(nanos) * u128::from(rate) + 500_000_000) / 1_000_000_000)
        .unwrap_or(u64::MAX)
}

/// Collects audio into [`Chunk`]s of one format at a time.
#[derive(Debug)]
pub struct Chunker {
    duration: Duration,
    format: Option<Arc<AudioFormat>>,
    /// How many bytes of raw audio make a full chunk of this format.
    full: usize,
    /// The duration of a full chunk, in nanoseconds; 0 for packets.
    full_nanos: u64,
    clock: SampleClock,
    /// Audio that is no chunk yet, in a block of memory with room for more.
    pending: BytesMut,
    pending_start: Position,
    /// When the oldest pending byte must leave.
    deadline: Option<Time>,
    /// The time before which the next chunk is not due if its audio comes at an even pace.
    /// Set when a full chunk has left.
    lookout: Option<Time>,
}

impl Chunker {
    /// Returns a chunker whose chunks of raw audio last `duration`, or fill a message.
    pub fn new(duration: Duration) -> Self {
        Self {
            duration,
            format: None,
            full: 0,
            full_nanos: 0,
            clock: SampleClock {
                base: 0,
                samples: 0,
                rate: 1,
            },
            pending: BytesMut::new(),
            pending_start: 0,
            deadline: None,
            lookout: None,
        }
    }

    /// Returns the format of the audio that is pushed now.
    pub fn format(&self) -> Option<&Arc<AudioFormat>> {
        self.format.as_ref()
    }

    /// Sets the format of the audio that follows. Call [`Chunker::flush`] first.
    pub fn set_format(&mut self, format: Arc<AudioFormat>) {
        debug_assert!(self.pending.is_empty());
        self.clock = SampleClock {
            base: self.position(),
            samples: 0,
            rate: format.clock_rate(),
        };
        let width = format.bytes_per_sample().unwrap_or(1);
        self.full = self.full_chunk(width);
        self.full_nanos = format.duration_of(self.full);
        self.format = Some(format);
    }

    /// Returns the position of the next pushed audio.
    pub fn position(&self) -> Position {
        self.clock.position()
    }

    /// Returns the position of the oldest audio that has not left as a chunk.
    pub fn pending_start(&self) -> Position {
        if self.pending.is_empty() {
            self.position()
        } else {
            self.pending_start
        }
    }

    /// Returns the time at which [`Chunker::flush`] is due.
    pub fn deadline(&self) -> Option<Time> {
        self.deadline
    }

    /// Returns the time until which a task that waits for [`Chunker::deadline`] may sleep.
    /// Audio that comes meanwhile is due later, as long as it comes at an even pace. Without
    /// this, the first buffer of each chunk would wake the task.
    pub fn lookout(&self) -> Option<Time> {
        self.deadline.or(self.lookout)
    }

    /// Forgets [`Chunker::lookout`] if its time has come. Call it while nothing is pending.
    pub fn relax(&mut self, now: Time) {
        self.lookout = self.lookout.filter(|at| *at > now);
    }

    /// Returns how many bytes of raw audio make a full chunk.
    fn full_chunk(&self, bytes_per_sample: usize) -> usize {
        let nanos = u64::try_from(self.duration.as_nanos()).unwrap_or(u64::MAX);
        let samples =
            usize::try_from(nanos_to_samples(nanos, self.clock.rate)).unwrap_or(usize::MAX);
        let limit = MAX_AUDIO_MESSAGE - MAX_AUDIO_MESSAGE % bytes_per_sample;
        samples
            .saturating_mul(bytes_per_sample)
            .clamp(bytes_per_sample, limit)
    }

    /// Returns how long a full chunk of raw audio lasts, in nanoseconds; 0 for packets.
    pub fn chunk_nanos(&self) -> u64 {
        self.full_nanos
    }

    /// Takes raw audio until one chunk is full at most. Returns how many bytes it took (whole
    /// samples only), and the chunk that became full.
    pub fn push_raw(&mut self, now: Time, data: &[u8]) -> (usize, Option<Chunk>) {
        let Some(bytes_per_sample) = self.format.as_ref().and_then(|f| f.bytes_per_sample()) else {
            return (0, None);
        };
        let full = self.full;
        let whole = data.len() - data.len() % bytes_per_sample;
        let taken = whole.min(full.saturating_sub(self.pending.len()));
        if taken > 0 {
            if self.pending.is_empty() {
                self.pending_start = self.position();
                self.deadline = Some(now + self.duration);
                self.provide(full);
            }
            self.pending.extend_from_slice(&data[..taken]);
            self.clock.samples += (taken / bytes_per_sample) as u64;
        }
        if self.pending.len() < full {
            return (taken, None);
        }
        let due = self.deadline.unwrap_or(now);
        let chunk = self.flush();
        // At an even pace the next one will be full a chunk's duration from now, and
        // due one buffer's duration later; few buffers are shorter than an eighth.
        let is_even = due < now + self.duration / 2;
        self.lookout = match taken == full {
            true => None, // One buffer is a chunk.
            false if is_even => Some(now + self.duration + self.duration / 8),
            false => Some(now + self.duration),
        };
        (taken, chunk)
    }

    /// Passes over samples at the format's clock rate. Nothing may be pending.
    pub fn skip(&mut self, samples: u64) {
        debug_assert!(self.pending.is_empty());
        self.clock.samples += samples;
    }

    /// Takes one packet that lasts `samples` at the format's clock rate.
    pub fn push_packet(&mut self, packet: &[u8], samples: u32) -> Vec<Chunk> {
        let Some(format) = self.format.clone() else {
            return Vec::new();
        };
        let start = self.position();
        self.clock.samples += u64::from(samples);
        let end = self.position();
        let loud = is_loud(packet.len(), end - start);
        self.provide(packet.len());
        self.pending.extend_from_slice(packet);
        let packet = self.pending.split().freeze();
        let parts = packet.len().div_ceil(MAX_AUDIO_MESSAGE);
        (0..parts)
            .map(|part| {
                let from = part * MAX_AUDIO_MESSAGE;
                let to = (from + MAX_AUDIO_MESSAGE).min(packet.len());
                Chunk {
                    data: packet.slice(from..to),
                    start,
                    end: if part + 1 == parts { end } else { start },
                    format: Arc::clone(&format),
                    entry: part == 0,
                    audible: true,
                    loud,
                    place: None,
                }
            })
            .collect()
    }

    /// Makes room for this many more bytes.
    fn provide(&mut self, bytes: usize) {
        if self.pending.capacity() - self.pending.len() < bytes {
            // A block holds a whole number of pieces of this size, so that no memory is wasted if
            // all pieces that follow have it.
            self.pending.reserve((BLOCK / bytes.max(1)).max(1) * bytes);
        }
    }

    /// Returns the pending audio as a chunk, however short it is.
    pub fn flush(&mut self) -> Option<Chunk> {
        self.deadline = None;
        if self.pending.is_empty() {
            return None;
        }
        let format = Arc::clone(self.format.as_ref()?);
        let data = self.pending.split().freeze();
        let audible = is_audible(format.wire.encoding(), &data);
        Some(Chunk {
            audible,
            loud: audible,
            data,
            start: self.pending_start,
            end: self.position(),
            format,
            entry: true,
            place: None,
        })
    }

    /// Drops the pending audio. Its positions are not used again.
    pub fn clear(&mut self) {
        self.pending.clear();
        self.deadline = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunker(encoding: Encoding, rate: u32) -> Chunker {
        let mut chunker = Chunker::new(Duration::from_millis(100));
        let wire = StreamFormat::new(encoding, rate).unwrap();
        chunker.set_format(Arc::new(AudioFormat::new(wire)));
        chunker
    }

    /// Pushes five buffers of 20 ms, one each `pace` from `from` on.
    fn push_chunk(chunker: &mut Chunker, from: Time, pace: Duration) {
        for n in 0..5 {
            let (taken, chunk) = chunker.push_raw(from + pace * n, &[0; 640]);
            assert_eq!((taken, chunk.is_some()), (640, n == 4));
        }
    }

    #[test]
    fn a_task_that_waits_for_the_deadline_sleeps_until_the_next_one_at_an_even_pace() {
        for pace in [20, 0].map(Duration::from_millis) {
            let mut chunker = chunker(Encoding::Linear16, 16_000);
            push_chunk(&mut chunker, Time::ZERO, pace);
            let lookout = chunker.lookout().unwrap();
            let full_again = pace * 9;
            assert!(
                lookout > full_again,
                "{pace:?}: it would wake up for nothing"
            );
            let (_, none) = chunker.push_raw(pace * 5, &[0; 640]);
            assert!(none.is_none());
            assert!(
                chunker.deadline().unwrap() >= lookout,
                "{pace:?}: no need to wake up"
            );
            assert_eq!(chunker.lookout(), chunker.deadline(), "{pace:?}");
        }
    }

    #[test]
    fn there_is_no_lookout_after_the_end_of_a_stream_or_with_a_chunk_in_each_buffer() {
        let mut chunker = chunker(Encoding::Linear16, 16_000);
        push_chunk(&mut chunker, Time::ZERO, Duration::from_millis(20));
        let lookout = chunker.lookout().unwrap();
        chunker.relax(lookout - Duration::from_millis(1));
        assert_eq!(chunker.lookout(), Some(lookout));
        chunker.relax(lookout);
        assert_eq!(chunker.lookout(), None);
        chunker.push_raw(lookout, &[0; 3200]);
        assert_eq!((chunker.deadline(), chunker.lookout()), (None, None));
    }

    fn push_all(chunker: &mut Chunker, mut data: &[u8]) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        loop {
            let (taken, chunk) = chunker.push_raw(Time::ZERO, data);
            data = &data[taken..];
            chunks.extend(chunk);
            if data.is_empty() {
                return chunks;
            }
        }
    }

    #[test]
    fn chunks_last_as_long_as_asked() {
        let mut chunker = chunker(Encoding::Linear16, 16_000);
        let chunks = push_all(&mut chunker, &[0; 6400]);
        assert_eq!(chunks.len(), 2);
        assert!(chunks.iter().all(|c| c.data.len() == 3200));
        assert_eq!((chunks[1].start, chunks[1].end), (100_000_000, 200_000_000));
    }

    #[test]
    fn no_chunk_exceeds_a_message_or_splits_a_sample() {
        for rate in [8_000, 11_025, 22_050, 44_100, 48_000] {
            let mut chunker = chunker(Encoding::Linear16, rate);
            let data: Vec<u8> = (0..1_048_576u32).map(|i| (i * 7 % 251) as u8).collect();
            let mut chunks = push_all(&mut chunker, &data);
            chunks.extend(chunker.flush());
            assert!(
                chunks
                    .iter()
                    .all(|c| c.data.len() <= 8192 && c.data.len() % 2 == 0)
            );
            let joined: Vec<u8> = chunks.iter().flat_map(|c| c.data.to_vec()).collect();
            assert_eq!(joined, data);
            assert!(chunks.windows(2).all(|w| w[0].end == w[1].start));
        }
    }

    #[test]
    fn half_a_sample_is_not_taken() {
        let mut chunker = chunker(Encoding::Linear16, 16_000);
        assert_eq!(chunker.push_raw(Time::ZERO, &[1]).0, 0);
        assert_eq!(chunker.push_raw(Time::ZERO, &[1, 2, 3]).0, 2);
    }

    #[test]
    fn a_lone_short_buffer_has_a_deadline() {
        let mut chunker = chunker(Encoding::Mulaw, 8_000);
        assert_eq!(chunker.deadline(), None);
        chunker.push_raw(Duration::from_secs(3), &[0; 8]);
        assert_eq!(chunker.deadline(), Some(Duration::from_millis(3100)));
        assert_eq!(chunker.flush().unwrap().data.len(), 8);
        assert_eq!(chunker.deadline(), None);
    }

    #[test]
    fn packets_stay_whole() {
        let mut chunker = chunker(Encoding::Opus, 48_000);
        let chunks = chunker.push_packet(&[0xf8; 100], 960);
        assert_eq!(chunks.len(), 1);
        assert_eq!(chunks[0].end, 20_000_000);
        let chunks = chunker.push_packet(&[0xf8; 3], 960);
        assert_eq!((chunks[0].start, chunks[0].data.len()), (20_000_000, 3));
    }

    #[test]
    fn a_frame_larger_than_a_message_is_cut_and_marked() {
        let mut chunker = chunker(Encoding::Flac, 48_000);
        let chunks = chunker.push_packet(&[1; 9000], 4800);
        assert_eq!(chunks.len(), 2);
        assert_eq!((chunks[0].data.len(), chunks[1].data.len()), (8192, 808));
        assert_eq!((chunks[0].entry, chunks[1].entry), (true, false));
        assert_eq!((chunks[0].end, chunks[1].end), (0, 100_000_000));
    }

    #[test]
    fn silence_is_told_from_sound() {
        let mut linear = chunker(Encoding::Linear16, 16_000);
        linear.push_raw(Time::ZERO, &[50, 0, 206, 255]); // 50, -50
        assert!(!linear.flush().unwrap().audible);
        linear.push_raw(Time::ZERO, &[0, 0, 0, 128]); // -32768
        assert!(linear.flush().unwrap().audible);
        let mut mulaw = chunker(Encoding::Mulaw, 8_000);
        mulaw.push_raw(Time::ZERO, &[0xff, 0x7f, 0xf2]);
        assert!(!mulaw.flush().unwrap().audible);
        mulaw.push_raw(Time::ZERO, &[0xff, 0x80]);
        assert!(mulaw.flush().unwrap().audible);
    }

    #[test]
    fn positions_do_not_drift() {
        let mut chunker = chunker(Encoding::Linear16, 44_100);
        for _ in 0..44_100 {
            push_all(&mut chunker, &[0; 2]);
        }
        assert_eq!(chunker.position(), 1_000_000_000);
    }

    #[test]
    fn a_new_format_goes_on_where_the_old_one_ended() {
        let mut chunker = chunker(Encoding::Linear16, 48_000);
        push_all(&mut chunker, &[0; 4800]);
        chunker.flush();
        let wire = StreamFormat::new(Encoding::Linear16, 16_000).unwrap();
        chunker.set_format(Arc::new(AudioFormat::new(wire)));
        assert_eq!(chunker.position(), 50_000_000);
    }
}
