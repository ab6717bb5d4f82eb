// SPDX-License-Identifier: MPL-2.0

//! Lists of any length as JSON text, read in pieces.
//!
//! Between two pieces, a list holds neither a connection nor a transaction. It remembers
//! where it is by the last row, or by the keys of the rows to come (eight bytes each).
//! Items that are deleted meanwhile are left out.

use rusqlite::Connection;
use serde_json::Value;

/// The size of a piece in bytes. It ends with the row that reaches this.
const PIECE: usize = 64 << 10;

/// The items of a list.
pub(super) trait Rows: Send {
    /// Appends items until the piece is full. Returns `false` if there are no more.
    fn fill(&mut self, piece: &mut Text, from: &Connection) -> rusqlite::Result<bool>;
}

/// A part of a list's text.
#[derive(Default)]
pub(in crate::store) struct Text {
    text: Vec<u8>,
    /// `true` if the next item follows another one.
    follows: bool,
}

impl Text {
    /// Returns an empty part of a list, whose first item may follow another one.
    pub(in crate::store) fn following(follows: bool) -> Self {
        let text = Vec::new();
        Self { text, follows }
    }

    /// Returns `true` if the next item follows another one.
    pub(in crate::store) fn follows(&self) -> bool {
        self.follows
    }

    pub(in crate::store) fn into_text(self) -> Vec<u8> {
        self.text
    }

    pub(in crate::store) fn is_full(&self) -> bool {
        self.text.len() >= PIECE
    }

    /// Appends an item, after a comma if it follows another one.
    pub(in crate::store) fn item(&mut self, value: &Value) {
        self.comma();
        self.value(value);
    }

    pub(in crate::store) fn comma(&mut self) {
        if std::mem::replace(&mut self.follows, true) {
            self.text.push(b',');
        }
    }

    /// Appends text as it is. With `opens`, a list begins after it.
    pub(in crate::store) fn raw(&mut self, text: &str, opens: bool) {
        self.text.extend_from_slice(text.as_bytes());
        self.follows = !opens;
    }

    pub(in crate::store) fn value(&mut self, value: &Value) {
        self.text.extend_from_slice(value.to_string().as_bytes());
    }
}

/// A list that is read in pieces.
pub(super) struct Listed {
    /// The text before the first item, and the text after the last.
    head: &'static str,
    tail: &'static str,
    rows: Box<dyn Rows>,
    begun: bool,
    follows: bool,
}

impl Listed {
    pub(super) fn new(head: &'static str, tail: &'static str, rows: impl Rows + 'static) -> Self {
        Self {
            head,
            tail,
            rows: Box::new(rows),
            begun: false,
            follows: false,
        }
    }

    /// Reads the next piece. The second value is `true` if more follows.
    pub(super) fn read(&mut self, from: &Connection) -> rusqlite::Result<(Vec<u8>, bool)> {
        let mut piece = Text::following(self.follows);
        if !std::mem::replace(&mut self.begun, true) {
            piece.raw(self.head, true);
        }
        let more = self.rows.fill(&mut piece, from)?;
        self.follows = piece.follows();
        if !more {
            piece.raw(self.tail, false);
        }
        Ok((piece.into_text(), more))
    }

    /// Reads all of it, for tests.
    #[cfg(test)]
    pub(super) fn all(mut self, from: &Connection) -> rusqlite::Result<Value> {
        let mut text = Vec::new();
        loop {
            let (mut piece, more) = self.read(from)?;
            text.append(&mut piece);
            if !more {
                return Ok(serde_json::from_slice(&text).expect("JSON"));
            }
        }
    }
}

/// Items that are made from their keys one by one. Deleted ones are left out.
pub(super) struct Keys<M> {
    keys: std::vec::IntoIter<i64>,
    make: M,
}

impl<M> Keys<M>
where
    M: FnMut(&Connection, i64) -> rusqlite::Result<Option<Value>> + Send,
{
    pub(super) fn new(keys: Vec<i64>, make: M) -> Self {
        let keys = keys.into_iter();
        Self { keys, make }
    }
}

impl<M> Rows for Keys<M>
where
    M: FnMut(&Connection, i64) -> rusqlite::Result<Option<Value>> + Send,
{
    fn fill(&mut self, piece: &mut Text, from: &Connection) -> rusqlite::Result<bool> {
        for key in self.keys.by_ref() {
            if let Some(value) = (self.make)(from, key)? {
                piece.item(&value);
            }
            if piece.is_full() {
                break;
            }
        }
        Ok(self.keys.len() > 0)
    }
}
