// SPDX-License-Identifier: MPL-2.0

//! Which conversation a connection id has, on whatever node it is.

use super::{Cluster, Fenced};

/// A connection id for which a node looks for a conversation.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// The account and the connection id.
    pub connection: &'a str,
    /// `None` to look only. Else the node gets a seat in the conversation, and where none goes
    /// on, this new one is it from now on.
    pub new: Option<i64>,
    /// `true` to begin the new one whatever goes on.
    pub anew: bool,
    /// `true` to join one of which all sockets are being closed.
    pub regardless: bool,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// None goes on.
    None,
    /// The new one is the conversation from now on.
    New,
    /// All sockets of the one that goes on are being closed, and their clients decide if it is
    /// over. The node has no other seat in it than before.
    Closing,
    /// This one goes on.
    Known {
        /// Its id.
        conversation: i64,
        /// Its first start request is in the log.
        begun: bool,
        /// No node has a speaker in it.
        waits: bool,
    },
}

impl Cluster {
    /// Finds the conversation of a connection id, and gives the node a seat in it.
    ///
    /// # Errors
    ///
    /// The node was declared gone.
    pub fn join(&mut self, me: &str, wanted: &Wanted<'_>, now: i64) -> Result<Joined, Fenced> {
        self.writes(me)?;
        let connection = wanted.connection.to_owned();
        let known = self.rooms.get(wanted.connection).copied();
        if let Some(known) = known
            && !wanted.anew
            && self.is_live(known, now)
        {
            if wanted.new.is_some() {
                if !wanted.regardless && self.is_closing(known, now) {
                    return Ok(Joined::Closing);
                }
                self.seats.insert((known, me.to_owned()), None);
            }
            let others = |node: &str| node != me || wanted.new.is_some();
            return Ok(Joined::Known {
                conversation: known,
                begun: self.conversations.contains_key(&known),
                waits: !self.seats(known).any(others),
            });
        }
        let Some(new) = wanted.new else {
            return Ok(Joined::None);
        };
        self.rooms.insert(connection, new);
        self.seats.insert((new, me.to_owned()), None);
        Ok(Joined::New)
    }

    /// Returns `true` if all sockets of a conversation are being closed, on whatever nodes they
    /// are. A node that is gone closes none any more.
    fn is_closing(&self, id: i64, now: i64) -> bool {
        let seats = self.seats.iter();
        let seats = seats.filter(|((of, node), _)| *of == id && self.lives(node));
        let mut all = seats.map(|(_, closing)| closing.is_some_and(|until| until > now));
        // Without a seat it waits for its speakers.
        all.next().is_some_and(|first| first) && all.all(|closing| closing)
    }

    /// Returns `true` if a conversation goes on. A seat of a node that is gone is swept soon,
    /// and counts until then.
    fn is_live(&self, id: i64, now: i64) -> bool {
        match self.conversations.get(&id) {
            Some(conversation) if conversation.ended.is_some() => false,
            Some(conversation) => {
                conversation.ends.is_some_and(|ends| ends > now) || self.is_seated(id)
            }
            None => self.is_seated(id),
        }
    }
}
