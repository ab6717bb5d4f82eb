// SPDX-License-Identifier: MPL-2.0

//! Where audio stands in time, how holes are filled, and how formats are announced.

use super::*;

#[test]
fn a_lone_short_buffer_leaves_in_time() {
    let mut rig = Rig::listening();
    rig.speak(5);
    assert!(rig.heard().is_empty());
    rig.pass(Duration::from_millis(100));
    assert_eq!(rig.heard().len(), 80);
}

#[test]
fn nothing_leaves_on_a_socket_that_takes_nothing() {
    let mut rig = Rig::listening();
    rig.writable = false;
    rig.speak(1000);
    assert!(rig.heard().is_empty());
    rig.writable = true;
    rig.pump();
    assert_eq!(rig.heard().len(), 16_000);
}

#[test]
fn words_stand_at_the_running_time_of_their_audio() {
    let mut rig = Rig::listening();
    rig.speak_at(7_000 * MS, 2000);
    rig.text(&final_of(&[("hello", 400, 800), ("world", 800, 1300)]));
    assert_eq!(rig.finals(), [("hello world".to_owned(), Some(7_400 * MS))]);
    let EventKind::Transcript { words, .. } = &rig.events.last().unwrap().kind else {
        panic!()
    };
    assert_eq!(
        (words[1].running_time, words[1].duration),
        (Some(7_800 * MS), Some(500 * MS))
    );
}

#[test]
fn words_of_an_interim_stand_there_too_and_say_which_are_stable() {
    let mut rig = Rig::listening();
    rig.speak_at(7_000 * MS, 2000);
    let (hello, worl) = ("hello", "worl");
    let words = [(hello, 400, 800), (worl, 800, 1300)];
    let mut interim: Value = serde_json::from_str(&final_of(&words)).unwrap();
    interim["message"]["isFinal"] = json!(false);
    interim["message"]["payload"]["raw"]["alternatives"][0]["x_stableWords"] = json!(1);
    rig.text(&interim.to_string());
    let event = rig.events.last().unwrap();
    let EventKind::Transcript {
        is_final: false,
        words,
        stable_words: 1,
        ..
    } = &event.kind
    else {
        panic!("{event:?}")
    };
    let told: Vec<_> = words
        .iter()
        .map(|word| (word.word.as_str(), word.running_time, word.duration))
        .collect();
    let expected = [
        (hello, Some(7_400 * MS), Some(400 * MS)),
        (worl, Some(7_800 * MS), Some(500 * MS)),
    ];
    assert_eq!(told, expected);
    let place = event.placement.unwrap();
    assert_eq!(place.running_time, Some(7_400 * MS));
    assert_eq!(place.duration, Some(900 * MS));
}

#[test]
fn a_hole_is_filled_up_to_a_bound_and_then_stepped_over() {
    let mut rig = Rig::listening();
    rig.speak_at(0, 1000);
    rig.session.discontinuity();
    rig.speak_at(1_500 * MS, 1000); // half a second is missing
    rig.session.discontinuity();
    rig.speak_at(10_000 * MS, 1000); // seven and a half are missing
    rig.pass(Duration::from_millis(100));
    assert_eq!(rig.heard().len(), (3000 + 500 + 1000) * 16);
    rig.text(&final_of(&[
        ("one", 900, 1000),
        ("two", 1500, 1700),
        ("three", 3500, 3700),
    ]));
    let EventKind::Transcript { words, .. } = &rig.events.last().unwrap().kind else {
        panic!()
    };
    let times: Vec<_> = words.iter().map(|w| w.running_time.unwrap() / MS).collect();
    assert_eq!(times, [900, 1500, 10_000]);
}

#[test]
fn audio_that_comes_in_bursts_is_sent_as_it_is() {
    let mut rig = Rig::listening();
    for n in 0..500 {
        // Five buffers of 20 ms arrive together and have the time of their arrival.
        rig.speak_at((n / 5 + 1) * 100 * MS, 20);
    }
    rig.pass(Duration::from_millis(100));
    assert_eq!(rig.heard().len(), 10_000 * 16);
    rig.text(&final_of(&[("late", 9000, 9500)]));
    let counted = Some((100 + 9000) * MS);
    assert_eq!(rig.finals(), [("late".to_owned(), counted)]);
}

