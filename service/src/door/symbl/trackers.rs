// SPDX-License-Identifier: MPL-2.0

//! Reads the trackers of an account for a stream that asks for them.

use crate::conversation::hub::Hub;
use crate::trackers::{KeptTracker, TrackerError};
use std::sync::Arc;
use symbl_protocol::StartRequest;

/// Returns the account's trackers, if the request asks for them. If the store fails,
/// the stream goes on without them.
pub(crate) async fn kept(hub: &Hub, account: &str, request: &StartRequest) -> Vec<KeptTracker> {
    if !request.enable_all_trackers {
        return Vec::new();
    }
    let (store, account) = (Arc::clone(&hub.trackers), account.to_owned());
    let listed = hub.workers.run(move || store.list(&account)).await;
    let listed = listed.map_err(|error| TrackerError::Store(error.to_string()));
    listed.and_then(|listed| listed).unwrap_or_else(|error| {
        tracing::error!(%error, "a stream goes on without the account's trackers");
        Vec::new()
    })
}
