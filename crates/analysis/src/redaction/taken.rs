// SPDX-License-Identifier: MPL-2.0

//! Which words are hidden by what, when several rules find the same ones.

use super::{Kind, Span};
use std::ops::Range;

/// Which words are hidden. What came first keeps them.
#[derive(Debug)]
pub(super) struct Taken {
    by: Vec<Option<(usize, Kind)>>,
    count: usize,
}

impl Taken {
    pub(super) fn new(words: usize) -> Self {
        Self {
            by: vec![None; words],
            count: 0,
        }
    }

    pub(super) fn all(&mut self, found: Vec<Range<usize>>, kind: Kind) {
        for span in found {
            self.take(span, kind);
        }
    }

    pub(super) fn take(&mut self, span: Range<usize>, kind: Kind) {
        self.count += 1;
        for place in self.by.get_mut(span).unwrap_or_default() {
            place.get_or_insert((self.count, kind));
        }
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        let mut start = 0;
        let parts = self.by.chunk_by(|one, next| one == next).map(|part| {
            let words = start..start + part.len();
            start = words.end;
            (words, part.first().copied().flatten())
        });
        let taken = parts.filter_map(|(words, by)| by.map(|(_, kind)| Span { words, kind }));
        taken.collect()
    }
}