#[test]
fn a_wall_clock_that_was_set_is_reported_once() {
    let mut rig = Rig::listening();
    let zero = std::cell::Cell::new(1_700_000_000_000_000_000);
    let speak = |rig: &mut Rig| {
        let running_time = rig.pushed * MS / 16;
        let audio = Audio {
            data: &[0; 3200],
            instants: Instants {
                running_time: Some(running_time),
                stream_time: Some(running_time),
                utc: Some(zero.get() + running_time as i64),
            },
            duration: None,
            speed: 1.0,
        };
        rig.session.push_audio(rig.now, &audio);
        rig.pushed += 1600;
        rig.pass(Duration::from_millis(100));
        rig.input(Input::Pong);
    };
    (0..20).for_each(|_| speak(&mut rig));
    zero.set(zero.get() + 3_600_000_000_000);
    (0..400).for_each(|_| speak(&mut rig));
    let told = rig
        .events
        .iter()
        .filter(|e| matches!(&e.kind, EventKind::Warning(f) if f.reason == Reason::WallClock));
    assert_eq!(told.count(), 1);
    rig.text(&final_of(&[("late", 40_000, 41_000)]));
    let place = rig.events.last().unwrap().placement.unwrap();
    let running_time = place.running_time.unwrap() as i64;
    assert_eq!(place.utc, Some(zero.get() + running_time));
}

#[test]
fn a_flushing_seek_is_no_new_wall_clock() {
    let mut rig = Rig::listening();
    let begin = 1_700_000_000_000_000_000;
    let mut wall = begin;
    let mut speak = |rig: &mut Rig, running_time: u64| {
        let audio = Audio {
            data: &[0; 3200],
            instants: Instants {
                running_time: Some(running_time),
                stream_time: Some(running_time),
                utc: Some(wall),
            },
            duration: None,
            speed: 1.0,
        };
        rig.session.push_audio(rig.now, &audio);
        wall += 100_000_000;
        rig.pass(Duration::from_millis(100));
        rig.input(Input::Pong);
    };
    (0..20).for_each(|n| speak(&mut rig, n * 100 * MS));
    // Running time begins anew, and the wall clock goes on.
    rig.session.flush(rig.now);
    (0..20).for_each(|n| speak(&mut rig, n * 100 * MS));
    let warned = rig
        .events
        .iter()
        .filter(|e| matches!(e.kind, EventKind::Warning(_)));
    assert_eq!(warned.count(), 0);
    rig.text(&final_of(&[("behind", 3500, 3900)]));
    let place = rig.events.last().unwrap().placement.unwrap();
    assert_eq!(place.running_time, Some(500 * MS));
    assert_eq!(place.utc, Some(begin + 2_500_000_000));
}

#[test]
fn a_gap_event_feeds_bounded_silence_however_often_it_comes() {
    let mut rig = Rig::listening();
    rig.speak_at(0, 1000);
    for n in 0..200 {
        let at = Instants {
            running_time: Some((1000 + n * 20) * MS),
            ..Instants::default()
        };
        rig.session.push_gap(rig.now, at, 20 * MS, 1.0);
    }
    rig.speak_at(5_000 * MS, 1000);
    rig.pass(Duration::from_millis(100));
    assert_eq!(rig.heard().len(), 3000 * 16);
    rig.text(&final_of(&[("late", 2000, 2500)]));
    assert_eq!(rig.finals(), [("late".to_owned(), Some(5_000 * MS))]);
}

/// Says that no audio comes for `millis` from a running time on.
fn gap(rig: &mut Rig, from: u64, millis: u64) {
    let start = Instants {
        running_time: Some(from),
        stream_time: Some(from),
        utc: None,
    };
    rig.session.push_gap(rig.now, start, millis * MS, 1.0);
}

#[test]
fn audio_behind_a_long_gap_stands_at_its_end_although_timestamps_jitter() {
    // The event itself may be late, too.
    for late in [0, 90] {
        let mut rig = Rig::listening();
        // Each buffer comes later than the one before it, until all is on time again.
        for n in 0..20 {
            rig.speak_at((n * 100 + n % 10 * 100) * MS, 100);
        }
        gap(&mut rig, (2_000 + late) * MS, 1_500);
        // A second of it is silence. The rest is no more than the jitter.
        rig.speak_at(3_500 * MS, 500);
        rig.pass(Duration::from_millis(100));
        rig.text(&final_of(&[("behind", 3000, 3500)]));
        assert_eq!(rig.finals(), [("behind".to_owned(), Some(3_500 * MS))]);
    }
}

#[test]
fn a_gap_moves_no_event_of_the_stream_before_audio_confirms_it() {
    for millis in [10_000, u64::MAX / MS] {
        let mut rig = Rig::listening();
        rig.speak_at(0, 1000);
        gap(&mut rig, 1_000 * MS, millis);
        assert_eq!(rig.session.pushed(), (2_000 * MS, Some(2_000 * MS)));
        rig.speak_at(4_000 * MS, 1000);
        rig.pass(Duration::from_millis(100));
        rig.text(&final_of(&[("sooner", 2000, 2500)]));
        assert_eq!(rig.finals(), [("sooner".to_owned(), Some(4_000 * MS))]);
    }
}

