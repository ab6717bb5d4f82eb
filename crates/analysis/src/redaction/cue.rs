// SPDX-License-Identifier: MPL-2.0

//! Says what a number is by the words before it, or behind it: `my pin is`, `is my pin`.

use super::digits::digit;
use super::word::{Word, bare, ends_with};
use std::collections::HashMap;
use std::sync::LazyLock;

/// How many words before a number say what it is.
const REACH: usize = 12;

/// What is said before a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cue {
    Phone,
    Card,
    /// A security code or PIN.
    Code,
    /// When a card expires.
    Expiry,
    Ssn,
    Account,
    Zip,
    /// The number of a house.
    House,
    /// A number that is not personal.
    Other,
    /// Words that say nothing of a number, though a part of them does.
    Nothing,
}

#[rustfmt::skip]
const CUES: &[(Cue, &[&str])] = &[
    (Cue::Nothing, &["in case", "part of", "in order", "on the card is", "in reach", "just in case", "phone case"]),
    (Cue::House, &["house number", "house number's"]),
    (Cue::Code, &[
        "cvv", "cvc", "cvv2", "c v v", "c v c", "c v v two", "c i d", "cid", "security code", "security number",
        "on the front", "on the reverse", "card code", "security digits", "verification code", "on the back", "pin", "pin code",
        "pin number", "digit code",
    ]),
    (Cue::Expiry, &["expires", "expiration", "expiry", "expiration date", "expiry date", "exp", "expiring", "valid until", "valid thru",
        "valid through", "good thru", "good through"]),
    (Cue::Ssn, &[
        "social", "social security", "social security number", "ssn", "s s n", "social's",
        "last four", "last four digits", "last 4", "last 4 digits", "soc", "social insurance", "social insurance number",
        "s i n", "tax id", "taxpayer id", "tax number", "national insurance", "ni number", "passport", "passport number",
        "driver's license", "drivers license", "driving licence", "driver's licence", "license number", "licence number",
    ]),
    (Cue::Account, &[
        "account number", "bank account", "routing number", "routing", "iban", "sort code", "into account", "account no",
        "account is", "account's", "account", "b s b", "bsb", "transit number", "transit", "institution",
        "institution number", "institution is",
    ]),
    (Cue::Card, &[
        "card", "card number", "visa", "mastercard", "amex", "american express", "discover", "debit", "credit card",
        "maestro", "mastercard's",
    ]),
    (Cue::Zip, &["zip", "zip+4", "zip code", "zipcode", "postal code", "postcode", "post code"]),
    (Cue::Phone, &[
        "phone", "telephone", "cell", "mobile", "call", "dial", "text", "reach", "fax", "ring", "callback", "contact",
        "whatsapp", "cellphone", "landline", "number is", "number's", "area code", "phone number", "mobile number",
        "number right", "call back", "hotline", "line is", "country code", "handset", "work line", "home line",
        "number ending", "number ends",
    ]),
    (Cue::Other, &[
        "order", "invoice", "ticket", "tracking", "serial", "confirmation", "reference", "case", "model", "part", "isbn",
        "version", "room", "flight", "gate", "page", "chapter", "item", "build", "batch", "meeting id", "booking", "claim",
        "policy", "product", "article", "sku", "score", "population", "numbers", "dates", "shipment", "parcel", "lot",
        "license key", "license plate", "licence plate", "plate", "barcode", "press", "extension", "meter", "reading", "reads", "port", "error", "passcode",
        "password", "code", "discount code", "group", "node", "id", "employee", "badge", "says", "reservation", "locator", "quote",
        "purchase order", "quantity", "channel", "form", "locker", "frequent flyer", "loyalty", "membership", "member",
    ]),
];

/// The phrases by their last word: most words are the last one of none.
static BY_LAST: LazyLock<HashMap<&str, Vec<(Cue, &str)>>> = LazyLock::new(|| {
    let mut by: HashMap<&str, Vec<(Cue, &str)>> = HashMap::new();
    for (cue, phrases) in CUES {
        for phrase in *phrases {
            let last = phrase.rsplit(' ').next().unwrap_or_default();
            by.entry(last).or_default().push((*cue, phrase));
        }
    }
    by
});

