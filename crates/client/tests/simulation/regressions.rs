// SPDX-License-Identifier: MPL-2.0

//! Shrunk schedules that once broke a promise. The name of each test says what was wrong.
//!
//! They are schedules and not seeds, because a seed gives another schedule when the
//! generator changes. A run still draws its latencies and the like from `seed`.

use crate::audio::Format::{Flac, Linear8k, Linear16k, Linear48k, Opus};
use crate::run;
use crate::schedule::Happening::{self, *};
use crate::schedule::Piece::{self, *};
use crate::schedule::{ClusterSettings, PadSettings, Schedule, Settings, Stamps};
use symbl_client::session::{FormatChangePolicy, PausePolicy};

/// The settings that most of them share.
const PLAIN: Settings = Settings {
    live: false,
    paced: true,
    timestamps: true,
    stamps: Stamps::Exact,
    declared: true,
    drift: 0,
    wall_drift: 0,
    format: Linear16k,
    buffer: 100,
    chunk: 100,
    spool: 60_000,
    catch_up: 2,
    drain_timeout: 30_000,
    give_up: 0,
    disconnect_on_stop: true,
    pause: PausePolicy::Keep,
    format_change: FormatChangePolicy::Modify,
    modifies: true,
    announces: false,
    distinct: true,
    interims: false,
    interim_words: false,
    progress: false,
    messages: false,
    history: false,
    latency: 1,
    pad: PadSettings::PLAIN,
    cluster: ClusterSettings::ALONE,
};

const SAYING: Settings = Settings {
    messages: true,
    ..PLAIN
};

#[track_caller]
fn keeps(seed: u64, settings: Settings, source: &[Piece], happenings: &[(u32, Happening)]) {
    let schedule = Schedule {
        seed,
        settings,
        source: source.to_vec(),
        happenings: happenings.to_vec(),
    };
    if let Err(broken) = run(&schedule) {
        panic!("{broken:?}");
    }
}

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
fn an_end_that_lacks_only_messages_is_complete() {
    let settings = Settings {
        format: Linear8k,
        chunk: 500,
        catch_up: 1,
        drain_timeout: 3000,
        latency: 80,
        ..SAYING
    };
    let source = [Words(9), Silence(480), Words(4)];
    let cut = [(1540, Cut(0)), (4090, Refuse(0, 2800, 0))];
    keeps(105, settings, &source, &cut);
}

#[test]
fn a_hard_deadline_in_the_middle_of_results_is_no_complete_end() {
    let settings = Settings {
        buffer: 20,
        drain_timeout: 3000,
        disconnect_on_stop: false,
        interims: true,
        latency: 80,
        ..SAYING
    };
    let source = [Words(17), Silence(1580), Words(3)];
    keeps(
        9047,
        settings,
        &source,
        &[(3100, Stall(4000)), (8000, Mute)],
    );
}

#[test]
fn silence_of_a_link_that_is_dead_is_no_complete_end() {
    let settings = Settings {
        disconnect_on_stop: false,
        history: true,
        latency: 400,
        ..PLAIN
    };
    let source = [Words(4), Silence(20)];
    keeps(48_214, settings, &source, &[(1100, Cut(0)), (3000, Mute)]);
}

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
fn equal_words_are_those_of_the_next_message_and_not_of_one_before() {
    let settings = Settings {
        distinct: false,
        ..SAYING
    };
    let twice = [(1, Repeat(4))];
    keeps(43, settings.clone(), &[Words(14), Words(4)], &twice);
    keeps(412, settings.clone(), &[Words(10)], &[(900, Cut(0))]);
    let late = [(1600, Stall(5000)), (5000, Ponder(2700)), (10_000, Cut(0))];
    keeps(3, settings, &[Words(7), Words(15)], &late);
}

#[test]
fn equal_words_of_a_replay_are_not_taken_for_those_of_the_start_before() {
    let settings = Settings {
        live: true,
        buffer: 20,
        spool: 2000,
        distinct: false,
        ..SAYING
    };
    let source = [Words(1), Words(13), Gap(400)];
    keeps(0, settings, &source, &[(0, Slow(60)), (2280, Cut(0))]);
}

#[test]
fn a_message_of_delivered_words_has_the_utterance_of_those_words() {
    let settings = Settings {
        chunk: 40,
        ..SAYING
    };
    let refused = [(1600, Refuse(0, 350, 0))];
    keeps(2, settings, &[Hole(50), Words(8)], &refused);
    let settings = Settings {
        latency: 400,
        ..SAYING
    };
    keeps(37, settings, &[Words(11)], &[(2700, Cut(0))]);
}

