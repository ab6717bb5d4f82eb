// SPDX-License-Identifier: MPL-2.0

//! The waits of the streaming thread on its connection: for room, and at the end of the
//! stream for the last results.
//!
//! A flush or a deactivated pad, together with [`Connection::interrupt`], ends a wait. So does
//! a reason of the element's own. An element must call these functions without a lock that a
//! state change needs.

use super::SymblElement;
use gst::prelude::*;
use symbl_client::transport::{Connection, Waited};

/// Waits until there is room for a buffer, as long as `may_wait` returns `true`. Returns `true`
/// if room is scarce, so that the next buffer has to ask again.
pub(crate) fn wait_for_room(
    element: &impl SymblElement,
    may_wait: impl Fn(&gst::Pad) -> bool,
) -> bool {
    let feed = element.feed();
    let Some(connection) = feed.connection() else {
        feed.set_gated(false);
        return false;
    };
    if !connection.has_room() {
        wait(element, &connection, may_wait, Connection::wait_for_room);
    }
    let gated = !connection.has_much_room();
    feed.set_gated(gated);
    gated
}

/// Waits at the end of the stream until all audio is sent, and the last results have come or
/// the wait for them is over.
pub(crate) fn drain(element: &impl SymblElement) {
    if let Some(connection) = element.life().connection() {
        connection.end_of_stream();
        wait(
            element,
            &connection,
            |_| true,
            Connection::wait_until_settled,
        );
    }
}

/// Returns `true` if a pad is flushing or deactivated.
pub(crate) fn is_flushing(pad: &gst::Pad) -> bool {
    pad.pad_flags().contains(gst::PadFlags::FLUSHING)
}

/// Calls `wait` until it is done, the pad is flushing or `may_wait` returns `false`.
fn wait(
    element: &impl SymblElement,
    connection: &Connection,
    may_wait: impl Fn(&gst::Pad) -> bool,
    wait: impl Fn(&Connection, u64) -> Waited,
) {
    loop {
        // The order matters: a pad is flushing before the wait is interrupted.
        let known = connection.interruptions();
        let pad = element.audio_pad();
        if is_flushing(pad) || !may_wait(pad) || wait(connection, known) == Waited::Done {
            return;
        }
    }
}
