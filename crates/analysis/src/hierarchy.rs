// SPDX-License-Identifier: MPL-2.0

//! Finds which topic another topic is a part of.
//!
//! A topic is the parent of a longer one that has all of its words, in any inflection:
//! `budget` of `budget report`, `sales report` of `quarterly sales report`. A topic has one
//! parent at most: the one with the most words; of those, the one that has the last word,
//! which in English is what the phrase is about (`report`, not `budget`); of those, the one
//! with the higher score. Nothing is known of topics that share no word.

use super::token::stem;

/// The topics of a conversation.
#[derive(Debug, Default)]
pub struct Hierarchy {
    /// Each topic with the stems of its words, the most important topic first.
    topics: Vec<(String, Vec<String>)>,
}

impl Hierarchy {
    /// Takes all topics, the most important first.
    pub fn new(topics: Vec<String>) -> Self {
        let stemmed = topics.into_iter().map(|text| {
            let words = stems(&text);
            (text, words)
        });
        Self {
            topics: stemmed.collect(),
        }
    }

    /// Returns the parent of a topic, if it has one.
    pub fn parent(&self, text: &str) -> Option<&str> {
        if self.topics.is_empty() {
            return None;
        }
        let words = stems(text);
        let holds = |part: &[String]| {
            let all = !part.is_empty() && part.iter().all(|word| words.contains(word));
            all && part.len() < words.len()
        };
        let parents = self.topics.iter().filter(|(_, part)| holds(part));
        let rank = |part: &[String]| (part.len(), part.last() == words.last());
        // Of equals, `max_by_key` would return the last one.
        let best = parents.rev().max_by_key(|(_, part)| rank(part));
        best.map(|(text, _)| text.as_str())
    }
}

fn stems(text: &str) -> Vec<String> {
    text.split_whitespace().map(stem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(topics: &[&str], of: &str) -> Option<String> {
        let topics = topics.iter().map(|text| (*text).to_owned()).collect();
        Hierarchy::new(topics).parent(of).map(str::to_owned)
    }

    #[test]
    fn a_topic_with_all_words_of_another_is_its_child() {
        let topics = [
            "budget",
            "budget report",
            "quarterly budget reports",
            "lunch",
        ];
        assert_eq!(
            parent(&topics, "quarterly budget reports").as_deref(),
            Some("budget report")
        );
        assert_eq!(parent(&topics, "budget report").as_deref(), Some("budget"));
        assert_eq!(parent(&topics, "budget"), None);
        assert_eq!(parent(&topics, "lunch"), None);
    }

    #[test]
    fn the_head_of_a_phrase_comes_before_its_other_words() {
        let topics = ["budget", "report", "budget report"];
        assert_eq!(parent(&topics, "budget report").as_deref(), Some("report"));
        // Of two that are as good, the more important one.
        let topics = ["plan", "sales", "sales plan meeting"];
        assert_eq!(
            parent(&topics, "sales plan meeting").as_deref(),
            Some("plan")
        );
    }
}
