// SPDX-License-Identifier: MPL-2.0

//! Lets the clients of a service that is about to end go, one after the other. What is
//! decided is in `conversation/drain`; this has the clock.

use crate::config::ServerConfig;
use crate::conversation::drain::Drain;
use crate::conversation::sockets::Sockets;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Time between two looks at the sockets.
const LOOK: Duration = Duration::from_millis(20);

/// The drain of one server.
#[derive(Debug)]
pub(super) struct Drainer {
    sockets: Arc<Sockets>,
    wait: Duration,
    lasts: Duration,
    /// How long the sockets that were asked last may take to close.
    closing: Duration,
}

impl Drainer {
    pub(super) fn new(sockets: &Arc<Sockets>, config: &ServerConfig) -> Self {
        Self {
            sockets: Arc::clone(sockets),
            wait: config.drain_wait,
            lasts: config.drain_time,
            closing: config.limits.close,
        }
    }

    /// Runs the drain. Returns when no socket is left, or the time is over.
    pub(super) async fn run(&self) {
        let Self { wait, lasts, .. } = *self;
        if wait.is_zero() && lasts.is_zero() {
            return;
        }
        self.sockets.drain();
        let sockets = self.sockets.count();
        tracing::info!(
            event = "draining",
            sockets,
            wait = wait.as_secs_f64(),
            time = lasts.as_secs_f64()
        );
        sleep(wait).await;
        if lasts.is_zero() {
            return;
        }
        self.sockets.refuse();
        let begun = Instant::now();
        let mut drain = Drain::new(lasts);
        loop {
            let open = self.sockets.open();
            let now = begun.elapsed();
            if open.is_empty() || now >= lasts + self.closing {
                let (left, seconds) = (open.len(), now.as_secs_f64());
                tracing::info!(event = "drained", left, seconds);
                return;
            }
            for socket in drain.due(now, &open) {
                self.sockets.ask(socket);
            }
            sleep(LOOK).await;
        }
    }
}
