// SPDX-License-Identifier: MPL-2.0

//! What goes on the pad next, and how long nothing does.

use super::{
    FIRST_GAP, Item, LONGEST_GAP, LateText, Mark, MarkKind, Moment, Now, Output, SECOND, TICK,
    Text, Track,
};
use crate::session::Time;
use crate::session::planted::{Bug, planted};

/// How far the audio of a segment may reach over the start of the next one without going back,
/// in nanoseconds: encoded packets are not clipped. The longest that encoders make, 4,096
/// samples of FLAC at 8 kHz, last for half of this.
const OVERLAP: u64 = SECOND;

impl<M> Track<M> {
    /// Returns what goes on the pad next, if there is anything yet.
    pub fn poll(&mut self, now: Now) -> Option<Output<M>> {
        if let Some(by) = self.late.take() {
            return Some(Output::Late { by });
        }
        let Some(cursor) = self.cursor else {
            let at = self.marks.front()?.at;
            return match self.cover.is_settled(at.position) {
                true => self.pass_mark(),
                false => None,
            };
        };
        if self.begins {
            let begins = |mark: &Mark<M>| {
                matches!(mark.kind, MarkKind::Plain)
                    && mark.at.running_time <= cursor
                    && self.cover.is_settled(mark.at.position)
            };
            // What describes the stream stands in front of all that is in it.
            if self.marks.front().is_some_and(begins) {
                return self.pass_mark();
            }
            self.begins = false;
            return self.gap_to(cursor.saturating_add(FIRST_GAP));
        }
        let deadline = self.deadline(now);
        let patient = match self.behind {
            Some(_) => None,
            None if planted(Bug::PatienceIgnored) => self.cover.silent(now.time, Time::ZERO),
            None => self.cover.silent(now.time, self.config.patience),
        };
        let passed = [self.due(now), patient.map(|at| at.running_time)];
        self.passed = passed
            .into_iter()
            .flatten()
            .max()
            .unwrap_or(0)
            .max(self.passed);
        self.commit(deadline.unwrap_or(cursor));
        loop {
            let mark_at = self.marks.front().map(|mark| mark.at.position);
            let next = self.items.front().map(Item::middle);
            if next.is_some_and(|next| mark_at.is_none_or(|mark| next < mark)) {
                match self.poll_item() {
                    Some(output) => return Some(output),
                    None => continue, // it was left out
                }
            }
            break;
        }
        // The pad may be covered beyond what is due, and a mark is due all the same.
        let due = self.due(now).filter(|_| !planted(Bug::DueMarkHeld));
        if let Some(output) = self.poll_mark(deadline.or(due), patient) {
            return Some(output);
        }
        let patient = patient.map(|at| at.running_time);
        let reached = [self.cover.settled(), patient, deadline];
        let target = reached.into_iter().flatten().max()?;
        // A gap does not overtake a mark that waits.
        let limit = self
            .marks
            .front()
            .map_or(u64::MAX, |mark| mark.at.running_time);
        self.gap_to(target.min(limit))
    }

    /// Returns how long the caller may wait for something to happen before it polls again.
    pub fn next_timeout(&self, now: Now) -> Option<Time> {
        let cursor = self.cursor?;
        if let Some(behind) = self.behind {
            let due = cursor.saturating_add(behind).saturating_sub(TICK);
            let wait = due.saturating_sub(now.running_time?);
            return Some(Time::from_nanos(wait.clamp(SECOND / 1000, TICK)));
        }
        Some(self.cover.next_silent(now.time, self.config.patience))
    }

    /// Returns the running time up to which the pad has to be covered now, if it has not been
    /// long before.
    fn deadline(&self, now: Now) -> Option<u64> {
        let due = self.due(now)?;
        (self.cursor? < due).then_some(due.saturating_add(TICK))
    }

    /// Returns the running time up to which no text is waited for any more.
    fn due(&self, now: Now) -> Option<u64> {
        let now = now.running_time?.saturating_add(TICK);
        now.checked_sub(self.behind?)
    }

    /// Tells the settled words of the interim whose deadline has come.
    fn commit(&mut self, deadline: u64) {
        if !self.config.commits_interims || !self.items.is_empty() {
            return;
        }
        let room = self.room();
        for (piece, speaker) in self.reader.commit(deadline, room) {
            self.stats.words_committed += piece.words();
            self.items.push_back(Item::Text { piece, speaker });
        }
    }

