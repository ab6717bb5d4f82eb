// SPDX-License-Identifier: MPL-2.0

//! Decides from the order of the words if a sentence is a question. An English
//! question puts a verb before its subject, or begins with a question word and a
//! verb. The tone of voice is not known here.

use super::pattern::{Pattern, Subject};
use super::token::Token;
use std::sync::LazyLock;

/// Patterns of questions, each with its confidence.
const QUESTION: &[(f64, &str)] = &[
    // a question word and a verb
    (0.95, "^ WH BE|DO|MODAL|have|has|had ?not PRONOUN"),
    (0.90, "^ WH BE|DO|MODAL|have|has|had *"),
    (
        0.85,
        "^ how much|many|long|far|often|soon|old|big|late|fast|well|about|come",
    ),
    (
        0.85,
        "^ what about|time|kind|sort|type|else|happened|happens",
    ),
    (
        0.80,
        "^ what|which|whose|how !PRONOUN ?* ?* BE|DO|MODAL|have|has PRONOUN|DET",
    ),
    (
        0.80,
        "^ which|whose of|one|ones|way|kind|sort|type|part|day|version !PRONOUN",
    ),
    (
        0.70,
        "^ which|whose !PRONOUN BE|DO|MODAL|have|has|needs|fits|works",
    ),
    (0.70, "^ who !PRONOUN"),
    (0.75, "^ why !PERSON"),
    (0.85, "^ PREP what|which|whom|whose|how|when|where"),
    (
        0.75,
        "WH DO|can|could|will|would|should|shall|are|have|has PERSON|it|DET",
    ),
    // verb before subject
    (0.95, "^ DO|MODAL|have ?not PERSON"),
    (
        0.90,
        "^ BE|does|did|has|can|could|will|would|shall|should ?not PRONOUN",
    ),
    (
        0.80,
        "^ BE|does|did|can|could|will|would|shall|should ?not DET|NAME|DAY",
    ),
    (0.65, "^ has DET|NAME"),
    (0.75, "^ does|did !FRAGMENT *"),
    (
        0.60,
        "^ can|could|will|would|shall|should|is|are|was|were !FRAGMENT * *",
    ),
    (0.70, "!BLOCK do|can|could|would|will|are|have|did|were you"),
    (0.65, "!BLOCK can|could|should|shall|may|do|will i|we"),
    (0.65, "!BLOCK did|is|was|does|has he|she"),
    (0.65, "!BLOCK do|did|are|were|have they"),
    (
        0.65,
        "!BLOCK is|are|will|was|were there any|anything|anyone|be|a",
    ),
    // tags and scraps
    (0.85, "* BE|DO|MODAL|have|has not PRONOUN $"),
    (
        0.60,
        "PRONOUN BE|DO|MODAL|have|has ... !RIGHTLY right|correct $",
    ),
    (0.70, "^ any|anything|anyone|anybody !PRONOUN ?* ?* $"),
    (0.65, "or BE|DO|MODAL|have|has ?not PRONOUN"),
    (0.80, "^ * ?* ?* ?* ?* what $"),
    (
        0.65,
        "!BLOCK would|could|should|can|will it|that|this|they|there be",
    ),
    (
        0.60,
        "question|point|issue|problem|thing is do|does|did|can|could|should|would|are|is PERSON|it|there|this|that",
    ),
    (
        0.80,
        "not|never|nobody|hardly ... BE|DO|MODAL|have|has i|you|he|she|we|they $",
    ),
    (
        0.80,
        "not|never|nobody|hardly ... does|did|is|was|has|can|could|will|would it $",
    ),
    (0.60, "^ this|that|it is|was ... is|was it $"),
    (0.55, "* * * !RIGHTLY right $"),
    (0.55, "* * huh $"),
    (0.65, "or what $"),
    (0.60, "!BLOCK * is|are|was|were they|he|she $"),
    // what was understood is said again, to hear if it is so
    (0.85, "^ what if"),
    (0.60, "^ you mean *"),
    (
        0.60,
        "^ you are saying|suggesting|proposing|asking|thinking|implying",
    ),
    (0.70, "^ you sure|okay|alright ?* ?* ?* $"),
    (0.60, "^ you ready ?to|for ?* ?* $"),
    // a speaker begins again
    (0.60, "^ we|they|he|she do|does|did we|they|he|she"),
    (
        0.60,
        "^ i mean BE|DO|MODAL ?not PERSON|it|this|that|there|DET",
    ),
    (
        0.60,
        "^ like BE|DO|MODAL ?not PERSON|it|this|that|there|DET",
    ),
    (0.60, "^ really|pardon $"),
];

