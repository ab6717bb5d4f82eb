// SPDX-License-Identifier: MPL-2.0

//! Decides which entry of a conversation is sent next: see [`symbl_log::teller`].

use super::entry::Entry;
use symbl_log::teller::{self, Numbered};

pub(crate) type Item = teller::Item<Entry>;
pub(crate) type Next = teller::Next<Entry>;
pub(crate) type Teller = teller::Teller<Entry>;

impl Numbered for Entry {
    fn seq(&self) -> u64 {
        self.seq
    }

    fn bytes(&self) -> usize {
        self.bytes()
    }
}
