// SPDX-License-Identifier: MPL-2.0

//! `symbl-service` with the scripted recogniser, inside the test's process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use symbl_service::fault::{Fault, Faults};
use symbl_service::recognizer::scripted::Scripted;
use symbl_service::{Server, ServerConfig};
use tokio::runtime::Runtime;

/// A running service. Stops when dropped.
pub struct Service {
    runtime: Runtime,
    server: Option<Server>,
    address: SocketAddr,
    scheme: &'static str,
    faults: Faults,
}

impl Service {
    /// Starts a service on a free port, with the scripted recogniser and without tokens.
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// Starts a service with faults: `script` has one for each connection to come, separated
    /// by spaces.
    pub fn faulty(script: &str) -> Self {
        Self::with(|config| config.misbehave(script))
    }

    /// Starts a service after `change` has changed its configuration.
    pub fn with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let mut config = ServerConfig::new(Arc::new(Scripted));
        config.listen = "127.0.0.1:0".parse().expect("an address");
        change(&mut config);
        let scheme = if config.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let faults = config.faults.clone();
        let server = runtime.block_on(Server::bind(config)).expect("a free port");
        let address = server.local_addr();
        Self {
            runtime,
            server: Some(server),
            address,
            scheme,
            faults,
        }
    }

    /// Returns the value for the property `base-url`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Returns the faults of this service.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Closes all sockets and stops listening.
    pub fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.shutdown());
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A configuration that can have faults.
pub trait Misbehave {
    /// Sets a fault for each connection to come, separated by spaces.
    fn misbehave(&mut self, script: &str);
}

impl Misbehave for ServerConfig {
    fn misbehave(&mut self, script: &str) {
        let faults = script.split_whitespace().map(str::parse::<Fault>);
        let faults = faults.collect::<Result<Vec<_>, _>>();
        self.faults = Faults::script(faults.unwrap_or_else(|error| panic!("{error}")));
        // A socket that is stuck on purpose would hold the shutdown up.
        self.limits.shutdown = Duration::from_millis(50);
    }
}
