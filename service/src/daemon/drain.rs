// SPDX-License-Identifier: MPL-2.0

//! How the command ends at SIGTERM: with a drain, if it has one, which a second signal cuts
//! short.

use crate::daemon::notify;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use std::time::Duration;
use symbl_service::{Server, ServerConfig};
use tokio::signal::unix::Signal;

/// Times by default for a service that shares its database with others, in seconds. A client
/// of a service that is alone has nowhere to go, so that one ends at once.
const WAIT: u64 = 5;
const TIME: u64 = 30;

/// What the end takes beside the drain: sockets that are asked last, the last writes.
const REST: Duration = Duration::from_secs(25);

fn seconds() -> RangedU64ValueParser<u64> {
    RangedU64ValueParser::new().range(0..=3600)
}

/// The options.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Daemon")]
pub(crate) struct DrainOptions {
    /// At SIGTERM, for a load balancer to see that /readyz says 503; until then clients are
    /// served as before. By default 5 with --cluster, else 0
    #[arg(long, value_name = "SECONDS", value_parser = seconds())]
    drain_wait: Option<u64>,

    /// After that, to close all sockets, each in a pause of its speaker, so that clients come
    /// back elsewhere one after the other; 0: all at once. By default 30 with --cluster,
    /// else 0
    #[arg(long, value_name = "SECONDS", value_parser = seconds())]
    drain_time: Option<u64>,
}

impl DrainOptions {
    /// Sets the times of the drain.
    pub(crate) fn set(&self, config: &mut ServerConfig) {
        #[cfg(feature = "cluster")]
        let is_shared = config.cluster.is_some();
        #[cfg(not(feature = "cluster"))]
        let is_shared = false;
        let or = |given: Option<u64>, shared| given.unwrap_or(if is_shared { shared } else { 0 });
        config.drain_wait = Duration::from_secs(or(self.drain_wait, WAIT));
        config.drain_time = Duration::from_secs(or(self.drain_time, TIME));
    }
}

/// Ends a server after a signal. One that `may_drain` lets its clients go before, unless
/// another signal comes.
pub(crate) async fn end(
    server: Server,
    may_drain: bool,
    drain: Duration,
    mut signals: [Signal; 2],
) {
    if may_drain && !drain.is_zero() {
        notify::draining(drain + REST);
        let [terminate, interrupt] = &mut signals;
        tokio::select! {
            () = server.drain() => {}
            _ = terminate.recv() => tracing::info!("another signal: the drain ends"),
            _ = interrupt.recv() => tracing::info!("another signal: the drain ends"),
        }
    } else {
        notify::stopping();
    }
    tracing::info!("shutting down");
    server.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::sync::Arc;
    use symbl_service::recognizer::scripted::Scripted;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        drain: DrainOptions,
    }

    fn times(options: &[&str], is_shared: bool) -> [u64; 2] {
        let mut config = ServerConfig::new(Arc::new(Scripted));
        #[cfg(feature = "cluster")]
        {
            let url = symbl_service::ClusterUrl::from("postgres:///x".to_owned());
            config.cluster = is_shared.then_some(url);
        }
        #[cfg(not(feature = "cluster"))]
        let _ = is_shared;
        let parsed = Only::parse_from([&["x"], options].concat());
        parsed.drain.set(&mut config);
        [config.drain_wait.as_secs(), config.drain_time.as_secs()]
    }

    #[test]
    fn only_a_service_of_several_drains_unless_it_is_asked_to() {
        assert_eq!(times(&[], false), [0, 0]);
        #[cfg(feature = "cluster")]
        assert_eq!(times(&[], true), [5, 30]);
        let asked = ["--drain-wait", "1", "--drain-time", "60"];
        assert_eq!(times(&asked, false), [1, 60]);
        assert_eq!(
            times(&["--drain-time", "0", "--drain-wait", "0"], true),
            [0, 0]
        );
        assert!(Only::try_parse_from(["x", "--drain-time", "3601"]).is_err());
    }
}
