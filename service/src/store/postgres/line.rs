// SPDX-License-Identifier: MPL-2.0

//! Decides which of the waiting jobs the writer writes together, and which joins it pipelines.
//!
//! Records are written together, sorted by conversation: two nodes that locked conversations in
//! different orders would wait for each other. A join is a transaction of its own, because it
//! is not known before which conversation it locks. After the end of a node its speakers come all at
//! once, so joins do not wait for each other's answers: those of different connection ids are
//! sent to the database in one go.

use super::form::conversation_of;
use super::writer::{Ask, Job};
use serde_json::Value;
use std::collections::HashSet;

/// Most joins in one pipeline. The node sends a heartbeat only between pipelines, at most a second
/// late, and its lease is five seconds: so each join has a second.
const MOST_JOINS: usize = 4;

/// What is written without a look at what comes after it.
#[derive(Default)]
pub(super) struct Part {
    /// What is written first, as one statement.
    pub(super) together: Vec<Job>,
    /// What is written then, each as a statement of its own, in any order.
    pub(super) joins: Vec<Job>,
}

/// Divides jobs into parts that are written one after the other.
///
/// Only one thing overtakes another: a look for a connection id, which changes nothing, the
/// joins of other connection ids. So the looks of those that come between two joins do not
/// separate them.
pub(super) fn parts(batch: Vec<Job>) -> Vec<Part> {
    let mut all = Vec::new();
    let mut part = Part::default();
    let mut joined: HashSet<String> = HashSet::new();
    for job in batch {
        let subject = subject_of(&job.ask);
        let is_join = matches!(job.ask, Ask::Join(_));
        let is_apart = subject.as_ref().is_some_and(|one| !joined.contains(one));
        let has_room = match is_join {
            true => is_apart && part.joins.len() < MOST_JOINS,
            false => is_apart || part.joins.is_empty(),
        };
        if !has_room {
            all.push(std::mem::take(&mut part));
            joined.clear();
        }
        match is_join {
            true => {
                joined.extend(subject);
                part.joins.push(job);
            }
            false => part.together.push(job),
        }
    }
    all.push(part);
    for part in &mut all {
        part.together.sort_by_key(|job| match &job.ask {
            Ask::Record(record) | Ask::End(record) => conversation_of(record),
            Ask::Change(conversation, _) => *conversation,
            // It sees what was written before it was asked.
            Ask::Join(_) | Ask::Look(_) => i64::MAX,
        });
    }
    all
}

/// Returns what a join, a claim or a look for a connection id is about. Those about different
/// things do not depend on each other. `None` is for questions that may depend on any.
fn subject_of(ask: &Ask) -> Option<String> {
    let (Ask::Join(asked) | Ask::Look(asked)) = ask else {
        return None;
    };
    let is_known = |kind: &Value| kind == "join" || kind == "claim";
    is_known(&asked["k"]).then(|| {
        // As JSON, so that no two of them are the same text.
        format!(
            "{} {} {}",
            asked["account"], asked["connection"], asked["id"]
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::record::Record;
    use serde_json::json;
    use std::time::Instant;

    fn record(conversation: i64) -> Ask {
        let keep = 0;
        Ask::Record(Record::Keep { conversation, keep })
    }

    fn join(connection: &str) -> Value {
        json!({"k": "join", "account": "app", "connection": connection})
    }

    fn claim(id: &str) -> Ask {
        Ask::Join(json!({"k": "claim", "account": "app", "id": id}))
    }

    fn free(id: &str) -> Ask {
        Ask::Look(json!({"k": "free", "free": [id]}))
    }

    fn jobs(asks: impl IntoIterator<Item = Ask>) -> Vec<Job> {
        let jobs = asks.into_iter().map(|ask| Job {
            ask,
            since: Instant::now(),
            done: None,
            again: false,
        });
        jobs.collect()
    }

    fn name(job: &Job) -> String {
        match &job.ask {
            Ask::Record(record) | Ask::End(record) => conversation_of(record).to_string(),
            Ask::Change(conversation, _) => conversation.to_string(),
            Ask::Join(asked) => format!("join {}{}", asked["connection"], asked["id"]),
            Ask::Look(asked) => format!("look {}", asked["connection"]),
        }
        .replace(['"', ' '], "")
        .replace("null", "")
    }

    /// Returns for each part what is written together and which joins are.
    fn divided(asks: impl IntoIterator<Item = Ask>) -> Vec<String> {
        let names = |jobs: &[Job]| jobs.iter().map(name).collect::<Vec<_>>().join(" ");
        let all = parts(jobs(asks));
        let all = all
            .iter()
            .map(|part| format!("{} | {}", names(&part.together), names(&part.joins)));
        all.collect()
    }

    #[test]
    fn joins_of_different_connection_ids_go_in_one_part_and_nothing_else_changes_places() {
        let asks = [
            Ask::Look(join("a")),
            record(2),
            record(1),
            Ask::Join(join("a")),
            // It changes nothing, and no join before it is about `b`.
            Ask::Look(join("b")),
            Ask::Join(join("b")),
            claim("x"),
            // It has to see what the join before it did.
            Ask::Look(join("a")),
            Ask::Join(join("c")),
            Ask::Join(join("c")),
            claim("y"),
            // A socket is never freed before it is counted.
            free("y"),
            claim("z"),
            record(4),
            record(3),
        ];
        let parts = [
            "1 2 looka lookb | joina joinb joinx",
            "looka | joinc",
            " | joinc joiny",
            "look | joinz",
            "3 4 | ",
        ];
        assert_eq!(divided(asks), parts);
    }

    #[test]
    fn no_part_has_so_many_joins_that_the_others_would_hear_nothing_of_this_node() {
        let asks = (0..20).map(|n| Ask::Join(join(&n.to_string())));
        let sizes = parts(jobs(asks))
            .iter()
            .map(|part| part.joins.len())
            .collect::<Vec<_>>();
        assert_eq!(sizes, [4, 4, 4, 4, 4]);
    }
}
