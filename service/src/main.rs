// SPDX-License-Identifier: MPL-2.0

//! The command: options, logs and signals around [`symbl_service::Server`].
//!
//! Standard output carries exactly one line, which says where it listens; logs
//! go to standard error. The secret is taken from the environment so that it
//! need not stand in the process list.

mod backup;
mod decode;
mod jobs_options;
mod listen;
mod model;
mod options;
mod privacy;
mod recognizers;

use backup::CopyOptions;
use clap::{Parser, Subcommand, ValueEnum};
use decode::DecodeCommand;
use jobs_options::{JobOptions, SecretError};
use listen::Listen;
use model::{ModelCommand, ModelError};
use options::LimitOptions;
use privacy::PrivacyOptions;
use recognizers::{RecognizerOptions, Recognizers, RecognizersError};
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
#[cfg(feature = "fault")]
use symbl_service::analysis::score::Checklist;
use symbl_service::audit::{Audit, AuditError};
use symbl_service::fault::{Fault, Faults, HELP};
use symbl_service::logging::{self, Lost, ServiceLog, ServiceLogError};
use symbl_service::{AllowedHost, Auth, BindError, CopyError, Origin, ServerConfig, Tls, TlsError};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// How long the end of the process waits for the log's output and for reads of the
/// database.
const PATIENCE: Duration = Duration::from_secs(1);

/// Self-hosted server for the Symbl Streaming API.
#[derive(Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
#[cfg_attr(feature = "fault", command(after_long_help = HELP))]
struct Options {
    #[command(subcommand)]
    task: Option<Task>,

    /// Address to listen on, such as 0.0.0.0:8787, [::1]:8787 or localhost:8787; port 0
    /// takes any free one. Of a name's addresses the first that can be had is taken
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8787")]
    listen: Listen,

    #[command(flatten)]
    recognition: RecognizerOptions,

    /// Directory for what is said, so that it outlives the service; made if need be.
    /// Without it everything is kept in memory, the newest only
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Ask for no credentials, even if an application is named in the environment
    #[arg(long, value_enum)]
    auth: Option<Authentication>,

    /// Let in holders of a token of this application only
    #[arg(long, value_name = "ID", env = "SYMBL_APP_ID", requires = "app_secret")]
    app_id: Option<String>,

    /// Secret of the application; better given in the environment
    #[arg(
        long,
        value_name = "SECRET",
        env = "SYMBL_APP_SECRET",
        hide_env_values = true,
        requires = "app_id"
    )]
    app_secret: Option<String>,

    /// Serve over TLS with this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Let web pages from there ask for tokens and for what was said (CORS), such as
    /// https://app.example; `*` for all pages; may be given several times. Pages of this
    /// machine (localhost) may always
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    origins: Vec<Origin>,

    /// Answer to this name too, beside localhost and IP addresses, where no credentials
    /// are set: such as captions.example; `*` for all names; may be given several times.
    /// Other names may be those of web pages that want to read what is said (DNS rebinding)
    #[arg(long = "allow-host", value_name = "NAME")]
    hosts: Vec<AllowedHost>,
    #[command(flatten)]
    limits: LimitOptions,

    #[command(flatten)]
    jobs: JobOptions,

    #[command(flatten)]
    privacy: PrivacyOptions,

    /// Of all processor cores, how many percent recognition may take; a client that would
    /// begin a conversation beyond that gets 429. 0: no client is refused for it
    #[arg(long, value_name = "PERCENT", default_value_t = 90, value_parser = clap::value_parser!(u32).range(0..=100))]
    max_load: u32,

    /// Score calls by the checklist in this file (JSON), with GET
    /// /v1/conversations/ID/callscore
    #[arg(long, value_name = "FILE")]
    callscore: Option<PathBuf>,

    /// What goes wrong on purpose with the first connection, to test a client;
    /// again for the second, and so on. Those after that are served well
    #[cfg(feature = "fault")]
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Fault>,

    /// The Conversation API knows what was said only so much later, to test clients
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = delay)]
    history_delay: f64,

    /// Begin with the first --fault again after the last
    #[cfg(feature = "fault")]
    #[arg(long, requires = "faults")]
    repeat_faults: bool,

    /// What to log: error, warn, info, debug, trace, or a filter such as `symbl_service=debug`
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log: String,
}

