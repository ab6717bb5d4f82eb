// SPDX-License-Identifier: MPL-2.0

//! Decides which sockets a service that is about to end closes when.
//!
//! Every client comes back to another node, or to this service after its restart. So they
//! must not come all at once: in each second, as many are closed as make an even pace over
//! the time of the drain. A speaker is closed in a pause, when all that it said is final and
//! its client has nothing to say again. Subscribers and sessions follow their speakers.
//!
//! What comes in is the time since the drain began and which sockets are open; what goes
//! out is which of them are to be closed now. This module must never read a clock, and never
//! name a socket twice.

use std::collections::HashSet;
use std::time::Duration;

/// Closings that were due within this time are made up for, because looks are some time
/// apart. Those before are left to the end.
const MADE_UP: Duration = Duration::from_millis(50);

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It brings audio.
    Speaker,
    /// It only reads, or writes texts: a subscriber or a session.
    Listener,
}

/// A socket that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    /// `true` if all that was said on it is final.
    pub(crate) rests: bool,
}

/// How fast sockets of one kind may be closed.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Time between two closings.
    every: Duration,
    /// When the next one may be.
    next: Duration,
}

/// A drain that is under way.
#[derive(Debug)]
pub(crate) struct Drain {
    lasts: Duration,
    /// The pace of speakers and of listeners. Set when the first sockets are seen.
    paces: Option<[Pace; 2]>,
    /// The sockets that were named.
    named: HashSet<u64>,
}

impl Drain {
    /// Returns a drain that closes all sockets within this time.
    pub(crate) fn new(lasts: Duration) -> Self {
        Self {
            lasts,
            paces: None,
            named: HashSet::new(),
        }
    }

    /// Returns the sockets to close `now`, which is the time since the drain began. `open`
    /// has all open sockets, also those that were named before.
    pub(crate) fn due(&mut self, now: Duration, open: &[Open]) -> Vec<u64> {
        let left = |kind| -> Vec<Open> {
            let left = open.iter().filter(|socket| socket.kind == kind);
            let left = left.filter(|socket| !self.named.contains(&socket.id));
            left.copied().collect()
        };
        let (speakers, mut listeners) = (left(Kind::Speaker), left(Kind::Listener));
        // They stay as long as there is something to hear.
        for listener in &mut listeners {
            listener.rests = speakers.is_empty();
        }
        let lasts = self.lasts;
        let [of_speakers, of_listeners] = self.paces.get_or_insert_with(|| {
            [speakers.len(), listeners.len()].map(|number| Pace::of(number, lasts))
        });
        let mut due = of_speakers.due(now, lasts, speakers);
        due.extend(of_listeners.due(now, lasts, listeners));
        self.named.extend(&due);
        due
    }
}

impl Pace {
    /// Returns the pace at which this number of sockets are closed within this time: a whole
    /// number of them in each second.
    fn of(number: usize, lasts: Duration) -> Self {
        let in_a_second = (number as f64 / lasts.as_secs_f64().max(1e-3)).ceil();
        let every = Duration::from_secs(1).div_f64(in_a_second.max(1.0));
        Self {
            every,
            next: Duration::ZERO,
        }
    }

