// SPDX-License-Identifier: MPL-2.0

//! The phrases that make a sentence an action item or a follow-up.
//!
//! Each row has a confidence and a pattern in the language of [`super::pattern`]. The
//! confidence is an estimate of how often the phrase is right in a call; the test
//! prints how often it is right on the labelled set. To teach the service a phrase,
//! add a row.

/// Commitments and obligations: a person has to do something.
#[rustfmt::skip]
pub(super) const ACTION: &[(f64, &str)] = &[
    // commitments
    (0.90, "i|we will|shall ?ADVERB ?ADVERB ?ADVERB TASK"),
    (0.55, "i|we will ?ADVERB !NOTASK"),
    (0.70, "i|we will try to !NOTASK"),
    (0.85, "i|we will|can take care|over"),
    (0.80, "i|we will be TASKING"),
    (0.75, "i|we will have ** ready|done|finished|fixed|prepared|TASKED"),
    (0.85, "i|we am|are going to ?ADVERB TASK"),
    (0.55, "i|we am|are going to ?ADVERB !NOTASK"),
    (0.75, "i|we plan|intend|promise|agree to ?ADVERB !NOTASK"),
    (0.70, "i am supposed|about to ?ADVERB !NOTASK"),
    // another person will
    (0.80, "NAME|someone|somebody|GROUP will|shall ?ADVERB TASK"),
    (0.60, "he|she|they will|shall ?ADVERB TASK"),
    (0.80, "NAME|he|she|they|someone|somebody|GROUP is|are going to ?ADVERB TASK"),
    // obligations
    (0.85, "i|we|you|they|NAME|GROUP ?ADVERB need|needs|have|has|ought to ?ADVERB TASK"),
    (0.55, "i|NAME|GROUP ?ADVERB need|needs|have|has|ought to ?ADVERB !NOTASK"),
    (0.45, "we|you|they ?ADVERB need|have|ought to ?ADVERB !NOTASK"),
    (0.70, "i|we|you|they have got to ?ADVERB TASK"),
    (0.75, "i|we|you|they|NAME|GROUP|someone|somebody must|should ?ADVERB TASK"),
    (0.45, "i|we|you must|should ?ADVERB !NOTASK"),
    (0.75, "need|needs|have|has|ought to be TASKED"),
    (0.75, "must be TASKED"),
    (0.75, "next step|steps is|are to !NOTASK"),
    // requests
    (0.85, "please|kindly ?ADVERB TASK"),
    (0.65, "please|kindly ?ADVERB !NOTASK"),
    (0.65, "please have DET|GROUP|NAME|OBJECT"),
    (0.85, "can|could|would|will you ?ADVERB ?ADVERB TASK"),
    (0.85, "if you could|would|can ?ADVERB TASK"),
    (0.65, "can|could|would|will you ?ADVERB ?ADVERB !NOTASK"),
    (0.80, "can|could|would someone|somebody|anyone|anybody|NAME ?ADVERB ?ADVERB TASK|take"),
    (0.65, "can we get ** TASKED"),
    (0.80, "would|do you mind TASKING"),
    (0.80, "i|we would like|want|need|love you|him|her|them|someone|somebody|NAME to ?ADVERB !NOTASK"),
    (0.80, "i|we want|need you|him|her|them|someone|somebody|NAME to ?ADVERB !NOTASK"),
    (0.85, "do not forget to"),
    (0.80, "^ remember to"),
    (0.80, "make sure|certain to|that|you|we|they|everybody|everyone"),
    (0.80, "be sure|certain to|and !NOTASK"),
    (0.75, "let us ?ADVERB TASK"),
    (0.70, "let me|us know"),
    (0.75, "^ ?ADVERB TASK OBJECT|DET|your|NAME"),
];

