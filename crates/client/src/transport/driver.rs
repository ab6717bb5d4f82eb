// SPDX-License-Identifier: MPL-2.0

//! The task between a session and its socket.
//!
//! There is one task per sink, on the shared runtime. It takes outputs from the
//! session and carries them out, gives the session what comes from the socket, and
//! sleeps until the session's next deadline. While it has nothing to do, a streaming
//! thread may send frames in its place: see `connection`.

use super::api;
use super::application;
use super::connect::{self, Opened};
use super::connection::{Host, Shared, Sleep, SocketAndTimer};
use super::credentials::Credentials;
use super::endpoint::{Endpoint, TokenSource};
use super::link::{self, Link, Step};
use super::secret::Secret;
use super::threads::{Undone, no_thread};
use crate::session::{Event, EventKind, Failure, Input, Output, Reason, Time};
use futures_util::FutureExt;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use symbl_protocol::response;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Maximum time for the last frames when the sink is stopped.
const FAREWELL_BOUND: Duration = Duration::from_millis(150);
/// Size in bytes above which a message takes milliseconds to read, so that it is not
/// read on the thread that serves all sinks. Results are a few kilobytes.
const LARGE: usize = 128 << 10;
/// Maximum time that the service may take to answer a close frame.
const CLOSE_HANDSHAKE_BOUND: Duration = Duration::from_secs(2);

/// Drives the session of `shared` until it is closed.
pub(super) async fn drive(shared: Arc<Shared>, host: Weak<dyn Host>) {
    let run = || AssertUnwindSafe(Driver::new(Arc::clone(&shared), host.clone()).run());
    if run().catch_unwind().await.is_ok() {
        return;
    }
    // A panic must not go unnoticed, nor the audio that it costs: the session fails,
    // and another driver reports that and what is lost.
    {
        let now = shared.now();
        let mut locked = shared.lock();
        locked.telling = false;
        locked.session.break_down(now, panicked());
        shared.failed.store(true, Ordering::Release);
    }
    if run().catch_unwind().await.is_err() {
        tell_panic(&shared, &host);
    }
}

fn panicked() -> Failure {
    Failure::fatal(
        Reason::Internal,
        "the task that drives the session panicked; this is a bug, please report it with a debug log",
    )
}

/// Reports a second panic, which occurred while the first one was reported. Nothing
/// is reported after it.
fn tell_panic(shared: &Shared, host: &Weak<dyn Host>) {
    if let Some(host) = host
        .upgrade()
        .filter(|_| !shared.closing.load(Ordering::Acquire))
    {
        host.event(Event {
            generation: 0,
            conversation_id: None,
            placement: None,
            json: None,
            kind: EventKind::Failed(panicked()),
        });
    }
    let mut locked = shared.lock();
    locked.session.abandon();
    shared.failed.store(true, Ordering::Release);
    locked.telling = false; // no thread may wait for the lost events
    shared.changed.notify_all();
}

/// A socket, and the token that it was opened with.
type Dialed = Result<(Opened, Option<Secret>), Failure>;
type Dial = Pin<Box<dyn Future<Output = Dialed> + Send>>;

/// The messages of a conversation, or why they could not be fetched.
type Fetched = Result<Vec<response::Message>, Failure>;
type Fetch = Pin<Box<dyn Future<Output = Fetched> + Send>>;

struct Driver {
    shared: Arc<Shared>,
    host: Weak<dyn Host>,
    credentials: Credentials,
    /// The token that the last socket was opened with.
    token: Option<Secret>,
    dial: Option<Dial>,
    /// The pending fetch of the history. It runs beside the socket and never delays
    /// it.
    history: Option<Fetch>,
}

/// What ended a sleep.
enum Wake {
    Bell,
    Timer,
    Dialed(Box<Dialed>),
    Fetched(Fetched),
    Link(Step),
}

/// The next thing to do for the session.
enum Next {
    /// A frame was handed to the socket.
    Sent,
    /// Something else, for [`Driver::act`].
    Act(Output),
    /// Nothing until the timer fires.
    Sleep,
}

impl Driver {
    fn new(shared: Arc<Shared>, host: Weak<dyn Host>) -> Self {
        Self {
            credentials: Credentials::new(Arc::clone(&shared), host.clone()),
            shared,
            host,
            token: None,
            dial: None,
            history: None,
        }
    }

    async fn run(mut self) {
        loop {
            if self.shared.closing.load(Ordering::Acquire) {
                return self.farewell().await;
            }
            self.pump().await;
            match poll_fn(|cx| self.poll_wake(cx)).await {
                Wake::Bell => {}
                Wake::Timer => {
                    let now = self.shared.now();
                    self.shared.lock().session.handle_timeout(now);
                }
                Wake::Dialed(dialed) => self.dialed(*dialed),
                Wake::Fetched(fetched) => self.fetched(fetched),
                Wake::Link(step) => self.stepped(step).await,
            }
        }
    }

