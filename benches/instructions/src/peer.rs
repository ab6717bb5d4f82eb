// SPDX-License-Identifier: MPL-2.0

//! The other side of the socket: takes audio, counts it, and sends what it is given.
//!
//! It has two blocking threads, so that none of its work runs in the runtime of the
//! element.

use super::{BOUND, Done};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

/// Number of words in a second.
const WORDS: u64 = 5;
/// Duration of a word, in nanoseconds.
const WORD: u64 = 200_000_000;

/// A running peer.
pub struct Peer {
    port: u16,
    /// The sizes of the binary messages that came.
    audio: Receiver<u64>,
    say: Sender<String>,
    waited_for: u64,
    came: u64,
}

impl Peer {
    /// Starts a peer on a free port, for one connection.
    pub fn start() -> Done<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let (count, audio) = mpsc::channel();
        let (say, says) = mpsc::channel::<String>();
        let answer = say.clone();
        std::thread::spawn(move || {
            if let Err(error) = serve(&listener, &count, answer, says) {
                eprintln!("peer: {error}");
            }
        });
        Ok(Self {
            port,
            audio,
            say,
            waited_for: 0,
            came: 0,
        })
    }

    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Waits until this many more bytes have come.
    pub fn wait_for_audio(&mut self, bytes: u64) -> Done<()> {
        self.waited_for += bytes;
        while self.came < self.waited_for {
            self.came += self.audio.recv_timeout(BOUND)?;
        }
        Ok(())
    }

    /// Sends this text to the element.
    pub fn say(&self, text: String) {
        // Fails if the peer has ended, and then it has printed why.
        let _ = self.say.send(text);
    }
}

fn serve(
    listener: &TcpListener,
    count: &Sender<u64>,
    answer: Sender<String>,
    says: Receiver<String>,
) -> Done<()> {
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    // The default buffer is zeroed at each read, which takes longer under valgrind
    // than everything else.
    let config = WebSocketConfig::default().read_buffer_size(4096);
    let mut socket = tungstenite::accept_with_config(stream, Some(config))?;
    let out = socket.get_ref().try_clone()?;
    std::thread::spawn(move || speak(out, &says));
    loop {
        match socket.read() {
            Ok(Message::Binary(audio)) => count.send(audio.len() as u64)?,
            Ok(Message::Text(text)) if text.contains("start_request") => {
                for kind in ["started_listening", "recognition_started"] {
                    let data = json!({"conversationId": "5318203764539392"});
                    let reply = json!({"type": "message", "message": {"type": kind, "data": data}});
                    answer.send(reply.to_string())?;
                }
            }
            Ok(_) => {}
            // The element closed the connection.
            Err(_) => return Ok(()),
        }
    }
}

/// Writes to the socket until there is nothing more to send.
fn speak(out: TcpStream, says: &Receiver<String>) {
    let mut socket = WebSocket::from_raw_socket(out, Role::Server, None);
    while let Ok(text) = says.recv() {
        if socket.send(Message::text(text)).is_err() {
            return;
        }
    }
}

/// Returns what a service sends for the speech of one second: growing interims, their
/// final, its message and an insight.
pub fn said_in(second: u64) -> Vec<String> {
    let mut said: Vec<String> = (1..=WORDS)
        .map(|words| result(second, words, false))
        .collect();
    said.push(result(second, WORDS, true));
    said.push(message(second));
    said.push(insight(second));
    said
}

fn word(second: u64, word: u64) -> String {
    format!("word{}", second * WORDS + word)
}

fn text(second: u64, words: u64) -> String {
    let words: Vec<String> = (0..words).map(|n| word(second, n)).collect();
    words.join(" ")
}

fn id(second: u64) -> String {
    format!("3b6f0a94-8d17-4c52-b1e3-{second:012}")
}

fn user() -> Value {
    json!({"userId": "mara@example.org", "name": "Mara Lind", "id": "0d9a1f52-7c3e-4a7b-8f16-5b2c9e7d4a10"})
}

fn result(second: u64, words: u64, is_final: bool) -> String {
    let instant = |nanos: u64| {
        let (seconds, nanos) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        json!({"seconds": seconds.to_string(), "nanos": nanos.to_string()})
    };
    let placed: Vec<Value> = (0..words)
        .map(|n| {
            let start = (second * WORDS + n) * WORD;
            json!({"word": word(second, n), "startTime": instant(start), "endTime": instant(start + WORD)})
        })
        .collect();
    let text = text(second, words);
    let alternative =
        json!({"words": placed, "transcript": text, "confidence": 0.9471283555030823});
    json!({
        "type": "message",
        "message": {
            "type": "recognition_result",
            "isFinal": is_final,
            "payload": {"raw": {"alternatives": [alternative]}},
            "punctuated": {"transcript": text},
            "user": user(),
        },
        "timeOffset": (second + 1) * 1000,
    })
    .to_string()
}

fn message(second: u64) -> String {
    let instant = |offset: f64| format!("2024-03-05T09:{:02}:{offset:06.3}Z", second / 60 % 60);
    let placed: Vec<Value> = (0..WORDS)
        .map(|n| {
            let offset = (second * WORDS + n) as f64 / WORDS as f64;
            json!({
                "word": word(second, n), "timeOffset": offset, "duration": 0.2,
                "startTime": instant(offset % 60.0), "endTime": instant(offset % 60.0 + 0.2),
            })
        })
        .collect();
    json!({
        "type": "message_response",
        "messages": [{
            "from": user(),
            "payload": {"content": text(second, WORDS), "contentType": "text/plain"},
            "id": id(second),
            "channel": {"id": "realtime-api"},
            "metadata": {
                "disablePunctuation": true, "timezoneOffset": 0,
                "originalContent": text(second, WORDS), "words": Value::Array(placed).to_string(),
                "originalMessageId": id(second),
            },
            "dismissed": false,
            "duration": {
                "startTime": instant(second as f64 % 60.0), "endTime": instant(second as f64 % 60.0 + 0.99),
                "timeOffset": second, "duration": 0.99,
            },
        }],
        "sequenceNumber": second,
    })
    .to_string()
}

fn insight(second: u64) -> String {
    json!({
        "type": "insight_response",
        "insights": [{
            "id": format!("5c2e8b19-60d4-4a9f-b7f1-{second:012}"),
            "confidence": 0.9812734007835388,
            "hints": [{"key": "confidenceScore", "value": "0.9987120032310486"}],
            "type": "question", "assignee": user(), "tags": [], "dismissed": false,
            "payload": {"content": text(second, WORDS), "contentType": "text/plain"},
            "from": user(), "entities": null,
            "messageReference": {"id": id(second)},
        }],
        "sequenceNumber": second,
    })
    .to_string()
}
