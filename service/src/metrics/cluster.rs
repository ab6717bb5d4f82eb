// SPDX-License-Identifier: MPL-2.0

//! What a node of a cluster counts besides. A service that is alone has none of it.

use super::Label;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets for appends, in seconds: up to how long a final waits for a
/// database that is away.
const APPENDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 45.0,
];

/// What becomes of a final.
const VERDICTS: [&str; 5] = ["already", "failed", "over", "stored", "superseded"];

/// What a node is.
const STATES: [&str; 2] = ["gone", "serving"];

/// How far the clock of a node may be from that of the database: messages have the times of
/// the node that heard them.
const MOST_SKEW: Duration = Duration::from_secs(1);

/// The counts of a node. All clones count the same.
#[derive(Debug, Clone)]
pub(crate) struct ClusterCounts {
    append: Histogram,
    appends: Family<Label, Counter>,
    /// Finals that were given to the store and are not in the database yet.
    waiting: Gauge,
    fenced: Counter,
    superseded: Counter,
    /// Entries that the database had lost: those that were filled in, and those that were not.
    filled: Counter,
    lost: Counter,
    nodes: Family<Label, Gauge>,
    skew: Gauge<f64, AtomicU64>,
    /// The same in nanoseconds.
    off: Arc<AtomicI64>,
}

impl Default for ClusterCounts {
    fn default() -> Self {
        let counts = Self {
            append: Histogram::new(APPENDS),
            appends: Family::default(),
            waiting: Gauge::default(),
            fenced: Counter::default(),
            superseded: Counter::default(),
            filled: Counter::default(),
            lost: Counter::default(),
            nodes: Family::default(),
            skew: Gauge::default(),
            off: Arc::default(),
        };
        // What was never counted must be shown as 0.
        for verdict in VERDICTS {
            drop(counts.appends.get_or_create(&[("verdict", verdict)]));
        }
        for state in STATES {
            drop(counts.nodes.get_or_create(&[("state", state)]));
        }
        counts
    }
}

impl ClusterCounts {
    /// Counts a final that was given to the store.
    pub(crate) fn given(&self) {
        self.waiting.inc();
    }

    /// Counts what became of a final, and how long that took.
    pub(crate) fn appended(&self, verdict: &'static str, took: Duration) {
        debug_assert!(VERDICTS.contains(&verdict), "{verdict} is not shown as 0");
        self.waiting.dec();
        self.append.observe(took.as_secs_f64());
        self.appends.get_or_create(&[("verdict", verdict)]).inc();
    }

    /// Counts that this node was declared gone.
    pub(crate) fn fenced(&self) {
        self.fenced.inc();
    }

    /// Counts a stream that went on with another start request.
    pub(super) fn superseded(&self) {
        self.superseded.inc();
    }

    /// Counts entries that the database had lost after they were told.
    pub(crate) fn compared_logs(&self, filled: u64, lost: u64) {
        self.filled.inc_by(filled);
        self.lost.inc_by(lost);
    }

    /// Records how many nodes serve, and how many were declared gone or have left lately.
    pub(crate) fn nodes(&self, serving: i64, gone: i64) {
        self.nodes
            .get_or_create(&[("state", "serving")])
            .set(serving);
        self.nodes.get_or_create(&[("state", "gone")]).set(gone);
    }

    /// Records what the clock of the database showed between two readings of the clock of
    /// this node, all in nanoseconds since the Unix epoch.
    pub(crate) fn compared(&self, before: i64, database: i64, after: i64) {
        let skew = skew(before, database, after);
        self.off.store(skew, Ordering::Relaxed);
        self.skew.set(skew as f64 / 1e9);
    }

    /// Returns what is wrong with the clock of this node, if something is.
    pub(crate) fn amiss(&self) -> Option<String> {
        amiss(self.off.load(Ordering::Relaxed))
    }

    pub(super) fn register(&self, names: &mut Registry) {
        names.register_with_unit(
            "log_append",
            "From a final that was given to the store to its commit",
            Unit::Seconds,
            self.append.clone(),
        );
        names.register(
            "log_appends",
            "Finals that were given to the database of the cluster, by what became of them",
            self.appends.clone(),
        );
        names.register(
            "log_waiting",
            "Finals that wait for the database of the cluster",
            self.waiting.clone(),
        );
        names.register(
            "fenced",
            "How often this node was declared gone and began anew",
            self.fenced.clone(),
        );
        names.register(
            "streams_superseded",
            "Streams that went on with another start request, on whatever node",
            self.superseded.clone(),
        );
        names.register(
            "log_filled_in",
            "Entries that the database had lost at a failover and that this node has filled in",
            self.filled.clone(),
        );
        names.register(
            "log_lost",
            "Entries that the database has lost, though this node had told them",
            self.lost.clone(),
        );
        names.register(
            "cluster_nodes",
            "Nodes of the cluster, by state; gone are those of the last day",
            self.nodes.clone(),
        );
        names.register_with_unit(
            "clock_skew",
            "How much the clock of this node is before that of the database, at least",
            Unit::Seconds,
            self.skew.clone(),
        );
    }
}

/// Returns how much a clock is before that of the database, at least: the database has read
/// its clock at any time between the two readings of this one.
fn skew(before: i64, database: i64, after: i64) -> i64 {
    let (least, most) = (
        before.saturating_sub(database),
        after.saturating_sub(database),
    );
    match () {
        () if least > 0 => least,
        () if most < 0 => most,
        () => 0,
    }
}

/// Returns what is wrong with a clock that is so far before that of the database.
fn amiss(skew: i64) -> Option<String> {
    let off = Duration::from_nanos(skew.unsigned_abs());
    let side = if skew < 0 { "behind" } else { "before" };
    (off > MOST_SKEW).then(|| {
        format!(
            "the clock of this machine is {:.1} s {side} that of the database; set both by NTP",
            off.as_secs_f64()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn the_time_of_an_answer_is_no_skew() {
        // A slow answer, whenever in it the clock was read.
        for database in [0, 3 * SECOND, 5 * SECOND] {
            assert_eq!(skew(0, database, 5 * SECOND), 0);
        }
        assert_eq!(skew(SECOND, 0, SECOND + 5), SECOND);
        assert_eq!(skew(0, SECOND, 5), 5 - SECOND);
        assert_eq!(skew(i64::MAX, i64::MIN, i64::MAX), i64::MAX);
    }

    #[test]
    fn a_clock_is_amiss_from_a_second_on_to_either_side() {
        assert_eq!(amiss(0), None);
        assert_eq!(amiss(SECOND), None);
        assert_eq!(amiss(-SECOND), None);
        let before = amiss(3 * SECOND).expect("amiss");
        assert!(before.contains("3.0 s before"), "{before}");
        let behind = amiss(-SECOND - 1).expect("amiss");
        assert!(behind.contains("1.0 s behind"), "{behind}");
        assert!(amiss(i64::MIN).is_some());
    }
}
