// SPDX-License-Identifier: MPL-2.0

//! The site of the documentation: it has every document once, and each link of a document
//! leads to a file and to a heading in it. `make docs` makes the site with mdBook and checks
//! the links of the result again.

use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Component;

/// Documents that are not on the site.
const NOT_THERE: [&str; 1] = ["docs/SUMMARY.md"];

/// Returns the names of the documents, from the root of the project.
fn documents() -> Vec<String> {
    let mut found = Vec::new();
    for folder in [".", "docs"] {
        for file in std::fs::read_dir(path(folder)).expect("a folder") {
            let name = file.expect("a file").file_name();
            let name = name.to_str().expect("UTF-8");
            if name.ends_with(".md") {
                found.push(plain(&Path::new(folder).join(name)));
            }
        }
    }
    found.sort();
    found
}

/// Returns a path without `.` and `..`.
fn plain(path: &Path) -> String {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => assert!(plain.pop(), "{} leaves the project", path.display()),
            other => plain.push(other),
        }
    }
    plain.to_str().expect("UTF-8").to_owned()
}

/// Returns the lines of a document that are no code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Returns the targets of the links and pictures of a document.
fn targets(text: &str) -> Vec<String> {
    let parts = prose(text).flat_map(|line| line.split("](").skip(1));
    let targets = parts.filter_map(|part| part.split(')').next());
    targets.map(str::to_owned).collect()
}

/// Returns the anchor that a heading gets, in mdBook as on a forge.
fn anchor(heading: &str) -> String {
    let mut text = String::new();
    let mut rest = heading;
    // A link in a heading counts with its text.
    while let Some((before, link)) = rest.split_once('[') {
        let (inside, after) = link.split_once("](").unwrap_or((link, ""));
        text.push_str(before);
        text.push_str(inside);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    let kept = text.trim().chars().filter_map(|c| match c {
        c if c.is_whitespace() => Some('-'),
        c if c.is_alphanumeric() || matches!(c, '-' | '_') => Some(c),
        _ => None,
    });
    kept.flat_map(char::to_lowercase).collect()
}

/// Returns the anchors of a document.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let headings = prose(text).filter(|line| line.starts_with('#'));
    for heading in headings {
        let name = anchor(heading.trim_start_matches('#'));
        let mut again = (1..).map(|number| format!("{name}-{number}"));
        match found.contains(&name) {
            true => found.insert(again.find(|name| !found.contains(name)).expect("a number")),
            false => found.insert(name),
        };
    }
    found
}

#[test]
fn the_site_has_every_document_once() {
    let linked = targets(&text("docs/SUMMARY.md")).into_iter();
    let mut linked: Vec<String> = linked
        .map(|target| plain(&Path::new("docs").join(target)))
        .collect();
    linked.sort();
    let mut expected = documents();
    expected.retain(|name| !NOT_THERE.contains(&name.as_str()));
    assert_eq!(linked, expected);
    // All of them become files of one folder.
    let names: BTreeSet<&str> = linked
        .iter()
        .map(|name| name.rsplit('/').next().expect("a name"))
        .collect();
    assert_eq!(names.len(), linked.len(), "two documents have one name");
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let documents = documents();
    let anchors: BTreeMap<&str, BTreeSet<String>> = documents
        .iter()
        .map(|name| (name.as_str(), anchors(&text(name))))
        .collect();
    let (mut count, mut wrong) = (0, Vec::new());
    for name in &documents {
        let folder = Path::new(name).parent().expect("a folder");
        for target in targets(&text(name)) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            count += 1;
            let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
            let file = match file.is_empty() {
                true => name.clone(),
                false => plain(&folder.join(file)),
            };
            let has_heading = match anchors.get(file.as_str()) {
                Some(known) => heading.is_empty() || known.contains(heading),
                None => heading.is_empty() && path(&file).exists(),
            };
            if !has_heading {
                wrong.push(format!("{name}: {target}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 200, "{count} links");
}

#[test]
fn a_wrong_link_is_seen() {
    let document = "# `symbl/raw` & *co*\n## One\n## One\n```\n# No heading [x](y)\n```\n\
                    [a](#one-1) ![b](c.png)";
    let found = anchors(document);
    let expected = ["one", "one-1", "symblraw--co"].map(str::to_owned);
    assert_eq!(found, BTreeSet::from(expected));
    assert_eq!(targets(document), ["#one-1", "c.png"]);
    assert_eq!(anchor(" [The page](page.md), anew"), "the-page-anew");
}

#[test]
fn the_scripts_of_the_site_make_its_pages() {
    if !has("python3", "--version") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new("python3")
        .arg(path("scripts/docs/pages.py"))
        .arg(folder.path())
        .output()
        .expect("python3");
    assert!(output.status.success(), "{output:?}");
    let page = std::fs::read_to_string(folder.path().join("index.md")).expect("a page");
    for link in ["](sources.md)", "](files/examples/captions.py.txt)"] {
        assert!(page.contains(link), "{link}");
    }
    assert!(folder.path().join("files/docs/page.png").is_file());
    assert!(!page.contains("<!-- "), "comments are for the tests");
}
