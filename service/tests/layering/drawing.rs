// SPDX-License-Identifier: MPL-2.0

//! Holds the drawing of docs/architecture.md to the sources: each of its arrows goes from a
//! room to a lower one of the same package, or from a package to one that it depends on.

use super::{CLIENT, House, PLUGIN, SERVICE, dependencies};
use std::collections::{BTreeMap, BTreeSet};
use symbl_testkit::documented::block;

type Dependencies = BTreeMap<String, BTreeSet<String>>;

/// Returns the rooms of a package that the drawing has a box for.
fn house(package: &str) -> Option<&'static House> {
    match package {
        "symbl-service" => Some(&SERVICE),
        "symbl-client" => Some(&CLIENT),
        "gst-plugin-symbl" => Some(&PLUGIN),
        _ => None,
    }
}

/// Returns the package that the label of a box names.
fn named(label: &str, packages: &Dependencies) -> Option<String> {
    if label.contains("root package") {
        return Some("gst-plugin-symbl".to_owned());
    }
    let mut words = label.split([' ', ':', ',']);
    let package = words.find(|word| packages.contains_key(*word))?;
    Some(package.to_owned())
}

/// Returns what is wrong with the arrows of a flow chart of Mermaid, and how many there are.
fn check(drawing: &str, packages: &Dependencies) -> (Vec<String>, usize) {
    // The package of each box, and of the frame around it.
    let mut boxes: BTreeMap<String, String> = BTreeMap::new();
    let mut frame: Option<String> = None;
    let mut arrows = Vec::new();
    let mut wrong = Vec::new();
    for line in drawing.lines().skip(1).map(str::trim) {
        if let Some(rest) = line.strip_prefix("subgraph ") {
            let (name, label) = rest.split_once(" [").expect("a label");
            frame = named(label.trim_end_matches(']'), packages);
            match &frame {
                Some(package) => drop(boxes.insert(name.to_owned(), package.clone())),
                None => wrong.push(format!("no package: {line}")),
            }
            continue;
        }
        if line == "end" {
            frame = None;
            continue;
        }
        let mut before: Option<String> = None;
        for part in line.split(" --> ") {
            let (name, label) = part.split_once('[').unwrap_or((part, ""));
            let label = label.trim_matches(['"', ']']);
            let package = frame.clone().or_else(|| named(label, packages));
            if let Some(package) = package {
                boxes.entry(name.to_owned()).or_insert(package);
            }
            if let Some(before) = before.replace(name.to_owned()) {
                arrows.push((before, name.to_owned()));
            }
        }
    }
    for (from, to) in &arrows {
        let (Some(above), Some(below)) = (boxes.get(from), boxes.get(to)) else {
            wrong.push(format!("{from} --> {to}: no package has one of these"));
            continue;
        };
        let goes_down = if above == below {
            house(above).is_some_and(|house| {
                let height = |name: &String| house.rooms.iter().position(|room| room == name);
                let heights = height(from).zip(height(to));
                heights.is_some_and(|(from, to)| from < to)
            })
        } else {
            packages[above].contains(below)
        };
        if !goes_down {
            wrong.push(format!("{from} ({above}) --> {to} ({below})"));
        }
    }
    (wrong, arrows.len())
}

#[test]
fn the_drawing_shows_the_rooms_and_packages_as_they_are() {
    let drawing = block("docs/architecture.md", "service/tests/layering/drawing.rs");
    let (wrong, arrows) = check(&drawing, &dependencies());
    assert_eq!(wrong, [""; 0]);
    assert!(arrows > 20, "{arrows} arrows");
}

#[test]
fn an_arrow_that_is_not_there_is_found() {
    let drawing = block("docs/architecture.md", "service/tests/layering/drawing.rs");
    for (arrow, found) in [
        (
            "store --> door",
            "store (symbl-service) --> door (symbl-service)",
        ),
        (
            "protocol --> session",
            "protocol (symbl-protocol) --> session (symbl-client)",
        ),
        (
            "tap --> whisper",
            "tap (symbl-tap) --> whisper (symbl-whisper)",
        ),
        (
            "attic --> store",
            "attic --> store: no package has one of these",
        ),
    ] {
        let (wrong, _) = check(&format!("{drawing}\n{arrow}"), &dependencies());
        assert_eq!(wrong, [found], "{arrow}");
    }
}
