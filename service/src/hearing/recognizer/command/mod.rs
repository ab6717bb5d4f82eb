// SPDX-License-Identifier: MPL-2.0

//! A recogniser that is a command of the user's: whisper.cpp, vosk, a cloud.
//!
//! Each stream has a process of its own. Audio goes to its standard input, results come
//! as JSON lines from its standard output ([`OutputLine`]), and its standard error goes to
//! the log. `docs/recognizers.md` is the contract for the author of such a command.
//!
//! A process that dies or hangs is replaced by another one, which is given the audio
//! without a final again. Everything has a bound: the audio that waits for a process, how
//! far it may fall behind, how often it may die, and how long its end may take. A process
//! must never delay another stream, and never outlive its own.

mod backlog;
mod pace;
mod process;
mod stream;

pub use symbl_protocol::recognizer::{LONGEST_LINE, LineError, OutputLine};

use super::{Recognizer, RecognizerError, RecognizerStream, StreamOptions};
use crate::hearing::capacity::Capacity;
use crate::hearing::recognizer::bell::Bell;
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

/// Variables of the service that the recogniser must not see.
const SECRETS: [&str; 2] = ["SYMBL_APP_SECRET", "SYMBL_ACCESS_TOKEN"];

/// Bounds of a stream's processes.
#[derive(Debug, Clone)]
pub struct CommandLimits {
    /// A stream whose process is further behind real time has failed.
    pub behind: Duration,
    /// A process that takes no audio for this long, although some waits, is killed and
    /// replaced.
    pub hang: Duration,
    /// A process that says nothing for this long, although it was given speech, is killed
    /// and replaced. Longer than [`CommandLimits::finish`], the bound at the end.
    pub silent: Duration,
    /// How much speech a process must be given before its silence counts.
    pub speech: Duration,
    /// How many processes may die one after the other without a result.
    pub deaths: u32,
    /// Delay before the second process. It doubles for each process after it.
    pub first_delay: Duration,
    /// Longest delay before a process.
    pub longest_delay: Duration,
    /// How long a process may take for the last results after the end of the audio.
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
    /// The process groups that run. `None` once the service ends.
    running: Mutex<Option<Vec<Weak<Group>>>>,
    /// Number of processes that replaced another one.
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

    /// Returns [`Capacity::Elsewhere`]: the service does not know what the command takes
    /// of which machine's processor. Only its lag shows that it has too much to do.
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
        // Locked until the process is in the list, so that `close` misses no process.
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
            // These are the client's own words. The system refuses NUL characters and very
            // long values.
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

/// Returns `true` if the program exists where the system looks for it.
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
