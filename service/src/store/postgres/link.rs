// SPDX-License-Identifier: MPL-2.0

//! Connections to the database: where it is, and statements that are prepared once.

use super::tls::{self, Tls, Wanted};
use crate::store::StoreError;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::poll_fn;
use std::collections::HashMap;
use std::future::{pending, ready};
use std::str::FromStr;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_postgres::config::{Host, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Config, CopyInSink, Row, Statement};

/// How long connecting to one host may take.
const LONGEST_CONNECT: Duration = Duration::from_secs(5);

/// How long a host may leave what was sent to it without an answer of its TCP.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

/// The first key of the locks that nodes hold: "symb" as a number. The second is the hash of
/// their id.
const NODES: i32 = 0x7379_6d62;

/// Statements that are remembered for a connection; the filters of lists are any number.
const MOST_STATEMENTS: usize = 100;

/// The parameters of a statement.
pub(super) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Returns the rest of a statement about the connection of a node, in which its lock is `l`.
pub(super) fn connection_of(node: &str) -> String {
    format!(
        "FROM pg_locks l
         JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
         WHERE l.locktype = 'advisory' AND l.granted AND l.classid = {NODES}
         AND l.objid::bigint = (hashtext({node})::bigint & 4294967295) AND l.objsubid = 2"
    )
}

/// Where the database is. Its secrets are never shown.
#[derive(Clone)]
pub(super) struct Address {
    config: Config,
    tls: Tls,
    /// Hosts and name of the database, for messages.
    place: String,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Address").field(&self.place).finish()
    }
}

impl Address {
    /// Parses a URL, which may have several hosts. Of those, the one is taken that takes
    /// writes, unless the URL says otherwise.
    ///
    /// # Errors
    ///
    /// It is no URL of a PostgreSQL database, or a file that it names cannot be used. The
    /// error shows no part of it but the names of these files.
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let wrong = |why: &str| {
            StoreError::Cluster(format!(
                "the address is no URL of a PostgreSQL database ({why}); give one such as \
                 postgres://user@host:5432/name"
            ))
        };
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(wrong("it does not begin with postgres://"));
        }
        let (url, wanted) = Wanted::take(url).map_err(|why| wrong(&why))?;
        // What the parser says may have a part of the URL in it, and so of the password.
        let parsed = Config::from_str(&url);
        let mut config = parsed.map_err(|_| wrong("a part of it cannot be read"))?;
        if config.get_hosts().is_empty() {
            return Err(wrong("it has no host"));
        }
        // Hosts are shown.
        let has_rest = |host: &Host| matches!(host, Host::Tcp(name) if name.contains('@'));
        if config.get_hosts().iter().any(has_rest) {
            return Err(wrong("an @ in the password has to be written as %40"));
        }
        if config.get_target_session_attrs() == TargetSessionAttrs::Any {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        if config.get_application_name().is_none() {
            config.application_name("symbl-service");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(LONGEST_CONNECT);
        }
        config.tcp_user_timeout(LONGEST_SILENCE);
        config.keepalives_idle(LONGEST_SILENCE);
        let hosts = config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let hosts: Vec<String> = hosts.collect();
        // A socket of the machine has no TLS, whatever the URL says, as for other clients.
        let is_local = |host: &Host| matches!(host, Host::Unix(_));
        let tls = match config.get_hosts().iter().all(is_local) {
            true => Tls::open(Wanted::none()),
            false => Tls::open(wanted),
        };
        let tls = tls.map_err(StoreError::Cluster)?;
        config.ssl_mode(tls.mode());
        let name = config
            .get_dbname()
            .or(config.get_user())
            .unwrap_or_default();
        let place = format!("the database {name} on {}", hosts.join(" or "));
        Ok(Self { config, tls, place })
    }

    /// Returns what the database is called in messages.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Opens the connection with which a node writes. While it is open, others see that the
    /// node lives.
    pub(super) async fn connect_as(
        &self,
        node: &str,
        runtime: &Handle,
    ) -> Result<Link, StoreError> {
        let mut link = self.connect(runtime).await?;
        // Of a connection that broke without a word to the server, the server may know for hours
        // that it is open. What it was doing is over when it lets go of the lock.
        let sql = format!("SELECT pg_terminate_backend(l.pid) {}", connection_of("$1"));
        link.query(&sql, &[&node]).await?;
        let sql = format!("SELECT pg_advisory_lock({NODES}, hashtext($1))");
        link.query(&sql, &[&node]).await?;
        Ok(link)
    }

    /// Listens to what other nodes announce, until the connection is lost: `note` gets the
    /// name of each node that has written.
    pub(super) async fn listen(&self, note: impl Fn(&str)) -> Result<(), StoreError> {
        let config = self.config.clone();
        let connected = config.connect(self.tls.connector()).await;
        let (client, mut connection) = connected.map_err(refused)?;
        let messages = poll_fn(move |context| connection.poll_message(context));
        let heard = messages.for_each(|message| {
            if let Ok(AsyncMessage::Notification(announced)) = message {
                note(announced.payload());
            }
            ready(())
        });
        let begin = async {
            let begun = client.batch_execute("LISTEN symbl").await;
            if begun.is_ok() {
                pending::<()>().await;
            }
        };
        tokio::select! {
            () = heard => {}
            () = begin => {}
        }
        Ok(())
    }

    /// Opens a connection. Its I/O is done on `runtime`, wherever it is used.
    pub(super) async fn connect(&self, runtime: &Handle) -> Result<Link, StoreError> {
        let (config, tls) = (self.config.clone(), self.tls.connector());
        let connecting = runtime.spawn(async move {
            let (client, connection) = config.connect(tls).await?;
            // The task ends with the client, or with its connection.
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(error = said(&error), "a connection to the database ends");
                }
            });
            Ok::<_, tokio_postgres::Error>(client)
        });
        let client = connecting.await.map_err(|_| gone())?;
        let client = client.map_err(|error| {
            let place = &self.place;
            let why = said(&error);
            let remedy = tls::remedy(&error).map_or(String::new(), |text| format!("; {text}"));
            StoreError::Cluster(format!("{place} cannot be reached: {why}{remedy}"))
        })?;
        let mut link = Link {
            client,
            statements: HashMap::new(),
        };
        // A node that is frozen must not hold rows of others for longer.
        link.batch(
            "SET idle_in_transaction_session_timeout = 5000; SET statement_timeout = 25000;
             SET client_min_messages = warning",
        )
        .await?;
        Ok(link)
    }
}

