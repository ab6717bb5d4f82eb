// SPDX-License-Identifier: MPL-2.0

//! Tests of joins: many at once, and what they leave behind.

use super::Store;
use super::link::{Address, Link};
use crate::clock::WallClock;
use crate::conversation::entry::Speaker;
use crate::conversation::hub::Leave;
use crate::conversation::hub::tests::{hub_with_log, key};
use crate::conversation::log::{Log, LogError, StartRecord};
use crate::conversation::registry::{Joined, New, Pending, Registry, Wanted};
use crate::ids::new_id;
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::store::{Deleted, Records, Whose};
use futures_util::future::join_all;
use futures_util::poll;
use std::future::Future;
use std::sync::Arc;
use symbl_testkit::postgres::Postgres;
use tokio::runtime::Handle;
use tokio::time::{Duration, sleep, timeout};

/// Longer than anything takes on a busy machine, and shorter than what the writer waits for a
/// database.
const PATIENCE: Duration = Duration::from_secs(30);

fn cluster() -> Option<(&'static Postgres, String, Store)> {
    let postgres = Postgres::shared()?;
    let url = postgres.database();
    let store = Store::open(&url).expect("a cluster");
    Some((postgres, url, store))
}

/// Asks for a seat in the conversation of a connection id.
fn join(store: &Store, connection: &str) -> Pending<Joined> {
    let conversation = new_id();
    store.join(Wanted {
        account: "app".to_owned(),
        connection_id: connection.to_owned(),
        new: Some(New {
            conversation,
            session: format!("session-{conversation}"),
            anew: false,
            regardless: false,
        }),
        here: None,
    })
}

fn is_new(joined: &Result<Joined, LogError>) -> bool {
    matches!(joined, Ok(Joined::New))
}

/// A lock of all connection ids, which joins wait for.
struct Lock {
    link: Link,
    postgres: &'static Postgres,
    url: String,
}

impl Lock {
    async fn hold(postgres: &'static Postgres, url: &str) -> Self {
        let address = Address::parse(url).expect("a URL");
        let link = address.connect(&Handle::current()).await;
        let mut link = link.expect("a connection");
        let lock = "SET idle_in_transaction_session_timeout = 0; BEGIN; LOCK TABLE room";
        link.batch(lock).await.expect("a lock");
        let url = url.to_owned();
        Self {
            link,
            postgres,
            url,
        }
    }

