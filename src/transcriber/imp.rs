// SPDX-License-Identifier: MPL-2.0

//! The element itself: the calls of GObject and GstElement.
//!
//! This module hands the calls on and decides nothing. `docs/checklist.md` lists the rules
//! of GStreamer that it follows.

use super::output::Output;
use super::{input, text};
use crate::element::feed::Feed;
use crate::element::life::{self, Life};
use crate::element::{SymblElement, caps, host, properties};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::LazyLock;
use symbl_client::session::Event;

/// Debug category of the element.
pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "symbltranscriber",
        gst::DebugColorFlags::empty(),
        Some("Live transcription with a text pad"),
    )
});

/// The element's private part.
pub struct SymblTranscriber {
    life: Life,
    /// The state of the thread that brings audio.
    feed: Feed,
    /// What waits for the text pad.
    pub(super) output: Output,
    /// The pad that takes audio.
    pub(super) sink_pad: gst::Pad,
    /// The pad that gives text.
    pub(super) src_pad: gst::Pad,
}

impl SymblElement for super::SymblTranscriber {
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
        &self.imp().sink_pad
    }

    fn waits_for_the_clock(&self) -> bool {
        false
    }

    fn has_text_pad(&self) -> bool {
        true
    }

    fn take_event(&self, event: &Event) {
        self.imp().output.take(self, event);
    }
}

#[glib::object_subclass]
impl ObjectSubclass for SymblTranscriber {
    const NAME: &'static str = "GstSymblTranscriber";
    type Type = super::SymblTranscriber;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let template = |name| class.pad_template(name).expect("a template of this class");
        Self {
            life: Life::default(),
            feed: Feed::default(),
            output: Output::default(),
            sink_pad: input::pad(&template("sink")),
            src_pad: text::pad(&template("src")),
        }
    }
}

impl ObjectImpl for SymblTranscriber {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(properties::text_specs);
        &PROPERTIES
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(host::signals);
        &SIGNALS
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.life.read_environment();
        self.life.note_track(Default::default());
        let obj = self.obj();
        for pad in [&self.sink_pad, &self.src_pad] {
            if let Err(error) = obj.add_pad(pad) {
                gst::error!(CAT, imp = self, "A pad could not be added: {error}");
            }
        }
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        life::set_property(&*self.obj(), value, pspec);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        life::property(&*self.obj(), pspec)
    }
}

impl GstObjectImpl for SymblTranscriber {}

impl ElementImpl for SymblTranscriber {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Symbl live transcriber",
                "Audio/Text/Filter",
                "Streams speech to a Symbl Streaming API service and gives its text, for captions \
                 in step with the sound",
                "The gst-plugin-symbl authors",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let always = gst::PadPresence::Always;
            let sink = (gst::PadDirection::Sink, caps::template());
            let src = (gst::PadDirection::Src, text::caps());
            [("sink", sink), ("src", src)]
                .into_iter()
                .filter_map(|(name, (direction, caps))| {
                    gst::PadTemplate::new(name, direction, always, &caps).ok()
                })
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
            gst::StateChange::NullToReady => life::check(&*obj)?,
            gst::StateChange::ReadyToPaused => {
                self.feed.reset();
                self.output.reset(&obj, &self.life.settings());
            }
            gst::StateChange::PausedToPlaying => life::resume(&*obj),
            // The clock stands from here on, and so does the promise of the text pad.
            gst::StateChange::PlayingToPaused => self.output.set_playing(false),
            _ => {}
        }
        let result = self.parent_change_state(transition);
        match transition {
            gst::StateChange::PausedToPlaying => self.output.set_playing(true),
            gst::StateChange::PlayingToPaused => life::pause(&*obj),
            // The pads are inactive by now, so that no buffer is on its way.
            gst::StateChange::PausedToReady => {
                life::close(&*obj);
                self.output.conclude(&obj);
            }
            _ => {}
        }
        result
    }
}
