// SPDX-License-Identifier: MPL-2.0

//! A media server with captions for each of its streams: many pipelines in one
//! process, which come and go, and one loop for all of their messages.
//!
//! ```text
//! media-server [--base-url URL]        commands on standard input:
//!   add NAME INPUT                     adds a stream: a file or an address
//!   remove NAME                        ends it and waits for its last captions
//! ```
//!
//! The server ends with its input (or at Ctrl-C), once all streams have ended. It
//! shows how to embed the element:
//!
//! - One pipeline per stream, so that an error, an EOS and a clock belong to one stream.
//! - One loop. A sync handler on each bus sends its messages to one channel, together
//!   with the number of their stream. Pipelines cannot share a bus: one that stops
//!   flushes it.
//! - The loop never waits for a stream. Calls that may block (a change of state, an
//!   event) use [`gst::prelude::ElementExtManual::call_async`].
//! - Standard output may have no reader, or a slow one. A thread writes it, so that no
//!   stream waits. If the reader has gone, the server ends.
//! - `on-fatal=warning`: if a service refuses a stream, that stream goes on without
//!   captions.

mod stream;

use clap::Parser;
use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use stream::{Stream, Turn};
use symbl_captions::{Notes, Outlet};

/// Captions of many streams
#[derive(Parser)]
#[command(name = "media-server", version)]
struct Args {
    /// Address of the service [default: SYMBL_BASE_URL, else the element's own]
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
}

/// What the loop waits for.
enum Event {
    /// A line of standard input.
    Command(String),
    /// No more streams come, and those that run shall end.
    Close,
    /// A message on the bus of the stream with this number.
    Message(u64, gst::Message),
    /// The stream with this number is in NULL.
    Stopped(u64),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let notes = Notes::new("media-server");
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
    let (events, queue) = mpsc::channel();
    let interrupted = events.clone();
    ctrlc::set_handler(move || {
        let _ = interrupted.send(Event::Close);
    })?;
    let commands = events.clone();
    std::thread::spawn(move || read_commands(&commands));
    Server {
        base_url: args.base_url.clone(),
        out: Outlet::stdout()?,
        notes: notes.clone(),
        events,
        streams: BTreeMap::new(),
        next: 0,
        closing: false,
    }
    .serve(&queue)
}

fn read_commands(events: &Sender<Event>) {
    for line in std::io::stdin().lines().map_while(Result::ok) {
        if events.send(Event::Command(line)).is_err() {
            return;
        }
    }
    let _ = events.send(Event::Close);
}

struct Server {
    base_url: Option<String>,
    /// Standard output.
    out: Outlet,
    notes: Notes,
    events: Sender<Event>,
    /// The streams by number. A number is never used again, but a name may be.
    streams: BTreeMap<u64, Stream>,
    next: u64,
    closing: bool,
}

impl Server {
    /// Runs the loop.
    fn serve(mut self, queue: &Receiver<Event>) -> Result<(), Box<dyn Error>> {
        while !(self.closing && self.streams.is_empty()) {
            if !self.closing && self.out.finish(Duration::ZERO).is_err() {
                self.close();
                continue;
            }
            match self.next_event(queue) {
                Ok(Event::Command(line)) => {
                    if let Err(error) = self.command(&line) {
                        self.notes.tell(&error.to_string());
                    }
                }
                Ok(Event::Close) => self.close(),
                Ok(Event::Message(number, message)) => {
                    if let Some(stream) = self.streams.get_mut(&number)
                        && stream.hear(&message) == Turn::Over
                    {
                        self.stop(number);
                    }
                }
                Ok(Event::Stopped(number)) => {
                    self.streams.remove(&number);
                }
                Err(RecvTimeoutError::Timeout) => self.stop_overdue(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.written(queue)
    }

    /// Accepts no more streams, and ends those that run.
    fn close(&mut self) {
        self.closing = true;
        self.streams.values_mut().for_each(Stream::end);
    }

    /// Waits until all of standard output is read, or until Ctrl-C.
    fn written(&self, queue: &Receiver<Event>) -> Result<(), Box<dyn Error>> {
        let left = loop {
            match self.out.finish(Duration::from_millis(100)) {
                Ok(0) => break 0,
                Ok(left) if matches!(queue.try_recv(), Ok(Event::Close)) => break left as u64,
                Ok(_) => {}
                // The reader has gone, as `head` does.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => {
                    return Err(format!("cannot write to standard output: {error}").into());
                }
            }
        };
        match self.out.lost() + left {
            0 => Ok(()),
            lost => Err(format!("nobody read standard output: {lost} lines are missing").into()),
        }
    }

    /// Waits for an event, or for the deadline of a stream.
    fn next_event(&self, queue: &Receiver<Event>) -> Result<Event, RecvTimeoutError> {
        match self.streams.values().filter_map(Stream::deadline).min() {
            Some(deadline) => {
                queue.recv_timeout(deadline.saturating_duration_since(Instant::now()))
            }
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn command(&mut self, line: &str) -> Result<(), Box<dyn Error>> {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        match words[..] {
            ["add", name, input] => self.add(name, input),
            ["remove", name] => {
                let stream = self.streams.values_mut().find(|s| s.is_running(name));
                stream.ok_or_else(|| format!("no stream {name}"))?.end();
                Ok(())
            }
            _ => Err(format!("'{line}' is neither 'add NAME INPUT' nor 'remove NAME'").into()),
        }
    }

    fn add(&mut self, name: &str, input: &str) -> Result<(), Box<dyn Error>> {
        if self.closing {
            return Err("it is closing".into());
        }
        if self.streams.values().any(|stream| stream.is_running(name)) {
            return Err(format!("there is a stream {name}").into());
        }
        let number = self.next;
        self.next += 1;
        let events = self.events.clone();
        let on_message = move |message| {
            let _ = events.send(Event::Message(number, message));
        };
        let stream = Stream::start(
            name,
            input,
            self.base_url.as_deref(),
            self.out.clone(),
            on_message,
        )?;
        self.streams.insert(number, stream);
        Ok(())
    }

    /// Sets a stream to NULL. The loop removes it when that is done.
    fn stop(&mut self, number: u64) {
        if let Some(stream) = self.streams.get_mut(&number) {
            let events = self.events.clone();
            stream.stop(move || {
                let _ = events.send(Event::Stopped(number));
            });
        }
    }

    /// Stops the streams that did not end in time.
    fn stop_overdue(&mut self) {
        let now = Instant::now();
        let overdue = |(number, stream): (&u64, &Stream)| {
            let over = stream.deadline().is_some_and(|deadline| deadline <= now);
            over.then_some(*number)
        };
        let overdue: Vec<u64> = self.streams.iter().filter_map(overdue).collect();
        for number in overdue {
            if let Some(stream) = self.streams.get(&number) {
                stream.tell("did not end in time");
            }
            self.stop(number);
        }
    }
}
