// SPDX-License-Identifier: MPL-2.0

//! Prints the messages of `symblsink` as lines to read.
//!
//! A final transcript is a line with its time, and its findings follow on marked
//! lines. On a terminal, the current interim is in the last line and is overwritten.
//! Its words are dim until they are stable.
//! Elsewhere, interims are left out.

use console::{Term, measure_text_width, style};
use std::io::{self, Write};
use std::time::Duration;
use symbl_captions::{Notes, Outlet, visible};

/// Width of the time column, `[00:00.0] `.
const MARGIN: &str = "          ";

/// Writes to standard output, and warnings to standard error. The talk goes on even
/// if neither is read.
pub struct View {
    /// Describes standard output. `out` writes it.
    term: Term,
    out: Outlet,
    notes: Notes,
    /// The interim in the last line, which is removed before anything else is
    /// written.
    interim: Option<Interim>,
    /// Each text begins with the name of its speaker.
    names_speakers: bool,
}

/// What the last line shows.
#[derive(Clone)]
struct Interim {
    time: String,
    text: String,
    /// How many bytes at the end of the text may still change.
    unstable: usize,
}

impl View {
    /// Creates a view on standard output.
    pub fn new(notes: &Notes) -> io::Result<Self> {
        Ok(Self {
            term: Term::stdout(),
            out: Outlet::stdout()?,
            notes: notes.clone(),
            interim: None,
            names_speakers: false,
        })
    }

    /// Begins each text with the name of its speaker from now on.
    pub fn name_speakers(&mut self) {
        self.names_speakers = true;
    }

    /// Shows one message of the element. Skips messages that say nothing to a reader.
    pub fn show(&mut self, message: &gst::StructureRef) -> io::Result<()> {
        let text = &text_of(message, "text");
        match message.name().as_str() {
            "symbl/transcript" => self.transcript(message, text),
            "symbl/insight" => {
                let kind = text_of(message, "type").replace('_', " ");
                let due = match message.get::<&str>("due-by") {
                    Ok(due) => format!(" (due: {})", visible(due)),
                    Err(_) => String::new(),
                };
                self.found(&kind, &format!("{text}{due}"))
            }
            "symbl/tracker" => {
                let found = format!(
                    "{}: \"{}\"",
                    text_of(message, "name"),
                    text_of(message, "value")
                );
                self.found("tracker", &found)
            }
            "symbl/topic" => self.found("topic", text),
            "symbl/state" if text_of(message, "state") == "reconnecting" => self.warn(&format!(
                "the connection is lost ({}); trying again",
                text_of(message, "reason")
            )),
            "symbl/gap" => self.warn(&format!(
                "{} of audio will have no captions ({})",
                seconds(message, "duration"),
                text_of(message, "reason")
            )),
            "symbl/error" => self.warn(&format!(
                "the service says: {}",
                text_of(message, "message")
            )),
            _ => Ok(()),
        }
    }

    fn transcript(&mut self, message: &gst::StructureRef, text: &str) -> io::Result<()> {
        let mut time = match message.get::<u64>("running-time") {
            Ok(time) => format!("[{}]", minutes(time)),
            Err(_) => MARGIN.trim_end().to_owned(),
        };
        let speaker = text_of(message, "speaker-name");
        if self.names_speakers && !speaker.is_empty() {
            time = format!("{time} {speaker}:");
        }
        if message.get::<bool>("is-final") == Ok(true) {
            self.interim = None;
            self.line(&format!("{time} {text}"))
        } else if self.term.is_term() {
            self.take_away()?;
            let stable = message.get::<i32>("stable-words").unwrap_or_default();
            let stable = usize::try_from(stable).unwrap_or_default();
            let interim = Interim {
                time,
                text: text.to_owned(),
                unstable: text.len() - first_words(text, stable).len(),
            };
            self.draw(&interim)?;
            self.interim = Some(interim);
            Ok(())
        } else {
            Ok(())
        }
    }

    fn found(&mut self, kind: &str, what: &str) -> io::Result<()> {
        let kind = style(format!("{kind:<11}")).cyan();
        self.line(&format!("{MARGIN}> {kind} {what}"))
    }

    /// Writes a line that stays. The interim moves below it.
    pub fn line(&mut self, line: &str) -> io::Result<()> {
        self.take_away()?;
        self.put(&format!("{line}\n"))?;
        match self.interim.clone() {
            Some(interim) => self.draw(&interim),
            None => Ok(()),
        }
    }

    /// Writes a warning about a problem that does not end the talk.
    pub fn warn(&mut self, what: &str) -> io::Result<()> {
        self.take_away()?;
        self.notes.tell(&format!("warning: {what}"));
        match self.interim.clone() {
            Some(interim) => self.draw(&interim),
            None => Ok(()),
        }
    }

    /// Removes the interim, because no more transcripts will come.
    pub fn close(&mut self) -> io::Result<()> {
        self.interim = None;
        self.take_away()
    }

    /// Waits until everything is written, for as long as the reader takes.
    pub fn finish(&self) -> io::Result<()> {
        while self
            .out
            .finish(Duration::from_secs(60))
            .map_err(unwritten)?
            > 0
        {}
        match self.out.lost() {
            0 => Ok(()),
            lost => Err(io::Error::other(format!(
                "nobody read standard output in time: {lost} lines are missing in it"
            ))),
        }
    }

    fn take_away(&mut self) -> io::Result<()> {
        match self.term.is_term() {
            true => self.put("\r\x1b[2K"),
            false => Ok(()),
        }
    }

    fn put(&mut self, text: &str) -> io::Result<()> {
        let written = self.out.write_all(text.as_bytes());
        written.and_then(|()| self.out.flush()).map_err(unwritten)
    }

    /// Draws the end of an interim, where its newest words are, as far as it fits
    /// into the line.
    fn draw(&mut self, interim: &Interim) -> io::Result<()> {
        let Interim {
            time,
            text,
            unstable,
        } = interim;
        let (_, columns) = self.term.size();
        let room = usize::from(columns).saturating_sub(measure_text_width(time) + 3);
        let (omission, shown) = if measure_text_width(text) <= room {
            ("", text.as_str())
        } else {
            let mut tails = text.char_indices().map(|(at, _)| &text[at..]);
            let fits = tails.find(|tail| measure_text_width(tail) <= room);
            ("…", fits.unwrap_or_default())
        };
        let (stable, rest) = shown.split_at(shown.len().saturating_sub(*unstable));
        let before = style(format!("{time} {omission}")).dim();
        self.put(&format!("{before}{stable}{}", style(rest).dim()))
    }
}

/// Returns the part of a visible `text` that its first `count` words take.
fn first_words(text: &str, count: usize) -> &str {
    let words = text.split_inclusive(' ').take(count);
    text.split_at(words.map(str::len).sum()).0
}

/// Returns a text of the service in a form that a terminal can show.
fn text_of(message: &gst::StructureRef, field: &str) -> String {
    visible(message.get(field).unwrap_or_default())
}

fn unwritten(error: io::Error) -> io::Error {
    let what = format!("cannot write to standard output: {error}");
    io::Error::new(error.kind(), what)
}

fn seconds(message: &gst::StructureRef, field: &str) -> String {
    let time = message.get::<u64>(field).unwrap_or_default();
    format!("{:.1} s", time as f64 / 1e9)
}

/// Formats nanoseconds as `mm:ss.s`.
pub fn minutes(time: u64) -> String {
    let tenths = time / 100_000_000;
    format!(
        "{:02}:{:02}.{}",
        tenths / 600,
        tenths / 10 % 60,
        tenths % 10
    )
}
