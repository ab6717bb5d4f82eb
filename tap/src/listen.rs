// SPDX-License-Identifier: MPL-2.0

//! Listens to a conversation, from the first dial to its end.
//!
//! Messages come in from a socket, and go out to [`Show`]. Every wait has a bound: a
//! dial, a silence, a goodbye. A lost connection is dialed again, with growing
//! delays. The service closes the socket with code 1000 when the conversation is
//! over, and that ends the listening. A failure that no retry can fix ends it with an
//! error.
//!
//! What was said while the connection was lost is asked for, from where [`Place`] is: of
//! the Subscribe API, or of the log if the conversation is over meanwhile. Services other
//! than our own cannot be asked for it; then it is missing, and the program reports that.
//!
//! An output that blocks must not block the listening, or the service hangs up. So a
//! thread writes ([`Outlet`]). Items that do not fit into its queue are lost. The
//! program reports this, and ends with an error.

use crate::output::{Output, unwritten};
use crate::place::{Begun, Place};
use crate::recall::Page;
use crate::show::Show;
use std::time::Duration;
use symbl_captions::{CaptionWriter, Format, Notes, Outlet, QUEUE_BYTES};
use symbl_client::session::backoff::Backoff;
use symbl_client::session::{Failure, Reason};
use symbl_client::transport::{After, Endpoint, Listener, Received};
use symbl_protocol::ServerMessage;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// Maximum time from the look-up of the name to the open socket.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time that the close handshake may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// Time between two checks, at the end, of whether the output has taken everything.
const LAST_LOOK: Duration = Duration::from_millis(50);
/// Maximum delay between two dials.
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// The same while the conversation has not begun: its first sentence takes longer.
const LONGEST_DELAY_BEFORE: Duration = Duration::from_secs(1);
/// WebSocket close code that ends a conversation (RFC 6455, section 7.4.1).
const CLOSED_IN_ORDER: u16 = 1000;

/// The settings of a listening.
pub struct Listening {
    pub endpoint: Endpoint,
    /// Maximum time to wait for the service and for the beginning of the
    /// conversation.
    pub wait: Duration,
    pub interim: bool,
    /// Silence after which a ping is sent, and maximum time until something comes
    /// after it.
    pub ping_interval: Duration,
    /// Takes the notes for the user.
    pub notes: Notes,
    /// The zero of the clock that gives each message its time of arrival.
    pub since: Instant,
}

/// Why the listening ended without an error.
enum End {
    /// The conversation is over, or the reader of the output has gone.
    Over,
    /// The user pressed Ctrl-C.
    Stopped,
}

/// Why a connection ended.
enum Lost {
    Finalised,
    Failed(Failure),
    Output(std::io::Error),
    /// The connection id belongs to another conversation now.
    Another,
}

impl Listening {
    /// Listens until the conversation is over, the reader of the output has gone, or
    /// `stop` is notified.
    pub async fn run(&self, output: Output, format: Format, stop: &Notify) -> Result<(), String> {
        let mut before = Backoff::new(LONGEST_DELAY_BEFORE, fastrand::u64(..));
        let mut backoff = Backoff::new(LONGEST_DELAY, fastrand::u64(..));
        let listener = tokio::select! {
            listener = self.begin(&mut before) => listener?,
            () = stop.notified() => return Ok(()),
        };
        let outlet = Outlet::start(move || output.begin())
            .map_err(|error| format!("cannot start a thread to write: {error}"))?;
        let mut show = match CaptionWriter::new(outlet.clone(), format) {
            Ok(writer) => Show::new(writer, self.interim),
            Err(error) => return unwritten(&error),
        };
        let ended = self
            .listen(listener, &mut show, &outlet, &mut backoff, stop)
            .await;
        let stopped = matches!(ended, Ok(End::Stopped));
        if let Err(error) = show.finish() {
            return ended.and_then(|_| unwritten(&error));
        }
        let written = self.written(&outlet, stopped, stop).await;
        ended.and(written)
    }

