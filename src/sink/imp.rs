// SPDX-License-Identifier: MPL-2.0

//! The element itself: pads, states, properties, streaming.
//!
//! Translates GStreamer's calls into the connection's and decides nothing. The
//! rules that it follows are walked through in `docs/checklist.md`.

use super::errors::Report;
use super::host::{self, BusHost};
use super::settings::Settings;
use super::streaming::{self, Streaming};
use super::{OnFatal, State, caps, properties, stats};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use symbl_client::session::{Session, Stats};
use symbl_client::transport::{self, Connection, Host};

/// Debug category of the element.
pub static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "symblsink",
        gst::DebugColorFlags::empty(),
        Some("Live transcription sink"),
    )
});

/// Signal that asks the application for a token.
pub(super) const REQUEST_TOKEN: &str = "request-token";

/// Longest that connecting is shown as in progress before the pipeline plays.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the application may ask for at any time.
#[derive(Default)]
struct Status {
    state: State,
    /// In use since READY→PAUSED.
    connection_id: Option<Arc<str>>,
    conversation_id: Option<Arc<str>>,
    /// Of the connection that is no more.
    last_stats: Stats,
    /// Values that were refused while nobody could be told, by property.
    refused: BTreeMap<String, String>,
    /// Code of the PROGRESS that has begun and not ended.
    progress: Option<&'static str>,
}

struct Open {
    connection: Arc<Connection>,
    /// The connection holds it weakly.
    _host: Arc<BusHost>,
}

/// The element's private part.
// Locks: none is taken while another is held, and none is held while a message
// is posted, a signal emitted, a property notified, a parent's method called or
// a wait waited. `streaming` belongs to the streaming thread.
#[derive(Default)]
pub struct SymblSink {
    pub(super) settings: Mutex<Settings>,
    status: Mutex<Status>,
    pub(super) streaming: Mutex<Streaming>,
    open: Mutex<Option<Open>>,
    /// The streaming thread has not told the connection who speaks now.
    pub(super) speaker_changed: AtomicBool,
    /// Number of the last message posted.
    seq: AtomicU64,
    /// The ERROR of the session that failed is on the bus. Only then may the streaming
    /// thread return an error, at which upstream posts one that says less.
    pub(super) error_posted: AtomicBool,
}

