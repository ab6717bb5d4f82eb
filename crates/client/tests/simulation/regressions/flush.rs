// SPDX-License-Identifier: MPL-2.0

//! Flushes, and what comes out on a text pad.

use super::*;
use crate::schedule::Fault;

#[test]
fn a_gap_does_not_go_over_a_flush() {
    let settings = Settings {
        give_up: 4000,
        ..PLAIN
    };
    let happenings = [
        (0, Refuse(0, 2000, 0)),
        (1, End),
        (10_000, Flush),
        (10_800, Flush),
    ];
    keeps(0, settings, &[Words(6)], &happenings);
}

#[test]
fn a_word_behind_a_flush_stands_behind_it_whatever_a_clock_rounds() {
    let settings = Settings {
        format: Linear48k,
        chunk: 500,
        catch_up: 1,
        ..PLAIN
    };
    let source = [Silence(1800), Words(44)];
    let happenings = [(6000, Refuse(0, 500, 0)), (10_400, Flush)];
    keeps(0, settings, &source, &happenings);
}

#[test]
fn a_message_of_the_history_beside_a_flush_is_delivered_once() {
    let settings = Settings {
        chunk: 500,
        history: true,
        ..SAYING
    };
    keeps(3, settings, &[Words(11)], &[(950, Flush), (1000, Mute)]);
}

#[test]
fn a_word_that_the_history_has_at_the_edge_of_a_flush_is_short() {
    let settings = Settings {
        format: Linear48k,
        spool: 2000,
        history: true,
        ..SAYING
    };
    let source = [Words(11), Words(5), Silence(2000)];
    keeps(0, settings, &source, &[(2500, Mute), (3000, Flush)]);
}

#[test]
fn a_flush_does_not_end_in_the_middle_of_a_packet() {
    let settings = Settings {
        format: Flac(3),
        ..PLAIN
    };
    let source = [Gap(390), Words(21)];
    keeps(0, settings, &source, &[(3680, Slow(130)), (4300, Flush)]);
}

#[test]
fn the_end_behind_a_flush_within_a_packet_comes_in_time() {
    let settings = Settings {
        format: Opus,
        drain_timeout: 3000,
        ..PLAIN
    };
    let source = [Words(19), Caps(Flac(6)), Words(15)];
    let happenings = [(3000, Slow(42)), (6000, End), (7960, Flush), (8070, Deaf)];
    keeps(0, settings, &source, &happenings);
}

#[test]
fn a_message_of_the_history_stands_on_one_side_of_a_flush() {
    let settings = Settings {
        format: Flac(2),
        interims: true,
        history: true,
        latency: 80,
        ..SAYING
    };
    let source = [Words(15), Gap(3800), Words(17), Gap(40), Words(15)];
    let happenings = [
        (3000, Terminate),
        (10_000, Cut(15)),
        (11_885, Cut(30)),
        (12_500, Flush),
    ];
    keeps(1_795_292_745_484_323_329, settings, &source, &happenings);
}

#[test]
fn a_flush_while_the_end_is_settling_takes_the_end_back() {
    let settings = Settings {
        drain_timeout: 3000,
        disconnect_on_stop: false,
        ..SAYING
    };
    let source = [Words(19), Caps(Opus), Words(2), Silence(3060), Words(15)];
    let happenings = [(10_180, Stall(2000)), (13_460, Flush)];
    keeps(1_795_295_661_586_323_342, settings, &source, &happenings);
}

#[test]
fn a_history_that_comes_after_a_flush() {
    let settings = Settings {
        buffer: 100,
        history: true,
        ..SAYING
    };
    let source = [Words(12), Pause(50), Words(15), Silence(360), Words(27)];
    let happenings = [
        (200, Terminate),
        (1000, Think(1000)),
        (10_600, Cut(0)),
        (11_000, End),
        (13_000, Flush),
    ];
    keeps(0, settings, &source, &happenings);
}

#[test]
fn a_flush_that_takes_back_an_end_in_a_pause_starts_nothing() {
    let settings = Settings {
        pause: PausePolicy::Disconnect,
        ..PLAIN
    };
    let happenings = [(0, Stall(4000)), (3300, Suspend(800)), (4000, Flush)];
    keeps(0, settings, &[Words(1)], &happenings);
}

