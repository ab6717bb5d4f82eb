// SPDX-License-Identifier: MPL-2.0

//! What start requests say of the stream, so that a service stores replayed audio once.

use super::*;
use crate::session::PausePolicy;
use symbl_protocol::{ClientMessage, StreamPlace};

const ANNOUNCED: Input<'_> = Input::Connected { announced: true };

impl Rig {
    /// Returns a rig that listens, on a connection to a service that announces itself.
    pub(super) fn announced_with(change: impl FnOnce(&mut SessionConfig)) -> Self {
        let mut rig = Self::new(change);
        rig.input(ANNOUNCED);
        rig.text(LISTENING);
        rig
    }

    /// Lets the session dial again, connects it and acknowledges its start.
    fn rejoin(&mut self, announced: bool) {
        self.pass(Duration::from_secs(3));
        self.input(Input::Connected { announced });
        self.text(LISTENING);
    }

    /// Returns the start requests so far.
    fn starts(&self) -> impl Iterator<Item = StartRequest> {
        let sent = self.sent.iter().filter_map(|output| match output {
            Output::Text(text) => ClientMessage::parse(text).ok(),
            _ => None,
        });
        sent.filter_map(|message| match message {
            ClientMessage::Start(request) => Some(*request),
            _ => None,
        })
    }

    /// Returns what each start request so far said of the stream.
    fn places(&self) -> Vec<Option<StreamPlace>> {
        self.starts().map(|request| request.stream).collect()
    }

    /// Returns what the last start request said: its place, and in it the attempt and the
    /// position in milliseconds.
    fn last_place(&self) -> (StreamPlace, (u64, u64)) {
        let place = self.places().pop().flatten().expect("a place");
        assert_eq!(place.position % MS, 0, "{place:?}");
        let numbers = (place.attempt, place.position / MS);
        (place, numbers)
    }

    /// Finalises all audio before `end`, in milliseconds of this start, as a service without
    /// messages does.
    fn finalise(&mut self, end: u64) {
        self.text(&final_of(&[("one", 0, 50)]));
        self.text(&final_of(&[("two", end - 50, end)]));
    }
}

/// Returns the sample numbers of these milliseconds, as [`Rig::heard`] does.
fn samples(millis: std::ops::Range<u64>) -> Vec<i16> {
    (millis.start * 16..millis.end * 16)
        .map(|n| n as i16)
        .collect()
}

#[test]
fn only_a_service_that_announces_itself_is_told_and_attempts_count_on_after_another_service() {
    let mut rig = Rig::announced_with(|_| {});
    rig.speak(1000);
    let (first, numbers) = rig.last_place();
    assert_eq!(numbers, (1, 0));
    assert_eq!(first.id.len(), 36, "{first:?}");
    rig.lose();
    rig.rejoin(false);
    assert_eq!(rig.places().last(), Some(&None));
    rig.speak(1000);
    rig.finalise(1500);
    rig.lose();
    rig.rejoin(true);
    let (third, numbers) = rig.last_place();
    assert_eq!((third.id, numbers), (first.id, (2, 1500)));
}

#[test]
fn a_service_that_announces_itself_is_asked_for_finals_only_if_nothing_needs_more() {
    for (interim_results, interim_trackers, announced, expected) in [
        (true, false, true, true),
        (false, false, true, false),
        (false, true, true, true),
        // Another service may do otherwise.
        (false, false, false, true),
    ] {
        let mut rig = Rig::new(|config| {
            config.interim_results = interim_results;
            config.start.interim_trackers = interim_trackers;
        });
        rig.input(Input::Connected { announced });
        let asked: Vec<_> = rig.starts().map(|start| start.interim_results).collect();
        assert_eq!(
            asked,
            [expected],
            "{interim_results} {interim_trackers} {announced}"
        );
    }
}

#[test]
fn two_sessions_are_two_streams() {
    let [one, other] = [(); 2].map(|()| Rig::announced_with(|_| {}).last_place().0);
    assert_ne!(one.id, other.id);
}

#[test]
fn a_replay_has_the_position_that_its_audio_had_first() {
    let mut rig = Rig::announced_with(|_| {});
    rig.speak(2000);
    rig.finalise(1100);
    for attempt in 2..5 {
        rig.lose();
        rig.sent.clear();
        rig.rejoin(true);
        assert_eq!(rig.last_place().1, (attempt, 1100));
        assert_eq!(rig.heard(), samples(1100..2000));
    }
    // The service's times begin at 1,100 ms now.
    rig.speak(500);
    rig.finalise(1200);
    rig.lose();
    rig.rejoin(true);
    assert_eq!(rig.last_place().1, (5, 2300));
}

#[test]
fn a_change_of_rate_changes_nothing_in_the_count() {
    let mut rig = Rig::announced_with(|_| {});
    rig.speak(1000);
    let format = StreamFormat::new(Encoding::Linear16, 8_000).unwrap();
    rig.session.set_format(rig.now, AudioFormat::new(format));
    rig.speak(500); // twice as long at half the rate
    rig.pass(Duration::from_millis(100));
    rig.finalise(1800);
    rig.lose();
    rig.rejoin(true);
    assert_eq!(rig.last_place().1, (2, 1800));
}