    /// Returns what ended the sleep. The bell comes last: each pass of the loop does
    /// what it asks for anyway, and so a streaming thread that never rests delays
    /// nothing else.
    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<Wake> {
        if self.shared.line().timer.poll(cx).is_ready() {
            return Poll::Ready(Wake::Timer);
        }
        if let Poll::Ready(dialed) = poll_task(&mut self.dial, cx) {
            return Poll::Ready(Wake::Dialed(Box::new(dialed)));
        }
        if let Poll::Ready(fetched) = poll_task(&mut self.history, cx) {
            return Poll::Ready(Wake::Fetched(fetched));
        }
        if let Poll::Ready(step) = Link::poll_step(&mut self.shared.line().link, cx) {
            return Poll::Ready(Wake::Link(step));
        }
        self.shared.bell.poll(cx).map(|()| Wake::Bell)
    }

    /// Carries out what the session requires, until there is nothing to do before the timer
    /// fires.
    async fn pump(&mut self) {
        loop {
            match self.next() {
                // A socket that takes everything at once must not starve the other
                // sinks.
                Next::Sent => tokio::task::coop::consume_budget().await,
                Next::Act(output) => self.act(output).await,
                Next::Sleep => return,
            }
        }
    }

    /// Takes the next output from the session, and sends it if it is a frame.
    fn next(&mut self) -> Next {
        // Held from the poll of the session on, so that frames leave in the session's
        // order, whichever thread sends them.
        let mut line = self.shared.line();
        let writable = line.link.as_mut().is_some_and(Link::is_writable);
        let now = self.shared.now();
        let mut locked = self.shared.lock();
        let output = locked.session.poll(now, writable);
        let failed = locked.session.has_failed();
        self.shared.failed.store(failed, Ordering::Release);
        let Some(output) = output else {
            let until = locked.session.next_timeout();
            // From here on, a thread that brings work ends the sleep.
            locked.sleep = Some(Sleep { until, writable });
            if locked.waiting {
                self.shared.changed.notify_all();
            }
            drop(locked);
            line.timer.set(until.map(|at| self.shared.epoch + at));
            return Next::Sleep;
        };
        locked.telling = matches!(output, Output::Event(_));
        drop(locked);
        match link::frame(output) {
            Ok(frame) => {
                if let Some(link) = &mut line.link {
                    link.send(frame);
                }
                Next::Sent
            }
            Err(output) => Next::Act(output),
        }
    }

    /// Carries out an output that is not a frame.
    async fn act(&mut self, output: Output) {
        match output {
            Output::Dial => {
                self.shared.line().link.take();
                self.dial = Some(Box::pin(dial(self.credentials.clone())));
            }
            Output::Abort => {
                self.dial = None;
                let link = self.shared.line().link.take();
                if let Some(link) = link {
                    link.reset();
                }
            }
            Output::Close { code, reason } => {
                self.dial = None;
                let link = self.shared.line().link.take();
                close_link(link, code, reason).await;
            }
            Output::FetchHistory {
                conversation_id,
                since,
            } => self.fetch_history(conversation_id, since),
            Output::Event(event) => {
                let mut events = vec![*event];
                events.extend(self.shared.lock().session.more_events());
                self.tell(events).await;
            }
            Output::Text(_) | Output::Binary(_) | Output::Ping => {} // sent as frames
        }
    }

    /// Delivers events to the host, in order.
    async fn tell(&mut self, events: Vec<Event>) {
        let (shared, host) = (Arc::clone(&self.shared), self.host.clone());
        application::call(move || {
            let Some(host) = host.upgrade() else {
                return;
            };
            for event in events {
                if shared.closing.load(Ordering::Acquire) {
                    return;
                }
                host.event(event);
            }
        })
        .await;
        let mut locked = self.shared.lock();
        locked.telling = false;
    }

    fn dialed(&mut self, dialed: Dialed) {
        self.dial = None;
        let now = self.shared.now();
        match dialed {
            Ok((Opened { socket, announced }, token)) => {
                self.token = token.clone();
                self.shared.line().link = Some(Link::new(socket, token));
                let input = Input::Connected { announced };
                self.shared.lock().session.handle(now, input);
            }
            Err(failure) => self
                .shared
                .lock()
                .session
                .handle(now, Input::DialFailed(failure)),
        }
    }

