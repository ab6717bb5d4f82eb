// SPDX-License-Identifier: MPL-2.0

//! Where the text of a pipeline comes from: from `symbltranscriber`, or from the test itself.

use crate::common::pipeline::{Pipeline, buffer};
use crate::prompter::{Prompter, Says};
use crate::talk::{Talk, Timed};
use gst::prelude::*;
use std::sync::{Arc, Mutex};

/// Nanoseconds in a millisecond.
const MS: u64 = 1_000_000;

/// The longest GAP event, in milliseconds.
const GAP: u64 = 250;

/// The audio that an element of this test makes of 100 ms of silence.
const SAMPLES: u64 = 1600;

/// A source of text that lasts `duration` ms.
pub struct Source {
    /// The elements that text comes out of, the last one of which is named `text`.
    pub line: String,
    pub duration: u64,
    items: Vec<Item>,
    prompter: Option<Prompter>,
}

/// What comes out of a source whose text the test pushes.
#[derive(Debug, Clone)]
enum Item {
    Text(Timed),
    /// The event `rstranscribe/final-transcript`: a line ends here.
    Final,
}

impl Source {
    /// Returns a source of these cues, which the test pushes.
    pub fn cues(cues: &[Timed], duration: u64) -> Self {
        Self::pushed(cues.iter().cloned().map(Item::Text).collect(), duration)
    }

    /// Returns a source of these words, which the test pushes as a transcriber does.
    pub fn words(talk: &Talk) -> Self {
        let mut items = Vec::new();
        for sentence in &talk.sentences {
            items.extend(sentence.iter().cloned().map(Item::Text));
            items.push(Item::Final);
        }
        Self::pushed(items, talk.duration)
    }

    fn pushed(items: Vec<Item>, duration: u64) -> Self {
        let caps = "text/x-raw,format=(string)utf8";
        Self {
            line: format!("appsrc name=text format=time max-bytes=0 caps=\"{caps}\""),
            duration,
            items,
            prompter: None,
        }
    }

    /// Returns a `symbltranscriber` with these properties, whose service hears this talk in
    /// its audio, which is silence. `live` as property of the audio's source.
    pub fn transcriber(talk: &Talk, says: Says, live: bool, properties: &str) -> Self {
        let audio = format!(
            "audiotestsrc wave=silence is-live={live} samplesperbuffer={SAMPLES} num-buffers={} \
             ! audio/x-raw,format=S16LE,rate=16000,channels=1",
            talk.duration / 100
        );
        Self::transcriber_of(&audio, talk, says, properties)
    }

    /// Returns the same, with the audio of these elements.
    pub fn transcriber_of(audio: &str, talk: &Talk, says: Says, properties: &str) -> Self {
        let prompter = Prompter::start(talk, says);
        Self {
            line: format!(
                "{audio} ! symbltranscriber name=text base-url={} {properties}",
                prompter.base_url()
            ),
            duration: talk.duration,
            items: Vec::new(),
            prompter: Some(prompter),
        }
    }

    /// Returns a `symbltranscriber` with these properties behind a sound file of `duration` ms.
    pub fn speech(file: &std::path::Path, duration: u64, properties: &str) -> Self {
        Self {
            line: format!(
                "filesrc location={} ! wavparse ! symbltranscriber name=text {properties}",
                file.display()
            ),
            duration,
            items: Vec::new(),
            prompter: None,
        }
    }

    /// Gives a pipeline with this source the text that the test has to push, with GAP events
    /// between and behind, and the end of the stream.
    pub fn begin(&self, pipeline: &Pipeline) {
        let text = pipeline.pipeline.by_name("text").expect("a text source");
        let Ok(text) = text.downcast::<gst_app::AppSrc>() else {
            return; // It has its own text.
        };
        let mut covered = 0;
        for item in &self.items {
            match item {
                Item::Text(said) => {
                    cover(&text, covered, said.start);
                    let (start, duration) = (said.start * MS, (said.end - said.start) * MS);
                    let bytes = said.text.clone().into_bytes();
                    text.push_buffer(buffer(bytes, Some(start), Some(duration)))
                        .expect("room");
                    covered = said.end;
                }
                Item::Final => {
                    let event = gst::Structure::new_empty("rstranscribe/final-transcript");
                    assert!(text.send_event(gst::event::CustomDownstream::new(event)));
                }
            }
        }
        cover(&text, covered, self.duration);
        text.end_of_stream().expect("a source that goes on");
    }

    /// Returns how often the service was dialed.
    pub fn connections(&self) -> usize {
        self.prompter.as_ref().map_or(0, Prompter::connections)
    }
}

/// Pushes GAP events from `start` to `end`.
fn cover(text: &gst_app::AppSrc, start: u64, end: u64) {
    for start in (start..end).step_by(GAP as usize) {
        let gap = gst::event::Gap::builder(gst::ClockTime::from_mseconds(start))
            .duration(gst::ClockTime::from_mseconds(GAP.min(end - start)));
        assert!(text.send_event(gap.build()));
    }
}

/// Collects the text that comes out of the source of a pipeline, with the times on its pad.
#[derive(Clone, Default)]
pub struct Texts(Arc<Mutex<Vec<Timed>>>);

impl Texts {
    /// Collects the text of the element `text`.
    pub fn of(pipeline: &Pipeline) -> Self {
        let texts = Self::default();
        let text = pipeline.pipeline.by_name("text").expect("a text source");
        let pad = text.static_pad("src").expect("a source pad");
        let seen = texts.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let buffer = info.buffer().expect("a buffer");
            let (start, duration) = (buffer.pts(), buffer.duration());
            let start = start.expect("a start");
            let end = start + duration.expect("a duration");
            let text = buffer.map_readable().expect("memory");
            let text = String::from_utf8(text.to_vec()).expect("UTF-8");
            let timed = Timed::new(text, start.mseconds(), end.mseconds());
            seen.0.lock().expect("no panic").push(timed);
            gst::PadProbeReturn::Ok
        });
        texts
    }

    /// Returns the texts so far.
    pub fn all(&self) -> Vec<Timed> {
        self.0.lock().expect("no panic").clone()
    }
}
