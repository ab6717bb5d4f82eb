// SPDX-License-Identifier: MPL-2.0

//! One socket of a session: a task that answers what the client sends, in order, and sends
//! it what happens in the session that it has joined.
//!
//! The library starts a task for each event that comes, so handlers overtake each other. So
//! events are put into a queue where the library reads them, which is in order, and this task
//! takes them out. It is the only one that sends to its socket.
//!
//! Nothing is left out or sent twice: the task has a place in the session's log
//! ([`Watch`]), and goes on only when the library has taken an event. A client that does not
//! read gets no events in the end, and then no ping, which ends its connection.

use super::polls::Polling;
use super::rates::Rates;
use super::render::{self, RenderCache};
use super::{Door, Pass};
use crate::audit;
use crate::clock::now;
use crate::conversation::drain::Kind;
use crate::conversation::entry::Sent;
use crate::conversation::session::{Event, Session, SessionError, Status, Watch, Written};
use crate::conversation::sockets::OpenSocket;
use crate::door::stall::WriteLimit;
use crate::door::token::Scope;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::{AckSender, SocketRef};
use socketioxide::handler::{FromMessageParts, Value as Packet};
use socketioxide::socket::Socket;
use socketioxide::{SendError, SocketError};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use symbl_protocol::session::{self as events, Asked, Code, Introduction, Refusal, Request};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// How long a socket waits before it tries again to send to a client whose queue is full.
const RETRY: Duration = Duration::from_millis(20);
/// How long a history waits for those before it.
const HISTORY_PATIENCE: Duration = Duration::from_secs(5);
/// How long a socket waits before it reads the log again, when that has failed.
const LOG_RETRY: Duration = Duration::from_secs(1);

/// An event that came.
pub(super) struct Arrived {
    /// The array of its name and its arguments.
    packet: String,
    has_attachments: bool,
    ack: Ack,
}

/// The acknowledgement that a client asks for, if it does.
struct Ack {
    socket: Arc<Socket<LocalAdapter>>,
    id: Option<i64>,
}

impl FromMessageParts<LocalAdapter> for Arrived {
    type Error = Infallible;

    fn from_message_parts(
        socket: &Arc<Socket<LocalAdapter>>,
        packet: &mut Packet,
        id: &Option<i64>,
    ) -> Result<Self, Infallible> {
        let (text, attachments) = match packet {
            Packet::Str(text, attachments) => (text.as_str(), attachments.as_ref()),
            Packet::Bytes(_) => ("", None),
        };
        Ok(Self {
            packet: text.to_owned(),
            has_attachments: attachments.is_some_and(|given| !given.is_empty()),
            ack: Ack {
                socket: Arc::clone(socket),
                id: *id,
            },
        })
    }
}

impl Ack {
    /// Sends the acknowledgement, if the client asked for it.
    fn send(&self, answer: &impl Serialize) -> Result<(), SendError> {
        if self.id.is_none() {
            return Ok(());
        }
        let Ok(sender) = AckSender::<LocalAdapter>::from_message_parts(
            &self.socket,
            &mut Packet::Bytes(bytes::Bytes::new()),
            &self.id,
        );
        sender.send(answer)
    }
}

/// Puts an event into the socket's queue. If the queue is full, the client is told so.
pub(super) fn queue(inbox: &mpsc::Sender<Arrived>, socket: &SocketRef, arrived: Arrived) {
    let Err(mpsc::error::TrySendError::Full(arrived)) = inbox.try_send(arrived) else {
        return;
    };
    let asked = events::read(&arrived.packet, arrived.has_attachments);
    let refusal = too_many();
    // A client that reads nothing, either, is told nothing.
    let _ = socket.emit(&asked.error_event, &refusal_event(&refusal));
    let _ = arrived.ack.send(&refusal_ack(&refusal));
}

fn too_many() -> Refusal {
    Refusal::new(
        Code::RateLimited,
        "Too many of these events; wait before you send more.",
    )
}

fn refusal_event(refusal: &Refusal) -> Value {
    json!({ "error_code": refusal.code.as_str(), "description": refusal.description })
}

fn refusal_ack(refusal: &Refusal) -> Value {
    let mut answer = json!({ "ok": false });
    answer["error_code"] = json!(refusal.code.as_str());
    answer["description"] = json!(refusal.description);
    answer
}

impl From<SessionError> for Refusal {
    fn from(error: SessionError) -> Self {
        let code = match &error {
            SessionError::Unknown => Code::InvalidSession,
            SessionError::Closed => Code::SessionClosed,
            SessionError::NoSuchMessage | SessionError::ClientIdTaken => Code::InvalidPayload,
            SessionError::Full => Code::SessionFull,
            SessionError::Busy | SessionError::Log(_) => Code::StoreUnavailable,
        };
        Self::new(code, error.to_string())
    }
}

