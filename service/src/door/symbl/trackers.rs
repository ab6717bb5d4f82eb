// SPDX-License-Identifier: MPL-2.0

//! The trackers that a stream looks for: those of its request, and those of its account.

use crate::conversation::hub::Hub;
use crate::trackers::{KeptTracker, TrackerError};
use std::sync::Arc;
use symbl_protocol::{StartRequest, Tracker};

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

/// Returns the trackers that a request asks for, and name and id of those that come
/// from the account. A tracker of the request replaces one of the account with the
/// same name.
pub(crate) fn wanted(
    kept: Vec<KeptTracker>,
    request: &StartRequest,
) -> (Vec<Tracker>, Vec<(String, String)>) {
    let (mut trackers, mut ids) = (request.trackers.clone(), Vec::new());
    for tracker in kept {
        if !request.trackers.iter().any(|own| own.name == tracker.name) {
            ids.push((tracker.name.clone(), tracker.id));
            trackers.push(Tracker {
                name: tracker.name,
                vocabulary: tracker.vocabulary,
            });
        }
    }
    (trackers, ids)
}
