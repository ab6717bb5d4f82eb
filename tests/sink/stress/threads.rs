// SPDX-License-Identifier: MPL-2.0

//! A host at its limit of threads.

use super::child;
use crate::common::feed::{CAPS, Feed};
use crate::common::pipeline::{init, until};
use crate::common::service::Service;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, setgid, setuid};
use std::fs::{read_dir, read_to_string};
use symbl_service::recognizer::scripted;

const WORDS: u16 = 25;

/// Lets the system refuse further threads to this user, or allow them again.
fn allow_threads(allowed: bool) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NPROC).expect("a limit");
    let soft = if allowed { hard } else { 0 };
    setrlimit(Resource::RLIMIT_NPROC, soft, hard).expect("another limit");
    let thread = std::thread::Builder::new().spawn(|| ());
    assert_eq!(thread.is_ok(), allowed, "the limit has no effect");
}

/// Returns the number of threads of the plugin.
fn threads() -> usize {
    let tasks = read_dir("/proc/self/task").expect("a folder of the kernel");
    let names = tasks.filter_map(|task| read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("symbl-")).count()
}

/// Runs the test in the child. A process of root has no limit of threads.
fn hear(argument: &str) {
    if Uid::current().is_root() {
        setgid(Gid::from_raw(65_534)).expect("another group");
        setuid(Uid::from_raw(65_534)).expect("another user");
    }
    init();
    let (url, token) = argument.split_once(' ').expect("an address and a file");
    // Each dial reads the token again, on a thread.
    let (mut pipeline, feed) = Feed::pipeline(&format!(
        "base-url={url} access-token-file={token} reconnect-max-delay=100"
    ));
    pipeline.play();
    assert!(feed.begin(CAPS));
    pipeline.wait_for_state("listening");
    let kept = 2; // for the network, and for calls into the application
    until("no thread is left over", || threads() <= kept);
    allow_threads(false);
    let speech = scripted::speech(0..WORDS, 16_000);
    let (before, after) = speech.split_at(usize::from(WORDS - 5) * 3200);
    feed.speak(before).expect("there is room");
    let warning = pipeline.wait_for("what is wrong", |message| {
        let details = match message.view() {
            gst::MessageView::Warning(warning) => warning.details(),
            _ => None,
        };
        details.is_some()
    });
    let outage = pipeline.wait_for("no thread", |message| {
        let state = message.structure();
        state.is_some_and(|state| state.get::<&str>("reason") == Ok("internal"))
    });
    let state = outage.structure().expect("fields");
    assert_eq!(
        state.get("state"),
        Ok("reconnecting"),
        "{warning:?} {state}"
    );
    assert_eq!(state.get("retryable"), Ok(true), "{state}");
    feed.speak(after).expect("there is room");
    allow_threads(true);
    pipeline.wait_for_state("listening");
    feed.hush(400).expect("there is room");
    assert!(feed.end());
    pipeline.wait_for_eos();
    let words: Vec<String> = pipeline.words().into_iter().map(|(word, _)| word).collect();
    let said: Vec<String> = (0..WORDS).map(|n| format!("w{n}")).collect();
    assert_eq!(words, said);
    assert_eq!(pipeline.of_kind("gap").len(), 0);
}

#[test]
fn a_host_at_its_limit_of_threads_loses_no_word() {
    if let Some(argument) = child::argument() {
        return hear(&argument);
    }
    // The fault comes after three seconds of audio.
    let service = Service::faulty("reset@96000b");
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "token").expect("a file");
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), everybody).expect("readable");
    let argument = format!("{} {}", service.url(), token.display());
    let test = "stress::threads::a_host_at_its_limit_of_threads_loses_no_word";
    child::run(test, &argument, &[]);
}
