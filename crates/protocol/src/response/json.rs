// SPDX-License-Identifier: MPL-2.0

//! Reads from JSON what it can use, and skips the rest.
//!
//! A [`Node`] is a piece of the original text, and members are decoded only on
//! demand. That keeps the text byte for byte. It also confines a number that no type
//! can hold, half a surrogate pair or a thousand nested arrays to the member that
//! contains them. This module must never recurse into the text, whatever its depth.

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor,
};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Longest valid time: nanoseconds in 63 bits, which is 292 years.
const LONGEST: Duration = Duration::from_nanos(i64::MAX as u64);

/// A JSON value, or none: an absent member, `null`, or a member of something that is
/// not an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a>(Option<&'a RawValue>);

/// The members of an object. Empty for anything else.
#[derive(Debug, Default)]
pub(super) struct Members<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'a> Node<'a> {
    /// Reads a text that is a single JSON value.
    pub(super) fn of(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<&RawValue>(text).map(Self::from)
    }

    /// Returns the original text, or an empty one if there is no value.
    pub(super) fn text(self) -> &'a str {
        self.0.map_or("", RawValue::get)
    }

    pub(super) fn exists(self) -> bool {
        self.0.is_some()
    }

    pub(super) fn is_object(self) -> bool {
        self.text().starts_with('{')
    }

    pub(super) fn members(self) -> Members<'a> {
        self.read().unwrap_or_default()
    }

    /// Returns the member with that name.
    pub(super) fn get(self, name: &str) -> Self {
        self.at(&[name])
    }

    /// Follows `names` from member to member in one pass over the text, however deep,
    /// and returns the last one.
    pub(super) fn at(self, names: &[&str]) -> Self {
        let found = self.0.and_then(|value| {
            let mut text = serde_json::Deserializer::from_str(value.get());
            At(names).deserialize(&mut text).ok()
        });
        found.flatten().map_or(Self(None), Self::from)
    }

    /// Returns the items of an array. Anything else has no items.
    pub(super) fn items(self) -> impl Iterator<Item = Self> {
        let items: Vec<&'a RawValue> = self.read().unwrap_or_default();
        items.into_iter().map(Self::from)
    }

    /// Returns a string. NUL, which would end a C string, becomes U+FFFD.
    pub(super) fn string(self) -> Option<String> {
        self.read::<Text<'a>>()
            .map(|text| text.0.replace('\0', "\u{fffd}"))
    }

    /// Returns a string that is not empty.
    pub(super) fn filled(self) -> Option<String> {
        self.string().filter(|text| !text.is_empty())
    }

    /// Returns a string, or the digits of a number: for ids and codes.
    pub(super) fn id(self) -> Option<String> {
        self.filled().or_else(|| {
            let digits = self.text();
            digits
                .starts_with(|first: char| first == '-' || first.is_ascii_digit())
                .then(|| digits.to_owned())
        })
    }

    /// Returns a string, or the JSON text of anything else: for explanations.
    pub(super) fn explanation(self) -> Option<String> {
        match self.string() {
            Some(text) => Some(text).filter(|text| !text.is_empty()),
            None => self.0.map(|value| value.get().to_owned()),
        }
    }

    /// Returns a boolean, which may be written as a string.
    pub(super) fn boolean(self) -> Option<bool> {
        self.read().or_else(|| self.string()?.trim().parse().ok())
    }

    /// Returns a number that is neither infinite nor NaN.
    pub(super) fn number(self) -> Option<f64> {
        self.read().filter(|number: &f64| number.is_finite())
    }

    /// Returns a number from `low` to `high`, which may be written as a string.
    pub(super) fn number_within(self, low: f64, high: f64) -> Option<f64> {
        let written = || self.string()?.trim().parse().ok();
        let number = self.number().or_else(written);
        number.filter(|number| (low..=high).contains(number))
    }

    /// Returns a whole number, which may be written as a double.
    pub(super) fn integer(self) -> Option<i64> {
        self.read().or_else(|| {
            // Up to 2^53, about 9e15, every integer is exact.
            let whole = self.number()?.trunc();
            (-9e15..=9e15).contains(&whole).then_some(whole as i64)
        })
    }

    /// Returns a whole number that is not negative.
    pub(super) fn count(self) -> Option<u64> {
        self.read()
            .or_else(|| self.integer().and_then(|whole| u64::try_from(whole).ok()))
    }

    /// Returns a time from a number of seconds.
    pub(super) fn seconds(self) -> Option<Duration> {
        self.number().and_then(seconds)
    }

    /// Returns a time from `{"seconds":…,"nanos":…}`. Each member is a string or a
    /// number, and one of them may be absent. `null` seconds mean that the time is
    /// unknown, not zero.
    pub(super) fn seconds_and_nanos(self) -> Option<Duration> {
        let members = self.members();
        let (whole, nanos) = (members.get("seconds"), members.get("nanos"));
        if !whole.exists() && (!nanos.exists() || members.has("seconds")) {
            return None;
        }
        let time = whole.scaled(1.0)?.checked_add(nanos.scaled(1e-9)?)?;
        Some(time).filter(|time| *time <= LONGEST)
    }

    /// Returns a string or a number, in units of `unit` seconds; zero if absent.
    fn scaled(self, unit: f64) -> Option<Duration> {
        if !self.exists() {
            return Some(Duration::ZERO);
        }
        // Services write strings here, so this tries them first.
        let number = match self.string() {
            Some(digits) => digits.trim().parse().ok()?,
            None => self.number()?,
        };
        seconds(number * unit)
    }

    fn read<T: Deserialize<'a>>(self) -> Option<T> {
        serde_json::from_str(self.0?.get()).ok()
    }
}

