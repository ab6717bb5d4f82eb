// SPDX-License-Identifier: MPL-2.0

//! The participants of a conversation, and its id.

use super::attribution::{User, resolve};
use super::entry::Speaker;
use super::log::OpenConversation;
use crate::ids::new_id;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use uuid::Uuid;

#[derive(Debug)]
pub(crate) struct Participants {
    id: String,
    number: i64,
    session: String,
    /// When a conversation of before a restart began.
    opened: Option<i64>,
    speakers: Vec<Speaker>,
    /// Speakers whose names are hidden, by what their clients call them. In memory only, and
    /// not as they are written.
    hidden: HashMap<u64, String>,
    keys: RandomState,
}

/// What a client calls its speaker.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Called<'a> {
    pub(crate) user_id: Option<&'a str>,
    /// The name as it is stored and told.
    pub(crate) name: Option<&'a str>,
    /// The name as the client wrote it, which tells speakers apart whose names are hidden.
    pub(crate) written: Option<&'a str>,
}

impl<'a> Called<'a> {
    /// Returns the name that the client wrote, if it alone tells the speaker from others and
    /// is hidden.
    fn hidden(&self) -> Option<&'a str> {
        let is_hidden = self.user_id.is_none() && self.written != self.name;
        self.written.filter(|_| is_hidden)
    }
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
            hidden: HashMap::new(),
            keys: RandomState::new(),
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
            hidden: HashMap::new(),
            keys: RandomState::new(),
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

    /// Returns the conversation's id as text: sixteen decimal digits.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the speaker with this user id, or with this name if there is no user id.
    /// A client that gives neither is the conversation's one unknown speaker. Adds a
    /// speaker that is new, or returns `None` if there are `most` already.
    pub(crate) fn speaker(&mut self, called: Called<'_>, most: usize) -> Option<Speaker> {
        let Called { user_id, name, .. } = called;
        let key = called.hidden().map(|written| self.keys.hash_one(written));
        let at = match key.and_then(|key| self.hidden.get(&key)) {
            Some(id) => self.speakers.iter().position(|known| known.id == *id),
            None => self.speakers.iter().position(|known| match user_id {
                Some(_) => known.user_id.as_deref() == user_id,
                None => {
                    let is_taken = || self.hidden.values().any(|id| *id == known.id);
                    known.user_id.is_none()
                        && known.name.as_deref() == name
                        && !(key.is_some() && is_taken())
                }
            }),
        };
        let speaker = match at {
            Some(at) => {
                let known = self.speakers.get_mut(at)?;
                if name.is_some() {
                    known.name = name.map(str::to_owned);
                }
                known.clone()
            }
            None if self.speakers.len() >= most => return None,
            None => {
                let speaker = Speaker {
                    id: Uuid::new_v4().to_string(),
                    user_id: user_id.map(str::to_owned),
                    name: name.map(str::to_owned),
                };
                self.speakers.push(speaker.clone());
                speaker
            }
        };
        if let Some(key) = key {
            self.hidden.insert(key, speaker.id.clone());
        }
        Some(speaker)
    }

    /// Returns the speaker with this id, as it is called now.
    pub(crate) fn by_id(&self, id: &str) -> Option<&Speaker> {
        self.speakers.iter().find(|known| known.id == id)
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
        let hidden = self.hidden.values().map(|id| size_of::<u64>() + id.len());
        self.id.len() + self.speakers.iter().map(speaker).sum::<usize>() + hidden.sum::<usize>()
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

    fn called<'a>(user_id: Option<&'a str>, name: Option<&'a str>) -> Called<'a> {
        Called {
            user_id,
            name,
            written: name,
        }
    }

    #[test]
    fn speakers_with_hidden_names_are_told_apart_and_found_after_a_restart() {
        let mut participants = Participants::new();
        let caller = |participants: &mut Participants, written| {
            let called = Called {
                user_id: None,
                name: Some("****"),
                written: Some(written),
            };
            participants.speaker(called, 3).expect("a place")
        };
        let one = caller(&mut participants, "415 555 0187");
        let two = caller(&mut participants, "415 555 0188");
        assert_eq!(one.name.as_deref(), Some("****"));
        assert_ne!(one.id, two.id);
        assert_eq!(caller(&mut participants, "415 555 0187"), one);
        assert_eq!(caller(&mut participants, "415 555 0188"), two);
        assert!(!format!("{participants:?}").contains("0187"));
        // After a restart only the log is known.
        participants.hidden.clear();
        assert_eq!(caller(&mut participants, "415 555 0188"), one);
        assert_eq!(caller(&mut participants, "415 555 0187"), two);
    }

    #[test]
    fn a_speaker_keeps_the_id_and_two_speakers_have_two() {
        let mut participants = Participants::new();
        let mut speaker = |id, name| participants.speaker(called(id, name), 3).expect("a place");
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
        assert!(participants.speaker(called(None, Some("Ada")), 1).is_some());
        assert!(participants.speaker(called(None, Some("Bob")), 1).is_none());
        assert!(participants.speaker(called(None, Some("Ada")), 1).is_some());
    }
}
