// SPDX-License-Identifier: MPL-2.0

//! Holds the functions of the database to the rules of `symbl_log::cluster`: both are given
//! what three nodes do, drawn from a seed, and must answer alike and be left alike.
//!
//! The database has a clock of the test's own, so that leases and waits run out in no time.

mod acts;

use super::form::{asked, outcome};
use super::link::{Address, Link};
use super::log::LEASE;
use super::schema::{FUNCTIONS, prepare};
use crate::conversation::entry::{Body, Entry, Transcribed};
use crate::store::sqlite::entries::body_of;
use crate::store::sqlite::record::{Outcome, Record};
use fastrand::Rng;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use symbl_log::cluster::{self, Cluster, Kind};
use symbl_testkit::postgres::Postgres;

/// Steps of a run. `SYMBL_DIFFERENTIAL_STEPS` sets another number.
const STEPS: usize = 1200;

const SECOND: i64 = 1_000_000_000;

/// A clock that the test sets, instead of the server's.
const CLOCK: &str = "CREATE TABLE test_clock (now bigint); INSERT INTO test_clock VALUES (0);
    CREATE OR REPLACE FUNCTION symbl_now_1() RETURNS bigint LANGUAGE sql VOLATILE AS
    'SELECT now FROM test_clock'";

/// What the nodes share, as `Cluster::facts` says it.
const FACTS: &str = "
    SELECT format('node %s %s %s', id, gone::text, beats) FROM node
    UNION ALL SELECT format('room %s %s', connection, conversation) FROM room
    UNION ALL SELECT format('seat %s %s %s', conversation, node,
        coalesce(closing::text, '-')) FROM seat
    UNION ALL SELECT format('conversation %s %s %s %s %s %s', id, head, sequence, keep,
        coalesce(ends::text, '-'), coalesce(ended::text, '-')) FROM conversation
    UNION ALL SELECT format('member %s %s %s %s', conversation, id, here::text, node) FROM member
    UNION ALL SELECT format('stream %s %s %s %s %s', conversation, id, attempt, begun, said_until)
        FROM stream";

/// Conversations whose entries or finals are not numbered 1, 2, 3 … and 0, 1, 2 …
const HOLES: &str = "SELECT id FROM conversation c WHERE
    (head, sequence) <> (SELECT count(*), count(number) FROM entry WHERE conversation = c.id)
    OR head <> (SELECT coalesce(max(seq), 0) FROM entry WHERE conversation = c.id)
    OR sequence <> (SELECT coalesce(max(number), -1) + 1 FROM entry WHERE conversation = c.id)";

/// The answers of both, as texts.
type Answers = (String, String);

struct Run {
    rng: Rng,
    link: Link,
    rules: Cluster,
    now: i64,
    /// The ids of the nodes; one that was declared gone comes back with another id.
    nodes: [String; 3],
    /// The last ids of conversations, messages and nodes.
    last: i64,
    conversations: Vec<i64>,
    /// Finals that may be written again.
    finals: Vec<(i64, Transcribed)>,
}

fn id_of(number: i64) -> String {
    format!("00000000-0000-0000-0000-{number:012}")
}

fn kinds(entries: &[Arc<Entry>]) -> String {
    let entries = entries.iter().map(|entry| match &entry.body {
        Body::Opened { .. } => (entry.seq, Kind::Opened),
        Body::Member(one) => (entry.seq, Kind::Member(one.id.clone())),
        Body::Left(one) => (entry.seq, Kind::Left(one.id.clone())),
        Body::Closed { ends } => (entry.seq, Kind::Closed { ends: *ends }),
        _ => (entry.seq, Kind::Over),
    });
    format!("{:?}", entries.collect::<Vec<_>>())
}

fn kinds_by_rule(entries: impl IntoIterator<Item = cluster::Entry>) -> String {
    let entries = entries.into_iter().map(|entry| (entry.seq, entry.kind));
    format!("{:?}", entries.collect::<Vec<_>>())
}

impl Run {
    async fn new(seed: u64, link: Link) -> Self {
        let mut run = Self {
            rng: Rng::with_seed(seed),
            link,
            rules: Cluster::default(),
            now: 1_700_000_000 * SECOND,
            nodes: [1, 2, 3].map(id_of),
            last: 3,
            conversations: Vec::new(),
            finals: Vec::new(),
        };
        run.pass(0).await;
        for node in 0..3 {
            run.enter(node).await;
        }
        run
    }

