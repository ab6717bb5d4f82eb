// SPDX-License-Identifier: MPL-2.0

//! The life of a session inside an element: the settings that it is made of, its
//! connection from [`open`] to [`close`], and what the application may ask for at any time.
//!
//! An element calls these functions at its state changes and decides which
//! one belongs to which.
//!
//! Locks: none is taken while another is held, and none is held while a message
//! is posted, a signal emitted, a property notified, a parent's method called or
//! a wait waited.

use super::errors::Report;
use super::host::{self, BusHost};
use super::settings::Settings;
use super::{OnFatal, State, SymblElement, lock, properties, stats};
use gst::glib;
use gst::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use symbl_client::session::{Session, Speaker, Stats};
use symbl_client::track::TrackStats;
use symbl_client::transport::{self, Connection, Host};

/// How long connecting is shown as in progress at most before the pipeline plays.
const PATIENCE: Duration = Duration::from_secs(1);

/// The state that the application may ask for at any time.
#[derive(Default)]
struct Status {
    state: State,
    /// In use since READY→PAUSED.
    connection_id: Option<Arc<str>>,
    conversation_id: Option<Arc<str>>,
    /// The counters of the last connection that was closed.
    last_stats: Stats,
    /// Warnings about values that were refused while there was no bus, by property.
    refused: BTreeMap<String, String>,
    /// Code of the PROGRESS that has begun and not ended.
    progress: Option<&'static str>,
}

struct OpenSession {
    connection: Arc<Connection>,
    /// Keeps the host alive: the connection holds a weak reference.
    _host: Arc<dyn Host>,
}

/// The state that an element keeps for as long as it exists.
#[derive(Default)]
pub(crate) struct Life {
    settings: Mutex<Settings>,
    status: Mutex<Status>,
    open: Mutex<Option<OpenSession>>,
    /// The streaming thread has not given the new speaker to the connection yet.
    speaker_changed: AtomicBool,
    /// Number of the last message posted.
    seq: AtomicU64,
    /// What a text pad has done, if the element has one.
    track: Mutex<Option<TrackStats>>,
    /// The ERROR of the failed session is on the bus. Only then may the streaming thread
    /// return an error, after which upstream posts an ERROR that says less.
    error_posted: AtomicBool,
}

impl Life {
    /// Takes the defaults that the environment gives.
    pub(crate) fn read_environment(&self) {
        *lock(&self.settings) = Settings::from_environment(|name| std::env::var(name).ok());
    }

    /// Returns the connection, between [`open`] and [`close`].
    pub(crate) fn connection(&self) -> Option<Arc<Connection>> {
        lock(&self.open)
            .as_ref()
            .map(|open| Arc::clone(&open.connection))
    }

    /// Returns the settings.
    pub(crate) fn settings(&self) -> Settings {
        lock(&self.settings).clone()
    }

    /// Notes what the text pad has done. Returns `true` if the longest delay has grown.
    pub(crate) fn note_track(&self, stats: TrackStats) -> bool {
        let before = lock(&self.track).replace(stats);
        before.is_some_and(|before| before.delay_max < stats.delay_max)
    }

    /// Returns the value of `on-fatal`.
    pub(super) fn on_fatal(&self) -> OnFatal {
        lock(&self.settings).on_fatal
    }

    /// Returns the speaker, if it has changed since the last call.
    pub(super) fn new_speaker(&self) -> Option<Speaker> {
        let is_new = self.speaker_changed.load(Ordering::Relaxed)
            && self.speaker_changed.swap(false, Ordering::AcqRel);
        is_new.then(|| lock(&self.settings).speaker())
    }

    /// Returns `true` if the ERROR of the failed session is on the bus.
    pub(super) fn has_posted_error(&self) -> bool {
        self.error_posted.load(Ordering::Acquire)
    }

    /// Notes that the ERROR of the failed session is on the bus.
    pub(super) fn error_is_posted(&self) {
        self.error_posted.store(true, Ordering::Release);
    }

    /// Returns number and connection id of the next message.
    pub(super) fn next_message(&self) -> (u64, Arc<str>) {
        let id = lock(&self.status).connection_id.clone().unwrap_or_default();
        (self.seq.fetch_add(1, Ordering::Relaxed) + 1, id)
    }

