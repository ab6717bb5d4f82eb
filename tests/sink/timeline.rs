// SPDX-License-Identifier: MPL-2.0

//! Words stand where they are spoken: each comes once, in order, within 20 ms of the running
//! time of its audio, whatever the stream does with its time.
//!
//! The audio itself is the truth. Word `w<n>` sounds in the samples to which the test gives a
//! time, and the service's recogniser hears only samples.

mod arrival;
mod packets;

use crate::common::pipeline::{Pipeline, buffer, bytes_of, init};
use crate::common::service::Service;
use gst::prelude::*;
use std::ops::Range;
use symbl_service::recognizer::scripted;

const MS: u64 = 1_000_000;
const S: u64 = 1000 * MS;

const L16_16K: &str = "audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate=16000";

/// A sink, into which the test pushes, and the service behind it.
struct Stream {
    pipeline: Pipeline,
    pad: gst::Pad,
    _service: Service,
}

impl Stream {
    /// Starts a stream of raw audio at 16 kHz, after stream start and caps. The test pushes the
    /// segment.
    fn raw() -> Self {
        init();
        Self::begin(&L16_16K.parse().expect("caps"))
    }

    /// Starts a stream with these caps.
    fn begin(caps: &gst::Caps) -> Self {
        init();
        Self::begin_with(caps, &gst::SystemClock::obtain())
    }

    /// Starts a stream with these caps and this clock.
    fn begin_with(caps: &gst::Caps, clock: &impl IsA<gst::Clock>) -> Self {
        let service = Service::start();
        let (pipeline, feed) =
            crate::common::feed::Feed::pipeline(&format!("base-url={}", service.url()));
        pipeline.pipeline.use_clock(Some(clock));
        pipeline.play();
        let pad = feed.pad.clone();
        pad.push_event(gst::event::StreamStart::new("test"));
        assert!(pad.push_event(gst::event::Caps::new(caps)));
        Self {
            pipeline,
            pad,
            _service: service,
        }
    }

    /// Starts a stream of raw audio at 16 kHz, in a segment from zero on.
    fn plain() -> Self {
        let stream = Self::raw();
        stream.segment(&segment(0, None));
        stream
    }

    fn segment(&self, segment: &gst::FormattedSegment<gst::ClockTime>) {
        assert!(self.pad.push_event(gst::event::Segment::new(segment)));
    }

    fn gap(&self, from: u64, to: u64) {
        let event = gst::event::Gap::builder(gst::ClockTime::from_nseconds(from))
            .duration(gst::ClockTime::from_nseconds(to - from))
            .build();
        assert!(self.pad.push_event(event));
    }

    fn push(&self, buffer: gst::Buffer) {
        self.pad.push(buffer).expect("it flows");
    }

    /// Pushes samples at 16 kHz from `pts` on, in buffers of 30 ms.
    fn speak(&self, pts: u64, samples: &[i16]) {
        self.speak_in(30, pts, samples);
    }

    /// Pushes samples at 16 kHz from `pts` on, in buffers of this many milliseconds.
    fn speak_in(&self, millis: u64, pts: u64, samples: &[i16]) {
        for (n, piece) in (0..).zip(samples.chunks(millis as usize * 16)) {
            let pts = pts + n * millis * MS;
            let duration = piece.len() as u64 * MS / 16;
            self.push(buffer(bytes_of(piece), Some(pts), Some(duration)));
        }
    }

    /// Ends the stream, and returns its results.
    fn finish(mut self) -> Told {
        assert!(self.pad.push_event(gst::event::Eos::new()));
        self.pipeline.wait_for_eos();
        assert_eq!(self.pipeline.of_kind("gap").len(), 0);
        Told(self.pipeline)
    }
}

struct Told(Pipeline);

