// SPDX-License-Identifier: MPL-2.0

//! A client that sends bytes as it likes.

use crate::common::Place;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Raw(pub TcpStream);

impl Raw {
    pub async fn connect(server: &impl Place) -> Self {
        Self(TcpStream::connect(server.address()).await.expect("a port"))
    }

    /// Sends as much as is taken; how many bytes that was.
    pub async fn send(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() {
            match timeout(PATIENCE, self.0.write(&bytes[sent..])).await {
                Ok(Ok(written)) if written > 0 => sent += written,
                Ok(_) => break,
                Err(_) => panic!("neither taken nor refused"),
            }
        }
        sent
    }

    /// Reads until the service ends the connection, and returns what came.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut part = [0; 16 * 1024];
        loop {
            let read = timeout(PATIENCE, self.0.read(&mut part)).await;
            match read.expect("the service ends the connection") {
                Ok(length) if length > 0 => all.extend(&part[..length]),
                _ => return all,
            }
        }
    }

    pub async fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.rest().await).into_owned()
    }

    /// Opens a WebSocket.
    pub async fn websocket(server: &impl Place, path: &str) -> Self {
        let mut raw = Self::connect(server).await;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        raw.send(request.as_bytes()).await;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = timeout(PATIENCE, raw.0.read_u8()).await;
            head.push(byte.expect("an answer").expect("an answer"));
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{head:?}");
        raw
    }
}

/// Returns the head of a frame with this payload length, masked with zeros.
pub fn frame_head(first: u8, length: u64) -> Vec<u8> {
    let mut head = vec![first, 0x80 | 127];
    head.extend(length.to_be_bytes());
    head.extend([0; 4]);
    head
}
