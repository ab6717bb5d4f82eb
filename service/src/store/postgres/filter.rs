// SPDX-License-Identifier: MPL-2.0

//! The filter of a list of conversations as a condition of SQL.
//!
//! What a client sends becomes parameters of a statement and never a part of its text.

use super::records::{END, NAME, START};
use super::text::put;
use crate::store::filter::{Filter, Operator, TextField, TimeField};

/// In nanoseconds, as times are stored.
const MILLISECOND: i64 = 1_000_000;

/// A condition, with the values of its parameters: texts and numbers have numbers of their
/// own, in one row.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Condition {
    pub(super) text: String,
    pub(super) values: Vec<Given>,
    /// The number of the last parameter before those of this condition.
    before: usize,
}

/// The value of a parameter.
#[derive(Debug, PartialEq)]
pub(super) enum Given {
    Text(String),
    Number(i64),
}

impl Condition {
    /// Translates a filter whose first parameter comes after this many others.
    pub(super) fn of(filter: &Filter, before: usize) -> Self {
        let mut condition = Self {
            before,
            ..Self::default()
        };
        condition.add(filter);
        condition
    }

    fn add(&mut self, filter: &Filter) {
        match filter {
            Filter::All(parts) => self.group(parts, " AND "),
            Filter::Any(parts) => self.group(parts, " OR "),
            Filter::Text(field, operator, value) => {
                self.text(field, sign(*operator), put(value));
            }
            Filter::Like(field, pattern) => self.text(field, "LIKE", like(&put(pattern))),
            Filter::Unlike(field, pattern) => self.text(field, "NOT LIKE", like(&put(pattern))),
            Filter::Time(field, operator, milliseconds) => {
                let column = match field {
                    TimeField::Start => START,
                    TimeField::End => END,
                };
                // The API has milliseconds, so a comparison must not see nanoseconds.
                let column = format!("{column} / {MILLISECOND}");
                self.comparison(&column, sign(*operator), Given::Number(*milliseconds));
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
                Filter::All(parts) if parts.is_empty() => self.text.push_str("true"),
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
            TextField::Id => "id::text COLLATE \"C\"".to_owned(),
            TextField::Name => NAME.to_owned(),
            TextField::Metadata(key) => {
                self.values.push(Given::Text(put(key)));
                let number = self.before + self.values.len();
                let found = format!("(labels ->> ${number}::text) COLLATE \"C\"");
                match matches!(operator, "<>" | "NOT LIKE") {
                    true => format!("coalesce({found}, '')"),
                    false => found,
                }
            }
        };
        self.comparison(&column, operator, Given::Text(value));
    }

    fn comparison(&mut self, column: &str, operator: &str, value: Given) {
        self.values.push(value);
        let number = self.before + self.values.len();
        self.text
            .push_str(&format!("{column} {operator} ${number}"));
    }
}

fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::Equal => "=",
        Operator::NotEqual => "<>",
        Operator::Less => "<",
        Operator::LessOrEqual => "<=",
        Operator::Greater => ">",
        Operator::GreaterOrEqual => ">=",
    }
}

/// Returns the pattern of `LIKE` in which only what was `*` has a special meaning.
fn like(text: &str) -> String {
    text.chars().fold(String::new(), |mut pattern, c| {
        match c {
            '*' => pattern.push('%'),
            '%' | '_' | '\\' => pattern.extend(['\\', c]),
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
        let attack = "name==\"x' OR 1=1; --\";(name!=a*b_,id==1)";
        let condition = Condition::of(&Filter::parse(attack).expect("a filter"), 3);
        let expected =
            format!("{NAME} = $4 AND ({NAME} NOT LIKE $5 OR id::text COLLATE \"C\" = $6)");
        assert_eq!(condition.text, expected);
        let values = ["x' OR 1=1; --", "a%b\\_", "1"].map(|v| Given::Text(v.to_owned()));
        assert_eq!(condition.values, values);
        let filter = Filter::parse("metadata.a!=b;metadata.a==c").expect("a filter");
        let condition = Condition::of(&filter, 3);
        let expected = "coalesce((labels ->> $4::text) COLLATE \"C\", '') <> $5 AND \
                        (labels ->> $6::text) COLLATE \"C\" = $7";
        assert_eq!(condition.text, expected);
        let both = Filter::All(vec![
            Filter::default(),
            Filter::parse("id==1").expect("one"),
        ]);
        let condition = Condition::of(&both, 0);
        assert_eq!(condition.text, "true AND id::text COLLATE \"C\" = $1");
        let everything = Condition::of(&Filter::parse(" ").expect("a filter"), 3);
        assert_eq!((everything.text.as_str(), everything.values.len()), ("", 0));
    }
}
