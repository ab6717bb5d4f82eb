// SPDX-License-Identifier: MPL-2.0

//! Audio that is lost or missing, and where words stand behind it.

use super::*;

/// Settings under which due words of interims are told in cues.
const CUES_OF_INTERIMS: Settings = Settings {
    interims: true,
    interim_words: true,
    pad: PadSettings {
        latency: 2000,
        unit: Unit::Cue,
        commits: true,
        ..PadSettings::PLAIN
    },
    ..PLAIN
};

#[test]
fn unfinalised_audio_of_a_failed_session_is_reported_as_lost() {
    let refused = [(100, Refuse(401, 500, 0)), (600, Token)];
    keeps(0, PLAIN, &[Words(3)], &refused);
    let settings = Settings {
        spool: 2000,
        give_up: 4000,
        ..PLAIN
    };
    keeps(0, settings, &[Words(11)], &[(100, Refuse(0, 3000, 0))]);
}

#[test]
fn audio_that_comes_after_a_failure_is_reported_as_lost() {
    let refused = [(100, Refuse(401, 400, 0)), (470, Token)];
    keeps(2, PLAIN, &[Words(3)], &refused);
}

#[test]
fn audio_dropped_at_the_bound_is_reported_as_lost_when_the_drain_times_out() {
    let settings = Settings {
        chunk: 40,
        spool: 2000,
        drain_timeout: 3000,
        ..PLAIN
    };
    let source = [Words(11), Words(2), Silence(2000)];
    keeps(
        4,
        settings,
        &source,
        &[(2200, Slow(100)), (3800, Hang(300))],
    );
}

#[test]
fn finalised_audio_that_waits_for_its_message_is_no_gap_when_dropped() {
    let settings = Settings {
        live: true,
        spool: 5000,
        ..SAYING
    };
    let source = [Words(13), Words(4), Words(2), Words(3), Silence(2600)];
    keeps(208, settings, &source, &[(0, Think(2000)), (5830, Cut(0))]);
}

#[test]
fn a_word_behind_a_hole_stands_behind_it_whatever_a_clock_rounds() {
    let settings = Settings {
        live: true,
        format: Linear48k,
        spool: 1000,
        ..PLAIN
    };
    keeps(0, settings, &[Words(1), Gap(1200), Words(1)], &[]);
}

#[test]
fn half_a_packet_that_is_dropped_is_accounted_for() {
    let settings = Settings {
        format: Flac(2),
        spool: 2000,
        latency: 80,
        ..PLAIN
    };
    let source = [Words(15), Words(7), Pause(300), Words(6), Words(5)];
    keeps(0, settings, &source, &[(900, Slow(30)), (6590, Cut(0))]);
}

#[test]
fn silence_that_is_put_into_a_hole_drives_out_no_word() {
    let settings = Settings {
        live: true,
        chunk: 170,
        spool: 1000,
        ..PLAIN
    };
    let source = [Words(20), Hole(1), Words(3), Gap(1000)];
    keeps(0, settings, &source, &[]);
}

#[test]
fn packets_that_are_dropped_are_counted() {
    let settings = Settings {
        live: true,
        format: Flac(4),
        spool: 1000,
        ..PLAIN
    };
    let source = [Words(4), Hole(60), Words(36), Silence(1600)];
    keeps(
        0,
        settings,
        &source,
        &[(3160, Slow(43)), (9640, Stall(3000))],
    );
}

#[test]
fn the_gaps_of_a_slow_socket_are_no_longer_than_the_dropped_audio() {
    let settings = Settings {
        live: true,
        format: Opus,
        spool: 1000,
        ..PLAIN
    };
    let source = [Words(1), Hole(1), Words(7)];
    keeps(0, settings, &source, &[(0, Slow(88))]);
}

#[test]
fn results_before_a_recess_that_timed_out_leave_no_gap() {
    let settings = Settings {
        drain_timeout: 3000,
        modifies: false,
        latency: 80,
        ..SAYING
    };
    let source = [Words(11), Caps(Linear8k), Words(10)];
    keeps(2, settings, &source, &[(5000, Mute)]);
}

#[test]
fn a_gap_before_a_stop_is_reported_before_the_results_after_it() {
    let settings = Settings {
        live: true,
        buffer: 1000,
        spool: 2000,
        ..PLAIN
    };
    let source = [Words(12), Speaker(2), Words(10)];
    keeps(0, settings, &source, &[(0, Slow(100)), (4000, Stop)]);
}