/// What the middleware has prepared for the task.
pub(super) struct Starting {
    pub(super) inbox: mpsc::Receiver<Arrived>,
    /// Notified when the connection has ended.
    pub(super) gone: Arc<Notify>,
    pub(super) pass: Pass,
    pub(super) about: Introduction,
}

/// The session that a socket has joined.
struct Joined {
    session: Session,
    watch: Watch,
    cache: Arc<RenderCache>,
}

/// The connection has ended.
struct Gone;

struct Visitor {
    door: Arc<Door>,
    socket: SocketRef,
    pass: Pass,
    about: Introduction,
    /// The integration's id in the path, if there is one.
    integration: Option<String>,
    rates: Rates,
    joined: Option<Joined>,
}

/// Serves one socket to its end.
pub(super) async fn serve(
    door: Arc<Door>,
    socket: SocketRef,
    starting: Starting,
    integration: Option<String>,
) {
    let Starting {
        inbox,
        gone,
        pass,
        about,
    } = starting;
    let _open = door.metrics.socket("session");
    let polling = door.polls.enter(socket.id.to_string());
    let asked = leave_when_asked(door.sockets.enter(Kind::Listener), socket.clone(), polling);
    let expiry = pass.expires_in();
    let mut closed = door.closed.subscribe();
    let closed = async move {
        // The sender is in the door, so the wait cannot fail before.
        drop(closed.wait_for(|closed| *closed).await);
    };
    let visitor = Visitor {
        rates: Rates::new(door.sends),
        door,
        socket: socket.clone(),
        pass,
        about,
        integration,
        joined: None,
    };
    tracing::info!(event = "session_socket_opened");
    tokio::select! {
        () = gone.notified() => {}
        _ = visitor.run(inbox) => {}
        () = closed => {}
        never = asked => match never {},
        () = expired(expiry) => {
            tracing::info!("the token of a session's socket has expired");
            // The client must not come back by itself with the same token.
            end(socket, &gone).await;
        }
    }
    tracing::info!(event = "session_socket_closed");
}

/// Ends the connection when the socket is asked to close, so that its client comes back by
/// itself.
async fn leave_when_asked(open: OpenSocket, socket: SocketRef, polling: Polling) -> Infallible {
    open.asked().await;
    polling.end();
    if let Some(connection) = socket.req_parts().extensions.get::<WriteLimit>() {
        connection.cut();
    }
    drop(open);
    let never = std::future::pending().await;
    drop(polling);
    never
}

/// Waits until the token expires.
async fn expired(after: Option<Duration>) {
    match after {
        Some(after) => sleep(after).await,
        None => std::future::pending().await,
    }
}

/// Disconnects a client, so that it does not come back by itself.
async fn end(socket: SocketRef, gone: &Notify) {
    let asked = async {
        while let Err(SocketError::InternalChannelFull) = socket.clone().disconnect() {
            sleep(RETRY).await;
        }
    };
    tokio::select! {
        () = gone.notified() => {}
        () = asked => {}
    }
}

impl Visitor {
    /// Answers and sends until the connection has ended.
    async fn run(mut self, mut inbox: mpsc::Receiver<Arrived>) -> Gone {
        loop {
            let next = async {
                match &mut self.joined {
                    Some(joined) => joined.watch.next().await,
                    None => std::future::pending().await,
                }
            };
            let done = tokio::select! {
                biased;
                arrived = inbox.recv() => match arrived {
                    Some(arrived) => self.answer(arrived).await,
                    None => Err(Gone),
                },
                event = next => self.show(event).await,
            };
            if let Err(gone) = done {
                return gone;
            }
        }
    }

    /// Sends an event, when there is room for it.
    async fn emit(&self, name: &str, payload: &(impl Serialize + ?Sized)) -> Result<(), Gone> {
        loop {
            match self.socket.emit(name, payload) {
                Ok(()) => {
                    self.door.metrics.session_event();
                    return Ok(());
                }
                Err(SendError::Socket(SocketError::InternalChannelFull)) => sleep(RETRY).await,
                Err(SendError::Socket(SocketError::Closed)) => return Err(Gone),
                Err(SendError::Serialize(error)) => {
                    tracing::error!(%error, event = name, "an event cannot be written as JSON");
                    return Ok(());
                }
            }
        }
    }

