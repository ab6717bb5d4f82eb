// SPDX-License-Identifier: MPL-2.0

//! Shrunk schedules that once broke a promise. The name of each test says what was wrong.
//!
//! They are schedules and not seeds, because a seed gives another schedule when the
//! generator changes. A run still draws its latencies and the like from `seed`.

mod flush;
mod gaps;
mod history;
mod nodes;

use crate::audio::Format::{Flac, Linear8k, Linear16k, Linear48k, Mulaw, Opus};
use crate::run;
use crate::schedule::Happening::{self, *};
use crate::schedule::Piece::{self, *};
use crate::schedule::{ClusterSettings, PadSettings, Schedule, Settings, Stamps, Unit};
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
