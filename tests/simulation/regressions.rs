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
            "2756",
            Schedule {
                seed: 0,
                settings: Settings {
                    live: true,
                    paced: true,
                    timestamps: true,
                    format: Linear16k,
                    buffer: 20,
                    chunk: 100,
                    spool: 2000,
                    catch_up: 2,
                    drain_timeout: 30000,
                    give_up: 0,
                    disconnect_on_stop: true,
                    distinct: false,
                    interims: false,
                    messages: true,
                    history: false,
                    latency: 1,
                },
                source: vec![Words(1), Words(13), Gap(400)],
                happenings: vec![(0, Slow(60)), (2280, Cut(0))],
            },
        ),
        (
            "1721",
            Schedule {
                seed: 3,
                settings: Settings {
                    live: false,
                    paced: true,
                    timestamps: true,
                    format: Linear16k,
                    buffer: 100,
                    chunk: 100,
                    spool: 60000,
                    catch_up: 2,
                    drain_timeout: 30000,
                    give_up: 0,
                    disconnect_on_stop: true,
                    distinct: false,
                    interims: false,
                    messages: true,
                    history: false,
                    latency: 1,
                },
                source: vec![Words(7), Words(15)],
                happenings: vec![(1600, Stall(5000)), (5000, Ponder(2700)), (10000, Cut(0))],
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
