// SPDX-License-Identifier: MPL-2.0

//! Audio that waits to be sent: how much is kept, what is dropped, how fast it leaves.

use super::*;

#[test]
fn a_backlog_of_paced_audio_is_sent_at_the_catch_up_rate() {
    let mut rig = Rig::new(|_| {});
    rig.session.set_upstream(true, true);
    for _ in 0..10 {
        rig.speak(1000);
    }
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    let at_once = rig.heard().len() / 16;
    assert!((1000..1200).contains(&at_once), "{at_once} ms at once");
    rig.pass(Duration::from_secs(2));
    let later = rig.heard().len() / 16;
    assert!(
        (5000..5300).contains(&later),
        "{later} ms after two seconds at twice real time"
    );
    rig.pass(Duration::from_secs(3));
    assert_eq!(rig.heard().len(), 160_000);
}

#[test]
fn a_backlog_that_is_held_back_needs_no_poll_until_a_flush() {
    let mut rig = Rig::new(|_| {});
    rig.session.set_upstream(true, true);
    rig.speak(10_000);
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    assert!(!rig.session.needs_poll(true));
    rig.session.flush(rig.now);
    assert!(!rig.session.needs_poll(true), "nothing is there");
    let audio = Audio {
        data: &[0; 3200],
        instants: Instants::default(),
        duration: None,
        speed: 1.0,
    };
    rig.session.push_audio(rig.now, &audio);
    assert!(rig.session.needs_poll(true));
    assert!(
        !rig.session.needs_poll(false),
        "a socket that takes nothing"
    );
}

#[test]
fn a_full_spool_blocks_upstream_that_is_not_live_and_loses_nothing() {
    let mut rig = Rig::new(|config| config.buffer_duration = Duration::from_secs(2));
    // The session takes the whole buffer, however long it is, and no other after it.
    rig.speak(5000);
    assert!(!rig.session.has_room());
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    assert!(rig.session.has_room());
    rig.accounts_for_everything();
}

#[test]
fn live_audio_drops_the_oldest_and_reports_one_gap_for_one_hole() {
    let mut rig = Rig::new(|config| config.buffer_duration = Duration::from_secs(2));
    rig.session.set_upstream(true, true);
    for _ in 0..50 {
        rig.speak(100);
    }
    rig.accounts_for_everything();
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    assert_eq!(rig.gaps(), [(0, 3000, GapReason::BufferFull)]);
    assert_eq!(rig.heard()[0], (3000 * 16) as u16 as i16);
    rig.text(&final_of(&[("here", 100, 300)]));
    assert_eq!(rig.finals(), [("here".to_owned(), Some(3_100 * MS))]);
}

#[test]
fn silence_that_is_never_finalised_does_not_fill_the_spool() {
    let mut rig = Rig::listening_with(|config| config.buffer_duration = Duration::from_secs(2));
    for _ in 0..100 {
        assert!(rig.session.has_room());
        rig.speak(1000);
    }
    assert!(rig.gaps().is_empty());
    rig.accounts_for_everything();
}

#[test]
fn a_backlog_on_a_socket_that_takes_nothing_is_no_reason_to_wake_up() {
    let mut rig = Rig::new(|_| {});
    rig.session.set_upstream(true, true);
    for _ in 0..5 {
        rig.speak(1000);
    }
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    rig.writable = false;
    rig.pass(Duration::from_secs(3));
    let due = rig.session.next_timeout();
    assert!(
        due.is_some_and(|at| at > rig.now),
        "{due:?} at {:?}",
        rig.now
    );
    rig.writable = true;
    rig.pump();
    assert!(rig.heard().len() > 16_000);
}

#[test]
fn a_replay_that_is_dropped_is_not_counted_twice() {
    let mut rig = Rig::listening_with(|config| config.buffer_duration = Duration::from_secs(2));
    rig.session.set_upstream(true, true);
    rig.speak(1500);
    rig.lose();
    rig.pass(Duration::from_millis(500));
    // From here on, the audio that was sent is to be sent again.
    rig.input(Input::Connected { announced: false });
    for _ in 0..30 {
        rig.speak(100);
        rig.accounts_for_everything();
    }
}

