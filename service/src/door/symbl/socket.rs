// SPDX-License-Identifier: MPL-2.0

//! Carries frames between one WebSocket and its [`SpeakerSocket`]. Decides nothing.
//!
//! The socket is read only as fast as the speaker's stream takes audio. A task of its own
//! writes to the socket, so that the audio of a client that reads slowly is still read.

use crate::config::ServerConfig;
use crate::conversation::drain::Kind;
use crate::conversation::form::Recipient;
use crate::conversation::hub::{ConversationKey, Hub, Joining, Leave};
use crate::door::symbl::client::ClientKind;
use crate::door::symbl::closing::{Closing, SocketEnd};
use crate::door::symbl::speaker::SpeakerSocket;
use crate::door::symbl::wire::SYMBL;
use crate::hearing::stream::Places;
use crate::limits::Limits;
use crate::outbox::{Frame, Outbox};
use crate::seams::{ConnectionSeams, Stage};
use crate::store::notes::Notes;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use std::sync::Arc;
use std::time::Duration;
use symbl_protocol::reply;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep_until, timeout};
use tracing::Span;

/// The close code of a client that has finished.
const NORMAL: u16 = 1000;

/// The close code of a browser whose page is left.
const GOING_AWAY: u16 = 1001;

/// The close code of a service that is about to end and asks its clients to dial again.
pub(crate) const RESTART: u16 = 1012;

/// A close frame without a code (RFC 6455, 7.1.5).
const NO_CODE: u16 = 1005;

/// A speaker's socket that is about to join its conversation.
pub(crate) struct Guest {
    pub(crate) key: ConversationKey,
    pub(crate) client: ClientKind,
    /// Set if it joins past admission, until it has joined.
    pub(crate) joining: Option<Joining>,
    pub(crate) places: Arc<Places>,
    pub(crate) notes: Arc<dyn Notes>,
}

/// Serves one socket to its end.
pub(crate) async fn serve(
    socket: WebSocket,
    guest: Guest,
    config: Arc<ServerConfig>,
    hub: Arc<Hub>,
    mut shutdown: watch::Receiver<bool>,
    seams: Arc<dyn ConnectionSeams>,
) {
    let Guest {
        key,
        client,
        joining,
        places,
        notes,
    } = guest;
    let limits = config.limits.clone();
    let (sink, mut frames) = socket.split();
    let (outbox, waiting) = Outbox::new(limits.outbound_queue);
    let waiting = Arc::clone(&seams).writing(waiting);
    let mut writer = tokio::spawn(write(
        sink,
        waiting,
        limits.clone(),
        Arc::clone(&seams),
        outbox.clone(),
    ));
    let recipient = Recipient::new(outbox.clone(), &SYMBL);
    let slot = tokio::select! {
        slot = hub.join(&key, recipient.clone(), seams.splits()) => Some(slot),
        _ = shutdown.wait_for(|stop| *stop) => None,
    };
    let Some(slot) = slot else {
        // It may wait for the database. If this node gets a seat for it meanwhile, that is free
        // when the node has ended.
        let (connection, code) = (&key.connection_id, 1001);
        tracing::info!(event = "closing", connection, code);
        outbox.close(code, "service is shutting down");
        // What the client has sent is read, so that it can read why its socket is closed.
        let _ = timeout(limits.close, answered(&mut frames)).await;
        let _ = timeout(limits.close, &mut writer).await;
        writer.abort();
        return;
    };
    drop(joining);
    let conversation = slot.conversation.id.clone();
    Span::current().record("conversation", conversation.as_str());
    let open = Arc::new(hub.sockets.enter(Kind::Speaker));
    let slot = (slot, Arc::clone(&open));
    let mut speaker = SpeakerSocket::new(config, client, slot, notes, recipient, places);
    tracing::info!(
        event = "connected",
        connection = key.connection_id,
        conversation
    );
    let closing = tokio::select! {
        closing = run(&mut speaker, &mut frames, &outbox, &limits, &*seams) => closing,
        () = outbox.overflown() => Closing::Close {
            code: 1008,
            reason: "messages are not read",
            leave: Leave::Lost,
        },
        _ = &mut writer => Closing::Gone(Leave::Lost),
        code = seams.closes() => Closing::Close {
            code,
            reason: "",
            leave: Leave::Lost,
        },
        () = open.asked() => Closing::Close {
            code: RESTART,
            reason: "the service restarts",
            leave: Leave::Lost,
        },
        _ = shutdown.wait_for(|stop| *stop) => Closing::Close {
            code: 1001,
            reason: "service is shutting down",
            leave: Leave::Lost,
        },
    };
    let (connection, code) = (&key.connection_id, closing.code());
    tracing::info!(event = "closing", connection, conversation, code);
    let how = match closing {
        Closing::Gone(leave) => {
            speaker.leave(leave);
            leave
        }
        Closing::Close {
            code,
            reason,
            leave,
        } => {
            speaker.closing();
            outbox.close(code, reason);
            let patience = seams.limit(Stage::Farewell, limits.close);
            let patience = patience.unwrap_or(Duration::MAX);
            let farewell = timeout(patience, answered(&mut frames)).await;
            // A client that did not answer may not have received what came before.
            let heard = farewell.unwrap_or(false);
            let leave = if heard { leave } else { Leave::Lost };
            speaker.leave(leave);
            if !heard {
                // The client may still read why its socket is closed.
                let _ = timeout(limits.close, &mut writer).await;
            }
            leave
        }
    };
    let event = match how {
        Leave::Finished => "finished",
        Leave::Lost => "lost",
    };
    tracing::info!(event, connection, conversation);
    writer.abort();
}

