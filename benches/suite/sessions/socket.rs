// SPDX-License-Identifier: MPL-2.0

//! A Socket.IO client that does as little as possible: it shares the processors with what
//! it measures. Engine.IO 4 over a WebSocket, and no acknowledgement but those of sends.

use super::super::Problem;
use super::super::clock;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Nanoseconds in a millisecond.
const MS: u64 = 1_000_000;

pub struct Socket(WebSocketStream<TcpStream>);

/// What a socket has received.
pub enum Heard {
    /// An event with this name, and its JSON array.
    Event(String),
    /// The acknowledgement of a text.
    Answer(String),
}

impl Socket {
    /// Connects to the default namespace.
    pub async fn connect(service: SocketAddr) -> Result<Self, Problem> {
        let tcp = TcpStream::connect(service).await?;
        tcp.set_nodelay(true)?;
        let url = format!("ws://{service}/socket.io/?EIO=4&transport=websocket");
        // Thousands of sockets with small messages.
        let config = WebSocketConfig::default().read_buffer_size(4096);
        let (socket, _) = client_async_with_config(url, tcp, Some(config)).await?;
        let mut socket = Self(socket);
        let open = socket.frame().await?.ok_or("closed before it was open")?;
        if !open.starts_with('0') {
            return Err(format!("not an open packet: {open}").into());
        }
        socket.send("40").await?;
        let connected = socket.frame().await?.ok_or("closed before CONNECT")?;
        match connected.starts_with("40") {
            true => Ok(socket),
            false => Err(format!("not connected: {connected}").into()),
        }
    }

    /// Creates a session and returns its id.
    pub async fn create(&mut self) -> Result<String, Problem> {
        self.emit("session:create", &json!({"timestamp": stamp()}))
            .await?;
        let made = self.until("session:created").await?;
        let id = made.get("session_id").and_then(Value::as_str);
        Ok(id.ok_or("a session without an id")?.to_owned())
    }

    /// Joins a session.
    pub async fn join(&mut self, session: &str) -> Result<(), Problem> {
        let payload = json!({"session_id": session, "timestamp": stamp()});
        self.emit("session:reconnect", &payload).await?;
        self.until("session:reconnected").await.map(drop)
    }

    /// Sends a text, and asks for an acknowledgement.
    pub async fn say(&mut self, session: &str, text: &str) -> Result<(), Problem> {
        let payload = json!({
            "session_id": session,
            "input": {"text": text},
            "client_id": text,
            "timestamp": stamp(),
        });
        let packet = format!("421{}", json!(["message:send", payload]));
        self.send(&packet).await
    }

    /// Waits for the next event or acknowledgement, and answers pings. Returns `None` when
    /// the socket is closed.
    pub async fn hear(&mut self) -> Result<Option<Heard>, Problem> {
        while let Some(text) = self.frame().await? {
            if let Some(event) = text.strip_prefix("42") {
                return Ok(Some(Heard::Event(event.to_owned())));
            }
            if let Some(answer) = text.strip_prefix("431") {
                return Ok(Some(Heard::Answer(answer.to_owned())));
            }
            if text.starts_with("41") || text.starts_with("44") {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Waits for the event with this name and returns its payload.
    async fn until(&mut self, wanted: &str) -> Result<Value, Problem> {
        while let Some(heard) = self.hear().await? {
            let Heard::Event(event) = heard else { continue };
            let (name, payload): (String, Value) = serde_json::from_str(&event)?;
            if name == wanted {
                return Ok(payload);
            }
            if name.ends_with(":error") {
                return Err(format!("{name}: {payload}").into());
            }
        }
        Err(format!("closed before {wanted}").into())
    }

    async fn emit(&mut self, name: &str, payload: &Value) -> Result<(), Problem> {
        let packet = format!("42{}", json!([name, payload]));
        self.send(&packet).await
    }

    async fn send(&mut self, packet: &str) -> Result<(), Problem> {
        Ok(self.0.send(Message::text(packet)).await?)
    }

    /// Returns the next packet that is no ping, or `None` when the socket is closed.
    async fn frame(&mut self) -> Result<Option<String>, Problem> {
        while let Some(message) = self.0.next().await {
            let Ok(message) = message else {
                return Ok(None);
            };
            match message {
                Message::Text(text) if text.as_str() == "2" => self.send("3").await?,
                Message::Text(text) => return Ok(Some(text.as_str().to_owned())),
                Message::Close(_) => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }
}

/// Returns a time for members that must have one. The service reads nothing from it.
fn stamp() -> u64 {
    clock::now() / MS
}
