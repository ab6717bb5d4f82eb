// SPDX-License-Identifier: MPL-2.0

//! The participants of a conversation, and its id.

use super::attribution::{User, resolve};
use super::entry::Speaker;
use super::log::OpenConversation;
use crate::ids::new_id;
use uuid::Uuid;

#[derive(Debug)]
pub(crate) struct Participants {
    id: String,
    number: i64,
    session: String,
    /// When a conversation of before a restart began.
    opened: Option<i64>,
    speakers: Vec<Speaker>,
}

impl Participants {
    /// Returns the participants of a new conversation, with a new id.
    pub(crate) fn new() -> Self {
        let number = new_id();
        Self {
            id: number.to_string(),
            number,
            session: Uuid::new_v4().to_string(),
            opened: None,
            speakers: Vec::new(),
        }
    }

    /// Returns an id for a conversation that may begin, and its session id.
    pub(crate) fn ids(&self) -> (i64, String) {
        (self.number, self.session.clone())
    }

    /// Returns the participants of a conversation of before a restart.
    pub(crate) fn restored(open: OpenConversation) -> Self {
        Self {
            id: open.id.to_string(),
            number: open.id,
            session: open.session,
            opened: Some(open.opened),
            speakers: open.members,
        }
    }

    /// Returns the conversation's id as a number, as the store has it.
    pub(crate) fn number(&self) -> i64 {
        self.number
    }

    /// Returns when a conversation of before a restart began, nanoseconds since the Unix
    /// epoch.
    pub(crate) fn opened(&self) -> Option<i64> {
        self.opened
    }

    /// Returns the conversation's id as clients of sessions know it: a random UUID.
    pub(crate) fn session(&self) -> &str {
        &self.session
    }

    /// Changes the name or the user id of a speaker.
    pub(crate) fn rename(&mut self, member: &str, name: Option<&str>, user_id: Option<&str>) {
        let known = self.speakers.iter_mut().find(|known| known.id == member);
        if let Some(known) = known {
            for (ours, given) in [(&mut known.name, name), (&mut known.user_id, user_id)] {
                if given.is_some() {
                    *ours = given.map(str::to_owned);
                }
            }
        }
    }

    /// Returns the conversation's id as text: sixteen decimal digits.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the speaker with this user id, or with this name if there is no user id.
    /// A client that gives neither is the conversation's one unknown speaker. Adds a
    /// speaker that is new, or returns `None` if there are `most` already.
    pub(crate) fn speaker(
        &mut self,
        user_id: Option<&str>,
        name: Option<&str>,
        most: usize,
    ) -> Option<Speaker> {
        let known = self.speakers.iter_mut().find(|known| match user_id {
            Some(_) => known.user_id.as_deref() == user_id,
            None => known.user_id.is_none() && known.name.as_deref() == name,
        });
        if let Some(known) = known {
            if name.is_some() {
                known.name = name.map(str::to_owned);
            }
            return Some(known.clone());
        }
        if self.speakers.len() >= most {
            return None;
        }
        let speaker = Speaker {
            id: Uuid::new_v4().to_string(),
            user_id: user_id.map(str::to_owned),
            name: name.map(str::to_owned),
        };
        self.speakers.push(speaker.clone());
        Some(speaker)
    }

    /// Returns the speaker that an event of a client means. One that is new is added, unless
    /// there are `most` already.
    pub(crate) fn resolve(&mut self, user: &User, most: usize) -> Option<Speaker> {
        resolve(&mut self.speakers, user, most)
    }

    /// Takes over speakers that were changed or added elsewhere.
    pub(crate) fn adopt(&mut self, speakers: &[Speaker]) {
        for speaker in speakers {
            match self
                .speakers
                .iter_mut()
                .find(|known| known.id == speaker.id)
            {
                Some(known) => known.clone_from(speaker),
                None => self.speakers.push(speaker.clone()),
            }
        }
    }

    /// Returns about how much memory it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let texts = |s: &Speaker| s.id.len() + length(&s.user_id) + length(&s.name);
        let speaker = |s| size_of::<Speaker>() + texts(s);
        self.id.len() + self.speakers.iter().map(speaker).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_sixteen_decimal_digits() {
        for _ in 0..1000 {
            let participants = Participants::new();
            assert_eq!(participants.id().len(), 16);
            assert!(participants.id().bytes().all(|b| b.is_ascii_digit()));
        }
    }

    #[test]
    fn a_speaker_keeps_the_id_and_two_speakers_have_two() {
        let mut participants = Participants::new();
        let mut speaker = |id, name| participants.speaker(id, name, 3).expect("a place");
        let ada = speaker(Some("ada@example.org"), Some("Ada"));
        let again = speaker(Some("ada@example.org"), None);
        assert_eq!(ada, again);
        let unknown = speaker(None, None);
        assert_ne!(ada.id, unknown.id);
        assert_eq!(unknown, speaker(None, None));
        assert_ne!(unknown.id, speaker(None, Some("Bob")).id);
    }

    #[test]
    fn no_more_speakers_than_are_allowed_but_those_always() {
        let mut participants = Participants::new();
        assert!(participants.speaker(None, Some("Ada"), 1).is_some());
        assert!(participants.speaker(None, Some("Bob"), 1).is_none());
        assert!(participants.speaker(None, Some("Ada"), 1).is_some());
    }
}
