// SPDX-License-Identifier: MPL-2.0

//! Runs one process, with threads for all that may block.
//!
//! There are four threads: one writes the standard input, one reads the standard output,
//! one passes the standard error to the log, and one waits for the end. They end with the
//! process. The process leads a process group of its own, which is killed with it, so that
//! no process that it started lives on.

use crate::hearing::recognizer::SAMPLE_RATE;
use crate::hearing::recognizer::bell::Bell;
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
use symbl_protocol::recognizer::{LineError, OutputLine, read_line};

/// Chunks that wait in front of a process's standard input.
const CHUNKS: usize = 2;

/// Events that wait to be looked at.
const EVENTS: usize = 64;

/// How long the second half of an end may take: the process after its output ended, or
/// the output after the process ended.
const HALF_DEAD: Duration = Duration::from_secs(1);

/// Longest line of standard error in the log, in bytes.
const LOGGED: u64 = 2000;

/// What a process did.
#[derive(Debug)]
pub(super) enum Event {
    /// It took this number of samples.
    Taken(usize),
    /// It wrote a line.
    Line(Result<OutputLine, LineError>),
    /// It closed its output.
    Silent,
    /// It ended.
    Exited { success: bool, how: String },
}

/// How a process ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// `true` if it ended by itself and with status 0.
    pub(super) success: bool,
    /// What happened, for the log.
    pub(super) how: String,
}

/// The process group. `None` once its leader is reaped.
#[derive(Debug)]
pub(super) struct Group(Mutex<Option<Pid>>);

impl Group {
    /// Kills all processes of the group. Never waits.
    pub(super) fn kill(&self) {
        let leader = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leader) = *leader {
            // The group may have ended already. Its number is not reused before the leader
            // is reaped.
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

/// The stream has been dropped.
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
    /// Starts the process and its threads.
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
        // The thread that reaps the process is started first. If the system had no thread
        // for it afterwards, the process would become a zombie that counts against the
        // same limit.
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
        // If a thread cannot be started, dropping `process` kills the process.
        run("write", move || write(stdin, &chunks, &written))?;
        run("read", move || read(stdout, &said))?;
        run("log", move || log(stderr, &connection))?;
        Ok(process)
    }

    /// Returns the process group, so that the end of the service can kill it.
    pub(super) fn group(&self) -> Arc<Group> {
        Arc::clone(&self.group)
    }

    /// Gives the process audio. Returns `false` if it has enough for now.
    pub(super) fn give(&self, chunk: Vec<u8>) -> bool {
        match &self.audio {
            Some(audio) => match audio.try_send(chunk) {
                // The process is dead, and its end will be seen soon.
                Ok(()) | Err(TrySendError::Disconnected(_)) => true,
                Err(TrySendError::Full(_)) => false,
            },
            None => false,
        }
    }

    /// Closes the standard input behind the audio that was given.
    pub(super) fn finish(&mut self) {
        self.audio = None;
    }

    /// Returns the next event, if there is one. The events of its end are recorded for
    /// [`Process::ended`] instead.
    pub(super) fn event(&mut self) -> Option<Event> {
        loop {
            match self.events.try_recv() {
                Ok(Event::Silent) => self.silent = true,
                Ok(Event::Exited { success, how }) => {
                    self.exited = Some(Ended { success, how });
                }
                Ok(event) => return Some(event),
                Err(TryRecvError::Empty) => return None,
                // All threads have ended, so the process has too.
                Err(TryRecvError::Disconnected) => {
                    self.silent = true;
                    self.ending.get_or_insert_with(Instant::now);
                    return None;
                }
            }
            self.ending.get_or_insert_with(Instant::now);
        }
    }

    /// Returns when an end of which one half was seen counts as an end, if there is one.
    pub(super) fn ends_by(&self) -> Option<Instant> {
        Some(self.ending? + HALF_DEAD)
    }

    /// Returns how the process ended, once it has and [`Process::event`] has returned all
    /// its lines.
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
        // If the process reads no more, its end will be seen, or it will count as hanging.
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
        // A longer line becomes several lines of the log.
        match reader.by_ref().take(LOGGED).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let said = String::from_utf8_lossy(&line);
                tracing::info!(connection, said = said.trim_end(), "recogniser process");
            }
        }
    }
}

/// Waits for the end of the process, kills the rest of its group, and reaps it.
fn wait(mut child: Child, group: &Group, events: &EventSender) {
    if let Ok(id) = i32::try_from(child.id()) {
        // WNOWAIT leaves a zombie, which keeps the number of the group from being reused.
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

/// Returns the duration of this number of samples.
pub(super) fn duration(samples: u64) -> Duration {
    Duration::from_nanos(samples.saturating_mul(1_000_000_000 / u64::from(SAMPLE_RATE)))
}
