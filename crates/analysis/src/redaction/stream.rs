// SPDX-License-Identifier: MPL-2.0

//! Hides what one stream says, final by final.
//!
//! A number may be read in several utterances. So the words of the last finals are kept in
//! memory, and each final is looked at together with them. What was given away before cannot
//! be hidden any more; so digits that are read one by one at the end of a final are hidden at
//! once, before it is known what they are.
//!
//! An interim is looked at in the same way. It must not show what its final hides, so what
//! could still become something to hide is hidden, or held back.

use super::digits::{self, Run};
use super::word::{Word, bare};
use super::{
    Kind, Redaction, Span, account, address, birth, cue, email, gap, identity, number, person,
    postcode, spelling, town,
};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// How many words of the finals before are kept.
const CONTEXT: usize = 40;

/// Words that are further back than this do not belong to what is said now.
const NEAR: Duration = Duration::from_secs(30);

/// This many digits at the end of a final, read one by one, may be the beginning of a number.
const BEGINNING: usize = 4;

/// What of an interim may be shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// How many of its words are shown at all. The others are held back.
    pub words: usize,
    /// Which of those are hidden.
    pub hidden: Vec<Range<usize>>,
}

/// Hides what one stream says.
#[derive(Debug)]
pub struct Redactor {
    redaction: Arc<Redaction>,
    /// The last words of the finals before.
    context: Vec<String>,
    /// When the last of them ended.
    until: Duration,
    /// `true` if the stream goes on after a loss, so that the words before are not known.
    resumed: bool,
}

impl Redactor {
    /// Begins a stream. `resumed` says that it goes on with what was said before a loss.
    pub fn new(redaction: Arc<Redaction>, resumed: bool) -> Self {
        Self {
            redaction,
            context: Vec::new(),
            until: Duration::ZERO,
            resumed,
        }
    }

    /// Returns what is hidden.
    pub fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    /// Returns what of these words counts as before them.
    fn before(&self, start: Duration) -> &[String] {
        match start.saturating_sub(self.until) > NEAR {
            true => &[],
            false => &self.context,
        }
    }

    /// Returns what is to be hidden of the words of a final, which lasts from `start` to
    /// `end`, and remembers them.
    pub fn last(&mut self, words: &[&str], start: Duration, end: Duration) -> Vec<Span> {
        let before = self.before(start);
        let all = behind_context(before, words);
        let skip = before.len();
        let mut spans = self.redaction.find_in(&all);
        let runs = digits::runs(&all);
        if self.redaction.has(Kind::Phone)
            || self.redaction.has(Kind::Card)
            || self.redaction.has(Kind::Ssn)
        {
            spans.extend(beginning(&all, &runs));
            if self.resumed {
                spans.extend(going_on(&all, &runs));
            }
        }
        let found = behind(spans, skip, all.len());
        self.resumed = false;
        self.until = end;
        self.context = self.before(start).to_vec();
        self.context
            .extend(words.iter().map(|word| (*word).to_owned()));
        let surplus = self.context.len().saturating_sub(CONTEXT);
        self.context.drain(..surplus);
        found
    }

    /// Returns what may be shown of an interim that begins at `start`.
    pub fn interim(&self, words: &[&str], start: Duration) -> Shown {
        let before = self.before(start);
        let all = behind_context(before, words);
        let skip = before.len();
        let mut spans = self.redaction.find_in(&all);
        let runs = digits::runs(&all);
        let streets: Vec<Span> = spans
            .iter()
            .filter(|span| span.kind == Kind::Address)
            .cloned()
            .collect();
        let mut hide = |from: Option<usize>| {
            spans.extend(from.map(|from| Span {
                words: from..all.len(),
                kind: Kind::Phone,
            }));
        };
        if self.redaction.has_numbers() {
            let begun = number_begun(&all, &runs);
            hide(begun.map(|start| address::unit(&all, start)));
        }
        if self.redaction.has(Kind::Ssn) {
            hide(identity::begun(&all));
        }
        if self.redaction.has(Kind::Account) {
            hide(account::begun(&all));
        }
        if self.redaction.has(Kind::Name) {
            hide(spelling::begun(&all));
        }
        if self.redaction.has(Kind::Email) {
            hide(email::begun(&all));
        }
        if self.redaction.has(Kind::Address) {
            hide(address::begun(&all, &runs));
            hide(postcode::begun(&all));
            let street = streets.last().map(|span| span.words.end);
            hide(street.filter(|end| town::is_open(&all, *end)));
        }
        if self.redaction.has(Kind::Birth) || self.redaction.has(Kind::Card) {
            hide(birth::begun(&all));
        }
        if self.redaction.has(Kind::Name) {
            spans.extend(person::begun(&all).map(|at| Span {
                words: at..at + 1,
                kind: Kind::Name,
            }));
        }
        if self.redaction.has(Kind::Phone) {
            spans.extend(area_codes(&all, &runs));
        }
        if self.resumed {
            spans.extend(going_on(&all, &runs));
        }
        // The last word may be the first one of a name or an address.
        let shown = words.len().saturating_sub(1);
        let hidden = behind(spans, skip, skip + shown);
        let hidden = hidden.into_iter().map(|span| span.words).collect();
        Shown {
            words: shown,
            hidden,
        }
    }
}