/// Patterns of what others say or ask. What is asked within such a sentence is told and not asked,
/// so only a pattern at its beginning makes it a question.
const REPORTED: &[&str] = &[
    "say|says|said|saying|asks|asked ?him|her|them|me|us|you ?oh|well|okay|that|this|you ?know \
     WH|BE|DO|MODAL|have",
    "like oh|well|okay WH|BE|DO|MODAL",
];

/// Patterns of sentences that look like questions but are none.
const NOT_QUESTION: &[&str] = &[
    // commands and wishes
    "^ do not you dare|worry|forget",
    "^ may you",
    // conditions: had he known he would, should you need
    "^ had PRONOUN|DET ... would|could|might",
    "^ were PRONOUN to ... would",
    "^ should you have|need|wish|want|require|experience|decide|choose|prefer|not",
    // a clause that goes on from the sentence before
    "^ in|at which case|point",
    "^ of how|what|which|where|who",
    "^ which is|was|are|were|means|meant|makes|made|leads|led|will|would|brings",
    "^ who was|were|had -ed|been",
    "^ which has|have|had|can|could|should|may|might !PRONOUN",
    // an answer, or a clause without its subject
    "^ is|was that PERSON *",
    "^ is|was so|because|probably|basically|if|whether",
    "^ is|was the same $",
    "know|knows|guess|tell|told|see|remember|matter|matters what $",
    "no|not|yeah|actually|but that|this|it is not it|that $",
    "whether ... or not",
    // agreed to, and not asked
    "-ly right $",
    "^ you know what $",
    "^ you mean a|so|the lot|much|world",
    "^ you mean it|everything|well",
    // rhetorical
    "^ who cares|knows",
    "^ how dare",
    "^ what a|an",
];

struct Rules {
    question: Vec<Rule>,
    reported: Vec<Pattern>,
    not_question: Vec<Pattern>,
}

struct Rule {
    confidence: f64,
    pattern: Pattern,
    /// The pattern begins where the sentence does.
    is_opening: bool,
}

static RULES: LazyLock<Rules> = LazyLock::new(|| Rules {
    question: QUESTION
        .iter()
        .map(|(confidence, pattern)| Rule {
            confidence: *confidence,
            pattern: Pattern::new(pattern),
            is_opening: pattern.starts_with('^'),
        })
        .collect(),
    reported: REPORTED.iter().map(|p| Pattern::new(p)).collect(),
    not_question: NOT_QUESTION.iter().map(|p| Pattern::new(p)).collect(),
});

/// Returns the confidence that the words are a question, 0.5–1.0, or `None` if they
/// are not.
pub(super) fn confidence(subject: Subject) -> Option<f64> {
    if RULES.not_question.iter().any(|p| p.find(subject).is_some()) {
        return None;
    }
    let is_reported = || RULES.reported.iter().any(|p| p.find(subject).is_some());
    let found = RULES
        .question
        .iter()
        .filter(|rule| rule.pattern.find(subject).is_some());
    let found: Vec<&Rule> = found.collect();
    let opening = found.iter().any(|rule| rule.is_opening);
    if found.is_empty() || !opening && is_reported() {
        return None;
    }
    found.iter().map(|rule| rule.confidence).reduce(f64::max)
}

