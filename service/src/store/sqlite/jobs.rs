// SPDX-License-Identifier: MPL-2.0

//! The jobs of the Async API and their webhooks, in the database.

use super::Store;
use super::entries::body_in;
use super::record::{Record, as_sql, from_sql};
use crate::conversation::entry::Body;
use crate::conversation::log::StartRecord;
use crate::store::jobs::{
    Attempted, Cancelled, Hook, Job, JobEnd, JobStore, NewHook, NewJob, Receiver, Retracted, Room,
    Status, Target, Work,
};
use crate::store::{Answer, LONGEST_WAIT};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use std::collections::HashMap;
use uuid::Uuid;

/// Most entries that are retracted at once.
pub(in crate::store) const RETRACTED: i64 = 200;

const JOB: &str = "SELECT id, account, conversation, status, request, result, zero, progress,
    attempt, created, updated FROM job";

const UNFINISHED: &str = "status IN ('scheduled', 'in_progress')";

/// How the request of a text begins.
pub(in crate::store) const OF_TEXT: &str = "{\"kind\":{\"text\":";

const HOOK: &str = "SELECT w.id, w.job, w.url, w.body, w.attempts, w.due, w.error, j.account
    FROM webhook w JOIN job j ON j.id = w.job";

fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    Ok(Job {
        id: row.get(0)?,
        account: row.get(1)?,
        conversation: row.get(2)?,
        status: Status::of(row.get_ref(3)?.as_str()?),
        request: row.get(4)?,
        result: row.get(5)?,
        zero: row.get(6)?,
        progress: row.get(7)?,
        attempt: from_sql(row.get(8)?),
        created: row.get(9)?,
        updated: row.get(10)?,
    })
}

fn hook(row: &Row<'_>) -> rusqlite::Result<Hook> {
    Ok(Hook {
        id: row.get(0)?,
        job: row.get(1)?,
        url: row.get(2)?,
        body: row.get(3)?,
        attempts: row.get(4)?,
        due: row.get(5)?,
        error: row.get(6)?,
        account: row.get(7)?,
    })
}

/// Makes a change in one transaction.
fn change<T: Send + 'static>(
    store: &Store,
    change: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Answer<'_, T> {
    Box::pin(store.alter(move |connection| {
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let changed = change(&transaction)?;
        transaction.commit()?;
        Ok(changed)
    }))
}

fn look<T: Send + 'static>(
    store: &Store,
    look: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Answer<'_, T> {
    Box::pin(store.look(LONGEST_WAIT, look))
}

/// Keeps a webhook that is due at once.
fn tell(to: &Connection, job: &str, hook: &NewHook, now: i64) -> rusqlite::Result<()> {
    let id = Uuid::new_v4().to_string();
    to.prepare_cached(
        "INSERT INTO webhook (id, job, url, body, attempts, due, error, created)
         VALUES (?1, ?2, ?3, ?4, 0, ?5, NULL, ?5)",
    )?
    .execute(params![id, job, hook.url, hook.body, now])?;
    Ok(())
}

/// Makes the conversation of a job. It is over until the job begins.
fn make_conversation(
    to: &Connection,
    new: &NewJob,
    conversation: i64,
    name: Option<&str>,
    metadata: Option<&str>,
) -> rusqlite::Result<()> {
    let start = StartRecord {
        conversation,
        account: new.account.clone(),
        connection_id: new.id.clone(),
        session: Uuid::new_v4().to_string(),
        title: name.map(str::to_owned),
        at: new.created,
        keep: 0,
        speaker: None,
        ends: Some(new.created),
        stream_position: None,
    };
    Record::Start(start).write(to)?;
    to.prepare_cached("UPDATE conversation SET ended = ?2, metadata = ?3 WHERE id = ?1")?
        .execute(params![conversation, new.created, metadata])?;
    Ok(())
}

