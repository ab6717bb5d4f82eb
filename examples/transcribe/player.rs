// SPDX-License-Identifier: MPL-2.0

//! Plays one file through `symblsink` and collects what was heard in it.

use gst::prelude::*;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::path::Path;

/// The sink. The file goes as fast as the service takes it, nothing of it is dropped,
/// and interims are not asked for. The time limit at the end is for a service that
/// still recognises minutes of audio.
const SINK: &str =
    "symblsink name=sink sync=false leaky=none interim-results=false drain-timeout=300000";

/// Everything that was heard in a file.
#[derive(Default, Serialize)]
pub struct Heard {
    pub audio_seconds: f64,
    /// The texts of the finals.
    pub finals: Vec<String>,
    pub words: Vec<Word>,
    /// `true` if the service has sent final results for all of the audio.
    pub complete: bool,
}

/// A word with its place in the file.
#[derive(Serialize)]
pub struct Word {
    word: String,
    start: f64,
    end: f64,
}

/// An entry of the field `words`. Times are in nanoseconds.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WordOnTheBus {
    word: String,
    running_time: u64,
    duration: u64,
}

/// Plays `file`, and returns what was heard, and why it is not everything.
pub fn play(file: &Path, base_url: Option<&str>) -> (Heard, Option<String>) {
    let mut heard = Heard::default();
    let error = match try_to_play(file, base_url, &mut heard) {
        Ok(()) if heard.audio_seconds == 0.0 => Some("no audio came out of the file".to_owned()),
        Ok(()) if heard.complete => None,
        Ok(()) => Some("the results are not complete".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    (heard, error)
}

fn try_to_play(
    file: &Path,
    base_url: Option<&str>,
    heard: &mut Heard,
) -> Result<(), Box<dyn Error>> {
    let playing = Playing::new(file, base_url)?;
    let bus = playing.0.bus().ok_or("the pipeline has no bus")?;
    let sink = playing
        .0
        .by_name("sink")
        .ok_or("the pipeline has no sink")?;
    // The bus tells more about a failure than the return value.
    let started = playing.0.set_state(gst::State::Playing);
    let patience = started.err().map(|_| gst::ClockTime::ZERO);
    while let Some(message) = bus.timed_pop(patience) {
        use gst::MessageView;

        match message.view() {
            MessageView::Element(element) => {
                if let Some(structure) = element.structure() {
                    heard.add(structure)?;
                }
            }
            MessageView::Error(error) => return Err(explain(error).into()),
            MessageView::Eos(_) => {
                let stats = sink.property::<gst::Structure>("stats");
                heard.audio_seconds = seconds(stats.get("audio-sent").unwrap_or_default());
                return Ok(());
            }
            _ => {}
        }
    }
    Err("the pipeline did not start".into())
}

impl Heard {
    fn add(&mut self, message: &gst::StructureRef) -> Result<(), Box<dyn Error>> {
        let says = |field| message.get::<bool>(field) == Ok(true);
        match message.name().as_str() {
            "symbl/transcript" if says("is-final") => {
                self.finals.push(message.get("text").unwrap_or_default());
                let words = message.get::<&str>("words").unwrap_or("[]");
                let words: Vec<WordOnTheBus> = serde_json::from_str(words)?;
                self.words.extend(words.into_iter().map(|word| Word {
                    word: word.word,
                    start: seconds(word.running_time),
                    end: seconds(word.running_time.saturating_add(word.duration)),
                }));
            }
            "symbl/drained" => self.complete = says("complete"),
            _ => {}
        }
        Ok(())
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// A pipeline that plays. It is stopped when it is dropped.
struct Playing(gst::Pipeline);

impl Playing {
    fn new(file: &Path, base_url: Option<&str>) -> Result<Self, Box<dyn Error>> {
        let read = match file.extension().and_then(|name| name.to_str()) {
            Some("wav") => "wavparse",
            Some("opus") => "oggdemux ! rtpopuspay ! rtpopusdepay",
            _ => "decodebin ! audioconvert ! audioresample ! audio/x-raw,rate=16000,channels=1",
        };
        let pipeline = gst::parse::launch(&format!("filesrc name=in ! {read} ! {SINK}"))?
            .downcast::<gst::Pipeline>()
            .map_err(|_| "the description is no pipeline")?;
        let by_name = |name| {
            let element = pipeline.by_name(name);
            element.ok_or_else(|| format!("no element '{name}' in the pipeline"))
        };
        by_name("in")?.set_property("location", file);
        if let Some(url) = base_url {
            by_name("sink")?.set_property("base-url", url);
        }
        Ok(Self(pipeline))
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        // A failure cannot be reported any more.
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// Describes what failed, and where.
fn explain(error: &gst::message::Error) -> String {
    let source = error.src().map(|source| source.name());
    let source = source.as_deref().unwrap_or("pipeline");
    match error.debug() {
        Some(debug) => format!("{source}: {} ({debug})", error.error()),
        None => format!("{source}: {}", error.error()),
    }
}
