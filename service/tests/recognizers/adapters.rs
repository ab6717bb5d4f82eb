// SPDX-License-Identifier: MPL-2.0

//! The adapters of `examples/recognizers`: on real speech where their engine can be
//! had without a model of the user's, against a stand-in for the engine elsewhere.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::time::Duration;
use symbl_service::recognizer::command::{Command, CommandLimits};
use symbl_service::recognizer::{RecognisedWord, Recognition, Recognizer, StreamOptions};
use symbl_testkit::documented::{self, block, stand_in, until_it_listens};
use symbl_testkit::speech::{absent, audio, samples, silence, time_of, word_errors};
use tempfile::TempDir;

fn adapter(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/recognizers")
        .join(name)
}

/// Returns the results of a recogniser that was started with this command line.
fn hear(line: &str, samples: &[i16]) -> Vec<Recognition> {
    let command = Command::new(line, CommandLimits::default()).unwrap();
    let mut stream = command
        .open(&StreamOptions {
            interim: true,
            ..StreamOptions::default()
        })
        .unwrap();
    let mut out = Vec::new();
    for piece in samples.chunks(1600) {
        stream.push(piece, &mut out).unwrap();
    }
    stream.finish(&mut out).unwrap();
    out
}

fn words(heard: &[Recognition]) -> Vec<RecognisedWord> {
    let mut all = Vec::new();
    for heard in heard {
        if let Recognition::Final { words, .. } = heard {
            all.extend_from_slice(words);
        }
    }
    all
}

fn times(words: &[RecognisedWord]) -> Vec<(&str, u128, u128)> {
    words
        .iter()
        .map(|w| (w.text.as_str(), w.start.as_millis(), w.end.as_millis()))
        .collect()
}

/// Returns a Python with the package in the folder of the build, or `None` if it cannot be
/// had.
fn python_with(package: &str, version: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{package}-{version}"));
    let python = folder.join("bin/python");
    let has_it = || {
        let import = Program::new(&python)
            .args(["-c", &format!("import {package}")])
            .output();
        import.is_ok_and(|output| output.status.success())
    };
    if has_it() {
        return Some(python);
    }
    let requirement = format!("{package}=={version}");
    let install = [
        "-m",
        "pip",
        "install",
        "-q",
        "--retries",
        "2",
        "--timeout",
        "30",
        &requirement,
    ];
    let mut make = Program::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&folder);
    let mut install_it = Program::new(&python);
    install_it.args(install);
    for mut step in [make, install_it] {
        let why = match step.output() {
            Ok(output) if output.status.success() => continue,
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        absent(&format!("the Python package {requirement}: {why}"));
        return None;
    }
    assert!(has_it(), "{requirement} was installed and is not there");
    Some(python)
}

#[test]
fn pocketsphinx_of_pypi_hears_recorded_speech() {
    let Some(python) = python_with("pocketsphinx", "5.1.1") else {
        return;
    };
    let line = format!(
        "'{}' '{}'",
        python.display(),
        adapter("with_pocketsphinx.py").display()
    );
    let (mut errors, mut spoken) = (0, 0);
    for sample in &samples("smoke")[..4] {
        let Some(prompt) = audio(sample) else { return };
        let pause = Duration::from_millis(1200);
        let mut talk = silence(pause);
        talk.extend(&prompt);
        talk.extend(silence(pause));
        let heard = hear(&line, &talk);
        let words = words(&heard);
        let text: Vec<&str> = words.iter().map(|w| w.text.as_str()).collect();
        errors += word_errors(sample.reference, &text.join(" "));
        spoken += sample.reference.split_whitespace().count();
        let slack = Duration::from_millis(300);
        let (from, to) = (pause - slack, pause + time_of(prompt.len()) + slack);
        for word in &words {
            assert!(
                from <= word.start && word.start < word.end && word.end <= to,
                "{word:?}"
            );
        }
        let interims = heard
            .iter()
            .filter(|h| matches!(h, Recognition::Interim { .. }));
        assert!(interims.count() >= 2, "{}", sample.id);
    }
    println!("{errors} errors in {spoken} words");
    assert!(errors * 4 <= spoken, "{errors} errors in {spoken} words");

    // The README's commands, with the package's folder.
    let code = block("README.md", "service/tests/recognizers/adapters.rs");
    let folder = TempDir::new().unwrap();
    let (code, _) = served(&code, folder.path());
    let programs = python.parent().expect("a folder");
    let engine = programs.parent().expect("a folder").display().to_string();
    let code = code.replace("venv engine", &format!("venv '{engine}'"));
    let code = code.replace("engine/bin", &format!("{engine}/bin"));
    let mut command = documented::bash(&code, programs);
    // The package is there, so that pip asks no index.
    command
        .env("PIP_NO_INDEX", "1")
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .current_dir(documented::path(""));
    until_it_listens(&mut command);
}

/// Returns the code of a document with a `symbl-service` in `folder` that listens on a free
/// port, and the value of its `--recognizer-cmd`.
fn served(code: &str, folder: &Path) -> (String, String) {
    let service = env!("CARGO_BIN_EXE_symbl-service");
    let script = format!("exec '{service}' --listen 127.0.0.1:0 \"$@\"");
    stand_in(folder, "symbl-service", &script);
    let code = code.replace("target/release/", &format!("{}/", folder.display()));
    let (_, line) = code.split_once("--recognizer-cmd \"").expect("the option");
    let (line, _) = line.split_once('"').expect("its end");
    (code.clone(), line.to_owned())
}

