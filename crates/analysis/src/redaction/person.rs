// SPDX-License-Identifier: MPL-2.0

//! Finds names by what people do, and by what is asked of them: `siobhan said`, `okay lakshmi
//! can you`. A word that is in no list of words, places and makers may be such a name.

use super::known::{is_common, is_doubtful, is_place, is_unknown};
use super::word::{Word, bare};

/// What people do. A word before them that is in no list of words is a name.
#[rustfmt::skip]
const DEEDS: &[&str] = &[
    "said", "says", "told", "tells", "asked", "asks", "thinks", "thought", "wants", "wanted", "agreed",
    "promised", "mentioned", "called", "emailed", "texted", "knows", "believes", "suggested", "recommends",
    "wrote", "replied", "answered", "spoke", "speaks", "wondered", "forgot", "feels", "felt", "insisted",
    "complained", "apologized", "apologised", "hopes", "hoped", "and i", "and me", "opened", "closed", "sent",
    "made", "handled", "handles", "took", "went", "left", "came", "joined", "reviewed", "approved", "signed",
    "fixed", "found", "gave", "presented", "shared", "scheduled", "picked", "paid", "ordered", "booked",
    "cancelled", "runs", "leads", "owns", "manages", "lives", "is on", "is out", "is in", "is off", "is away",
    "is sick", "is late", "is joining", "is presenting", "is here", "is calling", "is running", "is coming",
    "is leaving", "is taking", "is working", "is going", "is my", "is our", "is the one", "was out", "was here",
    "was late", "was not", "was going", "was on", "has the", "has a", "has to", "has been", "has my", "had to",
    "had a", "will handle", "will take", "will send", "will call", "will join", "will be", "will present",
    "will do", "will have", "will get", "will make", "will come", "will lead", "will review", "will share",
    "will follow", "will own", "will cover", "will bring", "will check", "will pick", "needs to", "just",
    "didn't", "doesn't", "won't", "couldn't", "can't", "already", "never", "still", "also", "started", "moved",
    "quit", "likes", "loves", "got", "bought", "showed", "helped", "noticed", "sends", "needs", "noted",
    "calls", "raised", "reported", "confirmed", "offered",
];

/// What is asked or wished of a person whose name was said.
#[rustfmt::skip]
const WISHES: &[&str] = &[
    "can you", "could you", "would you", "will you", "do you", "are you", "did you", "have you", "what do you",
    "how are you", "please", "go ahead", "you're on mute", "thanks", "thank you", "you can", "you could",
    "over to you", "what's your", "how do you", "what do", "when can you", "were you",
];

/// Departments that a person may be from.
#[rustfmt::skip]
const DEPARTMENTS: &[&str] = &[
    "the", "our", "your", "accounting", "accounts", "billing", "sales", "support", "hr", "marketing", "finance",
    "legal", "facilities", "engineering", "operations", "procurement", "payroll", "shipping", "reception",
    "compliance",
];

/// What a person has. A word with a genitive before it, that is in no list, is a name.
#[rustfmt::skip]
const BELONGINGS: &[&str] = &[
    "desk", "office", "team", "idea", "number", "phone", "email", "car", "calendar", "house", "birthday",
    "account", "order", "wife", "husband", "son", "daughter", "mother", "father", "out", "off", "on", "here",
    "calling", "report", "laptop", "notes", "brother", "sister", "boss", "manager", "room", "turn", "place",
    "question", "point", "inbox", "slides", "appointment", "address", "cell", "signature", "name", "going",
    "been", "not", "late", "sick", "coming", "kids", "dog",
];

/// What is asked of a person behind `is`, `did`, `can`: `is marijke in`.
#[rustfmt::skip]
const ASKED: &[&str] = &[
    "in", "there", "around", "available", "coming", "joining", "back", "here", "out", "free", "okay", "take",
    "join", "look", "send", "call", "come", "check", "make", "share", "review", "please", "do", "have", "give",
    "write", "get", "go", "say", "tell", "know", "want", "need", "finish", "reply", "respond", "sign", "pay",
    "leave", "mention", "handle", "bring",
];

/// Words before a name that does something: `and zeynep opened`, `i think torvald has`.
#[rustfmt::skip]
const CLAUSES: &[&str] = &[
    "and", "but", "so", "that", "think", "if", "when", "because", "then", "since", "until", "before", "after",
    "while", "guess", "believe", "know", "hope", "heard", "sure", "okay", "ok", "well", "hi", "hey", "yes",
    "no", "yeah", "says", "said", "now", "today", "um", "uh", "what", "where", "how", "why", "like", "maybe",
    "once",
];

