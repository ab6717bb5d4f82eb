// SPDX-License-Identifier: MPL-2.0

//! The subcommand `decode`: limits this process and becomes `gst-launch-1.0`.
//!
//! The service starts it for each recording, in the directory with the file. The file may be
//! hostile, so whatever it makes GStreamer do happens in a process that may use so much time and
//! memory, writes no file, starts with an empty environment and has no network where the system
//! lets a process give it up.

use clap::Args;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// Most memory of the process, in bytes, with the plugins that it maps.
const MEMORY: u64 = 4 << 30;

/// Largest list of plugins, in bytes.
const LIST: u64 = 64 << 20;

/// Elements that would read something other than the file: playlists and descriptions of
/// sessions name servers.
const NEVER: &[&str] = &[
    "hlsdemux",
    "hlsdemux2",
    "dashdemux",
    "dashdemux2",
    "mssdemux",
    "mssdemux2",
    "sdpdemux",
    "rtspsrc",
    "rtmpsrc",
    "rtmp2src",
    "souphttpsrc",
    "curlhttpsrc",
    "imagefreeze",
    "gssrc",
    "giosrc",
    "dvdreadsrc",
    "uridecodebin",
    "uridecodebin3",
    "urisourcebin",
    "splitmuxsrc",
    "adaptivedemux2",
    "festival",
];

/// Decodes a recording to standard output, as the service does it.
#[derive(Args, Debug)]
pub(crate) struct DecodeCommand {
    /// File with the list of plugins
    #[arg(long)]
    registry: PathBuf,
    /// Makes the list of plugins and decodes nothing
    #[arg(long)]
    list: bool,
    /// Seconds of processor time
    #[arg(long, default_value_t = 60)]
    cpu: u64,
    /// The recording
    #[arg(required_unless_present = "list")]
    file: Option<String>,
}

/// Limits this process and becomes the decoder. Returns only if that fails.
pub(crate) fn run(command: &DecodeCommand) -> io::Error {
    match confine(command) {
        Ok(()) => gstreamer(command).exec(),
        Err(error) => error.into(),
    }
}

fn confine(command: &DecodeCommand) -> nix::Result<()> {
    // If the service is killed, the system kills its decoders.
    #[cfg(target_os = "linux")]
    {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        prctl::set_no_new_privs()?;
        // Bulk work takes what others leave, and something on a busy machine too, so that it
        // does not stall. The list is made once, and the first job waits for it.
        if !command.list {
            let _ = rustix::process::nice(10);
        }
        // Not every system lets a process have a network of its own with nothing in it.
        let alone = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET;
        let _ = unshare(alone).or_else(|_| unshare(CloneFlags::CLONE_NEWNET));
    }
    let size = if command.list { LIST } else { 0 };
    for (resource, limit) in [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_FSIZE, size),
        (Resource::RLIMIT_NOFILE, 256),
        (Resource::RLIMIT_CPU, command.cpu),
        (Resource::RLIMIT_AS, MEMORY),
    ] {
        setrlimit(resource, limit, limit)?;
    }
    Ok(())
}

fn gstreamer(command: &DecodeCommand) -> Command {
    let mut gstreamer = Command::new("gst-launch-1.0");
    let never: Vec<String> = NEVER.iter().map(|name| format!("{name}:NONE")).collect();
    gstreamer
        .arg("-q")
        .env("GST_REGISTRY", &command.registry)
        .env(
            "GST_REGISTRY_UPDATE",
            if command.list { "yes" } else { "no" },
        )
        .env("GST_PLUGIN_FEATURE_RANK", never.join(","))
        .env("HOME", "/nonexistent")
        // Orc makes code in a file, which a decoder may not write, or in memory that is written
        // and run, which the unit of systemd forbids. Without either it ends the process.
        .env("ORC_CODE", "backup")
        .env("LC_ALL", "C");
    let Some(file) = command.file.as_ref().filter(|_| !command.list) else {
        gstreamer.args(["fakesrc", "num-buffers=1", "!", "fakesink"]);
        return gstreamer;
    };
    gstreamer.args([
        "filesrc",
        &format!("location={file}"),
        "!",
        "decodebin",
        "expose-all-streams=false",
        "caps=audio/x-raw(ANY)",
        "!",
        "audioconvert",
        "!",
        "audioresample",
        "!",
        "audio/x-raw,format=S16LE,rate=16000,layout=interleaved",
        "!",
        "wavenc",
        "!",
        // At the end the header would be written again, in its place. A pipe cannot go back, so
        // it comes last, and the reader knows.
        "identity",
        "single-segment=true",
        "!",
        "fdsink",
        "fd=1",
    ]);
    gstreamer
}
