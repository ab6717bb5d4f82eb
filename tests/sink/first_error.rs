// SPDX-License-Identifier: MPL-2.0

//! The ERROR of the sink says why the stream ended. It comes before the ERROR of the source,
//! which knows only that its push failed, however slow the application is.

use crate::common::feed::{CAPS, Feed};
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::{BOUND, Pipeline, counted};
use gst::prelude::*;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

/// The names of the elements that posted an ERROR, in the order of the messages.
type Errors = Arc<Mutex<Vec<String>>>;

/// Calls `held` for each `symbl/state` message about the failure, in the thread that posts it.
/// Returns the elements that post errors.
fn with_handler(pipeline: &Pipeline, held: impl Fn(&Errors) + Send + Sync + 'static) -> Errors {
    let errors = Errors::default();
    let noted = Arc::clone(&errors);
    let bus = pipeline.pipeline.bus().expect("a bus");
    bus.set_sync_handler(move |_, message| {
        if let (gst::MessageView::Error(_), Some(src)) = (message.view(), message.src()) {
            noted.lock().expect("not poisoned").push(src.name().into());
        }
        let state = message
            .structure()
            .filter(|s| s.name() == "symbl/state")
            .and_then(|s| s.get::<&str>("state").ok());
        if state == Some("failed") {
            held(&noted);
        }
        gst::BusSyncReply::Pass
    });
    errors
}

#[test]
fn the_error_of_the_sink_comes_first_however_slow_the_application_is() {
    let peer = Peer::start(Script::http(401, &[], ""));
    let mut pipeline = Pipeline::launch(&format!(
        "audiotestsrc name=source ! {CAPS} ! symblsink name=sink sync=false leaky=oldest base-url={}",
        peer.base_url()
    ));
    let sink = pipeline.sink();
    // The handler blocks until more audio has come, or the source has given up.
    let errors = with_handler(&pipeline, move |errors| {
        let end = Instant::now() + BOUND;
        let before = counted(&sink, "audio-dropped");
        while counted(&sink, "audio-dropped") == before
            && errors.lock().expect("not poisoned").is_empty()
        {
            assert!(Instant::now() < end, "the source neither goes on nor ends");
            std::thread::yield_now();
        }
    });
    pipeline.play();
    for which in ["the first error", "the second error"] {
        pipeline.wait_for(which, |m| m.type_() == gst::MessageType::Error);
    }
    assert_eq!(*errors.lock().expect("not poisoned"), ["sink", "source"]);
}

#[test]
fn audio_goes_on_being_taken_until_the_error_is_on_the_bus() {
    let peer = Peer::start(Script::http(401, &[], ""));
    let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={}", peer.base_url()));
    let gate: Arc<(Mutex<(bool, bool)>, Condvar)> = Arc::default();
    let handler = Arc::clone(&gate);
    let errors = with_handler(&pipeline, move |_| {
        let (state, changed) = &*handler;
        let mut state = state.lock().expect("not poisoned");
        state.0 = true;
        changed.notify_all();
        let (_state, _) = changed
            .wait_timeout_while(state, BOUND, |state| !state.1)
            .expect("not poisoned");
    });
    pipeline.play();
    assert!(feed.begin(CAPS));
    let (state, changed) = &*gate;
    let entered = changed
        .wait_timeout_while(state.lock().expect("not poisoned"), BOUND, |s| !s.0)
        .expect("not poisoned");
    assert!(entered.0.0, "the failure was told");
    drop(entered);
    feed.hush(200).expect("nothing was said on the bus yet");
    state.lock().expect("not poisoned").1 = true;
    changed.notify_all();
    pipeline.wait_for("the error", |m| m.type_() == gst::MessageType::Error);
    assert_eq!(*errors.lock().expect("not poisoned"), ["sink"]);
    assert_eq!(feed.refusal(), gst::FlowError::Error);
    pipeline.collect();
    assert_eq!(*errors.lock().expect("not poisoned"), ["sink"], "once");
}
