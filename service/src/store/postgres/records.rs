// SPDX-License-Identifier: MPL-2.0

//! Answers the Conversation API from the database of the cluster.

use super::Store;
use super::conversations::{conversations, list, members_of};
use super::form::speaker;
use super::link::{Link, Parameters};
use super::listing::Listed;
use super::log::{get, text_or_none};
use super::parts;
use super::readers::Looking;
use super::speakers::append_late;
use super::spoken::Sentences;
use super::text::put;
use super::{comprehensive, topics};
use crate::conversation::entry::{Body, Entry, Speaker};
use crate::metrics::{ClusterCounts, Counts};
use crate::store::{
    About, Answer, Change, Deleted, Insights, List, Piece, Records, StoreError, Transcript, Wanted,
    Whose,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// Number of messages and of entries that one step of a deletion deletes.
const DELETED_AT_ONCE: i64 = 200;

/// SQL for the start, the end and the name of a conversation.
pub(super) const START: &str = "coalesce(zero, created)";
///
/// The conversation of a job ends with what was said last, not when the job was done.
pub(super) const END: &str = "coalesce(CASE WHEN EXISTS (SELECT 1 FROM job
    WHERE job.id = c.connection) THEN NULL ELSE ended END, (SELECT max(stop) FROM message
    WHERE conversation = c.id), zero, created)";
pub(super) const NAME: &str = "coalesce(name, 'Conversation ' || id)";

/// A conversation of the account that asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) id: i64,
    /// Start of the first sentence.
    pub(super) first: i64,
    pub(super) is_over: bool,
    /// Entries that were written later are left out. Nanoseconds since the Unix epoch.
    pub(super) until: i64,
}

/// Finds the conversation with this id, if it is the account's.
pub(super) async fn find(link: &mut Link, whose: &Whose) -> Result<Option<Found>, StoreError> {
    let sql = "SELECT id, coalesce(first, 0), ended IS NOT NULL FROM conversation
               WHERE id = $1 AND account = $2";
    let account = put(&whose.account);
    let row = link
        .query_opt(sql, &[&whose.conversation, &account])
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Found {
        id: get(&row, 0)?,
        first: get(&row, 1)?,
        is_over: get(&row, 2)?,
        until: whose.until(),
    }))
}

/// Works like [`find`], and keeps others from changing the conversation until the end of the
/// transaction.
pub(super) async fn find_to_change(
    link: &mut Link,
    whose: &Whose,
) -> Result<Option<Found>, StoreError> {
    let sql = "SELECT 1 FROM conversation WHERE id = $1 AND account = $2 FOR NO KEY UPDATE";
    let account = put(&whose.account);
    link.query(sql, &[&whose.conversation, &account]).await?;
    find(link, whose).await
}

impl Store {
    /// Returns an answer about a conversation, or `None` if it is not the account's.
    pub(super) async fn of<T: 'static>(
        &self,
        whose: Whose,
        answer: impl for<'a> FnOnce(Found, &'a mut Link) -> Looking<'a, T> + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        let readers = self.readers()?;
        readers
            .look(|link| {
                Box::pin(async move {
                    match find(link, &whose).await? {
                        Some(found) => answer(found, link).await.map(Some),
                        None => Ok(None),
                    }
                })
            })
            .await
    }

    /// Begins a list of a conversation and reads its first piece.
    pub(super) async fn list_of(
        &self,
        whose: Whose,
        list: impl for<'a> FnOnce(Found, &'a mut Link) -> Looking<'a, Listed> + Send + 'static,
    ) -> Result<Option<Piece>, StoreError> {
        let readers = self.weak();
        self.of(whose, |found, link| {
            Box::pin(async move { list(found, link).await?.read(link, readers).await })
        })
        .await
    }
}

/// The result of one step of a deletion.
enum Step {
    APart,
    Done(Deleted),
}

/// Deletes a part of a conversation, so that other writers do not wait long for its rows.
async fn delete_some(link: &mut Link, id: i64) -> Result<Step, StoreError> {
    let mut deleted = 0;
    for table in ["message", "entry"] {
        let sql = format!(
            "DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table}
             WHERE conversation = $1 LIMIT $2))"
        );
        deleted += link.execute(&sql, &[&id, &DELETED_AT_ONCE]).await?;
    }
    if deleted > 0 {
        return Ok(Step::APart);
    }
    // Its connection id too, which is swept only while the conversation is there.
    link.execute("DELETE FROM room WHERE conversation = $1", &[&id])
        .await?;
    let sql = "DELETE FROM conversation WHERE id = $1";
    link.execute(sql, &[&id]).await?;
    Ok(Step::Done(Deleted::Whole))
}

impl crate::store::Store for Store {
    fn counts(&self) -> Counts {
        self.counts.clone()
    }

    fn cluster_counts(&self) -> Option<ClusterCounts> {
        Some(self.cluster.clone())
    }

    fn key(&self) -> Result<Vec<u8>, StoreError> {
        Self::key(self)
    }

    fn settle(&self) -> Answer<'_, bool> {
        Box::pin(async move { Self::settle(self).await.map(|()| true) })
    }
}

