// SPDX-License-Identifier: MPL-2.0

//! Finds the topics of a conversation: phrases that recur.
//!
//! As in RAKE, candidates are the runs of words between stop words; here common verbs
//! and adjectives of speech end a run too. A candidate becomes a topic when it recurs
//! often enough in the last sentences and stands where nouns stand. Longer phrases
//! count more. A word that only occurs inside a longer topic is no topic of its own.
//! A topic is reported again only when its score has risen by [`STEP`].
//!
//! Memory is bounded, because only the last [`WINDOW`] sentences count.

use super::TopicFinding;
use super::token::{Token, fluent_tokens, is_number, stem};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::LazyLock;

/// Number of sentences after which an occurrence is forgotten.
const WINDOW: u64 = 200;
/// Maximum number of words in a topic.
const LONGEST: usize = 3;
/// Minimum length of a word that is a topic of its own, in characters.
const SHORTEST: usize = 4;
/// A topic is reported again when its score is this much higher than at its last
/// report.
const STEP: f64 = 0.1;
/// Maximum number of topics reported after one sentence.
const MOST: usize = 3;
/// Minimum number of sentences with the phrase: for one word, and for several. For
/// each [`LONG`] sentences in the window, one more is needed.
const OFTEN_ENOUGH: (u64, u64) = (3, 2);
/// Divisors of the window for [`OFTEN_ENOUGH`].
const LONG: (u64, u64) = (70, 120);
/// Weight that gives a score of one half.
const HALF: f64 = 2.0;
/// Maximum number of messages that a topic refers to.
const MOST_MESSAGES: usize = 32;

/// Estimated size of a list item besides its text, in bytes.
const ENTRY: usize = 48;

/// Words that are not topics: everyday verbs, adjectives and adverbs, pleasantries,
/// and nouns for time and number.
#[rustfmt::skip]
const GENERAL: &str = "able absolutely actually afternoon agree ago almost alone along already alright also although always among \
    amount answer anybody anymore anyone anything anyway apparently appreciate arrive ask away awesome back bad bang basically become \
    begin believe best better big bit bring busy bye call calls came cannot care case certain certainly chance change check choose clear close \
    come complete completely correct could couple course currently cut day days deal decide definitely depend difference different \
    done early easy either else end enjoy enough enter especially even evening ever every everybody everyone everything exactly except \
    expect explain fact fair far fast feel fellow figure finally find fine finish first follow forget fun game gave general get give \
    glad go goes goodbye good gone gonna got great guess guy guys half happen happy hard hate hear heard hello help hey hi hold home \
    honestly hope hour hours however idea important indeed instead keep kind knew know last late later leave left less let life like little \
    likely listen literally live long look lost lot lots love made main make many matter maybe mean mention met middle might mind mine minute \
    minutes miss moment month months morning move much must name near need needs never new next nice night noon nobody none normal nothing \
    obviously offer often okay old one open order otherwise part past people perfect perhaps person pick place plan play please pleasure \
    point possible press pretty probably problem put question quick quickly quite ready real really reason remember reset \
    restart rather right said saw say second see seem seen send sent set several shall short show side simple simply since small \
    somebody someone something sometimes somewhere soon sorry sort speak spend stand star start started still stop story stuff sure take \
    talk tell than thank thanks therefore thing things think though thought three time times today together told tomorrow tonight took \
    top total totally towards tried true try turn two understand unfortunately upon use used usually wait walk want watch \
    way week weekend weeks welcome well went whatever whether whole will wish within without won wonder word work worry worse would \
    wrong yeah year years yep yes yesterday yet";

/// Words that a noun phrase follows.
const BEFORE_NOUNS: &[&str] = &[
    "the", "a", "an", "my", "your", "his", "her", "our", "their", "its", "this", "that", "these",
    "those", "of", "some", "any", "no", "each", "every", "from", "other", "new", "old", "about",
];

static STOP: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let listed = stop_words::lookup("en").unwrap_or_default();
    listed
        .iter()
        .copied()
        .chain(GENERAL.split_whitespace())
        .collect()
});

