// SPDX-License-Identifier: MPL-2.0

//! A TCP connection that raises no signal in its process.
//!
//! Writing to a connection that the other side has closed raises SIGPIPE, which ends
//! a host that does not ignore it. `send` with `MSG_NOSIGNAL` prevents that, for a
//! single piece of memory. `writev`, which writes several pieces, has no such flag,
//! and TLS and HTTP would use it if they could.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TCP connection without SIGPIPE.
#[derive(Debug)]
pub struct Tcp(TcpStream);

impl From<TcpStream> for Tcp {
    fn from(stream: TcpStream) -> Self {
        Self(stream)
    }
}

impl Tcp {
    pub(super) fn stream(&self) -> &TcpStream {
        &self.0
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

/// Reports that it cannot write several pieces of memory at once, so the default
/// methods write them one by one.
impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::Tcp;
    use std::io::IoSlice;
    use std::net::Ipv4Addr;
    use tokio::io::{AsyncWrite, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn it_writes_one_piece_at_a_time() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
        let mut tcp = Tcp::from(stream.unwrap());
        assert!(!tcp.is_write_vectored());
        let pieces = [IoSlice::new(b"one"), IoSlice::new(b"another")];
        assert_eq!(tcp.write_vectored(&pieces).await.unwrap(), 3);
    }
}