/// Removes some of what a cancelled job has said. The numbers of its entries stay, so that the
/// log has no hole.
fn retract(to: &Connection, id: &str) -> rusqlite::Result<Retracted> {
    let of = to
        .prepare_cached(
            "SELECT c.id, c.connection = ?1 AND NOT EXISTS (SELECT 1 FROM job o
             WHERE o.conversation = c.id AND o.id <> ?1)
             FROM job j JOIN conversation c ON c.id = j.conversation WHERE j.id = ?1",
        )?
        .query_row([id], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))
        .optional()?;
    let conversation = match of {
        None => return Ok(Retracted::Nothing),
        Some((_, true)) => return Ok(Retracted::Whole),
        Some((conversation, false)) => conversation,
    };
    super::purge::note(to)?;
    // All streams of the job.
    let (first, behind) = (format!("{id}/"), format!("{id}0"));
    let mut rows = to.prepare_cached(
        "SELECT seq, body FROM entry
         WHERE conversation = ?1 AND stream >= ?2 AND stream < ?3 LIMIT ?4",
    )?;
    let rows = rows.query_map(params![conversation, first, behind, RETRACTED], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
    })?;
    let said = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    for (seq, body) in &said {
        if let Some(Body::Said(said)) = body_in(body) {
            for message in &said.messages {
                to.prepare_cached("DELETE FROM message WHERE id = ?1 AND conversation = ?2")?
                    .execute([message.id, conversation])?;
            }
        }
        to.prepare_cached(
            "UPDATE entry SET kind = 'retracted', body = '{}', number = NULL, stream = NULL,
             until = NULL WHERE conversation = ?1 AND seq = ?2",
        )?
        .execute([conversation, *seq])?;
    }
    if said.len() as i64 == RETRACTED {
        return Ok(Retracted::More);
    }
    // Members that came with the job only.
    to.prepare_cached(
        "DELETE FROM member WHERE conversation = ?1
         AND id IN (SELECT member FROM stream WHERE conversation = ?1 AND id >= ?2 AND id < ?3)
         AND id NOT IN (SELECT member FROM stream
                        WHERE conversation = ?1 AND NOT (id >= ?2 AND id < ?3))
         AND id NOT IN (SELECT speaker FROM message WHERE conversation = ?1)",
    )?
    .execute(params![conversation, first, behind])?;
    to.prepare_cached("DELETE FROM stream WHERE conversation = ?1 AND id >= ?2 AND id < ?3")?
        .execute(params![conversation, first, behind])?;
    Ok(Retracted::Nothing)
}