/// Words that may stand before the actual beginning of a sentence.
const OPENERS: &[&str] = &[
    "and", "but", "or", "because", "so", "okay", "ok", "well", "now", "oh", "oops", "dear", "hey",
    "hi", "hello", "yes", "yeah", "no", "right", "alright", "sure", "then", "also", "plus",
    "actually", "anyway", "great", "thanks", "sorry", "please", "um", "uh", "hmm", "hm", "wait",
];

/// Patterns in which a name is an opener, because the sentence begins after it.
const ADDRESS: &[&str] = &[
    "NAME BE there|you|it|this|that|we|i",
    "NAME DO|MODAL|have PERSON",
    "NAME please",
    "NAME WH BE|DO|MODAL",
    "NAME TASK OBJECT|DET",
];

static ADDRESS_PATTERNS: LazyLock<Vec<Pattern>> =
    LazyLock::new(|| ADDRESS.iter().map(|p| Pattern::new(p)).collect());

/// Finds the openers of a sentence.
pub(super) fn subject(tokens: &[Token]) -> Subject<'_> {
    let mut opening = 0;
    while tokens
        .get(opening)
        .is_some_and(|token| OPENERS.contains(&token.text.as_str()))
        && opening + 1 < tokens.len()
    {
        opening += 1;
    }
    let subject = Subject { tokens, opening };
    let addressed = |p: &Pattern| p.places(subject).any(|place| place.start == opening);
    if ADDRESS_PATTERNS.iter().any(addressed) {
        return Subject {
            tokens,
            opening: opening + 1,
        };
    }
    subject
}

/// Returns all patterns, for a test that checks their words.
#[cfg(test)]
pub(super) fn sources() -> impl Iterator<Item = &'static str> {
    let rated = QUESTION.iter().map(|(_, pattern)| *pattern);
    let plain = NOT_QUESTION.iter().chain(ADDRESS).chain(REPORTED);
    rated.chain(plain.copied())
}

#[cfg(test)]
mod tests {
    use super::super::token::tokens;
    use super::*;

    fn asks(text: &str) -> bool {
        confidence(subject(&tokens(text))).is_some()
    }

    #[test]
    fn a_verb_before_its_subject_asks() {
        assert!(asks("are you there"));
        assert!(asks("okay so did the parcel arrive"));
        assert!(asks("don't you agree"));
        assert!(asks("the invoice did you get it"));
    }

    #[test]
    fn a_question_word_asks_only_with_a_verb_after_it() {
        assert!(asks("when will it be ready"));
        assert!(asks("what colour is the cable"));
        assert!(!asks("when he arrives we start"));
        assert!(!asks("what you need is a new cable"));
    }

    #[test]
    fn what_others_ask_is_told_and_not_asked() {
        assert!(!asks("people always say how do we get there"));
        assert!(!asks("so he asked me are you free on monday"));
        assert!(!asks("they were like oh do we want that"));
        assert!(asks("did he say what is wrong"), "it begins as one");
        assert!(asks("i wanted to ask do you deliver on sunday"));
    }

    #[test]
    fn an_answer_and_a_clause_without_a_subject_do_not_ask() {
        assert!(!asks("no that is not it"));
        assert!(!asks("i do not know what") && !asks("which can save a lot"));
        assert!(asks("is that you") && asks("who can help me"));
        assert!(!asks("is that you can leave at any time"));
        assert!(!asks("is the same"));
        assert!(!asks("which has a lot of noise"));
        assert!(asks("is that the last one") && asks("which one has it"));
        assert!(asks("you changed the what"));
        assert!(asks("the question is do we have a spare part"));
    }

    #[test]
    fn indirect_conditional_and_broken_sentences_do_not_ask() {
        assert!(!asks("i wonder what it is"));
        assert!(!asks("had he known he would have stayed"));
        assert!(!asks("should you need help call us"));
        assert!(!asks("is being recorded"));
    }
}
