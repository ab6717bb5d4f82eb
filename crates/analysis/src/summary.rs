// SPDX-License-Identifier: MPL-2.0

//! Chooses the sentences that say most about a conversation.
//!
//! Nothing is written anew: each line is a sentence that was said. Three well-known methods
//! after each other choose it:
//!
//! 1. *Centroid* (Radev et al. 2004): a sentence counts for more the more its words are those
//!    of the whole conversation, by tf-idf. The best [`CANDIDATES`] go on.
//! 2. *LexRank* (Erkan and Radev 2004): of those, a sentence counts for more the more others
//!    are like it, and the more those count themselves.
//! 3. *Maximal marginal relevance* (Carbonell and Goldstein 1998): a line that repeats one
//!    that was chosen before counts for less.
//!
//! The conversation is read twice: for its [`Vocabulary`], and for its [`Candidates`]. Both
//! have a bound, so a conversation of any length takes the same memory. The same conversation
//! always has the same summary.

use super::token::{Token, fluent_tokens, is_number, stem};
use super::topic::is_stop;
use std::cmp::Ordering;
use std::collections::HashMap;
use unicode_segmentation::UnicodeSegmentation;

/// Most sentences that are compared with each other.
const CANDIDATES: usize = 200;

/// Most words that are counted. A conversation with more has used the common ones before.
const MOST_WORDS: usize = 50_000;

/// Fewest words of a line, and fewest of them that mean something.
const SHORTEST: (usize, usize) = (5, 3);

/// Most words of a line. A longer message is taken apart into its sentences.
const LONGEST: usize = 60;

/// Most lines of a summary.
const MOST_LINES: usize = 12;

/// How much a question counts.
const QUESTION: f64 = 0.5;

/// How much relevance counts against repetition.
const RELEVANCE: f64 = 0.7;

/// A sentence with less than this part of the most importance is no line.
const LEAST: f64 = 0.4;

/// Sentences that are this much alike stand for each other.
const ALIKE: f64 = 0.5;

/// Most messages that a line stands for.
const MOST_REFERENCES: usize = 10;

/// Part of its importance that a sentence passes on to those like it, and how often.
const DAMPING: f64 = 0.85;
const ROUNDS: usize = 40;

/// A line of a summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The sentence that was said.
    pub text: String,
    /// The message with it.
    pub message: i64,
    /// The messages that it stands for, in their order: its own, and those that say much the
    /// same.
    pub references: Vec<i64>,
}

/// The words of a conversation.
#[derive(Debug, Default)]
pub struct Vocabulary {
    /// Each stem with its number, how many sentences have it, and how often it was said.
    words: HashMap<String, (u32, u32, u32)>,
    sentences: u32,
    messages: usize,
}

/// The best sentences so far.
#[derive(Debug)]
pub struct Candidates {
    vocabulary: Vocabulary,
    best: Vec<Candidate>,
    read: usize,
}

#[derive(Debug)]
struct Candidate {
    score: f64,
    /// Its place in the conversation.
    order: usize,
    message: i64,
    text: String,
    /// The weights of its words, of length 1, by their numbers.
    vector: Vec<(u32, f64)>,
}

impl Vocabulary {
    /// Counts the words of a message.
    pub fn count(&mut self, text: &str) {
        self.messages += 1;
        for sentence in parts(text) {
            self.sentences += 1;
            let mut stems = stems(sentence);
            stems.sort_unstable();
            for same in stems.chunk_by(|one, other| one == other) {
                let Some(stem) = same.first() else { continue };
                let known = self.words.len();
                let next = u32::try_from(known).unwrap_or(u32::MAX);
                let times = u32::try_from(same.len()).unwrap_or(u32::MAX);
                match self.words.get_mut(stem) {
                    Some((_, sentences, total)) => {
                        *sentences += 1;
                        *total = total.saturating_add(times);
                    }
                    None if known >= MOST_WORDS => {}
                    None => drop(self.words.insert(stem.clone(), (next, 1, times))),
                }
            }
        }
    }

