// SPDX-License-Identifier: MPL-2.0

//! The element's properties: their param specs, and the way from a [`glib::Value`] into
//! [`Settings`] and back.
//!
//! One row of `table` describes a property, and `kinds` says which values its kind may have.
//! This module must never return a secret: a write-only property has no value here.
//!
//! Sources: GStreamer plugin writer's guide (property flags), `docs/properties.md`.

use super::life::Life;
use super::settings::Settings;
use gst::glib;
use kinds::{About, Changes, Kind};
use table::TABLE;

mod kinds;
pub(super) mod table;

/// When a property may change, and what follows from a change.
#[derive(Clone, Copy)]
struct Use {
    changes: Changes,
    /// Is called after a change.
    then: Option<fn(&Life)>,
    /// Returns the live value that is shown in place of the setting, if there is one.
    shows: Option<fn(&Life) -> Option<glib::Value>>,
    /// Only elements with a text pad have the property.
    of_text: bool,
}

/// The property may change in NULL and READY.
const READY: Use = Use::new(Changes::Ready);
/// The property may change in any state.
const ANY_STATE: Use = Use::new(Changes::AnyState);
/// Only the element changes the property.
const READ_ONLY: Use = Use::new(Changes::Never);
/// An element with a text pad has the property, which may change in NULL and READY.
const TEXT: Use = READY.of_text();

impl Use {
    const fn new(changes: Changes) -> Self {
        Self {
            changes,
            then: None,
            shows: None,
            of_text: false,
        }
    }

    /// Calls `then` after each change.
    const fn then(self, then: fn(&Life)) -> Self {
        Self {
            then: Some(then),
            ..self
        }
    }

    /// Gives the property only to elements with a text pad.
    const fn of_text(self) -> Self {
        Self {
            of_text: true,
            ..self
        }
    }

    /// Shows the value that `shows` returns in place of the setting, if it returns one.
    const fn shows(self, shows: fn(&Life) -> Option<glib::Value>) -> Self {
        Self {
            shows: Some(shows),
            ..self
        }
    }
}

type Setter = Box<dyn Fn(&mut Settings, &glib::Value) -> Result<(), String> + Send + Sync>;
type Getter = Box<dyn Fn(&Settings) -> glib::Value + Send + Sync>;

/// A row of the table.
struct Property {
    spec: glib::ParamSpec,
    use_: Use,
    /// `None` if only the element changes the property.
    set: Option<Setter>,
    get: Option<Getter>,
}

impl Property {
    /// Makes the property whose value is kept in a field of the settings.
    fn setting<T: Send + Sync + 'static>(
        about: About,
        kind: Kind<T>,
        use_: Use,
        default: T,
        field: fn(&Settings) -> &T,
        field_mut: fn(&mut Settings) -> &mut T,
    ) -> Self {
        let Kind { declare, set, show } = kind;
        Self {
            spec: declare(&about, &default),
            use_,
            set: Some(Box::new(move |settings, value| {
                set(field_mut(settings), value, &default)
            })),
            get: Some(Box::new(move |settings| show(field(settings)))),
        }
    }

    /// Makes the property whose value only the element knows.
    fn live<T>(about: About, kind: Kind<T>, use_: Use, default: T) -> Self {
        Self {
            spec: (kind.declare)(&about, &default),
            use_,
            set: None,
            get: None,
        }
    }
}

fn row(pspec: &glib::ParamSpec) -> Option<&'static Property> {
    TABLE.iter().find(|row| row.spec.name() == pspec.name())
}

/// Returns the param specs of a sink's properties, in the order of `docs/properties.md`.
pub fn specs() -> Vec<glib::ParamSpec> {
    let shared = table::rows().into_iter().filter(|row| !row.use_.of_text);
    shared.map(|row| row.spec).collect()
}

/// Returns the param specs of the properties of an element with a text pad, in the same
/// order.
pub fn text_specs() -> Vec<glib::ParamSpec> {
    table::rows().into_iter().map(|row| row.spec).collect()
}

/// Returns `true` if a property may be set while the element is in `state`. GStreamer shows
/// the flags, but the element has to enforce them.
pub fn may_change(pspec: &glib::ParamSpec, state: gst::State) -> bool {
    pspec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING) || state <= gst::State::Ready
}

/// Takes over a value that the application set. An empty string counts as none.
///
/// # Errors
///
/// Returns a sentence that says why the value is refused, without the name of the property.
/// The old value stays.
pub fn set(
    settings: &mut Settings,
    value: &glib::Value,
    pspec: &glib::ParamSpec,
) -> Result<(), String> {
    match row(pspec).and_then(|row| row.set.as_ref()) {
        Some(set) => set(settings, value),
        None => Err("it cannot be set".into()),
    }
}

/// Returns the value that the application reads back. Properties that are read-only (the
/// element knows their live value) or write-only have their default here.
pub fn get(settings: &Settings, pspec: &glib::ParamSpec) -> glib::Value {
    match row(pspec).and_then(|row| row.get.as_ref()) {
        Some(get) => get(settings),
        None => pspec.default_value().clone(),
    }
}

/// Returns the live value of a property that is shown in place of its setting, if there is
/// one.
pub(super) fn live(life: &Life, pspec: &glib::ParamSpec) -> Option<glib::Value> {
    row(pspec)?.use_.shows?(life)
}

/// Carries out the consequences of a property that was set.
pub(super) fn was_set(life: &Life, pspec: &glib::ParamSpec) {
    if let Some(then) = row(pspec).and_then(|row| row.use_.then) {
        then(life);
    }
}

#[cfg(test)]
mod tests;
