// SPDX-License-Identifier: MPL-2.0

//! Creates and upgrades the tables, while a lock keeps other nodes from doing the same.
//!
//! A newer version only adds, so that nodes of two versions can work at the same time while
//! one after the other is replaced.

use super::link::{Link, refused};
use crate::store::StoreError;
use std::path::PathBuf;

/// The version of the tables that this service knows.
pub(super) const VERSION: i64 = 1;

const TABLES: &str = include_str!("tables.sql");
pub(super) const FUNCTIONS: &str = include_str!("functions.sql");

/// The key of the lock under which the tables are made and filled: "symbl" as a number.
pub(super) const LOCK: i64 = 0x0073_796d_626c;

/// Brings the database to this version.
///
/// # Errors
///
/// The database has a newer version or another encoding, or refuses.
pub(super) async fn prepare(link: &mut Link, place: &str) -> Result<(), StoreError> {
    let encoding = link.query_one("SHOW server_encoding", &[]).await?;
    let encoding: String = encoding.try_get(0).map_err(refused)?;
    if encoding != "UTF8" {
        return Err(StoreError::Cluster(format!(
            "{place} has the encoding {encoding}; create a database with the encoding UTF8"
        )));
    }
    // Everything up to the commit is one transaction, and the lock is held for as long.
    let begin = format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK})");
    link.batch(&begin).await?;
    let done = upgrade(link, place).await;
    link.batch(if done.is_ok() { "COMMIT" } else { "ROLLBACK" })
        .await?;
    done
}

async fn upgrade(link: &mut Link, place: &str) -> Result<(), StoreError> {
    let sql = "SELECT to_regclass('meta') IS NOT NULL";
    let is_there: bool = link
        .query_one(sql, &[])
        .await?
        .try_get(0)
        .map_err(refused)?;
    let found = match is_there {
        false => 0,
        true => {
            let sql = "SELECT coalesce(max(number), 0) FROM meta WHERE key = 'version'";
            let row = link.query_one(sql, &[]).await?;
            row.try_get(0).map_err(refused)?
        }
    };
    if found > VERSION {
        return Err(StoreError::Version {
            file: PathBuf::from(place),
            found,
            known: VERSION,
        });
    }
    if found == 0 {
        link.batch(TABLES).await?;
    }
    link.batch(FUNCTIONS).await?;
    let version = format!(
        "INSERT INTO meta (key, number) VALUES ('version', {VERSION})
         ON CONFLICT (key) DO UPDATE SET number = excluded.number"
    );
    link.batch(&version).await
}
