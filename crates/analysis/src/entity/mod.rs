// SPDX-License-Identifier: MPL-2.0

//! Finds the entities in a sentence: dates, times, people, money, numbers, e-mail
//! addresses and phone numbers, as spoken (`twenty five dollars`) or written (`$25`).
//!
//! `text2num` reads numbers in words, `linkify` finds written addresses, and rules do
//! the rest. Entities do not overlap. If a word can be read in several ways, the most
//! specific way counts, in the order of [`READINGS`].

mod contact;
mod piece;
mod quantity;
mod when;
mod who;

use super::EntityFinding;
pub(super) use contact::NO_NAME;
use piece::{Piece, pieces};
pub(super) use who::TITLES;

/// The type of an entity. The names are those of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntityKind {
    /// A day, or a week, month, season or year.
    Date,
    /// A time of day.
    Time,
    /// A person's name, with title and surname.
    Person,
    /// An amount of money.
    Money,
    /// A cardinal number that is not part of another entity.
    Number,
    /// A number with `percent` or `%`.
    Percent,
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
}

impl EntityKind {
    /// Returns the `type` on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Time => "time",
            Self::Person => "person",
            Self::Money => "money",
            Self::Number | Self::Percent => "number",
            Self::Email => "email",
            Self::Phone => "phone",
        }
    }

    /// Returns the `subType` on the wire, if the type has one.
    pub fn sub_type(self) -> Option<&'static str> {
        match self {
            Self::Number => Some("cardinal"),
            Self::Percent => Some("percent"),
            _ => None,
        }
    }
}

/// Returns how many pieces an entity takes from this index on; 0 if there is none.
type Reading = fn(&[Piece], usize) -> usize;

/// All readings, the most specific first.
const READINGS: [(EntityKind, Reading); 9] = [
    (EntityKind::Email, contact::email),
    (EntityKind::Date, when::written_date),
    (EntityKind::Phone, contact::phone),
    (EntityKind::Money, quantity::money),
    (EntityKind::Time, when::time),
    (EntityKind::Date, when::date),
    (EntityKind::Person, who::person),
    (EntityKind::Percent, quantity::percent),
    (EntityKind::Number, quantity::number),
];

/// Returns all entities in a text, in the order of the text.
pub(super) fn find(text: &str) -> Vec<EntityFinding> {
    let pieces = pieces(text);
    let mut found = Vec::new();
    let mut at = 0;
    while at < pieces.len() {
        let read = READINGS
            .iter()
            .map(|(kind, reading)| (*kind, reading(&pieces, at)))
            .find(|(_, length)| *length > 0);
        let Some((kind, length)) = read else {
            at += 1;
            continue;
        };
        let last = pieces.get(at + length - 1);
        if let (Some(first), Some(last)) = (pieces.get(at), last) {
            let characters = text.chars().skip(first.start);
            found.push(EntityFinding {
                kind,
                value: characters.take(last.end - first.start).collect(),
                offset: first.start,
            });
        }
        at += length;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&'static str, String, usize)> {
        let found = find(text).into_iter();
        found.map(|f| (f.kind.name(), f.value, f.offset)).collect()
    }

    #[test]
    fn offsets_count_characters() {
        let expected = [
            ("money", "25 €".to_owned(), 11),
            ("date", "Monday".to_owned(), 19),
        ];
        assert_eq!(found("Das Café … 25 € on Monday."), expected);
    }

    #[test]
    fn words_of_one_entity_are_not_read_as_another() {
        assert_eq!(
            found("two hundred dollars"),
            [("money", "two hundred dollars".to_owned(), 0)]
        );
        assert_eq!(found("john at example dot com").len(), 1);
        assert_eq!(
            found("March 3, 2024"),
            [("date", "March 3, 2024".to_owned(), 0)]
        );
    }

    #[test]
    fn digits_are_read_with_the_marks_around_them() {
        let entity = |kind, value: &str| (kind, value.to_owned());
        for (text, expected) in [
            ("It costs $5.", entity("money", "$5")),
            ("\"$5,\" she said.", entity("money", "$5")),
            ("From $1,500.50, net.", entity("money", "$1,500.50")),
            ("A budget of $3.5 million.", entity("money", "$3.5 million")),
            ("I paid 20 euros.", entity("money", "20 euros")),
            ("Up 3.5%.", entity("number", "3.5%")),
            ("Up 3.5%, they say.", entity("number", "3.5%")),
            ("Up 50 percent!", entity("number", "50 percent")),
            ("Come at 4 p.m.", entity("time", "4 p.m.")),
            ("At 4 p.m., please.", entity("time", "4 p.m.")),
            ("Come at 4 P.M. please.", entity("time", "4 P.M.")),
            ("Come at 10 AM.", entity("time", "10 AM")),
            ("Come at 10AM?", entity("time", "10AM")),
            ("At 4:30 p.m. please.", entity("time", "4:30 p.m.")),
            ("At 4:30pm, please.", entity("time", "4:30pm")),
            ("Due March 3rd, 2024.", entity("date", "March 3rd, 2024")),
            ("On June 5th.", entity("date", "June 5th")),
            (
                "On the 21st of October.",
                entity("date", "the 21st of October"),
            ),
            ("Press 10.", entity("number", "10")),
            ("Call 1-800-555-1234.", entity("phone", "1-800-555-1234")),
            (
                "Call 5, 5, 5, 1, 2, 3, 4.",
                entity("phone", "5, 5, 5, 1, 2, 3, 4"),
            ),
            ("Ask Dr. Smith.", entity("person", "Dr. Smith")),
            ("Mail bob@example.com.", entity("email", "bob@example.com")),
        ] {
            let found: Vec<_> = found(text).into_iter().map(|(k, v, _)| (k, v)).collect();
            assert_eq!(found, [expected], "{text}");
        }
        assert_eq!(found("The 1st one."), []);
    }

    #[test]
    fn any_text_is_read_within_its_bounds() {
        for text in [
            "",
            " ",
            "$",
            "a",
            "the",
            "in",
            "one",
            "mr",
            "at",
            "+",
            "%",
            "quarter to",
            "\u{301}x",
            "the day after",
            "double",
            "double double",
            "dot com",
            "a at b dot",
            "9999999999999999999",
        ] {
            let length = text.chars().count();
            for entity in find(text) {
                assert!(
                    entity.offset + entity.value.chars().count() <= length,
                    "{text}"
                );
            }
        }
    }
}