impl Told {
    /// Asserts that the words of these numbers came once each and in order, at these times.
    fn assert_words(&self, expected: &[(u16, u64)]) {
        let names = |words: &[(String, u64)]| -> Vec<String> {
            words.iter().map(|(word, _)| word.clone()).collect()
        };
        let (finals, messages) = (self.0.words(), words_of_messages(&self.0));
        let wanted: Vec<String> = expected.iter().map(|(n, _)| format!("w{n}")).collect();
        assert_eq!(names(&finals), wanted);
        assert_eq!(names(&messages), wanted, "in messages");
        for told in [finals, messages] {
            for ((word, at), (_, truth)) in told.iter().zip(expected) {
                let off = at.abs_diff(*truth);
                assert!(off <= 20 * MS, "{word} at {at}, said at {truth}");
            }
        }
    }
}

/// Returns the words of all messages, like [`Pipeline::words`].
fn words_of_messages(pipeline: &Pipeline) -> Vec<(String, u64)> {
    let messages = pipeline.of_kind("message");
    let words = messages.iter().map(|s| s.get::<&str>("words"));
    words
        .flat_map(|words| -> Vec<serde_json::Value> {
            serde_json::from_str(words.expect("words")).expect("JSON")
        })
        .map(|word| {
            let text = word["word"].as_str().expect("a word");
            let text = text.trim_matches(|c: char| !c.is_alphanumeric());
            let at = word["running-time"].as_u64().expect("a running time");
            (text.to_lowercase(), at)
        })
        .collect()
}

/// Returns a segment of the stream from `start` on.
fn segment(start: u64, stop: Option<u64>) -> gst::FormattedSegment<gst::ClockTime> {
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(gst::ClockTime::from_nseconds(start));
    segment.set_position(gst::ClockTime::from_nseconds(start));
    segment.set_time(gst::ClockTime::from_nseconds(start));
    segment.set_stop(stop.map(gst::ClockTime::from_nseconds));
    segment
}

fn speech(words: Range<u16>) -> Vec<i16> {
    scripted::speech(words, 16_000)
}

/// Returns the start of each word if they are spoken from `begin` on without a pause.
fn times(words: Range<u16>, begin: u64) -> Vec<(u16, u64)> {
    let first = words.start;
    words
        .map(|n| (n, begin + u64::from(n - first) * 200 * MS))
        .collect()
}

#[test]
fn a_stream_that_does_not_start_at_zero() {
    let stream = Stream::plain();
    stream.speak(3723 * S + 7 * MS, &speech(0..25));
    stream
        .finish()
        .assert_words(&times(0..25, 3723 * S + 7 * MS));
}

#[test]
fn running_time_counts_from_the_start_of_a_later_segment() {
    let stream = Stream::raw();
    stream.segment(&segment(100 * S, None));
    stream.speak(102 * S, &speech(0..15));
    let told = stream.finish();
    told.assert_words(&times(0..15, 2 * S));
    let first = &told.0.finals()[0];
    let stream_time = first.get::<u64>("stream-time").expect("a time");
    assert!(stream_time.abs_diff(102 * S) <= 20 * MS, "{stream_time}");
}

#[test]
fn time_goes_on_in_segments_that_follow_each_other() {
    let stream = Stream::plain();
    stream.speak(0, &speech(0..10));
    // Another place of the medium follows, as in an edit list.
    let mut next = segment(500 * S, None);
    next.set_base(gst::ClockTime::from_seconds(2));
    stream.segment(&next);
    stream.speak(500 * S, &speech(10..20));
    // Another segment follows that is due only three seconds later.
    let mut next = segment(60 * S, None);
    next.set_base(gst::ClockTime::from_seconds(7));
    stream.segment(&next);
    stream.speak(60 * S, &speech(20..30));
    let expected = [times(0..10, 0), times(10..20, 2 * S), times(20..30, 7 * S)];
    let told = stream.finish();
    told.assert_words(&expected.concat());
    let places: Vec<u64> = told
        .0
        .finals()
        .iter()
        .map(|s| s.get::<u64>("stream-time").expect("a time") / S)
        .collect();
    assert_eq!(places, [0, 500, 60]);
}

