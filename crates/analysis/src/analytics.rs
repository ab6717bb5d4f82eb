// SPDX-License-Identifier: MPL-2.0

//! Counts who spoke when: talk, silence, overlap, pace, monologues and interruptions.
//!
//! The words of each message come in, in any order, and [`Analytics::report`] gives the
//! figures. All of them are arithmetic on the times of words; nothing is estimated.
//! `docs/analytics.md` defines each figure. The figures without a definition in Symbl's
//! documentation are extensions.
//!
//! Only *stretches* are kept: times in which a member speaks without a pause, sixteen
//! bytes each. Of more than [`MOST_STRETCHES`], those with the shortest pauses between them
//! are joined, so that a conversation of any length takes a bounded amount of memory.

mod stretches;

use std::collections::HashMap;
use stretches::{Span, Stretches, order, sweep, turns};

/// Most stretches that are kept of a conversation.
const MOST_STRETCHES: usize = 1 << 20;

/// Pauses of up to this length do not end a turn, in nanoseconds.
const PAUSE_IN_TURN: i64 = 1_000_000_000;

/// Shorter turns are remarks: they end no monologue and interrupt no one.
const SHORTEST_TURN: i64 = 1_000_000_000;

/// Pauses of up to this length do not end a monologue.
const PAUSE_IN_MONOLOGUE: i64 = 3_000_000_000;

/// Who begins this shortly before another member stops does not interrupt.
const TAKEOVER: i64 = 300_000_000;

/// Most members who speak at the same time between whom overlap is told apart.
const MOST_AT_ONCE: usize = 64;

/// A message, as far as it is counted.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// The start and the end of each word, in nanoseconds of any clock. A message without
    /// words has one pair.
    pub times: &'a [(i64, i64)],
    /// The number of its words.
    pub words: usize,
    /// The number of its questions.
    pub questions: usize,
    /// Its polarity, −1 to 1.
    pub polarity: f64,
}

/// What is counted of one member.
#[derive(Debug, Default, Clone)]
struct Counted {
    key: String,
    stretches: Stretches,
    words: u64,
    messages: u64,
    questions: u64,
    polarity: Mean,
}

/// The mean of the polarities that are not 0.
#[derive(Debug, Default, Clone, Copy)]
struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    fn add(&mut self, polarity: f64) {
        if polarity != 0.0 {
            self.sum += polarity;
            self.count += 1;
        }
    }

    fn value(self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
}

/// Counts a conversation, message by message.
#[derive(Debug, Clone)]
pub struct Analytics {
    start: i64,
    members: Vec<Counted>,
    /// The index of each member by its key.
    known: HashMap<String, usize>,
    /// Pauses of up to this length are not kept.
    bridge: i64,
    most: usize,
    polarity: Mean,
}

/// The figures of a conversation. Times are nanoseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// From the start of the conversation to the end of the last word.
    pub duration: i64,
    /// How long no member spoke.
    pub silence: i64,
    /// How long at least one member spoke.
    pub talk: i64,
    /// How long several members spoke at once.
    pub overlap: i64,
    /// The mean polarity of the messages that have one, −1 to 1.
    pub polarity: f64,
    /// The members in the order in which they were first heard of.
    pub members: Vec<MemberReport>,
}

/// The figures of one member. Times are nanoseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MemberReport {
    /// What the member was called in [`Analytics::said`].
    pub key: String,
    /// How long the member spoke.
    pub talk: i64,
    /// How long others spoke and the member did not.
    pub listen: i64,
    /// How long the member and another one spoke at once.
    pub overlap: i64,
    /// How long the member spoke at once with each other one, by its index.
    pub overlaps: Vec<(usize, i64)>,
    /// The start and the end of the longest monologue.
    pub monologue: Option<(i64, i64)>,
    /// How often the member interrupted others.
    pub interruptions: u64,
    /// How often others interrupted the member.
    pub interrupted: u64,
    /// The number of words.
    pub words: u64,
    /// The number of messages.
    pub messages: u64,
    /// The number of questions.
    pub questions: u64,
    /// The mean polarity of the member's messages that have one, −1 to 1.
    pub polarity: f64,
}

impl MemberReport {
    /// Returns the pace in words per minute of the member's own talk.
    pub fn pace(&self) -> f64 {
        match self.talk {
            0 => 0.0,
            talk => self.words as f64 * 60e9 / talk as f64,
        }
    }
}

impl Analytics {
    /// Begins to count a conversation that started at this time.
    pub fn new(start: i64) -> Self {
        Self::with_most(start, MOST_STRETCHES)
    }

    fn with_most(start: i64, most: usize) -> Self {
        Self {
            start,
            members: Vec::new(),
            known: HashMap::new(),
            bridge: 0,
            most,
            polarity: Mean::default(),
        }
    }

    /// Adds a member, who need not say anything. Returns the member's index.
    pub fn member(&mut self, key: &str) -> usize {
        if let Some(index) = self.known.get(key) {
            return *index;
        }
        let index = self.members.len();
        self.known.insert(key.to_owned(), index);
        self.members.push(Counted {
            key: key.to_owned(),
            ..Counted::default()
        });
        index
    }

    /// Counts a message of a member.
    pub fn said(&mut self, member: &str, said: Said<'_>) {
        let index = self.member(member);
        let bridge = self.bridge;
        if let Some(counted) = self.members.get_mut(index) {
            for &(start, stop) in said.times {
                counted.stretches.add((start, stop), bridge);
            }
            counted.words += said.words as u64;
            counted.questions += said.questions as u64;
            counted.messages += 1;
            counted.polarity.add(said.polarity);
        }
        self.polarity.add(said.polarity);
        if self.kept() > self.most {
            self.thin();
        }
    }

