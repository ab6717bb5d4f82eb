// SPDX-License-Identifier: MPL-2.0

//! The element itself: the calls of GObject, GstElement and GstBaseSink.
//!
//! This module hands the calls on to [`crate::element`] and decides nothing.
//! `docs/checklist.md` lists the rules of GStreamer that it follows.

use super::{ending, gate};
use crate::element::feed::{self, Feed};
use crate::element::life::{self, Life};
use crate::element::{SymblElement, caps, host, properties, upstream_is_live};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use std::sync::LazyLock;

/// Debug category of the element.
pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "symblsink",
        gst::DebugColorFlags::empty(),
        Some("Live transcription sink"),
    )
});

/// The element's private part.
#[derive(Default)]
pub struct SymblSink {
    life: Life,
    /// The state of the streaming thread.
    feed: Feed,
}

impl SymblElement for super::SymblSink {
    fn category() -> gst::DebugCategory {
        *CAT
    }

    fn life(&self) -> &Life {
        &self.imp().life
    }

    fn feed(&self) -> &Feed {
        &self.imp().feed
    }

    fn audio_pad(&self) -> &gst::Pad {
        self.sink_pad()
    }

    fn waits_for_the_clock(&self) -> bool {
        self.is_sync()
    }
}

#[glib::object_subclass]
impl ObjectSubclass for SymblSink {
    const NAME: &'static str = "GstSymblSink";
    type Type = super::SymblSink;
    type ParentType = gst_base::BaseSink;

    fn class_init(class: &mut Self::Class) {
        // The bindings set these for every subclass. If they are set, GstBaseSink computes the
        // times of each buffer twice, and this element has nothing to prepare.
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
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(host::signals);
        &SIGNALS
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.life.read_environment();
        let obj = self.obj();
        // A pipeline must not wait for its transcribing branch to reach PAUSED.
        obj.set_async(false);
        obj.set_enable_last_sample(false);
        obj.set_qos(false);
        obj.set_max_lateness(-1);
        obj.set_processing_deadline(gst::ClockTime::ZERO);
        gate::watch_events(&obj);
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        life::set_property(&*self.obj(), value, pspec);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        life::property(&*self.obj(), pspec)
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
        let obj = self.obj();
        match transition {
            // Not in start(), after whose failure BaseSink would post an error of its own.
            gst::StateChange::NullToReady => life::check(&*obj)?,
            gst::StateChange::ReadyToPaused => life::open(&*obj)?,
            gst::StateChange::PausedToPlaying => life::resume(&*obj),
            _ => {}
        }
        let result = self.parent_change_state(transition);
        match transition {
            // After the parent's change, no buffer is on its way any more.
            gst::StateChange::PlayingToPaused => life::pause(&*obj),
            gst::StateChange::PausedToReady => life::close(&*obj),
            gst::StateChange::ReadyToPaused if result.is_err() => life::close(&*obj),
            _ => {}
        }
        result
    }

    fn send_event(&self, event: gst::Event) -> bool {
        // The latency of a live pipeline lets its sinks play in step. Captions need not be in
        // step: the sooner the audio leaves, the better. So BaseSink gets a latency of zero,
        // and upstream gets the real one.
        if let gst::EventView::Latency(_) = event.view()
            && upstream_is_live(&*self.obj())
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
        self.feed.reset();
        Ok(())
    }

    fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        feed::set_caps(&*self.obj(), caps).map_err(|problem| gst::loggable_error!(CAT, "{problem}"))
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let has_room = match self.feed.take_steady(&self.life, buffer)? {
            Some(has_room) => has_room,
            None => {
                let obj = self.obj();
                feed::take(&*obj, buffer, || obj.segment())?
            }
        };
        if !has_room {
            gate::close(&self.obj());
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn event(&self, event: gst::Event) -> bool {
        let obj = self.obj();
        match event.view() {
            gst::EventView::Segment(segment) => {
                feed::set_segment(&*obj, segment.segment()) && self.parent_event(event)
            }
            gst::EventView::Gap(gap) => {
                self.feed.place_anew();
                let (start, duration) = gap.get();
                let result = self.parent_event(event.clone());
                if let Some(duration) = duration {
                    feed::take_gap(&*obj, &obj.segment(), start, duration);
                }
                result
            }
            gst::EventView::FlushStop(_) => {
                let result = self.parent_event(event);
                feed::flush(&*obj);
                result
            }
            gst::EventView::Eos(_) => {
                let result = self.parent_event(event);
                ending::report_playing_again(&obj);
                result
            }
            _ => self.parent_event(event),
        }
    }

    /// Answers an ACCEPT_CAPS query. GstBaseSink would require every field of the template,
    /// but the caps of `rtpopusdepay` have no rate if the sender did not state one.
    fn query(&self, query: &mut gst::QueryRef) -> bool {
        let gst::QueryViewMut::AcceptCaps(accept) = query.view_mut() else {
            return BaseSinkImplExt::parent_query(self, query);
        };
        let takes = accept.caps().can_intersect(&caps::template());
        accept.set_result(takes);
        true
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        if let Some(connection) = self.life.connection() {
            connection.interrupt();
        }
        Ok(())
    }
}
