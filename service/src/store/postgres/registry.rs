// SPDX-License-Identifier: MPL-2.0

//! What the nodes know of each other: which conversations go on, and that something is new.
//!
//! An announcement is only a wake-up, on a connection and in a transaction of its own: inside
//! an append it would hold a lock of the whole server until the disk has the commit.

use super::link::{Address, Link};
use super::log::{LEASE, OPEN, open, sweep, time};
use super::text::put;
use super::writer::{Ask, Writer};
use super::{Store, StoreError};
use crate::conversation::log::{Committed, LogError, OpenConversation};
use crate::conversation::registry::{Head, Joined, Known, Registry, Wanted};
use crate::store::sqlite::record::{Record, from_sql};
use serde::Deserialize;
use serde_json::json;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::sleep;

/// Time between two looks for nodes that are gone and conversations whose time is over.
const SWEEP: Duration = Duration::from_secs(1);

/// Time until a connection for announcements that was lost is opened again.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the others have time to be heard of again after the database was away: twice
/// their lease.
const AFTER_AN_OUTAGE: Duration = Duration::from_nanos(2 * LEASE.unsigned_abs());

/// Time between two answers of the database beyond which it was away, or this node was.
const LONGEST_STEP: Duration = SWEEP.saturating_add(Duration::from_nanos(LEASE.unsigned_abs() / 2));

/// Knows since when the database answers without a break. After a break no node was heard of
/// for a while, and yet they live.
#[derive(Debug, Default)]
struct Presence {
    /// When the database answered last.
    answered: Option<Instant>,
    /// When it answered first after it was away.
    back: Option<Instant>,
}

impl Presence {
    /// Notes that the database answers at `now` what it was asked at `asked`, and whether the
    /// connection is a new one. Returns `true` if other nodes may be declared gone.
    fn answers(&mut self, asked: Instant, now: Instant, is_new: bool) -> bool {
        let before = self.answered.replace(now);
        let step = now.duration_since(before.unwrap_or(asked));
        if step > LONGEST_STEP || (is_new && before.is_some()) {
            self.back = Some(now);
        }
        self.back
            .is_none_or(|back| now.duration_since(back) >= AFTER_AN_OUTAGE)
    }
}

/// The answer to a join.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    v: String,
    c: i64,
    session: String,
    begun: bool,
    waits: bool,
}

impl Registry for Store {
    fn join(&self, wanted: Wanted) -> Result<Joined, LogError> {
        let Wanted {
            account,
            connection_id,
            new,
        } = wanted;
        let asked = json!({
            "k": "join", "account": put(&account), "connection": put(&connection_id),
            "seat": new.is_some(), "c": new.as_ref().map(|new| new.conversation),
            "session": new.as_ref().map(|new| put(&new.session)),
            "anew": new.as_ref().is_some_and(|new| new.anew),
        });
        let answer: Answer = serde_json::from_value(self.ask(Ask::Join(asked))?)
            .map_err(|error| LogError(error.to_string()))?;
        match answer.v.as_str() {
            "known" => {}
            "new" => return Ok(Joined::New),
            _ => return Ok(Joined::None),
        }
        let found = match answer.begun {
            true => self.open_one(answer.c)?,
            false => None,
        };
        let open = found.unwrap_or_else(|| OpenConversation {
            id: answer.c,
            account,
            connection_id,
            session: answer.session,
            opened: crate::clock::now(),
            zero: None,
            head: 0,
            keep: 0,
            ends: i64::MAX,
            latest: None,
            members: Vec::new(),
        });
        let waits = answer.waits;
        Ok(Joined::Known(Box::new(Known { open, waits })))
    }

    fn heads(&self, conversations: Vec<i64>) -> Result<Vec<Head>, LogError> {
        let asked = json!({"k": "heads", "of": conversations});
        let heads: Vec<(i64, i64, Option<i64>)> =
            serde_json::from_value(self.ask(Ask::Look(asked))?)
                .map_err(|error| LogError(error.to_string()))?;
        let heads = heads.into_iter().map(|(conversation, head, over)| Head {
            conversation,
            head: from_sql(head),
            over,
        });
        Ok(heads.collect())
    }

    fn end(&self, conversation: i64, at: i64, committed: Committed) {
        self.post_and_tell(Ask::End(Record::Over { conversation, at }), committed);
    }

    fn times_gone(&self) -> u64 {
        self.times_gone.load(Ordering::Acquire)
    }

    fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }
}

impl Store {
    /// Reads a conversation that is not over.
    fn open_one(&self, conversation: i64) -> Result<Option<OpenConversation>, StoreError> {
        self.look(move |link| {
            Box::pin(async move {
                let sql = format!("{OPEN} AND id = $1");
                let rows = link.query(&sql, &[&conversation]).await?;
                Ok(open(link, rows).await?.pop())
            })
        })
    }
}

/// Announces what this node writes, listens to the others, and sweeps up after those that
/// are gone. Runs until the store ends.
pub(super) fn watch_others(
    writer: &Writer,
    news: watch::Sender<u64>,
) -> impl Future<Output = ()> + Send + use<> {
    let address = writer.address.clone();
    let runtime = writer.runtime.clone();
    let written = writer.written.subscribe();
    let node = Arc::clone(&writer.node);
    let connected = Arc::clone(&writer.connected);
    async move {
        tokio::join!(
            announce(&address, &runtime, written, &node),
            listen(&address, &news, &node),
            keep_clean(&address, &runtime, &node, &connected),
        );
    }
}

fn name(node: &Mutex<String>) -> String {
    node.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Tells the others that something is new, once for all that is written meanwhile.
async fn announce(
    address: &Address,
    runtime: &Handle,
    mut written: watch::Receiver<u64>,
    node: &Mutex<String>,
) {
    let mut link: Option<Link> = None;
    while written.changed().await.is_ok() {
        let told = async {
            let link = match &mut link {
                Some(open) if !open.is_lost() => open,
                lost => {
                    let open = lost.insert(address.connect(runtime).await?);
                    // What is lost with the server is found by those who look themselves.
                    open.batch("SET synchronous_commit = off").await?;
                    open
                }
            };
            let sql = "SELECT pg_notify('symbl', $1)";
            link.execute(sql, &[&name(node)]).await.map(drop)
        };
        if let Err(error) = told.await {
            tracing::debug!(%error, "nothing is announced to other nodes");
            link = None;
            sleep(PAUSE).await;
        }
    }
}

async fn listen(address: &Address, news: &watch::Sender<u64>, node: &Mutex<String>) {
    loop {
        let heard = address.listen(|from| {
            if from != name(node) {
                news.send_modify(|count| *count = count.wrapping_add(1));
            }
        });
        if let Err(error) = heard.await {
            tracing::debug!(%error, "announcements of other nodes are not heard");
        }
        sleep(PAUSE).await;
    }
}

async fn keep_clean(
    address: &Address,
    runtime: &Handle,
    node: &Mutex<String>,
    connected: &Mutex<Instant>,
) {
    let mut link: Option<Link> = None;
    let mut presence = Presence::default();
    loop {
        sleep(SWEEP).await;
        let since = *connected.lock().unwrap_or_else(PoisonError::into_inner);
        let swept = async {
            let asked = Instant::now();
            let (link, is_new) = match &mut link {
                Some(open) if !open.is_lost() => (open, false),
                lost => (lost.insert(address.connect(runtime).await?), true),
            };
            // If the database is frozen behind this answer, no node is late by its time.
            let as_of = time(link).await?;
            let may = presence.answers(asked, Instant::now(), is_new);
            // The connection that writes may have come back later than this one.
            match may && since.elapsed() >= AFTER_AN_OUTAGE / 2 {
                true => sweep(link, &name(node), as_of).await,
                false => Ok(()),
            }
        };
        if let Err(error) = swept.await {
            tracing::debug!(%error, "nothing is swept");
            link = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_break_other_nodes_have_time_to_be_heard_of() {
        let begin = Instant::now();
        let at = |seconds: f64| begin + Duration::from_secs_f64(seconds);
        let mut presence = Presence::default();
        assert!(presence.answers(at(0.0), at(0.1), true), "at the start");
        assert!(presence.answers(at(1.0), at(1.1), false));
        // It restarts: another connection, soon.
        assert!(!presence.answers(at(2.0), at(2.1), true));
        assert!(
            !presence.answers(at(11.0), at(11.1), false),
            "a step too long"
        );
        for second in 12..21 {
            let at = at(f64::from(second));
            assert!(!presence.answers(at, at, false), "{second}");
        }
        assert!(presence.answers(at(21.2), at(21.2), false));
        // It is frozen while it is asked.
        assert!(!presence.answers(at(22.0), at(30.0), false));
    }
}