#[test]
fn a_process_that_says_nothing_to_speech_is_replaced() {
    let Some(speech) = audio(&samples("smoke")[0]) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recognizers/counting.py");
    let line = format!("python3 '{script}' '{}' mute", folder.path().display());
    let limits = CommandLimits {
        speech: Duration::from_secs(1),
        silent: Duration::from_secs(3),
        ..CommandLimits::default()
    };
    let mut stream = Command::new(&line, limits)
        .unwrap()
        .open(&StreamOptions::default())
        .unwrap();
    let mut out = Vec::new();
    stream.push(&speech, &mut out).unwrap();
    // Not at the end only: while no more audio comes.
    let runs = || std::fs::read_to_string(folder.path().join("runs")).unwrap_or_default();
    let until = std::time::Instant::now() + Duration::from_secs(60);
    while runs().lines().count() < 2 {
        assert!(std::time::Instant::now() < until, "it was not replaced");
        stream.poll(&mut out).unwrap();
        std::thread::yield_now();
    }
    stream.finish(&mut out).unwrap();
}

#[test]
fn vosk_results_become_words() {
    // Two results in the shape of vosk's: one at the first pause, one at the end.
    let module = r#"
import json
class Model:
    def __init__(self, path): assert path == "/path/of/model"
def SetLogLevel(level): pass
class KaldiRecognizer:
    def __init__(self, model, rate):
        assert rate == 16000
        self.bytes = 0
    def SetWords(self, on): assert on
    def AcceptWaveform(self, data):
        self.bytes += len(data)
        return self.bytes == 32000
    def PartialResult(self): return json.dumps({"partial": "good" if self.bytes > 16000 else ""})
    def Result(self): return json.dumps({"text": "good morning", "result": [
        {"conf": 0.75, "word": "good", "start": 0.25, "end": 0.5},
        {"conf": 1.0, "word": "morning", "start": 0.5, "end": 0.875}]})
    def FinalResult(self): return json.dumps({"text": "bye", "result": [
        {"conf": 1.0, "word": "bye", "start": 1.25, "end": 1.5}]})
"#;
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("vosk.py"), module).unwrap();
    let code = block(
        "docs/recognizers.md",
        "service/tests/recognizers/adapters.rs",
    );
    let (code, line) = served(&code, folder.path());
    let mut command = documented::bash(&code, folder.path());
    until_it_listens(command.current_dir(documented::path("")));
    let adapters = format!("{}/", adapter("").display());
    let line = format!(
        "env PYTHONPATH='{}' {}",
        folder.path().display(),
        line.replace("examples/recognizers/", &adapters)
    );
    let heard = hear(&line, &silence(Duration::from_secs(2)));
    let good = RecognisedWord {
        text: "good".to_owned(),
        start: Duration::ZERO,
        end: Duration::ZERO,
        confidence: 1.0,
    };
    let first = Recognition::Interim {
        words: vec![good],
        stable: 0,
    };
    assert_eq!(heard[0], first);
    let words = words(&heard);
    assert_eq!(
        times(&words),
        [
            ("good", 250, 500),
            ("morning", 500, 875),
            ("bye", 1250, 1500)
        ]
    );
    assert_eq!(words[0].confidence, 0.75);
}

#[test]
fn whisper_cpp_is_given_the_pieces_between_pauses() {
    // Writes down what it was given, and answers in the shape of whisper-cli's -oj.
    let program = r#"#!/usr/bin/env python3
import json, sys, wave
options = dict(zip(sys.argv, sys.argv[1:]))
with wave.open(options["-f"]) as piece:
    assert (piece.getframerate(), piece.getnchannels(), piece.getsampwidth()) == (16000, 1, 2)
    length = piece.getnframes() * 1000 // 16000
assert options["-m"] == "some model" and options["-l"] == "en"
lines = [{"text": " [BLANK_AUDIO]", "offsets": {"from": 0, "to": 10}},
         {"text": " Hello,", "offsets": {"from": 300, "to": 600}},
         {"text": f" {length}", "offsets": {"from": 600, "to": 99000}}]
with open(options["-of"] + ".json", "w") as file:
    json.dump({"transcription": lines}, file)
"#;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("whisper-cli");
    std::fs::write(&path, program).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    let line = format!(
        "python3 '{}' -m 'some model' --program '{}'",
        adapter("with_whisper_cpp.py").display(),
        path.display()
    );
    // Two pieces of 1.5 s, each after 3 s of silence.
    let mut talk = Vec::new();
    for _ in 0..2 {
        talk.extend(silence(Duration::from_secs(3)));
        talk.extend((0..24_000).map(|n| if n % 20 < 10 { 5000 } else { -5000 }));
    }
    let heard = hear(&line, &talk);
    // 300 ms before, 600 ms behind; the second one ends with the audio.
    let words = words(&heard);
    let expected = [
        ("Hello,", 3000, 3300),
        ("2400", 3300, 5100),
        ("Hello,", 7500, 7800),
        ("1800", 7800, 9000),
    ];
    assert_eq!(times(&words), expected);
}