/// An occurrence of a candidate in a sentence.
#[derive(Debug)]
struct Occurrence {
    sentence: u64,
    message_id: String,
    /// `true` if it stood where a noun stands: after `the`, `your`, `of`…, and with
    /// no other candidate after it.
    noun: bool,
}

#[derive(Debug, Default)]
struct Candidate {
    /// The phrase as it was said first.
    text: String,
    /// Occurrences, oldest first.
    said: VecDeque<Occurrence>,
    /// Score at the last report.
    told: f64,
}

/// Collects the topics of a conversation.
#[derive(Debug, Default)]
pub struct Topics {
    sentence: u64,
    /// Candidates by the stems of their words.
    candidates: BTreeMap<Vec<String>, Candidate>,
}

impl Topics {
    /// Takes the next sentence. Returns the topics that are new or whose score has
    /// clearly risen, best first.
    pub fn sentence(&mut self, message_id: &str, text: &str) -> Vec<TopicFinding> {
        self.sentence += 1;
        self.forget();
        let mut touched: Vec<Vec<String>> = Vec::new();
        for (run, after_determiner) in runs(&fluent_tokens(text)) {
            for length in 1..=run.len().min(LONGEST) {
                for (start, words) in run.windows(length).enumerate() {
                    let key: Vec<String> = words.iter().map(|word| stem(word)).collect();
                    if touched.contains(&key) {
                        continue;
                    }
                    let candidate = self.candidates.entry(key.clone()).or_default();
                    if candidate.text.is_empty() {
                        candidate.text = words.join(" ");
                    }
                    candidate.said.push_back(Occurrence {
                        sentence: self.sentence,
                        message_id: message_id.to_owned(),
                        noun: after_determiner && start == 0 && length == run.len(),
                    });
                    touched.push(key);
                }
            }
        }
        self.tell(touched)
    }

    /// Returns an estimate of the memory that this takes, in bytes.
    pub fn bytes(&self) -> usize {
        let texts = |texts: &[String]| texts.iter().map(|text| text.len() + ENTRY).sum::<usize>();
        let candidates = self.candidates.iter().map(|(key, candidate)| {
            let said = candidate.said.iter();
            let said: usize = said.map(|said| said.message_id.len() + ENTRY).sum();
            ENTRY + texts(key) + candidate.text.len() + said
        });
        candidates.sum()
    }

    fn tell(&mut self, touched: Vec<Vec<String>>) -> Vec<TopicFinding> {
        let mut risen: Vec<(f64, Vec<String>)> = touched
            .into_iter()
            .filter_map(|key| self.score(&key).map(|score| (score, key)))
            .filter(|(score, key)| {
                let told = self.candidates.get(key).map_or(0.0, |c| c.told);
                *score >= told + STEP
            })
            .collect();
        risen.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.cmp(y)));
        risen.truncate(MOST);
        let mut found = Vec::new();
        for (score, key) in risen {
            if let Some(candidate) = self.candidates.get_mut(&key) {
                candidate.told = score;
                found.push(TopicFinding {
                    text: candidate.text.clone(),
                    score: (score * 100.0).round() / 100.0,
                    message_ids: candidate
                        .said
                        .iter()
                        .map(|s| s.message_id.clone())
                        .collect(),
                    root_words: candidate.text.split(' ').map(str::to_owned).collect(),
                });
            }
        }
        found
    }

    /// Returns the score of a phrase, 0–1, if it is a topic now.
    fn score(&self, key: &[String]) -> Option<f64> {
        let alone = self.alone(key);
        let nouns = alone.iter().filter(|said| said.noun).count();
        let long = self.sentence.min(WINDOW);
        let is_topic = if key.len() == 1 {
            let short = key.iter().any(|word| word.chars().count() < SHORTEST);
            !short && nouns as u64 >= OFTEN_ENOUGH.0 + long / LONG.0
        } else {
            nouns > 0 && alone.len() as u64 >= OFTEN_ENOUGH.1 + long / LONG.1
        };
        let weight = alone.len() as f64 * (1.0 + key.len() as f64) / 2.0;
        is_topic.then_some(weight / (weight + HALF))
    }

    /// Returns the occurrences of a phrase outside of longer phrases that recur
    /// themselves.
    fn alone(&self, key: &[String]) -> Vec<&Occurrence> {
        let Some(candidate) = self.candidates.get(key) else {
            return Vec::new();
        };
        let longer: HashSet<u64> = self
            .candidates
            .iter()
            .filter(|(other, c)| {
                other.len() > key.len()
                    && c.said.len() as u64 >= OFTEN_ENOUGH.1
                    && other.windows(key.len()).any(|part| part == key)
            })
            .flat_map(|(_, c)| c.said.iter().map(|said| said.sentence))
            .collect();
        let said = candidate.said.iter();
        said.filter(|said| !longer.contains(&said.sentence))
            .collect()
    }

    fn forget(&mut self) {
        let now = self.sentence;
        self.candidates.retain(|_, candidate| {
            candidate
                .said
                .retain(|said| now.saturating_sub(said.sentence) < WINDOW);
            while candidate.said.len() > MOST_MESSAGES {
                candidate.said.pop_front();
            }
            !candidate.said.is_empty()
        });
    }
}

