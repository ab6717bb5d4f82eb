// SPDX-License-Identifier: MPL-2.0

//! A raw client that uses none of the client's code, and a server with the scripted
//! recogniser.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use symbl_service::recognizer::scripted::Scripted;
use symbl_service::{Server, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::Response;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Longest wait for an answer. It is longer than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns a configuration with the scripted recogniser.
pub fn config() -> ServerConfig {
    ServerConfig::new(Arc::new(Scripted))
}

/// Starts a server on a free port, with the scripted recogniser.
pub async fn server() -> Server {
    Server::bind(config()).await.expect("a free port")
}

/// Returns the samples as bytes of LINEAR16.
pub fn linear16(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|s| s.to_le_bytes()).collect()
}

/// Returns a start request for LINEAR16 at 16 kHz.
pub fn start_request() -> Value {
    json!({
        "type": "start_request",
        "config": {"speechRecognition": {"encoding": "LINEAR16", "sampleRateHertz": 16000}},
    })
}

/// Awaits a future within a bound, and panics if the bound is reached.
pub async fn in_time<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("in time")
}

/// A service that has an address.
pub trait Place {
    /// Returns the address that the service listens on.
    fn address(&self) -> SocketAddr;
}

impl Place for Server {
    fn address(&self) -> SocketAddr {
        self.local_addr()
    }
}

impl Place for SocketAddr {
    fn address(&self) -> SocketAddr {
        *self
    }
}

/// Sends one plain HTTP/1.1 request. Returns the status line with the headers, and the body.
pub async fn http(server: &impl Place, request: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let text = format!(
        "{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
    (head.to_ascii_lowercase(), body.to_owned())
}

/// A message or the end of a connection, as the client receives it.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// A text message that is JSON.
    Json(Value),
    /// A text message that is not JSON, for example `__PONG__`.
    Text(String),
    /// A pong, with its payload.
    Pong(Vec<u8>),
    /// The end of the connection, with the code of the close frame if one came.
    Closed(Option<u16>),
}

impl Heard {
    /// Returns `message.type` inside the envelope, else `type`.
    pub fn kind(&self) -> &str {
        match self {
            Self::Json(value) => value["message"]["type"]
                .as_str()
                .or(value["type"].as_str())
                .unwrap_or("?"),
            Self::Text(text) => text,
            Self::Pong(_) => "pong",
            Self::Closed(_) => "closed",
        }
    }

    /// Returns the JSON. Panics if the message is not JSON.
    pub fn json(&self) -> &Value {
        match self {
            Self::Json(value) => value,
            other => panic!("not JSON: {other:?}"),
        }
    }
}