    /// Returns the words of a sentence with their weights, of length 1, and how much they are
    /// those of the whole conversation.
    fn rate(&self, stems: &[String]) -> (Vec<(u32, f64)>, f64) {
        let rarity = |sentences: u32| {
            let all = f64::from(self.sentences.max(1));
            (1.0 + all / f64::from(sentences.max(1))).ln()
        };
        let known = stems.iter().filter_map(|stem| self.words.get(stem));
        let mut known: Vec<(u32, u32, u32)> = known.copied().collect();
        known.sort_unstable();
        let mut vector: Vec<(u32, f64)> = Vec::new();
        let mut central = 0.0;
        for same in known.chunk_by(|one, other| one == other) {
            let Some((number, sentences, total)) = same.first() else {
                continue;
            };
            let weight = same.len() as f64 * rarity(*sentences);
            central += f64::from(*total) * rarity(*sentences);
            vector.push((*number, weight));
        }
        let length = vector
            .iter()
            .map(|(_, weight)| weight * weight)
            .sum::<f64>()
            .sqrt();
        if length > 0.0 {
            vector.iter_mut().for_each(|(_, weight)| *weight /= length);
            central /= (vector.len() as f64).sqrt();
        }
        (vector, central)
    }
}

impl Candidates {
    /// Begins with the words of the whole conversation.
    pub fn new(vocabulary: Vocabulary) -> Self {
        Self {
            vocabulary,
            best: Vec::new(),
            read: 0,
        }
    }

    /// Takes the next message.
    pub fn take(&mut self, message: i64, text: &str) {
        for sentence in parts(text) {
            self.read += 1;
            let words = sentence.split_whitespace().count();
            let stems = stems(sentence);
            if words < SHORTEST.0 || words > LONGEST || stems.len() < SHORTEST.1 {
                continue;
            }
            let (vector, central) = self.vocabulary.rate(&stems);
            let asks = sentence.trim_end().ends_with('?');
            self.best.push(Candidate {
                score: central * if asks { QUESTION } else { 1.0 },
                order: self.read,
                message,
                text: sentence.trim().to_owned(),
                vector,
            });
        }
        // Sorted now and then, so that one more sentence costs little.
        if self.best.len() >= 2 * CANDIDATES {
            self.thin();
        }
    }

    fn thin(&mut self) {
        self.best.sort_by(better);
        self.best.truncate(CANDIDATES);
    }

    /// Returns the summary in the order of the conversation.
    pub fn lines(mut self) -> Vec<Line> {
        self.thin();
        let best = &self.best;
        let alike: Vec<Vec<f64>> = best
            .iter()
            .map(|one| {
                best.iter()
                    .map(|other| cosine(&one.vector, &other.vector))
                    .collect()
            })
            .collect();
        let ranks = ranks(best, &alike);
        let wanted = (self.vocabulary.messages as f64).sqrt().round() as usize;
        let wanted = wanted.clamp(1, MOST_LINES);
        let most = ranks.iter().copied().fold(0.0, f64::max);
        let mut chosen: Vec<usize> = Vec::new();
        while chosen.len() < wanted.min(best.len()) {
            let rank = |at: &usize| ranks.get(*at).copied().unwrap_or_default();
            let repeats = |at: &usize| {
                let repeats = chosen
                    .iter()
                    .filter_map(|other| alike.get(*at)?.get(*other));
                repeats.copied().fold(0.0, f64::max)
            };
            let gain = |at: &usize| RELEVANCE * rank(at) - (1.0 - RELEVANCE) * repeats(at);
            let is_line = |at: &usize| rank(at) >= LEAST * most && repeats(at) < ALIKE;
            let rest = (0..best.len()).filter(|at| !chosen.contains(at) && is_line(at));
            // Of equals, `max_by` would return the last one.
            let Some(next) = rest
                .rev()
                .max_by(|one, other| gain(one).total_cmp(&gain(other)))
            else {
                break;
            };
            chosen.push(next);
        }
        chosen.sort_by_key(|at| best.get(*at).map(|one| one.order));
        let lines = chosen.into_iter().filter_map(|at| {
            let (own, alike) = (best.get(at)?, alike.get(at)?);
            let mut same: Vec<&Candidate> = best
                .iter()
                .zip(alike)
                .filter(|(one, alike)| **alike >= ALIKE && one.message != own.message)
                .map(|(one, _)| one)
                .take(MOST_REFERENCES - 1)
                .chain([own])
                .collect();
            same.sort_by_key(|one| one.order);
            let mut references: Vec<i64> = same.iter().map(|one| one.message).collect();
            references.dedup();
            Some(Line {
                text: own.text.clone(),
                message: own.message,
                references,
            })
        });
        lines.collect()
    }
}

