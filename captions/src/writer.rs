// SPDX-License-Identifier: MPL-2.0

//! Writes items to a file, a pipe or a terminal, in one of the formats.
//!
//! Each item is written by one call and flushed. A writer never changes what it has
//! written.

use crate::cues::{Cue, Cues};
use crate::{Found, Utterance, jsonl, text};
use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

/// The format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Lines for people, each with its time.
    Text,
    /// A JSON object per line, for programs.
    Jsonl,
    /// SubRip captions.
    Srt,
    /// WebVTT captions.
    WebVtt,
}

impl Format {
    /// All formats and their names.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("text", Self::Text),
        ("jsonl", Self::Jsonl),
        ("srt", Self::Srt),
        ("webvtt", Self::WebVtt),
    ];

    /// Returns `true` if the format consists of cues. A cue cannot be taken back, so
    /// such a format has no interims, and no findings.
    pub fn is_captions(self) -> bool {
        matches!(self, Self::Srt | Self::WebVtt)
    }

    /// Returns what names of files of this format end with, without a dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Jsonl => "jsonl",
            Self::Srt => "srt",
            Self::WebVtt => "vtt",
        }
    }
}

/// A name that is not in [`Format::NAMES`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownFormat(String);

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Format::NAMES.map(|(name, _)| name).join(", ");
        write!(f, "no format '{}'; there are {names}", self.0)
    }
}

impl std::error::Error for UnknownFormat {}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let found = Self::NAMES.into_iter().find(|(own, _)| *own == name);
        found.map_or_else(
            || Err(UnknownFormat(name.to_owned())),
            |(_, format)| Ok(format),
        )
    }
}

/// Writes each item at once, in one format.
#[derive(Debug)]
pub struct CaptionWriter<W: Write> {
    out: W,
    format: Format,
    cues: Cues,
    /// Number of the last SubRip cue.
    number: u64,
}

impl<W: Write> CaptionWriter<W> {
    /// Creates a writer and writes the header of the format.
    ///
    /// # Errors
    ///
    /// Returns the errors of `out`.
    pub fn new(mut out: W, format: Format) -> io::Result<Self> {
        if format == Format::WebVtt {
            out.write_all(b"WEBVTT\n\n")?;
            out.flush()?;
        }
        let cues = match format {
            // WebVTT has a tag for the speaker, so its text has no names.
            Format::WebVtt => Cues::new(),
            Format::Text | Format::Jsonl | Format::Srt => Cues::with_names(),
        };
        Ok(Self {
            out,
            format,
            cues,
            number: 0,
        })
    }

    /// Writes an utterance. Captions show finals only.
    ///
    /// # Errors
    ///
    /// Returns the errors of the output.
    pub fn utterance(&mut self, utterance: &Utterance<'_>) -> io::Result<()> {
        match self.format {
            Format::Text => self.put(&text::line(utterance)),
            Format::Jsonl => self.put(&jsonl::utterance(utterance)?),
            Format::Srt | Format::WebVtt => {
                let cues = self.cues.cut(utterance);
                self.put_cues(cues)
            }
        }
    }

    /// Writes the captions that still wait for the next utterance because the time of
    /// the last one was far ahead. Call it at the end; without it those captions are
    /// missing.
    ///
    /// # Errors
    ///
    /// Returns the errors of the output.
    pub fn finish(&mut self) -> io::Result<()> {
        let cues = self.cues.finish();
        self.put_cues(cues)
    }

    /// Writes a finding. Captions do not show findings.
    ///
    /// # Errors
    ///
    /// Returns the errors of the output.
    pub fn found(&mut self, found: &Found<'_>) -> io::Result<()> {
        match self.format {
            Format::Text => self.put(&text::found(found)),
            Format::Jsonl => self.put(&jsonl::found(found)?),
            Format::Srt | Format::WebVtt => Ok(()),
        }
    }

    /// Returns the output.
    pub fn get_ref(&self) -> &W {
        &self.out
    }

    /// Returns the output, for example to take out what was written.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    fn put_cues(&mut self, cues: Vec<Cue>) -> io::Result<()> {
        for cue in cues {
            self.number += 1;
            let cue = match self.format {
                Format::WebVtt => text::webvtt(&cue),
                _ => text::srt(self.number, &cue),
            };
            self.put(&cue)?;
        }
        Ok(())
    }

    fn put(&mut self, item: &str) -> io::Result<()> {
        self.out.write_all(item.as_bytes())?;
        self.out.flush()
    }
}