/// A connection.
pub(super) struct Link {
    client: Client,
    statements: HashMap<String, Statement>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Link {
    /// Returns `true` if the connection is lost.
    pub(super) fn is_lost(&self) -> bool {
        self.client.is_closed()
    }

    /// Returns a statement that is prepared once for this connection.
    pub(super) async fn prepared(&mut self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        let statement = self.client.prepare(sql).await?;
        if self.statements.len() < MOST_STATEMENTS {
            self.statements.insert(sql.to_owned(), statement.clone());
        }
        Ok(statement)
    }

    /// Prepares a statement and does not run it.
    #[cfg(test)]
    pub(super) async fn prepares(&mut self, sql: &str) -> Result<(), StoreError> {
        self.client.prepare(sql).await.map(drop).map_err(refused)
    }

    /// Runs a statement, with the error as the driver has it.
    pub(super) async fn run(
        &mut self,
        sql: &str,
        with: Parameters<'_>,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let statement = self.prepared(sql).await?;
        self.client.query(&statement, with).await
    }

    /// Runs a prepared statement. Statements that are polled together are sent together, and the
    /// server runs them one after the other, each as a transaction of its own.
    pub(super) async fn run_prepared(
        &self,
        statement: &Statement,
        with: Parameters<'_>,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        self.client.query(statement, with).await
    }

    /// Returns the rows of a statement.
    pub(super) async fn query(
        &mut self,
        sql: &str,
        with: Parameters<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        self.run(sql, with).await.map_err(refused)
    }

    /// Returns the only row of a statement.
    pub(super) async fn query_one(
        &mut self,
        sql: &str,
        with: Parameters<'_>,
    ) -> Result<Row, StoreError> {
        let mut rows = self.query(sql, with).await?;
        let none = || StoreError::Commit("the database gives no row".to_owned());
        rows.pop().ok_or_else(none)
    }

    /// Returns the first row of a statement, if it has one.
    pub(super) async fn query_opt(
        &mut self,
        sql: &str,
        with: Parameters<'_>,
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.query(sql, with).await?.into_iter().next())
    }

