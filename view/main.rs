// SPDX-License-Identifier: MPL-2.0

//! `symbl-view`: live captions in a terminal. Plays a file or an address through `symblsink`
//! and prints the results as they come, or shows the messages of another pipeline.
//!
//! ```text
//! symbl-view [--base-url URL] [--trackers JSON] [--reference FILE] INPUT
//! gst-launch-1.0 -em … ! symblsink … | symbl-view [--reference FILE]
//! ```
//!
//! The program is also an example of how an application uses the element: everything it
//! prints comes from the messages on the bus and from the property `stats`. Ctrl-C ends the
//! talk and waits for its last results; a second Ctrl-C stops at once. The exit status is
//! 0 if all captions have come, or if the reader of standard output has gone.

mod accuracy;
mod launched;
mod summary;
mod view;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use gst::prelude::*;
use std::error::Error;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use summary::Summary;
use symbl_captions::Notes;
use view::View;

/// Show live captions, with the insights, trackers and topics found in them.
///
/// With INPUT, it is played in real time through symblsink. Without it, the messages of
/// another pipeline are shown: pipe the output of `gst-launch-1.0 -em` into this program. -m
/// prints the messages, and with -e Ctrl-C ends the talk and waits for its last captions.
///
/// If the service requires a token, pass it in the environment variable
/// SYMBL_ACCESS_TOKEN: every user of the machine can read a command line.
#[derive(Parser)]
#[command(name = "symbl-view", version)]
struct Args {
    /// Address of the service, for example http://127.0.0.1:8787
    /// [default: SYMBL_BASE_URL, else the element's own]
    #[arg(long, value_name = "URL", requires = "input")]
    base_url: Option<String>,

    /// The plugin's library; without it, the one built into this program
    #[arg(long, value_name = "LIBRARY", requires = "input")]
    plugin: Option<PathBuf>,

    /// Phrases to look for: [{"name":"Price","vocabulary":["how much","cost"]}]
    #[arg(long, value_name = "JSON", requires = "input")]
    trackers: Option<String>,

    /// Text file with what is said in INPUT, to compute the word error rate
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,

    /// A file, or an address such as rtsp://camera/stream
    /// [default: the output of `gst-launch-1.0 -m` on standard input]
    #[arg(value_name = "INPUT")]
    input: Option<String>,

    /// Write the manual page and the completions of shells into this folder, and end
    #[arg(long, value_name = "DIR", hide = true, exclusive = true)]
    write_manual: Option<PathBuf>,
}

/// Name of the message that Ctrl-C puts on the bus.
const INTERRUPTED: &str = "symbl-view/interrupted";

/// Exit status that shells give a program ended by Ctrl-C.
const EXIT_INTERRUPTED: u8 = 130;

/// Set when only the output is left to write. Then Ctrl-C ends the program.
static WRITING: AtomicBool = AtomicBool::new(false);

/// Set at the first Ctrl-C while the messages of another program are shown.
static INTERRUPTED_BEFORE: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let args = Args::parse();
    let notes = Notes::new("symbl-view");
    let code = match run(&args, &notes) {
        Ok(code) => code,
        Err(error) if has_no_reader(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            notes.tell(&error.to_string());
            ExitCode::FAILURE
        }
    };
    notes.finish();
    code
}