    /// Starts a fetch of the history, in place of a pending one.
    fn fetch_history(&mut self, conversation_id: Arc<str>, since: i64) {
        let (credentials, token) = (self.credentials.clone(), self.token.clone());
        let timeout = self.shared.endpoint().request_timeout;
        let fetch = fetch(credentials, token, (conversation_id, since), timeout);
        self.history = Some(Box::pin(fetch));
    }

    fn fetched(&mut self, fetched: Fetched) {
        self.history = None;
        let now = self.shared.now();
        let input = fetched.map_or_else(Input::HistoryFailed, Input::History);
        self.shared.lock().session.handle(now, input);
    }

    async fn stepped(&mut self, step: Step) {
        let now = self.shared.now();
        let harmless;
        let input = match &step {
            Step::Flushed => return,
            Step::Message(Message::Text(text)) => {
                harmless = self.token.as_ref().and_then(|token| token.cut_out_of(text));
                let text = harmless.as_deref().unwrap_or(text);
                if text.len() > LARGE {
                    return self.read_large(now, text.to_owned()).await;
                }
                Input::Text(text)
            }
            Step::Message(Message::Binary(_)) => Input::Binary,
            Step::Message(Message::Ping(_)) => Input::Ping,
            Step::Message(Message::Pong(_)) => Input::Pong,
            // What a close frame means is reported with the end of the socket.
            Step::Message(Message::Close(_) | Message::Frame(_)) => return,
            Step::Ended(failure) => return self.closed(failure.clone()),
        };
        self.shared.lock().session.handle(now, input);
    }

    /// Gives a large message to the session, on another thread.
    async fn read_large(&mut self, now: Time, text: String) {
        let shared = Arc::clone(&self.shared);
        application::call(move || shared.lock().session.handle(now, Input::Text(&text))).await;
    }

    fn closed(&mut self, failure: Failure) {
        // The service may still send on a socket whose messages cannot be read.
        let link = self.shared.line().link.take();
        if let Some(link) = link
            && failure.reason == Reason::Protocol
        {
            link.reset();
        }
        let now = self.shared.now();
        self.shared
            .lock()
            .session
            .handle(now, Input::Closed(failure));
    }

    /// Sends the last frames when the sink is stopped, as far as they leave at once.
    async fn farewell(mut self) {
        self.history = None;
        let mut link = self.shared.line().link.take();
        self.shared.lock().session.close();
        let _ = tokio::time::timeout(FAREWELL_BOUND, async {
            loop {
                if let Some(link) = &mut link
                    && link.flush().await.is_err()
                {
                    return;
                }
                let output = self.shared.lock().session.poll(self.shared.now(), true);
                match output.map(link::frame) {
                    Some(Ok(frame)) => {
                        if let Some(link) = &mut link {
                            link.send(frame);
                        }
                    }
                    Some(Err(Output::Close { code, reason })) => {
                        self.dial = None;
                        close_link(link.take(), code, reason).await;
                    }
                    Some(Err(_)) => {}
                    None => return,
                }
            }
        })
        .await;
    }
}

impl Drop for Driver {
    /// Removes the socket when the task ends, however it ends, so that no thread
    /// sends any more.
    fn drop(&mut self) {
        *self.shared.line() = SocketAndTimer::default();
    }
}

/// Sends a close frame. Another task waits for the service's answer.
async fn close_link(link: Option<Link>, code: u16, reason: &'static str) {
    let Some(mut link) = link else {
        return;
    };
    let frame = CloseFrame {
        code: CloseCode::from(code),
        reason: reason.into(),
    };
    let sent = async {
        link.flush().await?;
        link.send(Message::Close(Some(frame)));
        link.flush().await
    };
    if let Ok(Ok(())) = tokio::time::timeout(FAREWELL_BOUND, sent).await {
        tokio::spawn(tokio::time::timeout(CLOSE_HANDSHAKE_BOUND, async move {
            let mut link = Some(link);
            while !matches!(Link::step(&mut link).await, Step::Ended(_)) {}
        }));
    }
}

async fn dial(credentials: Credentials) -> Dialed {
    let token = credentials.token().await?;
    let open = |endpoint: Endpoint, token: Option<Secret>| async move {
        let token = token.map_or(TokenSource::None, TokenSource::Value);
        connect::open(&Endpoint { token, ..endpoint }).await
    };
    credentials.show(token, open).await
}