/// A lock that outlives a panic elsewhere.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SymblSink {
    pub(super) fn connection(&self) -> Option<Arc<Connection>> {
        lock(&self.open)
            .as_ref()
            .map(|open| Arc::clone(&open.connection))
    }

    pub(super) fn on_fatal(&self) -> OnFatal {
        lock(&self.settings).on_fatal
    }

    /// Number and connection id of the next message.
    pub(super) fn next_message(&self) -> (u64, Arc<str>) {
        let id = lock(&self.status).connection_id.clone().unwrap_or_default();
        (self.seq.fetch_add(1, Ordering::Relaxed) + 1, id)
    }

    pub(super) fn state_changed(&self, state: State) {
        if state != State::Failed {
            self.error_posted.store(false, Ordering::Release);
        }
        lock(&self.status).state = state;
        self.obj().notify("state");
    }

    pub(super) fn conversation_changed(&self, id: &Arc<str>) {
        let before = lock(&self.status).conversation_id.replace(Arc::clone(id));
        if before.as_ref() != Some(id) {
            self.obj().notify("conversation-id");
        }
    }

    pub(super) fn begin_progress(&self, code: &'static str, text: &str) {
        lock(&self.status).progress = Some(code);
        self.post_progress(gst::ProgressType::Start, code, text);
    }

    pub(super) fn end_progress(&self, how: gst::ProgressType, text: &str) {
        let code = lock(&self.status).progress.take();
        if let Some(code) = code {
            self.post_progress(how, code, text);
        }
    }

    fn post_progress(&self, how: gst::ProgressType, code: &str, text: &str) {
        let obj = self.obj();
        host::post(
            &obj,
            gst::message::Progress::builder(how, code, text)
                .src(&*obj)
                .build(),
        );
    }

    /// READY→PAUSED: makes a session and lets it dial.
    fn open(&self) -> Result<(), Report> {
        let settings = lock(&self.settings).clone();
        let id: Arc<str> = match &settings.connection_id {
            Some(id) => Arc::from(id.as_str()),
            None => Arc::from(uuid::Uuid::new_v4().to_string()),
        };
        {
            let mut status = lock(&self.status);
            status.connection_id = Some(Arc::clone(&id));
            status.conversation_id = None;
        }
        self.obj().notify("connection-id");
        *lock(&self.streaming) = Streaming::default();
        self.error_posted.store(false, Ordering::Release);
        self.begin_progress("connect", "Connecting to the service");
        let endpoint = settings.endpoint(&id);
        gst::info!(CAT, imp = self, "Connection {id} to {}", endpoint.display());
        let seed = uuid::Uuid::new_v4().as_u64_pair().0;
        let session = Session::new(settings.session_config(seed));
        let host = Arc::new(BusHost::new(&self.obj()));
        let weak: std::sync::Weak<dyn Host> = Arc::downgrade(&(Arc::clone(&host) as Arc<dyn Host>));
        let connection =
            Connection::open(session, endpoint, weak).map_err(|failure| Report::new(&failure))?;
        // An application may hold a pipeline in PAUSED while something is in
        // progress. A service that does not answer is not worth that.
        let waiting = Arc::downgrade(&host);
        transport::after(PATIENCE, move || {
            if let Some(host) = waiting.upgrade() {
                host.end_progress("Goes on connecting in the background");
            }
        });
        let connection = Arc::new(connection);
        lock(&self.streaming).connection = Some(Arc::clone(&connection));
        *lock(&self.open) = Some(Open {
            connection: Arc::clone(&connection),
            _host: host,
        });
        // It may have been set in the meantime, in answer to `connection-id`.
        let token = lock(&self.settings).token();
        if token != settings.token() {
            connection.set_token(token);
        }
        Ok(())
    }

    /// PAUSED→READY: ends the session, within its bound.
    fn close(&self) {
        let Some(open) = lock(&self.open).take() else {
            return;
        };
        open.connection.close();
        lock(&self.streaming).connection = None;
        lock(&self.status).last_stats = open.connection.stats();
        self.end_progress(gst::ProgressType::Canceled, "Stopped");
        self.state_changed(State::Idle);
    }

    /// What must happen in front of GstBaseSink, on the streaming thread.
    fn before_base_sink(&self, info: &gst::PadProbeInfo) {
        match info.event().map(|event| event.view()) {
            // Caps outside the template never reach set_caps.
            Some(gst::EventView::Caps(caps)) => {
                if let Err(problem) = caps::format_from_caps(caps.caps()) {
                    self.refuse(problem);
                }
            }
            Some(gst::EventView::Eos(_)) => self.drain(),
            _ => {}
        }
    }

    fn stats(&self) -> gst::Structure {
        let stats = match self.connection() {
            Some(connection) => connection.stats(),
            None => lock(&self.status).last_stats.clone(),
        };
        stats::structure(&stats)
    }

    fn warn_of_settings(&self, text: &str) {
        gst::element_imp_warning!(self, gst::ResourceError::Settings, ("{text}"));
    }
}

#[glib::object_subclass]
impl ObjectSubclass for SymblSink {
    const NAME: &'static str = "GstSymblSink";
    type Type = super::SymblSink;
    type ParentType = gst_base::BaseSink;

    fn class_init(class: &mut Self::Class) {
        // The bindings fill these in for everybody, and for their sake GstBaseSink
        // computes the times of each buffer twice. There is nothing to prepare here.
        let class = class.upcast_ref_mut::<gst_base::BaseSink>().as_mut();
        class.prepare = None;
        class.prepare_list = None;
    }
}

