// SPDX-License-Identifier: MPL-2.0

//! Scripted raw peers: servers that do one thing, often a wrong one, and record everything
//! that a client sends them.
//!
//! ```ignore
//! let peer = Peer::start(Script::listening());
//! // … run a client against peer.base_url() …
//! assert!(peer.wait_for(|records| records.iter().any(|r| r.ended), SOON));
//! assert_eq!(peer.records()[0].audio(), expected);
//! ```
//!
//! A test can also send a message at a moment that it chooses: [`Peer::say`].
//!
//! A peer has a thread of its own, so that tests may block. It ends when it is dropped.
//! Every connection plays the same script. A peer must never know words, audio or time: a
//! test that needs a service that recognises uses `symbl-service`. It must never use the
//! client's code, or a mistake there would cancel out.
//!
//! Sources: RFC 6455; Symbl Streaming API reference for the replies.

use futures_util::{SinkExt, StreamExt};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_tungstenite::WebSocketStream;
pub use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

mod record;
mod script;

use record::is_of_type;
pub use record::{Record, RequestHead};
pub use script::*;
use script::{Act, Conversation};

/// Longest request head that is read, in bytes.
const MAX_HEAD: usize = 64 * 1024;

#[derive(Default)]
struct Shared {
    records: Mutex<Vec<Record>>,
    /// Takes the messages that a test sends, one channel per connection.
    says: Mutex<Vec<mpsc::UnboundedSender<Message>>>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, index: usize, change: impl FnOnce(&mut Record)) {
        change(&mut self.lock()[index]);
        self.changed.notify_all();
    }
}

/// A running peer. Dropping it ends its connections and its thread.
pub struct Peer {
    address: SocketAddr,
    tls: bool,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _backlog: Option<std::net::TcpStream>,
}

impl Peer {
    /// Starts a peer on a free port of 127.0.0.1.
    pub fn start(script: Script) -> Self {
        Self::run(script, None)
    }

    /// Starts a peer that uses TLS.
    pub fn start_tls(script: Script, config: ServerConfig) -> Self {
        Self::run(script, Some(TlsAcceptor::from(Arc::new(config))))
    }

    fn run(script: Script, tls: Option<TlsAcceptor>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let accepts = !matches!(script.0, Act::NeverAccept);
        let listener = {
            let _context = runtime.enter();
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            socket.listen(if accepts { 64 } else { 0 }).unwrap()
        };
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = oneshot::channel();
        let is_tls = tls.is_some();
        let records = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(&listener, script, tls, &records), if accepts => {}
                    _ = stopped => {}
                }
            });
        });
        // One connection fills a backlog of 0. From then on the kernel drops other connections.
        let backlog = (!accepts).then(|| std::net::TcpStream::connect(address).unwrap());
        Self {
            address,
            tls: is_tls,
            shared,
            stop: Some(stop),
            thread: Some(thread),
            _backlog: backlog,
        }
    }

    /// Returns the address that the peer listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the value for the property `base-url`.
    pub fn base_url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Returns one record per connection, in the order of their arrival, as of now.
    pub fn records(&self) -> Vec<Record> {
        self.shared.lock().clone()
    }

    /// Waits until `reached` returns `true` for the records. Returns `false` if it did not
    /// within `bound`.
    pub fn wait_for(&self, reached: impl Fn(&[Record]) -> bool, bound: Duration) -> bool {
        let records = self.shared.lock();
        let (_records, timeout) = self
            .shared
            .changed
            .wait_timeout_while(records, bound, |records| !reached(records))
            .unwrap_or_else(PoisonError::into_inner);
        !timeout.timed_out()
    }

    /// Sends `message` on the `connection`-th connection, counted from 0, after the messages
    /// that were sent before.
    pub fn say(&self, connection: usize, message: Message) {
        let says = self.shared.says.lock();
        let says = says.unwrap_or_else(PoisonError::into_inner);
        // A connection that has ended takes no message.
        let _ = says[connection].send(message);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the peer has been printed by its thread.
            let _ = thread.join();
        }
    }
}

