// SPDX-License-Identifier: MPL-2.0

//! A client of Socket.IO that sends what it likes, when it likes.

use crate::common::{Place, in_time};
use futures_util::{FutureExt, SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Raw(pub WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Raw {
    /// Opens a WebSocket, and no socket of a session yet.
    pub async fn open(
        server: &impl Place,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Error> {
        let address = server.address();
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in headers {
            let value = value.parse().expect("a header value");
            request.headers_mut().insert(*name, value);
        }
        let (socket, _) = connect_async(request).await?;
        let mut raw = Self(socket);
        let open = raw.next().await.expect("an open packet");
        assert!(open.starts_with('0'), "{open}");
        Ok(raw)
    }

    /// Opens a socket of a session.
    pub async fn connect(server: &impl Place) -> Self {
        let mut raw = Self::open(server, &[]).await.expect("an upgrade");
        raw.send("40{}").await;
        let connected = raw.next().await.expect("an answer");
        assert!(connected.starts_with("40{"), "{connected}");
        raw
    }

    /// Sends a packet as it is. It may be that the service has closed already.
    pub async fn send(&mut self, packet: &str) {
        let _ = self.0.send(Message::text(packet)).await;
    }

    /// Sends an event.
    pub async fn emit(&mut self, name: &str, payload: &Value) {
        self.send(&format!("42{}", json!([name, payload]))).await;
    }

    /// Returns the next packet that is no ping, or `None` at the end.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("in time") {
                Some(Ok(Message::Text(text))) if text == "2" => self.send("3").await,
                // The service closes the connection.
                Some(Ok(Message::Text(text))) if text == "1" => return None,
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Answers pings from now on, until the end.
    pub fn stay(mut self) {
        tokio::spawn(async move { while self.next().await.is_some() {} });
    }

    /// Takes what has come so far, and answers the pings in it.
    pub fn catch_up(&mut self) {
        while let Some(Some(_)) = self.next().now_or_never() {}
    }

    /// Returns the payload of the next event of this name. Skips what comes before.
    pub async fn event(&mut self, name: &str) -> Value {
        let begin = format!("42[\"{name}\",");
        // Pings go on while the event does not come.
        in_time(async {
            loop {
                let packet = self.next().await.unwrap_or_else(|| panic!("no {name}"));
                if let Some(payload) = packet.strip_prefix(&begin) {
                    let payload = payload.strip_suffix(']').expect("an array");
                    return serde_json::from_str(payload).expect("JSON");
                }
            }
        })
        .await
    }

    /// Lets the socket create a session; returns the session's id.
    pub async fn create(&mut self) -> String {
        self.emit("session:create", &json!({ "timestamp": 1 }))
            .await;
        let created = self.event("session:created").await;
        created["session_id"].as_str().expect("an id").to_owned()
    }
}
