// SPDX-License-Identifier: MPL-2.0

//! What the nodes know of each other: which conversations go on. What is new they tell each
//! other by the bus.

use super::link::{Address, Link};
use super::log::{LEASE, get, open_one, sweep, time};
use super::text::{put, take};
use super::writer::{Ask, Reply, Tell, Writer};
use super::{PATIENCE, Store, StoreError, too_long};
use crate::clock::{nanos, now};
use crate::conversation::bus::Bus;
use crate::conversation::hub::ConversationKey;
use crate::conversation::log::{Committed, LogError, OpenConversation};
use crate::conversation::quota::Claim;
use crate::conversation::registry::{
    Head, Joined, Known, Memory, Pending, Registry, Seated, Wanted,
};
use crate::metrics::ClusterCounts;
use crate::store::sqlite::record::{Record, from_sql};
use serde::Deserialize;
use serde_json::json;
use std::future::{Future, ready};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

/// Time between two looks for nodes that are gone and conversations whose time is over.
const SWEEP: Duration = Duration::from_secs(1);

/// How long the others have time to be heard of again after the database was away: twice
/// their lease.
const AFTER_AN_OUTAGE: Duration = Duration::from_nanos(2 * LEASE.unsigned_abs());

/// Time between two answers of the database beyond which it was away, or this node was.
const LONGEST_STEP: Duration = SWEEP.saturating_add(Duration::from_nanos(LEASE.unsigned_abs() / 2));

/// Knows since when the database answers without a break. After a break no node was heard of
/// for a while, and yet they live.
#[derive(Debug)]
struct Presence {
    /// When the database answered last.
    answered: Instant,
    /// When it answered first after it was away.
    back: Option<Instant>,
}

impl Presence {
    /// Begins when the database answers, as it does when a node begins.
    fn new(now: Instant) -> Self {
        Self {
            answered: now,
            back: None,
        }
    }

