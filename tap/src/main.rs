// SPDX-License-Identifier: MPL-2.0

//! `symbl-tap`: listens to a conversation and writes it as text, JSON Lines, SRT or
//! WebVTT. It also lists the conversations of a service, and writes those of the past.
//!
//! It is a subscriber: it sends no audio and changes nothing in the conversation. It
//! ends with the conversation or at Ctrl-C. Its output is whole at any moment.

mod list;
mod listen;
mod output;
mod place;
mod recall;
mod replay;
mod show;

use clap::{CommandFactory, Parser};
use listen::Listening;
use output::Output;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use symbl_captions::{Format, Notes};
use symbl_client::transport::{Endpoint, Proxy, Secret, TokenSource};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Listen to the conversation of CONNECTION_ID and write it down.
///
/// If the connection is lost, what was said meanwhile is asked for when it is there again,
/// and written once and in order, also if the service was restarted or the conversation is
/// over by then. Services other than symbl-service cannot be asked for it.
///
/// If the service requires a token, pass it in the environment variable
/// SYMBL_ACCESS_TOKEN or in a file: every user of the machine can read a command
/// line.
#[derive(Parser)]
#[command(name = "symbl-tap", version)]
struct Args {
    /// Address of the service
    #[arg(
        long,
        value_name = "URL",
        env = "SYMBL_BASE_URL",
        default_value = "http://127.0.0.1:8787"
    )]
    base_url: String,

    /// Path of the Subscribe API below that address
    #[arg(long, value_name = "PATH", default_value = "/v1/subscribe",
          conflicts_with_all = ["list", "replay"])]
    subscribe_path: String,

    /// File with the token, read again at every dial
    #[arg(long, value_name = "FILE")]
    access_token_file: Option<PathBuf>,

    /// PEM file with additional trusted root certificates
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// Output format: text, jsonl, srt or webvtt
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,

    /// File to write to, whose content is replaced [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Also write interims (text and jsonl)
    #[arg(long, conflicts_with_all = ["list", "replay"])]
    interim: bool,

    /// Write the conversations of the service, the oldest first: a line or, with --format
    /// jsonl, an object each
    #[arg(long, conflicts_with_all = ["replay", "connection_id"])]
    list: bool,

    /// Write what was said in a conversation so far, from the log of the service. CONVERSATION
    /// is its id, which --list shows
    #[arg(long, value_name = "CONVERSATION", conflicts_with = "connection_id")]
    replay: Option<String>,

    /// Seconds to wait for the service and for the conversation to begin
    #[arg(long, value_name = "SECONDS", default_value_t = 0,
          conflicts_with_all = ["list", "replay"])]
    wait: u32,

    /// Milliseconds of silence after which a ping is sent; after as many again, the
    /// connection counts as lost
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(1..),
          conflicts_with_all = ["list", "replay"])]
    ping_interval: u32,

    /// The connection id: that of the property `connection-id` of symblsink
    #[arg(value_name = "CONNECTION_ID", required_unless_present_any = ["list", "replay"])]
    connection_id: Option<String>,

    /// Write the manual page and the completions of shells into this folder, and end
    #[arg(long, value_name = "DIR", hide = true, exclusive = true)]
    write_manual: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let notes = Notes::new("symbl-tap");
    let code = if let Some(folder) = &args.write_manual {
        match symbl_manual::write(Args::command(), folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                notes.tell(&format!("{}: {error}", folder.display()));
                ExitCode::FAILURE
            }
        }
    } else if args.interim && args.format.is_captions() {
        notes.tell("--interim needs --format text or jsonl: a cue cannot be taken back");
        ExitCode::from(2)
    } else if args.list && args.format.is_captions() {
        notes.tell("--list needs --format text or jsonl: conversations are no captions");
        ExitCode::from(2)
    } else if let Err(error) = run(&args, &notes) {
        notes.tell(&error);
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    };
    notes.finish();
    code
}

fn run(args: &Args, notes: &Notes) -> Result<(), String> {
    let stop = stop_at_ctrl_c()?;
    let listening = Listening {
        endpoint: endpoint(args),
        wait: Duration::from_secs(args.wait.into()),
        interim: args.interim,
        ping_interval: Duration::from_millis(args.ping_interval.into()),
        notes: notes.clone(),
        since: Instant::now(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let ended = runtime.block_on(async {
        let path = args.output.clone();
        // Opening a named pipe blocks until another program opens it for reading.
        let open = tokio::task::spawn_blocking(move || Output::open(path.as_deref()));
        let output = tokio::select! {
            output = open => output.map_err(|error| format!("cannot open the output: {error}"))??,
            () = stop.notified() => return Ok(()),
        };
        let endpoint = &listening.endpoint;
        match &args.replay {
            _ if args.list => {
                list::list(endpoint, output, args.format == Format::Jsonl, &stop).await
            }
            Some(id) => replay::replay(endpoint, id, output, args.format, notes, &stop).await,
            None => listening.run(output, args.format, &stop).await,
        }
    });
    // Does not wait for a pending look-up of a name, or for a named pipe without a
    // reader.
    runtime.shutdown_background();
    ended
}

fn endpoint(args: &Args) -> Endpoint {
    let token = std::env::var("SYMBL_ACCESS_TOKEN").ok().map(Secret::new);
    let token = token.filter(|token| !token.is_blank());
    Endpoint {
        base_url: args.base_url.clone(),
        streaming_path: args.subscribe_path.clone(),
        connection_id: args.connection_id.clone().unwrap_or_default(),
        token: match (&args.access_token_file, token) {
            (Some(path), _) => TokenSource::File(path.clone()),
            (None, Some(token)) => TokenSource::Value(token),
            (None, None) => TokenSource::None,
        },
        token_in_query: false,
        ca_file: args.ca_file.clone(),
        tls_verify: true,
        proxy: Proxy::from_environment(|name| std::env::var(name).ok()),
        request_timeout: listen::CONNECT_TIMEOUT,
    }
}

/// Returns a notification that Ctrl-C or `kill` sends to end the listening. A second
/// Ctrl-C ends the program at once, because the first one still waits for the output.
fn stop_at_ctrl_c() -> Result<Arc<Notify>, String> {
    let stop = Arc::new(Notify::new());
    let (notify, asked) = (Arc::clone(&stop), AtomicBool::new(false));
    ctrlc::set_handler(move || {
        if asked.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        notify.notify_one();
    })
    .map_err(|error| format!("cannot listen to Ctrl-C: {error}"))?;
    Ok(stop)
}
