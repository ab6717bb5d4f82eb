// SPDX-License-Identifier: MPL-2.0

//! The filter of the list of conversations, in RSQL: `name==Standup*;startTime=ge=2024-03-05T00:00:00Z`.
//!
//! Comparisons are `==` and `!=` (`*` stands for any text), `<`, `<=`, `>`, `>=` and
//! their names `=lt=`, `=le=`, `=gt=`, `=ge=`; `;` or `and` binds more than `,` or `or`;
//! brackets group. What a client sends becomes parameters of a statement and never a
//! part of its text.

use super::query::{END, NAME, START};
use rusqlite::types::Value;
use symbl_protocol::timestamp::parse_rfc3339;

/// Longest filter in bytes.
const LONGEST: usize = 1024;

/// In nanoseconds, as times are stored.
const MILLISECOND: i64 = 1_000_000;

/// Deepest brackets.
const DEEPEST: u32 = 8;

/// A condition of SQL, with the values of its parameters in their order. The default
/// takes everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Filter {
    pub(super) condition: String,
    pub(super) values: Vec<Value>,
}

/// Why a filter is none.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum FilterError {
    #[error("`filter` has more than {LONGEST} bytes")]
    TooLong,
    #[error("`filter` has more than {DEEPEST} brackets in each other")]
    TooDeep,
    #[error("`filter` is wrong at character {0}: {1} is expected")]
    Expected(usize, &'static str),
}

const OPERATORS: [(&str, &str); 10] = [
    ("==", "="),
    ("!=", "!="),
    ("=lt=", "<"),
    ("=le=", "<="),
    ("=gt=", ">"),
    ("=ge=", ">="),
    ("<=", "<="),
    (">=", ">="),
    ("<", "<"),
    (">", ">"),
];

struct Reader<'a> {
    text: &'a str,
    /// Bytes that were read.
    at: usize,
    filter: Filter,
}

impl Filter {
    /// Reads a filter; an empty one takes everything.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub(crate) fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > LONGEST {
            return Err(FilterError::TooLong);
        }
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let mut reader = Reader {
            text,
            at: 0,
            filter: Self::default(),
        };
        reader.any_of(0)?;
        match reader.rest().trim().is_empty() {
            true => Ok(reader.filter),
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

    /// Reads this, if it is what comes.
    fn takes(&mut self, what: &str) -> bool {
        let comes = self.rest().starts_with(what);
        if comes {
            self.at += what.len();
        }
        comes
    }

    fn any_of(&mut self, depth: u32) -> Result<(), FilterError> {
        self.all_of(depth)?;
        while self.takes(",") || self.takes(" or ") {
            self.filter.condition.push_str(" OR ");
            self.all_of(depth)?;
        }
        Ok(())
    }

    fn all_of(&mut self, depth: u32) -> Result<(), FilterError> {
        self.one(depth)?;
        while self.takes(";") || self.takes(" and ") {
            self.filter.condition.push_str(" AND ");
            self.one(depth)?;
        }
        Ok(())
    }

    fn one(&mut self, depth: u32) -> Result<(), FilterError> {
        self.skip_space();
        if !self.takes("(") {
            return self.comparison();
        }
        if depth == DEEPEST {
            return Err(FilterError::TooDeep);
        }
        self.filter.condition.push('(');
        self.any_of(depth + 1)?;
        self.skip_space();
        if !self.takes(")") {
            return Err(self.expected("`)`"));
        }
        self.filter.condition.push(')');
        Ok(())
    }

    fn comparison(&mut self) -> Result<(), FilterError> {
        let known = [
            ("id", "CAST(id AS TEXT)", false),
            ("name", NAME, false),
            ("startTime", START, true),
            ("endTime", END, true),
        ];
        let start = self.at;
        let length = self
            .rest()
            .find(|c: char| !c.is_alphanumeric())
            .unwrap_or(self.rest().len());
        let name = self.rest().get(..length).unwrap_or_default();
        let Some((_, column, is_time)) = known.iter().find(|(known, ..)| *known == name) else {
            self.at = start;
            return Err(self.expected("`id`, `name`, `startTime` or `endTime`"));
        };
        self.at += length;
        let operator = OPERATORS.iter().find(|(written, _)| self.takes(written));
        let Some((_, operator)) = operator else {
            return Err(self.expected("`==`, `!=`, `<`, `<=`, `>` or `>=`"));
        };
        let start = self.at;
        let value = self.value()?;
        let condition = &mut self.filter.condition;
        if *is_time {
            // A `+` that was not escaped in the query is a space.
            let Some(time) = parse_rfc3339(&value.replace(' ', "+")) else {
                self.at = start;
                return Err(self.expected("a time in RFC 3339"));
            };
            // In milliseconds, as times are told.
            condition.push_str(&format!("{column} / {MILLISECOND} {operator} ?"));
            self.filter.values.push(Value::Integer(time / MILLISECOND));
            return Ok(());
        }
        let (operator, value) = match *operator {
            "=" if value.contains('*') => ("GLOB", glob(&value)),
            "!=" if value.contains('*') => ("NOT GLOB", glob(&value)),
            operator => (operator, value),
        };
        condition.push_str(&format!("{column} {operator} ?"));
        self.filter.values.push(Value::Text(value));
        Ok(())
    }

    /// In quotes, or up to what ends a comparison.
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

/// With `*` alone for any text.
fn glob(text: &str) -> String {
    text.chars().fold(String::new(), |mut pattern, c| {
        match c {
            '?' | '[' | ']' => pattern.extend(['[', c, ']']),
            c => pattern.push(c),
        }
        pattern
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_never_in_the_statement() {
        let attack = "name==\"x' OR 1=1; --\";(name!=a*b?,id==1)";
        let filter = Filter::parse(attack).unwrap();
        let expected = format!("{NAME} = ? AND ({NAME} NOT GLOB ? OR CAST(id AS TEXT) = ?)");
        assert_eq!(filter.condition, expected);
        let values = ["x' OR 1=1; --", "a*b[?]", "1"].map(|v| Value::Text(v.to_owned()));
        assert_eq!(filter.values, values);
        assert_eq!(Filter::parse(" ").unwrap(), Filter::default());
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
            ("metadata.a==b", "character 1: `id`"),
            ("ñ==x", "character 1: `id`"),
        ] {
            let error = Filter::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert_eq!(Filter::parse(&"(".repeat(100)), Err(FilterError::TooDeep));
        assert_eq!(Filter::parse(&"x".repeat(2000)), Err(FilterError::TooLong));
    }
}
