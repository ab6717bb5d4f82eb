// SPDX-License-Identifier: MPL-2.0

//! Finds questions, action items and follow-ups in one sentence.
//!
//! A question is a sentence that ends with a question mark, whether the engine set it
//! or [`super::punctuate`] did. Phrases of [`super::rules`] make the other two. A
//! follow-up is a special kind of action item and replaces it. If the client asked
//! for action items only, a follow-up is reported as an action item.

use super::pattern::{Pattern, Subject};
use super::token::{Token, fluent_tokens};
use super::{Assignee, InsightFinding, Sentence, due, question, rules};
use std::ops::Range;
use std::sync::LazyLock;
use symbl_protocol::InsightType;
use unicode_segmentation::UnicodeSegmentation;

/// Minimum confidence of a question whose question mark comes from the engine: it heard the
/// tone of voice, which the rules cannot.
const MARKED: f64 = 0.8;
/// Added to the confidence of a task with a due date.
const DUE_BONUS: f64 = 0.05;
/// Factor on the confidence of a task with a word of doubt.
const HEDGED: f64 = 0.8;

struct Rules {
    action: Vec<(f64, Pattern)>,
    follow_up: Vec<(f64, Pattern)>,
    neither: Vec<Pattern>,
    no_follow_up: Vec<Pattern>,
    asked: Vec<Pattern>,
    hedges: Vec<Pattern>,
    actor: Vec<Pattern>,
}

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let rated = |table: &[(f64, &'static str)]| {
        table
            .iter()
            .map(|(confidence, pattern)| (*confidence, Pattern::new(pattern)))
            .collect()
    };
    let plain = |table: &[&'static str]| table.iter().map(|p| Pattern::new(p)).collect();
    Rules {
        action: rated(rules::ACTION),
        follow_up: rated(rules::FOLLOW_UP),
        neither: plain(rules::NEITHER),
        no_follow_up: plain(rules::NO_FOLLOW_UP),
        asked: plain(rules::ASKED),
        hedges: plain(rules::HEDGES),
        actor: plain(rules::ACTOR),
    }
});

/// Returns all insights of the wanted kinds whose confidence reaches the threshold.
pub(super) fn find(
    sentence: &Sentence,
    wanted: &[InsightType],
    threshold: f64,
) -> Vec<InsightFinding> {
    let text = sentence.text.as_str();
    let tokens = fluent_tokens(text);
    let subject = question::subject(&tokens);
    let asks = ends_in_question_mark(text);
    let mut found = Vec::new();
    if asks {
        let by_rule = question::confidence(subject);
        let confidence = match ends_in_question_mark(&sentence.original_text) {
            true => by_rule.map_or(MARKED, |confidence| confidence.max(MARKED)),
            false => by_rule.unwrap_or(MARKED),
        };
        found.push(finding(InsightType::Question, text, confidence));
    }
    if let Some(mut task) = task(subject, text, asks) {
        if task.kind == InsightType::FollowUp && !wanted.contains(&InsightType::FollowUp) {
            task.kind = InsightType::ActionItem;
        }
        found.push(task);
    }
    found.retain(|insight| wanted.contains(&insight.kind) && insight.confidence >= threshold);
    found
}

/// Returns the number of sentences in a text that end with a question mark.
pub fn questions(text: &str) -> usize {
    let sentences = text.split_sentence_bounds();
    sentences.filter(|one| ends_in_question_mark(one)).count()
}

fn ends_in_question_mark(text: &str) -> bool {
    text.trim_end_matches(|c: char| {
        c.is_whitespace() || matches!(c, '"' | '\'' | '”' | '’' | ')' | '!')
    })
    .ends_with('?')
}

fn finding(kind: InsightType, text: &str, confidence: f64) -> InsightFinding {
    let confidence = (confidence * 100.0).round() / 100.0;
    InsightFinding {
        kind,
        text: text.to_owned(),
        confidence,
        hints: vec![("confidenceScore".to_owned(), confidence.to_string())],
        assignee: None,
        due_by: None,
    }
}

/// Returns the words that make a sentence a task, and how sure that is.
fn rule(subject: Subject, asks: bool) -> Option<(InsightType, (f64, Range<usize>))> {
    let any = |patterns: &[Pattern]| patterns.iter().any(|p| p.find(subject).is_some());
    if any(&RULES.neither) || asks && !any(&RULES.asked) {
        return None;
    }
    let follow_up = if any(&RULES.no_follow_up) {
        None
    } else {
        surest(&RULES.follow_up, subject, false)
    };
    Some(match follow_up {
        Some(found) => (InsightType::FollowUp, found),
        None => (
            InsightType::ActionItem,
            surest(&RULES.action, subject, true)?,
        ),
    })
}

