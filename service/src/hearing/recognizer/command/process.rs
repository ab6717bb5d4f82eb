// SPDX-License-Identifier: MPL-2.0

//! One running process: threads that block in its place, and its end.
//!
//! Four threads do what may block: one writes its standard input, one reads its
//! standard output, one passes its standard error to the log, one waits for its
//! end. They end with the process. It leads a process group of its own, which is
//! killed with it, so that nothing that it started lives on.

use super::bell::Bell;
use super::line::{LineError, OutputLine, read_line};
use crate::hearing::recognizer::SAMPLE_RATE;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Chunks that wait in front of a process's standard input.
const CHUNKS: usize = 2;

/// Events that wait to be looked at.
const EVENTS: usize = 64;

/// How long an end is waited for that is half seen: output over but the process
/// there, or the other way round.
const HALF_DEAD: Duration = Duration::from_secs(1);

/// Longest line of standard error in the log, in bytes.
const LOGGED: u64 = 2000;

/// What a process did.
#[derive(Debug)]
pub(super) enum Event {
    /// It took so many samples.
    Taken(usize),
    /// It said something.
    Line(Result<OutputLine, LineError>),
    /// Its output is over.
    Silent,
    /// It ended.
    Exited { success: bool, how: String },
}

/// How a process ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Whether by itself and with status 0.
    pub(super) success: bool,
    /// For the log.
    pub(super) how: String,
}

/// The process group, until it is reaped.
#[derive(Debug)]
pub(super) struct Group(Mutex<Option<Pid>>);

impl Group {
    /// Kills all of it. Never waits.
    pub(super) fn kill(&self) {
        let leader = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leader) = *leader {
            // It may be gone already; a zombie keeps the number until it is reaped.
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }
}

/// Sends what the process did to its stream, and wakes the stream.
#[derive(Debug, Clone)]
struct EventSender {
    events: SyncSender<Event>,
    bell: Arc<Bell>,
}

/// The stream is gone.
struct Gone;

impl EventSender {
    /// Sends an event and wakes the stream. Waits while the stream has [`EVENTS`] to look at.
    fn send(&self, event: Event) -> Result<(), Gone> {
        let sent = self.events.send(event).map_err(|_| Gone);
        self.bell.ring();
        sent
    }
}

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Process {
    audio: Option<SyncSender<Vec<u8>>>,
    events: Receiver<Event>,
    group: Arc<Group>,
    silent: bool,
    exited: Option<Ended>,
    /// When the first half of its end was seen.
    ending: Option<Instant>,
}

impl Process {
    /// Starts it.
    pub(super) fn start(
        mut command: Command,
        connection: &str,
        bell: &Arc<Bell>,
    ) -> std::io::Result<Self> {
        let (audio, chunks) = sync_channel(CHUNKS);
        let (sender, events) = sync_channel(EVENTS);
        let sender = EventSender {
            events: sender,
            bell: Arc::clone(bell),
        };
        let group = Arc::new(Group(Mutex::new(None)));
        // The thread that reaps the process is there before it: where the system has no
        // thread, a process that nobody reaps would count against the same limit for good.
        let (hand, handed) = sync_channel(1);
        let (reaped, ended) = (Arc::clone(&group), sender.clone());
        run("wait", move || {
            if let Ok(child) = handed.recv() {
                wait(child, &reaped, &ended);
            }
        })?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        *group.0.lock().unwrap_or_else(PoisonError::into_inner) =
            i32::try_from(child.id()).ok().map(Pid::from_raw);
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        // The thread waits for it.
        let _ = hand.send(child);
        let process = Self {
            audio: Some(audio),
            events,
            group,
            silent: false,
            exited: None,
            ending: None,
        };
        let connection = connection.to_owned();
        let (written, said) = (sender.clone(), sender);
        // Where one of them cannot be had, dropping the process kills it.
        run("write", move || write(stdin, &chunks, &written))?;
        run("read", move || read(stdout, &said))?;
        run("log", move || log(stderr, &connection))?;
        Ok(process)
    }

    /// What kills it, for who ends the service.
    pub(super) fn group(&self) -> Arc<Group> {
        Arc::clone(&self.group)
    }

