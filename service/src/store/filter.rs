// SPDX-License-Identifier: MPL-2.0

//! The filter of the list of conversations, in RSQL:
//! `name==Standup*;startTime=ge=2024-03-05T00:00:00Z`.
//!
//! A comparison begins with `id`, `name`, `startTime`, `endTime` or `metadata.KEY`, and may
//! have `conversation.` before that, as the criteria of groups do.
//! Comparisons are `==` and `!=` (`*` stands for any text), `<`, `<=`, `>`, `>=` and their
//! names `=lt=`, `=le=`, `=gt=`, `=ge=`. `;` or `and` binds more strongly than `,` or `or`,
//! and brackets group. This module parses a filter into a tree, which each store translates
//! for its database.

use symbl_protocol::timestamp::parse_rfc3339;

/// Longest filter in bytes.
const LONGEST: usize = 1024;

/// In nanoseconds, as times are stored.
const MILLISECOND: i64 = 1_000_000;

/// Deepest brackets.
const DEEPEST: u32 = 8;

/// A condition for the conversations of a list. The default takes all of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Filter {
    /// All of these conditions hold. Without any, every conversation is taken.
    All(Vec<Self>),
    /// At least one of these conditions holds.
    Any(Vec<Self>),
    /// The comparison of a text with a value holds.
    Text(TextField, Operator, String),
    /// A text has the form of a pattern, in which `*` stands for any text.
    Like(TextField, String),
    /// A text does not have the form of a pattern.
    Unlike(TextField, String),
    /// The comparison of a time with a value in milliseconds since the Unix epoch holds.
    Time(TimeField, Operator, i64),
}

impl Default for Filter {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

/// A text of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TextField {
    Id,
    Name,
    /// The member of the metadata with this name. A conversation without it is not equal to
    /// anything, and neither less nor greater.
    Metadata(String),
}

/// A time of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeField {
    Start,
    End,
}

#[derive(Debug, Clone)]
enum Field {
    Text(TextField),
    Time(TimeField),
}

/// An operator of comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Why a text is not a filter.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum FilterError {
    #[error("`filter` has more than {LONGEST} bytes")]
    TooLong,
    #[error("`filter` has more than {DEEPEST} brackets in each other")]
    TooDeep,
    #[error("`filter` is wrong at character {0}: {1} is expected")]
    Expected(usize, &'static str),
}

const OPERATORS: [(&str, Operator); 10] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("=lt=", Operator::Less),
    ("=le=", Operator::LessOrEqual),
    ("=gt=", Operator::Greater),
    ("=ge=", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

const FIELDS: [(&str, Field); 4] = [
    ("id", Field::Text(TextField::Id)),
    ("name", Field::Text(TextField::Name)),
    ("startTime", Field::Time(TimeField::Start)),
    ("endTime", Field::Time(TimeField::End)),
];

/// What may stand before a field.
const OWNER: &str = "conversation.";

/// What stands before the name of a member of the metadata.
const METADATA: &str = "metadata.";

struct Reader<'a> {
    text: &'a str,
    /// Number of bytes that were read.
    at: usize,
}