    /// Notes that the database answers at `now`, and whether on another connection than
    /// before. Returns `true` if other nodes may be declared gone.
    fn answers(&mut self, now: Instant, is_another: bool) -> bool {
        let before = std::mem::replace(&mut self.answered, now);
        if is_another || now.duration_since(before) > LONGEST_STEP {
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

/// A seat of this node.
#[derive(Debug, Deserialize)]
struct Seat {
    c: i64,
    keys: Vec<(String, String)>,
}

impl Registry for Store {
    fn join(&self, wanted: Wanted) -> Pending<Joined> {
        let Wanted {
            account,
            connection_id,
            new,
            here,
        } = wanted;
        if new.is_none() && self.counts.healthy.get() == 0 {
            let away = LogError("the database is away".to_owned());
            return Box::pin(ready(Err(away)));
        }
        let seated = new.is_some();
        let asked = json!({
            "k": "join", "account": put(&account), "connection": put(&connection_id),
            "seat": seated, "c": new.as_ref().map(|new| new.conversation),
            "session": new.as_ref().map(|new| put(&new.session)),
            "anew": new.as_ref().is_some_and(|new| new.anew),
            "regardless": new.as_ref().is_some_and(|new| new.regardless),
        });
        let ask = match seated {
            true => Ask::Join(asked),
            false => Ask::Look(asked),
        };
        let (answer, readers) = (self.answer(ask, PATIENCE, |_| {}), self.readers());
        Box::pin(async move {
            let answer: Answer = serde_json::from_value(answer.await?)
                .map_err(|error| LogError(error.to_string()))?;
            match answer.v.as_str() {
                "known" if here == Some(answer.c) => return Ok(Joined::Here),
                "known" => {}
                "new" => return Ok(Joined::New),
                "closing" => return Ok(Joined::Closing),
                _ => return Ok(Joined::None),
            }
            let found = match answer.begun {
                true => {
                    let readers = readers?;
                    let read = readers.look(move |link| Box::pin(open_one(link, answer.c)));
                    let read = timeout(PATIENCE, read).await;
                    read.map_err(|_| too_long())??
                }
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
        })
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

    fn closes(&self, conversation: i64, longest: Duration) {
        let asked = json!({"k": "closes", "c": conversation, "longest": nanos(longest)});
        // If it is not written, others join a conversation that may be over soon.
        let _ = self.send(Ask::Change(conversation, asked), Some(Box::new(drop)));
    }

    fn seats_but(&self, used: Vec<i64>) -> Result<Vec<Seated>, LogError> {
        let asked = json!({"k": "seats", "used": used});
        let seats: Vec<Seat> = serde_json::from_value(self.ask(Ask::Look(asked))?)
            .map_err(|error| LogError(error.to_string()))?;
        let key = |(account, connection_id)| ConversationKey {
            account: take(account),
            connection_id: take(connection_id),
        };
        let seats = seats.into_iter().map(|seat| Seated {
            conversation: seat.c,
            keys: seat.keys.into_iter().map(key).collect(),
        });
        Ok(seats.collect())
    }

    fn vacate(&self, conversation: i64, at: i64) {
        let asked = json!({"k": "unused", "c": conversation, "at": at});
        // If it is not written, the next look finds the seat again.
        let _ = self.send(Ask::Change(conversation, asked), Some(Box::new(drop)));
    }

    fn claim(&self, claim: Claim) -> Pending<bool> {
        let left = std::mem::take(&mut *lock(&self.unfreed));
        let asked = json!({
            "k": "claim", "account": put(&claim.account), "id": claim.id,
            "most": claim.most, "returns": claim.returns, "free": left,
        });
        let unfreed = Arc::clone(&self.unfreed);
        let answer = self.answer(Ask::Join(asked), PATIENCE, move |reply| {
            if reply.is_err() {
                lock(&unfreed).extend(left);
            }
        });
        Box::pin(async move { Ok(answer.await?["v"] == "counted") })
    }

    fn free(&self, id: String) {
        let asked = json!({"k": "free", "free": [&id]});
        let unfreed = Arc::clone(&self.unfreed);
        let done: Tell<Reply> = Box::new(move |reply| {
            if reply.is_err() {
                // The next claim frees it.
                lock(&unfreed).push(id);
            }
        });
        // Without a writer the node ends, and nothing of it counts any more.
        let _ = self.send(Ask::Look(asked), Some(done));
    }

    fn remember_by(&self, memory: Weak<dyn Memory>) {
        // There is one hub for a store.
        let _ = self.memory.set(memory);
    }

    fn times_gone(&self) -> u64 {
        self.times_gone.load(Ordering::Acquire)
    }

    fn bus(&self) -> &dyn Bus {
        self.bus.as_ref()
    }
}

/// Sweeps up after nodes that are gone. Runs until the store ends.
pub(super) fn watch_others(writer: &Writer) -> impl Future<Output = ()> + Send + use<> {
    let address = writer.address.clone();
    let runtime = writer.runtime.clone();
    let node = Arc::clone(&writer.node);
    let connected = Arc::clone(&writer.connected);
    let counts = writer.cluster.clone();
    async move { keep_clean(&address, &runtime, &node, &connected, &counts).await }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name(node: &Mutex<String>) -> String {
    node.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

async fn keep_clean(
    address: &Address,
    runtime: &Handle,
    node: &Mutex<String>,
    connected: &Mutex<Instant>,
    counts: &ClusterCounts,
) {
    let mut link: Option<Link> = None;
    let mut had_one = false;
    // From the beginning, or the first answer after an outage would count as an early one.
    let mut presence = Presence::new(Instant::now());
    loop {
        sleep(SWEEP).await;
        let since = *connected.lock().unwrap_or_else(PoisonError::into_inner);
        let swept = async {
            let (link, is_another) = match &mut link {
                Some(open) if !open.is_lost() => (open, false),
                lost => {
                    let open = lost.insert(address.connect(runtime).await?);
                    (open, std::mem::replace(&mut had_one, true))
                }
            };
            // While commits wait, as for a replica that is away, no node can tell that it lives.
            let sql = "SELECT 1 FROM node WHERE id = $1 FOR KEY SHARE";
            link.query(sql, &[&name(node)]).await?;
            // If the database is frozen behind this answer, no node is late by its time.
            let as_of = look_at_all(link, counts).await?;
            let may = presence.answers(Instant::now(), is_another);
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

/// Counts the nodes, and compares the clock of this one with that of the database, whose time
/// it returns.
pub(super) async fn look_at_all(
    link: &mut Link,
    counts: &ClusterCounts,
) -> Result<i64, StoreError> {
    let before = now();
    let time = time(link).await?;
    counts.compared(before, time, now());
    let sql = "SELECT count(*) FILTER (WHERE NOT gone), count(*) FILTER (WHERE gone) FROM node";
    let row = link.query_one(sql, &[]).await?;
    counts.nodes(get(&row, 0)?, get(&row, 1)?);
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_break_other_nodes_have_time_to_be_heard_of() {
        let begin = Instant::now();
        let at = |seconds: f64| begin + Duration::from_secs_f64(seconds);
        let mut presence = Presence::new(begin);
        assert!(presence.answers(at(1.1), false), "at the start");
        assert!(presence.answers(at(2.1), false));
        // It restarts: another connection, soon.
        assert!(!presence.answers(at(3.1), true));
        assert!(!presence.answers(at(12.1), false), "a step too long");
        for second in 13..22 {
            assert!(!presence.answers(at(f64::from(second)), false), "{second}");
        }
        assert!(presence.answers(at(22.2), false));
        // It is frozen while it is asked.
        assert!(!presence.answers(at(30.0), false));
        // It goes away before it was asked for the first time.
        let mut presence = Presence::new(begin);
        assert!(!presence.answers(at(9.0), false));
    }
}