#[test]
fn audio_is_taken_for_as_long_as_the_bound_allows() {
    // Buffers shorter than a chunk, and packets longer than one.
    let mut rig = Rig::new(|config| {
        config.buffer_duration = Duration::from_secs(2);
        config.leaky = LeakyPolicy::None;
    });
    while rig.session.has_room() {
        rig.speak(20);
    }
    assert!((1880..=2020).contains(&(rig.pushed / 16)), "{}", rig.pushed);
    let mut rig = Rig::new(|config| {
        config.buffer_duration = Duration::from_secs(1);
        config.chunk_duration = Duration::from_millis(10);
        config.leaky = LeakyPolicy::None;
    });
    let wire = StreamFormat::new(Encoding::Opus, 48_000).unwrap();
    rig.session.set_format(rig.now, AudioFormat::new(wire));
    let packet = Audio {
        data: &[0x1b, 0x02, 0, 0], // two SILK frames of 60 ms
        instants: Instants::default(),
        duration: None,
        speed: 1.0,
    };
    let mut taken = 0;
    while rig.session.has_room() {
        rig.session.push_audio(rig.now, &packet);
        taken += 1;
    }
    assert_eq!(taken, 9); // packets of 120 ms: the ninth began within the bound
    assert_eq!(rig.session.stats(rig.now).audio_dropped, 0);
}

#[test]
fn a_short_buffer_is_used_in_full_whatever_chunks_were_asked_for() {
    let mut rig = Rig::new(|config| {
        config.buffer_duration = Duration::from_millis(900);
        config.chunk_duration = Duration::from_secs(1);
        config.leaky = LeakyPolicy::Oldest;
    });
    for _ in 0..50 {
        rig.speak(100);
    }
    rig.pass(Duration::from_secs(1));
    let kept = rig.session.stats(rig.now).audio_spooled / MS;
    assert!((600..=900).contains(&kept), "{kept} ms of 900");
}

#[test]
fn after_a_flush_new_audio_does_not_wait_for_the_backlog_that_was_dropped() {
    let mut rig = Rig::new(|_| {});
    rig.session.set_upstream(true, true);
    rig.speak(20_000);
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    rig.session.flush(rig.now);
    let before = rig.heard().len();
    rig.speak_at(60_000 * MS, 100);
    // Half a second is what the silence takes that ends the utterance, at twice real time.
    rig.pass(Duration::from_millis(500));
    assert_eq!(rig.heard().len() - before, 1100 * 16);
}

#[test]
fn packets_of_no_known_duration_do_not_fill_the_memory() {
    let mut rig = Rig::new(|config| {
        config.buffer_duration = Duration::from_secs(1);
        config.leaky = LeakyPolicy::Oldest;
    });
    let wire = StreamFormat::new(Encoding::Opus, 48_000).unwrap();
    rig.session.set_format(rig.now, AudioFormat::new(wire));
    let packet = Audio {
        data: &[0xfb, 0x00], // no frames
        instants: Instants::default(),
        duration: None,
        speed: 1.0,
    };
    for _ in 0..100_000 {
        rig.session.push_audio(rig.now, &packet);
    }
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    let held = rig
        .sent
        .iter()
        .filter(|o| matches!(o, Output::Binary(_)))
        .count();
    assert!(held <= 1000, "{held} packets");
}

#[test]
fn audio_that_was_dropped_does_not_count_as_finalised() {
    let mut rig = Rig::new(|config| config.buffer_duration = Duration::from_secs(2));
    rig.session.set_upstream(true, false);
    for _ in 0..50 {
        rig.speak(100);
    }
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    rig.text(&final_of(&[("here", 100, 300)]));
    assert_eq!(rig.session.stats(rig.now).audio_finalised, 300 * MS);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.text(COMPLETED);
    let stats = rig.session.stats(rig.now);
    assert_eq!(stats.audio_finalised, stats.audio_sent);
}

#[test]
fn a_file_that_outruns_its_service_leaves_room_for_audio_that_was_sent() {
    let mut rig = Rig::listening_with(|config| {
        config.buffer_duration = Duration::from_secs(2);
        config.leaky = LeakyPolicy::None;
    });
    // The service takes one chunk, and upstream gives another as soon as it may.
    for _ in 0..100 {
        rig.writable = false;
        while rig.session.has_room() {
            rig.speak(100);
        }
        rig.writable = true;
        if let Some(output) = rig.session.poll(rig.now, true) {
            rig.sent.push(output);
        }
    }
    assert_eq!(rig.heard().len(), 100 * 1600);
    rig.lose();
    rig.pass(Duration::from_millis(500));
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    // Ten seconds were sent, and one of them is kept.
    let gaps = rig.gaps();
    assert!(
        matches!(gaps[..], [(0, ..=9100, GapReason::NotFinalised)]),
        "{gaps:?}"
    );
}