/// What the command does in place of serving.
#[derive(Subcommand)]
enum Task {
    /// List, fetch and find speech models
    #[command(subcommand)]
    Model(ModelCommand),

    /// Decode a recording: the service starts this for each one
    #[command(hide = true)]
    Decode(DecodeCommand),
    /// Copy all that a service has stored into a new file, while it runs
    Backup(CopyOptions),
    /// Make the directory of a service of such a file
    Restore(CopyOptions),
}

#[derive(Clone, Copy, ValueEnum)]
enum Authentication {
    None,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("--log {filter}: {reason}")]
    Log {
        filter: String,
        reason: tracing_subscriber::filter::ParseError,
    },
    #[error(transparent)]
    Start(#[from] ServiceLogError),
    #[error(transparent)]
    Recognizers(#[from] RecognizersError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("--listen {listen}: {reason}; give an IP address and a port, such as 127.0.0.1:8787")]
    Resolve { listen: String, reason: String },
    #[error(transparent)]
    Limits(#[from] options::LimitError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("the decoder cannot be started: {0}; is GStreamer (gst-launch-1.0) installed?")]
    Decode(#[source] std::io::Error),
    #[error(transparent)]
    Privacy(#[from] privacy::PrivacyError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("--callscore {}: {reason}", file.display())]
    Callscore { file: PathBuf, reason: String },
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("{what}: {reason}")]
    System {
        what: &'static str,
        reason: std::io::Error,
    },
}

fn main() -> ExitCode {
    let options = Options::parse();
    let result = match &options.task {
        Some(Task::Model(command)) => model::run(command).map_err(Failure::from),
        Some(Task::Decode(command)) => Err(Failure::Decode(decode::run(command))),
        Some(Task::Backup(options)) => backup::backup(options).map_err(Failure::from),
        Some(Task::Restore(options)) => backup::restore(options).map_err(Failure::from),
        None => start(options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let text = format!("symbl-service: {failure}\n");
            logging::within(PATIENCE, move || {
                // If standard error cannot be written, there is no other place for this.
                let _ = std::io::stderr().write_all(text.as_bytes());
            });
            ExitCode::FAILURE
        }
    }
}

fn start(options: Options) -> Result<(), Failure> {
    allow_many_files();
    let filter = EnvFilter::try_new(&options.log).map_err(|reason| Failure::Log {
        filter: options.log.clone(),
        reason,
    })?;
    let log = ServiceLog::start(filter, own_stderr()?, with_colours())?;
    let lost = log.lost();
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(system("no runtime"))
        .and_then(|runtime| {
            let result = runtime.block_on(async {
                survive_large_files()?;
                serve(options, lost).await
            });
            // A read of the database that hangs must not keep the process.
            runtime.shutdown_timeout(PATIENCE);
            result
        });
    log.finish(PATIENCE);
    result
}

/// Returns a file of its own for standard error. The lock of [`std::io::stderr`] would
/// be held for as long as a line is not taken.
fn own_stderr() -> Result<std::fs::File, Failure> {
    let own = std::io::stderr().as_fd().try_clone_to_owned();
    own.map(Into::into).map_err(system("standard error"))
}

/// Returns `true` if the log goes to a terminal whose user wants colours
/// (<https://no-color.org>).
fn with_colours() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !unwanted
}

/// Writes the one line of standard output, on a thread of its own. The reader of standard
/// output may be gone or slow, and the service must not wait for it.
fn say(line: String) {
    let said = std::thread::Builder::new().spawn(move || {
        let mut out = std::io::stdout();
        if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
            tracing::warn!(%error, "standard output does not take the line that says where the service listens");
        }
    });
    if let Err(error) = said {
        tracing::warn!(%error, "no thread for standard output");
    }
}

async fn serve(options: Options, lost_log_lines: Lost) -> Result<(), Failure> {
    let recognizers = Recognizers::open(&options.recognition, options.limits.workers())?;
    let mut config = ServerConfig::new(Arc::clone(&recognizers.first));
    config.more_recognizers.clone_from(&recognizers.others);
    config.lost_log_lines = lost_log_lines;
    config.data = options.data.clone();
    config.callscore = options.callscore.map(checklist).transpose()?;
    config.origins = options.origins.clone();
    config.hosts = options.hosts.clone();
    config.hosts.extend(options.listen.name());
    config.history_delay = Duration::from_secs_f64(options.history_delay);
    config.limits = options.limits.checked()?;
    config.jobs = options.jobs.settings()?;
    config.redaction = options.privacy.redaction()?;
    config.keep = options.privacy.keep();
    let mut auditing = None;
    if let Some(path) = options.privacy.audit_log() {
        let (audit, thread) = Audit::open(path)?;
        config.audit = audit;
        auditing = Some(thread);
    }
    let audit = config.audit.clone();
    config.max_load = Some(f64::from(options.max_load) / 100.0).filter(|load| *load > 0.0);
    config.auth = match (options.auth, options.app_id, options.app_secret) {
        (None, Some(id), Some(secret)) => Auth::App { id, secret },
        _ => Auth::None,
    };
    #[cfg(feature = "fault")]
    {
        config.faults = match options.repeat_faults {
            true => Faults::repeating(options.faults),
            false => Faults::script(options.faults),
        };
    }
    let mut tls = None;
    if let (Some(certificate), Some(key)) = (&options.tls_cert, &options.tls_key) {
        let opened = tls.insert(Arc::new(Tls::open(certificate, key)?));
        config.tls = Some(opened.config());
    }
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    // The handlers are installed before a program can learn that the service runs and send
    // a signal.
    let mut terminate = signal(SignalKind::terminate()).map_err(system("no signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system("no signals"))?;
    let mut hangup = signal(SignalKind::hangup()).map_err(system("no signals"))?;
    let server = listen::bind(&options.listen, config).await?;
    let address = server.local_addr();
    tracing::info!(%address, scheme, "listening");
    say(format!("listening on {scheme}://{address}"));
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                audit.reopen();
                reload(tls.clone()).await;
            }
        }
    }
    tracing::info!("shutting down");
    server.shutdown().await;
    recognizers.close();
    drop(audit);
    if let Some(thread) = auditing {
        // A request that does not end may keep its part of the log.
        logging::within(PATIENCE, move || thread.finish());
    }
    Ok(())
}