impl ObjectImpl for SymblSink {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(properties::specs);
        &PROPERTIES
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
            let signal = glib::subclass::Signal::builder(REQUEST_TOKEN)
                .return_type::<Option<String>>()
                .run_last()
                .action()
                // The first handler that has a token is the last one asked.
                .accumulator(|_, _, answer| match answer.get::<Option<&str>>() {
                    Ok(Some(token)) if !token.trim().is_empty() => {
                        ControlFlow::Break(answer.clone())
                    }
                    _ => ControlFlow::Continue(answer.clone()),
                });
            vec![signal.build()]
        });
        &SIGNALS
    }

    fn constructed(&self) {
        self.parent_constructed();
        *lock(&self.settings) = Settings::from_environment(|name| std::env::var(name).ok());
        let obj = self.obj();
        // A branch that transcribes must not keep a pipeline from PAUSED.
        obj.set_async(false);
        obj.set_enable_last_sample(false);
        obj.set_qos(false);
        obj.set_max_lateness(-1);
        obj.set_processing_deadline(gst::ClockTime::ZERO);
        obj.sink_pad()
            .add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |pad, info| {
                if let Some(sink) = pad.parent().and_downcast::<super::SymblSink>() {
                    sink.imp().before_base_sink(info);
                }
                gst::PadProbeReturn::Ok
            });
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let state = self.obj().current_state();
        let refused = if properties::may_change(pspec, state) {
            properties::set(&mut lock(&self.settings), value, pspec).err()
        } else {
            Some(format!(
                "it cannot be changed in {state:?}; set the element to READY first"
            ))
        };
        if let Some(reason) = refused {
            let text = format!("Property {} keeps its value: {reason}", pspec.name());
            gst::warning!(CAT, imp = self, "{text}");
            if state == gst::State::Null {
                // There is no bus yet in an application that just begins.
                lock(&self.status)
                    .refused
                    .insert(pspec.name().to_owned(), text);
            } else {
                self.warn_of_settings(&text);
            }
            return;
        }
        lock(&self.status).refused.remove(pspec.name());
        let credentials = ["access-token", "access-token-file", "app-id", "app-secret"];
        if credentials.contains(&pspec.name())
            && let Some(connection) = self.connection()
        {
            let token = lock(&self.settings).token();
            connection.set_token(token);
        }
        if ["speaker-id", "speaker-name"].contains(&pspec.name()) {
            self.speaker_changed.store(true, Ordering::Release);
        }
        if pspec.name() == "connection-id" {
            // The one of the run before is history.
            lock(&self.status).connection_id = None;
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "state" => lock(&self.status).state.to_value(),
            "stats" => self.stats().to_value(),
            "conversation-id" => lock(&self.status).conversation_id.as_deref().to_value(),
            "connection-id" => {
                let in_use = lock(&self.status).connection_id.clone();
                match in_use {
                    Some(id) => id.to_value(),
                    None => properties::get(&lock(&self.settings), pspec),
                }
            }
            _ => properties::get(&lock(&self.settings), pspec),
        }
    }
}

impl GstObjectImpl for SymblSink {}

