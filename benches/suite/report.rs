// SPDX-License-Identifier: MPL-2.0

//! Reports the figures: one JSON object per line on standard output as soon as it is
//! known, and all of them as a table on standard error at the end.
//!
//! It reports figures and no verdicts: a target and the ratio to it are next to a
//! figure, but nothing fails because of them.

use serde::Serialize;
use std::io::Write;

/// The value that a figure should have.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Less is better.
    AtMost(f64),
    /// More is better.
    #[allow(dead_code)] // what the service is measured for
    AtLeast(f64),
}

impl Target {
    fn bound(self) -> f64 {
        match self {
            Self::AtMost(bound) | Self::AtLeast(bound) => bound,
        }
    }
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Row {
    /// The question that it answers. Figures with the same question are together in
    /// the table.
    pub bench: &'static str,
    /// The subject: `symblsink`, `fakesink`, `bare`, `speechmatics` …
    pub subject: String,
    /// What was measured, in words.
    pub measure: String,
    /// Unit of the values.
    pub unit: &'static str,
    /// The median of all runs, or the only value.
    pub value: f64,
    /// The minimum of all runs.
    pub min: f64,
    /// The maximum of all runs.
    pub max: f64,
    /// The number of runs.
    pub runs: usize,
    /// The value that `value` should have. Subjects of a comparison have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Ratio of `value` to the bound of `target`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_target: Option<f64>,
    /// How it was measured, if that needs an explanation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Row {
    /// Creates a figure from the values of these runs; at least one.
    pub fn new(
        bench: &'static str,
        subject: &str,
        measure: &str,
        unit: &'static str,
        runs: &[f64],
    ) -> Self {
        let mut sorted = runs.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let last = sorted.len().saturating_sub(1);
        Self {
            bench,
            subject: subject.to_owned(),
            measure: measure.to_owned(),
            unit,
            value: (at(last / 2) + at(last.div_ceil(2))) / 2.0,
            min: at(0),
            max: at(last),
            runs: runs.len(),
            target: None,
            of_target: None,
            note: None,
        }
    }

    /// Sets the target.
    pub fn target(mut self, target: Target) -> Self {
        self.target = Some(target);
        // There is no ratio to a target of zero.
        self.of_target = Some(self.value / target.bound()).filter(|ratio| ratio.is_finite());
        self
    }

    /// Adds a note on how it was measured.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

/// All figures so far.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Reports a figure.
    pub fn say(&mut self, row: Row) {
        if let Ok(json) = serde_json::to_string(&row) {
            // The measurement goes on even if the reader has gone.
            let _ = writeln!(std::io::stdout().lock(), "{json}");
        }
        self.rows.push(row);
    }

    /// Reports that a subject failed and its figures are missing. The measurement
    /// goes on.
    pub fn left_out(&mut self, bench: &str, subject: &str, problem: &dyn std::fmt::Display) {
        eprintln!("{bench}: {subject}: left out: {problem}");
    }

    /// Returns the table of all figures.
    pub fn table(&self) -> String {
        let mut lines = Vec::new();
        let mut bench = "";
        for row in &self.rows {
            if row.bench != bench {
                bench = row.bench;
                lines.push(format!("\n{bench}"));
            }
            let range = match row.runs {
                0 | 1 => String::new(),
                _ => format!("({} .. {})", figure(row.min), figure(row.max)),
            };
            let target = match row.target {
                Some(Target::AtMost(bound)) => format!("at most {}", figure(bound)),
                Some(Target::AtLeast(bound)) => format!("at least {}", figure(bound)),
                None => String::new(),
            };
            let ratio = row
                .of_target
                .map_or(String::new(), |ratio| format!("× {ratio:.2}"));
            let line = format!(
                "  {:<14} {:<70} {:>8} {:<14} {:<24} {:<18} {ratio}",
                row.subject,
                row.measure,
                figure(row.value),
                row.unit,
                range,
                target,
            );
            lines.push(line.trim_end().to_owned());
        }
        lines.join("\n")
    }
}

/// Formats a number with three significant digits.
fn figure(value: f64) -> String {
    let digits = match value.abs() {
        size if size == 0.0 || size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}