/// Returns `true` if a task is no question, and without a word of doubt.
pub(super) fn is_settled(text: &str) -> bool {
    let tokens = fluent_tokens(text);
    let subject = question::subject(&tokens);
    let doubts = RULES.hedges.iter().any(|p| p.find(subject).is_some());
    !ends_in_question_mark(text) && !doubts
}

/// Returns the kind of a task, and the words that make it one, as a range of tokens.
pub(super) fn task_place(subject: Subject, text: &str) -> Option<(InsightType, Range<usize>)> {
    let (kind, (_, place)) = rule(subject, ends_in_question_mark(text))?;
    Some((kind, place))
}

fn task(subject: Subject, text: &str, asks: bool) -> Option<InsightFinding> {
    let (kind, (confidence, place)) = rule(subject, asks)?;
    let any = |patterns: &[Pattern]| patterns.iter().any(|p| p.find(subject).is_some());
    let due = due::find(subject);
    let hedged = if any(&RULES.hedges) { HEDGED } else { 1.0 };
    let bonus = if due.is_some() { DUE_BONUS } else { 0.0 };
    let mut insight = finding(kind, text, (confidence * hedged + bonus).min(1.0));
    insight.assignee = actor(subject, &place);
    insight.due_by = due.and_then(|due| words(text, subject.tokens.get(due)?));
    if insight.assignee == Some(Assignee::Speaker) {
        let value = "[\"first_person_singular\"]".to_owned();
        insight.hints.insert(0, ("addressedTo".to_owned(), value));
    }
    Some(insight)
}

/// Returns the match with the highest confidence; of equals, the first one in the
/// table.
fn surest(
    rules: &[(f64, Pattern)],
    subject: Subject,
    guarded: bool,
) -> Option<(f64, Range<usize>)> {
    let mut best: Option<(f64, Range<usize>)> = None;
    for (confidence, pattern) in rules {
        if best.as_ref().is_some_and(|(sofar, _)| sofar >= confidence) {
            continue;
        }
        let place = pattern
            .places(subject)
            .find(|place| !guarded || !is_subordinate(subject, place.start));
        if let Some(place) = place {
            best = Some((*confidence, place));
        }
    }
    best
}

fn is_subordinate(subject: Subject, start: usize) -> bool {
    let before = start.checked_sub(1).and_then(|at| subject.tokens.get(at));
    before.is_some_and(|token| rules::NOT_AFTER.contains(&token.text.as_str()))
}

/// Returns who acts: the last actor named before the match or at its place.
fn actor(subject: Subject, place: &Range<usize>) -> Option<Assignee> {
    let token = RULES
        .actor
        .iter()
        .flat_map(|pattern| pattern.places(subject))
        .filter(|actor| actor.start <= place.start && place.start <= actor.end + 1)
        .max_by_key(|actor| actor.start)
        .and_then(|actor| subject.tokens.get(actor.start))?;
    if matches!(token.text.as_str(), "i" | "let") {
        return Some(Assignee::Speaker);
    }
    let mut letters = token.text.chars();
    let first = letters.next()?;
    Some(Assignee::Named(
        first.to_uppercase().chain(letters).collect(),
    ))
}

