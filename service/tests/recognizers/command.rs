// SPDX-License-Identifier: MPL-2.0

//! Recognisers that are processes: their words, and everything that they do wrong.

use crate::common::promise::Promises;
use crate::common::*;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use symbl_service::recognizer::command::{Command, CommandLimits};
use symbl_service::recognizer::{
    RecognisedWord, Recognition, Recognizer, RecognizerError, RecognizerStream, StreamOptions,
};
use symbl_service::{Server, ServerConfig};
use tempfile::TempDir;

const BLOCK: usize = 3200;

/// Returns a block of 200 ms for each number.
fn audio(numbers: &[i16]) -> Vec<i16> {
    numbers.iter().flat_map(|n| [*n; BLOCK]).collect()
}

/// Returns the command line of a recogniser with these faults, one for each run.
fn line(folder: &Path, faults: &[&str]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recognizers/counting.py");
    format!(
        "python3 '{script}' '{}' {}",
        folder.display(),
        faults.join(" ")
    )
}

fn command(folder: &TempDir, faults: &[&str], limits: CommandLimits) -> Command {
    Command::new(&line(folder.path(), faults), limits).unwrap()
}

/// Process ids of all runs so far.
fn runs(folder: &TempDir) -> Vec<u32> {
    let text = std::fs::read_to_string(folder.path().join("runs")).unwrap();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

fn options() -> StreamOptions {
    StreamOptions {
        interim: true,
        ..StreamOptions::default()
    }
}

fn open(command: &Command) -> Box<dyn RecognizerStream> {
    command.open(&options()).unwrap()
}

/// Gives all audio in pieces of 100 ms, and takes all results.
fn hear(command: &Command, samples: &[i16]) -> Result<Vec<Recognition>, RecognizerError> {
    let mut stream = open(command);
    let mut out = Vec::new();
    for piece in samples.chunks(1600) {
        stream.push(piece, &mut out)?;
    }
    stream.finish(&mut out)?;
    Ok(out)
}

/// Returns the words of an interim without times.
fn untimed(text: &str) -> Vec<RecognisedWord> {
    let word = |text: &str| RecognisedWord {
        text: text.to_owned(),
        start: Duration::ZERO,
        end: Duration::ZERO,
        confidence: 1.0,
    };
    text.split(' ').map(word).collect()
}

/// Returns the words of each final with their start and end in ms.
fn finals(heard: &[Recognition]) -> Vec<Vec<(String, u128, u128)>> {
    let words = |found: &Recognition| match found {
        Recognition::Final { words, .. } => Some(words.clone()),
        _ => None,
    };
    heard
        .iter()
        .filter_map(words)
        .map(|words| {
            let words = words.into_iter();
            words
                .map(|w| (w.text, w.start.as_millis(), w.end.as_millis()))
                .collect()
        })
        .collect()
}

fn expected(numbers: &[&[u16]]) -> Vec<Vec<(String, u128, u128)>> {
    let mut block = 0;
    let mut out = Vec::new();
    for utterance in numbers {
        let mut words = Vec::new();
        for number in *utterance {
            words.push((format!("w{number}"), block * 200, block * 200 + 200));
            block += 1;
        }
        block += 1;
        out.push(words);
    }
    out
}

/// Three utterances, with a block of silence behind each.
const TALK: &[i16] = &[1, 2, 3, 0, 4, 5, 0, 6, 7, 8, 0];

fn talk() -> Vec<Vec<(String, u128, u128)>> {
    expected(&[&[1, 2, 3], &[4, 5], &[6, 7, 8]])
}

/// Waits for the end of a process; fails if it does not come.
fn wait_for_the_end_of(process: u32) {
    let until = std::time::Instant::now() + Duration::from_secs(30);
    let stat = format!("/proc/{process}/stat");
    // A zombie waits for its thread only.
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z")) {
        assert!(std::time::Instant::now() < until, "{process} lives on");
        std::thread::yield_now();
    }
}

#[test]
fn words_come_with_their_times_and_interims_before_them() {
    let folder = TempDir::new().unwrap();
    let command = command(&folder, &[], CommandLimits::default());
    let heard = hear(&command, &audio(TALK)).unwrap();
    assert_eq!(finals(&heard), talk());
    let interims: Vec<_> = heard
        .iter()
        .take_while(|heard| !matches!(heard, Recognition::Final { .. }))
        .collect();
    let interim = |text: &str| Recognition::Interim {
        words: untimed(text),
        stable: 0,
    };
    assert_eq!(
        interims,
        [&interim("w1"), &interim("w1 w2"), &interim("w1 w2 w3")]
    );
    wait_for_the_end_of(runs(&folder)[0]);
}

