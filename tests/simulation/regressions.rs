// SPDX-License-Identifier: MPL-2.0

//! Schedules that once broke a promise, shrunk, with a word about why.

use crate::audio::Format::*;
use crate::run;
use crate::schedule::{Happening::*, Piece::*, Schedule, Settings};

/// What most of them have in common.
fn settings() -> Settings {
    Settings {
        live: false,
        paced: true,
        timestamps: true,
        format: Linear16k,
        buffer: 100,
        chunk: 100,
        spool: 60_000,
        catch_up: 2,
        drain_timeout: 30_000,
        give_up: 0,
        disconnect_on_stop: true,
        distinct: true,
        interims: false,
        messages: false,
        history: false,
        latency: 1,
    }
}

fn schedules() -> Vec<(&'static str, Schedule)> {
    vec![
        (
            "C",
            Schedule {
                seed: 4,
                settings: Settings {
                    live: false,
                    paced: true,
                    timestamps: true,
                    format: Linear16k,
                    buffer: 100,
                    chunk: 40,
                    spool: 2000,
                    catch_up: 2,
                    drain_timeout: 3000,
                    give_up: 0,
                    disconnect_on_stop: true,
                    distinct: true,
                    interims: false,
                    messages: false,
                    history: false,
                    latency: 1,
                },
                source: vec![Words(11), Words(2), Silence(2000)],
                happenings: vec![(2200, Slow(100)), (3800, Hang(300))],
            },
        ),
        (
            "F",
            Schedule {
                seed: 208,
                settings: Settings {
                    live: true,
                    paced: true,
                    timestamps: true,
                    format: Linear16k,
                    buffer: 100,
                    chunk: 100,
                    spool: 5000,
                    catch_up: 2,
                    drain_timeout: 30000,
                    give_up: 0,
                    disconnect_on_stop: true,
                    distinct: true,
                    interims: false,
                    messages: true,
                    history: false,
                    latency: 1,
                },
                source: vec![Words(13), Words(4), Words(2), Words(3), Silence(2600)],
                happenings: vec![(0, Think(2000)), (5830, Cut(0))],
            },
        ),
        (
            "E37",
            Schedule {
                seed: 0,
                settings: Settings {
                    live: false,
                    paced: true,
                    timestamps: true,
                    format: Linear16k,
                    buffer: 100,
                    chunk: 100,
                    spool: 1000,
                    catch_up: 2,
                    drain_timeout: 30000,
                    give_up: 0,
                    disconnect_on_stop: true,
                    distinct: true,
                    interims: false,
                    messages: true,
                    history: false,
                    latency: 400,
                },
                source: vec![Words(16), Words(2), Caps(Flac(7)), Words(9)],
                happenings: vec![(5500, Cut(0))],
            },
        ),
    ]
}

#[test]
fn what_once_broke_a_promise_keeps_it() {
    for (why, schedule) in schedules() {
        println!("=== {why}");
        if let Err(broken) = run(&schedule) {
            println!("{why}: {broken:?}\n{schedule:?}");
        }
    }
}
