// SPDX-License-Identifier: MPL-2.0

//! A socket that listens only (Subscribe API): it hears what all speakers of a
//! connection id say until the conversation is over, over lost speakers too.
//!
//! It must never hold anybody up: what it does not read waits in its own outbox,
//! and when that is full ([`Limits::outbound_queue`] messages) the socket is
//! closed with 1008. It hears nothing that was said before it came; the
//! Conversation API has that.

use crate::conversation::hub::{Hub, RoomKey};
use crate::door::symbl::socket;
use crate::fault::{self, Line};
use crate::limits::Limits;
use crate::outbox::Outbox;
use axum::extract::ws::{Message, WebSocket};
use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use std::sync::Arc;
use symbl_protocol::{ClientMessage, PONG_TEXT, reply};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::Span;

/// Serves one subscriber to its end.
pub(crate) async fn serve(
    socket: WebSocket,
    room: RoomKey,
    limits: &Limits,
    hub: Arc<Hub>,
    mut shutdown: watch::Receiver<bool>,
    line: Arc<Line>,
) {
    let (sink, mut frames) = socket.split();
    let (outbox, waiting) = Outbox::new(limits.outbound_queue);
    let waiting = fault::through(&line, waiting);
    let mut writer = tokio::spawn(socket::write(
        sink,
        waiting,
        limits.clone(),
        Arc::clone(&line),
        outbox.clone(),
    ));
    let ear = hub.listen(&room, outbox.clone());
    let connection = &room.connection_id;
    let conversation = ear.as_ref().map(|ear| ear.room.id.clone());
    if let Some(conversation) = &conversation {
        Span::current().record("conversation", conversation.as_str());
    }
    tracing::info!(event = "subscribed", connection, conversation);
    if ear.is_none() {
        // It was over between the handshake and now.
        outbox.close(1000, "");
    }
    // What the writer has written last, where it ends by itself, is a close frame.
    let ours = tokio::select! {
        close = heed(&mut frames, &outbox, limits) => close,
        () = outbox.overflown() => Some((1008, "messages are not read")),
        code = line.closes() => Some((code, "")),
        _ = shutdown.wait_for(|stop| *stop) => Some((1001, "service is shutting down")),
        _ = &mut writer => None,
    };
    drop(ear);
    tracing::info!(event = "unsubscribed", connection, conversation);
    if let Some((code, reason)) = ours {
        outbox.close(code, reason);
    }
    let farewell = timeout(limits.close, socket::answered(&mut frames)).await;
    if ours.is_some() && farewell != Ok(true) {
        let _ = timeout(limits.close, &mut writer).await;
    }
    writer.abort();
}

/// Reads until the socket ends, or is to be closed with this code.
async fn heed(
    frames: &mut SplitStream<WebSocket>,
    outbox: &Outbox,
    limits: &Limits,
) -> Option<(u16, &'static str)> {
    while let Some(read) = frames.next().await {
        let message = match read {
            Ok(message) => message,
            Err(error) if socket::is_too_large(&error) => {
                return Some((1009, "message too large"));
            }
            Err(_) => return None,
        };
        if socket::size(&message) > limits.message {
            return Some((1009, "message too large"));
        }
        match message {
            Message::Text(text) => match ClientMessage::parse(text.as_str()) {
                Ok(ClientMessage::Ping) => outbox.send(PONG_TEXT),
                _ => outbox.send(reply::error(
                    "A subscriber only listens",
                    "nothing but __PING__ is understood here; speak at /v1/streaming/",
                    Some("listen_only"),
                )),
            },
            Message::Close(_) => return None,
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => {}
        }
    }
    None
}
