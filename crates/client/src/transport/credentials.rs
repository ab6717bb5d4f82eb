// SPDX-License-Identifier: MPL-2.0

//! Decides which token to use, and gets another one when it is refused.
//!
//! A token comes from the application (the `request-token` signal), from the
//! settings, from a file, or from the service itself in exchange for an application's
//! credentials. Tokens of the last kind are kept here for the whole process: sinks
//! with the same credentials share one token, and one request for it, however many of
//! them dial. This module must never use a refused token again. It must never decide
//! to dial again later; the session does that.
//!
//! The lifetime of a token is measured from its arrival by a monotonic clock, so a
//! wrong wall clock does no harm.

use super::api::{self, Granted};
use super::application;
use super::connection::{Host, Shared};
use super::endpoint::{AppCredentials, Endpoint, TokenSource, sendable};
use super::files::read_token;
use super::proxy::Proxy;
use super::secret::Secret;
use super::threads::{Undone, no_thread};
use crate::session::{Failure, Reason};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared as SharedFuture, WeakShared};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Remaining lifetime below which a token is renewed before it is used; for a short
/// lifetime, a tenth of it.
const MARGIN: Duration = Duration::from_secs(60);

/// Maximum lifetime that is believed.
const LONGEST_LIFE: Duration = Duration::from_secs(366 * 24 * 3600);

/// Maximum number of credentials whose tokens are kept. The oldest are dropped.
const MOST_KEPT: usize = 64;

/// Provides the tokens of one sink.
#[derive(Clone)]
pub(super) struct Credentials {
    shared: Arc<Shared>,
    host: Weak<dyn Host>,
}

impl Credentials {
    pub(super) fn new(shared: Arc<Shared>, host: Weak<dyn Host>) -> Self {
        Self { shared, host }
    }

    /// Returns the current token.
    pub(super) async fn token(&self) -> Result<Option<Secret>, Failure> {
        self.obtain(None).await
    }

    /// Runs `attempt` with `token`. If the service refuses it, gets another one and
    /// runs `attempt` once more with that. Also returns the token that was used last.
    pub(super) async fn show<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        token: Option<Secret>,
        attempt: impl Fn(Endpoint, Option<Secret>) -> F,
    ) -> Result<(T, Option<Secret>), Failure> {
        let refusal = match attempt(self.shared.endpoint(), token.clone()).await {
            Err(failure) if is_refused(&failure) => failure,
            Err(failure) => return Err(failure),
            Ok(done) => return Ok((done, token)),
        };
        let Some(refused) = token else {
            return Err(refusal);
        };
        let renewed = self.obtain(Some(&refused)).await?;
        match renewed.filter(|token| *token != refused) {
            Some(token) => match attempt(self.shared.endpoint(), Some(token.clone())).await {
                Ok(done) => Ok((done, Some(token))),
                Err(failure) => Err(self.explained(failure)),
            },
            None => Err(self.explained(refusal)),
        }
    }

    /// Adds the origin of a refused token to the failure, where it is not obvious.
    fn explained(&self, failure: Failure) -> Failure {
        match self.shared.endpoint().token {
            TokenSource::App(_) if is_refused(&failure) => Failure {
                message: format!(
                    "{}: the token that the service generates for app-id and app-secret is refused",
                    failure.message
                ),
                ..failure
            },
            _ => failure,
        }
    }

    async fn obtain(&self, refused: Option<&Secret>) -> Result<Option<Secret>, Failure> {
        if let Some(token) = self.asked_for().await? {
            return Ok(Some(token));
        }
        let endpoint = self.shared.endpoint();
        match &endpoint.token {
            TokenSource::App(app) => {
                let granted = CACHE.token(Key::new(&endpoint, app), &endpoint, refused);
                granted.await.map(Some)
            }
            source => read_token(source).await,
        }
    }

    /// Returns the application's token, if it gives one. A handler may take long or
    /// never return, so it runs on a thread of its own, and the application is not
    /// asked again before it has answered.
    async fn asked_for(&self) -> Result<Option<Secret>, Failure> {
        let turn = Arc::clone(&self.shared.asking).lock_owned().await;
        let (shared, host) = (Arc::clone(&self.shared), self.host.clone());
        let answer = application::ask(move || {
            let _turn = turn;
            let open = !shared.closing.load(Ordering::Acquire);
            let host = host.upgrade().filter(|_| open);
            host.and_then(|host| host.request_token())
        });
        let answer = answer.await.map_err(|undone| match undone {
            Undone::NoThread(error) => no_thread("ask the application for a token", &error),
            Undone::Panicked(_) => Failure::fatal(
                Reason::Internal,
                "a handler of the signal request-token panicked; please report this",
            ),
        });
        match answer?.filter(|token| !token.is_blank()) {
            Some(token) => sendable(token.expose(), "the signal request-token").map(Some),
            None => Ok(None),
        }
    }
}

/// Returns `true` if the service itself refused the token, and not a proxy on the
/// way.
fn is_refused(failure: &Failure) -> bool {
    failure.reason == Reason::Auth && failure.http_status == Some(401)
}

