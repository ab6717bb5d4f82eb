// SPDX-License-Identifier: MPL-2.0

//! The jobs of the Async API and their webhooks, in the database of the cluster.
//!
//! A job runs on the node that has taken its request, and so has its recording. One of a node
//! that is gone is taken over by another one, and fails there if it has a recording. Taking a job and taking a webhook are changes of its row, so
//! no two nodes have the same at a time.

use super::form::asked;
use super::hooks::{HOOK, hook, take_due, tell};
use super::link::{Link, Parameters};
use super::log::{get, text, text_or_none};
use super::text::put;
use super::{Store, StoreError};
use crate::conversation::log::StartRecord;
use crate::store::Answer;
use crate::store::jobs::{
    Attempted, Cancelled, Hook, Job, JobEnd, JobStore, NewHook, NewJob, Retracted, Room, Status,
    Target, Work,
};
use crate::store::sqlite::jobs::{OF_TEXT, RETRACTED};
use crate::store::sqlite::labels::metadata;
use crate::store::sqlite::record::{Record, from_sql};
use tokio_postgres::Row;
use uuid::Uuid;

/// The key of the lock under which a node takes jobs: "symj" as a number.
const LOCK: i64 = 0x7379_6d6a;

const JOB: &str = "job.id, job.account, job.conversation, job.status, job.request, job.result,
    job.zero, job.progress, job.attempt, job.created, job.updated";

const UNFINISHED: &str = "job.status IN ('scheduled', 'in_progress')";

fn job(row: &Row) -> Result<Job, StoreError> {
    Ok(Job {
        id: text(row, 0)?,
        account: text(row, 1)?,
        conversation: get(row, 2)?,
        status: Status::of(get(row, 3)?),
        request: text(row, 4)?,
        result: text_or_none(row, 5)?,
        zero: get(row, 6)?,
        progress: get(row, 7)?,
        attempt: from_sql(get(row, 8)?),
        created: get(row, 9)?,
        updated: get(row, 10)?,
    })
}

/// Returns texts as they are stored.
fn stored(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| put(text)).collect()
}

/// Makes the conversation of a job. It is over until the job begins.
async fn make_conversation(
    link: &mut Link,
    node: &str,
    new: &NewJob,
    conversation: i64,
    name: Option<String>,
    labels: Option<String>,
) -> Result<(), StoreError> {
    let start = StartRecord {
        conversation,
        account: new.account.clone(),
        connection_id: new.id.clone(),
        session: Uuid::new_v4().to_string(),
        title: name,
        at: new.created,
        keep: 0,
        speaker: None,
        ends: Some(new.created),
        stream_position: None,
    };
    let start = asked(&Record::Start(start), new.created, false).to_string();
    let sql = "SELECT symbl_start_1($1, $2::text::jsonb)::text";
    link.query(sql, &[&node, &start]).await?;
    let sql = "UPDATE conversation SET ended = $2, metadata = $3, labels = $4::text::jsonb
               WHERE id = $1";
    let sought = labels.as_deref().map(|labels| metadata(Some(labels)));
    let sought = sought.map(|labels| super::labels::sought(&labels));
    link.execute(sql, &[&conversation, &new.created, &labels, &sought])
        .await
        .map(drop)
}

async fn create(
    link: &mut Link,
    node: &str,
    mut new: NewJob,
    most: usize,
) -> Result<Option<bool>, StoreError> {
    let account = put(&new.account);
    // Two nodes must not each see one place that is left.
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
    link.query(lock, &[&account]).await?;
    let sql = format!("SELECT count(*) FROM job WHERE account = $1 AND {UNFINISHED}");
    let row = link.query_one(&sql, &[&account]).await?;
    if from_sql(get(&row, 0)?) >= most as u64 {
        return Ok(None);
    }
    let target = std::mem::replace(&mut new.target, Target::Existing(0));
    let conversation = match target {
        Target::Existing(conversation) => {
            let sql = "SELECT 1 FROM conversation WHERE id = $1 AND account = $2";
            let row = link.query_opt(sql, &[&conversation, &account]).await?;
            if row.is_none() {
                return Ok(Some(false));
            }
            conversation
        }
        Target::New {
            conversation,
            name,
            metadata,
        } => {
            make_conversation(link, node, &new, conversation, name, metadata).await?;
            conversation
        }
    };
    let sql = "INSERT INTO job (id, account, conversation, status, request, home, created, updated)
               VALUES ($1, $2, $3, 'scheduled', $4, $5, $6, $6)";
    let (id, request) = (put(&new.id), put(&new.request));
    let with: Parameters<'_> = &[&id, &account, &conversation, &request, &node, &new.created];
    link.execute(sql, with).await?;
    Ok(Some(true))
}

