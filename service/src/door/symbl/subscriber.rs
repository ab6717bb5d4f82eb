// SPDX-License-Identifier: MPL-2.0

//! The socket of a subscriber (Subscribe API). It is sent what all speakers of a
//! connection id say until the conversation is over, also while a speaker is lost.
//!
//! It must never delay another socket. Messages that it does not read wait in its own
//! outbox, and when that is full ([`Limits::outbound_queue`] messages), the socket is
//! closed with 1008. It gets what is said after it came. With `?after=N` it is first sent
//! what follows the `sequenceNumber` N, as fast as it reads.

use crate::conversation::drain::Kind;
use crate::conversation::form::{Form as _, Recipient};
use crate::conversation::hub::{Conversation, ConversationKey, Hub};
use crate::conversation::log::LogError;
use crate::door::symbl::socket;
use crate::door::symbl::wire::SYMBL;
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::seams::ConnectionSeams;
use axum::extract::ws::{Message, WebSocket};
use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use std::future::pending;
use std::sync::Arc;
use symbl_protocol::{ClientMessage, PONG_TEXT, reply};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::Span;

/// A subscriber that is about to listen.
pub(crate) struct Listening {
    pub(crate) key: ConversationKey,
    /// The last `sequenceNumber` that it knows, if it wants all that follows.
    pub(crate) after: Option<i64>,
}

/// Most entries that are read from the log at once.
const PAGE: usize = 100;

/// Serves one subscriber to its end.
pub(crate) async fn serve(
    socket: WebSocket,
    visit: Listening,
    limits: &Limits,
    hub: Arc<Hub>,
    mut shutdown: watch::Receiver<bool>,
    seams: Arc<dyn ConnectionSeams>,
) {
    let (sink, mut frames) = socket.split();
    let (outbox, waiting) = Outbox::new(limits.outbound_queue);
    let waiting = Arc::clone(&seams).writing(waiting);
    let mut writer = tokio::spawn(socket::write(
        sink,
        waiting,
        limits.clone(),
        Arc::clone(&seams),
        outbox.clone(),
    ));
    let recipient = Recipient::new(outbox.clone(), &SYMBL);
    let open = hub.sockets.enter(Kind::Listener);
    let Listening { key, after } = visit;
    let connection = &key.connection_id;
    let conversation = hub.listenable(&key);
    let id = conversation
        .as_ref()
        .map(|conversation| conversation.id.clone());
    if let Some(id) = &id {
        Span::current().record("conversation", id.as_str());
    }
    tracing::info!(event = "subscribed", connection, conversation = id, after);
    // If the writer ends by itself, it has written a close frame or the socket has failed.
    let ours = tokio::select! {
        close = heed(&mut frames, &outbox, limits) => close,
        close = listen(&hub, conversation, after, &recipient) => Some(close),
        () = outbox.overflown() => Some((1008, "messages are not read")),
        code = seams.closes() => Some((code, "")),
        () = open.asked() => Some((socket::RESTART, "the service restarts")),
        _ = shutdown.wait_for(|stop| *stop) => Some((1001, "service is shutting down")),
        _ = &mut writer => None,
    };
    tracing::info!(event = "unsubscribed", connection, conversation = id);
    if let Some((code, reason)) = ours {
        outbox.close(code, reason);
    }
    let farewell = timeout(limits.close, socket::answered(&mut frames)).await;
    if ours.is_some() && farewell != Ok(true) {
        let _ = timeout(limits.close, &mut writer).await;
    }
    writer.abort();
}

/// Sends a subscriber what was said after the final with this number, and then all that is
/// said, until it is dropped. Returns how to close the socket if there is nothing more to
/// send.
async fn listen(
    hub: &Arc<Hub>,
    conversation: Option<Arc<Conversation>>,
    after: Option<i64>,
    outbox: &Recipient,
) -> (u16, &'static str) {
    // The conversation may have ended since the handshake.
    let Some(conversation) = conversation else {
        return (1000, "");
    };
    let mut heard = conversation.heard_up_to(0);
    let reading = Arc::clone(&conversation);
    let found = hub.workers.run(move || coming_in(&reading, after)).await;
    let found = found.ok().and_then(Result::ok);
    let last = found.map(|(_, last)| last);
    let started = reply::subscription_started(&conversation.id, last);
    let Some((newest, _)) = found else {
        // Without an answer of the log, it gets what comes from now on.
        if after.is_none()
            && let Some(_slot) = conversation.listen_now(outbox, started)
        {
            return pending().await;
        }
        return UNREADABLE;
    };
    heard.seq = newest;
    outbox.send(started);
    loop {
        let entries = match conversation.listen_from(&mut heard, outbox) {
            Ok(_listener_slot) if conversation.state().is_finished => {
                outbox.send(reply::conversation_completed(&conversation.id));
                return (1000, "");
            }
            Ok(_listener_slot) => return pending().await,
            Err(Some(remembered)) => remembered,
            Err(None) => {
                // Entries of the log that were not sent yet will be sent to this socket too.
                let told = conversation.told();
                let reading = Arc::clone(&conversation);
                let after = heard.seq;
                let page = move || reading.log.read(reading.number, after, PAGE);
                let Ok(Ok(mut page)) = hub.workers.run(page).await else {
                    return UNREADABLE;
                };
                page.retain(|entry| entry.seq <= told);
                if page.is_empty() {
                    // The other entries are deleted, or their kinds are unknown.
                    heard.seq = told;
                    continue;
                }
                page
            }
        };
        let last = entries.last().map_or(heard.seq, |entry| entry.seq);
        for entry in entries {
            for (_, text) in SYMBL.render(&entry) {
                if !outbox.send_in_turn(text).await {
                    return pending().await; // The writer says why.
                }
            }
        }
        heard.seq = last;
    }
}

/// Returns the number of the entry behind which a subscriber comes in, and the
/// `sequenceNumber` of the last final so far, or -1. Without `after` it comes in behind
/// that final, so that it may ask for all that follows.
fn coming_in(conversation: &Conversation, after: Option<i64>) -> Result<(u64, i64), LogError> {
    let (log, number) = (&conversation.log, conversation.number);
    let newest = log.entry_of(number, i64::MAX)?;
    let entries = match newest.checked_sub(1) {
        Some(before) => log.read(number, before, 1)?,
        None => Vec::new(),
    };
    let said = entries.first().and_then(|entry| entry.body.said());
    let last = said.map_or(-1, |said| i64::try_from(said.number).unwrap_or(i64::MAX));
    let heard = match after {
        Some(after) => log.entry_of(number, after)?,
        None => newest,
    };
    Ok((heard, last))
}

/// How a socket is closed whose conversation cannot be read.
const UNREADABLE: (u16, &str) = (1011, "the log cannot be read");

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