impl Filter {
    /// Parses a filter. An empty one takes all conversations.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, and where.
    pub(crate) fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > LONGEST {
            return Err(FilterError::TooLong);
        }
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let mut reader = Reader { text, at: 0 };
        let filter = reader.any_of(0)?;
        match reader.rest().trim().is_empty() {
            true => Ok(filter),
            false => Err(reader.expected("`;` or `,`")),
        }
    }
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn expected(&self, what: &'static str) -> FilterError {
        let read = self.text.get(..self.at).unwrap_or_default();
        FilterError::Expected(read.chars().count() + 1, what)
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Passes over `what` and returns `true`, if it comes next.
    fn takes(&mut self, what: &str) -> bool {
        let comes = self.rest().starts_with(what);
        if comes {
            self.at += what.len();
        }
        comes
    }

    fn any_of(&mut self, depth: u32) -> Result<Filter, FilterError> {
        let mut parts = vec![self.all_of(depth)?];
        while self.takes(",") || self.takes(" or ") {
            parts.push(self.all_of(depth)?);
        }
        Ok(group(parts, Filter::Any))
    }

    fn all_of(&mut self, depth: u32) -> Result<Filter, FilterError> {
        let mut parts = vec![self.one(depth)?];
        while self.takes(";") || self.takes(" and ") {
            parts.push(self.one(depth)?);
        }
        Ok(group(parts, Filter::All))
    }

    fn one(&mut self, depth: u32) -> Result<Filter, FilterError> {
        self.skip_space();
        if !self.takes("(") {
            return self.comparison();
        }
        if depth == DEEPEST {
            return Err(FilterError::TooDeep);
        }
        let filter = self.any_of(depth + 1)?;
        self.skip_space();
        match self.takes(")") {
            true => Ok(filter),
            false => Err(self.expected("`)`")),
        }
    }

    fn comparison(&mut self) -> Result<Filter, FilterError> {
        let field = self.field()?;
        let operator = OPERATORS.iter().find(|(written, _)| self.takes(written));
        let Some((_, operator)) = operator else {
            return Err(self.expected("`==`, `!=`, `<`, `<=`, `>` or `>=`"));
        };
        let start = self.at;
        let value = self.value()?;
        let field = match field {
            Field::Text(field) => field,
            Field::Time(field) => {
                // A `+` that was not escaped in the query is a space.
                let Some(time) = parse_rfc3339(&value.replace(' ', "+")) else {
                    self.at = start;
                    return Err(self.expected("a time in RFC 3339"));
                };
                return Ok(Filter::Time(field, *operator, time / MILLISECOND));
            }
        };
        Ok(match *operator {
            Operator::Equal if value.contains('*') => Filter::Like(field, value),
            Operator::NotEqual if value.contains('*') => Filter::Unlike(field, value),
            operator => Filter::Text(field, operator, value),
        })
    }

    /// Reads what is compared.
    fn field(&mut self) -> Result<Field, FilterError> {
        let known = "`id`, `name`, `startTime`, `endTime` or `metadata.KEY`";
        let start = self.at;
        self.takes(OWNER);
        if self.takes(METADATA) {
            let is_of_key = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
            let key = self.take_while(is_of_key);
            return match key {
                "" => Err(self.expected("a key of the metadata")),
                key => Ok(Field::Text(TextField::Metadata(key.to_owned()))),
            };
        }
        let name = self.take_while(char::is_alphanumeric);
        let found = FIELDS.iter().find(|(known, _)| *known == name);
        let Some((_, field)) = found else {
            self.at = start;
            return Err(self.expected(known));
        };
        Ok(field.clone())
    }

    /// Passes over characters of this kind and returns them.
    fn take_while(&mut self, is_one: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !is_one(c)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Reads a value, which is in quotes or ends where the comparison ends.
    fn value(&mut self) -> Result<String, FilterError> {
        let quote = ['"', '\'']
            .into_iter()
            .find(|q| self.rest().starts_with(*q));
        if let Some(quote) = quote {
            self.at += 1;
            let Some(length) = self.rest().find(quote) else {
                return Err(self.expected("a second quote"));
            };
            let value = self.rest().get(..length).unwrap_or_default();
            self.at += length + 1;
            return Ok(value.to_owned());
        }
        let rest = self.rest();
        let ends = [
            rest.find([';', ',', '(', ')']),
            rest.find(" and "),
            rest.find(" or "),
        ];
        let length = ends.into_iter().flatten().min().unwrap_or(rest.len());
        let value = rest.get(..length).unwrap_or_default().trim();
        if value.is_empty() {
            return Err(self.expected("a value"));
        }
        self.at += length;
        Ok(value.to_owned())
    }
}

/// Returns the only part as it is, and several as a group.
fn group(mut parts: Vec<Filter>, several: impl FnOnce(Vec<Filter>) -> Filter) -> Filter {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => several(parts.into_iter().chain(last).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn and_binds_more_than_or_and_brackets_bind_most() {
        use Operator::{Equal, GreaterOrEqual, NotEqual};
        let name = |operator, value: &str| Filter::Text(TextField::Name, operator, value.into());
        let (a, b, c) = (name(Equal, "a"), name(NotEqual, "b"), name(Equal, "c"));
        let (a, b, c) = (|| a.clone(), || b.clone(), || c.clone());
        for (text, expected) in [
            (" ", Filter::All(vec![])),
            ("((name==a))", a()),
            (
                "name==a,name!=b;name==c",
                Filter::Any(vec![a(), Filter::All(vec![b(), c()])]),
            ),
            (
                "(name==a or name!=b) and name==c",
                Filter::All(vec![Filter::Any(vec![a(), b()]), c()]),
            ),
            ("name=='a*'", Filter::Like(TextField::Name, "a*".into())),
            ("id!=1*", Filter::Unlike(TextField::Id, "1*".into())),
            ("conversation.name==a", a()),
            (
                "conversation.metadata.agent-id_2.x=='a b'",
                Filter::Text(
                    TextField::Metadata("agent-id_2.x".into()),
                    Equal,
                    "a b".into(),
                ),
            ),
            (
                "startTime=ge=1970-01-01T00:00:01.5Z",
                Filter::Time(TimeField::Start, GreaterOrEqual, 1500),
            ),
        ] {
            assert_eq!(Filter::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused_where_it_is_wrong() {
        for (text, says) in [
            ("x", "character 1: `id`, `name`"),
            ("name", "character 5: `==`"),
            ("name==", "character 7: a value"),
            ("name=='x", "character 8: a second quote"),
            ("name==x;", "character 9: `id`"),
            ("(name==x", "character 9: `)`"),
            ("name==x)", "character 8: `;` or `,`"),
            ("startTime>soon", "character 11: a time"),
            ("metadata.==b", "character 10: a key"),
            ("metadata==b", "character 1: `id`"),
            ("conversation.x==b", "character 1: `id`"),
            ("metadata.a", "character 11: `==`"),
            ("ñ==x", "character 1: `id`"),
        ] {
            let error = Filter::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert_eq!(Filter::parse(&"(".repeat(100)), Err(FilterError::TooDeep));
        assert_eq!(Filter::parse(&"x".repeat(2000)), Err(FilterError::TooLong));
    }
}
