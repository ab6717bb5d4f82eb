// SPDX-License-Identifier: MPL-2.0

//! Ids that the service makes. They have sixteen decimal digits, like those of the
//! Conversation API.

use uuid::Uuid;

/// The smallest id, so that all have sixteen digits.
const FIRST: u128 = 1_000_000_000_000_000;

/// Returns a random id.
pub(crate) fn new_id() -> i64 {
    id_of(Uuid::new_v4())
}

/// Returns the id of a topic of a conversation. It is always the same for the same text.
pub(crate) fn topic_id(conversation: i64, text: &str) -> i64 {
    let name = format!("{conversation}/topic/{text}");
    id_of(Uuid::new_v5(&Uuid::nil(), name.as_bytes()))
}

fn id_of(uuid: Uuid) -> i64 {
    let id = FIRST + uuid.as_u128() % (9 * FIRST);
    i64::try_from(id).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_sixteen_digits() {
        for n in 0..1000 {
            assert_eq!(new_id().to_string().len(), 16);
            assert_eq!(topic_id(n, "a").to_string().len(), 16);
        }
    }

    #[test]
    fn a_topic_has_one_id_in_each_conversation() {
        assert_eq!(topic_id(1, "budget"), topic_id(1, "budget"));
        assert_ne!(topic_id(1, "budget"), topic_id(2, "budget"));
        assert_ne!(topic_id(1, "budget"), topic_id(1, "plan"));
    }
}