    /// Notes the state of the session.
    pub(super) fn enter(&self, state: State) {
        if state != State::Failed {
            self.error_posted.store(false, Ordering::Release);
        }
        lock(&self.status).state = state;
    }

    /// Notes the conversation. Returns `true` if it is another one than before.
    pub(super) fn enter_conversation(&self, id: &Arc<str>) -> bool {
        let before = lock(&self.status).conversation_id.replace(Arc::clone(id));
        before.as_ref() != Some(id)
    }

    /// Notes that the progress with this code has begun.
    pub(super) fn begin_progress(&self, code: &'static str) {
        lock(&self.status).progress = Some(code);
    }

    /// Ends the progress that has begun, and returns its code.
    pub(super) fn end_progress(&self) -> Option<&'static str> {
        lock(&self.status).progress.take()
    }
}

/// The live values of properties, and the consequences of changes to others. The table of
/// the properties refers to these functions.
impl Life {
    /// Returns the value of `state`.
    pub(super) fn state(&self) -> Option<glib::Value> {
        Some(lock(&self.status).state.to_value())
    }

    /// Returns the value of `stats`.
    pub(super) fn stats(&self) -> Option<glib::Value> {
        let stats = match self.connection() {
            Some(connection) => connection.stats(),
            None => lock(&self.status).last_stats.clone(),
        };
        Some(stats::structure(&stats, *lock(&self.track)).to_value())
    }

    /// Returns the value of `max-observed-delay`.
    pub(super) fn observed_delay(&self) -> Option<glib::Value> {
        let track = (*lock(&self.track)).unwrap_or_default();
        let millis = track.delay_max / 1_000_000;
        Some(u32::try_from(millis).unwrap_or(u32::MAX).to_value())
    }

    /// Returns the value of `conversation-id`.
    pub(super) fn conversation_id(&self) -> Option<glib::Value> {
        Some(lock(&self.status).conversation_id.as_deref().to_value())
    }

    /// Returns the connection id that is in use, if there is one.
    pub(super) fn connection_id_in_use(&self) -> Option<glib::Value> {
        let id = lock(&self.status).connection_id.clone();
        id.map(|id| id.to_value())
    }

    /// Forgets the connection id of the run before.
    pub(super) fn forget_connection_id(&self) {
        lock(&self.status).connection_id = None;
    }

    /// Hands the source of the token to the connection.
    pub(super) fn hand_on_token(&self) {
        if let Some(connection) = self.connection() {
            let token = lock(&self.settings).token();
            connection.set_token(token);
        }
    }

    /// Lets the streaming thread give the new speaker to the connection.
    pub(super) fn hand_on_speaker(&self) {
        self.speaker_changed.store(true, Ordering::Release);
    }
}

/// Sets a property, or posts a WARNING message if the value is refused.
pub(crate) fn set_property<T: SymblElement>(
    element: &T,
    value: &glib::Value,
    pspec: &glib::ParamSpec,
) {
    let life = element.life();
    let state = element.current_state();
    let refused = if properties::may_change(pspec, state) {
        properties::set(&mut lock(&life.settings), value, pspec).err()
    } else {
        Some(format!(
            "it cannot be changed in {state:?}; set the element to READY first"
        ))
    };
    if let Some(reason) = refused {
        let text = format!("Property {} keeps its value: {reason}", pspec.name());
        gst::warning!(T::category(), obj = element, "{text}");
        if state == gst::State::Null {
            // The element has no bus yet, or the bus of its pipeline drops messages in NULL.
            lock(&life.status)
                .refused
                .insert(pspec.name().to_owned(), text);
        } else {
            warn_of_settings(element, &text);
        }
        return;
    }
    lock(&life.status).refused.remove(pspec.name());
    properties::was_set(life, pspec);
}

/// Returns the value of a property.
pub(crate) fn property(element: &impl SymblElement, pspec: &glib::ParamSpec) -> glib::Value {
    let life = element.life();
    properties::live(life, pspec).unwrap_or_else(|| properties::get(&lock(&life.settings), pspec))
}

fn warn_of_settings(element: &impl SymblElement, text: &str) {
    gst::element_warning!(element, gst::ResourceError::Settings, ("{text}"));
}

