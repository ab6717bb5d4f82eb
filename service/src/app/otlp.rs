// SPDX-License-Identifier: MPL-2.0

//! Sends traces to a collector of OpenTelemetry, over HTTP (OTLP).
//!
//! The SDK batches and encodes on a thread of its own. The requests go out by the client that
//! webhooks have, on the runtime of the server.

use crate::jobs::address::Permit;
use crate::jobs::web;
use crate::traces::Traces;
use crate::workers::Workers;
use axum::body::Body;
use opentelemetry::KeyValue;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use url::Url;

/// How long a request may take.
const LONGEST: Duration = Duration::from_secs(10);

/// Most bytes of an answer.
const LARGEST: usize = 64 << 10;

/// Reads the address of a collector. No error shows it, because it may have a token.
pub(crate) fn base(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("the address is not http://… or https://…".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        let header = "give it as a header (OTEL_EXPORTER_OTLP_HEADERS)";
        return Err(format!(
            "the address has a user's name or a password; {header}"
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("the address has a query or a fragment".to_owned());
    }
    Ok(url)
}

/// Returns what sends traces to the collector at `base`. Call it on the runtime of the server.
pub(crate) fn traces(base: &Url, workers: Arc<Workers>) -> Result<Traces, String> {
    let base = base.as_str().trim_end_matches('/');
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client {
            runtime: Handle::current(),
            workers,
            fails: AtomicBool::new(false),
        })
        .with_endpoint(format!("{base}/v1/traces"))
        .with_protocol(Protocol::HttpBinary)
        .build()
        .map_err(|error| error.to_string())?;
    let mut resource = Resource::builder()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name("symbl-service");
    }
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.build())
        .build();
    Ok(Traces::new(provider))
}

/// The client of the SDK.
struct Client {
    runtime: Handle,
    workers: Arc<Workers>,
    /// The last request has failed, and the log says so.
    fails: AtomicBool,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let workers = Arc::clone(&self.workers);
        // The SDK calls this on its own thread, which is not of the runtime.
        let sending = self.runtime.spawn(async move {
            let sent = tokio::time::timeout(LONGEST, send(request, &workers)).await;
            sent.unwrap_or(Err(web::WebError::Slow))
        });
        let answer = sending.await?;
        let failure = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(answer.status().to_string()),
            Err(error) => Some(error.to_string()),
        };
        let failed = self.fails.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(why) if !failed => {
                tracing::warn!(why, "the collector of traces takes none; they are dropped");
            }
            None if failed => tracing::info!("the collector takes traces again"),
            _ => {}
        }
        Ok(answer?)
    }
}

async fn send(
    request: Request<Bytes>,
    workers: &Workers,
) -> Result<Response<Bytes>, web::WebError> {
    let wrong = |error: &dyn fmt::Display| web::WebError::Connection(error.to_string());
    let url = Url::parse(&request.uri().to_string()).map_err(|error| wrong(&error))?;
    let name = url.host_str().unwrap_or_default();
    let permit = Permit {
        name: name.trim_matches(['[', ']']).to_owned(),
        port: url.port_or_known_default().unwrap_or_default(),
        is_tls: url.scheme() == "https",
        // The operator has named it.
        is_private_allowed: true,
    };
    let answer = web::send(request.map(Body::from), &url, &permit, workers).await?;
    let (head, mut rest) = answer.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = web::piece(&mut rest, LONGEST).await? {
        body.extend_from_slice(&piece);
        if body.len() > LARGEST {
            return Err(wrong(&"its answer is too large"));
        }
    }
    Ok(Response::from_parts(head, body.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_a_collector_is_refused_without_showing_it() {
        for good in ["http://127.0.0.1:4318", "https://collector.example/tenant/"] {
            assert!(base(good).is_ok(), "{good}");
        }
        for (bad, says) in [
            ("h-u-s-h", "relative URL"),
            ("grpc://h-u-s-h:4317", "http://"),
            ("http://h-u-s-h@collector", "OTEL_EXPORTER_OTLP_HEADERS"),
            ("http://collector?token=h-u-s-h", "query"),
        ] {
            let error = base(bad).expect_err(bad);
            assert!(error.contains(says), "{bad}: {error}");
            assert!(!error.contains("h-u-s-h"), "{error}");
        }
    }
}
