// SPDX-License-Identifier: MPL-2.0

//! What users need over hours, tested by a virtual clock. The numbers of the needs are those
//! of `docs/reliability.md`.

use super::*;

/// Lets ten minutes pass without audio. The service answers pings.
fn ten_quiet_minutes(rig: &mut Rig) {
    for _ in 0..600 {
        rig.pass(Duration::from_secs(1));
        rig.input(Input::Pong);
    }
}

#[test]
fn need_3_ten_minutes_without_audio_leave_the_session_as_it_is() {
    let mut rig = Rig::listening();
    rig.speak(2000);
    rig.text(&final_of(&[("before", 500, 900)]));
    rig.sent.clear();
    ten_quiet_minutes(&mut rig);
    let pings = rig.sent.iter().filter(|o| **o == Output::Ping).count();
    assert!((55..=65).contains(&pings), "{pings} pings");
    assert_eq!(rig.sent.len(), pings, "nothing else was sent");
    assert_eq!(rig.session.state(), State::Listening);
    // The first word after the silence is at its place.
    for n in 0..10 {
        rig.speak_at((602_000 + n * 100) * MS, 100);
    }
    rig.text(&final_of(&[("after", 2000, 2400)]));
    assert_eq!(
        rig.finals().last(),
        Some(&("after".to_owned(), Some(602_000 * MS)))
    );
}

#[test]
fn need_2_a_dead_link_is_found_without_audio_too() {
    let mut rig = Rig::listening();
    rig.pass(Duration::from_secs(20));
    assert_eq!(rig.session.state(), State::Reconnecting);
}

/// A speaker who says one numbered word of 500 ms per second. The service finalises each word
/// whose audio it was sent in this start.
struct Talk {
    rig: Rig,
    /// Running time of the next word, in milliseconds.
    at: u64,
    /// How many samples of this start have been finalised.
    heard_from: usize,
}

impl Talk {
    fn begin(change: impl FnOnce(&mut SessionConfig)) -> Self {
        let mut rig = Rig::new(change);
        rig.session.set_upstream(true, true);
        rig.input(Input::Connected { announced: false });
        rig.text(LISTENING);
        Self {
            rig,
            at: 0,
            heard_from: 0,
        }
    }

    /// Speaks for one second: a word whose samples carry its number.
    fn second(&mut self) {
        let number = i16::try_from(self.at / 1000 + 1).unwrap();
        let samples = [[number * 200; 8000], [0; 8000]].concat();
        for (n, piece) in samples.chunks(1600).enumerate() {
            let data: Vec<u8> = piece.iter().flat_map(|s| s.to_le_bytes()).collect();
            let running_time = Some((self.at + n as u64 * 100) * MS);
            self.rig.session.push_audio(
                self.rig.now,
                &Audio {
                    data: &data,
                    instants: Instants {
                        running_time,
                        stream_time: running_time,
                        utc: None,
                    },
                    duration: None,
                    speed: 1.0,
                },
            );
            self.rig.pass(Duration::from_millis(100));
            self.rig.input(Input::Pong);
        }
        self.at += 1000;
        self.finalise();
    }

    /// Lets the service finalise the words that it has heard since the last time.
    fn finalise(&mut self) {
        let heard = self.rig.heard();
        let mut at = self.heard_from;
        while let Some(sample) = heard.get(at) {
            let same = heard[at..].iter().take_while(|s| *s == sample).count();
            if *sample != 0 {
                if at + same == heard.len() {
                    break; // the word is not over
                }
                let word = format!("w{}", sample / 200 - 1);
                let (start, end) = (at as u64 / 16, (at + same) as u64 / 16);
                self.rig.text(&final_of(&[(&word, start, end)]));
                self.rig
                    .text(&message_of(&format!("m{}-{at}", self.at), &word));
            }
            at += same;
            self.heard_from = at;
        }
    }

    /// Takes the service away for so long, or a little longer. Returns the running time of its
    /// return, in milliseconds.
    fn outage(&mut self, seconds: u64) -> u64 {
        self.rig.lose();
        self.rig.sent.clear();
        self.heard_from = 0;
        for _ in 0..seconds {
            self.second();
        }
        while !matches!(self.rig.session.phase, Phase::Dialing { .. }) {
            self.second();
        }
        self.rig.input(Input::Connected { announced: false });
        self.rig.text(LISTENING);
        self.at
    }

    /// Asserts that each word is at its time and that none came twice. Returns the numbers of
    /// the words that did not come.
    fn missing(&self) -> Vec<u64> {
        let mut missing: Vec<u64> = (0..self.at / 1000).collect();
        for (word, time) in self.rig.finals() {
            let number: u64 = word.trim_start_matches('w').parse().unwrap();
            let truth = number * 1000 * MS;
            assert!(time.unwrap().abs_diff(truth) <= 200 * MS, "{word} {time:?}");
            let place = missing.iter().position(|n| *n == number);
            missing.remove(place.unwrap_or_else(|| panic!("{word} came twice")));
        }
        missing
    }
}