    /// Joins stretches until there is room again: those with the shortest pauses.
    fn thin(&mut self) {
        self.join();
        let room = self.most / 8;
        let excess = self.kept().saturating_sub(self.most - room);
        let each = self.members.iter();
        let mut pauses: Vec<i64> = each.flat_map(|one| one.stretches.pauses()).collect();
        if let Some(last) = excess.checked_sub(1).filter(|last| *last < pauses.len()) {
            let (_, longest, _) = pauses.select_nth_unstable(last);
            self.bridge = *longest;
            self.join();
        }
    }

    fn join(&mut self) {
        for counted in &mut self.members {
            counted.stretches.join(self.bridge);
        }
    }

    /// Returns the number of stretches.
    fn kept(&self) -> usize {
        self.members.iter().map(|one| one.stretches.len()).sum()
    }

    /// Returns the figures of everything that was counted.
    pub fn report(mut self) -> Report {
        self.join();
        let mut members = Vec::with_capacity(self.members.len());
        for counted in &mut self.members {
            members.push(MemberReport {
                key: std::mem::take(&mut counted.key),
                words: counted.words,
                messages: counted.messages,
                questions: counted.questions,
                polarity: counted.polarity.value(),
                ..MemberReport::default()
            });
        }
        let lists: Vec<&[Span]> = self.members.iter().map(|one| one.stretches.all()).collect();
        let end = lists
            .iter()
            .filter_map(|list| list.last())
            .map(|last| last.1);
        let end = end.max().unwrap_or(self.start);
        let begins = lists
            .iter()
            .filter_map(|list| list.first())
            .map(|first| first.0);
        // Words before the start make the conversation longer rather than its silence negative.
        let start = begins
            .min()
            .map_or(self.start, |first| first.min(self.start));
        let mut report = Report {
            duration: end.saturating_sub(start).max(0),
            polarity: self.polarity.value(),
            members,
            ..Report::default()
        };
        count_talk(&lists, &mut report);
        count_monologues(&lists, &mut report.members);
        count_interruptions(&lists, &mut report.members);
        report
    }
}

fn count_talk(lists: &[&[Span]], report: &mut Report) {
    let mut pairs: HashMap<(usize, usize), i64> = HashMap::new();
    let Report {
        talk,
        overlap,
        members,
        ..
    } = report;
    let each: Vec<_> = lists.iter().map(|list| list.iter().copied()).collect();
    sweep(each, |(from, to), active| {
        let length = to.saturating_sub(from);
        *talk = talk.saturating_add(length);
        for index in active {
            if let Some(member) = members.get_mut(*index) {
                member.talk = member.talk.saturating_add(length);
                if active.len() > 1 {
                    member.overlap = member.overlap.saturating_add(length);
                }
            }
        }
        if active.len() < 2 {
            return;
        }
        *overlap = overlap.saturating_add(length);
        let told = active.get(..MOST_AT_ONCE).unwrap_or(active);
        for one in told {
            for other in told.iter().filter(|other| *other != one) {
                let pair = pairs.entry((*one, *other)).or_default();
                *pair = pair.saturating_add(length);
            }
        }
    });
    for ((one, other), length) in pairs {
        if let Some(member) = members.get_mut(one) {
            member.overlaps.push((other, length));
        }
    }
    for member in members {
        member.overlaps.sort_unstable();
        member.listen = talk.saturating_sub(member.talk);
    }
    report.silence = report.duration.saturating_sub(report.talk);
}

/// Finds the longest time in which one member speaks and no other one has a turn.
fn count_monologues(lists: &[&[Span]], members: &mut [MemberReport]) {
    let mut now: Option<(usize, Span)> = None;
    let each: Vec<_> = lists.iter().map(|list| turns(list)).collect();
    let mut ends = |monologue: Option<(usize, Span)>| {
        let Some((index, (from, to))) = monologue else {
            return;
        };
        if let Some(member) = members.get_mut(index) {
            let longest = member
                .monologue
                .map_or(0, |(from, to)| to.saturating_sub(from));
            if to.saturating_sub(from) > longest {
                member.monologue = Some((from, to));
            }
        }
    };
    sweep(each, |(from, to), active| match (active, &mut now) {
        ([one], Some((last, (_, until))))
            if last == one && from.saturating_sub(*until) <= PAUSE_IN_MONOLOGUE =>
        {
            *until = to;
        }
        ([one], _) => ends(now.replace((*one, (from, to)))),
        _ => ends(now.take()),
    });
    ends(now);
}

/// Counts turns that begin within another member's turn and outlast it.
fn count_interruptions(lists: &[&[Span]], members: &mut [MemberReport]) {
    let mut before: Vec<(usize, Span)> = Vec::new();
    let each: Vec<_> = lists.iter().map(|list| turns(list)).collect();
    for (index, turn) in order(each) {
        let (start, stop) = turn;
        before.retain(|(_, (_, until))| *until > start);
        let mut interrupts = false;
        for (other, (began, until)) in &before {
            let goes_on = until.saturating_sub(start) >= TAKEOVER;
            if *began < start && goes_on && stop > *until {
                interrupts = true;
                if let Some(member) = members.get_mut(*other) {
                    member.interrupted += 1;
                }
            }
        }
        if let Some(member) = members.get_mut(index).filter(|_| interrupts) {
            member.interruptions += 1;
        }
        before.push((index, turn));
    }
}

#[cfg(test)]
mod tests;