/// Returns the phrases that may end with the word at this index.
fn ending_with(words: &[Word<'_>], last: usize) -> impl Iterator<Item = (Cue, &'static str)> {
    let word = words.get(last);
    let of = |text: &str| BY_LAST.get(text).into_iter().flatten().copied();
    let bare = word.map_or("", |word| word.bare.as_str());
    let stem = word.map_or("", Word::stem);
    let stem = (stem != bare).then(|| of(stem));
    of(bare).chain(stem.into_iter().flatten())
}

/// Returns what is said of the number that begins at this word: the nearest cue.
pub(super) fn cue(words: &[Word<'_>], start: usize) -> Option<Cue> {
    for last in (start.saturating_sub(REACH)..start).rev() {
        let mut found: Option<(usize, Cue)> = None;
        for (cue, phrase) in ending_with(words, last) {
            let is_longer = found.is_none_or(|(length, _)| phrase.len() > length);
            if is_longer && ends_with(words, last, phrase) {
                found = Some((phrase.len(), cue));
            }
        }
        // A card's code is said behind its number or its expiry.
        if words
            .get(last)
            .is_some_and(|word| matches!(word.stem(), "code" | "security"))
            && matches!(found, None | Some((4, Cue::Other)))
            && of_card(words, last)
        {
            return Some(Cue::Code);
        }
        // `the order number is`, `my account number is`: the word before says it.
        if let Some((_, Cue::Phone)) = found
            && matches!(bare(words, last), "is" | "number's" | "right" | "number")
            && let Some(nearer) = before_number(words, last)
        {
            return Some(nearer);
        }
        match found {
            None | Some((_, Cue::Nothing)) => {}
            Some((_, cue)) => return Some(cue),
        }
    }
    None
}

/// Words that say nothing of the number that follows them.
const PLAIN: &[&str] = &[
    "",
    "my",
    "the",
    "our",
    "your",
    "his",
    "her",
    "their",
    "best",
    "good",
    "better",
    "same",
    "new",
    "old",
    "a",
    "and",
    "right",
    "work",
    "home",
    "office",
    "main",
    "direct",
    "other",
    "whose",
    "this",
    "emergency",
    "business",
    "daytime",
    "toll-free",
    "free",
    "current",
    "so",
    "house",
];

/// Returns the cue of the words before `number is`.
fn before_number(words: &[Word<'_>], last: usize) -> Option<Cue> {
    let number = (last.saturating_sub(1)..=last)
        .find(|at| matches!(bare(words, *at), "number" | "number's"))?;
    let before = number.checked_sub(1)?;
    let of = CUES.iter().filter(|(cue, _)| *cue != Cue::Phone);
    let word = bare(words, before);
    let is_plain = PLAIN.contains(&word)
        || word.ends_with("'s")
        || CUES
            .iter()
            .any(|(cue, phrases)| *cue == Cue::Phone && phrases.contains(&word));
    let of = of.flat_map(|(cue, phrases)| phrases.iter().map(|phrase| (*cue, *phrase)));
    let of = of.filter(|(cue, phrase)| match cue {
        Cue::Account => ends_with(words, number, phrase) || bare(words, before) == "account",
        Cue::Nothing => false,
        _ => ends_with(words, before, phrase) || ends_with(words, number, phrase),
    });
    // `the group number is`
    of.max_by_key(|(_, phrase)| phrase.len())
        .map(|(cue, _)| cue)
        .or_else(|| (!is_plain).then_some(Cue::Other))
}

/// Returns `true` if a card is spoken of near before this word.
fn of_card(words: &[Word<'_>], at: usize) -> bool {
    let mut near = at.saturating_sub(REACH)..at;
    let is_plain = !matches!(
        bare(words, at.wrapping_sub(1)),
        "area"
            | "discount"
            | "country"
            | "promo"
            | "coupon"
            | "access"
            | "error"
            | "product"
            | "voucher"
    );
    let is_card = |last: usize| {
        ending_with(words, last).any(|(cue, phrase)| {
            matches!(cue, Cue::Card | Cue::Expiry) && ends_with(words, last, phrase)
        })
    };
    // `… one one seven two security three three nine`
    let is_behind = (at.saturating_sub(2)..at).any(|at| digit(bare(words, at)).is_some());
    is_plain && (is_behind || near.any(is_card))
}

/// What may stand between a number and what it is: `is my`, `are the last four of my`.
const OF_WHOM: &[&str] = &["my", "the", "our", "his", "her", "their", "your"];

/// Returns what is said of the number that ends before this word: `is my pin`.
pub(super) fn said_after(words: &[Word<'_>], end: usize) -> Option<Cue> {
    let link = bare(words, end);
    if !matches!(link, "is" | "are" | "was" | "that's" | "for" | "as") {
        return None;
    }
    let mut at = end + 1;
    while OF_WHOM.contains(&bare(words, at)) {
        at += 1;
    }
    if at == end + 1 && link != "that's" {
        return None;
    }
    let begins = |phrase: &str| {
        let parts = phrase.split(' ').enumerate();
        parts
            .into_iter()
            .all(|(index, part)| bare(words, at + index) == part)
    };
    let personal = CUES
        .iter()
        .filter(|(cue, _)| !matches!(cue, Cue::Nothing | Cue::Expiry | Cue::House));
    let said = personal.flat_map(|(cue, phrases)| phrases.iter().map(|phrase| (*cue, *phrase)));
    let said = said.filter(|(_, phrase)| begins(phrase));
    said.max_by_key(|(_, phrase)| phrase.len())
        .map(|(cue, _)| cue)
}

/// Returns `true` if what is said before the number says that it is not personal.
pub(super) fn is_other(words: &[Word<'_>], start: usize) -> bool {
    cue(words, start) == Some(Cue::Other)
}