impl ElementImpl for SymblSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Symbl live transcription sink",
                "Sink/Network/Audio",
                "Streams speech to a Symbl Streaming API service and posts transcripts, messages, \
                 insights, trackers and topics as bus messages",
                "The gst-plugin-symbl authors",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            gst::PadTemplate::new(
                "sink",
                gst::PadDirection::Sink,
                gst::PadPresence::Always,
                &caps::template(),
            )
            .into_iter()
            .collect()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::NullToReady => {
                let refused = std::mem::take(&mut lock(&self.status).refused);
                refused
                    .values()
                    .for_each(|text| self.warn_of_settings(text));
                // Here and not in start(): BaseSink would post an error of its own.
                let settings = lock(&self.settings).clone();
                if let Err(failure) = settings.check() {
                    host::post(&self.obj(), Report::new(&failure).into_error(&*self.obj()));
                    return Err(gst::StateChangeError);
                }
            }
            gst::StateChange::ReadyToPaused => {
                if let Err(report) = self.open() {
                    host::post(&self.obj(), report.into_error(&*self.obj()));
                    self.end_progress(gst::ProgressType::Error, "Could not begin to connect");
                    return Err(gst::StateChangeError);
                }
            }
            _ => {}
        }
        if transition == gst::StateChange::PausedToPlaying
            && let Some(connection) = self.connection()
        {
            lock(&self.streaming).steady = None;
            connection.resume();
        }
        let result = self.parent_change_state(transition);
        // Afterwards: no buffer is on its way any more.
        if transition == gst::StateChange::PlayingToPaused
            && let Some(connection) = self.connection()
        {
            connection.pause();
        }
        if transition == gst::StateChange::PausedToReady
            || (transition == gst::StateChange::ReadyToPaused && result.is_err())
        {
            self.close();
        }
        result
    }

    fn send_event(&self, event: gst::Event) -> bool {
        // A live pipeline's latency is what others need to play in step. Captions
        // need not: the sooner the audio leaves, the better. So BaseSink is told
        // of none, and upstream of the real one.
        if let gst::EventView::Latency(_) = event.view()
            && self.upstream_is_live()
        {
            let none = gst::event::Latency::builder(gst::ClockTime::ZERO)
                .seqnum(event.seqnum())
                .build();
            self.parent_send_event(none);
            return self.obj().sink_pad().push_event(event);
        }
        self.parent_send_event(event)
    }
}

impl BaseSinkImpl for SymblSink {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.streaming) = Streaming::default();
        Ok(())
    }

    fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let format = caps::format_from_caps(caps)
            .map_err(|problem| gst::loggable_error!(CAT, "{problem}"))?;
        gst::debug!(CAT, imp = self, "Audio is {:?}", format.wire);
        {
            let mut streaming = lock(&self.streaming);
            streaming.format = Some(Arc::new(format.clone()));
            streaming.steady = None;
            streaming.cut.forget();
        }
        if let Some(connection) = self.connection() {
            self.ask_upstream(&connection);
            connection.set_format(format);
        }
        Ok(())
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.take(buffer)?;
        Ok(gst::FlowSuccess::Ok)
    }

    fn event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Segment(segment) => {
                lock(&self.streaming).steady = None;
                if let Some(problem) = streaming::problem_of(segment.segment()) {
                    self.refuse(problem);
                    return false;
                }
                self.parent_event(event)
            }
            gst::EventView::Gap(gap) => {
                lock(&self.streaming).steady = None;
                let (start, duration) = gap.get();
                let result = self.parent_event(event.clone());
                if let Some(duration) = duration {
                    self.take_gap(start, duration);
                }
                result
            }
            gst::EventView::FlushStop(_) => {
                let result = self.parent_event(event);
                {
                    let mut streaming = lock(&self.streaming);
                    streaming.asked_upstream = false;
                    streaming.placed = false;
                    streaming.steady = None;
                    streaming.cut.forget();
                }
                if let Some(connection) = self.connection() {
                    connection.flush();
                }
                result
            }
            gst::EventView::Eos(_) => {
                let result = self.parent_event(event);
                host::tell_again_that_it_plays(&self.obj());
                result
            }
            _ => self.parent_event(event),
        }
    }

    /// GstBaseSink wants caps to have every field of the template; those of
    /// `rtpopusdepay` have no rate where the sender told none.
    fn query(&self, query: &mut gst::QueryRef) -> bool {
        let gst::QueryViewMut::AcceptCaps(accept) = query.view_mut() else {
            return BaseSinkImplExt::parent_query(self, query);
        };
        let takes = accept.caps().can_intersect(&caps::template());
        accept.set_result(takes);
        true
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        if let Some(connection) = self.connection() {
            connection.interrupt();
        }
        Ok(())
    }
}
