// SPDX-License-Identifier: MPL-2.0

//! The filter of a list of conversations as a condition of SQL.
//!
//! What a client sends becomes parameters of a statement and never a part of its text.

use super::query::{END, NAME, START};
use crate::store::filter::{Filter, Operator, TextField, TimeField};
use rusqlite::types::Value;

/// In nanoseconds, as times are stored.
const MILLISECOND: i64 = 1_000_000;

/// A condition, with the values of its parameters in their order. It is empty if all
/// conversations are taken.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Condition {
    pub(super) text: String,
    pub(super) values: Vec<Value>,
}

impl Condition {
    /// Translates a filter.
    pub(super) fn of(filter: &Filter) -> Self {
        let mut condition = Self::default();
        condition.add(filter);
        condition
    }

    fn add(&mut self, filter: &Filter) {
        match filter {
            Filter::All(parts) => self.group(parts, " AND "),
            Filter::Any(parts) => self.group(parts, " OR "),
            Filter::Text(field, operator, value) => {
                self.text(field, sign(*operator), value.clone());
            }
            Filter::Like(field, pattern) => self.text(field, "GLOB", glob(pattern)),
            Filter::Unlike(field, pattern) => self.text(field, "NOT GLOB", glob(pattern)),
            Filter::Time(field, operator, milliseconds) => {
                let column = match field {
                    TimeField::Start => START,
                    TimeField::End => END,
                };
                // The API has milliseconds, so a comparison must not see nanoseconds.
                let column = format!("{column} / {MILLISECOND}");
                self.comparison(&column, sign(*operator), Value::Integer(*milliseconds));
            }
        }
    }

    fn group(&mut self, parts: &[Filter], between: &str) {
        for (n, part) in parts.iter().enumerate() {
            if n > 0 {
                self.text.push_str(between);
            }
            match part {
                // Everything fulfils it.
                Filter::All(parts) if parts.is_empty() => self.text.push('1'),
                Filter::All(_) | Filter::Any(_) => {
                    self.text.push('(');
                    self.add(part);
                    self.text.push(')');
                }
                _ => self.add(part),
            }
        }
    }

    fn text(&mut self, field: &TextField, operator: &str, value: String) {
        let column = match field {
            TextField::Id => "CAST(id AS TEXT)",
            TextField::Name => NAME,
            TextField::Metadata(key) => {
                // A key has no quote in it.
                self.values.push(Value::Text(format!("$.\"{key}\"")));
                match operator.starts_with(['!', 'N']) {
                    true => "coalesce(json_extract(metadata, ?), '')",
                    false => "json_extract(metadata, ?)",
                }
            }
        };
        self.comparison(column, operator, Value::Text(value));
    }

    fn comparison(&mut self, column: &str, operator: &str, value: Value) {
        self.text.push_str(&format!("{column} {operator} ?"));
        self.values.push(value);
    }
}

fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::Equal => "=",
        Operator::NotEqual => "!=",
        Operator::Less => "<",
        Operator::LessOrEqual => "<=",
        Operator::Greater => ">",
        Operator::GreaterOrEqual => ">=",
    }
}

/// Returns the pattern of SQLite's `GLOB` in which only `*` has a special meaning.
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
        let condition = Condition::of(&Filter::parse(attack).unwrap());
        let expected = format!("{NAME} = ? AND ({NAME} NOT GLOB ? OR CAST(id AS TEXT) = ?)");
        assert_eq!(condition.text, expected);
        let values = ["x' OR 1=1; --", "a*b[?]", "1"].map(|v| Value::Text(v.to_owned()));
        assert_eq!(condition.values, values);
        let condition = Condition::of(&Filter::parse("metadata.a!=b;metadata.a==c").unwrap());
        let expected = "coalesce(json_extract(metadata, ?), '') != ? AND \
                        json_extract(metadata, ?) = ?";
        assert_eq!(condition.text, expected);
        let values = ["$.\"a\"", "b", "$.\"a\"", "c"].map(|v| Value::Text(v.to_owned()));
        assert_eq!(condition.values, values);
        let both = Filter::All(vec![Filter::default(), Filter::parse("id==1").unwrap()]);
        assert_eq!(Condition::of(&both).text, "1 AND CAST(id AS TEXT) = ?");
        let everything = Condition::of(&Filter::parse(" ").unwrap());
        assert_eq!(everything, Condition::default());
    }
}
