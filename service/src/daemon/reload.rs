// SPDX-License-Identifier: MPL-2.0

//! SIGHUP: reads the certificate, the configuration file and the list of applications again.
//! A terminal that is closed sends this signal too, and the service goes on.

use crate::daemon::effect::{credentials, filter, max_load};
use crate::daemon::file::{self, Read};
use crate::daemon::notify;
use crate::{Failure, Options};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::sync::Arc;
use symbl_service::logging::LogFilter;
use symbl_service::{Auth, Reload, Server, Tls};
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;

/// Options that take effect without a restart.
pub(crate) const AT_ONCE: [&str; 8] = [
    "accounts",
    "app-id",
    "app-secret",
    "log",
    "max-connections",
    "max-load",
    "max-subscribers",
    "max-token-life",
];

/// What was read and is to be used now.
type Fresh = Result<(Read<Options>, Auth, EnvFilter), String>;

/// Reads again, and uses what was read.
pub(crate) struct Reloader {
    arguments: Arc<[OsString]>,
    /// The values of the options that are in effect.
    values: BTreeMap<String, Vec<String>>,
    tls: Option<Arc<Tls>>,
    log: LogFilter,
    sender: mpsc::Sender<Fresh>,
    pub(crate) fresh: mpsc::Receiver<Fresh>,
}

impl Reloader {
    pub(crate) fn new(
        arguments: &[OsString],
        values: BTreeMap<String, Vec<String>>,
        tls: Option<Arc<Tls>>,
        log: LogFilter,
    ) -> Self {
        let (sender, fresh) = mpsc::channel(1);
        Self {
            arguments: arguments.into(),
            values,
            tls,
            log,
            sender,
            fresh,
        }
    }

    /// Begins to read. The file system may hang, and SIGTERM must not wait for it.
    pub(crate) fn begin(&self) {
        tracing::info!("SIGHUP: certificate and configuration are read again");
        notify::reloading();
        let (tls, arguments) = (self.tls.clone(), Arc::clone(&self.arguments));
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let read = tokio::task::spawn_blocking(move || {
                if let Some(tls) = tls {
                    certificate(&tls);
                }
                again(&arguments).map_err(|error| error.to_string())
            });
            let read = read.await.unwrap_or_else(|error| Err(error.to_string()));
            // Fails only if the service has ended meanwhile.
            let _ = sender.send(read).await;
        });
    }

    /// Uses what was read, or says why not.
    pub(crate) fn finish(&mut self, fresh: Fresh, server: &Server) {
        match fresh.and_then(|fresh| self.apply(fresh, server)) {
            Ok(()) => tracing::info!("SIGHUP: the configuration was read again"),
            Err(reason) => {
                tracing::error!(
                    reason,
                    "SIGHUP: the configuration that was read before stays"
                );
            }
        }
        notify::ready("serving");
    }

    fn apply(
        &mut self,
        (read, auth, filter): (Read<Options>, Auth, EnvFilter),
        server: &Server,
    ) -> Result<(), String> {
        let limits = read.options.limits.checked();
        let limits = limits.map_err(|error| error.to_string())?;
        let reload = Reload {
            auth,
            token: limits.token,
            connections: limits.connections,
            subscribers: limits.subscribers,
            max_load: max_load(&read.options),
        };
        server.reload(reload).map_err(|error| error.to_string())?;
        self.log.set(filter);
        let names = self.values.keys().chain(read.values.keys());
        let changed: BTreeSet<&str> = names
            .map(String::as_str)
            .filter(|name| self.values.get(*name) != read.values.get(*name))
            .collect();
        for option in &changed {
            // A value may be a secret.
            match AT_ONCE.contains(option) {
                true => tracing::info!(option, "SIGHUP: changed"),
                false => {
                    tracing::warn!(option, "SIGHUP: this change takes effect at the next start")
                }
            }
        }
        // What waits for the next start is reported at each reload until then.
        for (name, values) in read.values {
            if AT_ONCE.contains(&name.as_str()) {
                self.values.insert(name, values);
            }
        }
        Ok(())
    }
}

fn again(arguments: &[OsString]) -> Result<(Read<Options>, Auth, EnvFilter), Failure> {
    let read = file::read::<Options>(arguments).map_err(Failure::Options)?;
    let auth = credentials(&read.options)?;
    let filter = filter(&read.options)?;
    Ok((read, auth, filter))
}

fn certificate(tls: &Tls) {
    match tls.reload() {
        Ok(()) => tracing::info!("SIGHUP: certificate and key were read again"),
        Err(error) => {
            tracing::error!(%error, "SIGHUP: the certificate that was read before stays");
        }
    }
}