/// Everything that the answer to a request for a token depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    base_url: String,
    app: AppCredentials,
    ca_file: Option<PathBuf>,
    tls_verify: bool,
    proxy: Proxy,
}

impl Key {
    fn new(endpoint: &Endpoint, app: &AppCredentials) -> Self {
        Self {
            base_url: endpoint.base_url.clone(),
            app: app.clone(),
            ca_file: endpoint.ca_file.clone(),
            tls_verify: endpoint.tls_verify,
            proxy: endpoint.proxy.clone(),
        }
    }
}

type Granting = BoxFuture<'static, Result<Secret, Failure>>;

/// What is known for a key.
enum CacheEntry {
    Token {
        token: Secret,
        /// When to ask for a new token.
        until: Instant,
    },
    /// A pending request. It ends when no sink waits for it any more.
    Asked(WeakShared<Granting>),
}

/// The tokens of this process.
#[derive(Default)]
struct Cache(Mutex<Vec<(Key, CacheEntry)>>);

static CACHE: Cache = Cache(Mutex::new(Vec::new()));

impl Cache {
    fn lock(&self) -> MutexGuard<'_, Vec<(Key, CacheEntry)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a token with enough lifetime left that is not the `refused` one.
    async fn token(
        &'static self,
        key: Key,
        endpoint: &Endpoint,
        refused: Option<&Secret>,
    ) -> Result<Secret, Failure> {
        let asked = {
            let mut entries = self.lock();
            let known = entries.iter().find(|(other, _)| *other == key);
            match known.map(|(_, known)| known) {
                Some(CacheEntry::Token { token, until })
                    if Some(token) != refused && Instant::now() < *until =>
                {
                    return Ok(token.clone());
                }
                Some(CacheEntry::Asked(asked)) => asked.upgrade(),
                _ => None,
            }
            .unwrap_or_else(|| {
                let asked = self.ask(key.clone(), endpoint.clone());
                if let Some(weak) = asked.downgrade() {
                    keep(&mut entries, key, CacheEntry::Asked(weak));
                }
                asked
            })
        };
        asked.await
    }

    /// Asks the service for a token, once for all sinks that wait for the answer.
    fn ask(&'static self, key: Key, endpoint: Endpoint) -> SharedFuture<Granting> {
        let asking = async move {
            let granted = api::generate_token(&endpoint, &key.app).await;
            let granted = granted.and_then(|Granted { token, lifetime }| {
                let token = sendable(&token, "the service's token endpoint")?;
                if token.is_blank() {
                    return Err(Failure::retryable(
                        Reason::Auth,
                        "the service's token endpoint gave an empty token; check its log",
                    ));
                }
                Ok((token, lifetime))
            });
            let mut entries = self.lock();
            match granted {
                Ok((token, lifetime)) => {
                    let until = Instant::now() + good_for(lifetime);
                    let known = CacheEntry::Token {
                        token: token.clone(),
                        until,
                    };
                    keep(&mut entries, key, known);
                    Ok(token)
                }
                Err(failure) => {
                    entries.retain(|(other, _)| *other != key);
                    Err(failure)
                }
            }
        };
        asking.boxed().shared()
    }
}

/// Returns how long a token with this lifetime is used.
fn good_for(lifetime: Duration) -> Duration {
    let lifetime = lifetime.min(LONGEST_LIFE);
    lifetime - MARGIN.min(lifetime / 10)
}

/// Replaces what is known for the key.
fn keep(entries: &mut Vec<(Key, CacheEntry)>, key: Key, known: CacheEntry) {
    entries.retain(|(other, _)| *other != key);
    if entries.len() >= MOST_KEPT {
        entries.remove(0);
    }
    entries.push((key, known));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_until_shortly_before_its_end() {
        let seconds = Duration::from_secs;
        for (lifetime, shown) in [(86_400, 86_340), (600, 540), (300, 270), (10, 9), (0, 0)] {
            assert_eq!(good_for(seconds(lifetime)), seconds(shown));
        }
        // Even the largest lifetime must not overflow the clock.
        assert!(
            Instant::now()
                .checked_add(good_for(Duration::MAX))
                .is_some()
        );
    }

    #[test]
    fn no_more_keys_are_kept_than_a_few() {
        let mut entries = Vec::new();
        for n in 0..2 * MOST_KEPT {
            let key = Key {
                base_url: n.to_string(),
                app: AppCredentials {
                    id: "app".into(),
                    secret: Secret::default(),
                },
                ca_file: None,
                tls_verify: true,
                proxy: Proxy::default(),
            };
            let known = || CacheEntry::Token {
                token: Secret::default(),
                until: Instant::now(),
            };
            keep(&mut entries, key.clone(), known());
            keep(&mut entries, key, known());
        }
        assert_eq!(entries.len(), MOST_KEPT);
        let last = (2 * MOST_KEPT - 1).to_string();
        assert_eq!(entries.last().map(|e| &e.0.base_url), Some(&last));
    }
}