    /// Gives it audio; `false` when it has enough for now.
    pub(super) fn give(&self, chunk: Vec<u8>) -> bool {
        match &self.audio {
            Some(audio) => match audio.try_send(chunk) {
                // Of a dead one the end is about to be seen.
                Ok(()) | Err(TrySendError::Disconnected(_)) => true,
                Err(TrySendError::Full(_)) => false,
            },
            None => false,
        }
    }

    /// No more audio: its standard input is closed behind what was given.
    pub(super) fn finish(&mut self) {
        self.audio = None;
    }

    /// Returns what it took or said next, if it did by now. Its end is taken down on the
    /// way, for [`Process::ended`].
    pub(super) fn event(&mut self) -> Option<Event> {
        loop {
            match self.events.try_recv() {
                Ok(Event::Silent) => self.silent = true,
                Ok(Event::Exited { success, how }) => {
                    self.exited = Some(Ended { success, how });
                }
                Ok(event) => return Some(event),
                Err(TryRecvError::Empty) => return None,
                // All threads are gone, so the process is.
                Err(TryRecvError::Disconnected) => {
                    self.silent = true;
                    self.ending.get_or_insert_with(Instant::now);
                    return None;
                }
            }
            self.ending.get_or_insert_with(Instant::now);
        }
    }

    /// Returns when an end that is half seen counts as one, if there is such an end.
    pub(super) fn ends_by(&self) -> Option<Instant> {
        Some(self.ending? + HALF_DEAD)
    }

    /// How it ended, once it did and all that it said was looked at.
    pub(super) fn ended(&mut self, now: Instant) -> Option<Ended> {
        let since = now.saturating_duration_since(self.ending?);
        match self.exited.take() {
            Some(ended) if self.silent || since >= HALF_DEAD => Some(ended),
            Some(ended) => {
                self.exited = Some(ended);
                None
            }
            None if since >= HALF_DEAD => Some(Ended {
                success: false,
                how: "it closed its standard output and went on".to_owned(),
            }),
            None => None,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.group.kill();
    }
}

fn run(what: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let name = format!("recogniser-{what}");
    let client = tracing::Span::current();
    let work = move || client.in_scope(work);
    thread::Builder::new().name(name).spawn(work).map(drop)
}

fn write(stdin: Option<impl Write>, chunks: &Receiver<Vec<u8>>, events: &EventSender) {
    let Some(mut stdin) = stdin else { return };
    for chunk in chunks {
        // A process that reads no more is seen by its end, or as one that hangs.
        if stdin.write_all(&chunk).is_err() || events.send(Event::Taken(chunk.len() / 2)).is_err() {
            return;
        }
    }
}

fn read(stdout: Option<impl Read>, events: &EventSender) {
    let Some(stdout) = stdout else { return };
    let mut reader = BufReader::new(stdout);
    while let Ok(Some(line)) = read_line(&mut reader) {
        let line = line.and_then(|line| OutputLine::parse(&line));
        if events.send(Event::Line(line)).is_err() {
            return;
        }
    }
    let _ = events.send(Event::Silent);
}

fn log(stderr: Option<impl Read>, connection: &str) {
    let Some(stderr) = stderr else { return };
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        // A longer line is several.
        match reader.by_ref().take(LOGGED).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let said = String::from_utf8_lossy(&line);
                tracing::info!(connection, said = said.trim_end(), "recogniser process");
            }
        }
    }
}

/// Waits for the end, ends what the process left behind, and reaps it.
fn wait(mut child: Child, group: &Group, events: &EventSender) {
    if let Ok(id) = i32::try_from(child.id()) {
        // As a zombie it keeps its number, so that the group can be named.
        while let Err(nix::errno::Errno::EINTR) = waitid(
            Id::Pid(Pid::from_raw(id)),
            WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT,
        ) {}
    }
    group.kill();
    *group.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    let (success, how) = match child.wait() {
        Ok(status) => (status.success(), status.to_string()),
        Err(error) => (false, error.to_string()),
    };
    let _ = events.send(Event::Exited { success, how });
}

/// How long so many samples are.
pub(super) fn duration(samples: u64) -> Duration {
    Duration::from_nanos(samples.saturating_mul(1_000_000_000 / u64::from(SAMPLE_RATE)))
}
