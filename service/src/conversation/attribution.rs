// SPDX-License-Identifier: MPL-2.0

//! Who said what in audio with several speakers, by events of a client that knows who spoke
//! when. Pure.
//!
//! Events become turns: times in which a user spoke. A piece of speech belongs to the user
//! whose turns cover most of the time of its words. Turns may overlap; of two users that cover
//! the same time, the one that began later has it.

use super::entry::Speaker;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use symbl_protocol::timestamp::parse_rfc3339;
use uuid::Uuid;

/// Most turns that are remembered. The earliest are forgotten.
const MOST_TURNS: usize = 20_000;

const SECOND: u64 = 1_000_000_000;

/// Somebody who speaks, as a client names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct User {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
}

/// The time of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// Nanoseconds of audio.
    Offset(u64),
    /// Nanoseconds since the Unix epoch.
    Wall(i64),
    /// When the event came.
    Now,
}

/// A user starts or stops speaking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpeakerEvent {
    pub(crate) starts: bool,
    pub(crate) user: User,
    pub(crate) at: At,
}

impl SpeakerEvent {
    /// Reads an event as clients write it, or returns what is wrong with it. `longest` bounds
    /// texts, in bytes.
    pub(crate) fn read(sent: &Value, longest: usize) -> Result<Self, String> {
        let starts = match sent["type"].as_str() {
            Some("started_speaking") => true,
            Some("stopped_speaking") => false,
            _ => return Err("`type` must be `started_speaking` or `stopped_speaking`".to_owned()),
        };
        let text = |names: &[&str]| {
            let given = names.iter().map(|name| &sent["user"][name]);
            match given.into_iter().find(|value| !value.is_null()) {
                None => Ok(None),
                Some(Value::String(text)) if text.is_empty() => Ok(None),
                Some(Value::String(text)) if text.len() <= longest => Ok(Some(text.clone())),
                Some(_) => Err(format!(
                    "`user.{}` must be a text of at most {longest} bytes",
                    names.first().unwrap_or(&"")
                )),
            }
        };
        let user = User {
            id: text(&["id"])?,
            name: text(&["name"])?,
            email: text(&["email", "userId"])?,
        };
        if user == User::default() {
            return Err("`user` must have an `id`, a `name` or an `email`".to_owned());
        }
        let at = at(sent)?;
        Ok(Self { starts, user, at })
    }
}

/// Reads the time of an event: `offset` with `seconds` and `nanos`, or `timestamp`.
fn at(sent: &Value) -> Result<At, String> {
    let wrong = "`offset` must have `seconds`, `nanos` or both, as numbers from 0";
    match (&sent["offset"], &sent["timestamp"]) {
        (Value::Null, Value::Null) => Ok(At::Now),
        (Value::Null, timestamp) => timestamp
            .as_str()
            .and_then(parse_rfc3339)
            .map(At::Wall)
            .ok_or_else(|| "`timestamp` must be a time in RFC 3339".to_owned()),
        (offset @ Value::Object(_), _) => {
            let number = |name: &str| match &offset[name] {
                Value::Null => Some(0.0),
                value => value.as_f64().filter(|number| (0.0..1e18).contains(number)),
            };
            let (Some(seconds), Some(nanos)) = (number("seconds"), number("nanos")) else {
                return Err(wrong.to_owned());
            };
            // A value that is too large becomes the largest number.
            let seconds = (seconds * SECOND as f64) as u64;
            Ok(At::Offset(seconds.saturating_add(nanos as u64)))
        }
        _ => Err(wrong.to_owned()),
    }
}

/// A time in which a user spoke, in nanoseconds of audio.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Turn {
    /// Index of the user.
    user: usize,
    from: u64,
    /// The largest number while it goes on.
    until: u64,
}

/// Who spoke when.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns {
    users: Vec<User>,
    /// In the order of their begins.
    turns: Vec<Turn>,
    /// The latest end of a turn and of all before it.
    latest: Vec<u64>,
}

/// The turns of a stream: its socket adds events, and its worker asks who has spoken.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedTurns(Arc<Mutex<Turns>>);