    /// Runs a statement and returns how many rows it has changed.
    pub(super) async fn execute(
        &mut self,
        sql: &str,
        with: Parameters<'_>,
    ) -> Result<u64, StoreError> {
        self.change(sql, with).await.map_err(refused)
    }

    /// Runs a statement and returns how many rows it has changed, with the error as the driver
    /// has it.
    pub(super) async fn change(
        &mut self,
        sql: &str,
        with: Parameters<'_>,
    ) -> Result<u64, tokio_postgres::Error> {
        let statement = self.prepared(sql).await?;
        self.client.execute(&statement, with).await
    }

    /// Begins to take rows, in the text form of `COPY`.
    pub(super) async fn rows_into(&mut self, sql: &str) -> Result<CopyInSink<Bytes>, StoreError> {
        self.client.copy_in(sql).await.map_err(refused)
    }

    /// Runs statements without parameters.
    pub(super) async fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        self.client.batch_execute(sql).await.map_err(refused)
    }
}

/// What an error of the database is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The database took another node's word that this one is gone.
    Fenced,
    /// Other nodes have to compare their logs with this server before this one writes.
    Early,
    /// It cannot be told whether the statement took effect, or it may succeed if repeated.
    Again,
    /// The database has undone it for the sake of others, and may take it next time.
    Undone,
    /// The statement itself is refused.
    Refused,
}

/// Sorts an error.
pub(super) fn trouble(error: &tokio_postgres::Error) -> Trouble {
    let Some(code) = error.code() else {
        // An error of the connection, or of the client: after it nothing is known.
        return Trouble::Again;
    };
    match code.code() {
        "SYFEN" => return Trouble::Fenced,
        "SYCMP" => return Trouble::Early,
        _ => {}
    }
    let undone = [
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
    ];
    if undone.contains(code) {
        return Trouble::Undone;
    }
    let again = [SqlState::READ_ONLY_SQL_TRANSACTION, SqlState::DISK_FULL];
    // Among them a statement that took too long. Classes: connection, operator's intervention, resources, system.
    let classes = ["08", "57", "53", "58"];
    let of_class = classes.iter().any(|class| code.code().starts_with(class));
    match of_class || again.contains(code) {
        true => Trouble::Again,
        false => Trouble::Refused,
    }
}

/// Returns an error with its cause, which the driver does not show by itself.
pub(super) fn said(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(database) => format!("{} ({})", database.message(), database.code().code()),
        None => match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

/// Returns an error of the database.
pub(super) fn refused(error: tokio_postgres::Error) -> StoreError {
    match trouble(&error) {
        Trouble::Again => StoreError::Cluster(format!("the database is away: {}", said(&error))),
        Trouble::Undone => StoreError::Cluster(format!("the database is busy: {}", said(&error))),
        Trouble::Fenced | Trouble::Early | Trouble::Refused => {
            StoreError::Database(said(&error).into())
        }
    }
}

pub(super) fn gone() -> StoreError {
    StoreError::Commit("the connection to the database is gone".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_shows_hosts_and_name_and_never_a_secret() {
        let url = "postgres://ada:hush@one:5432,two:5433/talks?sslmode=disable";
        let address = Address::parse(url).expect("a URL");
        assert_eq!(address.place(), "the database talks on one or two");
        assert!(!format!("{address:?}").contains("hush"));
        for wrong in [
            "mysql://ada:hush@one/talks",
            "postgres://ada:hush@one/talks?hush=hush",
            "postgres://ada:hush@one:port-hush/talks",
            "postgres://ada:hush@one/talks?sslmode=hush",
            "postgres://ada:hush@one/talks?sslcert=hush",
            "hush",
            "",
        ] {
            let error = Address::parse(wrong).expect_err(wrong).to_string();
            assert!(!error.contains("hush"), "{wrong}: {error}");
            assert!(error.contains("postgres://user@host"), "{error}");
        }
    }
}