/// Posts the ERROR of a state change that is refused.
fn refuse(element: &impl SymblElement, report: Report) -> gst::StateChangeError {
    host::post(element, report.into_error(element));
    gst::StateChangeError
}

/// Posts a WARNING for each value that was refused in NULL, and checks the settings. For
/// NULL→READY.
///
/// # Errors
///
/// Returns an error if the settings cannot be used. An ERROR message says why.
pub(crate) fn check(element: &impl SymblElement) -> Result<(), gst::StateChangeError> {
    let life = element.life();
    let refused = std::mem::take(&mut lock(&life.status).refused);
    refused
        .values()
        .for_each(|text| warn_of_settings(element, text));
    let settings = lock(&life.settings).clone();
    settings
        .check()
        .map_err(|failure| refuse(element, Report::new(&failure)))
}

/// Opens a session, for example at READY→PAUSED, which begins to dial.
///
/// # Errors
///
/// Returns an error if no session could be opened. An ERROR message says why.
pub(crate) fn open(element: &impl SymblElement) -> Result<(), gst::StateChangeError> {
    try_to_open(element).map_err(|report| {
        let error = refuse(element, report);
        let text = "Could not begin to connect";
        host::end_progress(element, gst::ProgressType::Error, text);
        error
    })
}

fn try_to_open<T: SymblElement>(element: &T) -> Result<(), Report> {
    let life = element.life();
    let settings = lock(&life.settings).clone();
    let id: Arc<str> = match &settings.connection_id {
        Some(id) => Arc::from(id.as_str()),
        None => Arc::from(uuid::Uuid::new_v4().to_string()),
    };
    {
        let mut status = lock(&life.status);
        status.connection_id = Some(Arc::clone(&id));
        status.conversation_id = None;
    }
    element.notify("connection-id");
    element.feed().reset();
    life.error_posted.store(false, Ordering::Release);
    host::begin_progress(element, "connect", "Connecting to the service");
    let endpoint = settings.endpoint(&id);
    gst::info!(
        T::category(),
        obj = element,
        "Connection {id} to {}",
        endpoint.display()
    );
    let seed = uuid::Uuid::new_v4().as_u64_pair().0;
    let mut config = settings.session_config(seed);
    config.start.recognition_progress = element.has_text_pad();
    let session = Session::new(config);
    let host = Arc::new(BusHost::new(element));
    let waiting = Arc::downgrade(&host);
    let host: Arc<dyn Host> = host;
    let weak: Weak<dyn Host> = Arc::downgrade(&host);
    let connection =
        Connection::open(session, endpoint, weak).map_err(|failure| Report::new(&failure))?;
    // An application may hold a pipeline in PAUSED while something is in progress, and a
    // service that does not answer must not keep it there.
    transport::after(PATIENCE, move || {
        if let Some(host) = waiting.upgrade() {
            host.end_progress("Goes on connecting in the background");
        }
    });
    let connection = Arc::new(connection);
    element.feed().connect(Arc::clone(&connection));
    *lock(&life.open) = Some(OpenSession {
        connection: Arc::clone(&connection),
        _host: host,
    });
    // The application may have set it in the meantime, in answer to `connection-id`.
    let token = lock(&life.settings).token();
    if token != settings.token() {
        connection.set_token(token);
    }
    Ok(())
}

/// Resumes the session, before PAUSED→PLAYING.
pub(crate) fn resume(element: &impl SymblElement) {
    if let Some(connection) = element.life().connection() {
        element.feed().place_anew();
        connection.resume();
    }
}

/// Pauses the session, after PLAYING→PAUSED.
pub(crate) fn pause(element: &impl SymblElement) {
    if let Some(connection) = element.life().connection() {
        connection.pause();
    }
}

/// Closes the session, after PAUSED→READY, within a bounded time.
pub(crate) fn close(element: &impl SymblElement) {
    let life = element.life();
    let Some(open) = lock(&life.open).take() else {
        return;
    };
    open.connection.close();
    element.feed().disconnect();
    lock(&life.status).last_stats = open.connection.stats();
    host::end_progress(element, gst::ProgressType::Canceled, "Stopped");
    host::state_changed(element, State::Idle);
}
