// SPDX-License-Identifier: MPL-2.0

//! The neutral server: the same for all subjects, and as cheap as possible.
//!
//! It speaks as much of each service's protocol as a client needs. It recognises
//! nothing, and records what came: bytes and their CRC, the numbers of stamped
//! buffers, and when they came.
//!
//! It runs in a process of its own. The commands on its standard input are: `cut`
//! (reset every connection and every dial), `heal`, `settled` (count latencies from
//! now on) and `take` (return the record so far and begin a new one).

use super::Problem;
use super::child;
use super::clock::{self, Spread, Stamp};
use super::dialect::{Answer, Dialect};
use futures_util::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{MissedTickBehavior, interval};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

pub const ROLE: &str = "server";

/// The behaviour of the server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manner {
    /// The address to listen on.
    pub host: IpAddr,
    /// Bytes in a buffer with a stamp at its end; 0 if audio has no stamps.
    pub unit: usize,
    /// Results per second. The last one of each second is final.
    pub results: u32,
    /// Every result is final.
    pub all_final: bool,
    /// Read nothing once a client has started.
    pub deaf: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            host: Ipv4Addr::LOCALHOST.into(),
            unit: 0,
            results: 0,
            all_final: false,
            deaf: false,
        }
    }
}

/// The addresses that the server listens on.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Address {
    pub host: IpAddr,
    /// Port for WebSockets.
    pub web: u16,
    /// Port for bytes without any framing.
    pub plain: u16,
}

/// Everything that came.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Books {
    /// What came by protocol: the key is the name of a dialect.
    pub heard: BTreeMap<String, Heard>,
    /// When each dial came, on the common clock.
    pub dials: Vec<u64>,
}

/// What came in one protocol.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Heard {
    pub connections: usize,
    pub bytes: u64,
    pub frames: u64,
    /// CRC of all bytes in order. Meaningful only if there was one connection.
    pub crc: u32,
    /// Number of stamped buffers. Each counts once per stream.
    pub buffers: u64,
    /// Number of buffers that came again.
    pub again: u64,
    /// Number of frames that did not end with a buffer.
    pub ragged: u64,
    /// Delay from a buffer's stamp to the arrival of the frame that it ends.
    pub latency: Spread,
}

#[derive(Default)]
struct Record {
    heard: Heard,
    crc: crc32fast::Hasher,
    waits: Vec<u64>,
    /// The buffers that came, by the path that names a stream.
    streams: BTreeMap<String, Vec<bool>>,
}

#[derive(Default)]
struct Shared {
    records: BTreeMap<&'static str, Record>,
    dials: Vec<u64>,
}

impl Shared {
    fn settled(&mut self) {
        for record in self.records.values_mut() {
            record.waits.clear();
        }
    }

    fn take(&mut self) -> Books {
        let taken = std::mem::take(self);
        let heard = taken.records.into_iter().map(|(name, mut record)| {
            record.heard.crc = record.crc.finalize();
            record.heard.latency = Spread::of(&mut record.waits);
            (name.to_owned(), record.heard)
        });
        Books {
            heard: heard.collect(),
            dials: taken.dials,
        }
    }

    fn frame(&mut self, name: &'static str, stream: &str, unit: usize, audio: &[u8]) {
        let at = clock::now();
        let record = self.records.entry(name).or_default();
        record.heard.bytes += audio.len() as u64;
        record.heard.frames += 1;
        if unit == 0 {
            return record.crc.update(audio);
        }
        if !audio.len().is_multiple_of(unit) {
            record.heard.ragged += 1;
        }
        if !record.streams.contains_key(stream) {
            record.streams.insert(stream.to_owned(), Vec::new());
        }
        let Some(buffers) = record.streams.get_mut(stream) else {
            return;
        };
        for stamp in audio.chunks(unit).filter_map(Stamp::read) {
            let number = stamp.number as usize;
            if buffers.len() <= number {
                buffers.resize(number + 1, false);
            }
            if let Some(came) = buffers.get_mut(number) {
                match std::mem::replace(came, true) {
                    true => record.heard.again += 1,
                    false => record.heard.buffers += 1,
                }
            }
        }
        if let Some(last) = Stamp::read(audio) {
            record.waits.push(at.saturating_sub(last.at));
        }
    }
}

type Kept = Rc<RefCell<Shared>>;

pub fn play(manner: Manner) -> Result<(), Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, serve(manner))
}