#[test]
fn a_segment_at_another_rate_is_placed_by_running_time() {
    // There are long buffers, inside which there are no timestamps, and short ones.
    for (rate, buffers) in [(2.0, 30), (2.0, 1500), (0.5, 30), (0.5, 1500)] {
        let stream = Stream::raw();
        let mut segment = segment(10 * S, None);
        segment.set_rate(rate);
        segment.set_base(gst::ClockTime::from_seconds(4));
        stream.segment(&segment);
        stream.speak_in(buffers, 10 * S, &speech(0..30));
        let passes = (200.0 * rate.recip()) as u64 * MS;
        let expected: Vec<_> = (0..30u16)
            .map(|n| (n, 4 * S + u64::from(n) * passes))
            .collect();
        stream.finish().assert_words(&expected);
    }
}

#[test]
fn after_a_gap_event() {
    // The gaps are shorter and longer than the silence that is sent for them.
    for gap in [60 * MS, 730 * MS, 20 * S] {
        let stream = Stream::plain();
        stream.speak(0, &speech(0..10));
        stream.gap(2 * S, 2 * S + gap);
        stream.speak(2 * S + gap, &speech(10..20));
        let expected = [times(0..10, 0), times(10..20, 2 * S + gap)];
        stream.finish().assert_words(&expected.concat());
    }
}

#[test]
fn after_many_gap_events_in_a_row() {
    // A muted source sends such gaps.
    let stream = Stream::plain();
    stream.speak(0, &speech(0..10));
    for n in 0..50 {
        stream.gap(2 * S + n * 100 * MS, 2 * S + (n + 1) * 100 * MS);
    }
    stream.speak(7 * S, &speech(10..20));
    let expected = [times(0..10, 0), times(10..20, 7 * S)];
    stream.finish().assert_words(&expected.concat());
}

#[test]
fn a_stream_that_begins_with_a_gap() {
    let stream = Stream::plain();
    stream.gap(0, 3 * S);
    stream.speak(3 * S, &speech(0..10));
    stream.finish().assert_words(&times(0..10, 3 * S));
}

#[test]
fn after_a_hole() {
    // The holes are from the jitter of timestamps up to hours.
    for hole in [15 * MS, 35 * MS, 60 * MS, 900 * MS, 7 * S, 7200 * S] {
        let stream = Stream::plain();
        stream.speak(0, &speech(0..10));
        let begin = 2 * S + hole;
        let after = speech(10..20);
        let mut first = buffer(bytes_of(&after[..480]), Some(begin), Some(30 * MS));
        first
            .get_mut()
            .expect("a new buffer")
            .set_flags(gst::BufferFlags::DISCONT);
        stream.push(first);
        stream.speak(begin + 30 * MS, &after[480..]);
        let expected = [times(0..10, 0), times(10..20, begin)];
        stream.finish().assert_words(&expected.concat());
    }
}

#[test]
fn after_many_small_holes() {
    // Each hole is too small to be filled. Together they are seconds.
    let stream = Stream::plain();
    let mut expected = Vec::new();
    for n in 0..30u16 {
        let begin = u64::from(n) * 235 * MS;
        let word = speech(n..n + 1);
        let mut first = buffer(bytes_of(&word[..480]), Some(begin), Some(30 * MS));
        let flagged = first.get_mut().expect("a new buffer");
        flagged.set_flags(gst::BufferFlags::DISCONT);
        stream.push(first);
        stream.speak(begin + 30 * MS, &word[480..]);
        expected.push((n, begin));
    }
    stream.finish().assert_words(&expected);
}

#[test]
fn audio_that_overlaps_earlier_audio() {
    // A clock was set back, so that later words stand earlier.
    let stream = Stream::plain();
    stream.speak(10 * S, &speech(0..10));
    stream.speak(11 * S, &speech(10..20));
    let expected = [times(0..10, 10 * S), times(10..20, 11 * S)];
    stream.finish().assert_words(&expected.concat());
}

#[test]
fn buffers_without_times_behind_one_with_times() {
    let stream = Stream::plain();
    let audio = speech(0..25);
    stream.speak(5 * S, &audio[..480]);
    for piece in audio[480..].chunks(480) {
        stream.push(buffer(bytes_of(piece), None, None));
    }
    stream.finish().assert_words(&times(0..25, 5 * S));
}

