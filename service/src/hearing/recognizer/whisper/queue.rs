// SPDX-License-Identifier: MPL-2.0

//! Which job comes next.
//!
//! Finals come before looks, each kind by its time. A look is taken only when no final
//! waits, so under load it is the looks that become fewer. What is wanted for audio that is
//! ahead of its time, because its client sends a file, comes after all of that.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What is wanted later than this is for audio that is ahead of its time.
const AHEAD: Duration = Duration::from_secs(1);

/// Jobs that wait for a worker. A stream has at most one final and one look in it.
#[derive(Debug)]
pub(super) struct Queue<J> {
    finals: BTreeMap<(Instant, u64), J>,
    looks: BTreeMap<(Instant, u64), J>,
    count: u64,
}

/// Where a job stands in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    is_final: bool,
    key: (Instant, u64),
}

impl<J> Default for Queue<J> {
    fn default() -> Self {
        Self {
            finals: BTreeMap::new(),
            looks: BTreeMap::new(),
            count: 0,
        }
    }
}

impl<J> Queue<J> {
    /// Adds a final that is wanted by `deadline`.
    pub(super) fn push_final(&mut self, deadline: Instant, job: J) -> Ticket {
        let key = self.key(deadline);
        self.finals.insert(key, job);
        Ticket {
            is_final: true,
            key,
        }
    }

    /// Adds a look that has been due since `due`.
    pub(super) fn push_look(&mut self, due: Instant, job: J) -> Ticket {
        let key = self.key(due);
        self.looks.insert(key, job);
        Ticket {
            is_final: false,
            key,
        }
    }

    fn key(&mut self, time: Instant) -> (Instant, u64) {
        self.count += 1;
        (time, self.count)
    }

    /// Takes a job out that no worker has begun.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<J> {
        let jobs = match ticket.is_final {
            true => &mut self.finals,
            false => &mut self.looks,
        };
        jobs.remove(&ticket.key)
    }

    /// Takes the job that comes next at a time.
    pub(super) fn take(&mut self, now: Instant) -> Option<J> {
        let is_due = |jobs: &BTreeMap<(Instant, u64), J>| {
            let first = jobs.keys().next();
            first.is_some_and(|(time, _)| *time <= now + AHEAD)
        };
        let jobs = match (is_due(&self.finals), is_due(&self.looks)) {
            (false, true) => &mut self.looks,
            (false, false) if self.finals.is_empty() => &mut self.looks,
            _ => &mut self.finals,
        };
        jobs.pop_first().map(|(_, job)| job)
    }

    /// Returns how many jobs wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.finals.len() + self.looks.len()
    }

    /// Takes out all jobs.
    pub(super) fn drain(&mut self) -> Vec<J> {
        let finals = std::mem::take(&mut self.finals);
        let looks = std::mem::take(&mut self.looks);
        finals.into_values().chain(looks.into_values()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finals_come_first_and_each_kind_by_its_time() {
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        let mut queue = Queue::default();
        queue.push_look(at(0), "look 0");
        queue.push_final(at(300), "final 300");
        queue.push_final(at(100), "final 100");
        queue.push_look(at(0), "look 0, later");
        let order: Vec<_> = std::iter::from_fn(|| queue.take(now)).collect();
        assert_eq!(order, ["final 100", "final 300", "look 0", "look 0, later"]);
    }

    #[test]
    fn a_job_that_was_begun_or_removed_is_gone() {
        let now = Instant::now();
        let mut queue = Queue::default();
        let look = queue.push_look(now, 1);
        let last = queue.push_final(now, 2);
        assert_eq!(queue.remove(look), Some(1));
        assert_eq!(queue.remove(look), None);
        assert_eq!(queue.take(now), Some(2));
        assert_eq!(queue.remove(last), None);
        assert_eq!(queue.take(now), None);
    }

    #[test]
    fn what_is_for_audio_that_is_ahead_of_its_time_comes_last() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.push_look(now + Duration::from_secs(30), "look at a file");
        queue.push_final(now + Duration::from_secs(60), "of a file");
        queue.push_look(now, "look");
        queue.push_final(now + Duration::from_millis(300), "live");
        let order: Vec<_> = std::iter::from_fn(|| queue.take(now)).collect();
        assert_eq!(order, ["live", "look", "of a file", "look at a file"]);
    }
}