    /// Listens over one connection after the other.
    async fn listen(
        &self,
        mut listener: Listener,
        show: &mut Show<Outlet>,
        outlet: &Outlet,
        backoff: &mut Backoff,
        stop: &Notify,
    ) -> Result<End, String> {
        let mut place = Place::default();
        loop {
            self.notes
                .tell(&format!("listening to {}", self.endpoint.display()));
            let lost = tokio::select! {
                lost = self.attend(&mut listener, show, outlet, backoff, &mut place) => lost,
                () = stop.notified() => {
                    let _ = timeout(FAREWELL, listener.close()).await;
                    return Ok(End::Stopped);
                }
            };
            match lost {
                Lost::Finalised => return Ok(End::Over),
                Lost::Output(error) => return unwritten(&error).map(|()| End::Over),
                Lost::Failed(failure) if !failure.retryable => return Err(failure.message),
                Lost::Failed(failure) => {
                    let then = match place.conversation() {
                        Some(_) => "asked for then",
                        None => "missing",
                    };
                    let message = failure.message;
                    self.notes
                        .tell(&format!("{message}; what is said until then is {then}"));
                }
                Lost::Another => {
                    self.notes
                        .tell("the conversation is over, and another one has its connection id");
                    tokio::select! {
                        ended = self.catch_up(show, outlet, backoff, &mut place) => {
                            if let Err(missing) = ended {
                                self.notes.tell(&missing);
                            }
                        }
                        () = stop.notified() => return Ok(End::Stopped),
                    }
                    place = Place::unknown();
                }
            }
            drop(listener);
            let dialed = tokio::select! {
                dialed = self.dial_again(backoff, &mut place) => dialed?,
                () = stop.notified() => return Ok(End::Stopped),
            };
            listener = match dialed {
                Some(listener) => listener,
                None => {
                    tokio::select! {
                        ended = self.catch_up(show, outlet, backoff, &mut place) => ended?,
                        () = stop.notified() => return Ok(End::Stopped),
                    }
                    return Ok(End::Over);
                }
            };
        }
    }

    /// Writes what was missed of a conversation that is over, from the log.
    async fn catch_up(
        &self,
        show: &mut Show<Outlet>,
        outlet: &Outlet,
        backoff: &mut Backoff,
        place: &mut Place,
    ) -> Result<(), String> {
        let missing = |why: &str| {
            Err(format!(
                "the conversation ended while the connection was lost{why}"
            ))
        };
        let Some(conversation) = place.conversation().map(str::to_owned) else {
            return missing("");
        };
        let mut asked_for = None;
        // Begins anew from the place after each failure.
        loop {
            if let Some(wait) = asked_for.take() {
                tokio::time::sleep(backoff.next(wait)).await;
            }
            let Some(number) = place.resume() else {
                return missing("");
            };
            let mut after = After::Final(number);
            let failure = loop {
                let page = match Page::read(&self.endpoint, &conversation, after).await {
                    Ok(page) => page,
                    Err(failure) => break failure,
                };
                for message in page.events.iter().flat_map(|event| &event.messages) {
                    if let Err(error) = self.tell(message.get(), show, place) {
                        return unwritten(&error);
                    }
                }
                // Nothing else waits for this, so the output may take its time.
                while !matches!(outlet.finish(Duration::ZERO), Ok(0) | Err(_)) {
                    tokio::time::sleep(LAST_LOOK).await;
                }
                match page.next() {
                    Some(next) => after = next,
                    None => return Ok(()),
                }
            };
            if !failure.retryable {
                let message = failure.message;
                return missing(&format!(", and what was said last is missing: {message}"));
            }
            self.notes.tell(&failure.message);
            asked_for = Some(failure.retry_after);
        }
    }

    /// Writes a message of the log down, if it is new.
    fn tell(
        &self,
        text: &str,
        show: &mut Show<Outlet>,
        place: &mut Place,
    ) -> Result<(), std::io::Error> {
        match ServerMessage::parse(text) {
            Ok(message) if place.is_new(&message) => show.message(&message, self.since.elapsed()),
            Ok(_) => Ok(()),
            Err(error) => {
                self.notes.tell(&format!("cannot read a message: {error}"));
                Ok(())
            }
        }
    }

    /// Waits until the output has taken everything, or until the user ends the wait.
    async fn written(&self, outlet: &Outlet, stopped: bool, stop: &Notify) -> Result<(), String> {
        let mut stopped = stopped;
        let left = loop {
            match outlet.finish(Duration::ZERO) {
                Ok(left) if left == 0 || stopped => break left as u64,
                Ok(_) => {}
                Err(error) => return unwritten(&error),
            }
            tokio::select! {
                () = tokio::time::sleep(LAST_LOOK) => {}
                () = stop.notified() => stopped = true,
            }
        };
        match outlet.lost() + left {
            0 => Ok(()),
            missing => Err(format!(
                "the output was not read in time: {missing} items are missing in it"
            )),
        }
    }