impl JobStore for Store {
    fn create(&self, new: NewJob, most: usize) -> Answer<'_, Option<bool>> {
        change(self, move |to| {
            let count: i64 = to
                .prepare_cached(&format!(
                    "SELECT count(*) FROM job WHERE account = ?1 AND {UNFINISHED}"
                ))?
                .query_row([&new.account], |row| row.get(0))?;
            if from_sql(count) >= most as u64 {
                return Ok(None);
            }
            let conversation = match &new.target {
                Target::Existing(conversation) => {
                    let is_there = to
                        .prepare_cached(
                            "SELECT 1 FROM conversation WHERE id = ?1 AND account = ?2",
                        )?
                        .exists(params![conversation, new.account])?;
                    if !is_there {
                        return Ok(Some(false));
                    }
                    *conversation
                }
                Target::New {
                    conversation,
                    name,
                    metadata,
                } => {
                    let (name, metadata) = (name.as_deref(), metadata.as_deref());
                    make_conversation(to, &new, *conversation, name, metadata)?;
                    *conversation
                }
            };
            to.prepare_cached(
                "INSERT INTO job (id, account, conversation, status, request, created, updated)
                 VALUES (?1, ?2, ?3, 'scheduled', ?4, ?5, ?5)",
            )?
            .execute(params![
                new.id,
                new.account,
                conversation,
                new.request,
                new.created
            ])?;
            Ok(Some(true))
        })
    }

    fn job(&self, account: String, id: String) -> Answer<'_, Option<(Job, Vec<Hook>)>> {
        look(self, move |from| {
            let found = from
                .prepare_cached(&format!("{JOB} WHERE id = ?1 AND account = ?2"))?
                .query_row(params![id, account], job)
                .optional()?;
            let Some(found) = found else { return Ok(None) };
            let mut rows =
                from.prepare_cached(&format!("{HOOK} WHERE w.job = ?1 ORDER BY w.created"))?;
            let hooks = rows.query_map([&found.id], hook)?;
            Ok(Some((found, hooks.collect::<Result<_, _>>()?)))
        })
    }

    fn next(&self, work: Work, running: Vec<String>) -> Answer<'_, Option<Job>> {
        look(self, move |from| {
            let mut rows =
                from.prepare_cached(&format!("{JOB} WHERE {UNFINISHED} ORDER BY created"))?;
            let mut taken = Vec::new();
            for id in &running {
                let conversation = from
                    .prepare_cached("SELECT conversation FROM job WHERE id = ?1")?
                    .query_row([id], |row| row.get::<_, i64>(0))
                    .optional()?;
                taken.extend(conversation);
            }
            let mut rows = rows.query([])?;
            while let Some(row) = rows.next()? {
                let found = (row.get::<_, String>(0)?, row.get::<_, i64>(2)?);
                if running.contains(&found.0) || taken.contains(&found.1) {
                    continue;
                }
                let is_text = row.get_ref(4)?.as_str()?.starts_with(OF_TEXT);
                if is_text == (work == Work::Text) {
                    return job(row).map(Some);
                }
                taken.push(found.1);
            }
            Ok(None)
        })
    }

    fn unfinished(&self) -> Answer<'_, Vec<String>> {
        look(self, |from| {
            let mut rows =
                from.prepare_cached(&format!("SELECT id FROM job WHERE {UNFINISHED}"))?;
            rows.query_map([], |row| row.get(0))?.collect()
        })
    }

    fn begin(&self, id: String, now: i64, hook: Option<NewHook>) -> Answer<'_, Option<Job>> {
        change(self, move |to| {
            // What is appended comes after what was said before.
            let begun = to
                .prepare_cached(&format!(
                    "UPDATE job SET status = 'in_progress', attempt = attempt + 1, updated = ?2,
                     zero = coalesce(zero, 1 + (SELECT max(stop) FROM message
                     WHERE conversation = job.conversation), ?2)
                     WHERE id = ?1 AND {UNFINISHED} RETURNING id, account, conversation, status,
                     request, result, zero, progress, attempt, created, updated"
                ))?
                .query_row(params![id, now], job)
                .optional()?;
            if let (Some(begun), Some(hook)) = (&begun, &hook)
                && begun.attempt == 1
            {
                tell(to, &begun.id, hook, now)?;
            }
            Ok(begun)
        })
    }

    fn reached(&self, conversation: i64, stream: String) -> Answer<'_, i64> {
        look(self, move |from| {
            let reached = from
                .prepare_cached(
                    "SELECT said_until FROM stream WHERE conversation = ?1 AND id = ?2",
                )?
                .query_row(params![conversation, stream], |row| row.get(0))
                .optional()?;
            Ok(reached.unwrap_or(0))
        })
    }

    fn progress(&self, id: String, progress: i64) -> Answer<'_, ()> {
        change(self, move |to| {
            to.prepare_cached("UPDATE job SET progress = ?2 WHERE id = ?1")?
                .execute(params![id, progress])?;
            Ok(())
        })
    }

    fn finish(&self, id: String, end: JobEnd, now: i64, hook: Option<NewHook>) -> Answer<'_, bool> {
        change(self, move |to| {
            let status = match &end.why {
                None => Status::Completed,
                Some(_) => Status::Failed,
            };
            let ended = to
                .prepare_cached(&format!(
                    "UPDATE job SET status = ?2, result = ?3, progress = ?4, request = ?5,
                     updated = ?6 WHERE id = ?1 AND {UNFINISHED}"
                ))?
                .execute(params![
                    id,
                    status.as_str(),
                    end.why,
                    end.progress,
                    end.request,
                    now
                ])?;
            if let Some(hook) = hook.filter(|_| ended > 0) {
                tell(to, &id, &hook, now)?;
            }
            Ok(ended > 0)
        })
    }

    fn cancel(&self, account: String, id: String, now: i64) -> Answer<'_, Cancelled> {
        change(self, move |to| {
            let cancelled = to
                .prepare_cached(&format!(
                    "UPDATE job SET status = 'cancelled', request = '', updated = ?3
                     WHERE id = ?1 AND account = ?2 AND {UNFINISHED}"
                ))?
                .execute(params![id, account, now])?;
            if cancelled > 0 {
                return Ok(Cancelled::Done);
            }
            let status = to
                .prepare_cached("SELECT status FROM job WHERE id = ?1 AND account = ?2")?
                .query_row([&id, &account], |row| {
                    Ok(Status::of(row.get_ref(0)?.as_str()?))
                })
                .optional()?;
            Ok(match status {
                None => Cancelled::Unknown,
                Some(Status::Cancelled) => Cancelled::Done,
                Some(status) => Cancelled::Ended(status),
            })
        })
    }

    fn cancelled(&self) -> Answer<'_, Vec<Job>> {
        look(self, |from| {
            let mut rows = from.prepare_cached(&format!("{JOB} WHERE status = 'cancelled'"))?;
            rows.query_map([], job)?.collect()
        })
    }

    fn retract(&self, id: String) -> Answer<'_, Retracted> {
        change(self, move |to| retract(to, &id))
    }

    fn forget(&self, id: String) -> Answer<'_, ()> {
        change(self, move |to| {
            to.prepare_cached("DELETE FROM job WHERE id = ?1 AND status = 'cancelled'")?
                .execute([id])
                .map(drop)
        })
    }

    // The webhooks of a job are sent in their order, one at a time.
    fn due(&self, now: i64, busy: Vec<String>, room: Room) -> Answer<'_, (Vec<Hook>, Option<i64>)> {
        look(self, move |from| {
            let mut rows = from.prepare_cached(&format!(
                "{HOOK} WHERE w.due IS NOT NULL AND NOT EXISTS (SELECT 1 FROM webhook e
                 WHERE e.job = w.job AND e.due IS NOT NULL AND e.created < w.created)
                 ORDER BY w.due, w.created"
            ))?;
            let mut rows = rows.query([])?;
            let mut due: Vec<Hook> = Vec::new();
            let mut receivers: HashMap<Receiver, usize> = HashMap::new();
            let mut accounts: HashMap<String, usize> = HashMap::new();
            while let Some(row) = rows.next()? {
                let found = hook(row)?;
                let receiver = Receiver::of(&found.account, &found.url);
                if busy.contains(&found.id)
                    || room.full_accounts.contains(&found.account)
                    || room.full.contains(&receiver)
                {
                    continue;
                }
                let at = found.due.unwrap_or(i64::MAX);
                if at > now || due.len() >= room.most {
                    return Ok((due, Some(at)));
                }
                let of_receiver = receivers.entry(receiver).or_default();
                let of_account = accounts.entry(found.account.clone()).or_default();
                if *of_receiver < room.most_of_receiver && *of_account < room.most_of_account {
                    *of_receiver += 1;
                    *of_account += 1;
                    due.push(found);
                }
            }
            Ok((due, None))
        })
    }

    fn attempted(&self, id: String, attempted: Attempted) -> Answer<'_, ()> {
        change(self, move |to| {
            let (error, due) = match attempted {
                Attempted::Delivered => (None, None),
                Attempted::Failed { error, due } => (Some(error), due),
            };
            to.prepare_cached(
                "UPDATE webhook SET attempts = attempts + 1, due = ?2, error = ?3 WHERE id = ?1",
            )?
            .execute(params![id, due, error])?;
            Ok(())
        })
    }

    fn dead(&self, account: String, limit: usize) -> Answer<'_, Vec<Hook>> {
        look(self, move |from| {
            let mut rows = from.prepare_cached(&format!(
                "{HOOK} WHERE j.account = ?1 AND w.due IS NULL
                 AND w.error IS NOT NULL ORDER BY w.created DESC LIMIT ?2"
            ))?;
            rows.query_map(params![account, as_sql(limit as u64)], hook)?
                .collect()
        })
    }

    fn revive(&self, account: String, id: String, now: i64) -> Answer<'_, bool> {
        change(self, move |to| {
            let revived = to
                .prepare_cached(
                    "UPDATE webhook SET attempts = 0, due = ?3 WHERE id = ?1 AND due IS NULL
                     AND error IS NOT NULL AND job IN (SELECT id FROM job WHERE account = ?2)",
                )?
                .execute(params![id, account, now])?;
            Ok(revived > 0)
        })
    }
}