/// Takes the oldest job of this kind that this node may run. One whose conversation has an
/// older job waits for that, on whatever node it is.
async fn take(
    link: &mut Link,
    node: &str,
    work: Work,
    running: &[String],
) -> Result<Option<Job>, StoreError> {
    // Two nodes must not each take a job of one conversation.
    link.query("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await?;
    let sql = format!(
        "UPDATE job SET node = $1 WHERE id = (SELECT id FROM job WHERE {UNFINISHED}
             AND id <> ALL($2) AND starts_with(request, $3) = $4
             AND (node = $1 OR node IS NULL AND home = $1
                 OR NOT symbl_lives_1(coalesce(node, home)))
             AND NOT EXISTS (SELECT 1 FROM job o WHERE o.conversation = job.conversation
                 AND o.id <> job.id AND (o.id = ANY($2)
                     OR o.status IN ('scheduled', 'in_progress')
                     AND ((o.created, o.id) < (job.created, job.id)
                         OR o.node <> $1 AND symbl_lives_1(o.node))))
             ORDER BY created, id LIMIT 1)
         RETURNING {JOB}"
    );
    let with: Parameters<'_> = &[&node, &running, &OF_TEXT, &(work == Work::Text)];
    let row = link.query_opt(&sql, with).await?;
    row.as_ref().map(job).transpose()
}

/// Removes some of what a cancelled job has said, as in SQLite.
async fn retract(link: &mut Link, id: &str) -> Result<Retracted, StoreError> {
    let sql = "SELECT c.id, c.connection = $1 AND NOT EXISTS (SELECT 1 FROM job o
               WHERE o.conversation = c.id AND o.id <> $1)
               FROM job j JOIN conversation c ON c.id = j.conversation WHERE j.id = $1
               FOR NO KEY UPDATE OF c";
    let Some(row) = link.query_opt(sql, &[&id]).await? else {
        return Ok(Retracted::Nothing);
    };
    let (conversation, is_own): (i64, bool) = (get(&row, 0)?, get(&row, 1)?);
    if is_own {
        return Ok(Retracted::Whole);
    }
    let (first, behind) = (format!("{id}/"), format!("{id}0"));
    let sql = "SELECT seq FROM entry WHERE conversation = $1 AND stream >= $2 AND stream < $3
               LIMIT $4";
    let rows = link
        .query(sql, &[&conversation, &first, &behind, &RETRACTED])
        .await?;
    let entries = rows.iter().map(|row| get(row, 0));
    let entries = entries.collect::<Result<Vec<i64>, _>>()?;
    let sql = "DELETE FROM message WHERE conversation = $1 AND seq = ANY($2)";
    link.execute(sql, &[&conversation, &entries]).await?;
    let sql = "UPDATE entry SET kind = 'retracted', body = '{}', number = NULL, stream = NULL,
               until = NULL WHERE conversation = $1 AND seq = ANY($2)";
    link.execute(sql, &[&conversation, &entries]).await?;
    if i64::try_from(entries.len()) == Ok(RETRACTED) {
        return Ok(Retracted::More);
    }
    // Members that came with the job only.
    let sql = "DELETE FROM member WHERE conversation = $1
               AND id IN (SELECT member FROM stream
                          WHERE conversation = $1 AND id >= $2 AND id < $3)
               AND id NOT IN (SELECT member FROM stream
                              WHERE conversation = $1 AND NOT (id >= $2 AND id < $3))
               AND id NOT IN (SELECT speaker FROM message WHERE conversation = $1)";
    link.execute(sql, &[&conversation, &first, &behind]).await?;
    let sql = "DELETE FROM stream WHERE conversation = $1 AND id >= $2 AND id < $3";
    link.execute(sql, &[&conversation, &first, &behind]).await?;
    Ok(Retracted::Nothing)
}