impl SharedTurns {
    /// Takes an event into account; see [`Turns::add`].
    pub(crate) fn add(&self, at: u64, event: &SpeakerEvent) -> u64 {
        self.lock().add(at, event)
    }

    /// Returns the turns as they are now.
    pub(crate) fn now(&self) -> Turns {
        self.lock().clone()
    }

    /// Returns the user that speech belongs to; see [`Turns::owner`].
    pub(crate) fn owner(&self, words: impl IntoIterator<Item = (u64, u64)>) -> Option<User> {
        let turns = self.lock();
        let owner = turns.owner(words)?;
        turns.users.get(owner).cloned()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().turns.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns {
    /// Returns the users, in the order in which they came.
    pub(crate) fn users(&self) -> &[User] {
        &self.users
    }

    /// Returns the turns of these events, each with its time. They need no order.
    pub(crate) fn of(mut events: Vec<(u64, SpeakerEvent)>) -> Self {
        events.sort_by_key(|(at, _)| *at);
        let mut turns = Self::default();
        // The turn of each user that goes on.
        let mut open: HashMap<usize, usize> = HashMap::new();
        for (at, event) in events {
            let user = turns.user(&event.user);
            if event.starts {
                // A user that starts again goes on.
                open.entry(user).or_insert_with(|| {
                    let until = u64::MAX;
                    turns.turns.push(Turn {
                        user,
                        from: at,
                        until,
                    });
                    turns.turns.len() - 1
                });
            } else if let Some(turn) = open.remove(&user).and_then(|at| turns.turns.get_mut(at)) {
                turn.until = at;
            }
        }
        turns.index();
        turns
    }

    /// Takes an event at this time into account. Returns when its turn began, from which on
    /// speech may belong to another user now.
    pub(crate) fn add(&mut self, at: u64, event: &SpeakerEvent) -> u64 {
        let user = self.user(&event.user);
        let open = self.turns.iter().rposition(|turn| turn.user == user);
        let open = open.filter(|open| self.turns.get(*open).is_some_and(|t| t.until == u64::MAX));
        let mut since = at;
        match (event.starts, open) {
            (true, None) => {
                let until = u64::MAX;
                let place = self.turns.partition_point(|turn| turn.from <= at);
                self.turns.insert(
                    place,
                    Turn {
                        user,
                        from: at,
                        until,
                    },
                );
            }
            (false, Some(open)) => {
                if let Some(turn) = self.turns.get_mut(open) {
                    since = turn.from;
                    turn.until = at.max(turn.from);
                }
            }
            (true, Some(_)) | (false, None) => {}
        }
        if self.turns.len() > MOST_TURNS {
            self.turns.remove(0);
        }
        self.index();
        since
    }

    fn user(&mut self, user: &User) -> usize {
        let is_it = |known: &User| match (&known.id, &user.id) {
            (Some(known), Some(id)) => known == id,
            _ => known == user,
        };
        self.users.iter().position(is_it).unwrap_or_else(|| {
            self.users.push(user.clone());
            self.users.len() - 1
        })
    }

    fn index(&mut self) {
        let mut latest = 0;
        let ends = self.turns.iter().map(|turn| {
            latest = turn.until.max(latest);
            latest
        });
        self.latest = ends.collect();
    }

    /// Returns the index of the user that speech belongs to, given the times of its words, or
    /// `None` if nobody is known to have spoken in them.
    pub(crate) fn owner(&self, words: impl IntoIterator<Item = (u64, u64)>) -> Option<usize> {
        // How much each user covers, and when its turn began.
        let mut covered: HashMap<usize, (u64, u64)> = HashMap::new();
        for (start, end) in words {
            // A word without a length still is somewhere.
            let end = end.max(start.saturating_add(1));
            let begun = self.turns.partition_point(|turn| turn.from < end);
            for (turn, latest) in self.turns.iter().zip(&self.latest).take(begun).rev() {
                if *latest <= start {
                    break;
                }
                let common = turn.until.min(end).saturating_sub(turn.from.max(start));
                if common > 0 {
                    let (sum, from) = covered.entry(turn.user).or_default();
                    *sum = sum.saturating_add(common);
                    *from = turn.from.max(*from);
                }
            }
        }
        let most = covered
            .into_iter()
            .max_by_key(|(user, (sum, from))| (*sum, *from, *user));
        most.map(|(user, _)| user)
    }
}

/// Returns which of the speakers a user is. One that is new is added, unless there are `most`
/// already. A name or an address that the user has is taken over.
pub(crate) fn resolve(speakers: &mut Vec<Speaker>, user: &User, most: usize) -> Option<Speaker> {
    let by = |is_it: &dyn Fn(&Speaker) -> bool| speakers.iter().position(is_it);
    let known = user
        .id
        .as_deref()
        .and_then(|id| by(&|speaker| speaker.id == id))
        .or_else(|| {
            let email = user.email.as_deref()?;
            by(&|speaker| speaker.user_id.as_deref() == Some(email))
        })
        .or_else(|| {
            let name = user
                .name
                .as_deref()
                .filter(|_| user.id.is_none() && user.email.is_none())?;
            by(&|speaker| speaker.name.as_deref() == Some(name))
        });
    if let Some(speaker) = known.and_then(|at| speakers.get_mut(at)) {
        for (ours, given) in [
            (&mut speaker.name, &user.name),
            (&mut speaker.user_id, &user.email),
        ] {
            if given.is_some() {
                ours.clone_from(given);
            }
        }
        return Some(speaker.clone());
    }
    if speakers.len() >= most {
        return None;
    }
    let speaker = Speaker {
        id: user
            .id
            .clone()
            .unwrap_or_else(|| Uuid::new_v4().to_string()),
        user_id: user.email.clone(),
        name: user.name.clone(),
    };
    speakers.push(speaker.clone());
    Some(speaker)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn user(name: &str) -> User {
        User {
            name: Some(name.to_owned()),
            ..User::default()
        }
    }

    fn event(starts: bool, name: &str, at: u64) -> (u64, SpeakerEvent) {
        let (user, when) = (user(name), At::Offset(at));
        let at_ = when;
        (
            at,
            SpeakerEvent {
                starts,
                user,
                at: at_,
            },
        )
    }

    fn owner(turns: &Turns, words: &[(u64, u64)]) -> Option<String> {
        let user = turns.owner(words.iter().copied())?;
        turns.users()[user].name.clone()
    }

    #[test]
    fn speech_belongs_to_the_user_that_covers_most_of_its_words() {
        let turns = Turns::of(vec![
            event(false, "bob", 200),
            event(true, "ada", 0),
            event(false, "ada", 100),
            event(true, "bob", 80),
            event(true, "eve", 500),
            event(false, "eve", 400),
        ]);
        for (words, expected) in [
            (&[(0, 50)][..], Some("ada")),
            (&[(60, 110)], Some("ada")),
            (&[(60, 70), (90, 140)], Some("bob")),
            (&[(80, 100)], Some("bob")),
            (&[(199, 300)], Some("bob")),
            (&[(200, 300)], None),
            (&[(90, 90)], Some("bob")),
            (&[(450, 600)], Some("eve")),
            (&[(1 << 40, 1 << 41)], Some("eve")),
            (&[], None),
        ] {
            assert_eq!(owner(&turns, words).as_deref(), expected, "{words:?}");
        }
    }

    #[test]
    fn a_long_turn_is_found_behind_many_short_ones() {
        let mut events = vec![event(true, "ada", 0)];
        for n in 1..1000 {
            events.push(event(true, "bob", n * 10));
            events.push(event(false, "bob", n * 10 + 1));
        }
        let turns = Turns::of(events);
        assert_eq!(owner(&turns, &[(9_995, 10_000)]).as_deref(), Some("ada"));
        assert_eq!(owner(&turns, &[(50, 51)]).as_deref(), Some("bob"));
    }

    #[test]
    fn events_that_come_one_by_one_are_the_same_turns() {
        let mut turns = Turns::default();
        let mut add = |starts, name: &str, at| turns.add(at, &event(starts, name, at).1);
        assert_eq!(add(true, "ada", 10), 10);
        assert_eq!(add(true, "ada", 20), 20, "ada goes on");
        assert_eq!(add(true, "bob", 40), 40);
        assert_eq!(add(false, "ada", 50), 10);
        assert_eq!(add(false, "ada", 60), 60, "ada does not speak");
        assert_eq!(add(true, "eve", 5), 5, "it comes late");
        assert_eq!(add(false, "eve", 8), 5);
        for (words, expected) in [((5, 8), "eve"), ((10, 50), "ada"), ((50, 60), "bob")] {
            assert_eq!(
                owner(&turns, &[words]).as_deref(),
                Some(expected),
                "{words:?}"
            );
        }
        for n in 0..MOST_TURNS as u64 {
            turns.add(100 + 2 * n, &event(true, "max", 0).1);
            turns.add(101 + 2 * n, &event(false, "max", 0).1);
        }
        assert_eq!(turns.turns.len(), MOST_TURNS);
    }

    #[test]
    fn an_event_is_read_as_it_is_documented_or_said_to_be_wrong() {
        let sent = json!({"type": "started_speaking", "user": {"id": "7", "name": "Derek",
            "email": "d@example.com"}, "offset": {"seconds": 1, "nanos": 5_000_000_000_u64}});
        let event = SpeakerEvent::read(&sent, 99).unwrap();
        assert_eq!((event.starts, event.at), (true, At::Offset(6 * SECOND)));
        assert_eq!(event.user.email.as_deref(), Some("d@example.com"));
        let sent = json!({"type": "stopped_speaking", "user": {"userId": "a"},
            "timestamp": "1970-01-01T00:00:01Z"});
        let event = SpeakerEvent::read(&sent, 99).unwrap();
        assert_eq!((event.starts, event.at), (false, At::Wall(1_000_000_000)));
        let user = json!({"name": "a"});
        for (sent, says) in [
            (json!(1), "`type` must be"),
            (json!({"type": "started", "user": user}), "`type` must be"),
            (json!({"type": "started_speaking"}), "`user` must have"),
            (
                json!({"type": "started_speaking", "user": {"name": ""}}),
                "`user` must have",
            ),
            (
                json!({"type": "started_speaking", "user": {"name": 1}}),
                "`user.name` must be",
            ),
            (
                json!({"type": "started_speaking", "user": {"email": "x".repeat(100)}}),
                "`user.email` must be a text of at most 99 bytes",
            ),
            (
                json!({"type": "started_speaking", "user": user, "offset": 1}),
                "`offset` must",
            ),
            (
                json!({"type": "started_speaking", "user": user, "offset": {"seconds": -1}}),
                "`offset` must",
            ),
            (
                json!({"type": "started_speaking", "user": user, "timestamp": "now"}),
                "`timestamp` must",
            ),
        ] {
            let refused = SpeakerEvent::read(&sent, 99).unwrap_err();
            assert!(refused.contains(says), "{sent}: {refused}");
        }
    }

    #[test]
    fn a_user_is_the_speaker_with_its_id_or_address_or_name_or_a_new_one() {
        let mut speakers = vec![Speaker {
            id: "m1".to_owned(),
            user_id: Some("ada@example.org".to_owned()),
            name: None,
        }];
        let all = |id: Option<&str>, name: Option<&str>, email: Option<&str>| User {
            id: id.map(str::to_owned),
            name: name.map(str::to_owned),
            email: email.map(str::to_owned),
        };
        let mut resolve = |user: User| resolve(&mut speakers, &user, 3).map(|one| one.id);
        let m1 = Some("m1".to_owned());
        assert_eq!(resolve(all(Some("m1"), Some("Ada"), None)), m1);
        assert_eq!(resolve(all(Some("9"), None, Some("ada@example.org"))), m1);
        assert_eq!(
            resolve(all(None, Some("Ada"), None)),
            m1,
            "it has the name now"
        );
        assert_eq!(
            resolve(all(Some("7"), Some("Ada"), None)),
            Some("7".to_owned())
        );
        let bob = resolve(all(None, Some("Bob"), None));
        assert_eq!(resolve(all(None, Some("Bob"), None)), bob);
        assert_eq!(
            resolve(all(Some("8"), None, None)),
            None,
            "three are enough"
        );
    }
}