#[test]
fn a_gap_behind_an_undeclared_hole_covers_the_lost_words() {
    let settings = Settings {
        live: true,
        declared: false,
        buffer: 1000,
        spool: 1000,
        ..PLAIN
    };
    let source = [
        Words(1),
        Hole(1000),
        Words(13),
        Speaker(2),
        Words(2),
        Hole(200),
        Words(6),
    ];
    keeps(0, settings, &source, &[]);
}

#[test]
fn bursts_longer_than_the_wait_move_nothing_behind_a_declared_hole() {
    let settings = Settings {
        stamps: Stamps::Bursts(25),
        buffer: 50,
        ..PLAIN
    };
    let source = [
        Words(11),
        Words(8),
        Hole(1),
        Words(19),
        Caps(Flac(4)),
        Words(10),
    ];
    keeps(0, settings, &source, &[]);
}

#[test]
fn a_hole_of_a_millisecond_is_followed_before_the_next_one_counts() {
    let settings = Settings {
        declared: false,
        ..PLAIN
    };
    let source = [Words(6), Hole(1), Words(6), Hole(39), Words(6)];
    keeps(0, settings, &source, &[]);
}

#[test]
fn a_part_of_a_replayed_word_may_come_before_the_whole() {
    let settings = Settings {
        chunk: 40,
        spool: 2000,
        announces: true,
        latency: 80,
        ..PLAIN
    };
    let source = [Pause(2000), Words(5), Words(5), Words(4), Words(1)];
    let happenings = [(0, Slow(58)), (7400, Cut(0)), (8090, Flush)];
    keeps(1795905308796849430, settings, &source, &happenings);
}

#[test]
fn a_word_of_an_interim_waits_behind_a_mark_although_later_interims_are_without_it() {
    let settings = Settings {
        spool: 1000,
        ..CUES_OF_INTERIMS
    };
    let source = [Words(11), Hole(200), Words(1), Gap(1), Words(7)];
    keeps(0, settings, &source, &[(4000, Cut(0))]);
}

#[test]
fn a_told_gap_is_stepped_over_although_bursts_hide_a_second_of_it() {
    let settings = Settings {
        live: true,
        paced: false,
        stamps: Stamps::Bursts(25),
        drift: 200,
        buffer: 50,
        latency: 80,
        ..PLAIN
    };
    let source = [
        Words(3),
        Words(4),
        Silence(240),
        Words(8),
        Words(2),
        Words(4),
        Words(15),
        Words(1),
        Hole(394),
        Words(5),
        Gap(11),
        Words(1),
    ];
    keeps(1796030569867125207, settings, &source, &[]);
}

#[test]
fn a_gap_may_go_over_earlier_ones() {
    let settings = Settings {
        live: true,
        format: Flac(3),
        buffer: 50,
        spool: 1000,
        catch_up: 10,
        give_up: 4000,
        disconnect_on_stop: false,
        pause: PausePolicy::StopProcessing,
        format_change: FormatChangePolicy::Reconnect,
        distinct: false,
        interims: true,
        progress: true,
        latency: 400,
        ..SAYING
    };
    let source = [Words(15), Words(15), Silence(3540)];
    let happenings = [(370, Slow(86)), (13_435, Terminate)];
    keeps(1_796_021_707_011_012_024, settings, &source, &happenings);
}

#[test]
fn an_older_final_may_come_behind_a_word_of_an_interim_that_waited_for_a_mark() {
    let source = [Words(5), Caps(Linear8k), Words(3)];
    keeps(4, CUES_OF_INTERIMS, &source, &[(1500, Cut(0))]);
}

#[test]
fn a_word_that_was_said_twice_is_told_twice_although_a_nanosecond_is_in_both() {
    let settings = Settings {
        format: Linear48k,
        chunk: 170,
        spool: 1000,
        distinct: false,
        pad: PadSettings {
            unit: Unit::Word,
            ..CUES_OF_INTERIMS.pad
        },
        ..CUES_OF_INTERIMS
    };
    keeps(0, settings, &[Words(6)], &[(900, Cut(0))]);
}

#[test]
fn a_cue_of_an_interim_stands_behind_the_mark_in_it_although_the_final_ends_there() {
    let settings = Settings {
        buffer: 10,
        latency: 400,
        ..CUES_OF_INTERIMS
    };
    let source = [Words(10), Speaker(0), Words(8)];
    keeps(
        1_796_023_767_257_684_042,
        settings,
        &source,
        &[(4000, Refuse(0, 0, 0))],
    );
}
