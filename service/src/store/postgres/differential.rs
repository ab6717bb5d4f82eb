// SPDX-License-Identifier: MPL-2.0

//! Holds the functions of the database to the rules of `symbl_log::cluster`: both are given
//! what three nodes do, drawn from a seed, and must answer alike and be left alike.
//!
//! The database has a clock of the test's own, so that leases and waits run out in no time.

use super::form::{asked, outcome};
use super::link::{Address, Link};
use super::log::LEASE;
use super::schema::prepare;
use crate::conversation::entry::{Body, Entry, Message, Part, Sent, Speaker, Transcribed};
use crate::conversation::log::{Begun, Sending, StartRecord, StreamPosition, Verdict};
use crate::store::sqlite::entries::body_of;
use crate::store::sqlite::record::{Outcome, Record};
use fastrand::Rng;
use serde_json::{Value, json};
use std::sync::Arc;
use symbl_log::cluster::{
    self, Cluster, Ended, Fenced, Joined, Kind, Said, Start, StreamStart, Wanted,
};
use symbl_log::fence::{self, Refusal};
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
    UNION ALL SELECT format('seat %s %s', conversation, node) FROM seat
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

    async fn join(&mut self, node: usize) -> Answers {
        let connection = self.pick(&["a", "b", "c"]);
        let seat = self.rng.u8(0..4) > 0;
        let anew = seat && self.rng.u8(0..8) == 0;
        let new = seat.then(|| self.next());
        let session = id_of(self.last);
        let asked = json!({
            "k": "join", "account": "app", "connection": connection, "seat": seat, "c": new,
            "session": session, "anew": anew,
        });
        let answer = self.write(node, asked).await;
        let wanted = Wanted {
            connection,
            new,
            anew,
        };
        let joined = self.rules.join(&self.nodes[node], &wanted, self.now);
        let joined = match joined {
            Err(Fenced) => None,
            Ok(Joined::None) => Some(json!({"v": "none"})),
            Ok(Joined::New) => Some(json!({"v": "new"})),
            Ok(Joined::Known {
                conversation,
                begun,
                waits,
            }) => Some(json!({"v": "known", "c": conversation, "begun": begun, "waits": waits})),
        };
        // The session id is that of the conversation, which the rules do not know.
        let answer = answer.map(|mut answer| {
            answer
                .as_object_mut()
                .map(|answer| answer.remove("session"));
            answer
        });
        if joined == Some(json!({"v": "new"})) {
            self.conversations.extend(new);
        }
        let same = answer == joined;
        let (answer, joined) = (format!("{answer:?}"), format!("{joined:?}"));
        match same {
            true => (joined.clone(), joined),
            false => (answer, joined),
        }
    }

    async fn start(&mut self, node: usize) -> Answers {
        let conversation = self.conversation();
        let connection = self.pick(&["a", "b", "c"]);
        let member = self.pick(&[None, Some("ada"), Some("bob"), Some("bob"), Some("eve")]);
        let name = self.pick(&[None, None, Some("One"), Some("Two")]);
        let stream = self.pick(&[None, Some("s"), Some("s"), Some("t")]);
        let stream = stream.map(|stream| StreamStart {
            stream,
            attempt: self.rng.u64(1..9),
            position: self.rng.u64(0..12),
        });
        let start = Start {
            conversation,
            connection,
            keep: self.rng.i64(0..8),
            ends: (self.rng.u8(0..6) == 0).then(|| self.now + self.rng.i64(0..4) * SECOND),
            member: member.map(|member| (member, name)),
            stream,
            again: self.rng.bool(),
        };
        let record = Record::Start(StartRecord {
            conversation,
            account: "app".to_owned(),
            connection_id: connection.to_owned(),
            session: id_of(conversation),
            title: None,
            at: self.now,
            keep: start.keep,
            speaker: member.map(|id| Speaker {
                id: id.to_owned(),
                user_id: None,
                name: name.map(str::to_owned),
            }),
            ends: start.ends,
            stream_position: stream.map(|at| StreamPosition {
                stream: at.stream.to_owned(),
                attempt: at.attempt,
                position: at.position,
            }),
        });
        let begun = self.record(node, &record, start.again).await;
        let begun = begun.map(|begun| match begun {
            Outcome::Begun(Begun::Superseded, new) => format!("superseded {}", kinds(&new)),
            Outcome::Begun(
                Begun::Here {
                    said_until,
                    unheard,
                },
                new,
            ) => {
                let unheard: Vec<u64> = unheard.iter().map(|entry| entry.seq).collect();
                format!("{said_until} {unheard:?} {}", kinds(&new))
            }
            other => format!("{other:?}"),
        });
        let by_rule = self.rules.start(&self.nodes[node], &start).ok();
        let by_rule = by_rule.map(|(begun, new)| match begun {
            cluster::Begun::Superseded => format!("superseded {}", kinds_by_rule(new)),
            cluster::Begun::Here {
                said_until,
                unheard,
            } => format!("{said_until} {unheard:?} {}", kinds_by_rule(new)),
        });
        (format!("{begun:?}"), format!("{by_rule:?}"))
    }

    /// Returns a final of a conversation, or one that was drawn before.
    fn draw_final(&mut self) -> (i64, Transcribed, bool) {
        if self.rng.u8(0..4) == 0 && !self.finals.is_empty() {
            let of = self.rng.usize(0..self.finals.len());
            let (conversation, said) = self.finals[of].clone();
            return (conversation, said, true);
        }
        let conversation = self.conversation();
        let stream = self.pick(&[None, Some("s"), Some("s"), Some("t")]);
        let part = stream.map(|stream| {
            let from = self.rng.u64(0..12);
            let known = self.rules.conversation(conversation);
            let known = known.and_then(|known| Some(known.stream(stream)?.attempt));
            let latest = known.filter(|_| self.rng.u8(0..4) > 0);
            Part {
                stream: stream.to_owned(),
                attempt: latest.unwrap_or_else(|| self.rng.u64(1..9)),
                base: 0,
                from,
                until: from + self.rng.u64(0..6),
            }
        });
        let message = Message {
            id: self.next(),
            ..Message::default()
        };
        let said = Transcribed {
            start: self.now,
            messages: vec![message],
            part,
            ..Transcribed::default()
        };
        self.finals.push((conversation, said.clone()));
        (conversation, said, self.rng.u8(0..8) == 0)
    }

    async fn say(&mut self, node: usize) -> Option<Answers> {
        let (conversation, said, again) = self.draw_final();
        // No node says anything in a conversation that it has not begun.
        self.rules.conversation(conversation)?;
        let message = said.messages[0].id;
        let part = said.part.clone();
        if !again {
            // The database refuses another message with the same id.
            let is_new = |(_, known): &&(i64, Transcribed)| known.messages[0].id == message;
            assert_eq!(self.finals.iter().filter(is_new).count(), 1);
        }
        let by_rule = Said {
            message,
            part: part.as_ref().map(|part| {
                let heard = fence::Part {
                    attempt: part.attempt,
                    from: part.from,
                    until: part.until,
                };
                (part.stream.as_str(), heard)
            }),
            again,
        };
        let by_rule = self.rules.append(&self.nodes[node], conversation, &by_rule);
        let by_rule = by_rule.ok().map(|verdict| match verdict {
            cluster::Verdict::Stored { seq, number } => (Verdict::Stored(seq), Some(number)),
            cluster::Verdict::Refused(Refusal::Over) => (Verdict::Over, None),
            cluster::Verdict::Refused(Refusal::Already) => (Verdict::Already, None),
            cluster::Verdict::Refused(Refusal::Superseded) => (Verdict::Superseded, None),
        });
        let said = Box::new(said);
        let record = Record::Said { conversation, said };
        let verdict = self.record(node, &record, again).await;
        let verdict = verdict.map(|outcome| match outcome {
            Outcome::Said(verdict, entry) => {
                let said = entry.as_ref().and_then(|entry| entry.body.said());
                (verdict, said.map(|said| said.number))
            }
            other => panic!("{other:?}"),
        });
        Some((format!("{verdict:?}"), format!("{by_rule:?}")))
    }

    async fn send(&mut self, node: usize) -> Answers {
        let conversation = self.conversation();
        let client = self.pick(&["1", "2", "3", "4", "5", "6", "7", "8"]);
        let ends = self
            .rng
            .bool()
            .then(|| self.now + self.rng.i64(0..9) * SECOND);
        let sent = Sent {
            client_id: client.to_owned(),
            ..Sent::default()
        };
        let record = Record::Sent {
            conversation,
            sent,
            ends,
        };
        let sending = self.record(node, &record, false).await;
        let sending = sending.map(|outcome| match outcome {
            Outcome::Sent(sending, _) => sending,
            other => panic!("{other:?}"),
        });
        let me = &self.nodes[node];
        let by_rule = self.rules.send(me, conversation, client, ends).ok();
        let by_rule = by_rule.map(|sent| match sent {
            cluster::Sent::Stored(seq) => Sending::Stored(seq),
            cluster::Sent::Known(seq) => Sending::Already(seq),
            cluster::Sent::Over => Sending::Over,
        });
        (format!("{sending:?}"), format!("{by_rule:?}"))
    }

    /// Lets the speakers of a node leave, all or some of them.
    async fn go(&mut self, node: usize) -> Answers {
        let conversation = self.conversation();
        let (me, at) = (self.nodes[node].clone(), self.now);
        let of = |outcome: Option<Outcome>| outcome.map(|outcome| kinds(outcome.entries()));
        let (found, by_rule) = match self.rng.u8(0..4) {
            0 => {
                let ends = at + self.rng.i64(0..9) * SECOND;
                let record = Record::Closed {
                    conversation,
                    ends,
                    at,
                };
                let found = of(self.record(node, &record, false).await);
                let entry = self.rules.close(&me, conversation, ends);
                (found, entry.ok().map(kinds_by_rule))
            }
            1 => {
                let here = self.pick(&[&[][..], &["ada"], &["ada", "bob"]]);
                let record = Record::Left {
                    conversation,
                    here: here.iter().map(ToString::to_string).collect(),
                    at,
                };
                let found = of(self.record(node, &record, false).await);
                let entries = self.rules.left(&me, conversation, here);
                (found, entries.ok().map(kinds_by_rule))
            }
            2 => {
                let keep = self.rng.i64(0..8);
                let record = Record::Keep { conversation, keep };
                let found = of(self.record(node, &record, false).await);
                let kept = self.rules.keep(&me, conversation, keep);
                (found, kept.ok().map(|()| kinds_by_rule([])))
            }
            _ => {
                let asks = self.rng.bool();
                let mut asked = asked(&Record::Over { conversation, at }, at, false);
                if asks {
                    asked["asks"] = true.into();
                }
                let found = self.write(node, asked).await.map(|answer| {
                    let entries = answer["entries"].as_array().map_or(0, Vec::len);
                    format!("{} {entries}", answer["v"])
                });
                let ended = self.rules.over(&me, conversation, at, asks, at).ok();
                let ended = ended.map(|ended| match ended {
                    Ended::GoesOn => "\"goes_on\" 0".to_owned(),
                    Ended::Over(entries) => format!("\"over\" {}", entries.len()),
                });
                (found, ended)
            }
        };
        (format!("{found:?}"), format!("{by_rule:?}"))
    }

    /// Sweeps as a node does each second, or a part of it.
    async fn sweep(&mut self, node: usize) -> Answers {
        let me = self.nodes[node].clone();
        let many = match self.rng.u8(0..3) {
            0 => {
                let sql = "SELECT symbl_gone_1($1)";
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

/// Returns how often each answer came.
async fn run(seed: u64, steps: usize, url: &str) -> std::collections::BTreeMap<String, usize> {
    let address = Address::parse(url).expect("a URL");
    let runtime = tokio::runtime::Handle::current();
    let mut link = address.connect(&runtime).await.expect("a connection");
    prepare(&mut link, "the test").await.expect("tables");
    link.batch(CLOCK).await.expect("a clock");
    let mut run = Run::new(seed, link).await;
    let mut seen = std::collections::BTreeMap::new();
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

/// `SYMBL_DIFFERENTIAL_SEED` sets another seed than the clock's.
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
        let seen = run(seed, steps, &server.database()).await;
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
