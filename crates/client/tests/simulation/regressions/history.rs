// SPDX-License-Identifier: MPL-2.0

//! Messages that a client asks for after it was away.

use super::*;

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
fn a_history_with_an_earlier_speaker_of_this_client() {
    let settings = Settings {
        history: true,
        ..SAYING
    };
    let source = [Words(6), Speaker(2), Words(2)];
    keeps(1646, settings, &source, &[(0, Think(38))]);
}
