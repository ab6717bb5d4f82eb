// SPDX-License-Identifier: MPL-2.0

//! What a running server may be told to do in another way, and none of its streams notices.

use crate::app::server::{BindError, check_credentials};
use crate::config::Auth;
use crate::door::token::Tokens;
use crate::hearing::admission::SharedAdmission;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// The part of a configuration that [`crate::Server::reload`] takes.
#[derive(Debug, Clone)]
pub struct Reload {
    /// The credentials that clients need. Connections that are open stay open.
    pub auth: Auth,
    /// How long a token is valid that is made from now on.
    pub token: Duration,
    /// As [`crate::Limits::connections`]. Sockets above a lower limit stay open.
    pub connections: usize,
    /// As [`crate::Limits::subscribers`].
    pub subscribers: usize,
    /// As [`crate::ServerConfig::max_load`].
    pub max_load: Option<f64>,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The new credentials cannot be used.
    #[error(transparent)]
    Credentials(#[from] BindError),
    /// Other rules for web pages would hold, and those are made at the start.
    #[error(
        "a service that asks for credentials cannot stop to ask, and one that does not cannot \
         begin to, while it runs; restart it"
    )]
    Openness,
    /// The load is limited or not, as it was at the start.
    #[error("--max-load cannot become 0, or more than 0, while the service runs; restart it")]
    Load,
}

/// The parts of a server that can be changed.
#[derive(Clone)]
pub(crate) struct Adjust {
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) admission: SharedAdmission,
    pub(crate) connections: Places,
    pub(crate) subscribers: Places,
}

impl Adjust {
    /// Changes everything, or nothing.
    pub(crate) fn apply(&self, reload: Reload) -> Result<(), ReloadError> {
        check_credentials(&reload.auth)?;
        if self.tokens.is_closed() == matches!(reload.auth, Auth::None) {
            return Err(ReloadError::Openness);
        }
        if reload.max_load.is_some() != self.admission.is_limited() {
            return Err(ReloadError::Load);
        }
        let replaced = self.tokens.replace(reload.auth, reload.token);
        replaced.map_err(BindError::from)?;
        if let Some(load) = reload.max_load {
            self.admission.limit(cores(load));
        }
        self.connections.resize(reload.connections);
        self.subscribers.resize(reload.subscribers);
        Ok(())
    }
}

/// Returns how many processor cores a part of all of them is.
pub(crate) fn cores(load: f64) -> f64 {
    std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64) * load
}

/// A number of places that can be changed while some are taken.
#[derive(Clone)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    number: Arc<Mutex<usize>>,
}

impl Places {
    pub(crate) fn new(number: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(number)),
            number: Arc::new(Mutex::new(number)),
        }
    }

    pub(crate) fn free(&self) -> Arc<Semaphore> {
        Arc::clone(&self.free)
    }

    /// Makes it this number. Places that are taken now are removed when they become free.
    fn resize(&self, wanted: usize) {
        let mut number = self.number.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted > *number {
            self.free.add_permits(wanted - *number);
        }
        for _ in wanted..*number {
            let place = Arc::clone(&self.free).acquire_owned();
            // A place that is given back goes to those that wait for one, and only then to
            // a client.
            tokio::spawn(async move {
                if let Ok(place) = place.await {
                    place.forget();
                }
            });
        }
        *number = wanted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(places: &Places) -> Option<tokio::sync::OwnedSemaphorePermit> {
        places.free().try_acquire_owned().ok()
    }

    #[tokio::test]
    async fn fewer_places_disturb_nobody_and_hold_for_the_next() {
        let places = Places::new(3);
        let (first, second) = (take(&places), take(&places));
        assert!(first.is_some() && second.is_some());
        places.resize(1);
        while places.free.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(take(&places).is_none());
        drop(first);
        tokio::task::yield_now().await;
        assert!(take(&places).is_none(), "the second has the only one");
        drop(second);
        let last = take(&places);
        assert!(last.is_some() && take(&places).is_none());
        places.resize(2);
        let more = take(&places);
        assert!(more.is_some() && take(&places).is_none());
    }
}