async fn serve(manner: Manner) -> Result<(), Problem> {
    let web = listen(manner.host)?;
    let plain = listen(manner.host)?;
    child::say(&Address {
        host: manner.host,
        web: web.local_addr()?.port(),
        plain: plain.local_addr()?.port(),
    })?;
    let (told, mut tells) = mpsc::unbounded_channel();
    child::listen(move |line| {
        // Fails at the end, when the receiver is gone.
        let _ = told.send(line);
    });
    let (refuse, refusing) = watch::channel(false);
    let shared = Kept::default();
    loop {
        tokio::select! {
            line = tells.recv() => match line.flatten().as_deref() {
                Some("cut") => drop(refuse.send(true)),
                Some("heal") => drop(refuse.send(false)),
                Some("settled") => shared.borrow_mut().settled(),
                Some("take") => child::say(&shared.borrow_mut().take())?,
                Some(other) => return Err(format!("the server cannot {other}").into()),
                None => return Ok(()),
            },
            Ok((tcp, _)) = web.accept() => {
                shared.borrow_mut().dials.push(clock::now());
                if *refusing.borrow() {
                    tcp.set_zero_linger()?;
                    continue;
                }
                tcp.set_nodelay(true)?;
                let (shared, manner, mut refusing) = (Rc::clone(&shared), manner.clone(), refusing.clone());
                spawn_local(async move {
                    let mut tcp = Some(tcp);
                    let mut socket = None;
                    tokio::select! {
                        // A client that closes its connection is not an error.
                        _ = converse(&mut tcp, &mut socket, &shared, &manner) => {}
                        _ = refusing.wait_for(|refuse| *refuse) => {
                            let tcp = tcp.as_ref().or(socket.as_ref().map(WebSocketStream::get_ref));
                            if let Some(tcp) = tcp {
                                let _ = tcp.set_zero_linger();
                            }
                        }
                    }
                });
            }
            Ok((tcp, _)) = plain.accept() => {
                let shared = Rc::clone(&shared);
                let deaf = manner.deaf;
                spawn_local(async move { swallow(tcp, &shared, deaf).await });
            }
        }
    }
}

fn listen(host: IpAddr) -> Result<TcpListener, Problem> {
    let socket = match host {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind((host, 0).into())?;
    Ok(socket.listen(1024)?)
}

async fn swallow(mut tcp: TcpStream, shared: &Kept, deaf: bool) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(length) = tcp.read(&mut bytes).await {
        if deaf {
            return std::future::pending().await;
        }
        match bytes.get(..length) {
            None | Some([]) => return,
            Some(bytes) => shared.borrow_mut().frame("tcpclientsink", "", 0, bytes),
        }
    }
}

async fn converse(
    tcp: &mut Option<TcpStream>,
    kept: &mut Option<WebSocketStream<TcpStream>>,
    shared: &Kept,
    manner: &Manner,
) -> Result<(), Problem> {
    let Some(stream) = tcp.take() else {
        return Ok(());
    };
    let mut path = String::new();
    #[allow(clippy::result_large_err)] // the signature is the crate's
    let note = |request: &Request, mut response: Response| {
        path = request.uri().path().to_owned();
        let headers = response.headers_mut();
        headers.extend(Dialect::of(&path).header());
        Ok(response)
    };
    let socket = kept.insert(tokio_tungstenite::accept_hdr_async(stream, note).await?);
    let dialect = Dialect::of(&path);
    let name = dialect.name();
    shared
        .borrow_mut()
        .records
        .entry(name)
        .or_default()
        .heard
        .connections += 1;
    let mut tick = interval(Duration::from_secs(1) / manner.results.max(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticks = 0;
    let mut bytes = 0;
    let mut frames = 0;
    let mut started = dialect.starts_by_itself();
    if started && manner.deaf {
        std::future::pending::<()>().await;
    }
    loop {
        let message = tokio::select! {
            message = socket.next() => message.ok_or("it has gone")??,
            _ = tick.tick(), if started && manner.results > 0 => {
                ticks += 1;
                let is_final = manner.all_final || ticks % manner.results == 0;
                socket.send(dialect.result(bytes, is_final)).await?;
                continue;
            }
        };
        match message {
            Message::Binary(audio) if !audio.is_empty() => {
                frames += 1;
                bytes += audio.len();
                shared.borrow_mut().frame(name, &path, manner.unit, &audio);
                if let Some(answer) = dialect.heard(frames) {
                    socket.send(answer).await?;
                }
            }
            Message::Binary(_) | Message::Text(_) => {
                let text = message.to_text().unwrap_or_default();
                match dialect.answer(text, frames) {
                    Answer::Nothing => {}
                    Answer::Started(says) => {
                        started = true;
                        send(socket, says).await?;
                        if manner.deaf {
                            std::future::pending::<()>().await;
                        }
                    }
                    Answer::Ended(says) => {
                        started = false;
                        send(socket, says).await?;
                    }
                }
            }
            _ => {}
        }
    }
}

async fn send(socket: &mut WebSocketStream<TcpStream>, says: Vec<Message>) -> Result<(), Problem> {
    for message in says {
        socket.send(message).await?;
    }
    Ok(())
}

/// Starts a server in a process of its own.
pub fn start(manner: &Manner) -> Result<(child::Child, Address), Problem> {
    let mut server = child::Child::start(ROLE, manner)?;
    let address = server.answer(child::SOON)?;
    Ok((server, address))
}

impl Books {
    /// Returns what came from this subject.
    pub fn of(&self, subject: &str) -> Result<&Heard, Problem> {
        let heard = self.heard.get(subject);
        heard.ok_or_else(|| format!("the server heard nothing of {subject}").into())
    }
}
