// SPDX-License-Identifier: MPL-2.0

//! Spans of time: their union for each member, and members side by side.

use super::{PAUSE_IN_TURN, SHORTEST_TURN};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A start and an end in nanoseconds.
pub(super) type Span = (i64, i64);

/// So many spans may wait to be sorted in, and half as many as are sorted.
const WAITING: usize = 1024;

/// The union of spans, as spans that do not touch.
#[derive(Debug, Default, Clone)]
pub(super) struct Stretches {
    sorted: Vec<Span>,
    /// Spans that came too late for the end of `sorted`.
    late: Vec<Span>,
}

impl Stretches {
    /// Adds a span. An empty one adds nothing.
    pub(super) fn add(&mut self, span: Span, bridge: i64) {
        let (start, stop) = span;
        if stop <= start {
            return;
        }
        match self.sorted.last_mut() {
            Some((from, _)) if start < *from => {
                self.late.push(span);
                if self.late.len() > WAITING + self.sorted.len() / 2 {
                    self.join(bridge);
                }
            }
            Some((_, until)) if start.saturating_sub(*until) <= bridge => *until = stop.max(*until),
            _ => self.sorted.push(span),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sorted.len() + self.late.len()
    }

    /// Sorts all spans in, and joins those with a pause of up to `bridge` between them.
    pub(super) fn join(&mut self, bridge: i64) {
        self.sorted.append(&mut self.late);
        self.late.shrink_to_fit();
        self.sorted.sort_unstable();
        self.sorted.dedup_by(|next, last| {
            let joins = next.0.saturating_sub(last.1) <= bridge;
            if joins {
                last.1 = last.1.max(next.1);
            }
            joins
        });
    }

    /// Returns the lengths of the pauses between the spans, after [`join`](Self::join).
    pub(super) fn pauses(&self) -> impl Iterator<Item = i64> {
        let pairs = self.sorted.iter().zip(self.sorted.iter().skip(1));
        pairs.map(|((_, stop), (start, _))| start.saturating_sub(*stop))
    }

    /// Returns all spans in order, after [`join`](Self::join).
    pub(super) fn all(&self) -> &[Span] {
        &self.sorted
    }
}

/// Returns the turns of a member: stretches with short pauses between them, without those
/// that are only a remark.
pub(super) fn turns(stretches: &[Span]) -> impl Iterator<Item = Span> {
    let mut rest = stretches.iter().copied().peekable();
    std::iter::from_fn(move || {
        loop {
            let (start, mut stop) = rest.next()?;
            let goes_on =
                |stop: i64| move |(next, _): &Span| next.saturating_sub(stop) <= PAUSE_IN_TURN;
            while let Some((_, until)) = rest.next_if(goes_on(stop)) {
                stop = until;
            }
            if stop.saturating_sub(start) >= SHORTEST_TURN {
                return Some((start, stop));
            }
        }
    })
}

/// Goes through the spans of several members in the order of time. Calls `visit` for each
/// part of time in which the same members speak, with those members in order.
pub(super) fn sweep(
    mut lists: Vec<impl Iterator<Item = Span>>,
    mut visit: impl FnMut(Span, &[usize]),
) {
    // An end comes before a start at the same time, because `false` is less than `true`.
    let mut events: BinaryHeap<Reverse<(i64, bool, usize)>> = BinaryHeap::new();
    let mut stops = vec![0; lists.len()];
    let mut next = |index: usize, events: &mut BinaryHeap<_>, stops: &mut [i64]| {
        let span = lists.get_mut(index).and_then(Iterator::next);
        if let (Some((start, stop)), Some(slot)) = (span, stops.get_mut(index)) {
            *slot = stop;
            events.push(Reverse((start, true, index)));
        }
    };
    for index in 0..stops.len() {
        next(index, &mut events, &mut stops);
    }
    let mut active: Vec<usize> = Vec::new();
    let mut last = i64::MIN;
    while let Some(Reverse((time, starts, index))) = events.pop() {
        if time > last && !active.is_empty() {
            visit((last, time), &active);
        }
        last = time;
        match (starts, active.binary_search(&index)) {
            (true, Err(place)) => {
                active.insert(place, index);
                let stop = stops.get(index).copied().unwrap_or(time);
                events.push(Reverse((stop, false, index)));
            }
            (false, Ok(place)) => {
                active.remove(place);
                next(index, &mut events, &mut stops);
            }
            _ => {}
        }
    }
}

/// Returns the spans of several members in the order of their starts.
pub(super) fn order(
    mut lists: Vec<impl Iterator<Item = Span>>,
) -> impl Iterator<Item = (usize, Span)> {
    let mut heads: BinaryHeap<Reverse<(Span, usize)>> = BinaryHeap::new();
    for (index, list) in lists.iter_mut().enumerate() {
        heads.extend(list.next().map(|span| Reverse((span, index))));
    }
    std::iter::from_fn(move || {
        let Reverse((span, index)) = heads.pop()?;
        let next = lists.get_mut(index).and_then(Iterator::next);
        heads.extend(next.map(|span| Reverse((span, index))));
        Some((index, span))
    })
}