    fn next(&mut self) -> i64 {
        self.last += 1;
        self.last
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.usize(0..from.len())]
    }

    /// Returns a conversation, mostly one of the latest.
    fn conversation(&mut self) -> i64 {
        let all = self.conversations.len();
        let least = match self.rng.u8(0..5) {
            0 => 0,
            _ => all.saturating_sub(4),
        };
        match all {
            0 => 0,
            _ => self.conversations[self.rng.usize(least..all)],
        }
    }

    async fn pass(&mut self, time: i64) {
        self.now += time;
        let sql = "UPDATE test_clock SET now = $1";
        let set = self.link.execute(sql, &[&self.now]).await;
        assert_eq!(set.expect("a clock"), 1);
    }

    async fn enter(&mut self, node: usize) {
        let id = id_of(self.next());
        self.rules.enter(&id, self.now);
        super::writer::enter(&mut self.link, &id)
            .await
            .expect("a node");
        self.nodes[node] = id;
    }

    /// Gives the database a question as a node does. `None`: the node is fenced.
    async fn write(&mut self, node: usize, asked: Value) -> Option<Value> {
        let sql = "SELECT symbl_write_1($1, $2::text::jsonb)::text";
        let asked = Value::Array(vec![asked]).to_string();
        match self.link.run(sql, &[&self.nodes[node], &asked]).await {
            Ok(rows) => {
                let text: String = rows[0].get(0);
                let answers: Vec<Value> = serde_json::from_str(&text).expect("answers");
                answers.into_iter().next()
            }
            Err(error) if error.code().is_some_and(|code| code.code() == "SYFEN") => None,
            Err(error) => panic!("{}", super::link::said(&error)),
        }
    }

    async fn record(&mut self, node: usize, record: &Record, again: bool) -> Option<Outcome> {
        let asked = asked(record, self.now, again);
        let answer = self.write(node, asked).await?;
        Some(outcome(record, answer).expect("an outcome"))
    }

    /// Sweeps as a node does each second, or a part of it.
    async fn sweep(&mut self, node: usize) -> Answers {
        let me = self.nodes[node].clone();
        let many = match self.rng.u8(0..3) {
            0 => {
                let sql = "SELECT symbl_gone_1(symbl_now_1(), $1)";
                let many = self.link.query_one(sql, &[&LEASE]).await;
                let gone = self.rules.declare_gone(LEASE, self.now);
                (many, gone.len())
            }
            1 => {
                let freed = |rules: &Cluster| {
                    let facts = rules.facts();
                    let seats = facts.iter().filter(|fact| fact.starts_with("seat"));
                    seats.count()
                };
                let sql = "SELECT symbl_unseat_1($1)";
                let many = self.link.query_one(sql, &[&self.now]).await;
                let before = freed(&self.rules);
                self.rules.unseat(self.now);
                (many, before - freed(&self.rules))
            }
            _ => {
                let sql = "SELECT symbl_end_1($1, $2)";
                let many = self
                    .link
                    .query_one(sql, &[&me, &body_of(&Body::Over)])
                    .await;
                (many, self.rules.end(self.now).len())
            }
        };
        let (found, by_rule) = many;
        let found: i64 = found.expect("swept").get(0);
        (found.to_string(), by_rule.to_string())
    }

    async fn beat(&mut self, node: usize) -> Answers {
        let sql = "UPDATE node SET beats = symbl_now_1() WHERE id = $1 AND NOT gone";
        let beaten = self.link.execute(sql, &[&self.nodes[node]]).await;
        let beaten = beaten.expect("an answer") == 1;
        let by_rule = self.rules.beat(&self.nodes[node], self.now);
        if !by_rule && self.rng.bool() {
            self.enter(node).await;
        }
        (beaten.to_string(), by_rule.to_string())
    }

    async fn step(&mut self) -> (&'static str, Option<Answers>) {
        let node = self.rng.usize(0..3);
        match self.rng.u8(0..40) {
            0..=5 => {
                let time = self.rng.i64(0..2 * SECOND);
                self.pass(time).await;
                ("pass", None)
            }
            6..=12 => ("beat", Some(self.beat(node).await)),
            13..=17 => ("join", Some(self.join(node).await)),
            18..=23 => ("start", Some(self.start(node).await)),
            24..=31 => ("say", self.say(node).await),
            32 | 33 => ("send", Some(self.send(node).await)),
            34..=36 => ("go", Some(self.go(node).await)),
            _ => ("sweep", Some(self.sweep(node).await)),
        }
    }

    async fn compare(&mut self, seed: u64, step: usize, what: &str) {
        let rows = self.link.query(FACTS, &[]).await.expect("facts");
        let mut found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let mut by_rule = self.rules.facts();
        found.sort();
        by_rule.sort();
        let only = |these: &[String], those: &[String]| {
            let these = these.iter().filter(|fact| !those.contains(fact));
            these.cloned().collect::<Vec<_>>()
        };
        assert!(
            found == by_rule,
            "seed {seed}, step {step} ({what}): the database has {:?}, by the rules it is {:?}",
            only(&found, &by_rule),
            only(&by_rule, &found)
        );
        let holes = self.link.query(HOLES, &[]).await.expect("holes");
        assert_eq!(holes.len(), 0, "seed {seed}, step {step} ({what}): a hole");
    }
}