#[test]
fn what_is_settled_grows_with_finals_and_progress_and_no_final_begins_before_it() {
    for faults in [&[][..], &["overlap"], &["die=5", "die=7"]] {
        let folder = TempDir::new().unwrap();
        let command = command(&folder, faults, CommandLimits::default());
        let mut stream = open(&command);
        assert_eq!(stream.settled(), None, "nothing is known yet");
        let mut audio = audio(TALK);
        audio.extend([0; 2 * BLOCK]);
        let promises = Promises::of(stream.as_mut(), &audio, 1_600);
        assert_eq!(promises.finals.len(), 3, "{faults:?}");
        assert_eq!(promises.lag(), Duration::ZERO, "{faults:?}");
    }
}

#[test]
fn interims_that_are_not_wanted_are_left_out() {
    let folder = TempDir::new().unwrap();
    let command = command(&folder, &[], CommandLimits::default());
    let mut stream = command.open(&StreamOptions::default()).unwrap();
    let mut out = Vec::new();
    stream.push(&audio(TALK), &mut out).unwrap();
    stream.finish(&mut out).unwrap();
    assert_eq!((out.len(), finals(&out)), (3, talk()));
}

#[test]
fn after_a_death_in_the_middle_no_word_is_missing_and_none_comes_twice() {
    let folder = TempDir::new().unwrap();
    // Dies in the second utterance, in the third, and with all said but the last.
    let faults = ["die=5", "die=7", "die-at-end"];
    let command = command(&folder, &faults, CommandLimits::default());
    let heard = hear(&command, &audio(&TALK[..10])).unwrap();
    assert_eq!(finals(&heard), talk());
    assert_eq!(runs(&folder).len(), 4);
    assert_eq!(command.restarts(), 3);
}

