// SPDX-License-Identifier: MPL-2.0

//! The bus over the database: `NOTIFY` and `LISTEN`.
//!
//! It announces on a connection and in a transaction of its own: inside an append it would
//! hold a lock of the whole server until the disk has the commit. All nodes hear everything,
//! so messages are put together, and packets of interims have a rate.

use super::link::Address;
use crate::conversation::bus::exchange::Exchange;
use crate::conversation::bus::outgoing::Terms;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

/// A notification of PostgreSQL has less than 8,000 bytes. Fifty of that size in a second
/// from each of six nodes were measured to slow down no append.
const TERMS: Terms = Terms {
    largest: 7_900,
    together: true,
    pace: Duration::from_millis(20),
};

/// Time until a connection that was lost is opened again.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the database may take to announce something.
const LONGEST_NOTIFY: Duration = Duration::from_secs(3);

/// Connects the bus to the database, again and again, until the store ends.
pub(super) async fn run(exchange: Arc<Exchange>, address: Address, runtime: Handle) {
    loop {
        exchange.begin();
        let why = tokio::select! {
            why = hear(&exchange, &address) => why,
            why = tell(&exchange, &address, &runtime) => why,
            () = exchange.silence() => "nothing comes through".to_owned(),
        };
        exchange.down(&why);
        sleep(PAUSE).await;
    }
}

async fn hear(exchange: &Exchange, address: &Address) -> String {
    match address.listen(|packet| exchange.heard(packet)).await {
        Ok(()) => "the connection was closed".to_owned(),
        Err(error) => error.to_string(),
    }
}

async fn tell(exchange: &Exchange, address: &Address, runtime: &Handle) -> String {
    let told = async {
        let mut link = address.connect(runtime).await?;
        // What is lost with the server is found by nodes that look themselves.
        link.batch("SET synchronous_commit = off").await?;
        loop {
            let taken = exchange.next(TERMS).await;
            let packets: Vec<String> = taken.packets.into_iter().map(|(_, text)| text).collect();
            let sql = "SELECT pg_notify('symbl', packet) FROM unnest($1::text[]) packet";
            match timeout(LONGEST_NOTIFY, link.query(sql, &[&packets])).await {
                Ok(told) => drop(told?),
                Err(_) => return Ok("the database takes too long".to_owned()),
            }
        }
    };
    told.await
        .unwrap_or_else(|error: crate::store::StoreError| error.to_string())
}