/// A raw WebSocket client. It sends whatever a test tells it to send, valid or not.
pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    /// Opens a socket for a connection id.
    pub async fn connect(server: &impl Place, id: &str) -> Self {
        Self::open(server, &format!("/v1/streaming/{id}"), &[])
            .await
            .expect("an upgrade")
            .0
    }

    /// Opens a socket at a path, with further headers. Also returns the answer to the upgrade.
    pub async fn open(
        server: &impl Place,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<(Self, Response<Option<Vec<u8>>>), Error> {
        let url = format!("ws://{}{path}", server.address());
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in headers {
            let value = value.parse().expect("a header value");
            request.headers_mut().insert(*name, value);
        }
        let (socket, response) = connect_async(request).await?;
        Ok((Self { socket }, response))
    }

    /// Opens a socket and starts. Also returns the conversation id.
    pub async fn started(server: &impl Place, id: &str, request: &Value) -> (Self, String) {
        let mut client = Self::connect(server, id).await;
        let conversation = client.start(request).await;
        (client, conversation)
    }

    /// Sends a start request, waits for its replies and returns the conversation id.
    pub async fn start(&mut self, request: &Value) -> String {
        self.send_json(request).await;
        self.until("started_listening").await;
        let created = self.until("conversation_created").await;
        let started = self.until("recognition_started").await;
        let id = &created.json()["message"]["data"]["conversationId"];
        assert_eq!(id, &started.json()["message"]["data"]["conversationId"]);
        id.as_str().expect("a string").to_owned()
    }

    /// Sends one message.
    pub async fn send(&mut self, message: Message) {
        self.socket
            .send(message)
            .await
            .expect("a socket to send on");
    }

    /// Sends one message, and returns `false` if the socket takes none.
    pub async fn try_send(&mut self, message: Message) -> bool {
        self.socket.send(message).await.is_ok()
    }

    /// Sends one text message.
    pub async fn send_text(&mut self, text: &str) {
        self.send(Message::text(text)).await;
    }

    /// Sends a value as one text message.
    pub async fn send_json(&mut self, value: &Value) {
        self.send_text(&value.to_string()).await;
    }

    /// Sends bytes in messages of 3,200.
    pub async fn send_audio(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(3200) {
            self.send(Message::binary(chunk.to_vec())).await;
        }
    }

    /// Sends a stop request.
    pub async fn stop(&mut self) {
        self.send_json(&json!({"type": "stop_request"})).await;
    }

    /// Closes with a close frame and waits for the server's close frame.
    pub async fn close(mut self, code: u16) {
        let frame = CloseFrame {
            code: code.into(),
            reason: "".into(),
        };
        self.send(Message::Close(Some(frame))).await;
        self.rest().await;
    }

    /// Returns the next message, or the end of the connection.
    pub async fn next(&mut self) -> Heard {
        match timeout(PATIENCE, self.socket.next())
            .await
            .expect("an answer")
        {
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                Ok(value) => Heard::Json(value),
                Err(_) => Heard::Text(text.to_string()),
            },
            Some(Ok(Message::Pong(payload))) => Heard::Pong(payload.to_vec()),
            Some(Ok(Message::Close(frame))) => {
                // The flush sends the answer. The server may be gone.
                let _ = self.socket.flush().await;
                Heard::Closed(frame.map(|f| f.code.into()))
            }
            Some(Ok(other)) => panic!("unexpected {other:?}"),
            Some(Err(_)) | None => Heard::Closed(None),
        }
    }

    /// Returns the next message as it is, or the error with which the socket ended.
    pub async fn next_message(&mut self) -> Result<Message, Error> {
        let next = timeout(PATIENCE, self.socket.next()).await;
        next.expect("an answer")
            .unwrap_or(Err(Error::ConnectionClosed))
    }

    /// Returns the next message of this kind, and skips the messages before it.
    pub async fn until(&mut self, kind: &str) -> Heard {
        loop {
            let heard = self.next().await;
            if heard.kind() == kind {
                return heard;
            }
            assert!(
                !matches!(heard, Heard::Closed(_)),
                "closed while waiting for {kind}: {heard:?}"
            );
        }
    }

    /// Returns all messages to the end of the connection, with the end.
    pub async fn rest(&mut self) -> Vec<Heard> {
        let mut all = Vec::new();
        loop {
            let heard = self.next().await;
            let over = matches!(heard, Heard::Closed(_));
            all.push(heard);
            if over {
                return all;
            }
        }
    }
}

/// Returns the words of all final results, without punctuation and case, with their times in
/// milliseconds.
pub fn final_words(heard: &[Heard]) -> Vec<(String, u64, u64)> {
    let millis = |time: &Value| {
        let part = |name: &str| {
            time[name]
                .as_str()
                .expect("a string")
                .parse::<u64>()
                .expect("digits")
        };
        part("seconds") * 1000 + part("nanos") / 1_000_000
    };
    heard
        .iter()
        .filter(|h| h.kind() == "recognition_result")
        .map(|h| &h.json()["message"])
        .filter(|m| m["isFinal"] == true)
        .flat_map(|m| {
            m["payload"]["raw"]["alternatives"][0]["words"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        })
        .map(|w| {
            let text = w["word"].as_str().expect("a word");
            let bare = text
                .trim_matches(|c: char| !c.is_alphanumeric())
                .to_lowercase();
            (bare, millis(&w["startTime"]), millis(&w["endTime"]))
        })
        .collect()
}

/// Returns the texts of words from [`final_words`].
pub fn texts(words: &[(String, u64, u64)]) -> Vec<&str> {
    words.iter().map(|w| w.0.as_str()).collect()
}

/// Returns the [`Heard::kind`] of each message.
pub fn kinds(heard: &[Heard]) -> Vec<&str> {
    heard.iter().map(Heard::kind).collect()
}
