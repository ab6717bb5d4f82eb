// SPDX-License-Identifier: MPL-2.0

//! The open sockets, so that a service which is about to end can close each at its time.
//!
//! A socket enters when it is served and leaves when it is closed. `drain` decides when it is
//! asked to close; its task waits for that with [`OpenSocket::asked`].

use super::drain::{Kind, Open};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// `true` while all that was said in a stream is final.
pub(crate) type Rest = Arc<AtomicBool>;

/// All open sockets, and whether the service is about to end.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    open: Mutex<BTreeMap<u64, Arc<Entry>>>,
    next: AtomicU64,
    is_draining: AtomicBool,
    refuses: AtomicBool,
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    /// Of its last stream. Without a stream it rests.
    rest: Mutex<Option<Rest>>,
    ask: Notify,
}

/// A socket that is open until this is dropped.
#[derive(Debug)]
pub(crate) struct OpenSocket {
    sockets: Arc<Sockets>,
    id: u64,
    entry: Arc<Entry>,
}

impl Sockets {
    /// Adds a socket.
    pub(crate) fn enter(self: &Arc<Self>, kind: Kind) -> OpenSocket {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let entry = Arc::new(Entry {
            kind,
            rest: Mutex::default(),
            ask: Notify::new(),
        });
        self.map().insert(id, Arc::clone(&entry));
        OpenSocket {
            sockets: Arc::clone(self),
            id,
            entry,
        }
    }

    fn map(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Entry>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of open sockets.
    pub(crate) fn count(&self) -> usize {
        self.map().len()
    }

    /// Returns all open sockets, the oldest first.
    pub(crate) fn open(&self) -> Vec<Open> {
        let map = self.map();
        let open = map.iter().map(|(id, entry)| Open {
            id: *id,
            kind: entry.kind,
            rests: entry.rests(),
        });
        open.collect()
    }

    /// Asks a socket to close.
    pub(crate) fn ask(&self, id: u64) {
        if let Some(entry) = self.map().get(&id) {
            entry.ask.notify_one();
        }
    }

    /// Records that the service is about to end: it begins no work that can wait.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    /// Returns `true` if the service is about to end.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// Records that no more sockets are wanted.
    pub(crate) fn refuse(&self) {
        self.refuses.store(true, Ordering::Release);
    }

    /// Returns `true` if no more sockets are wanted.
    pub(crate) fn refuses(&self) -> bool {
        self.refuses.load(Ordering::Acquire)
    }
}

impl Entry {
    fn rests(&self) -> bool {
        let rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = rest.as_ref();
        rest.is_none_or(|rest| rest.load(Ordering::Acquire))
    }
}

impl OpenSocket {
    /// Lets the socket rest when its stream does.
    pub(crate) fn follow(&self, rest: Rest) {
        let entry = &self.entry;
        *entry.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(rest);
    }

    /// Waits until the socket is asked to close.
    pub(crate) async fn asked(&self) {
        self.entry.ask.notified().await;
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.sockets.map().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn a_socket_rests_as_its_stream_does_and_is_gone_when_dropped() {
        let sockets = Arc::new(Sockets::default());
        let socket = sockets.enter(Kind::Speaker);
        let other = sockets.enter(Kind::Listener);
        let rests = || -> Vec<bool> { sockets.open().iter().map(|open| open.rests).collect() };
        assert_eq!(rests(), [true, true]);
        let rest = Rest::default();
        socket.follow(Arc::clone(&rest));
        assert_eq!(rests(), [false, true]);
        rest.store(true, Ordering::Release);
        assert_eq!(rests(), [true, true]);
        let ids: Vec<u64> = sockets.open().iter().map(|open| open.id).collect();
        drop(socket);
        assert_eq!((rests().len(), sockets.count()), (1, 1));
        // One that is gone is asked in vain, and the other one is not asked.
        sockets.ask(ids[0]);
        assert!(other.asked().now_or_never().is_none());
        sockets.ask(ids[1]);
        assert!(other.asked().now_or_never().is_some());
    }
}
