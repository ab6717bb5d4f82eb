// SPDX-License-Identifier: MPL-2.0

//! The fences of an append: they keep a final from being stored twice, or after the end.
//!
//! A client that lost its connection begins its stream again with a higher *attempt*, and
//! sends audio again. What earlier attempts still hear is refused, and so is audio whose
//! words an earlier attempt has stored. Positions are nanoseconds of audio of the stream.

use crate::planted::{Bug, planted};

/// The close code of a socket whose stream goes on elsewhere.
pub const SUPERSEDED: u16 = 4103;

/// The close code of the sockets of a node that was declared gone: their clients begin anew.
pub const GONE: u16 = 1012;

/// What the log knows of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stream {
    /// The number of its latest start request.
    pub attempt: u64,
    /// Up to where its words were stored at that start request.
    pub begun: u64,
    /// Up to where its words are stored now.
    pub said_until: u64,
}

impl Stream {
    /// Notes that a final was stored that ends here.
    pub fn said(&mut self, until: u64) {
        self.said_until = self.said_until.max(until);
    }
}

/// The part of a stream that a final is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The start request under which it was heard.
    pub attempt: u64,
    /// Where its first word begins.
    pub from: u64,
    /// Where its last word ends.
    pub until: u64,
}

/// Why a final is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The conversation is over.
    Over,
    /// Its stream goes on with another start request.
    Superseded,
    /// An earlier start request has stored all its words.
    Already,
}

impl Refusal {
    /// Returns the code with which the socket is closed, if it is closed at once.
    pub fn close_code(self) -> Option<u16> {
        match self {
            Self::Superseded if !planted(Bug::SupersededSocketStays) => Some(SUPERSEDED),
            _ => None,
        }
    }
}

/// Returns the stream with this start request as its latest one, or `None` if the request is
/// superseded. A request that is written `again`, because the answer may have been lost, does
/// not supersede itself.
pub fn begin(known: Option<Stream>, attempt: u64, again: bool) -> Option<Stream> {
    let known = known.unwrap_or_default();
    let is_newer = attempt > known.attempt || again && attempt == known.attempt;
    if !is_newer && !planted(Bug::OldStartTaken) {
        return None;
    }
    Some(Stream {
        attempt,
        begun: known.said_until,
        said_until: known.said_until,
    })
}

/// Decides whether a final is stored. `part` is `None` if its client does not name its
/// streams; then only the end of the conversation keeps it out.
///
/// # Errors
///
/// A fence refuses it.
pub fn admit(is_over: bool, stream: Option<&Stream>, part: Option<&Part>) -> Result<(), Refusal> {
    if is_over && !planted(Bug::EndIgnored) {
        return Err(Refusal::Over);
    }
    let Some(part) = part else {
        return Ok(());
    };
    let Some(stream) = stream else {
        return Err(Refusal::Superseded);
    };
    if stream.attempt != part.attempt && !planted(Bug::AttemptIgnored) {
        return Err(Refusal::Superseded);
    }
    // Within one attempt no audio comes twice, whatever times an engine gives.
    let is_before = part.from < stream.begun && part.until <= stream.begun;
    match is_before && !planted(Bug::PositionIgnored) {
        true => Err(Refusal::Already),
        false => Ok(()),
    }
}

/// Returns `true` if at least the first half of a word lies before `said_until`: then the
/// word is left out of its final, because an earlier one has it. A word that was cut in its
/// middle is in the log, where it ends at its middle.
pub fn was_said(start: u64, end: u64, said_until: u64) -> bool {
    if planted(Bug::PositionIgnored) {
        return false;
    }
    let middle = start + end.saturating_sub(start) / 2;
    middle < said_until || middle == said_until && start < said_until
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(attempt: u64, from: u64, until: u64) -> Part {
        Part {
            attempt,
            from,
            until,
        }
    }

    #[test]
    fn a_start_supersedes_those_before_it_and_none_after_it() {
        let first = begin(None, 2, false).expect("the first one");
        assert_eq!(begin(Some(first), 1, false), None);
        assert_eq!(begin(Some(first), 2, false), None);
        assert_eq!(begin(Some(first), 2, true), Some(first));
        assert_eq!(begin(Some(first), 3, false).map(|now| now.attempt), Some(3));
    }

    #[test]
    fn what_an_earlier_attempt_has_stored_is_refused() {
        let mut stream = begin(None, 1, false).expect("the first one");
        stream.said(400);
        stream.said(200);
        let again = admit(false, Some(&stream), Some(&part(1, 100, 200)));
        assert_eq!(again, Ok(()), "no earlier attempt");
        let stream = begin(Some(stream), 2, false);
        let admit = |part| admit(false, stream.as_ref(), Some(&part));
        assert_eq!(admit(part(2, 100, 400)), Err(Refusal::Already));
        assert_eq!(admit(part(2, 100, 401)), Ok(()));
        assert_eq!(admit(part(2, 400, 400)), Ok(()), "it begins there");
        assert_eq!(admit(part(1, 500, 600)), Err(Refusal::Superseded));
    }

    #[test]
    fn nothing_is_stored_after_the_end() {
        assert_eq!(admit(true, None, None), Err(Refusal::Over));
        assert_eq!(admit(false, None, None), Ok(()));
        let unknown = admit(false, None, Some(&part(1, 0, 1)));
        assert_eq!(unknown, Err(Refusal::Superseded));
    }

    #[test]
    fn a_word_belongs_to_the_side_of_an_edge_that_has_more_of_it() {
        assert!(was_said(0, 200, 101));
        assert!(was_said(0, 200, 100), "its first half was said");
        assert!(!was_said(0, 200, 99));
        assert!(!was_said(100, 100, 100), "it only begins there");
        assert!(!was_said(0, 0, 0));
    }
}
