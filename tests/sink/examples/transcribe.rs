// SPDX-License-Identifier: MPL-2.0

//! The example that transcribes a list of recordings.

use super::{built, expected, talk};
use crate::common::pipeline::Pipeline;
use crate::common::service::Service;
use crate::engine;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Writes the WAV file once more in another format, and returns its path.
fn encoded(wav: &Path, encoder: &str, name: &str) -> PathBuf {
    let to = wav.with_file_name(name);
    let mut pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! wavparse ! audioconvert ! audioresample ! {encoder} \
         ! filesink location={}",
        wav.display(),
        to.display()
    ));
    pipeline.play();
    pipeline.wait_for_eos();
    to
}

/// Runs the example over a list with these lines, in this folder.
fn transcribe(service: &Service, folder: &Path, options: &[&str], rows: &[Value]) -> Output {
    let list = folder.join("list.jsonl");
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    std::fs::write(&list, lines.join("\n")).unwrap();
    Command::new("timeout")
        .arg("120")
        .arg(built("../examples/transcribe"))
        .args(["--base-url", &service.url()])
        .args(options)
        .arg(list)
        .output()
        .unwrap()
}

/// Returns the lines of the recordings, sorted by name, and the sum.
fn lines_of(output: &Output) -> (Vec<Value>, Value) {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    let lines = text.lines().map(serde_json::from_str);
    let mut lines: Vec<Value> = lines.collect::<Result<_, _>>().unwrap();
    let sum = lines.pop().unwrap();
    lines.sort_by_key(|line| line["name"].as_str().map(str::to_owned));
    (lines, sum)
}

/// Checks that a line has all words of the talk, each at its time.
fn assert_words(line: &Value) {
    let words = line["words"].as_array().unwrap();
    let texts = words.iter().filter_map(|word| word["word"].as_str());
    let bare = texts.map(|text| text.trim_end_matches('.').to_lowercase());
    assert_eq!(bare.collect::<Vec<_>>(), expected(25), "{line}");
    for (index, word) in words.iter().enumerate() {
        let start = word["start"].as_f64().unwrap();
        assert!((start - 0.2 * index as f64).abs() <= 0.02, "{line}");
    }
    assert_eq!(line["complete"], true, "{line}");
    assert_eq!(line["audio_seconds"].as_f64().map(f64::round), Some(5.0));
}

#[test]
fn each_recording_gets_a_line_with_its_words_their_times_and_what_it_cost() {
    let service = Service::start();
    let (folder, wav, text) = talk(25);
    let text = std::fs::read_to_string(text).unwrap();
    let to_mulaw = "audio/x-raw,rate=8000 ! mulawenc ! wavenc";
    encoded(&wav, to_mulaw, "mulaw.wav");
    encoded(&wav, "opusenc ! oggmux", "talk.opus");
    encoded(&wav, "flacenc", "talk.flac");
    let rows = [
        json!({"name": "a", "path": "talk.wav", "reference": text, "group": "ignored"}),
        json!({"name": "b", "path": "mulaw.wav", "reference": format!("one {text}")}),
        json!({"name": "c", "path": "talk.opus"}),
        json!({"name": "d", "path": folder.path().join("talk.flac")}),
    ];
    // The service runs in the process of this test.
    let pid = std::process::id().to_string();
    let output = transcribe(&service, folder.path(), &["--service-pid", &pid], &rows);
    assert!(output.status.success(), "{output:?}");
    let (lines, sum) = lines_of(&output);

    assert_eq!(lines.len(), 4);
    lines.iter().for_each(assert_words);
    assert_eq!(lines[0]["finals"].as_array().map(Vec::len), Some(3));
    let errors = |line: &Value| (line["reference_words"].as_u64(), line["errors"].as_u64());
    assert_eq!(errors(&lines[0]), (Some(25), Some(0)));
    assert_eq!(errors(&lines[1]), (Some(26), Some(1)));
    assert_eq!(errors(&lines[2]), (None, None));
    assert_eq!((&sum["files"], &sum["failed"]), (&json!(4), &json!(0)));
    assert_eq!(sum["audio_seconds"].as_f64().map(f64::round), Some(20.0));
    let cost = |line: &Value| line["cpu_seconds"].as_f64().unwrap();
    let each: f64 = lines.iter().map(cost).sum();
    assert!(each > 0.0 && each <= cost(&sum) + 0.001, "{lines:?} {sum}");
}

#[test]
fn a_recording_that_fails_is_told_and_the_others_go_on_side_by_side() {
    let service = Service::start();
    let (folder, _, _) = talk(25);
    engine::write_wav(&folder.path().join("empty.wav"), &[]);
    let rows = [
        json!({"name": "absent", "path": "absent.wav", "reference": "one two"}),
        json!({"name": "empty", "path": "empty.wav"}),
        json!({"name": "list", "path": "list.jsonl"}),
        json!({"name": "talk", "path": "talk.wav"}),
    ];
    let output = transcribe(&service, folder.path(), &["--side-by-side", "3"], &rows);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("3 of 4 files failed"), "{said}");
    let (lines, sum) = lines_of(&output);

    let error = |line: &Value| line["error"].as_str().unwrap().to_owned();
    assert!(error(&lines[0]).contains("absent.wav"), "{lines:?}");
    assert_eq!(lines[0]["errors"], 2);
    assert_eq!(error(&lines[1]), "no audio came out of the file");
    assert!(error(&lines[2]).contains("text file"), "{lines:?}");
    assert_words(&lines[3]);
    assert_eq!((&sum["files"], &sum["failed"]), (&json!(4), &json!(3)));
    // Nothing was asked about the processor.
    assert!(sum.get("cpu_seconds").is_none() && lines[3].get("cpu_seconds").is_none());
}

#[test]
fn a_list_that_cannot_be_used_is_told_with_its_line() {
    let service = Service::start();
    let (folder, _, _) = talk(1);
    let rows = [
        json!({"name": "a", "path": "talk.wav"}),
        json!({"name": "b"}),
    ];
    let output = transcribe(&service, folder.path(), &[], &rows);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("line 2: missing field `path`"), "{said}");
    assert_eq!(
        output.stdout, b"",
        "nothing is played before the list is read"
    );
}
