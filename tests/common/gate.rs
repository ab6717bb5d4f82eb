// SPDX-License-Identifier: MPL-2.0

//! A gate in front of a peer or a service. It generates tokens, records the token of every
//! request, and passes on the requests that it does not refuse.
//!
//! ```ignore
//! let gate = Gate::before(&peer.base_url());
//! gate.refuse("token-1");
//! // … a client with credentials, run against gate.base_url() …
//! assert_eq!(gate.shown(), ["token-1", "token-2"]);
//! ```
//!
//! Its tokens are `token-1`, `token-2` and so on. It must never use the client's code, or a
//! mistake there would cancel out.
//!
//! Sources: Symbl API reference, section on authentication.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A request for a token, as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenRequest {
    pub head: String,
    pub body: serde_json::Value,
}

#[derive(Default)]
struct State {
    requests: Vec<TokenRequest>,
    shown: Vec<Option<String>>,
    refused: Vec<String>,
    refuses_all: bool,
    refuses_again: bool,
    /// Lifetime of new tokens, in seconds.
    lifetime: f64,
    answers: VecDeque<(u16, String)>,
    /// Requests for tokens get no answer for now.
    holds: bool,
    over: bool,
    at_refusal: Option<Arc<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }
}

/// A running gate. It stops taking connections when it is dropped.
pub struct Gate {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Gate {
    /// Starts a gate in front of the server at `base_url`.
    pub fn before(base_url: &str) -> Self {
        let behind = base_url.strip_prefix("http://").expect("plain");
        let behind: SocketAddr = behind.parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        shared.lock().lifetime = 86_400.0;
        let own = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if own.lock().over {
                    return;
                }
                let shared = Arc::clone(&own);
                // A client may break off.
                std::thread::spawn(move || attend(client, behind, &shared).ok());
            }
        });
        Self { address, shared }
    }

    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Refuses this token with 401 from now on.
    pub fn refuse(&self, token: &str) {
        self.shared.change(|s| s.refused.push(token.to_owned()));
    }

    /// Refuses all requests from now on.
    pub fn refuse_all(&self) {
        self.shared.change(|s| s.refuses_all = true);
    }

    /// Accepts each token for one request only from now on, as if it expired then.
    pub fn refuse_again(&self) {
        self.shared.change(|s| s.refuses_again = true);
    }

    /// Calls `call` before each 401.
    pub fn at_refusal(&self, call: impl Fn() + Send + Sync + 'static) {
        self.shared.change(|s| s.at_refusal = Some(Arc::new(call)));
    }

    /// Sets the lifetime of the tokens that are generated from now on.
    pub fn lifetime(&self, seconds: f64) {
        self.shared.change(|s| s.lifetime = seconds);
    }

    /// Answers the next request for a token with this status and body.
    pub fn answer(&self, status: u16, body: &str) {
        self.shared
            .change(|s| s.answers.push_back((status, body.to_owned())));
    }

    /// Holds the answers to requests for tokens back, or sends them.
    pub fn hold(&self, holds: bool) {
        self.shared.change(|s| s.holds = holds);
    }

    /// Returns the requests for tokens so far.
    pub fn requests(&self) -> Vec<TokenRequest> {
        self.shared.lock().requests.clone()
    }

    /// Returns the tokens of the other requests so far, `none` for a request without one.
    pub fn shown(&self) -> Vec<String> {
        let shown = self.shared.lock().shown.clone();
        let word = |token: Option<String>| token.unwrap_or_else(|| "none".to_owned());
        shown.into_iter().map(word).collect()
    }

    /// Waits until there were this many requests for tokens and this many others. Returns
    /// `false` if there were not within `bound`.
    pub fn wait_for(&self, requests: usize, shown: usize, bound: Duration) -> bool {
        let until = Instant::now() + bound;
        let mut state = self.shared.lock();
        while state.requests.len() < requests || state.shown.len() < shown {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let woken = self.shared.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shared.change(|s| s.over = true);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn attend(mut client: TcpStream, behind: SocketAddr, shared: &Shared) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let header = |name: &str| {
        text.lines().find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    };
    if text.starts_with("POST") {
        let length = header("Content-Length").and_then(|length| length.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        client.read_exact(&mut body)?;
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let (status, body) = grant(TokenRequest { head: text, body }, shared);
        return answer(&mut client, status, &body);
    }
    let bearer = header("Authorization").and_then(|v| v.strip_prefix("Bearer ").map(str::to_owned));
    let token = header("X-API-KEY").or(bearer);
    let refused = shared.change(|s| {
        let again = s.refuses_again && s.shown.contains(&token);
        s.shown.push(token.clone());
        again || s.refuses_all || token.is_some_and(|token| s.refused.contains(&token))
    });
    if refused {
        let call = shared.lock().at_refusal.clone();
        if let Some(call) = call {
            call();
        }
        return answer(&mut client, 401, r#"{"message":"no such token"}"#);
    }
    let mut server = TcpStream::connect(behind)?;
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    server.write_all(&head)?;
    pass_on(client, server)
}

/// Passes bytes on in both directions until both sides have closed.
pub fn pass_on(mut client: TcpStream, mut server: TcpStream) -> std::io::Result<()> {
    let (mut from, mut to) = (server.try_clone()?, client.try_clone()?);
    let back = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut client, &mut server);
    let _ = server.shutdown(Shutdown::Write);
    let _ = back.join();
    Ok(())
}

fn grant(request: TokenRequest, shared: &Shared) -> (u16, String) {
    let number = shared.change(|s| {
        s.requests.push(request);
        s.requests.len()
    });
    let state = shared.lock();
    let held = shared.changed.wait_while(state, |s| s.holds && !s.over);
    let mut state = held.unwrap_or_else(PoisonError::into_inner);
    let lifetime = state.lifetime;
    state.answers.pop_front().unwrap_or_else(|| {
        let body =
            serde_json::json!({"accessToken": format!("token-{number}"), "expiresIn": lifetime});
        (200, body.to_string())
    })
}

fn answer(client: &mut TcpStream, status: u16, body: &str) -> std::io::Result<()> {
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 {status} Gate\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}
