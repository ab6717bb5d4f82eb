// SPDX-License-Identifier: MPL-2.0

//! Jobs of the Async API, as a client sees them, and a receiver of webhooks.

use super::{Place, config, http};
use serde_json::Value;
use std::io::Cursor;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use symbl_service::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Longer than any job here takes, however busy the machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Returns a configuration of a server in this process, whose decoder is the command.
pub fn with_decoder() -> ServerConfig {
    let mut config = config();
    config.jobs.decoder = Some(env!("CARGO_BIN_EXE_symbl-service").into());
    config
}

/// Returns a WAV file with these channels.
pub fn wav(channels: &[Vec<i16>]) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels: channels.len() as u16,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).expect("a header");
    let length = channels.iter().map(Vec::len).max().unwrap_or(0);
    for at in 0..length {
        for channel in channels {
            let sample = channel.get(at).copied().unwrap_or(0);
            writer.write_sample(sample).expect("a sample");
        }
    }
    writer.finalize().expect("a file");
    file.into_inner()
}

/// Sends a body of any type. Returns the status and the answer.
pub async fn upload(server: &impl Place, request: &str, body: &[u8]) -> (u16, Value) {
    upload_for(server, request, "", body).await
}

/// Sends a body of any type with a token.
pub async fn upload_for(
    server: &impl Place,
    request: &str,
    token: &str,
    body: &[u8],
) -> (u16, Value) {
    let mut stream = TcpStream::connect(server.address())
        .await
        .expect("connected");
    let head = format!(
        "{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\nContent-Type: audio/wav\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    // The service may answer before it has read all.
    let _ = stream.write_all(body).await;
    answer(&mut stream).await
}

/// Reads an answer to its end.
pub async fn answer(stream: &mut TcpStream) -> (u16, Value) {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let body = serde_json::from_str(body).unwrap_or_default();
    (status.expect("a status"), body)
}

/// Sends JSON or asks. Returns the status and the answer.
pub async fn ask(server: &impl Place, request: &str, body: &str) -> (u16, Value) {
    let (head, body) = http(server, request, body).await;
    let body = match head.contains("transfer-encoding: chunked") {
        true => whole(&body),
        false => body,
    };
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (
        status.expect("a status"),
        serde_json::from_str(&body).unwrap_or_default(),
    )
}

/// Puts the chunks of a body together.
fn whole(mut chunks: &str) -> String {
    let mut body = String::new();
    while let Some((length, rest)) = chunks.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("a length");
        body.push_str(&rest[..length]);
        chunks = rest[length..].trim_start_matches("\r\n");
        if length == 0 {
            break;
        }
    }
    body
}

/// Asks with a token.
pub async fn get(server: &impl Place, path: &str, token: &str) -> (u16, Value) {
    let request = format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nX-Rest:");
    ask(server, &request, "").await
}

/// Waits until a job is as it should be, and returns it.
pub async fn until(
    server: &impl Place,
    id: &str,
    token: &str,
    is_so: impl Fn(&Value) -> bool,
) -> Value {
    let begun = Instant::now();
    loop {
        let (status, job) = get(server, &format!("/v1/job/{id}"), token).await;
        assert_eq!(status, 200, "{job}");
        if is_so(&job) {
            return job;
        }
        assert!(begun.elapsed() < PATIENCE, "{job}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits for the end of a job.
pub async fn ended(server: &impl Place, answer: &Value) -> Value {
    let id = answer["jobId"].as_str().expect("a job");
    let is_over = |job: &Value| job["status"] == "completed" || job["status"] == "failed";
    until(server, id, "", is_over).await
}

/// Returns all messages of a job's conversation.
pub async fn messages(server: &impl Place, answer: &Value, token: &str) -> Vec<Value> {
    let id = answer["conversationId"].as_str().expect("a conversation");
    let path = format!("/v1/conversations/{id}/messages?verbose=true");
    let (status, found) = get(server, &path, token).await;
    assert_eq!(status, 200, "{found}");
    found["messages"].as_array().cloned().expect("a list")
}

/// Returns the words of messages in lower case and without marks, with the speaker's name.
pub fn words(messages: &[Value]) -> Vec<(String, String)> {
    let of = |message: &Value| {
        let name = message["from"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let text = message["text"].as_str().expect("a text").to_lowercase();
        let words = text
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>();
        let bare = |word: String| word.trim_matches(['.', ',', '?', '!']).to_owned();
        words
            .into_iter()
            .map(move |word| (name.clone(), bare(word)))
            .collect::<Vec<_>>()
    };
    messages.iter().flat_map(of).collect()
}

/// Returns the names of the recordings in a spool.
pub fn spooled(data: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(data.join("spool")).expect("a spool");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names
        .filter(|name| name != "registry.bin" && !name.starts_with("registry.bin"))
        .collect()
}

/// A request that the receiver has taken.
#[derive(Debug, Clone)]
pub struct Received {
    pub head: String,
    pub body: String,
    pub answer: u16,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value)
    }
}

/// A server that notes what it gets, and answers with what it is told.
pub struct Receiver {
    pub address: SocketAddr,
    pub received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    /// Starts a server that answers the n-th request with this status and body.
    pub async fn start(reply: impl Fn(usize) -> (u16, String, Vec<u8>) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let received = Arc::new(Mutex::new(Vec::<Received>::new()));
        let notes = Arc::clone(&received);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut text = Vec::new();
                let request = loop {
                    let mut piece = [0; 4096];
                    let count = stream.read(&mut piece).await.unwrap_or(0);
                    text.extend(&piece[..count]);
                    let so_far = String::from_utf8_lossy(&text);
                    if let Some((head, body)) = so_far.split_once("\r\n\r\n") {
                        let lower = head.to_lowercase();
                        let length = lower.split_once("content-length: ");
                        let length = length.and_then(|(_, rest)| rest.lines().next()?.parse().ok());
                        if body.len() >= length.unwrap_or(0) {
                            break Some((head.to_owned(), body.to_owned()));
                        }
                    }
                    if count == 0 {
                        break None;
                    }
                };
                let Some((head, body)) = request else {
                    continue;
                };
                let number = notes.lock().expect("a lock").len();
                let (answer, headers, content) = reply(number);
                notes
                    .lock()
                    .expect("a lock")
                    .push(Received { head, body, answer });
                let head = format!(
                    "HTTP/1.1 {answer} X\r\nContent-Length: {}\r\n{headers}Connection: close\r\n\r\n",
                    content.len()
                );
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(&content).await;
            }
        });
        Self { address, received }
    }

    pub fn all(&self) -> Vec<Received> {
        self.received.lock().expect("a lock").clone()
    }

    /// Waits until it has got what it should.
    pub async fn until(&self, is_so: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let begun = Instant::now();
        loop {
            let all = self.all();
            if is_so(&all) {
                return all;
            }
            assert!(begun.elapsed() < PATIENCE, "{all:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