#[test]
fn buffers_without_times_between_buffers_with_times() {
    let stream = Stream::plain();
    for (n, piece) in speech(0..25).chunks(320).enumerate() {
        let pts = (n % 7 == 0).then_some(n as u64 * 20 * MS);
        stream.push(buffer(bytes_of(piece), pts, None));
    }
    stream.finish().assert_words(&times(0..25, 0));
}

#[test]
fn buffers_that_never_have_times_count_from_the_start_of_the_segment() {
    for (start, base) in [(0, 0), (30 * S, 0), (30 * S, 5 * S)] {
        let stream = Stream::raw();
        let mut segment = segment(start, None);
        segment.set_base(gst::ClockTime::from_nseconds(base));
        stream.segment(&segment);
        for piece in speech(0..25).chunks(320) {
            stream.push(buffer(bytes_of(piece), None, None));
        }
        let told = stream.finish();
        told.assert_words(&times(0..25, base));
        let warnings = told.0.messages.iter();
        let warnings = warnings.filter(|m| m.type_() == gst::MessageType::Warning);
        assert_eq!(warnings.count(), 1, "said once");
    }
}

#[test]
fn only_audio_within_the_segment_is_transcribed() {
    // The edges of the segment are in the middle of buffers and at the edges of words.
    let stream = Stream::raw();
    stream.segment(&segment(2 * S, Some(4 * S)));
    stream.speak(0, &speech(0..30));
    stream.finish().assert_words(&times(10..20, 0));
}

#[test]
fn the_larger_part_of_a_word_at_an_edge_is_heard_in_its_place() {
    let stream = Stream::raw();
    // 50 ms of word 10 and 150 ms of word 20 are outside.
    stream.segment(&segment(2 * S + 50 * MS, Some(4 * S + 50 * MS)));
    stream.speak(0, &speech(0..30));
    let mut expected = times(10..20, 0);
    for (_, at) in &mut expected[1..] {
        *at -= 50 * MS;
    }
    stream.finish().assert_words(&expected);
}

#[test]
fn a_rate_that_does_not_divide_a_second() {
    // Timestamps are rounded to milliseconds, as some containers have them.
    for rate in [11_025u32, 22_050, 44_100] {
        init();
        let caps = L16_16K.replace("16000", &rate.to_string());
        let stream = Stream::begin(&caps.parse().expect("caps"));
        stream.segment(&segment(0, None));
        let samples = scripted::speech(0..100, rate);
        for (n, piece) in samples.chunks(1023).enumerate() {
            let pts = n as u64 * 1023 * S / u64::from(rate) / MS * MS;
            stream.push(buffer(bytes_of(piece), Some(pts), None));
        }
        stream.finish().assert_words(&times(0..100, 0));
    }
}

#[test]
fn after_a_pause_at_the_wall_clock_of_then() {
    let stream = Stream::plain();
    stream.speak(0, &speech(0..10));
    stream.pipeline.set_state(gst::State::Paused);
    let paused = std::time::Instant::now();
    // This is no wait for an event: a pause has to last.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let paused = paused.elapsed();
    stream.pipeline.play();
    stream.speak(2 * S, &speech(10..20));
    let told = stream.finish();
    told.assert_words(&times(0..20, 0));
    let of = |index: usize| {
        let found = &told.0.finals()[index];
        let utc = found.get::<&str>("utc").expect("a time");
        let utc = symbl_protocol::timestamp::parse_rfc3339(utc).expect("RFC 3339");
        (found.get::<u64>("running-time").expect("a time"), utc)
    };
    let (first, second) = (of(0), of(1));
    let running = i128::from(second.0) - i128::from(first.0);
    let shift = i128::from(second.1) - i128::from(first.1) - running;
    // RFC 3339 is written to the millisecond.
    let paused = paused.as_nanos() as i128 - i128::from(2 * MS);
    assert!(shift >= paused, "{shift} ns later, after {paused} ns");
}