/// Fetches the messages of a conversation since a time, with the `token` that opened
/// the socket.
async fn fetch(
    credentials: Credentials,
    token: Option<Secret>,
    (conversation_id, since): (Arc<str>, i64),
    timeout: Duration,
) -> Fetched {
    let id = &conversation_id;
    let get = |endpoint: Endpoint, token: Option<Secret>| async move {
        api::messages(&endpoint, id, since, token.as_ref()).await
    };
    match tokio::time::timeout(timeout, credentials.show(token, get)).await {
        Ok(fetched) => {
            let (body, _) = fetched?;
            application::ask(move || read_history(&body))
                .await
                .map_err(|undone| match undone {
                    Undone::NoThread(error) => no_thread("read the messages", &error),
                    Undone::Panicked(_) => Failure::retryable(
                        Reason::Internal,
                        "reading the messages of the conversation panicked; please report this",
                    ),
                })?
        }
        Err(_) => Err(Failure::retryable(
            Reason::ConnectTimeout,
            format!(
                "the messages of the conversation did not come within {} ms (connect-timeout)",
                timeout.as_millis()
            ),
        )),
    }
}

/// Reads the messages of a conversation. Takes long for a long conversation.
fn read_history(body: &str) -> Fetched {
    response::history(body).map_err(|error| {
        let text = format!("the history of the conversation cannot be read: {error}");
        Failure::retryable(Reason::Protocol, text)
    })
}

/// Polls a task, if there is one.
fn poll_task<T>(
    task: &mut Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    cx: &mut Context<'_>,
) -> Poll<T> {
    match task {
        Some(task) => task.as_mut().poll(cx),
        None => Poll::Pending,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::connection::tests::{endpoint, session};
    use crate::transport::{Connection, Waited};
    use std::sync::Mutex;
    use symbl_testkit::peer::{Peer, Script};

    /// A host that panics at its first event.
    #[derive(Default)]
    struct Clumsy(Mutex<Vec<EventKind>>);

    impl Host for Clumsy {
        fn event(&self, event: Event) {
            let mut told = self.0.lock().unwrap_or_else(|held| held.into_inner());
            told.push(event.kind);
            assert!(told.len() > 1, "a panic that this test wants");
        }
    }

    impl Host for () {
        fn event(&self, _: Event) {}
    }

    fn nobody() -> Weak<dyn Host> {
        Weak::<()>::new()
    }

    /// Runs what is pending until `reached`.
    async fn until(driver: &mut Driver, reached: impl Fn() -> bool) {
        let look = async {
            while !reached() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let look = tokio::time::timeout(Duration::from_secs(20), look);
        tokio::select! {
            _ = poll_fn(|cx| poll_task(&mut driver.history, cx)) => panic!("an answer"),
            in_time = look => in_time.expect("in time"),
        }
    }

    #[tokio::test]
    async fn the_last_fetch_counts_and_a_stop_ends_it() {
        let peer = Peer::start(Script::black_hole());
        let shared = Arc::new(Shared::new(session(), endpoint(peer.base_url())));
        let mut driver = Driver::new(shared, nobody());
        driver.fetch_history("1".into(), 0);
        until(&mut driver, || peer.records().len() == 1).await;
        driver.fetch_history("2".into(), 0);
        until(&mut driver, || peer.records().len() == 2).await;
        until(&mut driver, || peer.records()[0].ended).await;
        assert!(!peer.records()[1].ended);
        driver.farewell().await;
        assert!(peer.wait_for(|records| records[1].ended, Duration::from_secs(20)));
    }

    #[tokio::test]
    async fn a_fetch_takes_no_longer_than_it_may() {
        let peer = Peer::start(Script::black_hole());
        let endpoint = Endpoint {
            request_timeout: Duration::from_millis(50),
            ..endpoint(peer.base_url())
        };
        let shared = Arc::new(Shared::new(session(), endpoint));
        let mut driver = Driver::new(shared, nobody());
        driver.fetch_history("1".into(), 0);
        let fetched = poll_fn(|cx| poll_task(&mut driver.history, cx)).await;
        let failure = fetched.unwrap_err();
        assert_eq!(failure.reason, Reason::ConnectTimeout);
        assert!(
            failure.retryable && failure.message.contains("50 ms"),
            "{failure:?}"
        );
        assert!(peer.wait_for(|records| records[0].ended, Duration::from_secs(20)));
    }

    #[test]
    fn a_panic_in_the_task_is_told_and_nobody_waits_for_it() {
        let host = Arc::new(Clumsy::default());
        let weak: Weak<dyn Host> = Arc::downgrade(&(Arc::clone(&host) as Arc<dyn Host>));
        let endpoint = endpoint("http://127.0.0.1:1".into());
        let connection = Connection::open(session(), endpoint, weak).unwrap();
        let waited = connection.wait_until_settled(connection.interruptions());
        assert_eq!(waited, Waited::Done);
        assert!(connection.has_failed());
        let told = host.0.lock().unwrap_or_else(|held| held.into_inner());
        assert!(
            matches!(told.last(), Some(EventKind::Failed(failure)) if failure.reason == Reason::Internal),
            "{told:?}"
        );
    }
}