    /// Returns the next step towards the item in front, or `None` if it was left out.
    fn poll_item(&mut self) -> Option<Output<M>> {
        let cursor = self.cursor.unwrap_or_default();
        let following = self.items.iter().skip(1).find_map(|item| match item {
            Item::Text { piece, .. } => piece.start(),
            Item::Final { .. } => None,
        });
        let Some(Item::Text { piece, speaker }) = self.items.front() else {
            self.items.pop_front();
            return Some(Output::Final);
        };
        let start = piece.start().unwrap_or(cursor);
        let end = piece.end().unwrap_or(start).max(start + 1);
        let spoken = piece.spoken().unwrap_or(start);
        let late = piece.is_late(cursor);
        if late && self.config.late == LateText::Drop {
            self.note_lateness(cursor.saturating_sub(spoken));
            self.drop_oldest();
            return self.late.take().map(|by| Output::Late { by });
        }
        if start > cursor && !late {
            return self.gap_to(start);
        }
        if !self.knows_speaker || self.speaker != *speaker {
            let changes = self.knows_speaker || speaker.is_some();
            self.speaker.clone_from(speaker);
            self.knows_speaker = true;
            if changes {
                return Some(Output::Speaker(self.speaker.clone()));
            }
        }
        let keeps = late && self.config.late == LateText::Keep;
        let at = match late {
            true if keeps => start,
            true => cursor,
            false => start.max(cursor),
        };
        let text = piece.text().to_owned();
        let shown = at.saturating_add(piece.show_time());
        let until = match late {
            true if keeps => end,
            true => shown,
            // As long as it takes to carry, as far as the next word leaves room. Where none is
            // known, one may follow at once: words stand where they do however they are cut into
            // finals.
            false => end.max(shown.min(following.unwrap_or(end).max(end))),
        };
        let words = piece.words();
        self.items.pop_front();
        self.stats.words_pushed += words;
        if late {
            self.stats.words_moved += words;
            self.note_lateness(cursor.saturating_sub(spoken));
        } else {
            self.is_late = false;
        }
        if !planted(Bug::TextGoesBack) {
            self.cursor = Some(until.max(cursor));
        }
        Some(Output::Text(Text {
            text,
            start: at,
            duration: until.saturating_sub(at).max(1),
            moved: late,
        }))
    }

    fn note_lateness(&mut self, by: u64) {
        self.stats.lateness_max = self.stats.lateness_max.max(by);
        if !std::mem::replace(&mut self.is_late, true) {
            self.late = Some(by);
        }
    }

    /// Passes the mark in front if nothing is owed before it, after a gap up to it.
    fn poll_mark(&mut self, deadline: Option<u64>, patient: Option<Moment>) -> Option<Output<M>> {
        let at = self.marks.front()?.at;
        let reaches = |moment: Moment| moment.position >= at.position;
        let settled = self.cover.is_settled(at.position)
            || patient.is_some_and(reaches)
            || planted(Bug::MarkOvertakesText)
            || deadline.is_some_and(|deadline| at.running_time <= deadline);
        if !settled {
            return None;
        }
        let until = match self.marks.front()?.kind {
            MarkKind::Segment { starts } if starts.saturating_add(OVERLAP) >= at.running_time => {
                at.running_time.min(starts)
            }
            _ => at.running_time,
        };
        let gap = self.gap_to(until);
        gap.or_else(|| self.pass_mark())
    }

    /// Passes the mark in front.
    fn pass_mark(&mut self) -> Option<Output<M>> {
        let Mark { kind, mark, at } = self.marks.pop_front()?;
        self.cursor = match (kind, self.cursor) {
            (MarkKind::Plain, cursor) => cursor,
            (MarkKind::End, _) => None,
            // Running time goes back only where upstream lets it, and not to what late text has
            // covered. In a segment there is no time before its start.
            (MarkKind::Segment { starts }, Some(cursor)) => {
                match starts.saturating_add(OVERLAP) < at.running_time {
                    true => Some(starts),
                    false => Some(cursor.max(starts)),
                }
            }
            (MarkKind::Segment { starts }, None) => {
                self.begins = true;
                Some(starts)
            }
        };
        Some(Output::Mark(mark))
    }

    /// Returns the next gap on the way to the running time `target`.
    fn gap_to(&mut self, target: u64) -> Option<Output<M>> {
        let start = self.cursor?;
        let duration = target.checked_sub(start).filter(|duration| *duration > 0)?;
        let duration = duration.min(LONGEST_GAP);
        self.cursor = Some(start + duration);
        self.stats.gaps_pushed += 1;
        Some(Output::Gap { start, duration })
    }
}