/// Getting in touch and meeting again.
#[rustfmt::skip]
pub(super) const FOLLOW_UP: &[(f64, &str)] = &[
    (0.95, "call|phone|ring|email|text|write OBJECT|NAME|DET ?GROUP|customer|client back"),
    (0.90, "call|phone|ring back"),
    (0.85, "give OBJECT|NAME a call|ring"),
    (0.95, "get|come|getting|coming back to OBJECT|NAME|DET|GROUP"),
    (0.60, "get back to"),
    (0.90, "!DET follow up"),
    (0.90, "check in with|again|on"),
    (0.85, "check back"),
    (0.90, "touch base"),
    (0.90, "circle back"),
    (0.80, "reach out to"),
    (0.85, "will|shall|us ?ADVERB be|get|keep|stay in touch"),
    (0.85, "i|we|NAME|GROUP will|can let OBJECT|NAME|everyone know"),
    (0.85, "keep OBJECT|NAME|everyone posted|updated|informed"),
    (0.85, "meet|talk|speak|chat ?to|with ?OBJECT|NAME ?about ?OBJECT WHEN"),
    (0.75, "see OBJECT|everyone|all WHEN"),
    (0.85, "catch up WHEN|with|soon"),
    (0.90, "schedule|arrange|book|organise|organize|plan ?DET ?follow|quick|short|new|second ?up TALK"),
    (0.90, "set up ?DET ?follow|quick|short|new|second ?up TALK"),
    (0.80, "have|do another|DET ?follow ?up TALK WHEN"),
    (0.85, "revisit|reconnect"),
    (0.85, "pick this|it|that up again"),
    (0.80, "i|we will ?ADVERB call|phone|ring OBJECT"),
    (0.80, "i|we am|are going to ?ADVERB call|phone|ring you"),
];

/// A sentence that matches any of these is neither: it tells what happened, or
/// something is to be done at once in the call itself.
pub(super) const NEITHER: &[&str] = &[
    "press|dial|hash|star",
    "for ** say|press",
    "used to",
    "not think|believe|want",
    "had to",
    "have had to",
    "would|could|should have -ed|been|sent|done|told|had",
    "thank|thanks ?you for -ing",
];

/// A sentence that matches any of these is no follow-up.
pub(super) const NO_FOLLOW_UP: &[&str] = &[
    "did|yesterday|ago|never|already",
    "last week|month|year|time|night|DAY",
    "not ** call|get|follow|meet|talk|speak|check|see|let",
];

/// After one of these words a match is in a subordinate clause, a question or a
/// denial, and does not count.
pub(super) const NOT_AFTER: &[&str] = &[
    "i",
    "you",
    "he",
    "she",
    "we",
    "they",
    "if",
    "when",
    "whether",
    "unless",
    "until",
    "before",
    "after",
    "as",
    "that",
    "what",
    "how",
    "where",
    "why",
    "who",
    "which",
    "because",
    "than",
    "while",
    "do",
    "does",
    "did",
    "will",
    "would",
    "should",
    "not",
    "never",
    "nobody",
    "everything",
    "all",
    "anything",
    "something",
    "thing",
    "things",
    "said",
    "says",
    "say",
    "wherever",
    "whatever",
    "whenever",
    "may",
    "might",
];

/// A question is a task only if it matches one of these. The rest of the table
/// describes what will happen.
pub(super) const ASKED: &[&str] = &[
    "can|could|would|will|shall|should|may you|we|i|someone|somebody|anyone|anybody|NAME",
    "would|do you mind",
    "please",
];

/// Words of doubt, which lower the confidence.
pub(super) const HEDGES: &[&str] = &[
    "might|perhaps|probably|hopefully|eventually",
    "i guess|suppose",
];

/// Patterns of the person that acts: the first word of the match.
pub(super) const ACTOR: &[&str] = &[
    "i ?ADVERB will|shall|must|should|can",
    "i ?ADVERB need|have|ought|promise|plan|intend to",
    "i am going|supposed|about to",
    "i have got to",
    "let me !NOTASK",
    "NAME ?ADVERB will|shall|must|should|needs|has|is|ought",
    "NAME please",
    "NAME can|could|would|will you",
    "^ NAME TASK",
];
