// SPDX-License-Identifier: MPL-2.0

//! The watchdog over a service that takes speech and returns no result.

use super::*;

impl Rig {
    /// Pushes audio for so long, in step with the clock. `level` is the loudest sample.
    fn sound(&mut self, level: i16, millis: u64) {
        for _ in 0..millis / 100 {
            let data: Vec<u8> = [level; 1600].iter().flat_map(|s| s.to_le_bytes()).collect();
            self.session.push_audio(
                self.now,
                &Audio {
                    data: &data,
                    instants: Instants::default(),
                    duration: None,
                    speed: 1.0,
                },
            );
            self.pushed += 1600;
            self.pass(Duration::from_millis(100));
            self.input(Input::Pong); // the service is alive
        }
    }

    fn stalls(&self) -> Vec<u128> {
        let stalls = self.events.iter().filter_map(|event| match event.kind {
            EventKind::Stall { silent_for } => Some(silent_for.as_millis()),
            _ => None,
        });
        stalls.collect()
    }
}

#[test]
fn speech_without_a_result_is_a_stall_and_is_reported_once() {
    let mut rig = Rig::listening();
    rig.sound(3000, 29_000);
    assert!(rig.stalls().is_empty());
    rig.sound(3000, 2_000);
    assert_eq!(rig.stalls().len(), 1);
    assert!(
        (30_000..30_200).contains(&rig.stalls()[0]),
        "{:?}",
        rig.stalls()
    );
    rig.sound(3000, 60_000);
    assert_eq!(rig.stalls().len(), 1);
    rig.text(&final_of(&[("well", 88_000, 88_500)]));
    rig.sound(3000, 29_000);
    assert_eq!(rig.stalls().len(), 1);
    rig.sound(3000, 2_000);
    assert_eq!(rig.stalls().len(), 2);
    assert_eq!(rig.session.state(), State::Listening);
}

#[test]
fn a_long_utterance_is_no_stall_where_finals_only_are_asked_for() {
    for (interim_results, expected) in [(false, 0), (true, 1)] {
        let mut rig = Rig::announced_with(|config| config.interim_results = interim_results);
        rig.sound(3000, 200); // a cough
        rig.sound(60, 24_000);
        rig.sound(3000, 25_000);
        assert_eq!(rig.stalls().len(), expected);
        // No utterance is as long as this.
        rig.sound(3000, 5_000);
        assert_eq!(rig.stalls().len(), 1);
    }
}

#[test]
fn half_an_hour_of_silence_is_no_stall_and_neither_is_a_cough() {
    let mut rig = Rig::listening();
    rig.sound(3000, 4_900);
    rig.sound(60, 30 * 60_000);
    assert!(rig.stalls().is_empty());
    rig.sound(3000, 200); // together with the cough, this is enough
    assert_eq!(rig.stalls().len(), 1);
}

#[test]
fn a_stall_may_be_a_reason_to_connect_anew() {
    let mut rig = Rig::listening_with(|config| {
        config.stall_timeout = Duration::from_secs(10);
        config.stall_action = StallAction::Reconnect;
    });
    rig.sound(3000, 10_100);
    assert_eq!(rig.stalls().len(), 1);
    assert_eq!(rig.session.state(), State::Reconnecting);
    let reason = rig.events.iter().find_map(|event| match &event.kind {
        EventKind::State { failure, .. } => failure.as_ref().map(|f| f.reason),
        _ => None,
    });
    assert_eq!(reason, Some(Reason::Stall));
}

#[test]
fn only_audible_packets_of_compressed_audio_count_for_a_stall() {
    for (packet, stalls) in [(&[0x08_u8, 0xff, 0xfe][..], 0), (&[0x08; 40][..], 1)] {
        let mut rig = Rig::listening_with(|config| config.stall_timeout = Duration::from_secs(10));
        let wire = StreamFormat::new(Encoding::Opus, 48_000).unwrap();
        rig.session.set_format(rig.now, AudioFormat::new(wire));
        for _ in 0..600 {
            let packet = Audio {
                data: packet, // 20 ms
                instants: Instants::default(),
                duration: None,
                speed: 1.0,
            };
            rig.session.push_audio(rig.now, &packet);
            rig.pass(Duration::from_millis(20));
            rig.input(Input::Pong);
        }
        assert_eq!(rig.stalls().len(), stalls, "{} bytes", packet.len());
    }
}
