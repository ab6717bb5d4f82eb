// SPDX-License-Identifier: MPL-2.0

//! Bus messages besides results, calls from their handlers back into the element, and the
//! counters.

use crate::common::feed::{CAPS, Feed, MS};
use crate::common::peer::{Message, Peer, Script};
use crate::common::pipeline::{BOUND, Pipeline, counted, until};
use crate::common::service::Service;
use gst::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use symbl_service::recognizer::scripted;

/// Returns the PROGRESS messages so far.
fn progress(pipeline: &Pipeline) -> Vec<(gst::ProgressType, String)> {
    pipeline
        .messages
        .iter()
        .filter_map(|message| match message.view() {
            gst::MessageView::Progress(progress) => {
                let (kind, code, _) = progress.get();
                Some((kind, code.to_owned()))
            }
            _ => None,
        })
        .collect()
}

fn is_progress(message: &gst::Message, wanted: gst::ProgressType) -> bool {
    match message.view() {
        gst::MessageView::Progress(progress) => progress.get().0 == wanted,
        _ => false,
    }
}

use gst::ProgressType::{Canceled, Complete, Error, Start};

#[test]
fn progress_shows_connecting_and_disconnecting() {
    let peer = Peer::start(Script::listening());
    let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={}", peer.base_url()));
    pipeline.play();
    assert!(feed.begin(CAPS));
    feed.hush(300).expect("there is room");
    pipeline.wait_for_state("listening");
    assert!(feed.end());
    pipeline.wait_for_eos();
    let connect = || "connect".to_owned();
    let disconnect = || "disconnect".to_owned();
    assert_eq!(
        progress(&pipeline),
        [
            (Start, connect()),
            (Complete, connect()),
            (Start, disconnect()),
            (Complete, disconnect())
        ]
    );
    // The progress began during the state change, before any message about the network.
    let position = |fits: &dyn Fn(&gst::Message) -> bool| pipeline.messages.iter().position(fits);
    let begun = position(&|m| is_progress(m, Start));
    let state = position(&|m| m.structure().is_some_and(|s| s.name() == "symbl/state"));
    assert!(begun < state);
}

#[test]
fn a_service_that_is_away_leaves_no_progress_open() {
    // One service refuses at once, and one does not answer at all.
    for script in [Script::http(503, &[], ""), Script::black_hole()] {
        let peer = Peer::start(script);
        let (mut pipeline, _feed) = Feed::pipeline(&format!(
            "base-url={} connect-timeout=3600000",
            peer.base_url()
        ));
        pipeline.play();
        pipeline.wait_for("an end of it", |m| is_progress(m, Canceled));
        let names = ["connect".to_owned(), "connect".to_owned()];
        let kinds = progress(&pipeline);
        assert_eq!(
            kinds.iter().map(|p| p.0).collect::<Vec<_>>(),
            [Start, Canceled]
        );
        assert_eq!(kinds.iter().map(|p| p.1.clone()).collect::<Vec<_>>(), names);
    }
}