/// Returns `true` if the reader of standard output has gone, as `head` does.
fn has_no_reader(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn run(args: &Args, notes: &Notes) -> Result<ExitCode, Box<dyn Error>> {
    if let Some(folder) = &args.write_manual {
        symbl_manual::write(Args::command(), folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let reference = match &args.reference {
        Some(path) => Some(
            std::fs::read_to_string(path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?,
        ),
        None => None,
    };
    gst::init()?;
    let Some(input) = &args.input else {
        return show_launched(notes, reference.as_deref());
    };
    load_plugin(args.plugin.as_deref())?;
    let pipeline = Pipeline::new(args, input)?;
    pipeline.stop_on_interrupt()?;

    let mut view = View::new(notes)?;
    let mut summary = Summary::default();
    let end = pipeline.play(&mut view, &mut summary);
    view.close()?;
    if end? == End::Interrupted {
        return Ok(ExitCode::from(EXIT_INTERRUPTED));
    }
    let stats = pipeline.sink.property::<gst::Structure>("stats");
    conclude(&mut view, &summary, &stats, reference.as_deref())
}

/// Shows what `gst-launch-1.0 -m` prints, up to its end.
fn show_launched(notes: &Notes, reference: Option<&str>) -> Result<ExitCode, Box<dyn Error>> {
    if io::stdin().is_terminal() {
        let missing = "there is no INPUT, and no output of `gst-launch-1.0 -em` on standard input";
        let mut command = Args::command();
        command
            .error(ErrorKind::MissingRequiredArgument, missing)
            .exit();
    }
    // Ctrl-C reaches both programs, and the other one ends the talk. The second Ctrl-C is for
    // a user who does not wait for that.
    ctrlc::set_handler(|| {
        end_if_writing();
        if INTERRUPTED_BEFORE.swap(true, Ordering::Relaxed) {
            std::process::exit(EXIT_INTERRUPTED.into());
        }
    })?;
    let (mut view, mut summary) = (View::new(notes)?, Summary::default());
    let shown = launched::show(io::stdin().lock(), &mut view, &mut summary);
    view.close()?;
    shown?;
    if !summary.has_begun() {
        return Err(
            "no message of symblsink has come: the pipeline needs one, and gst-launch-1.0 its \
             option -m"
                .into(),
        );
    }
    let stats = summary.measured();
    conclude(&mut view, &summary, &stats, reference)
}

/// Prints the summary, and returns the exit status.
fn conclude(
    view: &mut View,
    summary: &Summary,
    stats: &gst::Structure,
    reference: Option<&str>,
) -> Result<ExitCode, Box<dyn Error>> {
    for line in summary.lines(stats, reference) {
        view.line(&line)?;
    }
    WRITING.store(true, Ordering::Relaxed);
    view.finish()?;
    if !summary.is_complete() {
        return Err("the captions are not complete".into());
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends the program if it only waits for the reader of its output.
fn end_if_writing() {
    if WRITING.load(Ordering::Relaxed) {
        std::process::exit(EXIT_INTERRUPTED.into());
    }
}

fn load_plugin(library: Option<&Path>) -> Result<(), Box<dyn Error>> {
    match library {
        Some(path) => {
            gst::Plugin::load_file(path)
                .map_err(|error| format!("cannot load {}: {error}", path.display()))?;
        }
        None => gstsymbl::plugin_register_static()?,
    }
    Ok(())
}

#[derive(PartialEq, Eq)]
enum End {
    /// The stream ended, and the last results have come.
    Drained,
    /// The user did not wait for the last results.
    Interrupted,
}

/// The pipeline. It is stopped when dropped, however the program ends.
struct Pipeline {
    pipeline: gst::Pipeline,
    sink: gst::Element,
    bus: gst::Bus,
}

impl Pipeline {
    fn new(args: &Args, input: &str) -> Result<Self, Box<dyn Error>> {
        let pipeline = gst::parse::launch(
            "uridecodebin name=in caps=audio/x-raw expose-all-streams=false \
             ! audioconvert ! audioresample ! audio/x-raw,rate=16000,channels=1 \
             ! symblsink name=sink insight-types=action-item+question+follow-up+topic",
        )?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "the description is no pipeline")?;
        let by_name = |name| {
            let element = pipeline.by_name(name);
            element.ok_or_else(|| format!("no element '{name}' in the pipeline"))
        };
        by_name("in")?.set_property("uri", uri(input)?);
        let sink = by_name("sink")?;
        if let Some(url) = &args.base_url {
            sink.set_property("base-url", url);
        }
        if let Some(trackers) = &args.trackers {
            sink.set_property("trackers", trackers);
        }
        let bus = pipeline.bus().ok_or("the pipeline has no bus")?;
        Ok(Self {
            pipeline,
            sink,
            bus,
        })
    }

    /// Turns Ctrl-C and `kill` into a message on the bus.
    fn stop_on_interrupt(&self) -> Result<(), Box<dyn Error>> {
        let bus = self.bus.clone();
        ctrlc::set_handler(move || {
            end_if_writing();
            let interrupted = gst::Structure::new_empty(INTERRUPTED);
            // Fails only if the program is about to end anyway.
            let _ = bus.post(gst::message::Application::new(interrupted));
        })?;
        Ok(())
    }

    fn play(&self, view: &mut View, summary: &mut Summary) -> Result<End, Box<dyn Error>> {
        use gst::MessageView;

        let mut interrupted = false;
        // The bus tells more about a failure than the return value.
        let started = self.pipeline.set_state(gst::State::Playing);
        while let Some(message) = self
            .bus
            .timed_pop(started.err().map(|_| gst::ClockTime::ZERO))
        {
            match message.view() {
                MessageView::Element(element) => {
                    if let Some(structure) = element.structure() {
                        summary.count("sink", structure);
                        view.show(structure)?;
                    }
                }
                MessageView::Warning(warning) => view.warn(&warning.error().to_string())?,
                MessageView::Error(error) => return Err(explain(error).into()),
                MessageView::Eos(_) => return Ok(End::Drained),
                MessageView::Application(application)
                    if application
                        .structure()
                        .is_some_and(|s| s.name() == INTERRUPTED) =>
                {
                    if interrupted {
                        return Ok(End::Interrupted);
                    }
                    interrupted = true;
                    view.warn("waiting for the last results; Ctrl-C again stops at once")?;
                    self.pipeline.send_event(gst::event::Eos::new());
                }
                _ => {}
            }
        }
        Err("the pipeline did not start".into())
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // A failure cannot be reported any more.
        let _ = self.pipeline.set_state(gst::State::Null);
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

/// Describes what failed and where. The details of the element are on a line of their
/// own.
fn explain(error: &gst::message::Error) -> String {
    let source = error.src().map(|source| source.name());
    let source = source.as_deref().unwrap_or("pipeline");
    match error.debug() {
        Some(debug) => format!("{source}: {}\n{debug}", error.error()),
        None => format!("{source}: {}", error.error()),
    }
}
