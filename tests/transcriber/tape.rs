// SPDX-License-Identifier: MPL-2.0

//! A pad behind the text pad that keeps all that comes, in order.
//!
//! It plays the downstream of the element: it can hold a push back, and answer it with a flow
//! error.

use crate::common::pipeline::BOUND;
use crate::track::{Checked, check};
use gst::prelude::*;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What has come.
#[derive(Debug, Clone)]
pub enum Item {
    Event(gst::Event),
    Buffer(gst::Buffer),
}

/// Something that has come, and when.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Running time of the pipeline at that moment, in nanoseconds, if it played.
    pub running_time: Option<u64>,
    pub item: Item,
}

impl Entry {
    /// Returns the event of this type, if it is one.
    pub fn event(&self, kind: gst::EventType) -> Option<&gst::Event> {
        match &self.item {
            Item::Event(event) => Some(event).filter(|event| event.type_() == kind),
            Item::Buffer(_) => None,
        }
    }

    /// Returns the structure of a custom event of this name, if it is one.
    pub fn custom(&self, name: &str) -> Option<&gst::StructureRef> {
        let event = self.event(gst::EventType::CustomDownstream)?;
        event.structure().filter(|s| s.name() == name)
    }

    /// Returns the text, if it is one.
    pub fn text(&self) -> Option<String> {
        let Item::Buffer(buffer) = &self.item else {
            return None;
        };
        let map = buffer.map_readable().expect("memory");
        Some(String::from_utf8(map.to_vec()).expect("UTF-8"))
    }
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    /// Pushes of buffers wait.
    holds: bool,
    /// A push waits.
    held: bool,
    flushing: bool,
    answer: Option<gst::FlowError>,
    element: Option<gst::glib::WeakRef<gst::Element>>,
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

    fn keep(&self, item: Item) {
        let element = self.lock().element.clone().and_then(|weak| weak.upgrade());
        let playing = element.filter(|element| element.current_state() == gst::State::Playing);
        let running_time = playing.and_then(|element| element.current_running_time());
        self.lock().entries.push(Entry {
            running_time: running_time.map(gst::ClockTime::nseconds),
            item,
        });
        self.changed.notify_all();
    }

    fn take(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut state = self.lock();
        state.held = state.holds;
        self.changed.notify_all();
        let mut state = (self.changed)
            .wait_while(state, |state| state.holds && !state.flushing)
            .unwrap_or_else(PoisonError::into_inner);
        state.held = false;
        if state.flushing {
            return Err(gst::FlowError::Flushing);
        }
        if let Some(answer) = state.answer {
            return Err(answer);
        }
        drop(state);
        self.keep(Item::Buffer(buffer));
        Ok(gst::FlowSuccess::Ok)
    }

    fn note(&self, event: &gst::Event) {
        match event.type_() {
            gst::EventType::FlushStart => self.lock().flushing = true,
            gst::EventType::FlushStop => self.lock().flushing = false,
            _ => {}
        }
        self.keep(Item::Event(event.clone()));
    }
}

/// A recording of the text pad of an element.
pub struct Tape {
    pub pad: gst::Pad,
    shared: Arc<Shared>,
}

impl Tape {
    /// Returns a tape that is linked to nothing yet.
    pub fn new() -> Self {
        let shared = Arc::<Shared>::default();
        let (chains, events) = (Arc::clone(&shared), Arc::clone(&shared));
        let pad = gst::Pad::builder(gst::PadDirection::Sink)
            .name("tape")
            .chain_function(move |_, _, buffer| chains.take(buffer))
            .event_function(move |_, _, event| {
                events.note(&event);
                true
            })
            .build();
        pad.set_active(true).expect("a sink pad");
        Self { pad, shared }
    }

    /// Returns a tape behind an element.
    pub fn behind(element: &gst::Element) -> Self {
        let tape = Self::new();
        tape.link(element);
        tape
    }

    /// Returns a tape of what comes at the pad of a real sink.
    pub fn beside(pad: &gst::Pad) -> Self {
        let shared = Arc::<Shared>::default();
        let kept = Arc::clone(&shared);
        let all = gst::PadProbeType::EVENT_DOWNSTREAM
            | gst::PadProbeType::EVENT_FLUSH
            | gst::PadProbeType::BUFFER;
        pad.add_probe(all, move |_, info| {
            match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => kept.keep(Item::Buffer(buffer.clone())),
                Some(gst::PadProbeData::Event(event)) => kept.keep(Item::Event(event.clone())),
                _ => {}
            }
            gst::PadProbeReturn::Ok
        });
        let pad = pad.clone();
        Self { pad, shared }
    }

    /// Links the tape to an element.
    pub fn link(&self, element: &gst::Element) {
        self.shared.lock().element = Some(element.downgrade());
        let src = element.static_pad("src").expect("a text pad");
        src.link(&self.pad).expect("pads fit");
    }

    /// Lets pushes of buffers wait until a flush or a release, or releases them.
    pub fn hold(&self, holds: bool) {
        self.shared.lock().holds = holds;
        self.shared.changed.notify_all();
    }

    /// Waits until a push is held.
    pub fn wait_until_held(&self) {
        self.wait_while("a push that waits", |state| !state.held);
    }

    /// Answers the pushes that follow with this error.
    pub fn refuse(&self, error: Option<gst::FlowError>) {
        self.shared.lock().answer = error;
    }

    /// Returns all that has come.
    pub fn entries(&self) -> Vec<Entry> {
        self.shared.lock().entries.clone()
    }

    /// Forgets all that has come.
    pub fn clear(&self) {
        self.shared.lock().entries.clear();
    }

    /// Returns the texts that have come.
    pub fn texts(&self) -> Vec<String> {
        self.entries().iter().filter_map(Entry::text).collect()
    }

    /// Checks all that has come: see [`check`].
    pub fn check(&self) -> Checked {
        check(&self.entries())
    }

    fn wait_while(&self, what: &str, not_yet: impl Fn(&State) -> bool) {
        let state = self.shared.lock();
        let (state, timeout) = (self.shared.changed)
            .wait_timeout_while(state, BOUND, |state| not_yet(state))
            .unwrap_or_else(PoisonError::into_inner);
        let last: Vec<_> = state.entries.iter().rev().take(12).collect();
        assert!(!timeout.timed_out(), "no {what}; the last were {last:#?}");
    }

    /// Waits until this is true for all that has come.
    pub fn wait_for(&self, what: &str, reached: impl Fn(&[Entry]) -> bool) {
        self.wait_while(what, |state| !reached(&state.entries));
    }

    /// Waits until the end of the stream has come.
    pub fn wait_for_eos(&self) {
        self.wait_for("EOS", |entries| {
            let last = entries.last();
            last.is_some_and(|last| last.event(gst::EventType::Eos).is_some())
        });
    }

    /// Waits until this many texts have come.
    pub fn wait_for_texts(&self, count: usize) {
        self.wait_for(&format!("{count} texts"), |entries| {
            entries.iter().filter(|e| e.text().is_some()).count() >= count
        });
    }

    /// Waits until the pad is covered up to this running time, in nanoseconds.
    pub fn wait_until_covered(&self, until: u64) {
        self.wait_for(&format!("cover up to {until}"), |entries| {
            check(entries).covered >= until
        });
    }
}
