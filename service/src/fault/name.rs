// SPDX-License-Identifier: MPL-2.0

//! Parses and prints faults: `NAME[=VALUE][@WHEN]`.

use super::{Fault, Kind, When};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The names of all faults, as `symbl-service --help` prints them.
pub const HELP: &str = "\
Faults are written NAME[=VALUE][@WHEN]:

  none                       the connection has no fault
  refuse[=TIME]              closes the port for this long before the connection (1s)
  black-hole[=TIME]          drops the packets of dials for this long before it (1s)
  reset, fin                 resets the connection; ends it without a close frame
  half-open                  reads and writes nothing more, keeps the socket open
  slow-read[=BYTES]          reads at most this many bytes per second (0)
  no-answer                  to the upgrade, the start or the stop
  http=STATUS[:TIME]         in place of the upgrade; TIME is its Retry-After
  redirect                   in place of the upgrade
  wrong-accept, no-accept    sends a wrong Sec-WebSocket-Accept; leaves it out
  close[=CODE]               closes the WebSocket with this code (1005: with none)
  split                      begins a new conversation
  mute                       sends no results
  delay[=TIME]               delays each message by this time (1s)
  duplicate, reorder         sends results twice; in pairs, the second one first
  fragments                  cuts messages into WebSocket fragments
  not-json, binary, huge     sends such a message; huge is 16 MiB
  unknown-type               sends a message of an unknown type
  error, error-envelope      sends an error, in each of its two forms
  terminated                 sends processing_terminated; no results after that

WHEN is accept, upgrade, start (acknowledged), stop (requested), an amount of
audio received (3s, 250ms) or its bytes (96000b). Bad certificates are given
with --tls-cert.";

/// Why a text is not a fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a fault: {reason}; a fault looks like reset@3s, http=503:2s or close=1011@start"
)]
pub struct ParseFaultError {
    text: String,
    reason: String,
}

/// Maximum time. No test needs more, and no clock overflows with it.
const DAY: Duration = Duration::from_secs(86_400);

/// Time of a fault whose time is left out.
const SECOND: Duration = Duration::from_secs(1);

impl Kind {
    /// Returns the kind with this name and value, and the moment at which it applies
    /// by default.
    fn parse(name: &str, value: Option<&str>) -> Result<(Self, When), String> {
        let time = || value.map_or(Ok(SECOND), time);
        let kind = match name {
            "refuse" => Self::Refuse(time()?),
            "black-hole" => Self::BlackHole(time()?),
            "slow-read" => Self::SlowRead(number(value.unwrap_or("0"))?),
            "http" => http(value)?,
            "close" => match number(value.unwrap_or("1005"))? {
                code @ 1000..=4999 => Self::Close(code),
                code => return Err(format!("{code} is not a close code from 1000 to 4999")),
            },
            "delay" => Self::Delay(time()?),
            _ => {
                let (kind, _) = PLAIN
                    .iter()
                    .find(|(_, known)| *known == name)
                    .ok_or("nothing has this name; see --help")?;
                if value.is_some() {
                    return Err(format!("{name} has no value"));
                }
                *kind
            }
        };
        Ok((kind, kind.usually()))
    }

    fn usually(self) -> When {
        match self {
            Self::NoAnswer
            | Self::Http { .. }
            | Self::Redirect
            | Self::WrongAccept
            | Self::NoAccept
            | Self::Split => When::Upgrade,
            Self::None
            | Self::Refuse(_)
            | Self::BlackHole(_)
            | Self::Reset
            | Self::Fin
            | Self::HalfOpen
            | Self::SlowRead(_) => When::Accept,
            _ => When::Start,
        }
    }

    /// Returns `true` if the fault can apply at that moment.
    fn can(self, when: When) -> bool {
        match self {
            Self::None | Self::Refuse(_) | Self::BlackHole(_) => when == When::Accept,
            Self::Reset | Self::Fin | Self::HalfOpen | Self::SlowRead(_) | Self::Delay(_) => true,
            Self::NoAnswer => matches!(when, When::Upgrade | When::Start | When::Stop),
            _ if self.usually() == When::Upgrade => when == When::Upgrade,
            _ => !matches!(when, When::Accept | When::Upgrade),
        }
    }
}

/// Kinds without a value.
const PLAIN: [(Kind, &str); 20] = [
    (Kind::None, "none"),
    (Kind::Reset, "reset"),
    (Kind::Fin, "fin"),
    (Kind::HalfOpen, "half-open"),
    (Kind::NoAnswer, "no-answer"),
    (Kind::Redirect, "redirect"),
    (Kind::WrongAccept, "wrong-accept"),
    (Kind::NoAccept, "no-accept"),
    (Kind::Split, "split"),
    (Kind::Mute, "mute"),
    (Kind::Duplicate, "duplicate"),
    (Kind::Reorder, "reorder"),
    (Kind::Fragments, "fragments"),
    (Kind::NotJson, "not-json"),
    (Kind::Binary, "binary"),
    (Kind::Huge, "huge"),
    (Kind::UnknownType, "unknown-type"),
    (Kind::Error, "error"),
    (Kind::ErrorEnvelope, "error-envelope"),
    (Kind::Terminated, "terminated"),
];