/// Reads the checklist in a file.
fn checklist(file: PathBuf) -> Result<Arc<Checklist>, Failure> {
    let read = std::fs::read(&file).map_err(|reason| reason.to_string());
    let checklist = read.and_then(|text| Checklist::parse(&text));
    let checklist = checklist.map_err(|reason| Failure::Callscore { file, reason })?;
    Ok(Arc::new(checklist))
}

/// Handles SIGHUP: reads the certificate again and changes nothing else. A terminal that is
/// closed sends this signal too, and the service goes on.
async fn reload(tls: Option<Arc<Tls>>) {
    let Some(tls) = tls else {
        tracing::info!("SIGHUP: there is no certificate to read again; the service goes on");
        return;
    };
    // The file system may hang, and SIGTERM must not wait for it.
    tokio::spawn(async move {
        match tokio::task::spawn_blocking(move || tls.reload()).await {
            Ok(Ok(())) => tracing::info!("SIGHUP: certificate and key were read again"),
            Ok(Err(error)) => {
                tracing::error!(%error, "SIGHUP: the certificate that was read before stays");
            }
            Err(error) => tracing::error!(%error, "SIGHUP: nothing was read"),
        }
    });
}

/// Parses a delay in seconds, up to an hour.
fn delay(text: &str) -> Result<f64, &'static str> {
    let seconds = text.parse().ok().filter(|s| (0.0..=3600.0).contains(s));
    seconds.ok_or("a number of seconds from 0 to 3600 is expected")
}

/// Raises the limit of open files as far as the system allows. Each socket is an open file,
/// and many shells set the limit to 1,024.
fn allow_many_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // If the system refuses it, the limit stays as it was.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Makes a write beyond the limit of a file's size (`ulimit -f`) an error (EFBIG), like on a
/// full disk. Without a handler, the signal that comes with it (SIGXFSZ) would end the
/// process. It is not ignored instead, because the recognisers that the service starts would
/// inherit that.
fn survive_large_files() -> Result<(), Failure> {
    let number = nix::sys::signal::Signal::SIGXFSZ as i32;
    // The handler stays when the listener is dropped.
    signal(SignalKind::from_raw(number))
        .map(drop)
        .map_err(system("no signals"))
}

fn system(what: &'static str) -> impl Fn(std::io::Error) -> Failure {
    move |reason| Failure::System { what, reason }
}
