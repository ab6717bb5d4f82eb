// SPDX-License-Identifier: MPL-2.0

//! Corrections of messages, which are entries of the log.

use super::entries::body_in;
use crate::conversation::entry::Body;

/// SQL for the body of the last correction of the message `m`, of those that were written
/// until `?2`. [`corrected`] reads it. The log keeps what was said, and every correction.
/// Without the `+`, SQLite would compare with the affinity of the column, not use the index
/// `entry_corrects`, and look through the whole log for each message.
pub(super) const CORRECTION: &str = "(SELECT body FROM entry e WHERE e.kind = 'sent'
    AND e.conversation = m.conversation
    AND json_extract(e.body, '$.entry.sent.corrects') = +m.id AND e.at <= ?2
    ORDER BY e.seq DESC LIMIT 1)";

/// Returns the text of a correction.
pub(in crate::store) fn corrected(body: Option<String>) -> Option<String> {
    match body_in(&body?)? {
        Body::Sent(sent) => Some(sent.text),
        _ => None,
    }
}
