// SPDX-License-Identifier: MPL-2.0

//! Keeps groups of conversations. A group is a filter with a name: which conversations are
//! in it is found out when it is asked for.

use super::Answer;

/// Most groups of an account.
pub(crate) const MOST_GROUPS: usize = 1000;

/// A group of conversations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) id: i64,
    pub(crate) terms: GroupTerms,
}

/// What a client says about a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupTerms {
    pub(crate) name: String,
    pub(crate) description: String,
    /// A [`Filter`](super::Filter) as text.
    pub(crate) criteria: String,
}

/// Keeps the groups of all accounts. An account finds only its own.
pub(crate) trait Groups: Send + Sync {
    /// Lists the groups of an account in the order of their creation.
    fn groups(&self, account: String) -> Answer<'_, Vec<Group>>;

    /// Returns a group, if the account has it.
    fn group(&self, account: String, id: i64) -> Answer<'_, Option<Group>>;

    /// Creates groups: all of them, or none if the account would have more than
    /// [`MOST_GROUPS`].
    fn create_groups(
        &self,
        account: String,
        groups: Vec<GroupTerms>,
    ) -> Answer<'_, Option<Vec<Group>>>;

    /// Gives a group other terms. Returns `false` if the account has no such group.
    fn replace_group(&self, account: String, group: Group) -> Answer<'_, bool>;

    /// Deletes a group. Returns `false` if the account has no such group.
    fn delete_group(&self, account: String, id: i64) -> Answer<'_, bool>;
}
