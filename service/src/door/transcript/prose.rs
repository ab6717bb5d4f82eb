// SPDX-License-Identifier: MPL-2.0

//! Running text in Markdown, in two forms: a document, and what Symbl's API answers.
//!
//! A document has a paragraph for each turn, with the speaker and the time in front. Symbl's
//! form has one for each message, with `<br/><br/>` between them, so that the payload is one
//! line; phrases are in `<mark>`.

use super::{Highlight, Style};
use crate::store::Sentence;
use std::fmt::Write;
use std::time::Duration;
use symbl_analysis::phrase_places;
use symbl_captions::{markdown, visible};

/// Length in bytes from which on another sentence begins another paragraph.
const LONG_PARAGRAPH: usize = 600;

/// Pause before a sentence that begins another paragraph.
const PAUSE: Duration = Duration::from_secs(3);

/// What separates the paragraphs of Symbl's form.
const BREAK: &str = "<br/><br/>";

/// Running text in Markdown.
#[derive(Default)]
pub(super) struct Prose {
    text: String,
    /// The last sentence: its speaker, and when it ended.
    last: Option<(Option<String>, i64)>,
    /// Length of the paragraph so far.
    length: usize,
}

impl Prose {
    /// Writes text that is Markdown already.
    pub(super) fn write(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Takes out what was written since the last call.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// Writes what stands at the end.
    pub(super) fn finish(&mut self, style: Style) {
        if self.last.is_some() && style.titled {
            self.text.push('\n');
        }
    }

    pub(super) fn sentence(&mut self, style: Style, sentence: &Sentence, start: Duration) {
        let said = visible(&sentence.text);
        if said.is_empty() {
            return;
        }
        match style.titled {
            true => self.in_document(style, sentence, &said, start),
            false => self.in_line(style, sentence, &said),
        }
        self.last = Some((sentence.speaker.clone(), sentence.stop));
    }

    /// Writes a sentence in Symbl's form.
    fn in_line(&mut self, style: Style, sentence: &Sentence, said: &str) {
        if self.last.is_some() {
            self.text
                .push_str(if style.paragraphs { BREAK } else { " " });
        }
        let name = sentence
            .speaker
            .as_deref()
            .filter(|_| style.names)
            .map(markdown);
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            self.text.push_str(&name);
            self.text.push_str(": ");
        }
        let has_phrases = match style.highlight {
            Highlight::None => false,
            Highlight::Insights => sentence.task,
            Highlight::All => sentence.task || sentence.phrases,
        };
        let places = if has_phrases {
            phrase_places(said)
        } else {
            Vec::new()
        };
        let mut at = 0;
        for place in places {
            self.escaped(said.get(at..place.start).unwrap_or_default());
            self.text.push_str("<mark>");
            self.escaped(said.get(place.clone()).unwrap_or_default());
            self.text.push_str("</mark>");
            at = place.end;
        }
        self.escaped(said.get(at..).unwrap_or_default());
    }

    /// Writes a part of a sentence. Escaping takes the spaces at its ends away.
    fn escaped(&mut self, part: &str) {
        let inner = part.trim();
        let (before, after) = part.split_once(inner).unwrap_or_default();
        self.text.push_str(before);
        self.text.push_str(&markdown(inner));
        self.text.push_str(after);
    }

    fn in_document(&mut self, style: Style, sentence: &Sentence, said: &str, start: Duration) {
        let speaker = sentence.speaker.as_deref();
        let (turns, breaks) = match &self.last {
            None => (true, true),
            Some((before, stop)) => {
                let turns = before.as_deref() != speaker;
                let pause = u64::try_from(sentence.start.saturating_sub(*stop)).unwrap_or(0);
                let pause = Duration::from_nanos(pause);
                let paused = self.length >= LONG_PARAGRAPH || pause >= PAUSE;
                let breaks = turns && style.names || style.paragraphs && (turns || paused);
                (turns, breaks)
            }
        };
        match (&self.last, breaks) {
            (None, _) => {}
            (Some(_), true) => self.text.push_str("\n\n"),
            (Some(_), false) => self.text.push(' '),
        }
        let before = self.text.len();
        if turns && style.names {
            let seconds = start.as_secs();
            let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            if let Some(name) = speaker.map(markdown).filter(|name| !name.is_empty()) {
                self.text.push_str("**");
                self.text.push_str(&name);
                self.text.push_str("** ");
            }
            // Writing to a `String` cannot fail.
            let _ = write!(self.text, "({hours}:{minutes:02}:{seconds:02}) ");
        }
        self.text.push_str(&markdown(said));
        let written = self.text.len() - before;
        self.length = if breaks {
            written
        } else {
            self.length + written
        };
    }
}
