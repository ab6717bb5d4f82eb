// SPDX-License-Identifier: MPL-2.0

//! Rows in the text form of PostgreSQL's `COPY`, sent as they are made.

use super::super::link::{Link, refused};
use super::super::text::put;
use crate::store::StoreError;
use bytes::Bytes;
use futures_util::SinkExt;
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio_postgres::CopyInSink;

/// Bytes that are sent at once.
const PIECE: usize = 64 << 10;

/// Time between two lines that tell how far the copy is.
const BETWEEN_LINES: Duration = Duration::from_secs(2);

/// Tells the user how far the copy is.
pub(super) struct Told<'a> {
    tell: &'a mut dyn FnMut(&str),
    last: Instant,
}

impl<'a> Told<'a> {
    pub(super) fn new(tell: &'a mut dyn FnMut(&str)) -> Self {
        let last = Instant::now();
        Self { tell, last }
    }

    fn say(&mut self, line: &str) {
        (self.tell)(line);
        self.last = Instant::now();
    }
}

/// A table that is filled.
pub(super) struct Rows<'a, 'b> {
    sink: Pin<Box<CopyInSink<Bytes>>>,
    text: String,
    is_first: bool,
    number: u64,
    name: &'static str,
    told: &'a mut Told<'b>,
}

impl<'a, 'b> Rows<'a, 'b> {
    /// Begins to fill a table. `name` is what its rows are called, `into` the table with its
    /// columns.
    pub(super) async fn begin(
        link: &mut Link,
        told: &'a mut Told<'b>,
        name: &'static str,
        into: &str,
    ) -> Result<Self, StoreError> {
        told.say(&format!("{name} ..."));
        let sink = link.rows_into(&format!("COPY {into} FROM STDIN")).await?;
        Ok(Self {
            sink: Box::pin(sink),
            text: String::new(),
            is_first: true,
            number: 0,
            name,
            told,
        })
    }

    fn column(&mut self) {
        if !std::mem::replace(&mut self.is_first, false) {
            self.text.push('\t');
        }
    }

    /// Adds a column with this text as it is.
    pub(super) fn raw(&mut self, text: &str) {
        self.column();
        for c in text.chars() {
            match c {
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                c => self.text.push(c),
            }
        }
    }

    /// Adds a column with a text that a client may have sent.
    pub(super) fn text(&mut self, text: &str) {
        self.raw(&put(text));
    }

    pub(super) fn null(&mut self) {
        self.column();
        self.text.push_str("\\N");
    }

    pub(super) fn text_or_null(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.null(),
        }
    }

    pub(super) fn number(&mut self, number: i64) {
        self.raw(&number.to_string());
    }

    pub(super) fn number_or_null(&mut self, number: Option<i64>) {
        match number {
            Some(number) => self.number(number),
            None => self.null(),
        }
    }

    /// Adds a column with a number that has decimals.
    pub(super) fn decimal(&mut self, number: f64) {
        self.raw(&number.to_string());
    }

    pub(super) fn flag(&mut self, flag: bool) {
        self.raw(if flag { "t" } else { "f" });
    }

    pub(super) fn list(&mut self, numbers: &[i64]) {
        let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        self.raw(&format!("{{{}}}", numbers.join(",")));
    }

    /// Ends a row.
    pub(super) async fn end_row(&mut self) -> Result<(), StoreError> {
        self.text.push('\n');
        self.is_first = true;
        self.number += 1;
        if self.text.len() < PIECE {
            return Ok(());
        }
        if self.told.last.elapsed() >= BETWEEN_LINES {
            let line = format!("{} ... {}", self.name, self.number);
            self.told.say(&line);
        }
        self.send().await
    }

    async fn send(&mut self) -> Result<(), StoreError> {
        let piece = Bytes::from(std::mem::take(&mut self.text));
        self.sink.send(piece).await.map_err(refused)
    }

    /// Ends the table, and returns how many rows it got.
    pub(super) async fn finish(mut self) -> Result<u64, StoreError> {
        self.send().await?;
        self.sink.as_mut().finish().await.map_err(refused)
    }
}
