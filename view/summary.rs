// SPDX-License-Identifier: MPL-2.0

//! Builds the summary at the end of the talk.

use super::accuracy;
use super::view::minutes;
use std::collections::BTreeMap;

/// Collects what the messages contain and `stats` does not.
#[derive(Default)]
pub struct Summary {
    finals: Vec<String>,
    /// Each element that has posted messages, with `true` if it has all of its results.
    complete: BTreeMap<String, bool>,
    insights: u64,
    trackers: u64,
    topics: u64,
    /// Running time at the end of the last final, in nanoseconds.
    end: u64,
    /// Delays of interim and final results, in nanoseconds.
    delays: [Vec<u64>; 2],
}

impl Summary {
    /// Counts one message of an element.
    pub fn count(&mut self, element: &str, message: &gst::StructureRef) {
        if !message.name().starts_with("symbl/") {
            return;
        }
        let says = |field| message.get::<bool>(field) == Ok(true);
        let nanos = |field| message.get::<u64>(field).unwrap_or_default();
        let complete = self.complete.entry(element.to_owned()).or_default();
        if message.name() == "symbl/transcript" {
            let kind = usize::from(says("is-final"));
            self.delays[kind].push(nanos("delay"));
        }
        match message.name().as_str() {
            "symbl/transcript" if says("is-final") => {
                self.end = self.end.max(nanos("running-time") + nanos("duration"));
                self.finals
                    .push(message.get::<String>("text").unwrap_or_default());
            }
            "symbl/insight" => self.insights += 1,
            "symbl/tracker" => self.trackers += 1,
            "symbl/topic" => self.topics += 1,
            "symbl/drained" => *complete = says("complete"),
            _ => {}
        }
    }

    /// Returns those fields of `stats` that can be computed from the messages.
    pub fn measured(&self) -> gst::Structure {
        let delay = |kind: usize, percent: usize| {
            let mut sorted = self.delays[kind].clone();
            sorted.sort_unstable();
            let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
            sorted.get(at).copied().unwrap_or_default()
        };
        gst::Structure::builder("measured")
            .field("audio-sent", self.end)
            .field("insights", self.insights)
            .field("trackers", self.trackers)
            .field("topics", self.topics)
            .field("delay-interim-p50", delay(0, 50))
            .field("delay-interim-p95", delay(0, 95))
            .field("delay-final-p50", delay(1, 50))
            .field("delay-final-p95", delay(1, 95))
            .build()
    }

    /// Returns `true` if an element has posted a message.
    pub fn has_begun(&self) -> bool {
        !self.complete.is_empty()
    }

    /// Returns `true` if more than one element has posted messages, as in a pipeline with a
    /// sink for each side of a call.
    pub fn has_several_elements(&self) -> bool {
        self.complete.len() > 1
    }

    /// Returns `true` if the service has sent final results for all audio of all elements.
    pub fn is_complete(&self) -> bool {
        self.has_begun() && self.complete.values().all(|complete| *complete)
    }

    /// Returns the lines to print. `reference` is what was said.
    pub fn lines(&self, stats: &gst::Structure, reference: Option<&str>) -> Vec<String> {
        let count = |field: &str| stats.get::<u64>(field).unwrap_or_default();
        let delay = |field: &str| count(field) as f64 / 1e9;
        let heard = accuracy::words(&self.finals.join(" "));
        let mut lines = vec![
            String::new(),
            format!("audio     {}", minutes(count("audio-sent"))),
            format!(
                "heard     words {}, utterances {}",
                heard.len(),
                self.finals.len()
            ),
            format!(
                "found     insights {}, trackers {}, topics {}",
                count("insights"),
                count("trackers"),
                count("topics")
            ),
        ];
        for kind in ["interim", "final"] {
            lines.push(format!(
                "delay     of {kind} results: median {:.2} s, 95 % within {:.2} s",
                delay(&format!("delay-{kind}-p50")),
                delay(&format!("delay-{kind}-p95"))
            ));
        }
        if let Some(reference) = reference {
            let said = accuracy::words(reference);
            let errors = accuracy::word_errors(&said, &heard);
            lines.push(match said.len() {
                0 => "accuracy  unknown: the reference has no words".to_owned(),
                all => format!(
                    "accuracy  {:.1} % word error rate ({errors} errors in {all} words)",
                    100.0 * errors as f64 / all as f64
                ),
            });
        }
        lines
    }
}