#[test]
fn history_is_placed_by_the_clock_of_its_own_start() {
    let settings = Settings {
        live: true,
        buffer: 1000,
        chunk: 170,
        spool: 1000,
        history: true,
        ..SAYING
    };
    keeps(0, settings, &[Words(9), Words(11)], &[(4000, Mute)]);
    let settings = Settings {
        format: Linear48k,
        chunk: 500,
        history: true,
        latency: 80,
        ..SAYING
    };
    let repeats = Settings {
        format: Linear16k,
        chunk: 100,
        spool: 2000,
        catch_up: 10,
        distinct: false,
        ..settings.clone()
    };
    let source = [Words(17), Hole(3180), Words(25)];
    keeps(
        2792,
        repeats,
        &source,
        &[(3280, Cut(0)), (10_080, Hang(1000))],
    );
    let source = [Words(11), Caps(Linear16k), Words(19), Gap(1000), Words(1)];
    let cuts = [
        (1300, Deaf),
        (5500, Cut(0)),
        (7000, End),
        (8000, Cut(0)),
        (10_000, Flush),
    ];
    keeps(10138, settings.clone(), &source, &cuts);
    let cuts = [
        (60, Deaf),
        (5540, Cut(0)),
        (7000, End),
        (8000, Cut(0)),
        (10_000, Flush),
    ];
    keeps(0, settings, &source, &cuts);
}

#[test]
fn the_last_packet_of_a_word_is_not_taken_for_rounding() {
    let settings = Settings {
        live: true,
        spool: 2000,
        ..PLAIN
    };
    let source = [
        Silence(3800),
        Words(17),
        Caps(Opus),
        Words(8),
        Words(8),
        Words(11),
    ];
    keeps(0, settings, &source, &[(0, Slow(39)), (14_000, Mute)]);
}

#[test]
fn a_service_that_got_a_start_request_gets_a_stop_request() {
    let source = [Words(18), Pause(2300), Words(26)];
    let slow = [
        (0, Slow(1)),
        (11_000, Deaf),
        (12_000, Stall(3000)),
        (14_700, Stop),
    ];
    keeps(0, PLAIN, &source, &slow);
}