/// Returns the words behind those that count as before them.
fn behind_context<'a>(before: &'a [String], words: &[&'a str]) -> Vec<Word<'a>> {
    let before = before.iter().map(String::as_str);
    before.chain(words.iter().copied()).map(Word::new).collect()
}

/// Returns the parts of the spans that lie in the words from `skip` to `end`, counted from
/// `skip`, in order and without overlaps.
fn behind(spans: Vec<Span>, skip: usize, end: usize) -> Vec<Span> {
    let mut by: Vec<Option<(usize, Kind)>> = vec![None; end.saturating_sub(skip)];
    for (index, span) in spans.iter().enumerate() {
        let from = span.words.start.max(skip);
        let to = span.words.end.min(end);
        for place in from..to {
            if let Some(place) = by.get_mut(place - skip) {
                place.get_or_insert((index, span.kind));
            }
        }
    }
    let mut start = 0;
    let parts = by.chunk_by(|one, next| one == next).map(|part| {
        let words = start..start + part.len();
        start = words.end;
        (words, part.first().copied().flatten())
    });
    let found = parts.filter_map(|(words, by)| by.map(|(_, kind)| Span { words, kind }));
    found.collect()
}

/// Returns the digits at the end of the words, if they may be the beginning of a number.
fn beginning(words: &[Word<'_>], runs: &[Run]) -> Vec<Span> {
    let Some(run) = runs.last().filter(|run| run.end() == words.len()) else {
        return Vec::new();
    };
    let single = run
        .elements
        .iter()
        .rev()
        .take_while(|one| one.digits.len() == 1);
    let single = single.count();
    let is_counting =
        number::is_counting(&run.elements) || single == run.elements.len() && rises(run);
    if single < BEGINNING || is_counting || cue::is_other(words, run.start()) {
        return Vec::new();
    }
    let open = run.elements.get(run.elements.len() - single..);
    let mut found = Vec::new();
    number::spans(words, open.unwrap_or_default(), Kind::Phone, &mut found);
    found
        .into_iter()
        .map(|(words, kind)| Span { words, kind })
        .collect()
}

/// Returns `true` for `one two three four`.
fn rises(run: &Run) -> bool {
    let digits: String = run.elements.iter().map(|one| one.digits.as_str()).collect();
    "0123456789".contains(&digits) || "9876543210".contains(&digits)
}

/// Returns the digits at the beginning of the words, which may be the rest of a number.
fn going_on(words: &[Word<'_>], runs: &[Run]) -> Option<Span> {
    let run = runs.first().filter(|run| {
        words
            .get(..run.start())
            .unwrap_or_default()
            .iter()
            .all(Word::is_filler)
    })?;
    Some(Span {
        words: run.start()..run.end(),
        kind: Kind::Phone,
    })
}

/// Returns where the digits begin that the words end with, or that may go on behind them.
fn number_begun(words: &[Word<'_>], runs: &[Run]) -> Option<usize> {
    // The last word may be a part of the next digits, or join them.
    let joins = |at: usize| {
        matches!(
            bare(words, at),
            "double"
                | "triple"
                | "treble"
                | "oh"
                | "o"
                | "plus"
                | "to"
                | "too"
                | "for"
                | "won"
                | "ate"
        )
    };
    let mut end = words.len();
    while end > 0 && joins(end - 1) {
        end -= 1;
    }
    let end = end.min(gap::before_pauses(words.get(..end).unwrap_or_default()));
    let last = runs.iter().rposition(|run| run.end() >= end)?;
    gap::begun(words, runs, last)
}

/// Returns the area codes whose phone number may still be said.
fn area_codes(words: &[Word<'_>], runs: &[Run]) -> Vec<Span> {
    let announced = runs.iter().filter(|run| number::is_area_code(words, run));
    let codes = announced.map(|run| Span {
        words: run.start()..run.end(),
        kind: Kind::Phone,
    });
    codes.collect()
}
