// SPDX-License-Identifier: MPL-2.0

//! Answers the Conversation API from the database.

use super::listing::Listed;
use super::query::{Found, find, list};
use super::readers::Readers;
use super::spoken::Sentences;
use super::{Store, gone};
use crate::conversation::entry::Entry;
use crate::metrics::Counts;
use crate::store::{
    About, Answer, Change, Deleted, Insights, LONGEST_WAIT, List, Listing, Piece, Records,
    Speaking, Spoken, StoreError, Transcript, Wanted, Whose,
};
use rusqlite::Connection;
use serde_json::Value;
use std::sync::{Arc, Weak};

/// A list of which more pieces follow.
struct Rest {
    list: Listed,
    readers: Weak<Readers>,
}

impl Listing for Rest {
    fn next(self: Box<Self>) -> Answer<'static, Piece> {
        Box::pin(async move {
            let Self { list, readers } = *self;
            let open = readers.upgrade().ok_or_else(gone)?;
            open.look(LONGEST_WAIT, |database| read(list, readers, database))
                .await
        })
    }
}

/// Reads the next piece of a list.
pub(super) fn read(
    mut list: Listed,
    readers: Weak<Readers>,
    database: &Connection,
) -> rusqlite::Result<Piece> {
    let (text, more) = list.read(database)?;
    let rest: Option<Box<dyn Listing>> = match more {
        true => Some(Box::new(Rest { list, readers })),
        false => None,
    };
    Ok(Piece { text, rest })
}

/// What was said, of which more parts follow.
struct RestSpoken {
    sentences: Sentences,
    readers: Weak<Readers>,
}

impl Speaking for RestSpoken {
    fn next(self: Box<Self>) -> Answer<'static, Spoken> {
        Box::pin(async move {
            let Self { sentences, readers } = *self;
            let open = readers.upgrade().ok_or_else(gone)?;
            open.look(LONGEST_WAIT, |database| {
                read_spoken(sentences, readers, database)
            })
            .await
        })
    }
}

/// Reads the next part of what was said.
fn read_spoken(
    mut from: Sentences,
    readers: Weak<Readers>,
    database: &Connection,
) -> rusqlite::Result<Spoken> {
    let (sentences, more) = from.read(database)?;
    let rest: Option<Box<dyn Speaking>> = match more {
        true => Some(Box::new(RestSpoken {
            sentences: from,
            readers,
        })),
        false => None,
    };
    Ok(Spoken { sentences, rest })
}

/// The result of one step of a deletion.
enum Step {
    APart,
    Done(Deleted),
}

impl Store {
    /// Returns an answer about a conversation, or `None` if it is not the account's.
    pub(super) async fn of<T: Send + 'static>(
        &self,
        whose: Whose,
        answer: impl FnOnce(Found, &Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        self.look(LONGEST_WAIT, move |database| {
            let Some(mut found) = find(database, &whose.account, whose.conversation)? else {
                return Ok(None);
            };
            found.until = whose.until();
            answer(found, database).map(Some)
        })
        .await
    }

    /// Begins a list of a conversation and reads its first piece.
    pub(super) async fn list_of(
        &self,
        whose: Whose,
        list: impl FnOnce(Found, &Connection) -> rusqlite::Result<Listed> + Send + 'static,
    ) -> Result<Option<Piece>, StoreError> {
        let readers = self.readers();
        self.of(whose, move |found, database| {
            read(list(found, database)?, readers, database)
        })
        .await
    }

    pub(super) fn readers(&self) -> Weak<Readers> {
        self.readers
            .as_ref()
            .map(Arc::downgrade)
            .unwrap_or_default()
    }
}

impl crate::store::Store for Store {
    fn counts(&self) -> Counts {
        self.counts.clone()
    }

    fn key(&self) -> Result<Vec<u8>, StoreError> {
        Self::key(self)
    }

    fn settle(&self) -> Answer<'_, bool> {
        Box::pin(Self::settle(self))
    }
}

impl Records for Store {
    fn find(&self, whose: Whose) -> Answer<'_, Option<Value>> {
        Box::pin(self.of(whose, Found::conversation))
    }

    fn list(&self, account: String, wanted: List) -> Answer<'_, Piece> {
        let readers = self.readers();
        Box::pin(self.look(LONGEST_WAIT, move |database| {
            read(list(database, &account, &wanted)?, readers, database)
        }))
    }

    fn members(&self, whose: Whose) -> Answer<'_, Option<Value>> {
        Box::pin(self.of(whose, Found::members))
    }

    fn messages(&self, whose: Whose, wanted: Wanted) -> Answer<'_, Option<Piece>> {
        Box::pin(self.list_of(whose, move |found, _| Ok(found.messages(wanted))))
    }

    fn transcript(&self, whose: Whose) -> Answer<'_, Option<Transcript>> {
        let readers = self.readers();
        Box::pin(self.of(whose, move |found, database| {
            let (title, start) = found.title(database)?;
            let first = read_spoken(Sentences::new(found), readers, database)?;
            Ok(Transcript {
                title,
                start,
                first,
            })
        }))
    }

    fn insights(&self, whose: Whose, which: Insights) -> Answer<'_, Option<Piece>> {
        let insights = move |found: Found, database: &Connection| found.insights(database, which);
        Box::pin(self.list_of(whose, insights))
    }

    fn topics(&self, whose: Whose, about: About) -> Answer<'_, Option<Piece>> {
        let topics = move |found: Found, database: &Connection| found.topics(database, about);
        Box::pin(self.list_of(whose, topics))
    }

    fn comprehensive(&self, whose: Whose) -> Answer<'_, Option<Piece>> {
        Box::pin(self.list_of(whose, Found::comprehensive))
    }

    fn abstract_topics(&self, whose: Whose) -> Answer<'_, Option<Value>> {
        Box::pin(self.of(whose, Found::abstract_topics))
    }

    fn trackers(&self, whose: Whose) -> Answer<'_, Option<Piece>> {
        Box::pin(self.list_of(whose, Found::trackers))
    }

    fn entities(&self, whose: Whose) -> Answer<'_, Option<Piece>> {
        Box::pin(self.list_of(whose, Found::entities))
    }

    fn rename(
        &self,
        whose: Whose,
        member: String,
        change: Change,
    ) -> Answer<'_, Option<Arc<Entry>>> {
        Box::pin(self.alter(move |database| {
            match find(database, &whose.account, whose.conversation)? {
                Some(found) => found.rename(database, &member, &change),
                None => Ok(None),
            }
        }))
    }

    fn delete(&self, whose: Whose) -> Answer<'_, Deleted> {
        Box::pin(async move {
            let mut begun = false;
            loop {
                let whose = whose.clone();
                let step = self.alter(move |database| {
                    Ok(match find(database, &whose.account, whose.conversation)? {
                        None => Step::Done(Deleted::Unknown),
                        Some(found) if !found.is_over => Step::Done(Deleted::Runs),
                        Some(found) if found.delete_some(database)? => Step::Done(Deleted::Whole),
                        Some(_) => Step::APart,
                    })
                });
                match step.await? {
                    Step::APart => begun = true,
                    // Another request deletes the conversation at the same time.
                    Step::Done(Deleted::Unknown) if begun => return Ok(Deleted::Whole),
                    Step::Done(deleted) => return Ok(deleted),
                }
            }
        })
    }

    fn purge(&self) -> Answer<'_, bool> {
        Box::pin(Store::purge(self))
    }

    fn probe(&self) -> Answer<'_, ()> {
        Box::pin(Store::probe(self))
    }
}