#[test]
fn audio_that_was_dropped_before_it_was_ever_sent_does_not_count() {
    let mut rig = Rig::new(|config| {
        config.buffer_duration = Duration::from_secs(2);
        config.leaky = LeakyPolicy::Oldest;
    });
    rig.speak(3000);
    rig.input(ANNOUNCED);
    rig.text(LISTENING);
    assert_eq!(rig.last_place().1, (1, 0));
    assert_eq!(rig.heard(), samples(1000..3000));
    rig.finalise(1100);
    rig.lose();
    rig.sent.clear();
    rig.rejoin(true);
    assert_eq!(rig.heard(), samples(2100..3000));
    assert_eq!(rig.last_place().1, (2, 1100));
}

#[test]
fn audio_that_was_sent_and_dropped_before_the_replay_counts() {
    let mut rig = Rig::announced_with(|config| {
        config.buffer_duration = Duration::from_secs(2);
        config.leaky = LeakyPolicy::Oldest;
    });
    rig.speak(2000);
    rig.lose();
    rig.speak(1000);
    rig.sent.clear();
    rig.rejoin(true);
    assert_eq!(rig.heard(), samples(1000..3000));
    assert_eq!(rig.last_place().1, (2, 1000));
}

#[test]
fn a_replay_has_no_holes_when_the_spool_overflows_during_it() {
    let mut rig = Rig::announced_with(|config| {
        config.buffer_duration = Duration::from_secs(2);
        config.leaky = LeakyPolicy::Oldest;
    });
    rig.speak(1500);
    rig.lose();
    rig.sent.clear();
    rig.pass(Duration::from_secs(3));
    rig.input(ANNOUNCED);
    rig.writable = false;
    rig.text(LISTENING);
    for _ in 0..30 {
        rig.speak(100);
        rig.accounts_for_everything();
    }
    assert!(rig.session.audio_kept() <= 2000 * MS);
    rig.writable = true;
    rig.pump();
    rig.speak(100);
    assert_eq!(rig.last_place().1, (2, 0));
    assert_eq!(
        rig.heard(),
        [samples(0..1500), samples(4000..4600)].concat()
    );
    assert_eq!(rig.gaps(), [(1500, 2500, GapReason::BufferFull)]);
}

#[test]
fn a_flush_while_audio_is_sent_again_begins_another_stream_with_a_start_of_its_own() {
    let mut rig = Rig::announced_with(|_| {});
    rig.speak(1500);
    rig.lose();
    rig.pass(Duration::from_secs(3));
    rig.input(ANNOUNCED);
    rig.writable = false;
    rig.text(LISTENING);
    let (before, numbers) = rig.last_place();
    assert_eq!(numbers, (2, 0));
    rig.session.flush(rig.now);
    rig.sent.clear();
    rig.writable = true;
    rig.speak(500);
    assert!(rig.heard().is_empty(), "in the place of what was flushed");
    rig.rejoin(true);
    let (after, numbers) = rig.last_place();
    assert_eq!(numbers, (1, 0));
    assert_ne!(after.id, before.id);
    assert_eq!(rig.heard(), samples(1500..2000));
}

#[test]
fn a_flush_between_two_starts_begins_another_stream() {
    let mut rig = Rig::announced_with(|_| {});
    rig.speak(1500);
    let (before, _) = rig.last_place();
    rig.lose();
    rig.session.flush(rig.now);
    rig.rejoin(true);
    let (after, numbers) = rig.last_place();
    assert_eq!(numbers, (1, 0));
    assert_ne!(after.id, before.id);
    rig.speak(500);
    rig.lose();
    rig.rejoin(true);
    assert_eq!(rig.last_place().0.id, after.id);
    assert_eq!(rig.last_place().1, (2, 0));
}

#[test]
fn audio_that_was_sent_by_the_start_before_a_flush_stays_in_its_stream() {
    let mut rig = Rig::announced_with(|_| {});
    rig.speak(1500);
    rig.session.flush(rig.now);
    rig.speak(500);
    let (before, _) = rig.last_place();
    assert_eq!(rig.places().len(), 1, "a flush alone needs no start");
    rig.lose();
    rig.sent.clear();
    rig.rejoin(true);
    let (after, numbers) = rig.last_place();
    assert_eq!((after.id, numbers), (before.id, (2, 1500)));
    // A second of silence ends the utterance of before the flush.
    let all = rig.heard();
    let (silence, heard) = all.split_at(1000 * 16);
    assert!(silence.iter().all(|sample| *sample == 0));
    assert_eq!(heard, samples(1500..2000));
}

#[test]
fn a_start_after_a_pause_on_the_same_connection_goes_on_in_the_stream() {
    let mut rig = Rig::announced_with(|config| config.pause = PausePolicy::StopProcessing);
    rig.speak(1500);
    let (before, _) = rig.last_place();
    rig.session.pause(rig.now);
    rig.pump();
    rig.text(STOPPED);
    rig.text(COMPLETED);
    rig.session.resume(rig.now);
    rig.pump();
    let (after, numbers) = rig.last_place();
    assert_eq!((after.id, numbers), (before.id, (2, 1500)));
    assert_eq!(rig.dials(), 1);
}
