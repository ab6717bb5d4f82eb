// SPDX-License-Identifier: MPL-2.0

//! Lets a job append to a conversation that it knows by its number, over or not.

use super::{ConversationKey, Hub, SocketSlot};
use crate::clock::{ConversationClock, nanos};
use crate::conversation::form::Recipient;
use crate::conversation::log::LogError;
use crate::conversation::participants::Participants;
use crate::conversation::running::Conversation;
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Hub {
    /// Takes a slot in the conversation of this number. If it is over, it goes on, under the
    /// connection id of `key`. After a restart of the service it waits for `keep`. Returns
    /// `None` if the account has no such conversation.
    ///
    /// # Errors
    ///
    /// The log cannot be read or written.
    pub(crate) async fn join_number(
        self: &Arc<Self>,
        number: i64,
        key: &ConversationKey,
        recipient: &Recipient,
        keep: Duration,
    ) -> Result<Option<SocketSlot>, LogError> {
        loop {
            let live = self.live(&key.account, number);
            let key = match live {
                Some(live) => live.key.clone(),
                None => match self.reopen(number, key, keep).await? {
                    true => key.clone(),
                    false => return Ok(None),
                },
            };
            let slot = self.join(&key, recipient.clone(), false).await;
            if slot.conversation.number == number {
                return Ok(Some(slot));
            }
            // It was over just then, and this has begun another one.
            slot.leave(super::Leave::Finished);
        }
    }

    /// Returns the conversation with this number, while sockets may join it.
    fn live(&self, account: &str, number: i64) -> Option<Arc<Conversation>> {
        let is_meant = |conversation: &&Arc<Conversation>| {
            conversation.key.account == account && conversation.number == number
        };
        let found = self.conversations().values().find(is_meant).cloned()?;
        let is_live = found.state().is_live();
        is_live.then_some(found)
    }

    /// Takes up a conversation that is over. Returns `false` if the account has none such.
    async fn reopen(
        self: &Arc<Self>,
        number: i64,
        key: &ConversationKey,
        keep: Duration,
    ) -> Result<bool, LogError> {
        let wall = self.wall.now();
        let ends = wall.saturating_add(nanos(keep));
        let log = Arc::clone(&self.log);
        let reopened = self.workers.run(move || log.reopen(number, ends)).await;
        let open = match reopened {
            Ok(open) => open?,
            Err(undone) => return Err(LogError(undone.to_string())),
        };
        let Some(open) = open.filter(|open| open.account == key.account) else {
            return Ok(false);
        };
        let latest = open.latest.max(open.zero).unwrap_or(0);
        let clock = ConversationClock::begin(wall.max(latest));
        let head = open.head;
        let (log, participants) = (Arc::clone(&self.log), Participants::restored(open));
        let conversation = Conversation::behind(key.clone(), participants, log, clock, head);
        let conversation = Arc::new(conversation);
        conversation
            .state()
            .await_any_speaker(Instant::now() + keep, keep);
        let replaced = self
            .conversations()
            .insert(key.clone(), Arc::clone(&conversation));
        if let Some(replaced) = replaced {
            self.retire(&replaced);
        }
        self.close_after(keep, &conversation);
        Ok(true)
    }
}