#[test]
fn need_13_times_stay_right_across_an_outage_with_replay() {
    let mut talk = Talk::begin(|config| config.catch_up_rate = 2.0);
    (0..10).for_each(|_| talk.second());
    talk.outage(10);
    (0..30).for_each(|_| talk.second());
    assert_eq!(talk.missing(), [] as [u64; 0]);
    assert!(talk.rig.gaps().is_empty());
    assert_eq!(talk.rig.messages().len(), talk.rig.finals().len());
}

#[test]
fn need_5_and_13_beyond_the_buffer_exactly_the_words_of_the_gap_are_missing() {
    let mut talk = Talk::begin(|config| config.buffer_duration = Duration::from_secs(30));
    (0..5).for_each(|_| talk.second());
    let back = talk.outage(60);
    (0..60).for_each(|_| talk.second());
    let gaps = talk.rig.gaps();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let (from, length, reason) = gaps[0];
    assert_eq!(reason, GapReason::BufferFull);
    let kept = back - (from + length);
    assert!((29_000..=30_000).contains(&kept), "{gaps:?} until {back}");
    for number in talk.missing() {
        let (start, end) = (number * 1000, number * 1000 + 500);
        assert!(start < from + length && end > from, "w{number}: {gaps:?}");
    }
    assert!(talk.missing().len() as u64 >= length / 1000 - 1, "{gaps:?}");
}

#[test]
fn need_13_times_stay_right_across_a_discontinuity() {
    let mut talk = Talk::begin(|_| {});
    (0..5).for_each(|_| talk.second());
    talk.at += 5000;
    talk.rig.pass(Duration::from_secs(5));
    (0..5).for_each(|_| talk.second());
    assert_eq!(talk.missing(), [5, 6, 7, 8, 9]);
}

#[test]
fn need_13_times_stay_right_for_a_day() {
    // Frames of 4,096 samples at 44.1 kHz do not last a whole number of nanoseconds.
    let mut rig = Rig::listening();
    let wire = StreamFormat::new(Encoding::Flac, 44_100).unwrap();
    rig.session.set_format(rig.now, AudioFormat::new(wire));
    let second = 1_000_000_000;
    let (mut samples, mut hour) = (0_u64, 0);
    while samples < 24 * 3600 * 44_100 {
        let nanos = u64::try_from(u128::from(samples) * 1_000_000_000 / 44_100).unwrap();
        rig.session.push_audio(
            rig.now,
            &Audio {
                // A frame header that states 4,096 samples.
                data: &[0xff, 0xf8, 0xc9, 0x18, 0, 0, 0, 0],
                instants: Instants {
                    running_time: Some(nanos),
                    stream_time: Some(nanos),
                    utc: None,
                },
                duration: None,
                speed: 1.0,
            },
        );
        samples += 4096;
        rig.now = Duration::from_nanos(nanos);
        rig.input(Input::Pong);
        rig.sent.clear();
        if nanos / (60 * second) > hour {
            hour = nanos / (60 * second);
            let at = (nanos - 2 * second) / MS;
            rig.text(&final_of(&[("tick", at, at + 500)]));
            let told = rig.events.last().unwrap().placement.unwrap();
            let error = told.running_time.unwrap().abs_diff(at * MS);
            assert!(error <= 20 * MS, "{error} ns after {hour} minutes");
            rig.events.clear();
        }
    }
    assert_eq!(hour, 24 * 60 - 1);
}

#[test]
fn need_18_interim_final_and_message_stay_tied_across_a_reconnect() {
    let mut rig = Rig::listening();
    rig.speak(2000);
    let interim = |words: &[(&str, u64, u64)]| final_of(words).replace("true", "false");
    rig.text(&interim(&[("good", 100, 400)]));
    rig.lose();
    rig.pass(Duration::from_secs(1));
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    rig.text(&interim(&[("good", 100, 400)]));
    rig.text(&final_of(&[("good", 100, 400), ("day", 500, 800)]));
    rig.text(&message_of("m1", "Good day."));
    let ids: Vec<String> = rig
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Transcript { utterance_id, .. } => Some(utterance_id.clone()),
            EventKind::Message { utterance_id, .. } => utterance_id.clone(),
            _ => None,
        })
        .collect();
    assert_eq!(ids, ["u1", "u1", "u1", "u1"]);
    // A word that was finalised is not finalised again, and gets no new id.
    rig.lose();
    rig.pass(Duration::from_secs(3));
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    rig.text(&final_of(&[("next", 500, 700)]));
    assert_eq!(rig.finals().len(), 2);
    let last = rig.events.last().unwrap();
    assert!(
        matches!(&last.kind, EventKind::Transcript { utterance_id, .. } if utterance_id == "u2")
    );
}
