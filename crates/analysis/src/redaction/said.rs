// SPDX-License-Identifier: MPL-2.0

//! What is said before and behind names: introductions, greetings, titles.

/// What is said before a name.
pub(super) const INTRODUCTIONS: &[&str] = &[
    "first name",
    "last name",
    "surname",
    "maiden name",
    "under the name",
    "name of",
    "calls me",
    "call me",
    "on behalf of",
];

/// Words between `name` and `is`: the name on the card is.
#[rustfmt::skip]
pub(super) const OF_NAME: &[&str] = &[
    "on", "the", "my", "her", "his", "our", "their", "card", "account", "bill", "reservation", "booking",
    "policy", "of", "order", "file", "mother's", "full", "last", "first",
];

/// What is said before a name that is followed by what the person does.
pub(super) const PRESENTATIONS: &[&str] = &[
    "this is",
    "i'm",
    "i am",
    "speaking with",
    "talking to",
    "it's",
];

/// What is said to or of a person. A word behind it that is in no list of words is a name.
#[rustfmt::skip]
pub(super) const ADDRESSES: &[&str] = &[
    "hi", "hey", "hello", "thanks", "thank you", "dear", "ask for", "speak to", "speak with", "spoke to",
    "spoke with", "talk to", "talk with", "talked to", "talked with", "speaking to", "under", "contact", "tell",
    "told", "cc", "bye", "morning", "afternoon", "evening", "through to", "okay", "ok", "regards to", "regards",
    "love to", "welcome", "asked", "ask", "asking", "asking for", "met", "meet", "signed by", "approved by",
    "seen by", "taxi for", "parcel for", "parcel's for", "message for", "looking for", "dealing with",
    "goes by", "went by", "named", "called me", "called", "cheers", "sorry", "care of", "with me is",
    "joined by", "led by", "goes to", "assigned to", "reports to", "report to", "i'm", "i am", "per",
    "check with", "checked with", "work with", "working with", "worked with", "met with", "meeting with",
    "sync with", "here with", "along with", "hear from", "heard from", "email from", "call from",
    "message from", "note from", "notes are from", "notes from", "got it from", "update from", "question from",
    "over to", "reservation for", "reservation's for", "booking for", "appointment for", "appointment is for",
    "appointment's for", "put", "send it to", "send this to", "out to", "live with", "lives with", "loop in",
    "looping in", "ping", "pinged", "hand it to", "gave it to", "give it to", "forward it to", "passing you to",
    "transfer you to", "this is for", "it's for", "thank", "congrats to", "congratulations to", "shout out to",
    "invite", "invited", "hired", "introducing", "replaced by", "written by", "run by", "owned by", "booked by",
    "managed by", "led by", "say hi to", "say hello to", "guest is", "speaker is", "winner is", "owner is",
    "manager is", "doctor is", "contact is", "boss is", "agent is", "driver is", "tenant is", "client is",
    "you've reached", "you have reached", "mailbox of", "voicemail of", "think",
];

/// People that one speaks of. A word behind them that is in no list of words is a name.
#[rustfmt::skip]
pub(super) const PEOPLE: &[&str] = &[
    "wife", "husband", "son", "daughter", "brother", "sister", "mother", "father", "mom", "mum", "dad", "boss",
    "manager", "colleague", "partner", "friend", "neighbour", "neighbor", "doctor", "nurse", "assistant",
    "coworker", "cousin", "uncle", "aunt", "auntie", "nephew", "niece", "fiance", "fiancee", "girlfriend",
    "boyfriend", "roommate", "tenant", "landlord", "landlady", "lawyer", "attorney", "supervisor", "tutor",
    "teacher", "grandson", "granddaughter", "grandmother", "grandfather", "kid", "baby", "twin", "stepson",
    "stepdaughter", "accountant", "midwife", "therapist", "colleagues", "friends", "sons", "daughters",
    "secretary", "client",
];

/// What follows a name that is given after `this is`.
pub(super) const DOES: &[&str] = &[
    "speaking",
    "calling",
    "here",
    "from",
    "returning",
    "again",
    "reporting",
    "checking",
    "following",
];

/// Words that a title may be, besides the usual ones, before a name that is no word.
#[rustfmt::skip]
pub(super) const RANKS: &[&str] = &[
    "nurse", "officer", "judge", "captain", "sergeant", "detective", "reverend", "rabbi", "coach", "auntie",
    "sir", "madam", "lieutenant", "colonel", "councillor", "senator", "madame", "monsieur", "herr", "frau",
    "senor", "senora",
];

/// Surnames that are a word which may follow a given name.
#[rustfmt::skip]
pub(super) const AMBIGUOUS: &[&str] = &[
    "long", "young", "price", "park", "cook", "hunt", "reed", "rice", "hill", "wood", "woods", "grant", "long",
    "bell", "stone", "rose", "wells", "mills", "west", "lane", "ford", "king", "ward", "white", "black",
    "green", "gray",
];

/// Who a person is in a contract or a call: `the beneficiary is`.
#[rustfmt::skip]
pub(super) const ROLES: &[&str] = &[
    "beneficiary", "tenant", "owner", "contact", "executor", "guarantor", "holder", "payee", "witness",
    "recipient", "sender", "caller", "guest", "host", "driver", "patient", "client", "agent", "buyer", "seller",
    "speaker", "winner", "candidate", "applicant", "member", "employee", "inspector", "technician", "plumber",
    "engineer", "receptionist",
];
