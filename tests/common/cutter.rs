// SPDX-License-Identifier: MPL-2.0

//! A TCP relay in front of a service that breaks connections in all the ways in
//! which a network, a proxy or a service does, where it is told to.
//!
//! Where is counted in bytes and not in time, and so is the same place on
//! every machine: in the middle of a frame, of a request head, of an answer.
//! For nothing but resets there is `relay` of the testkit.

use std::collections::VecDeque;
use std::io::Result;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Who says the bytes that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Service,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A TCP reset, to both.
    Reset,
    /// A TCP FIN without a close frame.
    Fin,
    /// A close frame with this code, or without one, between two frames of the service.
    Close(Option<u16>),
    /// Nothing is read, written or closed any more.
    HalfOpen,
}

/// What becomes of a connection that comes after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is reset as soon as it is there.
    Reset,
    /// Its request is answered with this status.
    Http(u16),
    /// Its request is never answered.
    Silence,
    /// It is reset after so many bytes of the client.
    After(u64),
}

/// An end of a connection that is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    pub side: Side,
    /// After so many more bytes of that side, on whatever connection.
    pub after: u64,
    pub fault: Fault,
    /// For the connections that follow, in this order.
    pub refusals: Vec<Refusal>,
}

#[derive(Default)]
struct State {
    /// Cuts that are to come, one after the other.
    armed: VecDeque<Cut>,
    refusals: VecDeque<Refusal>,
    /// Everybody is refused.
    down: bool,
    cuts: usize,
    refused: usize,
    connections: usize,
}

impl State {
    /// `side` said `count` bytes: how many are still to go on, and what happens
    /// then, if something does.
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

    /// A connection came: whether it is refused.
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
    /// In front of `target`, `http://host:port`. Does no harm until told to.
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

    /// As the property `base-url` takes it.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts, after the cuts that are still to come.
    pub fn arm(&self, cut: Cut) {
        lock(&self.shared).armed.push_back(cut);
    }

    /// Whether everybody is refused from now on.
    pub fn down(&self, down: bool) {
        lock(&self.shared).down = down;
    }

    /// How many cuts there were.
    pub fn cuts(&self) -> usize {
        lock(&self.shared).cuts
    }

    /// How many connections were refused.
    pub fn refused(&self) -> usize {
        lock(&self.shared).refused
    }

    /// How many connections came.
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
            // A side that went away by itself is no cut.
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

/// Says that nothing more comes, and waits for the same.
async fn half_close(mut client: TcpStream) -> Result<()> {
    client.shutdown().await?;
    copy(&mut client, &mut tokio::io::sink()).await.map(drop)
}

/// Passes bytes on until a side is through or it is time for a fault.
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
        // There is no close frame before the upgrade is through.
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

/// Where a service's bytes stand: in the answer to the upgrade, or in a frame.
#[derive(Default)]
struct Frames {
    /// Of the answer's head or the frame's header, what has come.
    head: Vec<u8>,
    /// Whether the answer is through.
    upgraded: bool,
    /// Payload of the frame that is still to come.
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

    /// How many of `bytes` belong to the frame that has begun.
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