    /// Opens the first connection. Dials again for as long as [`Listening::wait`]
    /// allows.
    async fn begin(&self, backoff: &mut Backoff) -> Result<Listener, String> {
        let until = Instant::now() + self.wait;
        loop {
            let failure = match self.dial(None).await {
                Ok(listener) => return Ok(listener),
                Err(failure) => failure,
            };
            // The conversation may not have begun yet.
            let may_begin = failure.retryable || is_unknown(&failure);
            let delay = backoff.next(failure.retry_after);
            if !may_begin || Instant::now() + delay > until {
                return Err(self.explained(&failure));
            }
            tokio::time::sleep(delay).await;
        }
    }

    async fn dial(&self, after: Option<i64>) -> Result<Listener, Failure> {
        let dial = timeout(CONNECT_TIMEOUT, Listener::open_after(&self.endpoint, after));
        dial.await.unwrap_or_else(|_| {
            let place = self.endpoint.display();
            let seconds = CONNECT_TIMEOUT.as_secs();
            Err(Failure::retryable(
                Reason::ConnectTimeout,
                format!("no connection to {place} within {seconds} s; check --base-url"),
            ))
        })
    }

    /// Dials until the service answers, for what follows the place. Returns `None` if it does
    /// not know the connection id any more.
    async fn dial_again(
        &self,
        backoff: &mut Backoff,
        place: &mut Place,
    ) -> Result<Option<Listener>, String> {
        let mut asked_for = None;
        loop {
            tokio::time::sleep(backoff.next(asked_for)).await;
            match self.dial(place.resume()).await {
                Ok(listener) => return Ok(Some(listener)),
                Err(failure) if is_unknown(&failure) => return Ok(None),
                Err(failure) if !failure.retryable => return Err(failure.message),
                Err(failure) => asked_for = failure.retry_after,
            }
        }
    }

    fn explained(&self, failure: &Failure) -> String {
        match is_unknown(failure) {
            true => format!(
                "nobody is connected as \"{}\" (HTTP 404): check CONNECTION_ID, \
                 or wait for it with --wait",
                self.endpoint.connection_id
            ),
            false => failure.message.clone(),
        }
    }

    /// Writes down what comes over one connection until it ends. Returns why it
    /// ended.
    async fn attend(
        &self,
        listener: &mut Listener,
        show: &mut Show<Outlet>,
        outlet: &Outlet,
        backoff: &mut Backoff,
        place: &mut Place,
    ) -> Lost {
        let mut completed = false;
        let mut told_of_loss = false;
        loop {
            let heard = match timeout(self.ping_interval, listener.next()).await {
                Ok(heard) => heard,
                Err(_) => {
                    if let Err(error) = show.finish() {
                        return Lost::Output(error);
                    }
                    listener.ping();
                    match timeout(self.ping_interval, listener.next()).await {
                        Ok(heard) => heard,
                        Err(_) => return Lost::Failed(self.dead()),
                    }
                }
            };
            match heard {
                Received::Life => {}
                Received::End(failure)
                    if completed || failure.close_code == Some(CLOSED_IN_ORDER) =>
                {
                    return Lost::Finalised;
                }
                Received::End(failure) => return Lost::Failed(failure),
                Received::Text(text) => {
                    // The connection works, so the next outage starts with short
                    // delays again.
                    backoff.reset();
                    match ServerMessage::parse(&text) {
                        Ok(ServerMessage::ConversationCompleted { .. }) => completed = true,
                        Ok(ServerMessage::Error(error)) => self.notes.tell(&format!(
                            "the service says: {}",
                            error.message.or(error.details).unwrap_or_default()
                        )),
                        Ok(ServerMessage::SubscriptionStarted {
                            conversation_id,
                            last_sequence_number,
                        }) => {
                            let begun = place.begin(conversation_id, last_sequence_number);
                            if begun == Begun::Another {
                                return Lost::Another;
                            }
                        }
                        Ok(message) if !place.is_new(&message) => {}
                        Ok(message) => {
                            if let Err(error) = show.message(&message, self.since.elapsed()) {
                                return Lost::Output(error);
                            }
                        }
                        Err(error) => self.notes.tell(&format!("cannot read a message: {error}")),
                    }
                    if !told_of_loss && outlet.lost() > 0 {
                        told_of_loss = true;
                        self.notes.tell(&format!(
                            "nobody reads the output, and {} KiB wait for it: \
                             what is said from now on is missing until somebody does",
                            QUEUE_BYTES / 1024
                        ));
                    }
                }
            }
        }
    }

    fn dead(&self) -> Failure {
        let silence = self.ping_interval * 2;
        Failure::retryable(
            Reason::PongTimeout,
            format!("the service has been silent for {silence:?}; a new connection will be tried"),
        )
    }
}

/// Returns `true` if the service does not know this connection id.
fn is_unknown(failure: &Failure) -> bool {
    failure.reason == Reason::Http && failure.http_status == Some(404)
}
