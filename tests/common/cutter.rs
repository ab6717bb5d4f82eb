// SPDX-License-Identifier: MPL-2.0

//! A TCP relay in front of a service. It breaks connections where a test asks for it, in all
//! the ways in which a network, a proxy or a service does.
//!
//! The place of a cut is counted in bytes and not in time, so that it is the same on every
//! machine: in the middle of a frame, of a request head, of an answer. For tests that need
//! only resets there is `relay` of the testkit.

use std::collections::VecDeque;
use std::io::Result;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// The side whose bytes are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Service,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A TCP reset, to both sides.
    Reset,
    /// A TCP FIN without a close frame.
    Fin,
    /// A close frame with this code, or without one, between two frames of the service.
    Close(Option<u16>),
    /// The relay reads, writes and closes nothing any more.
    HalfOpen,
}

/// How a connection after a cut is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is reset at once.
    Reset,
    /// Its request is answered with this status.
    Http(u16),
    /// Its request is never answered.
    Silence,
    /// It is reset after this many bytes of the client.
    After(u64),
}

/// A cut that is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    pub side: Side,
    /// The cut comes after this many more bytes of that side, on any connection.
    pub after: u64,
    pub fault: Fault,
    /// The refusals of the connections that follow, in this order.
    pub refusals: Vec<Refusal>,
}

#[derive(Default)]
struct State {
    /// The cuts that are to come, one after the other.
    armed: VecDeque<Cut>,
    refusals: VecDeque<Refusal>,
    /// All connections are refused.
    down: bool,
    cuts: usize,
    refused: usize,
    connections: usize,
}

impl State {
    /// Counts `count` bytes of `side`. Returns how many of them are still passed on, and the
    /// fault after them, if there is one.
    fn said(&mut self, side: Side, count: usize) -> (usize, Option<Fault>) {
        let Some(next) = self.armed.front_mut().filter(|cut| cut.side == side) else {
            return (count, None);
        };
        if next.after >= count as u64 {
            next.after -= count as u64;
            return (count, None);
        }
        let cut = self.armed.pop_front().expect("it is the front");
        self.cuts += 1;
        self.refusals.extend(&cut.refusals);
        (cut.after as usize, Some(cut.fault))
    }

    /// Counts a connection. Returns its refusal, if it is refused.
    fn comes(&mut self) -> Option<Refusal> {
        self.connections += 1;
        let refusal = match self.refusals.pop_front() {
            None if self.down => [Refusal::Reset, Refusal::Http(503)].get(self.refused % 2),
            first => return first.inspect(|_| self.refused += 1),
        };
        self.refused += 1;
        refusal.copied()
    }
}

