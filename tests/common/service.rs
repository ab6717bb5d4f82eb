// SPDX-License-Identifier: MPL-2.0

//! `symbl-service` with the scripted recogniser, inside the test's process.

use std::net::SocketAddr;
use std::sync::Arc;
use symbl_service::recognizer::scripted::Scripted;
use symbl_service::{Server, ServerConfig};
use tokio::runtime::Runtime;

/// A running service. Stops when dropped.
pub struct Service {
    runtime: Runtime,
    server: Option<Server>,
    address: SocketAddr,
}

impl Service {
    /// On a free port, with the scripted recogniser and nobody kept out.
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// The same, with a change to the configuration.
    pub fn with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let mut config = ServerConfig::new(Arc::new(Scripted));
        config.listen = "127.0.0.1:0".parse().expect("an address");
        change(&mut config);
        let server = runtime.block_on(Server::bind(config)).expect("a free port");
        let address = server.local_addr();
        Self {
            runtime,
            server: Some(server),
            address,
        }
    }

    /// For `base-url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
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