/// Returns how often each answer came. Before that, `broken` replaces a part of the functions
/// by another.
async fn run(
    seed: u64,
    steps: usize,
    url: String,
    broken: Option<(&str, &str)>,
) -> BTreeMap<String, usize> {
    let address = Address::parse(&url).expect("a URL");
    let runtime = tokio::runtime::Handle::current();
    let mut link = address.connect(&runtime).await.expect("a connection");
    prepare(&mut link, "the test").await.expect("tables");
    if let Some((part, other)) = broken {
        let functions = FUNCTIONS.replace(part, other);
        link.batch(&functions).await.expect("functions");
    }
    link.batch(CLOCK).await.expect("a clock");
    let mut run = Run::new(seed, link).await;
    let mut seen = BTreeMap::new();
    for step in 0..steps {
        let (what, answers) = run.step().await;
        if let Some((found, by_rule)) = answers {
            let how = format!("seed {seed}, step {step} ({what})");
            assert_eq!(found, by_rule, "{how}: the database, and the rules");
            let verdicts = ["Stored", "Over", "Already", "Superseded"];
            let verdict = verdicts.iter().find(|verdict| found.contains(*verdict));
            let verdict = verdict.unwrap_or(match found == "None" {
                true => &"fenced",
                false => &"",
            });
            let kind = format!("{what} {verdict}");
            *seen.entry(kind).or_insert(0) += 1;
        }
        run.compare(seed, step, what).await;
    }
    seen
}

// `SYMBL_DIFFERENTIAL_SEED` sets another seed than the clock's.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_database_decides_by_the_rules_of_the_log() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let asked = |name: &str| std::env::var(name).ok().and_then(|n| n.parse().ok());
    let clock = u64::try_from(crate::clock::now()).unwrap_or(0);
    let fresh = asked("SYMBL_DIFFERENTIAL_SEED").unwrap_or(clock);
    let steps = asked("SYMBL_DIFFERENTIAL_STEPS").map_or(STEPS, |n| n as usize);
    for seed in [1, fresh] {
        println!("seed {seed}");
        let seen = run(seed, steps, server.database(), None).await;
        println!("{seen:?}");
        // Another seed may have drawn few of one kind.
        if seed != 1 || steps < STEPS {
            continue;
        }
        for needed in ["Stored", "Over", "Already", "Superseded", "fenced"] {
            let said = seen.keys().any(|key| *key == format!("say {needed}"));
            assert!(said, "seed {seed}: no final is {needed}: {seen:?}");
        }
    }
}

/// Parts of the functions, and what is left of them without a fence.
const FENCES: [(&str, &str); 11] = [
    ("id = me AND NOT gone FOR SHARE", "id = me FOR SHARE"),
    (
        "IF st.attempt IS DISTINCT FROM (p->>'attempt')::bigint",
        "IF false",
    ),
    (
        "(p->>'from')::bigint < st.begun AND until <= st.begun",
        "false",
    ),
    ("IF con.ended IS NOT NULL THEN", "IF false THEN"),
    (
        "RETURN '{\"v\": \"already\"}';",
        "UPDATE conversation SET head = head + 1 WHERE id = c; RETURN '{\"v\": \"already\"}';",
    ),
    ("st.attempt > attempt OR ", ""),
    ("beats < as_of - lease", "beats < as_of - lease / 2"),
    ("IF FOUND OR (r ? 'asks'", "IF (r ? 'asks'"),
    (
        "    IF FOUND THEN\n        RETURN;\n    END IF;\n    IF NOT is_begun THEN",
        "    IF NOT is_begun THEN",
    ),
    ("AND symbl_closing_1(known.conversation)", "AND false"),
    (
        "ORDER BY seat.conversation, n.beats, seat.node",
        "ORDER BY seat.conversation, n.beats DESC",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_fence_that_is_missing_in_the_database_is_found() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    for broken in FENCES {
        assert_eq!(FUNCTIONS.matches(broken.0).count(), 1, "{broken:?}");
        let mut is_found = false;
        for seed in 1..=3 {
            let run = run(seed, STEPS, server.database(), Some(broken));
            is_found |= tokio::spawn(run).await.is_err();
            if is_found {
                break;
            }
        }
        assert!(is_found, "not found: {broken:?}");
    }
}