type Shared = Arc<Mutex<State>>;

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running relay. Dropping it ends its connections and its thread.
pub struct Cutter {
    address: SocketAddr,
    shared: Shared,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Cutter {
    /// Starts a relay in front of `target`, `http://host:port`, without any cut.
    pub fn to(target: &str) -> Self {
        let target: SocketAddr = target
            .trim_start_matches("http://")
            .parse()
            .expect("an address");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Shared::default();
        let (stop, stopped) = oneshot::channel();
        let state = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(&listener, target, &state) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            address,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Returns the value for the property `base-url`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds a cut behind those that are still to come.
    pub fn arm(&self, cut: Cut) {
        lock(&self.shared).armed.push_back(cut);
    }

    /// Refuses all connections from now on, or no longer.
    pub fn down(&self, down: bool) {
        lock(&self.shared).down = down;
    }

    /// Returns how many cuts there were.
    pub fn cuts(&self) -> usize {
        lock(&self.shared).cuts
    }

    /// Returns how many connections were refused.
    pub fn refused(&self) -> usize {
        lock(&self.shared).refused
    }

    /// Returns how many connections came.
    pub fn connections(&self) -> usize {
        lock(&self.shared).connections
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the relay has been printed by its thread.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: &TcpListener, target: SocketAddr, shared: &Shared) {
    while let Ok((client, _)) = listener.accept().await {
        let refusal = lock(shared).comes();
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            // A connection that a side closed by itself does not count as a cut.
            let _ = match refusal {
                Some(Refusal::After(bytes)) => relay(client, target, &shared, bytes).await,
                Some(refusal) => refuse(client, refusal).await,
                None => relay(client, target, &shared, u64::MAX).await,
            };
        });
    }
}

async fn refuse(mut client: TcpStream, refusal: Refusal) -> Result<()> {
    if refusal == Refusal::Reset {
        return client.set_zero_linger();
    }
    let mut taken = Vec::new();
    while !taken.ends_with(b"\r\n\r\n") {
        if client.read_buf(&mut taken).await? == 0 {
            return Ok(());
        }
    }
    match refusal {
        Refusal::Http(status) => {
            let answer = format!("HTTP/1.1 {status} Refused\r\nContent-Length: 0\r\n\r\n");
            client.write_all(answer.as_bytes()).await?;
            half_close(client).await
        }
        _ => std::future::pending().await,
    }
}

/// Sends a FIN, and waits for the client's.
async fn half_close(mut client: TcpStream) -> Result<()> {
    client.shutdown().await?;
    copy(&mut client, &mut tokio::io::sink()).await.map(drop)
}

/// Passes bytes on until a side has closed or a fault is due.
async fn relay(
    mut client: TcpStream,
    target: SocketAddr,
    shared: &Shared,
    mut left: u64,
) -> Result<()> {
    let mut server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut up, mut down) = ([0; 16 * 1024], [0; 16 * 1024]);
    let mut frames = Frames::default();
    let fault = loop {
        tokio::select! {
            count = client.read(&mut up) => {
                let count = count?;
                if count == 0 {
                    server.shutdown().await?;
                    return copy(&mut server, &mut client).await.map(drop);
                }
                let (mut count, mut fault) = lock(shared).said(Side::Client, count);
                if left < count as u64 {
                    (count, fault) = (left as usize, Some(Fault::Reset));
                }
                left -= count as u64;
                server.write_all(&up[..count]).await?;
                if let Some(fault) = fault {
                    break fault;
                }
            }
            count = server.read(&mut down) => {
                let count = count?;
                if count == 0 {
                    client.shutdown().await?;
                    return copy(&mut client, &mut server).await.map(drop);
                }
                let (count, fault) = lock(shared).said(Side::Service, count);
                client.write_all(&down[..count]).await?;
                frames.pass(&down[..count]);
                if let Some(fault) = fault {
                    break fault;
                }
            }
        }
    };
    match fault {
        Fault::Close(code) if frames.begun() => {
            while !frames.at_boundary() {
                let count = server.read(&mut down).await?;
                let count = frames.finish(&down[..count]);
                client.write_all(&down[..count]).await?;
            }
            client.write_all(&close_frame(code)).await?;
            drop(server);
            half_close(client).await
        }
        Fault::Fin => {
            drop(server);
            half_close(client).await
        }
        Fault::HalfOpen => std::future::pending().await,
        // Before the upgrade is complete there can be no close frame.
        Fault::Reset | Fault::Close(_) => {
            client.set_zero_linger()?;
            server.set_zero_linger()
        }
    }
}

fn close_frame(code: Option<u16>) -> Vec<u8> {
    match code {
        Some(code) => [[0x88, 2], code.to_be_bytes()].concat(),
        None => vec![0x88, 0],
    }
}

/// The place in a service's bytes: in the answer to the upgrade, or in a frame.
#[derive(Default)]
struct Frames {
    /// The part of the answer's head, or of the frame's header, that has come.
    head: Vec<u8>,
    /// The answer is complete.
    upgraded: bool,
    /// Bytes of the frame's payload that are still to come.
    payload: u64,
}

impl Frames {
    fn begun(&self) -> bool {
        self.upgraded
    }

    fn at_boundary(&self) -> bool {
        self.upgraded && self.head.is_empty() && self.payload == 0
    }

    fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.take(*byte);
        }
    }

    /// Returns how many of `bytes` belong to the frame that has begun.
    fn finish(&mut self, bytes: &[u8]) -> usize {
        let rest = bytes.iter().take_while(|byte| {
            let open = !self.at_boundary();
            if open {
                self.take(**byte);
            }
            open
        });
        rest.count()
    }

    fn take(&mut self, byte: u8) {
        if self.payload > 0 {
            self.payload -= 1;
            return;
        }
        self.head.push(byte);
        if !self.upgraded {
            self.upgraded = self.head.ends_with(b"\r\n\r\n");
            if self.upgraded {
                self.head.clear();
            }
            return;
        }
        // A service does not mask.
        let length = match *self.head {
            [_, length @ ..=125] => u64::from(length),
            [_, 126, high, low] => u64::from(u16::from_be_bytes([high, low])),
            [_, 127, a, b, c, d, e, f, g, h] => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            _ => return,
        };
        self.head.clear();
        self.payload = length;
    }
}
