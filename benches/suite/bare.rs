// SPDX-License-Identifier: MPL-2.0

//! The bare client: sends the same bytes in the same frames, and does nothing else.
//!
//! One thread, `tokio-tungstenite`, TCP_NODELAY. No WebSocket client can do less.

use super::clock::{self, Stamp};
use super::dialect::BYTES_PER_SECOND;
use super::run::{Audio, Done, Run, Word};
use super::{Problem, child};
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use nix::sys::resource::{UsageWho, getrusage};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

type Out = SplitSink<WebSocketStream<TcpStream>, Message>;

/// Size of a WAV header as the suite writes it, in bytes.
const HEADER: usize = 44;

pub fn play(run: &Run) -> Result<(), Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(send(run))
}

/// Returns the CPU time that this process has used, in seconds.
pub fn cpu() -> f64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return f64::NAN;
    };
    let seconds = |time: nix::sys::time::TimeVal| {
        // A double is exact here for centuries.
        time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
    };
    seconds(usage.user_time()) + seconds(usage.system_time())
}

async fn send(run: &Run) -> Result<(), Problem> {
    // Read into memory before anything is counted.
    let file = match &run.audio {
        Audio::File { path, .. } => std::fs::read(path)?,
        _ => Vec::new(),
    };
    let audio = file.get(HEADER..).unwrap_or_default();
    let begin = Instant::now();
    let before = cpu();
    let tcp = TcpStream::connect((run.server.host, run.server.web)).await?;
    tcp.set_nodelay(true)?;
    let frame = match run.audio {
        Audio::Live { bytes } => format!("/{bytes}"),
        _ => String::new(),
    };
    let url = format!("ws://{}:{}/bare{frame}", run.server.host, run.server.web);
    let (socket, _) = tokio_tungstenite::client_async(url, tcp).await?;
    let (mut out, mut back) = socket.split();
    // Ends with the close frame of the server, which comes after it has read
    // everything.
    let read = tokio::spawn(async move { while let Some(Ok(_)) = back.next().await {} });
    child::say(&Word::Ready { at: clock::now() })?;
    let (told, mut tells) = mpsc::unbounded_channel();
    child::listen(move |line| {
        // Fails at the end, when the receiver is gone.
        let _ = told.send(line);
    });
    let pushed = match &run.audio {
        Audio::File { bytes, paced, .. } => file_of(&mut out, audio, *bytes, *paced).await?,
        Audio::Live { bytes } | Audio::Fed { bytes, .. } => tokio::select! {
            sent = live(&mut out, *bytes) => sent?,
            _ = tells.recv() => 0,
        },
    };
    out.send(Message::text("end")).await?;
    read.await?;
    child::say(&Word::Done(Done {
        wall: begin.elapsed().as_secs_f64(),
        cpu: cpu() - before,
        pushed,
        ..Done::default()
    }))
}

async fn file_of(out: &mut Out, audio: &[u8], bytes: usize, paced: bool) -> Result<u64, Problem> {
    let mut tick = interval(duration(bytes));
    for frame in audio.chunks(bytes) {
        if paced {
            tick.tick().await;
        }
        out.send(Message::binary(frame.to_vec())).await?;
    }
    Ok(0)
}

async fn live(out: &mut Out, bytes: usize) -> Result<u64, Problem> {
    let mut tick = interval(duration(bytes));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut number = 0;
    loop {
        tick.tick().await;
        let mut buffer = vec![0; bytes];
        let at = clock::now();
        Stamp { number, at }.write(&mut buffer);
        out.send(Message::binary(buffer)).await?;
        number += 1;
    }
}

/// Returns how long this much audio lasts.
pub fn duration(bytes: usize) -> Duration {
    Duration::from_secs_f64(bytes as f64 / BYTES_PER_SECOND as f64)
}
