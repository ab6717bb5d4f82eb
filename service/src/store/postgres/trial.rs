// SPDX-License-Identifier: MPL-2.0

//! Lets the tests of the service run on this store: those that are written for a store in
//! a directory or in memory. A release has nothing of this.
//!
//! Where the environment names a PostgreSQL server, each directory has a database of its own
//! there, and each service without a directory a new one.

use super::Store;
use super::link::Address;
use crate::store::StoreError;
use std::path::Path;
use uuid::Uuid;

/// The variable with the URL of a database, whose name is that of another one then.
const VARIABLE: &str = "SYMBL_TEST_CLUSTER";

/// Opens the store of a directory, or a new one, if the environment asks for that.
pub(crate) fn open(directory: Option<&Path>) -> Option<Result<Store, StoreError>> {
    let server = std::env::var(VARIABLE).ok()?;
    let name = match directory {
        Some(directory) => {
            let path = directory.as_os_str().as_encoded_bytes();
            Uuid::new_v5(&Uuid::nil(), path)
        }
        None => Uuid::new_v4(),
    };
    Some(create(&server, &format!("trial_{}", name.simple())))
}

fn create(server: &str, name: &str) -> Result<Store, StoreError> {
    let address = Address::parse(server)?;
    let database = server.rsplit_once('/').map_or(server, |(host, _)| host);
    let failed = || StoreError::Cluster("no runtime".to_owned());
    // The thread of the caller may belong to another runtime.
    let made = std::thread::scope(|scope| {
        let making = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .enable_time()
                .build()
                .map_err(|_| failed())?;
            runtime.block_on(async {
                let mut link = address.connect(runtime.handle()).await?;
                // It may be there, or be made by another service at the same time.
                let _ = link.batch(&format!("CREATE DATABASE {name}")).await;
                Ok(())
            })
        });
        making.join().unwrap_or_else(|_| Err(failed()))
    });
    made.and_then(|()| Store::open(&format!("{database}/{name}")))
}
