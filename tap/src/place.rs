// SPDX-License-Identifier: MPL-2.0

//! Knows which message of the conversation was shown last, so that a new connection goes
//! on exactly there.
//!
//! The service numbers finals. Everything that was found in a final comes behind its
//! `message_response`, in an order that is always the same. A connection may be lost
//! between those messages. So the place is the number of the last final and how many of
//! its messages were shown; after a loss the messages of that final are asked for once
//! more, and the first ones are left out.
//!
//! There is no I/O here, and nothing is kept but these numbers.

use symbl_protocol::ServerMessage;

/// The place in a conversation.
#[derive(Debug, Default)]
pub struct Place {
    conversation: Option<String>,
    /// Sequence number of the last final, or -1. `None` if the service does not say where
    /// a subscriber comes in, so that nothing can be asked for later.
    number: Option<i64>,
    /// How many messages of that final were shown.
    shown: u64,
    /// How many of them will come once more.
    again: u64,
}

/// What a connection begins with.
#[derive(Debug, PartialEq, Eq)]
pub enum Begun {
    /// The conversation that the place is in.
    Here,
    /// Another conversation, which has the same connection id.
    Another,
}

impl Place {
    /// Returns the place before the first final of a conversation that is not known yet.
    pub fn unknown() -> Self {
        Self {
            number: Some(-1),
            ..Self::default()
        }
    }

    /// Takes what a service says first. `last` is the sequence number of the last final so
    /// far.
    pub fn begin(&mut self, conversation: Option<String>, last: Option<i64>) -> Begun {
        match (&self.conversation, conversation) {
            (Some(own), Some(new)) if *own != new => Begun::Another,
            (Some(_), _) => Begun::Here,
            (None, new) => {
                self.conversation = new;
                let last = last.filter(|_| self.conversation.is_some());
                // Where everything was asked for, nothing came before.
                self.number = last.and(self.number.or(last));
                Begun::Here
            }
        }
    }

    /// Returns the conversation, if what was missed in it can be asked for.
    pub fn conversation(&self) -> Option<&str> {
        self.number.and(self.conversation.as_deref())
    }

    /// Prepares for another connection. Returns the sequence number of the final after
    /// which it has to begin, or `None` if the service cannot be asked for that.
    pub fn resume(&mut self) -> Option<i64> {
        let number = self.number?;
        self.again = self.shown;
        // The last final comes whole once more.
        Some(if self.shown > 0 { number - 1 } else { number })
    }

    /// Returns `true` if a message was not shown yet. It counts as shown from then on.
    pub fn is_new(&mut self, message: &ServerMessage) -> bool {
        let number = match message {
            ServerMessage::MessageResponse {
                sequence_number, ..
            } => sequence_number.and_then(|number| i64::try_from(number).ok()),
            ServerMessage::InsightResponse { .. }
            | ServerMessage::TopicResponse { .. }
            | ServerMessage::TrackerResponse { is_final: true, .. }
            | ServerMessage::EntityResponse { .. } => None,
            // Interims and all else are in no log.
            _ => return true,
        };
        if let Some(number) = number {
            if self.number != Some(number) {
                // If the service has forgotten the last final, all that comes is new.
                self.again = 0;
                self.shown = 0;
            }
            if self.number.is_some() {
                self.number = Some(number);
            }
        }
        if self.again > 0 {
            self.again -= 1;
            return false;
        }
        self.shown += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(number: u64) -> ServerMessage {
        ServerMessage::MessageResponse {
            messages: Vec::new(),
            sequence_number: Some(number),
        }
    }

    fn topics() -> ServerMessage {
        ServerMessage::TopicResponse { topics: Vec::new() }
    }

    fn trackers(is_final: bool) -> ServerMessage {
        ServerMessage::TrackerResponse {
            matches: Vec::new(),
            is_final,
            sequence_number: None,
        }
    }

    /// Returns the messages of finals 0 to 5 in the order of the log, each with the number of
    /// its final.
    fn log() -> Vec<(i64, ServerMessage)> {
        let finals = (0..6u64).map(|number| {
            let mut all = vec![said(number)];
            all.extend((0..number % 3).map(|_| topics()));
            all.extend((number % 2 == 1).then(|| trackers(true)));
            all.into_iter().map(move |message| (number as i64, message))
        });
        finals.flatten().collect()
    }

    #[test]
    fn wherever_connections_are_lost_each_message_is_shown_once_and_in_order() {
        let log = log();
        for first in 0..=log.len() {
            for second in 0..=log.len() {
                let mut place = Place::default();
                let begun = place.begin(Some("c".to_owned()), Some(-1));
                assert_eq!(begun, Begun::Here);
                let mut shown = Vec::new();
                let mut from = -1;
                for length in [first, second, usize::MAX] {
                    let sent = log
                        .iter()
                        .enumerate()
                        .filter(|(_, (number, _))| *number > from);
                    for (index, (_, message)) in sent.take(length) {
                        if place.is_new(message) {
                            shown.push(index);
                        }
                        // An interim may come at any time.
                        assert!(place.is_new(&trackers(false)));
                    }
                    from = place.resume().expect("a number");
                    let again = place.begin(Some("c".to_owned()), Some(5));
                    assert_eq!(again, Begun::Here);
                }
                let all: Vec<usize> = (0..log.len()).collect();
                assert_eq!(shown, all, "lost after {first} and {second}");
            }
        }
    }

    #[test]
    fn one_that_comes_in_later_asks_for_what_follows_also_before_it_has_seen_anything() {
        let mut place = Place::default();
        place.begin(Some("c".to_owned()), Some(41));
        assert_eq!(place.resume(), Some(41));
        assert!(place.is_new(&said(42)));
        assert_eq!(place.resume(), Some(41));
        assert!(!place.is_new(&said(42)));
        assert!(place.is_new(&topics()));
    }

    #[test]
    fn without_a_number_nothing_is_asked_for_and_nothing_left_out() {
        let mut place = Place::default();
        place.begin(Some("c".to_owned()), None);
        for _ in 0..2 {
            assert!(place.is_new(&said(0)));
            assert!(place.is_new(&topics()));
            assert_eq!(place.resume(), None);
            assert_eq!(place.conversation(), None);
        }
    }

    #[test]
    fn a_final_that_the_service_has_forgotten_hides_no_other() {
        let mut place = Place::default();
        place.begin(Some("c".to_owned()), Some(2));
        assert!(place.is_new(&said(3)));
        assert!(place.is_new(&topics()));
        assert_eq!(place.resume(), Some(2));
        assert!(place.is_new(&said(9)));
        assert!(place.is_new(&topics()));
    }

    #[test]
    fn another_conversation_with_the_same_connection_id_is_noticed() {
        let mut place = Place::default();
        place.begin(Some("c".to_owned()), Some(2));
        assert_eq!(place.begin(Some("d".to_owned()), Some(7)), Begun::Another);
        assert_eq!(place.conversation(), Some("c"));
        assert_eq!(place.begin(None, None), Begun::Here);
        // The other one is shown from its first final on.
        let mut place = Place::unknown();
        assert_eq!(place.resume(), Some(-1));
        assert_eq!(place.begin(Some("d".to_owned()), Some(7)), Begun::Here);
        assert_eq!(place.conversation(), Some("d"));
        assert_eq!(place.resume(), Some(-1));
    }
}
