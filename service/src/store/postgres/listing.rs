// SPDX-License-Identifier: MPL-2.0

//! Lists of any length as JSON text, read in pieces.
//!
//! Between two pieces, a list holds no connection. It remembers where it is by the last
//! row, or by the keys of the rows to come. Items that are deleted meanwhile are left out.

use super::Store;
use super::link::{Link, gone};
use super::readers::{Looking, Readers};
use crate::store::sqlite::listing::Text;
use crate::store::{Answer, Listing, Piece, StoreError};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// Items that are read at once, of which a piece may have several times as many.
pub(super) const AT_ONCE: usize = 64;

/// The items of a list.
pub(super) trait Rows: Send {
    /// Appends items until the piece is full. Returns `false` if there are no more.
    fn fill<'a>(&'a mut self, piece: &'a mut Text, from: &'a mut Link) -> Looking<'a, bool>;
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

    /// Reads the next piece.
    pub(super) async fn read(
        mut self,
        from: &mut Link,
        readers: Weak<Readers>,
    ) -> Result<Piece, StoreError> {
        let mut piece = Text::following(self.follows);
        if !std::mem::replace(&mut self.begun, true) {
            piece.raw(self.head, true);
        }
        let more = self.rows.fill(&mut piece, from).await?;
        self.follows = piece.follows();
        if !more {
            piece.raw(self.tail, false);
        }
        let rest: Option<Box<dyn Listing>> = match more {
            true => Some(Box::new(Rest {
                list: self,
                readers,
            })),
            false => None,
        };
        let text = piece.into_text();
        Ok(Piece { text, rest })
    }
}

/// A list of which more pieces follow.
struct Rest {
    list: Listed,
    readers: Weak<Readers>,
}

impl Listing for Rest {
    fn next(self: Box<Self>) -> Answer<'static, Piece> {
        Box::pin(async move {
            let Self { list, readers } = *self;
            let open = readers.upgrade().ok_or_else(gone)?;
            open.look(|link| Box::pin(list.read(link, readers))).await
        })
    }
}

impl Store {
    pub(super) fn weak(&self) -> Weak<Readers> {
        self.readers
            .as_ref()
            .map(Arc::downgrade)
            .unwrap_or_default()
    }
}

/// Reads the items with these keys, in any order.
pub(super) type Make =
    Box<dyn for<'a> Fn(&'a mut Link, Vec<i64>) -> Looking<'a, HashMap<i64, Value>> + Send + Sync>;

/// Items that are made from their keys. Deleted ones are left out.
pub(super) struct Keys {
    keys: std::vec::IntoIter<i64>,
    make: Make,
}

impl Keys {
    pub(super) fn new(keys: Vec<i64>, make: Make) -> Self {
        let keys = keys.into_iter();
        Self { keys, make }
    }
}

impl Rows for Keys {
    fn fill<'a>(&'a mut self, piece: &'a mut Text, from: &'a mut Link) -> Looking<'a, bool> {
        Box::pin(async move {
            while !piece.is_full() {
                let keys: Vec<i64> = self.keys.by_ref().take(AT_ONCE).collect();
                if keys.is_empty() {
                    break;
                }
                let mut made = (self.make)(from, keys.clone()).await?;
                for value in keys.iter().filter_map(|key| made.remove(key)) {
                    piece.item(&value);
                }
            }
            Ok(self.keys.len() > 0)
        })
    }
}
