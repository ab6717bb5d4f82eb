// SPDX-License-Identifier: MPL-2.0

//! Transcribes many recordings: plays each file of a list through `symblsink` into one
//! running service, as fast as the service takes it, and writes one JSON line per file.
//!
//! ```text
//! transcribe [--base-url URL] [--side-by-side N] [--service-pid PID] LIST
//! ```
//!
//! LIST has one JSON object per line, `{"name": …, "path": …}`, and optionally
//! `"reference"`, which is what is said in the file. `-` is standard input. A path
//! without a leading slash counts from the folder of LIST.
//!
//! A WAV file is sent as it is, also in µ-law, and an Ogg Opus file as its packets.
//! Other files are decoded and sent as 16 kHz. Every file is a conversation of its own.
//! The last line is the sum, `{"files": …, "failed": …, …}`. The exit status is 0 if all
//! results of all files have come.

#[path = "../../view/accuracy.rs"]
mod accuracy;
mod player;
mod processor;

use clap::Parser;
use player::Heard;
use processor::Processor;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::error::Error;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Transcribe the recordings of LIST, and write one JSON line for each
#[derive(Parser)]
#[command(name = "transcribe", version)]
struct Args {
    /// Address of the service [default: SYMBL_BASE_URL, else the element's own]
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,

    /// How many files are played at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    side_by_side: u16,

    /// Process of the service, to measure the processor time that it takes (Linux)
    #[arg(long, value_name = "PID")]
    service_pid: Option<u32>,

    /// Text file with one JSON object per line, or - for standard input
    #[arg(value_name = "LIST")]
    list: PathBuf,
}

/// A line of the list.
#[derive(Deserialize)]
struct Recording {
    name: String,
    path: PathBuf,
    reference: Option<String>,
}

/// A line of the output.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    #[serde(flatten)]
    heard: &'a Heard,
    /// All finals in one text.
    text: String,
    #[serde(flatten)]
    score: Option<Score>,
    wall_seconds: f64,
    /// Processor time of the service. Absent where files are played side by side,
    /// because the service does not tell them apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The word error rate as the example `captions` counts it.
#[derive(Serialize)]
struct Score {
    reference_words: usize,
    errors: usize,
}

/// The last line of the output.
#[derive(Default, Serialize)]
struct Sum {
    files: usize,
    failed: usize,
    audio_seconds: f64,
    wall_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_seconds: Option<f64>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(sum) if sum.failed == 0 => ExitCode::SUCCESS,
        Ok(sum) => {
            let (failed, files) = (sum.failed, sum.files);
            eprintln!("transcribe: {failed} of {files} files failed; see `error` in their lines");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("transcribe: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<Sum, Box<dyn Error>> {
    gst::init()?;
    gstsymbl::plugin_register_static()?;
    let recordings = Mutex::new(read_list(&args.list)?);
    let processor = match args.service_pid {
        Some(pid) => Some(Processor::of(pid)?),
        None => None,
    };
    let spent = || processor.as_ref().map(Processor::seconds).transpose();

    let (began, before) = (Instant::now(), spent()?);
    let sum = Mutex::new(Sum::default());
    let play_all = || -> Result<(), std::io::Error> {
        loop {
            let Some(recording) = locked(&recordings).pop_front() else {
                return Ok(());
            };
            let (began, before) = (Instant::now(), spent()?);
            let (heard, error) = player::play(&recording.path, args.base_url.as_deref());
            let text = heard.finals.join(" ");
            let cpu_seconds = match args.side_by_side {
                1 => before.zip(spent()?).map(|(before, after)| after - before),
                _ => None,
            };
            let line = Line {
                name: &recording.name,
                score: recording.reference.as_deref().map(|r| score(r, &text)),
                text,
                wall_seconds: began.elapsed().as_secs_f64(),
                cpu_seconds,
                error,
                heard: &heard,
            };
            let mut sum = locked(&sum);
            sum.files += 1;
            sum.failed += usize::from(line.error.is_some());
            sum.audio_seconds += heard.audio_seconds;
            write_line(&line)?;
        }
    };
    std::thread::scope(|scope| {
        let players: Vec<_> = (0..args.side_by_side)
            .map(|_| scope.spawn(play_all))
            .collect();
        players.into_iter().try_for_each(|player| {
            let ended = player.join();
            ended.unwrap_or_else(|_| Err(std::io::Error::other("a player panicked")))
        })
    })?;
    let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    sum.wall_seconds = began.elapsed().as_secs_f64();
    sum.cpu_seconds = before.zip(spent()?).map(|(before, after)| after - before);
    write_line(&sum)?;
    Ok(sum)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_line(line: &impl Serialize) -> std::io::Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Reads the list. Its paths are absolute afterwards, or count from the working folder.
fn read_list(list: &Path) -> Result<VecDeque<Recording>, Box<dyn Error>> {
    let mut text = String::new();
    if list == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)?;
    } else {
        text = std::fs::read_to_string(list)
            .map_err(|error| format!("cannot read {}: {error}", list.display()))?;
    }
    let folder = list.parent().unwrap_or(Path::new(""));
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            let mut recording: Recording = serde_json::from_str(line).map_err(|error| {
                let (list, number) = (list.display(), index + 1);
                format!("{list}, line {number}: {error}; a line is {{\"name\": …, \"path\": …}}")
            })?;
            recording.path = folder.join(recording.path);
            Ok(recording)
        })
        .collect()
}

fn score(reference: &str, text: &str) -> Score {
    let said = accuracy::words(reference);
    Score {
        reference_words: said.len(),
        errors: accuracy::word_errors(&said, &accuracy::words(text)),
    }
}
