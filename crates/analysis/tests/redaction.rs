// SPDX-License-Identifier: MPL-2.0

//! How often the redaction is right, measured on labelled lines, and what interims show.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use symbl_analysis::redaction::{Kind, Redaction, Redactor};
use symbl_testkit::documented;

const TUNED: &str = include_str!("data/redaction-tuned.tsv");
const HELD_OUT: &str = include_str!("data/redaction-held-out.tsv");
/// Later lines of other calls, to make the rules better.
const TUNED_2: &str = include_str!("data/redaction-tuned-2.tsv");
/// Written together with the first of those, before the rules were changed for them.
const HELD_OUT_2: &str = include_str!("data/redaction-held-out-2.tsv");
/// By another author, who had not seen the rules. No rule was changed for it. A session that
/// changes rules does not read it.
const UNSEEN: &str = include_str!("data/redaction-unseen.tsv");

/// A labelled line: its words, and the kind that each of them is hidden as.
struct Line<'a> {
    text: &'a str,
    words: Vec<String>,
    labels: Vec<Option<Kind>>,
}

fn lines(table: &str) -> Vec<Line<'_>> {
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    let rows = rows.map(|row| row.split_once('\t').expect("two columns").1);
    rows.map(line).collect()
}

fn line(text: &str) -> Line<'_> {
    let mut inside = None;
    let mut opened = false;
    let (mut words, mut labels) = (Vec::new(), Vec::new());
    for piece in text.split(' ') {
        if let Some(kind) = piece.strip_prefix('{') {
            inside = Some(Kind::named(kind).expect("a kind"));
            opened = true;
            continue;
        }
        words.push(piece.replace('}', ""));
        labels.push(inside);
        opened = false;
        if piece.contains('}') {
            inside = None;
        }
    }
    assert!(inside.is_none() && !opened, "a brace stays open: {text}");
    Line {
        text,
        words,
        labels,
    }
}

#[derive(Default)]
struct Score {
    right: usize,
    wrong: usize,
    missed: usize,
    /// Of the right ones, those with the label's kind.
    kind: usize,
    spans: usize,
    hidden_spans: usize,
}

impl Score {
    fn recall(&self) -> f64 {
        self.right as f64 / (self.right + self.missed) as f64
    }

    fn precision(&self) -> f64 {
        self.right as f64 / (self.right + self.wrong) as f64
    }
}

/// Scores word by word, as a stream would hide them.
fn score(half: &str, table: &str, show: bool) -> Score {
    let redaction = Arc::new(Redaction::of(&Kind::ALL));
    let mut score = Score::default();
    let mut missed: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let lines = lines(table);
    for line in &lines {
        let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
        let mut redactor = Redactor::new(Arc::clone(&redaction), false);
        let spans = redactor.last(&words, Duration::ZERO, Duration::from_secs(5));
        let mut found = vec![None; words.len()];
        for span in &spans {
            for at in span.words.clone() {
                found[at] = Some(span.kind);
            }
        }
        let mut is_right = true;
        for (label, found) in line.labels.iter().zip(&found) {
            score.right += usize::from(label.is_some() && found.is_some());
            score.missed += usize::from(label.is_some() && found.is_none());
            score.wrong += usize::from(label.is_none() && found.is_some());
            score.kind += usize::from(label.is_some() && label == found);
            is_right &= label.is_some() == found.is_some();
            if let Some(kind) = label {
                let count = missed.entry(kind.name()).or_default();
                count.0 += usize::from(found.is_some());
                count.1 += 1;
            }
        }
        let labelled = line.labels.iter().zip(&found).collect::<Vec<_>>();
        for span in labelled.chunk_by(|one, next| one.0 == next.0) {
            if span.first().is_some_and(|(label, _)| label.is_some()) {
                score.spans += 1;
                score.hidden_spans += usize::from(span.iter().all(|(_, found)| found.is_some()));
            }
        }
        if show && !is_right {
            let marked: Vec<String> = words
                .iter()
                .zip(&found)
                .map(|(word, kind)| match kind {
                    Some(kind) => format!("[{}:{word}]", kind.name()),
                    None => (*word).to_owned(),
                })
                .collect();
            println!("  {}\n    {}", line.text, marked.join(" "));
        }
    }
    println!(
        "{half}: {} lines, recall {:.3}, precision {:.3}, kind {:.3}, {} of {} spans hidden",
        lines.len(),
        score.recall(),
        score.precision(),
        score.kind as f64 / score.right as f64,
        score.hidden_spans,
        score.spans,
    );
    for (kind, (right, all)) in missed {
        println!("{half} {kind}: {right} of {all} words");
    }
    score
}

/// Returns `true` if the scores of a held-out part are to be explained line by line.
fn is_shown() -> bool {
    std::env::var_os("SHOW_HELD_OUT").is_some()
}

// The figures of these tests are the ones that docs/privacy.md has, rounded down.

