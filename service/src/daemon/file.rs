// SPDX-License-Identifier: MPL-2.0

//! The configuration file: every option of the command, by its long name.
//!
//! The file becomes arguments in front of those of the command line, so an option is parsed,
//! checked and explained in one way, wherever it stands. An option that the command line or
//! the environment gives, or excludes, is not taken from the file.

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, Parser};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Options of the command line alone.
const OWN: [&str; 5] = ["config", "check-config", "print-config", "help", "version"];

/// Options whose variables may be empty.
const EMPTY: [&str; 2] = ["cluster", "bus"];

/// What the command was told.
pub(crate) struct Read<T> {
    pub(crate) options: T,
    /// The values of each option, by its long name, as they were written.
    pub(crate) values: BTreeMap<String, Vec<String>>,
    /// The same, as a file for people.
    pub(crate) shown: String,
}

/// Why the options cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The command line. This is also how clap gives its help.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    #[error("{}: {reason}", file.display())]
    Unreadable {
        file: PathBuf,
        reason: std::io::Error,
    },
    #[error("{}:{line}: {reason}", file.display())]
    Line {
        file: PathBuf,
        line: usize,
        reason: String,
    },
}

/// One option in the file.
struct Setting {
    line: usize,
    arguments: Vec<OsString>,
}

/// Reads the command line, the environment, and the file that the command line names.
///
/// # Errors
///
/// An option is wrong, or the file.
pub(crate) fn read<T: Parser>(arguments: &[OsString]) -> Result<Read<T>, ReadError> {
    let make = || unset(T::command());
    let mut command = make();
    command.build();
    // What the file would add may be needed, so this must not complain about what is missing.
    let lenient = make().ignore_errors(true);
    let given = lenient.try_get_matches_from(arguments)?;
    let file = match given.try_get_one::<PathBuf>("config") {
        Ok(Some(file)) if given.subcommand_name().is_none() => Some(file.clone()),
        _ => None,
    };
    let mut settings = match &file {
        Some(file) => settings(&command, file)?,
        None => BTreeMap::new(),
    };
    settings.retain(|name, _| !is_decided(&command, &given, name));
    let (first, rest) = arguments.split_at(arguments.len().min(1));
    let from_file = settings.values().flat_map(|setting| &setting.arguments);
    let all: Vec<&OsString> = first.iter().chain(from_file).chain(rest).collect();
    let parsed = make()
        .try_get_matches_from(&all)
        .and_then(|matches| Ok((T::from_arg_matches(&matches)?, matches)));
    let (options, matches) = parsed.map_err(|error| blamed(error, file.as_deref(), &settings))?;
    let named: BTreeSet<&str> = settings.keys().map(String::as_str).collect();
    Ok(Read {
        options,
        values: values(&command, &matches),
        shown: shown(&command, &matches, &named),
    })
}

/// Takes variables as not set that are empty, where a unit or a manifest has one for a value that it
/// does not have. An empty name or secret of an application stays an error, because without it
/// anyone would be let in.
fn unset(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        let variable = arg
            .get_env()
            .filter(|_| EMPTY.contains(&arg.get_id().as_str()));
        match variable.and_then(std::env::var_os) {
            // No variable has this name.
            Some(value) if value.is_empty() => arg.env("=").hide_env(true),
            _ => arg,
        }
    });
    command.mut_subcommands(unset)
}

/// Returns the options that may stand in a file.
fn options(command: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    let named = command.get_arguments();
    let named = named.filter_map(|arg| Some((arg.get_long()?, arg)));
    named.filter(|(name, _)| !OWN.contains(name))
}

/// Returns `true` if the command line or the environment has this option, or one that
/// excludes it.
fn is_decided(command: &Command, given: &ArgMatches, name: &str) -> bool {
    let is_given = |arg: &Arg| {
        let source = given.value_source(arg.get_id().as_str());
        matches!(
            source,
            Some(ValueSource::CommandLine | ValueSource::EnvVariable)
        )
    };
    let Some((_, own)) = options(command).find(|(known, _)| *known == name) else {
        return false;
    };
    let excluded = command.get_arg_conflicts_with(own);
    let excluding = options(command).filter(|(_, other)| {
        let theirs = command.get_arg_conflicts_with(other);
        theirs.iter().any(|arg| arg.get_id() == own.get_id())
    });
    is_given(own)
        || excluded.into_iter().any(is_given)
        || excluding.map(|(_, arg)| arg).any(is_given)
}

/// Reads the file.
fn settings(command: &Command, file: &Path) -> Result<BTreeMap<String, Setting>, ReadError> {
    let text = std::fs::read_to_string(file).map_err(|reason| ReadError::Unreadable {
        file: file.to_owned(),
        reason,
    })?;
    let line_of = |place: usize| text.bytes().take(place).filter(|b| *b == b'\n').count() + 1;
    let failed = |place: usize, reason: String| ReadError::Line {
        file: file.to_owned(),
        line: line_of(place),
        reason,
    };
    let table = DeTable::parse(&text).map_err(|error| {
        let place = error.span().map_or(0, |span| span.start);
        failed(place, error.message().to_owned())
    })?;
    let mut found = BTreeMap::new();
    for (key, value) in table.get_ref() {
        let (place, name) = (key.span().start, key.get_ref().as_ref());
        let option = options(command).find(|(known, _)| *known == name);
        let Some((_, option)) = option else {
            return Err(failed(place, unknown(command, name)));
        };
        let arguments = arguments(name, option, value).map_err(|why| failed(place, why))?;
        let line = line_of(place);
        found.insert(name.to_owned(), Setting { line, arguments });
    }
    Ok(found)
}

