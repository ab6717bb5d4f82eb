// SPDX-License-Identifier: MPL-2.0

//! The kinds of properties: how values of a kind are declared, taken over and shown.
//!
//! A blurb ends with unit, range and the states in which the property may change, made from
//! the same numbers as the param spec, so that the two cannot drift apart.
//!
//! Facts: GStreamer plugin writer's guide (property flags), `docs/properties.md`.

use crate::element::InsightTypes;
use crate::element::caps::RATES;
use crate::element::settings::{StartRequestExtra, TIMEZONE_MAX, TIMEZONE_UNSET, Trackers};
use gst::glib;
use gst::prelude::*;
use symbl_client::transport::{Proxy, Secret};

/// When a property may change.
#[derive(Clone, Copy)]
pub(super) enum Changes {
    /// In NULL and READY.
    Ready,
    /// In any state.
    AnyState,
    /// Only the element changes it.
    Never,
}

/// What a property of any kind has.
pub(super) struct About {
    pub(super) name: &'static str,
    pub(super) nick: &'static str,
    pub(super) meaning: &'static str,
    pub(super) changes: Changes,
}

impl About {
    fn flags(&self) -> glib::ParamFlags {
        match self.changes {
            Changes::Ready => glib::ParamFlags::READWRITE | gst::PARAM_FLAG_MUTABLE_READY,
            Changes::AnyState => glib::ParamFlags::READWRITE | gst::PARAM_FLAG_MUTABLE_PLAYING,
            Changes::Never => glib::ParamFlags::READABLE,
        }
    }

    fn blurb(&self) -> String {
        self.blurb_with("")
    }

    /// Returns the blurb, with unit and range between the meaning and the states.
    fn blurb_with(&self, range: &str) -> String {
        let changes = match self.changes {
            Changes::Ready => "May change in NULL and READY.",
            Changes::AnyState => "May change in any state.",
            Changes::Never => "Read-only.",
        };
        format!("{} {range}{changes}", self.meaning)
    }
}

/// Makes a param spec with this default.
type Declare<T> = Box<dyn FnOnce(&About, &T) -> glib::ParamSpec>;
/// Takes a value over. Refuses it by a sentence that says why; the old value stays.
pub(super) type Set<T> = fn(held: &mut T, value: &glib::Value, default: &T) -> Result<(), String>;
/// Returns the value that the application reads back.
pub(super) type Show<T> = fn(held: &T) -> glib::Value;

/// Properties whose values are kept as a `T`.
pub(super) struct Kind<T> {
    pub(super) declare: Declare<T>,
    pub(super) set: Set<T>,
    pub(super) show: Show<T>,
}

fn got<'a, T: glib::value::FromValue<'a>>(value: &'a glib::Value) -> Result<T, String> {
    value
        .get::<T>()
        .map_err(|_| format!("it has the wrong type {}", value.type_()))
}

/// Returns a text. An empty string is as good as none.
fn text(value: &glib::Value) -> Result<Option<String>, String> {
    Ok(got::<Option<String>>(value)?.filter(|text| !text.is_empty()))
}

fn hidden(value: &glib::Value) -> Result<Option<Secret>, String> {
    let secret = text(value)?.map(Secret::new);
    Ok(secret.filter(|secret| !secret.is_blank()))
}

fn declare_string(
    about: &About,
    without: glib::ParamFlags,
    default: Option<&str>,
) -> glib::ParamSpec {
    glib::ParamSpecString::builder(about.name)
        .nick(about.nick)
        .blurb(&about.blurb())
        .default_value(default)
        .flags(about.flags() - without)
        .build()
}

fn readable_string<T>(set: Set<T>, show: Show<T>, default: fn(&T) -> Option<&str>) -> Kind<T>
where
    T: 'static,
{
    Kind {
        declare: Box::new(move |about, held| {
            declare_string(about, glib::ParamFlags::empty(), default(held))
        }),
        set,
        show,
    }
}

/// Declares a string that has a default.
pub(super) fn string() -> Kind<String> {
    readable_string(
        |held, value, default| {
            *held = text(value)?.unwrap_or_else(|| default.clone());
            Ok(())
        },
        ToValue::to_value,
        |default| Some(default),
    )
}

/// Declares a string that need not be set.
pub(super) fn optional_string() -> Kind<Option<String>> {
    readable_string(
        |held, value, _| {
            *held = text(value)?;
            Ok(())
        },
        ToValue::to_value,
        |default| default.as_deref(),
    )
}

/// Declares a string that can be written and not read.
pub(super) fn secret() -> Kind<Option<Secret>> {
    Kind {
        declare: Box::new(|about, _| declare_string(about, glib::ParamFlags::READABLE, None)),
        set: |held, value, _| {
            *held = hidden(value)?;
            Ok(())
        },
        show: |_| None::<String>.to_value(),
    }
}

/// Declares a proxy's address, of which user name and password are not shown.
pub(super) fn proxy() -> Kind<Proxy> {
    readable_string(
        |held, value, _| {
            held.address = hidden(value)?;
            Ok(())
        },
        |held| held.shown().to_value(),
        |_| None,
    )
}

/// Declares a JSON array of trackers.
pub(super) fn trackers() -> Kind<Trackers> {
    readable_string(
        |held, value, _| {
            *held = Trackers::parse(text(value)?)?;
            Ok(())
        },
        |held| held.text().to_value(),
        |default| default.text(),
    )
}

/// Declares a JSON object that is merged into the start request.
pub(super) fn start_request_extra() -> Kind<StartRequestExtra> {
    readable_string(
        |held, value, _| {
            *held = StartRequestExtra::parse(text(value)?)?;
            Ok(())
        },
        |held| held.text().to_value(),
        |default| default.text(),
    )
}

