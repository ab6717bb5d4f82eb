// SPDX-License-Identifier: MPL-2.0

//! Compares docs/properties.md with the param specs.

use super::*;
use crate::element::settings::TIMEZONE_MAX;

/// Returns the rows of a page of the documentation, cell by cell.
fn documented(page: &'static str) -> Vec<[&'static str; 5]> {
    page.lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter_map(|(name, rest)| {
            let mut cells = rest.split('|').map(str::trim);
            let row = [
                name,
                cells.next()?,
                cells.next()?,
                cells.next()?,
                cells.next()?,
            ];
            cells.next().is_some().then_some(row)
        })
        .collect()
}

#[test]
fn the_documentation_has_every_property_with_type_default_range_and_states() {
    let all = all();
    let rows = documented(include_str!("../../../../docs/properties.md"));
    assert_eq!(
        rows.iter().map(|row| row[0]).collect::<Vec<_>>(),
        CONTRACT.map(|row| row.0)
    );
    for (spec, [name, type_, default, allowed, changes]) in all.iter().zip(rows) {
        let value = spec.default_value();
        let kind = match spec.value_type().name() {
            "gchararray" => "string",
            "gboolean" => "bool",
            "gint" => "int",
            "guint" => "uint",
            "gdouble" => "double",
            "GstValueArray" => "array of string",
            "GstStructure" => "structure",
            _ if spec.value_type().is_a(glib::Type::FLAGS) => "flags",
            _ => "enum",
        };
        assert_eq!(type_, kind, "{name}");
        let words = match in_words(value).trim_matches('"') {
            "NULL" => "none".to_owned(),
            "<  >" => "empty".to_owned(),
            text => format!("`{text}`"),
        };
        assert_eq!(default, words, "{name}");
        let expected = match name {
            "timezone-offset" => format!("-{TIMEZONE_MAX} to {TIMEZONE_MAX}"),
            _ => range(spec).or_else(|| choices(spec)).unwrap_or_default(),
        };
        assert_eq!(allowed, expected, "{name}");
        let flags = spec.flags();
        let expected = match name {
            "access-token" | "app-secret" => "any state, write-only",
            _ if flags.contains(gst::PARAM_FLAG_MUTABLE_PLAYING) => "any state",
            _ if flags.contains(glib::ParamFlags::WRITABLE) => "NULL, READY",
            _ => "read-only",
        };
        assert_eq!(changes, expected, "{name}");
    }
}

/// Returns the nicks of an enumeration or of flags, as the documentation lists them.
fn choices(spec: &glib::ParamSpec) -> Option<String> {
    let nicks: Vec<String> = if let Some(spec) = spec.downcast_ref::<glib::ParamSpecEnum>() {
        let class = spec.enum_class();
        class
            .values()
            .iter()
            .map(|value| format!("`{}`", value.nick()))
            .collect()
    } else {
        let class = spec.downcast_ref::<glib::ParamSpecFlags>()?.flags_class();
        class
            .values()
            .iter()
            .map(|value| format!("`{}`", value.nick()))
            .collect()
    };
    Some(nicks.join(", "))
}
