// SPDX-License-Identifier: MPL-2.0

//! Knows in which conversations other nodes have listeners. They say so again and again, so
//! that a node that is gone or cannot be heard is forgotten.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long what a node has said counts.
const LASTS: Duration = Duration::from_secs(13);

/// Most conversations of other nodes that are known, each node counted by itself. Of others,
/// no interims are sent.
const MOST: usize = 200_000;

/// The conversations in which other nodes have listeners.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    /// For each conversation, the nodes and until when.
    by_conversation: HashMap<i64, Vec<(i64, Instant)>>,
    /// Number of all nodes in it.
    number: usize,
}

impl Interest {
    /// Records that a node has listeners in a conversation.
    pub(crate) fn listens(&mut self, node: i64, conversation: i64, now: Instant) {
        let until = now + LASTS;
        let known = self.by_conversation.get_mut(&conversation);
        let known = known.and_then(|nodes| nodes.iter_mut().find(|(known, _)| *known == node));
        if let Some((_, known)) = known {
            *known = until;
        } else if self.number < MOST {
            let nodes = self.by_conversation.entry(conversation).or_default();
            nodes.push((node, until));
            self.number += 1;
        }
    }

    /// Records that a node has none any more.
    pub(crate) fn listens_no_more(&mut self, node: i64, conversation: i64) {
        self.keep(conversation, |(known, _)| *known != node);
    }

    /// Returns `true` if another node has listeners in this conversation.
    pub(crate) fn is_wanted(&self, conversation: i64, now: Instant) -> bool {
        let nodes = self.by_conversation.get(&conversation);
        nodes.is_some_and(|nodes| nodes.iter().any(|(_, until)| now < *until))
    }

    /// Forgets the nodes that were not heard of for too long.
    pub(crate) fn forget(&mut self, now: Instant) {
        let all: Vec<i64> = self.by_conversation.keys().copied().collect();
        for conversation in all {
            self.keep(conversation, |(_, until)| now < *until);
        }
    }

    fn keep(&mut self, conversation: i64, stays: impl Fn(&(i64, Instant)) -> bool) {
        let Some(nodes) = self.by_conversation.get_mut(&conversation) else {
            return;
        };
        let before = nodes.len();
        nodes.retain(stays);
        self.number -= before - nodes.len();
        if nodes.is_empty() {
            self.by_conversation.remove(&conversation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_wanted_while_a_node_says_so() {
        let now = Instant::now();
        let mut interest = Interest::default();
        assert!(!interest.is_wanted(1, now));
        interest.listens(7, 1, now);
        interest.listens(8, 1, now);
        interest.listens_no_more(7, 1);
        interest.listens_no_more(7, 2);
        assert!(interest.is_wanted(1, now));
        assert!(!interest.is_wanted(2, now));
        interest.listens_no_more(8, 1);
        assert!(!interest.is_wanted(1, now));
    }

    #[test]
    fn a_node_that_is_not_heard_of_is_forgotten() {
        let now = Instant::now();
        let mut interest = Interest::default();
        interest.listens(7, 1, now);
        interest.listens(8, 2, now);
        let later = now + LASTS - Duration::from_secs(1);
        interest.listens(8, 2, later);
        assert!(interest.is_wanted(1, later));
        assert!(!interest.is_wanted(1, now + LASTS));
        interest.forget(now + LASTS);
        assert!(interest.is_wanted(2, now + LASTS));
        assert_eq!((interest.number, interest.by_conversation.len()), (1, 1));
    }

    #[test]
    fn no_more_than_a_bound_is_remembered() {
        let now = Instant::now();
        let mut interest = Interest::default();
        for conversation in 0..MOST as i64 + 10 {
            interest.listens(7, conversation, now);
        }
        assert_eq!(interest.number, MOST);
        interest.listens_no_more(7, 3);
        interest.listens(7, -1, now);
        assert!(interest.is_wanted(-1, now));
    }
}