fn unknown(command: &Command, name: &str) -> String {
    if OWN.contains(&name) {
        return format!("`{name}` is for the command line; it means nothing in a file");
    }
    let likeness = |known: &str| strsim::jaro_winkler(known, &name.replace('_', "-"));
    let closest = options(command).max_by(|(a, _), (b, _)| likeness(a).total_cmp(&likeness(b)));
    let closest = closest.map_or("listen", |(name, _)| name);
    format!("there is no option `{name}`; the closest is `{closest}`")
}

/// Returns the arguments that an option in the file stands for.
fn arguments(
    name: &str,
    option: &Arg,
    value: &Spanned<DeValue<'_>>,
) -> Result<Vec<OsString>, String> {
    let takes_value = option.get_action().takes_values();
    let argument = |text: &str| OsString::from(format!("--{name}={text}"));
    Ok(match value.get_ref() {
        DeValue::Boolean(set) if !takes_value => match set {
            true => vec![OsString::from(format!("--{name}"))],
            false => vec![],
        },
        _ if !takes_value => return Err(format!("`{name}` is true or false")),
        DeValue::Array(items) if matches!(option.get_action(), ArgAction::Append) => {
            let items = items.iter().map(|item| scalar(item.get_ref()));
            let items: Option<Vec<String>> = items.collect();
            let items = items.ok_or_else(|| format!("`{name}` is a list of texts"))?;
            items.iter().map(|item| argument(item)).collect()
        }
        DeValue::Array(_) => return Err(format!("`{name}` has one value, and not a list")),
        value => {
            let text = scalar(value);
            let text = text.ok_or_else(|| format!("`{name}` is a text or a number"))?;
            vec![argument(&text)]
        }
    })
}

/// Returns a text or a number as an argument has it.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
            Some(number.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        _ => None,
    }
}

/// Returns the error with the line of the file that it is about, if it is about one.
fn blamed(
    error: clap::Error,
    file: Option<&Path>,
    settings: &BTreeMap<String, Setting>,
) -> ReadError {
    let about = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        _ => String::new(),
    };
    let words = about.split_whitespace();
    let mut names = words.filter_map(|word| word.strip_prefix("--"));
    let setting = names.find_map(|name| settings.get(name));
    match (setting, file) {
        (Some(setting), Some(file)) => {
            let text = error.to_string();
            let first = text.split("\n\n").next().unwrap_or_default();
            let lines: Vec<&str> = first.lines().map(str::trim).collect();
            ReadError::Line {
                file: file.to_owned(),
                line: setting.line,
                reason: lines.join(" ").trim_start_matches("error: ").to_owned(),
            }
        }
        _ => ReadError::Usage(error),
    }
}

/// Returns the values of every option that has any.
fn values(command: &Command, matches: &ArgMatches) -> BTreeMap<String, Vec<String>> {
    let each = options(command).filter_map(|(name, option)| {
        let raw = matches.try_get_raw(option.get_id().as_str()).ok()??;
        let raw = raw.map(|value| value.to_string_lossy().into_owned());
        Some((name.to_owned(), raw.collect()))
    });
    each.collect()
}

/// Writes all options as a file, with where each value comes from.
fn shown(command: &Command, matches: &ArgMatches, in_file: &BTreeSet<&str>) -> String {
    let values = values(command, matches);
    let mut text = String::new();
    let mut heading = None;
    for (name, option) in options(command) {
        if heading != option.get_help_heading() {
            heading = option.get_help_heading();
            // Writing to a `String` cannot fail.
            let _ = write!(text, "\n# {}\n", heading.unwrap_or("Options"));
        }
        let source = match matches.value_source(option.get_id().as_str()) {
            _ if in_file.contains(name) => "file",
            Some(ValueSource::CommandLine) => "command line",
            Some(ValueSource::EnvVariable) => "environment",
            _ => "default",
        };
        let help = option.get_help().map(ToString::to_string);
        let usual = help.as_deref().and_then(usual);
        let value = match (values.get(name), usual) {
            (Some(_), _) if option.is_hide_env_values_set() => quoted("***"),
            (Some(values), _) => written(option, values),
            (None, Some(usual)) => plain(usual),
            (None, None) => {
                let _ = writeln!(text, "# {name} is not set");
                continue;
            }
        };
        let _ = writeln!(text, "{name} = {value} # {source}");
    }
    text
}

/// Returns the default that a help text ends with.
fn usual(help: &str) -> Option<&str> {
    help.strip_suffix(']')?.rsplit_once("[default: ")?.1.into()
}

fn written(option: &Arg, values: &[String]) -> String {
    let items: Vec<String> = values.iter().map(|value| plain(value)).collect();
    match option.get_action() {
        ArgAction::Append => format!("[{}]", items.join(", ")),
        _ => items.into_iter().next_back().unwrap_or_default(),
    }
}

/// Returns a number or a truth value as it stands, and anything else in quotes.
fn plain(value: &str) -> String {
    let is_number = value.parse::<i64>().is_ok_and(|n| n.to_string() == value);
    match is_number || value == "true" || value == "false" {
        true => value.to_owned(),
        false => quoted(value),
    }
}

/// Returns a text in quotes. What JSON escapes, TOML reads in the same way.
fn quoted(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
