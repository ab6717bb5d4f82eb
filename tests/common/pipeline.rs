// SPDX-License-Identifier: MPL-2.0

//! Pipelines with an element of ours named `sink`, and the messages that they post.

use gst::glib;
use gst::prelude::*;
use std::io::Write;
use std::sync::{Once, mpsc};
use std::time::{Duration, Instant};

/// Longest wait before a test fails. It is far longer than any wait on a busy machine.
pub const BOUND: Duration = Duration::from_secs(180);

/// Runs a call that cannot be cancelled. If it does not return within [`BOUND`], prints its
/// name and aborts the tests.
pub fn bounded<R>(what: &str, call: impl FnOnce() -> R) -> R {
    let (done, over) = mpsc::channel::<()>();
    let what = what.to_owned();
    let watch = std::thread::spawn(move || {
        if over.recv_timeout(BOUND) == Err(mpsc::RecvTimeoutError::Timeout) {
            // The test runner captures `eprintln!`, and an abort would lose it.
            let _ = writeln!(std::io::stderr(), "{what} hangs: no return in {BOUND:?}");
            std::process::abort();
        }
    });
    let result = call();
    drop(done);
    watch.join().expect("a watch");
    result
}

/// Initialises GStreamer with the plugin of this build, once per process.
pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().expect("GStreamer");
        // A critical shows wrong use of GStreamer and ends the tests.
        let fatal = glib::LogLevels::LEVEL_CRITICAL | glib::LogLevels::LEVEL_ERROR;
        glib::log_set_always_fatal(fatal);
        gstsymbl::plugin_register_static().expect("the plugin");
    });
}

/// A pipeline and the messages that it has posted so far.
pub struct Pipeline {
    pub pipeline: gst::Pipeline,
    pub messages: Vec<gst::Message>,
}

impl Pipeline {
    /// Makes a pipeline from a `gst-launch-1.0` line, in NULL.
    pub fn launch(line: &str) -> Self {
        init();
        let pipeline = gst::parse::launch(line)
            .unwrap_or_else(|error| panic!("{line}: {error}"))
            .downcast::<gst::Pipeline>()
            .expect("more than one element");
        Self {
            pipeline,
            messages: Vec::new(),
        }
    }

    /// Makes a pipeline with nothing but an element, described as for `gst-launch-1.0`, in
    /// NULL. Returns it and the element.
    pub fn around(element: &str) -> (Self, gst::Element) {
        init();
        let sink = gst::parse::launch(&format!("{element} name=sink"))
            .unwrap_or_else(|error| panic!("{element}: {error}"));
        let pipeline = gst::Pipeline::new();
        pipeline.add(&sink).expect("a new pipeline");
        let pipeline = Self {
            pipeline,
            messages: Vec::new(),
        };
        (pipeline, sink)
    }

    /// Makes a pipeline with an `appsrc name=src` that is not live before the sink, in NULL.
    /// `properties` are the sink's.
    pub fn appsrc(caps: &str, properties: &str) -> Self {
        Self::launch(&format!(
            "appsrc name=src format=time block=true max-bytes=1000000 caps=\"{caps}\" \
             ! symblsink name=sink sync=false {properties}"
        ))
    }

    pub fn sink(&self) -> gst::Element {
        self.pipeline.by_name("sink").expect("a sink")
    }

    pub fn src(&self) -> gst_app::AppSrc {
        let src = self.pipeline.by_name("src").expect("a source");
        src.downcast().expect("an appsrc")
    }

    pub fn play(&self) {
        self.set_state(gst::State::Playing);
    }

    /// Sets a state, and does not wait for an asynchronous change.
    pub fn set_state(&self, state: gst::State) {
        bounded(&format!("the change to {state:?}"), || {
            self.pipeline.set_state(state)
        })
        .expect("a state change");
    }

    pub fn state(&self) -> String {
        let value = self.sink().property_value("state");
        let (_, state) = glib::EnumValue::from_value(&value).expect("an enum");
        state.nick().to_owned()
    }

