// SPDX-License-Identifier: MPL-2.0

//! Traces for a collector of OpenTelemetry: one for each final with a span for each stage of its
//! way, and one for each request.
//!
//! An attribute has what a line of the log may have. It must never be a text that was said or
//! written, a name, an account, a connection id, an address with its query, or a token.
//!
//! Without the cargo feature `otlp`, or without a collector, all of this does nothing.

use std::time::{Instant, SystemTime};

/// A final that was told.
#[derive(Debug)]
#[cfg_attr(not(feature = "otlp"), allow(dead_code))]
pub(crate) struct Told<'a> {
    /// Its stages in their order, with their times.
    pub(crate) stages: &'a [(&'static str, Instant, Instant)],
    pub(crate) conversation: i64,
    /// The id of its first message, which clients are told.
    pub(crate) message: i64,
}

/// A request that was answered.
#[derive(Debug)]
#[cfg_attr(not(feature = "otlp"), allow(dead_code))]
pub(crate) struct Answered<'a> {
    pub(crate) headers: &'a axum::http::HeaderMap,
    pub(crate) method: &'static str,
    /// The path with the names of its parameters in place of their values.
    pub(crate) route: &'a str,
    pub(crate) status: u16,
    pub(crate) begun: Instant,
}

/// Where traces go. All clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traces {
    #[cfg(feature = "otlp")]
    provider: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

/// Turns times of a monotonic clock into those of the wall clock.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "otlp"), allow(dead_code))]
struct Clock(Instant, SystemTime);

#[cfg_attr(not(feature = "otlp"), allow(dead_code))]
impl Clock {
    fn now() -> Self {
        Self(Instant::now(), SystemTime::now())
    }

    fn wall(self, at: Instant) -> SystemTime {
        let Self(now, wall) = self;
        match at.checked_duration_since(now) {
            Some(ahead) => wall + ahead,
            None => wall - now.saturating_duration_since(at),
        }
    }
}

#[cfg(not(feature = "otlp"))]
impl Traces {
    /// Returns `true` if traces are wanted.
    pub(crate) fn are_wanted(&self) -> bool {
        false
    }

    pub(crate) fn told(&self, _: &Told<'_>) {}

    pub(crate) fn answered(&self, _: &Answered<'_>) {}
}

#[cfg(feature = "otlp")]
mod otlp {
    use super::{Answered, Clock, Told, Traces};
    use opentelemetry::propagation::TextMapPropagator;
    use opentelemetry::trace::{
        Span, SpanBuilder, SpanKind, Status, TraceContextExt, TracerProvider,
    };
    use opentelemetry::{Context, KeyValue};
    use opentelemetry_http::HeaderExtractor;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
    use std::time::{Duration, Instant};

    impl Traces {
        /// Sends traces by this provider.
        pub(crate) fn new(provider: SdkTracerProvider) -> Self {
            Self {
                provider: Some(provider),
            }
        }

        /// Returns `true` if traces are wanted.
        pub(crate) fn are_wanted(&self) -> bool {
            self.provider.is_some()
        }

        fn tracer(&self) -> Option<SdkTracer> {
            let provider = self.provider.as_ref()?;
            Some(provider.tracer("symbl-service"))
        }

        /// Traces a final: a span from the end of its last word until clients were told, and
        /// one in it for each stage. Never waits: what the collector does not take in time is
        /// dropped.
        pub(crate) fn told(&self, told: &Told<'_>) {
            let Some(tracer) = self.tracer() else {
                return;
            };
            let clock = Clock::now();
            let from = told.stages.iter().map(|(_, from, _)| *from).min();
            let until = told.stages.iter().map(|(_, _, until)| *until).max();
            let (Some(from), Some(until)) = (from, until) else {
                return;
            };
            let mut whole = SpanBuilder::from_name("final")
                .with_start_time(clock.wall(from))
                .with_attributes([
                    KeyValue::new("symbl.conversation.id", told.conversation.to_string()),
                    KeyValue::new("symbl.message.id", told.message.to_string()),
                ])
                .start_with_context(&tracer, &Context::new());
            let inside = Context::new().with_remote_span_context(whole.span_context().clone());
            for (stage, from, until) in told.stages {
                let mut span = SpanBuilder::from_name(*stage)
                    .with_start_time(clock.wall(*from))
                    .start_with_context(&tracer, &inside);
                span.end_with_timestamp(clock.wall(*until));
            }
            whole.end_with_timestamp(clock.wall(until));
        }

        /// Traces a request that was answered. It belongs to the trace that its client named by
        /// `traceparent`, if it did.
        pub(crate) fn answered(&self, answered: &Answered<'_>) {
            let Some(tracer) = self.tracer() else {
                return;
            };
            let clock = Clock::now();
            let Answered { method, route, .. } = answered;
            let parent = TraceContextPropagator::new()
                .extract_with_context(&Context::new(), &HeaderExtractor(answered.headers));
            let mut span = SpanBuilder::from_name(format!("{method} {route}"))
                .with_kind(SpanKind::Server)
                .with_start_time(clock.wall(answered.begun))
                .with_attributes([
                    KeyValue::new("http.request.method", *method),
                    KeyValue::new("http.route", (*route).to_owned()),
                    KeyValue::new("http.response.status_code", i64::from(answered.status)),
                ])
                .start_with_context(&tracer, &parent);
            if answered.status >= 500 {
                span.set_status(Status::error(""));
            }
            span.end_with_timestamp(clock.wall(Instant::now()));
        }

        /// Sends what waits, within `patience`, and nothing afterwards. Blocks.
        pub(crate) fn end(&self, patience: Duration) {
            if let Some(provider) = &self.provider
                && let Err(error) = provider.shutdown_with_timeout(patience)
            {
                tracing::warn!(%error, "the last traces may not have been sent");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_time_before_or_after_now_is_as_far_from_now_on_the_wall() {
        let clock = Clock::now();
        let Clock(now, wall) = clock;
        let second = Duration::from_secs(1);
        assert_eq!(clock.wall(now + second), wall + second);
        assert_eq!(clock.wall(now), wall);
        if let Some(before) = now.checked_sub(second) {
            assert_eq!(clock.wall(before), wall - second);
        }
    }
}