fn http(value: Option<&str>) -> Result<Kind, String> {
    let value = value.ok_or("http wants a status, as in http=503")?;
    let (status, wait) = match value.split_once(':') {
        Some((status, wait)) => (status, Some(time(wait)?)),
        None => (value, None),
    };
    let status = number(status)?;
    if !(400..=599).contains(&status) {
        return Err(format!("{status} is not an error status from 400 to 599"));
    }
    if wait.is_some_and(|wait| wait.subsec_nanos() > 0) {
        return Err("Retry-After has whole seconds only".to_owned());
    }
    Ok(Kind::Http {
        status,
        retry_after: wait,
    })
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not a number here"))
}

fn time(text: &str) -> Result<Duration, String> {
    let (digits, unit): (&str, fn(u64) -> Duration) = match text.strip_suffix("ms") {
        Some(digits) => (digits, Duration::from_millis),
        None => (text.strip_suffix('s').unwrap_or(""), Duration::from_secs),
    };
    let number = digits.parse().map(unit);
    number
        .ok()
        .filter(|time| *time <= DAY)
        .ok_or_else(|| format!("`{text}` is no time up to a day, as 3s and 250ms are"))
}

impl FromStr for Fault {
    type Err = ParseFaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let failed = |reason: String| ParseFaultError {
            text: text.to_owned(),
            reason,
        };
        let (what, when) = match text.split_once('@') {
            Some((what, when)) => (what, Some(when)),
            None => (text, None),
        };
        let (name, value) = match what.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (what, None),
        };
        let (kind, usually) = Kind::parse(name, value).map_err(failed)?;
        let when = match when {
            Some(when) => when.parse().map_err(failed)?,
            None => usually,
        };
        if !kind.can(when) {
            return Err(failed(format!("{name} cannot strike at {when}")));
        }
        Ok(Self { kind, when })
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "accept" => Self::Accept,
            "upgrade" => Self::Upgrade,
            "start" => Self::Start,
            "stop" => Self::Stop,
            _ => match text.strip_suffix('b') {
                Some(bytes) => Self::AudioBytes(number(bytes)?),
                None => Self::Audio(time(text)?),
            },
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        if self.when == self.kind.usually() {
            return Ok(());
        }
        write!(f, "@{}", self.when)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refuse(time) => write!(f, "refuse={}", Millis(*time)),
            Self::BlackHole(time) => write!(f, "black-hole={}", Millis(*time)),
            Self::SlowRead(bytes) => write!(f, "slow-read={bytes}"),
            Self::Http {
                status,
                retry_after: None,
            } => write!(f, "http={status}"),
            Self::Http {
                status,
                retry_after: Some(wait),
            } => write!(f, "http={status}:{}", Millis(*wait)),
            Self::Close(code) => write!(f, "close={code}"),
            Self::Delay(time) => write!(f, "delay={}", Millis(*time)),
            plain => {
                let known = PLAIN.iter().find(|(kind, _)| kind == plain);
                f.write_str(known.map_or("none", |(_, name)| name))
            }
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Upgrade => f.write_str("upgrade"),
            Self::Start => f.write_str("start"),
            Self::Stop => f.write_str("stop"),
            Self::Audio(time) => Millis(*time).fmt(f),
            Self::AudioBytes(bytes) => write!(f, "{bytes}b"),
        }
    }
}

/// Prints a time in the form in which it is parsed.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.subsec_millis() {
            0 => write!(f, "{}s", self.0.as_secs()),
            _ => write!(f, "{}ms", self.0.as_millis()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_printed_as_it_was_written() {
        let texts = [
            "refuse=1s",
            "black-hole=250ms",
            "slow-read=0",
            "slow-read=32000@3s",
            "http=503",
            "http=429:2s",
            "close=1011",
            "close=1005@stop",
            "delay=1s",
            "delay=10ms@accept",
            "reset@96000b",
            "no-answer",
            "no-answer@stop",
            "half-open@upgrade",
        ];
        let plain = PLAIN.iter().map(|(_, name)| *name);
        for text in texts.into_iter().chain(plain) {
            let fault: Fault = text.parse().unwrap();
            assert_eq!(fault.to_string(), text);
            let name = text.split(['=', '@']).next().unwrap();
            assert!(HELP.contains(name), "{name} is not in the help");
        }
    }

    #[test]
    fn omitted_values_have_defaults() {
        for (short, long) in [
            ("refuse", "refuse=1s@accept"),
            ("close", "close=1005@start"),
            ("slow-read", "slow-read=0@accept"),
            ("mute", "mute@start"),
            ("no-answer", "no-answer@upgrade"),
        ] {
            assert_eq!(short.parse::<Fault>(), long.parse::<Fault>());
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "nothing has this name"),
            ("resett", "nothing has this name"),
            ("reset=1", "reset has no value"),
            ("reset@soon", "no time"),
            ("reset@3", "no time"),
            ("refuse=s", "no time"),
            ("delay=86401s", "up to a day"),
            ("refuse@start", "refuse cannot strike at start"),
            ("close@upgrade", "close cannot strike at upgrade"),
            ("http", "http wants a status"),
            ("http=200", "400 to 599"),
            ("http=503:1500ms", "whole seconds"),
            ("http=x", "not a number"),
            ("close=999", "1000 to 4999"),
            ("close=70000", "not a number"),
        ] {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(
                error.contains(reason) && error.contains("reset@3s"),
                "{text}: {error}"
            );
        }
    }
}