/// Returns `true` if one of the phrases begins at this word.
fn begins(words: &[Word<'_>], phrases: &[&str], at: usize) -> bool {
    phrases.iter().any(|phrase| {
        let mut parts = phrase.split(' ').enumerate();
        parts.all(|(index, part)| bare(words, at + index) == part)
    })
}

/// Returns `true` for `GitHub`: a capital letter inside, as in no name but `McCoy`.
fn is_camel(word: &Word<'_>) -> bool {
    let core = word.raw.trim_start_matches(|c: char| !c.is_alphabetic());
    let inside = core.chars().skip(1).any(char::is_uppercase);
    let is_name = ["mc", "mac", "o'", "d'", "de", "la", "di"]
        .iter()
        .any(|start| word.bare.starts_with(start));
    inside && !is_name && !word.bare.contains('-')
}

/// Returns where the name ends of a person who does something, or is asked for something,
/// behind it.
pub(super) fn end(words: &[Word<'_>], at: usize) -> Option<usize> {
    let word = words.get(at).filter(|word| !is_camel(word))?;
    let said = || begins(words, SPEAKS, at + 1);
    let is_start = at == 0 || words.get(at - 1).is_some_and(|word| word.marked);
    let begins_clause = is_start || CLAUSES.contains(&bare(words, at - 1));
    if !is_unknown(word) {
        // `Bola and I`, `grace said`: a word that may be a name.
        let with_me = word.capital
            && !is_common(&word.bare)
            && !is_place(&word.bare)
            && begins(words, &["and i"], at + 1);
        let speaks = is_doubtful(word) && begins_clause && said() && !word.marked;
        return (with_me || speaks).then_some(at + 1);
    }
    if word.stem() != word.bare {
        return (!word.marked && BELONGINGS.contains(&bare(words, at + 1))).then_some(at + 1);
    }
    // Two words that are in no list, as `Kwabena Mensah`.
    let second = words.get(at + 1).filter(|next| {
        !word.marked && is_unknown(next) && !is_camel(next) && next.capital == word.capital
    });
    let end = at + 1 + usize::from(second.is_some());
    if words.get(end - 1).is_some_and(|word| word.ends) {
        let is_person = word.capital && second.is_some() && !words.iter().all(|word| word.capital);
        return is_person.then_some(end);
    }
    let is_cut = words.get(end - 1).is_some_and(|word| word.marked);
    let acts =
        !is_cut && (said() && second.is_none() || begins_clause && begins(words, DEEDS, end));
    let asked = begins(words, WISHES, end) && (is_start || at < 3);
    let of = bare(words, end) == "from" && DEPARTMENTS.contains(&bare(words, end + 1));
    let is_who = !is_cut && matches!(bare(words, end), "who" | "who's");
    let aux = at > 0
        && matches!(
            bare(words, at - 1),
            "could" | "can" | "would" | "will" | "did" | "does" | "is" | "was" | "has" | "should"
        );
    let is_question = aux && !is_cut && ASKED.contains(&bare(words, end));
    let is_person = word.capital && second.is_some() && !words.iter().all(|word| word.capital);
    let here =
        is_start && bare(words, end) == "here" && !matches!(bare(words, end + 1), "is" | "are");
    // `it's villanueva v as in victor`
    let is_letter = words.get(end).is_some_and(Word::is_letter) && !is_cut;
    let spelled = is_letter
        && (begins(words, &["as in", "for"], end + 1)
            || words.get(end + 1).is_some_and(Word::is_letter)
                && words.get(end + 2).is_some_and(Word::is_letter));
    (acts || asked || spelled || of || is_who || is_question || is_person || here).then_some(end)
}

/// What only people do.
#[rustfmt::skip]
const SPEAKS: &[&str] = &[
    "said", "says", "told", "tells", "asked", "asks", "thinks", "thought", "wants", "wanted", "agreed",
    "promised", "mentioned", "called", "emailed", "texted", "knows", "believes", "suggested", "recommends",
    "wrote", "replied", "answered", "spoke", "wondered", "insisted", "complained", "hopes",
];

/// Most words behind a name that may still make it one.
const OPEN: usize = 5;

/// Returns the words near the end that what follows may make a name.
pub(super) fn begun(words: &[Word<'_>]) -> impl Iterator<Item = usize> {
    let from = words.len().saturating_sub(OPEN);
    (from..words.len()).filter(|at| {
        words.get(*at).is_some_and(|word| {
            let with_me = word.capital && !is_common(&word.bare) && bare(words, at + 1) == "and";
            (is_unknown(word) || is_doubtful(word) || with_me) && !is_camel(word)
        })
    })
}
