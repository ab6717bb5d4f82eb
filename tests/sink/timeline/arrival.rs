// SPDX-License-Identifier: MPL-2.0

//! The same for buffers that have their time of arrival, that hold half a sample, or that come
//! while the wall clock is set.

use super::{L16_16K, MS, S, Stream, speech, times};
use crate::common::pipeline::{buffer, bytes_of, counted};
use gst::prelude::*;
use symbl_service::recognizer::scripted;

/// Pushes buffers of 20 ms with these timestamps, and asserts that the sink took all audio.
fn speak_as(stream: &Stream, samples: &[i16], stamp: impl Fn(u64) -> u64) {
    for (n, piece) in (0..).zip(samples.chunks(320)) {
        stream.push(buffer(bytes_of(piece), Some(stamp(n)), Some(20 * MS)));
    }
}

fn assert_sent_as_it_came(told: &super::Told, samples: usize) {
    let sent = counted(&told.0.sink(), "audio-sent");
    assert_eq!(sent, samples as u64 * MS / 16, "what came was sent");
}

#[test]
fn bursts_are_placed_by_samples_and_get_no_silence() {
    let stream = Stream::plain();
    let samples = speech(0..50);
    speak_as(&stream, &samples, |n| (n / 5 + 1) * 100 * MS);
    let told = stream.finish();
    told.assert_words(&times(0..50, 100 * MS));
    assert_sent_as_it_came(&told, samples.len());
}

#[test]
fn arrivals_with_a_jitter_of_half_a_second_are_placed_by_samples_and_get_no_silence() {
    let stream = Stream::plain();
    let samples = speech(0..100);
    let mut rng = fastrand::Rng::with_seed(21);
    let jitter: Vec<u64> = (0..1000).map(|_| rng.u64(0..1000) * MS).collect();
    speak_as(&stream, &samples, |n| n * 20 * MS + jitter[n as usize]);
    let told = stream.finish();
    told.assert_words(&times(0..100, jitter[0]));
    assert_sent_as_it_came(&told, samples.len());
}

#[test]
fn after_an_undeclared_hole_timestamps_count_once_they_stay() {
    let stream = Stream::plain();
    stream.speak_in(20, 0, &speech(0..10));
    stream.speak_in(20, 9 * S, &speech(10..40));
    let told = stream.finish();
    told.assert_words(&[times(0..10, 0), times(10..40, 9 * S)].concat());
    assert_sent_as_it_came(&told, 40 * 3200);
}

#[test]
fn buffers_with_half_a_sample_lose_nothing() {
    for size in [1023, 1, 641] {
        let stream = Stream::plain();
        let words = if size == 1 { 0..3 } else { 0..25 };
        let samples = speech(words.clone());
        let mut at = 0;
        for piece in bytes_of(&samples).chunks(size) {
            let pts = at / 2 * S / 16_000;
            stream.push(buffer(piece.to_vec(), Some(pts), None));
            at += piece.len() as u64;
        }
        let mut told = stream.finish();
        told.assert_words(&times(words, 0));
        assert_sent_as_it_came(&told, samples.len());
        told.0.collect();
        let warnings = told.0.messages.iter();
        let warnings = warnings.filter(|m| m.type_() == gst::MessageType::Warning);
        assert_eq!(warnings.count(), 1, "said once");
    }
}

#[test]
fn half_a_sample_before_a_discontinuity_does_not_affect_the_audio_behind_it() {
    let stream = Stream::plain();
    let mut before = bytes_of(&speech(0..10));
    before.push(0x55);
    stream.push(buffer(before, Some(0), None));
    let mut behind = buffer(bytes_of(&speech(10..20)), Some(5 * S), None);
    let flagged = behind.get_mut().expect("a new buffer");
    flagged.set_flags(gst::BufferFlags::DISCONT);
    stream.push(behind);
    let expected = [times(0..10, 0), times(10..20, 5 * S)];
    stream.finish().assert_words(&expected.concat());
}

/// Returns talk of ten words from `first` on, and a pause behind it.
fn talk(first: u16) -> Vec<i16> {
    let silence = scripted::silence(std::time::Duration::from_millis(600), 16_000);
    [speech(first..first + 10), silence].concat()
}

/// Returns by how many nanoseconds UTC moved against running time between two talks, and the
/// number of warnings about a wall clock that was set. Between the talks `change` moves
/// running time by an hour against the wall clock.
fn hour_later(change: impl FnOnce(&Stream, &gst::Clock)) -> (i128, usize) {
    crate::common::pipeline::init();
    let clock = gst::glib::Object::new::<gst::SystemClock>();
    let stream = Stream::begin_with(&L16_16K.parse().expect("caps"), &clock);
    stream.segment(&super::segment(0, None));
    stream.speak(0, &talk(0));
    change(&stream, clock.upcast_ref());
    for first in [10, 20] {
        let at = u64::from(first) * 260 * MS;
        let mut next = buffer(bytes_of(&talk(first)), Some(at), None);
        let flagged = next.get_mut().expect("a new buffer");
        flagged.set_flags(gst::BufferFlags::DISCONT);
        stream.push(next);
    }
    let told = stream.finish();
    let parts = [0, 10, 20].map(|n| times(n..n + 10, u64::from(n) * 260 * MS));
    told.assert_words(&parts.concat());
    let zero = |index: usize| {
        let found = &told.0.finals()[index];
        let utc = found.get::<&str>("utc").expect("a time");
        let utc = symbl_protocol::timestamp::parse_rfc3339(utc).expect("RFC 3339");
        let running_time = found.get::<u64>("running-time").expect("a time");
        i128::from(utc) - i128::from(running_time)
    };
    let last = told.0.finals().len() - 1;
    assert!(last > 0, "finals before and after");
    let warnings = told.0.messages.iter().filter(|m| match m.view() {
        gst::MessageView::Warning(warning) => warning
            .details()
            .is_some_and(|d| d.get("reason") == Ok("wall-clock")),
        _ => false,
    });
    (zero(last) - zero(0), warnings.count())
}

const HOUR: u64 = 3600 * S;

/// Asserts that `off` is an hour. A busy machine may stop between two readings of a clock.
fn assert_off_by_an_hour(off: i128) {
    let error = off.abs() - i128::from(HOUR);
    assert!(error.abs() < i128::from(60 * S), "{off} ns");
}

#[test]
fn utc_follows_a_wall_clock_that_is_set_and_one_warning_says_so() {
    // A test cannot set the wall clock of the machine. A jump of the pipeline's clock by an
    // hour changes the difference of the two in the same way.
    let (off, warnings) = hour_later(|_, clock| {
        let (internal, external, numerator, denominator) = clock.calibration();
        let external = external + gst::ClockTime::from_nseconds(HOUR);
        clock.set_calibration(internal, external, numerator, denominator);
    });
    assert_off_by_an_hour(off);
    assert_eq!(warnings, 1);
}

#[test]
fn utc_follows_a_new_base_time_and_no_clock_is_said_to_be_set() {
    let (off, warnings) = hour_later(|stream, _| {
        let sink = stream.pipeline.sink();
        let base = sink.base_time().expect("it plays");
        sink.set_base_time(base + gst::ClockTime::from_nseconds(HOUR));
    });
    assert_off_by_an_hour(off);
    assert_eq!(warnings, 0);
}
