// SPDX-License-Identifier: MPL-2.0

//! A line that can be cut and mended: while it is cut, it holds all bytes in both directions,
//! as a network does that has lost its way. Neither end is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Where a line leads to.
#[derive(Clone)]
pub enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A port of loopback that passes on to another one.
pub struct Valve {
    pub address: SocketAddr,
    is_open: watch::Sender<bool>,
    target: watch::Sender<Target>,
    task: JoinHandle<()>,
}

impl Valve {
    pub async fn to(target: Target) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (is_open, gate) = watch::channel(true);
        let (target, targets) = watch::channel(target);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, gate) = (targets.borrow().clone(), gate.clone());
                tokio::spawn(async move {
                    // Without a server the client's connection ends.
                    match target {
                        Target::Tcp(address) => {
                            if let Ok(server) = TcpStream::connect(address).await {
                                pass(client, server, gate).await;
                            }
                        }
                        Target::Unix(path) => {
                            if let Ok(server) = UnixStream::connect(path).await {
                                pass(client, server, gate).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            is_open,
            target,
            task,
        }
    }

    /// Leads the connections that are made from now on somewhere else.
    pub fn lead_to(&self, target: Target) {
        self.target.send_replace(target);
    }

    pub fn cut(&self) {
        self.is_open.send_replace(false);
    }

    pub fn mend(&self) {
        self.is_open.send_replace(true);
    }
}

impl Drop for Valve {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(client: TcpStream, server: impl AsyncRead + AsyncWrite, gate: watch::Receiver<bool>) {
    let (from_client, to_client) = split(client);
    let (from_server, to_server) = split(server);
    tokio::join!(
        one_way(from_client, to_server, gate.clone()),
        one_way(from_server, to_client, gate),
    );
}

/// Passes bytes on until their source ends, and then ends the other side.
async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut gate: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut bytes).await;
        // The test has ended.
        if gate.wait_for(|is_open| *is_open).await.is_err() {
            return;
        }
        match read {
            Ok(read) if read > 0 && to.write_all(&bytes[..read]).await.is_ok() => {}
            _ => break,
        }
    }
    let _ = to.shutdown().await;
}
