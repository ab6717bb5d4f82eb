// SPDX-License-Identifier: MPL-2.0

//! Conversations that are kept, in the Conversation API: what is found in them, how they are
//! changed, searched, exported, hidden and deleted.

#[path = "../common/mod.rs"]
mod common;

mod analytics;
mod annotated_docs;
mod annotations;
mod bookmarks;
mod conversation;
mod documents;
mod entities;
mod findings;
mod history;
mod insights;
mod keeping;
mod long_lists;
mod privacy_docs;
mod redacted;
mod rest;
mod search;
mod share;
mod speakers;
mod storage;
mod trackers;
mod transcripts;