/// Returns the part of the text that the tokens cover.
fn words(text: &str, tokens: &[Token]) -> Option<String> {
    let (start, end) = (tokens.first()?.start, tokens.last()?.end);
    Some(
        text.chars()
            .skip(start)
            .take(end.saturating_sub(start))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use InsightType::{ActionItem, FollowUp, Question};

    const ALL: [InsightType; 3] = [Question, ActionItem, FollowUp];

    /// Returns the insights of a text whose marks are those of the engine.
    fn find(text: &str, wanted: &[InsightType], threshold: f64) -> Vec<InsightFinding> {
        let sentence = Sentence {
            text: text.to_owned(),
            original_text: text.to_owned(),
            words: 0..text.split(' ').count(),
        };
        super::find(&sentence, wanted, threshold)
    }

    fn kinds(text: &str, wanted: &[InsightType], threshold: f64) -> Vec<InsightType> {
        find(text, wanted, threshold)
            .iter()
            .map(|f| f.kind)
            .collect()
    }

    #[test]
    fn every_name_in_the_tables_is_a_word_or_a_known_class() {
        let rated = rules::ACTION
            .iter()
            .chain(rules::FOLLOW_UP)
            .map(|(_, pattern)| *pattern);
        let plain = [
            rules::NEITHER,
            rules::NO_FOLLOW_UP,
            rules::ASKED,
            rules::HEDGES,
            rules::ACTOR,
        ];
        for source in rated
            .chain(plain.concat())
            .chain(question::sources())
            .chain(due::sources())
        {
            for word in Pattern::new(source).words() {
                let is_word = |c: char| c.is_lowercase() || c == '\'';
                assert!(word.chars().all(is_word), "{word:?} in {source:?}");
            }
        }
    }

    #[test]
    fn a_request_in_question_form_is_both() {
        assert_eq!(
            kinds("Can you send me the file?", &ALL, 0.5),
            [Question, ActionItem]
        );
    }

    #[test]
    fn a_follow_up_is_reported_as_an_action_item_if_only_those_are_wanted() {
        let text = "I will call you back tomorrow.";
        assert_eq!(kinds(text, &ALL, 0.5), [FollowUp]);
        assert_eq!(kinds(text, &[ActionItem], 0.5), [ActionItem]);
        assert_eq!(kinds(text, &[Question], 0.5), []);
    }

    #[test]
    fn insights_below_the_threshold_are_not_reported() {
        let text = "I will probably paint the fence.";
        assert!(kinds(text, &ALL, 0.5).is_empty());
        assert_eq!(kinds(text, &ALL, 0.4), [ActionItem]);
    }

    #[test]
    fn the_assignee_is_the_speaker_or_the_one_named() {
        let assignee = |text| {
            find(text, &ALL, 0.0)
                .first()
                .and_then(|f| f.assignee.clone())
        };
        let named = |name: &str| Some(Assignee::Named(name.to_owned()));
        assert_eq!(assignee("I'll send it."), Some(Assignee::Speaker));
        assert_eq!(assignee("Maria will send it."), named("Maria"));
        assert_eq!(assignee("Then Zbigniew will send it."), named("Zbigniew"));
        assert_eq!(assignee("John, please send it."), named("John"));
        assert_eq!(assignee("We need to send it."), None);
    }

    #[test]
    fn the_due_phrase_is_quoted_from_the_text() {
        let due = |text| find(text, &ALL, 0.0).first().and_then(|f| f.due_by.clone());
        assert_eq!(due("I'll send it by Friday.").as_deref(), Some("by Friday"));
        assert_eq!(due("I'll send it."), None);
    }

    #[test]
    fn a_question_mark_of_the_engine_makes_a_question() {
        assert_eq!(kinds("You left?", &ALL, 0.5), [Question]);
        assert_eq!(kinds("Do you know.", &ALL, 0.5), []);
    }

    #[test]
    fn a_question_mark_of_the_engine_is_surer_than_a_doubtful_rule() {
        // Statement order, and an order that the rules are not sure of.
        for text in [
            "You're coming?",
            "You are coming?",
            "The router is off?",
            "Really?",
        ] {
            let found = find(text, &[Question], 0.0);
            assert_eq!(found.len(), 1, "{text}");
            assert!(found[0].confidence >= MARKED, "{text}: {found:?}");
        }
        let found = find("Where are you?", &[Question], 0.0);
        assert!(found[0].confidence > MARKED, "{found:?}");
    }

    #[test]
    fn a_question_mark_of_the_rules_is_as_sure_as_its_rule() {
        let sentence = Sentence {
            text: "Really?".to_owned(),
            original_text: "really".to_owned(),
            words: 0..1,
        };
        let found = super::find(&sentence, &[Question], 0.0);
        assert_eq!(found[0].confidence, 0.6);
    }

    #[test]
    fn a_due_time_may_have_marks_and_digits() {
        let due = |text| find(text, &ALL, 0.0).first().and_then(|f| f.due_by.clone());
        for (text, expected) in [
            ("I'll send it by 4 p.m.", "by 4 p.m."),
            ("I'll send it by 4pm.", "by 4pm"),
            ("I'll send it by 5.", "by 5"),
            ("I'll send it by 4 PM, John.", "by 4 PM"),
            ("I'll send it by 4:30 p.m. tomorrow.", "by 4:30 p.m."),
            ("I'll send it in 2 weeks.", "in 2 weeks"),
            ("I'll send it in 45 minutes.", "in 45 minutes"),
        ] {
            assert_eq!(due(text).as_deref(), Some(expected), "{text}");
        }
    }
}
