// SPDX-License-Identifier: MPL-2.0

//! The state of one connection that the parts of this room share: its fault, whether
//! the fault has been applied, and the state of the wire.

use super::outbox::{self, kind_of};
use super::stream::{FaultyStream, FragmentedStream};
use super::{Fault, Kind, When};
use crate::outbox::{Frame, Outbox};
use crate::seams::{AnyStream, ConnectionSeams, Stage};
use axum::extract::ws::Message;
use axum::http::header::{LOCATION, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use symbl_protocol::{ClientMessage, Encoding, StreamFormat, reply};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

const HUGE: usize = 16 * 1024 * 1024;

/// The state of a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WireState {
    Sound,
    Reset,
    Fin,
    Frozen,
    /// Bytes read per second.
    Slow(u64),
}

/// One connection and its fault, which is not [`Kind::None`].
#[derive(Debug)]
pub(super) struct FaultState {
    fault: Fault,
    struck: AtomicBool,
    wire: Mutex<WireState>,
    pub(super) reader: AtomicWaker,
    pub(super) writer: AtomicWaker,
    /// The code to close the WebSocket with, once the fault closes it.
    close: watch::Sender<Option<u16>>,
    audio: Mutex<Audio>,
}

/// The audio received so far.
#[derive(Debug, Default)]
struct Audio {
    format: Option<StreamFormat>,
    bytes: u64,
    since: Option<Instant>,
}

impl Audio {
    fn take(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.since.get_or_insert_with(Instant::now);
    }

    fn length(&self) -> Duration {
        let bytes_per_second = self.format.and_then(|format| match format.encoding() {
            Encoding::Linear16 => Some(2 * format.sample_rate()),
            Encoding::Mulaw => Some(format.sample_rate()),
            Encoding::Flac | Encoding::Opus => None,
        });
        match bytes_per_second {
            Some(rate) => Duration::from_millis(self.bytes * 1000 / u64::from(rate.max(1))),
            None => self.since.map_or(Duration::ZERO, |since| since.elapsed()),
        }
    }
}

impl FaultState {
    /// Creates the state of a connection that was just accepted.
    pub(super) fn new(fault: Fault) -> Self {
        let state = Self {
            fault,
            struck: AtomicBool::new(false),
            wire: Mutex::new(WireState::Sound),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
            close: watch::Sender::new(None),
            audio: Mutex::default(),
        };
        if fault.when == When::Accept {
            state.strike_wire();
        }
        state
    }

    pub(super) fn kind(&self) -> Kind {
        self.fault.kind
    }

    /// Returns the delay that the fault adds to each message.
    pub(super) fn lateness(&self) -> Duration {
        match self.fault.kind {
            Kind::Delay(time) => time,
            _ => Duration::ZERO,
        }
    }

    /// Returns how long the fault delays this stage of the connection, if it does.
    fn late(&self, moment: When) -> Option<Duration> {
        let late = Some(self.lateness()).filter(|late| !late.is_zero());
        late.filter(|_| self.is_by(moment))
    }

    fn is_by(&self, moment: When) -> bool {
        match self.fault.when {
            When::Accept => true,
            when => when == moment,
        }
    }

    pub(super) fn has_struck(&self) -> bool {
        self.struck.load(Ordering::Acquire)
    }

