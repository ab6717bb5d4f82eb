// SPDX-License-Identifier: MPL-2.0

//! A proxy for HTTP CONNECT that follows a script.
//!
//! It connects to the one service behind it, whatever host a client asks for. So a test can
//! give the service a name that is not the loopback's: the client uses no proxy for the
//! loopback. The proxy must never use the client's code, or a mistake there would cancel
//! out.
//!
//! Sources: RFC 9110, section 9.3.6.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the proxy does with one connection.
#[derive(Debug, Clone)]
pub enum Act {
    /// Passes bytes on.
    Pass,
    /// Answers with a status and a body.
    Refuse(u16, String),
    /// Never answers.
    Ignore,
}

#[derive(Default)]
struct Shared {
    heads: Mutex<Vec<String>>,
    acts: Mutex<VecDeque<Act>>,
}

/// A running proxy. Its thread ends with the tests.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Starts a proxy in front of `service` (`scheme://host:port`). It takes one of `acts` for
    /// each connection, and passes bytes on after the last of them.
    pub fn start(service: &str, acts: impl IntoIterator<Item = Act>) -> Self {
        let (_, service) = service.split_once("://").expect("a scheme");
        let service = service.parse().expect("an address");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        held(&shared.acts).extend(acts);
        let all = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&all);
                std::thread::spawn(move || attend(client, service, &shared));
            }
        });
        Self { address, shared }
    }

    /// Returns the value for the property `proxy`. `credentials` are empty or end with an `@`.
    pub fn url(&self, credentials: &str) -> String {
        format!("http://{credentials}{}", self.address)
    }

    /// Returns the heads of the requests so far.
    pub fn heads(&self) -> Vec<String> {
        held(&self.shared.heads).clone()
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn attend(mut client: TcpStream, service: SocketAddr, shared: &Shared) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    held(&shared.heads).push(String::from_utf8_lossy(&head).into_owned());
    let act = held(&shared.acts).pop_front().unwrap_or(Act::Pass);
    match act {
        Act::Ignore => {
            std::io::copy(&mut client, &mut std::io::sink())?;
        }
        Act::Refuse(status, body) => {
            let length = body.len();
            write!(
                client,
                "HTTP/1.1 {status} Scripted\r\nContent-Length: {length}\r\n\
                 Proxy-Authenticate: Basic realm=\"test\"\r\n\r\n{body}"
            )?;
        }
        Act::Pass => {
            let server = TcpStream::connect(service)?;
            server.set_nodelay(true)?;
            client.set_nodelay(true)?;
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
            super::gate::pass_on(client, server)?;
        }
    }
    Ok(())
}
