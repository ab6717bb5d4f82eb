// SPDX-License-Identifier: MPL-2.0

//! Where the time goes between the end of what was said and its final at the client: a
//! histogram for each stage, for finals that a client waits for.

use super::Label;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::time::{Duration, Instant};

/// Upper bounds of the buckets, in seconds.
const BOUNDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// A stage of the way of a final, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Audio behind the last word, until the engine took the utterance for ended.
    Pause,
    /// The wait for a thread that recognises.
    Queue,
    /// The work of the engine.
    Decode,
    /// Sentences, and what is found in them.
    Analyse,
    /// The append to the log, until it is stored.
    Commit,
    /// The messages of the entry, into the queues of all sockets.
    Tell,
}

impl Stage {
    const ALL: [Self; 6] = [
        Self::Pause,
        Self::Queue,
        Self::Decode,
        Self::Analyse,
        Self::Commit,
        Self::Tell,
    ];

    /// Returns its name as a label.
    fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Queue => "queue",
            Self::Decode => "decode",
            Self::Analyse => "analyse",
            Self::Commit => "commit",
            Self::Tell => "tell",
        }
    }
}

/// The way of a final before it comes to the conversation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recognised {
    /// How much audio of the stream the engine had when it gave the final.
    pub(crate) heard: Duration,
    /// Since when it waited for a thread.
    pub(crate) queued: Instant,
    /// When a thread took it.
    pub(crate) begun: Instant,
    /// When it was decoded; `None` for an engine whose work is not on this machine.
    pub(crate) decoded: Option<Instant>,
}

/// The way of a final in the conversation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    /// When the analysis began.
    pub(crate) begun: Instant,
    pub(crate) analysed: Instant,
    pub(crate) stored: Instant,
    pub(crate) told: Instant,
}

/// Returns the stages of a final in their order, with their times. `spoken` is the end of its last
/// word in the audio of the stream.
pub(crate) fn stages(
    spoken: Duration,
    recognised: &Recognised,
    written: &Written,
) -> Vec<(&'static str, Instant, Instant)> {
    let pause = recognised.heard.saturating_sub(spoken);
    let until = recognised.queued;
    let from = until.checked_sub(pause).unwrap_or(until);
    let decode = recognised.decoded.map(|done| (recognised.begun, done));
    [
        (Stage::Pause, Some((from, until))),
        (Stage::Queue, Some((recognised.queued, recognised.begun))),
        (Stage::Decode, decode),
        (Stage::Analyse, Some((written.begun, written.analysed))),
        (Stage::Commit, Some((written.analysed, written.stored))),
        (Stage::Tell, Some((written.stored, written.told))),
    ]
    .into_iter()
    .filter_map(|(stage, times)| times.map(|(from, until)| (stage.name(), from, until)))
    .collect()
}

/// The histograms.
#[derive(Debug)]
pub(super) struct Stages(Family<Label, Histogram, fn() -> Histogram>);

impl Default for Stages {
    fn default() -> Self {
        let stages = Self(Family::new_with_constructor(|| Histogram::new(BOUNDS)));
        // What was never observed must be shown as 0.
        for stage in Stage::ALL {
            drop(stages.0.get_or_create(&[("stage", stage.name())]));
        }
        stages
    }
}

impl Stages {
    pub(super) fn observe(&self, stage: &'static str, took: Duration) {
        let histogram = self.0.get_or_create(&[("stage", stage)]);
        histogram.observe(took.as_secs_f64());
    }

    pub(super) fn register(&self, names: &mut Registry) {
        names.register_with_unit(
            "final_stage",
            "How long finals took in each stage between what was said and the client",
            Unit::Seconds,
            self.0.clone(),
        );
    }
}
