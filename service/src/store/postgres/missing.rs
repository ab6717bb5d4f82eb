// SPDX-License-Identifier: MPL-2.0

//! What this store does not do yet. It says so, and does nothing else.

use super::Store;
use crate::store::bookmarks::{Bookmarks, Mark, Marked, Passage};
use crate::store::groups::{Group, GroupTerms, Groups};
use crate::store::jobs::{Attempted, Hook, Job, JobStore, NewHook, NewJob};
use crate::store::notes::{Labelled, Labelling, Labels};
use crate::store::retention::{Due, Retention};
use crate::store::search::{Hunt, Search};
use crate::store::speakers::{Attribute, Attributed, Speakers};
use crate::store::{Answer, Piece, StoreError, Whose};
use serde_json::Value;
use std::future::ready;
use std::time::Duration;

fn missing<'a, T: Send + 'a>(what: &'static str) -> Answer<'a, T> {
    Box::pin(ready(Err(StoreError::Missing(what))))
}

fn nothing<'a, T: Send + Default + 'a>() -> Answer<'a, T> {
    Box::pin(ready(Ok(T::default())))
}

impl Labels for Store {
    fn label(&self, _: Whose, _: Labelling) -> Answer<'_, Labelled> {
        missing("The metadata of conversations")
    }
}
impl Speakers for Store {
    fn attribute(&self, _: Whose, _: Attribute) -> Answer<'_, Attributed> {
        missing("The")
    }
}
impl Retention for Store {
    fn due(&self, _: i64, _: Option<Duration>, _: usize) -> Answer<'_, Vec<Due>> {
        nothing()
    }
    fn retain(&self, _: Whose, _: Option<Duration>) -> Answer<'_, bool> {
        missing("Retention")
    }
}
impl Groups for Store {
    fn groups(&self, _: String) -> Answer<'_, Vec<Group>> {
        missing("Groups")
    }
    fn group(&self, _: String, _: i64) -> Answer<'_, Option<Group>> {
        missing("Groups")
    }
    fn create_groups(&self, _: String, _: Vec<GroupTerms>) -> Answer<'_, Option<Vec<Group>>> {
        missing("Groups")
    }
    fn replace_group(&self, _: String, _: Group) -> Answer<'_, bool> {
        missing("Groups")
    }
    fn delete_group(&self, _: String, _: i64) -> Answer<'_, bool> {
        missing("Groups")
    }
}
impl Bookmarks for Store {
    fn create_bookmarks(&self, _: Whose, _: Vec<Mark>) -> Answer<'_, Marked<Vec<Value>>> {
        missing("Bookmarks")
    }
    fn replace_bookmark(&self, _: Whose, _: i64, _: Mark) -> Answer<'_, Marked<Value>> {
        missing("Bookmarks")
    }
    fn delete_bookmark(&self, _: Whose, _: i64) -> Answer<'_, Marked<Value>> {
        missing("Bookmarks")
    }
    fn bookmark(&self, _: Whose, _: i64) -> Answer<'_, Marked<Value>> {
        missing("Bookmarks")
    }
    fn bookmarks(&self, _: Whose) -> Answer<'_, Option<Piece>> {
        missing("Bookmarks")
    }
    fn bookmark_ids(&self, _: Whose) -> Answer<'_, Option<Vec<i64>>> {
        missing("Bookmarks")
    }
    fn passage(&self, _: Whose, _: i64) -> Answer<'_, Marked<Passage>> {
        missing("Bookmarks")
    }
}

impl Search for Store {
    fn search(&self, _: Whose, _: Hunt) -> Answer<'_, Option<Piece>> {
        missing("The search")
    }

    fn search_all(&self, _: Whose, _: Hunt) -> Answer<'_, Piece> {
        missing("The search")
    }
}

/// What jobs are called.
const JOBS: &str = "The Async API";

/// There are no jobs, so none is next and no webhook is due.
impl JobStore for Store {
    fn create(&self, _: NewJob, _: usize) -> Answer<'_, Option<bool>> {
        missing(JOBS)
    }

    fn job(&self, _: String, _: String) -> Answer<'_, Option<(Job, Vec<Hook>)>> {
        missing(JOBS)
    }

    fn next(&self, _: Vec<String>) -> Answer<'_, Option<Job>> {
        nothing()
    }

    fn unfinished(&self) -> Answer<'_, Vec<String>> {
        nothing()
    }

    fn begin(&self, _: String, _: i64, _: Option<NewHook>) -> Answer<'_, Option<Job>> {
        nothing()
    }

    fn reached(&self, _: i64, _: String) -> Answer<'_, i64> {
        missing(JOBS)
    }

    fn progress(&self, _: String, _: i64) -> Answer<'_, ()> {
        missing(JOBS)
    }

    fn finish(
        &self,
        _: String,
        _: Option<String>,
        _: i64,
        _: i64,
        _: Option<NewHook>,
    ) -> Answer<'_, bool> {
        missing(JOBS)
    }

    fn due(&self, _: i64, _: Vec<String>) -> Answer<'_, (Vec<Hook>, Option<i64>)> {
        nothing()
    }

    fn attempted(&self, _: String, _: Attempted) -> Answer<'_, ()> {
        missing(JOBS)
    }

    fn dead(&self, _: String, _: usize) -> Answer<'_, Vec<Hook>> {
        missing(JOBS)
    }

    fn revive(&self, _: String, _: String, _: i64) -> Answer<'_, bool> {
        missing(JOBS)
    }
}