    /// Returns those of the sockets that are to be closed now.
    fn due(&mut self, now: Duration, lasts: Duration, mut left: Vec<Open>) -> Vec<u64> {
        let mut due = Vec::new();
        if now >= lasts {
            return left.iter().map(|socket| socket.id).collect();
        }
        while self.next <= now && !left.is_empty() {
            let resting = left.iter().position(|socket| socket.rests);
            // The rest can be closed at this pace only if it begins now.
            let after = self.every.saturating_mul(left.len() as u32 - 1);
            let is_late = now.saturating_add(after) >= lasts;
            let Some(next) = resting.or(is_late.then_some(0)) else {
                break;
            };
            due.push(left.remove(next).id);
            self.next = self.next.max(now.saturating_sub(MADE_UP)) + self.every;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn open(id: u64, kind: Kind, rests: bool) -> Open {
        Open { id, kind, rests }
    }

    /// Drains sockets whose state is a function of the time, and returns when each is
    /// closed. A look is made each 20 ms.
    fn drained(
        lasts: u64,
        sockets: &[(u64, Kind)],
        rests: impl Fn(u64, u64) -> bool,
    ) -> BTreeMap<u64, u64> {
        let mut drain = Drain::new(Duration::from_millis(lasts));
        let mut closed = BTreeMap::new();
        for now in (0..=lasts).step_by(20) {
            // A socket that was named is still open for a while.
            let here = sockets.iter().filter(|(id, _)| {
                let at = closed.get(id);
                at.is_none_or(|at| now < at + 500)
            });
            let here: Vec<Open> = here
                .map(|(id, kind)| open(*id, *kind, rests(*id, now)))
                .collect();
            for id in drain.due(Duration::from_millis(now), &here) {
                assert_eq!(closed.insert(id, now), None, "{id} is named twice");
            }
        }
        assert_eq!(closed.len(), sockets.len(), "all are closed in time");
        closed
    }

    fn speakers(number: u64) -> Vec<(u64, Kind)> {
        (0..number).map(|id| (id, Kind::Speaker)).collect()
    }

    /// Returns the largest number of closings within a second.
    fn fastest(closed: &BTreeMap<u64, u64>) -> usize {
        let all: Vec<u64> = closed.values().copied().collect();
        let within = |from: u64| {
            all.iter()
                .filter(move |at| (from..from + 1000).contains(at))
        };
        all.iter()
            .map(|from| within(*from).count())
            .max()
            .unwrap_or(0)
    }

    #[test]
    fn sockets_that_rest_are_closed_at_an_even_pace() {
        let closed = drained(30_000, &speakers(300), |_, _| true);
        assert!(fastest(&closed) <= 11, "{closed:?}");
        assert_eq!(closed.values().min(), Some(&0));
        let last = *closed.values().max().expect("some");
        assert!((29_000..30_000).contains(&last), "{last}");
    }

    #[test]
    fn few_sockets_are_closed_one_a_second_and_the_drain_is_over_early() {
        let closed = drained(30_000, &speakers(3), |_, _| true);
        assert_eq!(closed.into_values().collect::<Vec<_>>(), [0, 1000, 2000]);
    }

    #[test]
    fn a_speaker_is_closed_in_its_next_pause() {
        // The first one pauses after two seconds, the second one at once.
        let closed = drained(10_000, &speakers(2), |id, now| id == 1 || now >= 2_000);
        assert_eq!(closed[&1], 0);
        assert_eq!(closed[&0], 2_000);
    }

    #[test]
    fn one_that_never_pauses_is_closed_at_the_end() {
        let closed = drained(5_000, &speakers(1), |_, _| false);
        assert_eq!(closed[&0], 5_000);
        let closed = drained(30_000, &speakers(300), |_, _| false);
        assert!(fastest(&closed) <= 11, "{closed:?}");
    }

    #[test]
    fn most_of_many_are_closed_in_a_pause_though_each_pauses_rarely() {
        // Each pauses for half a second of four.
        let pauses = |id: u64, now: u64| (now + id * 137) % 4_000 < 500;
        let closed = drained(30_000, &speakers(300), pauses);
        let in_pause = closed.iter().filter(|(id, at)| pauses(**id, **at)).count();
        assert!(in_pause > 270, "{in_pause}");
        assert!(fastest(&closed) <= 11);
    }

    #[test]
    fn listeners_follow_their_speakers() {
        let mut sockets = speakers(2);
        sockets.extend((10..14).map(|id| (id, Kind::Listener)));
        let closed = drained(20_000, &sockets, |id, now| id == 0 || now >= 7_000);
        assert_eq!([closed[&0], closed[&1]], [0, 7_000]);
        let followers: Vec<u64> = (10..14).map(|id| closed[&id]).collect();
        assert_eq!(followers, [7_020, 7_980, 8_980, 9_980]);
    }

    #[test]
    fn many_listeners_do_not_wait_for_a_speaker_that_never_pauses() {
        let mut sockets = speakers(1);
        sockets.extend((10..610).map(|id| (id, Kind::Listener)));
        let closed = drained(6_000, &sockets, |_, _| false);
        assert_eq!(closed[&0], 6_000);
        assert!(fastest(&closed) <= 107, "{}", fastest(&closed));
    }

    #[test]
    fn a_socket_that_comes_late_is_closed_too() {
        let mut drain = Drain::new(Duration::from_secs(5));
        assert_eq!(drain.due(Duration::ZERO, &[]), [0; 0]);
        let late = [open(7, Kind::Speaker, true)];
        assert_eq!(drain.due(Duration::from_secs(1), &late), [7]);
        assert_eq!(drain.due(Duration::from_secs(6), &late), [0; 0]);
    }
}
