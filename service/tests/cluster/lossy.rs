// SPDX-License-Identifier: MPL-2.0

//! A way to Redis on which every third message that was published is lost.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixStream};

/// The way. It is there until the test ends.
pub struct Lossy {
    pub url: String,
    /// Number of messages that were lost.
    pub lost: Arc<AtomicU64>,
}

impl Lossy {
    pub async fn to(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("redis://{}", listener.local_addr().expect("an address"));
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        tokio::spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                let (socket, lost) = (socket.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    let redis = UnixStream::connect(socket).await?;
                    let (from_node, to_node) = node.into_split();
                    let (from_redis, to_redis) = redis.into_split();
                    tokio::try_join!(
                        pass(from_node, to_redis),
                        thin(BufReader::new(from_redis), to_node, &lost),
                    )
                });
            }
        });
        Self { url, lost }
    }
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    tokio::io::copy(&mut from, &mut to).await?;
    to.shutdown().await
}

/// Passes on what Redis says, without every third message about a conversation.
async fn thin(
    mut from: BufReader<impl AsyncRead + Unpin>,
    mut to: impl AsyncWrite + Unpin,
    lost: &AtomicU64,
) -> io::Result<()> {
    let mut number = 0;
    loop {
        let value = value(&mut from).await?;
        let text = String::from_utf8_lossy(&value);
        if text.contains("\r\nmessage\r\n") && text.contains(":conversation:") {
            number += 1;
            if number % 3 == 0 {
                lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
        }
        to.write_all(&value).await?;
    }
}

/// Reads a value of Redis's protocol, as it is written.
async fn value(from: &mut BufReader<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut left = 1;
    while left > 0 {
        left -= 1;
        let begin = all.len();
        if from.read_until(b'\n', &mut all).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&all[begin..]).into_owned();
        let number = || line[1..].trim_end().parse::<i64>().unwrap_or(0);
        match line.as_bytes()[0] {
            b'*' | b'>' => left += number().max(0),
            b'%' => left += 2 * number().max(0),
            b'$' | b'=' if number() >= 0 => {
                let mut bytes = vec![0; usize::try_from(number()).expect("a size") + 2];
                from.read_exact(&mut bytes).await?;
                all.extend(bytes);
            }
            _ => {}
        }
    }
    Ok(all)
}