    /// Acknowledges an event, when there is room for that.
    async fn acknowledge(&self, ack: &Ack, answer: &Value) -> Result<(), Gone> {
        loop {
            match ack.send(answer) {
                Ok(()) => return Ok(()),
                Err(SendError::Socket(SocketError::InternalChannelFull)) => sleep(RETRY).await,
                Err(SendError::Socket(SocketError::Closed)) => return Err(Gone),
                Err(SendError::Serialize(error)) => {
                    tracing::error!(%error, "an acknowledgement cannot be written as JSON");
                    return Ok(());
                }
            }
        }
    }

    async fn answer(&mut self, arrived: Arrived) -> Result<(), Gone> {
        let Asked {
            error_event,
            request,
        } = events::read(&arrived.packet, arrived.has_attachments);
        let at = Instant::now();
        let request = request.and_then(|request| {
            let may = self.rates.event(at) && self.rates.request(&request, at);
            may.then_some(request).ok_or_else(too_many)
        });
        let answered = match request {
            Ok(request) => self.serve(request, &arrived.ack).await?,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = answered {
            self.emit(&error_event, &refusal_event(&refusal)).await?;
            self.acknowledge(&arrived.ack, &refusal_ack(&refusal))
                .await?;
        }
        Ok(())
    }

    async fn serve(&mut self, request: Request, ack: &Ack) -> Result<Result<(), Refusal>, Gone> {
        match request {
            Request::Create { title } => self.create(title, ack).await,
            Request::Reconnect { session_id, view } => self.reconnect(&session_id, view, ack).await,
            Request::History {
                session_id,
                after,
                limit,
            } => self.history(&session_id, after, limit, ack).await,
            Request::Send {
                session_id,
                text,
                corrects,
                client_id,
            } => {
                let client_id = client_id.unwrap_or_else(|| Uuid::new_v4().to_string());
                self.send(&session_id, text, corrects, client_id, ack).await
            }
        }
    }

    /// Refuses what a share token is not for.
    fn may_write(&self) -> Result<(), Refusal> {
        match self.pass.access.scope {
            Scope::Account => Ok(()),
            Scope::Conversation(_) => Err(Refusal::new(
                Code::Forbidden,
                "This token only lets you read the conversation that was shared.",
            )),
        }
    }

    async fn create(
        &mut self,
        title: Option<String>,
        ack: &Ack,
    ) -> Result<Result<(), Refusal>, Gone> {
        if let Err(refusal) = self.may_write() {
            return Ok(Err(refusal));
        }
        let account = &self.pass.access.account;
        let title = title.map(|title| self.door.redaction.text(&title));
        match self.door.sessions.create(account, title).await {
            Ok(session) => {
                tracing::info!(
                    event = "session_created",
                    conversation = session.conversation
                );
                self.join(session, "session:created", ack).await?;
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error.into())),
        }
    }

