// SPDX-License-Identifier: MPL-2.0

//! The metrics of `GET /metrics`, in the text format of OpenMetrics, which Prometheus
//! reads.
//!
//! A label is one of a few fixed words. It must never be an account, a token, a connection
//! or a conversation: those are confidential, and there may be any number of them.

mod bus;
mod stages;
// Without the feature no store counts.
#[cfg_attr(not(feature = "cluster"), allow(dead_code))]
mod cluster;

pub(crate) use bus::BusCounts;

use crate::clock::now;
use crate::traces::Traces;
pub(crate) use cluster::ClusterCounts;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use stages::Stages;
pub(crate) use stages::{Recognised, Written, stages};
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// In front of every name.
const PREFIX: &str = "symbl_service";

/// Upper bounds of the buckets for latencies, in seconds.
const LATENCIES: [f64; 10] = [0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0];

/// Why connections and requests for WebSockets are refused.
const REFUSALS: [&str; 10] = [
    "bad_id",
    "busy",
    "forbidden",
    "limit",
    "no_websocket",
    "other",
    "timeout",
    "tls",
    "unauthorized",
    "unknown_id",
];

type Label = [(&'static str, &'static str); 1];

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    sockets: Family<Label, Gauge>,
    accepted: Family<Label, Counter>,
    pub(crate) refused: Refused,
    pub(crate) traces: Traces,
    streams: Family<Label, Gauge>,
    audio: Family<Label, Counter<f64, AtomicU64>>,
    results: Family<Label, Counter>,
    session_events: Counter,
    latency: Histogram,
    stages: Stages,
    load: Gauge<f64, AtomicU64>,
    waiting: Gauge,
    left_to_drain: Gauge,
    cluster: Option<ClusterCounts>,
}

/// Counts one in a gauge until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenCount(Gauge);

