// SPDX-License-Identifier: MPL-2.0

//! Counts for `GET /metrics` that the recognisers and the log keep themselves.

use crate::hearing::engines::Engines;
use crate::logging::Lost;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use std::fmt;

/// How often parts of the recognisers were replaced, as they say themselves.
#[derive(Debug)]
pub(crate) struct Restarts(pub(crate) Engines);

impl Collector for Restarts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let restarts: u64 = self.0.all().map(|engine| engine.restarts()).sum();
        let restarts = ConstCounter::new(restarts);
        restarts.encode(encoder.encode_descriptor(
            "recognizer_restarts",
            "Processes of the recogniser that were replaced",
            None,
            MetricType::Counter,
        )?)
    }
}

/// Lines of the log that were not written.
#[derive(Debug)]
pub(crate) struct LogLines(pub(crate) Lost);

impl Collector for LogLines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counts = [
            (
                "log_lines_dropped",
                "Lines of the log that its output did not take, or not as fast as they came",
                self.0.dropped(),
            ),
            (
                "log_lines_suppressed",
                "Lines of the log that were too many about one client",
                self.0.suppressed(),
            ),
        ];
        for (name, help, count) in counts {
            let count = ConstCounter::new(count);
            count.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        Ok(())
    }
}
