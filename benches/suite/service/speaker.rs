// SPDX-License-Identifier: MPL-2.0

//! One client of the load: its handshake, and the bytes that it still has to write.

use super::super::Problem;
use super::load::Load;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use std::io::Cursor;
use symbl_service::recognizer::scripted::speech;
use tokio::io::{Join, Sink, join, sink};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, WebSocket};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Milliseconds of audio in a message. A word has two messages.
pub const FRAME: u64 = 100;

/// Number of words of one speaker: one minute.
const WORDS: u16 = 300;

/// Distance of the word numbers of two speakers.
const APART: u16 = 1000;

const RATE: u32 = 16_000;

/// Messages in the form in which they go over the wire.
pub struct Audio {
    /// By voice, then by number.
    frames: Vec<Vec<Bytes>>,
    stop: Bytes,
}

impl Audio {
    /// Creates the audio of this many voices, which say different words.
    pub fn new(voices: usize) -> Result<Self, Problem> {
        let voices = (0..u16::try_from(voices)?).map(|voice| {
            let first = voice * APART;
            let samples = speech(first..first + WORDS, RATE);
            let frames = samples.chunks((u64::from(RATE) * FRAME / 1000) as usize);
            let frames = frames.map(|samples| {
                let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
                wire(Message::binary(bytes))
            });
            frames.collect()
        });
        Ok(Self {
            frames: voices.collect::<Result<_, _>>()?,
            stop: wire(Message::text(json!({"type": "stop_request"}).to_string()))?,
        })
    }

    /// Returns the speaker of a word, and the number of the word.
    pub fn word(code: u64) -> (usize, u64) {
        let apart = u64::from(APART);
        ((code / apart) as usize, code % apart)
    }
}

/// Returns a message with its header, masked.
fn wire(message: Message) -> Result<Bytes, Problem> {
    let mut socket = WebSocket::from_raw_socket(Cursor::new(Vec::new()), Role::Client, None);
    socket.send(message)?;
    Ok(socket.get_ref().get_ref().clone().into())
}

/// Reads from the service. Anything that it would write is discarded.
pub type Reader = WebSocketStream<Join<OwnedReadHalf, Sink>>;

/// Writes a stream.
pub struct Speaker {
    writer: OwnedWriteHalf,
    /// Bytes that the socket has not taken.
    left: BytesMut,
    /// Number of frames sent.
    pub said: u64,
    stopped: bool,
    lost: bool,
}

impl Speaker {
    pub fn new(writer: OwnedWriteHalf) -> Self {
        Self {
            writer,
            left: BytesMut::new(),
            said: 0,
            stopped: false,
            lost: false,
        }
    }

    /// Sends the next frame, or the stop after a whole word at the end.
    pub fn say(&mut self, audio: &Audio, voice: usize, ending: bool) {
        if self.stopped {
            return;
        }
        let next = audio.frames.get(voice);
        let next = next.and_then(|frames| frames.get(self.said as usize));
        match next.filter(|_| !ending || self.said % 2 == 1) {
            Some(frame) => {
                self.said += 1;
                self.write(frame);
            }
            None => {
                self.stopped = true;
                self.write(&audio.stop);
            }
        }
    }

    fn write(&mut self, frame: &Bytes) {
        self.flush();
        let taken = match self.left.is_empty() {
            true => self.writer.try_write(frame).unwrap_or(0),
            false => 0,
        };
        self.left
            .extend_from_slice(frame.get(taken..).unwrap_or_default());
    }

    /// Writes the bytes that are left.
    pub fn flush(&mut self) {
        if self.left.is_empty() || self.lost {
            return;
        }
        match self.writer.try_write(&self.left) {
            Ok(taken) => self.left.advance(taken),
            Err(error) => self.lost = error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }

    /// Returns `true` if it has stopped and the service has its stop request.
    pub fn is_done(&self) -> bool {
        self.lost || (self.stopped && self.left.is_empty())
    }
}

/// Returns the settings for thousands of sockets with small messages.
fn config() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(4096)
}

async fn upgrade(load: &Load, path: &str) -> Result<WebSocketStream<TcpStream>, Problem> {
    let tcp = TcpStream::connect(load.service).await?;
    tcp.set_nodelay(true)?;
    let url = format!("ws://{}{path}", load.service);
    let (socket, _) = client_async_with_config(url, tcp, Some(config())).await?;
    Ok(socket)
}

fn room(load: &Load, number: usize) -> usize {
    if load.together { 0 } else { number }
}

/// Connects a speaker, and waits until the service accepts audio.
pub async fn connect(load: &Load, number: usize) -> Result<(Reader, OwnedWriteHalf), Problem> {
    let path = format!("/v1/streaming/load-{}", room(load, number));
    let mut socket = upgrade(load, &path).await?;
    let start = json!({
        "type": "start_request",
        "config": {"speechRecognition": {"encoding": "LINEAR16", "sampleRateHertz": RATE}},
        "speaker": {"userId": format!("{number}@load.example"), "name": format!("Speaker {number}")},
    });
    socket.send(Message::text(start.to_string())).await?;
    loop {
        let message = socket.next().await.ok_or("a speaker was not heard")??;
        if message.to_text()?.contains("recognition_started") {
            break;
        }
    }
    let (read, write) = socket.into_inner().into_split();
    let reader = join(read, sink());
    let reader = WebSocketStream::from_raw_socket(reader, Role::Client, Some(config())).await;
    Ok((reader, write))
}

/// Connects a subscriber of the first speaker's conversation.
pub async fn subscribe(load: &Load) -> Result<WebSocketStream<TcpStream>, Problem> {
    let mut socket = upgrade(load, &format!("/v1/subscribe/load-{}", room(load, 0))).await?;
    socket.next().await.ok_or("a subscriber was not let in")??;
    Ok(socket)
}