#[test]
fn an_error_precedes_the_end_of_its_progress() {
    let peer = Peer::start(Script::http(401, &[], r#"{"message":"no"}"#));
    let (mut pipeline, _feed) = Feed::pipeline(&format!("base-url={}", peer.base_url()));
    pipeline.play();
    pipeline.wait_for("an error", |m| m.type_() == gst::MessageType::Error);
    assert_eq!(progress(&pipeline), [(Start, "connect".to_owned())]);
    pipeline.wait_for("the end of it", |m| is_progress(m, Error));
}

#[test]
fn stopping_cancels_progress() {
    let peer = Peer::start(Script::black_hole());
    let (mut pipeline, _feed) = Feed::pipeline(&format!("base-url={}", peer.base_url()));
    pipeline.pipeline.set_auto_flush_bus(false);
    pipeline.play();
    pipeline.stop();
    pipeline.collect();
    let kinds: Vec<_> = progress(&pipeline).into_iter().map(|p| p.0).collect();
    assert_eq!(kinds, [Start, Canceled]);
}

#[test]
fn no_message_comes_after_the_state_change_to_null() {
    let text = r#"{"type":"message_response","messages":[{"payload":{"content":"again"}}]}"#;
    let chatter = vec![Message::text(text); 5000];
    let chatty = Peer::start(Script::say(chatter));
    let silent = Peer::start(Script::black_hole());
    let stopped = Arc::new(AtomicBool::new(false));
    let late = Arc::new(Mutex::new(Vec::new()));
    let mut kept = Vec::new();
    for (peer, from) in [(&chatty, "symbl/message"), (&silent, "")] {
        let (pipeline, feed) = Feed::pipeline(&format!("base-url={}", peer.base_url()));
        let talking = Arc::new(AtomicBool::new(false));
        let bus = pipeline.pipeline.bus().expect("a bus");
        bus.set_sync_handler({
            let (stopped, late) = (Arc::clone(&stopped), Arc::clone(&late));
            let (sink, talking) = (pipeline.sink().downgrade(), Arc::clone(&talking));
            move |_, message| {
                let ours = sink
                    .upgrade()
                    .is_some_and(|sink| message.src() == Some(sink.upcast_ref()));
                if message.structure().is_some_and(|s| s.name() == from) {
                    talking.store(true, Ordering::Release);
                }
                if ours && stopped.load(Ordering::Acquire) {
                    let text = format!("{message:?}");
                    late.lock().expect("not poisoned").push(text);
                }
                gst::BusSyncReply::Drop
            }
        });
        pipeline.play();
        if from.is_empty() {
            assert!(peer.wait_for(|r| r.iter().any(|r| r.request.is_some()), BOUND));
        } else {
            assert!(feed.begin(CAPS));
            until("it talks", || talking.load(Ordering::Acquire));
        }
        kept.push((pipeline, feed));
    }
    for (pipeline, _) in &kept {
        // Only the sink stops. Its pipeline goes on, and the bus still takes messages.
        let sink = pipeline.sink();
        sink.set_locked_state(true);
        sink.set_state(gst::State::Null).expect("NULL");
    }
    stopped.store(true, Ordering::Release);
    let gone = |peer: &Peer| peer.wait_for(|r| r.iter().all(|r| r.ended), BOUND);
    assert!(gone(&chatty) && gone(&silent));
    // When a sink that began later has done something, this one would have done it too.
    let other = Peer::start(Script::black_hole());
    let (mut pipeline, _feed) = Feed::pipeline(&format!("base-url={}", other.base_url()));
    pipeline.play();
    pipeline.wait_for("the end of patience", |m| is_progress(m, Canceled));
    assert_eq!(*late.lock().expect("not poisoned"), [""; 0]);
}

#[test]
fn a_handler_on_the_bus_may_call_back_into_the_element() {
    let service = Service::start();
    let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={}", service.url()));
    let sink = pipeline.sink();
    let calls = Arc::new(AtomicUsize::new(0));
    let bus = pipeline.pipeline.bus().expect("a bus");
    let called = Arc::clone(&calls);
    let call = move |sink: &gst::Element| {
        sink.property::<gst::Structure>("stats");
        for name in ["conversation-id", "connection-id", "base-url"] {
            sink.property::<Option<String>>(name);
        }
        sink.property_value("state");
        // One value is taken, and one is refused because of the state of the element.
        sink.set_property("access-token", "another");
        if called.fetch_add(1, Ordering::Relaxed) % 8 == 7 {
            sink.set_property("meeting-title", "another");
        }
    };
    for name in ["state", "conversation-id", "connection-id"] {
        let call = call.clone();
        sink.connect_notify(Some(name), move |sink, _| call(sink));
    }
    let weak = sink.downgrade();
    bus.set_sync_handler(move |_, message| {
        // A refusal is a message too, for which the handler must not call again.
        if message.type_() != gst::MessageType::Warning
            && let Some(sink) = weak.upgrade()
        {
            call(&sink);
        }
        gst::BusSyncReply::Pass
    });
    pipeline.play();
    assert!(feed.begin(CAPS));
    feed.speak(&scripted::speech(0..10, 16_000))
        .expect("there is room");
    assert!(feed.end());
    pipeline.wait_for_eos();
    assert_eq!(pipeline.words().len(), 10);
    let refusals = pipeline
        .messages
        .iter()
        .filter(|m| m.type_() == gst::MessageType::Warning)
        .count();
    assert!(refusals > 0 && calls.load(Ordering::Relaxed) > 20);
}

#[test]
fn changes_of_state_and_ids_are_notified() {
    let service = Service::start();
    let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={}", service.url()));
    let sink = pipeline.sink();
    let seen = Arc::new(Mutex::new(Vec::new()));
    for name in ["state", "conversation-id", "connection-id"] {
        let seen = Arc::clone(&seen);
        sink.connect_notify(Some(name), move |sink, pspec| {
            let value = match pspec.name() {
                "state" => {
                    let value = sink.property_value("state");
                    let (_, state) = gst::glib::EnumValue::from_value(&value).expect("an enum");
                    state.nick().to_owned()
                }
                name => sink.property::<String>(name),
            };
            let mut seen = seen.lock().expect("not poisoned");
            seen.push((pspec.name().to_owned(), value));
        });
    }
    pipeline.play();
    assert!(feed.begin(CAPS));
    feed.speak(&scripted::speech(0..3, 16_000))
        .expect("there is room");
    assert!(feed.end());
    pipeline.wait_for_eos();
    pipeline.stop();
    let seen = seen.lock().expect("not poisoned");
    let of = |name: &str| -> Vec<String> {
        seen.iter()
            .filter(|s| s.0 == name)
            .map(|s| s.1.clone())
            .collect()
    };
    let states = [
        "connecting",
        "starting",
        "listening",
        "stopping",
        "drained",
        "idle",
    ];
    assert_eq!(of("state"), states);
    let connection = of("connection-id");
    assert_eq!(connection.len(), 1);
    let conversation = of("conversation-id");
    assert_eq!(conversation.len(), 1);
    // The notified values are those of the messages.
    let told: Vec<String> = pipeline
        .of_kind("state")
        .iter()
        .map(|s| s.get::<String>("state").expect("text"))
        .collect();
    assert_eq!(told, states[..5]);
    for message in pipeline.of_kind("transcript") {
        assert_eq!(message.get::<&str>("connection-id"), Ok(&*connection[0]));
        assert_eq!(
            message.get::<&str>("conversation-id"),
            Ok(&*conversation[0])
        );
    }
}

#[test]
fn messages_are_numbered_without_a_hole() {
    let service = Service::start();
    let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={}", service.url()));
    pipeline.play();
    assert!(feed.begin(CAPS));
    feed.speak(&scripted::speech(0..12, 16_000))
        .expect("there is room");
    assert!(feed.end());
    pipeline.wait_for_eos();
    let numbers: Vec<u64> = pipeline
        .messages
        .iter()
        .filter_map(|m| m.structure())
        .filter(|s| s.name().starts_with("symbl/"))
        .map(|s| {
            assert_eq!(s.get::<i32>("schema"), Ok(1));
            s.get("seq").expect("a number")
        })
        .collect();
    assert!(numbers.len() > 20);
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
}

#[test]
fn all_audio_is_sent_or_waits_or_is_dropped() {
    let refused = Script::http(503, &[("Retry-After", "3600")], "");
    for (script, properties) in [
        (Script::listening(), ""),
        (Script::not_reading(), "buffer-duration=2000 leaky=oldest"),
        (Script::upgrade_only(), "buffer-duration=700 leaky=oldest"),
        (refused, "buffer-duration=700 leaky=oldest"),
        (Script::http(401, &[], ""), "on-fatal=warning"),
    ] {
        let peer = Peer::start(script);
        let (pipeline, feed) =
            Feed::pipeline(&format!("base-url={} {properties}", peer.base_url()));
        let sink = pipeline.sink();
        pipeline.play();
        assert!(feed.begin(CAPS));
        let mut given = 0;
        for millis in [1, 19, 20, 333, 1000, 5000, 5000] {
            feed.hush(millis).expect("it flows");
            given += millis as u64 * MS;
            // All counters are read at one moment. Between two reads audio may leave.
            let stats = sink.property::<gst::Structure>("stats");
            let field = |name: &str| stats.get::<u64>(name).expect("a counter");
            assert_eq!(
                field("audio-sent") + field("audio-spooled") + field("audio-dropped"),
                given,
                "{stats}"
            );
        }
        pipeline.stop();
        let sum = counted(&sink, "audio-sent") + counted(&sink, "audio-dropped");
        assert_eq!((sum, counted(&sink, "audio-spooled")), (given, 0));
    }
}

#[test]
fn counters_match_the_wire_and_the_bus() {
    let service = Service::start();
    let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={}", service.url()));
    let sink = pipeline.sink();
    pipeline.play();
    assert!(feed.begin(CAPS));
    let samples = scripted::speech(0..20, 16_000);
    feed.speak(&samples).expect("there is room");
    assert!(feed.end());
    pipeline.wait_for_eos();
    pipeline.stop();
    let nanos = samples.len() as u64 * MS / 16;
    assert_eq!(counted(&sink, "bytes-sent"), samples.len() as u64 * 2);
    assert_eq!(counted(&sink, "chunks-sent"), nanos.div_ceil(100 * MS));
    assert_eq!(counted(&sink, "audio-sent"), nanos);
    assert_eq!(counted(&sink, "audio-finalised"), nanos);
    // The billable time may be longer than the audio: it is the time that the service took it.
    assert!(counted(&sink, "billable-time") >= nanos);
    for kind in ["transcript", "message", "insight", "tracker", "topic"] {
        let posted = pipeline.of_kind(kind).len() as u64;
        assert_eq!(counted(&sink, &format!("{kind}s")), posted, "{kind}");
    }
    assert!(counted(&sink, "transcripts") > 2);
    assert!(counted(&sink, "connected-time") > 0);
    let (p50, p95) = (
        counted(&sink, "delay-final-p50"),
        counted(&sink, "delay-final-p95"),
    );
    assert!(0 < p50 && p50 <= p95 && p95 <= counted(&sink, "delay-final-max"));
    for name in ["reconnects", "unknown", "parse-errors", "audio-replayed"] {
        assert_eq!(counted(&sink, name), 0, "{name}");
    }
}