/// Declares an array of strings, none of them empty.
pub(super) fn phrases() -> Kind<Vec<String>> {
    Kind {
        declare: Box::new(|about, _| {
            let phrase = glib::ParamSpecString::builder("phrase")
                .nick("Phrase")
                .blurb("A word or phrase, not empty.")
                .build();
            gst::ParamSpecArray::builder(about.name)
                .nick(about.nick)
                .blurb(&about.blurb())
                .element_spec(&phrase)
                .flags(about.flags())
                .build()
        }),
        set: |held, value, _| {
            let array = got::<gst::Array>(value)?;
            let phrase = |(index, value): (usize, &glib::SendValue)| {
                text(value)?.ok_or_else(|| format!("entry {index} is empty; leave it out"))
            };
            *held = array
                .iter()
                .enumerate()
                .map(phrase)
                .collect::<Result<_, _>>()?;
            Ok(())
        },
        show: |held| gst::Array::new(held).to_value(),
    }
}

/// Declares values that are kept as GLib has checked them.
fn plain<T>(declare: impl FnOnce(&About, &T) -> glib::ParamSpec + 'static) -> Kind<T>
where
    T: ToValue + for<'a> glib::value::FromValue<'a>,
{
    Kind {
        declare: Box::new(declare),
        set: |held, value, _| {
            *held = got(value)?;
            Ok(())
        },
        show: ToValue::to_value,
    }
}

/// Declares a switch.
pub(super) fn switch() -> Kind<bool> {
    plain(|about, default| {
        glib::ParamSpecBoolean::builder(about.name)
            .nick(about.nick)
            .blurb(&about.blurb())
            .default_value(*default)
            .flags(about.flags())
            .build()
    })
}

/// Declares a whole number. Its unit begins with a preposition.
pub(super) fn uint(unit: &'static str, min: u32, max: u32) -> Kind<u32> {
    plain(move |about, default| {
        glib::ParamSpecUInt::builder(about.name)
            .nick(about.nick)
            .blurb(&about.blurb_with(&format!("{unit}, {min} to {max}. ")))
            .minimum(min)
            .maximum(max)
            .default_value(*default)
            .flags(about.flags())
            .build()
    })
}

/// Declares a duration in seconds.
pub(super) fn seconds(min: u32, max: u32) -> Kind<u32> {
    uint("In seconds", min, max)
}

/// Declares a duration in milliseconds.
pub(super) fn millis(min: u32, max: u32) -> Kind<u32> {
    uint("In milliseconds", min, max)
}

/// Declares a sample rate in hertz, or 0.
pub(super) fn sample_rate() -> Kind<u32> {
    Kind {
        set: |held, value, _| match got(value)? {
            rate if rate == 0 || RATES.contains(&rate) => {
                *held = rate;
                Ok(())
            }
            rate => Err(format!(
                "{rate} Hz; allowed are 0, and {} to {} Hz",
                RATES.start(),
                RATES.end()
            )),
        },
        ..uint("In hertz", 0, *RATES.end())
    }
}

/// Declares a number. Its unit begins with a preposition.
pub(super) fn number(unit: &'static str, min: f64, max: f64) -> Kind<f64> {
    plain(move |about, default| {
        glib::ParamSpecDouble::builder(about.name)
            .nick(about.nick)
            .blurb(&about.blurb_with(&format!("{unit}, {min:.1} to {max:.1}. ")))
            .minimum(min)
            .maximum(max)
            .default_value(*default)
            .flags(about.flags())
            .build()
    })
}

/// Declares an offset from UTC in minutes, or [`TIMEZONE_UNSET`].
pub(super) fn offset_from_utc() -> Kind<i32> {
    let range =
        format!("In minutes, -{TIMEZONE_MAX} to {TIMEZONE_MAX}; {TIMEZONE_UNSET}: not sent. ");
    Kind {
        declare: Box::new(move |about, default| {
            glib::ParamSpecInt::builder(about.name)
                .nick(about.nick)
                .blurb(&about.blurb_with(&range))
                .minimum(TIMEZONE_UNSET)
                .maximum(TIMEZONE_MAX)
                .default_value(*default)
                .flags(about.flags())
                .build()
        }),
        set: |held, value, _| match got(value)? {
            offset if offset == TIMEZONE_UNSET || offset >= -TIMEZONE_MAX => {
                *held = offset;
                Ok(())
            }
            offset => Err(format!(
                "{offset} minutes; allowed are -{TIMEZONE_MAX} to {TIMEZONE_MAX}"
            )),
        },
        show: ToValue::to_value,
    }
}

/// Declares one of the values of an enumeration.
pub(super) fn choice<T>() -> Kind<T>
where
    T: ToValue
        + for<'a> glib::value::FromValue<'a>
        + Copy
        + StaticType
        + glib::translate::FromGlib<i32>
        + glib::translate::IntoGlib<GlibType = i32>,
{
    plain(|about, default: &T| {
        glib::ParamSpecEnum::builder_with_default(about.name, *default)
            .nick(about.nick)
            .blurb(&about.blurb())
            .flags(about.flags())
            .build()
    })
}

/// Declares a set of kinds of insights.
pub(super) fn insight_types() -> Kind<InsightTypes> {
    plain(|about, default: &InsightTypes| {
        glib::ParamSpecFlags::builder(about.name)
            .nick(about.nick)
            .blurb(&about.blurb())
            .default_value(*default)
            .flags(about.flags())
            .build()
    })
}

/// Declares a structure.
pub(super) fn structure() -> Kind<Option<gst::Structure>> {
    plain(|about, _| {
        glib::ParamSpecBoxed::builder::<gst::Structure>(about.name)
            .nick(about.nick)
            .blurb(&about.blurb())
            .flags(about.flags())
            .build()
    })
}