#[test]
fn the_redaction_is_right_on_the_lines_it_was_made_on() {
    let tuned = score("tuned", TUNED, true);
    let second = score("tuned 2", TUNED_2, true);
    assert!(tuned.recall() >= 0.999 && tuned.precision() >= 0.999);
    assert!(second.recall() >= 0.979 && second.precision() >= 0.998);
    assert!(lines(TUNED_2).len() >= 250);
}

#[test]
fn the_redaction_is_as_good_on_held_out_lines_as_the_documentation_says() {
    let held = score("held-out", HELD_OUT, is_shown());
    assert!(held.recall() >= 0.999 && held.precision() >= 0.965);
    assert!(lines(TUNED).len() + lines(HELD_OUT).len() >= 300 && lines(HELD_OUT).len() >= 100);
}

#[test]
fn the_redaction_is_as_good_on_the_second_held_out_lines_as_the_documentation_says() {
    let held = score("held-out 2", HELD_OUT_2, is_shown());
    assert!(held.recall() >= 0.987 && held.precision() >= 0.987);
}

#[test]
fn the_redaction_is_as_good_on_unseen_lines_as_the_documentation_says() {
    let unseen = score("unseen", UNSEEN, is_shown());
    assert!(unseen.recall() >= 0.989 && unseen.precision() >= 0.996);
}

/// Takes each beginning of a line as an interim: what it shows the whole line must not hide.
#[test]
fn an_interim_never_shows_what_its_final_hides() {
    let redaction = Arc::new(Redaction::of(&Kind::ALL));
    let mut failed = 0;
    for line in [TUNED, HELD_OUT, TUNED_2].into_iter().flat_map(lines) {
        let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
        let mut redactor = Redactor::new(Arc::clone(&redaction), false);
        let shown: Vec<_> = (1..=words.len())
            .map(|end| redactor.interim(&words[..end], Duration::ZERO))
            .collect();
        let last = redactor.last(&words, Duration::ZERO, Duration::from_secs(5));
        let hidden = |at: usize| last.iter().any(|span| span.words.contains(&at));
        for (end, interim) in (1..).zip(&shown) {
            for at in (0..interim.words).filter(|at| hidden(*at)) {
                if !interim.hidden.iter().any(|span| span.contains(&at)) {
                    println!(
                        "  {} is shown by the interim of {end} words: {}",
                        words[at], line.text
                    );
                    failed += 1;
                }
            }
        }
    }
    assert_eq!(failed, 0);
}

/// Prints what a redaction costs.
#[test]
#[ignore = "measures; run it alone"]
fn what_it_costs() {
    let redaction = Arc::new(Redaction::of(&Kind::ALL));
    let all = lines(HELD_OUT);
    let begun = std::time::Instant::now();
    redaction.find(&["warm"]);
    println!("lists: {:?}", begun.elapsed());
    let mut redactor = Redactor::new(redaction, false);
    let begun = std::time::Instant::now();
    for line in &all {
        let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
        redactor.interim(&words, Duration::ZERO);
        redactor.last(&words, Duration::ZERO, Duration::ZERO);
    }
    println!(
        "a final and an interim: {:?}",
        begun.elapsed() / u32::try_from(all.len()).expect("few")
    );
    // How much of the lines without anything to hide the interims hide all the same.
    let (mut hidden, mut shown) = (0, 0);
    let plain = [TUNED, HELD_OUT].into_iter().flat_map(lines);
    for line in plain.filter(|line| line.labels.iter().all(Option::is_none)) {
        let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
        for end in 1..=words.len() {
            let interim = redactor.interim(&words[..end], Duration::from_secs(3600));
            hidden += interim
                .hidden
                .iter()
                .map(ExactSizeIterator::len)
                .sum::<usize>();
            shown += interim.words;
        }
    }
    println!("hidden in interims of harmless lines: {hidden} of {shown} words");
}

#[test]
fn the_command_of_the_page_prints_its_figures() {
    let page = "docs/privacy.md";
    let command = documented::block(page, "crates/analysis/tests/redaction.rs");
    // The interims print no figure of the page.
    let except = ["the_command_of_the_page", "an_interim_never"];
    let printed = documented::cargo_test(&command, "redaction", &except);
    let text = std::fs::read_to_string(documented::path(page)).expect(page);
    let mut rows = text.lines();
    rows.find(|line| line.starts_with("| lines | words to hide found"))
        .expect("the table");
    let rows = rows.skip(1).take_while(|line| line.starts_with('|'));
    // The other rows are of rules that are no more.
    let rows = rows.filter(|row| !row.contains("first time"));
    let mut compared = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let figures = format!("recall {}, precision {},", cells[1], cells[2]);
        assert!(printed.contains(&figures), "{row}\n{printed}");
        compared += 1;
    }
    assert_eq!(compared, 5);
}
