// SPDX-License-Identifier: MPL-2.0

//! The bus over Redis or Valkey: each conversation has a channel, and nodes subscribe to
//! those that they follow.
//!
//! Two connections make a session: one subscribes, one publishes. If anything of it fails or
//! takes too long, both are closed and opened again. Redis keeps nothing of it, so it may be
//! emptied, killed or frozen at any time.

use super::StoreError;
use crate::conversation::bus::exchange::Exchange;
use crate::conversation::bus::outgoing::{Terms, To};
use futures_util::StreamExt;
use redis::aio::{MultiplexedConnection, PubSubSink, PubSubStream};
use redis::{AsyncConnectionConfig, Client, RedisError};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// Each node hears only what it follows, so nothing has to be put together.
const TERMS: Terms = Terms {
    largest: 64 << 10,
    together: false,
    pace: Duration::ZERO,
};

/// How long connecting may take, and an answer.
const LONGEST_CONNECT: Duration = Duration::from_secs(3);
const LONGEST_ANSWER: Duration = Duration::from_secs(2);

/// Time until a session that was lost is opened again.
const PAUSE: Duration = Duration::from_millis(500);

/// Most channels in one request.
const MOST_CHANNELS: usize = 500;

/// Where Redis is. Its secrets are never shown.
pub(crate) struct Redis {
    client: Client,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").finish_non_exhaustive()
    }
}

/// Checks that this is the URL of a bus, without connecting to it.
///
/// # Errors
///
/// It is none.
pub(crate) fn check_address(url: &str) -> Result<(), StoreError> {
    Redis::parse(url).map(drop)
}

impl Redis {
    /// Parses a URL.
    ///
    /// # Errors
    ///
    /// It is no URL of a Redis. The error shows no part of it.
    pub(crate) fn parse(url: &str) -> Result<Self, StoreError> {
        // What the parser says may have a part of the URL in it, and so of the password.
        let client = Client::open(url).map_err(|_| {
            StoreError::Cluster(
                "the address of the bus is no URL of a Redis server; give one such as \
                 redis://user:password@host:6379 or rediss://host for TLS"
                    .to_owned(),
            )
        })?;
        Ok(Self { client })
    }

    /// Connects the bus to Redis on a thread of its own, since TLS reads certificates from
    /// files. All nodes of a cluster have the same `key`. Ends when the result is dropped.
    ///
    /// # Errors
    ///
    /// The system has no thread for it.
    pub(crate) fn start(self, exchange: Arc<Exchange>, key: &[u8]) -> io::Result<Running> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let channels = Channels::new(key, exchange.node());
        let (running, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("symbl-bus".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = stopped => {}
                        () = self.run(&exchange, &channels) => {}
                    }
                });
            })?;
        Ok(Running { _running: running })
    }

    /// Connects the bus to Redis, again and again.
    async fn run(&self, exchange: &Exchange, channels: &Channels) {
        loop {
            let why = self.session(exchange, channels).await;
            exchange.down(&why.to_string());
            sleep(PAUSE).await;
        }
    }

    /// Opens the connections and uses them until something fails.
    async fn session(&self, exchange: &Exchange, channels: &Channels) -> Ended {
        let opened = async {
            let mut ear = self.client.get_async_pubsub().await?;
            ear.subscribe(vec![channels.all(), channels.own()]).await?;
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(LONGEST_CONNECT))
                .set_response_timeout(Some(LONGEST_ANSWER));
            let opening = self
                .client
                .get_multiplexed_async_connection_with_config(&config);
            Ok((ear.split(), opening.await?))
        };
        let ((subscriptions, heard), voice) = match timeout(LONGEST_CONNECT, opened).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return Ended::Refused(error),
            Err(_) => return Ended::Slow,
        };
        exchange.begin();
        tokio::select! {
            why = hear(exchange, heard) => why,
            why = tell(exchange, channels, voice) => why,
            why = follow(exchange, channels, subscriptions) => why,
            () = exchange.silence() => Ended::Slow,
        }
    }
}

/// The thread of the bus. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    _running: oneshot::Sender<()>,
}

/// Why a session has ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{}", said(.0))]
    Refused(#[source] RedisError),
    #[error("Redis takes too long")]
    Slow,
    #[error("Redis has closed the connection")]
    Closed,
}