async fn accept(
    listener: &TcpListener,
    script: Script,
    tls: Option<TlsAcceptor>,
    shared: &Arc<Shared>,
) {
    while let Ok((tcp, _)) = listener.accept().await {
        let (say, says) = mpsc::unbounded_channel();
        shared
            .says
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(say);
        let index = {
            let mut records = shared.lock();
            records.push(Record::default());
            records.len() - 1
        };
        shared.changed.notify_all();
        let (act, tls, shared) = (script.0.clone(), tls.clone(), Arc::clone(shared));
        tokio::spawn(async move {
            let record = |change: &dyn Fn(&mut Record)| shared.change(index, change);
            // A connection that breaks is recorded like one that ends.
            let _ = match tls {
                Some(tls) => match tls.accept(tcp).await {
                    Ok(stream) => play(act, stream, says, &record).await,
                    Err(error) => Err(error),
                },
                None => play(act, tcp, says, &record).await,
            };
            record(&|record| record.ended = true);
        });
    }
}

/// Changes the record of one connection.
type Tell<'a> = &'a (dyn Fn(&dyn Fn(&mut Record)) + Sync);

async fn play<S: AsyncRead + AsyncWrite + Unpin>(
    act: Act,
    mut stream: S,
    says: mpsc::UnboundedReceiver<Message>,
    tell: Tell<'_>,
) -> std::io::Result<()> {
    let mut taken = Vec::new();
    let end = loop {
        if let Some(end) = taken.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if taken.len() > MAX_HEAD || stream.read_buf(&mut taken).await? == 0 {
            return Ok(());
        }
    };
    let after = taken.split_off(end);
    let Some(request) = RequestHead::parse(&String::from_utf8_lossy(&taken)) else {
        return Ok(());
    };
    let key = request
        .header("Sec-WebSocket-Key")
        .unwrap_or_default()
        .to_owned();
    tell(&|record| record.request = Some(request.clone()));
    match act {
        Act::NeverAccept | Act::Silence => {}
        Act::Answer(bytes) => {
            stream.write_all(&bytes).await?;
            stream.shutdown().await?;
        }
        Act::WrongAccept => stream.write_all(&upgrade("another key", None)).await?,
        Act::WebSocket(talk) => {
            let announcement = talk.announcement.as_deref();
            stream.write_all(&upgrade(&key, announcement)).await?;
            let socket =
                WebSocketStream::from_partially_read(stream, after, Role::Server, None).await;
            converse(socket, talk, says, tell).await;
            return Ok(());
        }
    }
    let mut ignored = [0; 4096];
    loop {
        let bytes = stream.read(&mut ignored).await?;
        if bytes == 0 {
            return Ok(());
        }
        tell(&|record| record.ignored += bytes);
    }
}

fn upgrade(key: &str, announcement: Option<&str>) -> Vec<u8> {
    let accept = derive_accept_key(key.as_bytes());
    let announcement = announcement.map(|value| format!("X-Symbl-Service: {value}\r\n"));
    let announcement = announcement.unwrap_or_default();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{announcement}\r\n"
    )
    .into_bytes()
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: WebSocketStream<S>,
    talk: Conversation,
    mut says: mpsc::UnboundedReceiver<Message>,
    tell: Tell<'_>,
) {
    loop {
        let message = tokio::select! {
            Some(said) = says.recv() => {
                // The client may have hung up, as with replies.
                let _ = socket.send(said).await;
                continue;
            }
            next = socket.next() => match next {
                Some(Ok(message)) => message,
                _ => return,
            },
        };
        let (started, stopped) = match &message {
            Message::Text(text) => (
                is_of_type(text, "start_request"),
                is_of_type(text, "stop_request"),
            ),
            _ => (false, false),
        };
        tell(&|record| record.frames.push(message.clone()));
        let replies = match (started, stopped) {
            (true, _) => talk.at_start.as_slice(),
            (_, true) => talk.at_stop.as_slice(),
            _ => &[],
        };
        for reply in replies {
            // The client may have hung up after an earlier reply. Its last messages are read next.
            if socket.send(reply.clone()).await.is_err() {
                break;
            }
        }
        if started && talk.deaf_after_start {
            while let Some(said) = says.recv().await {
                let _ = socket.send(said).await;
            }
        }
    }
}
