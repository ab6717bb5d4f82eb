// SPDX-License-Identifier: MPL-2.0

//! What players do to a pipeline, in the manner of gst-validate's scenarios: seeks, scrubs,
//! pauses, rates, segment loops. An element of ours stands beside a `fakesink` behind a
//! `tee`, and everything has to happen to it as it happens to that.

use crate::player::{ALL, LENGTH, Player, SECOND};

#[test]
fn seeks_with_a_flush_happen_as_to_a_fakesink() {
    for (element, format) in ALL {
        let what = format!("{element:?} {format:?}");
        let mut player = Player::new(element, format);
        // In PAUSED, and in PLAYING, ahead and back.
        player.flush_to(1.0, 5 * SECOND);
        player.flush_to(1.0, 2 * SECOND);
        player.set(gst::State::Playing);
        player.play_to(2 * SECOND + SECOND / 2);
        player.flush_to(1.0, 12 * SECOND);
        player.play_to(12 * SECOND + SECOND / 2);
        player.flush_to(1.0, 0);
        player.flush_to(1.0, (LENGTH - 1) * SECOND);
        let seen = player.finish(&what);
        assert_eq!(seen.ends, 1, "{what}");
        assert!(seen.flush_stops >= 5, "{what}: {seen:?}");
    }
}

#[test]
fn scrubs_happen_as_to_a_fakesink() {
    for (element, format) in ALL {
        let what = format!("{element:?} {format:?}");
        let mut player = Player::new(element, format);
        player.set(gst::State::Playing);
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT;
        player.scrubbed = true;
        for n in 0..20u64 {
            // Without a wait, as a slider does that is dragged.
            player.seek(1.0, flags, (n * 7 % LENGTH) * SECOND);
        }
        player.reach(gst::State::Playing);
        player.flush_to(1.0, (LENGTH - 1) * SECOND);
        player.finish(&what);
    }
}

#[test]
fn pauses_happen_as_to_a_fakesink() {
    for (element, format) in ALL {
        let what = format!("{element:?} {format:?}");
        let mut player = Player::new(element, format);
        player.flush_to(1.0, (LENGTH - 2) * SECOND);
        for _ in 0..10 {
            player.set(gst::State::Playing);
            player.set(gst::State::Paused);
        }
        player.set(gst::State::Playing);
        player.play_to((LENGTH - 1) * SECOND);
        player.set(gst::State::Paused);
        player.set(gst::State::Playing);
        player.finish(&what);
    }
}

#[test]
fn other_rates_happen_as_to_a_fakesink() {
    for (element, format) in ALL {
        let what = format!("{element:?} {format:?}");
        let mut player = Player::new(element, format);
        player.set(gst::State::Playing);
        player.flush_to(2.0, 4 * SECOND);
        player.play_to(6 * SECOND);
        player.flush_to(0.5, 8 * SECOND);
        player.play_to(8 * SECOND + SECOND / 2);
        player.flush_to(2.0, (LENGTH - 2) * SECOND);
        player.finish(&what);
    }
}

#[test]
fn loops_of_a_segment_happen_as_to_a_fakesink() {
    for (element, format) in ALL {
        let what = format!("{element:?} {format:?}");
        let mut player = Player::new(element, format);
        let segment = gst::SeekFlags::SEGMENT;
        let (start, stop) = (SECOND, Some(2 * SECOND));
        player.seek_once(segment | gst::SeekFlags::FLUSH, start, stop);
        player.reach(gst::State::Paused);
        player.set(gst::State::Playing);
        for n in 1..=4 {
            let done = |message: &gst::Message| message.type_() == gst::MessageType::SegmentDone;
            player.pipeline.wait_for("the end of the segment", done);
            match n {
                4 => player.seek_once(gst::SeekFlags::empty(), (LENGTH - 1) * SECOND, None),
                _ => player.seek_once(segment, start, stop),
            }
        }
        let seen = player.finish(&what);
        assert_eq!(seen.segments_done, 4, "{what}: {seen:?}");
        assert!(seen.segments.len() >= 5, "{what}: {seen:?}");
    }
}

#[test]
fn ready_and_back_happens_as_to_a_fakesink() {
    for (element, format) in ALL {
        let what = format!("{element:?} {format:?}");
        let mut player = Player::new(element, format);
        for _ in 0..3 {
            player.set(gst::State::Playing);
            player.restart();
        }
        player.flush_to(1.0, (LENGTH - 1) * SECOND);
        player.set(gst::State::Playing);
        player.finish(&what);
    }
}