/// Compares two candidates, the better and earlier one first.
fn better(one: &Candidate, other: &Candidate) -> Ordering {
    let score = other.score.total_cmp(&one.score);
    score.then(one.order.cmp(&other.order))
}

/// Returns how important each candidate is, 0 to 1: the geometric mean of what its words and
/// what the others like it say.
fn ranks(best: &[Candidate], alike: &[Vec<f64>]) -> Vec<f64> {
    let count = best.len() as f64;
    // A sentence does not count for being like itself.
    let others = |at: usize| {
        let row = alike.get(at).into_iter().flatten().enumerate();
        row.filter(move |(other, _)| *other != at)
    };
    let all = 0..best.len();
    let totals = all
        .clone()
        .map(|at| others(at).map(|(_, alike)| alike).sum::<f64>());
    let totals: Vec<f64> = totals.map(|total| total.max(1e-9)).collect();
    let mut ranks = vec![1.0 / count.max(1.0); best.len()];
    for _ in 0..ROUNDS {
        let shares: Vec<f64> = ranks
            .iter()
            .zip(&totals)
            .map(|(rank, total)| rank / total)
            .collect();
        let next = all.clone().map(|at| {
            // Likeness is mutual, so a row is also a column.
            let passed = others(at).filter_map(|(other, alike)| Some(alike * shares.get(other)?));
            (1.0 - DAMPING) / count + DAMPING * passed.sum::<f64>()
        });
        ranks = next.collect();
    }
    let most = ranks.iter().copied().fold(1e-9, f64::max);
    let score = best.iter().map(|one| one.score).fold(1e-9, f64::max);
    let both = ranks.iter().zip(best);
    both.map(|(rank, one)| (rank / most * one.score / score).sqrt())
        .collect()
}

/// Returns how much two vectors of length 1 are alike, 0 to 1.
fn cosine(one: &[(u32, f64)], other: &[(u32, f64)]) -> f64 {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    let mut sum = 0.0;
    while let (Some((a, x)), Some((b, y))) = (one.peek(), other.peek()) {
        match a.cmp(b) {
            Ordering::Less => drop(one.next()),
            Ordering::Greater => drop(other.next()),
            Ordering::Equal => {
                sum += x * y;
                one.next();
                other.next();
            }
        }
    }
    sum
}

/// Returns the parts of a message that may be lines: all of it, or its sentences.
fn parts(text: &str) -> Vec<&str> {
    match text.split_whitespace().count() {
        0 => Vec::new(),
        1..=LONGEST => vec![text],
        _ => text
            .split_sentence_bounds()
            .filter(|part| !part.trim().is_empty())
            .collect(),
    }
}

/// Returns the stems of the words that mean something.
fn stems(sentence: &str) -> Vec<String> {
    let tokens = fluent_tokens(sentence);
    let means = |token: &&Token| {
        let word = token.text.as_str();
        word.chars().count() > 2 && !is_stop(word) && !is_number(word)
    };
    tokens
        .iter()
        .filter(means)
        .map(|token| stem(&token.text))
        .collect()
}

#[cfg(test)]
mod tests;
