// SPDX-License-Identifier: MPL-2.0

//! An element between a feed and a tape, in a pipeline whose clock the test moves.

use crate::common::dialogue::Dialogue;
use crate::common::feed::{CAPS, Feed, MS};
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::{Pipeline, init, until};
use crate::tape::Tape;
use gst::prelude::*;

/// Properties with which audio that comes faster than time is sent as it comes.
pub const QUICK: &str = "catch-up-rate=1000";

/// An element, its pipeline, its upstream and its downstream.
pub struct Scene {
    pub pipeline: Pipeline,
    pub feed: Feed,
    pub tape: Tape,
    pub clock: Option<gst_check::TestClock>,
}

impl Scene {
    /// Returns a scene in NULL, with audio that is not live.
    pub fn new(properties: &str) -> Self {
        Self::with(properties, Feed::of, None)
    }

    /// Returns a scene in NULL, with live audio and a clock that stands at zero.
    pub fn live(properties: &str) -> Self {
        init();
        Self::with(properties, Feed::live, Some(gst_check::TestClock::new()))
    }

    /// Returns a scene in NULL, with live audio and the clock of the system.
    pub fn in_real_time(properties: &str) -> Self {
        Self::with(properties, Feed::live, None)
    }

    fn with(
        properties: &str,
        feed: impl FnOnce(&gst::Element) -> Feed,
        clock: Option<gst_check::TestClock>,
    ) -> Self {
        let (pipeline, element) = Pipeline::around(&format!("symbltranscriber {properties}"));
        if let Some(clock) = &clock {
            pipeline.pipeline.use_clock(Some(clock));
        }
        Self {
            feed: feed(&element),
            tape: Tape::behind(&element),
            pipeline,
            clock,
        }
    }

    /// Starts the pipeline, and pushes stream start, caps (16 kHz) and a segment from zero.
    pub fn begin(&self) {
        self.pipeline.play();
        assert!(self.feed.begin(CAPS));
    }

    /// Returns a scene at whose end a thread pushes EOS and waits for results that never come.
    pub fn draining() -> (Self, Peer, std::thread::JoinHandle<bool>) {
        let peer = Peer::start(Script::no_stop_answer());
        let mut scene = Self::new(&format!(
            "base-url={} drain-timeout=3600000",
            peer.base_url()
        ));
        scene.begin();
        scene.feed.hush(200).expect("room");
        let pad = scene.feed.pad.clone();
        let ending = std::thread::spawn(move || pad.push_event(gst::event::Eos::new()));
        scene.pipeline.wait_for_state("stopping");
        (scene, peer, ending)
    }

    pub fn element(&self) -> gst::Element {
        self.pipeline.sink()
    }

    /// Returns the scene as a dialogue with its peer, the tape and the clock.
    pub fn with_peer(self, peer: Peer) -> Exchange {
        Exchange {
            dialogue: Dialogue::between(self.pipeline, self.feed, peer),
            tape: self.tape,
            clock: self.clock,
        }
    }

    /// Sets the running time of the pipeline, in milliseconds.
    pub fn set_time(&self, millis: u64) {
        set_time(self.clock.as_ref(), millis);
    }

    /// Pushes samples at 16 kHz as a live source does: the clock is at the end of each
    /// buffer when it comes.
    pub fn speak(&self, samples: &[i16]) {
        speak(&self.feed, samples, self.clock.as_ref());
    }

    /// Pushes samples at 16 kHz, each buffer when the clock of the system has reached its end.
    pub fn speak_in_time(&self, samples: &[i16]) {
        let clock = self.pipeline.pipeline.clock().expect("it plays");
        let base = self.element().base_time().expect("it plays");
        for piece in samples.chunks(320) {
            let duration = gst::ClockTime::from_nseconds(piece.len() as u64 * MS / 16);
            let start = gst::ClockTime::from_nseconds(self.feed.next());
            let end = clock.new_single_shot_id(base + start + duration);
            let (reached, _) = end.wait();
            let late = Err(gst::ClockError::Early); // a busy machine
            assert!(reached.is_ok() || reached == late, "{reached:?}");
            self.feed.speak(piece).expect("it flows");
        }
    }

    /// Pushes the end, and waits until it has come out.
    pub fn end(&self) {
        assert!(self.feed.end());
        self.tape.wait_for_eos();
    }
}

/// A scene with a peer whose words the test says.
pub struct Exchange {
    pub dialogue: Dialogue,
    pub tape: Tape,
    pub clock: Option<gst_check::TestClock>,
}

impl Exchange {
    /// Starts a scene with live audio, which the peer of this script hears.
    pub fn live(script: Script, properties: &str) -> Self {
        let peer = Peer::start(script);
        let address = format!("base-url={} {QUICK} {properties}", peer.base_url());
        let scene = Scene::live(&address);
        scene.begin();
        scene.with_peer(peer)
    }

    /// Starts a scene with audio that is not live.
    pub fn new(script: Script, properties: &str) -> Self {
        let peer = Peer::start(script);
        let scene = Scene::new(&format!("base-url={} {properties}", peer.base_url()));
        scene.begin();
        scene.with_peer(peer)
    }

    /// Pushes this much silence, and waits until the peer has it. The clock stays.
    pub fn hush(&mut self, millis: usize) {
        let pushed = self.dialogue.feed.next() / MS;
        wait_for_state(&self.dialogue.pipeline, "listening");
        self.dialogue.feed.hush(millis).expect("it flows");
        let all = (pushed as usize + millis) * 32;
        self.dialogue
            .wait(|record| record.audio().len() >= all - 100 * 32);
    }

    /// Sets the running time of the pipeline, in milliseconds.
    pub fn set_time(&self, millis: u64) {
        set_time(self.clock.as_ref(), millis);
    }
}

/// Pushes samples at 16 kHz, and moves the clock along if there is one.
pub fn speak(feed: &Feed, samples: &[i16], clock: Option<&gst_check::TestClock>) {
    for piece in samples.chunks(320) {
        if clock.is_some() {
            set_time(clock, feed.next() / MS + piece.len() as u64 / 16);
        }
        feed.speak(piece).expect("it flows");
    }
}

fn set_time(clock: Option<&gst_check::TestClock>, millis: u64) {
    let clock = clock.expect("a clock that the test moves");
    clock.set_time(gst::ClockTime::from_mseconds(millis));
}

/// Waits until a property of the session shows its state.
pub fn wait_for_state(pipeline: &Pipeline, state: &str) {
    until(state, || pipeline.state() == state);
}