#[test]
fn one_that_dies_again_and_again_has_failed() {
    let folder = TempDir::new().unwrap();
    let limits = CommandLimits {
        deaths: 2,
        first_delay: Duration::from_millis(1),
        ..CommandLimits::default()
    };
    let command = command(&folder, &["exit"; 9], limits);
    let error = hear(&command, &audio(TALK)).unwrap_err();
    assert!(matches!(error, RecognizerError::Failed { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("3 times in a row: exit status: 7"),
        "{error}"
    );
    assert_eq!(runs(&folder).len(), 3);
}

#[test]
fn one_that_hangs_is_replaced() {
    let folder = TempDir::new().unwrap();
    let limits = CommandLimits {
        hang: Duration::from_secs(3),
        ..CommandLimits::default()
    };
    let command = command(&folder, &["deaf"], limits);
    // More than a pipe holds: that it takes nothing is seen.
    let mut numbers: Vec<i16> = (1..=30).collect();
    numbers.push(0);
    let heard = hear(&command, &audio(&numbers)).unwrap();
    let words: Vec<u16> = (1..=30).collect();
    assert_eq!(finals(&heard), expected(&[&words]));
    let runs = runs(&folder);
    assert_eq!(runs.len(), 2);
    wait_for_the_end_of(runs[0]);
}

#[test]
fn one_that_is_too_slow_says_so() {
    let folder = TempDir::new().unwrap();
    let limits = CommandLimits {
        behind: Duration::from_secs(1),
        ..CommandLimits::default()
    };
    // A second for each 200 ms of audio.
    let command = command(&folder, &["slow=1"], limits);
    let error = hear(&command, &audio(&[1; 100])).unwrap_err();
    assert!(matches!(error, RecognizerError::Behind { .. }), "{error}");
    wait_for_the_end_of(runs(&folder)[0]);
}

#[test]
fn garbage_huge_lines_and_what_was_said_before_are_skipped() {
    let folder = TempDir::new().unwrap();
    let command = command(&folder, &["garbage"], CommandLimits::default());
    let heard = hear(&command, &audio(TALK)).unwrap();
    assert_eq!(finals(&heard), talk());
    assert_eq!(runs(&folder).len(), 1, "it need not die for it");
}

#[test]
fn one_that_does_not_end_is_killed_with_all_that_it_started() {
    let folder = TempDir::new().unwrap();
    let limits = CommandLimits {
        finish: Duration::from_secs(3),
        ..CommandLimits::default()
    };
    let command = command(&folder, &["linger"], limits);
    let mut stream = open(&command);
    let mut out = Vec::new();
    stream.push(&audio(TALK), &mut out).unwrap();
    let error = stream.finish(&mut out).unwrap_err();
    assert!(
        error.to_string().contains("did not end within 3s"),
        "{error}"
    );
    assert_eq!(finals(&out), talk(), "what it said counts");
    let processes = runs(&folder);
    assert_eq!(processes.len(), 2, "the process and its child");
    for process in processes {
        wait_for_the_end_of(process);
    }
}

#[test]
fn an_abandoned_stream_and_the_end_of_the_service_leave_no_process() {
    let folder = TempDir::new().unwrap();
    let command = command(&folder, &["deaf", "deaf"], CommandLimits::default());
    let mut first = open(&command);
    let mut second = open(&command);
    let mut out = Vec::new();
    while !folder.path().join("runs").exists() || runs(&folder).len() < 2 {
        first.poll(&mut out).unwrap();
        second.poll(&mut out).unwrap();
        std::thread::yield_now();
    }
    let runs = runs(&folder);
    drop(first);
    command.close();
    for process in runs {
        wait_for_the_end_of(process);
    }
    assert!(command.open(&options()).is_err(), "no more processes");
}

#[test]
fn it_is_told_what_the_client_asked_for_and_no_secrets() {
    let folder = TempDir::new().unwrap();
    let command = command(&folder, &["environment"], CommandLimits::default());
    let mut stream = command
        .open(&StreamOptions {
            vocabulary: vec!["Symbl".into(), "two words".into()],
            language: "en-GB".into(),
            interim: false,
            connection: "a\0b".into(),
            ..StreamOptions::default()
        })
        .unwrap();
    let mut out = Vec::new();
    stream.push(&audio(&[0; 10]), &mut out).unwrap();
    stream.finish(&mut out).unwrap();
    let words: Vec<_> = finals(&out).concat().into_iter().map(|w| w.0).collect();
    assert_eq!(words, ["en-GB", "[\"Symbl\",\"two_words\"]", "0", "-", "-"]);
}

#[test]
fn a_command_line_that_cannot_run_is_refused_with_a_reason() {
    for (line, says) in [
        ("", "it is empty"),
        ("'cat", "a quote is not closed"),
        ("no-such-program-here", "no such program"),
        ("/nonexistent/x y", "/nonexistent/x: no such program"),
    ] {
        let error = Command::new(line, CommandLimits::default()).err().unwrap();
        assert!(error.to_string().contains(says), "{error}");
    }
}

async fn server(folder: &TempDir, faults: &[&str], limits: CommandLimits) -> Server {
    let command = command(folder, faults, limits);
    Server::bind(ServerConfig::new(Arc::new(command)))
        .await
        .unwrap()
}

#[tokio::test]
async fn results_come_while_no_audio_does() {
    let folder = TempDir::new().unwrap();
    let server = server(&folder, &["die=5"], CommandLimits::default()).await;
    let (mut client, _) = Client::started(&server, "x", &start_request()).await;
    client.send_audio(&linear16(&audio(TALK))).await;
    // No stop, no more audio: the last message comes all the same.
    let mut said = Vec::new();
    while said.last().map(String::as_str) != Some("W6 w7 w8.") {
        let heard = client.until("message_response").await;
        for message in heard.json()["messages"].as_array().unwrap() {
            said.push(message["payload"]["content"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(said, ["W1 w2 w3.", "W4 w5.", "W6 w7 w8."]);
}

#[tokio::test]
async fn a_failure_is_told_to_its_own_client_only() {
    let folder = TempDir::new().unwrap();
    let limits = CommandLimits {
        deaths: 0,
        ..CommandLimits::default()
    };
    let server = server(&folder, &["good", "exit"], limits).await;
    let (mut good, _) = Client::started(&server, "good", &start_request()).await;
    good.send_audio(&linear16(&audio(&TALK[..4]))).await;
    good.until("message_response").await;
    let (mut bad, _) = Client::started(&server, "bad", &start_request()).await;
    // Without any audio.
    let error = bad.until("error").await;
    assert_eq!(error.json()["code"], "recognizer_failed");
    assert_eq!(bad.next().await.kind(), "processing_terminated");
    good.send_audio(&linear16(&audio(&TALK[4..]))).await;
    good.stop().await;
    let heard = good.rest().await;
    assert_eq!(texts(&final_words(&heard)), ["w4", "w5", "w6", "w7", "w8"]);
    assert_eq!(heard.last(), Some(&Heard::Closed(Some(1000))));
}

#[tokio::test]
async fn one_that_falls_behind_says_so_to_the_client() {
    let folder = TempDir::new().unwrap();
    let limits = CommandLimits {
        behind: Duration::from_millis(500),
        ..CommandLimits::default()
    };
    let server = server(&folder, &["slow=2"], limits).await;
    let (mut client, _) = Client::started(&server, "x", &start_request()).await;
    client.send_audio(&linear16(&audio(&[1; 40]))).await;
    let error = client.until("error").await;
    assert_eq!(error.json()["code"], "recognizer_behind");
    assert_eq!(client.next().await.kind(), "processing_terminated");
}
