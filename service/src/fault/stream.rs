// SPDX-License-Identifier: MPL-2.0

//! The bytes of a connection with a fault.
//!
//! [`FaultyStream`] is at the bottom, below TLS, so its faults look like those of a network.
//! [`FragmentedStream`] is above TLS and cuts the frames of a WebSocket.

use super::fragments::Fragmenter;
use super::state::{FaultState, WireState};
use crate::seams::AnyStream;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};

/// How long a connection that ended waits for the client to end it too.
const LINGER: Duration = Duration::from_secs(5);

/// A TCP connection with its fault.
pub(super) struct FaultyStream {
    /// `None` once it is dropped.
    tcp: Option<TcpStream>,
    state: Arc<FaultState>,
    /// Delays the next read.
    pause: Option<Pin<Box<Sleep>>>,
}

impl FaultyStream {
    pub(super) fn new(tcp: TcpStream, state: Arc<FaultState>) -> Self {
        Self {
            tcp: Some(tcp),
            state,
            pause: None,
        }
    }

    fn read_slowly(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        rate: u64,
    ) -> Poll<Result<()>> {
        if rate == 0 {
            return Poll::Pending;
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        // Reads about ten times per second.
        let mut bytes = [0; 4096];
        let most = usize::try_from(rate.div_ceil(10)).unwrap_or(usize::MAX);
        let most = most.min(bytes.len()).min(buf.remaining());
        let mut part = ReadBuf::new(bytes.get_mut(..most).unwrap_or_default());
        ready!(poll_tcp(&mut self.tcp, |tcp| tcp.poll_read(cx, &mut part)))?;
        let taken = part.filled();
        if !taken.is_empty() {
            let pause = Duration::from_secs_f64(taken.len() as f64 / rate as f64);
            self.pause = Some(Box::pin(sleep(pause)));
        }
        buf.put_slice(taken);
        Poll::Ready(Ok(()))
    }

    /// Returns what the fault makes of a write; `None` if the write may go to the
    /// connection.
    fn written(&self, cx: &Context<'_>) -> Option<Poll<Error>> {
        self.state.writer.register(cx.waker());
        match self.state.wire() {
            WireState::Sound | WireState::Slow(_) => None,
            WireState::Frozen => Some(Poll::Pending),
            WireState::Reset | WireState::Fin => Some(Poll::Ready(ErrorKind::BrokenPipe.into())),
        }
    }
}

fn poll_tcp<T>(
    tcp: &mut Option<TcpStream>,
    poll: impl FnOnce(Pin<&mut TcpStream>) -> Poll<Result<T>>,
) -> Poll<Result<T>> {
    match tcp {
        Some(tcp) => poll(Pin::new(tcp)),
        None => Poll::Ready(Err(ErrorKind::NotConnected.into())),
    }
}

impl AsyncRead for FaultyStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        self.state.reader.register(cx.waker());
        match self.state.wire() {
            WireState::Sound => poll_tcp(&mut self.tcp, |tcp| tcp.poll_read(cx, buf)),
            WireState::Slow(rate) => self.read_slowly(cx, buf, rate),
            WireState::Frozen => Poll::Pending,
            WireState::Reset => Poll::Ready(Err(ErrorKind::ConnectionReset.into())),
            WireState::Fin => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for FaultyStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize>> {
        match self.written(cx) {
            Some(met) => met.map(Err),
            None => poll_tcp(&mut self.tcp, |tcp| tcp.poll_write(cx, buf)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.written(cx) {
            Some(met) => met.map(Err),
            None => poll_tcp(&mut self.tcp, |tcp| tcp.poll_flush(cx)),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.written(cx) {
            Some(met) => met.map(Err),
            None => poll_tcp(&mut self.tcp, |tcp| tcp.poll_shutdown(cx)),
        }
    }
}

impl Drop for FaultyStream {
    fn drop(&mut self) {
        let Some(mut tcp) = self.tcp.take() else {
            return;
        };
        match self.state.wire() {
            WireState::Reset => {
                if let Err(error) = tcp.set_zero_linger() {
                    tracing::warn!(%error, "the connection ends, but not by a reset");
                }
            }
            WireState::Fin => {
                // Closing a socket with unread bytes would reset it.
                let rest = async move {
                    tcp.shutdown().await?;
                    let mut unread = [0; 4096];
                    while tcp.read(&mut unread).await? > 0 {}
                    Result::Ok(())
                };
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(timeout(LINGER, rest));
                }
            }
            WireState::Sound | WireState::Frozen | WireState::Slow(_) => {}
        }
    }
}

/// A connection whose messages are sent in fragments.
pub(super) struct FragmentedStream {
    stream: AnyStream,
    state: Arc<FaultState>,
    fragmenter: Fragmenter,
}

impl FragmentedStream {
    pub(super) fn new(stream: AnyStream, state: Arc<FaultState>) -> Self {
        Self {
            stream,
            state,
            fragmenter: Fragmenter::default(),
        }
    }

    /// Sends the bytes of cut frames that are still waiting.
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Self {
            stream, fragmenter, ..
        } = self;
        while !fragmenter.waiting().is_empty() {
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, fragmenter.waiting()))?;
            fragmenter.wrote(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for FragmentedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for FragmentedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize>> {
        ready!(self.drain(cx))?;
        let struck = self.state.has_struck();
        self.fragmenter.push(buf, struck);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.drain(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.drain(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
