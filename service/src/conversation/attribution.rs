// SPDX-License-Identifier: MPL-2.0

//! Who said what in audio with several speakers, by events of a client that knows who spoke
//! when. Pure, but for [`SharedTurns`], in which a socket waits for its worker.
//!
//! Events become turns: times in which a user spoke. A piece of speech belongs to the user
//! whose turns cover most of the time of its words. Turns may overlap; of two users that cover
//! the same time, the one that began later has it.

use super::entry::Speaker;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use symbl_protocol::timestamp::parse_rfc3339;
use tokio::sync::watch;
use uuid::Uuid;

/// Most turns of a stream that are remembered. The earliest are forgotten.
const MOST_TURNS: usize = 4096;

const SECOND: u64 = 1_000_000_000;

/// Messages that were said by another speaker than entries before have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attribution {
    pub(crate) speaker: Speaker,
    /// Ids of messages.
    pub(crate) messages: Vec<i64>,
}

/// A speaker, as a client names it.
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

/// The turns of a stream: its socket adds events, and its worker asks for speakers.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedTurns(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    turns: Mutex<Turns>,
    /// Odd while a final is given to its speakers and appended to the log.
    given: watch::Sender<u64>,
}

/// A final is being given to its speakers until this is dropped.
#[derive(Debug)]
pub(crate) struct Giving(SharedTurns);

impl Drop for Giving {
    fn drop(&mut self) {
        self.0.0.given.send_modify(|given| *given += 1);
    }
}

impl SharedTurns {
    /// Takes events at these times into account. Returns from when on speech may belong to
    /// another user now.
    pub(crate) fn add(&self, events: &[(u64, SpeakerEvent)]) -> u64 {
        let mut turns = self.lock();
        let since = events.iter().map(|(at, event)| turns.add(*at, event));
        let since = since.min().unwrap_or(u64::MAX);
        turns.index();
        since
    }

    /// Begins to give a final to its speakers. Keep what this returns until it is in the log.
    pub(crate) fn give(&self) -> Giving {
        self.0.given.send_modify(|given| *given += 1);
        Giving(self.clone())
    }

    /// Waits until a final is in the log that may be given to its speakers by the turns from
    /// before the last events. Finals that come later know these events.
    pub(crate) async fn given(&self) {
        let mut given = self.0.given.subscribe();
        let seen = *given.borrow();
        if seen % 2 == 1 {
            // Fails only without a sender, and this has one.
            let _ = given.wait_for(|given| *given > seen).await;
        }
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
        let turns = &self.0.turns;
        turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns {
    /// Returns the users, in the order in which they came.
    pub(crate) fn users(&self) -> &[User] {
        &self.users
    }

    /// Gives the users the names and addresses of these speakers, by their ids.
    pub(crate) fn call(&mut self, speaker: impl Fn(&str) -> Option<Speaker>) {
        for user in &mut self.users {
            if let Some(now) = user.id.as_deref().and_then(&speaker) {
                (user.name, user.email) = (now.name, now.user_id);
            }
        }
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

    /// Takes an event at this time into account, before the next [`index`](Self::index).
    /// Returns when its turn began, from which on speech may belong to another user now.
    fn add(&mut self, at: u64, event: &SpeakerEvent) -> u64 {
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
    /// `None` if no user spoke in them.
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

/// The users of turns as members of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Joined {
    /// Each user, in their order.
    pub(crate) speakers: Vec<Speaker>,
    /// Members from before that have another name or address now.
    pub(crate) renamed: Vec<Speaker>,
    /// Members that were none before.
    pub(crate) new: Vec<Speaker>,
}

/// Makes the users members of a conversation that has the members `known`. Returns `None` if it
/// would have more than `most`.
pub(crate) fn join(known: Vec<Speaker>, users: &[User], most: usize) -> Option<Joined> {
    let mut after = known.clone();
    let resolved = users.iter().map(|user| resolve(&mut after, user, most));
    let resolved: Vec<Speaker> = resolved.collect::<Option<_>>()?;
    let before: HashMap<&str, &Speaker> = known.iter().map(|one| (one.id.as_str(), one)).collect();
    let mut joined = Joined::default();
    for speaker in &after {
        match before.get(speaker.id.as_str()) {
            None => joined.new.push(speaker.clone()),
            Some(before) if *before != speaker => joined.renamed.push(speaker.clone()),
            Some(_) => {}
        }
    }
    // A later user may have given an earlier one its name.
    let after: HashMap<&str, &Speaker> = after.iter().map(|one| (one.id.as_str(), one)).collect();
    let last = |one: &Speaker| after.get(one.id.as_str()).map(|one| (*one).clone());
    joined.speakers = resolved.iter().filter_map(last).collect();
    Some(joined)
}

#[cfg(test)]
mod tests;
