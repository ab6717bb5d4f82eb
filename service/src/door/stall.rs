// SPDX-License-Identifier: MPL-2.0

//! Ends a connection whose client takes no more bytes, where the library that writes to it
//! would wait for ever.
//!
//! The library behind `door/socketio` waits for a write without a bound, and holds its
//! socket meanwhile. So the stream below it fails a write that takes too long. The library
//! ignores that and keeps what it could not write, so reads fail from then on, too: that ends
//! the connection. Connections without a limit are passed through.
//!
//! A connection with a limit can also be cut, so that its client comes back: the library has
//! no call that ends one connection without telling the client to stay away.

use crate::seams::AnyStream;
use futures_util::task::AtomicWaker;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long a write on a connection may wait for the client.
#[derive(Debug, Clone, Default)]
pub(crate) struct WriteLimit(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Zero stands for no limit.
    milliseconds: AtomicU64,
    is_cut: AtomicBool,
    /// The task that reads.
    reader: AtomicWaker,
}

/// A connection that may have ended.
#[derive(Debug)]
pub(crate) struct WeakLimit(Weak<Inner>);

impl WeakLimit {
    /// Returns the limit, unless the connection has ended.
    pub(crate) fn get(&self) -> Option<WriteLimit> {
        self.0.upgrade().map(WriteLimit)
    }
}

impl WriteLimit {
    pub(crate) fn weak(&self) -> WeakLimit {
        WeakLimit(Arc::downgrade(&self.0))
    }

    #[cfg(test)]
    pub(crate) fn is_cut(&self) -> bool {
        self.0.is_cut.load(Ordering::Acquire)
    }

    /// Sets the limit.
    pub(crate) fn set(&self, limit: Duration) {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self.0.milliseconds.store(limit, Ordering::Relaxed);
    }

    /// Ends a connection that has a limit.
    pub(crate) fn cut(&self) {
        self.0.is_cut.store(true, Ordering::Release);
        self.0.reader.wake();
    }

    /// Returns `true` if the connection is cut. Otherwise the task is woken when it is.
    fn poll_cut(&self, cx: &mut Context<'_>) -> bool {
        self.0.reader.register(cx.waker());
        self.0.is_cut.load(Ordering::Acquire)
    }

    fn get(&self) -> Option<Duration> {
        let limit = self.0.milliseconds.load(Ordering::Relaxed);
        (limit > 0).then(|| Duration::from_millis(limit))
    }
}

/// A stream with such a limit.
pub(crate) struct Limited {
    stream: AnyStream,
    limit: WriteLimit,
    /// Runs while a write waits.
    waits: Option<Pin<Box<Sleep>>>,
    /// `true` once a write has waited for too long.
    is_stalled: bool,
}

impl Limited {
    pub(crate) fn new(stream: AnyStream, limit: WriteLimit) -> Self {
        Self {
            stream,
            limit,
            waits: None,
            is_stalled: false,
        }
    }

    /// Returns what a write returned, or an error if writes wait for too long.
    fn within<T>(&mut self, write: Poll<Result<T>>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        if self.is_stalled {
            return Poll::Ready(Err(stalled()));
        }
        if write.is_ready() {
            self.waits = None;
            return write;
        }
        let Some(limit) = self.limit.get() else {
            return Poll::Pending;
        };
        let waits = self.waits.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(waits.as_mut().poll(cx));
        self.is_stalled = true;
        Poll::Ready(Err(stalled()))
    }
}

fn stalled() -> Error {
    Error::new(ErrorKind::TimedOut, "the client takes no more bytes")
}

impl AsyncRead for Limited {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        if self.is_stalled {
            return Poll::Ready(Err(stalled()));
        }
        if self.limit.get().is_some() && self.limit.poll_cut(cx) {
            return Poll::Ready(Err(ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Limited {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.within(write, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.within(write, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let flush = Pin::new(&mut self.stream).poll_flush(cx);
        self.within(flush, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let shutdown = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.within(shutdown, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test(start_paused = true)]
    async fn a_write_fails_when_the_other_end_takes_nothing_for_too_long() {
        let (ours, mut theirs) = duplex(16);
        let limit = WriteLimit::default();
        limit.set(Duration::from_secs(15));
        let mut stream = Limited::new(Box::new(ours), limit);
        let begun = tokio::time::Instant::now();
        let written = stream.write_all(&[0; 17]).await;
        assert_eq!(
            written.map_err(|error| error.kind()),
            Err(ErrorKind::TimedOut)
        );
        assert_eq!(begun.elapsed().as_secs(), 15);
        // Though the client goes on sending, nothing more is read from it.
        theirs.write_all(b"more").await.expect("room");
        let read = stream.read(&mut [0; 4]).await;
        assert_eq!(read.map_err(|error| error.kind()), Err(ErrorKind::TimedOut));
        let written = stream.write(b"x").await;
        assert_eq!(
            written.map_err(|error| error.kind()),
            Err(ErrorKind::TimedOut)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn writes_that_are_taken_in_time_do_not_fail_however_many_there_are() {
        let (ours, mut theirs) = duplex(16);
        let limit = WriteLimit::default();
        limit.set(Duration::from_secs(15));
        let mut stream = Limited::new(Box::new(ours), limit);
        let mut all = [0; 16];
        stream.write_all(&all).await.expect("room");
        // One that is taken in time does not fail, however long all of them take.
        theirs.read_exact(&mut all).await.expect("bytes");
        let reader = tokio::spawn(async move {
            for _ in 0..10 {
                sleep(Duration::from_secs(10)).await;
                theirs.read_exact(&mut all).await.expect("bytes");
            }
        });
        stream.write_all(&[0; 160]).await.expect("taken");
        reader.await.expect("read");
    }

    #[tokio::test]
    async fn a_connection_that_is_cut_is_read_no_more() {
        let (ours, mut theirs) = duplex(16);
        let limit = WriteLimit::default();
        limit.set(Duration::from_secs(15));
        let mut stream = Limited::new(Box::new(ours), limit.clone());
        theirs.write_all(b"x").await.expect("room");
        assert_eq!(stream.read(&mut [0; 4]).await.ok(), Some(1));
        let reader = tokio::spawn(async move { stream.read(&mut [0; 4]).await });
        tokio::task::yield_now().await;
        limit.cut();
        let read = reader.await.expect("no panic");
        assert_eq!(
            read.map_err(|error| error.kind()),
            Err(ErrorKind::ConnectionAborted)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_a_write_waits() {
        let (ours, _theirs) = duplex(16);
        let mut stream = Limited::new(Box::new(ours), WriteLimit::default());
        let write = stream.write_all(&[0; 17]);
        let waited = tokio::time::timeout(Duration::from_secs(86_400), write).await;
        assert!(waited.is_err(), "{waited:?}");
    }
}