impl JobStore for Store {
    fn create(&self, new: NewJob, most: usize) -> Answer<'_, Option<bool>> {
        let node = self.node();
        Box::pin(self.change(
            |made| *made == Some(true),
            move |link| Box::pin(async move { create(link, &node, new, most).await }),
        ))
    }

    fn job(&self, account: String, id: String) -> Answer<'_, Option<(Job, Vec<Hook>)>> {
        let (account, id) = (put(&account), put(&id));
        Box::pin(async move {
            let readers = self.readers()?;
            readers
                .look(|link| {
                    Box::pin(async move {
                        let sql = format!("SELECT {JOB} FROM job WHERE id = $1 AND account = $2");
                        let row = link.query_opt(&sql, &[&id, &account]).await?;
                        let Some(row) = row else { return Ok(None) };
                        let sql = format!(
                            "SELECT {HOOK} FROM webhook w WHERE w.job = $1 ORDER BY w.created"
                        );
                        let hooks = link.query(&sql, &[&id]).await?;
                        let hooks = hooks.iter().map(hook).collect::<Result<_, _>>()?;
                        Ok(Some((job(&row)?, hooks)))
                    })
                })
                .await
        })
    }

    fn next(&self, work: Work, running: Vec<String>) -> Answer<'_, Option<Job>> {
        let (node, running) = (self.node(), stored(&running));
        Box::pin(self.change(Option::is_some, move |link| {
            Box::pin(async move { take(link, &node, work, &running).await })
        }))
    }

    fn unfinished(&self) -> Answer<'_, Vec<String>> {
        Box::pin(async move {
            let readers = self.readers()?;
            readers
                .look(|link| {
                    Box::pin(async move {
                        let sql = format!("SELECT id FROM job WHERE {UNFINISHED}");
                        let rows = link.query(&sql, &[]).await?;
                        rows.iter().map(|row| text(row, 0)).collect()
                    })
                })
                .await
        })
    }

    fn begin(&self, id: String, now: i64, told: Option<NewHook>) -> Answer<'_, Option<Job>> {
        let (node, id) = (self.node(), put(&id));
        Box::pin(self.change(Option::is_some, move |link| {
            Box::pin(async move {
                // What is appended comes after what was said before. Another node may have
                // taken the job meanwhile.
                let sql = format!(
                    "UPDATE job SET status = 'in_progress', attempt = attempt + 1, updated = $2,
                     zero = coalesce(zero, 1 + (SELECT max(stop) FROM message
                     WHERE conversation = job.conversation), $2)
                     WHERE id = $1 AND {UNFINISHED} AND coalesce(node, $3) = $3 RETURNING {JOB}"
                );
                let row = link.query_opt(&sql, &[&id, &now, &node]).await?;
                let begun = row.as_ref().map(job).transpose()?;
                if let (Some(begun), Some(told)) = (&begun, &told)
                    && begun.attempt == 1
                {
                    tell(link, &id, told, now).await?;
                }
                Ok(begun)
            })
        }))
    }

    fn reached(&self, conversation: i64, stream: String) -> Answer<'_, i64> {
        let stream = put(&stream);
        Box::pin(async move {
            let readers = self.readers()?;
            readers
                .look(|link| {
                    Box::pin(async move {
                        let sql = "SELECT said_until FROM stream
                                   WHERE conversation = $1 AND id = $2";
                        let row = link.query_opt(sql, &[&conversation, &stream]).await?;
                        row.map_or(Ok(0), |row| get(&row, 0))
                    })
                })
                .await
        })
    }

    fn progress(&self, id: String, progress: i64) -> Answer<'_, ()> {
        let id = put(&id);
        Box::pin(self.change(
            |()| true,
            move |link| {
                Box::pin(async move {
                    let sql = "UPDATE job SET progress = $2 WHERE id = $1";
                    link.execute(sql, &[&id, &progress]).await.map(drop)
                })
            },
        ))
    }

    fn finish(&self, id: String, end: JobEnd, now: i64, told: Option<NewHook>) -> Answer<'_, bool> {
        let id = put(&id);
        Box::pin(self.change(
            |ended| *ended,
            move |link| {
                Box::pin(async move {
                    let status = match &end.why {
                        None => Status::Completed,
                        Some(_) => Status::Failed,
                    };
                    let (status, why) = (status.as_str(), end.why.as_deref().map(put));
                    let (progress, request) = (end.progress, put(&end.request));
                    let sql = format!(
                        "UPDATE job SET status = $2, result = $3, progress = $4, request = $5,
                     updated = $6 WHERE id = $1 AND {UNFINISHED}"
                    );
                    let with: Parameters<'_> = &[&id, &status, &why, &progress, &request, &now];
                    let ended = link.execute(&sql, with).await? > 0;
                    if let Some(told) = told.filter(|_| ended) {
                        tell(link, &id, &told, now).await?;
                    }
                    Ok(ended)
                })
            },
        ))
    }

    fn cancel(&self, account: String, id: String, now: i64) -> Answer<'_, Cancelled> {
        let (account, id) = (put(&account), put(&id));
        Box::pin(self.change(
            |cancelled| *cancelled == Cancelled::Done,
            move |link| {
                Box::pin(async move {
                    let sql = format!(
                        "UPDATE job SET status = 'cancelled', request = '', updated = $3
                         WHERE id = $1 AND account = $2 AND {UNFINISHED}"
                    );
                    if link.execute(&sql, &[&id, &account, &now]).await? > 0 {
                        return Ok(Cancelled::Done);
                    }
                    let sql = "SELECT status FROM job WHERE id = $1 AND account = $2";
                    let row = link.query_opt(sql, &[&id, &account]).await?;
                    let status = row.as_ref().map(|row| get(row, 0)).transpose()?;
                    Ok(match status.map(Status::of) {
                        None => Cancelled::Unknown,
                        Some(Status::Cancelled) => Cancelled::Done,
                        Some(status) => Cancelled::Ended(status),
                    })
                })
            },
        ))
    }

    // A node that lives removes what its own jobs have made.
    fn cancelled(&self) -> Answer<'_, Vec<Job>> {
        let node = self.node();
        Box::pin(async move {
            let readers = self.readers()?;
            readers
                .look(move |link| {
                    Box::pin(async move {
                        let sql = format!(
                            "SELECT {JOB} FROM job WHERE status = 'cancelled'
                             AND (coalesce(node, home) = $1
                                  OR NOT symbl_lives_1(coalesce(node, home)))"
                        );
                        let rows = link.query(&sql, &[&node]).await?;
                        rows.iter().map(job).collect()
                    })
                })
                .await
        })
    }

    fn retract(&self, id: String) -> Answer<'_, Retracted> {
        let id = put(&id);
        Box::pin(self.change(
            |_| true,
            move |link| Box::pin(async move { retract(link, &id).await }),
        ))
    }

    fn forget(&self, id: String) -> Answer<'_, ()> {
        let id = put(&id);
        Box::pin(self.change(
            |()| true,
            move |link| {
                Box::pin(async move {
                    let sql = "DELETE FROM job WHERE id = $1 AND status = 'cancelled'";
                    link.execute(sql, &[&id]).await.map(drop)
                })
            },
        ))
    }

    // The webhooks of a job are sent in their order, one at a time.
    fn due(&self, now: i64, busy: Vec<String>, room: Room) -> Answer<'_, (Vec<Hook>, Option<i64>)> {
        let (node, busy) = (self.node(), stored(&busy));
        Box::pin(self.change(
            |_| true,
            move |link| Box::pin(async move { take_due(link, &node, now, busy, &room).await }),
        ))
    }

    fn attempted(&self, id: String, attempted: Attempted) -> Answer<'_, ()> {
        let id = put(&id);
        Box::pin(self.change(
            |()| true,
            move |link| {
                Box::pin(async move {
                    let (error, due) = match attempted {
                        Attempted::Delivered => (None, None),
                        Attempted::Failed { error, due } => (Some(put(&error)), due),
                    };
                    let sql = "UPDATE webhook SET attempts = attempts + 1, due = $2, error = $3,
                           node = NULL WHERE id = $1";
                    link.execute(sql, &[&id, &due, &error]).await.map(drop)
                })
            },
        ))
    }

    fn dead(&self, account: String, limit: usize) -> Answer<'_, Vec<Hook>> {
        let account = put(&account);
        Box::pin(async move {
            let (readers, limit) = (self.readers()?, i64::try_from(limit).unwrap_or(i64::MAX));
            readers
                .look(|link| {
                    Box::pin(async move {
                        let sql = format!(
                            "SELECT {HOOK} FROM webhook w JOIN job ON job.id = w.job
                             WHERE job.account = $1 AND w.due IS NULL AND w.error IS NOT NULL
                             ORDER BY w.created DESC LIMIT $2"
                        );
                        let rows = link.query(&sql, &[&account, &limit]).await?;
                        rows.iter().map(hook).collect()
                    })
                })
                .await
        })
    }

    fn revive(&self, account: String, id: String, now: i64) -> Answer<'_, bool> {
        let (account, id) = (put(&account), put(&id));
        Box::pin(self.change(
            |_| true,
            move |link| {
                Box::pin(async move {
                    let sql = "UPDATE webhook SET attempts = 0, due = $3 WHERE id = $1
                           AND due IS NULL AND error IS NOT NULL
                           AND job IN (SELECT id FROM job WHERE account = $2)";
                    Ok(link.execute(sql, &[&id, &account, &now]).await? > 0)
                })
            },
        ))
    }
}
