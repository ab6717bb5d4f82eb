// SPDX-License-Identifier: MPL-2.0

//! Reads a checklist from JSON, and refuses one that would not do what its author wants.

use serde::Deserialize;
use serde_json::Value;
use std::collections::HashSet;

/// Most criteria of a checklist, and most phrases of all of them.
const MOST_CRITERIA: usize = 100;
const MOST_PHRASES: usize = 1000;

/// Largest name and phrase, in bytes.
const LONGEST: usize = 256;

/// Weighted criteria.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checklist {
    /// What it is called.
    #[serde(default)]
    pub name: Option<String>,
    /// At least one.
    pub criteria: Vec<Criterion>,
}

/// One criterion.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Criterion {
    /// What it is called.
    pub name: String,
    /// How much it counts, above 0.
    #[serde(default = "one")]
    pub weight: f64,
    /// Only what this speaker says counts: a name, `userId` or id in any case. A `*` at the
    /// beginning or the end stands for any text: `*@support.example`.
    #[serde(default)]
    pub speaker: Option<String>,
    /// What is checked.
    #[serde(flatten)]
    pub check: Check,
}

/// What is checked.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Check {
    /// One of these is said.
    Phrase {
        /// At least one.
        phrases: Vec<String>,
    },
    /// None of these is said.
    Absence {
        /// At least one.
        phrases: Vec<String>,
    },
    /// One of each list is said, in the order of the lists.
    Order {
        /// At least two lists.
        steps: Vec<Vec<String>>,
    },
    /// One of these is said within a time.
    Timing {
        /// At least one.
        phrases: Vec<String>,
        /// Seconds from the start of the conversation.
        #[serde(default)]
        after: Option<f64>,
        /// Seconds from the start of the conversation.
        #[serde(default)]
        before: Option<f64>,
    },
    /// The speaker has a part of the talk time of all, 0 to 1.
    TalkRatio {
        /// At least this.
        #[serde(default)]
        min: Option<f64>,
        /// At most this.
        #[serde(default)]
        max: Option<f64>,
    },
}

fn one() -> f64 {
    1.0
}

impl Check {
    /// Returns the name of the type.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Phrase { .. } => "phrase",
            Self::Absence { .. } => "absence",
            Self::Order { .. } => "order",
            Self::Timing { .. } => "timing",
            Self::TalkRatio { .. } => "talk_ratio",
        }
    }

    /// Returns the lists of phrases: one, or one for each step of an order.
    pub(super) fn lists(&self) -> Vec<&[String]> {
        match self {
            Self::Phrase { phrases } | Self::Absence { phrases } | Self::Timing { phrases, .. } => {
                vec![phrases]
            }
            Self::Order { steps } => steps.iter().map(Vec::as_slice).collect(),
            Self::TalkRatio { .. } => Vec::new(),
        }
    }
}

impl Checklist {
    /// Reads a checklist.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with it, as a sentence.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let unread = |reason| format!("The checklist cannot be read: {reason}.");
        let members: Value = serde_json::from_slice(json).map_err(unread)?;
        known(&members)?;
        let read = Self::deserialize(members).map_err(unread)?;
        read.check()?;
        Ok(read)
    }

    fn check(&self) -> Result<(), String> {
        let count = self.criteria.len();
        if !(1..=MOST_CRITERIA).contains(&count) {
            return Err(format!(
                "`criteria` has {count} entries; give 1 to {MOST_CRITERIA}."
            ));
        }
        let mut names = HashSet::new();
        let mut phrases = 0;
        for criterion in &self.criteria {
            let name = &criterion.name;
            if name.trim().is_empty() || name.len() > LONGEST {
                return Err(format!(
                    "`name` of a criterion must have 1 to {LONGEST} bytes."
                ));
            }
            let wrong = |what: &str| Err(format!("The criterion {name:?}: {what}."));
            if !names.insert(name) {
                return wrong("another one has the same name");
            }
            if !(criterion.weight > 0.0 && criterion.weight <= 1e6) {
                return wrong("`weight` must be above 0 and at most 1000000");
            }
            let lists = criterion.check.lists();
            for phrase in lists.iter().copied().flatten() {
                phrases += 1;
                let has_words = phrase.chars().any(char::is_alphanumeric);
                if !has_words || phrase.len() > LONGEST {
                    return wrong("a phrase must have a word, and at most 256 bytes");
                }
            }
            if lists.iter().any(|list| list.is_empty()) {
                return wrong("a list of phrases is empty");
            }
            let part = |bound: Option<f64>| bound.is_none_or(|bound| (0.0..=1.0).contains(&bound));
            let time = |bound: Option<f64>| bound.is_none_or(|bound| (0.0..=1e9).contains(&bound));
            match &criterion.check {
                Check::Order { steps } if steps.len() < 2 => {
                    return wrong("`steps` must have at least two lists");
                }
                Check::Timing {
                    after: None,
                    before: None,
                    ..
                } => {
                    return wrong("`after` or `before` is missing");
                }
                Check::Timing { after, before, .. } if !time(*after) || !time(*before) => {
                    return wrong("`after` and `before` are seconds, from 0");
                }
                Check::TalkRatio {
                    min: None,
                    max: None,
                } => {
                    return wrong("`min` or `max` is missing");
                }
                Check::TalkRatio { min, max } if !part(*min) || !part(*max) => {
                    return wrong("`min` and `max` are parts of the talk time, 0 to 1");
                }
                Check::TalkRatio { .. } if criterion.speaker.is_none() => {
                    return wrong("`speaker` is missing");
                }
                _ => {}
            }
        }
        match phrases {
            ..=MOST_PHRASES => Ok(()),
            _ => Err(format!(
                "The checklist has {phrases} phrases; give at most {MOST_PHRASES}."
            )),
        }
    }
}

/// Refuses a criterion with a member that its type does not have. A member that was misspelt
/// would change the score without a word.
fn known(checklist: &Value) -> Result<(), String> {
    let criteria = checklist.get("criteria").and_then(Value::as_array);
    for criterion in criteria.into_iter().flatten().filter_map(Value::as_object) {
        let own: &[&str] = match criterion.get("type").and_then(Value::as_str) {
            Some("phrase" | "absence") => &["phrases"],
            Some("order") => &["steps"],
            Some("timing") => &["phrases", "after", "before"],
            Some("talk_ratio") => &["min", "max"],
            _ => continue,
        };
        let all = ["name", "weight", "speaker", "type"];
        let is_known = |name: &str| all.contains(&name) || own.contains(&name);
        if let Some(name) = criterion.keys().find(|name| !is_known(name)) {
            let mut name = name.clone();
            name.truncate(name.floor_char_boundary(40));
            return Err(format!(
                "A criterion of this type has no member {name:?}; it may have {} and {}.",
                all.join(", "),
                own.join(", ")
            ));
        }
    }
    Ok(())
}
