// SPDX-License-Identifier: MPL-2.0

//! One stream: its pipeline, and what is printed about it.

use gst::prelude::*;
use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};
use symbl_captions::{Outlet, visible};

/// Maximum time that a stream may take to end. It is longer than the sink's
/// `drain-timeout`, which bounds the wait for the last results.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a message means for its stream.
#[derive(PartialEq, Eq)]
pub enum Turn {
    On,
    Over,
}

/// A stream that was started.
pub struct Stream {
    name: String,
    pipeline: gst::Pipeline,
    /// Standard output.
    out: Outlet,
    phase: Phase,
    /// `true` once it was in PLAYING. An EOS before that would be lost.
    playing: bool,
    /// `true` if all captions have come.
    complete: bool,
}

enum Phase {
    Running,
    /// Waits for the last results, until this time.
    Ending(Instant),
    Stopping,
}

impl Stream {
    /// Starts a stream of this file or address. `on_message` is called from any
    /// thread, and the thread that posts the message waits for it.
    pub fn start(
        name: &str,
        input: &str,
        base_url: Option<&str>,
        out: Outlet,
        on_message: impl Fn(gst::Message) + Send + Sync + 'static,
    ) -> Result<Self, Box<dyn Error>> {
        // The fakesink stands for the other things a server does with its streams.
        let pipeline = gst::parse::launch(
            "uridecodebin name=in caps=audio/x-raw expose-all-streams=false ! tee name=sound \
             sound. ! queue ! fakesink sync=true async=false \
             sound. ! queue ! audioconvert ! audioresample ! audio/x-raw,rate=16000,channels=1 \
             ! symblsink name=sink on-fatal=warning interim-results=false",
        )?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "the description is no pipeline")?;
        let by_name = |name| {
            let element = pipeline.by_name(name);
            element.ok_or_else(|| format!("no element '{name}' in the pipeline"))
        };
        by_name("in")?.set_property("uri", uri(input)?);
        if let Some(url) = base_url {
            by_name("sink")?.set_property("base-url", url);
        }
        let bus = pipeline.bus().ok_or("the pipeline has no bus")?;
        bus.set_sync_handler(move |_, message| {
            on_message(message.clone());
            gst::BusSyncReply::Drop
        });
        // If it fails, the bus says why.
        pipeline.call_async(|pipeline| {
            let _ = pipeline.set_state(gst::State::Playing);
        });
        let stream = Self {
            name: name.to_owned(),
            pipeline,
            out,
            phase: Phase::Running,
            playing: false,
            complete: false,
        };
        stream.tell("begins");
        Ok(stream)
    }

    /// Prints a line about the stream.
    pub fn tell(&self, what: &str) {
        let mut out = self.out.clone();
        let line = format!("{} {}\n", self.name, visible(what));
        // The server checks if it could be written.
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }

    /// Returns `true` if it has this name and was not told to end.
    pub fn is_running(&self, name: &str) -> bool {
        self.name == name && matches!(self.phase, Phase::Running)
    }

    /// Ends the stream, with its last results.
    pub fn end(&mut self) {
        if let Phase::Running = self.phase {
            self.phase = Phase::Ending(Instant::now() + PATIENCE);
            if self.playing {
                self.send_eos();
            }
        }
    }

    fn send_eos(&self) {
        self.pipeline.call_async(|pipeline| {
            pipeline.send_event(gst::event::Eos::new());
        });
    }

    /// Returns when to stop the stream, if it has not ended by then.
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Ending(deadline) => Some(deadline),
            Phase::Running | Phase::Stopping => None,
        }
    }

    /// Sets the pipeline to NULL, and then calls `stopped`.
    pub fn stop(&mut self, stopped: impl FnOnce() + Send + 'static) {
        self.phase = Phase::Stopping;
        self.pipeline.call_async(move |pipeline| {
            let _ = pipeline.set_state(gst::State::Null);
            stopped();
        });
    }

    /// Handles a message of the stream's bus, and returns what it means for the
    /// stream.
    pub fn hear(&mut self, message: &gst::Message) -> Turn {
        use gst::MessageView;

        if let Phase::Stopping = self.phase {
            return Turn::On;
        }
        match message.view() {
            MessageView::StateChanged(change)
                if !self.playing
                    && change.current() == gst::State::Playing
                    && message.src() == Some(self.pipeline.upcast_ref()) =>
            {
                self.playing = true;
                if let Phase::Ending(_) = self.phase {
                    self.send_eos();
                }
                Turn::On
            }
            MessageView::Element(element) => {
                if let Some(structure) = element.structure() {
                    self.caption(structure);
                }
                Turn::On
            }
            MessageView::Warning(warning) => {
                self.tell(&format!("warning: {}", warning.error()));
                Turn::On
            }
            MessageView::Error(error) => {
                self.tell(&format!("failed: {}", error.error()));
                Turn::Over
            }
            MessageView::Eos(_) => {
                let captions = if self.complete { "all" } else { "not all" };
                self.tell(&format!("ended, {captions} captions are there"));
                Turn::Over
            }
            _ => Turn::On,
        }
    }

    fn caption(&mut self, structure: &gst::StructureRef) {
        let text = |field| structure.get::<&str>(field).unwrap_or_default();
        match structure.name().as_str() {
            "symbl/transcript" => {
                let tenths = structure.get::<u64>("running-time").unwrap_or(0) / 100_000_000;
                let (minutes, seconds) = (tenths / 600, tenths / 10 % 60);
                let (tenths, text) = (tenths % 10, text("text"));
                self.tell(&format!("[{minutes:02}:{seconds:02}.{tenths}] {text}"));
            }
            "symbl/gap" => self.tell(&format!("audio was lost: {}", text("reason"))),
            "symbl/drained" => self.complete = structure.get("complete") == Ok(true),
            _ => {}
        }
    }
}

/// Returns the address of a file, or an address as it is.
fn uri(input: &str) -> Result<String, Box<dyn Error>> {
    match std::fs::canonicalize(input) {
        Ok(path) => Ok(gst::glib::filename_to_uri(path, None)?.into()),
        Err(_) if input.contains("://") => Ok(input.to_owned()),
        Err(error) => Err(format!("cannot read {input}: {error}").into()),
    }
}
