// SPDX-License-Identifier: MPL-2.0

//! A recording with captions: records the sound of a file or an address as FLAC, and
//! writes captions next to it at the same time.
//!
//! ```text
//! recording [--base-url URL] [--format srt|webvtt] INPUT talk.flac    makes talk.flac and talk.srt
//! ```
//!
//! The program shows how an application makes captions from the messages on the bus:
//! see `caption`. Ctrl-C ends the recording and waits for its last captions. The
//! recording goes on without captions if the service fails for good or if they cannot
//! be written.

use clap::Parser;
use gst::prelude::*;
use serde::Deserialize;
use std::error::Error;
use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use symbl_captions::{CaptionWriter, Format, Notes, TimedWord, Utterance};

/// Record the sound of INPUT, with captions next to it
#[derive(Parser)]
#[command(name = "recording", version)]
struct Args {
    /// Address of the service [default: SYMBL_BASE_URL, else the element's own]
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,

    /// Format of the captions: srt, webvtt, jsonl or text
    #[arg(long, value_name = "FORMAT", default_value = "srt")]
    format: Format,

    /// A file, or an address such as rtsp://camera/stream
    #[arg(value_name = "INPUT")]
    input: String,

    /// The FLAC file to write; the captions are next to it
    #[arg(value_name = "RECORDING")]
    recording: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let notes = Notes::new("recording");
    let code = match run(&args, &notes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            notes.tell(&error.to_string());
            ExitCode::FAILURE
        }
    };
    notes.finish();
    code
}

fn run(args: &Args, notes: &Notes) -> Result<(), Box<dyn Error>> {
    gst::init()?;
    gstsymbl::plugin_register_static()?;
    let beside = args.recording.with_extension(args.format.extension());
    let pipeline = pipeline(args)?;
    let bus = pipeline.bus().ok_or("the pipeline has no bus")?;
    let interrupted = pipeline.downgrade();
    ctrlc::set_handler(move || {
        if let Some(pipeline) = interrupted.upgrade() {
            pipeline.send_event(gst::event::Eos::new());
        }
    })?;
    let file = File::create(&beside)
        .map_err(|error| format!("cannot write {}: {error}", beside.display()))?;
    let writer = CaptionWriter::new(file, args.format)
        .map_err(|error| format!("cannot write {}: {error}", beside.display()))?;
    // The bus tells more about a failure than the return value.
    let _ = pipeline.set_state(gst::State::Playing);
    let mut captions = Captions {
        writer,
        failure: None,
    };
    let ended = attend(&bus, &mut captions, notes);
    pipeline.set_state(gst::State::Null)?;
    ended?;
    captions.attempt(CaptionWriter::finish);
    match captions.failure {
        Some(error) => Err(format!("cannot write {}: {error}", beside.display()).into()),
        None => Ok(()),
    }
}

/// The captions, for as long as they can be written.
struct Captions {
    writer: CaptionWriter<File>,
    failure: Option<std::io::Error>,
}

impl Captions {
    /// Writes to the captions, unless an earlier write has failed.
    fn attempt(&mut self, write: impl FnOnce(&mut CaptionWriter<File>) -> std::io::Result<()>) {
        if self.failure.is_none() {
            self.failure = write(&mut self.writer).err();
        }
    }
}

/// Creates the pipeline: one branch records, the other goes to the service.
fn pipeline(args: &Args) -> Result<gst::Pipeline, Box<dyn Error>> {
    let pipeline = gst::parse::launch(
        "uridecodebin name=in caps=audio/x-raw expose-all-streams=false ! audioconvert \
         ! tee name=sound \
         sound. ! queue ! flacenc ! filesink name=file \
         sound. ! queue ! audioconvert ! audioresample ! audio/x-raw,rate=16000,channels=1 \
         ! symblsink name=sink on-fatal=warning interim-results=false",
    )?
    .downcast::<gst::Pipeline>()
    .map_err(|_| "the description is no pipeline")?;
    let by_name = |name| {
        let element = pipeline.by_name(name);
        element.ok_or_else(|| format!("no element '{name}' in the pipeline"))
    };
    let uri = match std::fs::canonicalize(&args.input) {
        Ok(path) => gst::glib::filename_to_uri(path, None)?.into(),
        Err(_) if args.input.contains("://") => args.input.clone(),
        Err(error) => return Err(format!("cannot read {}: {error}", args.input).into()),
    };
    by_name("in")?.set_property("uri", uri);
    by_name("file")?.set_property("location", &args.recording);
    if let Some(url) = &args.base_url {
        by_name("sink")?.set_property("base-url", url);
    }
    Ok(pipeline)
}

/// Writes captions of the messages on the bus, until the recording ends.
fn attend(bus: &gst::Bus, captions: &mut Captions, notes: &Notes) -> Result<(), Box<dyn Error>> {
    use gst::MessageView;

    for message in bus.iter_timed(gst::ClockTime::NONE) {
        match message.view() {
            MessageView::Element(element) => {
                if let Some(structure) = element.structure() {
                    let begins = captions.failure.is_none();
                    captions.attempt(|writer| caption(structure, writer));
                    if let (true, Some(error)) = (begins, &captions.failure) {
                        notes.tell(&format!(
                            "warning: the captions cannot be written ({error}); the recording goes on"
                        ));
                    }
                }
            }
            MessageView::Warning(warning) => notes.tell(&format!("warning: {}", warning.error())),
            MessageView::Error(error) => return Err(error.error().into()),
            MessageView::Eos(_) => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

/// An entry of the field `words`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WordOnTheBus {
    word: String,
    running_time: u64,
    duration: u64,
}

/// Writes a final transcript. Its running time is its position in the recording,
/// because the recording began with the pipeline.
fn caption(structure: &gst::StructureRef, writer: &mut CaptionWriter<File>) -> std::io::Result<()> {
    if structure.name() != "symbl/transcript" || structure.get::<bool>("is-final") != Ok(true) {
        return Ok(());
    }
    let words = structure.get::<&str>("words").unwrap_or("[]");
    let words: Vec<WordOnTheBus> = serde_json::from_str(words).unwrap_or_default();
    let words: Vec<TimedWord> = words
        .into_iter()
        .map(|word| TimedWord {
            text: word.word,
            start: Duration::from_nanos(word.running_time),
            end: Duration::from_nanos(word.running_time.saturating_add(word.duration)),
        })
        .collect();
    let start = structure.get::<u64>("running-time").ok();
    let end = start.zip(structure.get::<u64>("duration").ok());
    writer.utterance(&Utterance {
        text: structure.get("text").unwrap_or_default(),
        speaker: structure.get("speaker-name").ok(),
        start: start.map(Duration::from_nanos),
        end: end.map(|(start, duration)| Duration::from_nanos(start.saturating_add(duration))),
        words: &words,
        ..Utterance::default()
    })
}
