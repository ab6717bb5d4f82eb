// SPDX-License-Identifier: MPL-2.0

//! Real speech and the neural recogniser: cuts and a kill of the service leave the words of
//! the run without them, each of them once.
//!
//! Where a connection is lost in the middle of an utterance, the service hears the rest of it
//! as an utterance of its own, and may understand a word otherwise: at most one for each loss.

use crate::common::cutter::{Cut, Cutter, Fault, Side};
use crate::common::feed::{CAPS, Feed, MS};
use crate::common::pipeline::{Pipeline, counted, until};
use crate::common::program::Program;
use crate::common::script::Said;
use crate::examples::built;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use symbl_testkit::model::model;
use symbl_testkit::speech::{talk, talk_prompts, word_errors};

/// How far from its place in the run without cuts a word may be told.
const TOLERANCE: u64 = 300 * MS;

/// A service with the neural recogniser and a database.
struct Service<'a> {
    model: &'a Path,
    data: &'a Path,
}

impl Service<'_> {
    fn start(&self, listen: &str) -> Program {
        let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        let (model, data) = (path(self.model), path(self.data));
        let engine = ["--recognizer", "whisper", "--model", &model];
        let arguments = [&engine[..], &["--log", "error", "--data", &data]].concat();
        let log = Stdio::inherit();
        Program::start_plain(built("../symbl-service"), listen, &arguments, log)
    }
}

/// Starts a sink with these properties; returns it and its feed.
fn begin(url: &str) -> (Pipeline, Feed) {
    let (pipeline, feed) = Feed::pipeline(&format!(
        "base-url={url} reconnect-max-delay=20 connect-timeout=2000"
    ));
    pipeline.play();
    assert!(feed.begin(CAPS));
    (pipeline, feed)
}

/// Waits for finals up to a time of the talk, in nanoseconds.
fn heard_until(pipeline: &mut Pipeline, words: &[Said], time: u64) {
    let Some(last) = words.iter().map(|word| word.1).rfind(|at| *at < time) else {
        return;
    };
    let is_there = |pipeline: &Pipeline| {
        let words = pipeline.words();
        words.last().is_some_and(|word| word.1 + 1_000 * MS >= last)
    };
    while !is_there(pipeline) {
        pipeline.wait_for_kind("transcript");
    }
}

fn text_of(words: &[Said]) -> String {
    let words: Vec<&str> = words.iter().map(|word| word.0.as_str()).collect();
    words.join(" ")
}

/// Plays the talk so many times over, without and with losses at random places, one of which in
/// `kill_each` is a SIGKILL of the service, and compares the words.
fn lose(losses: usize, kill_each: usize, times: usize) {
    let is_kill = |n: usize| n % kill_each == kill_each / 2;
    let kills = (0..losses).filter(|n| is_kill(*n)).count();
    let Some(model) = model("tiny.en") else {
        return;
    };
    let Some((talk, _)) = talk(&talk_prompts(), Duration::from_millis(900)) else {
        return;
    };
    let talk = talk.repeat(times);
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let [plain, cut] = folders.each_ref().map(|data| Service {
        model: &model,
        data: data.path(),
    });

    let service = plain.start("127.0.0.1:0");
    let (mut pipeline, feed) = begin(service.url());
    feed.speak(&talk).expect("room");
    assert!(feed.end());
    pipeline.wait_for_eos();
    let uncut = pipeline.words();
    let reference: Vec<&str> = talk_prompts().iter().map(|p| p.reference).collect();
    let reference = reference.repeat(times).join(" ");
    let (wrong, all) = (
        word_errors(&reference, &text_of(&uncut)),
        reference.split_whitespace().count(),
    );
    assert!(wrong * 10 <= all, "{wrong} of {all} words are wrong");
    drop((service, pipeline));

    let mut service = cut.start("127.0.0.1:0");
    let cutter = Cutter::to(service.url());
    let (mut pipeline, feed) = begin(&cutter.base_url());
    let mut random = fastrand::Rng::with_seed(4);
    let faults = [Fault::Reset, Fault::Fin, Fault::Close(Some(1012))];
    let stretch = talk.len() / (losses + 1);
    let mut at = 0;
    let mut cuts = 0;
    for n in 0..losses {
        let place = n * stretch + random.usize(stretch / 4..stretch);
        feed.speak(&talk[at..place]).expect("it flows");
        at = place;
        // So that the losses meet all of the talk.
        let settled = (place as u64 / 16).saturating_sub(8_000) * MS;
        heard_until(&mut pipeline, &uncut, settled);
        let sink = pipeline.sink();
        until("all of it is sent", || counted(&sink, "audio-spooled") == 0);
        if is_kill(n) {
            until("no cut is to come", || cutter.cuts() == cuts);
            until("it listens", || pipeline.state() == "listening");
            pipeline.collect();
            let address = service.address();
            drop(service);
            pipeline.wait_for_state("reconnecting");
            service = cut.start(&address);
            pipeline.wait_for_state("listening");
        } else {
            cuts += 1;
            cutter.arm(Cut {
                side: Side::Client,
                after: random.u64(..40_000),
                fault: faults[n % faults.len()],
                refusals: Vec::new(),
            });
        }
    }
    feed.speak(&talk[at..]).expect("it flows");
    assert!(feed.end());
    pipeline.wait_for_eos();

    let heard = pipeline.words();
    assert_eq!(cutter.cuts(), losses - kills, "cuts beside kills");
    assert!(counted(&pipeline.sink(), "reconnects") >= losses as u64 * 8 / 10);
    assert!(pipeline.of_kind("gap").is_empty());
    let sessions = pipeline.of_kind("session");
    let split = sessions.iter().filter(|s| s.get("event") == Ok("split"));
    assert_eq!(split.count(), 0);
    let other = word_errors(&text_of(&uncut), &text_of(&heard));
    println!(
        "{other} of {} words differ after {losses} losses, of which {kills} were kills",
        uncut.len()
    );
    assert!(other <= losses, "{other} differ:\n{uncut:?}\n{heard:?}");
    // The same word may be at the wrong place: the next one of its text is too far away.
    let near = |word: &&Said| {
        let same = |said: &&Said| said.0 == word.0 && said.1.abs_diff(word.1) <= TOLERANCE;
        heard.iter().filter(same).count() == 1
    };
    let lost: Vec<&Said> = uncut.iter().filter(|word| !near(word)).collect();
    assert!(
        lost.len() <= losses,
        "{lost:?} are not there once at their times: {heard:?}"
    );
}

#[test]
fn cuts_and_a_kill_in_real_speech_leave_each_word_once() {
    lose(9, 9, 1);
}

/// Takes minutes: `make soak-speech` runs it.
#[test]
#[ignore = "takes minutes"]
fn fifty_losses_in_real_speech_leave_each_word_once() {
    lose(50, 10, 5);
}