async fn run(
    speaker: &mut SpeakerSocket,
    frames: &mut SplitStream<WebSocket>,
    outbox: &Outbox,
    limits: &Limits,
    seams: &dyn ConnectionSeams,
) -> Closing {
    loop {
        let deadline = speaker.deadline();
        let closing = tokio::select! {
            frame = frames.next() => match frame {
                Some(Ok(message)) if size(&message) > limits.message => {
                    Some(too_large(outbox, limits))
                }
                Some(Ok(message)) if !seams.read(&message, outbox) => None,
                Some(Ok(Message::Text(text))) => speaker.text(text.as_str()).await,
                Some(Ok(Message::Binary(bytes))) => speaker.binary(bytes).await,
                // Pings are answered by the WebSocket library.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => None,
                Some(Ok(Message::Close(frame))) => {
                    Some(speaker.closed(end_of(frame.as_ref())).await)
                }
                Some(Err(error)) if is_too_large(&error) => Some(too_large(outbox, limits)),
                Some(Err(error)) => {
                    tracing::info!(%error, "socket lost");
                    Some(speaker.closed(SocketEnd::Lost).await)
                }
                None => Some(speaker.closed(SocketEnd::Lost).await),
            },
            outcome = speaker.stream_end() => speaker.stream_ended(outcome),
            () = sleep_until(deadline) => speaker.deadline_passed(),
        };
        if let Some(closing) = closing {
            return closing;
        }
    }
}

/// Reads until the socket ends. Returns `true` if the client's close frame came.
pub(crate) async fn answered(frames: &mut SplitStream<WebSocket>) -> bool {
    while let Some(Ok(message)) = frames.next().await {
        if matches!(message, Message::Close(_)) {
            return true;
        }
    }
    false
}

fn end_of(frame: Option<&CloseFrame>) -> SocketEnd {
    match frame.map_or(NO_CODE, |frame| frame.code) {
        NORMAL => SocketEnd::Closed,
        NO_CODE | GOING_AWAY => SocketEnd::Left,
        _ => SocketEnd::Lost,
    }
}

pub(crate) fn size(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) => bytes.len(),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) => 0,
    }
}

/// Returns `true` if a message was too large to be assembled.
pub(crate) fn is_too_large(error: &axum::Error) -> bool {
    let source = std::error::Error::source(error);
    let of_socket = source.and_then(|source| source.downcast_ref::<tungstenite::Error>());
    matches!(of_socket, Some(tungstenite::Error::Capacity(_)))
}

fn too_large(outbox: &Outbox, limits: &Limits) -> Closing {
    let details = format!("a message may have at most {} bytes", limits.message);
    outbox.send(reply::error(
        "Message too large",
        &details,
        Some("message_too_large"),
    ));
    Closing::Close {
        code: 1009,
        reason: "message too large",
        leave: Leave::Lost,
    }
}

/// Writes frames until a close frame was written or the socket fails.
pub(crate) async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut waiting: mpsc::Receiver<Frame>,
    limits: Limits,
    seams: Arc<dyn ConnectionSeams>,
    outbox: Outbox,
) {
    while let Some(frame) = waiting.recv().await {
        let mut said = None;
        let (message, last) = match frame {
            Frame::Text(text) => (Message::Text(said.insert(text).clone()), false),
            Frame::Binary(bytes) => (Message::Binary(bytes), false),
            Frame::Close { code, reason } => {
                let reason = reason.into();
                let frame = Some(CloseFrame { code, reason }).filter(|_| code != NO_CODE);
                (Message::Close(frame), true)
            }
        };
        match timeout(limits.write, sink.send(message)).await {
            Ok(Ok(())) if !last => {}
            _ => return,
        }
        if let Some(text) = said {
            seams.wrote(&text, &outbox);
        }
    }
}
