// SPDX-License-Identifier: MPL-2.0

//! What is counted of the bus between nodes.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use std::fmt;

/// The kinds of messages, each sent and heard.
const KINDS: [&str; 6] = [
    "announcement_sent",
    "announcement_heard",
    "interim_sent",
    "interim_heard",
    "own_sent",
    "own_heard",
];

/// Counts of the bus.
#[derive(Debug, Clone)]
pub(crate) struct BusCounts {
    /// 1 while this node hears itself.
    pub(crate) up: Gauge,
    messages: Family<[(&'static str, &'static str); 1], Counter>,
    pub(crate) interims_dropped: Counter,
    /// How often entries of other nodes were read from the log.
    pub(crate) catchups: Counter,
}

impl Default for BusCounts {
    fn default() -> Self {
        let messages = Family::default();
        // Metrics that were never counted must be shown as 0.
        for kind in KINDS {
            drop(messages.get_or_create(&[("kind", kind)]));
        }
        Self {
            up: Gauge::default(),
            messages,
            interims_dropped: Counter::default(),
            catchups: Counter::default(),
        }
    }
}

impl BusCounts {
    /// Counts messages of a kind.
    pub(crate) fn messages(&self, kind: &'static str, number: u64) {
        debug_assert!(KINDS.contains(&kind), "{kind} is not shown as 0");
        if number > 0 {
            let count = self.messages.get_or_create(&[("kind", kind)]);
            count.inc_by(number);
        }
    }
}

impl Collector for BusCounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let all: [(&str, &str, &dyn Encoded); 4] = [
            (
                "bus_up",
                "1 if what this node sends to other nodes at once comes through, else 0",
                &self.up,
            ),
            (
                "bus_messages",
                "Messages between nodes, by kind; `own` are those about the nodes themselves",
                &self.messages,
            ),
            (
                "interims_dropped",
                "Interims that were not sent to listeners on other nodes, or not shown to them",
                &self.interims_dropped,
            ),
            (
                "log_catchups",
                "How often entries of other nodes were read from the log, because the bus had \
                 not brought them",
                &self.catchups,
            ),
        ];
        for (name, help, metric) in all {
            metric.put(name, help, &mut encoder)?;
        }
        Ok(())
    }
}

/// A metric that can be written under a name.
trait Encoded {
    fn put(&self, name: &str, help: &str, to: &mut DescriptorEncoder<'_>) -> fmt::Result;
}

impl<T: EncodeMetric> Encoded for T {
    fn put(&self, name: &str, help: &str, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let kind = self.metric_type();
        self.encode(to.encode_descriptor(name, help, None, kind)?)
    }
}
