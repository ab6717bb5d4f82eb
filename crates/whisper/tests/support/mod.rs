// SPDX-License-Identifier: MPL-2.0

//! Speech for the tests: recorded prompts of Debian packages, and words that flite says.
//! No audio is in the repository.
//!
//! A test whose files are absent says that it is skipped. Where `CI` or
//! `SYMBL_REQUIRE_SPEECH` is set, it fails instead.

// The unit tests and the test programs of this crate use different parts of it.
#![allow(dead_code)]

use std::io::Write;
use std::path::Path;
use std::process::Command;

/// Samples per second.
pub const RATE: usize = 16_000;
/// Samples of a frame of the voice detector.
pub const VOICE: usize = 256;

const SOUNDS: &str = "/usr/share/asterisk/sounds/en_US_f_Allison";
const PACKAGE: &str = "asterisk-core-sounds-en-g722";

/// Some of the recorded prompts: 87 s by one speaker, each of one or two sentences.
pub const PROMPTS: [&str; 30] = [
    "agent-alreadyon",
    "agent-incorrect",
    "agent-newlocation",
    "agent-user",
    "all-circuits-busy-now",
    "at-tone-time-exactly",
    "auth-incorrect",
    "call-fwd-no-ans",
    "call-fwd-on-busy",
    "cannot-complete-as-dialed",
    "check-number-dial-again",
    "conf-enteringno",
    "conf-full",
    "conf-getchannel",
    "conf-getconfno",
    "conf-hasjoin",
    "conf-invalid",
    "conf-invalidpin",
    "conf-kicked",
    "conf-leaderhasleft",
    "conf-locked",
    "conf-noempty",
    "conf-nonextended",
    "conf-now-recording",
    "conf-onlyone",
    "conf-otherinparty",
    "conf-placeintoconf",
    "conf-roll-callcomplete",
    "conf-userswilljoin",
    "conf-waitforleader",
];

/// Says that a test is skipped because something is absent, or fails where no test may be
/// skipped.
fn absent(what: &str) {
    let is_set = |name| std::env::var(name).is_ok_and(|value| value == "true" || value == "1");
    assert!(
        !is_set("CI") && !is_set("SYMBL_REQUIRE_SPEECH"),
        "no test may be skipped here: {what}; scripts/install-deps.sh installs what is missing"
    );
    // Past the test runner's capture: a skipped test must be seen.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
}

/// Runs a program and returns what it writes, or `None` if the program is absent.
fn output_of(command: &mut Command) -> Option<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program}: {said}");
            Some(output.stdout)
        }
        Err(error) => {
            absent(&format!("cannot run {program}: {error}"));
            None
        }
    }
}

/// Returns a prompt as signed 16-bit little-endian samples at 16 kHz, decoded as
/// `scripts/golden/make.py` does it.
pub fn prompt_pcm(name: &str) -> Option<Vec<u8>> {
    let path = format!("{SOUNDS}/{name}.g722");
    if !Path::new(&path).is_file() {
        absent(&format!("no {path} (Debian package {PACKAGE})"));
        return None;
    }
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin", "-f", "g722", "-i", &path]);
    ffmpeg.args(["-ar", "16000", "-ac", "1", "-f", "s16le", "-"]);
    output_of(&mut ffmpeg)
}

/// Returns the samples of 16-bit little-endian audio.
pub fn samples_of(pcm: &[u8]) -> Vec<f32> {
    pcm.chunks_exact(2)
        .map(|bytes| f32::from(i16::from_le_bytes([bytes[0], bytes[1]])) / 32_768.0)
        .collect()
}

/// Returns the samples of a prompt.
pub fn prompt(name: &str) -> Option<Vec<f32>> {
    Some(samples_of(&prompt_pcm(name)?))
}

/// Returns a text as flite says it in one of its 16 kHz voices, without the silence around
/// it.
pub fn flite(voice: &str, text: &str) -> Option<Vec<f32>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("said.wav");
    let mut flite = Command::new("flite");
    flite.args(["-voice", voice, "-t", text, "-o"]).arg(&path);
    output_of(&mut flite)?;
    let mut wav = hound::WavReader::open(&path).unwrap();
    assert_eq!(wav.spec().sample_rate, 16_000, "{voice}");
    let samples: Vec<f32> = wav
        .samples::<i16>()
        .map(|sample| f32::from(sample.unwrap()) / 32_768.0)
        .collect();
    let voiced = voiced(&samples);
    let first = voiced.iter().position(|voiced| *voiced).unwrap() * VOICE;
    let last = voiced.iter().rposition(|voiced| *voiced).unwrap() * VOICE;
    Some(samples[first..samples.len().min(last + VOICE)].to_vec())
}

/// Returns for each 16 ms of clean speech `true` if it is not much softer than the
/// loudest.
pub fn voiced(samples: &[f32]) -> Vec<bool> {
    let powers: Vec<f32> = samples
        .chunks(VOICE)
        .map(|frame| frame.iter().map(|sample| sample * sample).sum())
        .collect();
    let most = powers.iter().fold(0.0_f32, |most, power| most.max(*power));
    // 34 dB below the loudest.
    powers.iter().map(|power| *power > most * 4e-4).collect()
}

/// Returns a word in lower case without punctuation.
pub fn bare(word: &str) -> String {
    let spoken = |character: &char| character.is_alphanumeric() || *character == '\'';
    word.chars()
        .filter(spoken)
        .flat_map(char::to_lowercase)
        .collect()
}

/// Returns the number of words that must be changed, left out or put in to turn one text
/// into another.
pub fn word_errors(expected: &[String], found: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=found.len()).collect();
    for (i, word) in expected.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in found.iter().enumerate() {
            let changed = diagonal + usize::from(word != other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[found.len()]
}

/// Returns `true` if a sequence of one to four words comes three times in a row.
pub fn has_loop(words: &[String]) -> bool {
    (1..=4).any(|length| {
        words.windows(3 * length).any(|window| {
            window[length..]
                .iter()
                .zip(window)
                .all(|(word, before)| word == before)
        })
    })
}

#[test]
fn the_helpers_tell_words_apart() {
    let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
    assert_eq!(word_errors(&words("a b c"), &words("a c d")), 2);
    assert_eq!(word_errors(&words("a b"), &words("a b")), 0);
    assert!(has_loop(&words("x a b a b a b")));
    assert!(!has_loop(&words("a b a b c a b")));
    assert_eq!(bare("Don't!"), "don't");
    assert_eq!(
        voiced(&[[0.5; VOICE], [0.001; VOICE]].concat()),
        [true, false]
    );
}
