// SPDX-License-Identifier: MPL-2.0

//! A TCP relay in front of a service, which resets connections, as happens when a network
//! goes away.
//!
//! The place of a cut is counted in bytes from the client and not in time, so that it is
//! the same on every machine. Bytes that are on their way at that moment, in either
//! direction, may be lost or not, as on a real network.

use std::io::Result;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

/// The connections that the relay has seen.
#[derive(Default)]
struct Count {
    /// All connections of clients.
    connections: usize,
    /// How many of them were reset.
    cuts: usize,
}

#[derive(Default)]
struct Shared {
    count: Mutex<Count>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Count)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// A running relay. Dropping it ends its connections and its thread.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Counts up at each [`Relay::cut`].
    cut: watch::Sender<u64>,
    /// Counts up at each [`Relay::hold`].
    hold: watch::Sender<u64>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Starts a relay in front of `target`, `http://host:port`. The first connection is reset
    /// when the client has sent the first of `cuts`, in bytes with its request head, the second
    /// one at the second of `cuts`, and so on. The connections after those live.
    pub fn cutting(target: &str, cuts: Vec<u64>) -> Self {
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
        let shared = Arc::new(Shared::default());
        let (cut, cutter) = watch::channel(0);
        let (hold, holder) = watch::channel(0);
        let (stop, stopped) = oneshot::channel();
        let count = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(&listener, target, cuts, (&cutter, &holder), &count) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            address,
            shared,
            cut,
            hold,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Starts a relay in front of `target` that cuts only at [`Relay::cut`].
    pub fn to(target: &str) -> Self {
        Self::cutting(target, Vec::new())
    }

    /// Returns the value for the property `base-url`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Resets all present connections, and returns when that is done.
    pub fn cut(&self) {
        let connections = self.connections();
        self.cut.send_modify(|times| *times += 1);
        let count = self.shared.lock();
        let (_count, timeout) = self
            .shared
            .changed
            .wait_timeout_while(count, Duration::from_secs(60), |count| {
                count.cuts < connections
            })
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "the relay does not cut");
    }

    /// Resets the connections that are open now, among others that have ended by themselves.
    /// Does not wait for that.
    pub fn reset(&self) {
        self.cut.send_modify(|times| *times += 1);
    }

    /// Stops all traffic on the present connections, in both directions. Both ends stay open.
    pub fn hold(&self) {
        self.hold.send_modify(|times| *times += 1);
    }

    /// Returns how many connections came.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// Returns how many connections were reset.
    pub fn cuts(&self) -> usize {
        self.shared.lock().cuts
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the relay has been printed by its thread.
            let _ = thread.join();
        }
    }
}

async fn accept(
    listener: &TcpListener,
    target: SocketAddr,
    cuts: Vec<u64>,
    (cutter, holder): (&watch::Receiver<u64>, &watch::Receiver<u64>),
    shared: &Arc<Shared>,
) {
    let mut cuts = cuts.into_iter();
    while let Ok((client, _)) = listener.accept().await {
        let limit = cuts.next().unwrap_or(u64::MAX);
        let mut cutter = cutter.clone();
        cutter.mark_unchanged();
        let mut holder = holder.clone();
        holder.mark_unchanged();
        shared.change(|count| count.connections += 1);
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            // A connection that a side closed by itself does not count as a cut.
            if let Ok(true) = relay(client, target, limit, cutter, holder).await {
                shared.change(|count| count.cuts += 1);
            }
        });
    }
}

/// Passes bytes on until a side has closed or the connection is cut. Returns `true` if it
/// was cut.
async fn relay(
    mut client: TcpStream,
    target: SocketAddr,
    limit: u64,
    mut cutter: watch::Receiver<u64>,
    mut holder: watch::Receiver<u64>,
) -> Result<bool> {
    let mut server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let cut = {
        let (from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let mut limited = from_client.take(limit);
        let up = async {
            copy(&mut limited, &mut to_server).await?;
            let cut = limited.limit() == 0;
            if !cut {
                to_server.shutdown().await?;
            }
            Ok::<_, std::io::Error>(cut)
        };
        let down = async {
            copy(&mut from_server, &mut to_client).await?;
            to_client.shutdown().await
        };
        let both = async {
            tokio::pin!(up, down);
            tokio::select! {
                cut = &mut up => {
                    let cut = cut?;
                    if !cut {
                        down.await?;
                    }
                    Ok(cut)
                }
                done = &mut down => {
                    done?;
                    up.await
                }
            }
        };
        tokio::select! {
            cut = both => cut?,
            _ = cutter.changed() => true,
            Ok(()) = holder.changed() => std::future::pending().await,
        }
    };
    if cut {
        // Without lingering, the close is a reset.
        client.set_zero_linger()?;
        server.set_zero_linger()?;
    }
    Ok(cut)
}