/// Returns the runs of words that may be topics. The flag is `true` if the word
/// before the run makes it a noun.
fn runs(tokens: &[Token]) -> Vec<(Vec<&str>, bool)> {
    let mut runs: Vec<(Vec<&str>, bool)> = Vec::new();
    let mut before: Option<&str> = None;
    let mut in_run = false;
    for token in tokens {
        let word = token.text.as_str();
        let content = is_content(word);
        match runs.last_mut() {
            Some((run, _)) if content && in_run => run.push(word),
            _ if content => runs.push((vec![word], before.is_some_and(is_noun_next))),
            _ => {}
        }
        in_run = content;
        before = Some(word);
    }
    runs
}

fn is_noun_next(before: &str) -> bool {
    BEFORE_NOUNS.contains(&before) || is_number(before)
}

/// Returns `true` for words that say nothing about the subject of a talk.
pub(super) fn is_stop(word: &str) -> bool {
    STOP.contains(word)
}

fn is_content(word: &str) -> bool {
    word.chars().count() > 2
        && !STOP.contains(word)
        && !is_number(word)
        && !word.ends_with("ly")
        && !word.ends_with("ing")
        && !word.ends_with("ed")
        && word.chars().all(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(topics: &mut Topics, sentences: &[&str]) -> Vec<Vec<String>> {
        sentences
            .iter()
            .map(|text| {
                topics
                    .sentence("m", text)
                    .into_iter()
                    .map(|t| t.text)
                    .collect()
            })
            .collect()
    }

    #[test]
    fn a_phrase_becomes_a_topic_when_it_comes_back() {
        let mut topics = Topics::default();
        topics.sentence("a", "Is the delivery address right?");
        topics.sentence("b", "Yes it is.");
        let found = topics.sentence("c", "Then we use that delivery address.");
        assert_eq!(found.len(), 1, "not its parts: {found:?}");
        assert_eq!(found[0].text, "delivery address");
        assert_eq!(found[0].message_ids, ["a", "c"]);
        assert_eq!(found[0].root_words, ["delivery", "address"]);
        assert!(found[0].score > 0.5 && found[0].score < 1.0);
    }

    #[test]
    fn a_topic_is_reported_again_only_when_its_score_has_risen_by_a_step() {
        let mut topics = Topics::default();
        let found = told(&mut topics, &["I saw the router."; 12]);
        let times = found.iter().filter(|topics| !topics.is_empty()).count();
        assert!((2..=4).contains(&times), "{found:?}");
        assert!(found[0].is_empty() && found[1].is_empty());
    }

    #[test]
    fn small_talk_verbs_and_scattered_words_are_no_topics() {
        let mut topics = Topics::default();
        let found = told(
            &mut topics,
            &[
                "How are you doing today?",
                "We dump and we draw.",
                "Thanks, I am fine.",
            ]
            .repeat(5),
        );
        assert!(found.iter().all(Vec::is_empty), "{found:?}");
    }

    #[test]
    fn occurrences_long_ago_are_forgotten() {
        let mut topics = Topics::default();
        topics.sentence("a", "The delivery address.");
        for _ in 0..WINDOW {
            topics.sentence("b", "Well.");
        }
        assert!(topics.candidates.is_empty());
    }
}