#[test]
fn a_gap_of_absurd_length_is_no_time_of_the_session() {
    let mut rig = Rig::listening();
    rig.speak_at(0, 1000);
    gap(&mut rig, 1_000 * MS, u64::MAX / MS);
    assert_eq!(rig.session.expected_running_time(), Some(2_000 * MS));
}

#[test]
fn buffers_without_times_follow_the_one_before() {
    let mut rig = Rig::listening();
    rig.speak_at(3_000 * MS, 1000);
    let untimed = Audio {
        data: &[0; 32_000],
        instants: Instants::default(),
        duration: None,
        speed: 1.0,
    };
    rig.session.push_audio(rig.now, &untimed);
    rig.pump();
    rig.text(&final_of(&[("later", 1500, 1600)]));
    assert_eq!(rig.finals(), [("later".to_owned(), Some(4_500 * MS))]);
}

#[test]
fn a_flush_drops_waiting_audio_and_ends_the_utterance() {
    let mut rig = Rig::listening();
    rig.speak_at(0, 1050);
    rig.writable = false;
    rig.speak_at(1_050 * MS, 500);
    rig.session.flush(rig.now);
    rig.writable = true;
    rig.speak_at(60_000 * MS, 1000);
    assert_eq!(
        rig.heard().len(),
        3000 * 16,
        "a second of silence parts what was said at two places"
    );
    rig.text(&final_of(&[("there", 2100, 2300)]));
    assert_eq!(rig.finals(), [("there".to_owned(), Some(60_100 * MS))]);
    assert_eq!(rig.session.state(), State::Listening);
    rig.accounts_for_everything();
}

#[test]
fn flushes_in_a_row_send_silence_once() {
    let mut rig = Rig::listening();
    rig.speak_at(0, 1000);
    for _ in 0..5 {
        rig.session.flush(rig.now);
        rig.session.push_gap(rig.now, Instants::default(), 0, 1.0);
        rig.speak_at(60_000 * MS, 0);
        rig.pass(Duration::from_secs(1));
    }
    rig.speak_at(60_000 * MS, 1000);
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.heard().len(), 3000 * 16);
}

#[test]
fn a_change_of_format_is_sent_between_the_last_old_byte_and_the_first_new_one() {
    let mut rig = Rig::listening();
    rig.speak(150);
    let other = StreamFormat::new(Encoding::Linear16, 8_000).unwrap();
    rig.session.set_format(rig.now, AudioFormat::new(other));
    let audio = Audio {
        data: &[7; 1600],
        instants: Instants::default(),
        duration: None,
        speed: 1.0,
    };
    rig.session.push_audio(rig.now, &audio);
    rig.pump();
    let tail: Vec<_> = rig.sent.iter().rev().take(3).collect();
    assert!(matches!(tail[0], Output::Binary(data) if data[..] == [7; 1600]));
    assert!(
        matches!(tail[1], Output::Text(text) if text.contains("modify_request") && text.contains("8000"))
    );
    assert!(matches!(tail[2], Output::Binary(data) if data.len() == 50 * 32));
}

#[test]
fn a_flac_header_precedes_the_audio_of_every_start() {
    let mut rig = Rig::listening();
    let wire = StreamFormat::new(Encoding::Flac, 16_000).unwrap();
    let header = Bytes::from_static(b"fLaC header");
    rig.session.set_format(
        rig.now,
        AudioFormat {
            header: header.clone(),
            ..AudioFormat::new(wire)
        },
    );
    let frame = Audio {
        data: &[0xff, 0xf8, 0x79, 0x18, 0, 0x06, 0x3f, 0],
        instants: Instants::default(),
        duration: None,
        speed: 1.0,
    };
    rig.session.push_audio(rig.now, &frame);
    rig.pump();
    assert_eq!(rig.sent[rig.sent.len() - 2], Output::Binary(header.clone()));
    rig.lose();
    rig.pass(Duration::from_millis(500));
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    assert_eq!(rig.sent[rig.sent.len() - 2], Output::Binary(header));
    assert_eq!(
        rig.sent.last(),
        Some(&Output::Binary(Bytes::copy_from_slice(frame.data)))
    );
    let again = rig.texts();
    assert_eq!(
        again.last().unwrap()["config"]["speechRecognition"]["encoding"],
        "FLAC"
    );
}

#[test]
fn times_at_the_end_of_all_time_do_not_overflow() {
    let mut rig = Rig::listening();
    rig.speak_at(u64::MAX - 1, 100);
    rig.speak_at(u64::MAX - 1, 100);
    let end = Instants {
        running_time: Some(u64::MAX - 1),
        ..Instants::default()
    };
    rig.session.push_gap(rig.now, end, u64::MAX, 1.0);
    assert_eq!(rig.heard().len(), 3200);
}
