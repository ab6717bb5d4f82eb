// SPDX-License-Identifier: MPL-2.0

//! Reads what was said in a conversation from its beginning to its end, part by part, for
//! answers that are computed when they are asked for.

use crate::store::{Records, Sentence, StoreError, Whose};

/// What is known of a conversation besides what was said.
pub(crate) struct Read {
    /// When the first audio came, nanoseconds since the Unix epoch.
    pub(crate) start: i64,
}

/// Gives `begin` the start of the conversation, and what that returns gets each message in
/// the order of the log. Holds one part at a time. Returns `None` if the account has no such
/// conversation.
pub(crate) async fn read<T>(
    records: &dyn Records,
    whose: Whose,
    begin: impl FnOnce(Read) -> T,
    mut visit: impl FnMut(&mut T, Sentence),
) -> Result<Option<T>, StoreError> {
    let Some(transcript) = records.transcript(whose).await? else {
        return Ok(None);
    };
    let mut result = begin(Read {
        start: transcript.start,
    });
    let mut part = transcript.first;
    loop {
        for sentence in part.sentences {
            visit(&mut result, sentence);
        }
        match part.rest {
            Some(rest) => part = rest.next().await?,
            None => return Ok(Some(result)),
        }
    }
}
