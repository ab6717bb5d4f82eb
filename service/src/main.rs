// SPDX-License-Identifier: MPL-2.0

//! The command: options, logs and signals around [`symbl_service::Server`].
//!
//! Standard output carries exactly one line, which says where it listens; logs
//! go to standard error. The secret is taken from the environment so that it
//! need not stand in the process list.

mod backup;
#[cfg(feature = "cluster")]
mod copy;
mod daemon;
mod decode;
mod jobs_options;
mod listen;
mod model;
mod options;
mod privacy;
mod recognizers;

use backup::CopyOptions;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use daemon::DaemonOptions;
use daemon::effect::{answer, credentials, filter, max_load};
use daemon::file::{self, Read, ReadError};
use daemon::process::{allow_many_files, survive_large_files};
use daemon::reload::Reloader;
use daemon::{drain, notify, sockets};
use decode::DecodeCommand;
use jobs_options::{JobOptions, SecretError};
use listen::Listen;
use model::{ModelCommand, ModelError};
use options::LimitOptions;
use privacy::PrivacyOptions;
use recognizers::{RecognizerOptions, Recognizers, RecognizersError};
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
#[cfg(feature = "otlp")]
use symbl_service::CollectorUrl;
use symbl_service::analysis::score::Checklist;
use symbl_service::audit::{Audit, AuditError};
#[cfg(feature = "fault")]
use symbl_service::fault::{Fault, Faults, HELP};
use symbl_service::logging::{self, Lost, ServiceLog, ServiceLogError};
use symbl_service::{
    AccountsError, AllowedHost, BindError, Bound, CopyError, Origin, Server, ServerConfig, Tls,
    TlsError,
};
#[cfg(feature = "cluster")]
use symbl_service::{BusUrl, ClusterUrl};
use tokio::signal::unix::{SignalKind, signal};

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

    /// Address to listen on, such as 0.0.0.0:8787, [::1]:8787 or localhost:8787, or a socket
    /// in the file system, such as unix:/run/symbl.sock; may be given several times. Port 0
    /// takes any free one. Of a name's addresses the first that can be had is taken
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8787")]
    listen: Vec<Listen>,

    #[command(flatten)]
    recognition: RecognizerOptions,

    /// Directory for what is said, so that it outlives the service; made if need be.
    /// Without it everything is kept in memory, the newest only
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// PostgreSQL database for what is said, instead of a directory, such as
    /// postgres://user@host/name; better given in the environment if it has a password.
    /// Several services may share it: see docs/cluster.md
    #[cfg(feature = "cluster")]
    #[arg(
        long,
        value_name = "URL",
        env = "SYMBL_CLUSTER",
        hide_env_values = true,
        conflicts_with = "data"
    )]
    cluster: Option<String>,

    /// Redis or Valkey by which the services on one database tell each other at once what
    /// happens, such as redis://host:6379, or rediss://host with TLS; better given in the
    /// environment if it has a password. Without it they do so by the database
    #[cfg(feature = "cluster")]
    #[arg(
        long,
        value_name = "URL",
        env = "SYMBL_BUS",
        hide_env_values = true,
        requires = "cluster"
    )]
    bus: Option<String>,

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
    /// begin a conversation beyond that gets 429, with --cluster 503. 0: no client is refused
    /// for it
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

    #[command(flatten)]
    daemon: DaemonOptions,
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
    /// Copy all that a service has stored into the empty database of a cluster, while no
    /// service runs
    #[cfg(feature = "cluster")]
    Copy(copy::MoveOptions),

    /// Write the manual pages and the completions of shells into a folder
    #[command(hide = true)]
    Manual {
        /// The folder; made if need be
        folder: PathBuf,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Authentication {
    None,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Options(#[from] ReadError),
    #[error(transparent)]
    Accounts(#[from] AccountsError),
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
    #[cfg(feature = "cluster")]
    #[error(transparent)]
    Move(#[from] symbl_service::MoveError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("{what}: {reason}")]
    System {
        what: &'static str,
        reason: std::io::Error,
    },
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let read = match file::read::<Options>(&arguments) {
        Err(ReadError::Usage(error)) => error.exit(),
        other => other.map_err(Failure::from),
    };
    let result = read.and_then(|read| match &read.options.task {
        Some(Task::Model(command)) => model::run(command).map_err(Failure::from),
        Some(Task::Decode(command)) => Err(Failure::Decode(decode::run(command))),
        Some(Task::Backup(options)) => backup::backup(options).map_err(Failure::from),
        Some(Task::Restore(options)) => backup::restore(options).map_err(Failure::from),
        #[cfg(feature = "cluster")]
        Some(Task::Copy(options)) => copy::copy(options).map_err(Failure::from),
        Some(Task::Manual { folder }) => {
            symbl_manual::write(Options::command(), folder).map_err(system("the manual"))
        }
        None => start(read, &arguments),
    });
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

fn start(read: Read<Options>, arguments: &[OsString]) -> Result<(), Failure> {
    if read.options.daemon.print_config {
        answer(read.shown.trim().to_owned());
        return Ok(());
    }
    allow_many_files();
    let options = &read.options;
    let format = options.daemon.log_format.into();
    let log = ServiceLog::start(filter(options)?, own_stderr()?, with_colours(), format)?;
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(system("no runtime"))
        .and_then(|runtime| {
            let result = runtime.block_on(async {
                survive_large_files()?;
                serve(read, arguments, &log).await
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

/// What the options have opened.
struct Opened {
    config: ServerConfig,
    recognizers: Recognizers,
    tls: Option<Arc<Tls>>,
}

/// Opens what the options name, up to the places to listen at.
fn open(options: &Options, lost_log_lines: Lost) -> Result<Opened, Failure> {
    let recognizers = Recognizers::open(&options.recognition, options.limits.workers())?;
    let mut config = ServerConfig::new(Arc::clone(&recognizers.first));
    config.more_recognizers.clone_from(&recognizers.others);
    config.lost_log_lines = lost_log_lines;
    config.data = options.data.clone();
    #[cfg(feature = "cluster")]
    {
        config.cluster = options.cluster.clone().map(ClusterUrl::from);
        config.bus = options.bus.clone().map(BusUrl::from);
    }
    config.callscore = options.callscore.clone().map(checklist).transpose()?;
    config.origins = options.origins.clone();
    config.hosts = options.hosts.clone();
    config
        .hosts
        .extend(options.listen.iter().filter_map(Listen::name));
    config.metrics_listen = options.daemon.metrics_listen;
    #[cfg(feature = "otlp")]
    {
        config.otlp = options.daemon.otlp.clone().map(CollectorUrl::from);
    }
    options.daemon.drain.set(&mut config);
    config.history_delay = Duration::from_secs_f64(options.history_delay);
    config.limits = options.limits.checked()?;
    config.jobs = options.jobs.settings()?;
    config.redaction = options.privacy.redaction()?;
    config.keep = options.privacy.keep();
    config.max_load = max_load(options);
    config.auth = credentials(options)?;
    #[cfg(feature = "fault")]
    {
        config.faults = match options.repeat_faults {
            true => Faults::repeating(options.faults.clone()),
            false => Faults::script(options.faults.clone()),
        };
    }
    let mut tls = None;
    if let (Some(certificate), Some(key)) = (&options.tls_cert, &options.tls_key) {
        let opened = tls.insert(Arc::new(Tls::open(certificate, key)?));
        config.tls = Some(opened.config());
    }
    Ok(Opened {
        config,
        recognizers,
        tls,
    })
}

async fn serve(
    read: Read<Options>,
    arguments: &[OsString],
    log: &ServiceLog,
) -> Result<(), Failure> {
    let options = read.options;
    let Opened {
        mut config,
        recognizers,
        tls,
    } = open(&options, log.lost())?;
    if options.daemon.check_config {
        recognizers.close();
        Server::check(&config)?;
        answer("the configuration is good".to_owned());
        return Ok(());
    }
    let mut auditing = None;
    if let Some(path) = options.privacy.audit_log() {
        let (audit, thread) = Audit::open(path)?;
        config.audit = audit;
        auditing = Some(thread);
    }
    let audit = config.audit.clone();
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
    config.endpoints = sockets::inherited().map_err(system("LISTEN_FDS"))?;
    if config.endpoints.is_empty() {
        config.endpoints = listen::endpoints(&options.listen).await?;
    }
    let longest = config.drain_wait + config.drain_time;
    let server = Server::bind(config).await?;
    let mut places = Vec::new();
    for bound in server.bound() {
        tracing::info!(address = %bound, scheme, "listening");
        places.push(match bound {
            Bound::Tcp(address) => format!("{scheme}://{address}"),
            Bound::Unix(_) => bound.to_string(),
        });
    }
    if let Some(address) = server.metrics_addr() {
        tracing::info!(%address, "listening for metrics and probes");
    }
    say(format!("listening on {}", places.join(", ")));
    notify::ready("serving");
    notify::watch(server.health());
    let mut reloader = Reloader::new(arguments, read.values, tls, log.filter());
    let may_drain = loop {
        tokio::select! {
            _ = terminate.recv() => break true,
            _ = interrupt.recv() => break false,
            _ = hangup.recv() => {
                audit.reopen();
                reloader.begin();
            }
            Some(fresh) = reloader.fresh.recv() => reloader.finish(fresh, &server),
        }
    };
    drain::end(server, may_drain, longest, [terminate, interrupt]).await;
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

/// Parses a delay in seconds, up to an hour.
fn delay(text: &str) -> Result<f64, &'static str> {
    let seconds = text.parse().ok().filter(|s| (0.0..=3600.0).contains(s));
    seconds.ok_or("a number of seconds from 0 to 3600 is expected")
}

fn system(what: &'static str) -> impl Fn(std::io::Error) -> Failure {
    move |reason| Failure::System { what, reason }
}