/// Returns what an error says without a part of the URL in it.
fn said(error: &RedisError) -> String {
    match (error.code(), error.is_io_error()) {
        (Some(code), _) => format!("Redis refuses it ({code})"),
        (None, true) => format!("Redis cannot be reached ({error})"),
        (None, false) => format!("Redis: {}", error.category()),
    }
}

/// The names of the channels. Those of each cluster are its own.
struct Channels {
    cluster: String,
    node: i64,
}

impl Channels {
    fn new(key: &[u8], node: i64) -> Self {
        let hash = Sha256::new_with_prefix("bus").chain_update(key).finalize();
        let cluster = hash
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self { cluster, node }
    }

    fn all(&self) -> String {
        format!("symbl:{}:all", self.cluster)
    }

    fn own(&self) -> String {
        format!("symbl:{}:node:{}", self.cluster, self.node)
    }

    fn conversation(&self, conversation: i64) -> String {
        format!("symbl:{}:conversation:{conversation}", self.cluster)
    }
}

async fn hear(exchange: &Exchange, mut heard: PubSubStream) -> Ended {
    while let Some(message) = heard.next().await {
        // It borrows what the message has.
        match std::str::from_utf8(message.get_payload_bytes()) {
            Ok(text) => exchange.heard(text),
            Err(_) => tracing::debug!("the bus has a message that is no text"),
        }
    }
    Ended::Closed
}

async fn tell(exchange: &Exchange, channels: &Channels, mut voice: MultiplexedConnection) -> Ended {
    loop {
        let mut publishing = redis::pipe();
        for (to, text) in exchange.next(TERMS).await.packets {
            let channel = match to {
                To::All => channels.all(),
                To::Own => channels.own(),
                To::Conversation(conversation) => channels.conversation(conversation),
            };
            publishing.publish(channel, text).ignore();
        }
        if let Err(error) = publishing.query_async::<()>(&mut voice).await {
            return match error.is_timeout() {
                true => Ended::Slow,
                false => Ended::Refused(error),
            };
        }
    }
}

/// Subscribes to the conversations that this node follows.
async fn follow(exchange: &Exchange, channels: &Channels, mut to: PubSubSink) -> Ended {
    let mut known = HashSet::new();
    loop {
        let wanted: HashSet<i64> = exchange.followed().into_iter().collect();
        let named = |all: Vec<&i64>| -> Vec<String> {
            all.into_iter()
                .map(|one| channels.conversation(*one))
                .collect()
        };
        let new = named(wanted.difference(&known).collect());
        let old = named(known.difference(&wanted).collect());
        for part in new.chunks(MOST_CHANNELS) {
            match timeout(LONGEST_ANSWER, to.subscribe(part)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Ended::Refused(error),
                Err(_) => return Ended::Slow,
            }
        }
        for part in old.chunks(MOST_CHANNELS) {
            match timeout(LONGEST_ANSWER, to.unsubscribe(part)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Ended::Refused(error),
                Err(_) => return Ended::Slow,
            }
        }
        known = wanted;
        exchange.follows_others().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_the_bus_is_never_shown() {
        for good in [
            "redis://ada:hush@one:6379",
            "rediss://:hush@one",
            "valkey://one",
            "redis+unix:///run/redis.sock?pass=hush",
        ] {
            let redis = Redis::parse(good).expect(good);
            assert!(!format!("{redis:?}").contains("hush"), "{redis:?}");
        }
        for wrong in [
            "hush",
            "",
            "http://ada:hush@one",
            "redis://ada:hush@one:port",
        ] {
            let error = Redis::parse(wrong).expect_err(wrong).to_string();
            assert!(!error.contains("hush"), "{error}");
            assert!(error.contains("redis://user"), "{error}");
        }
    }

    #[test]
    fn each_cluster_has_channels_of_its_own() {
        let [a, b] = [b"one", b"two"].map(|key| Channels::new(key, 7));
        assert_ne!(a.all(), b.all());
        assert_eq!(Channels::new(b"one", 8).all(), a.all());
        assert_ne!(Channels::new(b"one", 8).own(), a.own());
        assert_ne!(a.conversation(1), a.conversation(2));
        assert!(a.all().starts_with("symbl:"));
    }
}