#[test]
fn a_flush_within_a_replay_moves_no_audio_behind_it_in_the_stream() {
    // The service took the audio after the flush for the audio that was flushed.
    let settings = Settings {
        announces: true,
        pause: PausePolicy::Disconnect,
        ..PLAIN
    };
    let source = [Words(39), Pause(100)];
    let happenings = [(4000, Mute), (6900, Flush), (7800, Deaf)];
    keeps(0, settings, &source, &happenings);
}

#[test]
fn the_words_of_before_a_flush_stay_off_the_pad_if_their_final_comes_after_it() {
    let settings = Settings {
        format: Flac(4),
        buffer: 50,
        chunk: 170,
        spool: 2000,
        catch_up: 10,
        drain_timeout: 3000,
        format_change: FormatChangePolicy::Reconnect,
        announces: true,
        distinct: false,
        interims: true,
        history: true,
        latency: 80,
        ..SAYING
    };
    let source = [Words(20), Words(7), Pause(1986), Words(16), Words(7)];
    keeps(39, settings, &source, &[(10_889, Flush)]);
}

#[test]
fn a_second_flush_takes_the_pad_to_the_new_place() {
    let settings = Settings {
        live: true,
        buffer: 50,
        chunk: 40,
        spool: 1000,
        catch_up: 1,
        drain_timeout: 3000,
        give_up: 4000,
        disconnect_on_stop: false,
        pause: PausePolicy::StopProcessing,
        progress: true,
        latency: 80,
        ..SAYING
    };
    keeps(43, settings, &[Words(4)], &[(597, Flush), (7159, Flush)]);
}

#[test]
fn a_mark_that_is_due_does_not_wait_for_the_clock_to_reach_the_pad() {
    let pad = PadSettings {
        latency: 0,
        ..PadSettings::PLAIN
    };
    let settings = Settings {
        live: true,
        pad,
        ..PLAIN
    };
    keeps(0, settings, &[Words(1), Gap(1)], &[]);
}

#[test]
fn committed_words_are_told_once_if_the_service_cuts_the_audio_elsewhere_after_a_rejoin() {
    let pad = PadSettings {
        latency: 2000,
        commits: true,
        ..PadSettings::PLAIN
    };
    let settings = Settings {
        distinct: false,
        interims: true,
        interim_words: true,
        pad,
        ..PLAIN
    };
    let stalled = [(5800, Stall(2700))];
    keeps(1, settings.clone(), &[Words(10), Words(19)], &stalled);
    let settings = Settings {
        spool: 1000,
        ..settings
    };
    keeps(3, settings, &[Words(6)], &[(600, Mute)]);
}

#[test]
fn a_final_that_is_told_again_at_a_stop_stands_at_its_place_though_its_audio_was_flushed() {
    let settings = Settings {
        live: true,
        timestamps: false,
        wall_drift: -200,
        spool: 5000,
        drain_timeout: 3000,
        disconnect_on_stop: false,
        format_change: FormatChangePolicy::Restart,
        announces: true,
        interim_words: true,
        progress: true,
        latency: 400,
        cluster: ClusterSettings {
            nodes: 2,
            keep: 0,
            guest: false,
        },
        ..SAYING
    };
    let happenings = [(1060, Node(Fault::Freeze(3249))), (5506, Flush)];
    keeps(1_009_828, settings, &[Words(7), Words(12)], &happenings);
}

#[test]
fn a_full_spool_may_lose_the_silence_behind_a_flush() {
    let settings = Settings {
        live: true,
        wall_drift: 200,
        format: Linear8k,
        buffer: 10,
        chunk: 40,
        spool: 2000,
        catch_up: 10,
        disconnect_on_stop: false,
        pause: PausePolicy::StopProcessing,
        format_change: FormatChangePolicy::Restart,
        modifies: false,
        distinct: false,
        interims: true,
        interim_words: true,
        latency: 80,
        pad: PadSettings {
            latency: 2000,
            ..PadSettings::PLAIN
        },
        ..SAYING
    };
    let happenings = [(1291, Stall(2375)), (1661, Flush)];
    keeps(
        1_796_021_424_666_577_680,
        settings,
        &[Words(12), Words(8)],
        &happenings,
    );
}

#[test]
fn a_cue_begins_at_the_millisecond_behind_two_short_gaps() {
    let settings = Settings {
        live: true,
        stamps: Stamps::Jitter(50),
        format: Mulaw,
        chunk: 500,
        pad: PadSettings {
            latency: 2000,
            unit: Unit::Cue,
            ..PadSettings::PLAIN
        },
        ..PLAIN
    };
    keeps(0, settings, &[Words(11)], &[]);
}