    /// Takes messages until `fits` returns `true` for one, and returns it. Fails after
    /// [`BOUND`], or if the pipeline posts an error that does not fit.
    pub fn wait_for(&mut self, what: &str, fits: impl Fn(&gst::Message) -> bool) -> gst::Message {
        let bus = self.pipeline.bus().expect("a bus");
        let end = Instant::now() + BOUND;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let left = gst::ClockTime::from_nseconds(u64::try_from(left.as_nanos()).unwrap_or(0));
            let Some(message) = bus.timed_pop(left) else {
                panic!("no {what} within {BOUND:?}; posted: {:#?}", self.names());
            };
            self.messages.push(message.clone());
            if fits(&message) {
                return message;
            }
            if let gst::MessageView::Error(error) = message.view() {
                panic!(
                    "error while waiting for {what}: {} {:?}",
                    error.error(),
                    error.debug()
                );
            }
        }
    }

    /// Waits for the next element message `symbl/<kind>`.
    pub fn wait_for_kind(&mut self, kind: &str) -> gst::Structure {
        let name = format!("symbl/{kind}");
        let message = self.wait_for(&name, |message| {
            structure_of(message).is_some_and(|s| s.name() == &name)
        });
        structure_of(&message).expect("fits").to_owned()
    }

    /// Waits for the message that the sink has reached a state (`listening`, …).
    pub fn wait_for_state(&mut self, state: &str) {
        self.wait_for(state, |message| {
            structure_of(message)
                .is_some_and(|s| s.name() == "symbl/state" && s.get::<&str>("state") == Ok(state))
        });
    }

    /// Waits for the EOS message of the pipeline.
    pub fn wait_for_eos(&mut self) {
        self.wait_for("EOS", |message| message.type_() == gst::MessageType::Eos);
    }

    /// Takes all posted messages, without waiting.
    pub fn collect(&mut self) {
        let bus = self.pipeline.bus().expect("a bus");
        while let Some(message) = bus.pop() {
            self.messages.push(message);
        }
    }

    /// Returns all `symbl/<kind>` structures so far.
    pub fn of_kind(&self, kind: &str) -> Vec<gst::Structure> {
        let name = format!("symbl/{kind}");
        self.messages
            .iter()
            .filter_map(structure_of)
            .filter(|s| s.name() == &name)
            .map(ToOwned::to_owned)
            .collect()
    }

    /// Returns the final transcripts so far.
    pub fn finals(&self) -> Vec<gst::Structure> {
        let mut finals = self.of_kind("transcript");
        finals.retain(|s| s.get::<bool>("is-final") == Ok(true));
        finals
    }

    /// Returns the words of all final transcripts so far: see [`words_of`].
    pub fn words(&self) -> Vec<(String, u64)> {
        words_of(&self.finals())
    }

    /// Returns all messages so far as text, for failures.
    pub fn names(&self) -> Vec<String> {
        self.messages
            .iter()
            .map(|m| match structure_of(m) {
                Some(s) => s.to_string(),
                None => format!("{:?}", m.type_()),
            })
            .collect()
    }

    /// Sets NULL, and returns how long that took.
    pub fn stop(&self) -> Duration {
        let begin = Instant::now();
        self.set_state(gst::State::Null);
        begin.elapsed()
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = bounded("the change to Null", || {
            self.pipeline.set_state(gst::State::Null)
        });
    }
}

fn structure_of(message: &gst::Message) -> Option<&gst::StructureRef> {
    (message.type_() == gst::MessageType::Element)
        .then(|| message.structure())
        .flatten()
}

/// Returns the words of transcripts or messages in lower case, without the punctuation that
/// the service adds, with their running times in nanoseconds.
pub fn words_of(structures: &[gst::Structure]) -> Vec<(String, u64)> {
    structures
        .iter()
        .flat_map(|s| {
            let words = s.get::<&str>("words").expect("words");
            let words: Vec<serde_json::Value> = serde_json::from_str(words).expect("JSON");
            words
                .into_iter()
                .map(|w| {
                    let text = w["word"].as_str().expect("a word");
                    let text = text
                        .trim_matches(|c: char| !c.is_alphanumeric())
                        .to_lowercase();
                    (text, w["running-time"].as_u64().expect("a running time"))
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Returns the bytes of S16LE samples.
pub fn bytes_of(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|s| s.to_le_bytes()).collect()
}

/// Returns a buffer with these times, in nanoseconds.
pub fn buffer(data: Vec<u8>, pts: Option<u64>, duration: Option<u64>) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice(data);
    let inner = buffer.get_mut().expect("a new buffer");
    inner.set_pts(pts.map(gst::ClockTime::from_nseconds));
    inner.set_duration(duration.map(gst::ClockTime::from_nseconds));
    buffer
}

/// Returns the counters of a sink.
pub fn stats(sink: &gst::Element) -> gst::Structure {
    sink.property::<gst::Structure>("stats")
}

/// Returns one of the counters of a sink.
pub fn counted(sink: &gst::Element, name: &str) -> u64 {
    stats(sink).get(name).expect("a counter")
}

/// Polls until `reached` returns `true`, for states without an event. Fails after [`BOUND`].
pub fn until(what: &str, reached: impl Fn() -> bool) {
    let end = Instant::now() + BOUND;
    while !reached() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