    pub(super) fn wire(&self) -> WireState {
        *self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a wire fault, and returns `true` if the connection has one.
    fn strike_wire(&self) -> bool {
        self.struck.store(true, Ordering::Release);
        let wire = match self.fault.kind {
            Kind::Reset => WireState::Reset,
            Kind::Fin => WireState::Fin,
            Kind::HalfOpen => WireState::Frozen,
            Kind::SlowRead(bytes) => WireState::Slow(bytes),
            _ => return false,
        };
        *self.wire.lock().unwrap_or_else(PoisonError::into_inner) = wire;
        self.reader.wake();
        self.writer.wake();
        true
    }

    /// Returns the response that the fault sends in place of the upgrade, if any. May
    /// wait first.
    async fn in_place_of_upgrade(&self) -> Option<Response> {
        if let Some(time) = self.late(When::Upgrade) {
            self.strike_wire();
            sleep(time).await;
        }
        if self.fault.when != When::Upgrade {
            return None;
        }
        if self.strike_wire() && !matches!(self.wire(), WireState::Slow(_)) {
            // The wire fault keeps this answer from the client.
            return Some(StatusCode::OK.into_response());
        }
        match self.fault.kind {
            Kind::NoAnswer => std::future::pending().await,
            Kind::Http {
                status,
                retry_after,
            } => {
                let status = StatusCode::from_u16(status).ok()?;
                let body = serde_json::json!({"message": "A fault on purpose."});
                let mut response = (status, axum::Json(body)).into_response();
                if let Some(wait) = retry_after {
                    let seconds = HeaderValue::from(wait.as_secs());
                    response.headers_mut().insert(RETRY_AFTER, seconds);
                }
                Some(response)
            }
            Kind::Redirect => {
                let elsewhere = [(LOCATION, "https://elsewhere.example/")];
                Some((StatusCode::FOUND, elsewhere).into_response())
            }
            _ => None,
        }
    }

    fn hear_audio(&self, outbox: &Outbox) -> bool {
        let due = match self.fault.when {
            When::Audio(time) => self.audio().length() >= time,
            When::AudioBytes(bytes) => self.audio().bytes >= bytes,
            _ => false,
        };
        if due && !self.has_struck() {
            self.strike(outbox);
        }
        true
    }

    fn audio(&self) -> std::sync::MutexGuard<'_, Audio> {
        self.audio.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn strike(&self, outbox: &Outbox) {
        tracing::info!(fault = %self.fault, "a fault on purpose");
        if self.strike_wire() {
            return;
        }
        let text = match self.fault.kind {
            Kind::Close(code) => {
                self.close.send_replace(Some(code));
                return;
            }
            Kind::NotJson => "a fault on purpose".to_owned(),
            Kind::Binary => return outbox.put(Frame::Binary(vec![0; 1000].into())),
            Kind::Huge => format!("\"{}\"", "x".repeat(HUGE - 2)),
            Kind::UnknownType => r#"{"type":"fault_on_purpose","data":null}"#.to_owned(),
            Kind::Error => reply::error("A fault on purpose", "error", Some("fault")),
            Kind::ErrorEnvelope => {
                let error = serde_json::json!({
                    "type": "message",
                    "message": {
                        "type": "error",
                        "message": "A fault on purpose",
                        "details": "error-envelope",
                    },
                });
                error.to_string()
            }
            Kind::Terminated => reply::processing_terminated(),
            _ => return,
        };
        outbox.send(text);
    }

    /// Waits until the fault closes the socket, and returns the close code.
    async fn closed(&self) -> u16 {
        let mut close = self.close.subscribe();
        // `self` holds the sender, so the wait cannot fail.
        match close.wait_for(Option::is_some).await.map(|code| *code) {
            Ok(Some(code)) => code,
            _ => std::future::pending().await,
        }
    }
}

impl ConnectionSeams for FaultState {
    fn opened(self: Arc<Self>, tcp: TcpStream) -> BoxFuture<'static, AnyStream> {
        let stream = FaultyStream::new(tcp, Arc::clone(&self));
        Box::pin(async move {
            if let Some(time) = self.late(When::Accept) {
                sleep(time).await;
            }
            Box::new(stream) as AnyStream
        })
    }

    fn secured(self: Arc<Self>, stream: AnyStream) -> AnyStream {
        match self.fault.kind {
            Kind::Fragments => Box::new(FragmentedStream::new(stream, self)),
            _ => stream,
        }
    }

    fn limit(&self, stage: Stage, usual: Duration) -> Option<Duration> {
        // What the fault delays must not end the connection in its place.
        match stage {
            Stage::Handshake => Some(usual).filter(|_| self.wire() != WireState::Frozen),
            Stage::Request => None,
            Stage::Farewell => Some(usual + self.lateness()),
        }
    }

    fn before_upgrade(&self) -> BoxFuture<'_, Option<Response>> {
        Box::pin(self.in_place_of_upgrade())
    }

    fn upgraded(&self, response: &mut Response) {
        let headers = response.headers_mut();
        match self.fault.kind {
            Kind::WrongAccept => {
                let other = HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
                headers.insert(SEC_WEBSOCKET_ACCEPT, other);
            }
            Kind::NoAccept => {
                headers.remove(SEC_WEBSOCKET_ACCEPT);
            }
            _ => {}
        }
    }

    fn splits(&self) -> bool {
        self.fault.kind == Kind::Split
    }

    fn read(&self, message: &Message, outbox: &Outbox) -> bool {
        let moment = match message {
            Message::Text(text) => match ClientMessage::parse(text.as_str()) {
                Ok(ClientMessage::Start(request)) => {
                    self.audio().format = Some(request.format);
                    When::Start
                }
                Ok(ClientMessage::Stop) => When::Stop,
                _ => return true,
            },
            Message::Binary(bytes) => {
                self.audio().take(bytes.len());
                return self.hear_audio(outbox);
            }
            _ => return true,
        };
        match (self.fault.kind, self.fault.when == moment) {
            (Kind::NoAnswer, true) => return false,
            // A delay also applies to the acknowledgement itself.
            (Kind::Delay(_), true) => self.strike(outbox),
            (_, true) if moment == When::Stop => {
                self.strike(outbox);
                // A connection that was lost took the message with it. If the session
                // saw the stop first, it would close the socket in the normal way.
                return self.wire() == WireState::Sound && self.close.borrow().is_none();
            }
            _ => {}
        }
        true
    }

    fn writing(self: Arc<Self>, frames: mpsc::Receiver<Frame>) -> mpsc::Receiver<Frame> {
        outbox::through(self, frames)
    }

    fn wrote(&self, text: &str, outbox: &Outbox) {
        if self.fault.when == When::Start
            && !self.has_struck()
            && self.fault.kind != Kind::NoAnswer
            && kind_of(text) == "recognition_started"
        {
            self.strike(outbox);
        }
    }

    fn closes(&self) -> BoxFuture<'_, u16> {
        Box::pin(self.closed())
    }
}
