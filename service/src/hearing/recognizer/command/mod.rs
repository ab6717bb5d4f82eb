// SPDX-License-Identifier: MPL-2.0

//! A recogniser that is a command of the user's: whisper.cpp, vosk, a cloud.
//!
//! One process per stream. Audio goes to its standard input, results come as
//! JSON lines from its standard output ([`OutputLine`]), its standard error goes to the
//! log. `docs/recognizers.md` is the contract, for who writes such a command.
//!
//! A process that dies or hangs is replaced, and the next one is given again what
//! has not become final. Everything is bounded: what waits for it, how far it may
//! fall behind, how often it may die, how long its end may take. It must never
//! hold up another stream, and never outlive its own.

mod backlog;
mod bell;
mod line;
mod pace;
mod process;
mod stream;

pub use line::{LONGEST_LINE, LineError, OutputLine};

use super::{Recognizer, RecognizerError, RecognizerStream, StreamOptions};
use crate::hearing::capacity::Capacity;
use bell::Bell;
use process::Group;
use std::path::Path;
use std::process::Command as Program;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// Name on the command line and in errors.
const ENGINE: &str = "command";

/// Largest value of an environment variable in bytes; Linux allows 128 KiB.
const LARGEST_VALUE: usize = 100 * 1024;

/// Variables of the service's own that no recogniser needs to know.
const SECRETS: [&str; 2] = ["SYMBL_APP_SECRET", "SYMBL_ACCESS_TOKEN"];

/// Bounds of a stream's processes.
#[derive(Debug, Clone)]
pub struct CommandLimits {
    /// A stream whose process is further behind real time has failed.
    pub behind: Duration,
    /// A process that takes no audio for so long, though some waits, is killed and
    /// replaced.
    pub hang: Duration,
    /// So is one that says nothing for so long, though it was given speech. Longer
    /// than [`CommandLimits::finish`], which is the bound at the end.
    pub silent: Duration,
    /// Speech that a process has to be given before its silence counts.
    pub speech: Duration,
    /// Processes that may die one after the other without a result.
    pub deaths: u32,
    /// Before the second process; doubled for each one after it.
    pub first_delay: Duration,
    /// At most this long before the next one.
    pub longest_delay: Duration,
    /// How long a process may take to say the rest after the end of the audio.
    pub finish: Duration,
}

impl Default for CommandLimits {
    fn default() -> Self {
        Self {
            behind: Duration::from_secs(30),
            hang: Duration::from_secs(20),
            silent: Duration::from_secs(60),
            speech: Duration::from_secs(10),
            deaths: 5,
            first_delay: Duration::from_millis(100),
            longest_delay: Duration::from_secs(5),
            finish: Duration::from_secs(45),
        }
    }
}

/// The engine: a command line, and the processes that run by it.
pub struct Command(Arc<Shared>);

struct Shared {
    program: String,
    arguments: Vec<String>,
    limits: CommandLimits,
    /// What runs; `None` when the service ends.
    running: Mutex<Option<Vec<Weak<Group>>>>,
    /// Processes that took the place of others.
    restarts: AtomicU64,
}

impl Command {
    /// Takes a command line apart as a shell would, but runs no shell: quotes
    /// and backslashes count, variables and pipes do not.
    ///
    /// # Errors
    ///
    /// [`RecognizerError::Unavailable`] if it is no command line, or its program
    /// is not there.
    pub fn new(line: &str, limits: CommandLimits) -> Result<Self, RecognizerError> {
        let words = shlex::split(line)
            .ok_or_else(|| unavailable("command line", "a quote is not closed", "Close it"))?;
        let mut words = words.into_iter();
        let program = words.next().filter(|program| !program.is_empty());
        let program =
            program.ok_or_else(|| unavailable("command line", "it is empty", "Name a program"))?;
        if !is_there(&program) {
            return Err(unavailable(
                &program,
                "no such program",
                "Check the path, or PATH",
            ));
        }
        Ok(Self(Arc::new(Shared {
            program,
            arguments: words.collect(),
            limits,
            running: Mutex::new(Some(Vec::new())),
            restarts: AtomicU64::new(0),
        })))
    }
}

impl Recognizer for Command {
    fn name(&self) -> &'static str {
        ENGINE
    }

    fn open(&self, options: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        let stream = stream::CommandStream::open(Arc::clone(&self.0), options.clone())?;
        Ok(Box::new(stream))
    }

    /// What a command takes of a processor, and of which machine's, is not known here. How
    /// far it is behind its audio says what it can take.
    fn capacity(&self) -> Capacity {
        Capacity::Elsewhere
    }

    fn restarts(&self) -> u64 {
        self.0.restarts.load(Ordering::Relaxed)
    }

    fn close(&self) {
        for group in self.0.running().take().unwrap_or_default() {
            if let Some(group) = group.upgrade() {
                group.kill();
            }
        }
    }
}

impl Shared {
    fn running(&self) -> std::sync::MutexGuard<'_, Option<Vec<Weak<Group>>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a process for a stream.
    fn start(
        &self,
        options: &StreamOptions,
        bell: &Arc<Bell>,
    ) -> std::io::Result<process::Process> {
        // Held over the start, so that no process escapes the end of the service.
        let mut running = self.running();
        let Some(running) = running.as_mut() else {
            return Err(std::io::Error::other("the service is ending"));
        };
        let process = process::Process::start(self.program(options), &options.connection, bell)?;
        running.retain(|group| group.strong_count() > 0);
        running.push(Arc::downgrade(&process.group()));
        Ok(process)
    }

    fn program(&self, options: &StreamOptions) -> Program {
        let mut program = Program::new(&self.program);
        program.args(&self.arguments);
        for secret in SECRETS {
            program.env_remove(secret);
        }
        let vocabulary = serde_json::to_string(&options.vocabulary).unwrap_or_default();
        let interim = if options.interim { "1" } else { "0" };
        for (name, value) in [
            ("SYMBL_LANGUAGE", options.language.as_str()),
            ("SYMBL_VOCABULARY", &vocabulary),
            ("SYMBL_INTERIM", interim),
            ("SYMBL_CONNECTION_ID", &options.connection),
        ] {
            // The client's own words; the system takes no NUL and no novel.
            if value.len() > LARGEST_VALUE || value.contains('\0') {
                tracing::warn!(name, bytes = value.len(), "not told to the recogniser");
                program.env_remove(name);
            } else {
                program.env(name, value);
            }
        }
        program
    }
}

/// Whether a program can be found, as the system will look for it.
fn is_there(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn unavailable(what: &str, reason: &str, hint: &str) -> RecognizerError {
    RecognizerError::Unavailable {
        engine: ENGINE,
        what: what.to_owned(),
        reason: reason.to_owned(),
        hint: hint.to_owned(),
    }
}

fn failed(reason: impl Into<String>) -> RecognizerError {
    RecognizerError::Failed {
        engine: ENGINE,
        reason: reason.into(),
    }
}