impl OpenCount {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for OpenCount {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Connections and requests for WebSockets that were refused.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refused(Family<Label, Counter>);

impl Refused {
    /// Counts a refusal for this reason.
    pub(crate) fn count(&self, reason: &'static str) {
        debug_assert!(REFUSALS.contains(&reason), "{reason} is not shown as 0");
        self.0.get_or_create(&[("reason", reason)]).inc();
    }
}

/// How many jobs the store has written, and how many it has not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) written: Counter,
    pub(crate) failed: Counter,
    /// Reads for the Conversation API.
    pub(crate) read: Counter,
    /// 1 if the last write was stored.
    pub(crate) healthy: Gauge,
}

/// Counts that other modules keep.
pub(crate) struct Kept {
    pub(crate) refused: Refused,
    pub(crate) traces: Traces,
    /// The names of the recognisers.
    pub(crate) recognizers: Vec<&'static str>,
    pub(crate) counts: Counts,
    /// Those of a node of a cluster.
    pub(crate) cluster: Option<ClusterCounts>,
    /// Counts that are read at each request for metrics.
    pub(crate) collectors: Vec<Box<dyn Collector>>,
}

/// Returns the labels of `build_info`.
fn build() -> Info<[(&'static str, &'static str); 2]> {
    let revision = option_env!("SYMBL_REVISION").unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    Info::new([("version", version), ("revision", revision)])
}

impl Metrics {
    pub(crate) fn new(kept: Kept) -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            sockets: Family::default(),
            accepted: Family::default(),
            refused: kept.refused,
            traces: kept.traces,
            streams: Family::default(),
            audio: Family::default(),
            results: Family::default(),
            session_events: Counter::default(),
            latency: Histogram::new(LATENCIES),
            stages: Stages::default(),
            load: Gauge::default(),
            waiting: Gauge::default(),
            left_to_drain: Gauge::default(),
            cluster: kept.cluster,
        };
        // Metrics that were never counted must be shown as 0.
        for name in kept.recognizers {
            let engine = [("recognizer", name)];
            drop(metrics.streams.get_or_create(&engine));
            drop(metrics.audio.get_or_create(&engine));
        }
        for kind in ["streaming", "subscriber", "session"] {
            drop(metrics.sockets.get_or_create(&[("kind", kind)]));
            drop(metrics.accepted.get_or_create(&[("kind", kind)]));
        }
        for reason in REFUSALS {
            drop(metrics.refused.0.get_or_create(&[("reason", reason)]));
        }
        let mut registry = std::mem::take(&mut metrics.registry);
        let names = registry.sub_registry_with_prefix(PREFIX);
        metrics.name(names);
        names.register(
            "store_writes",
            "Jobs that were written to the database",
            kept.counts.written,
        );
        names.register(
            "store_failures",
            "Jobs that the database did not take",
            kept.counts.failed,
        );
        names.register(
            "store_reads",
            "Reads of the database for the Conversation API; a long list takes many",
            kept.counts.read,
        );
        names.register(
            "store_healthy",
            "1 if the database took the last of them, else 0",
            kept.counts.healthy,
        );
        if let Some(cluster) = &metrics.cluster {
            cluster.register(names);
        }
        names.register("build", "Which release this is", build());
        for collector in kept.collectors {
            names.register_collector(collector);
        }
        let start = ConstGauge::new(now() as f64 / 1e9);
        // Its name is the same for all programs.
        registry.register_with_unit(
            "process_start_time",
            "When the service began, since the Unix epoch",
            Unit::Seconds,
            start,
        );
        metrics.registry = registry;
        metrics
    }

    fn name(&self, names: &mut Registry) {
        names.register("sockets", "Open WebSockets, by kind", self.sockets.clone());
        names.register(
            "connections_accepted",
            "WebSockets that were opened, by kind",
            self.accepted.clone(),
        );
        names.register(
            "connections_refused",
            "Connections and requests for WebSockets that were refused, by reason",
            self.refused.0.clone(),
        );
        names.register(
            "streams",
            "Streams between start and end, by recogniser",
            self.streams.clone(),
        );
        names.register_with_unit(
            "audio",
            "Audio that was heard, by recogniser",
            Unit::Seconds,
            self.audio.clone(),
        );
        names.register(
            "results",
            "What was told, by kind; once, however many heard it",
            self.results.clone(),
        );
        names.register(
            "session_events",
            "Events that were sent to clients of sessions, over all sockets",
            self.session_events.clone(),
        );
        names.register_with_unit(
            "final_latency",
            "From the end of what was said to its final result, for audio that comes in real time",
            Unit::Seconds,
            self.latency.clone(),
        );
        self.stages.register(names);
        names.register(
            "load",
            "What recognition would take if all streams spoke, of what it may take",
            self.load.clone(),
        );
        names.register(
            "waiting_conversations",
            "Conversations without a socket that wait for a speaker to come back",
            self.waiting.clone(),
        );
        names.register(
            "drain_remaining",
            "Sockets that a service which is about to end has still to close; else 0",
            self.left_to_drain.clone(),
        );
    }

    /// Counts a WebSocket that was opened. Hold the result until it is closed.
    pub(crate) fn socket(&self, kind: &'static str) -> OpenCount {
        self.accepted.get_or_create(&[("kind", kind)]).inc();
        OpenCount::new(&self.sockets.get_or_create(&[("kind", kind)]))
    }

    /// Counts a stream that was started. Hold the result until it ends.
    pub(crate) fn stream(&self, recognizer: &'static str) -> OpenCount {
        let label = [("recognizer", recognizer)];
        OpenCount::new(&self.streams.get_or_create(&label))
    }

    /// Counts audio that an engine was given.
    pub(crate) fn audio(&self, recognizer: &'static str, length: Duration) {
        let label = [("recognizer", recognizer)];
        self.audio
            .get_or_create(&label)
            .inc_by(length.as_secs_f64());
    }

    /// Counts results of a kind that were sent.
    pub(crate) fn results(&self, kind: &'static str, number: usize) {
        if number > 0 {
            let count = self.results.get_or_create(&[("kind", kind)]);
            count.inc_by(number as u64);
        }
    }

    /// Counts an event that was sent to a client of a session.
    pub(crate) fn session_event(&self) {
        self.session_events.inc();
    }

    /// Counts a stream that went on with another start request.
    pub(crate) fn superseded(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.superseded();
        }
    }

    /// Records how long after its last word a final was sent.
    pub(crate) fn latency(&self, latency: Duration) {
        self.latency.observe(latency.as_secs_f64());
    }

    /// Records how long a final took in one stage of its way.
    pub(crate) fn stage(&self, stage: &'static str, took: Duration) {
        self.stages.observe(stage, took);
    }

    /// Records the load of the service (1 is full), and how many conversations wait for a
    /// speaker to rejoin.
    pub(crate) fn load(&self, load: f64, waiting: usize) {
        self.load.set(load);
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// Records how many sockets are open while the service is about to end.
    pub(crate) fn left_to_drain(&self, left: usize) {
        self.left_to_drain
            .set(i64::try_from(left).unwrap_or(i64::MAX));
    }

    /// Returns all counts, in the text format of OpenMetrics.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