impl<'a> From<&'a RawValue> for Node<'a> {
    fn from(value: &'a RawValue) -> Self {
        Self(Some(value).filter(|value| value.get() != "null"))
    }
}

impl<'a> Members<'a> {
    /// Reads the members of a text that is an object.
    pub(super) fn of(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Returns `true` if there is a member with that name, even a `null`.
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other.0 == name)
    }

    /// Returns the last member with that name.
    pub(super) fn get(&self, name: &str) -> Node<'a> {
        let found = self.0.iter().rev().find(|(other, _)| other.0 == name);
        found.map_or(Node(None), |(_, value)| Node::from(*value))
    }
}

/// Returns `true` if a string of a JSON text contains a character that JSON requires to be
/// escaped. Unlike values, names of members are not checked while they are read.
pub(super) fn has_raw_control(json: &str) -> bool {
    // Most texts have no such byte at all.
    if !json
        .bytes()
        .fold(false, |found, byte| found | (byte < 0x20))
    {
        return false;
    }
    let (mut is_inside, mut is_escaped) = (false, false);
    json.bytes().any(|byte| {
        if !is_inside {
            is_inside = byte == b'"';
            return false;
        }
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => is_inside = false,
            _ => {}
        }
        byte < 0x20
    })
}

/// Returns a time, or `None` if the number is negative, NaN or longer than
/// [`LONGEST`].
fn seconds(number: f64) -> Option<Duration> {
    let time = Duration::try_from_secs_f64(number).ok()?;
    Some(time).filter(|time| *time <= LONGEST)
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

/// The path to a member: at least one name.
struct At<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (name, rest) = self.0.split_first().unwrap_or((&"", &[]));
        let mut found = None;
        while let Some(Text(key)) = map.next_key()? {
            if key != *name {
                map.next_value::<IgnoredAny>()?;
            } else if rest.is_empty() {
                found = Some(map.next_value()?);
            } else {
                found = map.next_value_seed(At(rest))?;
            }
        }
        Ok(found)
    }
}

/// A string in which half a surrogate pair (an emoji cut in two) becomes U+FFFD.
#[derive(Debug)]
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // When asked for bytes, serde_json accepts half a pair. When asked for a
        // string, it fails.
        deserializer.deserialize_bytes(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Text(String::from_utf8_lossy(bytes)))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(
            String::from_utf8_lossy(bytes).into_owned(),
        )))
    }
}
