// SPDX-License-Identifier: MPL-2.0

//! Creates and upgrades the tables, while a lock keeps other nodes from doing the same.
//!
//! A newer version only adds, so that nodes of two versions can work at the same time while
//! one after the other is replaced.

use super::link::{Link, refused};
use super::log::get;
use crate::store::StoreError;

/// The tables of version 1. A later version adds a block, which only adds to them, and writes the
/// oldest version that a service has to know to use the tables then into `meta`, as
/// `compatible`. Without that, older releases refuse them.
const TABLES: &str = include_str!("tables.sql");

/// The version of the tables that this service knows.
pub(super) const VERSION: i64 = 1;

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
    let found = version(link).await?;
    if found > VERSION {
        return work_with(link, place, found).await;
    }
    if found == 0 {
        refuse_others(link, place).await?;
        link.batch(TABLES).await?;
    }
    link.batch(FUNCTIONS).await?;
    let version = format!(
        "INSERT INTO meta (key, number) VALUES ('version', {VERSION})
         ON CONFLICT (key) DO UPDATE SET number = excluded.number"
    );
    link.batch(&version).await
}

/// Leaves the tables as a newer release has made them, if it says that this one can use them. That
/// release may have functions of its own; those of this one that are missing are made.
async fn work_with(link: &mut Link, place: &str, found: i64) -> Result<(), StoreError> {
    let sql = "SELECT coalesce(max(number), $1) FROM meta WHERE key = 'compatible'";
    let needed: i64 = get(&link.query_one(sql, &[&found]).await?, 0)?;
    if needed > VERSION {
        return Err(StoreError::Cluster(format!(
            "{place} has version {found}, for which a service has to know version {needed}; this \
             one knows version {VERSION}, so start a newer release"
        )));
    }
    for (name, text) in functions() {
        let sql = "SELECT count(*) FROM pg_proc WHERE proname = $1
                   AND pronamespace = to_regnamespace(quote_ident(current_schema()::text))";
        let known: i64 = get(&link.query_one(sql, &[&name]).await?, 0)?;
        if known == 0 {
            link.batch(text).await?;
        }
    }
    tracing::info!(
        version = found,
        "the tables are those of a newer release, which lets this one use them"
    );
    Ok(())
}

/// Returns the names of the functions, and the statements that make them.
pub(super) fn functions() -> impl Iterator<Item = (&'static str, &'static str)> {
    const BEGIN: &str = "CREATE OR REPLACE FUNCTION ";
    let starts = FUNCTIONS.match_indices(BEGIN).map(|(at, _)| at);
    starts.filter_map(|at| {
        let rest = &FUNCTIONS[at..];
        let end = rest[BEGIN.len()..]
            .find(BEGIN)
            .map(|next| next + BEGIN.len());
        let text = &rest[..end.unwrap_or(rest.len())];
        let name = text[BEGIN.len()..].split('(').next()?;
        Some((name, text))
    })
}

/// Returns the version of the database, or 0 if it has no tables of this service.
async fn version(link: &mut Link) -> Result<i64, StoreError> {
    let sql = "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('meta')
               AND (attname, format_type(atttypid, NULL)) IN
                   (('key', 'text'), ('number', 'bigint'), ('bytes', 'bytea'))";
    let columns: i64 = get(&link.query_one(sql, &[]).await?, 0)?;
    if columns < 3 {
        return Ok(0);
    }
    let sql = "SELECT coalesce(max(number), 0) FROM meta WHERE key = 'version'";
    get(&link.query_one(sql, &[]).await?, 0)
}

/// Returns the names of the tables.
pub(super) fn tables() -> impl Iterator<Item = &'static str> {
    let made = TABLES
        .lines()
        .filter_map(|line| line.strip_prefix("CREATE TABLE "));
    made.filter_map(|rest| rest.split(' ').next())
}

/// Refuses a database in which another program has tables of the same names.
async fn refuse_others(link: &mut Link, place: &str) -> Result<(), StoreError> {
    let names: Vec<&str> = tables().collect();
    let sql = "SELECT string_agg(relname, ', ' ORDER BY relname) FROM pg_class
               WHERE relnamespace = to_regnamespace(quote_ident(current_schema()::text))
               AND relname = ANY($1)";
    let taken: Option<String> = get(&link.query_one(sql, &[&names]).await?, 0)?;
    match taken {
        None => Ok(()),
        Some(taken) => Err(StoreError::Cluster(format!(
            "{place} has tables of another program ({taken}); give a database that is empty"
        ))),
    }
}