#[test]
fn half_a_message_that_the_history_had_is_not_delivered_again() {
    let settings = Settings {
        format: Linear48k,
        buffer: 50,
        spool: 2000,
        catch_up: 1,
        interims: true,
        history: true,
        latency: 80,
        ..SAYING
    };
    let source = [Words(19), Gap(380), Words(12)];
    keeps(
        1_795_289_341_233_366_265,
        settings,
        &source,
        &[(3900, Cut(0)), (4700, Deaf)],
    );
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
fn the_end_on_a_slow_socket_comes_in_time() {
    let settings = Settings {
        live: true,
        spool: 1000,
        drain_timeout: 3000,
        disconnect_on_stop: false,
        ..PLAIN
    };
    let source = [
        Silence(3200),
        Words(4),
        Caps(Opus),
        Words(16),
        Silence(3380),
        Words(9),
    ];
    keeps(1, settings, &source, &[(0, Slow(100))]);
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
fn the_history_is_placed_only_by_a_certain_clock() {
    let settings = Settings {
        buffer: 1000,
        chunk: 40,
        spool: 1000,
        distinct: false,
        history: true,
        latency: 80,
        ..SAYING
    };
    let source = [Words(9), Silence(1200)];
    let happenings = [(1100, Cut(0)), (1800, Hang(1000))];
    keeps(1_795_293_641_709_226_448, settings, &source, &happenings);
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
fn the_history_means_the_one_of_two_equal_words_at_its_time() {
    let settings = Settings {
        paced: false,
        chunk: 500,
        spool: 1000,
        distinct: false,
        history: true,
        ..SAYING
    };
    let source = [Words(11), Pause(1600), Words(18), Pause(200)];
    keeps(
        1_795_295_229_062_872_944,
        settings,
        &source,
        &[(1800, Terminate)],
    );
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
fn a_change_of_format_that_is_refused_loses_nothing() {
    let settings = Settings {
        paced: false,
        modifies: false,
        interims: true,
        ..PLAIN
    };
    keeps(0, settings, &[Words(2), Caps(Linear8k), Words(1)], &[]);
}

#[test]
fn a_start_request_that_has_not_left_does_not_leave_in_a_pause() {
    let settings = Settings {
        pause: PausePolicy::StopProcessing,
        ..PLAIN
    };
    let happenings = [(3000, Stall(3000)), (4000, Terminate), (5990, Suspend(18))];
    keeps(0, settings, &[Words(20), Silence(2000)], &happenings);
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
fn an_end_during_a_recess_ends_the_recess() {
    let settings = Settings {
        drain_timeout: 3000,
        format_change: FormatChangePolicy::Restart,
        ..PLAIN
    };
    let source = [Pause(1), Caps(Linear8k), Silence(20)];
    keeps(0, settings, &source, &[(0, Think(600)), (7000, Flush)]);
}

#[test]
fn audio_that_a_service_refuses_does_not_count_as_heard() {
    let settings = Settings {
        format: Opus,
        buffer: 1000,
        spool: 1000,
        pause: PausePolicy::Disconnect,
        modifies: false,
        latency: 80,
        ..PLAIN
    };
    let source = [Words(17), Silence(400), Words(6), Caps(Linear8k), Words(1)];
    let happenings = [(0, Stall(3000)), (2000, Flush), (5900, Suspend(0))];
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
fn a_start_waits_for_the_messages_of_the_one_before() {
    let settings = Settings {
        format_change: FormatChangePolicy::Restart,
        distinct: false,
        ..SAYING
    };
    let source = [Words(20), Caps(Linear8k), Words(1)];
    keeps(
        1_795_299_794_125_770_407,
        settings,
        &source,
        &[(3000, Ponder(2000))],
    );
}

#[test]
fn the_first_of_several_changes_of_format_may_be_refused() {
    let settings = Settings {
        paced: false,
        modifies: false,
        ..PLAIN
    };
    let source = [Words(1), Caps(Flac(6)), Words(1), Caps(Flac(5)), Words(1)];
    keeps(0, settings, &source, &[]);
}

#[test]
fn a_history_with_an_earlier_speaker_of_this_client() {
    let settings = Settings {
        history: true,
        ..SAYING
    };
    let source = [Words(6), Speaker(2), Words(2)];
    keeps(1646, settings, &source, &[(0, Think(38))]);
}

#[test]
fn a_start_waits_for_messages_that_have_ceased_to_come_before() {
    let settings = Settings {
        pause: PausePolicy::Disconnect,
        distinct: false,
        ..SAYING
    };
    let source = [Words(8), Speaker(2), Words(1)];
    keeps(4, settings, &source, &[(1, Ponder(2000))]);
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
fn the_back_off_starts_over_after_a_connection_that_lasted() {
    let settings = Settings {
        format: Flac(8),
        pause: PausePolicy::StopProcessing,
        modifies: false,
        ..PLAIN
    };
    let source = [Words(8), Speaker(1), Words(13), Caps(Linear8k), Silence(20)];
    keeps(0, settings, &source, &[(0, Slow(100)), (1, Cut(0))]);
}

#[test]
fn utc_is_that_of_the_wall_clock_after_minutes_without_audio() {
    // A correction was limited to the drift of ten seconds.
    let settings = Settings {
        wall_drift: -200,
        format: Opus,
        ..PLAIN
    };
    let source = [Silence(120_000), Words(1)];
    keeps(0, settings, &source, &[(0, Slow(50))]);
}

#[test]
fn a_service_that_asks_to_come_later_never_shortens_the_wait_for_the_end() {
    let settings = Settings {
        latency: 400,
        ..PLAIN
    };
    let happenings = [
        (500, Cut(0)),
        (1000, Refuse(0, 1900, 0)),
        (3700, Refuse(503, 4000, 3000)),
        (4000, NoThread(400)),
    ];
    keeps(2, settings, &[Words(1)], &happenings);
}

#[test]
fn a_step_behind_a_smaller_one_moves_nothing_before_it() {
    let settings = Settings {
        paced: false,
        declared: false,
        buffer: 1000,
        ..PLAIN
    };
    let source = [
        Words(1),
        Hole(60),
        Words(1),
        Hole(1000),
        Words(16),
        Words(6),
    ];
    keeps(0, settings, &source, &[]);
}

#[test]
fn an_odd_answer_after_a_session_that_was_ended_at_once_is_tried_again() {
    let settings = Settings {
        latency: 80,
        ..PLAIN
    };
    let happenings = [(77, Terminate), (200, Refuse(302, 390, 0))];
    keeps(3, settings, &[Words(1)], &happenings);
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
fn a_word_that_is_held_up_while_the_wall_clock_is_set_has_either_time() {
    let settings = Settings {
        buffer: 10,
        chunk: 170,
        spool: 2000,
        latency: 400,
        ..SAYING
    };
    let happenings = [
        (4070, Ignore(1100)),
        (3000, Think(1000)),
        (4000, Clock(-500)),
        (11_000, Terminate),
    ];
    let source = [Words(6), Speaker(2), Words(18)];
    keeps(2, settings, &source, &happenings);
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
fn a_service_that_ends_its_processing_at_once_admits_no_stream() {
    let settings = Settings {
        drain_timeout: 3000,
        latency: 80,
        ..PLAIN
    };
    let happenings = [(100, Terminate), (600, Cut(0)), (1000, NoThread(2000))];
    keeps(1795895467676416275, settings, &[Words(1)], &happenings);
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
fn a_step_that_just_counts_is_followed_by_one_that_agrees_with_it() {
    let settings = Settings {
        declared: false,
        ..PLAIN
    };
    let source = [Words(1), Hole(40), Words(1), Hole(30), Words(6)];
    keeps(0, settings.clone(), &source, &[]);
    let settings = Settings {
        buffer: 20,
        ..settings
    };
    let source = [Words(1), Hole(40), Words(8), Hole(50), Words(3)];
    keeps(0, settings, &source, &[]);
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
fn an_attempt_that_goes_on_behind_its_successor_stores_nothing() {
    let settings = Settings {
        announces: true,
        format: Opus,
        pause: PausePolicy::StopProcessing,
        ..PLAIN
    };
    let happenings = [(0, Slow(120)), (11_000, Deaf), (15_000, Flush)];
    keeps(3, settings, &[Words(9)], &happenings);
}

#[test]
fn a_word_that_was_stored_and_not_delivered_is_stored_once() {
    let settings = Settings {
        announces: true,
        ..PLAIN
    };
    keeps(0, settings, &[Words(1)], &[(1, Mute)]);
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
