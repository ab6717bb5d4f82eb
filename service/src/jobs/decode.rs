// SPDX-License-Identifier: MPL-2.0

//! Decodes a recording in a process of its own, so that a hostile file cannot hurt the service.
//!
//! The process is the service's program with the hidden subcommand `decode`, which limits itself
//! (processor time, memory, no files to write, no network where the system lets it) and becomes
//! `gst-launch-1.0`. It has an empty environment and a process group of its own. What it writes
//! is read no faster than it is recognised, so a small file that decodes to days of audio takes
//! neither memory nor disk; it is ended at the longest duration of a job.

use crate::jobs::settings::JobSettings;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How much is read at once, in bytes.
const PIECE: usize = 64 << 10;

/// How much of its complaints is kept, in bytes.
const LONGEST_COMPLAINT: usize = 8 << 10;

/// How long the decoder may take for its first bytes. It waits for ever for the samples of some
/// files that have none.
const LONGEST_BEGIN: Duration = Duration::from_secs(20);

/// How long the process may take to end after its output has ended.
const LONGEST_END: Duration = Duration::from_secs(10);

/// How long the list of plugins may take to be made.
const LONGEST_LIST: Duration = Duration::from_secs(120);

/// The name of the file with the list of plugins, in the spool.
const REGISTRY: &str = "registry.bin";

/// Why a recording cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("the recording cannot be decoded: {0}")]
    Broken(String),
    #[error("the decoder gave no audio for {} s and was ended", .0.as_secs())]
    Stalled(Duration),
    #[error("the recording has no audio: the decoder found none in {} s", .0.as_secs())]
    Silent(Duration),
    #[error("the decoder cannot be started: {0}; is GStreamer (gst-launch-1.0) installed?")]
    Missing(std::io::Error),
}

/// A decoder that runs. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Decoder {
    child: Child,
    group: Option<Pid>,
    output: ChildStdout,
    complaints: JoinHandle<String>,
    /// How long it may take for its next bytes.
    stall: Duration,
    has_begun: bool,
    buffer: Vec<u8>,
}

fn command(settings: &JobSettings, directory: &Path) -> std::io::Result<Command> {
    let program = match &settings.decoder {
        Some(program) => program.clone(),
        None => std::env::current_exe()?,
    };
    let mut command = Command::new(program);
    command
        .arg("decode")
        .arg("--registry")
        .arg(REGISTRY)
        .current_dir(directory)
        .env_clear()
        .process_group(0)
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // Where programs and plugins are, if the system does not have them where they usually are.
    for name in [
        "PATH",
        "LD_LIBRARY_PATH",
        "GST_PLUGIN_PATH",
        "GST_PLUGIN_SYSTEM_PATH",
    ] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    Ok(command)
}

/// Makes the list of plugins, which decoders may not write.
pub(crate) async fn prepare(settings: &JobSettings, directory: &Path) -> Result<(), DecodeError> {
    let mut command = command(settings, directory).map_err(DecodeError::Missing)?;
    command
        .arg("--list")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().map_err(DecodeError::Missing)?;
    // Without the list each decoder makes its own, in memory.
    if timeout(LONGEST_LIST, child.wait()).await.is_err() {
        tracing::warn!("the list of GStreamer's plugins takes too long");
    }
    Ok(())
}

impl Decoder {
    /// Starts a decoder for a file of a directory.
    pub(crate) fn start(
        settings: &JobSettings,
        directory: &Path,
        file: &str,
    ) -> Result<Self, DecodeError> {
        // Audio is decoded faster than ten times as fast as it is spoken.
        let seconds = settings.duration.as_secs() / 10 + 60;
        let mut command = command(settings, directory).map_err(DecodeError::Missing)?;
        command.arg("--cpu").arg(seconds.to_string()).arg(file);
        let mut child = command.spawn().map_err(DecodeError::Missing)?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let no_pipe = || DecodeError::Missing(std::io::Error::other("no pipe"));
        let output = child.stdout.take().ok_or_else(no_pipe)?;
        let errors = child.stderr.take().ok_or_else(no_pipe)?;
        Ok(Self {
            group: pid.map(Pid::from_raw),
            child,
            output,
            complaints: tokio::spawn(collect(errors)),
            stall: settings.stall,
            has_begun: false,
            buffer: vec![0; PIECE],
        })
    }