impl Records for Store {
    fn find(&self, whose: Whose) -> Answer<'_, Option<Value>> {
        Box::pin(async move {
            let found = self.of(whose, |found, link| {
                Box::pin(async move {
                    let mut all = conversations(link, vec![found.id]).await?;
                    Ok(all.remove(&found.id))
                })
            });
            Ok(found.await?.flatten())
        })
    }

    fn list(&self, account: String, wanted: List) -> Answer<'_, Piece> {
        Box::pin(async move {
            let (readers, weak) = (self.readers()?, self.weak());
            readers
                .look(|link| {
                    Box::pin(async move {
                        let list = list(link, &account, &wanted).await?;
                        list.read(link, weak).await
                    })
                })
                .await
        })
    }

    fn members(&self, whose: Whose) -> Answer<'_, Option<Value>> {
        Box::pin(self.of(whose, |found, link| {
            Box::pin(async move {
                let mut members = members_of(link, &[found.id]).await?;
                Ok(json!({ "members": members.remove(&found.id).unwrap_or_default() }))
            })
        }))
    }

    fn messages(&self, whose: Whose, wanted: Wanted) -> Answer<'_, Option<Piece>> {
        Box::pin(self.list_of(whose, move |found, _| {
            Box::pin(async move { Ok(parts::messages(found, wanted)) })
        }))
    }

    fn transcript(&self, whose: Whose) -> Answer<'_, Option<Transcript>> {
        let readers = self.weak();
        Box::pin(self.of(whose, |found, link| {
            Box::pin(async move {
                let sql = format!("SELECT name, {START} FROM conversation WHERE id = $1");
                let row = link.query_one(&sql, &[&found.id]).await?;
                let first = Sentences::new(found).read(link, readers).await?;
                Ok(Transcript {
                    title: text_or_none(&row, 0)?,
                    start: get(&row, 1)?,
                    first,
                })
            })
        }))
    }

    fn insights(&self, whose: Whose, which: Insights) -> Answer<'_, Option<Piece>> {
        Box::pin(self.list_of(whose, move |found, link| {
            Box::pin(parts::insights(found, which, link))
        }))
    }

    fn topics(&self, whose: Whose, about: About) -> Answer<'_, Option<Piece>> {
        Box::pin(self.list_of(whose, move |found, link| {
            Box::pin(topics::topics(found, about, link))
        }))
    }

    fn comprehensive(&self, whose: Whose) -> Answer<'_, Option<Piece>> {
        Box::pin(self.list_of(whose, |found, link| {
            Box::pin(comprehensive::comprehensive(found, link))
        }))
    }

    fn abstract_topics(&self, whose: Whose) -> Answer<'_, Option<Value>> {
        Box::pin(self.of(whose, |found, link| {
            Box::pin(comprehensive::abstract_topics(found, link))
        }))
    }

    fn trackers(&self, whose: Whose) -> Answer<'_, Option<Piece>> {
        Box::pin(self.list_of(whose, |found, link| {
            Box::pin(super::places::trackers(found, link))
        }))
    }

    fn entities(&self, whose: Whose) -> Answer<'_, Option<Piece>> {
        Box::pin(self.list_of(whose, |found, link| {
            Box::pin(super::places::entities(found, link))
        }))
    }

    fn rename(
        &self,
        whose: Whose,
        member: String,
        change: Change,
    ) -> Answer<'_, Option<Arc<Entry>>> {
        Box::pin(async move {
            // The calls that do not block take effect before this one.
            Self::settle(self).await?;
            let renamed = self.change(Option::is_some, move |link| {
                Box::pin(async move {
                    let Some(found) = find_to_change(link, &whose).await? else {
                        return Ok(None);
                    };
                    let name = change.name.as_deref().map(put);
                    let email = change.email.as_deref().map(put);
                    let sql = "UPDATE member SET name = coalesce($3, name),
                               user_id = coalesce($4, user_id)
                               WHERE conversation = $1 AND id = $2 RETURNING id, user_id, name";
                    let with: Parameters<'_> = &[&found.id, &put(&member), &name, &email];
                    let Some(row) = link.query_opt(sql, with).await? else {
                        return Ok(None);
                    };
                    let renamed = speaker(Speaker {
                        id: get(&row, 0)?,
                        user_id: get(&row, 1)?,
                        name: get(&row, 2)?,
                    });
                    append_late(link, found.id, Body::Renamed(renamed)).await
                })
            });
            renamed.await
        })
    }

    fn delete(&self, whose: Whose) -> Answer<'_, Deleted> {
        Box::pin(async move {
            // The calls that do not block take effect before this one.
            Self::settle(self).await?;
            let mut begun = false;
            loop {
                let step = self.of(whose.clone(), |found, link| {
                    Box::pin(async move {
                        match found.is_over {
                            false => Ok(Step::Done(Deleted::Runs)),
                            true => delete_some(link, found.id).await,
                        }
                    })
                });
                match step.await?.unwrap_or(Step::Done(Deleted::Unknown)) {
                    Step::APart => begun = true,
                    // Another request deletes the conversation at the same time.
                    Step::Done(Deleted::Unknown) if begun => return Ok(Deleted::Whole),
                    Step::Done(deleted) => return Ok(deleted),
                }
            }
        })
    }

    /// Removes the rows of deleted words from the tables. The database's write-ahead log
    /// and its backups are the affair of who runs it.
    fn purge(&self) -> Answer<'_, bool> {
        Box::pin(async move {
            let readers = self.readers()?;
            let purged = readers.look(|link| {
                Box::pin(async move {
                    let tables =
                        "entry, message, insight, topic, tracker_match, entity, bookmark, job";
                    link.batch(&format!("VACUUM {tables}")).await
                })
            });
            match purged.await {
                Ok(()) => Ok(true),
                Err(error) => {
                    tracing::debug!(%error, "deleted words stay until the next vacuum");
                    Ok(false)
                }
            }
        })
    }

    fn probe(&self) -> Answer<'_, ()> {
        Box::pin(self.check())
    }

    fn clock(&self) -> Option<String> {
        self.cluster.amiss()
    }
}