    async fn reconnect(
        &mut self,
        session_id: &str,
        view: bool,
        ack: &Ack,
    ) -> Result<Result<(), Refusal>, Gone> {
        let account = &self.pass.access.account;
        let found = self.door.sessions.find(account, session_id, view).await;
        let found = found.and_then(|session| match self.pass.access.scope {
            // Another conversation is as unknown as none.
            Scope::Conversation(shared) if shared != session.conversation => {
                Err(SessionError::Unknown)
            }
            _ => Ok(session),
        });
        match found {
            Ok(session) => {
                self.join(session, "session:reconnected", ack).await?;
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error.into())),
        }
    }

    /// Joins a session, and leaves the one before. A socket that has joined it already goes
    /// on where it is.
    async fn join(&mut self, session: Session, event: &str, ack: &Ack) -> Result<(), Gone> {
        let account = &self.pass.access.account;
        let (integration, name) = (self.integration.as_deref(), self.about.name.as_deref());
        let details = render::details(&session, account, integration, name);
        let is_here = self.joined.as_ref().is_some_and(|joined| {
            joined.session.id == session.id && joined.session.state().status == Status::Active
        });
        if !is_here {
            tracing::info!(
                event = "session_joined",
                conversation = session.conversation
            );
            self.door.audit.write(audit::Event {
                account,
                address: self.pass.address,
                door: "sessions",
                method: event,
                what: "read",
                conversation: Some(session.conversation.to_string()),
                status: 200,
            });
            self.joined = Some(Joined {
                watch: match self.about.analytics {
                    true => session.watch(self.about.captions).with_analytics(),
                    false => session.watch(self.about.captions),
                },
                cache: self.door.caches.of(&session),
                session: session.clone(),
            });
        }
        self.emit(event, &details).await?;
        let answer = json!({ "ok": true, "session_id": *session.id });
        self.acknowledge(ack, &answer).await
    }

    /// Returns the session that this socket has joined, if it has this id.
    fn joined(&mut self, session_id: &str) -> Result<&mut Joined, Refusal> {
        let joined = self.joined.as_mut();
        let joined = joined.filter(|joined| *joined.session.id == *session_id);
        joined.ok_or_else(|| {
            Refusal::new(
                Code::NotJoined,
                "This socket has not joined that session: send session:reconnect first.",
            )
        })
    }

    async fn history(
        &mut self,
        session_id: &str,
        after: u64,
        limit: usize,
        ack: &Ack,
    ) -> Result<Result<(), Refusal>, Gone> {
        let door = Arc::clone(&self.door);
        let joined = match self.joined(session_id) {
            Ok(joined) => joined,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Ok(Ok(_place)) = timeout(HISTORY_PATIENCE, door.histories.acquire()).await else {
            return Ok(Err(SessionError::Busy.into()));
        };
        let page = match joined.session.history(after, limit).await {
            Ok(page) => page,
            Err(error) => return Ok(Err(error.into())),
        };
        let (entries, cache) = (page.entries, Arc::clone(&joined.cache));
        // Five thousand entries take a while.
        let rendered = door.workers.run(move || cache.history(&entries)).await;
        let Ok(rendered) = rendered else {
            return Ok(Err(SessionError::Busy.into()));
        };
        // What the client gets here it is not sent once more. If it asked from a later place
        // than it has reached, there may be something between.
        if after <= joined.watch.cursor() {
            joined.watch.skip_to(page.until);
        }
        let head = joined.session.state().head;
        self.emit("session:history:synced", &rendered).await?;
        let answer = json!({ "ok": true, "more": page.more, "until": page.until, "head": head });
        self.acknowledge(ack, &answer).await?;
        Ok(Ok(()))
    }

    async fn send(
        &mut self,
        session_id: &str,
        text: String,
        corrects: Option<i64>,
        client_id: String,
        ack: &Ack,
    ) -> Result<Result<(), Refusal>, Gone> {
        if let Err(refusal) = self.may_write() {
            return Ok(Err(refusal));
        }
        let about = self.about.clone();
        // What the service hides it does not store if a client types it, either.
        let text = self.door.redaction.text(&text);
        let joined = match self.joined(session_id) {
            Ok(joined) => joined,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (name, user_id) = (about.name.as_deref(), about.user_id.as_deref());
        let from = render::author(&joined.session, name, user_id);
        let author = render::person(&from);
        let sent = Sent {
            client_id,
            from,
            text,
            corrects,
        };
        let Written { seq, is_new } = match joined.session.send(sent).await {
            Ok(written) => written,
            Err(error) => return Ok(Err(error.into())),
        };
        if is_new {
            joined.watch.wrote(seq);
        }
        let answer = json!({
            "ok": true, "event_id": seq.to_string(), "seq": seq, "from": author,
        });
        self.acknowledge(ack, &answer).await?;
        Ok(Ok(()))
    }

    /// Sends what has happened in the session.
    async fn show(&mut self, event: Event) -> Result<(), Gone> {
        let Some(joined) = &self.joined else {
            return Ok(());
        };
        match event {
            Event::Entries(entries) => {
                for seen in entries.iter().filter(|seen| !seen.own) {
                    let shown = joined.cache.show(&seen.entry);
                    for event in shown.events() {
                        let (name, payload) = event.live();
                        self.emit(name, payload).await?;
                    }
                }
            }
            Event::Interim(hint) => {
                if let Some(payload) = joined.cache.interim(&hint, now()) {
                    self.emit_volatile("caption:interim", &payload);
                }
            }
            Event::Analytics(tallied) => {
                if let Some(payload) = joined.cache.analytics(&tallied, now()) {
                    self.emit_volatile("conversation:analytics", &payload);
                }
            }
            Event::Changed(state) => {
                let payload = joined.cache.state(&state, now());
                self.emit("session:state", &payload).await?;
                match state.status {
                    Status::Active => {}
                    Status::Closed => self.emit("session:closed", &payload).await?,
                    Status::Expired => self.emit("session:expired", &payload).await?,
                }
            }
            Event::Unreadable(error) => {
                tracing::warn!(%error, "the entries of a session cannot be read");
                sleep(LOG_RETRY).await;
            }
        }
        Ok(())
    }

    /// Sends what may be left out, if the client can take it now.
    fn emit_volatile(&self, name: &str, payload: &RawValue) {
        // It is lost if the connection has ended.
        if self.socket.volatile().emit(name, payload).is_ok() {
            self.door.metrics.session_event();
        }
    }
}
