// SPDX-License-Identifier: MPL-2.0

//! Telephone calls: one by SIP, with SIPp at both ends of the signalling, and the two legs of
//! a call as two sinks of one conversation.

use super::{assert_words, documented, end, free_port, hear, talk, texts, wav};
use crate::common::feed::{CAPS, Feed};
use crate::common::pipeline::Pipeline;
use crate::common::service::Service;
use crate::speech::absent;
use gst::prelude::*;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use symbl_service::recognizer::scripted;
use symbl_testkit::documented::block;

/// Starts SIPp with a scenario of `tests/senders/sip`, for one call. Returns `None` if it is
/// absent.
fn sipp(scenario: &str, folder: &Path, arguments: &[&str]) -> Option<Child> {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/senders/sip")
        .join(scenario);
    let process = Command::new("sipp")
        .arg("-sf")
        .arg(scenario)
        .args(["-i", "127.0.0.1", "-m", "1", "-nostdin"])
        .args(["-timeout", "120s", "-timeout_error"])
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    match process {
        Ok(process) => Some(process),
        Err(error) => {
            absent(&format!("sipp: {error} (Debian package sip-tester)"));
            None
        }
    }
}

fn assert_went_well(process: Child) {
    let output = process.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_sip_call_gives_its_words_once_at_their_time() {
    let service = Service::start();
    let samples = talk(Duration::from_millis(500));
    let (folder, wav) = wav(&samples);
    super::run(&format!(
        "filesrc location={} ! wavparse ! audioconvert ! audioresample ! audio/x-raw,rate=8000 \
         ! mulawenc ! filesink location={}",
        wav.display(),
        folder.path().join("talk.ulaw").display()
    ));
    let changes = [
        ("port=5004", "name=net address=127.0.0.1 port=0"),
        // The times are those of the caller's clock, because packets on a busy machine arrive
        // at uneven times.
        ("rtpjitterbuffer", "rtpjitterbuffer mode=none latency=1000"),
    ];
    let mut to = Pipeline::launch(&documented("SIP call", &service, &changes));
    to.play();
    let port = to.pipeline.by_name("net").unwrap().property::<i32>("port");
    let sip = free_port().to_string();
    // The command of docs/sources.md, with other ports.
    let documented = block("docs/sources.md", "tests/sink/sources/calls.rs");
    let arguments = documented.strip_prefix("sipp -sf tests/senders/sip/answer.xml ");
    let arguments = arguments.expect("the scenario");
    let arguments: Vec<String> = arguments
        .split(' ')
        .map(|argument| match argument {
            "5060" => sip.clone(),
            "5004" => port.to_string(),
            other => other.to_owned(),
        })
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    assert!(arguments.contains(&sip.as_str()), "{documented}");
    let Some(answer) = sipp("answer.xml", folder.path(), &arguments) else {
        return;
    };
    let length = (samples.len() / 16).to_string();
    let address = format!("127.0.0.1:{sip}");
    let caller = sipp("caller.xml", folder.path(), &["-d", &length, &address]).unwrap();
    hear(&mut to, 25);
    assert_went_well(caller);
    assert_went_well(answer);
    end(&mut to);
    let words = to.words();
    assert_words(&words, 0..25, words[0].1, 20_000_000);
    let speakers = texts(&to.of_kind("message"), "speaker-name");
    assert!(!speakers.is_empty());
    assert!(speakers.iter().all(|name| name == "Caller"), "{speakers:?}");
    let drained = to.of_kind("drained");
    assert_eq!(drained[0].get::<bool>("complete"), Ok(true));
}

/// Starts a leg of call 17. The test pushes its audio.
fn leg(service: &Service, name: &str) -> (Pipeline, Feed) {
    let (pipeline, feed) = Feed::pipeline(&format!(
        "base-url={} connection-id=call-17 speaker-name={name}",
        service.url()
    ));
    pipeline.play();
    assert!(feed.begin(CAPS));
    (pipeline, feed)
}

#[test]
fn a_leg_that_hangs_up_leaves_the_other_in_the_conversation() {
    let service = Service::start();
    let (mut caller, caller_feed) = leg(&service, "Caller");
    let (mut agent, agent_feed) = leg(&service, "Agent");
    for (feed, words) in [(&caller_feed, 0..10), (&agent_feed, 100..110)] {
        feed.speak(&scripted::speech(words, 16_000)).unwrap();
        // The silence ends the last word.
        feed.hush(1000).unwrap();
    }
    hear(&mut caller, 10);
    hear(&mut agent, 10);
    assert!(caller_feed.end());
    caller.wait_for_eos();
    caller.stop();

    agent_feed
        .speak(&scripted::speech(110..120, 16_000))
        .unwrap();
    assert!(agent_feed.end());
    agent.wait_for_eos();
    assert_words(&caller.words(), 0..10, 0, 20_000_000);
    let words = agent.words();
    let (before, after) = words.split_at(10);
    assert_words(before, 100..110, 0, 20_000_000);
    assert_words(after, 110..120, 3_000_000_000, 20_000_000);
    let conversations: Vec<String> = [&caller, &agent]
        .iter()
        .flat_map(|leg| texts(&leg.of_kind("session"), "conversation-id"))
        .collect();
    assert!(conversations.len() >= 2, "{conversations:?}");
    assert!(
        conversations.iter().all(|id| *id == conversations[0]),
        "{conversations:?}"
    );
    let speakers = texts(&agent.of_kind("message"), "speaker-name");
    assert!(speakers.iter().any(|name| name == "Caller"), "{speakers:?}");
}
