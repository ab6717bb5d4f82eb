// SPDX-License-Identifier: MPL-2.0

//! Shrinks a schedule that fails, as long as it still fails.
//!
//! The search is greedy: it takes the first of the simpler schedules that breaks the same
//! promise, until there is none. A run depends on nothing but its schedule.

use crate::audio::{Format, Ms};
use crate::run;
use crate::schedule::{
    ClusterSettings, Fault, Happening, PadSettings, Piece, Schedule, Settings, Stamps, Unit,
};
use symbl_client::session::{FormatChangePolicy, PausePolicy};
use symbl_client::track::LateText;

/// Most runs that a search may take.
const EFFORT: usize = 4000;

/// Returns the smallest schedule found that breaks `promise`.
pub fn shrink(schedule: &Schedule, promise: &str) -> Schedule {
    let mut smallest = schedule.clone();
    let mut runs = 0;
    'smaller: loop {
        for simpler in simpler(&smallest) {
            runs += 1;
            if runs > EFFORT {
                return smallest;
            }
            if run(&simpler).is_err_and(|broken| broken.promise == promise) {
                smallest = simpler;
                continue 'smaller;
            }
        }
        return smallest;
    }
}

/// Returns simpler schedules, the simplest first.
fn simpler(schedule: &Schedule) -> Vec<Schedule> {
    let mut found = Vec::new();
    let mut add = |change: &dyn Fn(&mut Schedule)| {
        let mut simpler = schedule.clone();
        change(&mut simpler);
        if simpler != *schedule {
            found.push(simpler);
        }
    };
    let (pieces, happenings) = (schedule.source.len(), schedule.happenings.len());
    add(&|s| s.source.truncate(pieces / 2));
    for n in 0..happenings {
        add(&|s| {
            s.happenings.remove(n);
        });
    }
    for n in 0..pieces {
        add(&|s| {
            s.source.remove(n);
        });
    }
    settings(&mut add);
    for n in 0..pieces {
        for smaller in smaller_piece(schedule.source[n]) {
            add(&|s| s.source[n] = smaller);
        }
    }
    for n in 0..happenings {
        for smaller in smaller_happening(schedule.happenings[n].1) {
            add(&|s| s.happenings[n].1 = smaller);
        }
        let at = schedule.happenings[n].0;
        for earlier in smaller(at) {
            add(&|s| s.happenings[n].0 = earlier);
        }
    }
    for seed in 0..8 {
        add(&|s| s.seed = s.seed.min(seed));
    }
    found
}

/// Makes a schedule simpler.
type Change<'a> = &'a dyn Fn(&mut Schedule);

fn settings(add: &mut dyn FnMut(Change)) {
    let plain: [fn(&mut Settings); 36] = [
        |s| s.cluster = ClusterSettings::ALONE,
        |s| s.cluster.guest = false,
        |s| s.pad = PadSettings::PLAIN,
        |s| s.pad.commits = false,
        |s| s.pad.lateness = 0,
        |s| s.pad.upstream = 0,
        |s| s.pad.latency = 2000,
        |s| s.pad.unit = Unit::Word,
        |s| s.pad.late = LateText::Move,
        |s| s.pad.patience = 30_000,
        |s| s.interim_words = false,
        |s| s.progress = false,
        |s| s.stamps = Stamps::Exact,
        |s| s.declared = true,
        |s| s.drift = 0,
        |s| s.wall_drift = 0,
        |s| s.format = Format::Linear16k,
        |s| s.latency = 1,
        |s| s.messages = false,
        |s| s.interims = false,
        |s| s.history = false,
        |s| s.distinct = true,
        |s| s.timestamps = true,
        |s| s.disconnect_on_stop = true,
        |s| s.pause = PausePolicy::Keep,
        |s| s.format_change = FormatChangePolicy::Modify,
        |s| s.modifies = true,
        |s| s.announces = false,
        |s| s.give_up = 0,
        |s| s.live = false,
        |s| s.paced = true,
        |s| s.spool = 60_000,
        |s| s.buffer = 100,
        |s| s.chunk = 100,
        |s| s.catch_up = 2,
        |s| s.drain_timeout = 30_000,
    ];
    for change in plain {
        add(&|schedule| change(&mut schedule.settings));
    }
}

/// Returns smaller numbers, round ones among them.
fn smaller(ms: Ms) -> Vec<Ms> {
    [0, ms / 2, ms / 1000 * 1000, ms / 100 * 100, ms / 10 * 10]
        .into_iter()
        .filter(|smaller| *smaller < ms)
        .collect()
}

fn smaller_piece(piece: Piece) -> Vec<Piece> {
    let times = |ms: Ms, make: fn(Ms) -> Piece| {
        let at_least_some = smaller(ms).into_iter().filter(|ms| *ms > 0);
        at_least_some.map(make).collect()
    };
    match piece {
        Piece::Words(count) => [count / 2, count.saturating_sub(1)]
            .into_iter()
            .filter(|fewer| *fewer > 0 && *fewer < count)
            .map(Piece::Words)
            .collect(),
        Piece::Silence(ms) => times(ms / 20, |ms| Piece::Silence(ms * 20)),
        Piece::Hole(ms) => times(ms, Piece::Hole),
        Piece::Gap(ms) => times(ms, Piece::Gap),
        Piece::Pause(ms) => times(ms, Piece::Pause),
        Piece::Caps(Format::Linear8k) | Piece::Speaker(_) => Vec::new(),
        Piece::Caps(_) => vec![Piece::Caps(Format::Linear8k)],
    }
}

fn smaller_happening(happening: Happening) -> Vec<Happening> {
    let times =
        |ms: Ms, make: &dyn Fn(Ms) -> Happening| smaller(ms).into_iter().map(make).collect();
    match happening {
        Happening::Cut(ms) => times(ms, &Happening::Cut),
        Happening::Close(_) => vec![Happening::Cut(0)],
        Happening::Refuse(status, span, after) => {
            let mut found: Vec<_> = times(span, &|span| Happening::Refuse(status, span, after));
            found.push(Happening::Refuse(status, span, 0));
            found.push(Happening::Refuse(0, span, after));
            found.retain(|smaller| *smaller != happening);
            found
        }
        Happening::Suspend(ms) => times(ms, &Happening::Suspend),
        Happening::Hang(ms) => times(ms, &Happening::Hang),
        Happening::NoThread(ms) => times(ms, &Happening::NoThread),
        Happening::Stall(ms) => times(ms, &Happening::Stall),
        Happening::Slow(ms) => times(ms, &Happening::Slow),
        Happening::Think(ms) => times(ms, &Happening::Think),
        Happening::Ponder(ms) => times(ms, &Happening::Ponder),
        Happening::Ignore(ms) => times(ms, &Happening::Ignore),
        Happening::Node(Fault::Kill(ms)) => times(ms, &|ms| Happening::Node(Fault::Kill(ms))),
        Happening::Node(Fault::Freeze(ms)) => times(ms, &|ms| Happening::Node(Fault::Freeze(ms))),
        Happening::Node(Fault::CutOff(ms)) => times(ms, &|ms| Happening::Node(Fault::CutOff(ms))),
        Happening::Repeat(count) if count > 1 => vec![Happening::Repeat(count / 2)],
        _ => Vec::new(),
    }
}