    /// Returns the next bytes, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<&[u8]>, DecodeError> {
        let stall = match self.has_begun {
            true => self.stall,
            false => self.stall.min(LONGEST_BEGIN),
        };
        let read = timeout(stall, self.output.read(&mut self.buffer)).await;
        let read = read.map_err(|_| match self.has_begun {
            true => DecodeError::Stalled(stall),
            false => DecodeError::Silent(stall),
        });
        match read? {
            Ok(0) => Ok(None),
            Ok(count) => {
                self.has_begun = true;
                Ok(self.buffer.get(..count))
            }
            Err(error) => Err(DecodeError::Broken(error.to_string())),
        }
    }

    /// Returns how the process has ended, after the end of its output.
    pub(crate) async fn finish(mut self) -> Result<(), DecodeError> {
        let ended = timeout(LONGEST_END, self.child.wait()).await;
        let ended = ended.map_err(|_| DecodeError::Stalled(LONGEST_END))?;
        let status = ended.map_err(|error| DecodeError::Broken(error.to_string()))?;
        // Its pid may be another process from now on.
        self.group = None;
        if status.success() {
            return Ok(());
        }
        let complaints = (&mut self.complaints).await.unwrap_or_default();
        let reason = match reason(&complaints) {
            Some(reason) => reason,
            None => format!("the decoder has ended ({status})"),
        };
        Err(DecodeError::Broken(reason))
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        self.complaints.abort();
        // `kill_on_drop` ends the process, and this what it may have started.
        if let Some(group) = self.group.filter(|_| self.child.id().is_some()) {
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Reads all, and keeps the beginning.
async fn collect(mut errors: impl AsyncRead + Unpin) -> String {
    let (mut kept, mut buffer) = (Vec::new(), [0; 1024]);
    while let Ok(count @ 1..) = errors.read(&mut buffer).await {
        let room = LONGEST_COMPLAINT.saturating_sub(kept.len());
        kept.extend(buffer.iter().take(count.min(room)));
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// Lists of recordings that are elsewhere. They are not followed: the decoder has no network.
const LISTS: &[(&str, &str)] = &[
    ("application/x-hls", "HLS, .m3u8"),
    ("application/dash+xml", "DASH, .mpd"),
    ("application/vnd.ms-sstr+xml", "Smooth Streaming"),
    ("application/sdp", "SDP"),
    ("text/uri-list", "a list of addresses"),
];

/// Returns what is wrong with a recording for which decoders are missing. Only audio is decoded,
/// so for a film without sound those of its pictures seem to be missing.
fn missing(complaints: &str) -> Option<String> {
    let named = complaints.lines().filter_map(|line| {
        let (name, format) = line
            .trim()
            .strip_prefix("Missing decoder: ")?
            .split_once(" (")?;
        // The name of an encoding may have brackets too: `H.264 (High Profile) (video/…`.
        let format = format.rsplit_once(" (").map_or(format, |(_, last)| last);
        let format = format.split([',', ')']).next().unwrap_or_default();
        Some((name, format.trim()))
    });
    let named: Vec<(&str, &str)> = named.collect();
    let is_picture = |format: &str| format.starts_with("video/") || format.starts_with("image/");
    let list = named
        .iter()
        .find_map(|(_, format)| LISTS.iter().find(|(list, _)| list == format));
    if let Some((_, what)) = list {
        return Some(format!(
            "it is a list of recordings that are elsewhere ({what}), and lists are not followed; \
             send the recording itself"
        ));
    }
    if !named.is_empty() && named.iter().all(|(_, format)| is_picture(format)) {
        return Some("it has pictures and no audio".to_owned());
    }
    let (name, format) = named.iter().find(|(_, format)| !is_picture(format))?;
    Some(format!("no decoder for {name} ({format}) is installed"))
}

/// Returns the first error in what `gst-launch-1.0` wrote, without the path of the element.
fn reason(complaints: &str) -> Option<String> {
    let lines = complaints.lines().map(str::trim);
    let mut errors = lines.filter_map(|line| {
        line.strip_prefix("ERROR: ")
            .or_else(|| line.strip_prefix("symbl-service: "))
    });
    let first = errors.next()?;
    let message = match first.strip_prefix("from element ") {
        Some(rest) => rest.split_once(": ").map_or(rest, |(_, message)| message),
        None => first,
    };
    // Without samples the header is written at its own place only, which a pipe does not have.
    let message = match message == "Could not perform seek on resource." {
        true => "it has no audio",
        false => message,
    };
    let missing = missing(complaints);
    let message = missing.as_deref().unwrap_or(message);
    let clean = message.chars().filter(|c| !c.is_control()).take(300);
    Some(clean.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_first_error_without_its_element() {
        let written = "Missing element\nERROR: from element \
            /GstPipeline:pipeline0/GstDecodeBin:decodebin0: Could not determine type of stream.\n\
            Additional debug info:\n../x.c(1186): loop ():\nERROR: pipeline doesn't want to preroll.\n";
        let expected = "Could not determine type of stream.";
        assert_eq!(reason(written).as_deref(), Some(expected));
        assert_eq!(reason("WARNING: no matter"), None);
    }

    #[test]
    fn the_reason_for_a_film_without_sound_is_not_that_its_pictures_cannot_be_decoded() {
        let missing = |decoders: &[&str]| {
            let decoders: String = decoders
                .iter()
                .map(|one| format!("Missing decoder: {one}\n"))
                .collect();
            let first = "ERROR: from element /GstPipeline:pipeline0/GstDecodeBin:decodebin0: Your \
                         GStreamer installation is missing a plug-in.";
            reason(&format!(
                "{first}\nno suitable plugins found:\n{decoders}\nERROR: x"
            ))
        };
        for (decoders, expected) in [
            (
                &["H.264 (High 4:4:4 Profile) (video/x-h264, width=(int)320, level=(string)1.3)"][..],
                "it has pictures and no audio",
            ),
            (
                &["JPEG (image/jpeg, parsed=(boolean)true)"],
                "pictures and no audio",
            ),
            (
                &["VP8 (video/x-vp8)", "AAC (audio/mpeg, mpegversion=(int)4)"],
                "no decoder for AAC (audio/mpeg) is installed",
            ),
            (
                &["application/x-hls (application/x-hls)"],
                "it is a list of recordings that are elsewhere (HLS, .m3u8)",
            ),
            (&[], "missing a plug-in"),
            (&["nonsense"], "missing a plug-in"),
        ] {
            let found = missing(decoders).expect("a reason");
            assert!(found.contains(expected), "{decoders:?}: {found}");
        }
    }
}
