// SPDX-License-Identifier: MPL-2.0

//! Checks that the comments of the workspace say who does what, in plain English.
//!
//! The rules are those of `docs/glossary.md`, as far as a few lines of code can check
//! them: how the documentation of an item begins, and words that stand for a person or a
//! program without naming it. The test reads source files and changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

/// The directories that follow the rules. To add one, add a line.
const CHECKED: &[&str] = &[
    "benches", "captions", "crates", "examples", "fuzz", "service", "src", "tap", "tests", "view",
];

/// Words that no comment may contain: they do not say who.
const NOBODY: &[&str] = &["anybody", "everybody", "nobody", "somebody", "whoever"];

/// First words that end like a verb and are none.
const NOT_VERBS: &[&str] = &[
    "As", "Bytes", "Does", "Has", "Is", "Its", "Less", "Lines", "Messages", "Names", "Others",
    "Seconds", "This", "Those", "Times", "Unless", "Was", "Words",
];

/// Returns what is wrong with the comments of a source file, each with its line number.
fn faults(source: &str) -> Vec<String> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let mut faults = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let mut fault = |what: &str| faults.push(format!("{}: {what}: {line}", index + 1));
        let Some(comment) = line.strip_prefix("//") else {
            continue;
        };
        if let Some(word) = NOBODY.iter().find(|word| has_words(comment, word)) {
            fault(&format!("says \"{word}\" and not who"));
        }
        let Some(text) = doc(line) else { continue };
        let before = index.checked_sub(1).and_then(|before| doc(lines[before]));
        if before.is_some() {
            continue;
        }
        if has_first_word(text, "Whether") {
            fault("begins with \"Whether\"");
        }
        if ["who is", "who has", "who was"]
            .iter()
            .any(|who| has_words(text, who))
        {
            fault("says \"who …\" and not who");
        }
        if is_function(&lines[index..]) && !begins_with_a_verb(text) {
            fault("does not begin with a verb, such as \"Returns\"");
        }
    }
    faults
}

/// Returns the text of a line of documentation.
fn doc(line: &str) -> Option<&str> {
    line.strip_prefix("///")
        .or_else(|| line.strip_prefix("//!"))
        .map(str::trim)
}

/// Returns `true` if the item that begins with these lines of documentation is a function.
fn is_function(lines: &[&str]) -> bool {
    let mut open = 0;
    let item = lines.iter().find(|line| {
        let is_attribute = line.starts_with("#[") || open > 0;
        if is_attribute {
            open += line.matches('[').count();
            open = open.saturating_sub(line.matches(']').count());
        }
        !is_attribute && !line.starts_with("//")
    });
    let words = item.into_iter().flat_map(|line| line.split_whitespace());
    let mut words = words.skip_while(|word| {
        matches!(
            *word,
            "pub" | "const" | "async" | "unsafe" | "extern" | "\"C\""
        ) || word.starts_with("pub(")
    });
    words.next() == Some("fn")
}

/// Returns `true` if the first word may be a verb in the third person.
fn begins_with_a_verb(text: &str) -> bool {
    let word = text.split_whitespace().next().unwrap_or_default();
    word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.ends_with('s')
        && word.bytes().all(|byte| byte.is_ascii_alphabetic())
        && !NOT_VERBS.contains(&word)
}

/// Returns `true` if `text` begins with this word.
fn has_first_word(text: &str, word: &str) -> bool {
    let first = text.split(|c: char| !c.is_alphabetic()).next();
    first == Some(word)
}

/// Returns `true` if `text` contains these words, whole and in any case.
fn has_words(text: &str, words: &str) -> bool {
    let text = text.to_lowercase();
    let text: Vec<&str> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let words: Vec<&str> = words.split(' ').collect();
    text.windows(words.len()).any(|window| window == words)
}

/// Adds the Rust files below a directory to `files`.
fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn comments_say_who_does_what() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut faults_of_all = Vec::new();
    for folder in CHECKED {
        let mut files = Vec::new();
        rust_files(&root.join(folder), &mut files);
        assert!(!files.is_empty(), "{folder} has no Rust files");
        for file in files {
            // This file has to name the words that it forbids.
            if file.ends_with("tests/english.rs") {
                continue;
            }
            let source = fs::read_to_string(&file).unwrap();
            let shown = file.strip_prefix(&root).unwrap_or(&file).display();
            let faults = faults(&source).into_iter();
            faults_of_all.extend(faults.map(|fault| format!("{shown}:{fault}")));
        }
    }
    let count = faults_of_all.len();
    assert!(count == 0, "{count} faults:\n{}", faults_of_all.join("\n"));
}

#[test]
fn each_rule_finds_its_fault_and_nothing_else() {
    for (source, expected) in [
        ("/// Whether it is over.\nover: bool,", "1: begins"),
        ("/// Tells who is there.\nstruct A;", "1: says"),
        ("/// The end.\nfn end() -> u64 {", "1: does not"),
        (
            "/// As before.\n#[cfg(\n  test\n)]\npub(crate) async fn end() {",
            "1: does not",
        ),
        ("fn a() {}\n    // Nobody listens.", "2: says"),
    ] {
        let found = faults(source);
        assert!(
            found.len() == 1 && found[0].starts_with(expected),
            "{source:?}: {found:?}"
        );
    }
    for source in [
        "/// `true` once it is over.\nover: bool,",
        "/// Returns the end.\n///\n/// Whether it comes is open.\npub const fn end() -> u64 {",
        "//! The story of a module.\n\nfn end() {}",
        "/// One word.\nstruct Word;\n\nfn end() {}",
        "let who = \"nobody who is here\";",
    ] {
        assert_eq!(faults(source), [] as [String; 0], "{source:?}");
    }
}
