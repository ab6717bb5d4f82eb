// SPDX-License-Identifier: MPL-2.0

//! What is hidden, kept and noted, as options of the command. docs/privacy.md says what each kind is.

use clap::Args;
use std::path::{Path, PathBuf};
use std::time::Duration;
use symbl_service::RedactionPolicy;
use symbl_service::analysis::redaction::{Kind, PatternError, Redaction};

/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// Most patterns that an operator may give.
const MOST_PATTERNS: usize = 64;

#[derive(Debug, thiserror::Error)]
pub(crate) enum PrivacyError {
    #[error("--redact-pattern: {0}; give NAME=REGEX, such as 'member=M[0-9]{{6}}'")]
    Pattern(#[from] PatternError),
    #[error("--redact-pattern is given {0} times; at most {MOST_PATTERNS} are allowed")]
    Patterns(usize),
}

/// The options.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Privacy")]
pub(crate) struct PrivacyOptions {
    /// Hide this in all that is said, before it is sent or stored: all, or some of email,
    /// phone, card, ssn, address, name, birth, account, with commas between them. Clients
    /// may ask for it themselves (config.redaction)
    #[arg(long, value_name = "KINDS", value_parser = kinds)]
    redact: Option<Kinds>,

    /// Hide what this regular expression matches, too, in any case of letters; spoken
    /// digits count as digits. May be given several times
    #[arg(long = "redact-pattern", value_name = "NAME=REGEX", value_parser = pattern)]
    patterns: Vec<(String, String)>,

    /// What is written in place of hidden words, unless a client asks for something else
    #[arg(long, value_name = "TEXT", default_value = "****", value_parser = replacement)]
    redact_with: String,

    /// Delete conversations that have been over for this many days, such as 30 or 0.5, unless
    /// they have a time of their own; 0: keep them for ever
    #[arg(long, value_name = "DAYS", default_value_t = 0.0, value_parser = days)]
    keep: f64,

    /// Append to this file who read, exported, changed and deleted what, as JSON lines.
    /// SIGHUP opens it anew
    #[arg(long, value_name = "FILE")]
    audit_log: Option<PathBuf>,
}

/// The kinds of `--redact`.
#[derive(Debug, Clone, Default)]
struct Kinds(Vec<Kind>);

impl PrivacyOptions {
    /// Returns how long conversations are kept after their end, or `None` for ever.
    pub(crate) fn keep(&self) -> Option<Duration> {
        (self.keep > 0.0).then(|| Duration::from_secs_f64(self.keep * DAY))
    }

    /// Returns the file of the audit log.
    pub(crate) fn audit_log(&self) -> Option<&Path> {
        self.audit_log.as_deref()
    }

    /// Returns what is to be hidden.
    pub(crate) fn redaction(&self) -> Result<RedactionPolicy, PrivacyError> {
        let mut policy = RedactionPolicy::default();
        policy.replacement.clone_from(&self.redact_with);
        let kinds = self.redact.as_ref().map_or(&[][..], |kinds| &kinds.0);
        policy.redaction = Redaction::of(kinds);
        if self.patterns.len() > MOST_PATTERNS {
            return Err(PrivacyError::Patterns(self.patterns.len()));
        }
        for (name, expression) in &self.patterns {
            policy.redaction.add(name, expression)?;
        }
        Ok(policy)
    }
}

fn kinds(text: &str) -> Result<Kinds, String> {
    if text.trim() == "all" {
        return Ok(Kinds(Kind::ALL.to_vec()));
    }
    let named = |name: &str| {
        Kind::named(name.trim()).ok_or_else(|| {
            let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
            format!(
                "{:?} is no kind; give all, or some of {}",
                name.trim(),
                known.join(", ")
            )
        })
    };
    text.split(',')
        .map(named)
        .collect::<Result<_, _>>()
        .map(Kinds)
}

fn pattern(text: &str) -> Result<(String, String), &'static str> {
    let (name, expression) = text.split_once('=').ok_or("NAME=REGEX is expected")?;
    match name.is_empty() || expression.is_empty() {
        true => Err("neither the name nor the expression may be empty"),
        false => Ok((name.to_owned(), expression.to_owned())),
    }
}

fn replacement(text: &str) -> Result<String, &'static str> {
    let is_short = (1..=16).contains(&text.chars().count());
    match is_short && !text.trim().is_empty() && !text.contains(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err("1 to 16 characters that can be seen are expected"),
    }
}

/// Parses a number of days, up to a hundred years.
fn days(text: &str) -> Result<f64, &'static str> {
    let days = text
        .parse()
        .ok()
        .filter(|days| (0.0..=36_525.0).contains(days));
    days.ok_or("a number of days from 0 to 36525 is expected")
}
