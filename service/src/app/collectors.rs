// SPDX-License-Identifier: MPL-2.0

//! Counts for `GET /metrics` that the recogniser and the log keep themselves.

use crate::hearing::recognizer::Recognizer;
use crate::logging::Lost;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use std::fmt;
use std::sync::Arc;

/// How often the recogniser began anew, as it says itself.
pub(crate) struct Restarts(pub(crate) Arc<dyn Recognizer>);

impl fmt::Debug for Restarts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Restarts").finish_non_exhaustive()
    }
}

impl Collector for Restarts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let restarts = ConstCounter::new(self.0.restarts());
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