    /// Waits until a join waits for this lock.
    async fn until_it_is_waited_for(&self) {
        let sql = "SELECT count(*) FROM pg_locks WHERE relation = 'room'::regclass AND NOT granted";
        let waited = async {
            while self.postgres.ask(&self.url, sql) == "0" {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, waited).await.expect("a join");
    }

    async fn release(mut self) {
        self.link.batch("COMMIT").await.expect("an answer");
    }
}

/// Asks for seats in the conversations of these connection ids while the writer is busy, so
/// that it sends all of these joins in one go.
async fn at_once<const N: usize>(
    (postgres, url, store): &(&'static Postgres, String, Store),
    names: [&str; N],
) -> [Pending<Joined>; N] {
    let lock = Lock::hold(postgres, url).await;
    let first = join(store, "first");
    lock.until_it_is_waited_for().await;
    let joins = names.map(|name| join(store, name));
    lock.release().await;
    assert!(is_new(&in_time(first).await));
    joins
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_that_fails_fails_alone_and_one_that_is_undone_is_tried_again_without_an_outage() {
    let Some(cluster) = cluster() else {
        return;
    };
    let (postgres, url, store) = &cluster;
    // Each time that a join of `stuck` is undone is counted.
    let failures = "
        CREATE TABLE stuck (is_on boolean);
        INSERT INTO stuck VALUES (true);
        CREATE SEQUENCE times;
        CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.connection = 'refused' THEN
                RAISE 'refused' USING ERRCODE = '22000';
            END IF;
            IF (SELECT is_on FROM stuck) THEN
                PERFORM nextval('times');
                RAISE 'as in a deadlock' USING ERRCODE = '40P01';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER fails BEFORE INSERT ON room FOR EACH ROW
        WHEN (NEW.connection IN ('refused', 'stuck')) EXECUTE FUNCTION fails()";
    postgres.ask(url, failures);
    let names = ["a", "refused", "stuck", "b"];
    let [a, refused, stuck, b] = at_once(&cluster, names).await;
    for joined in in_time(join_all([a, b])).await {
        assert!(is_new(&joined), "{joined:?}");
    }
    let refused = in_time(refused).await;
    assert!(refused.is_err(), "{refused:?}");
    in_time(async {
        while postgres.ask(url, "SELECT last_value >= 3 FROM times") == "f" {
            assert_eq!(store.counts.healthy.get(), 1, "the database is not away");
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    postgres.ask(url, "UPDATE stuck SET is_on = false");
    let stuck = in_time(stuck).await;
    assert!(is_new(&stuck), "{stuck:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_is_answered_while_one_behind_it_still_waits() {
    let Some(cluster) = cluster() else {
        return;
    };
    let (postgres, url, _) = &cluster;
    let waits = "
        CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM pg_advisory_xact_lock(7);
            RETURN NEW;
        END $$;
        CREATE TRIGGER waits BEFORE INSERT ON room FOR EACH ROW
        WHEN (NEW.connection = 'slow') EXECUTE FUNCTION waits()";
    postgres.ask(url, waits);
    let address = Address::parse(url).expect("a URL");
    let link = address.connect(&Handle::current()).await;
    let mut link = link.expect("a connection");
    link.batch("SELECT pg_advisory_lock(7)")
        .await
        .expect("a lock");
    let [quick, mut slow] = at_once(&cluster, ["quick", "slow"]).await;
    assert!(is_new(&in_time(quick).await));
    assert!(poll!(&mut slow).is_pending(), "its lock is held");
    link.batch("SELECT pg_advisory_unlock(7)")
        .await
        .expect("an answer");
    assert!(is_new(&in_time(slow).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_declared_gone_between_two_joins_begins_anew_once() {
    let Some(cluster) = cluster() else {
        return;
    };
    let (postgres, url, store) = &cluster;
    let gone = "
        CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            UPDATE node SET gone = true;
            RETURN NEW;
        END $$;
        CREATE TRIGGER gone BEFORE INSERT ON room FOR EACH ROW
        WHEN (NEW.connection = 'last') EXECUTE FUNCTION gone()";
    postgres.ask(url, gone);
    let [last, a, b] = at_once(&cluster, ["last", "a", "b"]).await;
    assert!(is_new(&in_time(last).await), "it was before that");
    for joined in in_time(join_all([a, b])).await {
        assert!(joined.is_err(), "{joined:?}");
    }
    let back = async { while !is_new(&join(store, "back").await) {} };
    in_time(back).await;
    assert_eq!(store.times_gone(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_that_the_node_knows_is_not_read_again() {
    let Some((_, _, store)) = cluster() else {
        return;
    };
    assert!(is_new(&join(&store, "x").await));
    let look = async |here| {
        let looked = store.join(Wanted {
            account: "app".to_owned(),
            connection_id: "x".to_owned(),
            new: None,
            here,
        });
        in_time(looked).await.expect("an answer")
    };
    let Joined::Known(known) = look(None).await else {
        panic!("it goes on");
    };
    let number = known.open.id;
    assert!(matches!(look(Some(number)).await, Joined::Here));
    assert!(matches!(look(Some(number + 1)).await, Joined::Known(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_that_join_take_no_thread_from_others_while_the_database_is_slow() {
    let Some((postgres, url, store)) = cluster() else {
        return;
    };
    let log: Arc<dyn Log> = Arc::new(store);
    let hub = hub_with_log(&Limits::default(), WallClock::default(), log);
    let keys: Vec<_> = (0..20).map(|n: u8| key(&n.to_string())).collect();
    let lock = Lock::hold(postgres, &url).await;
    let sockets = keys.iter();
    let sockets = sockets.map(|key| Box::pin(hub.join(key, Outbox::new(8).0, false)));
    let mut sockets: Vec<_> = sockets.collect();
    for socket in &mut sockets {
        assert!(poll!(socket).is_pending(), "no seat was given yet");
    }
    lock.until_it_is_waited_for().await;
    let work = timeout(PATIENCE, hub.workers.run(|| 7)).await;
    lock.release().await;
    assert_eq!(work.expect("in time").ok(), Some(7));
    in_time(join_all(sockets)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seat_that_nobody_waited_for_keeps_no_conversation_from_ending() {
    let Some((postgres, url, store)) = cluster() else {
        return;
    };
    let other: Arc<dyn Log> = Arc::new(Store::open(&url).expect("a cluster"));
    let log: Arc<dyn Log> = Arc::new(store);
    let hub = hub_with_log(&Limits::default(), WallClock::default(), log);
    let lock = Lock::hold(postgres, &url).await;
    let wanted = key("x");
    let mut socket = Box::pin(hub.join(&wanted, Outbox::new(8).0, false));
    assert!(poll!(&mut socket).is_pending());
    lock.until_it_is_waited_for().await;
    drop(socket);
    lock.release().await;
    let rows = (postgres, &*url);
    until_there_are(1, "seat", rows).await;
    let elsewhere = hub_with_log(&Limits::default(), WallClock::default(), other);
    let slot = in_time(elsewhere.join(&wanted, Outbox::new(8).0, false)).await;
    let number = slot.conversation.number;
    let start = StartRecord {
        conversation: number,
        account: wanted.account.clone(),
        connection_id: wanted.connection_id.clone(),
        session: slot.conversation.session.clone(),
        title: None,
        at: 1,
        keep: 0,
        speaker: Some(Speaker {
            id: "ada".to_owned(),
            user_id: None,
            name: None,
        }),
        ends: None,
        stream_position: None,
    };
    let (log, committed) = (
        Arc::clone(&elsewhere.log),
        slot.conversation.committed(None),
    );
    let begun = elsewhere.workers.run(move || log.begin(start, committed));
    in_time(begun).await.expect("a thread").expect("begun");
    until_there_are(2, "seat", rows).await;
    slot.leave(Leave::Finished);
    // The node that has a seat and does not know it, in two looks.
    until_there_are(0, "seat", rows).await;
    until_there_are(1, "conversation WHERE ended IS NOT NULL", rows).await;
}

/// Waits until a table has this many rows.
async fn until_there_are(many: u64, of: &str, (postgres, url): (&Postgres, &str)) {
    let sql = format!("SELECT count(*) FROM {of}");
    in_time(async {
        while postgres.ask(url, &sql) != many.to_string() {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_whose_seats_the_database_has_lost_ends_in_its_time() {
    let Some((postgres, url, _store)) = cluster() else {
        return;
    };
    let lost = "INSERT INTO conversation (id, account, connection, session, created, keep)
                VALUES (7, 'app', 'x', 's', 1, 1), (8, 'app', 'y', 't', 1, 1);
                INSERT INTO seat SELECT 8, id FROM node";
    postgres.ask(&url, lost);
    let ended = "conversation WHERE id = 7 AND ended >= ends AND ends > 1";
    until_there_are(1, ended, (postgres, &url)).await;
    let other = postgres.ask(&url, "SELECT ends IS NULL FROM conversation WHERE id = 8");
    assert_eq!(other, "t", "a node is in it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_id_of_a_deleted_conversation_is_deleted() {
    let Some((postgres, url, store)) = cluster() else {
        return;
    };
    let over = "INSERT INTO conversation (id, account, connection, session, created, keep, ended)
                VALUES (7, 'app', 'x', 's', 1, 1, 2);
                INSERT INTO room VALUES ('app', 'x', 7, 's', 'n'), ('app', 'y', 8, 't', 'n')";
    // No node sweeps while another one does.
    let address = Address::parse(&url).expect("a URL");
    let link = address.connect(&Handle::current()).await;
    let sweeps = "SELECT pg_advisory_lock(126957090859372)";
    let mut link = link.expect("a connection");
    link.batch(sweeps).await.expect("a lock");
    postgres.ask(&url, over);
    let whose = Whose {
        account: "app".to_owned(),
        conversation: 7,
        delay: Duration::ZERO,
    };
    let deleted = in_time(store.delete(whose)).await.expect("an answer");
    assert!(matches!(deleted, Deleted::Whole));
    assert_eq!(postgres.ask(&url, "SELECT connection FROM room"), "y");
}
